//! How `RocksDB` is set up for the catalog. Reasons and figures: docs/decisions/0009-catalog.md.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBRecoveryMode, DEFAULT_COLUMN_FAMILY_NAME, InfoLogger, LogLevel, Options, WriteOptions,
};
use tracing::{debug, error, warn};

use super::CatalogSettings;

/// Bits of the bloom filter for each key.
const BLOOM_BITS: f64 = 10.0;
/// Share of a memtable that its own filter takes.
const MEMTABLE_BLOOM_RATIO: f64 = 0.05;
/// Memtables that may exist: one that takes changes, and two that are being written to files.
const MEMTABLES_MAX: i32 = 3;
/// Where the counts of lists are: a tree of their own is so small that looking for the count before an
/// entry, which each change of a list does several times, stays within a processor's cache.
pub(super) const COUNTS: &str = "counts";
/// Bytes of a memtable of counts.
const COUNTS_MEMTABLE_LEN: usize = 4 * 1024 * 1024;
/// Bytes of a block of entries.
const BLOCK_LEN: usize = 4 * 1024;
/// Options that have no call of their own and are set once the database is open.
pub(super) const LATER_OPTIONS: &[(&str, &str)] = &[
    // Removed entries that one step of a scan may meet in memory before the memtable is written
    // out. Keys of rankings come and go, and without this a scan walks over all that went. Only
    // ascending scans are looked at.
    ("memtable_op_scan_flush_trigger", "500"),
    ("memtable_avg_op_scan_flush_trigger", "50"),
    // What a memtable held stays in memory when it becomes a file: it is what is read next.
    (
        "block_based_table_factory",
        "{prepopulate_block_cache=kFlushOnly;}",
    ),
];
/// A file is compacted early where so many of so many entries in a row are removals.
const REMOVALS_WINDOW: usize = 1024;
const REMOVALS_TRIGGER: usize = 512;

/// What is believed of a log that breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogTrust {
    /// Everything must be readable but the last record, which may be cut short.
    Whole,
    /// Everything up to the first record that cannot be read.
    UpToDamage,
}

/// The options of the catalog's database.
pub(super) fn options(settings: &CatalogSettings, trust: LogTrust) -> Options {
    let mut options = options_of_keys(&table(settings.cache_len), settings.memtable_len);
    options.set_wal_recovery_mode(match trust {
        LogTrust::Whole => DBRecoveryMode::TolerateCorruptedTailRecords,
        LogTrust::UpToDamage => DBRecoveryMode::PointInTime,
    });
    options.set_max_background_jobs(2);
    options.set_max_open_files(256);
    // Compactions write in small steps, so that the sync of a group does not wait for theirs.
    options.set_bytes_per_sync(1024 * 1024);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, log));
    options.set_log_level(LogLevel::Warn);
    options
}

/// The two trees of the database, which share a cache and a log.
pub(super) fn trees(settings: &CatalogSettings) -> [ColumnFamilyDescriptor; 2] {
    let table = table(settings.cache_len);
    let rest = options_of_keys(&table, settings.memtable_len);
    let counts = options_of_keys(&table, COUNTS_MEMTABLE_LEN.min(settings.memtable_len));
    [
        ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, rest),
        ColumnFamilyDescriptor::new(COUNTS, counts),
    ]
}

fn options_of_keys(table: &BlockBasedOptions, memtable_len: usize) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(table);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(memtable_len);
    options.set_max_write_buffer_number(MEMTABLES_MAX);
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
    options.set_memtable_whole_key_filtering(true);
    options.add_compact_on_deletion_collector_factory(REMOVALS_WINDOW, REMOVALS_TRIGGER, 0.0);
    options
}

fn table(cache_len: usize) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_format_version(6);
    table.set_block_size(BLOCK_LEN);
    table.set_bloom_filter(BLOOM_BITS, false);
    table.set_optimize_filters_for_memory(true);
    // Filters and indexes are cut in pieces that live in the cache like everything else, so the
    // cache bounds them too, however many files the catalog knows.
    table.set_block_cache(&Cache::new_lru_cache(cache_len));
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(BLOCK_LEN);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table
}

/// How a group is written.
pub(super) fn write_options(sync: super::writer::Sync) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(sync == super::writer::Sync::Now);
    options
}

/// Passes on what `RocksDB` says, above all which bytes of its log it could not read.
fn log(level: LogLevel, text: &str) {
    let text = text.trim_end();
    match level {
        LogLevel::Fatal | LogLevel::Error => error!(text, "the catalog's database"),
        LogLevel::Warn => warn!(text, "the catalog's database"),
        LogLevel::Debug | LogLevel::Info | LogLevel::Header => {
            debug!(text, "the catalog's database");
        }
    }
}
