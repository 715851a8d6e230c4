//! `hayloft user`: accounts of a server that runs, for whoever administers its machine.

mod password;

use common::config::{ByteSize, ByteSizeError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::operator::{OperatorError, Server, ServerArgs, path_of};
use super::output::{self, Failure};
use super::{CliError, EXIT_USAGE};

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
///   hayloft user quota anna 50GiB                anna's files may have 50 GiB
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
    #[command(flatten)]
    server: ServerArgs,
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
    /// Limit the space of an account's files and open uploads
    Quota {
        /// The account
        name: String,
        /// Such as 50GiB, or "none" for no limit. What is there already stays
        #[arg(value_parser = limit)]
        limit: Limit,
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

/// Bytes that an account may use; none for no limit.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<u64>);

/// The limit of an argument, or what clap is to say.
fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let bytes: ByteSize = text
        .parse()
        .map_err(|error: ByteSizeError| format!("{error}, or \"none\""))?;
    Ok(Limit(Some(bytes.0)))
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
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Password(#[from] password::PasswordError),
    #[error(transparent)]
    Output(#[from] Failure),
}

impl CliError for UserError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Operator(error) => error.exit_code(),
            Self::Password(error) if error.is_usage() => EXIT_USAGE,
            Self::Password(_) | Self::Output(_) => 1,
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
    used: u64,
    quota: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct AccountPage {
    total: u64,
    accounts: Vec<Account>,
}

impl UserArgs {
    pub(crate) fn run(self) -> Result<(), UserError> {
        let server = self.server.find()?;
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
            UserCommand::Quota { name, limit } => {
                server.set(&name, &json!({"quota": limit.0}))?;
                say(&match limit.0 {
                    Some(bytes) => format!("{name} may use {}", output::bytes(bytes)),
                    None => format!("{name} may use all space that there is"),
                })
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

fn say(text: &str) -> Result<(), UserError> {
    Ok(output::line(text)?)
}

fn list(server: &Server, as_json: bool) -> Result<(), UserError> {
    let mut rows = Vec::new();
    let mut start = 0;
    loop {
        let path = format!("admin/accounts?start={start}&count={PAGE_LEN}");
        let page = server.send("", "GET", &path, &serde_json::Value::Null)?;
        let page: AccountPage = serde_json::from_slice(&page).map_err(OperatorError::Answer)?;
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
        let headings = ["USER", "STANDING", "FILES", "SIZE", "QUOTA", "REGISTERED"];
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
        output::bytes(account.used),
        account.quota.map_or("-".into(), output::bytes),
        output::utc(account.created),
    ]
}
