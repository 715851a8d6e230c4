//! Messages between simulated nodes: late, lost, cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use common::id::NodeNumber;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::Random;
use crate::disk::MemoryDisk;
use crate::index::MemoryIndex;
use crate::replica::message::{Answer, Parcel, REPLICATION_VERSION, Request};
use crate::replica::{Link, LinkError, Replica};

pub(super) type SimReplica = Replica<MemoryDisk, MemoryIndex>;

/// How long a caller waits for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// Time between two signs of life, and how long one is waited for.
const PING: Duration = Duration::from_millis(300);

/// A process of a node, as long as it lives.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) replica: Arc<SimReplica>,
    /// Tasks that end with it.
    pub(super) tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Process {
    pub(super) fn adopt(&self, task: AbortHandle) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

#[derive(Default)]
struct State {
    processes: BTreeMap<NodeNumber, Process>,
    /// Nodes whose processes stand still: they take no message and send none.
    paused: BTreeSet<NodeNumber>,
    /// Ways that lose everything, by direction.
    cut: BTreeSet<(NodeNumber, NodeNumber)>,
    /// Messages so far, by direction.
    sent: BTreeMap<(NodeNumber, NodeNumber), u64>,
}

/// The network.
pub(super) struct Network {
    state: Mutex<State>,
    seed: u64,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            seed,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, number: NodeNumber, process: Process) {
        self.state().processes.insert(number, process);
    }

    /// Takes a process off the network and ends its tasks.
    pub(super) fn kill(&self, number: NodeNumber) {
        let process = self.state().processes.remove(&number);
        let tasks = process.map(|process| process.tasks);
        for task in tasks.iter().flat_map(|tasks| {
            std::mem::take(&mut *tasks.lock().unwrap_or_else(PoisonError::into_inner))
        }) {
            task.abort();
        }
    }

    pub(super) fn process(&self, number: NodeNumber) -> Option<Process> {
        self.state().processes.get(&number).cloned()
    }

    pub(super) fn pause(&self, number: NodeNumber, is_paused: bool) {
        let paused = &mut self.state().paused;
        if is_paused {
            paused.insert(number);
        } else {
            paused.remove(&number);
        }
    }

    pub(super) fn cut(&self, from: NodeNumber, to: NodeNumber) {
        self.state().cut.insert((from, to));
    }

    /// Ends all that keeps messages from coming through.
    pub(super) fn heal(&self) {
        let mut state = self.state();
        state.cut.clear();
        state.paused.clear();
    }

    /// Whether a message comes through now.
    fn passes(&self, from: NodeNumber, to: NodeNumber) -> bool {
        let state = self.state();
        !state.cut.contains(&(from, to)) && !state.paused.contains(&to)
    }

    /// What a message needs depends on its place among those of its direction alone, so that what
    /// happens elsewhere at the same time does not change it.
    async fn travel(&self, from: NodeNumber, to: NodeNumber) {
        let place = {
            let mut state = self.state();
            let sent = state.sent.entry((from, to)).or_default();
            *sent += 1;
            *sent
        };
        let way = u64::from(from.get()) << 40 | u64::from(to.get()) << 32;
        let mut random = Random(self.seed ^ way ^ place);
        let delay = match random.below(50) {
            0 => random.below(400_000),
            1..10 => random.below(20_000),
            _ => 50 + random.below(1000),
        };
        sleep(Duration::from_micros(delay)).await;
    }

    /// Brings a request to a node and its answer back.
    async fn carry(
        self: Arc<Self>,
        from: NodeNumber,
        to: NodeNumber,
        request: Parcel,
    ) -> Result<Parcel, LinkError> {
        self.travel(from, to).await;
        if !self.passes(from, to) {
            // Lost without a word; whoever waits gives up in the end.
            return std::future::pending().await;
        }
        let down = || LinkError::Down("no process".to_owned());
        let process = self.process(to).ok_or_else(down)?;
        let (sender, answer) = oneshot::channel();
        let replica = Arc::clone(&process.replica);
        let task = tokio::spawn(async move {
            let answer = replica.answer(from, request).await;
            // The caller may be gone, which changes nothing.
            let _ = sender.send(answer);
        });
        process.adopt(task.abort_handle());
        let answer = answer.await.map_err(|_| down())?;
        self.travel(to, from).await;
        if self.passes(to, from) && !self.state().paused.contains(&to) {
            Ok(answer)
        } else {
            std::future::pending().await
        }
    }
}

/// The way from one node to another.
#[derive(Debug)]
pub(super) struct SimLink {
    from: NodeNumber,
    to: NodeNumber,
    network: Arc<Network>,
    is_up: AtomicBool,
}

impl SimLink {
    pub(super) fn new(network: &Arc<Network>, from: NodeNumber, to: NodeNumber) -> Arc<Self> {
        Arc::new(Self {
            from,
            to,
            network: Arc::clone(network),
            is_up: AtomicBool::new(false),
        })
    }

    /// Watches whether the peer answers. Tells `replica` when that changes.
    pub(super) async fn watch(self: Arc<Self>, replica: Weak<SimReplica>) {
        loop {
            let Some(replica) = replica.upgrade() else {
                return;
            };
            let ping = Request::Ping {
                version: REPLICATION_VERSION,
            }
            .encode(replica.stamp());
            let answered = timeout(PING, self.clone_carry(ping)).await;
            let is_up = match answered {
                Ok(Ok(parcel)) => match Answer::decode(parcel) {
                    Ok((stamp, _)) => {
                        replica.see(stamp);
                        true
                    }
                    Err(_) => false,
                },
                _ => false,
            };
            if self.is_up.swap(is_up, Ordering::Relaxed) != is_up {
                replica.peers_changed();
            }
            drop(replica);
            sleep(PING).await;
        }
    }

    fn clone_carry(&self, request: Parcel) -> BoxFuture<'static, Result<Parcel, LinkError>> {
        Box::pin(Arc::clone(&self.network).carry(self.from, self.to, request))
    }
}

impl Link for SimLink {
    fn call(&self, request: Parcel) -> BoxFuture<'static, Result<Parcel, LinkError>> {
        let carried = self.clone_carry(request);
        Box::pin(async move {
            timeout(CALL_TIMEOUT, carried)
                .await
                .unwrap_or(Err(LinkError::Silent))
        })
    }

    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }
}
