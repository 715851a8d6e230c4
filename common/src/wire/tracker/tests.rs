use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::code::ErrorCode;
use crate::id::VolumePath;
use crate::limits;
use crate::testing::arbitrary;
use crate::wire::{AddressText, AddressWidth, Command, HEADER_LEN, Header, WireError};

const GROUP: &[u8; 16] = b"group1\0\0\0\0\0\0\0\0\0\0";
const WIDTHS: [AddressWidth; 2] = [AddressWidth::V4, AddressWidth::V6];
const LISTINGS: [ListingLayout; 3] = [ListingLayout::Current, ListingLayout::V5, ListingLayout::V4];

/// Header and body of what `encode` appends.
fn packet(encode: impl FnOnce(&mut BytesMut)) -> (Header, Vec<u8>) {
    let mut out = BytesMut::new();
    encode(&mut out);
    let header = Header::decode(*out.first_chunk().unwrap()).unwrap();
    assert_eq!(header.body_len, (out.len() - HEADER_LEN) as u64);
    (header, out[HEADER_LEN..].to_vec())
}

fn code(command: Command, body: &[u8]) -> ErrorCode {
    Request::decode(command as u8, body).unwrap_err().code()
}

#[test]
fn bodies_of_a_wrong_length_are_invalid() {
    for command in [
        Command::QueryStoreAnyOne,
        Command::QueryStoreAnyAll,
        Command::ListAllGroups,
        Command::GetLeader,
        Command::GetParameters,
        Command::ActiveTest,
        Command::Quit,
    ] {
        assert!(Request::decode(command as u8, b"").is_ok());
        assert_eq!(code(command, b"x"), ErrorCode::Invalid, "{command:?}");
    }
    for command in [
        Command::QueryStoreGroupOne,
        Command::QueryStoreGroupAll,
        Command::ListOneGroup,
        Command::DeleteGroup,
    ] {
        assert!(Request::decode(command as u8, GROUP).is_ok());
        let long = [GROUP.as_slice(), b"\0"].concat();
        for bad in [b"".as_slice(), b"group1", &GROUP[..15], &long] {
            assert_eq!(code(command, bad), ErrorCode::Invalid, "{command:?}");
        }
    }
    for (command, good_len) in [
        (Command::FetchStorageIds, 5),
        (Command::TrackerStatistics, 3),
        (Command::StorageStatistics, 4),
        (Command::GroupStatistics, 4),
    ] {
        for len in 0..10 {
            let read = Request::decode(command as u8, &vec![0; len]);
            assert_eq!(read.is_ok(), len == good_len, "{command:?} {len}");
        }
    }
}

#[test]
fn a_storage_id_has_1_to_15_bytes() {
    for (command, is_optional) in [
        (Command::ListStorages, true),
        (Command::SetTrunkServer, true),
        (Command::DeleteStorage, false),
    ] {
        for (len, is_good) in [(0, is_optional), (1, true), (15, true), (16, false)] {
            let body = [GROUP.as_slice(), &vec![b'1'; len]].concat();
            let read = Request::decode(command as u8, &body);
            assert_eq!(read.is_ok(), is_good, "{command:?} {len}: {read:?}");
            if let Err(error) = read {
                assert_eq!(error.code(), ErrorCode::Invalid);
            }
        }
    }
}

#[test]
fn a_queried_name_has_22_to_127_bytes() {
    let name = b"M00/00/00/fwAADWsCX-OACGPVAAAABi0Jo9Y093.jpg";
    for command in [
        Command::QueryFetchOne,
        Command::QueryFetchAll,
        Command::QueryUpdate,
    ] {
        let body = |name: &[u8]| [GROUP.as_slice(), name].concat();
        assert!(Request::decode(command as u8, &body(name)).is_ok());
        assert_eq!(code(command, &body(&[b'x'; 21])), ErrorCode::Invalid);
        assert_eq!(code(command, &body(&[b'x'; 128])), ErrorCode::Invalid);
        // A name that no server makes cannot be held by anybody.
        assert_eq!(code(command, &body(&name[..22])), ErrorCode::NotFound);
        assert_eq!(code(command, b"group1"), ErrorCode::Invalid);
    }
}

#[test]
fn the_tracker_routes_trunk_names_without_asking_whether_they_exist() {
    let name = b"M00/00/00/fwAAIWsCYNOIF2znAAAD6DtByeYAAAAAQAAAwAAAAQA41182.h";
    let body = [GROUP.as_slice(), name].concat();
    assert!(Request::decode(Command::QueryFetchOne as u8, &body).is_ok());
}

#[test]
fn a_group_that_cannot_be_is_one_that_does_not_exist() {
    assert_eq!(code(Command::ListOneGroup, &[0; 16]), ErrorCode::NotFound);
    let body = b"no-such-group\0\0\0";
    assert_eq!(code(Command::QueryStoreGroupOne, body), ErrorCode::NotFound);
}

#[test]
fn commands_of_others_are_unknown() {
    for command in [0, 11, 14, 99, 100, 160, 161, 162, 200, 255] {
        let error = Request::decode(command, b"").unwrap_err();
        assert_eq!(error, WireError::UnknownCommand(command));
        assert_eq!(error.code(), ErrorCode::Invalid);
    }
}

fn node(address: &str) -> NodeAddress {
    NodeAddress {
        address: address.parse().unwrap(),
        port: 23000,
    }
}

#[test]
fn addresses_of_queries_are_one_byte_narrower_than_those_of_records() {
    let group = "group1".parse().unwrap();
    let target = StoreTarget {
        group,
        node: node("127.0.0.1"),
        path: VolumePath(1),
    };
    let fetch = FetchTarget {
        group,
        node: target.node,
    };
    for (width, store_len, fetch_len) in [(AddressWidth::V4, 40, 39), (AddressWidth::V6, 70, 69)] {
        let (header, body) = packet(|out| target.encode(width, out));
        assert_eq!(header.body_len, store_len);
        assert_eq!(StoreTarget::decode(&body), Ok(target));
        let (header, body) = packet(|out| fetch.encode(width, out));
        assert_eq!(header.body_len, fetch_len);
        assert_eq!(FetchTarget::decode(&body), Ok(fetch));
    }
    let (_, body) = packet(|out| target.encode(AddressWidth::V4, out));
    for len in [0, 16, 38, 39, 41] {
        let mut body = body.clone();
        body.resize(len, 0);
        assert!(StoreTarget::decode(&body).is_err(), "{len}");
    }
    let two = FetchTargets {
        group,
        nodes: vec![target.node; 2],
    };
    let (_, body) = packet(|out| two.encode(AddressWidth::V4, out));
    assert!(FetchTarget::decode(&body).is_err());
}

#[test]
fn record_lengths_are_those_that_clients_divide_by() {
    let group = group_record();
    let storage = storage_record();
    for (listing, address, group_len, storage_len) in [
        (ListingLayout::Current, AddressWidth::V4, 113, 487),
        (ListingLayout::Current, AddressWidth::V6, 113, 517),
        (ListingLayout::V5, AddressWidth::V4, 105, 612),
        (ListingLayout::V5, AddressWidth::V6, 105, 642),
        (ListingLayout::V4, AddressWidth::V4, 105, 600),
        (ListingLayout::V4, AddressWidth::V6, 105, 600),
    ] {
        let dialect = ClientDialect { address, listing };
        for count in [0, 1, 3] {
            let (header, _) = packet(|out| encode_groups(&vec![group; count], dialect, out));
            assert_eq!(header.body_len, group_len * count as u64);
            let (header, _) = packet(|out| encode_storages(&vec![storage; count], dialect, out));
            assert_eq!(header.body_len, storage_len * count as u64);
        }
    }
}

#[test]
fn no_length_of_a_full_group_fits_two_record_layouts() {
    let lens = [487_usize, 517, 612, 642, 600];
    for one in lens {
        for other in lens.into_iter().filter(|other| *other != one) {
            for count in 1..=limits::NODES_PER_GROUP_MAX {
                let is_ambiguous = (one * count).is_multiple_of(other)
                    && one * count / other <= limits::NODES_PER_GROUP_MAX;
                assert!(!is_ambiguous, "{count} records of {one} look like {other}");
            }
        }
    }
}

#[test]
fn group_lists_whose_length_fits_both_layouts_are_told_apart() {
    for (listing, count) in [(ListingLayout::Current, 105), (ListingLayout::V5, 113)] {
        let dialect = ClientDialect {
            listing,
            ..ClientDialect::default()
        };
        let (_, body) = packet(|out| encode_groups(&vec![group_record(); count], dialect, out));
        let groups = decode_groups(&body).unwrap();
        assert_eq!(groups.len(), count);
        assert_eq!(groups.last().unwrap().total_mb, group_record().total_mb);
    }
}

#[test]
fn a_group_of_mixed_ports_without_trunk_shows_minus_one() {
    let record = GroupRecord {
        storage_port: None,
        http_port: 0,
        trunk_file: None,
        ..group_record()
    };
    let (_, body) = packet(|out| encode_groups(&[record], ClientDialect::default(), out));
    assert_eq!(body[57..65], [0xff; 8]);
    assert_eq!(body[105..113], [0xff; 8]);
    assert_eq!(body[..17], *b"group1\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(decode_groups(&body).unwrap(), [record]);
}

#[test]
fn lists_above_the_limits_are_refused_before_memory_is_taken() {
    let groups = vec![0; 113 * (limits::GROUPS_MAX + 1)];
    assert!(decode_groups(&groups).is_err());
    let storages = vec![0; 487 * (limits::NODES_PER_GROUP_MAX + 1)];
    assert!(decode_storages(&storages).is_err());
    assert!(StorageStatistics::decode(&[0, 0, 0xff, 0xff, 0xff, 0xff]).is_err());
    assert!(GroupStatistics::decode(&[0, 0xff, 0xff, 0xff, 0xff]).is_err());
    assert!(TrackerStatistics::decode(&[0xff]).is_err());
}

#[test]
fn a_filter_without_its_bit_does_not_filter() {
    let filter = |body: &[u8]| Request::decode(Command::StorageStatistics as u8, body).unwrap();
    let none = StorageFilter::default();
    assert_eq!(filter(&[0, b'=', 7, 1]), Request::StorageStatistics(none));
    let active = StorageFilter {
        status: Some(StatusFilter::IsNot(NodeStatus::Active)),
        trunk_server: None,
    };
    assert_eq!(filter(&[2, b'!', 7, 1]), Request::StorageStatistics(active));
    assert_eq!(
        code(Command::StorageStatistics, &[2, b'<', 7, 0]),
        ErrorCode::Invalid
    );
    assert_eq!(
        code(Command::StorageStatistics, &[2, b'=', 8, 0]),
        ErrorCode::Invalid
    );
}

#[test]
fn a_trunk_server_is_answered_with_its_terminator() {
    let answer = TrunkServerResponse("127.0.0.33".parse().unwrap());
    let (_, body) = packet(|out| answer.encode(out));
    assert_eq!(body, b"127.0.0.33\0");
    assert!(TrunkServerResponse::decode(b"127.0.0.33").is_err());
}

#[test]
fn a_node_status_has_67_bytes() {
    let answer = NodeStatusResponse {
        status: NodeStatus::Active,
        port: 23000,
        id: "100001".parse().unwrap(),
        address: "127.0.0.1".parse().unwrap(),
    };
    let (header, body) = packet(|out| answer.encode(out));
    assert_eq!(header.body_len, 67);
    assert_eq!(NodeStatusResponse::decode(&body), Ok(answer));
}

fn group_record() -> GroupRecord {
    GroupRecord {
        name: "group1".parse().unwrap(),
        total_mb: 1,
        free_mb: 2,
        reserved_mb: 3,
        trunk_free_mb: 4,
        node_count: 5,
        storage_port: Some(23000),
        http_port: 8888,
        readable_count: 6,
        writable_count: 7,
        write_node_idx: 8,
        volume_path_count: 9,
        subdir_count: 256,
        trunk_file: None,
    }
}

fn storage_record() -> StorageRecord {
    StorageRecord {
        status: NodeStatus::Active,
        mode: ReadWriteMode::Both,
        id: "100001".parse().unwrap(),
        address: "127.0.0.1".parse().unwrap(),
        sync_source: "100002".parse().unwrap(),
        version: "6.16.1".parse().unwrap(),
        join_time: 1,
        start_time: 2,
        total_mb: 3,
        free_mb: 4,
        reserved_mb: 5,
        upload_priority: 10,
        volume_path_count: 6,
        subdir_count: 256,
        write_path: 7,
        port: 23000,
        http_port: 8888,
        connections: Connections {
            allocated: 1,
            current: 2,
            max: 3,
        },
        counters: StorageCounters::default(),
        last_source_change: 8,
        last_replica_change: 9,
        last_synced: 10,
        last_heartbeat: 11,
        is_trunk_server: true,
    }
}

/// What is left of a record in a layout that lacks some fields.
fn group_in(listing: ListingLayout, record: GroupRecord) -> GroupRecord {
    match listing {
        ListingLayout::Current => GroupRecord {
            http_port: 0,
            ..record
        },
        ListingLayout::V5 | ListingLayout::V4 => GroupRecord {
            reserved_mb: 0,
            writable_count: record.readable_count,
            ..record
        },
    }
}

/// What is left of a record in a layout that lacks some fields.
fn storage_in(listing: ListingLayout, record: &StorageRecord) -> StorageRecord {
    let old = StorageRecord {
        reserved_mb: 0,
        mode: ReadWriteMode::Both,
        ..*record
    };
    match listing {
        ListingLayout::Current => StorageRecord {
            http_port: 0,
            ..*record
        },
        ListingLayout::V5 => old,
        ListingLayout::V4 => StorageRecord {
            connections: Connections::default(),
            ..old
        },
    }
}

fn status() -> impl Strategy<Value = NodeStatus> {
    (0..=99_u8).prop_filter_map("a status", |byte| NodeStatus::try_from(byte).ok())
}

fn mode() -> impl Strategy<Value = ReadWriteMode> {
    (0..4_u8).prop_map(|half| ReadWriteMode::try_from(half * 2).unwrap())
}

fn connections() -> impl Strategy<Value = Connections> {
    any::<[u32; 3]>().prop_map(|[allocated, current, max]| Connections {
        allocated,
        current,
        max,
    })
}

fn counters() -> impl Strategy<Value = StorageCounters> {
    proptest::collection::vec(any::<u8>(), StorageCounters::COUNT * 16)
        .prop_map(|bytes| StorageCounters::decode(&mut crate::codec::Reader::new(&bytes)).unwrap())
}

fn any_storage_record() -> impl Strategy<Value = StorageRecord> {
    let texts = (
        arbitrary::text(0..=15),
        arbitrary::text(0..=15),
        arbitrary::text(0..=15),
        arbitrary::text(0..=6),
    );
    let numbers = proptest::array::uniform12(any::<u64>());
    let others = (any::<u16>(), any::<u16>(), any::<i64>(), any::<bool>());
    (
        status(),
        mode(),
        texts,
        numbers,
        connections(),
        counters(),
        others,
    )
        .prop_map(
            |(status, mode, texts, numbers, connections, counters, others)| {
                let (id, address, sync_source, version): (_, AddressText, _, _) = texts;
                let [
                    join_time,
                    start_time,
                    total_mb,
                    free_mb,
                    reserved_mb,
                    paths,
                    subdirs,
                    write,
                    times @ ..,
                ] = numbers;
                let (port, http_port, upload_priority, is_trunk_server) = others;
                StorageRecord {
                    status,
                    mode,
                    id,
                    address,
                    sync_source,
                    version,
                    join_time,
                    start_time,
                    total_mb,
                    free_mb,
                    reserved_mb,
                    upload_priority,
                    volume_path_count: paths,
                    subdir_count: subdirs,
                    write_path: write,
                    port,
                    http_port,
                    connections,
                    counters,
                    last_source_change: times[0],
                    last_replica_change: times[1],
                    last_synced: times[2],
                    last_heartbeat: times[3],
                    is_trunk_server,
                }
            },
        )
}

fn any_group_record() -> impl Strategy<Value = GroupRecord> {
    let numbers = proptest::array::uniform10(any::<u64>());
    let ports = (proptest::option::of(any::<u16>()), any::<u16>());
    let trunk_file = proptest::option::of(0..u64::MAX);
    (arbitrary::group(), numbers, ports, trunk_file).prop_map(
        |(name, numbers, (storage_port, http_port), trunk_file)| GroupRecord {
            name,
            total_mb: numbers[0],
            free_mb: numbers[1],
            reserved_mb: numbers[2],
            trunk_free_mb: numbers[3],
            node_count: numbers[4],
            storage_port,
            http_port,
            readable_count: numbers[5],
            writable_count: numbers[6],
            write_node_idx: numbers[7],
            volume_path_count: numbers[8],
            subdir_count: numbers[9],
            trunk_file,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let scope = prop_oneof![Just(Scope::One), Just(Scope::All)];
    let node = || arbitrary::text(1..=15);
    let host = || arbitrary::text(1..=52);
    let flag = || proptest::option::of(any::<bool>());
    let status = status().prop_flat_map(|status| {
        prop_oneof![
            Just(StatusFilter::Is(status)),
            Just(StatusFilter::IsNot(status))
        ]
    });
    let group = arbitrary::group;
    prop_oneof![
        (proptest::option::of(group()), scope.clone())
            .prop_map(|(group, scope)| Request::QueryStore { group, scope }),
        (group(), arbitrary::name(), scope).prop_map(|(group, name, scope)| Request::QueryFetch {
            group,
            name,
            scope
        }),
        (group(), arbitrary::name()).prop_map(|(group, name)| Request::QueryUpdate { group, name }),
        group().prop_map(Request::ListOneGroup),
        Just(Request::ListAllGroups),
        (group(), proptest::option::of(node()))
            .prop_map(|(group, node)| Request::ListStorages { group, node }),
        (group(), node()).prop_map(|(group, node)| Request::DeleteStorage { group, node }),
        group().prop_map(Request::DeleteGroup),
        (group(), proptest::option::of(node()))
            .prop_map(|(group, node)| Request::SetTrunkServer { group, node }),
        Just(Request::GetLeader),
        (flag(), flag()).prop_map(
            |(active, leader)| Request::TrackerStatistics(TrackerFilter { active, leader })
        ),
        (proptest::option::of(status), flag()).prop_map(|(status, trunk_server)| {
            Request::StorageStatistics(StorageFilter {
                status,
                trunk_server,
            })
        }),
        (flag(), flag(), flag()).prop_map(|(disk_available, trunk_available, available)| {
            Request::GroupStatistics(GroupFilter {
                disk_available,
                trunk_available,
                available,
            })
        }),
        (any::<u32>(), any::<bool>())
            .prop_map(|(start, allow_empty)| Request::FetchStorageIds { start, allow_empty }),
        (group(), host()).prop_map(|(group, host)| Request::GetStorageId { group, host }),
        (group(), host()).prop_map(|(group, host)| Request::GetStorageStatus { group, host }),
        Just(Request::GetParameters),
        (arbitrary::text(0..=45), any::<u32>())
            .prop_map(|(address, port)| Request::GetGroup { address, port }),
        Just(Request::ActiveTest),
        Just(Request::Quit),
    ]
}

proptest! {
    #[test]
    fn requests_round_trip(request in request()) {
        let (header, body) = packet(|out| request.encode(out));
        prop_assert_eq!(header.command, request.command() as u8);
        prop_assert_eq!(Request::decode(header.command, &body), Ok(request));
    }

    #[test]
    fn query_answers_round_trip(
        group in arbitrary::group(),
        addresses in proptest::collection::vec(
            (arbitrary::text(0..=15), arbitrary::text(0..=45), any::<u16>()),
            1..=limits::NODES_PER_GROUP_MAX,
        ),
        path in any::<u8>().prop_map(VolumePath),
    ) {
        for width in WIDTHS {
            let nodes = addresses.iter().map(|(narrow, wide, port)| NodeAddress {
                address: if width == AddressWidth::V4 { *narrow } else { *wide },
                port: *port,
            });
            let nodes: Vec<_> = nodes.collect();
            let targets = StoreTargets { group, nodes: nodes.clone(), path };
            prop_assert_eq!(StoreTargets::decode(&packet(|out| targets.encode(width, out)).1), Ok(targets));
            let targets = FetchTargets { group, nodes };
            prop_assert_eq!(FetchTargets::decode(&packet(|out| targets.encode(width, out)).1), Ok(targets));
        }
    }

    #[test]
    fn listings_round_trip_in_every_layout(
        groups in proptest::collection::vec(any_group_record(), 0..5),
        storages in proptest::collection::vec(any_storage_record(), 0..5),
    ) {
        for listing in LISTINGS {
            for address in WIDTHS {
                let dialect = ClientDialect { address, listing };
                let (_, body) = packet(|out| encode_groups(&groups, dialect, out));
                let expected: Vec<_> = groups.iter().map(|record| group_in(listing, *record)).collect();
                prop_assert_eq!(decode_groups(&body), Ok(expected));
                let (_, body) = packet(|out| encode_storages(&storages, dialect, out));
                let expected: Vec<_> =
                    storages.iter().map(|record| storage_in(listing, record)).collect();
                prop_assert_eq!(decode_storages(&body), Ok(expected));
            }
        }
    }

    #[test]
    fn statistics_round_trip(
        nodes in proptest::collection::vec(any_storage_record(), 0..5),
        groups in proptest::collection::vec(any_group_record(), 0..5),
        host in arbitrary::text(0..=52),
        flags in any::<[bool; 2]>(),
    ) {
        let trackers = nodes.iter().map(|node| TrackerStatistic {
            host,
            is_leader: node.is_trunk_server,
            is_active: flags[0],
            connections: node.connections,
            version: node.version,
            start_time: node.start_time,
            last_heartbeat: node.last_heartbeat,
        });
        let answer = TrackerStatistics { trackers: trackers.collect() };
        prop_assert_eq!(TrackerStatistics::decode(&packet(|out| answer.encode(out)).1), Ok(answer));
        let nodes = nodes.iter().map(|node| StorageStatistic {
            id: node.id,
            host,
            is_trunk_server: node.is_trunk_server,
            status: node.status,
            connections: node.connections,
            version: node.version,
            start_time: node.start_time,
            last_heartbeat: node.last_heartbeat,
        });
        let answer = StorageStatistics {
            uses_storage_ids: flags[0],
            uses_trunk: flags[1],
            nodes: nodes.collect(),
        };
        prop_assert_eq!(StorageStatistics::decode(&packet(|out| answer.encode(out)).1), Ok(answer));
        let groups = groups.iter().map(|group| GroupSpace {
            name: group.name,
            total_mb: group.total_mb,
            free_mb: group.free_mb,
            reserved_mb: group.reserved_mb,
            available_mb: group.node_count,
            trunk_free_mb: group.trunk_free_mb,
            disk_available: flags[0],
            trunk_available: flags[1],
        });
        let answer = GroupStatistics { uses_trunk: flags[0], groups: groups.collect() };
        prop_assert_eq!(GroupStatistics::decode(&packet(|out| answer.encode(out)).1), Ok(answer));
    }

    #[test]
    fn parameters_round_trip(
        pairs in proptest::collection::vec(("[a-z_]{1,20}", "[ -~]{0,20}"), 0..20),
    ) {
        let mut parameters = Parameters::new();
        for (key, value) in &pairs {
            parameters.push(key, value).unwrap();
        }
        let (_, body) = packet(|out| parameters.encode(out));
        let decoded = Parameters::decode(&body).unwrap();
        let decoded: Vec<_> = decoded.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(decoded, pairs);
    }
}
