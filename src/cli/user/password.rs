//! A password from the terminal, unseen, or from standard input; and what the server takes for it.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use md5::{Digest as _, Md5};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Bytes of a password; nobody types more.
const LEN_MAX: u64 = 4096;

/// A password. Never printed.
#[derive(PartialEq, Eq)]
pub(super) struct Password(Vec<u8>);

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("standard input is no terminal to ask on; say --password-stdin to read it from there")]
    NoTerminal,
    #[error("the password is empty; nothing was changed")]
    Empty,
    #[error("the password is longer than {LEN_MAX} bytes; nothing was changed")]
    TooLong,
    #[error("the two passwords differ; nothing was changed")]
    Differ,
    #[error("cannot read the password")]
    Input(#[source] io::Error),
}

impl PasswordError {
    /// Whether the command line is to blame.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::NoTerminal)
    }
}

impl Password {
    /// The MD5 that the documented log-in sends. Source: docs/api/image-host.md §4.2.
    pub(super) fn to_md5(&self) -> String {
        let digest: [u8; 16] = Md5::digest(&self.0).into();
        format!("{:032x}", u128::from_be_bytes(digest))
    }
}

/// The first line of standard input.
pub(super) fn from_stdin() -> Result<Password, PasswordError> {
    read_line(io::stdin().lock())
}

/// Asks twice on the terminal.
pub(super) fn ask() -> Result<Password, PasswordError> {
    if !io::stdin().is_terminal() {
        return Err(PasswordError::NoTerminal);
    }
    let first = ask_once("Password: ")?;
    let second = ask_once("Once more: ")?;
    if first == second {
        Ok(first)
    } else {
        Err(PasswordError::Differ)
    }
}

fn ask_once(question: &str) -> Result<Password, PasswordError> {
    let silence = Silence::begin().map_err(PasswordError::Input)?;
    // Standard error, since standard output may be kept in a file.
    let mut screen = io::stderr().lock();
    let asked = write!(screen, "{question}").and_then(|()| screen.flush());
    asked.map_err(PasswordError::Input)?;
    let line = read_line(io::stdin().lock());
    drop(silence);
    // The line that the user ended was not echoed.
    let _ = writeln!(screen);
    line
}

fn read_line(input: impl io::BufRead) -> Result<Password, PasswordError> {
    let mut line = Vec::new();
    let mut input = input.take(LEN_MAX + 1);
    input
        .read_until(b'\n', &mut line)
        .map_err(PasswordError::Input)?;
    if LEN_MAX < line.len() as u64 {
        return Err(PasswordError::TooLong);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    if line.is_empty() {
        return Err(PasswordError::Empty);
    }
    Ok(Password(line))
}

/// The terminal shows nothing of what is typed while this lives. A process that is interrupted leaves
/// it so, which shells put right with their next prompt.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // What was typed before the question does not count.
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that went away needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_and_sent_as_its_md5() {
        for text in ["123456", "123456\n", "123456\r\n", "123456\nnext line"] {
            let password = read_line(text.as_bytes()).unwrap_or(Password(Vec::new()));
            assert_eq!(
                password.to_md5(),
                "e10adc3949ba59abbe56e057f20f883e",
                "{text:?}"
            );
        }
        let spaces = read_line(&b" a \n"[..]).unwrap_or(Password(Vec::new()));
        assert!(spaces == Password(b" a ".to_vec()));
    }

    #[test]
    fn nothing_and_too_much_are_no_passwords() {
        for text in ["", "\n", "\r\n"] {
            let error = read_line(text.as_bytes()).err();
            assert!(matches!(error, Some(PasswordError::Empty)), "{text:?}");
        }
        let long = "a".repeat(5000);
        assert!(matches!(
            read_line(long.as_bytes()).err(),
            Some(PasswordError::TooLong)
        ));
    }
}
