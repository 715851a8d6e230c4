//! Uploads in two steps: prepare, then commit or abandon. Source: docs/wire.md, prepared uploads and
//! staged uploads.
//!
//! What was prepared belongs to its connection and to the next request on it: a commit makes it a
//! blob, everything else, the end of the connection included, drops it and so gives its space back.

mod incoming;
mod stage;

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use common::code::ErrorCode;
use common::digest::Crc32;
use common::env::{Shutdown, entropy};
use common::id::{NewBlob, RemoteName, VolumePath};
use common::limits;
use common::rpc::ConnectionError;
use common::wire::storage::{ChunkHead, PathChoice, PrepareHead, PreparedResponse, UploadKind};
use common::wire::{Header, Status};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};
use tracing::debug;

use self::incoming::{Arrived, Incoming};
use super::upload::NAMES_MAX;
use super::{Content, Failure, LINGER, Outcome, Session};
use crate::error::StoreError;
use crate::node::Node;
use crate::replica::GroupStore;

/// A blob in all but its record.
pub(super) struct PreparedBlob {
    store: GroupStore,
    name: RemoteName,
    time: u32,
    size: u64,
    crc: Crc32,
    becoming: Becoming,
    /// Counts what is kept in memory.
    _permit: Option<OwnedSemaphorePermit>,
}

/// What a commit makes a blob of.
enum Becoming {
    /// Content that was received.
    Content(Content),
    /// Ranges of a staging blob, which ends.
    Arrangement {
        staging: RemoteName,
        ranges: Vec<Range<u64>>,
    },
}

/// How the content of an upload ended.
enum Ended {
    /// All of it is here.
    Complete,
    /// The peer gave it up.
    Aborted,
}

/// Why content is not taken, and where in it the connection stands.
struct Refused {
    failure: Failure,
    rest: Rest,
}

/// What of the content was not read.
enum Rest {
    /// Nothing.
    Read,
    /// So many bytes of a chunk, and the chunks behind it.
    Chunks { unread: u64 },
    /// Nobody knows: the head of a chunk was wrong.
    Lost,
}

impl Session {
    /// Takes content and keeps it for a commit.
    pub(super) async fn prepare(&mut self, header: &Header) -> Result<Outcome, ConnectionError> {
        if header.body_len != PrepareHead::BODY_LEN {
            // Another layout: what would follow is in nobody's knowledge.
            return Ok(Outcome::Refused {
                status: Status::INVALID,
                unread: header.body_len,
            });
        }
        let head = self.connection.take(PrepareHead::LEN).await?;
        let received = match PrepareHead::decode(&head) {
            Ok(head) => self.receive(&head).await?,
            Err(error) => Err(Refused {
                failure: error.into(),
                rest: Rest::Chunks { unread: 0 },
            }),
        };
        match received {
            Ok(Some(prepared)) => Ok(self.keep(prepared)),
            Ok(None) => Ok(Outcome::Status(Status::CANCELED)),
            Err(refused) => {
                self.service.node.counters.upload.add(1, false);
                self.refuse_content(refused).await
            }
        }
    }

    /// Keeps a blob for its commit, and tells its name.
    fn keep(&mut self, prepared: PreparedBlob) -> Outcome {
        PreparedResponse {
            group: self.service.node.group,
            size: prepared.size,
            crc: prepared.crc,
            name: prepared.name,
        }
        .encode(&mut self.out);
        self.prepared = Some(prepared);
        Outcome::Body
    }

    /// Receives the content behind `head`; `None` if the peer gave it up.
    async fn receive(
        &mut self,
        head: &PrepareHead,
    ) -> Result<Result<Option<PreparedBlob>, Refused>, ConnectionError> {
        let node = Arc::clone(&self.service.node);
        let wanted = match head.path {
            PathChoice::Any => None,
            PathChoice::Path(path) => Some(path),
        };
        let (path, store) = match node.store_for_upload(wanted, 0) {
            Ok(found) => found,
            Err(refusal) => {
                return Ok(Err(Refused {
                    failure: refusal.into(),
                    rest: Rest::Chunks { unread: 0 },
                }));
            }
        };
        let incoming = match self.content_of(Incoming::new(&node, store, path)).await? {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return Ok(Ok(None)),
            Err(refused) => return Ok(Err(refused)),
        };
        let prepared = PreparedBlob::of(&node, store, path, head, incoming).await;
        Ok(prepared.map(Some).map_err(|failure| Refused {
            failure,
            rest: Rest::Read,
        }))
    }

    /// Fills `incoming` with the chunks that follow; `None` if the peer gave them up.
    async fn content_of<'a>(
        &mut self,
        mut incoming: Incoming<'a>,
    ) -> Result<Result<Option<Incoming<'a>>, Refused>, ConnectionError> {
        Ok(self.chunks(&mut incoming).await?.map(|ended| match ended {
            Ended::Complete => Some(incoming),
            Ended::Aborted => None,
        }))
    }

    /// Reads chunks up to the end of the content.
    async fn chunks(
        &mut self,
        incoming: &mut Incoming<'_>,
    ) -> Result<Result<Ended, Refused>, ConnectionError> {
        loop {
            let head = self.connection.take(ChunkHead::LEN).await?;
            let len = match ChunkHead::decode(&head) {
                Ok(ChunkHead::Content(len)) => len,
                Ok(ChunkHead::End) => return Ok(Ok(Ended::Complete)),
                Ok(ChunkHead::Abort) => return Ok(Ok(Ended::Aborted)),
                Err(error) => {
                    return Ok(Err(Refused {
                        failure: Failure::Wire(error.into()),
                        rest: Rest::Lost,
                    }));
                }
            };
            if let Err(refused) = self.chunk(incoming, len).await? {
                return Ok(Err(refused));
            }
        }
    }

    /// Reads one chunk of `len` bytes.
    async fn chunk(
        &mut self,
        incoming: &mut Incoming<'_>,
        len: u32,
    ) -> Result<Result<(), Refused>, ConnectionError> {
        let mut unread = u64::from(len);
        let refused = |failure: Failure, unread| Refused {
            failure,
            rest: Rest::Chunks { unread },
        };
        let grown = match ChunkHead::grown(incoming.len, len) {
            Ok(grown) => grown,
            Err(error) => return Ok(Err(refused(error.into(), unread))),
        };
        if limits::UPLOAD_UNCOUNTED_LEN_MAX < grown && incoming.permit.is_none() {
            // A whole record at once: whoever held a part of one and waited for the rest could wait
            // for others that do the same. The semaphore is never closed, so this only waits.
            let buffers = Arc::clone(&self.service.buffers);
            let record = u32::try_from(limits::RECORD_PAYLOAD_LEN_MAX).unwrap_or(u32::MAX);
            incoming.permit = buffers.acquire_many_owned(record).await.ok();
        }
        while 0 < unread {
            if let Err(failure) = incoming.make_room().await {
                return Ok(Err(refused(failure, unread)));
            }
            let taken = incoming
                .room()
                .min(usize::try_from(unread).unwrap_or(usize::MAX));
            let piece = self.connection.take(taken).await?;
            unread -= piece.len() as u64;
            incoming.push(piece);
        }
        Ok(Ok(()))
    }

    /// Answers an upload whose content is not wanted, at once so that the peer may stop sending, and
    /// reads on to its end, up to a bound.
    async fn refuse_content(&mut self, refused: Refused) -> Result<Outcome, ConnectionError> {
        let status = refused.failure.status();
        self.connection
            .send(&Header::error(status).encode())
            .await?;
        let goes_on = match refused.rest {
            Rest::Read => true,
            Rest::Chunks { unread } => self.discard_chunks(unread).await?,
            Rest::Lost => false,
        };
        if !goes_on {
            // As in `refuse`: closing with unread bytes would lose the answer.
            self.connection.half_close().await?;
            let drained = timeout(LINGER, self.connection.discard(u64::MAX)).await;
            debug!(
                finished = drained.is_ok(),
                "closed a connection with a long unwanted upload"
            );
        }
        Ok(Outcome::Failed { status, goes_on })
    }

    /// Throws chunks away until the content ends; whether it did within the bound.
    async fn discard_chunks(&mut self, mut unread: u64) -> Result<bool, ConnectionError> {
        let mut left = limits::DRAIN_LEN_MAX;
        loop {
            if left < unread {
                return Ok(false);
            }
            self.connection.discard(unread).await?;
            // The heads count too: else chunks of one byte would be free.
            left = left.saturating_sub(unread + ChunkHead::LEN as u64);
            let head = self.connection.take(ChunkHead::LEN).await?;
            unread = match ChunkHead::decode(&head) {
                Ok(ChunkHead::Content(len)) => len.into(),
                Ok(ChunkHead::End | ChunkHead::Abort) => return Ok(true),
                Err(_) => return Ok(false),
            };
        }
    }

    /// Waits for the request behind a prepared upload: not longer than for anything inside a packet,
    /// and only a moment when the node stops, for a peer that means to commit does so at once.
    pub(super) async fn decision(
        &mut self,
        shutdown: &Shutdown,
    ) -> Result<Option<Header>, ConnectionError> {
        let patience = self.service.network_timeout;
        let stop = pin!(async {
            shutdown.requested().await;
            sleep(LINGER).await;
        });
        tokio::select! {
            biased;
            next = timeout(patience, self.connection.header()) => {
                next.unwrap_or(Err(ConnectionError::Timeout(patience)))
            }
            () = stop => Ok(None),
        }
    }

    /// Makes what was prepared a blob.
    pub(super) async fn commit(
        &mut self,
        header: &Header,
        prepared: Option<PreparedBlob>,
    ) -> Outcome {
        let Some(prepared) = prepared.filter(|_| header.body_len == 0) else {
            return nothing_prepared(header);
        };
        let counters = &self.service.node.counters;
        let time = prepared.time;
        // An arrangement brings no bytes: they were counted when they were appended.
        let uploaded = match &prepared.becoming {
            Becoming::Content(_) => Some(prepared.size),
            Becoming::Arrangement { .. } => None,
        };
        let committed = prepared.commit().await;
        if let Some(size) = uploaded {
            counters.upload.add(1, committed.is_ok());
            counters.upload_bytes.add(size, committed.is_ok());
        }
        match committed {
            Ok(()) => {
                counters.note_change(time);
                Outcome::Status(Status::OK)
            }
            Err(error) => Outcome::Status(Failure::Store(error).status()),
        }
    }
}

/// Forgets what was prepared, which dropping it does.
pub(super) fn abandon(header: &Header, prepared: Option<PreparedBlob>) -> Outcome {
    match prepared.filter(|_| header.body_len == 0) {
        Some(_) => Outcome::Status(Status::OK),
        None => nothing_prepared(header),
    }
}

fn nothing_prepared(header: &Header) -> Outcome {
    let failure = Failure::Rule("no upload is prepared", ErrorCode::Invalid);
    Outcome::Refused {
        status: failure.status(),
        unread: header.body_len,
    }
}

impl PreparedBlob {
    /// Names content that has come to its end.
    async fn of(
        node: &Node,
        store: &GroupStore,
        path: VolumePath,
        head: &PrepareHead,
        incoming: Incoming<'_>,
    ) -> Result<Self, Failure> {
        let Arrived {
            time,
            len,
            mut content,
            permit,
        } = incoming.finish().await?;
        let size = match head.kind {
            UploadKind::Normal => Some(len),
            UploadKind::Appender => {
                content = Content::Parts(content.into_parts(store, time).await?);
                None
            }
        };
        let new = NewBlob {
            volume_path: path,
            source: node.number(),
            time,
            size,
            crc: content.crc(),
            extension: head.extension,
            random: 0,
        };
        Ok(Self {
            store: store.clone(),
            name: free_name(store, new).await?,
            time,
            size: len,
            crc: new.crc,
            becoming: Becoming::Content(content),
            _permit: permit,
        })
    }

    async fn commit(self) -> Result<(), StoreError> {
        let key = self.name.to_key();
        match self.becoming {
            Becoming::Content(mut content) => {
                content.store(&self.store, key, self.time, self.crc).await
            }
            Becoming::Arrangement { staging, ranges } => {
                let crc = self.crc;
                let staging = staging.to_key();
                let done = self.store.arrange(staging, self.time, key, ranges, crc);
                done.await.map(drop)
            }
        }
    }
}

/// A name for `new` that no blob has.
async fn free_name(store: &GroupStore, mut new: NewBlob) -> Result<RemoteName, StoreError> {
    for _ in 0..NAMES_MAX {
        new.random = entropy::random_u64();
        let name = RemoteName::generate(&new);
        let taken = store.shared().open_blob(&name.to_key()).await?;
        if taken.is_none() {
            return Ok(name);
        }
    }
    Err(StoreError::Exists)
}

#[cfg(test)]
mod tests;
