//! What a node keeps in memory about its peers' uploads, and about who decides.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::id::NodeNumber;

use crate::disk::Disk;
use crate::format::Stamp;
use crate::index::Index;
use crate::store::PendingParts;

/// Transfers that one peer may have under way here: more than it has connections.
const TRANSFERS_MAX: usize = 16 * 1024;

/// Content that peers send before they say what it is for.
pub(super) struct Transfers<D: Disk, I: Index> {
    parts: Mutex<BTreeMap<(NodeNumber, u64), PendingParts<D, I>>>,
}

impl<D: Disk, I: Index> Default for Transfers<D, I> {
    fn default() -> Self {
        Self {
            parts: Mutex::default(),
        }
    }
}

impl<D: Disk, I: Index> Transfers<D, I> {
    fn parts(&self) -> MutexGuard<'_, BTreeMap<(NodeNumber, u64), PendingParts<D, I>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a transfer out.
    pub(super) fn take(&self, peer: NodeNumber, id: u64) -> Option<PendingParts<D, I>> {
        self.parts().remove(&(peer, id))
    }

    /// Puts a transfer in; `false` if the peer has too many.
    pub(super) fn put(&self, peer: NodeNumber, id: u64, parts: PendingParts<D, I>) -> bool {
        let mut all = self.parts();
        let of_peer = all.range((peer, 0)..=(peer, u64::MAX)).count();
        if TRANSFERS_MAX <= of_peer {
            return false;
        }
        all.insert((peer, id), parts);
        true
    }

    /// Forgets what a peer had under way: it is gone, or began anew.
    pub(super) fn forget(&self, peer: NodeNumber) {
        // What is dropped gives its space back, which does not wait.
        self.parts().retain(|(number, _), _| *number != peer);
    }
}

/// Who decides about the appenders of which node.
///
/// A node decides about those that it accepted. When it cannot be reached another one may, if enough
/// others cannot reach it either and say so. A term is the stamp at which somebody began to decide;
/// versions that it makes begin with it, so they are newer than what was decided before.
#[derive(Debug)]
pub(super) struct Terms {
    /// This node's terms, by the number of the source.
    own: BTreeMap<u32, Stamp>,
    /// Terms that were granted to others.
    granted: BTreeMap<u32, Stamp>,
    /// When this process began: what was granted before it does not know, so nothing older counts.
    floor: Stamp,
}

impl Terms {
    /// For a process that begins at `floor`.
    pub(super) fn new(floor: Stamp) -> Self {
        Self {
            own: BTreeMap::new(),
            granted: BTreeMap::new(),
            floor,
        }
    }

    /// Since when this node decides about the appenders of `source`.
    pub(super) fn own(&self, source: u32) -> Option<Stamp> {
        self.own.get(&source).copied()
    }

    /// Notes that this node decides.
    pub(super) fn begin(&mut self, source: u32, term: Stamp) {
        self.own.insert(source, term);
    }

    /// Makes this node ask anew: the nodes that answer are others by now.
    pub(super) fn forget_own(&mut self) {
        self.own.clear();
    }

    /// Lets another node decide from `term` on; whether it may.
    pub(super) fn grant(&mut self, source: u32, term: Stamp) -> bool {
        if !self.allows(source, term) {
            return false;
        }
        self.granted.insert(source, term);
        self.own.remove(&source);
        true
    }

    /// Whether what was decided in `term` still counts.
    pub(super) fn allows(&self, source: u32, term: Stamp) -> bool {
        let granted = self.granted.get(&source).copied();
        granted.unwrap_or(self.floor).max(self.floor) <= term
    }
}
