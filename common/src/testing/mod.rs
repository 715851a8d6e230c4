//! What tests of several crates and the fuzz targets share. Compiled for tests and under the feature
//! `testing` only.
//!
//! A fuzz target is one `pub fn fuzz_…(&[u8])` here that panics when an invariant breaks; the file in
//! `fuzz/fuzz_targets/` only calls it, and a test here replays its corpus in every `cargo test`.

#![expect(
    clippy::expect_used,
    reason = "a broken invariant ends a test or a fuzz run; nothing here serves"
)]

mod reencode;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod golden;

pub use reencode::{reencode_response, reencode_storage_request, reencode_tracker_request};

pub use crate::web::range::fuzz_range;

use crate::id::{FileId, RemoteName, VolumePath};
use crate::limits;
use crate::wire::storage::{ChunkHead, ExtendHead, Metadata, PrepareHead};
use crate::wire::{HEADER_LEN, Header};

/// One reading of a packet.
type Reencode = fn(Header, &[u8]) -> Option<bytes::BytesMut>;

/// Fuzz target `packet`: reads `bytes` as a packet, as every command of either server and as the answer
/// to every command. What decodes must encode to a packet that decodes to the same.
pub fn fuzz_packet(bytes: &[u8]) {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return;
    };
    let Ok(header) = Header::decode(*header) else {
        return;
    };
    check_prepared_upload(body);
    check_extension(body);
    let readings: [Reencode; 3] = [
        |header, body| reencode_storage_request(header, body).ok(),
        |header, body| reencode_tracker_request(header, body).ok(),
        |header, body| reencode_response(header.command, body)?.ok(),
    ];
    for reencode in readings {
        let Some(once) = reencode(header, body) else {
            continue;
        };
        let (head, body) = once
            .split_first_chunk::<HEADER_LEN>()
            .expect("encoders write a header");
        let again = Header::decode(*head).expect("encoders write sound headers");
        assert_eq!(again.body_len, body.len() as u64, "length in the header");
        // An answer's header does not name the command that it answers.
        let again = Header {
            command: header.command,
            ..again
        };
        let twice = reencode(again, body).expect("what was encoded decodes");
        assert_eq!(once, twice, "encoding is stable");
    }
}

/// Reads `body` as a node reads a prepared upload, whose length no header tells: a head, then chunks.
fn check_prepared_upload(body: &[u8]) {
    let Some((head, rest)) = body.split_first_chunk::<{ PrepareHead::LEN }>() else {
        return;
    };
    if let Ok(head) = PrepareHead::decode(head) {
        let mut packet = bytes::BytesMut::new();
        head.encode(&mut packet);
        let again = packet.get(HEADER_LEN..).map(PrepareHead::decode);
        assert_eq!(again, Some(Ok(head)), "a head encodes to itself");
    }
    check_chunks(rest);
}

/// Reads `body` as a node reads an extension: a head with a name, then chunks.
fn check_extension(body: &[u8]) {
    let read = |body: &[u8]| {
        let (fixed, rest) = body.split_at_checked(ExtendHead::FIXED_LEN)?;
        let (name, rest) = rest.split_at_checked(ExtendHead::name_len(fixed).ok()?)?;
        Some((ExtendHead::decode(fixed, name).ok()?, rest.to_vec()))
    };
    let Some((head, rest)) = read(body) else {
        return;
    };
    let mut packet = bytes::BytesMut::new();
    head.encode(&mut packet);
    let again = packet.get(HEADER_LEN..).and_then(read);
    assert_eq!(again, Some((head, Vec::new())), "a head encodes to itself");
    check_chunks(&rest);
}

fn check_chunks(mut rest: &[u8]) {
    while let Some((head, behind)) = rest.split_first_chunk::<{ ChunkHead::LEN }>() {
        let Ok(chunk) = ChunkHead::decode(head) else {
            return;
        };
        assert_eq!(chunk.encode(), *head);
        let ChunkHead::Content(len) = chunk else {
            return;
        };
        assert!((1..=limits::UPLOAD_CHUNK_LEN_MAX).contains(&len));
        rest = behind.get(len as usize..).unwrap_or_default();
    }
}

/// Fuzz target `node`: reads `bytes` as each message of an authentication and as frames between nodes.
pub fn fuzz_node(bytes: &[u8]) {
    crate::rpc::auth::fuzz_messages(bytes);
    crate::rpc::mux::fuzz_frames(bytes);
}

/// Fuzz target `file_id`: a file id or a name that parses prints to one that parses to the same, and its
/// key leads back to it; so does every key that is one.
pub fn fuzz_file_id(bytes: &[u8]) {
    if let Some(id) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse::<FileId>().ok())
    {
        assert_eq!(id.to_string().parse(), Ok(id), "an id prints back");
    }
    if let Ok(name) = RemoteName::parse(bytes) {
        check_name(&name);
    }
    if let Some(name) = RemoteName::from_key(VolumePath(0), bytes) {
        assert_eq!(name.to_key(), bytes, "a key is the key of its name");
        check_name(&name);
    }
}

fn check_name(name: &RemoteName) {
    let text = name.text();
    assert!(text.as_bytes().len() <= limits::REMOTE_NAME_LEN_MAX);
    assert_eq!(RemoteName::parse(text.as_bytes()).as_ref(), Ok(name));
    let key = name.to_key();
    assert_eq!(
        RemoteName::from_key(name.volume_path(), &key).as_ref(),
        Some(name)
    );
}

/// Fuzz target `metadata`: what is parsed is sorted, within the limits, and parses to itself; merging
/// with nothing or with itself changes nothing.
pub fn fuzz_metadata(bytes: &[u8]) {
    let metadata = Metadata::parse(bytes);
    assert!(metadata.as_bytes().len() <= bytes.len());
    assert_eq!(Metadata::parse(metadata.as_bytes()), metadata);
    let names: Vec<_> = metadata.iter().map(|(name, _)| name).collect();
    assert!(
        names.is_sorted_by(|one, next| one < next),
        "sorted, no name twice"
    );
    for (name, value) in metadata.iter() {
        assert!(name.len() <= limits::METADATA_NAME_LEN_MAX);
        assert!(value.len() <= limits::METADATA_VALUE_LEN_MAX);
    }
    assert_eq!(metadata.merged(&metadata), metadata);
    assert_eq!(metadata.merged(&Metadata::default()), metadata);
    assert_eq!(Metadata::default().merged(&metadata), metadata);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Runs every file of a target's corpus through its function.
    fn replay(target: &str, run: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../fuzz/corpus")
            .join(target);
        let mut count = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            run(&bytes);
            count += 1;
        }
        assert!(10 <= count, "{count} files: is this the corpus?");
    }

    #[test]
    fn the_corpus_of_the_packet_target_passes() {
        replay("packet", fuzz_packet);
    }

    #[test]
    fn the_corpus_of_the_node_target_passes() {
        replay("node", fuzz_node);
    }

    #[test]
    fn the_corpus_of_the_file_id_target_passes() {
        replay("file_id", fuzz_file_id);
    }

    #[test]
    fn the_corpus_of_the_metadata_target_passes() {
        replay("metadata", fuzz_metadata);
    }

    #[test]
    fn the_corpus_of_the_range_target_passes() {
        replay("range", fuzz_range);
    }
}
