//! The node as a whole: its volume paths, what it tells trackers and Prometheus.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use common::env::{clock, entropy};
use common::id::{GroupName, NodeNumber, RemoteName, Source, VolumePath};
use common::wire::report::{
    NodeIdentity, NodeJoin, NodeReport, PathSpace, Progress, software_version,
};
use prometheus::Registry;
use tracing::{error, warn};

use crate::counters::Counters;
use crate::disk::{OsDisk, Space};
use crate::error::{OpenError, StoreError};
use crate::format::Stamp;
use crate::identity::Identity;
use crate::index::{IndexError, IndexSettings, RocksIndex};
use crate::layout;
use crate::metrics::StoreMetrics;
use crate::peers::{self, Followed, Standing};
use crate::replica::{GroupStore, Replica, Stamps};
use crate::report::ReportSource;
use crate::run::NodeError;
use crate::settings::Settings;
use crate::store::{
    Change, Committer, Durability, Engine, EngineSettings, PathStore, Recovery, Reserve, Shared,
    VOLUME_LEN_MIN,
};

const MIB: u64 = 1024 * 1024;
pub(crate) const VOLUMES_DIRECTORY: &str = "volumes";
pub(crate) const INDEX_DIRECTORY: &str = "index";
/// The index as it was, while `hayloft repair` makes the new one.
pub(crate) const OLD_INDEX_DIRECTORY: &str = "index.before-repair";

/// How the store of a volume path is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Identity of the node.
    pub store: [u8; 16],
    /// When a change is acknowledged.
    pub durability: Durability,
    /// Bytes of a new volume file.
    pub volume_len: u64,
    /// Space that uploads leave alone.
    pub reserve: Reserve,
    /// Memory of the index.
    pub index: IndexSettings,
}

/// A volume path that was opened.
pub struct OpenStore {
    /// The engine, ready for its committer.
    pub engine: Engine<OsDisk, RocksIndex>,
    /// What opening found.
    pub recovery: Recovery,
}

impl std::fmt::Debug for OpenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenStore")
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}

/// Opens `volume_path` below the store path `directory`. An index that `RocksDB` finds damaged is
/// thrown away and rebuilt. Blocks.
pub fn open_store(
    directory: &Path,
    volume_path: VolumePath,
    options: &StoreOptions,
    metrics: StoreMetrics,
) -> Result<OpenStore, OpenError> {
    // Left by a repair that was interrupted. Once the store changes, what it shows means nothing.
    let old = directory
        .join(volume_path.to_string())
        .join(OLD_INDEX_DIRECTORY);
    remove_directory(&old)?;
    open_beside_old_index(directory, volume_path, options, metrics)
}

/// [`open_store`] for a repair, which compares what it opens with the index from before.
pub(crate) fn open_beside_old_index(
    directory: &Path,
    volume_path: VolumePath,
    options: &StoreOptions,
    metrics: StoreMetrics,
) -> Result<OpenStore, OpenError> {
    let directory = directory.join(volume_path.to_string());
    let disk = OsDisk::open(&directory.join(VOLUMES_DIRECTORY))?;
    let index_directory = directory.join(INDEX_DIRECTORY);
    let index = match RocksIndex::open(&index_directory, &options.index) {
        Err(IndexError::Damaged(error)) => {
            warn!(path = %volume_path, %error, "the index is damaged and is thrown away");
            remove_index(&directory)?;
            RocksIndex::open(&index_directory, &options.index)?
        }
        opened => opened?,
    };
    let settings = EngineSettings {
        volume_len: options.volume_len,
        durability: options.durability,
        reserve: options.reserve,
        store: options.store,
        log: entropy::random_u64(),
    };
    let shared = Shared::new(volume_path, disk, index, metrics);
    let (engine, recovery) = Engine::open(Arc::new(shared), settings)?;
    Ok(OpenStore { engine, recovery })
}

/// Throws the index of a volume path away; the next opening rebuilds it. `directory` is that of the
/// volume path.
pub fn remove_index(directory: &Path) -> Result<(), std::io::Error> {
    remove_directory(&directory.join(INDEX_DIRECTORY))
}

fn remove_directory(directory: &Path) -> Result<(), std::io::Error> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A storage node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its group.
    pub(crate) group: GroupName,
    /// Its identity.
    pub(crate) identity: Identity,
    /// What it did since its start.
    pub(crate) counters: Counters,
    /// The copies of the group.
    pub(crate) replica: Arc<Replica>,
    /// How far the peers are followed.
    pub(crate) standing: Arc<Standing>,
    stores: BTreeMap<VolumePath, GroupStore>,
    reserve: Reserve,
    volume_len: u64,
    advertise: Option<IpAddr>,
    upload_priority: i32,
    started: u32,
    /// Ports, known once they are bound: of the protocol, of HTTP.
    ports: OnceLock<(u16, u16)>,
    next_path: AtomicUsize,
}

impl Node {
    /// Opens all volume paths. Blocks.
    pub(crate) fn open(
        settings: &Settings,
        registry: &Registry,
    ) -> Result<(Arc<Self>, Vec<Committer>), NodeError> {
        layout::check(&settings.store_paths)?;
        let directories = settings.store_paths.iter();
        let directories: Vec<&Path> = directories.map(|it| it.directory.as_path()).collect();
        let identity = Identity::load(
            &settings.state_directory,
            &directories,
            settings.group,
            settings.node_number,
        )?;
        let places = peers::load_places(&settings.state_directory).map_err(NodeError::Peers)?;
        let options = StoreOptions {
            store: identity.store,
            durability: settings.durability,
            volume_len: settings.volume_len,
            reserve: settings.reserve,
            index: IndexSettings::new(settings.index_cache_len),
        };
        let mut stores = BTreeMap::new();
        let mut seen = Stamp::default();
        let mut committers = Vec::new();
        for store_path in &settings.store_paths {
            for volume_path in store_path.volume_paths.iter().copied() {
                let directory = &store_path.directory;
                let metrics = StoreMetrics::new(&volume_path.to_string(), registry)?;
                let opened = open_store(directory, volume_path, &options, metrics);
                let opened = opened.map_err(|source| NodeError::Open {
                    directory: directory.clone(),
                    volume_path,
                    source,
                })?;
                seen = seen.max(opened.engine.stamp());
                let (store, committer) =
                    PathStore::start(opened.engine).map_err(NodeError::Thread)?;
                let shared = store.shared();
                if places.is_replaced(volume_path, shared.log_number())
                    && shared.status().volumes == 0
                {
                    warn!(
                        path = %volume_path, directory = %directory.display(),
                        "this volume path is empty and was not before; what peers hold is brought from \
                         them; remedy, if the disk was not replaced: stop the node, mount the disk, \
                         start the node"
                    );
                }
                stores.insert(volume_path, store);
                committers.push(committer);
            }
        }
        let stamps = Stamps::new(identity.number.get(), Box::new(clock::unix_micros), seen);
        let replica = Replica::new(identity.number, stores, stamps, settings.copies);
        if !settings.trackers.is_empty() {
            // Until a tracker tells.
            replica.await_peers();
        }
        let stores = replica.group_stores().collect();
        let node = Self {
            group: settings.group,
            identity,
            counters: Counters::default(),
            replica,
            standing: Arc::new(Standing::new(settings.trackers.is_empty())),
            stores,
            reserve: settings.reserve,
            volume_len: settings.volume_len,
            advertise: settings.advertise,
            upload_priority: settings.upload_priority,
            started: clock::unix_seconds(),
            ports: OnceLock::new(),
            next_path: AtomicUsize::new(0),
        };
        Ok((Arc::new(node), committers))
    }

    /// Tells the node which ports it got.
    pub(crate) fn set_ports(&self, storage: u16, http: u16) {
        // Called once, by the one that binds.
        let _ = self.ports.set((storage, http));
    }

    /// Makes everything durable and takes no more changes.
    pub(crate) async fn close(&self) {
        self.replica.close().await;
        for (path, store) in self.stores() {
            if let Err(error) = store.local().submit(Change::Close).await {
                error!(%path, error = &error as &dyn std::error::Error, "not closed cleanly");
            }
        }
    }

    /// The store of a volume path that the node holds.
    pub(crate) fn store(&self, path: VolumePath) -> Option<&GroupStore> {
        self.stores.get(&path)
    }

    /// All stores, by volume path.
    pub(crate) fn stores(&self) -> impl Iterator<Item = (VolumePath, &GroupStore)> {
        self.stores.iter().map(|(path, store)| (*path, store))
    }

    /// The store for an upload of `len` bytes to `wanted`, or to any path that has room.
    ///
    /// Like the original, a wanted path without room is an error; one that does not exist is too.
    pub(crate) fn store_for_upload(
        &self,
        wanted: Option<VolumePath>,
        len: u64,
    ) -> Result<(VolumePath, &GroupStore), UploadRefusal> {
        if let Some(path) = wanted {
            let store = self.store(path).ok_or(UploadRefusal::NoSuchPath)?;
            return self.has_room(store, len).map(|()| (path, store));
        }
        let start = self.next_path.fetch_add(1, Ordering::Relaxed);
        let count = self.stores.len();
        let mut refusal = UploadRefusal::NoSuchPath;
        for turn in 0..count {
            let Some((path, store)) = self.stores.iter().nth((start + turn) % count) else {
                continue;
            };
            match self.has_room(store, len) {
                Ok(()) => return Ok((*path, store)),
                Err(full) => refusal = full,
            }
        }
        Err(refusal)
    }

    fn has_room(&self, store: &GroupStore, len: u64) -> Result<(), UploadRefusal> {
        let shared = store.shared();
        let space = shared.space();
        let reserved = self.kept(space);
        let room = shared.active_room() + room_for_volumes(space.free, reserved, self.volume_len);
        if len < room {
            return Ok(());
        }
        Err(UploadRefusal::Full(StoreError::NoSpace {
            wanted: len,
            free: space.free,
            reserved,
        }))
    }

    /// Bytes of a file system that uploads leave alone: the reserve, and a volume's worth for
    /// compaction.
    fn kept(&self, space: Space) -> u64 {
        self.reserve.bytes(space).saturating_add(self.volume_len)
    }

    /// The address to tell clients for the source of an id: this node's own, the one that stands in
    /// an old id, or nothing.
    pub(crate) fn address_of(&self, source: Source) -> Option<IpAddr> {
        match source {
            Source::Node(number) if number == self.identity.number => self.advertise,
            Source::Node(_) => None,
            Source::Address(address) => Some(IpAddr::V4(address)),
        }
    }

    /// The node's number.
    pub(crate) fn number(&self) -> NodeNumber {
        self.identity.number
    }

    /// The store that may hold `name`.
    pub(crate) fn store_of(&self, name: &RemoteName) -> Option<&GroupStore> {
        self.store(name.volume_path())
    }

    /// How many bytes of what peers have are here, of the volume paths that are not complete.
    fn rebuild(&self, followed: &[Followed]) -> Progress {
        let mut progress = Progress::default();
        for (path, store) in self.stores() {
            if self.standing.is_complete(path) {
                continue;
            }
            let of_path = followed.iter().filter(|one| one.path == path);
            let total = of_path.map(|one| one.progress.live_bytes).max();
            let total = total.unwrap_or(0);
            progress.total += total;
            // The copy of a peer is cut into other parts, so this is close and not exact.
            progress.done += store.shared().status().live_bytes.min(total);
        }
        progress
    }

    fn path_space(&self, path: VolumePath, store: &GroupStore) -> PathSpace {
        let shared = store.shared();
        let space = shared.space();
        // Beyond the reserve, what uploads can really get: a tracker must not send them where they
        // are refused. What the active volume claimed but does not use is free.
        let usable =
            shared.active_room() + room_for_volumes(space.free, self.kept(space), self.volume_len);
        let reserved_mb = self.reserve.bytes(space).div_ceil(MIB);
        PathSpace {
            path,
            total_mb: space.total / MIB,
            free_mb: reserved_mb.min(space.free / MIB) + usable / MIB,
            reserved_mb,
            read_only: false,
            is_complete: self.standing.is_complete(path),
            records: shared.status().live_records,
        }
    }
}

/// Bytes that further volumes can take when `kept` of the `free` bytes are not for them. What is too
/// little for a volume is no room.
fn room_for_volumes(free: u64, kept: u64, volume_len: u64) -> u64 {
    let room = free.saturating_sub(kept);
    let last = room % volume_len.max(1);
    if last < volume_len.min(VOLUME_LEN_MIN) {
        room - last
    } else {
        room
    }
}

/// Why an upload is not taken.
#[derive(Debug)]
pub(crate) enum UploadRefusal {
    /// The node holds no such volume path.
    NoSuchPath,
    /// There is no room.
    Full(StoreError),
}

impl ReportSource for Node {
    fn join(&self) -> NodeJoin {
        let (storage_port, http_port) = self.ports.get().copied().unwrap_or_default();
        NodeJoin {
            identity: NodeIdentity(self.identity.store),
            number: self.identity.number,
            group: self.group,
            address: self.advertise,
            storage_port,
            http_port,
            joined: self.identity.joined,
            started: self.started,
            software: software_version(env!("CARGO_PKG_VERSION")),
            upload_priority: self.upload_priority,
            volume_paths: self.stores.keys().copied().collect(),
        }
    }

    fn report(&self) -> NodeReport {
        let paths = self
            .stores()
            .map(|(path, store)| self.path_space(path, store))
            .collect();
        let live = self
            .stores()
            // Tombstones are records too, and are not what keeps a group from being empty.
            .filter(|(_, store)| store.shared().has_blobs().unwrap_or(true))
            .map(|(_, store)| store.shared().status().live_records);
        let followed = self.standing.followed();
        NodeReport {
            phase: self.standing.phase(self.stores.keys().copied()),
            readable: true,
            writable: true,
            paths,
            counters: self.counters.snapshot(),
            connections: self.counters.connections(),
            changed_as_source: self.counters.changed(),
            changed_as_replica: 0,
            complete_up_to: clock::unix_seconds(),
            // Parts of big blobs count too: what matters is whether it is none.
            blobs: live.fold(0, u64::saturating_add),
            lag_ms: followed.iter().map(Followed::lag_ms).max().unwrap_or(0),
            under_replicated: self.replica.short(),
            unverified_age_s: self
                .stores()
                .map(|(_, store)| store.shared().unverified_age())
                .max()
                .unwrap_or(0),
            rebuild: self.rebuild(&followed),
            ..NodeReport::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_little_for_a_volume_is_no_room() {
        let room =
            |free, volume_len| room_for_volumes(free * MIB, 20 * MIB, volume_len * MIB) / MIB;
        assert_eq!(room(10, 16), 0);
        assert_eq!(room(35, 16), 0);
        assert_eq!(room(36, 16), 16);
        assert_eq!(room(67, 16), 32);
        // The last volume may be shorter than the others.
        assert_eq!(room(20 + 64 + 15, 64), 64);
        assert_eq!(room(20 + 64 + 17, 64), 64 + 17);
    }
}
