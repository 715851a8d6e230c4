//! Why a database does not answer, told apart by what can be done about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use common::code::ErrorCode;
use common::web::text;
use tokio_postgres::error::SqlState;

use crate::core::catalog::CatalogError;

/// Why a catalog on a database does not open.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The URL cannot be understood.
    #[error(
        "the catalog's database {shown} cannot be understood: {reason}; remedy: write \
         postgres://user:password@host:5432/database, and percent-encode what URLs do not have"
    )]
    Url {
        /// The URL without what is secret.
        shown: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates that prove who the database is are no use.
    #[error(
        "cannot read certificates from {}; remedy: name a PEM file with those that issued the \
         database's, in sslrootcert", .path.display()
    )]
    Roots {
        /// The file, or what stands for those of the system.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot speak TLS to the catalog's database")]
    Tls(#[source] rustls::Error),
    /// The database does not answer, or refuses.
    #[error(
        "cannot use the catalog's database {shown}: {reason}; remedy: check that it runs, that it can \
         be reached from here, and that user and password are right"
    )]
    Unreachable {
        /// The URL without what is secret.
        shown: String,
        /// What went wrong.
        reason: String,
    },
    /// The database has a table of our name that is something else.
    #[error(
        "the table hayloft_catalog in {shown} is no catalog of Hayloft: {reason}; remedy: give Hayloft \
         a database of its own, or remove that table"
    )]
    Foreign {
        /// The URL without what is secret.
        shown: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A copy into the database did not come to its end.
    #[error(
        "the catalog in {shown} is incomplete: a copy into it was interrupted or is under way; remedy: \
         if none is, remove the table hayloft_catalog and copy again"
    )]
    Incomplete {
        /// The URL without what is secret.
        shown: String,
    },
    /// Another Hayloft made the catalog.
    #[error(
        "the catalog in {shown} has version {found}, and this program knows version {known}; remedy: \
         start the program that wrote it"
    )]
    Version {
        /// The URL without what is secret.
        shown: String,
        /// The version of the catalog.
        found: u32,
        /// The version that is understood.
        known: u32,
    },
    /// There is a catalog where none was expected.
    #[error(
        "there is a catalog in {shown} already; remedy: name another database, or remove the table \
         hayloft_catalog if nothing in it is needed"
    )]
    Occupied {
        /// The URL without what is secret.
        shown: String,
    },
    /// There is no catalog where one was expected.
    #[error("there is no catalog in {shown}; remedy: name the right database")]
    Missing {
        /// The URL without what is secret.
        shown: String,
    },
    /// The writer's thread does not start.
    #[error("cannot start the catalog's thread")]
    Thread(#[source] io::Error),
    /// A metric of this name is registered already.
    #[error("cannot register the catalog's metrics")]
    Metrics(#[from] prometheus::Error),
}

impl PostgresError {
    /// The classification that all of Hayloft shares.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Url { .. } | Self::Roots { .. } | Self::Tls(_) => ErrorCode::Invalid,
            Self::Unreachable { .. } | Self::Thread(_) | Self::Metrics(_) => ErrorCode::Unavailable,
            Self::Foreign { .. }
            | Self::Incomplete { .. }
            | Self::Version { .. }
            | Self::Missing { .. }
            | Self::Occupied { .. } => ErrorCode::Storage,
        }
    }

    /// Whether the configuration must change before another start can help.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::Roots { .. })
    }
}

/// Why one call to the database failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The database refused, or the connection broke.
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    /// No answer.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// What it has is not what it should be.
    #[error(transparent)]
    Schema(Box<PostgresError>),
}

/// What can be done about a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The transaction met another one and was taken back: it can run again.
    Conflict,
    /// The connection is no use any more, and nobody heard how the call ended.
    Lost,
    /// The database refused for a reason that stays.
    Refused,
}

impl CallError {
    /// Whether the database did not answer in time.
    pub(super) fn is_late(&self) -> bool {
        matches!(self, Self::Late(_))
    }

    /// What can be done about it.
    pub(super) fn trouble(&self) -> Trouble {
        let error = match self {
            Self::Database(error) => error,
            Self::Late(_) => return Trouble::Lost,
            Self::Schema(_) => return Trouble::Refused,
        };
        let Some(code) = error.code() else {
            // Nothing that the database said: the connection, or what came over it, is broken.
            return Trouble::Lost;
        };
        if [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(code)
        {
            return Trouble::Conflict;
        }
        // Whose connection is ended by an operator or a timeout is told so, and then it is closed.
        let is_end = ["08", "57P", "25P03", "25P04"]
            .iter()
            .any(|class| code.code().starts_with(class));
        if is_end || *code == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN {
            Trouble::Lost
        } else {
            Trouble::Refused
        }
    }

    /// Whether the database may have done what it was asked although this was its answer. Asked of the
    /// answer to COMMIT; everything before it leaves nothing.
    pub(super) fn is_open(&self) -> bool {
        let Self::Database(error) = self else {
            return true;
        };
        // What was refused for these reasons was taken back. Of all others, such as the end of the
        // server while it waited for a standby, that is not certain.
        let taken_back = ["23", "40001", "40002", "40P01", "42", "53", "54"];
        let is_taken_back = |code: &SqlState| {
            taken_back
                .iter()
                .any(|class| code.code().starts_with(class))
        };
        !error.code().is_some_and(is_taken_back)
    }

    /// It and its causes on one line.
    pub(super) fn said(&self) -> String {
        text::chain(self)
    }

    /// What whoever asked the catalog is told.
    pub(super) fn told(&self, shown: &str) -> CatalogError {
        let said = self.said();
        match self.trouble() {
            Trouble::Lost => CatalogError::Unreachable(format!(
                "{shown} does not answer: {said}; remedy: check that it runs and can be reached; the \
                 next call connects anew"
            )),
            Trouble::Conflict => CatalogError::Busy,
            Trouble::Refused => CatalogError::Database(said),
        }
    }
}
