//! Durability and reserved space as settings.

use crate::disk::Space;

/// When a change is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After the device has it: survives a power cut.
    #[default]
    Always,
    /// After the operating system has it; the device follows at a fixed interval.
    Interval,
    /// After the operating system has it, which writes it when it likes, as with `FastDFS`.
    Os,
}

/// Space of the file system that ordinary writes leave alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reserve {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of a per cent of the file system's size.
    BasisPoints(u32),
}

impl Reserve {
    /// The reserve in bytes.
    pub fn bytes(self, space: Space) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::BasisPoints(points) => space.total / 10_000 * u64::from(points),
        }
    }
}
