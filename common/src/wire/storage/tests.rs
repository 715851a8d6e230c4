use bytes::BytesMut;
use proptest::prelude::*;

use super::streamed::SIGNED_MAX;
use super::*;
use crate::code::ErrorCode;
use crate::codec::CodecError;
use crate::digest::Crc32;
use crate::id::{Extension, GroupName, RemoteName, SlavePrefix, VolumePath};
use crate::testing::arbitrary;
use crate::wire::{AddressWidth, Command, HEADER_LEN, Header, WireError};

const NORMAL: &str = "M00/00/00/fwAADWsCX-OACGPVAAAABi0Jo9Y093.jpg";
const APPENDER: &str = "M00/00/00/fwAADWsCX-OEBaG8AAAAADYQpoY177.txt";
const TRUNK: &str = "M00/00/00/fwAAIWsCYNOIF2znAAAD6DtByeYAAAAAQAAAwAAAAQA41182.h";

fn name(text: &str) -> RemoteName {
    RemoteName::parse(text.as_bytes()).unwrap()
}

fn group() -> GroupName {
    "group1".parse().unwrap()
}

/// Header and body of what `encode` appends.
fn packet(encode: impl FnOnce(&mut BytesMut)) -> (Header, Vec<u8>) {
    let mut out = BytesMut::new();
    encode(&mut out);
    let header = Header::decode(*out.first_chunk().unwrap()).unwrap();
    (header, out[HEADER_LEN..].to_vec())
}

/// Decodes a head as a server does, from a body of which only the head has arrived.
fn decode_head<T: Streamed>(body_len: u64, head: &[u8]) -> Result<T, WireError> {
    let fixed_len = T::fixed_len(body_len)?;
    let (fixed, rest) = head.split_at(fixed_len);
    let name_len = T::name_len(fixed, body_len)?;
    T::decode(fixed, &rest[..name_len])
}

fn check_streamed<T>(message: T)
where
    T: Streamed + std::fmt::Debug + PartialEq,
{
    let (header, head) = packet(|out| message.encode(out));
    assert_eq!(header.body_len, head.len() as u64 + message.content_len());
    assert_eq!(decode_head::<T>(header.body_len, &head), Ok(message));
}

/// A head that announces more or less content than the header, or has another name length, is invalid.
fn check_lengths_must_add_up<T>(message: &T)
where
    T: Streamed + std::fmt::Debug,
{
    let (header, head) = packet(|out| message.encode(out));
    for body_len in [0, 1, header.body_len - 1, header.body_len + 1, u64::MAX] {
        let error = decode_head::<T>(body_len, &head).unwrap_err();
        assert!(matches!(error, WireError::Lengths { .. }), "{error:?}");
        assert_eq!(error.code(), ErrorCode::Invalid);
    }
}

fn upload() -> UploadHead {
    UploadHead {
        path: PathChoice::Any,
        size: 5,
        extension: Extension::from_bytes(b"txt").unwrap(),
    }
}

fn slave() -> SlaveHead {
    SlaveHead {
        master: name(NORMAL),
        size: 5,
        prefix: SlavePrefix::from_bytes(b"_80x80").unwrap(),
        extension: Extension::from_bytes(b"jpg").unwrap(),
    }
}

fn append() -> AppendHead {
    AppendHead {
        name: name(APPENDER),
        size: 5,
    }
}

fn modify() -> ModifyHead {
    ModifyHead {
        name: name(APPENDER),
        offset: 7,
        size: 5,
    }
}

#[test]
fn declared_lengths_must_add_up_exactly() {
    check_lengths_must_add_up(&upload());
    check_lengths_must_add_up(&slave());
    check_lengths_must_add_up(&append());
    check_lengths_must_add_up(&modify());
}

#[test]
fn sums_that_overflow_are_wrong_lengths() {
    let mut fixed = i64::MAX.to_be_bytes().repeat(2);
    fixed.splice(0..8, 44_i64.to_be_bytes());
    for body_len in [0, 59, u64::MAX, i64::MAX.unsigned_abs()] {
        assert!(AppendHead::name_len(&fixed, body_len).is_err());
    }
    let mut fixed = vec![0];
    fixed.extend(i64::MAX.to_be_bytes());
    fixed.extend([0; 6]);
    let body_len = i64::MAX.unsigned_abs() + 15;
    let error = UploadHead::name_len(&fixed, body_len).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoSpace, "{error}");
}

#[test]
fn negative_sizes_and_offsets_are_invalid() {
    let (header, head) = packet(|out| modify().encode(out));
    for field in 0..3 {
        let mut head = head.clone();
        head[field * 8] = 0x80;
        let error = decode_head::<ModifyHead>(header.body_len, &head).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid, "field {field}");
    }
    let request = DownloadRequest {
        offset: 0,
        len: 0,
        group: group(),
        name: name(NORMAL),
    };
    let (_, body) = packet(|out| request.encode(out));
    for field in 0..2 {
        let mut body = body.clone();
        body[field * 8] = 0xff;
        let error = DownloadRequest::decode(&body).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid, "field {field}");
    }
}

#[test]
fn appender_names_have_44_to_127_bytes() {
    for (len, is_good) in [
        (0, false),
        (43, false),
        (44, true),
        (127, true),
        (128, false),
    ] {
        let mut fixed = u64::try_from(len).unwrap().to_be_bytes().to_vec();
        fixed.extend([0; 8]);
        let body_len = 16 + u64::try_from(len).unwrap();
        let read = AppendHead::name_len(&fixed, body_len);
        assert_eq!(read.is_ok(), is_good, "{len}: {read:?}");
    }
    let short = &APPENDER[..43];
    let error = RegenerateRequest::decode(short.as_bytes()).unwrap_err();
    assert!(matches!(error, WireError::NameLength { len: 43, .. }));
}

#[test]
fn malformed_names_are_invalid_and_names_of_nobody_are_not_found() {
    let long = format!("{NORMAL}{}", "x".repeat(84));
    for (text, code) in [
        ("M00/00/00/../../x", ErrorCode::Invalid),
        ("M00/00/00/..", ErrorCode::Invalid),
        ("M00/00/00/fwAADWs\0X", ErrorCode::Invalid),
        ("M00/00/00/short", ErrorCode::NotFound),
        ("", ErrorCode::Invalid),
        (&long, ErrorCode::Invalid),
        (&"x".repeat(10_000), ErrorCode::Invalid),
        (TRUNK, ErrorCode::NotFound),
    ] {
        let body = [group().as_field(), text.as_bytes()].concat();
        assert_eq!(
            BlobRequest::decode(&body).unwrap_err().code(),
            code,
            "{text}"
        );
        let body = [&[0; 16], body.as_slice()].concat();
        assert_eq!(
            DownloadRequest::decode(&body).unwrap_err().code(),
            code,
            "{text}"
        );
    }
    // The metadata of the original is a file beside the blob; here it is just a name without a blob.
    let body = [group().as_field(), format!("{NORMAL}-m").as_bytes()].concat();
    assert!(BlobRequest::decode(&body).is_ok());
}

#[test]
fn groups_that_cannot_be_are_invalid_on_a_storage_node() {
    for text in ["", "a-b", "group\u{e9}"] {
        let mut body = text.as_bytes().to_vec();
        body.resize(16, 0);
        body.extend_from_slice(NORMAL.as_bytes());
        assert_eq!(
            BlobRequest::decode(&body).unwrap_err().code(),
            ErrorCode::Invalid
        );
    }
    assert!(BlobRequest::decode(b"group1").is_err());
}

#[test]
fn the_extension_ends_at_the_first_nul() {
    let (_, mut head) = packet(|out| upload().encode(out));
    head[9..15].copy_from_slice(b"a\0/\0\0b");
    let decoded = decode_head::<UploadHead>(20, &head).unwrap();
    assert_eq!(decoded.extension.as_bytes(), b"a");
    head[9..15].copy_from_slice(b"a/\0\0\0\0");
    let error = decode_head::<UploadHead>(20, &head).unwrap_err();
    assert!(matches!(error, WireError::Extension(_)));
}

#[test]
fn path_byte_255_leaves_the_choice_to_the_node() {
    let (_, mut head) = packet(|out| upload().encode(out));
    assert_eq!(head[0], 0xff);
    head[0] = 0xfe;
    let decoded = decode_head::<UploadHead>(20, &head).unwrap();
    assert_eq!(decoded.path, PathChoice::Path(VolumePath(0xfe)));
}

#[test]
fn the_two_uploads_differ_in_their_command_only() {
    let (normal, normal_head) = packet(|out| upload().encode_as(UploadKind::Normal, out));
    let (appender, appender_head) = packet(|out| upload().encode_as(UploadKind::Appender, out));
    assert_eq!(normal.command, Command::Upload as u8);
    assert_eq!(appender.command, Command::UploadAppender as u8);
    assert_eq!(normal_head, appender_head);
    assert_eq!(normal_head.len(), UploadHead::FIXED_LEN);
}

#[test]
fn empty_content_is_allowed_everywhere() {
    check_streamed(UploadHead {
        size: 0,
        ..upload()
    });
    check_streamed(SlaveHead { size: 0, ..slave() });
    check_streamed(AppendHead {
        size: 0,
        ..append()
    });
    check_streamed(ModifyHead {
        size: 0,
        ..modify()
    });
}

#[test]
fn a_slave_needs_a_prefix() {
    let (header, mut head) = packet(|out| slave().encode(out));
    head[16..32].fill(0);
    let error = decode_head::<SlaveHead>(header.body_len, &head).unwrap_err();
    assert!(matches!(error, WireError::Prefix(_)));
    assert_eq!(error.code(), ErrorCode::Invalid);
}

#[test]
fn a_range_is_clamped_and_an_empty_blob_can_be_downloaded() {
    let range = |offset, len, size| {
        let request = DownloadRequest {
            offset,
            len,
            group: group(),
            name: name(NORMAL),
        };
        request.range(size)
    };
    assert_eq!(range(0, 0, 5), Some((0, 5)));
    assert_eq!(range(4, 0, 5), Some((4, 5)));
    assert_eq!(range(1, 3, 5), Some((1, 4)));
    assert_eq!(range(2, 100, 5), Some((2, 5)));
    assert_eq!(range(1, i64::MAX.unsigned_abs(), 5), Some((1, 5)));
    assert_eq!(range(5, 0, 5), None);
    assert_eq!(range(6, 1, 5), None);
    assert_eq!(range(0, 0, 0), Some((0, 0)));
    assert_eq!(range(0, 9, 0), Some((0, 0)));
    assert_eq!(range(1, 0, 0), None);
}

#[test]
fn the_checksum_of_file_information_is_sign_extended() {
    let info = FileInfo {
        size: 5,
        time: 1_795_317_680,
        crc: Crc32(0x8be1_98b2),
        source: "127.0.0.13".parse().unwrap(),
    };
    for (width, len) in [(AddressWidth::V4, 40), (AddressWidth::V6, 70)] {
        let (header, body) = packet(|out| info.encode(width, out));
        assert_eq!(header.body_len, len);
        assert_eq!(
            body[16..24],
            [0xff, 0xff, 0xff, 0xff, 0x8b, 0xe1, 0x98, 0xb2]
        );
        assert_eq!(FileInfo::decode(&body), Ok(info));
    }
    let small = FileInfo {
        crc: Crc32(0x7fff_ffff),
        ..info
    };
    let (_, body) = packet(|out| small.encode(AddressWidth::V4, out));
    assert_eq!(body[16..20], [0; 4]);
    assert!(FileInfo::decode(&body[..39]).is_err());
}

#[test]
fn an_address_that_does_not_fit_is_left_out_rather_than_cut() {
    let info = FileInfo {
        size: 0,
        time: 0,
        crc: Crc32(0),
        source: "2001:db8::1234:5678".parse().unwrap(),
    };
    let (_, body) = packet(|out| info.encode(AddressWidth::V4, out));
    assert_eq!(body[24..], [0; 16]);
    assert!(!AddressWidth::V4.fits(&info.source));
    assert!(AddressWidth::V6.fits(&info.source));
}

#[test]
fn flags_of_file_information_ride_in_the_header() {
    let request = QueryFileInfo {
        group: group(),
        name: name(NORMAL),
        flags: QueryFileInfo::SKIP_CHECKSUM | QueryFileInfo::SILENT,
    };
    let (header, body) = packet(|out| request.encode(out));
    assert_eq!(header.status, 3);
    let decoded = QueryFileInfo::decode(&body, header.status).unwrap();
    assert!(decoded.skips_checksum() && decoded.is_silent());
    let decoded = QueryFileInfo::decode(&body, 0).unwrap();
    assert!(!decoded.skips_checksum() && !decoded.is_silent());
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    Metadata::parse(bytes).as_bytes().to_vec()
}

#[test]
fn metadata_is_sorted_and_split_at_the_first_separator() {
    assert_eq!(packed(b"b\x021\x01a\x022"), b"a\x022\x01b\x021");
    assert_eq!(packed(b"a\x02b\x02c"), b"a\x02b\x02c");
    let metadata = Metadata::parse(b"a\x02b\x02c");
    assert_eq!(
        metadata.iter().collect::<Vec<_>>(),
        [(b"a".as_slice(), b"b\x02c".as_slice())]
    );
}

#[test]
fn items_without_a_separator_and_trailing_separators_are_dropped() {
    assert_eq!(packed(b"abc\x01a\x02b\x01\x01"), b"a\x02b");
    assert!(Metadata::parse(b"").is_empty());
    assert!(Metadata::parse(b"\x01\x01abc").is_empty());
    assert!(!Metadata::parse(b"\x02").is_empty());
}

#[test]
fn names_and_values_are_cut_and_of_duplicates_the_last_is_kept() {
    let long = [vec![b'n'; 70], vec![2], vec![b'v'; 300]].concat();
    let cut = [vec![b'n'; 64], vec![2], vec![b'v'; 256]].concat();
    assert_eq!(packed(&long), cut);
    assert_eq!(packed(b"a\x021\x01b\x02x\x01a\x022"), b"a\x022\x01b\x02x");
    // Names that become equal by cutting are duplicates, too.
    let twice = [long.as_slice(), b"\x01", &[b'n'; 64], b"\x02w"].concat();
    assert_eq!(packed(&twice), [vec![b'n'; 64], vec![2, b'w']].concat());
}

#[test]
fn merging_replaces_equal_names_and_keeps_the_others() {
    let old = Metadata::parse(b"author\x02me\x01width\x02160");
    let new = Metadata::parse(b"zed\x021\x01author\x02you");
    let merged = old.merged(&new);
    assert_eq!(
        merged.as_bytes().as_ref(),
        b"author\x02you\x01width\x02160\x01zed\x021"
    );
    assert_eq!(merged, Metadata::from_pairs(merged.iter()));
}

#[test]
fn set_metadata_knows_two_flags_and_its_lengths() {
    let request = SetMetadata {
        mode: MetadataMode::Merge,
        group: group(),
        name: name(NORMAL),
        packed: b"a\x02b",
    };
    let (_, body) = packet(|out| request.encode(out));
    assert_eq!(SetMetadata::decode(&body), Ok(request));
    let mut bad = body.clone();
    bad[16] = b'X';
    let error = SetMetadata::decode(&bad).unwrap_err();
    assert_eq!(error, CodecError::Field("metadata flag").into());
    for (at, value) in [
        (7, 43),
        (7, 45),
        (7, 0),
        (7, 128),
        (15, 2),
        (15, 4),
        (0, 0x80),
        (8, 0x80),
    ] {
        let mut bad = body.clone();
        bad[at] = value;
        let error = SetMetadata::decode(&bad).unwrap_err();
        assert_eq!(
            error.code(),
            ErrorCode::Invalid,
            "byte {at} = {value}: {error}"
        );
    }
}

proptest! {
    #[test]
    fn streamed_heads_round_trip(
        path in any::<u8>(),
        size in 0..=crate::limits::BLOB_LEN_MAX,
        offset in 0..=SIGNED_MAX,
        extension in arbitrary::extension(),
        prefix in arbitrary::prefix(),
        master in arbitrary::name(),
        name in arbitrary::generated_name(),
    ) {
        let path = if path == 0xff { PathChoice::Any } else { PathChoice::Path(VolumePath(path)) };
        check_streamed(UploadHead { path, size, extension });
        check_streamed(SlaveHead { master, size, prefix, extension });
        check_streamed(AppendHead { name, size });
        check_streamed(ModifyHead { name, offset, size });
    }

    #[test]
    fn whole_requests_round_trip(
        group in arbitrary::group(),
        name in arbitrary::name(),
        appender in arbitrary::generated_name(),
        offset in 0..=SIGNED_MAX,
        len in 0..=SIGNED_MAX,
        size in 0..=crate::limits::BLOB_LEN_MAX,
        flags in any::<u8>(),
        packed in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let request = DownloadRequest { offset, len, group, name };
        prop_assert_eq!(DownloadRequest::decode(&packet(|out| request.encode(out)).1), Ok(request));
        let request = BlobRequest { group, name };
        let (delete, body) = packet(|out| request.encode_delete(out));
        prop_assert_eq!(delete.command, Command::Delete as u8);
        prop_assert_eq!(BlobRequest::decode(&body), Ok(request));
        let (get, body) = packet(|out| request.encode_get_metadata(out));
        prop_assert_eq!(get.command, Command::GetMetadata as u8);
        prop_assert_eq!(BlobRequest::decode(&body), Ok(request));
        let request = QueryFileInfo { group, name, flags };
        let (header, body) = packet(|out| request.encode(out));
        prop_assert_eq!(QueryFileInfo::decode(&body, header.status), Ok(request));
        let request = TruncateRequest { name: appender, size };
        prop_assert_eq!(TruncateRequest::decode(&packet(|out| request.encode(out)).1), Ok(request));
        let request = RegenerateRequest { name: appender };
        prop_assert_eq!(RegenerateRequest::decode(&packet(|out| request.encode(out)).1), Ok(request));
        for mode in [MetadataMode::Overwrite, MetadataMode::Merge] {
            let request = SetMetadata { mode, group, name, packed: &packed };
            let (_, body) = packet(|out| request.encode(out));
            prop_assert_eq!(SetMetadata::decode(&body), Ok(request));
        }
        let response = StoredResponse { group, name };
        prop_assert_eq!(StoredResponse::decode(&packet(|out| response.encode(out)).1), Ok(response));
    }

    #[test]
    fn file_information_round_trips(
        size in 0..=SIGNED_MAX,
        time in 0..=SIGNED_MAX,
        crc in any::<u32>().prop_map(Crc32),
        narrow in arbitrary::text(0..=15),
        wide in arbitrary::text(0..=45),
    ) {
        for (width, source) in [(AddressWidth::V4, narrow), (AddressWidth::V6, wide)] {
            let info = FileInfo { size, time, crc, source };
            prop_assert_eq!(FileInfo::decode(&packet(|out| info.encode(width, out)).1), Ok(info));
        }
    }

    #[test]
    fn any_metadata_is_normalised_once(
        bytes in proptest::collection::vec(prop_oneof![Just(1), Just(2), b'a'..b'd', any::<u8>()], 0..600)
    ) {
        crate::testing::fuzz_metadata(&bytes);
    }

    #[test]
    fn arbitrary_bodies_never_panic(
        command in any::<u8>(),
        status in any::<u8>(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let header = Header { body_len: body.len() as u64, command, status };
        crate::testing::fuzz_packet(&[&header.encode(), body.as_slice()].concat());
    }
}
