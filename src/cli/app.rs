//! `hayloft app`: credentials for programs.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::CliError;
use super::operator::{OperatorError, Server, ServerArgs, path_of};
use super::output::{self, Failure};

/// Give programs credentials of their own
///
/// A program logs in with the number and the secret of an application: as clientID and
/// clientSecret in programs for 123pan, as appid and appkey in programs for Weiyun. Run this on the
/// server's machine as the user that runs the server, with the same --config or --data-dir.
///
/// Examples:
///   hayloft app create anna backup               prints number and secret, once
///   hayloft app create anna viewer --read-only   may see and fetch, not change
///   hayloft app list anna
///   hayloft app remove anna 100001               its tokens end at once
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct AppArgs {
    #[command(subcommand)]
    command: AppCommand,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum AppCommand {
    /// Make an application of an account
    Create {
        /// The account; programs for 123pan act for it
        user: String,
        /// What to call the application, 1 to 32 characters
        name: String,
        /// The program may see and fetch files, and change nothing
        #[arg(long)]
        read_only: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the applications of an account
    List {
        /// The account
        user: String,
        /// Print JSON, one object per line
        #[arg(long)]
        json: bool,
    },
    /// Remove an application; its tokens end at once
    Remove {
        /// The account
        user: String,
        /// The number of the application
        id: u64,
    },
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Output(#[from] Failure),
}

impl CliError for AppError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Operator(error) => error.exit_code(),
            Self::Output(_) => 1,
        }
    }
}

/// An application with its secret. Source: docs/api/console.md, applications.
#[derive(Debug, Deserialize, Serialize)]
struct NewApp {
    id: String,
    secret: String,
    name: String,
    scopes: Vec<String>,
}

/// An application. Source: docs/api/console.md, applications.
#[derive(Debug, Deserialize, Serialize)]
struct App {
    id: String,
    name: String,
    scopes: Vec<String>,
    created: u64,
    used: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct AppList {
    apps: Vec<App>,
}

impl AppArgs {
    pub(crate) fn run(self) -> Result<(), AppError> {
        let server = self.server.find()?;
        match self.command {
            AppCommand::Create {
                user,
                name,
                read_only,
                json,
            } => create(&server, &user, &name, read_only, json),
            AppCommand::List { user, json } => list(&server, &user, json),
            AppCommand::Remove { user, id } => {
                let path = format!("{}/apps/{id}", path_of(&user));
                let removed = server.send(&user, "DELETE", &path, &serde_json::Value::Null);
                if let Err(OperatorError::NoAccount(_)) = removed {
                    // Either of the two may be missing.
                    return Err(OperatorError::NotFound.into());
                }
                removed?;
                Ok(output::line(&format!("removed {id}"))?)
            }
        }
    }
}

fn create(
    server: &Server,
    user: &str,
    name: &str,
    read_only: bool,
    as_json: bool,
) -> Result<(), AppError> {
    let scopes: &[&str] = if read_only {
        &["read"]
    } else {
        &["read", "write"]
    };
    let path = format!("{}/apps", path_of(user));
    let body = json!({"name": name, "scopes": scopes});
    let answer = server.send(user, "POST", &path, &body)?;
    let app: NewApp = serde_json::from_slice(&answer).map_err(OperatorError::Answer)?;
    if as_json {
        return Ok(output::json(&app)?);
    }
    output::line(&format!("clientID, appid         {}", app.id))?;
    output::line(&format!("clientSecret, appkey    {}", app.secret))?;
    Ok(output::line(
        "The secret is not shown again; make another application if it is lost.",
    )?)
}

fn list(server: &Server, user: &str, as_json: bool) -> Result<(), AppError> {
    let path = format!("{}/apps", path_of(user));
    let answer = server.send(user, "GET", &path, &serde_json::Value::Null)?;
    let list: AppList = serde_json::from_slice(&answer).map_err(OperatorError::Answer)?;
    let mut rows = Vec::new();
    for app in list.apps {
        if as_json {
            output::json(&app)?;
            continue;
        }
        rows.push(vec![
            app.id,
            // What a terminal would take for a command is shown as what cannot be shown.
            app.name.replace(char::is_control, "\u{fffd}"),
            app.scopes.join(", "),
            output::utc(app.created),
            app.used.map_or("never".into(), output::utc),
        ]);
    }
    if !as_json {
        let headings = ["ID", "NAME", "MAY", "MADE", "LAST TOKEN"];
        output::line(output::table(&headings, &rows).trim_end())?;
    }
    Ok(())
}
