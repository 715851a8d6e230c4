//! What `/proc` says about the processor time of a process.

use std::fs;
use std::time::Duration;

use super::error::BenchError;

/// A clock tick in `/proc/<pid>/stat`: 100 in a second on every Linux that Rust supports well.
const TICK_MS: u64 = 10;

/// User and system time of all threads of a process, also ended ones.
pub(crate) fn time(pid: u32) -> Result<Duration, BenchError> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(BenchError::io("cannot read the times of a process"))?;
    // The second field is the program's name in brackets, which may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let both = ticks().zip(ticks()).ok_or(BenchError::Lacking {
        what: "the statistics of a process",
        field: "user and system time",
    });
    both.map(|(user, system)| Duration::from_millis((user + system) * TICK_MS))
}
