//! All hosts, and the course of a history.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::id::{GroupName, NodeNumber, VolumePath};
use storage_node::disk::CrashStyle;
use storage_node::replica::{CopySettings, Portions, Scarcity};
use storage_node::store::scrub_volume;
use tokio::time::{Instant, sleep};
use tracker::cluster::StoreLookup;

use crate::clients::Clients;
use crate::network::{Host, Network};
use crate::node::{Machine, NodeProcess};
use crate::random::{Random, locked};
use crate::report::end_session;
use crate::tracker::{TrackerMachine, TrackerProcess};

/// The only volume path.
pub(crate) const PATH: VolumePath = VolumePath(0);
pub(crate) const VOLUME_LEN: u64 = 256 * 1024;
pub(crate) const DISK_LEN: u64 = 256 * VOLUME_LEN;
/// Unix microseconds when a history begins.
pub(crate) const EPOCH: u64 = 1_700_000_000_000_000;
/// Microseconds that tombstones are kept which all nodes have. No copy of a disk is older when it comes
/// back.
pub(crate) const TOMBSTONE_AGE: u64 = 60_000_000;
/// More nodes make a history slow and show nothing new.
pub(crate) const NODES_MAX: usize = 7;
/// Seconds between two comparisons of everything, where there are any.
pub(crate) const COMPARE_OFTEN: u64 = 20;
/// Within so much time after all faults ended all hosts agree.
const HEALING_MAX: Duration = Duration::from_mins(2);

/// Seconds.
const DAY: u32 = 24 * 3600;

/// What an operator ordered of a node: drained, read-only.
pub(crate) type Marks = (bool, bool);

/// Everything.
pub(crate) struct World {
    pub(crate) network: Arc<Network>,
    pub(crate) machines: BTreeMap<NodeNumber, Machine>,
    pub(crate) trackers: BTreeMap<u8, TrackerMachine>,
    pub(crate) random: Random,
    pub(crate) copies: CopySettings,
    /// In some histories so long that nothing may depend on it. In these nothing rots: what rots twice is
    /// found again by comparisons only.
    pub(crate) compare_every: Duration,
    lookup: StoreLookup,
    pub(crate) begun: Instant,
    log: Mutex<String>,
    /// Groups where a record rotted since the last scrub. Another copy must not be lost meanwhile.
    pub(crate) rotten: BTreeSet<GroupName>,
    /// What was ordered and not taken back; `None` where a tracker that may have been the only one to
    /// know forgot it.
    pub(crate) wills: Option<BTreeMap<NodeNumber, Marks>>,
    addresses: u8,
    /// When a tracker lost its snapshot last, in Unix seconds.
    pub(crate) forgot: Option<u32>,
}

impl World {
    /// The life of a cluster, whose history is returned.
    pub(crate) async fn live(seed: u64) -> String {
        let mut world = Self::found(Random(seed));
        for idx in world.tracker_idxs() {
            world.start_tracker(idx);
        }
        for number in world.numbers() {
            world.start(number);
        }
        world.settled().await;
        let mut clients = Clients::new(&mut world);
        let events = 3 + world.random.below(6);
        for _ in 0..events {
            clients.work(&mut world, 4).await;
            world.strike(true).await;
            clients.work(&mut world, 6).await;
            if world.random.one_in(3) {
                world.tidy().await;
            }
            if !world.random.one_in(3) {
                world.relief();
                if world.random.one_in(2) {
                    world.settled().await;
                    world.scrub().await;
                    world.pardon().await;
                }
            }
        }
        world.relief();
        world.settled().await;
        world.scrub().await;
        world.settled().await;
        clients.check(&world).await;
        // Processes and network hold each other.
        for number in world.numbers() {
            world.network.kill_node(number);
        }
        for idx in world.tracker_idxs() {
            world.network.kill_tracker(idx);
        }
        std::mem::take(&mut *locked(&world.log))
    }

    /// Trackers, groups and nodes that do not run yet.
    fn found(mut random: Random) -> Self {
        let scarcity = if random.one_in(3) {
            Scarcity::Refuse
        } else {
            Scarcity::Degrade
        };
        let copies = CopySettings {
            ack_copies: 2,
            scarcity,
            // Small, so that everything needs several messages.
            portions: Portions {
                entries: 5,
                names: 3,
                content_len: 40,
                whole_len: 20,
                range_len: 16,
                fetched_first: 24,
            },
            fetch_rate: None,
        };
        let lookup = if random.one_in(2) {
            StoreLookup::RoundRobin
        } else {
            StoreLookup::LoadBalance
        };
        let compare_every = Duration::from_secs(random.pick(&[COMPARE_OFTEN, 3600]));
        let mut world = Self {
            network: Network::new(random.next()),
            machines: BTreeMap::new(),
            trackers: BTreeMap::new(),
            random,
            copies,
            compare_every,
            lookup,
            begun: Instant::now(),
            log: Mutex::default(),
            rotten: BTreeSet::new(),
            wills: Some(BTreeMap::new()),
            addresses: 0,
            forgot: None,
        };
        let trackers = 1 + u8::try_from(world.random.below(3)).unwrap();
        for idx in 0..trackers {
            world.trackers.insert(idx, TrackerMachine::default());
        }
        let groups = world.random.pick(&[1, 1, 1, 2, 2, 3]);
        for group in 1..=groups {
            let name = GroupName::from_bytes(format!("group{group}").as_bytes()).unwrap();
            for _ in 0..world.random.pick(&[1, 2, 2, 2, 3, 3]) {
                if world.machines.len() < NODES_MAX {
                    // Before this history, for which it has memories to lose.
                    let joined = world.unix() - DAY;
                    world.add_machine(name, joined);
                }
            }
        }
        world.note(&format!(
            "{trackers} trackers, {groups} groups, {scarcity:?}"
        ));
        world
    }

    /// A new node, which does not run yet.
    pub(crate) fn add_machine(&mut self, group: GroupName, joined: u32) -> NodeNumber {
        let number = u32::try_from(self.machines.len() + 1).unwrap();
        let number = NodeNumber::try_from(number).unwrap();
        let address = self.fresh_address();
        let machine = Machine::new(number, group, address, joined);
        self.machines.insert(number, machine);
        self.note(&format!("node {number} of {group} at {address}"));
        number
    }

    /// Unix seconds by a clock that is right.
    pub(crate) fn unix(&self) -> u32 {
        u32::try_from(EPOCH / 1_000_000 + self.begun.elapsed().as_secs()).unwrap()
    }

    /// An address that nobody ever had.
    pub(crate) fn fresh_address(&mut self) -> SocketAddr {
        self.addresses += 1;
        SocketAddr::from(([10, 0, 0, self.addresses], 23000))
    }

    pub(crate) fn note(&self, event: &str) {
        let at = self.begun.elapsed().as_micros();
        let _ = writeln!(locked(&self.log), "{at:>10} {event}");
    }

    /// All that happened so far.
    pub(crate) fn history(&self) -> String {
        locked(&self.log).clone()
    }

    pub(crate) fn numbers(&self) -> Vec<NodeNumber> {
        self.machines.keys().copied().collect()
    }

    pub(crate) fn tracker_idxs(&self) -> Vec<u8> {
        self.trackers.keys().copied().collect()
    }

    pub(crate) fn groups(&self) -> BTreeSet<GroupName> {
        self.machines.values().map(|it| it.group).collect()
    }

    /// The nodes of a group.
    pub(crate) fn group(&self, name: GroupName) -> Vec<NodeNumber> {
        let machines = self.machines.values().filter(|it| it.group == name);
        machines.map(|machine| machine.number).collect()
    }

    pub(crate) fn node(&self, number: NodeNumber) -> Arc<NodeProcess> {
        self.network.node(number).expect("all run")
    }

    pub(crate) fn any(&mut self) -> NodeNumber {
        let numbers = self.numbers();
        self.random.pick(&numbers)
    }

    /// Whether a change needs more than one node.
    pub(crate) fn is_strict(&self) -> bool {
        self.copies.scarcity == Scarcity::Refuse
    }

    pub(crate) fn start(&mut self, number: NodeNumber) {
        let trackers = self.tracker_idxs();
        let seed = self.random.next();
        let (begun, copies) = (self.begun, self.copies);
        if let Some(machine) = self.machines.get_mut(&number) {
            machine.start(
                copies,
                self.compare_every,
                &trackers,
                begun,
                seed,
                &self.network,
            );
        }
        self.note(&format!("node {number} starts"));
    }

    pub(crate) fn stop(&mut self, number: NodeNumber, style: CrashStyle) {
        let ended = self.network.kill_node(number);
        let Some(machine) = self.machines.get_mut(&number) else {
            return;
        };
        let random = &mut self.random;
        machine.disk.crash(style, || random.next());
        match style {
            CrashStyle::Power => machine.index.crash(|| random.next()),
            // Its operating system tells everybody that the connections ended.
            CrashStyle::Process => {
                if let Some(ended) = ended {
                    self.tell_end(&ended);
                }
            }
        }
        self.note(&format!("node {number} ends: {style:?}"));
    }

    fn tell_end(&self, ended: &NodeProcess) {
        let sessions = std::mem::take(&mut *locked(&ended.sessions));
        for (tracker, session) in sessions {
            let network = Arc::clone(&self.network);
            tokio::spawn(end_session(network, ended.number, tracker, session));
        }
        for other in self.group(ended.group) {
            let way = (Host::Node(ended.number), Host::Node(other));
            if let Some(process) = self.network.node(other)
                && self.network.passes(way.0, way.1)
            {
                process.replica.peer_left(ended.number);
            }
        }
    }

    pub(crate) fn start_tracker(&mut self, idx: u8) {
        let others = self.tracker_idxs();
        let (begun, lookup) = (self.begun, self.lookup);
        let now = self.unix();
        if let Some(machine) = self.trackers.get_mut(&idx) {
            if machine.starts != 0 && locked(&machine.snapshot).is_empty() {
                self.forgot = Some(now);
            }
            TrackerProcess::start(idx, machine, lookup, begun, &others, &self.network);
        }
        self.note(&format!("tracker {idx} starts"));
    }

    /// Looks for rot on all nodes, and waits until it is repaired.
    async fn scrub(&mut self) {
        for number in self.numbers() {
            let store = self.node(number).store();
            for volume in store.shared().volumes() {
                scrub_volume(store.shared(), volume).expect("readable");
            }
        }
        sleep(Duration::from_secs(10)).await;
        let mut damaged = BTreeSet::new();
        for number in self.numbers() {
            if !self.is_readable(number).await {
                damaged.insert(self.machines[&number].group);
            }
        }
        self.rotten.retain(|group| damaged.contains(group));
    }

    /// Whether every node of a group has followed every other to its end.
    pub(crate) fn is_settled(&self, group: GroupName) -> bool {
        let numbers = self.group(group);
        let peers = numbers.len() - 1;
        numbers.into_iter().all(|number| {
            let process = self.network.node(number);
            process.is_some_and(|process| process.is_settled(peers))
        })
    }

    /// Whether nothing would be lost with one of a group's copies.
    pub(crate) fn is_calm(&self, group: GroupName) -> bool {
        1 < self.group(group).len()
            && !self.rotten.contains(&group)
            && self.is_settled(group)
            && self.are_same(group)
    }

    /// Waits until all hosts have the same, which they must within a time.
    pub(crate) async fn settled(&mut self) {
        let deadline = Instant::now() + HEALING_MAX;
        loop {
            // Longer than a message and its answer take, and than a change waits to be fetched.
            sleep(Duration::from_secs(3)).await;
            let disagreement = self.disagreement();
            if disagreement.is_none() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "no agreement: {}\n{}\n{}",
                disagreement.unwrap_or_default(),
                self.differences(),
                self.history()
            );
        }
        self.note("settled");
        self.check_wills();
    }
}
