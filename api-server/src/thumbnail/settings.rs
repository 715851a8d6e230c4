//! What the maker of thumbnails is told.

use std::time::Duration;

/// What the maker of thumbnails is told.
#[derive(Clone, Debug)]
pub struct ThumbSettings {
    /// Bytes that cached thumbnails may have on disk; 0 keeps none.
    pub cache_bytes_max: u64,
    /// Threads that decode.
    pub threads: usize,
    /// Thumbnails that may wait for a thread.
    pub queue_len: usize,
    /// How long one may wait for a thread, and for its input.
    pub patience: Duration,
    /// What one picture may cost.
    pub limits: PictureLimits,
}

/// What one picture may cost.
#[derive(Clone, Copy, Debug)]
pub struct PictureLimits {
    /// Bytes of a blob that is read at all.
    pub input_len_max: u64,
    /// Pixels, width times height.
    pub pixels_max: u64,
    /// Bytes of memory while it is decoded, input included. With the number of threads this bounds
    /// the memory of all thumbnails being made.
    pub memory_max: u64,
    /// Time on a thread.
    pub decode_time: Duration,
}

impl Default for ThumbSettings {
    fn default() -> Self {
        Self {
            cache_bytes_max: 1 << 30,
            threads: 2,
            queue_len: 128,
            patience: Duration::from_secs(10),
            limits: PictureLimits::default(),
        }
    }
}

impl Default for PictureLimits {
    fn default() -> Self {
        Self {
            input_len_max: 64 << 20,
            pixels_max: 50_000_000,
            memory_max: 256 << 20,
            decode_time: Duration::from_secs(10),
        }
    }
}
