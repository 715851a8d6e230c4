//! The nodes, what happens to them, and the events of a history.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::id::{NodeNumber, VolumePath};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Random;
use super::clients::Clients;
use super::network::{Network, Process, SimLink, SimReplica};
use crate::disk::{CrashStyle, MemoryDisk};
use crate::error::StoreError;
use crate::format::RecordKind;
use crate::index::MemoryIndex;
use crate::metrics::StoreMetrics;
use crate::replica::message::LogPlace;
use crate::replica::{
    CopySettings, FollowSettings, Follower, GroupStore, PathProgress, Peer, Replica, Scarcity,
    Stamps,
};
use crate::store::{
    Change, Durability, Engine, EngineSettings, PathStore, Reserve, Shared, plan_volume,
    scrub_volume,
};
use crate::volume::{ScanDepth, ScanItem, Scanner};

pub(super) type SimStore = GroupStore<MemoryDisk, MemoryIndex>;

/// The only volume path.
pub(super) const PATH: VolumePath = VolumePath(0);
const VOLUME_LEN: u64 = 256 * 1024;
const DISK_LEN: u64 = 256 * VOLUME_LEN;
/// Unix microseconds when a history begins.
const EPOCH: u64 = 1_700_000_000_000_000;
/// Microseconds that tombstones are kept which all nodes have. No copy of a disk is older when it comes
/// back.
const TOMBSTONE_AGE: u64 = 60_000_000;

/// What a node keeps when its process ends.
struct Machine {
    disk: MemoryDisk,
    index: MemoryIndex,
    /// Places in the logs of peers, as they were last saved.
    places: Arc<Mutex<BTreeMap<NodeNumber, LogPlace>>>,
    /// What its clock is off by, in microseconds.
    clock: Arc<AtomicI64>,
    /// Milliseconds that a group of changes takes at most.
    slowness: Arc<AtomicU64>,
    progress: Vec<watch::Receiver<PathProgress>>,
    starts: u64,
    /// Whether its disk fails all writes.
    is_failing: bool,
    /// A copy of all that it keeps, and when it was made.
    copy: Option<(
        Instant,
        MemoryDisk,
        MemoryIndex,
        BTreeMap<NodeNumber, LogPlace>,
    )>,
}

/// Everything.
pub(super) struct World {
    pub(super) network: Arc<Network>,
    machines: BTreeMap<NodeNumber, Machine>,
    pub(super) random: Random,
    settings: CopySettings,
    started: Instant,
    log: Mutex<String>,
    /// Whether a record rotted since the last scrub. Another copy must not be lost meanwhile.
    is_rotten: bool,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// The life of a group, whose history is returned.
    pub(super) async fn live(seed: u64) -> String {
        let mut random = Random(seed);
        let count = 2 + random.below(2);
        let scarcity = if random.one_in(3) {
            Scarcity::Refuse
        } else {
            Scarcity::Degrade
        };
        let settings = CopySettings {
            ack_copies: 2,
            scarcity,
            fetch_rate: None,
        };
        let mut world = Self {
            network: Network::new(random.next()),
            machines: BTreeMap::new(),
            random,
            settings,
            started: Instant::now(),
            log: Mutex::default(),
            is_rotten: false,
        };
        world.note(&format!("{count} nodes, {scarcity:?}"));
        for number in 1..=count {
            let number = NodeNumber::try_from(u32::try_from(number).unwrap()).unwrap();
            let machine = Machine {
                disk: MemoryDisk::new(DISK_LEN),
                index: MemoryIndex::default(),
                places: Arc::default(),
                clock: Arc::default(),
                slowness: Arc::new(AtomicU64::new(3)),
                progress: Vec::new(),
                starts: 0,
                is_failing: false,
                copy: None,
            };
            world.machines.insert(number, machine);
        }
        for number in world.numbers() {
            world.start(number);
        }
        world.all_up().await;
        let mut clients = Clients::new(&mut world);
        let events = 3 + world.random.below(6);
        for _ in 0..events {
            clients.work(&mut world, 4).await;
            world.strike(true);
            clients.work(&mut world, 6).await;
            if world.random.one_in(3) {
                world.tidy().await;
            }
            if !world.random.one_in(3) {
                world.relief();
                if world.random.one_in(2) {
                    world.settled().await;
                    world.scrub().await;
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
            world.network.kill(number);
        }
        std::mem::take(&mut *locked(&world.log))
    }

    pub(super) fn note(&self, event: &str) {
        let at = self.started.elapsed().as_micros();
        let _ = writeln!(locked(&self.log), "{at:>10} {event}");
    }

    pub(super) fn numbers(&self) -> Vec<NodeNumber> {
        self.machines.keys().copied().collect()
    }

    /// The store of a node whose process runs.
    pub(super) fn store(&self, number: NodeNumber) -> Option<SimStore> {
        self.network.process(number)?.replica.store(PATH)
    }

    /// Opens a node's store, which recovers it, and connects it.
    fn start(&mut self, number: NodeNumber) {
        let others: Vec<NodeNumber> = self.numbers();
        let started = self.started;
        let seed = self.random.next();
        let Some(machine) = self.machines.get_mut(&number) else {
            return;
        };
        machine.starts += 1;
        machine.is_failing = false;
        machine.disk.fail_writes(false);
        let shared = Shared::new(
            PATH,
            machine.disk.clone(),
            machine.index.clone(),
            StoreMetrics::unread(),
        );
        let settings = EngineSettings {
            volume_len: VOLUME_LEN,
            durability: Durability::Always,
            reserve: Reserve::Bytes(0),
            store: [u8::try_from(number.get()).unwrap(); 16],
            log: u64::from(number.get()) << 32 | machine.starts,
        };
        let (engine, _) =
            Engine::open(Arc::new(shared.inline()), settings).expect("the store opens");
        let seen = engine.stamp();
        let (slowness, pace) = (Arc::clone(&machine.slowness), Mutex::new(Random(seed)));
        let (store, committer) = PathStore::attach(engine, move || {
            let most = slowness.load(Ordering::Relaxed) * 1000;
            sleep(Duration::from_micros(locked(&pace).below(most + 1)))
        });
        let offset = Arc::clone(&machine.clock);
        let clock = Box::new(move || {
            let elapsed = u64::try_from(started.elapsed().as_micros()).unwrap();
            (EPOCH + elapsed).saturating_add_signed(offset.load(Ordering::Relaxed))
        });
        let stamps = Stamps::new(number.get(), clock, seen);
        let stores = BTreeMap::from([(PATH, store)]);
        let replica: Arc<SimReplica> = Replica::new(number, stores, stamps, self.settings);
        let mut tasks = vec![tokio::spawn(committer).abort_handle()];
        let mut peers = Vec::new();
        for other in others.into_iter().filter(|other| *other != number) {
            let link = SimLink::new(&self.network, number, other);
            let watching = Arc::clone(&link).watch(Arc::downgrade(&replica));
            tasks.push(tokio::spawn(watching).abort_handle());
            peers.push(Peer {
                number: other,
                link,
            });
        }
        replica.set_peers(peers.clone());
        let mending = replica.store(PATH).expect("the path");
        tasks.push(tokio::spawn(async move { mending.mend().await }).abort_handle());
        machine.progress.clear();
        for peer in peers {
            let store = replica.store(PATH).expect("the path");
            let place = locked(&machine.places).get(&peer.number).copied();
            let settings = FollowSettings {
                patience: Duration::from_millis(500),
                grace: Duration::from_millis(20),
                retry: Duration::from_millis(100),
                compare_every: Duration::from_secs(20),
                tombstone_age: TOMBSTONE_AGE,
            };
            let other = peer.number;
            let (follower, progress) = Follower::new(store, peer, settings, place);
            tasks.push(tokio::spawn(async move { follower.follow().await }).abort_handle());
            machine.progress.push(progress.clone());
            let places = Arc::clone(&machine.places);
            let saving = async move {
                let mut progress = progress;
                // Saved late, as on a disk that nobody syncs for it.
                while progress.changed().await.is_ok() {
                    sleep(Duration::from_millis(200)).await;
                    if let Some(place) = progress.borrow_and_update().place {
                        locked(&places).insert(other, place);
                    }
                }
            };
            tasks.push(tokio::spawn(saving).abort_handle());
        }
        let process = Process {
            replica,
            tasks: Arc::new(Mutex::new(tasks)),
        };
        self.network.add(number, process);
        self.note(&format!("node {number} starts"));
    }

    fn stop(&mut self, number: NodeNumber, style: CrashStyle) {
        self.network.kill(number);
        let Some(machine) = self.machines.get_mut(&number) else {
            return;
        };
        let random = &mut self.random;
        machine.disk.crash(style, || random.next());
        if style == CrashStyle::Power {
            machine.index.crash(|| random.next());
        }
        self.note(&format!("node {number} ends: {style:?}"));
    }

    pub(super) fn any(&mut self) -> NodeNumber {
        let numbers = self.numbers();
        let idx = self.random.below(numbers.len() as u64);
        numbers[usize::try_from(idx).unwrap()]
    }

    /// All that happened so far.
    pub(super) fn history(&self) -> String {
        locked(&self.log).clone()
    }

    /// Whether a change needs more than one node.
    pub(super) fn is_strict(&self) -> bool {
        self.settings.scarcity == Scarcity::Refuse
    }

    /// Something goes wrong. Bytes rot only while nothing is under way: the only copy that there is
    /// so far may rot for good.
    pub(super) fn strike(&mut self, is_calm: bool) {
        let number = self.any();
        let other = self.any();
        match self.random.below(14) {
            0 => self.stop(number, CrashStyle::Process),
            1 => self.stop(number, CrashStyle::Power),
            2 => {
                for number in self.numbers() {
                    if self.network.process(number).is_some() {
                        self.stop(number, CrashStyle::Power);
                    }
                }
            }
            3 => {
                self.network.pause(number, true);
                self.note(&format!("node {number} stands still"));
            }
            4 if number != other => {
                self.network.cut(number, other);
                self.note(&format!("{number} does not reach {other}"));
            }
            5 if number != other => {
                self.network.cut(number, other);
                self.network.cut(other, number);
                self.note(&format!("{number} and {other} are apart"));
            }
            6 => {
                let machine = &self.machines[&number];
                let hours = self.random.below(7);
                let jump = i64::try_from(hours).unwrap() * 3_600_000_000 - 10_000_000_000;
                machine.clock.store(jump, Ordering::Relaxed);
                self.note(&format!("the clock of {number} jumps by {jump}"));
            }
            7 => {
                let machine = &self.machines[&number];
                machine.slowness.store(400, Ordering::Relaxed);
                self.note(&format!("the disk of {number} is slow"));
            }
            8 => self.wipe(number),
            9 | 10 if is_calm => self.rot(number),
            12 | 13 => self.restore(number),
            11 => {
                let machine = self.machines.get_mut(&number).expect("a node");
                machine.is_failing = true;
                machine.disk.fail_writes(true);
                self.note(&format!("the disk of {number} takes nothing"));
            }
            _ => {}
        }
    }

    /// Gives the space of a node's old volumes back, and has it forget old tombstones, as it does by
    /// itself now and then.
    pub(super) async fn tidy(&mut self) {
        let number = self.any();
        let Some(process) = self.network.process(number) else {
            return;
        };
        let Some(store) = self.store(number) else {
            return;
        };
        self.note(&format!("node {number} tidies up"));
        let forgetting = Arc::clone(&process.replica);
        let at = EPOCH + u64::try_from(self.started.elapsed().as_micros()).unwrap();
        let tidying = tokio::spawn(async move {
            let local = store.local();
            local.submit(Change::Seal).await?;
            for volume in store.shared().volumes() {
                let Some(changes) = plan_volume(store.shared(), &volume)? else {
                    continue;
                };
                for change in changes {
                    local.submit(change).await?;
                }
                match local.submit(Change::RemoveVolume(volume.number())).await {
                    Ok(_) | Err(StoreError::Conflict) => {}
                    Err(error) => return Err(error),
                }
            }
            let before = at.saturating_sub(TOMBSTONE_AGE);
            forgetting.forget_tombstones(PATH, before).await.map(drop)
        });
        process.adopt(tidying.abort_handle());
        // An error: the process ended, or its disk is what it is.
        let _ = tidying.await;
    }

    /// A byte of a needed record changes on one node's disk, while the others have the same.
    fn rot(&mut self, number: NodeNumber) {
        if self.is_rotten || !self.is_settled() || !self.are_same() {
            return;
        }
        let Some(store) = self.store(number) else {
            return;
        };
        let mut records = Vec::new();
        for volume in store.shared().volumes() {
            let end = volume.committed_end();
            let mut scanner =
                Scanner::new(volume.file(), volume.number(), 4096, ScanDepth::Headers);
            while scanner.offset() < end {
                let Ok(ScanItem::Record(record)) = scanner.next_item() else {
                    break;
                };
                let at = record.offset + record.header.payload_start();
                let is_content = record.header.kind != RecordKind::Filler;
                if is_content && 0 < record.header.payload_len {
                    records.push((volume.number(), at));
                }
            }
        }
        if records.is_empty() {
            return;
        }
        let idx = self.random.below(records.len() as u64);
        let (volume, at) = records[usize::try_from(idx).unwrap()];
        self.machines[&number]
            .disk
            .corrupt(volume, at, |bytes| bytes[0] ^= 1);
        self.is_rotten = true;
        self.note(&format!("rot at {at} of volume {volume} of node {number}"));
    }

    /// A node gets an old copy of all that it keeps, or such a copy is made. As with a disk that is
    /// lost, all nodes have the same at that moment.
    fn restore(&mut self, number: NodeNumber) {
        let is_calm = self.is_settled() && self.are_same() && !self.is_rotten;
        let machine = self.machines.get_mut(&number).expect("a node");
        let is_young = |at: Instant| u128::from(TOMBSTONE_AGE) > at.elapsed().as_micros();
        let copy = machine.copy.take_if(|(at, ..)| is_calm && is_young(*at));
        let Some((_, disk, index, places)) = copy else {
            let places = locked(&machine.places).clone();
            machine.copy = Some((
                Instant::now(),
                machine.disk.copy(),
                machine.index.copy(),
                places,
            ));
            self.note(&format!("the disk of node {number} is copied"));
            return;
        };
        self.stop(number, CrashStyle::Process);
        let machine = self.machines.get_mut(&number).expect("a node");
        machine.disk = disk;
        machine.index = index;
        *locked(&machine.places) = places;
        self.note(&format!("node {number} gets an old copy of its disk"));
        self.start(number);
    }

    /// A node loses its disk. What was acknowledged by it alone, as the settings may allow, would be
    /// lost with it, so it happens only while all nodes have the same.
    fn wipe(&mut self, number: NodeNumber) {
        let others_run = self
            .numbers()
            .into_iter()
            .all(|other| self.network.process(other).is_some());
        if self.is_rotten || !others_run || !self.is_settled() || !self.are_same() {
            return;
        }
        self.stop(number, CrashStyle::Process);
        if let Some(machine) = self.machines.get_mut(&number) {
            machine.disk = MemoryDisk::new(DISK_LEN);
            machine.index = MemoryIndex::default();
            locked(&machine.places).clear();
        }
        self.note(&format!("node {number} loses its disk"));
        self.start(number);
    }

    /// All that went wrong ends.
    fn relief(&mut self) {
        self.network.heal();
        for number in self.numbers() {
            let machine = &self.machines[&number];
            machine.slowness.store(3, Ordering::Relaxed);
            if machine.is_failing {
                // A new disk controller, say: the operator starts the node again.
                self.stop(number, CrashStyle::Process);
            }
            if self.network.process(number).is_none() {
                self.start(number);
            }
        }
        self.note("relief");
    }

    /// Looks for rot on all nodes, and waits until it is repaired.
    async fn scrub(&mut self) {
        for number in self.numbers() {
            let store = self.store(number).expect("all run");
            for volume in store.shared().volumes() {
                scrub_volume(store.shared(), volume).expect("readable");
            }
        }
        sleep(Duration::from_secs(10)).await;
        self.is_rotten = false;
    }

    async fn all_up(&self) {
        while !self.numbers().into_iter().all(|number| {
            self.network.process(number).is_some_and(|process| {
                let peers = process.replica.peers();
                peers.iter().all(|peer| peer.link.is_up())
            })
        }) {
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether every node has followed every other to its end and nothing is on its way.
    fn is_settled(&self) -> bool {
        self.machines.iter().all(|(number, machine)| {
            self.network.process(*number).is_some()
                && machine.progress.iter().all(|progress| {
                    let progress = progress.borrow();
                    progress.behind == 0 && progress.is_complete
                })
        })
    }

    /// How far each node has followed the others, for a message.
    fn progress(&self) -> String {
        let mut text = String::new();
        for (number, machine) in &self.machines {
            for progress in &machine.progress {
                let _ = writeln!(text, "{number} {:?}", *progress.borrow());
            }
        }
        text
    }

    /// Waits until all nodes have the same, which they must within a minute.
    pub(super) async fn settled(&self) {
        self.all_up().await;
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            // Longer than a message and its answer take, and than a change waits to be fetched.
            sleep(Duration::from_secs(3)).await;
            if self.is_settled() && self.are_same() {
                self.note("settled");
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the nodes do not become the same:\n{}\n{}\n{}",
                self.progress(),
                self.differences(),
                locked(&self.log)
            );
        }
    }
}
