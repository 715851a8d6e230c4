//! Who the peers are and how far their logs were followed, kept in `peers.json`.
//!
//! A place says what this node has of a peer only as long as this node's own log of the volume path is
//! the one that it was kept with: a replaced disk has another one, and nothing of what was followed.
//!
//! Losing the file costs a comparison of everything with each peer, so one that cannot be read is only
//! logged.
#![expect(
    clippy::disallowed_types,
    reason = "a small state file beside the volumes"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use common::env::clock;
use common::id::{NodeNumber, VolumePath};
use common::wire::report::NodeIdentity;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::format::{Position, VolumeNumber};
use crate::replica::message::LogPlace;

const FILE_NAME: &str = "peers.json";
const VERSION: u32 = 1;
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
pub(crate) struct PeerNumbers(Arc<RwLock<BTreeMap<NodeIdentity, NodeNumber>>>);

impl PeerNumbers {
    /// The number of a peer.
    pub(super) fn of(&self, identity: NodeIdentity) -> Option<NodeNumber> {
        let numbers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        numbers.get(&identity).copied()
    }
}

/// What is kept.
#[derive(Debug)]
pub(crate) struct Places {
    path: PathBuf,
    /// Unix seconds when this was written.
    seen: u32,
    kept: BTreeMap<NodeIdentity, Kept>,
    /// This node's own logs, to which the places belong.
    own: OwnLogs,
    numbers: PeerNumbers,
}

/// The numbers of this node's own logs.
pub(super) type OwnLogs = BTreeMap<VolumePath, u64>;

#[derive(Serialize, Deserialize)]
struct FileContent {
    version: u32,
    seen: u32,
    /// Without it, no place is believed.
    #[serde(default)]
    own: Vec<FileLog>,
    peers: Vec<FilePeer>,
}

#[derive(Serialize, Deserialize)]
struct FileLog {
    path: u8,
    log: u64,
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
    /// Loads what was kept in `directory`; nothing if there is nothing that can be read.
    pub(super) fn load(directory: &Path) -> io::Result<Self> {
        let path = directory.join(FILE_NAME);
        let nothing = Content::default();
        let Content { seen, own, kept } = match std::fs::read(&path) {
            Ok(bytes) => parse(&bytes).unwrap_or_else(|why| {
                warn!(file = %path.display(), why, "not readable; all is compared with the peers");
                nothing
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => nothing,
            Err(error) => return Err(error),
        };
        let numbers = PeerNumbers::default();
        let places = Self {
            path,
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

    /// Unix seconds when this node last said that it lives; 0 if it never did.
    pub(super) fn seen(&self) -> u32 {
        self.seen
    }

    /// Whether an earlier run was told that there are no peers.
    pub(crate) fn says_alone(&self) -> bool {
        self.seen != 0 && self.kept.is_empty()
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

    /// Where a peer's log was followed to by the node whose own log of the path has the number `own`.
    pub(super) fn get(
        &self,
        identity: NodeIdentity,
        path: VolumePath,
        own: u64,
    ) -> Option<LogPlace> {
        if self.own.get(&path) != Some(&own) {
            return None;
        }
        self.kept.get(&identity)?.places.get(&path).copied()
    }

    /// Whether an earlier run had this volume path, with another log than `own`.
    pub(crate) fn is_replaced(&self, path: VolumePath, own: u64) -> bool {
        self.own.get(&path).is_some_and(|known| *known != own)
    }

    /// The numbers of the peers, which follow every change.
    pub(crate) fn numbers(&self) -> PeerNumbers {
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

    /// Keeps `peers` with the places that belong to the logs `own`, if they are news or nothing was kept
    /// for a while.
    pub(super) async fn keep(
        &mut self,
        peers: BTreeMap<NodeIdentity, Kept>,
        own: OwnLogs,
    ) -> io::Result<()> {
        let now = clock::unix_seconds();
        if (&self.kept, &self.own) == (&peers, &own)
            && now.saturating_sub(self.seen) < KEEP_SECONDS_MAX
        {
            return Ok(());
        }
        let bytes = print(now, &own, &peers)?;
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &bytes)).await;
        written.unwrap_or_else(|_| Err(io::Error::other("interrupted")))?;
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

fn print(seen: u32, own: &OwnLogs, peers: &BTreeMap<NodeIdentity, Kept>) -> io::Result<Vec<u8>> {
    let peers = peers.iter().map(|(identity, kept)| FilePeer {
        identity: format!("{:032x}", u128::from_be_bytes(identity.0)),
        number: kept.number.get(),
        address: kept.address,
        places: kept
            .places
            .iter()
            .map(|(path, place)| FilePlace {
                path: path.0,
                log: place.log,
                volume: place.position.volume.0,
                offset: place.position.offset,
            })
            .collect(),
    });
    let content = FileContent {
        version: VERSION,
        seen,
        own: own
            .iter()
            .map(|(path, log)| FileLog {
                path: path.0,
                log: *log,
            })
            .collect(),
        peers: peers.collect(),
    };
    Ok(serde_json::to_vec_pretty(&content)?)
}

/// What the file says.
#[derive(Default)]
struct Content {
    seen: u32,
    own: OwnLogs,
    kept: BTreeMap<NodeIdentity, Kept>,
}

fn parse(bytes: &[u8]) -> Result<Content, String> {
    let content: FileContent = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if content.version != VERSION {
        return Err(format!("version {}", content.version));
    }
    let mut peers = BTreeMap::new();
    for peer in content.peers {
        let identity =
            u128::from_str_radix(&peer.identity, 16).map_err(|error| error.to_string())?;
        let number = NodeNumber::try_from(peer.number).map_err(|error| error.to_string())?;
        let mut places = BTreeMap::new();
        for place in peer.places {
            places.insert(
                VolumePath(place.path),
                LogPlace {
                    log: place.log,
                    position: Position {
                        volume: VolumeNumber(place.volume),
                        offset: place.offset,
                    },
                },
            );
        }
        peers.insert(
            NodeIdentity(identity.to_be_bytes()),
            Kept {
                number,
                address: peer.address,
                places,
            },
        );
    }
    let own = content.own.iter();
    Ok(Content {
        seen: content.seen,
        own: own.map(|own| (VolumePath(own.path), own.log)).collect(),
        kept: peers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_found_again_and_a_damaged_file_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut places = Places::load(directory.path()).unwrap();
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
        let (peers, own) = (
            BTreeMap::from([(identity, kept.clone())]),
            BTreeMap::from([(VolumePath(1), 77)]),
        );
        places.keep(peers.clone(), own).await.unwrap();
        let again = Places::load(directory.path()).unwrap();
        assert_eq!(again.peers(), [(identity, kept.number, kept.address)]);
        assert_eq!(again.get(identity, VolumePath(1), 77), Some(place));
        assert_eq!(again.get(identity, VolumePath(0), 77), None);
        assert!(!again.is_replaced(VolumePath(1), 77));
        assert_eq!(
            again.get(identity, VolumePath(1), 78),
            None,
            "what was followed is not on a disk with another log"
        );
        assert!(again.is_replaced(VolumePath(1), 78));
        assert_ne!(again.seen(), 0);
        assert_eq!(again.numbers().of(identity), Some(kept.number));
        std::fs::write(directory.path().join(FILE_NAME), b"{").unwrap();
        assert_eq!(Places::load(directory.path()).unwrap().len(), 0);
    }
}
