//! A file per subcommand, and how each of them ends.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration.

pub(crate) mod app;
pub(crate) mod append;
pub(crate) mod bench;
pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod delete;
pub(crate) mod download;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod meta;
pub(crate) mod monitor;
pub(crate) mod repair;
pub(crate) mod serve;
pub(crate) mod upload;
pub(crate) mod url;
pub(crate) mod user;

#[cfg(test)]
mod client_tests;
mod data_dir;
#[cfg(test)]
mod fake_cluster;
mod listing;
mod offline;
mod operations;
mod operator;
mod output;
mod progress;
mod ready;
mod roles;
mod secret;
mod walk;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Wrong arguments or configuration, as clap also answers.
pub(crate) const EXIT_USAGE: u8 = 2;

/// An error that knows its exit code.
pub(crate) trait CliError: Error {
    /// 1 unless said otherwise.
    fn exit_code(&self) -> u8 {
        1
    }
}

/// Turns the end of a subcommand into an exit code; an error goes to standard error with its causes.
pub(crate) fn exit<E: CliError>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("hayloft: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(": ");
                text.push_str(&cause.to_string());
                source = cause.source();
            }
            // Nothing is left to tell it to if standard error is gone.
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Writes to standard output; a reader that went away, as `head` does, is no failure.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
