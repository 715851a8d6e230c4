//! The server over real sockets, with a source that the tests steer.

mod bodies;
mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1 as client;
use hyper_util::rt::TokioIo;
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::code::ErrorCode;
use crate::digest::Crc32;
use crate::env::ShutdownTrigger;
use crate::id::FileId;
use crate::web::anti_leech::{Access, AntiLeech, Key, token};
use crate::web::download::{BlobFacts, Version};
use crate::web::front::{FrontSettings, Groups};
use crate::web::operations::{Operations, Readiness};
use crate::web::source::{Content, Opened, ReadPieces, SourceError};

const ID: &str = "/group1/M00/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h";
const PIECEWISE: &str = "/group1/M00/00/00/eBuDxWCfQHSATopyAAV8AJV_1mw866.dll";
const ABSENT: &str = "/group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt";
/// Any wait that a working server ends much sooner.
const DEADLINE: Duration = Duration::from_secs(20);

/// Bytes in which each position can be told from its neighbours.
fn pattern(len: usize) -> Bytes {
    (0..len)
        .map(|at| u8::try_from(at * 7 % 251).unwrap())
        .collect::<Vec<_>>()
        .into()
}

#[derive(Default)]
struct Fake {
    whole: HashMap<FileId, Bytes>,
    pieces: HashMap<FileId, Pieces>,
}

#[derive(Clone)]
struct Pieces {
    bytes: Bytes,
    piece_len: usize,
    fails_at: Option<u64>,
    /// Told of each piece that is read.
    read: Option<mpsc::Sender<u64>>,
    /// Pieces wait until this is true.
    gate: Option<watch::Receiver<bool>>,
}

impl BlobSource for Fake {
    type Reader = Pieces;

    async fn open(&self, id: &FileId) -> Result<Opened<Pieces>, SourceError> {
        let facts = |bytes: &Bytes| BlobFacts {
            size: bytes.len() as u64,
            time: 1_594_000_000,
            version: Version::Immutable(Crc32::of(bytes)),
        };
        if let Some(bytes) = self.whole.get(id) {
            return Ok(Opened {
                facts: facts(bytes),
                content: Content::Whole(bytes.clone()),
            });
        }
        let pieces = self.pieces.get(id).ok_or(ErrorCode::NotFound)?.clone();
        Ok(Opened {
            facts: facts(&pieces.bytes),
            content: Content::Pieces(pieces),
        })
    }
}

impl ReadPieces for Pieces {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, SourceError> {
        if let Some(read) = &self.read {
            read.send(range.start).await.unwrap();
        }
        if let Some(gate) = &mut self.gate {
            gate.wait_for(|open| *open).await.unwrap();
        }
        if self.fails_at.is_some_and(|at| at <= range.start) {
            return Err(SourceError::new(ErrorCode::Storage, "the disk failed"));
        }
        let start = usize::try_from(range.start).unwrap();
        let end = usize::try_from(range.end)
            .unwrap()
            .min(start + self.piece_len);
        Ok(self.bytes.slice(start..end))
    }
}

fn id(path: &str) -> FileId {
    path.strip_prefix('/').unwrap().parse().unwrap()
}

fn source(len: usize) -> Fake {
    Fake {
        whole: HashMap::from([(id(ID), pattern(len))]),
        ..Fake::default()
    }
}

fn piecewise(pieces: Pieces) -> Fake {
    Fake {
        pieces: HashMap::from([(id(PIECEWISE), pieces)]),
        ..source(1)
    }
}

fn pieces(len: usize, piece_len: usize) -> Pieces {
    Pieces {
        bytes: pattern(len),
        piece_len,
        fails_at: None,
        read: None,
        gate: None,
    }
}

struct Server {
    address: SocketAddr,
    metrics: Arc<HttpMetrics>,
    trigger: ShutdownTrigger,
    task: JoinHandle<()>,
}

async fn start(source: Fake, access: Access, limits: ServerLimits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let registry = Registry::new();
    let metrics = HttpMetrics::register(&registry, "test").unwrap();
    let operations = Operations::new(registry, || {
        let reasons = vec!["the store is being rebuilt".to_owned()];
        Box::pin(async { Readiness::NotReady(reasons) })
    });
    let settings = FrontSettings {
        groups: Groups::Only("group1".parse().unwrap()),
        default_group: Some("group1".parse().unwrap()),
        access,
    };
    let front = Arc::new(Front::new(source, settings, operations));
    let (trigger, shutdown) = Shutdown::new();
    let task = tokio::spawn(serve(
        listener,
        front,
        limits,
        Arc::clone(&metrics),
        shutdown,
    ));
    Server {
        address,
        metrics,
        trigger,
        task,
    }
}

async fn start_simple(source: Fake) -> Server {
    start(source, Access::Public, ServerLimits::default()).await
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work)
        .await
        .expect("within the deadline")
}

/// One request with hyper's client: an independent reader of what the server writes.
async fn fetch(
    server: &Server,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Result<(http::response::Parts, Bytes), hyper::Error> {
    within(async {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let exchange = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            Ok((head, body.collect().await?.to_bytes()))
        };
        // The connection ends when its sender is dropped, at the end of the exchange.
        tokio::join!(exchange, connection).0
    })
    .await
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    let (head, body) = fetch(server, "GET", path, &[]).await.unwrap();
    (
        head.status.as_u16(),
        String::from_utf8_lossy(&body).into_owned(),
    )
}

/// Sends bytes as they are and reads until the server closes.
async fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn whole_and_piecewise_blobs_arrive_intact_in_every_range() {
    let len = 100_000;
    let mut fake = piecewise(pieces(len, 999));
    fake.whole.insert(id(ID), pattern(len));
    let server = start_simple(fake).await;
    let content = pattern(len);
    for path in [
        ID,
        PIECEWISE,
        "/M00/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h",
    ] {
        let (head, body) = fetch(&server, "GET", path, &[]).await.unwrap();
        assert_eq!((head.status, &body), (StatusCode::OK, &content));
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=998-999", 998..1_000),
            ("bytes=5-", 5..len),
            ("bytes=-1", len - 1..len),
            ("bytes=50000-9999999", 50_000..len),
        ] {
            let (head, body) = fetch(&server, "GET", path, &[("range", range)])
                .await
                .unwrap();
            assert_eq!(head.status, 206, "{range}");
            assert_eq!(body, content.slice(expected), "{range}");
        }
        let parts = [("range", "bytes=10-12,2000-4000")];
        let (head, body) = fetch(&server, "GET", path, &parts).await.unwrap();
        let kind = head.headers["content-type"].to_str().unwrap();
        let boundary = kind
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        let part = |range: &str, bytes: &[u8]| {
            let kind = fetch_type(path);
            let head = format!(
                "--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: bytes {range}/{len}\r\n\r\n"
            );
            [head.as_bytes(), bytes, b"\r\n"].concat()
        };
        let expected = [
            part("10-12", &content[10..=12]),
            part("2000-4000", &content[2_000..=4_000]),
            format!("--{boundary}--\r\n").into_bytes(),
        ]
        .concat();
        assert!(body == expected, "{path}");
    }
}

fn fetch_type(path: &str) -> String {
    let extension = path.rsplit_once('.').unwrap().1;
    let kind = super::super::content_type::of_extension(extension).value;
    kind.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn conditions_and_head_work_over_the_wire() {
    let server = start_simple(source(4_096)).await;
    let (head, body) = fetch(&server, "HEAD", ID, &[]).await.unwrap();
    assert_eq!((head.status.as_u16(), body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], "4096");
    let etag = head.headers["etag"].to_str().unwrap();
    let (head, body) = fetch(&server, "GET", ID, &[("if-none-match", etag)])
        .await
        .unwrap();
    assert_eq!((head.status.as_u16(), body.len()), (304, 0));
    let outside = [("range", "bytes=4096-")];
    let (head, _) = fetch(&server, "GET", ID, &outside).await.unwrap();
    assert_eq!(head.status, 416);
    assert_eq!(head.headers["content-range"], "bytes */4096");
}

#[tokio::test]
async fn refusals_say_why_in_plain_text() {
    let server = start_simple(source(1)).await;
    let absent = get(&server, ABSENT).await;
    assert_eq!(
        absent,
        (
            404,
            "no such file: it was deleted or never uploaded\n".to_owned()
        )
    );
    let (status, why) = get(&server, &ID.replace("group1", "group2")).await;
    assert_eq!((status, why.contains("group2")), (404, true));
    let (status, why) = get(&server, "/group1/M00/../../../../etc/passwd").await;
    assert_eq!(
        (status, why.starts_with("no file has this path: ")),
        (404, true)
    );
    let long = format!("/{}", "a".repeat(10_000));
    assert_eq!(get(&server, &long).await.0, 400);
    let (head, _) = fetch(&server, "HEAD", ABSENT, &[]).await.unwrap();
    assert_eq!(head.status, 404);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let (head, _) = fetch(&server, method, ID, &[]).await.unwrap();
        assert_eq!(
            (head.status.as_u16(), &head.headers["allow"]),
            (405, &"GET, HEAD".parse().unwrap())
        );
    }
    // The server took no harm.
    assert_eq!(get(&server, ID).await.0, 200);
}

#[tokio::test]
async fn malformed_requests_are_refused_and_harm_nobody() {
    let server = start_simple(source(1)).await;
    for request in [
        "nonsense\r\n\r\n".to_owned(),
        "GET /\0 HTTP/1.1\r\n\r\n".to_owned(),
        format!(
            "GET {ID} HTTP/1.1\r\nx: {}\r\n\r\n",
            "y".repeat(crate::limits::HTTP_HEAD_LEN_MAX + 1)
        ),
        format!("GET {ID} HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100)),
    ] {
        let answer = raw(&server, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(get(&server, ID).await.0, 200);
}

#[tokio::test]
async fn a_line_break_in_a_file_name_adds_no_header() {
    let server = start_simple(source(1)).await;
    let path = format!("{ID}?filename=a%0d%0aSet-Cookie:%20evil=1%0d%0a.txt");
    let (head, _) = fetch(&server, "GET", &path, &[]).await.unwrap();
    assert!(!head.headers.contains_key("set-cookie"));
    let disposition = &head.headers["content-disposition"];
    assert_eq!(
        disposition,
        "attachment; filename=\"aSet-Cookie: evil=1.txt\""
    );
}

#[tokio::test]
async fn pages_of_every_origin_may_read_downloads() {
    let server = start_simple(source(1)).await;
    let origin = ("origin", "https://elsewhere.example");
    for (method, path, status) in [
        ("GET", ID, 200),
        ("HEAD", ID, 200),
        ("GET", ABSENT, 404),
        ("OPTIONS", ID, 204),
    ] {
        let (head, _) = fetch(&server, method, path, &[origin]).await.unwrap();
        assert_eq!(head.status.as_u16(), status, "{method} {path}");
        assert_eq!(head.headers["access-control-allow-origin"], "*");
        let credentials = head.headers.get("access-control-allow-credentials");
        assert_eq!(credentials, None);
    }
    // What operators ask is no business of pages.
    let (head, _) = fetch(&server, "GET", "/metrics", &[origin]).await.unwrap();
    assert!(!head.headers.contains_key("access-control-allow-origin"));
    let (head, _) = fetch(&server, "OPTIONS", "/metrics", &[origin])
        .await
        .unwrap();
    assert_eq!(head.status, 405);
}

#[tokio::test]
async fn tokens_open_what_is_not_public() {
    let key = Key::try_from("secret").unwrap();
    let now = u64::from(clock::unix_seconds());
    let access = Access::Token(AntiLeech {
        keys: vec![key.clone()],
        ttl: Duration::from_mins(10),
    });
    let server = start(source(1), access, ServerLimits::default()).await;
    let name = ID.strip_prefix("/group1/").unwrap();
    let with = |ts: u64| {
        let token = token(name, &key, ts);
        format!(
            "{ID}?token={}&ts={ts}",
            std::str::from_utf8(&token).unwrap()
        )
    };
    assert_eq!(get(&server, &with(now)).await.0, 200);
    for (path, why) in [
        (ID.to_owned(), "this file needs a token"),
        (with(now).replace("ts=", "ts=1"), "the token is wrong"),
        (with(now - 700), "the token has expired"),
    ] {
        let (status, text) = get(&server, &path).await;
        assert_eq!((status, text.starts_with(why)), (403, true), "{text}");
    }
    // Whether a file exists is not told without a token either.
    assert_eq!(get(&server, ABSENT).await.0, 403);
    assert_eq!(get(&server, "/healthz").await.0, 200);
}

#[tokio::test]
async fn operators_get_health_readiness_and_metrics() {
    let server = start_simple(source(7)).await;
    assert_eq!(get(&server, "/healthz").await, (200, "ok\n".to_owned()));
    let expected = "not ready: the store is being rebuilt\n";
    assert_eq!(get(&server, "/readyz").await, (503, expected.to_owned()));
    assert_eq!(get(&server, ID).await.0, 200);
    let (_, text) = get(&server, "/metrics").await;
    for line in [
        "hayloft_http_requests_total{server=\"test\",status=\"200\"} 2",
        "hayloft_http_requests_total{server=\"test\",status=\"503\"} 1",
        "hayloft_http_request_seconds_count{server=\"test\"} 3",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let sent = 3 + expected.len() as u64 + 7 + text.len() as u64;
    assert_eq!(server.metrics.sent_bytes(), sent);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start_simple(source(10)).await;
    let one = |digit: usize| {
        format!("GET {ID} HTTP/1.1\r\nhost: x\r\nrange: bytes={digit}-{digit}\r\n\r\n")
    };
    let last = format!("GET {ID} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let request: String = (0..50).map(|range| one(range % 10)).chain([last]).collect();
    let answer = raw(&server, request.as_bytes()).await;
    let digits: Vec<&str> = answer
        .match_indices("content-range: bytes ")
        .map(|(at, name)| &answer[at + name.len()..=at + name.len()])
        .collect();
    let expected: Vec<String> = (0..50).map(|range| (range % 10).to_string()).collect();
    assert_eq!(digits, expected);
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1);
}

#[tokio::test]
async fn a_failed_read_breaks_the_connection_instead_of_ending_the_body() {
    let server = start_simple(piecewise(Pieces {
        fails_at: Some(5_000),
        ..pieces(10_000, 1_000)
    }))
    .await;
    let failed = fetch(&server, "GET", PIECEWISE, &[]).await;
    // The head may or may not have arrived; the whole body must not seem to have.
    assert!(failed.is_err());
    let intact = [("range", "bytes=0-4999")];
    let (head, body) = fetch(&server, "GET", PIECEWISE, &intact).await.unwrap();
    assert_eq!((head.status.as_u16(), body.len()), (206, 5_000));
}

#[tokio::test]
async fn pieces_are_read_only_as_fast_as_the_client_takes_them() {
    let (read, mut reads) = mpsc::channel(1_000);
    let piece_len = 1 << 20;
    let server = start_simple(piecewise(Pieces {
        read: Some(read),
        ..pieces(200 * piece_len, piece_len)
    }))
    .await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {PIECEWISE} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // Nothing is taken from the socket until the server has stopped reading pieces for a while.
    let mut read_ahead = 0;
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(300), reads.recv()).await {
        read_ahead += 1;
    }
    assert!(
        (1..100).contains(&read_ahead),
        "{read_ahead} pieces of 1 MiB"
    );
}

#[tokio::test]
async fn a_sender_of_half_a_head_is_cut_off() {
    let limits = ServerLimits {
        head_timeout: Duration::from_millis(200),
        ..ServerLimits::default()
    };
    let server = start(source(1), Access::Public, limits).await;
    let answer = raw(&server, format!("GET {ID} HTTP/1.1\r\nhost:").as_bytes()).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    // An idle connection is one whose next head does not come.
    let answer = raw(
        &server,
        format!("GET {ID} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes(),
    )
    .await;
    assert!(answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_off() {
    let limits = ServerLimits {
        stall_timeout: Duration::from_millis(200),
        ..ServerLimits::default()
    };
    let server = start(source(64 << 20), Access::Public, limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {ID} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    within(async {
        // First the connection opens, then it is gone though the client still holds it.
        while server.metrics.connections.get() == 0 {
            tokio::task::yield_now().await;
        }
        while server.metrics.connections.get() != 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_over_the_limit_is_told_so() {
    let limits = ServerLimits {
        connections_max: 1,
        ..ServerLimits::default()
    };
    let server = start(source(1), Access::Public, limits).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {ID} HTTP/1.1\r\nhost: x\r\n\r\n");
    first.write_all(request.as_bytes()).await.unwrap();
    let mut byte = [0];
    within(first.read_exact(&mut byte)).await.unwrap();

    let answer = raw(&server, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Retry-After: "), "{answer}");
    assert_eq!(server.metrics.refused.get(), 1);

    drop(first);
    within(async {
        while server.metrics.connections.get() != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(get(&server, ID).await.0, 200);
}

#[tokio::test]
async fn draining_lets_a_running_download_finish_and_ends_idle_connections() {
    let (open, gate) = watch::channel(false);
    let (read, mut reads) = mpsc::channel(1_000);
    let server = start_simple(piecewise(Pieces {
        gate: Some(gate),
        read: Some(read),
        ..pieces(100_000, 1_000)
    }))
    .await;
    let mut running = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {PIECEWISE} HTTP/1.1\r\nhost: x\r\n\r\n");
    running.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(within(reads.recv()).await, Some(0));
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let request = format!("HEAD {ID} HTTP/1.1\r\nhost: x\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut scratch = [0; 1_024];
    assert_ne!(within(idle.read(&mut scratch)).await.unwrap(), 0);
    within(async {
        while server.metrics.connections.get() != 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    server.trigger.trigger();
    assert_eq!(within(silent.read(&mut scratch)).await.unwrap(), 0);
    assert_eq!(within(idle.read(&mut scratch)).await.unwrap(), 0);
    // Half a request is no work to finish.
    assert!(matches!(
        within(slow.read(&mut scratch)).await,
        Ok(0) | Err(_)
    ));
    assert!(!server.task.is_finished());
    open.send(true).unwrap();
    let mut answer = Vec::new();
    within(running.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.ends_with(&pattern(100_000)));
    within(server.task).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
