//! What no upload can pass: how fast the disk takes bytes one after the other and keeps them.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use common::env::clock;

use super::error::BenchError;
use super::finding::float;
use super::raw_file::preallocated;

/// Bytes of a write, with a sync behind it: as many as a slice has.
const WRITE_LEN: usize = 16 * 1024 * 1024;

/// Writes `len` bytes to a new file in `folder`, each write durable before the next; bytes per second.
pub(crate) fn write(folder: &Path, len: u64) -> Result<f64, BenchError> {
    // Other writes are not to be paid for here.
    rustix::fs::sync();
    let path = folder.join("raw-sequential");
    let written = write_to(&path, len).map_err(BenchError::io("the raw loop failed"));
    let _ = std::fs::remove_file(&path);
    written
}

fn write_to(path: &Path, len: u64) -> io::Result<f64> {
    let file = preallocated(path, len)?;
    let bytes = bytes();
    let begin = clock::monotonic();
    let mut offset = 0;
    while offset < len {
        let piece = usize::try_from(len - offset).unwrap_or(WRITE_LEN);
        let piece = bytes.get(..piece).unwrap_or(&bytes);
        file.write_all_at(piece, offset)?;
        file.sync_data()?;
        offset += piece.len() as u64;
    }
    let elapsed = clock::monotonic().saturating_duration_since(begin);
    Ok(float(len) / elapsed.as_secs_f64())
}

/// Bytes that no disk takes for zeros.
pub(crate) fn bytes() -> Vec<u8> {
    let mut state = 1_u64;
    let mut bytes = Vec::with_capacity(WRITE_LEN);
    while bytes.len() < WRITE_LEN {
        // Knuth's generator; its upper bytes are the better ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend(state.to_be_bytes().into_iter().take(4));
    }
    bytes
}
