//! Commands of a tracker, asked of whichever tracker answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

use super::Address;
use super::error::ClientError;
use super::exchange::{self, Replay, Request};
use super::pool::Pool;
use crate::code::ErrorCode;
use crate::id::{FileId, GroupName};
use crate::limits;
use crate::wire::cluster::{ClusterStatus, StatusCursor, StatusPage};
use crate::wire::tracker::{
    self as wire, FetchTarget, FetchTargets, GroupRecord, Scope, StorageRecord, StoreTarget,
    StoreTargets,
};
use crate::wire::{Command, Header, NodeText, WireError};

/// Speaks to the trackers of a cluster. Cheap to clone.
///
/// All trackers know the same, so any may answer: the one that answered last is asked first, and
/// the next one is asked when it is out of reach.
#[derive(Clone, Debug)]
pub struct TrackerClient {
    pool: Pool,
    trackers: Arc<[Address]>,
    preferred: Arc<AtomicUsize>,
}

impl TrackerClient {
    /// A client of `trackers`, of which there must be one at least.
    pub fn new(trackers: Vec<Address>, pool: Pool) -> Result<Self, ClientError> {
        if trackers.is_empty() {
            return Err(ClientError::NoTracker);
        }
        Ok(Self {
            pool,
            trackers: trackers.into(),
            preferred: Arc::default(),
        })
    }

    /// The trackers, in the order given.
    pub fn trackers(&self) -> &[Address] {
        &self.trackers
    }

    /// Where to write a new blob: in `group`, or in the group that the tracker chooses.
    pub async fn store_one(&self, group: Option<GroupName>) -> Result<StoreTarget, ClientError> {
        let scope = Scope::One;
        self.ask(wire::Request::QueryStore { group, scope }, |body| {
            StoreTarget::decode(body)
        })
        .await
    }

    /// Everywhere a new blob could be written.
    pub async fn store_all(&self, group: Option<GroupName>) -> Result<StoreTargets, ClientError> {
        let scope = Scope::All;
        self.ask(wire::Request::QueryStore { group, scope }, |body| {
            StoreTargets::decode(body)
        })
        .await
    }

    /// Where to read a blob. The tracker does not know blobs: that it names a node does not mean
    /// that the blob exists.
    pub async fn fetch_one(&self, id: &FileId) -> Result<Address, ClientError> {
        let FileId { group, name } = *id;
        let scope = Scope::One;
        let target = self
            .ask(wire::Request::QueryFetch { group, name, scope }, |body| {
                FetchTarget::decode(body)
            })
            .await?;
        Ok(target.node.into())
    }

    /// Everywhere a blob can be expected, the best place first.
    pub async fn fetch_all(&self, id: &FileId) -> Result<Vec<Address>, ClientError> {
        let FileId { group, name } = *id;
        let scope = Scope::All;
        let targets = self
            .ask(wire::Request::QueryFetch { group, name, scope }, |body| {
                FetchTargets::decode(body)
            })
            .await?;
        Ok(targets.nodes.into_iter().map(Address::from).collect())
    }

    /// Where to change or delete a blob.
    pub async fn update(&self, id: &FileId) -> Result<Address, ClientError> {
        let FileId { group, name } = *id;
        let target = self
            .ask(wire::Request::QueryUpdate { group, name }, |body| {
                FetchTarget::decode(body)
            })
            .await?;
        Ok(target.node.into())
    }

    /// All groups.
    pub async fn groups(&self) -> Result<Vec<GroupRecord>, ClientError> {
        self.ask(wire::Request::ListAllGroups, |body| {
            wire::decode_groups(body)
        })
        .await
    }

    /// The nodes of a group, also those that are away.
    pub async fn storages(&self, group: GroupName) -> Result<Vec<StorageRecord>, ClientError> {
        let node = None;
        self.ask(wire::Request::ListStorages { group, node }, |body| {
            wire::decode_storages(body)
        })
        .await
    }

    /// How all groups and nodes fare. Only Hayloft's own trackers tell; an earlier version answers
    /// "invalid".
    pub async fn status(&self) -> Result<ClusterStatus, ClientError> {
        let mut status = ClusterStatus::default();
        let mut cursor = Some(StatusCursor::default());
        // Every page tells a node at least, so there are no more pages than nodes.
        for _ in 0..=limits::NODES_MAX {
            let Some(from) = cursor else { break };
            let request = Request::new(Command::ClusterStatus, Replay::Safe, |out| {
                let mut body = BytesMut::new();
                from.encode(&mut body);
                let header = Header::request(Command::ClusterStatus, body.len() as u64);
                out.extend_from_slice(&header.encode());
                out.extend_from_slice(&body);
            });
            let page = self
                .ask_raw(&request, |body| Ok(StatusPage::decode(body)?))
                .await?;
            cursor = page.cursor();
            status.append(page.status);
        }
        Ok(status)
    }

    /// The parameters that clients load, as `key=value` lines.
    pub async fn parameters(&self) -> Result<String, ClientError> {
        self.ask(wire::Request::GetParameters, |body| {
            Ok(String::from_utf8_lossy(body).into_owned())
        })
        .await
    }

    /// Forgets a node that is not active.
    pub async fn delete_storage(
        &self,
        group: GroupName,
        node: NodeText,
    ) -> Result<(), ClientError> {
        self.ask(wire::Request::DeleteStorage { group, node }, |_| Ok(()))
            .await
    }

    /// Forgets a group without nodes.
    pub async fn delete_group(&self, group: GroupName) -> Result<(), ClientError> {
        self.ask(wire::Request::DeleteGroup(group), |_| Ok(()))
            .await
    }

    /// Asks whether one of the trackers answers.
    pub async fn active_test(&self) -> Result<(), ClientError> {
        self.ask(wire::Request::ActiveTest, |_| Ok(())).await
    }

    /// Asks the trackers in turn until one gives an answer that another would give too.
    async fn ask<T>(
        &self,
        request: wire::Request,
        decode: impl Fn(&Bytes) -> Result<T, WireError>,
    ) -> Result<T, ClientError> {
        let changes = matches!(
            request,
            wire::Request::DeleteStorage { .. } | wire::Request::DeleteGroup(_)
        );
        let replay = if changes { Replay::Never } else { Replay::Safe };
        let request = Request::new(request.command(), replay, |out| request.encode(out));
        self.ask_raw(&request, decode).await
    }

    async fn ask_raw<T>(
        &self,
        request: &Request,
        decode: impl Fn(&Bytes) -> Result<T, WireError>,
    ) -> Result<T, ClientError> {
        let tried = self.trackers.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = ClientError::NoTracker;
        for offset in 0..tried {
            let index = (first + offset) % tried;
            let Some(tracker) = self.trackers.get(index) else {
                continue;
            };
            match exchange::call(&self.pool, tracker, request).await {
                Ok(body) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return decode(&body).map_err(|source| ClientError::Answer {
                        address: tracker.clone(),
                        source: source.into(),
                    });
                }
                Err(error) if may_ask_another(&error, request.replay) => last = error,
                Err(error) => return Err(error),
            }
        }
        // All that answered agree, which is an answer.
        if tried == 1 || last.code() == ErrorCode::NotFound {
            return Err(last);
        }
        Err(ClientError::Trackers {
            tried,
            last: Box::new(last),
        })
    }
}

/// Whether another tracker may know better and asking it can do no harm. One that has just started
/// finds no node before the nodes have reported to it.
fn may_ask_another(error: &ClientError, replay: Replay) -> bool {
    if replay == Replay::Never && !error.is_safe_to_repeat() {
        return false;
    }
    let may_know_better = [ErrorCode::Unavailable, ErrorCode::Busy, ErrorCode::NotFound];
    error.is_unreachable() || may_know_better.contains(&error.code())
}
