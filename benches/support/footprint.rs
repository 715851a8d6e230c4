//! The life of one server, with a look at memory, disk and clock at every stage.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use common::env::clock;
use serde::Serialize;

use super::error::BenchError;
use super::finding::{Finding, MB, Notes, Target, float, folder};
use super::generator::{Figures, Load};
use super::inspect::{self, Recovered};
use super::memory::{self, Memory};
use super::process::Durability;
use super::server::{Server, data_dir};
use super::wait;

/// Connections that upload.
const CONNECTIONS: u64 = 64;
/// Bytes written before the process is killed.
const BYTES_BEFORE_KILL: u64 = 1 << 30;
/// Size of the files among them, the worst case: most records in a GiB.
const SIZE_BEFORE_KILL: u64 = 4096;
/// How long the idle server is watched.
const IDLE_TIME: Duration = Duration::from_secs(2);

/// Of the server that gets many files: memory and disk are the same with `always`, and it is sooner
/// there. That of the big uploads has the default.
const DURABILITY: Durability = Durability::Os;

/// How much of everything.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Scale {
    /// Files to store.
    pub(crate) files: u64,
    /// Bytes of each.
    pub(crate) size: u64,
    /// Bytes of each big upload.
    pub(crate) big_size: u64,
    /// Starts of each kind.
    pub(crate) rounds: usize,
}

/// Measures everything.
pub(crate) fn measure<F: FnMut(&Finding)>(
    scale: &Scale,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let home = folder()?;
    many_files(scale, home.path(), notes)?;
    clean_starts(scale, home.path(), notes)?;
    start_after_kill(home.path(), notes)?;
    rebuilds(scale, home.path(), notes)?;
    drop(home);
    big_uploads(scale, notes)
}

/// A server and the time from the start of its process until all roles answered.
fn timed_start(home: &Path) -> Result<(Server, Duration), BenchError> {
    let begin = clock::monotonic();
    let server = Server::start(home, DURABILITY)?;
    let time = clock::monotonic().saturating_duration_since(begin);
    Ok((server, time))
}

fn many_files<F: FnMut(&Finding)>(
    scale: &Scale,
    home: &Path,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let (server, time) = timed_start(home)?;
    notes.add("start with no data", seconds(time), "s", None);
    notes.memory("idle", idle(&server)?, 60.0);
    let Scale { files, size, .. } = *scale;
    let (figures, peak) = upload(&server, files, size)?;
    notes.add("uploads to get there", figures.per_second, "files/s", None);
    let what = format!("during {files} uploads of {size} bytes");
    notes.add(what, float(peak.own) / MB, "MB", None);
    notes.memory(
        &format!("after {files} files"),
        memory::look(server.pid())?,
        120.0,
    );
    let live = inspect::metric(&server, "hayloft_store_live_bytes")?;
    server.stop()?;
    let volume = live / float(files) - float(size);
    let index = float(allocated(&index_dir(home))) / float(files);
    notes.add(
        "bytes per file beyond its content, volume",
        volume,
        "B",
        None,
    );
    notes.add("bytes per file, index", index, "B", None);
    let both = "bytes per file beyond its content, together";
    notes.add(both, volume + index, "B", Target::AtMost(160.0));
    Ok(())
}

fn clean_starts<F: FnMut(&Finding)>(
    scale: &Scale,
    home: &Path,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let mut times = Vec::new();
    for _ in 0..scale.rounds {
        let (server, time) = timed_start(home)?;
        times.push(time);
        server.stop()?;
    }
    let time = median(times);
    let what = format!("start after a clean stop with {} files", scale.files);
    notes.add(what, seconds(time), "s", Target::AtMost(2.0));
    Ok(())
}

fn start_after_kill<F: FnMut(&Finding)>(
    home: &Path,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let server = Server::start(home, DURABILITY)?;
    let count = BYTES_BEFORE_KILL / SIZE_BEFORE_KILL;
    upload(&server, count, SIZE_BEFORE_KILL)?;
    // Kills it.
    drop(server);
    let (server, time) = timed_start(home)?;
    let recovered = inspect::recovered(home)?;
    server.stop()?;
    let what = "start after kill -9 behind 1 GiB of 4 KiB files";
    notes.add(what, seconds(time), "s", None);
    // The fixed part of a start is in it, to be on the safe side.
    if let Some(Recovered { bytes, records }) = recovered {
        notes.add("bytes replayed in it", float(bytes) / MB, "MB", None);
        notes.add("records replayed in it", float(records), "", None);
        let gibibytes = float(bytes) / float(1 << 30);
        let what = "the same per GiB replayed";
        notes.add(what, seconds(time) / gibibytes, "s", Target::AtMost(1.0));
    }
    Ok(())
}

fn rebuilds<F: FnMut(&Finding)>(
    scale: &Scale,
    home: &Path,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let mut times = Vec::new();
    let mut records = 0;
    for _ in 0..scale.rounds {
        fs::remove_dir_all(index_dir(home)).map_err(BenchError::io("cannot remove the index"))?;
        let (server, time) = timed_start(home)?;
        times.push(time);
        if let Some(recovered) = inspect::recovered(home)? {
            records = recovered.records;
        }
        server.stop()?;
    }
    let time = median(times);
    let what = format!("start without an index, {records} records");
    notes.add(what, seconds(time), "s", None);
    let rate = float(records) / seconds(time);
    notes.add(
        "index rebuild",
        rate,
        "records/s",
        Target::AtLeast(500_000.0),
    );
    Ok(())
}

fn big_uploads<F: FnMut(&Finding)>(scale: &Scale, notes: &mut Notes<F>) -> Result<(), BenchError> {
    let home = folder()?;
    let server = Server::start(home.path(), Durability::Always)?;
    let (figures, peak) = upload(&server, CONNECTIONS, scale.big_size)?;
    let what = format!(
        "during {CONNECTIONS} uploads of {} MiB at the same time",
        scale.big_size >> 20
    );
    notes.memory(&what, peak, 200.0);
    let rate = figures.per_second * float(scale.big_size) / MB;
    notes.add("their rate together", rate, "MB/s", None);
    server.stop()
}

/// Uploads files and watches the server's memory meanwhile.
fn upload(server: &Server, count: u64, size: u64) -> Result<(Figures, Memory), BenchError> {
    let load = Load::new("upload")
        .with("--storage", server.address("storage")?)
        .with("--connections", CONNECTIONS.to_string())
        .with("--size", size.to_string())
        .with("--timeout", "300")
        .with("--count", count.to_string());
    memory::watched(server, &load)
}

/// The most memory that the server takes while nobody asks it anything.
fn idle(server: &Server) -> Result<Memory, BenchError> {
    let begin = clock::monotonic();
    let mut peak = Memory::default();
    wait::until("the idle time ends", IDLE_TIME * 2, || {
        let seen = memory::look(server.pid())?;
        peak.own = peak.own.max(seen.own);
        peak.mapped = peak.mapped.max(seen.mapped);
        let now = clock::monotonic();
        Ok((IDLE_TIME <= now.saturating_duration_since(begin)).then_some(()))
    })?;
    Ok(peak)
}

fn index_dir(home: &Path) -> std::path::PathBuf {
    data_dir(home).join("storage").join("M00").join("index")
}

/// Allocated bytes of everything below `path`; what vanishes meanwhile counts nothing.
fn allocated(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    let below = fs::read_dir(path).map_or(0, |entries| {
        let each = entries.flatten().map(|entry| allocated(&entry.path()));
        each.sum::<u64>()
    });
    metadata.blocks() * 512 + below
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
