//! HTTPS with certificates made here: handshakes, renewal, and what is no TLS at all.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::UNIX_EPOCH;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::web::tls::{TlsError, TlsFiles};

/// A new certificate for `localhost` in files below `home`, and what trusts it.
fn renew(home: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = files(home);
    write(&files.certificate, cert.pem().as_bytes());
    write(&files.key, signing_key.serialize_pem().as_bytes());
    cert.der().clone()
}

/// Writes a file at a time of its own: the clock of a file system may stand still for milliseconds.
fn write(path: &Path, bytes: &[u8]) {
    static SECONDS: AtomicU64 = AtomicU64::new(1);
    std::fs::write(path, bytes).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(SECONDS.fetch_add(1, Ordering::Relaxed));
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

fn files(home: &Path) -> TlsFiles {
    TlsFiles {
        certificate: home.join("chain.pem"),
        key: home.join("key.pem"),
    }
}

async fn start_tls(home: &TempDir, limits: ServerLimits) -> (Server, Arc<Tls>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let registry = Registry::new();
    let metrics = HttpMetrics::register(&registry, "test").unwrap();
    let operations = Operations::new(registry, || Box::pin(async { Readiness::Ready }));
    let settings = FrontSettings {
        groups: Groups::Any,
        default_group: None,
        access: Access::Public,
    };
    let front = Arc::new(Front::new(source(100_000), settings, operations));
    let tls = Arc::new(Tls::load(files(home.path())).unwrap());
    let (trigger, shutdown) = Shutdown::new();
    let (served, acceptor) = (Arc::clone(&metrics), tls.acceptor());
    let task = tokio::spawn(async move {
        accept(listener, Some(acceptor), front, limits, served, shutdown).await;
    });
    let server = Server {
        address,
        metrics,
        trigger,
        task,
    };
    (server, tls)
}

/// A connection whose certificate is exactly `trusted`.
async fn connect(
    server: &Server,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    within(connector.connect(name, stream)).await
}

async fn ask(mut stream: TlsStream<TcpStream>) -> String {
    let request = format!("GET {ID} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn downloads_arrive_by_https() {
    let home = tempfile::tempdir().unwrap();
    let trusted = renew(home.path());
    let (server, _tls) = start_tls(&home, ServerLimits::default()).await;
    let mut stream = connect(&server, &trusted).await.unwrap();
    let request = format!("GET {ID} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    assert!(answer.ends_with(&pattern(100_000)));
}

#[tokio::test]
async fn what_is_no_tls_ends_the_connection_at_once() {
    let home = tempfile::tempdir().unwrap();
    renew(home.path());
    let (server, _tls) = start_tls(&home, ServerLimits::default()).await;
    for request in [
        format!("GET {ID} HTTP/1.1\r\nhost: x\r\n\r\n"),
        "\0".repeat(99),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end too; what counts is that it comes.
        let _ = within(stream.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert_eq!(server.metrics.sent_bytes(), 0);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut_off() {
    let home = tempfile::tempdir().unwrap();
    renew(home.path());
    let limits = ServerLimits {
        handshake_timeout: Duration::from_millis(200),
        ..ServerLimits::default()
    };
    let (server, _tls) = start_tls(&home, limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The beginning of a TLS record.
    stream.write_all(&[22, 3, 1]).await.unwrap();
    let mut byte = [0];
    assert!(matches!(
        within(stream.read(&mut byte)).await,
        Ok(0) | Err(_)
    ));
}

#[tokio::test]
async fn the_signal_ends_a_handshake_and_finishes_an_answer() {
    let home = tempfile::tempdir().unwrap();
    let trusted = renew(home.path());
    let (server, _tls) = start_tls(&home, ServerLimits::default()).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut idle = connect(&server, &trusted).await.unwrap();
    let request = format!("HEAD {ID} HTTP/1.1\r\nhost: x\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut scratch = [0; 4_096];
    assert_ne!(within(idle.read(&mut scratch)).await.unwrap(), 0);
    server.trigger.trigger();
    assert!(matches!(
        within(silent.read(&mut scratch)).await,
        Ok(0) | Err(_)
    ));
    assert_eq!(within(idle.read(&mut scratch)).await.unwrap(), 0);
    within(server.task).await.unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let home = tempfile::tempdir().unwrap();
    let first = renew(home.path());
    let (server, tls) = start_tls(&home, ServerLimits::default()).await;
    let open = connect(&server, &first).await.unwrap();

    let second = renew(home.path());
    tls.look();
    assert!(connect(&server, &first).await.is_err());
    let answer = ask(connect(&server, &second).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"));
    // A connection of before goes on.
    assert!(ask(open).await.starts_with("HTTP/1.1 200 OK"));

    // The chain is new and the key still the old one, then nothing is there at all.
    let key = std::fs::read(files(home.path()).key).unwrap();
    let third = renew(home.path());
    let new_key = std::fs::read(files(home.path()).key).unwrap();
    write(&files(home.path()).key, &key);
    tls.look();
    assert!(connect(&server, &second).await.is_ok());
    std::fs::remove_file(files(home.path()).key).unwrap();
    tls.look();
    assert!(connect(&server, &second).await.is_ok());
    write(&files(home.path()).key, &new_key);
    tls.look();
    assert!(connect(&server, &third).await.is_ok());
}

#[tokio::test]
async fn the_files_are_looked_at_again_and_again() {
    let home = tempfile::tempdir().unwrap();
    renew(home.path());
    let tls = Arc::new(Tls::load(files(home.path())).unwrap());
    let watched = Arc::clone(&tls);
    let task = tokio::spawn(async move { watched.keep_current(Duration::from_millis(5)).await });
    for _ in 0..2 {
        let renewed = renew(home.path());
        within(async {
            while tls.in_use() != renewed {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    task.abort();
}

#[test]
fn files_that_are_no_use_are_named_with_cause_and_remedy() {
    let home = tempfile::tempdir().unwrap();
    renew(home.path());
    let good = files(home.path());
    let other = tempfile::tempdir().unwrap();
    renew(other.path());
    let empty = home.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let garbage = home.path().join("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\n!!!\n").unwrap();
    let long = home.path().join("long.pem");
    std::fs::write(&long, vec![b'x'; 2 << 20]).unwrap();
    let absent = home.path().join("absent.pem");
    let with_certificate = |path: &Path| TlsFiles {
        certificate: path.to_owned(),
        ..good.clone()
    };
    let with_key = |path: &Path| TlsFiles {
        key: path.to_owned(),
        ..good.clone()
    };
    for (files, named) in [
        (with_certificate(&absent), "absent.pem"),
        (with_certificate(&empty), "empty.pem holds no certificate"),
        (
            with_certificate(&garbage),
            "garbage.pem holds no certificate",
        ),
        (with_certificate(&long), "long.pem"),
        (with_key(&absent), "absent.pem"),
        (with_key(&empty), "empty.pem holds no private key"),
        (
            with_key(&good.certificate),
            "chain.pem holds no private key",
        ),
        (
            with_key(&other.path().join("key.pem")),
            "do not work together",
        ),
    ] {
        let refused: TlsError = Tls::load(files).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains(named) && text.contains("remedy"), "{text}");
    }
    assert!(Tls::load(good).is_ok());
}
