//! The thread that owns the [`Engine`], and the handle by which everybody else asks it.
//!
//! Batches form by themselves: whatever arrives while one group is being synced is the next group.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use common::digest::{Crc32, Crc32Hasher};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::change::{Answer, Change, Condition, Content, Edit, Request};
use super::engine::Engine;
use super::shared::Shared;
use crate::disk::{Disk, OsDisk};
use crate::error::StoreError;
use crate::format::{Manifest, ManifestError, PartId, Segment, Version};
use crate::index::{Index, RocksIndex};

/// Requests that may wait for the committer; one more waits at its sender.
const QUEUE_LEN: usize = 1024;
/// Requests taken at a time.
const TAKE_MAX: usize = 256;

/// The running committer of one volume path.
#[derive(Debug)]
pub struct Committer {
    thread: JoinHandle<()>,
}

impl Committer {
    /// Waits until the committer has made everything durable and ended, which it does after
    /// [`Change::Close`] or when all [`PathStore`]s are gone. Blocks.
    pub fn join(self) {
        if self.thread.join().is_err() {
            error!("the committer panicked");
        }
    }
}

/// The store of one volume path: reads through [`Shared`], writes through the committer.
pub struct PathStore<D: Disk = OsDisk, I = RocksIndex> {
    shared: Arc<Shared<D, I>>,
    sender: mpsc::Sender<Request>,
}

impl<D: Disk, I> Clone for PathStore<D, I> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            sender: self.sender.clone(),
        }
    }
}

impl<D: Disk, I> std::fmt::Debug for PathStore<D, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PathStore")
            .field("path", &self.shared.volume_path)
            .finish_non_exhaustive()
    }
}

impl<D: Disk, I: Index> PathStore<D, I> {
    /// Starts the committer of `engine`.
    pub fn start(engine: Engine<D, I>) -> io::Result<(Self, Committer)> {
        let shared = Arc::clone(engine.shared());
        let (sender, receiver) = mpsc::channel(QUEUE_LEN);
        let name = format!("commit-{}", shared.volume_path);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || run(engine, receiver))?;
        Ok((Self { shared, sender }, Committer { thread }))
    }

    /// The committer as a task, whose pace the caller sets: `pause` is waited for before each group.
    #[cfg(any(test, feature = "testing"))]
    pub fn attach<P: Future<Output = ()>>(
        mut engine: Engine<D, I>,
        mut pause: impl FnMut() -> P,
    ) -> (Self, impl Future<Output = ()>) {
        let shared = Arc::clone(engine.shared());
        let (sender, mut receiver) = mpsc::channel(QUEUE_LEN);
        let task = async move {
            let mut requests = Vec::with_capacity(TAKE_MAX);
            while receiver.recv_many(&mut requests, TAKE_MAX).await != 0 {
                pause().await;
                engine.commit(requests.drain(..));
            }
        };
        (Self { shared, sender }, task)
    }

    /// What readers use.
    pub fn shared(&self) -> &Arc<Shared<D, I>> {
        &self.shared
    }

    /// Has the committer carry out `change`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a change that the committer has taken.
    pub async fn submit(&self, change: Change) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { change, reply };
        self.sender
            .send(request)
            .await
            .map_err(|_| StoreError::Stopped)?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Has the committer carry out all changes, in one group if they fit. Blocks.
    pub fn submit_all(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut answers = Vec::with_capacity(changes.len());
        for change in changes {
            let (reply, answer) = oneshot::channel();
            let request = Request { change, reply };
            self.sender
                .blocking_send(request)
                .map_err(|_| StoreError::Stopped)?;
            answers.push(answer);
        }
        for answer in answers {
            answer.blocking_recv().unwrap_or(Err(StoreError::Stopped))?;
        }
        Ok(())
    }

    /// Begins a blob, or a change of one, that is longer than one record.
    pub fn parts(&self, time: u32) -> PendingParts<D, I> {
        PendingParts {
            store: self.clone(),
            time,
            segments: Vec::new(),
            len: 0,
            hasher: Crc32Hasher::new(),
        }
    }
}

fn run<D: Disk, I: Index>(mut engine: Engine<D, I>, mut receiver: mpsc::Receiver<Request>) {
    let mut requests = Vec::with_capacity(TAKE_MAX);
    while receiver.blocking_recv_many(&mut requests, TAKE_MAX) != 0 {
        engine.commit(requests.drain(..));
        if engine.is_closed {
            return;
        }
    }
    if let Err(error) = engine.make_durable() {
        error!(
            error = &error as &dyn std::error::Error,
            "the store was not closed cleanly"
        );
    }
}

/// Parts of a blob that is being received. Dropping it gives their space back.
#[derive(Debug)]
pub struct PendingParts<D: Disk = OsDisk, I: Index = RocksIndex> {
    store: PathStore<D, I>,
    time: u32,
    segments: Vec<Segment>,
    len: u64,
    hasher: Crc32Hasher,
}

impl<D: Disk, I: Index> PendingParts<D, I> {
    /// Stores the next part, of at most [`common::limits::RECORD_PAYLOAD_LEN_MAX`] bytes.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the part may be stored and forgotten until the next start.
    pub async fn push(&mut self, payload: Bytes) -> Result<(), StoreError> {
        let crc = Crc32::of(&payload);
        let len = u32::try_from(payload.len()).map_err(|_| ManifestError::TooLong)?;
        let change = Change::Part {
            time: self.time,
            payload,
            crc,
        };
        if let Answer::Part(part) = self.store.submit(change).await? {
            self.segments.push(Segment {
                part,
                start: 0,
                len,
            });
            self.hasher.append(crc, u64::from(len));
            self.len += u64::from(len);
        }
        Ok(())
    }

    /// Bytes stored so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was stored yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Checksum of what was stored so far.
    pub fn crc(&self) -> Crc32 {
        self.hasher.finish()
    }

    /// Makes the parts a blob.
    ///
    /// # Cancel safety
    ///
    /// See [`PathStore::submit`].
    pub async fn finish(
        &mut self,
        key: Vec<u8>,
        version: Version,
        condition: Condition,
    ) -> Result<Answer, StoreError> {
        let mut manifest = Manifest::default();
        manifest.crc = Some(self.crc());
        for segment in &self.segments {
            manifest.push(*segment)?;
        }
        let change = Change::Manifest {
            key,
            time: self.time,
            version,
            manifest,
            condition,
        };
        let answer = self.store.submit(change).await?;
        // What was not wanted is given back when this is dropped.
        if answer == Answer::Done {
            self.segments.clear();
        }
        Ok(answer)
    }

    /// Makes the parts new bytes of an appender: `edit` says where.
    ///
    /// # Cancel safety
    ///
    /// See [`PathStore::submit`].
    pub async fn finish_edit(
        &mut self,
        key: Vec<u8>,
        base: Option<Version>,
        version: Version,
        edit: impl FnOnce(Content) -> Edit,
    ) -> Result<Answer, StoreError> {
        let content = Content::Parts {
            segments: self.segments.clone(),
            crc: self.crc(),
        };
        let change = Change::Edit {
            key,
            time: self.time,
            base,
            version,
            edit: edit(content),
        };
        let answer = self.store.submit(change).await?;
        self.segments.clear();
        Ok(answer)
    }
}

impl<D: Disk, I: Index> Drop for PendingParts<D, I> {
    fn drop(&mut self) {
        if self.segments.is_empty() {
            return;
        }
        let parts: Vec<PartId> = self.segments.iter().map(|segment| segment.part).collect();
        let (reply, _) = oneshot::channel();
        let request = Request {
            change: Change::Abandon(parts),
            reply,
        };
        // A full queue or an ended committer: the engine, or the next start, finds them.
        if let Err(mpsc::error::TrySendError::Full(request)) = self.store.sender.try_send(request) {
            self.store.shared.abandon_later(request.change);
        }
    }
}
