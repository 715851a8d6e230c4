//! Why a benchmark could not be made.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// A failure of the benchmark, not a figure that disappoints.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The operating system refused.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A process ended where it should have gone on, or failed where it should have succeeded.
    #[error("{what} ended with {status}; its last words:\n{said}")]
    Ended {
        /// Which.
        what: &'static str,
        /// How.
        status: ExitStatus,
        /// The end of what it wrote to standard error.
        said: String,
    },
    /// Something took too long.
    #[error("{what}: not within {limit:?}")]
    TooLate {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// What a process wrote lacks a value.
    #[error("{what} says nothing of {field}")]
    Lacking {
        /// Who wrote.
        what: &'static str,
        /// What is missing.
        field: &'static str,
    },
}

impl BenchError {
    /// An adapter for `map_err`.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// The end of what a process said.
pub(crate) fn last_words(said: &[u8]) -> String {
    const LEN_MAX: usize = 4096;
    let end = said.get(said.len().saturating_sub(LEN_MAX)..);
    String::from_utf8_lossy(end.unwrap_or_default()).into_owned()
}

/// An error and what caused it.
pub(crate) fn chain(error: &BenchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str("\n  because: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
