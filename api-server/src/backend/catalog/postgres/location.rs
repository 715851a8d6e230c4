//! Where a database is: a URL as every program of `PostgreSQL` writes it, and what of it is ours to
//! understand.
//!
//! The library that speaks the protocol reads the URL, but knows neither where the certificates are nor
//! that a connection which nobody asked to be encrypted is plain. So these two parameters are taken out
//! before it sees the rest.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use common::config::DatabaseUrl;
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::error::PostgresError;

/// Time that a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time after which a peer that acknowledges nothing is gone.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Whose certificate proves that the database is the one that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// None: the connection is plain.
    None,
    /// TLS; the certificate was issued by somebody whom the operating system trusts.
    System,
    /// TLS; the certificate was issued by one of those in this PEM file.
    Roots(PathBuf),
}

/// A database, and how to reach it.
#[derive(Clone)]
pub(super) struct Location {
    /// Hosts, user, password and whatever else the URL says.
    pub(super) config: Config,
    /// Whether the connection is encrypted.
    pub(super) encryption: Encryption,
    /// The URL without what is secret, for messages.
    shown: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.shown).finish()
    }
}

impl Location {
    /// The location that a URL means.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Url`], which repeats nothing secret.
    pub(super) fn new(url: &DatabaseUrl) -> Result<Self, PostgresError> {
        let shown = url.to_string();
        let refuse = |reason: String| PostgresError::Url {
            shown: shown.clone(),
            reason,
        };
        let (base, parameters) = match url.expose().split_once('?') {
            Some((base, parameters)) => (base, parameters),
            None => (url.expose(), ""),
        };
        let (mut mode, mut roots, mut others) = ("disable", None, Vec::new());
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => {
                    let path = percent_decode_str(value).decode_utf8();
                    let path = path.map_err(|_| refuse("sslrootcert is no text".to_owned()))?;
                    roots = Some(PathBuf::from(path.into_owned()));
                }
                _ => others.push(parameter),
            }
        }
        let encryption = match (mode, roots) {
            ("disable", _) => Encryption::None,
            ("require" | "verify-ca" | "verify-full", None) => Encryption::System,
            ("require" | "verify-ca" | "verify-full", Some(roots)) => Encryption::Roots(roots),
            (mode, _) => {
                return Err(refuse(format!(
                    "sslmode={mode} is not known; write disable, or verify-full (require and \
                     verify-ca mean the same here)"
                )));
            }
        };
        let url = format!("{base}?{}", others.join("&"));
        let mut config = Config::from_str(url.trim_end_matches('?'))
            .map_err(|error| refuse(common::web::text::chain(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(refuse("it names no host".to_owned()));
        }
        config.ssl_mode(match encryption {
            Encryption::None => SslMode::Disable,
            Encryption::System | Encryption::Roots(_) => SslMode::Require,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_MAX);
        }
        if config.get_application_name().is_none() {
            config.application_name("hayloft");
        }
        if 1 < config.get_hosts().len() {
            // Of a primary and its standbys, the one that takes changes.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self {
            config,
            encryption,
            shown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> Result<Location, PostgresError> {
        Location::new(&text.parse().unwrap())
    }

    #[test]
    fn a_url_says_where_and_whether_the_connection_is_encrypted() {
        let plain = location("postgres://u:p@h:5/d").unwrap();
        assert_eq!(plain.encryption, Encryption::None);
        assert_eq!(plain.config.get_ports(), [5]);
        assert_eq!(plain.config.get_ssl_mode(), SslMode::Disable);
        let system = location("postgresql://u@h/d?sslmode=verify-full").unwrap();
        assert_eq!(system.encryption, Encryption::System);
        let own =
            location("postgres://u@h,i/d?sslrootcert=%2Fa%20b&connect_timeout=2&sslmode=require");
        let own = own.unwrap();
        assert_eq!(own.encryption, Encryption::Roots("/a b".into()));
        assert_eq!(own.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(own.config.get_connect_timeout().unwrap().as_secs(), 2);
        assert_eq!(
            own.config.get_target_session_attrs(),
            TargetSessionAttrs::ReadWrite
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_without_the_password() {
        for text in [
            "postgres://u:secret@h/d?sslmode=prefer",
            "postgres://u:secret@h/d?nonsense=1",
            "postgres://u:secret@h:port/d",
        ] {
            let error = location(text).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(
                !said.contains("secret") && said.contains("remedy"),
                "{said}"
            );
        }
        let shown = format!("{:?}", location("postgres://u:secret@h/d").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
