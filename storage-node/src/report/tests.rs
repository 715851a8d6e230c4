use std::sync::atomic::{AtomicU64, Ordering};

use common::secret::Secret;
use common::wire::report::{
    Member, MemberMarks, NodeIdentity, NodePhase, PathSpace, software_version, version_of,
};
use tokio::net::TcpListener;

use super::*;

/// Time within which everything here happens, many times over.
const DEADLINE: Duration = Duration::from_secs(20);

const NODE: NodeIdentity = NodeIdentity([7; 16]);

fn secrets() -> Secrets {
    Secrets::new(Secret::try_from("the secret of these tests").unwrap())
}

/// A node whose free space tells reports apart.
struct Node {
    free_mb: AtomicU64,
}

impl ReportSource for Node {
    fn join(&self) -> NodeJoin {
        NodeJoin {
            identity: NODE,
            number: 5.try_into().unwrap(),
            group: "group1".parse().unwrap(),
            address: None,
            storage_port: 23000,
            http_port: 8888,
            joined: 1,
            started: 2,
            software: software_version("0.1.0"),
            upload_priority: 10,
            volume_paths: Vec::new(),
        }
    }

    fn report(&self) -> NodeReport {
        NodeReport {
            phase: NodePhase::Serving,
            readable: true,
            writable: true,
            paths: vec![PathSpace {
                free_mb: self.free_mb.load(Ordering::Relaxed),
                ..PathSpace::default()
            }],
            ..NodeReport::default()
        }
    }
}

/// The connection of the node, as its tracker has it.
type Reporting = Connection<MemberStream<TcpStream>>;

struct Fixture {
    tracker: TcpListener,
    node: Arc<Node>,
    handle: ReportHandle,
    trigger: common::env::ShutdownTrigger,
    running: tokio::task::JoinHandle<Result<bool, JoinError>>,
}

/// A running reporter and the socket of the tracker it tells.
async fn reporter(settings: ReportSettings) -> Fixture {
    let tracker = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = ReportSettings {
        trackers: vec![tracker.local_addr().unwrap().to_string()],
        credentials: Credentials::new(NODE, &secrets()),
        retry_min: Duration::from_millis(1),
        ..settings
    };
    let node = Arc::new(Node {
        free_mb: AtomicU64::new(1),
    });
    let (reporter, handle) = Reporter::new(settings, Arc::clone(&node));
    let (trigger, shutdown) = Shutdown::new();
    Fixture {
        tracker,
        node,
        handle,
        trigger,
        running: tokio::spawn(reporter.run(shutdown)),
    }
}

impl Fixture {
    async fn accept(&self) -> Reporting {
        let credentials = Credentials::new(NO_IDENTITY, &secrets());
        let (connection, member) = self.authenticate(&credentials).await.unwrap();
        assert_eq!(member.peer(), NODE);
        connection
    }

    /// Takes a connection as a tracker with these credentials does.
    async fn authenticate(
        &self,
        credentials: &Credentials,
    ) -> Result<auth::Member<TcpStream>, AuthError> {
        let (stream, _) = within(self.tracker.accept()).await.unwrap();
        let mut connection = Connection::new(stream, DEADLINE);
        let header = within(connection.header()).await.unwrap().unwrap();
        let purposes = [Purpose::Report];
        auth::accept(connection, &header, credentials, &purposes, DEADLINE).await
    }

    async fn wait_for(&self, wanted: impl Fn(&TrackerState) -> bool) {
        let mut states = self.handle.states();
        let reached = states.wait_for(|states| wanted(&states[0].state));
        within(reached).await.unwrap();
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(DEADLINE, future).await.expect("deadline")
}

async fn receive(connection: &mut Reporting) -> (u8, bytes::Bytes) {
    let header = within(connection.header())
        .await
        .unwrap()
        .expect("a request");
    let body = connection.body(&header, 64 * 1024).await.unwrap();
    (header.command, body)
}

async fn send(connection: &mut Reporting, body: &[u8]) {
    connection
        .send(&common::wire::response(body))
        .await
        .unwrap();
}

async fn accept_join(connection: &mut Reporting) {
    let (command, body) = receive(connection).await;
    assert_eq!(command, Command::NodeJoin as u8);
    assert_eq!(NodeJoin::decode(&body).unwrap().number.get(), 5);
    answer_join(connection, accepted()).await;
}

async fn answer_join(connection: &mut Reporting, answer: JoinAnswer) {
    let mut body = BytesMut::new();
    answer.encode(&mut body);
    send(connection, &body).await;
}

fn accepted() -> JoinAnswer {
    JoinAnswer::Accepted {
        address: "10.0.0.1:23000".parse().unwrap(),
    }
}

/// Takes a report and returns its free space.
async fn take_report(connection: &mut Reporting) -> u64 {
    let (command, body) = receive(connection).await;
    assert_eq!(command, Command::NodeReport as u8);
    send(connection, b"").await;
    NodeReport::decode(&body).unwrap().paths[0].free_mb
}

#[tokio::test]
async fn a_node_joins_then_reports_every_heartbeat_until_the_signal() {
    let fixture = reporter(ReportSettings {
        heartbeat: Duration::from_millis(10),
        ..ReportSettings::default()
    })
    .await;
    let mut connection = fixture.accept().await;
    accept_join(&mut connection).await;
    for _ in 0..3 {
        assert_eq!(take_report(&mut connection).await, 1);
    }
    fixture
        .wait_for(|state| matches!(state, TrackerState::Reporting { .. }))
        .await;
    fixture.trigger.trigger();
    // Reports that were under way may still arrive before the last one.
    let farewell = loop {
        let (_, body) = receive(&mut connection).await;
        send(&mut connection, b"").await;
        let report = NodeReport::decode(&body).unwrap();
        if report.is_farewell() {
            break report;
        }
    };
    assert_eq!(farewell.paths.len(), 1, "it says what the others said");
    assert!(within(fixture.running).await.unwrap().unwrap());
    let states = fixture.handle.states();
    assert_eq!(states.borrow()[0].state, TrackerState::Left);
    assert!(!matches!(within(connection.header()).await, Ok(Some(_))));
}

#[tokio::test]
async fn a_tracker_that_hangs_does_not_keep_a_node_from_stopping() {
    let fixture = reporter(ReportSettings::default()).await;
    let mut connection = fixture.accept().await;
    accept_join(&mut connection).await;
    receive(&mut connection).await;
    fixture.trigger.trigger();
    assert!(!within(fixture.running).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_node_that_no_tracker_knows_stops_at_once() {
    let fixture = reporter(ReportSettings::default()).await;
    let _silent = within(fixture.tracker.accept()).await.unwrap();
    fixture.trigger.trigger();
    assert!(!within(fixture.running).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_change_is_told_without_waiting_for_the_heartbeat() {
    let fixture = reporter(ReportSettings {
        heartbeat: Duration::from_hours(1),
        ..ReportSettings::default()
    })
    .await;
    let mut connection = fixture.accept().await;
    accept_join(&mut connection).await;
    assert_eq!(take_report(&mut connection).await, 1);
    fixture.node.free_mb.store(2, Ordering::Relaxed);
    fixture.handle.report_soon();
    assert_eq!(take_report(&mut connection).await, 2);
}

#[tokio::test]
async fn a_tracker_of_the_version_before_is_spoken_to_in_its_own() {
    let fixture = reporter(ReportSettings::default()).await;
    let mut connection = fixture.accept().await;
    let (_, body) = receive(&mut connection).await;
    assert_eq!(version_of(&body), REPORT_VERSION);
    answer_join(&mut connection, JoinAnswer::VersionTooNew { known: 1 }).await;
    let (command, body) = receive(&mut connection).await;
    assert_eq!((command, version_of(&body)), (Command::NodeJoin as u8, 1));
    answer_join(&mut connection, accepted()).await;
    let (command, body) = receive(&mut connection).await;
    assert_eq!((command, version_of(&body)), (Command::NodeReport as u8, 1));
    send(&mut connection, b"").await;
    receive(&mut connection).await;
    send(&mut connection, b"").await;
    fixture
        .wait_for(|state| matches!(state, TrackerState::Reporting { .. }))
        .await;
    assert!(!fixture.handle.members().borrow().is_known);
}

#[tokio::test]
async fn a_tracker_that_speaks_nothing_this_node_knows_is_a_refusal() {
    let fixture = reporter(ReportSettings::default()).await;
    let mut connection = fixture.accept().await;
    receive(&mut connection).await;
    let refusal = JoinAnswer::VersionTooNew { known: 0 };
    answer_join(&mut connection, refusal).await;
    fixture
        .wait_for(|state| *state == TrackerState::Refused(refusal))
        .await;
}

#[tokio::test]
async fn members_come_with_the_answers_and_the_next_report_names_their_view() {
    let fixture = reporter(ReportSettings {
        heartbeat: Duration::from_millis(10),
        ..ReportSettings::default()
    })
    .await;
    let mut connection = fixture.accept().await;
    accept_join(&mut connection).await;
    let view_of = |body: &[u8]| NodeReport::decode(body).unwrap().view;
    let (_, body) = receive(&mut connection).await;
    assert_eq!(view_of(&body), 0);
    let peer = Member {
        identity: NodeIdentity([9; 16]),
        number: 9.try_into().unwrap(),
        address: "10.0.0.9:23000".parse().unwrap(),
        http_port: 8888,
        phase: NodePhase::Serving,
        is_alive: true,
        marks: MemberMarks::default(),
        place_version: 1,
        marks_version: 1,
    };
    let answer = ReportAnswer::Members {
        view: 44,
        members: vec![peer],
        removed: Vec::new(),
    };
    let mut encoded = BytesMut::new();
    answer.encode(&mut encoded);
    send(&mut connection, &encoded).await;
    let mut members = fixture.handle.members();
    let known = within(members.wait_for(|members| members.is_known)).await;
    assert_eq!(known.unwrap().members, [peer]);
    let (_, body) = receive(&mut connection).await;
    assert_eq!(view_of(&body), 44);
}

#[tokio::test]
async fn a_lost_tracker_is_joined_again() {
    let fixture = reporter(ReportSettings::default()).await;
    let mut connection = fixture.accept().await;
    accept_join(&mut connection).await;
    take_report(&mut connection).await;
    drop(connection);
    fixture.handle.report_soon();
    let mut connection = fixture.accept().await;
    fixture
        .wait_for(|state| *state == TrackerState::Unreachable)
        .await;
    accept_join(&mut connection).await;
    take_report(&mut connection).await;
    // Only what it reports after the first answer counts.
    take_report(&mut connection).await;
    fixture
        .wait_for(|state| matches!(state, TrackerState::Reporting { .. }))
        .await;
}

#[tokio::test]
async fn a_node_that_a_tracker_forgot_joins_again() {
    let fixture = reporter(ReportSettings::default()).await;
    let mut connection = fixture.accept().await;
    accept_join(&mut connection).await;
    receive(&mut connection).await;
    connection
        .send(&Header::error(Status::ACCESS).encode())
        .await
        .unwrap();
    let mut connection = fixture.accept().await;
    accept_join(&mut connection).await;
}

#[tokio::test]
async fn a_refusal_shows_and_is_tried_again_later() {
    let fixture = reporter(ReportSettings {
        refused_retry: Duration::from_millis(10),
        ..ReportSettings::default()
    })
    .await;
    let refusal = JoinAnswer::NumberTaken {
        holder: "10.0.0.9:23000".parse().unwrap(),
        yours: "10.0.0.1:23000".parse().unwrap(),
    };
    let mut connection = fixture.accept().await;
    receive(&mut connection).await;
    answer_join(&mut connection, refusal).await;
    fixture
        .wait_for(|state| *state == TrackerState::Refused(refusal))
        .await;
    let mut connection = fixture.accept().await;
    accept_join(&mut connection).await;
}

#[tokio::test]
async fn a_tracker_of_another_cluster_learns_nothing_and_the_node_says_so() {
    let fixture = reporter(ReportSettings {
        refused_retry: Duration::from_millis(1),
        ..ReportSettings::default()
    })
    .await;
    let stranger = Credentials::new(NO_IDENTITY, &Secrets::default());
    let refused = fixture.authenticate(&stranger).await;
    assert!(matches!(refused, Err(AuthError::Stranger)));
    fixture
        .wait_for(|state| *state == TrackerState::Distrusted)
        .await;
    // It tries again, and serves as soon as both know the same secret.
    let mut connection = fixture.accept().await;
    accept_join(&mut connection).await;
    take_report(&mut connection).await;
    // Only what it reports after the first answer counts.
    take_report(&mut connection).await;
    fixture
        .wait_for(|state| matches!(state, TrackerState::Reporting { .. }))
        .await;
}

#[tokio::test]
async fn a_node_reports_inside_of_tls_if_its_tracker_wants_that() {
    let fixture = reporter(ReportSettings::default()).await;
    let tracker =
        Credentials::new(NO_IDENTITY, &secrets()).with_encryption(auth::Encryption::Always);
    let (mut connection, member) = fixture.authenticate(&tracker).await.unwrap();
    assert!(member.is_encrypted());
    accept_join(&mut connection).await;
    take_report(&mut connection).await;
    take_report(&mut connection).await;
    fixture
        .wait_for(|state| matches!(state, TrackerState::Reporting { .. }))
        .await;
}
