//! The network between the members of a cluster, through which every byte of theirs passes and where
//! it can be held up: from one member to another, in one direction or both.
//!
//! What is held up arrives when the way is free again, as on a network whose cables were pulled and
//! plugged in: TCP repeats what was lost. So a member that is cut off finds late news in its sockets.
//! Clients are outside, and nothing holds them up. What members say can be searched for words.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use common::wire::Command;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::member::Member;

/// Bytes of a packet's header. Source: docs/wire.md, framing.
const HEADER_LEN: usize = 10;
/// Where in a hello the identity of its sender begins and ends. Source: docs/wire.md, between nodes.
const IDENTITY: std::ops::Range<usize> = HEADER_LEN + 3..HEADER_LEN + 19;

/// Ways that are closed: from, to.
type Cuts = BTreeSet<(Member, Member)>;

/// The network.
#[derive(Debug)]
pub(super) struct Net {
    handle: Handle,
    cuts: watch::Sender<Cuts>,
    /// Where nodes keep who they are.
    identities: Arc<Mutex<Vec<(Member, PathBuf)>>>,
    search: Arc<Search>,
}

/// Looks for words in what passes between members.
#[derive(Debug, Default)]
struct Search {
    /// Empty until somebody wants to know.
    words: Mutex<Vec<u8>>,
    sightings: AtomicU64,
}

impl Search {
    /// Looks at the next bytes of a way; `before` are the last ones that it has seen there.
    fn look(&self, before: &mut Vec<u8>, bytes: &[u8]) {
        let words = self.words.lock().unwrap().clone();
        if words.is_empty() {
            return;
        }
        before.extend_from_slice(bytes);
        if before.windows(words.len()).any(|window| window == words) {
            self.sightings.fetch_add(1, Ordering::Relaxed);
        }
        // Words may be cut in two.
        let start = (before.len() + 1).saturating_sub(words.len());
        before.drain(..start);
    }
}

impl Net {
    /// A network without members, whose tasks run on `handle` and end with its runtime.
    pub(super) fn new(handle: Handle) -> Self {
        Self {
            handle,
            cuts: watch::Sender::default(),
            identities: Arc::default(),
            search: Arc::default(),
        }
    }

    /// Looks for these words in everything that members say to each other from now on.
    pub(super) fn look_for(&self, words: &[u8]) {
        words.clone_into(&mut self.search.words.lock().unwrap());
    }

    /// How often they were seen.
    pub(super) fn sightings(&self) -> u64 {
        self.search.sightings.load(Ordering::Relaxed)
    }

    /// Tells where a node keeps who it is, so that it is recognised.
    pub(super) fn know(&self, member: Member, identity: PathBuf) {
        self.identities.lock().unwrap().push((member, identity));
    }

    /// Opens `at` for connections to `to`, which listens on `target`. They come from `from`, or from
    /// whoever says so.
    pub(super) fn open(
        &self,
        at: SocketAddr,
        from: Option<Member>,
        to: Member,
        target: SocketAddr,
    ) -> SocketAddr {
        let listener = self.handle.block_on(TcpListener::bind(at)).unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, identities) = (self.cuts.subscribe(), Arc::clone(&self.identities));
        let search = Arc::clone(&self.search);
        self.handle.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let way = Way {
                    from,
                    to,
                    target,
                    cuts: cuts.clone(),
                    identities: Arc::clone(&identities),
                    search: Arc::clone(&search),
                };
                connections.spawn(way.carry(stream));
            }
        });
        address
    }

    /// Holds up what one member says to another.
    pub(super) fn cut(&self, from: Member, to: Member) {
        self.cuts.send_modify(|cuts| {
            cuts.insert((from, to));
        });
    }

    /// Opens all ways of a member.
    pub(super) fn heal(&self, member: Member) {
        let is_of = |(from, to): &(Member, Member)| [*from, *to].contains(&member);
        self.cuts.send_modify(|cuts| cuts.retain(|way| !is_of(way)));
    }
}

/// What one connection needs.
struct Way {
    from: Option<Member>,
    to: Member,
    target: SocketAddr,
    cuts: watch::Receiver<Cuts>,
    identities: Arc<Mutex<Vec<(Member, PathBuf)>>>,
    search: Arc<Search>,
}

impl Way {
    /// Carries bytes both ways until both ends are done. A broken connection is broken on both sides.
    async fn carry(self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut read, write) = stream.into_split();
        let (from, first) = match self.from {
            Some(from) => (from, Vec::new()),
            None => self.first_words(&mut read).await?,
        };
        let there = (from, self.to);
        let back = (self.to, from);
        is_open(&mut self.cuts.clone(), there).await;
        let target = TcpStream::connect(self.target).await?;
        target.set_nodelay(true)?;
        let (target_read, mut target_write) = target.into_split();
        target_write.write_all(&first).await?;
        let there = self.pump(read, target_write, there);
        let back = self.pump(target_read, write, back);
        tokio::try_join!(there, back).map(|_| ())
    }

    /// Who connects, and what was read to find out.
    async fn first_words(&self, read: &mut OwnedReadHalf) -> io::Result<(Member, Vec<u8>)> {
        let mut first = vec![0; HEADER_LEN];
        read.read_exact(&mut first).await?;
        if first[8] != Command::Authenticate as u8 {
            return Ok((Member::Client, first));
        }
        first.resize(IDENTITY.end, 0);
        read.read_exact(&mut first[HEADER_LEN..]).await?;
        let identity = hex(&first[IDENTITY]);
        let known = self.identities.lock().unwrap();
        let is_it = |file: &PathBuf| stored_identity(file).is_some_and(|it| it == identity);
        let member = known.iter().find(|(_, file)| is_it(file));
        Ok((member.map_or(Member::Client, |(member, _)| *member), first))
    }

    async fn pump(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        way: (Member, Member),
    ) -> io::Result<()> {
        let mut cuts = self.cuts.clone();
        let is_among_members = ![way.0, way.1].contains(&Member::Client);
        let mut seen = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let len = from.read(&mut buffer).await?;
            is_open(&mut cuts, way).await;
            if len == 0 {
                return to.shutdown().await;
            }
            if is_among_members {
                self.search.look(&mut seen, &buffer[..len]);
            }
            to.write_all(&buffer[..len]).await?;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn stored_identity(file: &PathBuf) -> Option<String> {
    let kept: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(kept["store"].as_str()?.to_owned())
}

async fn is_open(cuts: &mut watch::Receiver<Cuts>, way: (Member, Member)) {
    // An error means that the network is gone, and its tasks with it.
    let _ = cuts.wait_for(|cuts| !cuts.contains(&way)).await;
}
