//! Two-step uploads by the project's own client, and by raw packets where it would not send them,
//! against a node with real files.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::client::{
    Address, ClientError, Content, FileInfo, Pool, PoolSettings, Prepared, StorageClient,
    UploadKind, UploadWriter,
};
use common::env::ShutdownTrigger;
use common::id::{Extension, FileId};
use common::rpc::{AcceptLimits, Connection, accept_connections, listen};
use common::web::anti_leech::Access;
use common::web::server::ServerLimits;
use common::wire::{AddressWidth, Command, HEADER_LEN};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::format::IndexKey;
use crate::index::Index as _;
use crate::node::Node;
use crate::service::{Service, ServiceMetrics};
use crate::settings::{Settings, StorePathSettings};
use crate::store::{Committer, Durability, MaintenanceSettings, Reserve};

/// Time within which everything here happens, many times over.
const DEADLINE: Duration = Duration::from_secs(30);
const MIB: usize = 1024 * 1024;

/// A node that serves its protocol, without trackers and background work.
struct Fixture {
    directory: TempDir,
    service: Arc<Service>,
    committers: Vec<Committer>,
    address: Address,
    pool: Pool,
    trigger: ShutdownTrigger,
    running: JoinHandle<()>,
}

impl Fixture {
    fn start() -> Self {
        Self::with(DEADLINE, Reserve::Bytes(0))
    }

    fn with(network_timeout: Duration, reserve: Reserve) -> Self {
        Self::open(tempfile::tempdir().unwrap(), network_timeout, reserve)
    }

    fn open(directory: TempDir, network_timeout: Duration, reserve: Reserve) -> Self {
        let registry = Registry::new();
        let settings = settings(&directory, network_timeout, reserve);
        let (node, committers) = Node::open(&settings, &registry).unwrap();
        let service = Arc::new(Service {
            node,
            metrics: Arc::new(ServiceMetrics::register(&registry).unwrap()),
            buffers: Arc::new(Semaphore::new(limits::UPLOAD_BUFFERS_LEN_MAX)),
            address_width: AddressWidth::V4,
            network_timeout,
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

    fn client(&self) -> StorageClient {
        StorageClient::new(self.pool.clone())
    }

    async fn begin(&self) -> UploadWriter {
        let lease = self.client().connect(&self.address).await.unwrap();
        let extension = Extension::from_bytes(b"jpg").unwrap();
        self.client().begin_upload_on(lease, None, extension)
    }

    async fn prepare(&self, content: &Bytes) -> Result<Prepared, ClientError> {
        let mut writer = self.begin().await;
        writer.write(content.clone()).await?;
        writer.finish().await
    }

    async fn raw(&self) -> Raw {
        let target = (self.address.host(), self.address.port());
        Raw(Connection::new(
            TcpStream::connect(target).await.unwrap(),
            DEADLINE,
        ))
    }

    async fn info(&self, id: &FileId) -> Result<FileInfo, ClientError> {
        self.client().file_info(&self.address, id).await
    }

    async fn read(&self, id: &FileId) -> Bytes {
        let client = self.client();
        let download = client.download(&self.address, id, 0, 0).await.unwrap();
        download.collect(64 * MIB).await.unwrap()
    }

    /// Entries of the index that are blobs or parts, and records that are needed.
    fn left(&self) -> u64 {
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
    async fn until_nothing_is_left(&self) {
        until("nothing is left", || {
            let free = self.service.buffers.available_permits();
            self.left() == 0 && free == limits::UPLOAD_BUFFERS_LEN_MAX
        })
        .await;
    }

    fn uploads(&self) -> (u64, u64, u64) {
        let counters = self.service.node.counters.snapshot();
        let bytes = counters.upload_bytes.success;
        (counters.upload.total, counters.upload.success, bytes)
    }

    /// Stops as the node does and gives the directory back.
    async fn stop(self) -> TempDir {
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

fn settings(directory: &TempDir, network_timeout: Duration, reserve: Reserve) -> Settings {
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
        heartbeat: DEADLINE,
        upload_priority: 10,
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

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("in time")
}

/// Looks until it is so, which other tasks and threads bring about.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
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
struct Raw(Connection<TcpStream>);

impl Raw {
    async fn send(&mut self, parts: &[&[u8]]) {
        self.0.send(&parts.concat()).await.unwrap();
    }

    /// The answer's status and body.
    async fn answer(&mut self) -> (Status, Bytes) {
        let header = within(self.0.header()).await.unwrap().expect("an answer");
        let body = self.0.body(&header, MIB).await.unwrap();
        (Status(header.status), body)
    }

    async fn ask(&mut self, command: Command) -> Status {
        self.send(&[&Header::request(command, 0).encode()]).await;
        self.answer().await.0
    }

    /// Waits until the node closes the connection.
    async fn expect_close(&mut self) {
        assert!(matches!(within(self.0.header()).await, Ok(None)));
    }
}

/// Header and head of a prepared upload.
fn head() -> Vec<u8> {
    let mut packet = BytesMut::new();
    PrepareHead {
        path: PathChoice::Any,
        extension: Extension::default(),
    }
    .encode(&mut packet);
    packet.to_vec()
}

fn chunk(content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).unwrap();
    [&len.to_be_bytes(), content].concat()
}

const END: &[u8] = &[0; 4];

/// Content of which no two stretches are alike.
fn content(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    });
    bytes.take(len).collect()
}

#[tokio::test]
async fn what_is_committed_is_there_to_the_byte_and_counted_once() {
    let fixture = Fixture::start();
    let lens = [0, 1, 64 * 1024, MIB - 1, MIB, MIB + 1, 5 * MIB + 4321];
    let mut bytes = 0;
    for (round, len) in (1..).zip(lens) {
        let content = content(len);
        let prepared = fixture.prepare(&content).await.unwrap();
        let id = *prepared.file_id();
        assert_eq!(prepared.size(), len as u64);
        assert_eq!(prepared.crc(), Crc32::of(&content));
        assert_eq!(id.name.extension(), "jpg");
        assert_eq!(fixture.uploads(), (round - 1, round - 1, bytes));
        assert_eq!(prepared.commit().await.unwrap(), id);
        bytes += len as u64;
        assert_eq!(fixture.uploads(), (round, round, bytes));
        assert_eq!(fixture.info(&id).await.unwrap().size, len as u64);
        assert!(fixture.read(&id).await == content, "{len} bytes");
    }
    let free = fixture.service.buffers.available_permits();
    assert_eq!(free, limits::UPLOAD_BUFFERS_LEN_MAX);
    fixture.stop().await;
}

#[tokio::test]
async fn a_committed_blob_survives_a_restart() {
    let fixture = Fixture::start();
    let content = content(2 * MIB + 5);
    let id = fixture.prepare(&content).await.unwrap().commit().await;
    let directory = fixture.stop().await;
    let fixture = Fixture::open(directory, DEADLINE, Reserve::Bytes(0));
    assert!(fixture.read(&id.unwrap()).await == content);
    fixture.stop().await;
}

/// What a process that is killed now leaves on the disk.
fn image(directory: &TempDir) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    copy(directory.path(), image.path());
    image
}

fn copy(from: &Path, to: &Path) {
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

#[tokio::test]
async fn a_node_killed_before_the_commit_has_nothing_after_its_restart() {
    let fixture = Fixture::start();
    for len in [70_000, 3 * MIB] {
        let prepared = fixture.prepare(&content(len)).await.unwrap();
        assert_eq!(
            0 < fixture.left(),
            MIB < len,
            "long content is in open parts"
        );
        let killed = image(&fixture.directory);
        let restarted = Fixture::open(killed, DEADLINE, Reserve::Bytes(0));
        restarted.until_nothing_is_left().await;
        let missing = restarted.info(prepared.file_id()).await.unwrap_err();
        assert_eq!(missing.code(), ErrorCode::NotFound);
        restarted.stop().await;
        prepared.abandon().await;
        fixture.until_nothing_is_left().await;
    }
    let id = fixture.prepare(&content(3 * MIB)).await.unwrap().commit();
    let id = id.await.unwrap();
    let restarted = Fixture::open(image(&fixture.directory), DEADLINE, Reserve::Bytes(0));
    assert!(restarted.read(&id).await == content(3 * MIB));
    restarted.stop().await;
    fixture.stop().await;
}

#[tokio::test]
async fn nobody_sees_what_is_prepared_and_abandoned_it_leaves_nothing() {
    let fixture = Fixture::start();
    let other = StorageClient::new(Pool::new(PoolSettings::default()));
    for len in [0, 70_000, 3 * MIB] {
        let prepared = fixture.prepare(&content(len)).await.unwrap();
        let id = *prepared.file_id();
        let missing = other.file_info(&fixture.address, &id).await.unwrap_err();
        assert_eq!(missing.code(), ErrorCode::NotFound);
        prepared.abandon().await;
        fixture.until_nothing_is_left().await;
        // The connection, the only one that there may be, goes on.
        let missing = fixture.info(&id).await.unwrap_err();
        assert_eq!(missing.code(), ErrorCode::NotFound);
    }
    assert_eq!(fixture.uploads(), (0, 0, 0));
    fixture.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_before_the_commit_leaves_nothing() {
    let fixture = Fixture::start();
    for len in [1, 70_000, 3 * MIB] {
        drop(fixture.prepare(&content(len)).await.unwrap());
        fixture.until_nothing_is_left().await;
        let mut writer = fixture.begin().await;
        writer.write(content(len)).await.unwrap();
        drop(writer);
        fixture.until_nothing_is_left().await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn an_aborted_content_leaves_nothing_and_the_connection_goes_on() {
    let fixture = Fixture::start();
    for len in [1, 70_000, 3 * MIB] {
        let mut writer = fixture.begin().await;
        writer.write(content(len)).await.unwrap();
        writer.abort().await;
        fixture.until_nothing_is_left().await;
        fixture
            .client()
            .active_test(&fixture.address)
            .await
            .unwrap();
    }
    let mut raw = fixture.raw().await;
    raw.send(&[&head(), &chunk(b"hello"), &[0xff; 4]]).await;
    assert_eq!(raw.answer().await, (Status::CANCELED, Bytes::new()));
    assert_eq!(raw.ask(Command::CommitUpload).await, Status::INVALID);
    assert_eq!(raw.ask(Command::ActiveTest).await, Status::OK);
    fixture.stop().await;
}

#[tokio::test]
async fn whatever_follows_instead_of_a_commit_abandons() {
    let fixture = Fixture::start();
    let mut raw = fixture.raw().await;
    for command in [Command::ActiveTest, Command::AbandonUpload] {
        raw.send(&[&head(), &chunk(&content(MIB)), &chunk(b"more"), END])
            .await;
        let (status, body) = raw.answer().await;
        let prepared = PreparedResponse::decode(&body).unwrap();
        assert_eq!((status, prepared.size), (Status::OK, MIB as u64 + 4));
        assert_eq!(raw.ask(command).await, Status::OK);
        fixture.until_nothing_is_left().await;
        assert_eq!(raw.ask(Command::CommitUpload).await, Status::INVALID);
        assert_eq!(raw.ask(Command::AbandonUpload).await, Status::INVALID);
    }
    // A second upload forgets the first one, and a commit with a body is none.
    raw.send(&[&head(), &chunk(b"first"), END]).await;
    raw.send(&[&head(), &chunk(b"second"), END]).await;
    raw.send(&[&Header::request(Command::CommitUpload, 1).encode(), b"x"])
        .await;
    assert_eq!(raw.answer().await.0, Status::OK);
    assert_eq!(raw.answer().await.0, Status::OK);
    assert_eq!(raw.answer().await.0, Status::INVALID);
    fixture.until_nothing_is_left().await;
    fixture.stop().await;
}

#[tokio::test]
async fn content_in_any_fragmentation_is_one_content() {
    let fixture = Fixture::start();
    let content = content(2 * MIB + 100_000);
    let mut raw = fixture.raw().await;
    raw.send(&[&head()]).await;
    // Chunks of all sizes up to the limit, each in two writes.
    let mut rest = &content[..];
    for len in [1, 2, 3, 16_381, 70_000, MIB, 1, 250_000]
        .into_iter()
        .cycle()
    {
        let (piece, behind) = rest.split_at(rest.len().min(len));
        rest = behind;
        let packet = chunk(piece);
        let (head, tail) = packet.split_at(packet.len() / 2);
        raw.send(&[head]).await;
        raw.send(&[tail]).await;
        if rest.is_empty() {
            break;
        }
    }
    raw.send(&[END]).await;
    let prepared = PreparedResponse::decode(&raw.answer().await.1).unwrap();
    assert_eq!(prepared.crc, Crc32::of(&content));
    assert_eq!(raw.ask(Command::CommitUpload).await, Status::OK);
    let id = FileId {
        group: prepared.group,
        name: prepared.name,
    };
    assert!(fixture.read(&id).await == content);
    fixture.stop().await;
}

#[tokio::test]
async fn an_upload_that_nobody_decides_about_is_abandoned_after_the_network_timeout() {
    let fixture = Fixture::with(Duration::from_millis(150), Reserve::Bytes(0));
    for packet in [
        // Prepared, but never committed, be it that a commit was begun.
        [&head()[..], &chunk(&content(70_000)), END, b""],
        [&head(), &chunk(&content(70_000)), END, &[0; HEADER_LEN - 1]],
        // Never finished.
        [&head(), &chunk(&content(MIB)), &chunk(b"more"), b""],
    ] {
        let mut raw = fixture.raw().await;
        raw.send(&packet).await;
        let mut answers = 0;
        while within(raw.0.header()).await.is_ok_and(|it| {
            it.is_some_and(|header| {
                assert_eq!(header.status, 0);
                header.body_len != 0
            })
        }) {
            answers += 1;
            raw.0.take(72).await.unwrap();
        }
        assert_eq!(answers, usize::from(packet[2] == END));
        fixture.until_nothing_is_left().await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_head_or_chunk_that_is_wrong_is_refused() {
    let fixture = Fixture::start();
    let mut raw = fixture.raw().await;
    // A bad extension and a path that does not exist: the content is read over.
    for (at, byte) in [(HEADER_LEN + 1, b'/'), (HEADER_LEN, 7)] {
        let mut bad = head();
        bad[at] = byte;
        raw.send(&[&bad, &chunk(&content(300_000)), &chunk(b"more"), END])
            .await;
        assert_eq!(raw.answer().await.0, Status::INVALID);
        assert_eq!(raw.ask(Command::ActiveTest).await, Status::OK);
    }
    // A body of known length is another layout.
    raw.send(&[
        &Header::request(Command::PrepareUpload, 7).encode(),
        &[0; 7],
    ])
    .await;
    assert_eq!(raw.answer().await.0, Status::INVALID);
    assert_eq!(raw.ask(Command::ActiveTest).await, Status::OK);
    // Behind a chunk that is too long nobody knows where the next one stands.
    let too_long = limits::UPLOAD_CHUNK_LEN_MAX + 1;
    raw.send(&[&head(), &chunk(&content(70_000)), &too_long.to_be_bytes()])
        .await;
    assert_eq!(raw.answer().await.0, Status::INVALID);
    raw.expect_close().await;
    fixture.until_nothing_is_left().await;
    fixture.stop().await;
}

#[tokio::test]
async fn without_room_an_upload_is_refused_and_the_connection_goes_on() {
    let fixture = Fixture::with(DEADLINE, Reserve::Bytes(u64::MAX));
    for len in [0, 70_000, 200_000] {
        let error = fixture.prepare(&content(len)).await.unwrap_err();
        assert_eq!(error.status(), Some(Status::NO_SPACE), "{len} bytes");
        fixture
            .client()
            .active_test(&fixture.address)
            .await
            .unwrap();
    }
    // A long content is not sent to its end.
    let mut writer = fixture.begin().await;
    let piece = content(MIB);
    let error = loop {
        assert!(writer.size() < 200 * MIB as u64, "the refusal is noticed");
        if let Err(error) = writer.write(piece.clone()).await {
            break error;
        }
    };
    assert_eq!(error.status(), Some(Status::NO_SPACE));
    let (total, success, _) = fixture.uploads();
    assert_eq!((total, success), (4, 0));
    fixture.stop().await;
}

#[tokio::test]
async fn an_upload_under_way_is_finished_and_committed_while_the_node_stops() {
    let fixture = Fixture::start();
    let content = content(MIB + 300_000);
    let mut writer = fixture.begin().await;
    writer.write(content.slice(..400_000)).await.unwrap();
    until("the node receives it", || {
        fixture.service.buffers.available_permits() < limits::UPLOAD_BUFFERS_LEN_MAX
    })
    .await;
    fixture.trigger.trigger();
    writer.write(content.slice(400_000..)).await.unwrap();
    let prepared = writer.finish().await.unwrap();
    let id = prepared.commit().await.unwrap();
    let directory = fixture.stop().await;
    let fixture = Fixture::open(directory, DEADLINE, Reserve::Bytes(0));
    assert!(fixture.read(&id).await == content);
    fixture.stop().await;
}

#[tokio::test]
async fn an_upload_that_nobody_decides_about_does_not_hold_a_node_that_stops() {
    let fixture = Fixture::start();
    let mut raw = fixture.raw().await;
    raw.send(&[&head(), &chunk(&content(MIB)), &chunk(b"more"), END])
        .await;
    assert_eq!(raw.answer().await.0, Status::OK);
    fixture.trigger.trigger();
    // Far sooner than the network timeout and the drain time, which are the deadline.
    let closed = timeout(DEADLINE / 2, raw.0.header()).await;
    assert!(matches!(closed, Ok(Ok(None))), "{closed:?}");
    fixture.until_nothing_is_left().await;
    fixture.stop().await;
}

#[tokio::test]
async fn prepared_uploads_count_in_memory_what_they_keep_there_and_no_more() {
    let fixture = Fixture::start();
    let used = || limits::UPLOAD_BUFFERS_LEN_MAX - fixture.service.buffers.available_permits();
    for (len, kept) in [(100, 0), (70_000, 70_000), (MIB, MIB), (3 * MIB, 0)] {
        let prepared = fixture.prepare(&content(len)).await.unwrap();
        assert_eq!(used(), kept, "{len} bytes");
        prepared.abandon().await;
        until("the memory is free", || used() == 0).await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn prepared_and_plain_uploads_share_a_connection() {
    let fixture = Fixture::start();
    let first = fixture.prepare(&content(1000)).await.unwrap().commit();
    let first = first.await.unwrap();
    let client = fixture.client();
    let plain = client.upload(
        &fixture.address,
        None,
        UploadKind::Normal,
        Extension::default(),
        Content::from(b"plain".as_slice()),
    );
    let plain = plain.await.unwrap();
    assert_eq!(fixture.read(&plain).await, "plain");
    assert!(fixture.read(&first).await == content(1000));
    assert_eq!(fixture.uploads(), (2, 2, 1005));
    fixture.stop().await;
}
