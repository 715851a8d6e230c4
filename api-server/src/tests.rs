//! Downloads through the API server from a cluster of small fakes that speak the protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::{ApiServer, ApiSettings};
use bytes::Bytes;
use common::client::{Address, PoolSettings};
use common::digest::Crc32;
use common::env::{Shutdown, ShutdownTrigger};
use common::id::{Extension, NewBlob, RemoteName, VolumePath};
use common::rpc::Connection;
use common::web::anti_leech::{Access, AntiLeech, Key};
use common::wire::{Command, Header, Status, response};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use prometheus::Registry;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

const TIMEOUT: Duration = Duration::from_secs(10);
const TIME: u32 = 1_594_000_000;

/// What a fake node does with a request.
#[derive(Clone, Debug)]
enum Node {
    /// Holds these bytes under any name.
    Holds(Bytes),
    /// Has lost them.
    Lacks,
    /// Says how many bytes there are, but breaks off in the middle of sending them.
    BreaksOff(Bytes),
}

/// A server on a port of its own that ends with the test.
struct Fake {
    address: SocketAddr,
    /// Requests so far.
    requests: Arc<AtomicUsize>,
    _task: JoinHandle<()>,
}

impl Fake {
    /// Answers each request with what `answer` makes of its command and body.
    async fn start(
        answer: impl Fn(Command, &[u8]) -> (Vec<u8>, End) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, counted) = (Arc::clone(&answer), Arc::clone(&counted));
                connections.spawn(async move {
                    let mut peer = Connection::new(stream, TIMEOUT);
                    while let Ok(Some(header)) = peer.header().await {
                        let Some(command) = Command::from_byte(header.command) else {
                            return;
                        };
                        let body = peer.body(&header, 1 << 20).await.unwrap();
                        counted.fetch_add(1, Ordering::Relaxed);
                        let (bytes, end) = answer(command, &body);
                        if peer.send(&bytes).await.is_err() || matches!(end, End::Close) {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            address,
            requests,
            _task: task,
        }
    }

    async fn node(node: Node) -> Self {
        Self::start(move |command, body| answer_of(&node, command, body)).await
    }

    /// A tracker that names `holders` for every blob; without any it says "not found".
    async fn tracker(holders: Vec<SocketAddr>) -> Self {
        Self::start(move |command, _| {
            let count = if command == Command::QueryFetchOne {
                1
            } else if command == Command::QueryFetchAll {
                holders.len()
            } else {
                return (response(b"").to_vec(), End::Open);
            };
            let Some(first) = holders.first() else {
                return (
                    Header::error(Status::NOT_FOUND).encode().to_vec(),
                    End::Open,
                );
            };
            let mut body = b"group1\0\0\0\0\0\0\0\0\0\0".to_vec();
            assert!(first.is_ipv4());
            for holder in holders.iter().take(count) {
                let mut host = holder.ip().to_string().into_bytes();
                host.resize(15, 0);
                body.extend(host);
                body.extend(u64::from(holder.port()).to_be_bytes());
            }
            (response(&body).to_vec(), End::Open)
        })
        .await
    }
}

enum End {
    Open,
    Close,
}

fn answer_of(node: &Node, command: Command, body: &[u8]) -> (Vec<u8>, End) {
    let (Node::Holds(bytes) | Node::BreaksOff(bytes)) = node else {
        return (
            Header::error(Status::NOT_FOUND).encode().to_vec(),
            End::Open,
        );
    };
    let mut out = Vec::new();
    if command == Command::QueryFileInfo {
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend(u64::from(TIME).to_be_bytes());
        out.extend(u64::from(Crc32::of(bytes).0).to_be_bytes());
        out.extend([0; 16]);
    } else if command == Command::Download {
        let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().unwrap());
        let start = usize::try_from(number(0)).unwrap();
        let len = usize::try_from(number(8)).unwrap();
        let end = if len == 0 {
            bytes.len()
        } else {
            bytes.len().min(start + len)
        };
        out.extend(&bytes[start..end]);
    }
    let mut packet = response(&out).to_vec();
    if matches!(node, Node::BreaksOff(_)) && command == Command::Download {
        packet.truncate(packet.len() - 1);
        return (packet, End::Close);
    }
    (packet, End::Open)
}

struct Api {
    /// Where it keeps things, until the test ends.
    _home: TempDir,
    address: SocketAddr,
    trigger: ShutdownTrigger,
    task: JoinHandle<()>,
}

async fn api_of(trackers: &[SocketAddr], access: Access) -> Api {
    let home = tempfile::tempdir().unwrap();
    let settings = ApiSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        directory: home.path().to_owned(),
        trackers: trackers.iter().copied().map(Address::from).collect(),
        default_group: None,
        access,
        pool: PoolSettings {
            connections_max: 4,
            network_timeout: TIMEOUT,
            ..PoolSettings::default()
        },
        ..ApiSettings::default()
    };
    let server = ApiServer::bind(settings, Registry::new()).await.unwrap();
    let address = server.local_addr();
    let (trigger, shutdown) = Shutdown::new();
    Api {
        _home: home,
        address,
        trigger,
        task: tokio::spawn(server.serve(shutdown)),
    }
}

/// An API server over a tracker that names these nodes.
async fn api_over(nodes: &[&Fake]) -> (Api, Fake) {
    let tracker = Fake::tracker(nodes.iter().map(|node| node.address).collect()).await;
    let api = api_of(&[tracker.address], Access::Public).await;
    (api, tracker)
}

async fn get(
    api: &Api,
    path: &str,
    range: Option<&str>,
) -> Result<(http::response::Parts, Bytes), hyper::Error> {
    let work = async {
        let stream = TcpStream::connect(api.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = http::Request::get(path);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let exchange = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            Ok((head, body.collect().await?.to_bytes()))
        };
        tokio::join!(exchange, connection).0
    };
    tokio::time::timeout(TIMEOUT, work)
        .await
        .expect("within the deadline")
}

async fn status(api: &Api, path: &str) -> u16 {
    get(api, path, None).await.unwrap().0.status.as_u16()
}

fn pattern(len: usize) -> Bytes {
    (0..len)
        .map(|at| u8::try_from(at * 7 % 251).unwrap())
        .collect::<Vec<_>>()
        .into()
}

fn path_of(bytes: &[u8], size: Option<u64>) -> String {
    let name = RemoteName::generate(&NewBlob {
        volume_path: VolumePath(0),
        source: 1.try_into().unwrap(),
        time: TIME,
        size,
        crc: Crc32::of(bytes),
        extension: Extension::from_bytes(b"bin").unwrap(),
        random: 0x1234_5678_9abc_def0,
    });
    format!("/group1/{name}")
}

fn normal(bytes: &[u8]) -> String {
    path_of(bytes, Some(bytes.len() as u64))
}

/// Nobody listens here: bound once and closed again.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn small_big_empty_and_changing_blobs_arrive_intact() {
    for len in [0, 1, 4_096, 65_536, 65_537, 3_000_000] {
        let bytes = pattern(len);
        let node = Fake::node(Node::Holds(bytes.clone())).await;
        let (api, _tracker) = api_over(&[&node]).await;
        for path in [normal(&bytes), path_of(&bytes, None)] {
            let (head, body) = get(&api, &path, None).await.unwrap();
            assert_eq!(head.status, 200, "{len}");
            assert!(body == bytes, "{len} bytes of {path}");
            if 2_000_000 < len {
                let parts = Some("bytes=1000000-2999999");
                let (head, body) = get(&api, &path, parts).await.unwrap();
                assert_eq!(head.status, 206);
                assert!(body == bytes.slice(1_000_000..));
            }
        }
    }
}

#[tokio::test]
async fn a_small_blob_costs_one_request_to_tracker_and_node() {
    let bytes = pattern(4_096);
    let node = Fake::node(Node::Holds(bytes.clone())).await;
    let (api, tracker) = api_over(&[&node]).await;
    for _ in 0..3 {
        assert_eq!(status(&api, &normal(&bytes)).await, 200);
    }
    assert_eq!(tracker.requests.load(Ordering::Relaxed), 3);
    assert_eq!(node.requests.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn another_holder_answers_for_one_that_is_away_wrong_or_breaks_off() {
    for len in [1_000, 2_500_000] {
        let bytes = pattern(len);
        let path = normal(&bytes);
        let good = Fake::node(Node::Holds(bytes.clone())).await;
        let mut rotten = bytes.to_vec();
        rotten[0] ^= 1;
        let mut firsts = vec![
            nobody().await,
            Fake::node(Node::Lacks).await.address,
            Fake::node(Node::BreaksOff(bytes.clone())).await.address,
        ];
        if len < 65_536 {
            // The checksum in the name is compared where the whole blob is at hand.
            firsts.push(Fake::node(Node::Holds(rotten.into())).await.address);
        }
        for first in firsts {
            let tracker = Fake::tracker(vec![first, good.address]).await;
            let api = api_of(&[tracker.address], Access::Public).await;
            let (head, body) = get(&api, &path, None).await.unwrap();
            assert_eq!(head.status, 200);
            assert!(body == bytes);
        }
    }
}

#[tokio::test]
async fn not_found_is_said_only_when_every_holder_said_so() {
    let path = normal(&pattern(10));
    let lacks = [Fake::node(Node::Lacks).await, Fake::node(Node::Lacks).await];
    let (api, _tracker) = api_over(&[&lacks[0], &lacks[1]]).await;
    assert_eq!(status(&api, &path).await, 404);

    let tracker = Fake::tracker(vec![lacks[0].address, nobody().await]).await;
    let api = api_of(&[tracker.address], Access::Public).await;
    let (head, _) = get(&api, &path, None).await.unwrap();
    assert_eq!(head.status, 503);
    assert!(head.headers.contains_key("retry-after"));

    let (api, _tracker) = api_over(&[]).await;
    assert_eq!(status(&api, &path).await, 503);
}

#[tokio::test]
async fn without_a_tracker_files_are_unavailable_and_the_server_lives_but_is_not_ready() {
    let api = api_of(&[nobody().await], Access::Public).await;
    let (head, body) = get(&api, &normal(&pattern(10)), None).await.unwrap();
    assert_eq!(head.status, 503);
    // Addresses inside the cluster are nobody's business.
    assert!(!String::from_utf8_lossy(&body).contains("127.0.0.1"));
    assert_eq!(status(&api, "/healthz").await, 200);
    assert_eq!(status(&api, "/readyz").await, 503);

    let tracker = Fake::tracker(vec![]).await;
    let api = api_of(&[nobody().await, tracker.address], Access::Public).await;
    assert_eq!(status(&api, "/readyz").await, 200);
}

#[tokio::test]
async fn a_node_that_breaks_off_a_changing_blob_breaks_the_download() {
    let bytes = pattern(3_000_000);
    let node = Fake::node(Node::BreaksOff(bytes.clone())).await;
    let (api, _tracker) = api_over(&[&node]).await;
    let broken = get(&api, &path_of(&bytes, None), None).await;
    // The head may or may not have arrived; the whole body must not seem to have.
    assert!(broken.is_err());
}

#[tokio::test]
async fn tokens_are_asked_for_on_the_api_port_too() {
    let bytes = pattern(10);
    let path = normal(&bytes);
    let node = Fake::node(Node::Holds(bytes.clone())).await;
    let tracker = Fake::tracker(vec![node.address]).await;
    let key = Key::try_from("secret").unwrap();
    let access = Access::Token(AntiLeech {
        keys: vec![key.clone()],
        ttl: Duration::from_mins(1),
    });
    let api = api_of(&[tracker.address], access).await;
    assert_eq!(status(&api, &path).await, 403);
    assert_eq!(node.requests.load(Ordering::Relaxed), 0);
    let name = path.strip_prefix("/group1/").unwrap();
    let token = common::web::anti_leech::token(name, &key, 0);
    let token = std::str::from_utf8(&token).unwrap();
    assert_eq!(
        status(&api, &format!("{path}?token={token}&ts=0")).await,
        200
    );
}

#[tokio::test]
async fn the_console_is_served_and_loads_nothing_from_elsewhere() {
    let (api, _tracker) = api_over(&[]).await;
    let (head, body) = get(&api, "/", None).await.unwrap();
    let page = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(head.status, 200);
    assert!(page.contains(r#"src="/console/main.js""#), "{page}");
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "{page}"
    );
    assert_eq!(status(&api, "/metrics").await, 200);
    assert_eq!(status(&api, "/nothing/here").await, 404);
}

#[tokio::test]
async fn a_port_in_use_is_an_error_and_the_signal_ends_the_server() {
    let (api, tracker) = api_over(&[]).await;
    let settings = ApiSettings {
        listen: api.address,
        trackers: vec![tracker.address.into()],
        ..ApiSettings::default()
    };
    let refused = ApiServer::bind(settings, Registry::new())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains(&api.address.to_string()));
    api.trigger.trigger();
    tokio::time::timeout(TIMEOUT, api.task)
        .await
        .expect("ends")
        .unwrap();
}
