//! Blobs in a map, for tests: nothing is slow, and everything fails when it is told to.
#![cfg_attr(
    not(test),
    allow(
        dead_code,
        reason = "the feature compiles the double for whoever wants it; not all of it need be used"
    )
)]

mod staging;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use common::code::ErrorCode;
use common::digest::Crc32;
use common::env::{clock, entropy};
use common::id::{Extension, FileId, GroupName, NewBlob, NodeNumber, RemoteName, VolumePath};
use common::web::download::{BlobFacts, Version};
use common::web::operations::Readiness;
use common::web::source::{BlobSource, Content, NoReader, Opened, SourceError};

pub(crate) use staging::MemoryExtension;

use super::{BlobWriter, Blobs, BlobsError, ClusterState, Piece, PreparedBlob};

/// Where a failure can be wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Opening a blob.
    Open,
    /// Beginning an upload.
    Begin,
    /// Each write of content.
    Write,
    /// The end of the content.
    Finish,
    /// The commit, of whatever was prepared; nothing comes of it.
    Commit,
    /// The answer to a commit: it was done, the caller does not know.
    CommitAnswer,
    /// Preparing a staging blob.
    Stage,
    /// Beginning an extension.
    Extend,
    /// Each write of an extension.
    ExtendWrite,
    /// The end of an extension; nothing is appended.
    ExtendFinish,
    /// The answer to an extension: its content is appended, the caller does not know.
    ExtendAnswer,
    /// Preparing an arrangement.
    Arrange,
    /// A delete; the blob stays.
    Delete,
    /// The answer to a delete: the blob is gone, the caller does not know.
    DeleteAnswer,
    /// The question whether a blob exists.
    Exists,
    /// The question for the cluster's state, and for readiness.
    Cluster,
}

/// Blobs in a map. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBlobs {
    state: Arc<Mutex<State>>,
    group: GroupName,
    node: NodeNumber,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<FileId, Bytes>,
    failures: BTreeMap<Step, ErrorCode>,
    /// Names of uploads that are prepared: never given out twice.
    prepared: BTreeSet<FileId>,
    /// What [`Blobs::cluster`] answers.
    cluster: ClusterState,
}

impl MemoryBlobs {
    /// No blobs, in the group `group` and of the node `node`.
    pub(crate) fn new(group: GroupName, node: NodeNumber) -> Self {
        Self {
            state: Arc::default(),
            group,
            node,
        }
    }

    /// From now on `step` fails with `code`, until [`Self::heal`].
    pub(crate) fn fail(&self, step: Step, code: ErrorCode) {
        self.lock().failures.insert(step, code);
    }

    /// From now on everything works.
    pub(crate) fn heal(&self) {
        self.lock().failures.clear();
    }

    /// What [`Blobs::cluster`] answers from now on.
    pub(crate) fn set_cluster(&self, cluster: ClusterState) {
        self.lock().cluster = cluster;
    }

    /// All blobs that exist.
    pub(crate) fn ids(&self) -> Vec<FileId> {
        self.lock().blobs.keys().copied().collect()
    }

    /// The bytes of a blob, if it exists.
    pub(crate) fn bytes(&self, id: &FileId) -> Option<Bytes> {
        self.lock().blobs.get(id).cloned()
    }

    /// Uploads that were prepared and neither committed nor given up.
    pub(crate) fn prepared_count(&self) -> usize {
        self.lock().prepared.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, step: Step) -> Result<(), BlobsError> {
        match self.lock().failures.get(&step) {
            Some(code) => Err(BlobsError::Wanted(*code)),
            None => Ok(()),
        }
    }

    /// Draws a name for what a commit will make a blob. Without a size it is a name for a blob that
    /// can be extended.
    fn prepare(
        &self,
        becoming: Becoming,
        size: Option<u64>,
        crc: Crc32,
        extension: Extension,
    ) -> PreparedInMemory {
        let mut state = self.lock();
        let id = loop {
            let name = RemoteName::generate(&NewBlob {
                volume_path: VolumePath(0),
                source: self.node,
                time: clock::unix_seconds(),
                size,
                crc,
                extension,
                random: entropy::random_u64(),
            });
            let group = self.group;
            let id = FileId { group, name };
            if !state.blobs.contains_key(&id) && state.prepared.insert(id) {
                break id;
            }
        };
        drop(state);
        let blobs = self.clone();
        PreparedInMemory {
            blobs,
            id,
            becoming,
        }
    }

    /// The failure of an answer that is lost on its way.
    fn check_answer(&self, step: Step) -> Result<(), BlobsError> {
        let lost = |error| BlobsError::Uncertain(Box::new(error));
        self.check(step).map_err(lost)
    }
}

impl BlobSource for MemoryBlobs {
    type Reader = NoReader;

    async fn open(&self, id: &FileId) -> Result<Opened<NoReader>, SourceError> {
        self.check(Step::Open)?;
        let bytes = self.bytes(id).ok_or(ErrorCode::NotFound)?;
        let facts = BlobFacts {
            size: bytes.len() as u64,
            time: id.name.stem().time,
            version: Version::Immutable(Crc32::of(&bytes)),
        };
        Ok(Opened {
            facts,
            content: Content::Whole(bytes),
        })
    }
}

impl Blobs for MemoryBlobs {
    type Prepared = PreparedInMemory;
    type Writer = MemoryWriter;
    type Extending = MemoryExtension;

    async fn begin(&self, extension: Extension) -> Result<MemoryWriter, BlobsError> {
        self.check(Step::Begin)?;
        Ok(MemoryWriter {
            blobs: self.clone(),
            extension,
            content: BytesMut::new(),
        })
    }

    async fn stage(&self, extension: Extension) -> Result<PreparedInMemory, BlobsError> {
        self.check(Step::Stage)?;
        Ok(self.prepare(Becoming::Staging, None, Crc32::of(b""), extension))
    }

    async fn extend(&self, staging: &FileId) -> Result<MemoryExtension, BlobsError> {
        self.check(Step::Extend)?;
        Ok(MemoryExtension::new(self, staging))
    }

    async fn arrange(
        &self,
        staging: &FileId,
        extension: Extension,
        pieces: &[Piece],
    ) -> Result<PreparedInMemory, BlobsError> {
        self.check(Step::Arrange)?;
        let content = self.arranged(staging, pieces)?;
        let (size, crc) = (content.len() as u64, Crc32::of(&content));
        let (staging, pieces) = (*staging, pieces.to_vec());
        let becoming = Becoming::Arrangement { staging, pieces };
        Ok(self.prepare(becoming, Some(size), crc, extension))
    }

    async fn delete(&self, id: &FileId) -> Result<(), BlobsError> {
        self.check(Step::Delete)?;
        self.lock().blobs.remove(id);
        self.check_answer(Step::DeleteAnswer)
    }

    async fn exists(&self, id: &FileId) -> Result<bool, BlobsError> {
        self.check(Step::Exists)?;
        Ok(self.lock().blobs.contains_key(id))
    }

    async fn cluster(&self) -> Result<ClusterState, BlobsError> {
        self.check(Step::Cluster)?;
        Ok(self.lock().cluster.clone())
    }

    async fn readiness(&self) -> Readiness {
        match self.check(Step::Cluster) {
            Ok(()) => Readiness::Ready,
            Err(error) => Readiness::NotReady(vec![error.to_string()]),
        }
    }
}

/// Content that is being gathered.
#[derive(Debug)]
pub(crate) struct MemoryWriter {
    blobs: MemoryBlobs,
    extension: Extension,
    content: BytesMut,
}

impl BlobWriter for MemoryWriter {
    type Prepared = PreparedInMemory;

    async fn write(&mut self, content: Bytes) -> Result<(), BlobsError> {
        self.blobs.check(Step::Write)?;
        self.content.extend_from_slice(&content);
        Ok(())
    }

    async fn finish(self) -> Result<PreparedInMemory, BlobsError> {
        self.blobs.check(Step::Finish)?;
        let content = self.content.freeze();
        let (size, crc) = (content.len() as u64, Crc32::of(&content));
        let becoming = Becoming::Content(content);
        Ok(self
            .blobs
            .prepare(becoming, Some(size), crc, self.extension))
    }

    async fn abort(self) {}
}

/// What a commit makes a blob of.
#[derive(Debug)]
enum Becoming {
    /// These bytes.
    Content(Bytes),
    /// None yet: an empty staging blob.
    Staging,
    /// Pieces of a staging blob, which ends.
    Arrangement { staging: FileId, pieces: Vec<Piece> },
}

/// A name that is not in the map yet. Dropped, it is forgotten.
#[derive(Debug)]
pub(crate) struct PreparedInMemory {
    blobs: MemoryBlobs,
    id: FileId,
    becoming: Becoming,
}

impl PreparedBlob for PreparedInMemory {
    fn file_id(&self) -> &FileId {
        &self.id
    }

    async fn commit(self) -> Result<FileId, BlobsError> {
        self.blobs.check(Step::Commit)?;
        let (content, ended) = match &self.becoming {
            Becoming::Content(content) => (content.clone(), None),
            Becoming::Staging => (Bytes::new(), None),
            Becoming::Arrangement { staging, pieces } => {
                (self.blobs.arranged(staging, pieces)?, Some(staging))
            }
        };
        let mut state = self.blobs.lock();
        state.blobs.insert(self.id, content);
        if let Some(ended) = ended {
            state.blobs.remove(ended);
        }
        drop(state);
        self.blobs.check_answer(Step::CommitAnswer)?;
        Ok(self.id)
    }

    async fn abandon(self) {}
}

impl Drop for PreparedInMemory {
    fn drop(&mut self) {
        self.blobs.lock().prepared.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
