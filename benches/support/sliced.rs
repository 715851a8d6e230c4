//! Uploads in slices over 123pan's API: a big file beside what disk and processor can do, the end of a
//! bigger one, many at once, and many that stay open.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::error::BenchError;
use super::finding::{Finding, MB, Notes, Target, float, folder};
use super::generator::Load;
use super::memory;
use super::process::Durability;
use super::server::{Server, data_dir};
use super::{raw_md5, raw_sequential};

const GIB: f64 = 1_073_741_824.0;
/// Connections of the big file.
const CONNECTIONS: u64 = 4;
/// Connections of each of many files at once.
const CONNECTIONS_EACH: u64 = 2;
/// Connections that open sessions.
const CONNECTIONS_OPENING: u64 = 16;
/// Bytes of a small file, which is a single slice.
const SMALL_SIZE: u64 = 64 * 1024;
/// Small files of a round.
const SMALL_COUNT: u64 = 400;
/// Seconds that a call may take.
const PATIENCE: &str = "600";

/// How much of everything.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Scale {
    /// Bytes of the big file.
    pub(crate) size: u64,
    /// Bytes of the file whose end is measured.
    pub(crate) complete_size: u64,
    /// Files at once.
    pub(crate) parallel: u64,
    /// Bytes of each.
    pub(crate) parallel_size: u64,
    /// Open sessions.
    pub(crate) sessions: u64,
    /// Rounds of small uploads.
    pub(crate) rounds: u64,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Big,
    Complete,
    Parallel,
    Sessions,
    Small,
}

impl Part {
    pub(crate) const ALL: [Self; 5] = [
        Self::Big,
        Self::Complete,
        Self::Parallel,
        Self::Sessions,
        Self::Small,
    ];

    /// What the command line calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Big => "big",
            Self::Complete => "complete",
            Self::Parallel => "parallel",
            Self::Sessions => "sessions",
            Self::Small => "small",
        }
    }

    /// Bytes that it writes.
    pub(crate) fn bytes(self, scale: &Scale) -> u64 {
        match self {
            // The server's and those of the raw loop, which are there one after the other.
            Self::Big => scale.size,
            Self::Complete => scale.complete_size,
            // Once for each place that bytes have in a form.
            Self::Parallel => 2 * scale.parallel * scale.parallel_size,
            Self::Sessions | Self::Small => 1 << 30,
        }
    }

    /// Measures it.
    pub(crate) fn measure<F: FnMut(&Finding)>(
        self,
        scale: &Scale,
        notes: &mut Notes<F>,
    ) -> Result<(), BenchError> {
        let home = folder()?;
        match self {
            Self::Big => big(scale, home.path(), notes),
            Self::Complete => complete(scale, home.path(), notes),
            Self::Parallel => parallel(scale, home.path(), notes),
            Self::Sessions => sessions(scale, home.path(), notes),
            Self::Small => small(home.path(), notes),
        }
    }
}

/// What a run of uploads gave.
#[derive(Debug)]
struct Figures(Value);

impl Figures {
    /// Uploads, and looks at the server's processor time.
    fn of(load: &Load, server: &Server) -> Result<Self, BenchError> {
        load.report(&[server.pid()]).map(Self)
    }

    /// Bytes of content per second, from the first create to the last end.
    fn rate(&self) -> Result<f64, BenchError> {
        self.step("file", "/content_bytes_per_second")
    }

    /// Of a step's latency in milliseconds: `p50`, `p99` or `max`.
    fn latency_ms(&self, step: &'static str, which: &str) -> Result<f64, BenchError> {
        Ok(self.step(step, &format!("/latency_us/{which}"))? / 1_000.0)
    }

    /// A figure of a step of uploads.
    fn step(&self, step: &'static str, pointer: &str) -> Result<f64, BenchError> {
        let operations = self.0.pointer("/operations").and_then(Value::as_array);
        operations
            .into_iter()
            .flatten()
            .find(|figures| figures.get("op").and_then(Value::as_str) == Some(step))
            .and_then(|figures| figures.pointer(pointer)?.as_f64())
            .ok_or(BenchError::Lacking {
                what: "the load generator's report",
                field: step,
            })
    }

    /// Seconds of processor time of the server or of the generator.
    fn cpu_seconds(&self, pointer: &'static str) -> Result<f64, BenchError> {
        let seconds = self.0.pointer(pointer).and_then(Value::as_f64);
        seconds.ok_or(BenchError::Lacking {
            what: "the load generator's report",
            field: pointer,
        })
    }
}

fn big<F: FnMut(&Finding)>(
    scale: &Scale,
    home: &Path,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let size = scale.size;
    let md5 = raw_md5::md5();
    let before = raw_sequential::write(home, size)?;
    let figures = on_fresh_server(home, Durability::Always, size)?;
    let after = raw_sequential::write(home, size)?;
    // Of both together: as many bytes in the sum of the times.
    let disk = 2.0 / (1.0 / before + 1.0 / after);
    let rate = figures.rate()?;
    let gibibytes = float(size) / GIB;
    notes.add("raw durable writes before", before / MB, "MB/s", None);
    notes.add("raw durable writes behind", after / MB, "MB/s", None);
    notes.add("MD5 on one core", md5 / MB, "MB/s", None);
    let what = format!(
        "upload of {} over {CONNECTIONS} connections",
        in_words(size)
    );
    notes.add(&what, rate / MB, "MB/s", None);
    notes.add("beside raw durable writes", rate / disk, "", None);
    notes.add("beside MD5", rate / md5, "", None);
    let lower = rate / disk.min(md5);
    notes.add("beside the lower of both", lower, "", Target::AtLeast(0.7));
    let server_cpu = figures.cpu_seconds("/servers/0/cpu_seconds")? / gibibytes;
    let own_cpu = figures.cpu_seconds("/generator/cpu_seconds")? / gibibytes;
    notes.add("processor time of the server", server_cpu, "s/GiB", None);
    notes.add("processor time of the generator", own_cpu, "s/GiB", None);
    for which in ["p50", "p99"] {
        let latency = figures.latency_ms("slice", which)?;
        notes.add(format!("{which} of a slice"), latency, "ms", None);
    }
    let end = figures.latency_ms("complete", "max")?;
    notes.add("until upload_complete says so", end, "ms", None);
    let hasty = on_fresh_server(home, Durability::Os, size)?.rate()?;
    let what = "the same upload, if the server does not wait for the disk";
    notes.add(what, hasty / MB, "MB/s", None);
    Ok(())
}

/// Uploads a file of `size` bytes to a server that goes away with it, so that the disk is as it was.
fn on_fresh_server(home: &Path, durability: Durability, size: u64) -> Result<Figures, BenchError> {
    let server = Server::start(home, durability)?;
    rustix::fs::sync();
    let figures = Figures::of(&upload(&server, size, CONNECTIONS)?, &server)?;
    server.stop()?;
    fs::remove_dir_all(data_dir(home)).map_err(BenchError::io("cannot remove a server's data"))?;
    Ok(figures)
}

fn complete<F: FnMut(&Finding)>(
    scale: &Scale,
    home: &Path,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let size = scale.complete_size;
    let server = Server::start(home, Durability::Always)?;
    let figures = Figures::of(&upload(&server, size, 1)?, &server)?;
    server.stop()?;
    let what = format!("upload of {} over one connection", in_words(size));
    notes.add(what, figures.rate()? / MB, "MB/s", None);
    let end = figures.latency_ms("complete", "max")?;
    let what = "from upload_complete to `completed: true`";
    notes.add(what, end, "ms", Target::AtMost(100.0));
    Ok(())
}

fn parallel<F: FnMut(&Finding)>(
    scale: &Scale,
    home: &Path,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let Scale {
        parallel,
        parallel_size,
        ..
    } = *scale;
    let server = Server::start(home, Durability::Always)?;
    let size = in_words(parallel_size);
    for (place, seed) in [("last", "1"), ("first", "2")] {
        let load = upload(&server, parallel_size, parallel * CONNECTIONS_EACH)?
            .with("--files-at-once", parallel.to_string())
            .with("--count", parallel.to_string())
            .with("--seed", seed)
            .with("--slice-bytes", place);
        let (figures, peak) = memory::watch(&server, || Figures::of(&load, &server))?;
        let what = format!("during {parallel} uploads of {size} at the same time, bytes {place}");
        notes.memory(&what, peak, 300.0);
        notes.add("their rate together", figures.rate()? / MB, "MB/s", None);
    }
    server.stop()
}

/// Sessions that are open cost memory, and may not slow others: a server with many of them beside one
/// with none.
fn sessions<F: FnMut(&Finding)>(
    scale: &Scale,
    home: &Path,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let sessions = scale.sessions;
    let other_home = folder()?;
    let busy = Server::start(home, Durability::Always)?;
    let other = Server::start(other_home.path(), Durability::Always)?;
    // What memory the first uploads take is not the sessions'.
    for server in [&busy, &other] {
        Figures::of(&small_files(server, 0)?, server)?;
    }
    let before = memory::look(busy.pid())?;
    let load = open(&busy, sessions)?.with("--seed", "1");
    let (figures, peak) = memory::watched(&busy, &load)?;
    let after = memory::look(busy.pid())?;
    let what = format!("uploads begun, {sessions} one after the other");
    notes.add(what, figures.per_second, "per second", None);
    let growth = |own: u64| float(own.saturating_sub(before.own)) / MB;
    let what = format!("memory of its own that {sessions} open uploads add");
    notes.add(what, growth(after.own), "MB", Target::AtMost(50.0));
    notes.add("the same at its peak", growth(peak.own), "MB", None);
    beside(scale, [&busy, &other], notes)?;
    let before = memory::look(busy.pid())?;
    let load = open(&busy, sessions)?.with("--seed", "2");
    memory::watched(&busy, &load.with("--send", "last-slice"))?;
    let after = memory::look(busy.pid())?;
    let growth = float(after.own.saturating_sub(before.own)) / MB;
    let what = format!("that {sessions} more with a slice each add");
    notes.add(what, growth, "MB", None);
    busy.stop()?;
    other.stop()
}

/// Small uploads on a server with open sessions and on one without, in turns.
fn beside<F: FnMut(&Finding)>(
    scale: &Scale,
    servers: [&Server; 2],
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let mut rounds = [Vec::new(), Vec::new()];
    for round in 1..=scale.rounds {
        for (server, rounds) in servers.into_iter().zip(&mut rounds) {
            rustix::fs::sync();
            rounds.push(Figures::of(&small_files(server, round)?, server)?);
        }
    }
    let [busy, other] = rounds;
    let size = in_words(SMALL_SIZE);
    for step in ["create", "slice", "complete"] {
        let median = |rounds: &[Figures]| {
            let each = rounds.iter().map(|round| round.latency_ms(step, "p50"));
            let mut each = each.collect::<Result<Vec<f64>, _>>()?;
            each.sort_unstable_by(f64::total_cmp);
            Ok::<_, BenchError>(each.get(each.len() / 2).copied().unwrap_or_default())
        };
        let (busy, other) = (median(&busy)?, median(&other)?);
        let what = format!("p50 of {step}, files of {size}, none open");
        notes.add(what, other, "ms", None);
        let what = format!("the same with {} open", scale.sessions);
        notes.add(what, busy, "ms", None);
        let what = format!("{step}: ratio of the two");
        notes.add(what, busy / other, "", Target::AtMost(1.25));
    }
    Ok(())
}

fn small<F: FnMut(&Finding)>(home: &Path, notes: &mut Notes<F>) -> Result<(), BenchError> {
    let server = Server::start(home, Durability::Always)?;
    for (kind, what) in [
        ("pan-single", "uploads of 64 KiB in one request"),
        ("pan-reuse", "instant uploads"),
    ] {
        let load = call(&server, kind, CONNECTIONS_OPENING)?
            .with("--size", SMALL_SIZE.to_string())
            .with("--seconds", "3");
        let figures = load.measure(&[server.pid()])?;
        notes.add(what, figures.per_second, "per second", None);
        notes.add("p99", figures.p99_us / 1_000.0, "ms", None);
        notes.add("processor time of the server", figures.cpu_us, "µs", None);
    }
    server.stop()
}

/// Small files, one slice each, over 123pan's API.
fn small_files(server: &Server, seed: u64) -> Result<Load, BenchError> {
    Ok(upload(server, SMALL_SIZE, CONNECTIONS)?
        .with("--files-at-once", CONNECTIONS.to_string())
        .with("--count", SMALL_COUNT.to_string())
        .with("--seed", (1_000 + seed).to_string()))
}

fn open(server: &Server, sessions: u64) -> Result<Load, BenchError> {
    Ok(call(server, "pan-create", CONNECTIONS_OPENING)?.with("--count", sessions.to_string()))
}

fn upload(server: &Server, size: u64, connections: u64) -> Result<Load, BenchError> {
    Ok(call(server, "pan-sliced", connections)?.with("--file-size", size.to_string()))
}

fn call(server: &Server, kind: &str, connections: u64) -> Result<Load, BenchError> {
    Ok(Load::new(kind)
        .with("--api", format!("http://{}", server.address("api")?))
        .with("--connections", connections.to_string())
        .with("--timeout", PATIENCE))
}

/// A size with the largest unit that leaves no rest.
pub(crate) fn in_words(size: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if 0 < size && size.trailing_zeros() >= shift {
            return format!("{} {unit}", size >> shift);
        }
    }
    format!("{size} bytes")
}
