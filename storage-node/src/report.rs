//! Tells every tracker who this node is and how it fares.
//!
//! One connection per tracker: a proof of membership, a join, then reports every heartbeat and soon
//! after a change. Its end is what tells a tracker that the node is gone, so it is never closed while
//! the node serves; a node that stops says so before, see [`NodeReport::farewell`]. Names are resolved
//! anew for every connection. The answers tell who else belongs to the group, see [`Members`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use common::env::Shutdown;
use common::rpc::auth::{self, AuthError, Credentials, NO_IDENTITY, Purpose};
use common::rpc::{Connection, ConnectionError, MemberStream};
use common::secret::Secrets;
use common::wire::report::{
    JoinAnswer, NodeJoin, NodeReport, REPORT_VERSION, REPORT_VERSION_MIN, ReportAnswer, ReportError,
};
use common::wire::{Command, Header, Status};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

mod members;

pub use members::{Directory, Members};

/// Bytes of an answer: a full group with all the removed nodes that are remembered has fewer.
const ANSWER_LEN_MAX: usize = 16 * 1024;

/// Changes are told at most this often, however many there are.
const CHANGE_GAP: Duration = Duration::from_millis(100);

/// Time that saying goodbye may take. A tracker that hangs learns of the end by that of the connection.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(1);

/// What is told; read anew for every message, so it must be cheap and must not block.
pub trait ReportSource: Send + Sync + 'static {
    /// Who the node is.
    fn join(&self) -> NodeJoin;
    /// How it fares.
    fn report(&self) -> NodeReport;
}

/// Whom to tell, and how patiently.
#[derive(Clone, Debug)]
pub struct ReportSettings {
    /// All trackers as `host:port`.
    pub trackers: Vec<String>,
    /// What proves that the node belongs to their cluster.
    pub credentials: Credentials,
    /// Time between reports. Trackers take a node out of service after about three of them.
    pub heartbeat: Duration,
    /// How long connecting and each answer may take.
    pub patience: Duration,
    /// Pause before the first attempt to connect again; doubles with each that fails.
    pub retry_min: Duration,
    /// The longest such pause.
    pub retry_max: Duration,
    /// Pause after a refusal, which only an operator can end.
    pub refused_retry: Duration,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            trackers: Vec::new(),
            // Of a cluster of its own.
            credentials: Credentials::new(NO_IDENTITY, &Secrets::default()),
            heartbeat: Duration::from_secs(1),
            patience: Duration::from_secs(5),
            retry_min: Duration::from_millis(200),
            retry_max: Duration::from_secs(1),
            refused_retry: Duration::from_secs(10),
        }
    }
}

/// How this node stands with one tracker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrackerState {
    /// Not reached yet.
    #[default]
    Connecting,
    /// Joined and reported: clients can be sent here.
    Reporting {
        /// The address that the tracker sends them to.
        announced: SocketAddr,
    },
    /// It does not want this node.
    Refused(JoinAnswer),
    /// It and this node do not know the same cluster secret, or do not agree on TLS.
    Distrusted,
    /// It was reached before, or tried in vain.
    Unreachable,
    /// It knows that this node stops, and sends nobody here any more.
    Left,
}

/// How this node stands with a tracker of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerStatus {
    /// The tracker as the settings name it.
    pub tracker: String,
    /// How it stands.
    pub state: TrackerState,
}

/// Asks for reports and watches how they fare. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReportHandle {
    changes: watch::Sender<()>,
    states: watch::Receiver<Vec<TrackerStatus>>,
    members: watch::Receiver<Members>,
}

impl ReportHandle {
    /// Has the next report sent soon instead of at the next heartbeat, and with it the answer which
    /// tells who belongs to the group.
    pub fn report_soon(&self) {
        self.changes.send_replace(());
    }

    /// How the node stands with each tracker, in the order of the settings.
    pub fn states(&self) -> watch::Receiver<Vec<TrackerStatus>> {
        self.states.clone()
    }

    /// The nodes of this node's group, itself included, as all trackers together know them.
    pub fn members(&self) -> watch::Receiver<Members> {
        self.members.clone()
    }
}

/// Tells all trackers; see [`Reporter::run`].
#[derive(Debug)]
pub struct Reporter<S> {
    source: Arc<S>,
    settings: ReportSettings,
    changes: watch::Sender<()>,
    states: watch::Sender<Vec<TrackerStatus>>,
    directory: Directory,
}

/// A connection over which this node joined.
struct Joined {
    connection: Connection<MemberStream<TcpStream>>,
    /// Whether it is encrypted.
    tls: bool,
    /// The address that the tracker sends clients to.
    announced: SocketAddr,
    /// The version that the tracker speaks.
    version: u16,
    changes: watch::Receiver<()>,
}

/// Why a conversation with a tracker ended.
#[derive(Debug, thiserror::Error)]
enum ReportFailure {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("connection lost")]
    Connection(#[from] ConnectionError),
    #[error("no answer for {0:?}")]
    Silent(Duration),
    #[error("the tracker and this node do not trust each other")]
    Auth(#[source] AuthError),
    #[error("the tracker answered: {0}")]
    Status(Status),
    #[error("the answer is malformed")]
    Answer(#[from] ReportError),
    #[error("the tracker refuses this node")]
    Refused(JoinAnswer),
}

impl ReportFailure {
    /// Whether only an operator can end it, by giving both the same secret or version.
    fn is_distrust(&self) -> bool {
        let Self::Auth(error) = self else {
            return false;
        };
        let may_pass = matches!(
            error,
            AuthError::Connection(_)
                | AuthError::Silent(_)
                | AuthError::Status(_)
                | AuthError::Tls(_)
        );
        !may_pass
    }
}

impl<S: ReportSource> Reporter<S> {
    /// A reporter and the handle to it. Nothing happens before [`Self::run`].
    pub fn new(settings: ReportSettings, source: Arc<S>) -> (Self, ReportHandle) {
        let status = |tracker: &String| TrackerStatus {
            tracker: tracker.clone(),
            state: TrackerState::Connecting,
        };
        let (states, states_receiver) =
            watch::channel(settings.trackers.iter().map(status).collect());
        let changes = watch::Sender::new(());
        let (directory, members) = Directory::new(settings.trackers.len());
        let handle = ReportHandle {
            changes: changes.clone(),
            states: states_receiver,
            members,
        };
        let reporter = Self {
            source,
            settings,
            changes,
            states,
            directory,
        };
        (reporter, handle)
    }

    /// Reports until the signal; then tells all trackers that the node stops, so that they send nobody
    /// here any more, and ends the connections. Returns whether any tracker took note: then clients that
    /// were sent here before may still be on their way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends all connections.
    pub async fn run(self, shutdown: Shutdown) -> Result<bool, JoinError> {
        let reporter = Arc::new(self);
        let mut tasks = JoinSet::new();
        for (idx, tracker) in reporter.settings.trackers.iter().enumerate() {
            let (reporter, tracker) = (Arc::clone(&reporter), tracker.clone());
            let shutdown = shutdown.clone();
            tasks.spawn(async move { reporter.keep_reporting(idx, &tracker, &shutdown).await });
        }
        let mut all = std::pin::pin!(async {
            while let Some(ended) = tasks.join_next().await {
                ended?;
            }
            Ok(())
        });
        tokio::select! {
            biased;
            ended = &mut all => ended?,
            () = shutdown.requested() => {
                if let Ok(ended) = timeout(FAREWELL_PATIENCE, all).await {
                    ended?;
                }
            }
        }
        let states = reporter.states.borrow();
        Ok(states
            .iter()
            .any(|status| status.state == TrackerState::Left))
    }

    /// Converses with one tracker again and again until the signal.
    async fn keep_reporting(&self, idx: usize, tracker: &str, shutdown: &Shutdown) {
        let mut pause = self.settings.retry_min;
        loop {
            let failure = match self.converse(idx, tracker, shutdown).await {
                Ok(()) => return,
                Err(failure) => failure,
            };
            self.directory.lost(idx);
            let had_joined = matches!(self.state(idx), Some(TrackerState::Reporting { .. }));
            if had_joined {
                pause = self.settings.retry_min;
            }
            let wait = if let ReportFailure::Refused(answer) = failure {
                self.log_refusal(tracker, answer);
                self.set(idx, TrackerState::Refused(answer));
                self.settings.refused_retry
            } else if failure.is_distrust() {
                let is_news = self.set(idx, TrackerState::Distrusted);
                log_distrust(tracker, &failure, is_news);
                self.settings.refused_retry
            } else {
                let is_news = self.set(idx, TrackerState::Unreachable);
                log_loss(tracker, &failure, is_news);
                let wait = pause;
                pause = (pause * 2).min(self.settings.retry_max);
                wait
            };
            if timeout(wait, shutdown.requested()).await.is_ok() {
                return;
            }
        }
    }

    /// Joins and reports over one connection until it fails, or until the signal.
    async fn converse(
        &self,
        idx: usize,
        tracker: &str,
        shutdown: &Shutdown,
    ) -> Result<(), ReportFailure> {
        let joined = tokio::select! {
            biased;
            // Nobody was sent here by this tracker.
            () = shutdown.requested() => return Ok(()),
            joined = self.connect(tracker) => joined?,
        };
        let Joined {
            mut connection,
            tls,
            announced,
            version,
            mut changes,
        } = joined;
        let mut view = 0;
        let mut is_first = true;
        while !shutdown.is_requested() {
            changes.mark_unchanged();
            let report = NodeReport {
                view,
                ..self.source.report()
            };
            let answer = self.report(&mut connection, version, &report).await?;
            let answer = ReportAnswer::decode(&answer)?;
            if is_first && answer == ReportAnswer::Nothing {
                warn!(
                    tracker,
                    "this tracker is of an earlier release and does not tell who belongs to the group; \
                     remedy: upgrade it"
                );
            }
            view = self.directory.take(idx, answer);
            let gap = CHANGE_GAP.min(self.settings.heartbeat);
            // The first answer tells who the peers are. Only what is reported after that says whether
            // this node has all that they have, and so whether clients can be sent here.
            let was_first = std::mem::take(&mut is_first);
            if !was_first && self.set(idx, TrackerState::Reporting { announced }) {
                info!(tracker, %announced, tls, "reporting to tracker");
            }
            if timeout(gap, shutdown.requested()).await.is_ok() || was_first {
                continue;
            }
            // Either a change or the rest of the heartbeat; an error would mean that the sender is
            // gone, which this owns.
            let rest = self.settings.heartbeat.saturating_sub(gap);
            tokio::select! {
                biased;
                () = shutdown.requested() => {}
                _ = timeout(rest, changes.changed()) => {}
            }
        }
        let farewell = self.source.report().farewell();
        self.report(&mut connection, version, &farewell).await?;
        self.set(idx, TrackerState::Left);
        debug!(tracker, "the tracker knows that this node stops");
        Ok(())
    }

    /// Connects to a tracker, proves who this node is, and joins.
    async fn connect(&self, tracker: &str) -> Result<Joined, ReportFailure> {
        let patience = self.settings.patience;
        let stream = timeout(patience, TcpStream::connect(tracker))
            .await
            .map_err(|_| ReportFailure::Silent(patience))?
            .map_err(ReportFailure::Connect)?;
        stream.set_nodelay(true).map_err(ReportFailure::Connect)?;
        let connection = Connection::new(stream, patience);
        let credentials = &self.settings.credentials;
        let (mut connection, member) =
            auth::initiate(connection, credentials, Purpose::Report, patience)
                .await
                .map_err(ReportFailure::Auth)?;
        // Marked before the first report is made, so that no change falls between the two.
        let changes = self.changes.subscribe();
        let (announced, version) = self.join(&mut connection).await?;
        Ok(Joined {
            connection,
            tls: member.is_encrypted(),
            announced,
            version,
            changes,
        })
    }

    async fn report(
        &self,
        connection: &mut Connection<MemberStream<TcpStream>>,
        version: u16,
        report: &NodeReport,
    ) -> Result<bytes::Bytes, ReportFailure> {
        self.exchange(connection, Command::NodeReport, |body| {
            report.encode_as(version, body);
        })
        .await
    }

    /// Introduces this node, in the layout of the tracker if that is older. Returns the address that
    /// the tracker announces, and the version to speak.
    async fn join(
        &self,
        connection: &mut Connection<MemberStream<TcpStream>>,
    ) -> Result<(SocketAddr, u16), ReportFailure> {
        let join = self.source.join();
        let mut version = REPORT_VERSION;
        loop {
            let answer = self
                .exchange(connection, Command::NodeJoin, |body| {
                    join.encode_as(version, body);
                })
                .await?;
            match JoinAnswer::decode(&answer)? {
                JoinAnswer::Accepted { address } => return Ok((address, version)),
                // Strictly earlier each time, so this ends.
                JoinAnswer::VersionTooNew { known }
                    if (REPORT_VERSION_MIN..version).contains(&known) =>
                {
                    version = known;
                }
                refusal @ (JoinAnswer::NumberTaken { .. }
                | JoinAnswer::WrongGroup { .. }
                | JoinAnswer::Full { .. }
                | JoinAnswer::Removed
                | JoinAnswer::VersionTooNew { .. }) => return Err(ReportFailure::Refused(refusal)),
            }
        }
    }

    /// Sends one request and takes its answer.
    async fn exchange(
        &self,
        connection: &mut Connection<MemberStream<TcpStream>>,
        command: Command,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<bytes::Bytes, ReportFailure> {
        let mut body = BytesMut::new();
        encode(&mut body);
        let header = Header::request(command, body.len() as u64).encode();
        let mut packet = BytesMut::with_capacity(header.len() + body.len());
        packet.extend_from_slice(&header);
        packet.extend_from_slice(&body);
        let exchange = async {
            connection.send(&packet).await?;
            let header = connection.header().await?.ok_or(ConnectionError::Closed)?;
            let status = Status(header.status);
            if !status.is_ok() {
                return Err(ReportFailure::Status(status));
            }
            Ok(connection.body(&header, ANSWER_LEN_MAX).await?)
        };
        let patience = self.settings.patience;
        timeout(patience, exchange)
            .await
            .map_err(|_| ReportFailure::Silent(patience))?
    }

    fn log_refusal(&self, tracker: &str, answer: JoinAnswer) {
        let join = self.source.join();
        let (number, group) = (join.number, join.group);
        match answer {
            JoinAnswer::NumberTaken { holder, yours } => error!(
                tracker, %number, %holder, %yours,
                "this node's number belongs to another node; remedy: set another \
                 [storage] node_number here before anything is stored, or, if that node is gone for \
                 good, give the number free: hayloft cluster remove {number} --release-number"
            ),
            JoinAnswer::Removed => error!(
                tracker, %number, %group,
                "this node was removed from the cluster and may hold what was deleted since; \
                 remedy: empty its data directory to use the machine again, as a new node"
            ),
            JoinAnswer::WrongGroup { registered } => error!(
                tracker, %number, %group, %registered,
                "this node belongs to another group, where its blobs are known; \
                 remedy: set [storage] group back"
            ),
            JoinAnswer::Full { limit } => error!(
                tracker, %number, %group, limit,
                "no room for another node or group; remedy: remove nodes that are gone for good"
            ),
            JoinAnswer::VersionTooNew { known } => error!(
                tracker,
                known, "the tracker is older than this node; remedy: upgrade the trackers first"
            ),
            // Not a refusal.
            JoinAnswer::Accepted { .. } => {}
        }
    }

    fn state(&self, idx: usize) -> Option<TrackerState> {
        Some(self.states.borrow().get(idx)?.state)
    }

    /// Sets a state; returns whether that is news.
    fn set(&self, idx: usize, state: TrackerState) -> bool {
        self.states
            .send_if_modified(|states| match states.get_mut(idx) {
                Some(status) if status.state != state => {
                    status.state = state;
                    true
                }
                _ => false,
            })
    }
}

/// The cause names the remedy.
fn log_distrust(tracker: &str, failure: &ReportFailure, is_news: bool) {
    let error: &dyn std::error::Error = failure;
    if is_news {
        error!(tracker, error, "cannot report to tracker");
    } else {
        debug!(tracker, error, "still cannot report to tracker");
    }
}

fn log_loss(tracker: &str, failure: &ReportFailure, is_news: bool) {
    let error: &dyn std::error::Error = failure;
    if is_news {
        warn!(tracker, error, "tracker lost, trying again");
    } else {
        debug!(tracker, error, "tracker still out of reach");
    }
}

#[cfg(test)]
mod tests;
