//! Thumbnails of pictures: made once, cached on disk, within limits of pixels, memory and time.
//!
//! Decoding what strangers uploaded is the most dangerous thing that this server does, so everything
//! here is bounded: what is read, decoded, queued, kept and remembered. Why each choice was made, and
//! what remains: docs/decisions/0011-thumbnails.md. In reading order: what is asked for (`request`,
//! `accept`), under which name it is kept (`key`, `cache`), who makes it (`flight`, `pool`), and how
//! (`format`, `reader`, `decode`, `render`).

mod accept;
mod request;
mod settings;

mod key;

mod format;
mod reader;

mod decode;
mod render;

mod cache;
mod failures;
mod flight;
mod pool;

mod answer;
mod error;
mod metrics;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use common::code::ErrorCode;
use common::env::clock;
use common::id::FileId;
use common::web::download::BlobFacts;
use common::web::source::{BlobSource, Content, Opened, ReadPieces, SourceError};
use futures_util::FutureExt as _;
use prometheus::Registry;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

pub use accept::Accepts;
pub use answer::respond;
pub use error::{PictureError, ThumbError};
pub use render::ThumbFormat;
pub use request::{RequestError, SIDE_MAX, ThumbRequest};
pub use settings::{PictureLimits, ThumbSettings};

use cache::Cache;
use failures::Failures;
use flight::Flights;
use format::{Format, MAGIC_LEN};
use key::{BlobKey, ContentKey, ThumbKey};
use metrics::ThumbMetrics;
use pool::{Pool, Unfinished};

/// A thumbnail.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    /// The picture.
    pub bytes: Bytes,
    /// Its format.
    pub format: ThumbFormat,
    /// A strong entity tag with its quotes. It follows from blob, content, size and output.
    pub etag: String,
    /// The blob that it was made of.
    pub facts: BlobFacts,
}

/// Makes and keeps thumbnails. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Thumbnails {
    shared: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    patience: Duration,
    limits: PictureLimits,
    cache: Cache,
    failures: Mutex<Failures>,
    flights: Flights,
    pool: Pool,
    metrics: ThumbMetrics,
}

/// One thumbnail to be made.
#[derive(Clone, Copy, Debug)]
struct Order {
    key: ThumbKey,
    content: ContentKey,
    wanted: ThumbRequest,
    accepts: Accepts,
    facts: BlobFacts,
}

impl Thumbnails {
    /// Starts the threads and reads what `directory` holds. Blocks while it does so.
    ///
    /// The directory is this cache's own; it is made if need be. If it cannot be used, thumbnails are
    /// made each time. The only error is a metric that is registered already.
    pub fn new(
        settings: &ThumbSettings,
        directory: PathBuf,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = ThumbMetrics::register(registry)?;
        let cache_bytes = metrics.cache_bytes.clone();
        Ok(Self {
            shared: Arc::new(Inner {
                patience: settings.patience,
                limits: settings.limits,
                cache: Cache::open(directory, settings.cache_bytes_max, cache_bytes),
                failures: Mutex::default(),
                flights: Flights::default(),
                pool: Pool::new(settings.threads, settings.queue_len),
                metrics,
            }),
        })
    }

    /// The thumbnail of a blob, from the cache or made now. The caller has checked access.
    ///
    /// The blob is opened first, so a thumbnail never outlives its blob.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: others who wait for the same thumbnail still get it.
    pub async fn get<S: BlobSource>(
        &self,
        id: &FileId,
        wanted: ThumbRequest,
        accepts: Accepts,
        source: &S,
    ) -> Result<Thumbnail, ThumbError> {
        let blob = BlobKey::of(id);
        let opened = match source.open(id).await {
            Ok(opened) => opened,
            Err(error) => {
                if error.code == ErrorCode::NotFound {
                    self.forget(id).await;
                }
                return Err(error.into());
            }
        };
        let facts = opened.facts;
        let order = Order {
            key: ThumbKey::of(blob, &facts, wanted, accepts),
            content: ContentKey::of(blob, &facts),
            wanted,
            accepts,
            facts,
        };
        let making = self.shared.flights.join(order.key, || {
            let shared = Arc::clone(&self.shared);
            async move { shared.find_or_make(order, opened).await }.boxed()
        });
        making.await
    }

    /// Removes all thumbnails of a blob, for one that was deleted. `get` does the same when it finds
    /// that a blob is gone.
    ///
    /// # Cancel safety
    ///
    /// Once begun, it is finished without the caller.
    pub async fn forget(&self, id: &FileId) {
        let blob = BlobKey::of(id);
        if self.shared.cache.has_blob(blob) {
            let shared = Arc::clone(&self.shared);
            // A panic inside would have been logged, and there is nothing else to be told.
            let _done = spawn_blocking(move || shared.cache.remove_blob(blob)).await;
        }
    }

    /// Makes no more thumbnails, and waits for the threads: at most about the time that one picture
    /// may take.
    ///
    /// # Cancel safety
    ///
    /// Once begun, it is finished without the caller.
    pub async fn close(&self) {
        let shared = Arc::clone(&self.shared);
        let _done = spawn_blocking(move || shared.pool.close()).await;
    }
}

impl Inner {
    async fn find_or_make<R: ReadPieces>(
        self: Arc<Self>,
        order: Order,
        opened: Opened<R>,
    ) -> Result<Thumbnail, ThumbError> {
        if let Some((format, bytes)) = self.cached(order.key).await {
            self.metrics.hits.inc();
            return Ok(order.filled(format, bytes));
        }
        let now = clock::monotonic();
        let known = self.failures().get(order.content, now);
        if let Some(error) = known {
            return Err(error.into());
        }
        let (len, max) = (opened.facts.size, self.limits.input_len_max);
        let outcome = if max < len {
            Err(PictureError::TooLong { len, max }.into())
        } else {
            self.make(order, opened).await
        };
        match &outcome {
            Ok(_) => self.metrics.made.inc(),
            Err(ThumbError::Busy) => self.metrics.refused.inc(),
            Err(ThumbError::Picture(error)) => {
                self.metrics.failed.inc();
                let now = clock::monotonic();
                self.failures().insert(order.content, *error, now);
            }
            Err(ThumbError::Source(_)) => {}
        }
        outcome
    }

    async fn cached(self: &Arc<Self>, key: ThumbKey) -> Option<(ThumbFormat, Bytes)> {
        if !self.cache.has(key) {
            return None;
        }
        let shared = Arc::clone(self);
        spawn_blocking(move || shared.cache.read(key))
            .await
            .ok()
            .flatten()
    }

    /// Waits for a slot, reads the input, and has it rendered.
    async fn make<R: ReadPieces>(
        self: &Arc<Self>,
        order: Order,
        opened: Opened<R>,
    ) -> Result<Thumbnail, ThumbError> {
        let slot = self
            .pool
            .slot(self.patience)
            .await
            .map_err(|_full| ThumbError::Busy)?;
        let input = timeout(self.patience, read_picture(opened))
            .await
            .map_err(|late| SourceError::new(ErrorCode::Interrupted, late))??;
        let limit = self.limits.decode_time;
        let shared = Arc::clone(self);
        let job = move || shared.render(order, &input);
        match self.pool.run(slot, limit, job).await {
            Ok(Ok((format, bytes))) => Ok(order.filled(format, bytes)),
            Ok(Err(error)) => Err(error.into()),
            Err(Unfinished::Late) => Err(PictureError::TooSlow(limit).into()),
            Err(Unfinished::Panicked) => Err(PictureError::Panicked.into()),
            Err(Unfinished::Closed) => Err(ThumbError::Busy),
        }
    }

    /// On a thread of the pool. The result is kept even if nobody waits for it any more.
    fn render(&self, order: Order, input: &[u8]) -> Result<(ThumbFormat, Bytes), PictureError> {
        let started = clock::monotonic();
        let deadline = started + self.limits.decode_time;
        let rendered = render::render(input, order.wanted, order.accepts, &self.limits, deadline);
        let elapsed = clock::monotonic().saturating_duration_since(started);
        self.metrics.seconds.observe(elapsed.as_secs_f64());
        let (format, bytes) = rendered?;
        self.cache.write(order.key, format, &bytes);
        Ok((format, bytes.into()))
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    fn filled(&self, format: ThumbFormat, bytes: Bytes) -> Thumbnail {
        Thumbnail {
            bytes,
            format,
            etag: format!("\"t-{}\"", self.key),
            facts: self.facts,
        }
    }
}

/// All bytes of a blob that begins like a picture; of any other, only the first piece is read.
async fn read_picture<R: ReadPieces>(opened: Opened<R>) -> Result<Bytes, ThumbError> {
    let size = opened.facts.size;
    let mut reader = match opened.content {
        Content::Whole(bytes) => {
            check_magic(&bytes)?;
            return Ok(bytes);
        }
        Content::Pieces(reader) => reader,
    };
    let mut input = Vec::new();
    let mut at: u64 = 0;
    let mut is_picture = false;
    while at < size {
        let piece = reader.read(at..size).await?;
        at += piece.len() as u64;
        if piece.is_empty() || size < at {
            let why = "a read of a blob gave nothing, or more than the blob has";
            return Err(SourceError::new(ErrorCode::Storage, why).into());
        }
        input.extend_from_slice(&piece);
        if !is_picture && (MAGIC_LEN <= input.len() || at == size) {
            check_magic(&input)?;
            is_picture = true;
            // Checked against the limit of input before.
            let rest = usize::try_from(size - at).unwrap_or(usize::MAX);
            input
                .try_reserve_exact(rest)
                .map_err(|error| SourceError::new(ErrorCode::Busy, error))?;
        }
    }
    check_magic(&input)?;
    Ok(input.into())
}

fn check_magic(start: &[u8]) -> Result<(), PictureError> {
    Format::of(start).map(drop).ok_or(PictureError::Unknown)
}
