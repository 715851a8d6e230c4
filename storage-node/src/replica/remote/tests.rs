//! Nodes that call each other directly, over stores in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::id::{Extension, NewBlob, NodeNumber, RemoteName, VolumePath};
use tokio::time::Instant;

use super::super::fetching::{Fetching, Pace};
use super::super::link::{Link, LinkError};
use super::super::message::Parcel;
use super::super::{CopySettings, Portions, Replica, Scarcity, Stamps};
use super::*;
use crate::disk::MemoryDisk;
use crate::format::{IndexKey, Stamp};
use crate::index::MemoryIndex;
use crate::metrics::StoreMetrics;
use crate::store::{Condition, Durability, Engine, EngineSettings, PathStore, Reserve, Shared};

type TestReplica = Replica<MemoryDisk, MemoryIndex>;
type TestStore = GroupStore<MemoryDisk, MemoryIndex>;

const PATH: VolumePath = VolumePath(0);
/// Parts of the blob, each of this length.
const PARTS: [u8; 5] = *b"abcde";
const PART_LEN: usize = 10;
/// So little in a message that the blob takes several.
const SMALL: CopySettings = CopySettings {
    ack_copies: 2,
    scarcity: Scarcity::Degrade,
    fetch_rate: None,
    portions: Portions {
        entries: 5,
        names: 3,
        content_len: 40,
        whole_len: 20,
        range_len: 16,
        fetched_first: 24,
    },
};

/// A call that is answered at once, as long as the peer is up.
#[derive(Debug)]
struct Direct {
    from: NodeNumber,
    to: Arc<TestReplica>,
    is_up: Arc<AtomicBool>,
}

impl Link for Direct {
    fn call(&self, request: Parcel) -> BoxFuture<'static, Result<Parcel, LinkError>> {
        let (from, to, is_up) = (self.from, Arc::clone(&self.to), Arc::clone(&self.is_up));
        Box::pin(async move {
            if is_up.load(Ordering::Relaxed) {
                Ok(to.answer(from, request).await)
            } else {
                Err(LinkError::Silent)
            }
        })
    }

    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }
}

struct Node {
    number: NodeNumber,
    disk: MemoryDisk,
    replica: Arc<TestReplica>,
    is_up: Arc<AtomicBool>,
}

impl Node {
    /// Without peers.
    fn new(number: u32, settings: CopySettings) -> Self {
        let disk = MemoryDisk::new(1 << 20);
        let shared = Shared::new(
            PATH,
            disk.clone(),
            MemoryIndex::default(),
            StoreMetrics::unread(),
        );
        let engine_settings = EngineSettings {
            volume_len: 1 << 16,
            durability: Durability::Always,
            reserve: Reserve::Bytes(0),
            store: [u8::try_from(number).unwrap(); 16],
            log: number.into(),
        };
        let (engine, _) = Engine::open(Arc::new(shared.inline()), engine_settings).unwrap();
        let (store, committer) = PathStore::attach(engine, || std::future::ready(()));
        tokio::spawn(committer);
        let stamps = Stamps::new(number, Box::new(|| 1_700_000_000_000_000), Stamp(0));
        let number = NodeNumber::try_from(number).unwrap();
        let stores = BTreeMap::from([(PATH, store)]);
        Self {
            number,
            disk,
            replica: Replica::new(number, stores, stamps, settings),
            is_up: Arc::new(AtomicBool::new(true)),
        }
    }

    fn knows(&self, others: &[&Self]) {
        let peers = others.iter().map(|other| {
            let link = Direct {
                from: self.number,
                to: Arc::clone(&other.replica),
                is_up: Arc::clone(&other.is_up),
            };
            Peer {
                number: other.number,
                link: Arc::new(link),
            }
        });
        self.replica.set_peers(peers.collect());
    }

    fn store(&self) -> TestStore {
        self.replica.store(PATH).unwrap()
    }
}

fn key() -> Vec<u8> {
    let blob = NewBlob {
        volume_path: PATH,
        source: NodeNumber::try_from(1).unwrap(),
        time: 1_700_000_000,
        size: None,
        crc: Crc32(0),
        extension: Extension::default(),
        random: 1 << 32,
    };
    RemoteName::generate(&blob).to_key()
}

fn content() -> Vec<u8> {
    PARTS.iter().flat_map(|part| [*part; PART_LEN]).collect()
}

/// Stores a long blob with metadata on one node.
async fn store_blob(node: &Node) {
    let store = node.store();
    let mut parts = store.parts(1);
    for part in PARTS {
        parts.push(vec![part; PART_LEN].into()).await.unwrap();
    }
    parts.finish(key()).await.unwrap();
    let change = Box::new(|_: &[u8]| Some(b"metadata".to_vec()));
    store.change_metadata(key(), 1, change).await.unwrap();
}

async fn collect(mut pieces: super::super::GroupPieces<MemoryDisk, MemoryIndex>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

#[tokio::test]
async fn a_long_blob_of_a_peer_is_read_and_stays_there() {
    let (one, two) = (Node::new(1, SMALL), Node::new(2, SMALL));
    store_blob(&one).await;
    two.knows(&[&one]);
    let store = two.store();
    let blob = store.open(&key()).await.unwrap().unwrap();
    assert!(matches!(blob, GroupBlob::There(_)), "{blob:?}");
    let own = one.store().open(&key()).await.unwrap().unwrap();
    assert_eq!(
        (blob.len(), blob.version(), blob.crc(), blob.time()),
        (own.len(), own.version(), own.crc(), own.time())
    );
    let content = content();
    for range in [0..50, 0..1, 15..33, 49..50, 20..90, 50..60] {
        let got = collect(store.pieces(key(), &blob, range.clone())).await;
        let end = content.len().min(usize::try_from(range.end).unwrap());
        let start = usize::try_from(range.start).unwrap();
        assert_eq!(got, content[start..end], "{range:?}");
    }
    assert_eq!(
        store.checksum(key(), &blob).await.unwrap(),
        Crc32::of(&content)
    );
    let metadata = store.metadata(&key()).await.unwrap();
    assert_eq!(metadata.unwrap(), "metadata");
    assert!(store.shared().open_blob(&key()).await.unwrap().is_none());
    // Who changes it needs a copy.
    assert!(store.open_blob(&key()).await.unwrap().is_some());
}

#[tokio::test]
async fn another_peer_goes_on_where_the_first_one_ends() {
    let nodes: Vec<Node> = (1..=3).map(|number| Node::new(number, SMALL)).collect();
    let [one, two, three] = nodes.as_slice() else {
        panic!("three nodes");
    };
    store_blob(one).await;
    three.knows(&[one]);
    three.store().open_blob(&key()).await.unwrap().unwrap();
    two.knows(&[one, three]);
    let store = two.store();
    let blob = store.open(&key()).await.unwrap().unwrap();
    let mut pieces = store.pieces(key(), &blob, 0..50);
    let mut bytes = pieces.next().await.unwrap().unwrap().to_vec();
    one.is_up.store(false, Ordering::Relaxed);
    while let Some(piece) = pieces.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes, content());
    three.is_up.store(false, Ordering::Relaxed);
    let mut pieces = store.pieces(key(), &blob, 0..50);
    assert!(matches!(pieces.next().await, Err(StoreError::OutOfReach)));
}

#[tokio::test]
async fn a_node_that_cannot_keep_a_blob_reads_it_from_its_peer() {
    let (one, two) = (Node::new(1, SMALL), Node::new(2, SMALL));
    let content = Bytes::from_static(b"twenty bytes at most");
    let crc = Crc32::of(&content);
    let holder = one.store();
    holder.put(key(), 1, content.clone(), crc).await.unwrap();
    two.knows(&[&one]);
    two.disk.fail_writes(true);
    let store = two.store();
    let blob = store.open(&key()).await.unwrap().unwrap();
    assert!(matches!(blob, GroupBlob::There(_)), "{blob:?}");
    let got = collect(store.pieces(key(), &blob, 0..blob.len())).await;
    assert_eq!(got, content);
    // Who changes it needs a copy.
    let changed = store.open_blob(&key()).await;
    assert!(matches!(changed, Err(StoreError::OutOfReach)));
}

#[tokio::test]
async fn what_changed_meanwhile_is_not_mixed() {
    let (one, two) = (Node::new(1, SMALL), Node::new(2, SMALL));
    store_blob(&one).await;
    two.knows(&[&one]);
    let store = two.store();
    let blob = store.open(&key()).await.unwrap().unwrap();
    one.store().delete(key(), 2).await.unwrap();
    let mut pieces = store.pieces(key(), &blob, 0..50);
    assert!(matches!(pieces.next().await, Err(StoreError::Conflict)));
    assert!(store.open(&key()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_comes_no_faster_than_allowed() {
    let slow = CopySettings {
        fetch_rate: Some(10),
        ..SMALL
    };
    let (one, two) = (Node::new(1, SMALL), Node::new(2, slow));
    store_blob(&one).await;
    two.knows(&[&one]);
    let store = two.store();
    let peer = two.replica.peers().pop().unwrap();
    let names = vec![(IndexKey::BLOB, key())];
    let began = Instant::now();
    let pace = Pace::Throttled(&two.replica.throttle);
    let fetching = Fetching::new(&store, &peer, Condition::Newer, pace);
    fetching.run(names, u64::MAX).await.unwrap();
    assert!(store.shared().open_blob(&key()).await.unwrap().is_some());
    // 50 bytes at 10 bytes a second.
    assert_eq!(began.elapsed().as_millis() / 100, 50);
    assert!(began.elapsed() < Duration::from_millis(5100));
}
