//! TLS between members: nothing to set up, for the certificates prove nothing.
//!
//! Each member makes a key and a certificate for itself when it first needs them, and forgets them at its
//! end. Nobody looks at who signed a certificate or at the name in it. Still the handshake shows that the
//! peer has the key of the certificate that it sent, so two processes end up with keys of a
//! session that nobody else has; what is open is only who the peer is. That is proved inside, by the
//! cluster secret over a value that TLS derives from the keys of this very session
//! ([`Binding`]; RFC 5705, RFC 9266). Somebody in between who speaks TLS with both sides has two sessions
//! with two different values, and a proof of one is wrong in the other.
//!
//! Only TLS 1.3, in which that value depends on everything that was said in the handshake. No
//! session is resumed: every connection does the whole handshake.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::version::TLS13;
use rustls::{ConnectionCommon, DigitallySignedStruct, PeerIncompatible, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::AuthError;
use super::proof::Binding;
use crate::rpc::{Connection, MemberStream};

/// What the exported value is for. Such labels need no registration (RFC 5705, section 4). Never changes.
const EXPORTER_LABEL: &[u8] = b"EXPERIMENTAL hayloft node-to-node authentication";

/// Bytes that are read from the socket in one call. The TLS library by itself asks for 4 KiB at a time.
const READ_LEN: usize = 64 * 1024;

/// Why this process cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No key or certificate can be made.
    #[error("cannot make a certificate; remedy: check that the system gives random numbers")]
    Certificate(#[source] rcgen::Error),
    /// The cryptography that was built in does not do what is needed.
    #[error("the cryptography of this build is of no use; remedy: use another build")]
    Cryptography(#[source] rustls::Error),
}

/// Both sides of a handshake, made when the first one is needed.
#[derive(Default)]
pub(super) struct Ends(OnceLock<Made>);

#[derive(Clone)]
struct Made {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl Ends {
    /// Begins TLS as the side that opened the connection.
    pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: Connection<S>,
    ) -> Result<(Connection<MemberStream<S>>, Binding), AuthError> {
        let connector = self.made()?.connector;
        // An address instead of a name, so that the handshake carries none.
        let nobody = ServerName::from(std::net::IpAddr::from(Ipv4Addr::UNSPECIFIED));
        inside(connection, async |stream| {
            let stream = connector.connect(nobody, stream).await?;
            Ok(TlsStream::Client(stream))
        })
        .await
    }

    /// Begins TLS as the side that took the connection.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: Connection<S>,
    ) -> Result<(Connection<MemberStream<S>>, Binding), AuthError> {
        let acceptor = self.made()?.acceptor;
        inside(connection, async |stream| {
            let stream = acceptor.accept(stream).await?;
            Ok(TlsStream::Server(stream))
        })
        .await
    }

    fn made(&self) -> Result<Made, SetupError> {
        if let Some(made) = self.0.get() {
            return Ok(made.clone());
        }
        // Whoever comes at the same time makes one too, and the first is kept.
        let made = Made::new()?;
        Ok(self.0.get_or_init(|| made).clone())
    }
}

impl Made {
    fn new() -> Result<Self, SetupError> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(Vec::new()).map_err(SetupError::Certificate)?;
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let provider = Arc::new(ring::default_provider());
        let any = Arc::new(AnyCertificate {
            algorithms: provider.signature_verification_algorithms,
        });
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(SetupError::Cryptography)?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .map_err(SetupError::Cryptography)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(SetupError::Cryptography)?
            .dangerous()
            .with_custom_certificate_verifier(any)
            .with_no_client_auth();
        client.resumption = Resumption::disabled();
        Ok(Self {
            connector: Arc::new(client).into(),
            acceptor: Arc::new(server).into(),
        })
    }
}

/// The connection inside of TLS, and what only its two ends know.
async fn inside<S: AsyncRead + AsyncWrite + Unpin>(
    connection: Connection<S>,
    handshake: impl AsyncFnOnce(BufReader<S>) -> io::Result<TlsStream<BufReader<S>>>,
) -> Result<(Connection<MemberStream<S>>, Binding), AuthError> {
    let progress_timeout = connection.progress_timeout();
    let (stream, early) = connection.into_parts();
    // Both sides wait for each other here. Bytes that came all the same were said outside of TLS, by
    // whomever; kept, they would be read as if they had been said inside.
    if !early.is_empty() {
        return Err(AuthError::TooEarly(early.len()));
    }
    let stream = handshake(BufReader::with_capacity(READ_LEN, stream))
        .await
        .map_err(AuthError::Tls)?;
    let exported = match &stream {
        TlsStream::Client(stream) => export(stream.get_ref().1),
        TlsStream::Server(stream) => export(stream.get_ref().1),
    };
    let binding = exported.map_err(|error| AuthError::Tls(io::Error::other(error)))?;
    let connection = Connection::new(MemberStream::tls(stream), progress_timeout);
    Ok((connection, binding))
}

fn export<D>(session: &ConnectionCommon<D>) -> Result<Binding, rustls::Error> {
    session
        .export_keying_material([0; 32], EXPORTER_LABEL, None)
        .map(Binding)
}

/// Takes every certificate, and checks that the peer has the key of the one it sent. Sound only because
/// a proof of the cluster secret over the exporter of the session follows, see above.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Never asked: the version is not offered.
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
