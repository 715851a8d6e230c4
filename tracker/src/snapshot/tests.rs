use super::*;

use std::net::Ipv4Addr;

use common::wire::report::{
    GroupEntry, GroupMarks, NodeEntry, NodeIdentity, NodeMarks, Place, Stamp, Standing,
};
use tempfile::TempDir;

fn node(number: u32, is_removed: bool) -> NodeEntry {
    let stamp = |count| Stamp { count, tracker: 5 };
    NodeEntry {
        number: number.try_into().unwrap(),
        epoch: 3,
        identity: NodeIdentity([u8::try_from(number).unwrap(); 16]),
        claimed: stamp(1),
        group: format!("group{}", number % 2).parse().unwrap(),
        joined: 1_700_000_000,
        place: Place {
            address: Ipv4Addr::new(10, 0, 0, 1).into(),
            storage_port: 23000,
            http_port: 8888,
        },
        placed: stamp(2),
        marks: NodeMarks {
            standing: if is_removed {
                Standing::Removed
            } else {
                Standing::Member
            },
            draining: true,
            read_only: true,
        },
        marked: stamp(u64::MAX),
    }
}

fn registration(number: u32, is_removed: bool) -> Entry {
    Entry::Node(node(number, is_removed))
}

fn marked_group() -> Entry {
    Entry::Group(GroupEntry {
        name: "group9".parse().unwrap(),
        marks: GroupMarks {
            removed: true,
            draining: false,
            read_only: true,
        },
        marked: Stamp {
            count: 7,
            tracker: 8,
        },
    })
}

fn store() -> (TempDir, SnapshotStore) {
    let directory = TempDir::new().unwrap();
    let store = SnapshotStore::open(&directory.path().join("state")).unwrap();
    (directory, store)
}

fn flip(path: &Path, at_from_end: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() - at_from_end;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn registrations_come_back_and_the_first_start_has_none() {
    let (_directory, store) = store();
    assert_eq!(store.load().unwrap(), []);
    let registrations = [
        marked_group(),
        registration(2, false),
        registration(1, true),
    ];
    store.store(&registrations).unwrap();
    assert_eq!(store.load().unwrap(), registrations);
}

#[test]
fn a_damaged_snapshot_falls_back_to_the_one_before() {
    let (_directory, store) = store();
    store.store(&[registration(1, false)]).unwrap();
    store.store(&[registration(1, true)]).unwrap();
    flip(&store.path(LATEST), 30);
    assert_eq!(store.load().unwrap(), [registration(1, false)]);
}

#[test]
fn a_crash_between_the_renames_loses_nothing_that_was_stored() {
    let (_directory, store) = store();
    store.store(&[registration(1, false)]).unwrap();
    std::fs::rename(store.path(LATEST), store.path(PREVIOUS)).unwrap();
    std::fs::write(store.path(UNFINISHED), b"{").unwrap();
    assert_eq!(store.load().unwrap(), [registration(1, false)]);
}

#[test]
fn damage_without_a_whole_one_says_what_is_lost_and_how_to_go_on() {
    let (_directory, store) = store();
    let check = |bytes: &[u8], expected: Damage| {
        std::fs::write(store.path(LATEST), bytes).unwrap();
        let error = store.load().unwrap_err();
        assert!(
            matches!(&error, SnapshotError::Damaged { reason, .. } if *reason == expected),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("lost are") && text.contains("remedy:"),
            "{text}"
        );
    };
    let whole = encode(&[registration(1, false)]);
    check(b"", Damage::Header);
    check(&whole[..whole.len() - 1], Damage::Checksum);
    let body = br#"{"groups":{"group1":[{"number":0}]}}"#;
    let crc32 = Crc32::of(body).to_string();
    let header = format!(r#"{{"format":"{FORMAT}","version":1,"crc32":"{crc32}"}}"#);
    check(&[header.as_bytes(), b"\n", body].concat(), Damage::Content);
}

#[test]
fn a_snapshot_of_a_later_version_is_not_taken_for_damage() {
    let (_directory, store) = store();
    store.store(&[registration(1, false)]).unwrap();
    let header = format!(r#"{{"format":"{FORMAT}","version":3,"crc32":""}}"#);
    std::fs::write(store.path(LATEST), header).unwrap();
    assert!(matches!(
        store.load(),
        Err(SnapshotError::TooNew { version: 3, .. })
    ));
}

#[test]
fn a_snapshot_of_version_1_is_read() {
    let (_directory, store) = store();
    let body = concat!(
        r#"{"groups":{"g":[{"number":7,"identity":"000000000000000000000000000000aa","#,
        r#""address":"10.0.0.7","storage_port":23000,"http_port":8888,"joined":5,"#,
        r#""deleted":false,"mode":"read"},"#,
        r#"{"number":8,"identity":"000000000000000000000000000000bb","#,
        r#""address":"10.0.0.8","storage_port":23000,"http_port":8888,"joined":6,"#,
        r#""deleted":true,"mode":"both"}]}}"#,
    );
    let crc = Crc32::of(body.as_bytes());
    let head = format!(r#"{{"format":"{FORMAT}","version":1,"crc32":"{crc}"}}"#);
    std::fs::write(store.path(LATEST), format!("{head}\n{body}")).unwrap();
    let entries = store.load().unwrap();
    let nodes: Vec<_> = entries
        .iter()
        .map(|entry| match entry {
            Entry::Node(node) => (node.number.get(), node.marks, node.marked),
            Entry::Group(group) => panic!("{group:?}"),
        })
        .collect();
    let marks = |standing, read_only| NodeMarks {
        standing,
        draining: false,
        read_only,
    };
    let never = Stamp::default();
    assert_eq!(
        nodes,
        [
            (7, marks(Standing::Member, true), never),
            (8, marks(Standing::Released, false), never)
        ]
    );
}
