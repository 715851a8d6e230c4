//! The index on `RocksDB`.
//!
//! Choices and their measurements: docs/decisions/0006-index-options.md. There is no write-ahead
//! log: the volumes are the log, and each batch says how far it got.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Direction, ErrorKind, FlushOptions,
    IteratorMode, LogLevel, Options, ReadOptions, ReadTier, WriteBatch, WriteOptions,
};

use super::{Batch, Cached, Index, IndexError, Visitor};

/// Bits of the bloom filter for each key.
const BLOOM_BITS: f64 = 10.0;

/// Share of a memtable that its own filter takes.
const MEMTABLE_BLOOM_RATIO: f64 = 0.05;

/// Memory that the index may use.
#[derive(Clone)]
pub struct IndexSettings {
    /// Bytes of the block cache, which volume paths of one process share.
    pub cache: Cache,
    /// Bytes of one memtable; up to three exist.
    pub memtable_len: usize,
}

impl std::fmt::Debug for IndexSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexSettings")
            .field("memtable_len", &self.memtable_len)
            .finish_non_exhaustive()
    }
}

impl IndexSettings {
    /// Settings with a cache of `cache_len` bytes.
    pub fn new(cache_len: usize) -> Self {
        Self {
            cache: Cache::new_lru_cache(cache_len),
            memtable_len: 16 * 1024 * 1024,
        }
    }
}

/// The index of one volume path.
pub struct RocksIndex {
    db: DB,
    write: WriteOptions,
    cached: ReadOptions,
}

impl std::fmt::Debug for RocksIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksIndex")
            .field("path", &self.db.path())
            .finish_non_exhaustive()
    }
}

fn classify(error: rocksdb::Error) -> IndexError {
    if error.kind() == ErrorKind::Corruption {
        IndexError::Damaged(error)
    } else {
        IndexError::Failed(error)
    }
}

impl RocksIndex {
    /// Opens the index in `directory`, or makes an empty one there.
    pub fn open(directory: &Path, settings: &IndexSettings) -> Result<Self, IndexError> {
        Self::with(DB::open(&options(settings), directory))
    }

    /// Opens the index in `directory`, which is there, for looking only. Changes nothing on disk.
    pub fn open_read_only(directory: &Path, settings: &IndexSettings) -> Result<Self, IndexError> {
        let mut options = options(settings);
        options.create_if_missing(false);
        Self::with(DB::open_for_read_only(&options, directory, false))
    }

    fn with(opened: Result<DB, rocksdb::Error>) -> Result<Self, IndexError> {
        let db = opened.map_err(classify)?;
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        let mut cached = ReadOptions::default();
        cached.set_read_tier(ReadTier::BlockCache);
        Ok(Self { db, write, cached })
    }
}

fn options(settings: &IndexSettings) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_bloom_filter(BLOOM_BITS, false);
    table.set_optimize_filters_for_memory(true);
    table.set_block_cache(&settings.cache);
    table.set_format_version(5);

    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(settings.memtable_len);
    options.set_max_write_buffer_number(3);
    // Uploads ask first whether their name is free, and a rebuild asks for every record: misses.
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
    options.set_memtable_whole_key_filtering(true);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1024 * 1024);
    options.set_log_level(LogLevel::Warn);
    options
}

impl Index for RocksIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let value = self.db.get_pinned(key).map_err(classify)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn try_get(&self, key: &[u8]) -> Result<Cached, IndexError> {
        match self.db.get_pinned_opt(key, &self.cached) {
            Ok(value) => Ok(Cached::Known(value.map(|value| value.to_vec()))),
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(Cached::Unknown),
            Err(error) => Err(classify(error)),
        }
    }

    fn apply(&self, batch: &Batch) -> Result<(), IndexError> {
        let mut changes = WriteBatch::default();
        for (key, value) in batch.changes() {
            match value {
                Some(value) => changes.put(key, value),
                None => changes.delete(key),
            }
        }
        self.db.write_opt(changes, &self.write).map_err(classify)
    }

    fn scan(&self, prefix: u8, from: &[u8], visit: Visitor<'_>) -> Result<(), IndexError> {
        let first = if from.is_empty() { &[prefix] } else { from };
        let mut read = ReadOptions::default();
        // A walk over everything must not push the hot blocks out.
        read.fill_cache(false);
        read.set_readahead_size(1024 * 1024);
        for entry in self
            .db
            .iterator_opt(IteratorMode::From(first, Direction::Forward), read)
        {
            let (key, value) = entry.map_err(classify)?;
            if key.first() != Some(&prefix) || visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.db.flush().map_err(classify)
    }

    fn flush_soon(&self) -> Result<(), IndexError> {
        let mut options = FlushOptions::default();
        options.set_wait(false);
        self.db.flush_opt(&options).map_err(classify)
    }

    fn disk_len(&self) -> u64 {
        let property = self.db.property_int_value("rocksdb.total-sst-files-size");
        property.ok().flatten().unwrap_or_default()
    }
}
