//! A storage node: what it keeps, and its process, which is the real one but for sockets and disks.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::env::{Shutdown, ShutdownTrigger};
use common::id::{GroupName, NodeNumber};
use common::wire::report::NodeIdentity;
use futures_util::future::BoxFuture;
use storage_node::disk::MemoryDisk;
use storage_node::index::MemoryIndex;
use storage_node::metrics::StoreMetrics;
use storage_node::peers::{Group, PeerNumbers, Places, Shelf, Standing};
use storage_node::replica::{CopySettings, FollowSettings, GroupStore, Replica, Stamps};
use storage_node::report::{Directory, Members};
use storage_node::store::{Durability, Engine, EngineSettings, PathStore, Reserve, Shared};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::link::SimConnect;
use crate::network::{Network, Tasks};
use crate::random::{Random, locked};
use crate::report::{Reporting, Sessions};
use crate::world::{DISK_LEN, EPOCH, PATH, TOMBSTONE_AGE, VOLUME_LEN};

pub(crate) type SimReplica = Replica<MemoryDisk, MemoryIndex>;
pub(crate) type SimStore = GroupStore<MemoryDisk, MemoryIndex>;

/// A state file that survives the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryShelf(Arc<Mutex<Option<Vec<u8>>>>);

impl MemoryShelf {
    /// Another one with the same text.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(locked(&self.0).clone())))
    }
}

impl Shelf for MemoryShelf {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(locked(&self.0).clone())
    }

    fn write(&self, text: Vec<u8>) -> BoxFuture<'static, io::Result<()>> {
        let shelf = self.clone();
        Box::pin(async move {
            sleep(Duration::from_millis(5)).await;
            *locked(&shelf.0) = Some(text);
            Ok(())
        })
    }
}

/// A copy of all that a node keeps, and when it was made.
pub(crate) struct Backup {
    pub(crate) at: Instant,
    pub(crate) disk: MemoryDisk,
    pub(crate) index: MemoryIndex,
    pub(crate) shelf: MemoryShelf,
}

/// What a node keeps when its process ends.
pub(crate) struct Machine {
    pub(crate) number: NodeNumber,
    pub(crate) identity: NodeIdentity,
    pub(crate) group: GroupName,
    pub(crate) address: SocketAddr,
    pub(crate) disk: MemoryDisk,
    pub(crate) index: MemoryIndex,
    pub(crate) shelf: MemoryShelf,
    /// What its clock is off by, in microseconds.
    pub(crate) clock: Arc<AtomicI64>,
    /// Milliseconds that a group of changes takes at most.
    pub(crate) slowness: Arc<AtomicU64>,
    /// Unix seconds of its first start.
    pub(crate) joined: u32,
    pub(crate) starts: u64,
    /// Whether its disk takes nothing.
    pub(crate) is_failing: bool,
    pub(crate) backup: Option<Backup>,
    /// Blobs that it had before it lost its disk, which it must have again when it says that it is
    /// complete.
    pub(crate) owed: Vec<Vec<u8>>,
}

impl Machine {
    pub(crate) fn new(
        number: NodeNumber,
        group: GroupName,
        address: SocketAddr,
        joined: u32,
    ) -> Self {
        Self {
            number,
            identity: NodeIdentity([u8::try_from(number.get()).unwrap(); 16]),
            group,
            address,
            disk: MemoryDisk::new(DISK_LEN),
            index: MemoryIndex::default(),
            shelf: MemoryShelf::default(),
            clock: Arc::default(),
            slowness: Arc::new(AtomicU64::new(3)),
            joined,
            starts: 0,
            is_failing: false,
            backup: None,
            owed: Vec::new(),
        }
    }

    /// Loses all but who it is.
    pub(crate) fn wipe(&mut self) {
        self.disk = MemoryDisk::new(DISK_LEN);
        self.index = MemoryIndex::default();
        self.shelf = MemoryShelf::default();
    }

    /// Opens the store, which recovers it, joins the trackers and the group.
    pub(crate) fn start(
        &mut self,
        copies: CopySettings,
        compare_every: Duration,
        trackers: &[u8],
        begun: Instant,
        seed: u64,
        network: &Arc<Network>,
    ) {
        self.starts += 1;
        self.is_failing = false;
        self.disk.fail_writes(false);
        self.disk.set_total(DISK_LEN);
        let tasks = Tasks::default();
        let replica = self.open(copies, begun, seed, &tasks);
        // Until a tracker tells.
        replica.await_peers();
        let places = Places::load(Box::new(self.shelf.clone())).expect("readable");
        let standing = Arc::new(Standing::new(false));
        let numbers = places.numbers();
        let (directory, members) = Directory::new(trackers.len());
        let sessions = Sessions::default();
        let (trigger, shutdown) = Shutdown::new();
        let group = Group {
            replica: Arc::clone(&replica),
            standing: Arc::clone(&standing),
            own: self.identity,
            connect: Box::new(SimConnect {
                own: self.identity,
                number: self.number,
                network: Arc::clone(network),
            }),
            follow: FollowSettings {
                patience: Duration::from_millis(500),
                grace: Duration::from_millis(20),
                retry: Duration::from_millis(100),
                compare_every,
                tombstone_age: TOMBSTONE_AGE,
            },
            places,
        };
        let reporting = Arc::new(Reporting {
            number: self.number,
            identity: self.identity,
            group: self.group,
            address: self.address,
            joined: self.joined,
            replica: Arc::clone(&replica),
            standing: Arc::clone(&standing),
            directory,
            owed: Mutex::new(self.owed.clone()),
            sessions: Arc::clone(&sessions),
            network: Arc::clone(network),
        });
        let running = group.run(members.clone(), shutdown);
        tasks.adopt(tokio::spawn(running).abort_handle());
        for (idx, tracker) in trackers.iter().enumerate() {
            let reporting = Arc::clone(&reporting).keep_reporting(idx, *tracker);
            tasks.adopt(tokio::spawn(reporting).abort_handle());
        }
        let process = NodeProcess {
            number: self.number,
            identity: self.identity,
            group: self.group,
            started: Instant::now(),
            replica,
            standing,
            numbers,
            members,
            sessions,
            chance: Mutex::new(Random(seed ^ 0x5eed)),
            tasks,
            _trigger: trigger,
        };
        network.add_node(self.address, Arc::new(process));
    }

    fn open(
        &self,
        copies: CopySettings,
        begun: Instant,
        seed: u64,
        tasks: &Tasks,
    ) -> Arc<SimReplica> {
        let shared = Shared::new(
            PATH,
            self.disk.clone(),
            self.index.clone(),
            StoreMetrics::unread(),
        );
        let settings = EngineSettings {
            volume_len: VOLUME_LEN,
            durability: Durability::Always,
            reserve: Reserve::Bytes(0),
            store: self.identity.0,
            log: u64::from(self.number.get()) << 32 | self.starts,
        };
        let (engine, _) =
            Engine::open(Arc::new(shared.inline()), settings).expect("the store opens");
        let seen = engine.stamp();
        let (slowness, pace) = (Arc::clone(&self.slowness), Mutex::new(Random(seed)));
        let (store, committer) = PathStore::attach(engine, move || {
            let most = slowness.load(Ordering::Relaxed) * 1000;
            sleep(Duration::from_micros(locked(&pace).below(most + 1)))
        });
        tasks.adopt(tokio::spawn(committer).abort_handle());
        let offset = Arc::clone(&self.clock);
        let clock = Box::new(move || {
            let elapsed = u64::try_from(begun.elapsed().as_micros()).unwrap();
            (EPOCH + elapsed).saturating_add_signed(offset.load(Ordering::Relaxed))
        });
        let stamps = Stamps::new(self.number.get(), clock, seen);
        let stores = BTreeMap::from([(PATH, store)]);
        Replica::new(self.number, stores, stamps, copies)
    }
}

/// A process of a node, as long as it lives.
pub(crate) struct NodeProcess {
    pub(crate) number: NodeNumber,
    pub(crate) identity: NodeIdentity,
    pub(crate) group: GroupName,
    pub(crate) started: Instant,
    pub(crate) replica: Arc<SimReplica>,
    pub(crate) standing: Arc<Standing>,
    /// Whom it was told of.
    pub(crate) numbers: PeerNumbers,
    pub(crate) members: watch::Receiver<Members>,
    pub(crate) sessions: Sessions,
    /// What names are drawn with.
    chance: Mutex<Random>,
    pub(crate) tasks: Tasks,
    /// Its drop would be the signal to stop.
    _trigger: ShutdownTrigger,
}

impl NodeProcess {
    pub(crate) fn store(&self) -> SimStore {
        self.replica.store(PATH).expect("the path")
    }

    /// 64 bits that nobody can foresee, but for the seed.
    pub(crate) fn random(&self) -> u64 {
        locked(&self.chance).next()
    }

    /// Whether it has followed all `peers` to their ends and nothing is on its way.
    pub(crate) fn is_settled(&self, peers: usize) -> bool {
        let followed = self.standing.followed();
        let is_done = |one: &storage_node::peers::Followed| {
            one.is_up && one.progress.behind == 0 && one.progress.is_complete
        };
        followed.len() == peers && followed.iter().all(is_done)
    }
}
