//! The other trackers: who lives, and who of all leads.
//!
//! Every node reports to each tracker, and any of them answers. What nodes cannot tell, namely what
//! operators ordered and who is registered but away, each tracker pulls from the others with its
//! greetings; see [`crate::cluster::Cluster::merge`] for how they agree. Whoever has news greets at once
//! and says so, and is greeted back at once, so an order is known everywhere before it is answered. The
//! leader is only a name that some tools ask for: of the trackers that live, the one with the smallest
//! address.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use common::env::{Shutdown, clock};
use common::limits;
use common::rpc::auth::{self, AuthError, Purpose, Rarely};
use common::rpc::{Connection, ConnectionError, MemberStream};
use common::wire::report::{Entry, HelloAnswer, ReportError, TrackerHello};
use common::wire::tracker::Connections;
use common::wire::{Command, Header, Status, VersionText};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tracing::{error, info, warn};

use crate::shared::Shared;

/// Bytes of an answer to a greeting; one full of entries has fewer.
const ANSWER_LEN_MAX: usize = limits::PACKET_LEN_MAX / 2;

/// The other trackers, as far as they are known.
#[derive(Debug)]
pub(crate) struct Peers {
    /// Drawn at the start.
    pub(crate) instance: u64,
    interval: Duration,
    advertised: Option<SocketAddr>,
    listening: SocketAddr,
    table: Mutex<Table>,
    /// Log lines about peers of another cluster.
    distrusted: Rarely,
    /// Has all peers greeted at once instead of at the next interval.
    greet_now: watch::Sender<()>,
    /// Changes when a peer says how far it followed this tracker.
    followed: watch::Sender<()>,
}

#[derive(Debug)]
struct Table {
    peers: Vec<Peer>,
    /// How a peer sees this tracker's address.
    seen_from_outside: Option<IpAddr>,
}

#[derive(Clone, Debug)]
struct Peer {
    name: String,
    state: PeerState,
    news: News,
}

/// What a peer and this tracker know of each other's changes.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    /// The instance of the peer that this is about; 0 for none yet.
    instance: u64,
    /// How far its changes go, as it said in a greeting or as they were followed.
    announced: u64,
    /// How far it followed this tracker's changes.
    followed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerState {
    Silent {
        last: Option<Seen>,
    },
    Alive(Seen),
    /// The entry names this tracker.
    Myself {
        address: SocketAddr,
    },
}

/// A sign of life of another tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Connections,
    pub(crate) software: VersionText,
    /// Unix seconds of its start.
    pub(crate) started: u32,
    /// Unix seconds.
    pub(crate) at: u32,
}

/// Why a peer does not count as alive.
#[derive(Debug, thiserror::Error)]
enum PeerError {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("the tracker and this one do not trust each other")]
    Auth(#[from] AuthError),
    #[error("connection lost")]
    Connection(#[from] ConnectionError),
    #[error("no answer for {0:?}")]
    Silent(Duration),
    #[error("the answer has {0}")]
    Refused(Status),
    #[error("the answer is malformed")]
    Answer(#[from] ReportError),
}

impl Peers {
    pub(crate) fn new(
        names: Vec<String>,
        instance: u64,
        interval: Duration,
        advertised: Option<SocketAddr>,
        listening: SocketAddr,
    ) -> Self {
        let silent = PeerState::Silent { last: None };
        let peer = |name| Peer {
            name,
            state: silent,
            news: News::default(),
        };
        Self {
            instance,
            interval,
            advertised,
            listening,
            table: Mutex::new(Table {
                peers: names.into_iter().map(peer).collect(),
                seen_from_outside: None,
            }),
            distrusted: Rarely::new(),
            greet_now: watch::Sender::new(()),
            followed: watch::Sender::new(()),
        }
    }

    /// Tells all peers that this tracker's changes go as far as `position`, and waits until each one that
    /// lives has followed them, for one interval at most. Returns whether all have.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the peers learn of it all the same.
    pub(crate) async fn tell(&self, position: u64) -> bool {
        let mut followed = self.followed.subscribe();
        self.greet_now.send_replace(());
        let known = followed.wait_for(|()| self.is_followed(position));
        timeout(self.interval, known).await.is_ok()
    }

    fn is_followed(&self, position: u64) -> bool {
        let table = self.table();
        let mut alive = table
            .peers
            .iter()
            .filter(|peer| matches!(peer.state, PeerState::Alive(_)));
        alive.all(|peer| position <= peer.news.followed)
    }

    /// Takes in what a peer's greeting says of its changes and this tracker's. `followed` is none when it
    /// speaks of an earlier instance of this tracker.
    pub(crate) fn greeted(&self, instance: u64, changes: u64, followed: Option<u64>) {
        let mut has_news = false;
        {
            let mut table = self.table();
            let mut known = table.peers.iter_mut().map(|peer| &mut peer.news);
            let Some(news) = known.find(|news| news.instance == instance) else {
                return;
            };
            // Each announcement is followed up once, so two trackers never keep each other busy.
            if news.announced < changes {
                news.announced = changes;
                has_news = true;
            }
            news.followed = followed.unwrap_or_default();
        }
        self.followed.send_replace(());
        if has_news {
            self.greet_now.send_replace(());
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.table().peers.len()
    }

    /// How many others there should be.
    pub(crate) fn other_count(&self) -> usize {
        let table = self.table();
        let is_other = |peer: &&Peer| !matches!(peer.state, PeerState::Myself { .. });
        table.peers.iter().filter(is_other).count()
    }

    /// How many others live.
    pub(crate) fn alive_count(&self) -> usize {
        let table = self.table();
        let is_alive = |peer: &&Peer| matches!(peer.state, PeerState::Alive(_));
        table.peers.iter().filter(is_alive).count()
    }

    /// The address of this tracker. `local` is that of the asking connection: it is right when nothing
    /// else is known.
    pub(crate) fn myself(&self, local: SocketAddr) -> SocketAddr {
        let table = self.table();
        let named = table.peers.iter().find_map(|peer| match peer.state {
            PeerState::Myself { address } => Some(address),
            PeerState::Silent { .. } | PeerState::Alive(_) => None,
        });
        let bound = Some(self.listening).filter(|it| !it.ip().is_unspecified());
        let seen = table.seen_from_outside;
        self.advertised
            .or(named)
            .or(bound)
            .or(seen.map(|address| SocketAddr::new(address, self.listening.port())))
            .unwrap_or(local)
    }

    /// The leader as this tracker sees it.
    pub(crate) fn leader(&self, local: SocketAddr) -> SocketAddr {
        let myself = self.myself(local);
        let table = self.table();
        let others = table.peers.iter().filter_map(|peer| match peer.state {
            PeerState::Alive(seen) => Some(seen.address),
            PeerState::Silent { .. } | PeerState::Myself { .. } => None,
        });
        others.chain([myself]).min().unwrap_or(myself)
    }

    /// The others that ever answered, and whether they live.
    pub(crate) fn others(&self) -> Vec<(Seen, bool)> {
        let table = self.table();
        let seen = table.peers.iter().filter_map(|peer| match peer.state {
            PeerState::Alive(seen) => Some((seen, true)),
            PeerState::Silent { last } => last.map(|seen| (seen, false)),
            PeerState::Myself { .. } => None,
        });
        seen.collect()
    }

    /// The names of those that never answered.
    pub(crate) fn never_seen(&self) -> impl Iterator<Item = String> {
        let peers = self.table().peers.clone();
        let silent = PeerState::Silent { last: None };
        peers
            .into_iter()
            .filter(move |peer| peer.state == silent)
            .map(|peer| peer.name)
    }

    /// Keeps greeting the peer with that index until the signal.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn watch(&self, idx: usize, shared: &Shared, shutdown: &Shutdown) {
        let mut ticks = interval(self.interval);
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                _ = ticks.tick() => {}
            }
            let Some(name) = self.name(idx) else { return };
            let ended = tokio::select! {
                () = shutdown.requested() => return,
                ended = self.converse(idx, &name, shared) => ended,
            };
            match ended {
                // Nothing more to learn about oneself.
                Ok(()) => return,
                Err(error) => self.lost(idx, &name, &error),
            }
        }
    }

    /// Greets one peer over one connection until it fails; `Ok` when the peer is this tracker.
    async fn converse(&self, idx: usize, name: &str, shared: &Shared) -> Result<(), PeerError> {
        let patience = self.interval;
        let connecting = timeout(patience, TcpStream::connect(name)).await;
        let stream = connecting
            .map_err(|_| PeerError::Silent(patience))?
            .map_err(PeerError::Connect)?;
        let address = stream.peer_addr().map_err(PeerError::Connect)?;
        let connection = Connection::new(stream, patience);
        let credentials = shared.gate.credentials();
        let (mut connection, member) =
            auth::initiate(connection, credentials, Purpose::Hello, patience).await?;
        let mut ticks = interval(patience);
        let mut greet_now = self.greet_now.subscribe();
        let mut hello = TrackerHello {
            instance: self.instance,
            ..TrackerHello::default()
        };
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // The sender lives as long as this does.
                _ = greet_now.changed() => {}
            }
            hello.changes = shared.cluster().changes_end();
            let exchange = timeout(patience, self.greet(&mut connection, hello)).await;
            let answer = exchange.map_err(|_| PeerError::Silent(patience))??;
            if answer.instance == self.instance {
                self.set(idx, PeerState::Myself { address });
                return Ok(());
            }
            let seen = Seen {
                address,
                connections: answer.connections,
                software: answer.software,
                started: answer.started,
                at: shared.now().unix,
            };
            let before = self.set(idx, PeerState::Alive(seen));
            self.note_answer(idx, &answer);
            if !matches!(before, Some(PeerState::Alive(_))) {
                info!(peer = name, tls = member.is_encrypted(), "tracker answers");
            }
            hello.told_by = answer.instance;
            hello.position = answer.position;
            if !answer.entries.is_empty() {
                take_in(name, &answer.entries, shared);
                // Perhaps there is more.
                ticks.reset_immediately();
            }
        }
    }

    async fn greet(
        &self,
        connection: &mut Connection<MemberStream<TcpStream>>,
        hello: TrackerHello,
    ) -> Result<HelloAnswer, PeerError> {
        let mut body = BytesMut::new();
        hello.encode(&mut body);
        let header = Header::request(Command::TrackerHello, body.len() as u64);
        let mut packet = BytesMut::from(header.encode().as_slice());
        packet.extend_from_slice(&body);
        connection.send(&packet).await?;
        let header = connection.header().await?.ok_or(ConnectionError::Closed)?;
        let status = Status(header.status);
        if !status.is_ok() {
            return Err(PeerError::Refused(status));
        }
        let body = connection.body(&header, ANSWER_LEN_MAX).await?;
        Ok(HelloAnswer::decode(&body)?)
    }

    fn note_answer(&self, idx: usize, answer: &HelloAnswer) {
        let mut table = self.table();
        table.seen_from_outside = Some(answer.yours);
        let Some(peer) = table.peers.get_mut(idx) else {
            return;
        };
        if peer.news.instance != answer.instance {
            peer.news = News {
                instance: answer.instance,
                ..News::default()
            };
        }
        peer.news.announced = peer.news.announced.max(answer.position);
    }

    fn lost(&self, idx: usize, name: &str, error: &PeerError) {
        if let PeerError::Auth(cause) = error
            && !matches!(cause, AuthError::Connection(_) | AuthError::Silent(_))
            && let Some(before) = self.distrusted.note(clock::monotonic())
        {
            let error: &dyn std::error::Error = error;
            warn!(peer = name, before, error, "cannot greet tracker");
        }
        {
            let mut table = self.table();
            let Some(peer) = table.peers.get_mut(idx) else {
                return;
            };
            if let PeerState::Alive(seen) = peer.state {
                let error: &dyn std::error::Error = error;
                warn!(peer = name, error, "tracker does not answer any more");
                peer.state = PeerState::Silent { last: Some(seen) };
            }
        }
        // Nobody waits for one that does not live.
        self.followed.send_replace(());
    }

    fn name(&self, idx: usize) -> Option<String> {
        Some(self.table().peers.get(idx)?.name.clone())
    }

    /// Sets a state and returns the one before.
    fn set(&self, idx: usize, state: PeerState) -> Option<PeerState> {
        let mut table = self.table();
        let peer = table.peers.get_mut(idx)?;
        Some(std::mem::replace(&mut peer.state, state))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change is one assignment, so a poisoned table is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Merges what another tracker told, and has it stored.
fn take_in(peer: &str, entries: &[Entry], shared: &Shared) {
    let mut is_any_news = false;
    {
        let mut cluster = shared.cluster();
        for entry in entries {
            let merged = cluster.merge(*entry);
            is_any_news |= merged.is_news;
            if let Some(conflict) = merged.conflict {
                error!(
                    peer, number = %conflict.number,
                    holder = %conflict.holder, refused = %conflict.loser,
                    "two nodes joined with one number at different trackers, the later one is \
                     refused; remedy: give it a node number of its own"
                );
            }
        }
    }
    if is_any_news {
        shared.persistence.changed.notify_one();
    }
}
