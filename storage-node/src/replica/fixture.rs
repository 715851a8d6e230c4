//! Nodes of a group that call each other directly, over stores in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::digest::Crc32;
use common::id::{Extension, NewBlob, NodeNumber, RemoteName, VolumePath};
use futures_util::future::BoxFuture;

use super::link::{Link, LinkError, Peer};
use super::message::Parcel;
use super::{CopySettings, GroupStore, Portions, Replica, Scarcity, Stamps};
use crate::disk::MemoryDisk;
use crate::format::Stamp;
use crate::index::MemoryIndex;
use crate::metrics::StoreMetrics;
use crate::store::{Durability, Engine, EngineSettings, PathStore, Reserve, Shared};

type TestReplica = Replica<MemoryDisk, MemoryIndex>;
pub(super) type TestStore = GroupStore<MemoryDisk, MemoryIndex>;

pub(super) const PATH: VolumePath = VolumePath(0);
/// Parts of the blob, each of this length.
const PARTS: [u8; 5] = *b"abcde";
const PART_LEN: usize = 10;
/// So little in a message that the blob takes several.
pub(super) const SMALL: CopySettings = CopySettings {
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

pub(super) struct Node {
    pub(super) number: NodeNumber,
    pub(super) disk: MemoryDisk,
    pub(super) replica: Arc<TestReplica>,
    pub(super) is_up: Arc<AtomicBool>,
}

impl Node {
    /// Without peers.
    pub(super) fn new(number: u32, settings: CopySettings) -> Self {
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

    pub(super) fn knows(&self, others: &[&Self]) {
        let peers = others.iter().map(|other| self.peer(other));
        self.replica.set_peers(peers.collect());
    }

    /// The way from this node to another one.
    pub(super) fn peer(&self, other: &Self) -> Peer {
        let link = Direct {
            from: self.number,
            to: Arc::clone(&other.replica),
            is_up: Arc::clone(&other.is_up),
        };
        Peer {
            number: other.number,
            link: Arc::new(link),
        }
    }

    pub(super) fn store(&self) -> TestStore {
        self.replica.store(PATH).unwrap()
    }
}

pub(super) fn key() -> Vec<u8> {
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

pub(super) fn content() -> Vec<u8> {
    PARTS.iter().flat_map(|part| [*part; PART_LEN]).collect()
}

/// Stores a long blob with metadata on one node.
pub(super) async fn store_blob(node: &Node) {
    let store = node.store();
    let mut parts = store.parts(1);
    for part in PARTS {
        parts.push(vec![part; PART_LEN].into()).await.unwrap();
    }
    parts.finish(key()).await.unwrap();
    let change = Box::new(|_: &[u8]| Some(b"metadata".to_vec()));
    store.change_metadata(key(), 1, change).await.unwrap();
}
