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
    let path = any::<(u64, u64, u64, bool)>();
    (
        0_u8..3,
        any::<(bool, bool)>(),
        proptest::collection::btree_map(any::<u8>(), path, 0..=256),
        vec(any::<u64>(), StorageCounters::COUNT * 2),
        any::<[u32; 6]>(),
    )
        .prop_map(
            |(phase_byte, (readable, writable), paths, pairs, numbers)| {
                let bytes: Vec<u8> = pairs.into_iter().flat_map(u64::to_be_bytes).collect();
                let counters = StorageCounters::decode(&mut Reader::new(&bytes)).unwrap();
                NodeReport {
                    phase: phase(phase_byte).unwrap(),
                    readable,
                    writable,
                    paths: paths
                        .into_iter()
                        .map(
                            |(path, (total_mb, free_mb, reserved_mb, read_only))| PathSpace {
                                path: VolumePath(path),
                                total_mb,
                                free_mb,
                                reserved_mb,
                                read_only,
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
    fn join_answers_round_trip(answer in join_answers()) {
        check(&answer, JoinAnswer::encode, JoinAnswer::decode);
    }

    #[test]
    fn greetings_round_trip(instance: u64, yours in addresses(), numbers: [u32; 4]) {
        check(&TrackerHello { instance }, TrackerHello::encode, TrackerHello::decode);
        let answer = HelloAnswer {
            instance,
            yours,
            started: numbers[0],
            connections: Connections {
                allocated: numbers[1],
                current: numbers[2],
                max: numbers[3],
            },
            software: software_version("0.1.0"),
        };
        check(&answer, HelloAnswer::encode, HelloAnswer::decode);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(mut body in vec(any::<u8>(), 0..2048)) {
        for version in [None, Some([0, 1])] {
            if let (Some(version), Some(head)) = (version, body.first_chunk_mut()) {
                *head = version;
            }
            let _ = NodeJoin::decode(&body);
            let _ = NodeReport::decode(&body);
            let _ = JoinAnswer::decode(&body);
            let _ = TrackerHello::decode(&body);
            let _ = HelloAnswer::decode(&body);
        }
    }
}

#[test]
fn a_later_version_is_refused_by_name() {
    let body = [0, 2, 1, 2, 3];
    assert_eq!(
        NodeJoin::decode(&body),
        Err(ReportError::TooNew { theirs: 2 })
    );
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
