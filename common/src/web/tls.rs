//! TLS for a listener: a certificate chain and its key from two PEM files, read again when they change.
//!
//! Certificates live for weeks, servers longer. Whoever renews one writes the files, and the server
//! notices within a minute. Files that are no use, such as a new chain beside the old key while
//! the two are being written, change nothing: the certificate in use stays until they are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::text;
use crate::limits;

/// Time between two looks at the files.
pub(super) const CHECK_EVERY: Duration = Duration::from_mins(1);

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those that vouch for it, PEM, its own first.
    pub certificate: PathBuf,
    /// The private key of the first one, PEM.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or not for us.
    #[error("cannot read {}; remedy: let the server's user read it, or correct the path", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Too long for what it should be.
    #[error("{} is longer than a certificate or key can be; remedy: correct the path", .0.display())]
    TooLong(PathBuf),
    /// Not PEM, or nothing of the right kind in it.
    #[error("{} holds no {what}; remedy: give a PEM file with one (-----BEGIN …)", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// Each is well-formed, but they do not work.
    #[error(
        "the certificate in {} and the key in {} do not work together; remedy: give the key that the certificate was made for",
        .certificate.display(),
        .key.display()
    )]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// The cryptography that was built in offers no protocol that clients speak.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// The TLS side of a listener.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<Current>,
}

impl Tls {
    /// Reads the files. Blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which names the file and a remedy.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let stamp = Stamp::of(&files);
        let key = read(&files, &provider)?;
        let certificate = Arc::new(Current {
            files,
            provider: Arc::clone(&provider),
            loaded: RwLock::new(Loaded {
                stamp,
                key: Arc::new(key),
            }),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Current>::clone(&certificate));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            certificate,
        })
    }

    /// What makes connections of streams.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Looks whether the files have changed, and reads them again if so. Never ends.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; a look that began is finished.
    pub(super) async fn keep_current(&self, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let certificate = Arc::clone(&self.certificate);
            let looked = tokio::task::spawn_blocking(move || certificate.look());
            if let Err(error) = looked.await {
                warn!(%error, "the certificate could not be looked at");
            }
        }
    }
}

#[cfg(test)]
impl Tls {
    /// Looks at the files now.
    pub(super) fn look(&self) {
        self.certificate.look();
    }

    /// The server's own certificate.
    pub(super) fn in_use(&self) -> CertificateDer<'static> {
        self.certificate.in_use().cert[0].clone()
    }
}

/// The certificate in use.
struct Current {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    loaded: RwLock<Loaded>,
}

struct Loaded {
    /// Of the files when they were last read, with or without success.
    stamp: Stamp,
    key: Arc<CertifiedKey>,
}

impl Current {
    fn in_use(&self) -> Arc<CertifiedKey> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&loaded.key)
    }

    /// Takes what the files hold now, if they changed and it is some use.
    fn look(&self) {
        // Before the files are read: a change in between is then seen by the next look.
        let stamp = Stamp::of(&self.files);
        if stamp
            == self
                .loaded
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .stamp
        {
            return;
        }
        let read = read(&self.files, &self.provider);
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.stamp = stamp;
        match read {
            Ok(key) => {
                loaded.key = Arc::new(key);
                info!(file = %self.files.certificate.display(), "the certificate was renewed");
            }
            Err(error) => warn!(
                error = text::chain(&error),
                "the certificate's files changed but are no use; the one in use stays"
            ),
        }
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.in_use())
    }
}

/// Leaves the key out.
impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// What tells one state of the files from another: when each was written, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64)>; 2]);

impl Stamp {
    fn of(files: &TlsFiles) -> Self {
        let of = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self([of(&files.certificate), of(&files.key)])
    }
}

fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let wrong = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::Content { path, what, source }
    };
    let certificate = content(&files.certificate)?;
    let chain = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| match chain.as_slice() {
            [] => Err(pem::Error::NoItemsFound),
            [..] => Ok(chain),
        })
        .map_err(wrong(&files.certificate, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&content(&files.key)?)
        .map_err(wrong(&files.key, "private key"))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|source| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    })
}

fn content(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let len = std::fs::metadata(path).map_err(failed)?.len();
    if limits::TLS_FILE_LEN_MAX < len {
        return Err(TlsError::TooLong(path.to_owned()));
    }
    std::fs::read(path).map_err(failed)
}
