//! What client commands print, and with which code they exit.
//!
//! Results go to standard output, one line each, as text or JSON; everything else goes to standard
//! error. A closed pipe ends the command quietly.

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use common::client::ClientError;
use common::code::ErrorCode;
use serde::Serialize;

/// How exit codes are explained in the help of every client command.
pub(crate) const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 some or all of it failed, 2 wrong usage, 3 no server was reachable.";

/// Why a part of a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A server refused or is out of reach.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A local file or a pipe failed.
    #[error("{what}")]
    Local {
        /// What was done, with the path.
        what: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// What arrived is not what the id promises.
    #[error("the content of {id} does not match: {expected} expected, {found} found")]
    Content {
        /// The file id.
        id: String,
        /// Size or checksum promised.
        expected: String,
        /// Size or checksum found.
        found: String,
    },
    /// A tracker does not carry an order out; says cause and remedy.
    #[error("{0}")]
    Order(String),
    /// The command line asks for something that cannot be done.
    #[error("{0}")]
    Usage(&'static str),
    /// Something in a run of ours went wrong; says what.
    #[error("{0}")]
    Run(&'static str),
    /// The run did not come about.
    #[error("{failed} connections could not be opened")]
    Connections {
        /// How many.
        failed: usize,
        /// Why the first of them.
        #[source]
        first: io::Error,
    },
    /// The reader of our output went away or the disk is full.
    #[error("cannot write the result")]
    Output(#[source] io::Error),
}

impl Failure {
    /// A failure of a local file.
    pub(crate) fn local(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Local { what, source }
    }

    /// What to do about it, if we know.
    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Client(error) if error.is_unreachable() => Some(
                "start a server with `hayloft serve`, or name a tracker with --tracker host:port",
            ),
            Self::Client(error) => match error.code() {
                ErrorCode::NotFound => {
                    Some("check the id; for an upload, check that a storage node is running")
                }
                ErrorCode::NoSpace => {
                    Some("free space on the storage node or lower its reserved space")
                }
                ErrorCode::Invalid => Some(
                    "check the arguments: only appender files can be appended to, and names are \
                     limited to letters, digits, '.', '_' and '-'",
                ),
                ErrorCode::Exists => Some("choose another prefix, or delete the old file first"),
                ErrorCode::Busy | ErrorCode::Unavailable | ErrorCode::ShuttingDown => {
                    Some("try again in a moment")
                }
                ErrorCode::ReadOnly | ErrorCode::Storage => {
                    Some("look into the storage node's log: its disk has a problem")
                }
                ErrorCode::Forbidden | ErrorCode::Interrupted | ErrorCode::Unsupported => None,
            },
            Self::Content { .. } => Some("download it again; if it stays, run `hayloft check`"),
            Self::Connections { .. } => {
                Some("is the server running, and its connection limit high enough?")
            }
            Self::Local { .. }
            | Self::Order(_)
            | Self::Usage(_)
            | Self::Run(_)
            | Self::Output(_) => None,
        }
    }
}

/// Counts what failed, to choose the exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    failed: u64,
    unreachable: u64,
    usage: u64,
}

impl Tally {
    /// Prints a failure to standard error, with cause and remedy, and counts it.
    pub(crate) fn failed(&mut self, subject: &str, failure: &Failure) {
        self.failed += 1;
        match failure {
            Failure::Client(error) if error.is_unreachable() => self.unreachable += 1,
            Failure::Connections { .. } => self.unreachable += 1,
            Failure::Usage(_) => self.usage += 1,
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
            Failure::Client(_)
            | Failure::Local { .. }
            | Failure::Content { .. }
            | Failure::Order(_)
            | Failure::Run(_)
            | Failure::Output(_) => {}
        }
        let subject = if subject.is_empty() {
            String::new()
        } else {
            format!("{subject}: ")
        };
        let mut text = format!("hayloft: {subject}{}", chain(failure));
        if let Some(remedy) = failure.remedy() {
            text.push_str("\n  remedy: ");
            text.push_str(remedy);
        }
        note(&text);
    }

    /// Counts failures that were reported already.
    pub(crate) fn add_failed(&mut self, count: u64) {
        self.failed += count;
    }

    /// Counts the failure of `result`, if it is one, and hands out its success.
    pub(crate) fn check<T>(&mut self, subject: &str, result: Result<T, Failure>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(failure) => {
                self.failed(subject, &failure);
                None
            }
        }
    }

    /// The code of [`EXIT_CODES`].
    pub(crate) fn code(self) -> u8 {
        match self {
            Self { failed: 0, .. } => 0,
            Self { failed, usage, .. } if failed == usage => 2,
            Self {
                failed,
                unreachable,
                ..
            } if failed == unreachable => 3,
            Self { .. } => 1,
        }
    }
}

impl From<Tally> for ExitCode {
    fn from(tally: Tally) -> Self {
        tally.code().into()
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some layers repeat the text of their cause.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Prints a line to standard output.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").map_err(Failure::Output)
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string(value).map_err(|error| Failure::Output(io::Error::other(error)))?;
    line(&text)
}

/// Prints a line to standard error. That it cannot be printed is nothing anyone could be told.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether somebody is looking at standard error.
pub(crate) fn watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether somebody is looking at standard output.
pub(crate) fn shown() -> bool {
    io::stdout().is_terminal()
}

/// Bytes with a unit, such as `4.0 KiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = to_f64(count) / 1024.0;
    let mut unit = "KiB";
    for next in UNITS.into_iter().skip(1) {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Unix seconds as UTC, such as `2020-07-04 06:26:41Z`.
pub(crate) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil_from_days: eras of 400 years that begin on 1 March.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, carry) = if month_from_march < 10 {
        (month_from_march + 3, 0)
    } else {
        (month_from_march - 9, 1)
    };
    let year = era * 400 + year_of_era + carry;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// A count as a number for ratios; above 2^53 the last digits do not matter to a reader.
#[expect(clippy::cast_precision_loss, reason = "for people to read")]
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}

/// Rows under headings, columns padded to their widest cell.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width_of = |column: usize, heading: &str| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .chain([heading.chars().count()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(column, heading)| width_of(column, heading))
        .collect();
    let render = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![render(&mut headings.iter().copied())];
    for row in rows {
        lines.push(render(&mut row.iter().map(String::as_str)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::client::Address;

    #[test]
    fn times_print_as_utc() {
        assert_eq!(utc(0), "1970-01-01 00:00:00Z");
        assert_eq!(utc(1_593_844_001), "2020-07-04 06:26:41Z");
        assert_eq!(utc(1_582_934_400), "2020-02-29 00:00:00Z");
        assert_eq!(utc(4_294_967_295), "2106-02-07 06:28:15Z");
    }

    #[test]
    fn bytes_print_with_the_largest_fitting_unit() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(4096), "4.0 KiB");
        assert_eq!(bytes(1024 * 1024), "1.0 MiB");
        assert_eq!(bytes(3 << 40), "3.0 TiB");
    }

    #[test]
    fn the_exit_code_tells_unreachable_from_failed() {
        let unreachable = Failure::Client(ClientError::ConnectTimeout {
            address: Address::new("h", 1),
            after: std::time::Duration::from_secs(1),
        });
        let refused = Failure::Client(ClientError::NoTracker);
        let usage = Failure::Usage("no");
        let code = |failures: &[&Failure]| {
            let mut tally = Tally::default();
            for failure in failures {
                tally.failed("x", failure);
            }
            tally.code()
        };
        assert_eq!(code(&[]), 0);
        assert_eq!(code(&[&refused]), 1);
        assert_eq!(code(&[&usage]), 2);
        assert_eq!(code(&[&unreachable, &unreachable]), 3);
        assert_eq!(code(&[&unreachable, &refused]), 1);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["a".into(), "bb".into()],
            vec!["ccc".into(), "d".into()],
        ];
        assert_eq!(table(&["x", "y"], &rows), "x    y\na    bb\nccc  d");
    }
}
