//! Methods, paths and statuses, and a connection that breaks.

use std::sync::Arc;

use common::env::Shutdown;
use common::web::body::Body;
use common::web::metrics::HttpMetrics;
use common::web::server::{self, Handler, Peer, ServerLimits};
use http::Response;
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::backend::catalog::Fault;

#[tokio::test]
async fn paths_and_methods_that_nobody_documented_have_their_statuses() {
    let server = Server::new();
    for path in ["/api/", "/api/x", "/api/login/", "/api/myfiles/x"] {
        let reply = server.send(HOME, empty(Method::POST, path)).await;
        assert_eq!(reply.status, 404, "{path}");
    }
    for (method, target, allowed) in [
        (Method::GET, "/api/login", "POST"),
        (Method::PUT, "/api/upload", "POST"),
        (Method::GET, "/api/sharefiles?cmd=normal", "POST"),
        (
            Method::DELETE,
            "/api/sharefiles?cmd=count",
            "GET, HEAD, POST",
        ),
        (Method::POST, "/api/share?urlmd5=x", "GET, HEAD"),
    ] {
        let reply = server.send(HOME, empty(method, target)).await;
        assert_eq!(reply.status, 405, "{target}");
        assert_eq!(reply.headers["allow"], allowed, "{target}");
    }
}

#[tokio::test]
async fn the_link_of_a_picture_leads_to_the_page() {
    let server = Server::new();
    let link = "602fdf30db2aacf517badf4565121234";
    let target = format!("/api/share?urlmd5={link}");
    let reply = server.send(ELSEWHERE, empty(Method::GET, &target)).await;
    assert_eq!(reply.status, 302);
    assert_eq!(reply.headers["location"], format!("/share?urlmd5={link}"));
}

#[tokio::test]
async fn a_command_behind_an_ampersand_is_read_as_it_is_meant() {
    let server = Server::new();
    let user = server.user("a").await;
    let answer = server.call("/api/myfiles&cmd=count", user.rows(0, 1)).await;
    assert_eq!(answer, json!({"code": 0, "total": 0}));
}

#[tokio::test]
async fn a_fault_of_the_catalog_is_500() {
    let server = Server::new();
    let user = server.user("a").await;
    let md5 = md5_of(b"x");
    assert_eq!(server.upload(&user, "f", b"x").await, 0);
    for (target, body) in [
        ("/api/dealfile?cmd=share", user.label(&md5, "f")),
        ("/api/dealfile?cmd=pv", user.label(&md5, "f")),
        ("/api/dealfile?cmd=del", user.label(&md5, "f")),
        ("/api/md5", user.label(&md5, "g")),
        ("/api/sharepic?cmd=share", user.label(&md5, "f")),
    ] {
        let before = server.state();
        server.catalog.fail_write(1, Fault::Before);
        let reply = server.post(target, body.to_string()).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (500, 1), "{target}");
        assert_eq!(server.state(), before, "{target}");
    }
    // The first write of an upload announces its blob, which stays announced as something to delete.
    server.catalog.fail_write(1, Fault::Before);
    let body = browser_form(&user, "g", b"y");
    let reply = server.post("/api/upload", body).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (500, 1));
    assert_eq!(server.files(&user).await.len(), 1);
    assert_eq!(server.blobs.ids().len(), 1);
}

/// The dialect alone on a port.
struct Port(Server);

impl Handler for Port {
    async fn handle(&self, request: HttpRequest<RequestBody>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Some(Peer(peer)) = head.extensions.get().copied() else {
            return self.0.host.failed();
        };
        let caller = rules().identify(peer.ip(), &head).unwrap();
        self.0.host.handle(Exchange { head, caller, body }).await
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_in_the_middle_of_an_upload_leaves_nothing() {
    let server = Server::new();
    let user = server.user("a").await;
    let before = server.state();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let port = Arc::new(Port(server));
    let metrics = HttpMetrics::register(&Registry::new(), "api").unwrap();
    let (trigger, shutdown) = Shutdown::new();
    let handler = Arc::clone(&port);
    let limits = ServerLimits::default();
    let serving = tokio::spawn(server::serve(listener, handler, limits, metrics, shutdown));

    let body = form(
        &[("a.txt", &vec![b'x'; 50_000])],
        &[("user", "a"), ("token", &user.token)],
    );
    let head = |framing: &str| format!("POST /api/upload HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n");
    let announced = head(&format!("Content-Length: {}", body.len()));
    for (head, sent) in [
        (announced.clone(), &body[..body.len() / 2]),
        (announced.clone(), &body[..body.len() - 1]),
        (announced.clone(), &body[..0]),
        (
            head("Transfer-Encoding: chunked") + "8000\r\n",
            &body[..0x7000],
        ),
    ] {
        let mut stream = TcpStream::connect(target).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream.shutdown().await.unwrap();
        // The server closes when it is done with the request, so waiting for that is waiting for all
        // that it does.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.contains("\"code\":0"), "{answer}");
    }

    // Whole, in two pieces and without a length, it is an upload.
    let mut stream = TcpStream::connect(target).await.unwrap();
    let chunked = head("Transfer-Encoding: chunked\r\nConnection: close");
    stream.write_all(chunked.as_bytes()).await.unwrap();
    assert_eq!(port.0.state(), before, "what was cut left nothing");
    for piece in [&body[..20_000], &body[20_000..]] {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        stream.write_all(&chunk).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("{\"code\":0}"), "{answer}");

    trigger.trigger();
    serving.await.unwrap();
    assert_eq!(port.0.blobs.ids().len(), 1);
}
