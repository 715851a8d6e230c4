//! How fast are uploads in slices beside what the disk and one processor can do, how long does their
//! end take, and how much memory do they cost?
//!
//! Estimate: a byte passes two sockets (2 × 0.5 ns), is hashed for its slice's MD5 (1.6 ns), its part
//! of the BLAKE3 (0.3 ns), the MD5 and SHA-1 of the whole (2.2 ns), and written (0.5 ns): 5 to 6 ns,
//! or 5 to 6 s/GiB over two cores that the generator uses as well. The end is a look at 640 slices, two
//! transactions and a record of storage's: 10 to 20 ms. An upload under way holds the pieces of its
//! sockets: less than a MiB. An open session is a few entries of the catalog: a KiB of memtable.
//!
//! Data set: one file of `--size` bytes over 4 connections; one of `--complete-size` over one;
//! `--parallel` files of `--parallel-size` at once over two connections each; `--sessions` uploads that
//! are begun and left open, beside a server without any. Slices have 16 MiB, and every MD5 is computed
//! before the clock runs.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod support {
    pub(crate) mod error;
    pub(crate) mod finding;
    pub(crate) mod generator;
    pub(crate) mod machine;
    pub(crate) mod memory;
    pub(crate) mod process;
    pub(crate) mod raw_file;
    pub(crate) mod raw_md5;
    pub(crate) mod raw_sequential;
    pub(crate) mod server;
    pub(crate) mod sliced;
    pub(crate) mod wait;
}

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use support::error::{self, BenchError};
use support::finding::{self, Finding, Notes};
use support::machine::{Machine, load_average};
use support::sliced::{Part, Scale, in_words};

/// Measure uploads in slices
#[derive(Debug, Parser)]
struct Options {
    /// Only this part: big, complete, parallel, sessions or small
    filter: Option<String>,

    /// Bytes of the file that is uploaded over 4 connections
    #[arg(long, default_value_t = 4 << 30)]
    size: u64,

    /// Bytes of the file whose end is measured
    #[arg(long, default_value_t = 10 << 30)]
    complete_size: u64,

    /// Files at the same time
    #[arg(long, default_value_t = 16)]
    parallel: u64,

    /// Bytes of each of them
    #[arg(long, default_value_t = 256 << 20)]
    parallel_size: u64,

    /// Uploads that are begun and left open
    #[arg(long, default_value_t = 10_000)]
    sessions: u64,

    /// Rounds of small uploads beside open ones; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: u64,

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
        size: options.size.max(1),
        complete_size: options.complete_size.max(1),
        parallel: options.parallel.max(1),
        parallel_size: options.parallel_size.max(1),
        sessions: options.sessions.max(1),
        rounds: options.rounds.max(1),
    };
    let mut notes = Notes::new(|finding: &Finding| println!("{}", finding.text()));
    let mut skipped = Vec::new();
    for part in Part::ALL {
        let is_wanted = |filter: &String| filter == part.name();
        if !options.filter.as_ref().is_none_or(is_wanted) {
            continue;
        }
        // Half more than it writes: others use the disk as well.
        let needed = part.bytes(&scale) / 2 * 3;
        if free()? < needed {
            skipped.push((part, needed));
            continue;
        }
        part.measure(&scale, &mut notes)?;
    }
    for (part, needed) in skipped {
        let (name, needed) = (part.name(), in_words(needed));
        println!("\nnot measured: {name}, which needs {needed} of free disk");
    }
    let findings = notes.findings;
    println!("\nload average {} at the end", load_average());
    let json = serde_json::json!({ "machine": machine, "scale": scale, "findings": findings });
    finding::save(options.json.as_deref(), "sliced.json", &json)
}

/// Bytes of free disk where the servers' data goes.
fn free() -> Result<u64, BenchError> {
    let space = rustix::fs::statvfs(env!("CARGO_TARGET_TMPDIR"))
        .map_err(|error| BenchError::io("cannot look at the disk")(error.into()))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}
