//! A node with real files for tests of its service, the project's own client, and a peer that sends what
//! it likes.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::client::{
    Address, ClientError, FileInfo, Pool, PoolSettings, Prepared, StorageClient, UploadKind,
    UploadWriter,
};
use common::env::{Shutdown, ShutdownTrigger};
use common::id::{Extension, FileId};
use common::limits;
use common::rpc::allowed_hosts::AllowedHosts;
use common::rpc::auth::{Credentials, Encryption};
use common::rpc::{AcceptLimits, Connection, accept_connections, listen};
use common::secret::{Secret, Secrets};
use common::web::anti_leech::Access;
use common::web::server::ServerLimits;
use common::wire::report::NodeIdentity;
use common::wire::{AddressWidth, Command, Header, Status};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Gate, NoPeers, PeerService, Service, ServiceMetrics};
use crate::format::IndexKey;
use crate::index::Index as _;
use crate::node::Node;
use crate::replica::CopySettings;
use crate::settings::{Settings, StorePathSettings};
use crate::store::{Committer, Durability, MaintenanceSettings, Reserve};

/// Time within which everything here happens, many times over.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// The identity that the node shows to other nodes.
pub(super) const NODE: NodeIdentity = NodeIdentity([5; 16]);
pub(super) const MIB: usize = 1024 * 1024;

/// A node that serves its protocol, without trackers and background work.
pub(super) struct Fixture {
    pub(super) directory: TempDir,
    pub(super) service: Arc<Service>,
    pub(super) committers: Vec<Committer>,
    pub(super) address: Address,
    pub(super) pool: Pool,
    pub(super) trigger: ShutdownTrigger,
    pub(super) running: JoinHandle<()>,
}

impl Fixture {
    pub(super) fn start() -> Self {
        Self::with(DEADLINE, Reserve::Bytes(0))
    }

    pub(super) fn with(network_timeout: Duration, reserve: Reserve) -> Self {
        Self::open(tempfile::tempdir().unwrap(), network_timeout, reserve)
    }

    pub(super) fn open(directory: TempDir, network_timeout: Duration, reserve: Reserve) -> Self {
        let allowed_hosts = AllowedHosts::default();
        Self::with_peers(
            directory,
            network_timeout,
            reserve,
            allowed_hosts,
            Arc::new(NoPeers),
        )
    }

    pub(super) fn with_peers(
        directory: TempDir,
        network_timeout: Duration,
        reserve: Reserve,
        allowed_hosts: AllowedHosts,
        peers: Arc<dyn PeerService>,
    ) -> Self {
        let registry = Registry::new();
        let settings = settings(&directory, network_timeout, reserve);
        let (node, committers) = Node::open(&settings, &registry).unwrap();
        let service = Arc::new(Service {
            node,
            metrics: Arc::new(ServiceMetrics::register(&registry).unwrap()),
            buffers: Arc::new(Semaphore::new(limits::UPLOAD_BUFFERS_LEN_MAX)),
            address_width: AddressWidth::V4,
            network_timeout,
            gate: Gate::new(Credentials::new(NODE, &settings.secrets), allowed_hosts),
            peers,
        });
        let listener = listen(settings.listen).unwrap();
        let address = listener.local_addr().unwrap().into();
        let (trigger, shutdown) = Shutdown::new();
        let limits = AcceptLimits {
            connections_max: 100,
            drain: DEADLINE,
        };
        let (serving, signal) = (Arc::clone(&service), shutdown.clone());
        let running = tokio::spawn(accept_connections(
            listener,
            limits,
            shutdown,
            |_, _| {},
            move |stream, _| Arc::clone(&serving).serve(stream, signal.clone()),
        ));
        Self {
            directory,
            service,
            committers,
            address,
            pool: Pool::new(PoolSettings {
                // A second connection would hide that the first one is out of step.
                connections_max: 1,
                ..PoolSettings::default()
            }),
            trigger,
            running,
        }
    }

    pub(super) fn client(&self) -> StorageClient {
        StorageClient::new(self.pool.clone())
    }

    pub(super) async fn begin(&self) -> UploadWriter {
        let lease = self.client().connect(&self.address).await.unwrap();
        let extension = Extension::from_bytes(b"jpg").unwrap();
        let client = self.client();
        client.begin_upload_on(lease, None, UploadKind::Normal, extension)
    }

    pub(super) async fn prepare(&self, content: &Bytes) -> Result<Prepared, ClientError> {
        let mut writer = self.begin().await;
        writer.write(content.clone()).await?;
        writer.finish().await
    }

    pub(super) async fn raw(&self) -> Raw {
        let target = (self.address.host(), self.address.port());
        Raw(Connection::new(
            TcpStream::connect(target).await.unwrap(),
            DEADLINE,
        ))
    }

    pub(super) async fn info(&self, id: &FileId) -> Result<FileInfo, ClientError> {
        self.client().file_info(&self.address, id).await
    }

    pub(super) async fn read(&self, id: &FileId) -> Bytes {
        let client = self.client();
        let download = client.download(&self.address, id, 0, 0).await.unwrap();
        download.collect(64 * MIB).await.unwrap()
    }

    /// Entries of the index that are blobs or parts, and records that are needed.
    pub(super) fn left(&self) -> u64 {
        let mut left = 0;
        for (_, store) in self.service.node.stores() {
            for prefix in [IndexKey::BLOB, IndexKey::OPEN_PART, IndexKey::PART] {
                let mut count = |_: &[u8], _: &[u8]| {
                    left += 1;
                    ControlFlow::Continue(())
                };
                let index = &store.shared().index;
                index.scan(prefix, &[prefix], &mut count).unwrap();
            }
            left += store.shared().status().live_records;
        }
        left
    }

    /// Waits until no trace is left: of blobs, of parts, of memory.
    pub(super) async fn until_nothing_is_left(&self) {
        until("nothing is left", || {
            let free = self.service.buffers.available_permits();
            self.left() == 0 && free == limits::UPLOAD_BUFFERS_LEN_MAX
        })
        .await;
    }

    pub(super) fn uploads(&self) -> (u64, u64, u64) {
        let counters = self.service.node.counters.snapshot();
        let bytes = counters.upload_bytes.success;
        (counters.upload.total, counters.upload.success, bytes)
    }

    /// Stops as the node does and gives the directory back.
    pub(super) async fn stop(self) -> TempDir {
        self.pool.close().await;
        self.trigger.trigger();
        within(self.running).await.unwrap();
        self.service.node.close().await;
        let committers = self.committers;
        let joined =
            tokio::task::spawn_blocking(|| committers.into_iter().for_each(Committer::join));
        joined.await.unwrap();
        self.directory
    }
}

/// The secret of the node's cluster.
pub(super) fn secrets() -> Secrets {
    Secrets::new(Secret::try_from("the secret of these tests").unwrap())
}

pub(super) fn settings(
    directory: &TempDir,
    network_timeout: Duration,
    reserve: Reserve,
) -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        http_listen: "127.0.0.1:0".parse().unwrap(),
        address_width: AddressWidth::V4,
        group: "group1".parse().unwrap(),
        node_number: None,
        advertise: None,
        state_directory: directory.path().join("state"),
        store_paths: vec![StorePathSettings {
            directory: directory.path().join("data"),
            volume_paths: vec![common::id::VolumePath(0)],
        }],
        trackers: Vec::new(),
        secrets: secrets(),
        encryption: Encryption::default(),
        allowed_hosts: AllowedHosts::default(),
        heartbeat: DEADLINE,
        upload_priority: 10,
        copies: CopySettings::default(),
        compare_interval: DEADLINE,
        durability: Durability::Os,
        volume_len: 32 * MIB as u64,
        reserve,
        index_cache_len: 8 * MIB,
        maintenance: MaintenanceSettings {
            durability: Durability::Os,
            sync_interval: DEADLINE,
            compaction_interval: DEADLINE,
            garbage_percent: None,
            compaction_rate: None,
            scrub_interval: None,
            scrub_rate: 0,
        },
        connections_max: 100,
        network_timeout,
        access: Access::Public,
        http_limits: ServerLimits::default(),
        drain: DEADLINE,
    }
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("in time")
}

/// Looks until it is so, which other tasks and threads bring about.
pub(super) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let looks = async {
        while !is_so() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        timeout(DEADLINE, looks).await.is_ok(),
        "not in time: {what}"
    );
}

/// A connection that sends what it likes.
pub(super) struct Raw(pub(super) Connection<TcpStream>);

impl Raw {
    pub(super) async fn send(&mut self, parts: &[&[u8]]) {
        self.0.send(&parts.concat()).await.unwrap();
    }

    /// The answer's status and body.
    pub(super) async fn answer(&mut self) -> (Status, Bytes) {
        let header = within(self.0.header()).await.unwrap().expect("an answer");
        let body = self.0.body(&header, MIB).await.unwrap();
        (Status(header.status), body)
    }

    pub(super) async fn ask(&mut self, command: Command) -> Status {
        self.send(&[&Header::request(command, 0).encode()]).await;
        self.answer().await.0
    }

    /// Waits until the node closes the connection.
    pub(super) async fn expect_close(&mut self) {
        assert!(matches!(within(self.0.header()).await, Ok(None)));
    }
}

pub(super) fn chunk(content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).unwrap();
    [&len.to_be_bytes(), content].concat()
}

pub(super) const END: &[u8] = &[0; 4];

/// Content of which no two stretches are alike.
pub(super) fn content(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    });
    bytes.take(len).collect()
}

/// What a process that is killed now leaves on the disk.
pub(super) fn image(directory: &TempDir) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    copy(directory.path(), image.path());
    image
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
