//! How far this node has followed its peers: what reports and metrics are made of.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::id::{NodeNumber, VolumePath};
use common::wire::report::NodePhase;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::replica::{Link, PathProgress};

/// Time that a node which knows its peers, or had none, waits for them, or for a tracker that tells of
/// others, before it serves without.
pub(super) const PEERS_PATIENCE: Duration = Duration::from_secs(5);

/// How far this node has followed its peers.
#[derive(Debug)]
pub struct Standing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether all peers are among those that are followed.
    is_settled: bool,
    followed: Vec<Followed>,
}

/// One peer and volume path.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The peer.
    pub peer: NodeNumber,
    /// The path.
    pub path: VolumePath,
    /// Whether the peer answers.
    pub is_up: bool,
    /// How far.
    pub progress: PathProgress,
    pub(super) since: Instant,
    /// Whether the peer is one of those who had everything when trackers last named any. From one that is
    /// being rebuilt, or was away then, there is nothing to wait for.
    pub(super) has_all: Arc<AtomicBool>,
    pub(super) link: Arc<dyn Link>,
    pub(super) receiver: watch::Receiver<PathProgress>,
}

impl Followed {
    /// Milliseconds since nothing of the peer's log was missing here; 0 if nothing is.
    pub fn lag_ms(&self) -> u64 {
        if !self.is_up || self.progress.behind == 0 {
            return 0;
        }
        let since = self.progress.caught_up.unwrap_or(self.since);
        u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Standing {
    /// Of a node that follows nobody yet; if `is_settled`, because it has no peers.
    pub fn new(is_settled: bool) -> Self {
        Self {
            state: Mutex::new(State {
                is_settled,
                followed: Vec::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that nobody else is to be followed.
    pub(super) fn settle(&self) {
        self.state().is_settled = true;
    }

    pub(super) fn set_followed(&self, followed: Vec<Followed>) {
        self.state().followed = followed;
    }

    /// How far each peer is followed, for each path.
    pub fn followed(&self) -> Vec<Followed> {
        let mut followed = self.state().followed.clone();
        for one in &mut followed {
            one.is_up = one.link.is_up();
            one.progress = *one.receiver.borrow();
        }
        followed
    }

    /// Whether the node has all that its group stored in a path, as far as it can tell. A peer that
    /// does not answer is waited for only a while.
    pub fn is_complete(&self, path: VolumePath) -> bool {
        // It just started, or must not join its peers.
        if !self.state().is_settled {
            return false;
        }
        let mut followed = self.followed();
        followed.retain(|one| one.path == path);
        let has_all = |one: &Followed| one.has_all.load(Ordering::Relaxed);
        // Those who had may have been removed since.
        if followed.iter().any(has_all) {
            followed.retain(has_all);
        }
        followed.iter().all(|one| {
            // One that was followed to its end and goes then takes nothing along that this node lacks.
            one.progress.is_complete || (!one.is_up && PEERS_PATIENCE <= one.since.elapsed())
        })
    }

    /// What the node tells of itself that holds `paths`.
    pub fn phase(&self, mut paths: impl Iterator<Item = VolumePath>) -> NodePhase {
        if paths.all(|path| self.is_complete(path)) {
            return NodePhase::Serving;
        }
        let followed = self.followed();
        if followed.iter().any(|one| one.progress.place.is_none()) {
            NodePhase::Recovering
        } else {
            NodePhase::CatchingUp
        }
    }
}
