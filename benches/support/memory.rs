//! What `/proc` says about the memory of a process, also while it is under load.

use std::time::Duration;
use std::{fs, io};

use super::error::BenchError;
use super::finding::{Finding, MB, Notes, Target, float};
use super::generator::{Figures, Load};
use super::server::Server;
use super::wait;

/// How long a load may take.
const LOAD_LIMIT: Duration = Duration::from_hours(2);

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Memory of its own.
    pub(crate) own: u64,
    /// Resident pages of mapped files: volumes and the program itself. The page cache holds them
    /// anyway, and the kernel takes them back when it likes.
    pub(crate) mapped: u64,
}

/// Looks at the memory of a process.
pub(crate) fn look(pid: u32) -> Result<Memory, BenchError> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(BenchError::io("cannot read the status of a process"))?;
    let bytes = |key: &'static str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok())
            .map(|kibibytes| kibibytes * 1024)
            .ok_or(BenchError::Lacking {
                what: "the status of a process",
                field: key,
            })
    };
    Ok(Memory {
        own: bytes("RssAnon")? + bytes("RssShmem")?,
        mapped: bytes("RssFile")?,
    })
}

impl<F: FnMut(&Finding)> Notes<F> {
    /// Adds what a process holds.
    pub(crate) fn memory(&mut self, what: &str, seen: Memory, most: f64) {
        let own = format!("memory of its own, {what}");
        self.add(own, float(seen.own) / MB, "MB", Target::AtMost(most));
        let mapped = format!("resident pages of mapped files, {what}");
        self.add(mapped, float(seen.mapped) / MB, "MB", None);
    }
}

/// Makes a load and watches the server's memory meanwhile: the most that was seen of each kind.
pub(crate) fn watched(server: &Server, load: &Load) -> Result<(Figures, Memory), BenchError> {
    watch(server, || load.measure(&[server.pid()]))
}

/// Watches the server's memory while `work` goes on.
pub(crate) fn watch<T: Send>(
    server: &Server,
    work: impl FnOnce() -> Result<T, BenchError> + Send,
) -> Result<(T, Memory), BenchError> {
    let mut peak = Memory::default();
    let done = std::thread::scope(|scope| {
        let work = scope.spawn(work);
        let watched = wait::until("the load ends", LOAD_LIMIT, || {
            let seen = look(server.pid())?;
            peak.own = peak.own.max(seen.own);
            peak.mapped = peak.mapped.max(seen.mapped);
            Ok(work.is_finished().then_some(()))
        });
        let panicked =
            || BenchError::io("the watch over the generator")(io::ErrorKind::Other.into());
        let done = work.join().map_err(|_| panicked())?;
        watched.and(done)
    })?;
    Ok((done, peak))
}
