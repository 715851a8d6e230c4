//! How much memory and disk does Hayloft take, and how long until it serves again?
//!
//! Estimate: an idle process holds its threads' stacks, `RocksDB`'s caches and a memtable's first
//! arena: 20 to 40 MB. A file of 4 KiB is a record of 4 KiB + header + key, rounded up (about 100
//! bytes), and an index entry of 45 to 60 bytes. A clean start reads the index's list of files: a
//! tenth of a second. After `kill -9` the records since the watermark are read again: 4 KiB records
//! at 1 GB/s or more from the page cache, so a second per GiB. A rebuild walks the headers only.
//!
//! Data set: `--files` files of `--size` bytes, uploaded over 64 connections; then a GiB of 4 KiB
//! files before the kill; then 64 uploads at the same time of `--big-size` each to a fresh server.
//! Then a server with `--catalogued` entries of one account in its catalog, and `--api-uploads` forms
//! at the same time with `--api-upload-size` bytes each: a page of the catalog's cache and a few
//! pieces per upload, so 100 to 200 MB.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod support {
    pub(crate) mod catalog_footprint;
    pub(crate) mod error;
    pub(crate) mod finding;
    pub(crate) mod footprint;
    pub(crate) mod generator;
    pub(crate) mod inspect;
    pub(crate) mod machine;
    pub(crate) mod memory;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod server;
    pub(crate) mod wait;
}

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use support::catalog_footprint;
use support::error::{self, BenchError};
use support::finding::{self, Finding, Notes};
use support::footprint::{self, Scale};
use support::machine::{Machine, load_average};

/// Measure memory, disk and start times
#[derive(Debug, Parser)]
struct Options {
    /// Only `storage` or only `api`
    filter: Option<String>,

    /// Files to store
    #[arg(long, default_value_t = 1_000_000)]
    files: u64,

    /// Bytes of each
    #[arg(long, default_value_t = 4096)]
    size: u64,

    /// Bytes of each of the 64 big uploads
    #[arg(long, default_value_t = 64 * 1024 * 1024)]
    big_size: u64,

    /// Files to have in the catalog
    #[arg(long, default_value_t = 1_000_000)]
    catalogued: u64,

    /// Uploads over the API at the same time
    #[arg(long, default_value_t = 64)]
    api_uploads: u64,

    /// Bytes of each of them; the disk must hold all, and the generator one
    #[arg(long, default_value_t = 64 * 1024 * 1024)]
    api_upload_size: u64,

    /// Starts of each kind; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Where all figures go as JSON; default: the build's folder for temporary files
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Cargo gives this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {}", error::chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), BenchError> {
    let machine = Machine::look();
    println!("{}\n\n{}", machine.text(), finding::HEAD);
    let scale = Scale {
        files: options.files,
        size: options.size,
        big_size: options.big_size,
        rounds: options.rounds.max(1),
    };
    let api_scale = catalog_footprint::Scale {
        files: options.catalogued,
        uploads: options.api_uploads.max(1),
        upload_size: options.api_upload_size,
    };
    let mut notes = Notes::new(|finding: &Finding| println!("{}", finding.text()));
    let is_wanted = |part: &str| {
        options
            .filter
            .as_deref()
            .is_none_or(|filter| filter == part)
    };
    if is_wanted("storage") {
        footprint::measure(&scale, &mut notes)?;
    }
    if is_wanted("api") {
        catalog_footprint::measure(&api_scale, &mut notes)?;
    }
    let findings = notes.findings;
    println!("\nload average {} at the end", load_average());
    let json = serde_json::json!({ "machine": machine, "scale": scale, "api_scale": api_scale, "findings": findings });
    finding::save(options.json.as_deref(), "memory.json", &json)
}
