//! The pace of the scrub, over restarts. Time is simulated; only the clock of the wall is real.

use std::sync::Arc;

use bytes::Bytes;
use common::digest::Crc32;
use common::env::ShutdownTrigger;
use common::id::{Extension, NewBlob, NodeNumber, RemoteName, VolumePath};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::disk::MemoryDisk;
use crate::format::Version;
use crate::index::MemoryIndex;
use crate::metrics::StoreMetrics;
use crate::store::{Committer, Condition, Engine, EngineSettings, Reserve, Shared};

const HOUR: Duration = Duration::from_hours(1);
const VOLUME_LEN: u64 = 64 * 1024;
const VOLUMES: usize = 6;

/// A store of some volumes, and the file of its scrub.
struct Bench {
    disk: MemoryDisk,
    index: MemoryIndex,
    directory: tempfile::TempDir,
}

/// One life of the store.
struct Life {
    store: PathStore<MemoryDisk, MemoryIndex>,
    committer: Committer,
    trigger: ShutdownTrigger,
    running: JoinHandle<()>,
}

impl Bench {
    async fn new() -> Self {
        let bench = Self {
            disk: MemoryDisk::new(64 * VOLUME_LEN),
            index: MemoryIndex::default(),
            directory: tempfile::tempdir().unwrap(),
        };
        let life = bench.start(None);
        let payload = Bytes::from(vec![7; 50_000]);
        for number in 0..VOLUMES as u64 {
            let new = NewBlob {
                volume_path: VolumePath(0),
                source: NodeNumber::try_from(7).unwrap(),
                time: 1_700_000_000,
                size: None,
                crc: Crc32(0),
                extension: Extension::default(),
                random: number << 32,
            };
            let change = Change::Blob {
                key: RemoteName::generate(&new).to_key(),
                time: 1,
                version: Version::default(),
                crc: Crc32::of(&payload),
                payload: payload.clone(),
                condition: Condition::Asked,
            };
            life.store.submit(change).await.unwrap();
        }
        assert_eq!(life.store.shared().volumes().len(), VOLUMES);
        life.end().await;
        bench
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("scrub.json")
    }

    /// Opens the store and has it maintained: a step of the scrub, which is a volume, each hour.
    fn start(&self, scrub_interval: Option<Duration>) -> Life {
        let metrics = StoreMetrics::unread();
        let (disk, index) = (self.disk.clone(), self.index.clone());
        let shared = Arc::new(Shared::new(VolumePath(0), disk, index, metrics));
        let settings = EngineSettings {
            volume_len: VOLUME_LEN,
            durability: Durability::Always,
            reserve: Reserve::Bytes(0),
            store: [1; 16],
            log: 7,
        };
        let (engine, _) = Engine::open(shared, settings).unwrap();
        let (store, committer) = PathStore::start(engine).unwrap();
        let settings = MaintenanceSettings {
            durability: Durability::Always,
            sync_interval: HOUR * 1000,
            compaction_interval: HOUR * 1000,
            garbage_percent: None,
            compaction_rate: None,
            scrub_interval,
            scrub_rate: STEP_LEN / HOUR.as_secs(),
        };
        let (trigger, shutdown) = Shutdown::new();
        let maintenance = Maintenance::new(store.clone(), settings).with_scrub_file(self.file());
        Life {
            store,
            committer,
            trigger,
            running: tokio::spawn(maintenance.run(shutdown)),
        }
    }
}

impl Life {
    fn scrubbed(&self) -> u64 {
        self.store.shared().metrics.scrubbed_bytes.get()
    }

    async fn end(self) {
        self.trigger.trigger();
        self.running.await.unwrap();
        self.store.submit(Change::Close).await.unwrap();
        drop(self.store);
        self.committer.join();
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_restarts_all_the_time_verifies_everything_and_nothing_twice() {
    let bench = Bench::new().await;
    let interval = HOUR * 24;
    let mut scrubbed = Vec::new();
    for life in 0..4 {
        let running = bench.start(Some(interval));
        if life == 0 {
            sleep(interval).await;
        }
        // Two volumes fit: one at once and one an hour later.
        sleep(HOUR + HOUR / 2).await;
        scrubbed.push(running.scrubbed());
        running.end().await;
        let progress = ScrubProgress::load(&bench.file());
        assert_eq!(progress.pass.is_some(), life < 3, "{progress:?}");
    }
    let [first, second, third, fourth] = scrubbed[..] else {
        panic!("four lives: {scrubbed:?}")
    };
    assert_eq!([first, second], [third; 2], "two volumes in each life");
    assert_eq!(
        fourth, 0,
        "nothing was left of the pass, and the next one is not due"
    );
    assert!(50_000 * 2 <= first, "{first}");
    let progress = ScrubProgress::load(&bench.file());
    assert_ne!(progress.verified, 0);
    assert!(progress.verified <= progress.ended);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_the_oldest_unverified_byte_is_told_over_restarts() {
    let bench = Bench::new().await;
    let now = clock::unix_seconds();
    let told = ScrubProgress {
        verified: now - 5000,
        ended: now - 4000,
        pass: None,
    };
    told.save(&bench.file()).unwrap();
    for scrub_interval in [None, Some(HOUR * 24)] {
        let life = bench.start(scrub_interval);
        sleep(HOUR).await;
        let age = life.store.shared().unverified_age();
        assert!((5000..6000).contains(&age), "{age}");
        assert_eq!(life.scrubbed(), 0);
        life.end().await;
    }
    // It was never verified since its oldest volume was made, which was a moment ago.
    std::fs::remove_file(bench.file()).unwrap();
    let life = bench.start(None);
    sleep(HOUR).await;
    assert!(life.store.shared().unverified_age() < 1000);
    life.end().await;
}
