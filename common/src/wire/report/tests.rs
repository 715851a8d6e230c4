use std::fmt::Debug;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;

fn check<T: Debug + PartialEq>(
    message: &T,
    encode: impl Fn(&T, &mut BytesMut),
    decode: impl Fn(&[u8]) -> Result<T, ReportError>,
) {
    let mut body = BytesMut::new();
    encode(message, &mut body);
    assert_eq!(decode(&body).as_ref(), Ok(message));
    body.extend_from_slice(b"x");
    assert_eq!(
        decode(&body),
        Err(ReportError::Malformed(CodecError::Trailing(1)))
    );
    body.truncate(body.len() - 2);
    assert!(decode(&body).is_err(), "a message cut short was accepted");
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from)
    ]
}

fn socket_addresses() -> impl Strategy<Value = SocketAddr> {
    (addresses(), any::<u16>()).prop_map(SocketAddr::from)
}

fn groups() -> impl Strategy<Value = GroupName> {
    "[A-Za-z0-9]{1,16}".prop_map(|text| text.parse().unwrap())
}

fn joins() -> impl Strategy<Value = NodeJoin> {
    (
        (any::<[u8; 16]>(), 1..=limits::NODE_NUMBER_MAX, groups()),
        proptest::option::of(addresses()),
        any::<(u16, u16, u32, u32, i32)>(),
        "[ -~]{0,8}",
        btree_set(any::<u8>(), 0..=256),
    )
        .prop_map(|(who, address, numbers, software, paths)| NodeJoin {
            identity: NodeIdentity(who.0),
            number: who.1.try_into().unwrap(),
            group: who.2,
            address,
            storage_port: numbers.0,
            http_port: numbers.1,
            joined: numbers.2,
            started: numbers.3,
            upload_priority: numbers.4,
            software: software.parse().unwrap(),
            volume_paths: paths.into_iter().map(VolumePath).collect(),
        })
}

fn reports() -> impl Strategy<Value = NodeReport> {
    let path = any::<(u64, u64, u64, bool, bool)>();
    (
        0_u8..3,
        any::<(bool, bool)>(),
        proptest::collection::btree_map(any::<u8>(), path, 0..=256),
        vec(any::<u64>(), StorageCounters::COUNT * 2),
        any::<[u32; 7]>(),
        any::<[u64; 6]>(),
    )
        .prop_map(
            |(phase_byte, (readable, writable), paths, pairs, numbers, ages)| {
                let bytes: Vec<u8> = pairs.into_iter().flat_map(u64::to_be_bytes).collect();
                let counters = StorageCounters::decode(&mut Reader::new(&bytes)).unwrap();
                NodeReport {
                    phase: phase(phase_byte).unwrap(),
                    readable,
                    writable,
                    paths: paths
                        .into_iter()
                        .map(
                            |(path, (total_mb, free_mb, reserved_mb, read_only, is_complete))| {
                                PathSpace {
                                    path: VolumePath(path),
                                    total_mb,
                                    free_mb,
                                    reserved_mb,
                                    read_only,
                                    is_complete,
                                    records: free_mb / 7,
                                }
                            },
                        )
                        .collect(),
                    counters,
                    connections: Connections {
                        allocated: numbers[0],
                        current: numbers[1],
                        max: numbers[2],
                    },
                    changed_as_source: numbers[3],
                    changed_as_replica: numbers[4],
                    complete_up_to: numbers[5],
                    view: ages[0],
                    lag_ms: ages[1],
                    under_replicated: ages[2],
                    unverified_age_s: numbers[6],
                    rebuild: Progress {
                        done: ages[3],
                        total: ages[4],
                    },
                    blobs: ages[5],
                }
            },
        )
}

fn join_answers() -> impl Strategy<Value = JoinAnswer> {
    prop_oneof![
        socket_addresses().prop_map(|address| JoinAnswer::Accepted { address }),
        (socket_addresses(), socket_addresses())
            .prop_map(|(holder, yours)| JoinAnswer::NumberTaken { holder, yours }),
        groups().prop_map(|registered| JoinAnswer::WrongGroup { registered }),
        any::<u32>().prop_map(|limit| JoinAnswer::Full { limit }),
        any::<u16>().prop_map(|known| JoinAnswer::VersionTooNew { known }),
        Just(JoinAnswer::Removed),
    ]
}

fn stamps() -> impl Strategy<Value = Stamp> {
    any::<(u64, u64)>().prop_map(|(count, tracker)| Stamp { count, tracker })
}

fn entry_values() -> impl Strategy<Value = Entry> {
    let node = (
        (1..=limits::NODE_NUMBER_MAX, any::<u32>(), any::<[u8; 16]>()),
        (groups(), any::<u32>()),
        (addresses(), any::<u16>(), any::<u16>()),
        (0_usize..3, any::<[bool; 2]>()),
        (stamps(), stamps(), stamps()),
    );
    let node = node.prop_map(|(who, (group, joined), place, (standing, flags), stamps)| {
        Entry::Node(NodeEntry {
            number: who.0.try_into().unwrap(),
            epoch: who.1,
            identity: NodeIdentity(who.2),
            claimed: stamps.0,
            group,
            joined,
            place: Place {
                address: place.0,
                storage_port: place.1,
                http_port: place.2,
            },
            placed: stamps.1,
            marks: NodeMarks {
                standing: [Standing::Member, Standing::Removed, Standing::Released][standing],
                draining: flags[0],
                read_only: flags[1],
            },
            marked: stamps.2,
        })
    });
    let group = (groups(), any::<[bool; 3]>(), stamps()).prop_map(|(name, flags, marked)| {
        Entry::Group(GroupEntry {
            name,
            marks: GroupMarks {
                removed: flags[0],
                draining: flags[1],
                read_only: flags[2],
            },
            marked,
        })
    });
    prop_oneof![node, group]
}

fn hello_answers() -> impl Strategy<Value = HelloAnswer> {
    (
        any::<(u64, u64)>(),
        addresses(),
        any::<[u32; 4]>(),
        vec(entry_values(), 0..20),
    )
        .prop_map(
            |((instance, position), yours, numbers, entries)| HelloAnswer {
                instance,
                yours,
                started: numbers[0],
                connections: Connections {
                    allocated: numbers[1],
                    current: numbers[2],
                    max: numbers[3],
                },
                software: software_version("0.1.0"),
                position,
                entries,
            },
        )
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let member = (
        any::<[u8; 16]>(),
        socket_addresses(),
        any::<u16>(),
        0_u8..3,
        any::<[bool; 3]>(),
        any::<[u64; 2]>(),
    );
    let numbers = 1..=limits::NODE_NUMBER_MAX;
    let identified = proptest::collection::btree_map(numbers, member, 0..=32);
    identified.prop_map(|members| members.into_iter().map(member_of).collect())
}

/// What the strategy draws for a member.
type Drawn = ([u8; 16], SocketAddr, u16, u8, [bool; 3], [u64; 2]);

fn member_of((number, drawn): (u32, Drawn)) -> Member {
    let (identity, address, http_port, phase_byte, flags, versions) = drawn;
    Member {
        identity: NodeIdentity(identity),
        number: number.try_into().unwrap(),
        address,
        http_port,
        phase: phase(phase_byte).unwrap(),
        is_alive: flags[0],
        marks: MemberMarks {
            draining: flags[1],
            read_only: flags[2],
        },
        place_version: versions[0],
        marks_version: versions[1],
    }
}

fn report_answers() -> impl Strategy<Value = ReportAnswer> {
    let numbers = 1..=limits::NODE_NUMBER_MAX;
    let removed = proptest::collection::btree_map(numbers, any::<[u8; 16]>(), 0..=256);
    prop_oneof![
        any::<u64>().prop_map(|view| ReportAnswer::Unchanged { view }),
        (any::<u64>(), members(), removed).prop_map(|(view, members, removed)| {
            let node = |(number, identity): (u32, _)| RemovedMember {
                number: number.try_into().unwrap(),
                identity: NodeIdentity(identity),
            };
            ReportAnswer::Members {
                view,
                members,
                removed: removed.into_iter().map(node).collect(),
            }
        }),
    ]
}

proptest! {
    #[test]
    fn joins_round_trip(join in joins()) {
        check(&join, NodeJoin::encode, NodeJoin::decode);
    }

    #[test]
    fn reports_round_trip(report in reports()) {
        check(&report, NodeReport::encode, NodeReport::decode);
    }

    #[test]
    fn joins_of_the_version_before_round_trip(join in joins()) {
        check(&join, |join, out| join.encode_as(1, out), NodeJoin::decode);
    }

    #[test]
    fn answers_to_reports_round_trip(answer in report_answers()) {
        check(&answer, ReportAnswer::encode, ReportAnswer::decode);
    }

    #[test]
    fn join_answers_round_trip(answer in join_answers()) {
        check(&answer, JoinAnswer::encode, JoinAnswer::decode);
    }

    #[test]
    fn greetings_round_trip(numbers: [u64; 4]) {
        let hello = TrackerHello {
            instance: numbers[0],
            told_by: numbers[1],
            position: numbers[2],
            changes: numbers[3],
        };
        check(&hello, TrackerHello::encode, TrackerHello::decode);
    }

    #[test]
    fn answers_to_greetings_round_trip(answer in hello_answers()) {
        check(&answer, |answer, out| answer.encode_as(2, out), HelloAnswer::decode);
        let before = HelloAnswer { position: 0, entries: Vec::new(), ..answer };
        check(&before, |answer, out| answer.encode_as(1, out), HelloAnswer::decode);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(mut body in vec(any::<u8>(), 0..2048)) {
        for version in [None, Some([0, 1]), Some([0, 2])] {
            if let (Some(version), Some(head)) = (version, body.first_chunk_mut()) {
                *head = version;
            }
            let _ = NodeJoin::decode(&body);
            let _ = NodeReport::decode(&body);
            let _ = ReportAnswer::decode(&body);
            let _ = JoinAnswer::decode(&body);
            let _ = TrackerHello::decode(&body);
            let _ = HelloAnswer::decode(&body);
        }
    }
}

#[test]
fn a_later_version_is_refused_by_name() {
    let body = [0, 3, 1, 2, 3];
    assert_eq!(
        NodeJoin::decode(&body),
        Err(ReportError::TooNew { theirs: 3 })
    );
}

#[test]
fn a_report_of_the_version_before_says_nothing_of_peers_and_is_complete_if_it_serves() {
    for (phase, is_complete) in [(NodePhase::Serving, true), (NodePhase::CatchingUp, false)] {
        let report = NodeReport {
            phase,
            paths: vec![PathSpace {
                total_mb: 9,
                ..PathSpace::default()
            }],
            lag_ms: 5,
            view: 8,
            ..NodeReport::default()
        };
        let mut body = BytesMut::new();
        report.encode_as(1, &mut body);
        let decoded = NodeReport::decode(&body).unwrap();
        assert_eq!(decoded.paths[0].total_mb, 9);
        assert_eq!(decoded.paths[0].is_complete, is_complete);
        assert_eq!((decoded.lag_ms, decoded.view), (0, 0));
    }
}

#[test]
fn an_empty_answer_of_an_older_tracker_tells_nothing() {
    assert_eq!(ReportAnswer::decode(b""), Ok(ReportAnswer::Nothing));
}

#[test]
fn a_greeting_of_the_version_before_asks_for_nothing() {
    let hello = TrackerHello::decode(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 5]).unwrap();
    assert_eq!((hello.instance, hello.told_by, hello.position), (5, 0, 0));
}

/// Made by hand from the doc comments.
#[test]
fn the_bytes_of_entries_are_these() {
    let stamp = |count| Stamp { count, tracker: 9 };
    let node = NodeEntry {
        number: 7.try_into().unwrap(),
        epoch: 1,
        identity: NodeIdentity([0xaa; 16]),
        claimed: stamp(1),
        group: "g1".parse().unwrap(),
        joined: 2,
        place: Place {
            address: "10.0.0.7".parse().unwrap(),
            storage_port: 23000,
            http_port: 8888,
        },
        placed: stamp(3),
        marks: NodeMarks {
            standing: Standing::Removed,
            draining: true,
            read_only: false,
        },
        marked: stamp(4),
    };
    let group = GroupEntry {
        name: "g2".parse().unwrap(),
        marks: GroupMarks {
            removed: true,
            draining: false,
            read_only: true,
        },
        marked: stamp(5),
    };
    let padded = |text: &[u8], width: usize| {
        let mut field = text.to_vec();
        field.resize(width, 0);
        field
    };
    let stamped = |count: u64| [count.to_be_bytes(), 9_u64.to_be_bytes()].concat();
    let expected = [
        vec![0, 2],
        vec![0, 0, 0, 0, 7, 0, 0, 0, 1],
        vec![0xaa; 16],
        stamped(1),
        padded(b"g1", 16),
        vec![0, 0, 0, 2],
        padded(b"10.0.0.7", 46),
        vec![0x59, 0xd8, 0x22, 0xb8],
        stamped(3),
        vec![1, 0b01],
        stamped(4),
        vec![1],
        padded(b"g2", 16),
        vec![0b110],
        stamped(5),
    ]
    .concat();
    let list = [Entry::Node(node), Entry::Group(group)];
    let mut body = BytesMut::new();
    entries::put_entries(&mut Writer::new(&mut body), &list);
    assert_eq!(body, expected);
    let mut reader = Reader::new(&expected);
    assert_eq!(entries::entries(&mut reader).unwrap(), list);
    assert_eq!(reader.left(), 0);
}

/// Made by hand from the doc comments, so that neither side of the codec can drift alone.
#[test]
fn the_bytes_of_a_view_are_these() {
    let member = Member {
        identity: NodeIdentity([0xaa; 16]),
        number: 7.try_into().unwrap(),
        address: "10.0.0.7:23000".parse().unwrap(),
        http_port: 8888,
        phase: NodePhase::CatchingUp,
        is_alive: true,
        marks: MemberMarks {
            draining: false,
            read_only: true,
        },
        place_version: 3,
        marks_version: 4,
    };
    let removed = RemovedMember {
        number: 9.try_into().unwrap(),
        identity: NodeIdentity([0xbb; 16]),
    };
    let answer = ReportAnswer::Members {
        view: 0x0102,
        members: vec![member],
        removed: vec![removed],
    };
    let mut address = [0; 46];
    address[..8].copy_from_slice(b"10.0.0.7");
    let expected: Vec<u8> = [
        &[0, 2][..],
        &[0, 0, 0, 0, 0, 0, 1, 2, 1],
        &[0, 1],
        &[0xaa; 16],
        &[0, 0, 0, 7],
        &address,
        &[0x59, 0xd8],
        &[0x22, 0xb8],
        &[1, 0b101],
        &[0, 0, 0, 0, 0, 0, 0, 3],
        &[0, 0, 0, 0, 0, 0, 0, 4],
        &[0, 1],
        &[0, 0, 0, 9],
        &[0xbb; 16],
    ]
    .concat();
    let mut body = BytesMut::new();
    answer.encode(&mut body);
    assert_eq!(body, expected);
    assert_eq!(ReportAnswer::decode(&expected), Ok(answer));

    let mut unchanged = BytesMut::new();
    ReportAnswer::Unchanged { view: 0x0102 }.encode(&mut unchanged);
    assert_eq!(unchanged.as_ref(), [0, 2, 0, 0, 0, 0, 0, 0, 1, 2, 0]);
}

#[test]
fn a_volume_path_named_twice_is_refused() {
    let space = PathSpace::default();
    let report = NodeReport {
        paths: vec![space, space],
        ..NodeReport::default()
    };
    let mut body = BytesMut::new();
    report.encode(&mut body);
    assert_eq!(
        NodeReport::decode(&body),
        Err(CodecError::Field("volume paths").into())
    );
}

#[test]
fn a_version_text_that_is_too_long_is_cut() {
    assert_eq!(software_version("0.1.0").as_str(), "0.1.0");
    assert_eq!(software_version("10.20.30-rc1").as_str(), "10.20.30");
}
