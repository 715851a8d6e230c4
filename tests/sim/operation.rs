//! What a client asks for, and how a node does it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::digest::Crc32;
use common::id::{Extension, GroupName, NewBlob, RemoteName};
use storage_node::error::StoreError;
use storage_node::replica::GroupEdit;

use crate::node::{NodeProcess, SimStore};
use crate::random::locked;
use crate::world::PATH;

/// Names that are drawn before an upload is given up, as the node does.
const NAMES_MAX: usize = 10;

/// What a new blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Appender,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// The node chooses the name.
    Upload(Kind),
    /// The name is known before.
    Slave,
    Append {
        in_parts: bool,
    },
    /// The appender becomes a normal blob, whole or as an arrangement of all its bytes.
    Rename {
        arranges: bool,
    },
    Delete,
    Metadata,
    Read,
}

/// An operation as a node gets it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) group: GroupName,
    pub(crate) operation: Operation,
    /// The blob, if it has a name.
    pub(crate) name: Option<RemoteName>,
    pub(crate) text: String,
    /// Names that nodes drew for it: it may be there under each of them.
    pub(crate) drawn: Arc<Mutex<Vec<RemoteName>>>,
}

/// What a node answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answered {
    /// The name that the blob got.
    pub(crate) name: Option<RemoteName>,
    /// What was read; `None` if there is no such blob.
    pub(crate) found: Option<String>,
}

/// All bytes of a blob, from wherever they are.
pub(crate) async fn read(store: &SimStore, key: &[u8]) -> Result<Option<String>, StoreError> {
    let Some(blob) = store.open(key).await? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let mut pieces = store.pieces(key.to_vec(), &blob, 0..blob.len());
    while let Some(piece) = pieces.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Does what a client asks, at the node that it was sent to.
pub(crate) async fn carry_out(
    node: Arc<NodeProcess>,
    asked: Asked,
) -> Result<Answered, StoreError> {
    if node.group != asked.group {
        // Another group's blob.
        return Err(StoreError::OutOfReach);
    }
    let store = node.store();
    let time = u32::try_from(node.replica.now() / 1_000_000).unwrap_or(u32::MAX);
    let Asked {
        operation,
        name,
        text,
        drawn,
        ..
    } = asked;
    let bytes = Bytes::from(text.clone().into_bytes());
    if let Operation::Upload(kind) = operation {
        let name = upload(&node, &store, time, kind, bytes, &drawn).await?;
        return Ok(Answered {
            name: Some(name),
            found: None,
        });
    }
    let name = name.expect("all others are about a blob");
    let key = name.to_key();
    let mut answered = Answered::default();
    match operation {
        Operation::Upload(_) => {}
        Operation::Read => answered.found = read(&store, &key).await?,
        Operation::Delete => store.delete(key, time).await?,
        Operation::Metadata => {
            let change = Box::new(move |_: &[u8]| Some(text.into_bytes()));
            store.change_metadata(key, time, change).await?;
        }
        Operation::Slave => {
            let crc = Crc32::of(&bytes);
            store.put(key, time, bytes, crc).await?;
        }
        Operation::Rename { arranges } => {
            answered.name = Some(rename(&node, &store, name, time, arranges, &drawn).await?);
        }
        Operation::Append { in_parts: true } => {
            let mut upload = store.parts(time);
            let (first, second) = (bytes.slice(..5), bytes.slice(5..));
            upload.push(first).await?;
            upload.push(second).await?;
            upload.finish_edit(key, &GroupEdit::Append).await?;
        }
        Operation::Append { in_parts: false } => {
            store.edit(key, time, &GroupEdit::Append, bytes).await?;
        }
    }
    Ok(answered)
}

/// Stores a new blob under a name that is free.
async fn upload(
    node: &NodeProcess,
    store: &SimStore,
    time: u32,
    kind: Kind,
    bytes: Bytes,
    drawn: &Mutex<Vec<RemoteName>>,
) -> Result<RemoteName, StoreError> {
    let crc = Crc32::of(&bytes);
    let is_long = bytes[7].is_multiple_of(3);
    let size = match kind {
        Kind::Normal => Some(bytes.len() as u64),
        Kind::Appender => None,
    };
    for _ in 0..NAMES_MAX {
        let name = RemoteName::generate(&NewBlob {
            volume_path: PATH,
            source: node.number,
            time,
            size,
            crc,
            extension: Extension::default(),
            random: node.random(),
        });
        locked(drawn).push(name);
        let stored = if kind == Kind::Appender || is_long {
            let mut upload = store.parts(time);
            let (first, second) = (bytes.slice(..4), bytes.slice(4..));
            upload.push(first).await?;
            upload.push(second).await?;
            upload.finish(name.to_key()).await
        } else {
            store.put(name.to_key(), time, bytes.clone(), crc).await
        };
        match stored {
            Err(StoreError::Exists) => {
                locked(drawn).pop();
            }
            stored => return stored.map(|()| name),
        }
    }
    Err(StoreError::Exists)
}

/// Makes a normal blob of an appender.
async fn rename(
    node: &NodeProcess,
    store: &SimStore,
    name: RemoteName,
    time: u32,
    arranges: bool,
    drawn: &Mutex<Vec<RemoteName>>,
) -> Result<RemoteName, StoreError> {
    let key = name.to_key();
    let blob = store.open_blob(&key).await?.ok_or(StoreError::NotFound)?;
    let crc = blob.checksum().await?;
    let new = name.regenerated(node.number, time, blob.len(), crc, node.random());
    locked(drawn).push(new);
    if arranges {
        let half = blob.len() / 2;
        let ranges = vec![0..half, half..blob.len()];
        store.arrange(key, time, new.to_key(), ranges, crc).await?;
    } else {
        let done = store.rename(key, time, new.to_key(), blob.extent, crc);
        done.await?;
    }
    Ok(new)
}
