//! Upload, appender upload and slave upload. Source: docs/wire.md, uploads.

use common::code::ErrorCode;
use common::digest::Crc32;
use common::env::{clock, entropy};
use common::id::{Extension, NewBlob, RemoteName, VolumePath};
use common::rpc::ConnectionError;
use common::wire::Header;
use common::wire::storage::{PathChoice, SlaveHead, StoredResponse, UploadHead};

use super::{Content, Failure, Outcome, Session, Unread};
use crate::error::StoreError;
use crate::node::Node;
use crate::store::PathStore;

/// Names that are drawn before an upload is given up; the first is practically always free.
const NAMES_MAX: usize = 10;

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
        let node = std::sync::Arc::clone(&self.service.node);
        let wanted = match head.path {
            PathChoice::Any => None,
            PathChoice::Path(path) => Some(path),
        };
        let (path, store) = match node.store_for_upload(wanted, head.size) {
            Ok(found) => found,
            Err(refusal) => {
                let status = Failure::from(refusal).status();
                node.counters.upload.add(1, false);
                return Ok(Outcome::Refused {
                    status,
                    unread: head.size,
                });
            }
        };
        let time = clock::unix_seconds();
        let content = match self.content(store, head.size, time).await? {
            Ok(content) => content,
            Err(Unread { failure, unread }) => {
                node.counters.upload.add(1, false);
                return Ok(Outcome::Refused {
                    status: failure.status(),
                    unread,
                });
            }
        };
        let stored = match kind {
            Kind::Normal => self.store_normal(store, path, &head, content, time).await,
            Kind::Appender => {
                self.store_appender(store, path, head.extension, content, time)
                    .await
            }
        };
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
        let node = std::sync::Arc::clone(&self.service.node);
        let time = clock::unix_seconds();
        let (name, store) = match slave_place(&node, &head).await {
            Ok(place) => place,
            Err(failure) => {
                node.counters.upload.add(1, false);
                return Ok(Outcome::Refused {
                    status: failure.status(),
                    unread: head.size,
                });
            }
        };
        let stored = match self.content(store, head.size, time).await? {
            Err(Unread { failure, unread }) => {
                node.counters.upload.add(1, false);
                return Ok(Outcome::Refused {
                    status: failure.status(),
                    unread,
                });
            }
            Ok(Content::Inline(payload)) => {
                let crc = Crc32::of(&payload);
                store.put(name.to_key(), time, payload, crc).await
            }
            Ok(Content::Parts(mut parts)) => parts.finish(name.to_key()).await,
        };
        Ok(self.stored(stored.map(|()| name), head.size, time))
    }

    /// Stores what was received under a name that is free.
    async fn store_normal(
        &self,
        store: &PathStore,
        path: VolumePath,
        head: &UploadHead,
        mut content: Content,
        time: u32,
    ) -> Result<RemoteName, StoreError> {
        for _ in 1..NAMES_MAX {
            let crc = content.crc();
            let name = self.name(path, time, Some(head.size), crc, head.extension);
            let stored = match &mut content {
                Content::Inline(payload) => {
                    store.put(name.to_key(), time, payload.clone(), crc).await
                }
                Content::Parts(parts) => parts.finish(name.to_key()).await,
            };
            match stored {
                Err(StoreError::Exists) => {}
                stored => return stored.map(|()| name),
            }
        }
        Err(StoreError::Exists)
    }

    /// Stores an appender, which is made of parts however short it is.
    async fn store_appender(
        &self,
        store: &PathStore,
        path: VolumePath,
        extension: Extension,
        content: Content,
        time: u32,
    ) -> Result<RemoteName, StoreError> {
        let mut parts = match content {
            Content::Parts(parts) => parts,
            Content::Inline(payload) => {
                let mut parts = store.parts(time);
                if !payload.is_empty() {
                    parts.push(payload).await?;
                }
                parts
            }
        };
        for _ in 1..NAMES_MAX {
            let name = self.name(path, time, None, parts.crc(), extension);
            match parts.finish(name.to_key()).await {
                Err(StoreError::Exists) => {}
                stored => return stored.map(|()| name),
            }
        }
        Err(StoreError::Exists)
    }

    fn name(
        &self,
        volume_path: VolumePath,
        time: u32,
        size: Option<u64>,
        crc: Crc32,
        extension: Extension,
    ) -> RemoteName {
        RemoteName::generate(&NewBlob {
            volume_path,
            source: self.service.node.number(),
            time,
            size,
            crc,
            extension,
            random: entropy::random_u64(),
        })
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

/// The name of a slave, which must be free, and the store of its master, which must be there.
async fn slave_place<'a>(
    node: &'a Node,
    head: &SlaveHead,
) -> Result<(RemoteName, &'a PathStore), Failure> {
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
    if store
        .shared()
        .open_blob(&head.master.to_key())
        .await?
        .is_none()
    {
        return Err(StoreError::NotFound.into());
    }
    if store.shared().open_blob(&name.to_key()).await?.is_some() {
        return Err(StoreError::Exists.into());
    }
    Ok((name, store))
}
