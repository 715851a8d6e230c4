//! What the node did since its start: for trackers' listings and for Prometheus.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use common::wire::tracker::{Connections, Counter, StorageCounters};

/// Tries and successes of one kind of operation, or bytes of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    total: AtomicU64,
    success: AtomicU64,
}

impl Tally {
    /// Counts `amount` tried, and also succeeded if `ok`.
    pub(crate) fn add(&self, amount: u64, ok: bool) {
        self.total.fetch_add(amount, Ordering::Relaxed);
        if ok {
            self.success.fetch_add(amount, Ordering::Relaxed);
        }
    }

    fn read(&self) -> Counter {
        Counter {
            total: self.total.load(Ordering::Relaxed),
            success: self.success.load(Ordering::Relaxed),
        }
    }
}

/// Counters of a node.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Uploads of all kinds.
    pub(crate) upload: Tally,
    /// Appends.
    pub(crate) append: Tally,
    /// Modifications.
    pub(crate) modify: Tally,
    /// Truncations.
    pub(crate) truncate: Tally,
    /// Changes of metadata.
    pub(crate) set_metadata: Tally,
    /// Deletes.
    pub(crate) delete: Tally,
    /// Downloads by the `FastDFS` protocol.
    pub(crate) download: Tally,
    /// Reads of metadata.
    pub(crate) get_metadata: Tally,
    /// Bytes of uploads.
    pub(crate) upload_bytes: Tally,
    /// Bytes of appends.
    pub(crate) append_bytes: Tally,
    /// Bytes of modifications.
    pub(crate) modify_bytes: Tally,
    /// Bytes of downloads.
    pub(crate) download_bytes: Tally,
    connections: AtomicU32,
    connections_max: AtomicU32,
    changed: AtomicU32,
}

impl Counters {
    /// Counts a connection in; it is counted out when the guard is dropped.
    pub(crate) fn connect(&self) -> impl Drop + '_ {
        let now = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.connections_max.fetch_max(now, Ordering::Relaxed);
        Connected(self)
    }

    /// Notes that a client changed something at `now`, Unix seconds.
    pub(crate) fn note_change(&self, now: u32) {
        self.changed.store(now, Ordering::Relaxed);
    }

    /// Unix seconds of the last change; 0 for never.
    pub(crate) fn changed(&self) -> u32 {
        self.changed.load(Ordering::Relaxed)
    }

    /// Connections now and at most.
    pub(crate) fn connections(&self) -> Connections {
        let max = self.connections_max.load(Ordering::Relaxed);
        Connections {
            allocated: max,
            current: self.connections.load(Ordering::Relaxed),
            max,
        }
    }

    /// All counters as the protocol lists them.
    pub(crate) fn snapshot(&self) -> StorageCounters {
        StorageCounters {
            upload: self.upload.read(),
            append: self.append.read(),
            modify: self.modify.read(),
            truncate: self.truncate.read(),
            set_metadata: self.set_metadata.read(),
            delete: self.delete.read(),
            download: self.download.read(),
            get_metadata: self.get_metadata.read(),
            upload_bytes: self.upload_bytes.read(),
            append_bytes: self.append_bytes.read(),
            modify_bytes: self.modify_bytes.read(),
            download_bytes: self.download_bytes.read(),
            ..StorageCounters::default()
        }
    }
}

struct Connected<'a>(&'a Counters);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
