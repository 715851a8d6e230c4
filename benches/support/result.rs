//! Rounds become a line of a table, and JSON with every round.

use serde::Serialize;

use super::generator::Figures;
use super::machine::Machine;
use super::rows::{Row, Target};

/// The head of the table; Markdown, to be pasted into the README.
pub(crate) const HEAD: &str = "\
| load | CPU µs: reference | Hayloft | ratio | target | | per second: reference | Hayloft | p99 ms: reference | Hayloft |
|---|---|---|---|---|---|---|---|---|---|";

/// The rounds of a row.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    load: &'static str,
    connections: usize,
    #[serde(skip)]
    target: Target,
    /// Rounds of the reference; none if there is no reference on this machine.
    pub(crate) reference: Vec<Figures>,
    /// Rounds of Hayloft.
    pub(crate) hayloft: Vec<Figures>,
}

/// Everything about a run.
#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rounds: usize,
    seconds: u64,
    rows: Vec<Summary<'a>>,
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    ratio: Option<f64>,
    target: String,
    is_met: Option<bool>,
}

impl Outcome {
    /// No rounds yet.
    pub(crate) fn new(row: &Row) -> Self {
        Self {
            load: row.name,
            connections: row.connections,
            target: row.target,
            reference: Vec::new(),
            hayloft: Vec::new(),
        }
    }

    /// A line of the table.
    pub(crate) fn text(&self) -> String {
        let both = |digits: usize, value: fn(&Figures) -> f64| {
            let show = |rounds: &[Figures]| match median(rounds, value) {
                Some(value) => format!("{value:.digits$}"),
                None => "–".to_owned(),
            };
            format!("{} | {}", show(&self.reference), show(&self.hayloft))
        };
        let ratio = self
            .ratio()
            .map_or("–".into(), |ratio| format!("{ratio:.2}"));
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        format!(
            "| {} | {} | {ratio} | {} | {verdict} | {} | {} |",
            self.load,
            both(1, |figures| figures.cpu_us),
            self.target_text(),
            both(0, |figures| figures.per_second),
            both(2, |figures| figures.p99_us / 1_000.0),
        )
    }

    /// Of the medians, in what the target is about.
    fn ratio(&self) -> Option<f64> {
        let value: fn(&Figures) -> f64 = match self.target {
            Target::CpuAtMost(_) | Target::None => |figures| figures.cpu_us,
            Target::RateAtLeast(_) => |figures| figures.per_second,
        };
        let reference = median(&self.reference, value).filter(|value| 0.0 < *value)?;
        Some(median(&self.hayloft, value)? / reference)
    }

    fn is_met(&self) -> Option<bool> {
        let ratio = self.ratio()?;
        match self.target {
            Target::CpuAtMost(most) => Some(ratio <= most),
            Target::RateAtLeast(least) => Some(least <= ratio),
            Target::None => None,
        }
    }

    fn target_text(&self) -> String {
        match self.target {
            Target::CpuAtMost(most) => format!("CPU ≤ {most:.2}"),
            Target::RateAtLeast(least) => format!("rate ≥ {least:.2}"),
            Target::None => String::new(),
        }
    }
}

/// All rounds of all rows.
pub(crate) fn json(machine: &Machine, rounds: usize, seconds: u64, outcomes: &[Outcome]) -> String {
    let rows = outcomes.iter().map(|outcome| Summary {
        outcome,
        ratio: outcome.ratio(),
        target: outcome.target_text(),
        is_met: outcome.is_met(),
    });
    let report = Report {
        machine,
        rounds,
        seconds,
        rows: rows.collect(),
    };
    // Numbers and texts only: there is nothing that JSON cannot say.
    serde_json::to_string_pretty(&report).unwrap_or_default()
}

fn median(rounds: &[Figures], value: fn(&Figures) -> f64) -> Option<f64> {
    let mut values: Vec<f64> = rounds.iter().map(value).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
