//! A tracker's process: the real core, its clock, its snapshot, what it exchanges with the others.
//!
//! Every answer to a client is compared with what the tracker was told, which is noted beside the core.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::id::{GroupName, NodeNumber, RemoteName};
use common::wire::AddressWidth;
use common::wire::cluster::{Order, Target};
use common::wire::report::{Entry, NodeJoin, NodeReport, ReportAnswer};
use tokio::time::{Instant, sleep, timeout};
use tracker::cluster::{
    Cluster, JoinRefusal, Now, OrderRefusal, Placement, Policy, ReservedSpace, SessionId,
    StoreLookup, StoreRefusal,
};

use crate::network::{Host, Network, Tasks};
use crate::random::locked;
use crate::world::{EPOCH, PATH};

const TICK: Duration = Duration::from_millis(250);
/// Time between two greetings, and how long an answer is waited for.
const GREETING: Duration = Duration::from_secs(1);
/// Time that a snapshot takes to be durable.
const STORING: Duration = Duration::from_millis(5);
const WIDTH: AddressWidth = AddressWidth::V4;

/// What a tracker keeps when its process ends.
#[derive(Debug, Default)]
pub(crate) struct TrackerMachine {
    pub(crate) snapshot: Arc<Mutex<Vec<Entry>>>,
    /// What its clock is off by, in microseconds.
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) starts: u64,
}

/// What a node told last.
#[derive(Clone, Copy, Debug)]
struct Heard {
    session: SessionId,
    at: Instant,
    is_writable: bool,
    is_complete: bool,
}

/// What clients ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Query {
    Store(Option<GroupName>),
    Fetch(GroupName, RemoteName),
    Update(GroupName, RemoteName),
}

/// Where a client is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) group: GroupName,
    pub(crate) address: SocketAddr,
}

/// A tracker, as long as it lives.
pub(crate) struct TrackerProcess {
    pub(crate) idx: u8,
    pub(crate) start: u64,
    pub(crate) tasks: Tasks,
    pub(crate) cluster: Mutex<Cluster>,
    instance: u64,
    snapshot: Arc<Mutex<Vec<Entry>>>,
    started: Instant,
    begun: Instant,
    clock: Arc<AtomicI64>,
    heard: Mutex<BTreeMap<NodeNumber, Heard>>,
    resumed: Mutex<Instant>,
    silence_max: Duration,
}

impl TrackerProcess {
    /// Starts from what `machine` kept; `begun` is when the history did.
    pub(crate) fn start(
        idx: u8,
        machine: &mut TrackerMachine,
        lookup: StoreLookup,
        begun: Instant,
        others: &[u8],
        network: &Arc<Network>,
    ) -> Arc<Self> {
        machine.starts += 1;
        let instance = u64::from(idx) << 32 | machine.starts;
        let policy = Policy {
            store_lookup: lookup,
            reserved: ReservedSpace::Bytes(0),
            ..Policy::default()
        };
        let silence_max = policy.silence_max;
        let known = locked(&machine.snapshot).clone();
        let process = Arc::new(Self {
            idx,
            start: machine.starts,
            tasks: Tasks::default(),
            cluster: Mutex::new(Cluster::new(policy, known, instance)),
            instance,
            snapshot: Arc::clone(&machine.snapshot),
            started: Instant::now(),
            begun,
            clock: Arc::clone(&machine.clock),
            heard: Mutex::default(),
            resumed: Mutex::new(Instant::now()),
            silence_max,
        });
        network.add_tracker(Arc::clone(&process));
        let ticking = Arc::clone(&process).tick(Arc::clone(network));
        process.tasks.adopt(tokio::spawn(ticking).abort_handle());
        for other in others.iter().copied().filter(|other| *other != idx) {
            let greeting = Arc::clone(&process).greet(other, Arc::clone(network));
            process.tasks.adopt(tokio::spawn(greeting).abort_handle());
        }
        process
    }

    fn now(&self) -> Now {
        let elapsed = u64::try_from(self.begun.elapsed().as_micros()).unwrap();
        let micros = (EPOCH + elapsed).saturating_add_signed(self.clock.load(Ordering::Relaxed));
        Now {
            uptime: self.started.elapsed(),
            unix: u32::try_from(micros / 1_000_000).unwrap(),
        }
    }

    async fn tick(self: Arc<Self>, network: Arc<Network>) {
        loop {
            sleep(TICK).await;
            if !network.is_paused(Host::Tracker(self.idx)) {
                locked(&self.cluster).tick(self.now());
            }
        }
    }

    /// Notes that the process stood still until now.
    pub(crate) fn resumed(&self) {
        *locked(&self.resumed) = Instant::now();
    }

    /// Asks another tracker again and again for what it knows.
    async fn greet(self: Arc<Self>, other: u8, network: Arc<Network>) {
        let own = Host::Tracker(self.idx);
        let (mut told_by, mut position) = (0, 0);
        loop {
            sleep(GREETING).await;
            if network.is_paused(own) {
                continue;
            }
            let asked = Arc::clone(&network).ask_tracker(own, other, None, move |it| async move {
                let (entries, end) = locked(&it.cluster).changes_for(told_by, position);
                (it.instance, entries, end)
            });
            let Ok(Ok((instance, entries, end))) = timeout(GREETING, asked).await else {
                (told_by, position) = (0, 0);
                continue;
            };
            let mut is_any_news = false;
            for entry in entries {
                is_any_news |= locked(&self.cluster).merge(entry).is_news;
            }
            (told_by, position) = (instance, end);
            if is_any_news {
                self.store().await;
            }
        }
    }

    /// Makes what is known survive this process.
    async fn store(&self) {
        sleep(STORING).await;
        *locked(&self.snapshot) = locked(&self.cluster).entries();
    }

    pub(crate) async fn join(
        &self,
        join: &NodeJoin,
        from: IpAddr,
    ) -> Result<SessionId, JoinRefusal> {
        let joined = locked(&self.cluster).join(join, from, self.now())?;
        locked(&self.heard).remove(&join.number);
        self.store().await;
        Ok(joined.session)
    }

    /// Takes a report in; `None` ends the connection.
    pub(crate) fn report(&self, session: SessionId, report: NodeReport) -> Option<ReportAnswer> {
        let known = report.view;
        let path = report.paths.iter().find(|path| path.path == PATH);
        let heard = Heard {
            session,
            at: Instant::now(),
            is_writable: report.writable,
            is_complete: path.is_some_and(|path| path.is_complete),
        };
        let mut cluster = locked(&self.cluster);
        cluster.report(session, report, self.now()).ok()?;
        locked(&self.heard).insert(session.number(), heard);
        Some(cluster.members_answer(session, known, self.now()))
    }

    /// The connection of a node ended.
    pub(crate) fn leave(&self, session: SessionId) {
        locked(&self.cluster).leave(session);
        locked(&self.heard).retain(|_, heard| heard.session != session);
    }

    pub(crate) async fn order(&self, target: Target, order: Order) -> Result<(), OrderRefusal> {
        locked(&self.cluster).order(target, order)?;
        self.store().await;
        Ok(())
    }

    /// Answers a client.
    pub(crate) fn query(&self, query: Query) -> Result<Sent, StoreRefusal> {
        match query {
            Query::Store(group) => {
                let placed = locked(&self.cluster).store_one(group, WIDTH)?;
                self.check_writer(&placed);
                Ok(Sent {
                    group: placed.group,
                    address: placed.node.address,
                })
            }
            Query::Fetch(group, name) => {
                let found = locked(&self.cluster).fetch_one(&group, &name, WIDTH);
                let node = found.ok_or(StoreRefusal::NoWriter)?;
                self.check_reader(group, node.number);
                Ok(Sent {
                    group,
                    address: node.address,
                })
            }
            Query::Update(group, name) => {
                let found = locked(&self.cluster).update(&group, &name, WIDTH);
                let node = found.ok_or(StoreRefusal::NoWriter)?;
                self.check_changer(group, node.number);
                Ok(Sent {
                    group,
                    address: node.address,
                })
            }
        }
    }

    /// What is known of a node that clients are sent to, which must live.
    fn check_alive(&self, group: GroupName, number: NodeNumber) -> Heard {
        let heard = locked(&self.heard).get(&number).copied();
        let heard = heard.unwrap_or_else(|| {
            panic!(
                "tracker {} sends to {number} of {group}, which is not there",
                self.idx
            )
        });
        // One that stood still itself finds out with its next look but one.
        let since = heard.at.max(*locked(&self.resumed));
        assert!(
            since.elapsed() <= self.silence_max + 2 * TICK,
            "tracker {} sends to {number} of {group}, which is silent for {:?}",
            self.idx,
            since.elapsed()
        );
        heard
    }

    fn check_changer(&self, group: GroupName, number: NodeNumber) {
        let heard = self.check_alive(group, number);
        assert!(
            heard.is_writable && heard.is_complete,
            "tracker {} sends a change to {number} of {group}: {heard:?}",
            self.idx
        );
        let (_, read_only) = self.marks(group, number);
        assert!(
            !read_only,
            "tracker {} sends a change to {number}, which is read-only",
            self.idx
        );
    }

    fn check_writer(&self, placed: &Placement) {
        let (group, number) = (placed.group, placed.node.number);
        self.check_changer(group, number);
        let (draining, _) = self.marks(group, number);
        assert!(
            !draining,
            "tracker {} sends a blob to {number}, which is drained",
            self.idx
        );
    }

    /// A reader gets to a node that has everything as long as there is one.
    fn check_reader(&self, group: GroupName, number: NodeNumber) {
        if self.check_alive(group, number).is_complete {
            return;
        }
        let cluster = locked(&self.cluster);
        let members = cluster.group(&group).expect("a group").members();
        for node in members {
            let heard = locked(&self.heard).get(&node.entry().number).copied();
            assert!(
                !heard.is_some_and(|it| it.is_complete && it.at.elapsed() < self.silence_max),
                "tracker {} sends a reader to {number}, and {} is complete",
                self.idx,
                node.entry().number
            );
        }
    }

    /// What operators ordered: draining and read-only, as the exchanged entries tell.
    pub(crate) fn marks(&self, group: GroupName, number: NodeNumber) -> (bool, bool) {
        let (mut draining, mut read_only) = (false, false);
        for entry in locked(&self.cluster).entries() {
            match entry {
                Entry::Node(node) if node.number == number => {
                    draining |= node.marks.draining;
                    read_only |= node.marks.read_only;
                }
                Entry::Group(of) if of.name == group => {
                    draining |= of.marks.draining;
                    read_only |= of.marks.read_only;
                }
                Entry::Node(_) | Entry::Group(_) => {}
            }
        }
        (draining, read_only)
    }
}
