//! Many blobs on their way from a peer: several requests at once, so that its disk, the network and this
//! node's disk work at the same time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use common::digest::Crc32;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::fetch::Name;
use super::group::GroupStore;
use super::link::{LinkError, Peer};
use super::message::{Answer as PeerAnswer, Found, Request};
use super::remote::{RangeError, RemoteBlob, ranges};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{IndexKey, Version};
use crate::index::Index;
use crate::store::{Change, Condition};

/// Requests for content that are under way at the same time. Each answer has a MiB at most.
const REQUESTS: usize = 4;
/// Bytes that wait for this node's disk before no more are asked for.
const WAITING_MAX: u64 = 8 * 1024 * 1024;

/// How fast this node fetches what nobody waits for.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Bytes per second; `None` for all it can.
    rate: Option<u64>,
    /// When the next bytes may be asked for.
    next: Mutex<Option<Instant>>,
}

impl Throttle {
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            next: Mutex::default(),
        }
    }

    /// Waits until it may go on behind `len` bytes that came.
    async fn note(&self, len: u64) {
        let Some(rate) = self.rate else {
            return;
        };
        let time = Duration::from_micros(len.saturating_mul(1_000_000) / rate.max(1));
        let until = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let until = next.map_or_else(Instant::now, |next| next.max(Instant::now())) + time;
            *next = Some(until);
            until
        };
        sleep_until(until).await;
    }
}

/// Whether somebody waits for what is fetched.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace<'a> {
    /// A client does.
    Urgent,
    /// Nobody does: clients of this node and of the peer come first.
    Throttled(&'a Throttle),
}

/// What is fetched from one peer: all blobs, or all metadata, of some names.
pub(super) struct Fetching<'a, D: Disk, I: Index> {
    store: &'a GroupStore<D, I>,
    peer: &'a Peer,
    condition: Condition,
    pace: Pace<'a>,
    queue: VecDeque<Name>,
    /// Longer blobs are left with the peer.
    len_max: u64,
    /// Names of a request; as many as lately fitted into an answer.
    at_once: usize,
    long: Vec<RemoteBlob>,
    damaged: usize,
}

type Asked = BoxFuture<'static, (Vec<Name>, Result<PeerAnswer, LinkError>)>;
type Kept<'a> = BoxFuture<'a, (u64, Result<(), StoreError>)>;

/// What a run of requests gave.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// Blobs and metadata that the peer has only damaged.
    pub(super) damaged: usize,
    /// Long blobs that were left with the peer.
    pub(super) left: Vec<RemoteBlob>,
}

impl<'a, D: Disk, I: Index> Fetching<'a, D, I> {
    pub(super) fn new(
        store: &'a GroupStore<D, I>,
        peer: &'a Peer,
        condition: Condition,
        pace: Pace<'a>,
    ) -> Self {
        Self {
            store,
            peer,
            condition,
            pace,
            queue: VecDeque::new(),
            len_max: u64::MAX,
            at_once: store.replica.portions().names,
            long: Vec::new(),
            damaged: 0,
        }
    }

    /// Gets all of `names` but for blobs that are longer than `len_max`.
    ///
    /// # Errors
    ///
    /// [`StoreError::OutOfReach`] if the peer does not answer; what the own store says.
    ///
    /// # Cancel safety
    ///
    /// What was fetched is kept.
    pub(super) async fn run(
        mut self,
        names: Vec<Name>,
        len_max: u64,
    ) -> Result<Fetched, StoreError> {
        (self.queue, self.len_max) = (names.into(), len_max);
        let mut asked: FuturesUnordered<Asked> = FuturesUnordered::new();
        let mut kept: FuturesUnordered<Kept<'a>> = FuturesUnordered::new();
        let mut waiting = 0;
        loop {
            while asked.len() < REQUESTS && waiting < WAITING_MAX && !self.queue.is_empty() {
                asked.push(self.ask());
            }
            tokio::select! {
                biased;
                Some((len, outcome)) = kept.next() => {
                    outcome?;
                    waiting -= len;
                }
                Some((names, answer)) = asked.next() => {
                    let came = self.take(names, answer, &mut kept)?;
                    waiting += came;
                    if let Pace::Throttled(throttle) = self.pace {
                        throttle.note(came).await;
                    }
                }
                else => break,
            }
        }
        let mut fetched = Fetched {
            damaged: self.damaged,
            left: Vec::new(),
        };
        for long in std::mem::take(&mut self.long) {
            if long.len <= len_max {
                self.get_long(long).await?;
            } else {
                fetched.left.push(long);
            }
        }
        Ok(fetched)
    }

    fn ask(&mut self) -> Asked {
        let count = self.at_once.min(self.queue.len());
        let names: Vec<Name> = self.queue.drain(..count).collect();
        let request = Request::Fetch {
            path: self.store.path,
            names: names.clone(),
        };
        let answer = self.peer.ask(&self.store.replica.stamps, &request);
        Box::pin(async move { (names, answer.await) })
    }

    /// Has what came kept, and puts back what did not fit; the bytes that came.
    fn take(
        &mut self,
        names: Vec<Name>,
        answer: Result<PeerAnswer, LinkError>,
        kept: &mut FuturesUnordered<Kept<'a>>,
    ) -> Result<u64, StoreError> {
        let Ok(PeerAnswer::Fetched { found, mut payload }) = answer else {
            return Err(StoreError::OutOfReach);
        };
        let (mut came, mut moved) = (0, 0);
        let mut later = Vec::new();
        for (name, found) in names.into_iter().zip(found) {
            match found {
                Found::Later => {
                    later.push(name);
                    continue;
                }
                Found::Nothing => {}
                Found::Damaged => self.damaged += 1,
                Found::Whole {
                    version,
                    time,
                    in_parts,
                    crc,
                    len,
                } => {
                    if payload.remaining() < len as usize {
                        return Err(StoreError::OutOfReach);
                    }
                    let bytes = payload.split_to(len as usize);
                    if Crc32::of(&bytes) != crc {
                        return Err(StoreError::OutOfReach);
                    }
                    let len = u64::from(len);
                    if name.0 == IndexKey::BLOB && self.len_max < len {
                        self.long.push(RemoteBlob {
                            peer: self.peer.clone(),
                            key: name.1,
                            version,
                            time,
                            crc: Some(crc),
                            len,
                        });
                    } else {
                        let (store, condition) = (self.store, self.condition);
                        let dated = (version, time);
                        let keep = store.keep(name, dated, in_parts, (bytes, crc), condition);
                        kept.push(Box::pin(async move { (len, keep.await) }));
                        came += len;
                    }
                }
                Found::Long {
                    version,
                    time,
                    crc,
                    len,
                } => self.long.push(RemoteBlob {
                    peer: self.peer.clone(),
                    key: name.1,
                    version,
                    time,
                    crc,
                    len,
                }),
            }
            moved += 1;
        }
        if later.is_empty() {
            self.at_once = (self.at_once * 2).min(self.store.replica.portions().names);
        } else {
            self.at_once = moved.max(1);
        }
        // Where nothing came, all of it changes faster than it is read. What changes it tells of it
        // again.
        if 0 < moved {
            for name in later.into_iter().rev() {
                self.queue.push_front(name);
            }
        }
        Ok(came)
    }

    async fn get_long(&self, long: RemoteBlob) -> Result<(), StoreError> {
        self.store.replica.stamps.see(long.version.stamp);
        let mut parts = self.store.local.parts(long.time);
        let mut ranges = ranges(0..long.len, self.store.replica.portions().range_len);
        let mut ahead = FuturesOrdered::new();
        loop {
            while ahead.len() < REQUESTS
                && let Some(range) = ranges.next()
            {
                let (key, version) = (&long.key, long.version);
                ahead.push_back(self.store.ask_range(self.peer, key, version, range));
            }
            match ahead.next().await {
                Some(Ok(bytes)) => {
                    let len = bytes.len() as u64;
                    parts.push(bytes).await?;
                    if let Pace::Throttled(throttle) = self.pace {
                        throttle.note(len).await;
                    }
                }
                // Changed or deleted meanwhile, or unreadable there: the log or another peer tells.
                Some(Err(RangeError::Refused)) => return Ok(()),
                Some(Err(RangeError::Lost)) => return Err(StoreError::OutOfReach),
                None => break,
            }
        }
        if long.crc.is_some_and(|crc| crc != parts.crc()) {
            warn!(peer = %self.peer.number, "a blob came with other bytes than its checksum says");
            return Ok(());
        }
        let kept = parts.finish(long.key, long.version, self.condition).await;
        settled(kept.map(drop))
    }
}

impl<D: Disk, I: Index> GroupStore<D, I> {
    async fn keep(
        &self,
        (prefix, key): Name,
        (version, time): (Version, u32),
        in_parts: bool,
        (bytes, crc): (Bytes, Crc32),
        condition: Condition,
    ) -> Result<(), StoreError> {
        self.replica.stamps.see(version.stamp);
        let kept = if prefix == IndexKey::METADATA {
            let packed = bytes.to_vec();
            let change = Change::Metadata {
                key,
                time,
                version,
                change: Box::new(move |_| Some(packed)),
                condition,
            };
            self.local.submit(change).await
        } else if in_parts {
            let mut parts = self.local.parts(time);
            if !bytes.is_empty() {
                parts.push(bytes).await?;
            }
            parts.finish(key, version, condition).await
        } else {
            let change = Change::Blob {
                key,
                time,
                version,
                crc,
                payload: bytes,
                condition,
            };
            self.local.submit(change).await
        };
        settled(kept.map(drop))
    }
}

/// What came too late, because something newer is here, is settled too.
fn settled(kept: Result<(), StoreError>) -> Result<(), StoreError> {
    match kept {
        // Metadata of a blob that was deleted meanwhile.
        Err(StoreError::Deleted | StoreError::NotFound) => Ok(()),
        kept => kept,
    }
}
