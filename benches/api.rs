//! How fast is the image-host API, beside nginx for its lists and beside the `FastDFS` protocol of the
//! same server for its uploads? And do long lists cost more than short ones?
//!
//! Estimate: a page of 20 rows is one look at the catalog (session, head of the list, 20 entries in a
//! row: 10 µs), 7 KB of JSON (3 µs) and an HTTP exchange (12 to 15 µs): about twice a static file of
//! 4 KiB. An upload of 64 KiB is the `FastDFS` upload (65 µs), the MD5 of its bytes (100 µs), BLAKE3
//! (15 µs), the bytes once more through a socket (30 µs) and two small transactions (50 to 100 µs). An
//! instant upload is one transaction: 40 entries looked up and as many written.
//!
//! Data set: an account with `--files` files, all of which are shared and a part of which was viewed,
//! and one with 20; pictures of 64 KiB that differ from each other and do not compress.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod support {
    pub(crate) mod calls;
    pub(crate) mod error;
    pub(crate) mod generator;
    pub(crate) mod machine;
    pub(crate) mod nginx;
    pub(crate) mod process;
    pub(crate) mod server;
    pub(crate) mod verdict;
    pub(crate) mod wait;
}

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use support::calls::{Contest, Scale};
use support::error::{self, BenchError};
use support::machine::{Machine, load_average};
use support::verdict;

/// Compare the image-host API with nginx and the `FastDFS` protocol on this machine
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

    /// Files of the account whose lists are read; as many are shared
    #[arg(long, default_value_t = 100_000)]
    files: u64,

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
    println!("{}", machine.text());
    let scale = Scale {
        files: options.files,
        rounds: options.rounds.max(1),
        seconds: options.seconds,
    };
    println!(
        "{} files; {} rounds of {} s, interleaved; medians\n",
        scale.files, scale.rounds, scale.seconds
    );
    let contest = Contest::prepare(scale)?;
    println!("{}", verdict::HEAD);
    let filter = options.filter.as_deref().unwrap_or_default();
    let mut outcomes = Vec::new();
    for row in contest.rows() {
        if row.name().contains(filter) {
            let outcome = contest.hold(&row)?;
            println!("{}", outcome.text());
            outcomes.push(outcome);
        }
    }
    contest.end()?;
    println!("\nload average {} at the end", load_average());
    let file = options
        .json
        .clone()
        .unwrap_or_else(|| [env!("CARGO_TARGET_TMPDIR"), "api.json"].iter().collect());
    let json = serde_json::json!({ "machine": machine, "scale": scale, "rows": outcomes });
    fs::write(&file, format!("{json:#}\n")).map_err(BenchError::io("cannot write the figures"))?;
    println!("all figures: {}", file.display());
    Ok(())
}
