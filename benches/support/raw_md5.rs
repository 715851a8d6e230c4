//! What an upload with an MD5 cannot pass: how fast a processor computes one.

use common::env::clock;
use md5::{Digest as _, Md5};

use super::finding::float;
use super::raw_sequential::bytes;

/// Bytes whose MD5 is computed.
const HASHED_LEN: u64 = 1 << 30;

/// Bytes per second of an MD5, computed in memory by one thread.
pub(crate) fn md5() -> f64 {
    let bytes = bytes();
    let mut md5 = Md5::new();
    let mut hashed = 0;
    let begin = clock::monotonic();
    while hashed < HASHED_LEN {
        md5.update(&bytes);
        hashed += bytes.len() as u64;
    }
    std::hint::black_box(md5.finalize());
    let elapsed = clock::monotonic().saturating_duration_since(begin);
    float(hashed) / elapsed.as_secs_f64()
}
