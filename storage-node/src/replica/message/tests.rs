//! Every message survives encoding, and bytes of strangers are errors.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn version() -> impl Strategy<Value = Version> {
    (any::<u64>(), any::<u32>()).prop_map(|(stamp, edit)| Version {
        stamp: Stamp(stamp),
        edit,
    })
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=128)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..50).prop_map(Bytes::from)
}

fn path() -> impl Strategy<Value = VolumePath> {
    any::<u8>().prop_map(VolumePath)
}

fn crc() -> impl Strategy<Value = Crc32> {
    any::<u32>().prop_map(Crc32)
}

fn place() -> impl Strategy<Value = LogPlace> {
    (any::<u64>(), any::<u32>(), any::<u64>()).prop_map(|(log, volume, offset)| LogPlace {
        log,
        position: Position {
            volume: crate::format::VolumeNumber(volume),
            offset,
        },
    })
}

fn carried() -> impl Strategy<Value = Carried> {
    prop_oneof![
        bytes().prop_map(Carried::Inline),
        (any::<u64>(), crc()).prop_map(|(id, crc)| Carried::Transfer { id, crc }),
    ]
}

fn edit() -> impl Strategy<Value = PeerEdit> {
    let ranges = vec((any::<u64>(), any::<u64>()), 0..9);
    prop_oneof![
        carried().prop_map(PeerEdit::Append),
        (any::<u64>(), carried())
            .prop_map(|(offset, content)| PeerEdit::Modify { offset, content }),
        any::<u64>().prop_map(|len| PeerEdit::Truncate { len }),
        (key(), crc()).prop_map(|(key, crc)| PeerEdit::Rename { key, crc }),
        (key(), ranges, crc()).prop_map(|(key, ranges, crc)| PeerEdit::Arrange {
            key,
            ranges: ranges.into_iter().map(|(from, to)| from..to).collect(),
            crc,
        }),
    ]
}

fn change() -> impl Strategy<Value = PeerChange> {
    prop_oneof![
        (any::<bool>(), carried(), crc()).prop_map(|(in_parts, content, crc)| PeerChange::Put {
            in_parts,
            content,
            crc,
        }),
        (version(), edit()).prop_map(|(base, edit)| PeerChange::Edit { base, edit }),
        vec(any::<u8>(), 0..99).prop_map(PeerChange::Metadata),
        Just(PeerChange::Delete),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (any::<u64>(), path(), any::<u32>(), bytes()).prop_map(
            |(transfer, path, time, payload)| Request::Part {
                transfer,
                path,
                time,
                payload,
            }
        ),
        any::<u64>().prop_map(|transfer| Request::Drop { transfer }),
        (path(), key(), any::<u32>(), version(), change()).prop_map(
            |(path, key, time, version, change)| Request::Apply {
                path,
                key,
                time,
                version,
                change,
            }
        ),
        (path(), proptest::option::of(place()), any::<u32>()).prop_map(|(path, from, patience)| {
            Request::Log {
                path,
                from,
                patience,
            }
        }),
        (
            path(),
            any::<u8>(),
            key(),
            proptest::option::of(key()),
            any::<u64>(),
            any::<[u8; 32]>()
        )
            .prop_map(|(path, prefix, from, to, count, digest)| Request::Compare {
                path,
                prefix,
                from,
                to,
                count,
                digest,
            }),
        (path(), vec((any::<u8>(), key()), 0..4))
            .prop_map(|(path, names)| Request::Fetch { path, names }),
        (path(), key(), version(), any::<(u64, u64)>()).prop_map(
            |(path, key, version, (from, to))| Request::Read {
                path,
                key,
                version,
                range: from..to,
            }
        ),
        (any::<u32>(), any::<u64>()).prop_map(|(source, term)| Request::Decide {
            source,
            term: Stamp(term),
        }),
        any::<u16>().prop_map(|version| Request::Ping { version }),
        (path(), key()).prop_map(|(path, key)| Request::Find { path, key }),
        (path(), key()).prop_map(|(path, key)| Request::Take { path, key }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (1_u8..=4, key(), version()).prop_map(|(says, key, version)| Entry {
        says: Says::from_byte(says).unwrap(),
        key,
        version,
    })
}

fn found() -> impl Strategy<Value = Found> {
    prop_oneof![
        Just(Found::Nothing),
        Just(Found::Later),
        Just(Found::Damaged),
        (version(), any::<u32>(), any::<bool>(), crc(), any::<u32>()).prop_map(
            |(version, time, in_parts, crc, len)| Found::Whole {
                version,
                time,
                in_parts,
                crc,
                len,
            }
        ),
        (
            version(),
            any::<u32>(),
            proptest::option::of(crc()),
            any::<u64>()
        )
            .prop_map(|(version, time, crc, len)| Found::Long {
                version,
                time,
                crc,
                len,
            }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Done),
        Just(Answer::Known),
        proptest::option::of(version()).prop_map(|version| Answer::Behind { version }),
        Just(Answer::Deleted),
        any::<u8>().prop_map(Answer::Refused),
        (
            vec(entry(), 0..9),
            place(),
            any::<u64>(),
            any::<bool>(),
            any::<u64>()
        )
            .prop_map(|(entries, next, behind, is_new, live_bytes)| Answer::Log {
                entries,
                next,
                behind,
                is_new,
                live_bytes,
            }),
        Just(Answer::Same),
        (vec(entry(), 0..9), proptest::option::of(key()))
            .prop_map(|(entries, next)| Answer::Entries { entries, next }),
        (vec(found(), 0..4), bytes())
            .prop_map(|(found, payload)| Answer::Fetched { found, payload }),
        bytes().prop_map(Answer::Range),
        Just(Answer::Granted),
        any::<u16>().prop_map(|version| Answer::Pong { version }),
        Just(Answer::Overruled),
        (
            proptest::option::of(version()),
            proptest::option::of(version())
        )
            .prop_map(|(blob, tombstone)| Answer::State { blob, tombstone }),
    ]
}

proptest! {
    #[test]
    fn requests_survive_encoding(request in request(), stamp in any::<u64>()) {
        let decoded = Request::decode(request.encode(Stamp(stamp)));
        prop_assert_eq!(decoded, Ok((Stamp(stamp), request)));
    }

    #[test]
    fn answers_survive_encoding(answer in answer(), stamp in any::<u64>()) {
        let decoded = Answer::decode(answer.encode(Stamp(stamp)));
        prop_assert_eq!(decoded, Ok((Stamp(stamp), answer)));
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_an_error(request in request(), at in any::<prop::sample::Index>()) {
        let parcel = request.encode(Stamp(7));
        let cut = Parcel { head: parcel.head.slice(..at.index(parcel.head.len())), ..parcel.clone() };
        prop_assert!(Request::decode(cut).is_err());
        let long = Parcel { head: [&parcel.head[..], b"x"].concat().into(), ..parcel };
        // A later version may say more in its first request.
        let may_be_longer = matches!(request, Request::Ping { .. });
        prop_assert_eq!(Request::decode(long).is_ok(), may_be_longer);
    }

    #[test]
    fn arbitrary_bytes_never_panic(head in vec(any::<u8>(), 0..300)) {
        let parcel = Parcel { head: head.into(), payload: Bytes::new() };
        let _ = Request::decode(parcel.clone());
        let _ = Answer::decode(parcel);
    }
}
