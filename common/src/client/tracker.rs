//! Commands of a tracker, asked of whichever tracker answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes};

use super::answers::decode_holders;
use super::error::{AnswerError, ClientError};
use super::exchange::{self, Replay, Request};
use super::pool::Pool;
use super::storage::put_id;
use super::{Address, StoreTarget, StoreTargets};
use crate::code::ErrorCode;
use crate::id::{FileId, GroupName};
use crate::wire::Command;

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
        let request = match group {
            None => bare(Command::QueryStoreAnyOne),
            Some(group) => of_group(Command::QueryStoreGroupOne, group),
        };
        self.ask(&request, |body| StoreTarget::decode(body)).await
    }

    /// Everywhere a new blob could be written.
    pub async fn store_all(&self, group: Option<GroupName>) -> Result<StoreTargets, ClientError> {
        let request = match group {
            None => bare(Command::QueryStoreAnyAll),
            Some(group) => of_group(Command::QueryStoreGroupAll, group),
        };
        self.ask(&request, |body| StoreTargets::decode(body)).await
    }

    /// Where to read a blob. The tracker does not know blobs: that it names a node does not mean
    /// that the blob exists.
    pub async fn fetch_one(&self, id: &FileId) -> Result<Address, ClientError> {
        self.holder(Command::QueryFetchOne, id).await
    }

    /// Everywhere a blob can be expected, the best place first.
    pub async fn fetch_all(&self, id: &FileId) -> Result<Vec<Address>, ClientError> {
        let request = of_id(Command::QueryFetchAll, id);
        self.ask(&request, |body| decode_holders(body)).await
    }

    /// Where to change or delete a blob.
    pub async fn update(&self, id: &FileId) -> Result<Address, ClientError> {
        self.holder(Command::QueryUpdate, id).await
    }

    /// The parameters that clients load, as `key=value` lines.
    pub async fn parameters(&self) -> Result<String, ClientError> {
        let request = bare(Command::GetParameters);
        self.ask(&request, |body| {
            String::from_utf8(body.to_vec()).map_err(|_| AnswerError::Field("parameters"))
        })
        .await
    }

    /// Forgets a node that is not active. `id` is its number or address text.
    pub async fn delete_storage(&self, group: GroupName, id: &str) -> Result<(), ClientError> {
        let request = Request::new(Command::DeleteStorage, Replay::Never, 0, |out| {
            out.put_slice(group.as_field());
            out.put_slice(id.as_bytes());
        });
        self.ask(&request, |_| Ok(())).await
    }

    /// Forgets a group without nodes.
    pub async fn delete_group(&self, group: GroupName) -> Result<(), ClientError> {
        let mut request = of_group(Command::DeleteGroup, group);
        request.replay = Replay::Never;
        self.ask(&request, |_| Ok(())).await
    }

    /// Asks whether one of the trackers answers.
    pub async fn active_test(&self) -> Result<(), ClientError> {
        self.ask(&bare(Command::ActiveTest), |_| Ok(())).await
    }

    async fn holder(&self, command: Command, id: &FileId) -> Result<Address, ClientError> {
        self.ask(&of_id(command, id), |body| {
            let first = decode_holders(body)?.into_iter().next();
            first.ok_or(AnswerError::Length(body.len()))
        })
        .await
    }

    /// Asks the trackers in turn until one gives an answer that another would give too.
    async fn ask<T>(
        &self,
        request: &Request,
        decode: impl Fn(&Bytes) -> Result<T, AnswerError>,
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
                        source,
                    });
                }
                Err(error) if may_ask_another(&error, request.replay) => last = error,
                Err(error) => return Err(error),
            }
        }
        if tried == 1 {
            return Err(last);
        }
        Err(ClientError::Trackers {
            tried,
            last: Box::new(last),
        })
    }
}

/// Whether another tracker may know better and asking it can do no harm.
fn may_ask_another(error: &ClientError, replay: Replay) -> bool {
    if replay == Replay::Never && !error.is_safe_to_repeat() {
        return false;
    }
    error.is_unreachable() || matches!(error.code(), ErrorCode::Unavailable | ErrorCode::Busy)
}

fn bare(command: Command) -> Request {
    Request::new(command, Replay::Safe, 0, |_| {})
}

fn of_group(command: Command, group: GroupName) -> Request {
    Request::new(command, Replay::Safe, 0, |out| {
        out.put_slice(group.as_field());
    })
}

fn of_id(command: Command, id: &FileId) -> Request {
    Request::new(command, Replay::Safe, 0, |out| put_id(out, id))
}
