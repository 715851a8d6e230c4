//! Nodes that were refused lately, so that an operator sees them without reading logs.

use std::net::SocketAddr;

use common::id::{GroupName, NodeNumber};
use common::limits;
use common::wire::report::{NodeIdentity, NodeJoin};

use super::{Cluster, JoinRefusal, Now};

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
            let oldest = self.refused.iter().min_by_key(|(_, refused)| refused.at);
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
            },
        );
    }

    pub(super) fn forget_refused(&mut self, identity: &NodeIdentity) {
        self.refused.remove(identity);
    }
}
