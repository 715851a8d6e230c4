//! Figures with what they are to be, and the memory of a server under load.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tempfile::TempDir;

use super::error::BenchError;
use super::generator::{Figures, Load};
use super::memory::{self, Memory};
use super::server::Server;
use super::wait;

/// The head of the table; Markdown, to be pasted into the README.
pub(crate) const HEAD: &str = "| what | measured | target | |\n|---|---|---|---|";

/// How long a load may take.
const LOAD_LIMIT: Duration = Duration::from_hours(2);

pub(crate) const MB: f64 = 1e6;

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    what: String,
    value: f64,
    unit: &'static str,
    target: Option<Target>,
}

/// What a figure is to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Finding {
    /// A line of the table.
    pub(crate) fn text(&self) -> String {
        let (target, is_met) = match self.target {
            Some(Target::AtMost(most)) => (format!("≤ {most}"), Some(self.value <= most)),
            Some(Target::AtLeast(least)) => (format!("≥ {least}"), Some(least <= self.value)),
            None => (String::new(), None),
        };
        let verdict = match is_met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        let digits = if self.value < 100.0 { 2 } else { 0 };
        let Self {
            what, value, unit, ..
        } = self;
        format!("| {what} | {value:.digits$} {unit} | {target} | {verdict} |")
    }
}

/// Collects findings and shows each at once.
#[derive(Debug)]
pub(crate) struct Notes<F> {
    pub(crate) findings: Vec<Finding>,
    show: F,
}

impl<F: FnMut(&Finding)> Notes<F> {
    /// Nothing is known yet; `show` sees each figure when it is.
    pub(crate) fn new(show: F) -> Self {
        Self {
            findings: Vec::new(),
            show,
        }
    }

    /// Adds a figure.
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: impl Into<Option<Target>>,
    ) {
        let finding = Finding {
            what: what.into(),
            value,
            unit,
            target: target.into(),
        };
        (self.show)(&finding);
        self.findings.push(finding);
    }

    /// Adds what a process holds.
    pub(crate) fn memory(&mut self, what: &str, seen: Memory, most: f64) {
        let own = format!("memory of its own, {what}");
        self.add(own, float(seen.own) / MB, "MB", Target::AtMost(most));
        let mapped = format!("resident pages of mapped files, {what}");
        self.add(mapped, float(seen.mapped) / MB, "MB", None);
    }
}

/// A folder for a server's data.
pub(crate) fn folder() -> Result<TempDir, BenchError> {
    TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))
        .map_err(BenchError::io("cannot make a folder"))
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
            let seen = memory::look(server.pid())?;
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

#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people; 53 bits are more than enough"
)]
pub(crate) fn float(value: u64) -> f64 {
    value as f64
}
