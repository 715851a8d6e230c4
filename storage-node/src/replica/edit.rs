//! Changes of appenders, which have one order: that of the node that decides about them.

use std::ops::Range;

use bytes::Bytes;
use common::digest::Crc32;
use common::id::{NodeNumber, RemoteName, Source};
use tracing::{info, warn};

use super::group::{Gathered, GroupStore};
use super::link::Peer;
use super::message::{Answer as PeerAnswer, Carried, PeerChange, PeerEdit, Request};
use super::upload::Upload;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{Extent, IndexKey, Stamp, Version};
use crate::index::Index;
use crate::store::{Answer, Change, Content, Edit};

/// A change of an appender, with content that is at hand or was received in parts.
#[derive(Debug)]
pub enum GroupEdit {
    /// Bytes at the end.
    Append,
    /// Bytes in place of others, or beyond the end.
    Modify {
        /// Where, at most the length.
        offset: u64,
    },
}

impl GroupEdit {
    fn local(&self, content: Content) -> Edit {
        match self {
            Self::Append => Edit::Append(content),
            Self::Modify { offset } => Edit::Modify {
                offset: *offset,
                content,
            },
        }
    }

    fn remote(&self, content: Carried) -> PeerEdit {
        match self {
            Self::Append => PeerEdit::Append(content),
            Self::Modify { offset } => PeerEdit::Modify {
                offset: *offset,
                content,
            },
        }
    }
}

impl<D: Disk, I: Index> GroupStore<D, I> {
    /// Adds content of one record, or puts it in place of other bytes.
    ///
    /// # Errors
    ///
    /// What the store says; [`StoreError::Elsewhere`] if another node decides about the blob;
    /// [`StoreError::TooFewCopies`].
    ///
    /// # Cancel safety
    ///
    /// What was sent is not taken back.
    pub async fn edit(
        &self,
        key: Vec<u8>,
        time: u32,
        edit: &GroupEdit,
        content: Bytes,
    ) -> Result<Answer, StoreError> {
        let remote = edit.remote(Carried::Inline(content.clone()));
        let local = edit.local(Content::Inline(content));
        self.change(key, time, local, remote).await
    }

    /// Sets the length.
    ///
    /// # Errors
    ///
    /// As [`Self::edit`].
    ///
    /// # Cancel safety
    ///
    /// What was sent is not taken back.
    pub async fn truncate(&self, key: Vec<u8>, time: u32, len: u64) -> Result<Answer, StoreError> {
        let remote = PeerEdit::Truncate { len };
        self.change(key, time, Edit::Truncate { len }, remote).await
    }

    /// Gives the blob, of which a record at `expected` was seen, another name.
    ///
    /// # Errors
    ///
    /// As [`Self::edit`].
    ///
    /// # Cancel safety
    ///
    /// What was sent is not taken back.
    pub async fn rename(
        &self,
        key: Vec<u8>,
        time: u32,
        new: Vec<u8>,
        expected: Extent,
        crc: Crc32,
    ) -> Result<Answer, StoreError> {
        let local = Edit::Rename {
            key: new.clone(),
            expected: Some(expected),
            crc,
        };
        let remote = PeerEdit::Rename { key: new, crc };
        self.change(key, time, local, remote).await
    }

    /// Makes a blob of another name of ranges of the blob, which ends.
    ///
    /// # Errors
    ///
    /// As [`Self::edit`].
    ///
    /// # Cancel safety
    ///
    /// What was sent is not taken back.
    pub async fn arrange(
        &self,
        key: Vec<u8>,
        time: u32,
        new: Vec<u8>,
        ranges: Vec<Range<u64>>,
        crc: Crc32,
    ) -> Result<Answer, StoreError> {
        let local = Edit::Arrange {
            key: new.clone(),
            ranges: ranges.clone(),
            crc,
        };
        let remote = PeerEdit::Arrange {
            key: new,
            ranges,
            crc,
        };
        self.change(key, time, local, remote).await
    }

    async fn change(
        &self,
        key: Vec<u8>,
        time: u32,
        local: Edit,
        remote: PeerEdit,
    ) -> Result<Answer, StoreError> {
        let _order = self.replica.lock(&key).await;
        let term = self.term(&key).await?;
        let peers = self.replica.live_peers();
        self.replica.check_copies(peers.len())?;
        let base = self.base(&key, term).await?;
        let version = base.next(term);
        let mut names = vec![key.clone()];
        if let PeerEdit::Rename { key: new, .. } | PeerEdit::Arrange { key: new, .. } = &remote {
            // First: a peer that is told only that the old name ended has no copy of the blob.
            names.insert(0, new.clone());
        }
        let change = PeerChange::Edit { base, edit: remote };
        let request = self.request(&key, time, version, change);
        let calls = self.replica.send(peers, &request);
        let local = self.local.submit(Change::Edit {
            key: key.clone(),
            time,
            base: Some(base),
            version,
            edit: local,
        });
        let gathered = self.replica.gather(local, calls).await?;
        let least = self.replica.majority();
        self.settle(&names, base, least, gathered).await
    }

    /// Looks after the peers that had another version, and says what came of the change, which needs
    /// at least `least` copies whatever the settings say. `names` are all that it touched, a new one in
    /// front of the one that ended.
    pub(super) async fn settle(
        &self,
        names: &[Vec<u8>],
        base: Version,
        least: usize,
        mut gathered: Gathered,
    ) -> Result<Answer, StoreError> {
        for (peer, version) in std::mem::take(&mut gathered.behind) {
            if version.is_some_and(|version| base < version) {
                // Somebody decided beside this node: what it did here is not what counts.
                gathered.is_overruled = true;
                continue;
            }
            if self.have_taken(&peer, names).await {
                gathered.copies += 1;
            }
        }
        self.replica.judge(&gathered)?;
        let (wanted, copies) = (least, 1 + gathered.copies);
        if copies < wanted {
            return Err(StoreError::TooFewCopies { wanted, copies });
        }
        Ok(gathered.answer.unwrap_or(Answer::Done))
    }

    /// Has a peer fetch what is here under these names, one after the other. Whether it has all.
    async fn have_taken(&self, peer: &Peer, names: &[Vec<u8>]) -> bool {
        for name in names {
            let take = Request::Take {
                path: self.path,
                key: name.clone(),
            };
            match peer.ask(&self.replica.stamps, &take).await {
                Ok(PeerAnswer::Done | PeerAnswer::Known) => {}
                Ok(answer) => {
                    warn!(peer = %peer.number, ?answer, "a peer stays behind");
                    return false;
                }
                Err(error) => {
                    warn!(peer = %peer.number, %error, "a peer stays behind");
                    return false;
                }
            }
        }
        true
    }

    /// The version that the next change is made on. The first change of a term looks at the peers too:
    /// whoever decided before may have told only some of them.
    async fn base(&self, key: &[u8], term: Stamp) -> Result<Version, StoreError> {
        let own = if let Some(own) = self.version(key).await? {
            own
        } else {
            // Whoever does not answer, or is not known yet, may have it: that is another error.
            self.open_blob(key).await?;
            self.version(key).await?.ok_or(StoreError::NotFound)?
        };
        if term <= own.stamp {
            return Ok(own);
        }
        let mut answered = 1;
        for peer in self.replica.live_peers() {
            let find = Request::Find {
                path: self.path,
                key: key.to_vec(),
            };
            match peer.ask(&self.replica.stamps, &find).await {
                Ok(PeerAnswer::State { blob, tombstone }) => {
                    answered += 1;
                    let is_newer = blob.is_some_and(|blob| own < blob);
                    if is_newer || tombstone.is_some() {
                        self.fetch_from(&peer, key).await?;
                    }
                }
                Ok(answer) => {
                    warn!(peer = %peer.number, ?answer, "a peer does not say what it has");
                }
                Err(error) => {
                    info!(peer = %peer.number, %error, "a peer does not say what it has");
                }
            }
        }
        let wanted = self.replica.majority();
        if answered < wanted {
            return Err(StoreError::TooFewCopies {
                wanted,
                copies: answered,
            });
        }
        self.version(key).await?.ok_or(StoreError::NotFound)
    }

    /// The version of this node's copy.
    pub(super) async fn version(&self, key: &[u8]) -> Result<Option<Version>, StoreError> {
        let key = key.to_vec();
        self.shared()
            .blocking(move |shared| shared.version_of(IndexKey::Blob(&key)))
            .await
    }

    /// Since when this node decides about the appender.
    async fn term(&self, key: &[u8]) -> Result<Stamp, StoreError> {
        let replica = &self.replica;
        let name = RemoteName::from_key(self.path, key).ok_or(StoreError::NotFound)?;
        let source = match name.stem().source {
            Source::Node(number) => number,
            // Made by an original server, or with an address: its first node decides.
            Source::Address(_) => self.first_node(),
        };
        if let Some(term) = replica.terms().own(source.get()) {
            return Ok(term);
        }
        if source != replica.number && replica.peer(source).is_some_and(|peer| peer.link.is_up()) {
            return Err(StoreError::Elsewhere { node: source });
        }
        if source != replica.number && replica.peers().len() == 1 {
            // Of two nodes, only the one that accepted a blob changes it while they are apart.
            return Err(StoreError::Elsewhere { node: source });
        }
        if source != replica.number && !replica.has_met(source) {
            // New in the group, this node cannot say for the source how many nodes it counted on.
            return Err(StoreError::Elsewhere { node: source });
        }
        let term = replica.stamps.draw();
        let mut granted = 1;
        for peer in replica.live_peers() {
            let decide = Request::Decide {
                source: source.get(),
                term,
            };
            match peer.ask(&replica.stamps, &decide).await {
                Ok(PeerAnswer::Granted) => granted += 1,
                Ok(_) => return Err(StoreError::Elsewhere { node: source }),
                Err(error) => info!(peer = %peer.number, %error, "no answer to who decides"),
            }
        }
        let mut wanted = replica.majority();
        if wanted == 1 && replica.is_young() {
            // Of two nodes, one may go on alone, but not with what may be an old copy, or miss what the
            // other one did meanwhile.
            wanted = 1 + replica.peers().len();
        }
        if granted < wanted {
            return Err(StoreError::TooFewCopies {
                wanted,
                copies: granted,
            });
        }
        if source != replica.number {
            info!(%source, "this node decides about the appenders of a node that is out of reach");
        }
        replica.terms().begin(source.get(), term);
        Ok(term)
    }

    fn first_node(&self) -> NodeNumber {
        let peers = self.replica.peers();
        let numbers = peers.iter().map(|peer| peer.number);
        numbers.fold(self.replica.number, NodeNumber::min)
    }
}

impl<D: Disk, I: Index> Upload<D, I> {
    /// Makes the parts new bytes of an appender.
    ///
    /// # Errors
    ///
    /// As [`GroupStore::edit`].
    ///
    /// # Cancel safety
    ///
    /// What was sent is not taken back.
    pub async fn finish_edit(
        &mut self,
        key: Vec<u8>,
        edit: &GroupEdit,
    ) -> Result<Answer, StoreError> {
        let store = self.store.clone();
        let _order = store.replica.lock(&key).await;
        let term = store.term(&key).await?;
        let peers = self.complete().await;
        store.replica.check_copies(peers.len())?;
        let base = store.base(&key, term).await?;
        let version = base.next(term);
        let remote = edit.remote(self.carried());
        let change = PeerChange::Edit { base, edit: remote };
        let request = store.request(&key, self.time, version, change);
        let calls = store.replica.send(peers, &request);
        let edit = |content| edit.local(content);
        let local = self
            .parts
            .finish_edit(key.clone(), Some(base), version, edit);
        let gathered = store.replica.gather(local, calls).await?;
        self.taken();
        let least = store.replica.majority();
        store.settle(&[key], base, least, gathered).await
    }
}
