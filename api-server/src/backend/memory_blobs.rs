//! Blobs in a map, for tests: nothing is slow, and everything fails when it is told to.
#![cfg_attr(
    not(test),
    allow(
        dead_code,
        reason = "the feature compiles the double for whoever wants it; not all of it need be used"
    )
)]

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

use super::{BlobWriter, Blobs, BlobsError, ClusterState, PreparedBlob};

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
    /// The commit; no blob comes of it.
    Commit,
    /// The answer to a commit: the blob is there, the caller does not know.
    CommitAnswer,
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
    type Writer = MemoryWriter;

    async fn begin(&self, extension: Extension) -> Result<MemoryWriter, BlobsError> {
        self.check(Step::Begin)?;
        Ok(MemoryWriter {
            blobs: self.clone(),
            extension,
            content: BytesMut::new(),
        })
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
        let crc = Crc32::of(&content);
        let mut state = self.blobs.lock();
        let id = loop {
            let name = RemoteName::generate(&NewBlob {
                volume_path: VolumePath(0),
                source: self.blobs.node,
                time: clock::unix_seconds(),
                size: Some(content.len() as u64),
                crc,
                extension: self.extension,
                random: entropy::random_u64(),
            });
            let group = self.blobs.group;
            let id = FileId { group, name };
            if !state.blobs.contains_key(&id) && state.prepared.insert(id) {
                break id;
            }
        };
        drop(state);
        Ok(PreparedInMemory {
            blobs: self.blobs,
            id,
            content,
        })
    }

    async fn abort(self) {}
}

/// Content with a name that is not in the map. Dropped, it is forgotten.
#[derive(Debug)]
pub(crate) struct PreparedInMemory {
    blobs: MemoryBlobs,
    id: FileId,
    content: Bytes,
}

impl PreparedBlob for PreparedInMemory {
    fn file_id(&self) -> &FileId {
        &self.id
    }

    async fn commit(self) -> Result<FileId, BlobsError> {
        self.blobs.check(Step::Commit)?;
        let content = self.content.clone();
        self.blobs.lock().blobs.insert(self.id, content);
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
mod tests {
    use super::*;

    fn blobs() -> MemoryBlobs {
        MemoryBlobs::new("group1".parse().unwrap(), 7.try_into().unwrap())
    }

    async fn prepare(blobs: &MemoryBlobs) -> Result<PreparedInMemory, BlobsError> {
        let extension = Extension::from_bytes(b"txt").unwrap();
        let mut writer = blobs.begin(extension).await?;
        writer.write(Bytes::from_static(b"hel")).await?;
        writer.write(Bytes::from_static(b"lo")).await?;
        writer.finish().await
    }

    #[tokio::test]
    async fn a_blob_is_seen_when_it_is_committed_and_not_before() {
        let blobs = blobs();
        let prepared = prepare(&blobs).await.unwrap();
        let id = *prepared.file_id();
        let stem = *prepared.file_id().name.stem();
        assert_eq!((stem.size(), stem.crc), (5, Crc32::of(b"hello")));
        assert!(!blobs.exists(&id).await.unwrap());
        assert_eq!(prepared.commit().await.unwrap(), id);
        assert!(blobs.exists(&id).await.unwrap());
        assert_eq!(blobs.bytes(&id).unwrap(), "hello");
        blobs.delete(&id).await.unwrap();
        blobs.delete(&id).await.unwrap();
        assert_eq!(blobs.ids(), []);
    }

    #[tokio::test]
    async fn what_is_given_up_or_dropped_leaves_nothing() {
        let blobs = blobs();
        prepare(&blobs).await.unwrap().abandon().await;
        drop(prepare(&blobs).await.unwrap());
        blobs
            .begin(Extension::default())
            .await
            .unwrap()
            .abort()
            .await;
        assert_eq!((blobs.ids(), blobs.prepared_count()), (vec![], 0));
    }

    #[tokio::test]
    async fn each_step_fails_when_it_is_told_to() {
        let blobs = blobs();
        for step in [Step::Begin, Step::Write, Step::Finish] {
            blobs.fail(step, ErrorCode::NoSpace);
            let error = prepare(&blobs).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::NoSpace, "{step:?}");
            blobs.heal();
        }
        blobs.fail(Step::Commit, ErrorCode::Unavailable);
        let error = prepare(&blobs).await.unwrap().commit().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unavailable);
        assert_eq!(blobs.ids(), []);
        blobs.heal();
        blobs.fail(Step::CommitAnswer, ErrorCode::Unavailable);
        let error = prepare(&blobs).await.unwrap().commit().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Interrupted);
        let [id] = blobs.ids()[..] else {
            panic!("the blob is there although nobody was told")
        };
        blobs.fail(Step::Delete, ErrorCode::Unavailable);
        assert!(blobs.delete(&id).await.is_err());
        assert!(blobs.exists(&id).await.unwrap());
        blobs.heal();
        blobs.fail(Step::DeleteAnswer, ErrorCode::Unavailable);
        let error = blobs.delete(&id).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Interrupted);
        assert!(!blobs.exists(&id).await.unwrap());
        for step in [Step::Exists, Step::Open, Step::Cluster] {
            blobs.fail(step, ErrorCode::Unavailable);
        }
        assert!(blobs.exists(&id).await.is_err());
        let error = blobs.open(&id).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::Unavailable);
        assert!(blobs.cluster().await.is_err());
        assert_ne!(blobs.readiness().await, Readiness::Ready);
    }
}
