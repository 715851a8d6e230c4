use super::*;

use std::net::Ipv4Addr;

use common::wire::report::NodeIdentity;
use common::wire::tracker::ReadWriteMode;
use tempfile::TempDir;

fn registration(number: u32, deleted: bool) -> Registration {
    Registration {
        identity: NodeIdentity([u8::try_from(number).unwrap(); 16]),
        number: number.try_into().unwrap(),
        group: format!("group{}", number % 2).parse().unwrap(),
        address: Ipv4Addr::new(10, 0, 0, 1).into(),
        storage_port: 23000,
        http_port: 8888,
        joined: 1_700_000_000,
        deleted,
        mode: ReadWriteMode::Read,
    }
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
    let registrations = [registration(2, false), registration(1, true)];
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
    let header = format!(r#"{{"format":"{FORMAT}","version":2,"crc32":""}}"#);
    std::fs::write(store.path(LATEST), header).unwrap();
    assert!(matches!(
        store.load(),
        Err(SnapshotError::TooNew { version: 2, .. })
    ));
}
