//! Upload, appender upload and slave upload. Source: docs/wire.md, uploads.

use std::sync::Arc;

use common::code::ErrorCode;
use common::digest::Crc32;
use common::env::{clock, entropy};
use common::id::{NewBlob, RemoteName, VolumePath};
use common::rpc::ConnectionError;
use common::wire::Header;
use common::wire::storage::{PathChoice, SlaveHead, StoredResponse, UploadHead};

use super::{Content, Failure, Outcome, Session, Unread};
use crate::error::StoreError;
use crate::node::Node;
use crate::replica::{GroupStore, Upload};

/// Names that are drawn before an upload is given up; the first is practically always free.
pub(super) const NAMES_MAX: usize = 10;

/// What an upload makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A blob that never changes.
    Normal,
    /// A blob that can be appended to.
    Appender,
}

impl Session {
    pub(super) async fn upload(
        &mut self,
        header: &Header,
        kind: Kind,
    ) -> Result<Outcome, ConnectionError> {
        let head: UploadHead = match self.head(header).await? {
            Ok(head) => head,
            Err(outcome) => return Ok(outcome),
        };
        let node = Arc::clone(&self.service.node);
        let wanted = match head.path {
            PathChoice::Any => None,
            PathChoice::Path(path) => Some(path),
        };
        let (path, store) = match node.store_for_upload(wanted, head.size) {
            Ok(found) => found,
            Err(refusal) => {
                let (failure, unread) = (refusal.into(), head.size);
                return Ok(Unread { failure, unread }.refused(&node.counters.upload));
            }
        };
        let time = clock::unix_seconds();
        let content = match self.content(store, head.size, time).await? {
            Ok(content) => content,
            Err(unread) => return Ok(unread.refused(&node.counters.upload)),
        };
        let stored = self.store(store, path, &head, kind, content, time).await;
        Ok(self.stored(stored, head.size, time))
    }

    pub(super) async fn upload_slave(
        &mut self,
        header: &Header,
    ) -> Result<Outcome, ConnectionError> {
        let head: SlaveHead = match self.head(header).await? {
            Ok(head) => head,
            Err(outcome) => return Ok(outcome),
        };
        let node = Arc::clone(&self.service.node);
        let time = clock::unix_seconds();
        let (name, store) = match slave_place(&node, &head).await {
            Ok(place) => place,
            Err(failure) => {
                let unread = head.size;
                return Ok(Unread { failure, unread }.refused(&node.counters.upload));
            }
        };
        let mut content = match self.content(store, head.size, time).await? {
            Ok(content) => content,
            Err(unread) => return Ok(unread.refused(&node.counters.upload)),
        };
        let crc = content.crc();
        let stored = content.store(store, name.to_key(), time, crc).await;
        Ok(self.stored(stored.map(|()| name), head.size, time))
    }

    /// Stores what was received under a name that is free.
    async fn store(
        &self,
        store: &GroupStore,
        volume_path: VolumePath,
        head: &UploadHead,
        kind: Kind,
        mut content: Content,
        time: u32,
    ) -> Result<RemoteName, StoreError> {
        let size = match kind {
            Kind::Normal => Some(head.size),
            Kind::Appender => {
                content = Content::Parts(content.into_parts(store, time).await?);
                None
            }
        };
        let crc = content.crc();
        for _ in 0..NAMES_MAX {
            let name = RemoteName::generate(&NewBlob {
                volume_path,
                source: self.service.node.number(),
                time,
                size,
                crc,
                extension: head.extension,
                random: entropy::random_u64(),
            });
            match content.store(store, name.to_key(), time, crc).await {
                Err(StoreError::Exists) => {}
                stored => return stored.map(|()| name),
            }
        }
        Err(StoreError::Exists)
    }

    /// The answer to an upload of `size` bytes.
    fn stored(&mut self, stored: Result<RemoteName, StoreError>, size: u64, time: u32) -> Outcome {
        let counters = &self.service.node.counters;
        counters.upload.add(1, stored.is_ok());
        counters.upload_bytes.add(size, stored.is_ok());
        match stored {
            Ok(name) => {
                counters.note_change(time);
                StoredResponse {
                    group: self.service.node.group,
                    name,
                }
                .encode(&mut self.out);
                Outcome::Body
            }
            Err(error) => Outcome::Status(Failure::Store(error).status()),
        }
    }
}

impl Content {
    /// Makes the content, whose checksum is `crc`, a blob. Can be called again if the name is taken.
    pub(super) async fn store(
        &mut self,
        store: &GroupStore,
        key: Vec<u8>,
        time: u32,
        crc: Crc32,
    ) -> Result<(), StoreError> {
        match self {
            Self::Inline(payload) => store.put(key, time, payload.clone(), crc).await,
            Self::Parts(parts) => parts.finish(key).await,
        }
    }

    /// The content as parts, of which an appender is made however short it is.
    pub(super) async fn into_parts(
        self,
        store: &GroupStore,
        time: u32,
    ) -> Result<Upload, StoreError> {
        match self {
            Self::Parts(parts) => Ok(parts),
            Self::Inline(payload) => {
                let mut parts = store.parts(time);
                if !payload.is_empty() {
                    parts.push(payload).await?;
                }
                Ok(parts)
            }
        }
    }
}

/// The name of a slave, which must be free, and the store of its master, which must be there.
async fn slave_place<'a>(
    node: &'a Node,
    head: &SlaveHead,
) -> Result<(RemoteName, &'a GroupStore), Failure> {
    let name = head
        .master
        .slave(head.prefix, head.extension)
        .map_err(|_| {
            Failure::Rule(
                "the slave's name is too long or reserved",
                ErrorCode::Invalid,
            )
        })?;
    let (_, store) = node.store_for_upload(Some(head.master.volume_path()), head.size)?;
    if store.open(&head.master.to_key()).await?.is_none() {
        return Err(StoreError::NotFound.into());
    }
    if store.open(&name.to_key()).await?.is_some() {
        return Err(StoreError::Exists.into());
    }
    Ok((name, store))
}
