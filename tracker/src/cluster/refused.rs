//! Nodes that were refused lately, so that an operator sees them without reading logs.

use std::net::SocketAddr;
use std::time::Duration;

use common::id::{GroupName, NodeNumber};
use common::limits;
use common::wire::report::{NodeIdentity, NodeJoin};

use super::{Cluster, JoinRefusal, Now};

/// How long a refusal is shown: a refused node tries again several times meanwhile, so one that did
/// not was stopped.
const SHOWN_FOR: Duration = Duration::from_mins(1);

/// A node that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The number it wanted.
    pub number: NodeNumber,
    /// The group it wanted.
    pub group: GroupName,
    /// Where it is.
    pub address: SocketAddr,
    /// Why.
    pub refusal: JoinRefusal,
    /// Unix seconds of the last time.
    pub at: u32,
    /// The same on the clock that decides.
    pub(super) heard: Duration,
}

impl Cluster {
    /// Nodes that were refused and did not come in since.
    pub fn refused(&self) -> impl Iterator<Item = &Refused> {
        self.refused.values()
    }

    pub(super) fn note_refused(
        &mut self,
        join: &NodeJoin,
        address: SocketAddr,
        refusal: JoinRefusal,
        now: Now,
    ) {
        let is_known = self.refused.contains_key(&join.identity);
        if !is_known && limits::REFUSED_NODES_MAX <= self.refused.len() {
            let oldest = self.refused.iter().min_by_key(|(_, refused)| refused.heard);
            if let Some(oldest) = oldest.map(|(identity, _)| *identity) {
                self.refused.remove(&oldest);
            }
        }
        self.refused.insert(
            join.identity,
            Refused {
                number: join.number,
                group: join.group,
                address,
                refusal,
                at: now.unix,
                heard: now.uptime,
            },
        );
    }

    /// Forgets those that gave up.
    pub(super) fn forget_old_refused(&mut self, now: Now) {
        let is_shown = |refused: &Refused| now.uptime.saturating_sub(refused.heard) <= SHOWN_FOR;
        self.refused.retain(|_, refused| is_shown(refused));
    }

    pub(super) fn forget_refused(&mut self, identity: &NodeIdentity) {
        self.refused.remove(identity);
    }
}
