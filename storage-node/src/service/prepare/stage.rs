//! Extensions and arrangements of staging blobs. Source: docs/wire.md, staged uploads.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use common::digest::Crc32;
use common::env::clock;
use common::id::NewBlob;
use common::limits;
use common::rpc::ConnectionError;
use common::wire::storage::{ArrangeRequest, ExtendHead, Piece};
use common::wire::{Header, Status, WireError};
use tokio::sync::OwnedSemaphorePermit;

use super::incoming::{Arrived, Incoming};
use super::{Becoming, PreparedBlob, Refused, Rest, free_name};
use crate::error::StoreError;
use crate::node::Node;
use crate::replica::{GroupEdit, GroupStore};
use crate::service::change::{appender, store_in_group, too_long};
use crate::service::{Content, Failure, Outcome, Session};
use crate::store::Answer;

/// Bytes that a request with many pieces needs at once for each of its own: body, pieces and ranges.
const ARRANGE_COPIES: usize = 3;

impl Session {
    /// Takes content for the end of a staging blob.
    pub(in crate::service) async fn extend(
        &mut self,
        header: &Header,
    ) -> Result<Outcome, ConnectionError> {
        if header.body_len != ExtendHead::BODY_LEN {
            return Ok(too_long(header));
        }
        let extended = match self.extend_head().await? {
            Ok(head) => self.extension(&head).await?,
            Err(refused) => Err(refused),
        };
        let counters = &self.service.node.counters;
        match extended {
            Ok(Some((piece, time))) => {
                counters.append.add(1, true);
                counters.append_bytes.add(piece.len, true);
                counters.note_change(time);
                piece.encode_response(&mut self.out);
                Ok(Outcome::Body)
            }
            Ok(None) => Ok(Outcome::Status(Status::CANCELED)),
            Err(refused) => {
                counters.append.add(1, false);
                self.refuse_content(refused).await
            }
        }
    }

    async fn extend_head(&mut self) -> Result<Result<ExtendHead, Refused>, ConnectionError> {
        let refused = |error: WireError, rest| {
            let failure = error.into();
            Ok(Err(Refused { failure, rest }))
        };
        let fixed = self.connection.take(ExtendHead::FIXED_LEN).await?;
        let name_len = match ExtendHead::name_len(&fixed) {
            Ok(len) => len,
            // Nobody knows where the first chunk stands.
            Err(error) => return refused(error, Rest::Lost),
        };
        let name = self.connection.take(name_len).await?;
        match ExtendHead::decode(&fixed, &name) {
            Ok(head) => Ok(Ok(head)),
            Err(error) => refused(error, Rest::Chunks { unread: 0 }),
        }
    }

    /// Receives the content behind `head` and appends it: where it lies, and when that was, or `None`
    /// if the peer gave it up.
    async fn extension(
        &mut self,
        head: &ExtendHead,
    ) -> Result<Result<Option<(Piece, u32)>, Refused>, ConnectionError> {
        let node = Arc::clone(&self.service.node);
        let store = match extensible(&node, head).await {
            Ok(store) => store,
            Err(failure) => {
                let rest = Rest::Chunks { unread: 0 };
                return Ok(Err(Refused { failure, rest }));
            }
        };
        let incoming = Incoming::new(&node, store, head.name.volume_path());
        let incoming = match self.content_of(incoming).await? {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return Ok(Ok(None)),
            Err(refused) => return Ok(Err(refused)),
        };
        let appended = append(store, head, incoming).await;
        Ok(appended.map(Some).map_err(|failure| Refused {
            failure,
            rest: Rest::Read,
        }))
    }

    /// Prepares a blob of pieces of a staging blob.
    pub(in crate::service) async fn arrange(
        &mut self,
        header: &Header,
    ) -> Result<Outcome, ConnectionError> {
        let len = match usize::try_from(header.body_len) {
            Ok(len) if len <= ArrangeRequest::BODY_LEN_MAX => len,
            _ => return Ok(too_long(header)),
        };
        let permit = match u32::try_from(len * ARRANGE_COPIES) {
            Ok(needed) if limits::UPLOAD_UNCOUNTED_LEN_MAX < header.body_len => {
                let buffers = Arc::clone(&self.service.buffers);
                // The semaphore is never closed, so this only waits.
                buffers.acquire_many_owned(needed).await.ok()
            }
            _ => None,
        };
        let body = self.connection.take(len).await?;
        let node = Arc::clone(&self.service.node);
        Ok(match arrangement(&node, body, permit).await {
            Ok(prepared) => self.keep(prepared),
            Err(failure) => Outcome::Status(failure.status()),
        })
    }
}

/// The store of a staging blob, which must be there, if it has room.
async fn extensible<'a>(node: &'a Node, head: &ExtendHead) -> Result<&'a GroupStore, Failure> {
    store_in_group(node, head.group, &head.name)?;
    let (store, _) = appender(node, &head.name).await?;
    node.store_for_upload(Some(head.name.volume_path()), 0)?;
    Ok(store)
}

/// Appends content that has come to its end.
async fn append(
    store: &GroupStore,
    head: &ExtendHead,
    incoming: Incoming<'_>,
) -> Result<(Piece, u32), Failure> {
    let Arrived {
        time,
        len,
        content,
        // Counts the content until it is stored.
        permit: _permit,
    } = incoming.finish().await?;
    let crc = content.crc();
    let key = head.name.to_key();
    let answer = match content {
        Content::Inline(payload) => store.edit(key, time, &GroupEdit::Append, payload).await?,
        Content::Parts(mut parts) => parts.finish_edit(key, &GroupEdit::Append).await?,
    };
    match answer {
        Answer::Appended { offset } => Ok((Piece { offset, len, crc }, time)),
        // The store answers each append with its place.
        Answer::Done | Answer::Known | Answer::Part(_) => Err(StoreError::Conflict.into()),
    }
}

/// An arrangement that was asked for, ready for its commit.
async fn arrangement(
    node: &Node,
    body: Bytes,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<PreparedBlob, Failure> {
    let Asked {
        request,
        ranges,
        size,
        crc,
    } = asked(body).await?;
    store_in_group(node, request.group, &request.name)?;
    let (store, len) = appender(node, &request.name).await?;
    if let Some(range) = ranges.iter().find(|range| len < range.end) {
        let offset = range.end;
        return Err(StoreError::OutOfRange { offset, len }.into());
    }
    // Its parts lie there.
    let volume_path = request.name.volume_path();
    node.store_for_upload(Some(volume_path), 0)?;
    let time = clock::unix_seconds();
    let new = NewBlob {
        volume_path,
        source: node.number(),
        time,
        size: Some(size),
        crc,
        extension: request.extension,
        random: 0,
    };
    let kept = ranges.len() * size_of::<Range<u64>>();
    Ok(PreparedBlob {
        store: store.clone(),
        name: free_name(store, new).await?,
        time,
        size,
        crc,
        becoming: Becoming::Arrangement {
            staging: request.name,
            ranges,
        },
        // What the ranges do not need is free for others.
        _permit: permit.and_then(|mut permit| permit.split(kept)),
    })
}

/// What a request asks for.
struct Asked {
    /// The request, whose pieces are the ranges.
    request: ArrangeRequest,
    ranges: Vec<Range<u64>>,
    size: u64,
    crc: Crc32,
}

/// Reads a request. One with many pieces is read by a thread that may take its time: to combine a
/// hundred thousand checksums takes tens of milliseconds.
async fn asked(body: Bytes) -> Result<Asked, Failure> {
    let is_short = body.len() as u64 <= limits::UPLOAD_UNCOUNTED_LEN_MAX;
    let read = move || {
        let mut request = ArrangeRequest::decode(&body)?;
        let (size, crc) = request.arranged()?;
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for piece in std::mem::take(&mut request.pieces) {
            match ranges.last_mut() {
                // Slices that came in order are one range.
                Some(last) if last.end == piece.offset => last.end = piece.end(),
                _ => ranges.push(piece.offset..piece.end()),
            }
        }
        Ok::<_, Failure>(Asked {
            request,
            ranges,
            size,
            crc,
        })
    };
    if is_short {
        return read();
    }
    let done = tokio::task::spawn_blocking(read).await;
    // An error: the runtime is ending, or the work panicked, which its thread reported.
    done.unwrap_or(Err(StoreError::Stopped.into()))
}

#[cfg(test)]
mod tests;
