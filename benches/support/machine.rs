//! Where and when figures were measured: without this they mean nothing.

use std::fs;
use std::process::Command;

use common::env::clock;
use serde::Serialize;

/// A machine at the time of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    unix_seconds: u32,
    commit: String,
    processor: String,
    cores: usize,
    kernel: String,
    /// Load average over one minute before the run; what else the machine does is in every figure.
    load_average: String,
}

impl Machine {
    /// This one, now.
    pub(crate) fn look() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map(|(_, name)| name.trim().to_owned());
        Self {
            unix_seconds: clock::unix_seconds(),
            commit: commit().unwrap_or_else(unknown),
            processor: processor.unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            kernel: first_word("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            load_average: load_average(),
        }
    }

    /// A line for people.
    pub(crate) fn text(&self) -> String {
        let Self {
            commit,
            processor,
            cores,
            kernel,
            load_average,
            ..
        } = self;
        format!(
            "commit {commit}, {cores} cores of {processor}, Linux {kernel}, load average \
             {load_average} at the start"
        )
    }
}

/// Processes that ran or wanted to, over the last minute.
pub(crate) fn load_average() -> String {
    first_word("/proc/loadavg").unwrap_or_else(unknown)
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn first_word(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.split_ascii_whitespace().next().map(str::to_owned)
}

fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=10"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
