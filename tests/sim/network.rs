//! Messages between simulated hosts: late, lost, cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use common::id::NodeNumber;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::node::NodeProcess;
use crate::random::{Random, locked};
use crate::tracker::TrackerProcess;

/// Whoever sends and gets messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    Node(NodeNumber),
    Tracker(u8),
    Client(u8),
}

impl Host {
    fn code(self) -> u64 {
        match self {
            Self::Node(number) => u64::from(number.get()),
            Self::Tracker(idx) => 100 + u64::from(idx),
            Self::Client(idx) => 200 + u64::from(idx),
        }
    }
}

/// Nobody takes messages there: a connection is refused, or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Down;

/// Tasks that end with their process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

impl Tasks {
    pub(crate) fn adopt(&self, task: AbortHandle) {
        let mut tasks = locked(&self.0);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    fn end(&self) {
        for task in std::mem::take(&mut *locked(&self.0)) {
            task.abort();
        }
    }
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<NodeNumber, Arc<NodeProcess>>,
    trackers: BTreeMap<u8, Arc<TrackerProcess>>,
    /// Who listens where.
    addresses: BTreeMap<SocketAddr, NodeNumber>,
    /// Hosts whose processes stand still: they take no message and send none.
    paused: BTreeSet<Host>,
    /// Ways that lose everything, by direction.
    cut: BTreeSet<(Host, Host)>,
    /// Messages so far, by direction.
    sent: BTreeMap<(Host, Host), u64>,
}

/// The network.
pub(crate) struct Network {
    state: Mutex<State>,
    seed: u64,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            seed,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(crate) fn add_node(&self, address: SocketAddr, process: Arc<NodeProcess>) {
        let mut state = self.state();
        state.addresses.insert(address, process.number);
        state.nodes.insert(process.number, process);
    }

    pub(crate) fn add_tracker(&self, process: Arc<TrackerProcess>) {
        self.state().trackers.insert(process.idx, process);
    }

    /// Takes a node off the network and ends its tasks.
    pub(crate) fn kill_node(&self, number: NodeNumber) -> Option<Arc<NodeProcess>> {
        let process = {
            let mut state = self.state();
            state.addresses.retain(|_, listener| *listener != number);
            state.nodes.remove(&number)
        };
        if let Some(process) = &process {
            process.tasks.end();
        }
        process
    }

    /// Takes a tracker off the network and ends its tasks.
    pub(crate) fn kill_tracker(&self, idx: u8) {
        let process = self.state().trackers.remove(&idx);
        if let Some(process) = process {
            process.tasks.end();
        }
    }

    pub(crate) fn node(&self, number: NodeNumber) -> Option<Arc<NodeProcess>> {
        self.state().nodes.get(&number).cloned()
    }

    /// The node that listens at an address.
    pub(crate) fn node_at(&self, address: SocketAddr) -> Option<NodeNumber> {
        self.state().addresses.get(&address).copied()
    }

    pub(crate) fn tracker(&self, idx: u8) -> Option<Arc<TrackerProcess>> {
        self.state().trackers.get(&idx).cloned()
    }

    pub(crate) fn trackers(&self) -> Vec<Arc<TrackerProcess>> {
        self.state().trackers.values().cloned().collect()
    }

    pub(crate) fn pause(&self, host: Host) {
        self.state().paused.insert(host);
    }

    pub(crate) fn is_paused(&self, host: Host) -> bool {
        self.state().paused.contains(&host)
    }

    pub(crate) fn cut(&self, from: Host, to: Host) {
        self.state().cut.insert((from, to));
    }

    /// Ends all that keeps messages from coming through.
    pub(crate) fn heal(&self) {
        let paused = {
            let mut state = self.state();
            state.cut.clear();
            std::mem::take(&mut state.paused)
        };
        for host in paused {
            if let Host::Tracker(idx) = host
                && let Some(tracker) = self.tracker(idx)
            {
                tracker.resumed();
            }
        }
    }

    /// Whether a message comes through now.
    pub(crate) fn passes(&self, from: Host, to: Host) -> bool {
        let state = self.state();
        !state.cut.contains(&(from, to)) && !state.paused.contains(&to)
    }

    /// What a message needs depends on its place among those of its direction alone, so that what
    /// happens elsewhere at the same time does not change it. Whether it arrives.
    pub(crate) async fn travel(&self, from: Host, to: Host) -> bool {
        let place = {
            let mut state = self.state();
            let sent = state.sent.entry((from, to)).or_default();
            *sent += 1;
            *sent
        };
        let way = from.code() << 48 | to.code() << 32;
        let mut random = Random(self.seed ^ way ^ place);
        let delay = match random.below(50) {
            0 => random.below(400_000),
            1..10 => random.below(20_000),
            _ => 50 + random.below(1000),
        };
        // Nodes have connections that bring everything or end. Of what others send, all that one has
        // under way may be lost with a connection.
        let is_lost = !matches!((from, to), (Host::Node(_), Host::Node(_))) && random.one_in(300);
        sleep(Duration::from_micros(delay)).await;
        !is_lost && self.passes(from, to)
    }

    /// Has a node do `work` for another host and brings the answer back. Never ends if a message is
    /// lost: whoever waits gives up in the end.
    pub(crate) async fn ask_node<T, F>(
        self: Arc<Self>,
        from: Host,
        address: SocketAddr,
        work: impl FnOnce(Arc<NodeProcess>) -> F + Send,
    ) -> Result<T, Down>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let to = self.node_at(address).ok_or(Down)?;
        let host = Host::Node(to);
        if !self.travel(from, host).await {
            return std::future::pending().await;
        }
        let process = self.node(to).ok_or(Down)?;
        let (sender, answer) = oneshot::channel();
        let work = work(Arc::clone(&process));
        let task = tokio::spawn(async move {
            // The caller may be gone, which changes nothing.
            let _ = sender.send(work.await);
        });
        process.tasks.adopt(task.abort_handle());
        let answer = answer.await.map_err(|_| Down)?;
        if self.travel(host, from).await && !self.is_paused(host) {
            Ok(answer)
        } else {
            std::future::pending().await
        }
    }

    /// The same with a tracker. `start` is that of the process that a connection is to; `None` connects
    /// to the present one.
    pub(crate) async fn ask_tracker<T, F>(
        self: Arc<Self>,
        from: Host,
        idx: u8,
        start: Option<u64>,
        work: impl FnOnce(Arc<TrackerProcess>) -> F + Send,
    ) -> Result<T, Down>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let host = Host::Tracker(idx);
        if !self.travel(from, host).await {
            return std::future::pending().await;
        }
        let process = self.tracker(idx).ok_or(Down)?;
        if start.is_some_and(|start| start != process.start) {
            return Err(Down);
        }
        let (sender, answer) = oneshot::channel();
        let work = work(Arc::clone(&process));
        let task = tokio::spawn(async move {
            let _ = sender.send(work.await);
        });
        process.tasks.adopt(task.abort_handle());
        let answer = answer.await.map_err(|_| Down)?;
        if self.travel(host, from).await && !self.is_paused(host) {
            Ok(answer)
        } else {
            std::future::pending().await
        }
    }
}
