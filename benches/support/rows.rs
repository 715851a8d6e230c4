//! What is compared: one row per load, with the target that the project set itself.

use super::process::Durability;

/// A load that Hayloft and its reference get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// What the command line's filter looks at.
    pub(crate) name: &'static str,
    /// The work.
    pub(crate) work: Work,
    /// Bytes of a file.
    pub(crate) size: usize,
    /// Long-lived connections, each with one operation under way.
    pub(crate) connections: usize,
    /// When Hayloft acknowledges uploads. `FastDFS` never waits for the disk.
    pub(crate) durability: Durability,
    /// What is to be reached.
    pub(crate) target: Target,
}

impl Row {
    /// Whether it changes what is stored.
    pub(crate) fn writes(&self) -> bool {
        match self.work {
            Work::Upload | Work::UploadByTracker | Work::UploadRaw | Work::Delete => true,
            Work::Query | Work::Download | Work::HttpGet => false,
        }
    }
}

/// What one operation is, and so what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Upload to the storage node. `FastDFS`'s storage.
    Upload,
    /// Ask the tracker where, then upload there. `FastDFS`'s tracker and storage.
    UploadByTracker,
    /// Upload to the storage node. The raw loop of writes and shared syncs.
    UploadRaw,
    /// Ask the tracker where to upload. `FastDFS`'s tracker.
    Query,
    /// Download from the storage node. `FastDFS`'s storage.
    Download,
    /// GET from the storage node's HTTP port. nginx.
    HttpGet,
    /// Delete at the storage node. `FastDFS`'s storage.
    Delete,
}

/// A relation between Hayloft's figure and the reference's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Processor time per operation, at most.
    CpuAtMost(f64),
    /// Operations per second, at least.
    RateAtLeast(f64),
    /// Shown for completeness.
    None,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The usual load of 16 connections.
const fn row(name: &'static str, work: Work, size: usize, target: Target) -> Row {
    Row {
        name,
        work,
        size,
        connections: 16,
        durability: Durability::Os,
        target,
    }
}

const fn always(row: Row) -> Row {
    Row {
        durability: Durability::Always,
        ..row
    }
}

/// All rows.
pub(crate) const ROWS: &[Row] = &[
    row(
        "upload 4 KiB, os",
        Work::Upload,
        4 * KIB,
        Target::CpuAtMost(0.30),
    ),
    always(row(
        "upload 4 KiB, always",
        Work::Upload,
        4 * KIB,
        Target::CpuAtMost(0.45),
    )),
    row(
        "upload 64 KiB, os",
        Work::Upload,
        64 * KIB,
        Target::CpuAtMost(0.33),
    ),
    always(row(
        "upload 64 KiB, always",
        Work::Upload,
        64 * KIB,
        Target::None,
    )),
    row(
        "upload 1 MiB, os",
        Work::Upload,
        MIB,
        Target::CpuAtMost(0.20),
    ),
    always(row("upload 1 MiB, always", Work::Upload, MIB, Target::None)),
    row("tracker query", Work::Query, 0, Target::CpuAtMost(0.6)),
    row(
        "query and upload 4 KiB, os",
        Work::UploadByTracker,
        4 * KIB,
        Target::None,
    ),
    row(
        "download 4 KiB",
        Work::Download,
        4 * KIB,
        Target::CpuAtMost(0.5),
    ),
    row(
        "download 64 KiB",
        Work::Download,
        64 * KIB,
        Target::CpuAtMost(0.6),
    ),
    row(
        "download 1 MiB",
        Work::Download,
        MIB,
        Target::CpuAtMost(0.7),
    ),
    row(
        "HTTP GET 4 KiB",
        Work::HttpGet,
        4 * KIB,
        Target::CpuAtMost(0.8),
    ),
    row(
        "HTTP GET 64 KiB",
        Work::HttpGet,
        64 * KIB,
        Target::CpuAtMost(1.0),
    ),
    row("HTTP GET 1 MiB", Work::HttpGet, MIB, Target::CpuAtMost(1.3)),
    row("delete, os", Work::Delete, 4 * KIB, Target::CpuAtMost(0.3)),
    always(row("delete, always", Work::Delete, 4 * KIB, Target::None)),
    Row {
        connections: 64,
        ..always(row(
            "upload 4 KiB, always, 64 connections, against the raw loop",
            Work::UploadRaw,
            4 * KIB,
            Target::RateAtLeast(0.7),
        ))
    },
];
