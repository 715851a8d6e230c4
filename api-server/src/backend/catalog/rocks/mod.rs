//! The catalog on `RocksDB`.
//!
//! One thread runs all transactions, so they are serial by themselves; what waits for it is kept in
//! one batch with one sync. Reads do not pass through it: they look at a snapshot, on the caller's
//! task as long as memory holds what they ask for, else on tokio's blocking threads.

mod metrics;
mod open;
mod options;
mod view;
mod writer;

#[cfg(test)]
mod figures;
#[cfg(test)]
mod tests;

use std::fmt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::Registry;
use rocksdb::{DB, WriteBatch};
use tokio::sync::Semaphore;
use tracing::error;

use super::job::Work;
use super::overlay::Changes;
use crate::core::catalog::{Catalog, CatalogError, Transaction, View};

use metrics::CatalogMetrics;
use view::{RocksView, tree_of};
use writer::{Keeper, Message, Writer};

pub use open::OpenError;
pub(super) use open::sync_parents;

/// Transactions that may wait for the writer; one more is refused as [`CatalogError::Busy`]. At a
/// thousand transactions a second it is four seconds of waiting.
const QUEUE_MAX: usize = 4096;
/// Reads that wait for the disk at the same time.
const DISK_READS_MAX: usize = 16;

/// When a change is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After it is on the disk: it survives a power cut.
    Always,
    /// After it is written; a sync follows so much later at most. It survives the end of the
    /// process.
    Interval(Duration),
    /// After it is written; the operating system syncs when it likes. It survives the end of the
    /// process.
    Os,
}

/// What the catalog is told.
#[derive(Clone, Debug)]
pub struct CatalogSettings {
    /// The directory of the database, which nothing else uses.
    pub directory: PathBuf,
    /// When a change is acknowledged.
    pub durability: Durability,
    /// Bytes of the block cache, which also holds filters and indexes.
    pub cache_len: usize,
    /// Bytes of one memtable; up to three exist.
    pub memtable_len: usize,
}

impl CatalogSettings {
    /// The defaults for the catalog of the data directory `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            directory: data_dir.join("api").join("catalog"),
            durability: Durability::Always,
            cache_len: 48 * 1024 * 1024,
            memtable_len: 16 * 1024 * 1024,
        }
    }
}

/// The catalog on `RocksDB`. Clones share it.
///
/// After a failed write or sync it takes no more changes until it is opened again, because nobody
/// knows what the disk holds; reads go on. Dropping the last clone without [`Self::close`] makes
/// everything durable too, but nobody waits for it.
#[derive(Clone)]
pub struct RocksCatalog {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    /// `None` once closed. Reads that need no disk hold the lock while they look.
    db: RwLock<Option<Arc<DB>>>,
    sender: SyncSender<Message>,
    is_closing: AtomicBool,
    writer: Mutex<Option<JoinHandle<()>>>,
    disk_reads: Arc<Semaphore>,
    metrics: CatalogMetrics,
}

impl fmt::Debug for RocksCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksCatalog")
            .field("directory", &self.shared.directory)
            .finish_non_exhaustive()
    }
}

impl RocksCatalog {
    /// Opens the catalog and starts its writer, or makes an empty one if there is none. Blocks.
    pub fn open(settings: &CatalogSettings, registry: &Registry) -> Result<Self, OpenError> {
        let metrics = CatalogMetrics::new(registry)?;
        let db = Arc::new(open::open(settings)?);
        let (sender, receiver) = mpsc::sync_channel(QUEUE_MAX);
        let keeper = RocksKeeper(Arc::clone(&db));
        let writer = Writer::new(keeper, settings.durability, metrics.clone());
        let writer = start(writer, receiver)?;
        Ok(Self {
            shared: Arc::new(Shared {
                directory: settings.directory.clone(),
                db: RwLock::new(Some(db)),
                sender,
                is_closing: AtomicBool::new(false),
                writer: Mutex::new(Some(writer)),
                disk_reads: Arc::new(Semaphore::new(DISK_READS_MAX)),
                metrics,
            }),
        })
    }

    /// Refuses what comes from now on, waits for what came before, makes it durable and lets the
    /// database go. A second call waits for nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the closing, but nobody knows when it ended.
    pub async fn close(&self) {
        if self.shared.is_closing.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        let closing = tokio::task::spawn_blocking(move || this.close_now());
        // Reads that wait for the disk hold the database.
        let permits = u32::try_from(DISK_READS_MAX).unwrap_or(u32::MAX);
        let reads = self.shared.disk_reads.acquire_many(permits).await;
        if let Err(error) = closing.await {
            error!(%error, "the catalog was not closed cleanly");
        }
        drop(reads);
        self.shared.disk_reads.close();
    }

    fn close_now(&self) {
        // An error means that the writer ended already, which its thread will tell.
        let _ = self.shared.sender.send(Message::Close);
        let writer = self.shared.writer.lock();
        let writer = writer.unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            error!("the catalog's writer panicked");
        }
        let db = self.shared.db.write();
        db.unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn start(
    writer: Writer<RocksKeeper>,
    receiver: Receiver<Message>,
) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name("catalog".to_owned())
        .spawn(move || writer.run(&receiver))
        .map_err(OpenError::Thread)
}

impl Shared {
    /// Runs `work` on what memory holds; `None` if that is not enough.
    fn read_cached<T, E: From<CatalogError>>(
        &self,
        work: &impl Fn(&dyn View) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let Some(db) = db.as_ref().filter(|_| !self.is_closing()) else {
            return Err(CatalogError::Closed.into());
        };
        let view = RocksView::cached(db);
        let result = work(&view);
        if view.has_missed() {
            // Whatever the work made of that, it is no answer.
            return Ok(None);
        }
        result.map(Some)
    }

    fn open_db(&self) -> Result<Arc<DB>, CatalogError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        db.as_ref().map(Arc::clone).ok_or(CatalogError::Closed)
    }

    fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Why the writer answers no more.
    fn ended(&self) -> CatalogError {
        if self.is_closing() {
            CatalogError::Closed
        } else {
            CatalogError::Unknown("the writer ended".to_owned())
        }
    }
}

impl Catalog for RocksCatalog {
    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: Fn(&dyn View) -> Result<T, E> + Send + Sync + 'static,
    {
        if let Some(value) = self.shared.read_cached(&work)? {
            return Ok(value);
        }
        self.shared.metrics.reads_waited.inc();
        let permit = Arc::clone(&self.shared.disk_reads).acquire_owned().await;
        let permit = permit.map_err(|_| CatalogError::Closed)?;
        let db = self.shared.open_db()?;
        let reading = tokio::task::spawn_blocking(move || {
            let result = work(&RocksView::full(&db));
            // In this order, so that whoever has all permits knows that nobody has the database.
            drop(db);
            drop(permit);
            result
        });
        match reading.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Err(CatalogError::Closed.into()),
        }
    }

    async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send + 'static,
    {
        if self.shared.is_closing() {
            return Err(CatalogError::Closed.into());
        }
        let (job, answer) = Work::new(work);
        self.shared
            .sender
            .try_send(Message::Run(Box::new(job)))
            .map_err(|error| match error {
                TrySendError::Full(_) => CatalogError::Busy,
                TrySendError::Disconnected(_) => self.shared.ended(),
            })?;
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(self.shared.ended().into()),
        }
    }
}

/// Keeps the writer's changes in the database.
struct RocksKeeper(Arc<DB>);

impl Keeper for RocksKeeper {
    fn look<R>(&self, look: impl FnOnce(&dyn View) -> R) -> R {
        look(&RocksView::newest(&self.0))
    }

    fn keep(&self, changes: &Changes, sync: writer::Sync) -> Result<(), String> {
        let mut batch = WriteBatch::default();
        for (key, value) in changes.iter() {
            match (tree_of(&self.0, key), value) {
                (None, Some(value)) => batch.put(key, value),
                (None, None) => batch.delete(key),
                (Some(tree), Some(value)) => batch.put_cf(tree, key, value),
                (Some(tree), None) => batch.delete_cf(tree, key),
            }
        }
        self.0
            .write_opt(batch, &options::write_options(sync))
            .map_err(rocksdb::Error::into_string)
    }

    fn sync(&self) -> Result<(), String> {
        self.0.flush_wal(true).map_err(rocksdb::Error::into_string)
    }

    fn finish(&self) -> Result<(), String> {
        self.sync()?;
        let counts = self.0.cf_handle(options::COUNTS);
        let counts = counts.map_or(Ok(()), |counts| self.0.flush_cf(counts));
        counts
            .and_then(|()| self.0.flush())
            .map_err(rocksdb::Error::into_string)
    }
}
