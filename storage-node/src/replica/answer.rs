//! What a node does for its peers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::code::ErrorCode;
use common::digest::Crc32;
use common::id::{NodeNumber, RemoteName, Source, VolumePath};
use common::limits;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::group::{GroupStore, Replica};
use super::message::{
    Answer, Carried, Entry, Found, LogPlace, Parcel, PeerChange, PeerEdit, Request, version_for,
};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{IndexKey, Position, Stamp, Version};
use crate::index::Index;
use crate::store::{
    self, BlobContent, Change, Condition, Content, Edit, LogEntry, OpenBlob, PendingParts,
};

/// Longest wait for something new in the log.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

impl<D: Disk, I: Index> Replica<D, I> {
    /// Answers a peer. What is malformed is refused.
    ///
    /// # Cancel safety
    ///
    /// A change that has begun may be made.
    pub async fn answer(self: &Arc<Self>, peer: NodeNumber, parcel: Parcel) -> Parcel {
        let answer = match Request::decode(parcel) {
            Ok((stamp, request)) => {
                self.stamps.see(stamp);
                self.carry_out(peer, request).await
            }
            Err(error) => {
                warn!(%peer, %error, "a request of a peer is refused");
                Ok(refused(ErrorCode::Invalid))
            }
        };
        let answer = answer.unwrap_or_else(|error| {
            debug!(%peer, %error, "a request of a peer failed");
            refused(error.code())
        });
        answer.encode(self.stamps.last())
    }

    /// Forgets what a peer had under way: its connection ended.
    pub fn peer_left(&self, peer: NodeNumber) {
        self.transfers.forget(peer);
    }

    /// Has this node ask anew who decides, for the peers that answer are others by now, and has those
    /// followed at once to which there is a way.
    pub fn peers_changed(&self) {
        self.terms().forget_own();
        self.ways.notify_waiters();
    }

    async fn carry_out(
        self: &Arc<Self>,
        peer: NodeNumber,
        request: Request,
    ) -> Result<Answer, StoreError> {
        match request {
            Request::Part {
                transfer,
                path,
                time,
                payload,
            } => {
                let store = self.group_store(path)?;
                let known = self.transfers.take(peer, transfer);
                let mut parts = known.unwrap_or_else(|| store.local.parts(time));
                parts.push(payload).await?;
                if self.transfers.put(peer, transfer, parts) {
                    Ok(Answer::Done)
                } else {
                    Ok(refused(ErrorCode::Busy))
                }
            }
            Request::Drop { transfer } => {
                self.transfers.take(peer, transfer);
                Ok(Answer::Done)
            }
            Request::Apply {
                path,
                key,
                time,
                version,
                change,
            } => {
                let store = self.group_store(path)?;
                self.stamps.see(version.stamp);
                self.apply(&store, peer, key, time, version, change).await
            }
            Request::Log {
                path,
                from,
                patience,
            } => {
                let patience = Duration::from_millis(patience.into()).min(PATIENCE_MAX);
                let store = self.group_store(path)?;
                store.log_for(peer, from, patience).await
            }
            Request::Compare {
                path,
                prefix,
                from,
                to,
                count,
                digest,
            } => {
                let store = self.group_store(path)?;
                let is_listed = [IndexKey::BLOB, IndexKey::METADATA, IndexKey::TOMBSTONE];
                if !is_listed.contains(&prefix) {
                    return Ok(refused(ErrorCode::Invalid));
                }
                let most = self.portions().entries;
                let page = store
                    .shared()
                    .blocking(move |shared| shared.index_page(prefix, &from, to.as_deref(), most))
                    .await?;
                let is_same = page.next.is_none()
                    && page.entries.len() as u64 == count
                    && digest_of(&page.entries) == digest;
                Ok(if is_same {
                    Answer::Same
                } else {
                    Answer::Entries {
                        entries: page.entries.into_iter().map(Entry::from).collect(),
                        next: page.next,
                    }
                })
            }
            Request::Fetch { path, names } => {
                let store = self.group_store(path)?;
                store.fetched(names).await
            }
            Request::Read {
                path,
                key,
                version,
                range,
            } => {
                let store = self.group_store(path)?;
                let len = range.end.saturating_sub(range.start);
                let blob = store.shared().open_blob(&key).await?;
                let blob = blob.filter(|blob| blob.version == version);
                match blob {
                    Some(blob)
                        if range.end <= blob.len()
                            && len <= limits::RECORD_PAYLOAD_LEN_MAX as u64 =>
                    {
                        let bytes = bytes_of(&blob, range).await;
                        if let Err(StoreError::Read(_)) = bytes {
                            store.shared().note_damaged(IndexKey::Blob(&key));
                        }
                        Ok(Answer::Range(bytes?))
                    }
                    Some(_) => Ok(refused(ErrorCode::Invalid)),
                    None => Ok(refused(ErrorCode::NotFound)),
                }
            }
            Request::Find { path, key } => {
                let store = self.group_store(path)?;
                let state = move |shared: &store::Shared<D, I>| {
                    Ok(Answer::State {
                        blob: shared.version_of(IndexKey::Blob(&key))?,
                        tombstone: shared.version_of(IndexKey::Tombstone(&key))?,
                    })
                };
                store.shared().blocking(state).await
            }
            Request::Take { path, key } => {
                let store = self.group_store(path)?;
                let Some(peer) = self.peer(peer) else {
                    return Ok(refused(ErrorCode::Unavailable));
                };
                store.fetch_from(&peer, &key).await?;
                Ok(Answer::Done)
            }
            Request::Decide { source, term } => Ok(self.decide(peer, source, term)),
            Request::Ping { version } => Ok(Answer::Pong {
                version: version_for(version),
            }),
        }
    }

    fn group_store(self: &Arc<Self>, path: VolumePath) -> Result<GroupStore<D, I>, StoreError> {
        self.store(path).ok_or(StoreError::NotFound)
    }

    /// Whether a peer may decide about the appenders of a node: its own, and those of a node that
    /// cannot be reached from here either.
    fn decide(&self, peer: NodeNumber, source: u32, term: Stamp) -> Answer {
        let number = NodeNumber::try_from(source).ok();
        let is_own = number == Some(peer);
        let is_here = number == Some(self.number);
        let is_near = number
            .and_then(|number| self.peer(number))
            .is_some_and(|peer| peer.link.is_up());
        // A source that never knew of this node counts on fewer nodes, and may have changed its
        // appenders without them.
        let is_known = number.is_none_or(|number| self.has_met(number));
        if !is_own && (is_here || is_near || !is_known) {
            return Answer::Overruled;
        }
        if self.terms().grant(source, term) {
            Answer::Granted
        } else {
            Answer::Overruled
        }
    }

    async fn apply(
        self: &Arc<Self>,
        store: &GroupStore<D, I>,
        peer: NodeNumber,
        key: Vec<u8>,
        time: u32,
        version: Version,
        change: PeerChange,
    ) -> Result<Answer, StoreError> {
        let done = match change {
            PeerChange::Put {
                in_parts: false,
                content: Carried::Inline(payload),
                crc,
            } => {
                if Crc32::of(&payload) != crc {
                    return Ok(refused(ErrorCode::Interrupted));
                }
                let change = Change::Blob {
                    key,
                    time,
                    version,
                    payload,
                    crc,
                    condition: Condition::Newer,
                };
                store.local.submit(change).await
            }
            PeerChange::Put {
                content: Carried::Transfer { id, .. },
                crc,
                ..
            } => match self.received(store, peer, id, crc, time) {
                Some(mut parts) => parts.finish(key, version, Condition::Newer).await,
                None => return Ok(refused(ErrorCode::Interrupted)),
            },
            PeerChange::Put { .. } => return Ok(refused(ErrorCode::Invalid)),
            PeerChange::Edit { base, edit } => {
                return self
                    .apply_edit(store, peer, key, time, (base, version), edit)
                    .await;
            }
            PeerChange::Metadata(packed) => {
                if limits::METADATA_LEN_MAX < packed.len() {
                    return Ok(refused(ErrorCode::Invalid));
                }
                let change = Change::Metadata {
                    key: key.clone(),
                    time,
                    version,
                    change: Box::new(move |_| Some(packed)),
                    condition: Condition::Newer,
                };
                let name = key.clone();
                let done = store.local.submit(change).await;
                if let Ok(store::Answer::Known) = done {
                    // The same, or one that somebody else decided beside this one.
                    let look = move |shared: &store::Shared<D, I>| {
                        shared.version_of(IndexKey::Metadata(&name))
                    };
                    let known = store.shared().blocking(look).await?;
                    if known.is_some_and(|known| version < known) {
                        return Ok(Answer::Behind { version: known });
                    }
                }
                done
            }
            PeerChange::Delete => {
                let change = Change::Delete {
                    key,
                    time,
                    version,
                    condition: Condition::Newer,
                };
                store.local.submit(change).await
            }
        };
        match done {
            Ok(store::Answer::Known) => Ok(Answer::Known),
            Ok(_) => Ok(Answer::Done),
            Err(StoreError::Deleted) => Ok(Answer::Deleted),
            Err(StoreError::NotFound) => Ok(Answer::Behind { version: None }),
            Err(error) => Err(error),
        }
    }

    /// What a peer sent before, if it is all there.
    fn received(
        &self,
        store: &GroupStore<D, I>,
        peer: NodeNumber,
        transfer: u64,
        crc: Crc32,
        time: u32,
    ) -> Option<PendingParts<D, I>> {
        let parts = self.transfers.take(peer, transfer);
        // An appender without bytes is made of no parts.
        let parts = parts.unwrap_or_else(|| store.local.parts(time));
        (parts.crc() == crc).then_some(parts)
    }

    async fn apply_edit(
        self: &Arc<Self>,
        store: &GroupStore<D, I>,
        peer: NodeNumber,
        key: Vec<u8>,
        time: u32,
        (base, version): (Version, Version),
        edit: PeerEdit,
    ) -> Result<Answer, StoreError> {
        let source = RemoteName::from_key(store.path, &key).map(|name| name.stem().source);
        if let Some(Source::Node(number)) = source
            && !self.terms().allows(number.get(), version.stamp)
        {
            return Ok(Answer::Overruled);
        }
        let (base_version, found) = (base, store.version(&key).await?);
        if found != Some(base_version) {
            return Ok(match found {
                Some(found) if version <= found => Answer::Known,
                found => Answer::Behind { version: found },
            });
        }
        let base = Some(base_version);
        let edited = match edit {
            PeerEdit::Append(Carried::Transfer { id, crc }) => {
                let Some(mut parts) = self.received(store, peer, id, crc, time) else {
                    return Ok(refused(ErrorCode::Interrupted));
                };
                parts
                    .finish_edit(key.clone(), base, version, Edit::Append)
                    .await
            }
            PeerEdit::Modify {
                offset,
                content: Carried::Transfer { id, crc },
            } => {
                let Some(mut parts) = self.received(store, peer, id, crc, time) else {
                    return Ok(refused(ErrorCode::Interrupted));
                };
                let edit = |content| Edit::Modify { offset, content };
                parts.finish_edit(key.clone(), base, version, edit).await
            }
            edit @ (PeerEdit::Append(Carried::Inline(_))
            | PeerEdit::Modify { .. }
            | PeerEdit::Truncate { .. }
            | PeerEdit::Rename { .. }
            | PeerEdit::Arrange { .. }) => {
                let edit = match edit {
                    PeerEdit::Append(Carried::Inline(bytes)) => {
                        Edit::Append(Content::Inline(bytes))
                    }
                    PeerEdit::Modify {
                        offset,
                        content: Carried::Inline(bytes),
                    } => Edit::Modify {
                        offset,
                        content: Content::Inline(bytes),
                    },
                    PeerEdit::Truncate { len } => Edit::Truncate { len },
                    PeerEdit::Rename { key, crc } => Edit::Rename {
                        key,
                        expected: None,
                        crc,
                    },
                    PeerEdit::Arrange { key, ranges, crc } => Edit::Arrange { key, ranges, crc },
                    PeerEdit::Append(_) | PeerEdit::Modify { .. } => {
                        return Ok(refused(ErrorCode::Invalid));
                    }
                };
                let change = Change::Edit {
                    key: key.clone(),
                    time,
                    base,
                    version,
                    edit,
                };
                store.local.submit(change).await
            }
        };
        match edited {
            Ok(_) => Ok(Answer::Done),
            Err(StoreError::Deleted) => Ok(Answer::Deleted),
            // Changed between the look and the change.
            Err(StoreError::Conflict | StoreError::NotFound | StoreError::Exists) => {
                Ok(Answer::Behind {
                    version: store.version(&key).await?,
                })
            }
            Err(error) => Err(error),
        }
    }
}

impl<D: Disk, I: Index> GroupStore<D, I> {
    async fn log_for(
        &self,
        peer: NodeNumber,
        from: Option<LogPlace>,
        patience: Duration,
    ) -> Result<Answer, StoreError> {
        let shared = self.shared();
        let log = shared.log_number();
        let mut log_end = shared.log_end();
        let Some(from) = from.filter(|from| from.log == log) else {
            return Ok(self.log_begins());
        };
        let most = self.replica.portions().entries;
        let read = move || {
            shared.blocking(move |shared: &store::Shared<D, I>| shared.log(from.position, most))
        };
        log_end.mark_unchanged();
        let mut page = read().await?;
        if page.as_ref().is_some_and(|page| page.next == from.position) {
            // Nothing new: the answer is given when there is, or to say that there still is not.
            let _ = timeout(patience, log_end.changed()).await;
            page = read().await?;
        }
        let Some(page) = page else {
            return Ok(self.log_begins());
        };
        self.replica.follows(peer, self.path, from.position);
        Ok(Answer::Log {
            entries: page.entries.into_iter().map(Entry::from).collect(),
            next: LogPlace {
                log,
                position: page.next,
            },
            behind: page.behind,
            is_new: false,
            live_bytes: 0,
        })
    }

    /// Where a peer begins that knows no place in this log.
    fn log_begins(&self) -> Answer {
        Answer::Log {
            entries: Vec::new(),
            next: LogPlace {
                log: self.shared().log_number(),
                position: *self.shared().log_end().borrow(),
            },
            behind: 0,
            is_new: true,
            live_bytes: self.shared().status().live_bytes,
        }
    }

    async fn fetched(&self, names: Vec<(u8, Vec<u8>)>) -> Result<Answer, StoreError> {
        let most = self.replica.portions().content_len;
        let mut pieces: Vec<Bytes> = Vec::new();
        let mut len = 0;
        let mut found = Vec::with_capacity(names.len());
        for (prefix, key) in names {
            if most <= len {
                found.push(Found::Later);
                continue;
            }
            let (one, bytes) = match self.found(prefix, &key).await {
                Ok(found) => found,
                Err(StoreError::Read(error)) => {
                    warn!(%error, "a peer asks for what is damaged here");
                    self.shared().note_damaged(IndexKey::Blob(&key));
                    (Found::Damaged, Bytes::new())
                }
                // Changed while it was read.
                Err(StoreError::Conflict) => (Found::Later, Bytes::new()),
                Err(error) => return Err(error),
            };
            // The first one always fits, so every request makes some way.
            if len != 0 && most < len + bytes.len() {
                found.push(Found::Later);
                continue;
            }
            len += bytes.len();
            pieces.push(bytes);
            found.push(one);
        }
        // A long one goes out as it lies in the volume.
        let payload = match pieces.as_slice() {
            [one] => one.clone(),
            pieces => {
                let mut payload = BytesMut::with_capacity(len);
                for piece in pieces {
                    payload.extend_from_slice(piece);
                }
                payload.freeze()
            }
        };
        Ok(Answer::Fetched { found, payload })
    }

    async fn found(&self, prefix: u8, key: &[u8]) -> Result<(Found, Bytes), StoreError> {
        let whole = |version, time, in_parts, bytes: Bytes| {
            let found = Found::Whole {
                version,
                time,
                in_parts,
                crc: Crc32::of(&bytes),
                // Records and short blobs are far below the limit.
                len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            };
            (found, bytes)
        };
        if prefix == IndexKey::METADATA {
            let metadata = self.shared().metadata_record(key).await?;
            return Ok(metadata.map_or((Found::Nothing, Bytes::new()), |record| {
                whole(
                    record.header.version,
                    record.header.time,
                    false,
                    record.payload,
                )
            }));
        }
        let Some(blob) = self.shared().open_blob(key).await? else {
            return Ok((Found::Nothing, Bytes::new()));
        };
        Ok(match &blob.content {
            BlobContent::Record(payload) => whole(blob.version, blob.time, false, payload.clone()),
            BlobContent::Manifest(_) if blob.len() <= self.replica.portions().whole_len => {
                let bytes = bytes_of(&blob, 0..blob.len()).await?;
                whole(blob.version, blob.time, true, bytes)
            }
            BlobContent::Manifest(manifest) => {
                let long = Found::Long {
                    version: blob.version,
                    time: blob.time,
                    crc: manifest.crc,
                    len: blob.len(),
                };
                (long, Bytes::new())
            }
        })
    }
}

async fn bytes_of<D: Disk, I: Index>(
    blob: &OpenBlob<D, I>,
    range: std::ops::Range<u64>,
) -> Result<Bytes, StoreError> {
    let len = usize::try_from(range.end - range.start).unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(len);
    let mut pieces = blob.pieces(range);
    while let Some(piece) = pieces.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// The digest of entries of the index: the same if names and versions are.
pub(super) fn digest_of(entries: &[LogEntry]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for entry in entries {
        // Keys have at most 128 bytes.
        let len = u8::try_from(entry.key.len()).unwrap_or(u8::MAX);
        hasher.update(&[len]);
        hasher.update(&entry.key);
        hasher.update(&entry.version.stamp.0.to_be_bytes());
        hasher.update(&entry.version.edit.to_be_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn refused(code: ErrorCode) -> Answer {
    Answer::Refused(code.wire_status().0)
}

impl From<LogEntry> for Entry {
    fn from(entry: LogEntry) -> Self {
        let LogEntry { says, key, version } = entry;
        Self { says, key, version }
    }
}

/// How far a peer has followed a log.
pub(super) type Followed = std::collections::BTreeMap<(NodeNumber, VolumePath), Position>;
