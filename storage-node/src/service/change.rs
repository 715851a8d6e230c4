//! Append, modify, truncate, regenerate, delete, set metadata. Source: docs/wire.md, changes.

use std::sync::Arc;

use common::code::ErrorCode;
use common::env::{clock, entropy};
use common::id::{BlobKind, RemoteName};
use common::limits;
use common::rpc::ConnectionError;
use common::wire::storage::{
    AppendHead, BlobRequest, Metadata, MetadataMode, ModifyHead, RegenerateRequest, SetMetadata,
    StoredResponse, TruncateRequest,
};
use common::wire::{Header, Status};

use super::{Content, Failure, Outcome, Session, Unread};
use crate::counters::Tally;
use crate::error::StoreError;
use crate::node::Node;
use crate::replica::{GroupEdit, GroupStore};

/// Times that a regenerate begins anew when the appender changes under it.
const REGENERATE_TRIES: usize = 5;

impl Session {
    pub(super) async fn append(&mut self, header: &Header) -> Result<Outcome, ConnectionError> {
        let head: AppendHead = match self.head(header).await? {
            Ok(head) => head,
            Err(outcome) => return Ok(outcome),
        };
        let node = Arc::clone(&self.service.node);
        let tallies = (&node.counters.append, &node.counters.append_bytes);
        self.edit(
            &node,
            head.name,
            head.size,
            tallies,
            |_| Ok(()),
            &GroupEdit::Append,
        )
        .await
    }

    pub(super) async fn modify(&mut self, header: &Header) -> Result<Outcome, ConnectionError> {
        let head: ModifyHead = match self.head(header).await? {
            Ok(head) => head,
            Err(outcome) => return Ok(outcome),
        };
        let node = Arc::clone(&self.service.node);
        let tallies = (&node.counters.modify, &node.counters.modify_bytes);
        let offset = head.offset;
        let check = |len: u64| {
            if offset <= len {
                Ok(())
            } else {
                Err(StoreError::OutOfRange { offset, len })
            }
        };
        let edit = GroupEdit::Modify { offset };
        self.edit(&node, head.name, head.size, tallies, check, &edit)
            .await
    }

    /// Streams `size` bytes of content into a change of an appender.
    async fn edit(
        &mut self,
        node: &Node,
        name: RemoteName,
        size: u64,
        (count, bytes): (&Tally, &Tally),
        check: impl FnOnce(u64) -> Result<(), StoreError>,
        edit: &GroupEdit,
    ) -> Result<Outcome, ConnectionError> {
        let time = clock::unix_seconds();
        let store = match editable(node, &name, size, check).await {
            Ok(store) => store,
            Err(failure) => {
                let unread = size;
                return Ok(Unread { failure, unread }.refused(count));
            }
        };
        let changed = match self.content(store, size, time).await? {
            Err(unread) => return Ok(unread.refused(count)),
            Ok(Content::Inline(payload)) => store.edit(name.to_key(), time, edit, payload).await,
            Ok(Content::Parts(mut parts)) => parts.finish_edit(name.to_key(), edit).await,
        };
        bytes.add(size, changed.is_ok());
        let changed = changed.map(drop).map_err(Failure::from);
        Ok(self.changed(count, changed, time))
    }

    pub(super) async fn truncate(&mut self, header: &Header) -> Result<Outcome, ConnectionError> {
        let Some(body) = self.body(header).await? else {
            return Ok(too_long(header));
        };
        let node = Arc::clone(&self.service.node);
        let time = clock::unix_seconds();
        let changed = truncate(&node, &body, time).await;
        Ok(self.changed(&node.counters.truncate, changed, time))
    }

    pub(super) async fn regenerate(&mut self, header: &Header) -> Result<Outcome, ConnectionError> {
        let Some(body) = self.body(header).await? else {
            return Ok(too_long(header));
        };
        let node = Arc::clone(&self.service.node);
        let renamed = match RegenerateRequest::decode(&body) {
            Ok(request) => rename(&node, &request.name).await,
            Err(error) => Err(error.into()),
        };
        Ok(match renamed {
            Ok(name) => {
                node.counters.note_change(clock::unix_seconds());
                StoredResponse {
                    group: node.group,
                    name,
                }
                .encode(&mut self.out);
                Outcome::Body
            }
            Err(failure) => Outcome::Status(failure.status()),
        })
    }

    pub(super) async fn delete(&mut self, header: &Header) -> Result<Outcome, ConnectionError> {
        let Some(body) = self.body(header).await? else {
            return Ok(too_long(header));
        };
        let node = Arc::clone(&self.service.node);
        let time = clock::unix_seconds();
        let changed = delete(&node, &body, time).await;
        Ok(self.changed(&node.counters.delete, changed, time))
    }

    pub(super) async fn set_metadata(
        &mut self,
        header: &Header,
    ) -> Result<Outcome, ConnectionError> {
        let Some(body) = self.body(header).await? else {
            return Ok(too_long(header));
        };
        let node = Arc::clone(&self.service.node);
        let time = clock::unix_seconds();
        let changed = set_metadata(&node, &body, time).await;
        Ok(self.changed(&node.counters.set_metadata, changed, time))
    }

    /// The empty answer to a change.
    fn changed(&self, count: &Tally, changed: Result<(), Failure>, time: u32) -> Outcome {
        count.add(1, changed.is_ok());
        match changed {
            Ok(()) => {
                self.service.node.counters.note_change(time);
                Outcome::Status(Status::OK)
            }
            Err(failure) => Outcome::Status(failure.status()),
        }
    }
}

/// The refusal of a body that does not fit a packet.
pub(super) fn too_long(header: &Header) -> Outcome {
    Outcome::Refused {
        status: Status::INVALID,
        unread: header.body_len,
    }
}

/// The store of `name`, if `group` is the node's own.
pub(super) fn store_in_group<'a>(
    node: &'a Node,
    group: common::id::GroupName,
    name: &RemoteName,
) -> Result<&'a GroupStore, Failure> {
    if group != node.group {
        return Err(Failure::Rule("another group's blob", ErrorCode::Invalid));
    }
    node.store_of(name)
        .ok_or(Failure::Rule("no such volume path", ErrorCode::Invalid))
}

/// The store and length of an appender. A missing one is told before one of another kind.
pub(super) async fn appender<'a>(
    node: &'a Node,
    name: &RemoteName,
) -> Result<(&'a GroupStore, u64), Failure> {
    let store = store_in_group(node, node.group, name)?;
    let blob = store
        .open_blob(&name.to_key())
        .await?
        .ok_or(StoreError::NotFound)?;
    if name.kind() != BlobKind::Appender {
        return Err(StoreError::NotAppender.into());
    }
    Ok((store, blob.len()))
}

/// Makes an appender a normal blob, and gives its new name.
async fn rename(node: &Node, name: &RemoteName) -> Result<RemoteName, Failure> {
    for _ in 0..REGENERATE_TRIES {
        let (store, _) = appender(node, name).await?;
        let blob = store
            .open_blob(&name.to_key())
            .await?
            .ok_or(StoreError::NotFound)?;
        let crc = blob.checksum().await?;
        let time = clock::unix_seconds();
        let random = entropy::random_u64();
        let new = name.regenerated(node.number(), time, blob.len(), crc, random);
        let renamed = store.rename(name.to_key(), time, new.to_key(), blob.extent, crc);
        match renamed.await {
            Ok(_) => return Ok(new),
            // Changed or moved while its checksum was computed, or a name that is taken.
            Err(StoreError::Conflict | StoreError::Exists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

/// The store of an appender that takes `size` more bytes, if `check` likes its length.
async fn editable<'a>(
    node: &'a Node,
    name: &RemoteName,
    size: u64,
    check: impl FnOnce(u64) -> Result<(), StoreError>,
) -> Result<&'a GroupStore, Failure> {
    let (store, len) = appender(node, name).await?;
    check(len)?;
    node.store_for_upload(Some(name.volume_path()), size)?;
    Ok(store)
}

async fn truncate(node: &Node, body: &[u8], time: u32) -> Result<(), Failure> {
    let request = TruncateRequest::decode(body)?;
    let (store, _) = appender(node, &request.name).await?;
    let key = request.name.to_key();
    store.truncate(key, time, request.size).await?;
    Ok(())
}

async fn delete(node: &Node, body: &[u8], time: u32) -> Result<(), Failure> {
    let request = BlobRequest::decode(body)?;
    let store = store_in_group(node, request.group, &request.name)?;
    Ok(store.delete(request.name.to_key(), time).await?)
}

async fn set_metadata(node: &Node, body: &[u8], time: u32) -> Result<(), Failure> {
    let request = SetMetadata::decode(body)?;
    let store = store_in_group(node, request.group, &request.name)?;
    let newer = request.metadata();
    let mode = request.mode;
    let change = move |before: &[u8]| {
        let after = match mode {
            MetadataMode::Overwrite => newer,
            MetadataMode::Merge => Metadata::parse(before).merged(&newer),
        };
        let packed = after.as_bytes();
        // What no answer could carry is not stored.
        (packed.len() <= limits::METADATA_LEN_MAX).then(|| packed.to_vec())
    };
    let key = request.name.to_key();
    Ok(store.change_metadata(key, time, Box::new(change)).await?)
}
