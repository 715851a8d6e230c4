//! The API port over real sockets, with dialects and blobs that the tests make up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::env::{Shutdown, ShutdownTrigger};
use common::web::anti_leech::Access;
use common::web::front::{Front, FrontSettings, Groups};
use common::web::metrics::HttpMetrics;
use common::web::operations::{Operations, Readiness};
use common::web::origin::Scheme;
use common::web::query;
use common::web::server::{self, ServerLimits};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::web_dir::WebDir;
use super::*;
use crate::backend::MemoryBlobs;
use crate::thumbnail::{ThumbSettings, Thumbnails};

const ID: &str = "/group1/M00/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h";
const DEADLINE: Duration = Duration::from_secs(20);

/// Says its name and what it was asked.
struct Echo(&'static str);

impl Dialect for Echo {
    async fn handle(&self, exchange: Exchange) -> Response<Body> {
        assert_ne!(exchange.head.uri.path(), "/api/panic");
        let query = exchange.head.uri.query().unwrap_or_default();
        let cmd = query::value(query, "cmd").unwrap_or_default().into_owned();
        let (address, base) = (exchange.caller.address(), exchange.caller.public_base());
        let foreign = exchange.caller.is_from_foreign_page();
        match body::collect(exchange.body, 1 << 20).await {
            Ok(body) => {
                let len = body.len();
                let text = format!("{} {cmd} {address} {base} {foreign} {len}", self.0);
                json::response(StatusCode::OK, text)
            }
            Err(error) => json::code(error.status(), 1),
        }
    }

    fn failed(&self) -> Response<Body> {
        json::code(StatusCode::INTERNAL_SERVER_ERROR, 1)
    }
}

struct Port {
    address: SocketAddr,
    /// Of thumbnails.
    _home: TempDir,
    _trigger: ShutdownTrigger,
}

async fn start(web_dir: Option<PathBuf>, scheme: Scheme) -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let registry = Registry::new();
    let home = tempfile::tempdir().unwrap();
    let blobs = MemoryBlobs::new("group1".parse().unwrap(), 1.try_into().unwrap());
    let settings = ThumbSettings::default();
    let thumbnails = Thumbnails::new(&settings, home.path().to_owned(), &registry).unwrap();
    let metrics = HttpMetrics::register(&registry, "test").unwrap();
    let operations = Operations::new(registry, || Box::pin(async { Readiness::Ready }));
    let front = FrontSettings {
        groups: Groups::Any,
        default_group: None,
        access: Access::Public,
    };
    let web_dir = web_dir.map(|directory| WebDir::open(directory).unwrap());
    let routes = Arc::new(Routes {
        blobs: Downloads {
            front: Front::new(blobs.clone(), front, operations),
            blobs,
            thumbnails,
        },
        image_host: Echo("host"),
        pan123: Echo("pan"),
        weiyun: Echo("weiyun"),
        console: Echo("console"),
        pages: Pages::new(web_dir, scheme),
        callers: CallerRules {
            trusted_proxies: Vec::new(),
            allowed_origins: vec!["https://app.example".parse().unwrap()],
            public_url: None,
            scheme,
            listening_on: address,
        },
    });
    let (trigger, shutdown) = Shutdown::new();
    let limits = ServerLimits::default();
    tokio::spawn(server::serve(listener, routes, limits, metrics, shutdown));
    Port {
        address,
        _home: home,
        _trigger: trigger,
    }
}

/// Status line, headers in lower case, and body of an answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

async fn raw(port: &Port, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let mut answer = Vec::new();
    let work = async {
        stream.write_all(request).await.unwrap();
        stream.read_to_end(&mut answer).await.unwrap();
    };
    tokio::time::timeout(DEADLINE, work).await.unwrap();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head[9..12].parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

async fn ask(port: &Port, method: &str, path: &str, fields: &str) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: img.example\r\nconnection: close\r\n{fields}\r\n"
    );
    raw(port, request.as_bytes()).await
}

#[tokio::test]
async fn every_part_gets_its_requests() {
    let port = start(None, Scheme::Http).await;
    for (method, path, status, body) in [
        (
            "POST",
            "/api/myfiles?cmd=count",
            200,
            "host count 127.0.0.1 http://img.example false 0",
        ),
        (
            "GET",
            "/console/api/me",
            200,
            "console  127.0.0.1 http://img.example false 0",
        ),
        ("HEAD", "/api/myfiles?cmd=count", 200, ""),
        ("GET", "/healthz", 200, "ok\n"),
        (
            "GET",
            ID,
            404,
            "no such file: it was deleted or never uploaded\n",
        ),
        ("GET", "/console/nothing.js", 404, "no such page\n"),
        ("POST", "/", 405, "a page takes only GET and HEAD\n"),
        ("OPTIONS", ID, 204, ""),
        ("OPTIONS", "/api/login", 204, ""),
    ] {
        let answer = ask(&port, method, path, "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, body),
            "{method} {path}"
        );
    }
    assert_eq!(
        ask(&port, "DELETE", ID, "").await.header("allow"),
        Some("GET, HEAD")
    );
}

#[tokio::test]
async fn a_host_that_is_none_is_refused_everywhere() {
    let port = start(None, Scheme::Http).await;
    for path in ["/", "/api/login", ID] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\"b\r\nconnection: close\r\n\r\n");
        assert_eq!(raw(&port, request.as_bytes()).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_panic_of_a_dialect_is_answered_in_its_own_words() {
    let port = start(None, Scheme::Http).await;
    let answer = ask(&port, "POST", "/api/panic", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "{\"code\":1}"));
    assert_eq!(ask(&port, "POST", "/api/login", "").await.status, 200);
}

#[tokio::test]
async fn bodies_that_are_too_long_are_refused_early_and_late() {
    let port = start(None, Scheme::Http).await;
    // Before one byte of the body was sent.
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let head = "POST /api/upload HTTP/1.1\r\nhost: x\r\ncontent-length: 1048577\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    let early = stream.read_exact(&mut status);
    tokio::time::timeout(DEADLINE, early)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    let body = "x".repeat((1 << 20) + 1);
    for (fields, body, status) in [
        (
            format!("content-length: {}\r\n", body.len()),
            body.clone(),
            413,
        ),
        (
            format!("content-length: {}\r\n", 1 << 20),
            body[1..].to_owned(),
            200,
        ),
        (
            "transfer-encoding: chunked\r\n".to_owned(),
            format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            413,
        ),
    ] {
        let request = format!(
            "POST /api/upload HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n{body}"
        );
        let answer = raw(&port, request.as_bytes()).await;
        assert_eq!(answer.status, status, "{}", answer.head);
    }
}

#[tokio::test]
async fn only_named_origins_may_use_the_calls() {
    let port = start(None, Scheme::Http).await;
    for (origin, allowed, foreign) in [
        ("", None, "false"),
        ("origin: http://img.example\r\n", None, "false"),
        (
            "origin: https://app.example\r\n",
            Some("https://app.example"),
            "false",
        ),
        ("origin: http://evil.example\r\n", None, "true"),
        ("origin: null\r\n", None, "true"),
    ] {
        for method in ["POST", "OPTIONS"] {
            let answer = ask(&port, method, "/api/upload", origin).await;
            assert_eq!(
                answer.header("access-control-allow-origin"),
                allowed,
                "{origin}"
            );
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            assert_eq!(answer.header("vary"), Some("origin"), "{origin}");
            if method == "POST" {
                assert!(answer.body.contains(foreign), "{origin}");
            } else {
                assert_eq!(
                    answer.header("access-control-allow-methods"),
                    Some("GET, POST")
                );
                assert_eq!(
                    answer.header("access-control-allow-headers"),
                    Some("authorization, content-type")
                );
            }
        }
        let console = ask(&port, "POST", "/console/api/me", origin).await;
        assert_eq!(console.header("access-control-allow-origin"), None);
        let blob = ask(&port, "GET", ID, origin).await;
        assert_eq!(blob.header("access-control-allow-origin"), Some("*"));
    }
}

#[tokio::test]
async fn pages_carry_what_keeps_scripts_out_and_are_asked_about_each_time() {
    for scheme in [Scheme::Http, Scheme::Https] {
        let port = start(None, scheme).await;
        let page = ask(&port, "GET", "/", "").await;
        assert_eq!(page.status, 200);
        assert!(page.body.starts_with("<!doctype html>"));
        let base = format!("{}://img.example", scheme.as_str());
        let policy = page.header("content-security-policy").unwrap();
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob: {base}; \
                 media-src 'self' blob:; connect-src 'self'; frame-src 'self' blob:; worker-src 'self'; \
                 form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
            )
        );
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(page.header(name), Some(value), "{name}");
        }
        assert!(page.header("permissions-policy").is_some());
        let transport = page.header("strict-transport-security").is_some();
        assert_eq!(transport, scheme == Scheme::Https);

        let etag = page.header("etag").unwrap();
        assert!(etag.starts_with('"'), "{etag}");
        let same = ask(&port, "GET", "/", &format!("if-none-match: {etag}\r\n")).await;
        assert_eq!((same.status, same.body.as_str()), (304, ""));
        assert_eq!(same.header("etag"), Some(etag));
        assert!(same.header("content-security-policy").is_some());
        let other = ask(&port, "GET", "/", "if-none-match: \"x\"\r\n").await;
        assert_eq!(other.status, 200);
        let head = ask(&port, "HEAD", "/", "").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.header("content-length"), page.header("content-length"));
        for path in ["/console", "/console/", "/console/index.html"] {
            assert_eq!(ask(&port, "GET", path, "").await.body, page.body, "{path}");
        }
    }
}

#[tokio::test]
async fn another_front_end_takes_the_place_of_the_console() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("index.html"), "<script>other()</script>").unwrap();
    std::fs::write(home.path().join("app.js"), "other()").unwrap();
    let port = start(Some(home.path().to_owned()), Scheme::Http).await;
    for (path, status, body) in [
        ("/", 200, "<script>other()</script>"),
        ("/login", 200, "<script>other()</script>"),
        ("/share?urlmd5=0a", 200, "<script>other()</script>"),
        ("/app.js", 200, "other()"),
        ("/nothing.js", 404, "no such page\n"),
        ("/healthz", 200, "ok\n"),
        ("/group1/x", 404, "no file has this path: "),
    ] {
        let answer = ask(&port, "GET", path, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.starts_with(body), "{path}: {}", answer.body);
    }
    let page = ask(&port, "GET", "/", "").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'self'"), "{policy}");
    assert_eq!(page.header("x-frame-options"), Some("SAMEORIGIN"));
    // The console is still there, beside it.
    let console = ask(&port, "GET", "/console/", "").await;
    assert_eq!(console.header("x-frame-options"), Some("DENY"));
    assert_eq!(ask(&port, "POST", "/api/login", "").await.status, 200);
}
