//! What do copies cost, how fast does a node get what it lacks, and how far do nodes lag behind?
//!
//! Estimate: a copy of 64 KiB passes one more socket (2 × 0.5 ns/B), is checked by one more CRC, and
//! is written and synced once more; the nodes share the cores and the disk, so half of the rate of one
//! node is what can be asked. An emptied node compares 2,048 names at a time and fetches what it lacks:
//! its disk is the bound for long files, and for short ones the 10 to 20 µs that a record costs on each
//! of two nodes.
//!
//! Data set: uploads of 64 KiB over 16 connections, through the tracker, for `--seconds`, in `--rounds`
//! rounds; `--big-files` files of 1 MiB and `--small-files` of 4 KiB that an empty node gets. All nodes
//! are processes of this machine with data directories of their own on one disk.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod support {
    pub(crate) mod cluster;
    pub(crate) mod error;
    pub(crate) mod finding;
    pub(crate) mod generator;
    pub(crate) mod machine;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod raw_file;
    pub(crate) mod raw_sequential;
    pub(crate) mod replication;
    pub(crate) mod wait;
}

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use support::error::{self, BenchError};
use support::finding::{self, Finding, Notes};
use support::machine::{Machine, load_average};
use support::replication::{Part, Scale};

/// Measure copies between nodes
#[derive(Debug, Parser)]
struct Options {
    /// Only this part: acks, rebuild, lag or groups
    filter: Option<String>,

    /// Rounds of uploads and of the rebuild of long files; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: u64,

    /// Seconds of a round
    #[arg(long, default_value_t = 2)]
    seconds: u64,

    /// Files of 1 MiB that a node gets again
    #[arg(long, default_value_t = 3000)]
    big_files: u64,

    /// Files of 4 KiB that a node gets again
    #[arg(long, default_value_t = 200_000)]
    small_files: u64,

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
        rounds: options.rounds.max(1),
        seconds: options.seconds.max(1),
        big_files: options.big_files.max(1),
        small_files: options.small_files.max(1),
    };
    let mut notes = Notes::new(|finding: &Finding| println!("{}", finding.text()));
    for part in Part::ALL {
        let is_wanted = |filter: &String| filter == part.name();
        if options.filter.as_ref().is_none_or(is_wanted) {
            part.measure(&scale, &mut notes)?;
        }
    }
    let findings = notes.findings;
    println!("\nload average {} at the end", load_average());
    let json = serde_json::json!({ "machine": machine, "scale": scale, "findings": findings });
    finding::save(options.json.as_deref(), "cluster.json", &json)
}
