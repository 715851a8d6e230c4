//! What a run tells: enough to repeat it and to judge it.

use std::time::Duration;

use serde::Serialize;

use super::process::Usage;
use super::stats::{OpFigures, Stats};

/// The result of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bench: &'static str,
    measured: &'static str,
    target: String,
    connections: usize,
    generator_threads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    sizes: Option<String>,
    seed: u64,
    verified: bool,
    elapsed_seconds: f64,
    operations: Vec<OpFigures>,
    servers: Vec<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generator: Option<Usage>,
    notes: Vec<&'static str>,
}

/// What is known before the run.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) bench: &'static str,
    pub(super) measured: &'static str,
    pub(super) target: String,
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) sizes: Option<String>,
    pub(super) seed: u64,
    pub(super) verified: bool,
}

const DURABILITY: &str = "whether an acknowledged upload survives a power cut is the server's \
                          setting; this figure does not tell";
const SATURATED: &str = "the generator itself was busy nearly all the time: the servers may be \
                         faster than measured; give it more --threads";
const FAILURES: &str = "latencies and rates are those of successes; there were failures";
const SAME_MACHINE: &str =
    "if generator and servers share a machine, they share its processors too";

impl Report {
    pub(super) fn new(
        setting: Setting,
        stats: &Stats,
        elapsed: Duration,
        servers: Vec<Usage>,
        generator: Option<Usage>,
    ) -> Self {
        let mut notes = Vec::new();
        if setting.sizes.is_some() {
            notes.push(DURABILITY);
        }
        if generator.is_some_and(|generator| generator.is_saturated(setting.threads)) {
            notes.push(SATURATED);
        }
        if 0 < stats.failed() {
            notes.push(FAILURES);
        }
        notes.push(SAME_MACHINE);
        Self {
            bench: setting.bench,
            measured: setting.measured,
            target: setting.target,
            connections: setting.connections,
            generator_threads: setting.threads,
            sizes: setting.sizes,
            seed: setting.seed,
            verified: setting.verified,
            elapsed_seconds: elapsed.as_secs_f64(),
            operations: stats.figures(elapsed),
            servers,
            generator,
            notes,
        }
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![
            format!("hayloft bench {}: {}", self.bench, self.measured),
            format!(
                "target    {}, {} long-lived connections, {} generator threads",
                self.target, self.connections, self.generator_threads
            ),
        ];
        if let Some(sizes) = &self.sizes {
            lines.push(format!(
                "sizes     {sizes}, contents from seed {}",
                self.seed
            ));
        }
        let verified = if self.verified {
            "every content was compared with the size and CRC-32 of its id"
        } else {
            "contents were not verified (--verify)"
        };
        lines.push(format!(
            "time      {:.2} s; {verified}",
            self.elapsed_seconds
        ));
        lines.extend(self.operations.iter().map(OpFigures::text));
        if self.operations.is_empty() {
            lines.push("no operation was made".into());
        }
        lines.extend(self.servers.iter().map(Usage::text));
        lines.extend(self.generator.iter().map(Usage::text));
        lines.extend(self.notes.iter().map(|note| format!("note      {note}")));
        lines.join("\n")
    }
}
