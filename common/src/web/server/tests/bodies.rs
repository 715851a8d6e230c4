//! Bodies of requests: slow, left unread, too long, asked for; and handlers that panic.

use http_body_util::BodyExt as _;

use super::*;

/// Answers by the path what became of the body.
struct Reader;

impl Handler for Reader {
    async fn handle(&self, request: Request<RequestBody>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let Some(Peer(peer)) = request.extensions().get().copied() else {
            return Response::new(Body::from("no peer".to_owned()));
        };
        let mut body = request.into_body();
        let text = match path.as_str() {
            "/peer" => peer.to_string(),
            "/read" => match body.collect().await {
                Ok(all) => format!("read {}", all.to_bytes().len()),
                Err(error) => text::chain(&error),
            },
            "/first" => match body.frame().await {
                Some(Ok(_)) => "one piece is enough".to_owned(),
                _ => "no piece".to_owned(),
            },
            "/panic" => panic!("on purpose"),
            _ => "not read".to_owned(),
        };
        let len = text.len();
        let mut response = Response::new(Body::from(text));
        response.headers_mut().insert("content-length", len.into());
        response
    }
}

async fn start_reader(limits: ServerLimits) -> (SocketAddr, ShutdownTrigger, Arc<HttpMetrics>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = HttpMetrics::register(&Registry::new(), "test").unwrap();
    let (trigger, shutdown) = Shutdown::new();
    let handler = Arc::new(Reader);
    let served = Arc::clone(&metrics);
    tokio::spawn(serve(listener, handler, limits, served, shutdown));
    (address, trigger, metrics)
}

/// Sends bytes as they are and reads until the server closes or resets.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    within(async {
        stream.write_all(request).await.unwrap();
        let mut piece = [0; 4_096];
        while let Ok(len @ 1..) = stream.read(&mut piece).await {
            answer.extend_from_slice(&piece[..len]);
        }
    })
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, fields: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\n{fields}\r\n{body}")
}

const CLOSE: &str = "GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_handler_reads_the_body_and_knows_the_peer() {
    let (address, _trigger, _) = start_reader(ServerLimits::default()).await;
    let chunked = "5\r\nhello\r\n1\r\n!\r\n0\r\ntrailer: x\r\n\r\n";
    let requests = [
        post("/read", "content-length: 5\r\n", "hello"),
        post("/read", "transfer-encoding: chunked\r\n", chunked),
        CLOSE.to_owned(),
    ];
    let answer = exchange(address, requests.concat().as_bytes()).await;
    assert!(answer.contains("read 5"), "{answer}");
    assert!(answer.contains("read 6"), "{answer}");
    assert!(answer.ends_with(|c: char| c.is_ascii_digit()) && answer.contains("127.0.0.1:"));
}

#[tokio::test]
async fn http_1_0_is_served_and_closed() {
    let (address, _trigger, _) = start_reader(ServerLimits::default()).await;
    // As nginx asks the servers behind it.
    let request =
        "POST /read HTTP/1.0\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nab";
    let answer = exchange(address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nread 2"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_left_unread_does_not_harm_the_answer_or_the_next_request() {
    let (address, _trigger, _) = start_reader(ServerLimits::default()).await;
    let body = "x".repeat(3 << 20);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for path in ["/ignored", "/first"] {
        for request in [
            post(path, &format!("content-length: {}\r\n", body.len()), &body),
            post(path, "transfer-encoding: chunked\r\n", &chunks),
        ] {
            let answer = exchange(address, format!("{request}{CLOSE}").as_bytes()).await;
            assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{path}");
        }
    }
}

#[tokio::test]
async fn a_body_that_never_ends_gets_its_answer_and_then_the_end() {
    let (address, _trigger, metrics) = start_reader(ServerLimits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = post("/ignored", "content-length: 1000000000000\r\n", "");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 15];
    within(stream.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    let piece = vec![0; 1 << 20];
    let taken = within(async {
        let mut taken = 0_u64;
        while stream.write_all(&piece).await.is_ok() {
            taken += piece.len() as u64;
        }
        taken
    })
    .await;
    // The sockets on both sides hold something too.
    assert!(taken < 2 * crate::limits::DRAIN_LEN_MAX, "{taken}");
    within(async {
        while metrics.connections.get() != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_sender_that_falls_silent_in_a_body_is_cut_off() {
    let limits = ServerLimits {
        stall_timeout: Duration::from_millis(200),
        ..ServerLimits::default()
    };
    let (address, _trigger, metrics) = start_reader(limits).await;
    let told = post("/read", "content-length: 5\r\n", "he");
    let answer = exchange(address, told.as_bytes()).await;
    assert!(answer.contains("the client sent nothing"), "{answer}");
    // The handler has answered, and what it left does not come: nobody waits for that for ever.
    let left = post("/first", "content-length: 5\r\n", "he");
    let answer = exchange(address, left.as_bytes()).await;
    assert!(answer.contains("one piece is enough"), "{answer}");
    within(async {
        while metrics.connections.get() != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_is_asked_for_only_when_it_is_read() {
    let (address, _trigger, _) = start_reader(ServerLimits::default()).await;
    let fields = "content-length: 5\r\nexpect: 100-continue\r\n";
    let answer = exchange(address, post("/ignored", fields, "").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("not read"), "{answer}");

    let mut stream = TcpStream::connect(address).await.unwrap();
    let fields = format!("{fields}connection: close\r\n");
    stream
        .write_all(post("/read", &fields, "").as_bytes())
        .await
        .unwrap();
    let mut asked = [0; 25];
    within(stream.read_exact(&mut asked)).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("read 5"), "{answer}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_to_its_reader() {
    let (address, _trigger, metrics) = start_reader(ServerLimits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = post("/read", "content-length: 10\r\n", "half");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(!answer.contains("read 4"), "{answer}");
    within(async {
        while metrics.connections.get() != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_answered_and_the_connection_goes_on() {
    let (address, _trigger, _) = start_reader(ServerLimits::default()).await;
    let request = format!("{}{CLOSE}", post("/panic", "content-length: 2\r\n", "ab"));
    let answer = exchange(address, request.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 500 Internal Server Error"),
        "{answer}"
    );
    assert!(!answer.contains("on purpose"), "{answer}");
    assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
}
