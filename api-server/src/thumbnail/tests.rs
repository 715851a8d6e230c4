//! The whole of it, over a source in memory that counts, waits and deletes when told to.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use common::digest::Crc32;
use common::web::download::Version;
use futures_util::future::join_all;
use image::ImageFormat;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::*;
use fixture::{encoded, noise, quarters, some_id};

/// Bytes of a piece: a source gives blobs bit by bit.
const PIECE_LEN: u64 = 1000;

/// Blobs in memory.
#[derive(Clone, Default)]
struct Source(Arc<Blobs>);

struct Blobs {
    held: Mutex<HashMap<FileId, Bytes>>,
    opened: AtomicU64,
    read: AtomicU64,
    /// Reads wait for a permit and keep it.
    gate: Semaphore,
}

impl Default for Blobs {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            opened: AtomicU64::new(0),
            read: AtomicU64::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }
}

impl Source {
    fn holding(bytes: Vec<u8>) -> Self {
        let source = Self::default();
        source.put(bytes);
        source
    }

    /// Nothing is read before permits are added.
    fn closed(bytes: Vec<u8>) -> Self {
        let source = Self(Arc::new(Blobs {
            gate: Semaphore::new(0),
            ..Blobs::default()
        }));
        source.put(bytes);
        source
    }

    fn put(&self, bytes: Vec<u8>) {
        let mut blobs = self.0.held.lock().unwrap();
        blobs.insert(some_id(), bytes.into());
    }

    fn delete(&self) {
        self.0.held.lock().unwrap().clear();
    }

    fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::SeqCst)
    }

    fn bytes_read(&self) -> u64 {
        self.0.read.load(Ordering::SeqCst)
    }
}

impl BlobSource for Source {
    type Reader = Reader;

    async fn open(&self, id: &FileId) -> Result<Opened<Reader>, SourceError> {
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        let blob = self.0.held.lock().unwrap().get(id).cloned();
        let blob = blob.ok_or(ErrorCode::NotFound)?;
        Ok(Opened {
            facts: BlobFacts {
                size: blob.len() as u64,
                time: 1,
                version: Version::Immutable(Crc32::of(&blob)),
            },
            content: Content::Pieces(Reader(self.clone(), blob)),
        })
    }
}

struct Reader(Source, Bytes);

impl ReadPieces for Reader {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, SourceError> {
        let source = &self.0.0;
        source.gate.acquire().await.unwrap().forget();
        let end = range.end.min(range.start + PIECE_LEN);
        let part = usize::try_from(range.start).unwrap()..usize::try_from(end).unwrap();
        let piece = self.1.slice(part);
        source.read.fetch_add(piece.len() as u64, Ordering::SeqCst);
        Ok(piece)
    }
}

fn settings() -> ThumbSettings {
    ThumbSettings {
        patience: Duration::from_mins(1),
        limits: PictureLimits {
            decode_time: Duration::from_mins(1),
            ..PictureLimits::default()
        },
        ..ThumbSettings::default()
    }
}

fn thumbnails(directory: &Path, settings: &ThumbSettings) -> Thumbnails {
    Thumbnails::new(settings, directory.to_owned(), &Registry::new()).unwrap()
}

async fn get(thumbnails: &Thumbnails, source: &Source) -> Result<Thumbnail, ThumbError> {
    let wanted = ThumbRequest::named("small").unwrap();
    thumbnails
        .get(&some_id(), wanted, Accepts::Any, source)
        .await
}

fn picture() -> Vec<u8> {
    encoded(quarters(320, 200), ImageFormat::Png)
}

#[tokio::test]
async fn a_thumbnail_is_made_once_and_then_comes_from_the_cache() {
    let directory = TempDir::new().unwrap();
    let thumbnails = thumbnails(directory.path(), &settings());
    let source = Source::holding(picture());
    let made = get(&thumbnails, &source).await.unwrap();
    let read = source.bytes_read();
    let cached = get(&thumbnails, &source).await.unwrap();
    assert_eq!(made.bytes, cached.bytes);
    assert_eq!(made.etag, cached.etag);
    assert_eq!(cached.format, ThumbFormat::Jpeg);
    assert_eq!(source.bytes_read(), read, "a hit reads no blob");
    assert_eq!(source.opened(), 2, "but asks whether it is still there");
    let metrics = &thumbnails.shared.metrics;
    assert_eq!((metrics.made.get(), metrics.hits.get()), (1, 1));
    assert_eq!(metrics.seconds.get_sample_count(), 1);
    assert_eq!(metrics.cache_bytes.get(), 4096);
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_making() {
    let directory = TempDir::new().unwrap();
    let thumbnails = thumbnails(directory.path(), &settings());
    let source = Source::closed(picture());
    let asking = join_all((0..50).map(|_| get(&thumbnails, &source)));
    let opening = async {
        while source.opened() < 50 || thumbnails.shared.flights.count() < 1 {
            tokio::task::yield_now().await;
        }
        source.0.gate.add_permits(1000);
    };
    let (outcomes, ()) = tokio::join!(asking, opening);
    let tags: Vec<String> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().etag)
        .collect();
    assert!(tags.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(source.bytes_read(), picture().len() as u64);
    assert_eq!(thumbnails.shared.metrics.made.get(), 1);
    assert_eq!(thumbnails.shared.metrics.hits.get(), 0);
    assert_eq!(thumbnails.shared.flights.count(), 0);
}

#[tokio::test]
async fn the_one_who_began_may_leave_without_harm_to_the_others() {
    let directory = TempDir::new().unwrap();
    let thumbnails = thumbnails(directory.path(), &settings());
    let source = Source::closed(picture());
    let mut first = Box::pin(get(&thumbnails, &source));
    assert!(first.as_mut().now_or_never().is_none());
    let mut second = Box::pin(get(&thumbnails, &source));
    assert!(second.as_mut().now_or_never().is_none());
    drop(first);
    source.0.gate.add_permits(1000);
    second.await.unwrap();
    assert_eq!(thumbnails.shared.metrics.made.get(), 1);
}

#[tokio::test]
async fn when_all_leave_the_queue_is_free_again() {
    let directory = TempDir::new().unwrap();
    let one = ThumbSettings {
        threads: 1,
        queue_len: 0,
        ..settings()
    };
    let thumbnails = thumbnails(directory.path(), &one);
    let source = Source::closed(picture());
    let mut asking = Box::pin(get(&thumbnails, &source));
    assert!(asking.as_mut().now_or_never().is_none());
    let wanted = ThumbRequest::named("large").unwrap();
    let id = some_id();
    let other = thumbnails.get(&id, wanted, Accepts::Any, &source);
    assert!(matches!(other.await, Err(ThumbError::Busy)));
    assert_eq!(thumbnails.shared.metrics.refused.get(), 1);
    drop(asking);
    source.0.gate.add_permits(1000);
    get(&thumbnails, &source).await.unwrap();
}

#[tokio::test]
async fn the_cache_outlives_a_restart() {
    let directory = TempDir::new().unwrap();
    let source = Source::holding(picture());
    let before = thumbnails(directory.path(), &settings());
    let made = get(&before, &source).await.unwrap();
    before.close().await;
    drop(before);
    let after = thumbnails(directory.path(), &settings());
    let cached = get(&after, &source).await.unwrap();
    assert_eq!(made.bytes, cached.bytes);
    assert_eq!(after.shared.metrics.made.get(), 0);
    assert_eq!(after.shared.metrics.hits.get(), 1);
}

#[tokio::test]
async fn a_deleted_blob_has_no_thumbnail_although_one_was_cached() {
    let directory = TempDir::new().unwrap();
    let thumbnails = thumbnails(directory.path(), &settings());
    let source = Source::holding(picture());
    get(&thumbnails, &source).await.unwrap();
    assert_ne!(thumbnails.shared.metrics.cache_bytes.get(), 0);
    source.delete();
    let error = get(&thumbnails, &source).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert_eq!(error.status().as_u16(), 404);
    // And what was cached is gone from the disk.
    assert_eq!(thumbnails.shared.metrics.cache_bytes.get(), 0);
}

#[tokio::test]
async fn other_content_under_the_same_name_has_a_thumbnail_of_its_own() {
    let directory = TempDir::new().unwrap();
    let thumbnails = thumbnails(directory.path(), &settings());
    let source = Source::holding(picture());
    let first = get(&thumbnails, &source).await.unwrap();
    source.put(encoded(noise(320, 200), ImageFormat::Png));
    let second = get(&thumbnails, &source).await.unwrap();
    assert_ne!(first.etag, second.etag);
    assert_ne!(first.bytes, second.bytes);
}

#[tokio::test]
async fn a_picture_that_failed_is_not_tried_again_in_any_size() {
    let directory = TempDir::new().unwrap();
    let thumbnails = thumbnails(directory.path(), &settings());
    let mut broken = picture();
    broken.truncate(60);
    let source = Source::holding(broken);
    for name in ["small", "medium", "large"] {
        let wanted = ThumbRequest::named(name).unwrap();
        let id = some_id();
        let outcome = thumbnails.get(&id, wanted, Accepts::Webp, &source).await;
        assert!(matches!(
            outcome,
            Err(ThumbError::Picture(PictureError::Broken))
        ));
    }
    assert_eq!(thumbnails.shared.metrics.failed.get(), 1);
    assert_eq!(source.bytes_read(), 60);
    // Another picture under that name is another matter.
    source.put(picture());
    get(&thumbnails, &source).await.unwrap();
}

#[tokio::test]
async fn of_what_is_no_picture_only_the_beginning_is_read() {
    let directory = TempDir::new().unwrap();
    let thumbnails = thumbnails(directory.path(), &settings());
    let source = Source::holding(vec![b'x'; 50_000]);
    let error = get(&thumbnails, &source).await.unwrap_err();
    assert_eq!(error.status().as_u16(), 415);
    assert_eq!(source.bytes_read(), PIECE_LEN);
}

#[tokio::test]
async fn of_what_is_too_long_nothing_is_read() {
    let directory = TempDir::new().unwrap();
    let mut settings = settings();
    settings.limits.input_len_max = 100;
    let thumbnails = thumbnails(directory.path(), &settings);
    let source = Source::holding(picture());
    let error = get(&thumbnails, &source).await.unwrap_err();
    assert!(matches!(
        error,
        ThumbError::Picture(PictureError::TooLong { max: 100, .. })
    ));
    assert_eq!(source.bytes_read(), 0);
}

#[tokio::test]
async fn a_picture_that_takes_too_long_is_given_up_and_remembered() {
    let directory = TempDir::new().unwrap();
    let mut settings = settings();
    settings.limits.decode_time = Duration::ZERO;
    let thumbnails = thumbnails(directory.path(), &settings);
    let source = Source::holding(picture());
    for _ in 0..2 {
        let error = get(&thumbnails, &source).await.unwrap_err();
        assert!(matches!(
            error,
            ThumbError::Picture(PictureError::TooSlow(_))
        ));
    }
    assert_eq!(thumbnails.shared.metrics.failed.get(), 1);
}

#[tokio::test]
async fn a_source_that_gives_nothing_is_given_up_and_the_picture_is_not_blamed() {
    let directory = TempDir::new().unwrap();
    let impatient = ThumbSettings {
        patience: Duration::from_millis(1),
        ..settings()
    };
    let thumbnails = thumbnails(directory.path(), &impatient);
    let source = Source::closed(picture());
    let error = get(&thumbnails, &source).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Interrupted);
    assert_eq!(error.status().as_u16(), 503);
    assert_eq!(thumbnails.shared.metrics.failed.get(), 0);
}

#[tokio::test]
async fn after_the_end_requests_are_refused_but_the_cache_still_answers() {
    let directory = TempDir::new().unwrap();
    let thumbnails = thumbnails(directory.path(), &settings());
    let source = Source::holding(picture());
    get(&thumbnails, &source).await.unwrap();
    thumbnails.close().await;
    get(&thumbnails, &source).await.unwrap();
    source.put(encoded(noise(10, 10), ImageFormat::Png));
    assert!(matches!(
        get(&thumbnails, &source).await,
        Err(ThumbError::Busy)
    ));
}
