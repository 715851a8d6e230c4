//! Golden vectors: packets and file ids of original servers, parsed and reproduced byte for byte.
//! Their origin stands in `tests/golden/README.md`.

use serde_json::Value;

use super::{reencode_response, reencode_storage_request, reencode_tracker_request};
use crate::id::{BlobKind, FileId, Source};
use crate::wire::storage::DownloadRequest;
use crate::wire::{HEADER_LEN, Header, Status};

/// Requests that are malformed by themselves: a decoder must refuse them with the status that the
/// original answered.
const MALFORMED: [&str; 8] = [
    "query_store_wrong_length",
    "query_fetch_short_name",
    "set_metadata_bad_flag",
    "upload_bad_ext",
    "upload_length_mismatch",
    "upload_slave_no_prefix",
    "storage_unknown_command",
    "tracker_unknown_command",
];

/// Answers that we give differently on purpose (docs/wire.md, deviations).
const DEVIATIONS: [(&str, &str); 4] = [
    (
        "download_empty_file",
        "status 22 makes an empty file impossible to read back; we send an empty body",
    ),
    (
        "append_zero_bytes_quirk",
        "the original echoes the request body, which puts clients out of step; ours is empty",
    ),
    ("modify_zero_bytes_quirk", "as for append"),
    ("truncate_same_size_quirk", "as for append"),
];

fn load(file: &str, list: &str) -> Vec<Value> {
    let path = format!("{}/../tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all[list].as_array().unwrap().clone()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} of {vector}"))
}

fn number(vector: &Value, key: &str) -> u64 {
    vector[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} of {vector}"))
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn packet(vector: &Value, key: &str) -> (Header, Vec<u8>) {
    let bytes = unhex(text(vector, key));
    let header = Header::decode(*bytes.first_chunk().unwrap()).unwrap();
    let body = bytes[HEADER_LEN..].to_vec();
    assert_eq!(header.body_len, body.len() as u64);
    (header, body)
}

fn wire_vectors() -> Vec<Value> {
    let vectors = load("fastdfs-wire.json", "vectors");
    assert_eq!(vectors.len(), 78 + 15);
    vectors
}

#[test]
fn every_request_is_parsed_and_reproduced() {
    let mut refused = 0;
    for vector in wire_vectors() {
        let name = text(&vector, "name");
        let (header, body) = packet(&vector, "request");
        let made = match text(&vector, "to") {
            "storage" => reencode_storage_request(header, &body),
            "tracker" => reencode_tracker_request(header, &body),
            other => panic!("server {other}"),
        };
        match made {
            Ok(made) => {
                assert_eq!(hex(&made), text(&vector, "request"), "{name}");
                assert!(!MALFORMED.contains(&name), "{name} decodes");
            }
            Err(error) => {
                assert!(MALFORMED.contains(&name), "{name}: {error}");
                let status = u64::from(error.code().wire_status().0);
                assert_eq!(status, number(&vector, "response_status"), "{name}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, MALFORMED.len());
}

#[test]
fn every_response_is_parsed_and_reproduced() {
    let mut deviations = Vec::new();
    for vector in wire_vectors() {
        let name = text(&vector, "name");
        let (request, request_body) = packet(&vector, "request");
        let (header, body) = packet(&vector, "response");
        assert_eq!(u64::from(header.status), number(&vector, "response_status"));
        if let Some((name, reason)) = DEVIATIONS.iter().find(|(known, _)| *known == name) {
            assert!(!reason.is_empty());
            deviations.push(*name);
            if *name == "download_empty_file" {
                let download = DownloadRequest::decode(&request_body).unwrap();
                assert_eq!(download.range(0), Some((0, 0)));
            } else {
                // The echo is no answer that our client accepts either.
                assert!(reencode_response(request.command, &body).unwrap().is_err());
            }
            continue;
        }
        let golden = without_garbage(name, unhex(text(&vector, "response")));
        let made = if header.status != 0 {
            Header::error(Status(header.status)).encode().to_vec()
        } else {
            match reencode_response(request.command, &body) {
                Some(made) => made
                    .unwrap_or_else(|error| panic!("{name}: {error}"))
                    .to_vec(),
                // Content: only the header is structure.
                None => [Header::success(header.body_len).encode().to_vec(), body].concat(),
            }
        };
        assert_eq!(hex(&made), hex(&golden), "{name}");
    }
    deviations.sort_unstable();
    let mut listed = DEVIATIONS.map(|(name, _)| name);
    listed.sort_unstable();
    assert_eq!(deviations, listed);
}

/// Zeroes what the original leaves behind the NUL of text fields in statistics; nothing else.
fn without_garbage(name: &str, mut packet: Vec<u8>) -> Vec<u8> {
    // Body bytes before the first record, bytes of a record, text fields as offset and width.
    let (first, record_len, fields): (usize, usize, &[(usize, usize)]) = match name {
        "ids46_tracker_stat" => (1, 90, &[(0, 52), (66, 8)]),
        "ids46_storage_stat" => (6, 106, &[(0, 16), (16, 52), (82, 8)]),
        "ids46_volume_stat" => (5, 59, &[(0, 17)]),
        _ => return packet,
    };
    for record in packet[HEADER_LEN + first..].chunks_mut(record_len) {
        for (offset, width) in fields {
            let field = &mut record[*offset..offset + width];
            let text_len = field.iter().position(|byte| *byte == 0).unwrap_or(*width);
            field[text_len..].fill(0);
        }
    }
    packet
}

#[test]
fn downloads_of_the_vectors_have_the_ranges_that_were_sent() {
    let size = b"hello".len() as u64;
    for (name, range) in [
        ("download_whole", Some((0, 5))),
        ("download_range_1_3", Some((1, 4))),
        ("download_length_clamped", Some((2, 5))),
        ("download_offset_equals_size", None),
    ] {
        let vectors = wire_vectors();
        let vector = vectors.iter().find(|vector| text(vector, "name") == name);
        let (_, body) = packet(vector.unwrap(), "request");
        let request = DownloadRequest::decode(&body).unwrap();
        assert_eq!(request.range(size), range, "{name}");
    }
}

#[test]
fn every_file_id_is_decoded_and_printed_back() {
    let ids = load("file-ids.json", "ids");
    assert_eq!(ids.len(), 47);
    for vector in ids {
        let id_text = text(&vector, "id");
        let id: FileId = id_text.parse().unwrap_or_else(|e| panic!("{id_text}: {e}"));
        assert_eq!(id.to_string(), id_text);
        let name = id.name;
        let stem = name.stem();
        assert_eq!(id.group.as_str(), text(&vector, "group"));
        assert_eq!(name.to_text(), text(&vector, "logical_filename"));
        assert_eq!(
            name.to_text().len() as u64,
            number(&vector, "logical_length")
        );
        assert_eq!(
            u64::from(name.volume_path().0),
            number(&vector, "store_path_index")
        );
        assert_eq!(u64::from(stem.time), number(&vector, "timestamp"));
        assert_eq!(
            format!("{:016x}", stem.size_field),
            text(&vector, "size_field_hex")
        );
        assert_eq!(stem.size(), number(&vector, "size_in_name"));
        assert_eq!(stem.crc.to_string(), text(&vector, "crc32_in_name"));
        assert_eq!(
            stem.is_appender(),
            vector["bit58_appender"].as_bool().unwrap()
        );
        assert_eq!(
            hex(&stem.source.to_bytes()),
            text(&vector, "source_field_hex")
        );
        match stem.source {
            Source::Node(number_in_id) => {
                assert_eq!(u64::from(number_in_id.get()), number(&vector, "source_id"));
            }
            Source::Address(address) => {
                assert_eq!(number(&vector, "source_id"), 0);
                assert_eq!(address.to_string(), text(&vector, "source_ip"));
            }
        }
        let key = name.to_key();
        let directories = [number(&vector, "dir_high"), number(&vector, "dir_low")];
        assert_eq!([key[20], key[21]].map(u64::from), directories);
        // The vectors count the trunk part with the name, we with the tail.
        assert!(name.tail().ends_with(text(&vector, "tail").as_bytes()));
        if name.kind() == BlobKind::Normal {
            assert_eq!(number(&vector, "size_in_name"), true_size(&vector));
        }
        check_kind(&vector, name.kind());
    }
}

fn true_size(vector: &Value) -> u64 {
    let key = if vector["true_size"].is_null() {
        "documented_size"
    } else {
        "true_size"
    };
    number(vector, key)
}

/// Our kinds are those that clients decode, except where we see more in the name.
fn check_kind(vector: &Value, kind: BlobKind) {
    let name = text(vector, "logical_filename");
    let is_short_slave = name.ends_with("Y093_big") || name.ends_with("Y_s.png");
    let expected = match text(vector, "kind_as_clients_decode") {
        "normal" if vector["bit59_trunk"].as_bool().unwrap() => BlobKind::Trunk,
        "normal" if is_short_slave => BlobKind::Slave,
        "normal" => BlobKind::Normal,
        "appender" => BlobKind::Appender,
        "slave" => BlobKind::Slave,
        other => panic!("kind {other}"),
    };
    assert_eq!(kind, expected, "{name}");
}
