//! TLS to the database. The certificate is always verified, and it must name the host: encryption
//! without knowing to whom protects from nobody who can reach the line.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use super::error::PostgresError;
use super::location::Encryption;

/// Makes TLS sessions. Clones share the certificates.
#[derive(Clone)]
pub(super) struct MakeTls(Arc<ClientConfig>);

impl fmt::Debug for MakeTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeTls").finish_non_exhaustive()
    }
}

impl MakeTls {
    /// What a location asks for; `None` for plain connections. Blocks.
    pub(super) fn new(encryption: &Encryption) -> Result<Option<Self>, PostgresError> {
        let roots = match encryption {
            Encryption::None => return Ok(None),
            Encryption::System => system_roots()?,
            Encryption::Roots(path) => roots_of(path)?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(PostgresError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(Self(Arc::new(config))))
    }
}

/// What the operating system trusts.
fn system_roots() -> Result<RootCertStore, PostgresError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.into_iter().next();
        let source = reason.map_or_else(|| io::ErrorKind::NotFound.into(), io::Error::other);
        let path = "the system's store".into();
        return Err(PostgresError::Roots { path, source });
    }
    Ok(roots)
}

fn roots_of(path: &Path) -> Result<RootCertStore, PostgresError> {
    let refuse = |source| PostgresError::Roots {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read(path).map_err(refuse)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| refuse(io::Error::other(error)))?;
        let added = roots.add(certificate);
        added.map_err(|error| refuse(io::Error::other(error)))?;
    }
    if roots.is_empty() {
        return Err(refuse(io::ErrorKind::InvalidData.into()));
    }
    Ok(roots)
}

impl<S> MakeTlsConnect<S> for MakeTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Session<S>;
    type TlsConnect = Connect;
    type Error = InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Connect, InvalidDnsNameError> {
        Ok(Connect {
            config: Arc::clone(&self.0),
            name: ServerName::try_from(domain.to_owned())?,
        })
    }
}

/// One session that is to be made.
pub(super) struct Connect {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl<S> TlsConnect<S> for Connect
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Session<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Session<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let connector = TlsConnector::from(self.config);
            connector.connect(self.name, stream).await.map(Session)
        })
    }
}

/// A session. It binds no channel: passwords are hashed with a salt of the server's, whose certificate
/// was verified.
pub(super) struct Session<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Session<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Session<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Session<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
