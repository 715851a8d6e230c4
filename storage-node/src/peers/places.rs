//! Who the peers are and how far their logs were followed, kept in `peers.json`.
//!
//! The file lies apart from the volumes. A disk that was replaced, or an older copy of one, has not got
//! what was fetched up to these places; so the end of the node's own log is kept with them, and where
//! the volumes end earlier, or are others, the places mean nothing.
//!
//! Losing it costs a comparison of everything with each peer, so a file that cannot be read is only
//! logged.
#![expect(
    clippy::disallowed_types,
    reason = "a small state file beside the volumes"
)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use common::id::{NodeNumber, VolumePath};
use common::wire::report::NodeIdentity;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::format::{Position, VolumeNumber};
use crate::replica::message::LogPlace;

const FILE_NAME: &str = "peers.json";
const VERSION: u32 = 1;
/// Where the log of a volume path ends that never had a volume.
const LOG_START: Position = Position {
    volume: VolumeNumber(1),
    offset: 0,
};
/// Longest time without writing the file, for the time in it.
const KEEP_SECONDS_MAX: u32 = 3600;

/// What is kept of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) number: NodeNumber,
    pub(super) address: SocketAddr,
    pub(super) places: BTreeMap<VolumePath, LogPlace>,
}

/// Numbers of the peers, for who connects.
#[derive(Clone, Debug, Default)]
pub struct PeerNumbers(Arc<RwLock<BTreeMap<NodeIdentity, NodeNumber>>>);

impl PeerNumbers {
    /// The number of a peer.
    pub fn of(&self, identity: NodeIdentity) -> Option<NodeNumber> {
        let numbers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        numbers.get(&identity).copied()
    }
}

/// The seam to where places are kept.
pub trait Shelf: Debug + Send + Sync + 'static {
    /// The last text that was written; `None` if there was none.
    fn read(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the text, so that a crash leaves one of the two.
    fn write(&self, text: Vec<u8>) -> BoxFuture<'static, io::Result<()>>;
}

/// The file in a directory.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new(directory: &Path) -> Self {
        Self(directory.join(FILE_NAME))
    }
}

impl Shelf for Directory {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(&self.0) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, text: Vec<u8>) -> BoxFuture<'static, io::Result<()>> {
        let path = self.0.clone();
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || write(&path, &text)).await;
            written.unwrap_or_else(|_| Err(io::Error::other("interrupted")))
        })
    }
}

/// What is kept.
#[derive(Debug)]
pub struct Places {
    shelf: Box<dyn Shelf>,
    /// Unix seconds when this was written.
    seen: u32,
    kept: BTreeMap<NodeIdentity, Kept>,
    /// Where the node's own logs ended then.
    own: BTreeMap<VolumePath, LogPlace>,
    numbers: PeerNumbers,
}

#[derive(Serialize, Deserialize)]
struct FileContent {
    version: u32,
    seen: u32,
    peers: Vec<FilePeer>,
    /// Absent in files of earlier versions, whose places are not used.
    #[serde(default)]
    own: Vec<FilePlace>,
}

#[derive(Serialize, Deserialize)]
struct FilePeer {
    identity: String,
    number: u32,
    address: SocketAddr,
    places: Vec<FilePlace>,
}

#[derive(Serialize, Deserialize)]
struct FilePlace {
    path: u8,
    log: u64,
    volume: u32,
    offset: u64,
}

impl Places {
    /// Loads what was kept; nothing if there is nothing that can be read.
    pub fn load(shelf: Box<dyn Shelf>) -> io::Result<Self> {
        let nothing = Parsed::default();
        let Parsed { seen, kept, own } = match shelf.read()? {
            Some(bytes) => parse(&bytes).unwrap_or_else(|why| {
                warn!(file = ?shelf, why, "not readable; all is compared with the peers");
                nothing
            }),
            None => nothing,
        };
        let numbers = PeerNumbers::default();
        let places = Self {
            shelf,
            seen,
            kept,
            own,
            numbers,
        };
        let known = places.kept.iter();
        places.set_members(
            known
                .map(|(identity, kept)| (*identity, kept.number))
                .collect(),
        );
        Ok(places)
    }

    /// Forgets the places of volume paths whose own log is another one than when they were kept, or ends
    /// earlier: their volumes do not hold what was fetched. Gives these paths.
    pub(super) fn forget_foreign(
        &mut self,
        own: &BTreeMap<VolumePath, LogPlace>,
    ) -> Vec<VolumePath> {
        let is_kept = |path: &VolumePath| match (self.own.get(path), own.get(path)) {
            (Some(then), Some(now)) => then.log == now.log && then.position <= now.position,
            _ => false,
        };
        let foreign: Vec<_> = own.keys().copied().filter(|path| !is_kept(path)).collect();
        for kept in self.kept.values_mut() {
            kept.places.retain(|path, _| !foreign.contains(path));
        }
        foreign
    }

    /// Whether an earlier run had something in this volume path, with another log than `own`.
    pub(crate) fn is_replaced(&self, path: VolumePath, own: u64) -> bool {
        let known = self.own.get(&path);
        known.is_some_and(|known| known.log != own && LOG_START < known.position)
    }

    /// Unix seconds when this node last said that it lives; 0 if it never did.
    pub(super) fn seen(&self) -> u32 {
        self.seen
    }

    /// Whether these peers were kept.
    pub(super) fn has_kept<'a>(&self, mut peers: impl Iterator<Item = &'a NodeIdentity>) -> bool {
        peers.all(|peer| self.kept.contains_key(peer))
    }

    /// Peers that were known.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The peers that were known: identity, number, address.
    pub(super) fn peers(&self) -> Vec<(NodeIdentity, NodeNumber, SocketAddr)> {
        let kept = self.kept.iter();
        kept.map(|(identity, kept)| (*identity, kept.number, kept.address))
            .collect()
    }

    /// Where a peer's log was followed to.
    pub(super) fn get(&self, identity: NodeIdentity, path: VolumePath) -> Option<LogPlace> {
        self.kept.get(&identity)?.places.get(&path).copied()
    }

    /// The numbers of the peers, which follow every change.
    pub fn numbers(&self) -> PeerNumbers {
        self.numbers.clone()
    }

    pub(super) fn set_members(&self, members: BTreeMap<NodeIdentity, NodeNumber>) {
        let mut numbers = self
            .numbers
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *numbers = members;
    }

    /// Keeps `peers` if they are news, or nothing was kept for a while; `own` is where the node's own
    /// logs end, `now` in Unix seconds.
    pub(super) async fn keep(
        &mut self,
        peers: BTreeMap<NodeIdentity, Kept>,
        own: BTreeMap<VolumePath, LogPlace>,
        now: u32,
    ) -> io::Result<()> {
        // A log that only grew holds what it held.
        let is_same_log = |(path, place): (&VolumePath, &LogPlace)| {
            self.own.get(path).is_some_and(|kept| kept.log == place.log)
        };
        if self.kept == peers
            && own.iter().all(is_same_log)
            && now.saturating_sub(self.seen) < KEEP_SECONDS_MAX
        {
            return Ok(());
        }
        self.shelf.write(print(now, &peers, &own)?).await?;
        (self.seen, self.kept, self.own) = (now, peers, own);
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    // A place that is ahead of what was fetched would be a loss; the fetched bytes were synced before.
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// What a file tells.
#[derive(Debug, Default)]
struct Parsed {
    seen: u32,
    kept: BTreeMap<NodeIdentity, Kept>,
    own: BTreeMap<VolumePath, LogPlace>,
}

impl FilePlace {
    fn of((path, place): (&VolumePath, &LogPlace)) -> Self {
        Self {
            path: path.0,
            log: place.log,
            volume: place.position.volume.0,
            offset: place.position.offset,
        }
    }

    fn place(self) -> (VolumePath, LogPlace) {
        let position = Position {
            volume: VolumeNumber(self.volume),
            offset: self.offset,
        };
        let place = LogPlace {
            log: self.log,
            position,
        };
        (VolumePath(self.path), place)
    }
}

fn print(
    seen: u32,
    peers: &BTreeMap<NodeIdentity, Kept>,
    own: &BTreeMap<VolumePath, LogPlace>,
) -> io::Result<Vec<u8>> {
    let peers = peers.iter().map(|(identity, kept)| FilePeer {
        identity: format!("{:032x}", u128::from_be_bytes(identity.0)),
        number: kept.number.get(),
        address: kept.address,
        places: kept.places.iter().map(FilePlace::of).collect(),
    });
    let content = FileContent {
        version: VERSION,
        seen,
        peers: peers.collect(),
        own: own.iter().map(FilePlace::of).collect(),
    };
    Ok(serde_json::to_vec_pretty(&content)?)
}

fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let content: FileContent = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if content.version != VERSION {
        return Err(format!("version {}", content.version));
    }
    let mut peers = BTreeMap::new();
    for peer in content.peers {
        let identity =
            u128::from_str_radix(&peer.identity, 16).map_err(|error| error.to_string())?;
        let number = NodeNumber::try_from(peer.number).map_err(|error| error.to_string())?;
        let places = peer.places.into_iter().map(FilePlace::place).collect();
        peers.insert(
            NodeIdentity(identity.to_be_bytes()),
            Kept {
                number,
                address: peer.address,
                places,
            },
        );
    }
    Ok(Parsed {
        seen: content.seen,
        kept: peers,
        own: content.own.into_iter().map(FilePlace::place).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_found_again_and_a_damaged_file_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let load = || Places::load(Box::new(Directory::new(directory.path()))).unwrap();
        let mut places = load();
        assert_eq!(places.len(), 0);
        let identity = NodeIdentity([7; 16]);
        let place = LogPlace {
            log: u64::MAX,
            position: Position {
                volume: VolumeNumber(3),
                offset: 4096,
            },
        };
        let kept = Kept {
            number: NodeNumber::try_from(5).unwrap(),
            address: "127.0.0.1:23000".parse().unwrap(),
            places: BTreeMap::from([(VolumePath(1), place)]),
        };
        places
            .keep(
                BTreeMap::from([(identity, kept.clone())]),
                BTreeMap::from([(VolumePath(1), place)]),
                1_700_000_000,
            )
            .await
            .unwrap();
        let mut again = load();
        assert_eq!(again.peers(), [(identity, kept.number, kept.address)]);
        assert_eq!(again.get(identity, VolumePath(1)), Some(place));
        assert_eq!(again.get(identity, VolumePath(0)), None);
        assert_eq!(again.seen(), 1_700_000_000);
        assert_eq!(again.numbers().of(identity), Some(kept.number));
        let own = |log, offset| {
            let volume = VolumeNumber(3);
            let position = Position { volume, offset };
            BTreeMap::from([(VolumePath(1), LogPlace { log, position })])
        };
        assert!(again.is_replaced(VolumePath(1), 7), "another log");
        assert!(!again.is_replaced(VolumePath(1), u64::MAX));
        assert!(!again.is_replaced(VolumePath(0), 7), "nothing is known");
        assert_eq!(again.forget_foreign(&own(u64::MAX, 4096)), []);
        assert_eq!(again.get(identity, VolumePath(1)), Some(place));
        for foreign in [own(u64::MAX, 4095), own(7, 9000)] {
            let mut again = load();
            assert_eq!(again.forget_foreign(&foreign), [VolumePath(1)]);
            assert_eq!(again.get(identity, VolumePath(1)), None);
            assert_eq!(again.len(), 1, "who the peers are stands");
        }
        let empty = LogPlace {
            log: 1,
            position: LOG_START,
        };
        let own = BTreeMap::from([(VolumePath(1), empty)]);
        again
            .keep(BTreeMap::new(), own, 1_700_000_000)
            .await
            .unwrap();
        assert!(!load().is_replaced(VolumePath(1), 7), "nothing was there");
        std::fs::write(directory.path().join(FILE_NAME), b"{").unwrap();
        assert_eq!(load().len(), 0);
    }
}
