//! Content of unknown length on its way into records: one stays in memory, more become open parts.

use bytes::{Bytes, BytesMut};
use common::env::clock;
use common::id::VolumePath;
use common::limits;
use tokio::sync::OwnedSemaphorePermit;

use crate::node::Node;
use crate::replica::{GroupStore, Upload};
use crate::service::{Content, Failure};

/// Bytes that are read at a time to stand behind others in one record.
const JOINED_LEN_MAX: usize = 256 * 1024;

/// Content that arrives without saying how long it will be.
pub(super) struct Incoming<'a> {
    node: &'a Node,
    store: &'a GroupStore,
    path: VolumePath,
    time: u32,
    /// Bytes received.
    pub(super) len: u64,
    /// The record that is being filled: one buffer as it came, or several as one.
    first: Bytes,
    joined: BytesMut,
    parts: Option<Upload>,
    /// Counts what is kept in memory.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(node: &'a Node, store: &'a GroupStore, path: VolumePath) -> Self {
        Self {
            node,
            store,
            path,
            time: clock::unix_seconds(),
            len: 0,
            first: Bytes::new(),
            joined: BytesMut::new(),
            parts: None,
            permit: None,
        }
    }

    /// Bytes of the record that is being filled.
    fn held_len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    /// Bytes that can be pushed next.
    pub(super) fn room(&self) -> usize {
        let room = limits::RECORD_PAYLOAD_LEN_MAX.saturating_sub(self.held_len());
        if self.held_len() == 0 {
            room
        } else {
            room.min(JOINED_LEN_MAX)
        }
    }

    /// Makes a part of the record that is being filled, if it is full: more comes behind it.
    pub(super) async fn make_room(&mut self) -> Result<(), Failure> {
        if self.room() == 0 {
            self.store_part().await?;
        }
        Ok(())
    }

    /// Adds at most [`Self::room`] bytes. A buffer that fills a record alone is not copied.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.len += piece.len() as u64;
        if self.held_len() == 0 {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined
                .extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    fn take_held(&mut self) -> Bytes {
        if self.joined.is_empty() {
            std::mem::take(&mut self.first)
        } else {
            std::mem::take(&mut self.joined).freeze()
        }
    }

    async fn store_part(&mut self) -> Result<(), Failure> {
        self.check_room()?;
        let part = self.take_held();
        let (store, time) = (self.store, self.time);
        let parts = self.parts.get_or_insert_with(|| store.parts(time));
        parts.push(part).await?;
        Ok(())
    }

    /// Whether there is room for what is held, as for an upload of known length.
    fn check_room(&self) -> Result<(), Failure> {
        self.node
            .store_for_upload(Some(self.path), self.held_len() as u64)?;
        Ok(())
    }

    /// Ends the content, which is complete.
    pub(super) async fn finish(mut self) -> Result<Arrived, Failure> {
        if self.parts.is_some() {
            self.store_part().await?;
        } else {
            self.check_room()?;
        }
        let (content, permit) = if let Some(parts) = self.parts.take() {
            // Nothing is in memory any more.
            (Content::Parts(parts), None)
        } else {
            let payload = self.take_held();
            let permit = self.permit.take();
            // What the payload does not need is free for others.
            let needed = permit.and_then(|mut permit| permit.split(payload.len()));
            (Content::Inline(payload), needed)
        };
        Ok(Arrived {
            time: self.time,
            len: self.len,
            content,
            permit,
        })
    }
}

/// Content that is complete.
pub(super) struct Arrived {
    /// Unix seconds when it began to arrive.
    pub(super) time: u32,
    /// Its bytes.
    pub(super) len: u64,
    pub(super) content: Content,
    /// Counts what is kept in memory.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}
