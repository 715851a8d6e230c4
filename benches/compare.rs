//! How fast is Hayloft beside `FastDFS` and nginx on the same machine, and what does an operation cost
//! the processor?
//!
//! Estimate: a 4 KiB request costs two system calls for the request and its answer and two wake-ups,
//! 8 to 12 µs together; an upload adds a positioned write of 4 KiB (3 to 6 µs), an index entry (1 µs)
//! and its share of a sync; a body costs 0.1 to 0.3 µs per KiB to copy into the socket. The original
//! creates a file per upload and hands each request to another thread and back: 80 to 130 µs.
//!
//! Data set: contents that do not compress and differ from each other; 256 files for reads, which
//! the page cache holds; a fresh data directory per row. See benches/README.md for the method.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod support {
    pub(crate) mod contest;
    pub(crate) mod cpu;
    pub(crate) mod error;
    pub(crate) mod fastdfs;
    pub(crate) mod generator;
    pub(crate) mod machine;
    pub(crate) mod nginx;
    pub(crate) mod process;
    pub(crate) mod raw_append;
    pub(crate) mod raw_file;
    pub(crate) mod result;
    pub(crate) mod rows;
    pub(crate) mod server;
    pub(crate) mod wait;
}

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use support::contest::{self, References};
use support::error::{self, BenchError};
use support::machine::{Machine, load_average};
use support::result;
use support::rows::ROWS;

/// Compare Hayloft with `FastDFS`, nginx and the raw disk on this machine
#[derive(Debug, Parser)]
struct Options {
    /// Only rows whose name contains this
    filter: Option<String>,

    /// Rounds of each row, interleaved with those of the reference; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Length of a round
    #[arg(long, default_value_t = 1)]
    seconds: u64,

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
    let references = References::find()?;
    println!("{}", machine.text());
    println!("{}", references.text());
    println!(
        "{} rounds of {} s, interleaved; medians\n",
        options.rounds, options.seconds
    );
    println!("{}", result::HEAD);
    let filter = options.filter.as_deref().unwrap_or_default();
    let mut outcomes = Vec::new();
    let mut result = Ok(());
    for row in ROWS.iter().filter(|row| row.name.contains(filter)) {
        match contest::hold(row, &references, options.rounds, options.seconds) {
            Ok(outcome) => {
                println!("{}", outcome.text());
                outcomes.push(outcome);
            }
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    references.clean_up()?;
    result?;
    println!("\nload average {} at the end", load_average());
    let file = options.json.clone().unwrap_or_else(|| {
        [env!("CARGO_TARGET_TMPDIR"), "compare.json"]
            .iter()
            .collect()
    });
    let json = result::json(&machine, options.rounds, options.seconds, &outcomes);
    fs::write(&file, json).map_err(BenchError::io("cannot write the figures"))?;
    println!("all figures: {}", file.display());
    Ok(())
}
