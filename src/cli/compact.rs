//! `hayloft compact`: gives the space of deleted blobs back while the node is stopped.

use storage_node::disk::VolumeFile as _;
use storage_node::format::{SUPERBLOCK_LEN, VolumeNumber};
use storage_node::offline::Place;
use storage_node::open_store;
use storage_node::store::{Change, PathStore, compact_volume};
use storage_node::volume::VolumeState;

use super::offline::{self, NodeArgs, OfflineError, StoppedNode};
use super::{output, progress};

/// The volume that is appended to is carried over only if so many per cent of it are garbage:
/// otherwise its rest is filled by uploads anyway.
const ACTIVE_GARBAGE_MIN: u64 = 50;

/// Give the space of deleted blobs back while the node is stopped
///
/// A running node does the same by itself (storage.compaction), at a gentler pace. Volumes with damaged
/// records are left alone.
#[derive(Debug, clap::Args)]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Per cent of a volume that must be garbage
    #[arg(long, value_name = "PERCENT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    min_garbage: u64,
}

impl CompactArgs {
    pub(crate) fn run(self) -> Result<(), OfflineError> {
        let node = StoppedNode::take(self.node)?;
        let mut given_back = 0;
        for place in &node.places {
            given_back += compact(&node, place, self.min_garbage)?;
        }
        output::line(&format!("{} given back", output::bytes(given_back)))?;
        Ok(())
    }
}

/// Compacts one volume path; bytes that its volumes take less.
fn compact(node: &StoppedNode, place: &Place, min_garbage: u64) -> Result<u64, OfflineError> {
    let before = offline::volumes_len(place)?;
    let metrics = offline::metrics(place)?;
    let opened = open_store(
        &place.directory,
        place.volume_path,
        &node.options(),
        metrics,
    );
    let opened = opened.map_err(|source| OfflineError::Open {
        root: place.root(),
        source,
    })?;
    let (store, committer) = PathStore::start(opened.engine).map_err(OfflineError::Thread)?;
    let done = compact_all(&store, place, min_garbage);
    let closed = store.submit_all(vec![Change::Close]);
    drop(store);
    committer.join();
    done?;
    closed?;
    Ok(before.saturating_sub(offline::volumes_len(place)?))
}

fn compact_all(store: &PathStore, place: &Place, min_garbage: u64) -> Result<(), OfflineError> {
    let worst = candidates(store, min_garbage);
    if worst.iter().any(|candidate| candidate.is_active) {
        store.submit_all(vec![Change::Seal])?;
    }
    let bar = progress::bytes();
    bar.set_length(worst.iter().map(|candidate| candidate.len).sum());
    for candidate in worst {
        let report = compact_volume(store, candidate.number);
        bar.inc(candidate.len);
        let report = report?;
        let outcome = if 0 < report.freed {
            format!("{} records carried over, file removed", report.moved)
        } else {
            "kept, because it is damaged; remedy: `hayloft check`".to_owned()
        };
        output::line(&format!(
            "{} volume {}: {} % garbage: {outcome}",
            place.volume_path, candidate.number, candidate.garbage
        ))?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// A volume worth compacting.
struct Candidate {
    number: VolumeNumber,
    /// Bytes of the file.
    len: u64,
    /// Per cent of its records' bytes.
    garbage: u64,
    is_active: bool,
}

/// Volumes with at least `min_garbage` per cent of garbage, the worst first.
fn candidates(store: &PathStore, min_garbage: u64) -> Vec<Candidate> {
    let shared = store.shared();
    let mut found: Vec<Candidate> = shared
        .volumes()
        .iter()
        .filter_map(|volume| {
            let is_active = volume.state() == VolumeState::Active;
            let number = volume.number();
            let used = volume.committed_end().saturating_sub(SUPERBLOCK_LEN as u64);
            let live = shared.volume_stats(number).live_bytes;
            // Rounded up: a little garbage is some.
            let garbage = used
                .saturating_sub(live)
                .saturating_mul(100)
                .div_ceil(used.max(1));
            let min = if is_active {
                min_garbage.max(ACTIVE_GARBAGE_MIN)
            } else {
                min_garbage
            };
            (min <= garbage).then_some(Candidate {
                number,
                len: volume.file().len(),
                garbage,
                is_active,
            })
        })
        .collect();
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.garbage));
    found
}
