//! A tracker on a free port, clients that speak raw packets, and nodes that exist only as reports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::env::{Shutdown, ShutdownTrigger, clock};
use common::id::{GroupName, NodeNumber, VolumePath};
use common::rpc::auth::{self, AuthError, Authenticated, Credentials, NO_IDENTITY, Purpose};
use common::rpc::{Connection, MemberStream};
use common::secret::{Secret, Secrets};
use common::wire::cluster::{
    ClusterStatus, Order, OrderAnswer, OrderRequest, StatusCursor, StatusPage,
};
use common::wire::report::{
    JoinAnswer, NodeIdentity, NodeJoin, NodeReport, PathSpace, software_version,
};
use common::wire::tracker::Request;
use common::wire::{Command, Header, RESPONSE_COMMAND, Status};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tracker::cluster::{Policy, ReservedSpace};
use tracker::{ListenerSettings, Settings, Tracker, TrackerError};

/// Time within which everything here happens, many times over.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A tracker that serves until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) addresses: Vec<SocketAddr>,
    trigger: ShutdownTrigger,
    serving: JoinHandle<Result<(), TrackerError>>,
}

impl Running {
    pub(crate) fn start(settings: Settings) -> Self {
        let tracker = Tracker::bind(settings).unwrap();
        let addresses = tracker.local_addrs().collect();
        let (trigger, shutdown) = Shutdown::new();
        Self {
            addresses,
            trigger,
            serving: tokio::spawn(tracker.serve(shutdown)),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    pub(crate) async fn stop(self) {
        self.trigger.trigger();
        within(self.serving).await.unwrap().unwrap();
    }
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(DEADLINE, future).await.expect("deadline")
}

/// Waits for a condition that some other task brings about.
pub(crate) async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    within(async {
        let mut ticks = interval(Duration::from_millis(5));
        while !condition().await {
            ticks.tick().await;
        }
    })
    .await;
}

/// An address for a tracker that others must know before it starts.
pub(crate) fn free_address() -> SocketAddr {
    crate::ports::free(Ipv4Addr::LOCALHOST)
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(crate) fn listener() -> ListenerSettings {
    ListenerSettings {
        address: local(0),
        dialect: common::wire::tracker::ClientDialect::default(),
    }
}

/// The secret of the cluster of these tests.
pub(crate) fn secrets() -> Secrets {
    Secrets::new(Secret::try_from("the secret of these tests").unwrap())
}

pub(crate) fn settings() -> Settings {
    Settings {
        listeners: vec![listener()],
        policy: Policy {
            reserved: ReservedSpace::Bytes(0),
            silence_max: DEADLINE * 10,
            ..Policy::default()
        },
        secrets: secrets(),
        peer_interval: Duration::from_millis(200),
        tick: Duration::from_millis(10),
        ..Settings::default()
    }
}

/// A connection that sends packets and takes answers.
pub(crate) struct Client(pub(crate) Connection<MemberStream<TcpStream>>);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        Self(Connection::new(MemberStream::plain(stream), DEADLINE))
    }

    /// A connection of a member.
    pub(crate) async fn member(
        address: SocketAddr,
        identity: NodeIdentity,
        secrets: &Secrets,
        purpose: Purpose,
    ) -> Result<Self, AuthError> {
        let credentials = Credentials::new(identity, secrets);
        let member = Self::member_with(address, &credentials, purpose).await;
        member.map(|(client, _)| client)
    }

    /// A connection of a member with these credentials.
    pub(crate) async fn member_with(
        address: SocketAddr,
        credentials: &Credentials,
        purpose: Purpose,
    ) -> Result<(Self, Authenticated), AuthError> {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        let connection = Connection::new(stream, DEADLINE);
        let (connection, member) =
            auth::initiate(connection, credentials, purpose, DEADLINE).await?;
        Ok((Self(connection), member))
    }

    pub(crate) async fn send(&mut self, command: u8, body: &[u8]) {
        let header = Header {
            body_len: body.len() as u64,
            command,
            status: 0,
        };
        let packet = [header.encode().as_slice(), body].concat();
        self.0.send(&packet).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> (Status, Bytes) {
        let header = within(self.0.header()).await.unwrap().expect("an answer");
        assert_eq!(header.command, RESPONSE_COMMAND);
        let body = self.0.body(&header, 1 << 20).await.unwrap();
        let status = Status(header.status);
        assert!(status.is_ok() || body.is_empty(), "an error with a body");
        (status, body)
    }

    pub(crate) async fn raw(&mut self, command: u8, body: &[u8]) -> (Status, Bytes) {
        self.send(command, body).await;
        self.receive().await
    }

    pub(crate) async fn ask(&mut self, request: Request) -> (Status, Bytes) {
        let mut packet = BytesMut::new();
        request.encode(&mut packet);
        self.0.send(&packet).await.unwrap();
        self.receive().await
    }

    pub(crate) async fn status(&mut self, request: Request) -> Status {
        self.ask(request).await.0
    }

    /// Gives an order, over a connection of its own that knows the secret.
    pub(crate) async fn order(&mut self, order: Order, target: &str) -> OrderAnswer {
        let target = target.parse().unwrap();
        let address = self.0.get_ref().get_ref().peer_addr().unwrap();
        let operator = Self::member(address, NO_IDENTITY, &secrets(), Purpose::Control).await;
        let mut body = BytesMut::new();
        OrderRequest { order, target }.encode(&mut body);
        let mut operator = operator.unwrap();
        let (status, body) = operator.raw(Command::ClusterOrder as u8, &body).await;
        assert_eq!(status, Status::OK);
        OrderAnswer::decode(&body).unwrap()
    }

    /// How the cluster fares, all pages of it.
    pub(crate) async fn cluster_status(&mut self) -> ClusterStatus {
        let mut status = ClusterStatus::default();
        let mut cursor = Some(StatusCursor::default());
        while let Some(from) = cursor {
            let mut body = BytesMut::new();
            from.encode(&mut body);
            let (answer, body) = self.raw(Command::ClusterStatus as u8, &body).await;
            assert_eq!(answer, Status::OK);
            let page = StatusPage::decode(&body).unwrap();
            cursor = page.cursor();
            status.append(page.status);
        }
        status
    }

    /// The body of an answer that must be a success.
    pub(crate) async fn body(&mut self, request: Request) -> Bytes {
        let (status, body) = self.ask(request).await;
        assert_eq!(status, Status::OK, "{request:?}");
        body
    }

    /// Whether the server ended the connection without another byte.
    pub(crate) async fn is_ended(&mut self) -> bool {
        !matches!(within(self.0.header()).await, Ok(Some(_)))
    }
}

/// A node that exists only as its reports.
pub(crate) struct Node {
    client: Client,
}

pub(crate) fn join(number: u32, group: &str) -> NodeJoin {
    let mut identity = [0; 16];
    identity[..4].copy_from_slice(&number.to_be_bytes());
    NodeJoin {
        identity: NodeIdentity(identity),
        number: node_number(number),
        group: self::group(group),
        address: Some(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))),
        storage_port: 23000,
        http_port: 8888,
        // New: a tracker that has just begun would let one that is older wait.
        joined: clock::unix_seconds(),
        started: 1_700_000_000,
        software: software_version("0.1.0"),
        upload_priority: 10,
        volume_paths: vec![VolumePath(0)],
    }
}

pub(crate) fn report() -> NodeReport {
    NodeReport {
        readable: true,
        writable: true,
        paths: vec![PathSpace {
            path: VolumePath(0),
            total_mb: 1000,
            free_mb: 500,
            reserved_mb: 10,
            read_only: false,
            is_complete: true,
            records: 0,
        }],
        ..NodeReport::default()
    }
}

pub(crate) fn node_number(number: u32) -> NodeNumber {
    number.try_into().unwrap()
}

pub(crate) fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

impl Node {
    /// A node that joined but did not report.
    pub(crate) async fn join(tracker: SocketAddr, join: NodeJoin) -> (Self, JoinAnswer) {
        let (identity, secrets) = (join.identity, secrets());
        let client = Client::member(tracker, identity, &secrets, Purpose::Report).await;
        let mut client = client.unwrap();
        let answer = send_join(&mut client, &join).await;
        (Self { client }, answer)
    }

    /// A node in service.
    pub(crate) async fn start(tracker: SocketAddr, number: u32, group: &str) -> Self {
        let (mut node, answer) = Self::join(tracker, join(number, group)).await;
        assert!(matches!(answer, JoinAnswer::Accepted { .. }), "{answer:?}");
        assert_eq!(node.report(&report()).await, Status::OK);
        node
    }

    pub(crate) async fn report(&mut self, report: &NodeReport) -> Status {
        self.report_as(2, report).await.0
    }

    /// Reports in the layout of a version.
    pub(crate) async fn report_as(&mut self, version: u16, report: &NodeReport) -> (Status, Bytes) {
        let mut body = BytesMut::new();
        report.encode_as(version, &mut body);
        self.client.raw(Command::NodeReport as u8, &body).await
    }
}

async fn send_join(client: &mut Client, join: &NodeJoin) -> JoinAnswer {
    let (status, body) = client.raw(Command::NodeJoin as u8, &encoded(join)).await;
    assert_eq!(status, Status::OK);
    JoinAnswer::decode(&body).unwrap()
}

pub(crate) fn encoded(join: &NodeJoin) -> BytesMut {
    let mut body = BytesMut::new();
    join.encode(&mut body);
    body
}
