//! Figures with what they are to be.

use std::fs;
use std::path::Path;

use serde::Serialize;
use tempfile::TempDir;

use super::error::BenchError;

/// The head of the table; Markdown, to be pasted into the README.
pub(crate) const HEAD: &str = "| what | measured | target | |\n|---|---|---|---|";

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
}

/// Writes all figures to `file`, or to the build's folder for temporary files under that name, and
/// says where they are.
pub(crate) fn save(
    file: Option<&Path>,
    name: &str,
    figures: &serde_json::Value,
) -> Result<(), BenchError> {
    let usual = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let file = file.unwrap_or(&usual);
    fs::write(file, format!("{figures:#}\n"))
        .map_err(BenchError::io("cannot write the figures"))?;
    println!("all figures: {}", file.display());
    Ok(())
}

/// A folder for a server's data.
pub(crate) fn folder() -> Result<TempDir, BenchError> {
    TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))
        .map_err(BenchError::io("cannot make a folder"))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people; 53 bits are more than enough"
)]
pub(crate) fn float(value: u64) -> f64 {
    value as f64
}
