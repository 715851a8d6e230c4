//! `hayloft user`: accounts of a server that runs, for whoever administers its machine.
//!
//! The server says in its data directory how to reach it; see `api_server::OperatorAccess`. So this
//! needs no account and no password, but must run as a user who may read that directory.

mod password;
mod request;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use api_server::OperatorAccess;
use common::config::Sources;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::config::{self, ConfigError};
use super::output::{self, Failure};
use super::{CliError, EXIT_USAGE, roles};
use request::Link;

/// Accounts of one request; the server gives no more.
const PAGE_LEN: u64 = 200;

/// Manage the accounts of a running server
///
/// Run it on the server's machine as the user that runs the server, with the same --config or
/// --data-dir. It needs no password: who can read the data directory is trusted.
///
/// Examples:
///   hayloft user list
///   hayloft user add anna                        asks for a password
///   pwgen 20 1 | hayloft user password anna --password-stdin
///   hayloft user promote anna                    anna becomes an administrator
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
    /// The configuration that the server runs with
    #[arg(long, value_name = "FILE", env = "HAYLOFT_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Where the server keeps everything [default: ./data]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum UserCommand {
    /// List all accounts in the order of their registration
    List {
        /// Print JSON, one object per line
        #[arg(long)]
        json: bool,
    },
    /// Make an account, also where registration is closed; the first one is an administrator's
    Add {
        /// The name to log in with, 1 to 32 characters
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give an account another password and log it out everywhere
    Password {
        /// The account
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Make an account an administrator's
    Promote {
        /// The account
        name: String,
    },
    /// Make an administrator's account an ordinary one
    Demote {
        /// The account
        name: String,
    },
    /// Keep an account from logging in and log it out everywhere; files and shares stay
    Disable {
        /// The account
        name: String,
    },
    /// Let a disabled account log in again, as an ordinary one
    Enable {
        /// The account
        name: String,
    },
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct PasswordArgs {
    /// Read the password from the first line of standard input, in place of asking on the terminal
    #[arg(long)]
    password_stdin: bool,
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "no API server runs on the data directory {}; remedy: start it with `hayloft serve`, or name \
         the right directory with --data-dir or --config",
        data_dir.display()
    )]
    NotRunning { data_dir: PathBuf },
    #[error(
        "the API server of the data directory {} does not answer at {address}: it was killed or is \
         just stopping; remedy: start it with `hayloft serve`",
        data_dir.display()
    )]
    NoAnswer {
        data_dir: PathBuf,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot read how to reach the server, in {}; remedy: run this as the user that runs the server",
        directory.display()
    )]
    Access {
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the connection to the server broke; look with `hayloft user list` what was done")]
    Broken(#[source] io::Error),
    #[error("the server answered with something else than expected")]
    Answer(#[source] serde_json::Error),
    #[error("there is no account {0:?}; `hayloft user list` shows all")]
    NoAccount(String),
    #[error("there is an account {0:?} already")]
    Exists(String),
    #[error("the server refuses: {message} (status {status})")]
    Refused { status: u16, message: String },
    #[error(transparent)]
    Password(#[from] password::PasswordError),
    #[error(transparent)]
    Output(#[from] Failure),
}

impl CliError for UserError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Password(error) if error.is_usage() => EXIT_USAGE,
            Self::NotRunning { .. } | Self::NoAnswer { .. } => 3,
            Self::Access { .. }
            | Self::Broken(_)
            | Self::Answer(_)
            | Self::NoAccount(_)
            | Self::Exists(_)
            | Self::Refused { .. }
            | Self::Password(_)
            | Self::Output(_) => 1,
        }
    }
}

/// An account as the server tells it. Source: docs/api/console.md, accounts.
#[derive(Debug, Deserialize, Serialize)]
struct Account {
    user: String,
    nick: String,
    created: u64,
    administrator: bool,
    disabled: bool,
    files: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct AccountPage {
    total: u64,
    accounts: Vec<Account>,
}

impl UserArgs {
    pub(crate) fn run(self) -> Result<(), UserError> {
        let sources = Sources::new().flag("--data-dir", "data_dir", self.data_dir);
        let config = config::load(self.config.as_deref(), sources)?.config;
        let server = Server::find(&config.data_dir, &roles::api_directory(&config))?;
        match self.command {
            UserCommand::List { json } => list(&server, json),
            UserCommand::Add { name, password } => {
                let password = password.read()?;
                let body = json!({"user": name, "password": password});
                server.send(&name, "POST", "admin/accounts", &body)?;
                say(&format!("added {name}"))
            }
            UserCommand::Password { name, password } => {
                let body = json!({"new": password.read()?});
                let path = format!("{}/password", path_of(&name));
                server.send(&name, "POST", &path, &body)?;
                say(&format!(
                    "{name} has another password and is logged out everywhere"
                ))
            }
            UserCommand::Promote { name } => {
                server.set(&name, &json!({"administrator": true}))?;
                say(&format!("{name} is an administrator"))
            }
            UserCommand::Demote { name } => {
                server.set(&name, &json!({"administrator": false}))?;
                say(&format!("{name} is no administrator"))
            }
            UserCommand::Disable { name } => {
                server.set(&name, &json!({"disabled": true}))?;
                say(&format!("{name} is disabled and logged out everywhere"))
            }
            UserCommand::Enable { name } => {
                server.set(&name, &json!({"disabled": false}))?;
                say(&format!("{name} may log in"))
            }
        }
    }
}

impl PasswordArgs {
    /// The password as the server takes it.
    fn read(self) -> Result<String, password::PasswordError> {
        let password = if self.password_stdin {
            password::from_stdin()?
        } else {
            password::ask()?
        };
        Ok(password.to_md5())
    }
}

/// The server that runs.
struct Server {
    data_dir: PathBuf,
    link: Link,
}

impl Server {
    fn find(data_dir: &Path, directory: &Path) -> Result<Self, UserError> {
        match OperatorAccess::read(directory) {
            Ok(Some(access)) => Ok(Self {
                data_dir: data_dir.to_owned(),
                link: Link::new(access),
            }),
            Ok(None) => Err(UserError::NotRunning {
                data_dir: data_dir.to_owned(),
            }),
            Err(source) => Err(UserError::Access {
                directory: directory.to_owned(),
                source,
            }),
        }
    }

    /// Makes a call about the account `name`; the body of the answer.
    fn send(
        &self,
        name: &str,
        method: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<Vec<u8>, UserError> {
        let stream = self.link.connect().map_err(|source| UserError::NoAnswer {
            data_dir: self.data_dir.clone(),
            address: self.link.address(),
            source,
        })?;
        let answer = self.link.exchange(stream, method, path, body);
        let answer = answer.map_err(UserError::Broken)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |member: &str| said.get(member).and_then(|text| text.as_str());
        Err(match text("error") {
            Some("not_found") => UserError::NoAccount(name.to_owned()),
            Some("user_exists") => UserError::Exists(name.to_owned()),
            _ => UserError::Refused {
                status: answer.status,
                message: text("message").unwrap_or("no reason given").to_owned(),
            },
        })
    }

    /// Changes an account's standing.
    fn set(&self, name: &str, wanted: &serde_json::Value) -> Result<(), UserError> {
        self.send(name, "POST", &path_of(name), wanted).map(drop)
    }
}

/// Where an account's calls are.
fn path_of(name: &str) -> String {
    use std::fmt::Write as _;

    let mut path = "admin/accounts/".to_owned();
    for byte in name.bytes() {
        // All of it: then nothing in a name means anything in a path. Writing to a string works.
        let _ = write!(path, "%{byte:02X}");
    }
    path
}

fn say(text: &str) -> Result<(), UserError> {
    Ok(output::line(text)?)
}

fn list(server: &Server, as_json: bool) -> Result<(), UserError> {
    let mut rows = Vec::new();
    let mut start = 0;
    loop {
        let path = format!("admin/accounts?start={start}&count={PAGE_LEN}");
        let page = server.send("", "GET", &path, &serde_json::Value::Null)?;
        let page: AccountPage = serde_json::from_slice(&page).map_err(UserError::Answer)?;
        start += page.accounts.len() as u64;
        let is_last = page.accounts.is_empty() || page.total <= start;
        for account in page.accounts {
            if as_json {
                output::json(&account)?;
            } else {
                rows.push(row(&account));
            }
        }
        if is_last {
            break;
        }
    }
    if !as_json {
        let headings = ["USER", "STANDING", "FILES", "SIZE", "REGISTERED"];
        output::line(output::table(&headings, &rows).trim_end())?;
    }
    Ok(())
}

fn row(account: &Account) -> Vec<String> {
    let standing = match (account.disabled, account.administrator) {
        (true, _) => "disabled",
        (false, true) => "administrator",
        (false, false) => "member",
    };
    vec![
        // What a terminal would take for a command is shown as what cannot be shown.
        account.user.replace(char::is_control, "\u{fffd}"),
        standing.to_owned(),
        account.files.to_string(),
        output::bytes(account.bytes),
        output::utc(account.created),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_means_anything_in_a_path() {
        assert_eq!(path_of("a/é"), "admin/accounts/%61%2F%C3%A9");
        assert_eq!(path_of(".."), "admin/accounts/%2E%2E");
    }

    #[test]
    fn a_directory_without_a_server_is_told_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let Err(error) = Server::find(dir.path(), &dir.path().join("api")) else {
            panic!("nobody runs there");
        };
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        assert!(
            text.contains("hayloft serve") && text.contains("--data-dir"),
            "{text}"
        );
        std::fs::create_dir(dir.path().join("api")).unwrap();
        std::fs::write(dir.path().join("api/admin.json"), "{").unwrap();
        let broken = Server::find(dir.path(), &dir.path().join("api"));
        assert!(matches!(broken, Err(UserError::Access { .. })));
    }
}
