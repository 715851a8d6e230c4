//! Changes and questions against a tracker and nodes that say what a test wants.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use common::client::{GroupRecord, StorageRecord};
use common::code::ErrorCode;
use common::digest::Crc32;
use common::id::{BlobKind, NewBlob, NodeNumber, RemoteName, VolumePath};
use common::rpc::Connection;
use common::wire::storage::{
    ChunkHead, ExtendHead, FileInfo, PrepareHead, PreparedResponse, UploadKind,
};
use common::wire::tracker::{
    ClientDialect, Connections, FetchTarget, NodeAddress, NodeStatus, ReadWriteMode,
    StorageCounters, StoreTarget, encode_groups, encode_storages,
};
use common::wire::{AddressText, AddressWidth, Command, Header, NodeText, Status, encode_empty};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::*;
use crate::backend::{BlobExtension as _, BlobWriter as _, PreparedBlob as _};
use common::web::source::{BlobSource as _, Content, ReadPieces as _};

const TIMEOUT: Duration = Duration::from_secs(10);
const GROUP: &str = "group1";
const MIB: u64 = 1024 * 1024;

/// What a server does with a request.
enum Reply {
    /// Sends this packet.
    Packet(BytesMut),
    /// Says no.
    Status(Status),
    /// Closes the connection without a word.
    HangUp,
}

/// What a node says to everything.
type Says = fn() -> Reply;

/// A server on a port of its own that ends with the test.
struct Fake {
    port: u16,
    _task: JoinHandle<()>,
}

impl Fake {
    async fn start(reply: impl Fn(Command) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let reply = Arc::new(reply);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&reply)));
            }
        });
        Self { port, _task: task }
    }

    /// A node that answers every question for a blob and every change in the same way.
    async fn node(reply: Says) -> Self {
        Self::start(move |_| reply()).await
    }

    /// A tracker that lists these nodes of numbers from 1 on, and names the first for everything.
    async fn tracker(nodes: Vec<(u16, NodeStatus)>) -> ClusterBlobs {
        let tracker = Self::start(move |command| tracker_reply(command, &nodes)).await;
        let address = Address::new("127.0.0.1", tracker.port);
        ClusterBlobs::new(vec![address], PoolSettings::default()).unwrap()
    }
}

async fn serve(stream: TcpStream, reply: Arc<impl Fn(Command) -> Reply>) {
    let mut peer = Connection::new(stream, TIMEOUT);
    while let Ok(Some(header)) = peer.header().await {
        let command = Command::from_byte(header.command).unwrap();
        let packet = if command == Command::PrepareUpload {
            receive(&mut peer).await
        } else if command == Command::ExtendStaging {
            let piece = receive_extension(&mut peer).await;
            match reply(command) {
                Reply::Packet(_) => piece,
                Reply::Status(status) => Header::error(status).encode().as_slice().into(),
                Reply::HangUp => return,
            }
        } else {
            peer.body(&header, 1 << 20).await.unwrap();
            match reply(command) {
                Reply::Packet(packet) => packet,
                Reply::Status(status) => Header::error(status).encode().as_slice().into(),
                Reply::HangUp => return,
            }
        };
        if peer.send(&packet).await.is_err() {
            return;
        }
    }
}

/// Receives a prepared upload and answers it.
async fn receive(peer: &mut Connection<TcpStream>) -> BytesMut {
    let head = peer.take(PrepareHead::LEN).await.unwrap();
    let PrepareHead {
        kind, extension, ..
    } = PrepareHead::decode(&head).unwrap();
    let content = receive_chunks(peer).await;
    let size = match kind {
        UploadKind::Normal => Some(content.len() as u64),
        UploadKind::Appender => None,
    };
    let mut packet = BytesMut::new();
    PreparedResponse {
        group: GROUP.parse().unwrap(),
        size: content.len() as u64,
        crc: Crc32::of(&content),
        name: sized_name(1, size, Crc32::of(&content), extension),
    }
    .encode(&mut packet);
    packet
}

/// Receives an extension and says that it lies behind seven bytes.
async fn receive_extension(peer: &mut Connection<TcpStream>) -> BytesMut {
    let fixed = peer.take(ExtendHead::FIXED_LEN).await.unwrap();
    let name_len = ExtendHead::name_len(&fixed).unwrap();
    peer.take(name_len).await.unwrap();
    let content = receive_chunks(peer).await;
    let mut packet = BytesMut::new();
    piece(7, &content).encode_response(&mut packet);
    packet
}

fn piece(offset: u64, content: &[u8]) -> Piece {
    Piece {
        offset,
        len: content.len() as u64,
        crc: Crc32::of(content),
    }
}

async fn receive_chunks(peer: &mut Connection<TcpStream>) -> Vec<u8> {
    let mut content = Vec::new();
    while let ChunkHead::Content(len) =
        ChunkHead::decode(&peer.take(ChunkHead::LEN).await.unwrap()).unwrap()
    {
        content.extend_from_slice(&peer.take(len as usize).await.unwrap());
    }
    content
}

fn name(node: u32, content: &[u8], extension: Extension) -> RemoteName {
    let size = Some(content.len() as u64);
    sized_name(node, size, Crc32::of(content), extension)
}

fn sized_name(node: u32, size: Option<u64>, crc: Crc32, extension: Extension) -> RemoteName {
    RemoteName::generate(&NewBlob {
        volume_path: VolumePath(0),
        source: NodeNumber::try_from(node).unwrap(),
        time: 1_594_000_000,
        size,
        crc,
        extension,
        random: 7,
    })
}

/// A staging blob of the first node.
fn staging() -> FileId {
    FileId {
        group: GROUP.parse().unwrap(),
        name: sized_name(1, None, Crc32::of(b""), Extension::default()),
    }
}

/// A blob that the node of this number stored.
fn blob_of(node: u32) -> FileId {
    FileId {
        group: GROUP.parse().unwrap(),
        name: name(node, b"hello", Extension::default()),
    }
}

fn tracker_reply(command: Command, nodes: &[(u16, NodeStatus)]) -> Reply {
    let group = GROUP.parse().unwrap();
    let Some((port, _)) = nodes.first() else {
        return Reply::Status(Status::NOT_FOUND);
    };
    let node = NodeAddress {
        address: AddressText::from_bytes(b"127.0.0.1").unwrap(),
        port: *port,
    };
    let dialect = ClientDialect::default();
    let mut packet = BytesMut::new();
    if command == Command::QueryStoreAnyOne {
        let path = VolumePath(0);
        StoreTarget { group, node, path }.encode(AddressWidth::V4, &mut packet);
    } else if [Command::QueryUpdate, Command::QueryFetchOne].contains(&command) {
        FetchTarget { group, node }.encode(AddressWidth::V4, &mut packet);
    } else if command == Command::ListStorages {
        let records: Vec<_> = (1..)
            .zip(nodes)
            .map(|(id, node)| record(id, *node))
            .collect();
        encode_storages(&records, dialect, &mut packet);
    } else if command == Command::ListAllGroups {
        encode_groups([&group_record(nodes.len() as u64)], dialect, &mut packet);
    } else {
        return Reply::Status(Status::INVALID);
    }
    Reply::Packet(packet)
}

fn group_record(node_count: u64) -> GroupRecord {
    GroupRecord {
        name: GROUP.parse().unwrap(),
        total_mb: 100,
        free_mb: 60,
        reserved_mb: 10,
        trunk_free_mb: 0,
        node_count,
        storage_port: None,
        http_port: 0,
        readable_count: 2,
        writable_count: 1,
        write_node_idx: 0,
        volume_path_count: 1,
        subdir_count: 256,
        trunk_file: None,
    }
}

fn record(id: u32, (port, status): (u16, NodeStatus)) -> StorageRecord {
    let mut counters = StorageCounters::default();
    counters.upload.success = 11;
    StorageRecord {
        status,
        mode: ReadWriteMode::Both,
        id: NodeText::from_bytes(id.to_string().as_bytes()).unwrap(),
        address: AddressText::from_bytes(b"127.0.0.1").unwrap(),
        sync_source: NodeText::default(),
        version: common::wire::VersionText::from_bytes(b"0.1.0").unwrap(),
        join_time: 1,
        start_time: 2,
        total_mb: 100,
        free_mb: 60,
        reserved_mb: 10,
        upload_priority: 0,
        volume_path_count: 1,
        subdir_count: 256,
        write_path: 0,
        port,
        http_port: 0,
        connections: Connections::default(),
        counters,
        last_source_change: 3,
        last_replica_change: 0,
        last_synced: 0,
        last_heartbeat: 4,
        is_trunk_server: false,
    }
}

fn has_it() -> Reply {
    let mut packet = BytesMut::new();
    FileInfo {
        size: 5,
        time: 1_594_000_000,
        crc: Crc32::of(b"hello"),
        source: AddressText::default(),
    }
    .encode(AddressWidth::V4, &mut packet);
    Reply::Packet(packet)
}

fn done() -> Reply {
    let mut packet = BytesMut::new();
    encode_empty(&mut packet);
    Reply::Packet(packet)
}

fn lacks_it() -> Reply {
    Reply::Status(Status::NOT_FOUND)
}

fn fails() -> Reply {
    Reply::Status(Status::IO)
}

fn hangs_up() -> Reply {
    Reply::HangUp
}

/// What becomes of the question whether a blob of node 1 exists when the nodes answer so.
async fn exists(nodes: &[(Says, NodeStatus)]) -> Result<bool, ErrorCode> {
    let (mut fakes, mut listed) = (Vec::new(), Vec::new());
    for (reply, status) in nodes {
        let fake = Fake::node(*reply).await;
        listed.push((fake.port, *status));
        fakes.push(fake);
    }
    let blobs = Fake::tracker(listed).await;
    blobs
        .exists(&blob_of(1))
        .await
        .map_err(|error| error.code())
}

#[tokio::test]
async fn a_blob_exists_if_any_node_has_it_and_does_not_if_all_say_so() {
    use NodeStatus::{Active, Deleted, Offline};
    assert_eq!(exists(&[(has_it, Active)]).await, Ok(true));
    assert_eq!(exists(&[(lacks_it, Active)]).await, Ok(false));
    assert_eq!(
        exists(&[(lacks_it, Active), (has_it, Offline)]).await,
        Ok(true)
    );
    assert_eq!(
        exists(&[(lacks_it, Active), (lacks_it, Active)]).await,
        Ok(false)
    );
    // A removed node is not asked: the others hold what is left of the group.
    assert_eq!(
        exists(&[(has_it, Deleted), (lacks_it, Active)]).await,
        Ok(false)
    );
}

#[tokio::test]
async fn where_no_answer_is_certain_there_is_none() {
    use NodeStatus::{Active, Deleted, Offline};
    let unavailable = Err(ErrorCode::Unavailable);
    assert_eq!(exists(&[]).await, unavailable, "the tracker knows no node");
    assert_eq!(exists(&[(hangs_up, Active)]).await, unavailable);
    assert_eq!(
        exists(&[(lacks_it, Active), (hangs_up, Offline)]).await,
        unavailable
    );
    assert_eq!(
        exists(&[(lacks_it, Active), (fails, Active)]).await,
        Err(ErrorCode::Storage)
    );
    assert_eq!(
        exists(&[(lacks_it, Deleted)]).await,
        unavailable,
        "nobody was asked"
    );
    // The tracker has not heard of the node that stored the blob.
    let node = Fake::node(lacks_it).await;
    let blobs = Fake::tracker(vec![(node.port, Active)]).await;
    let error = blobs.exists(&blob_of(2)).await.unwrap_err();
    assert!(matches!(error, BlobsError::SourceUnknown));
}

#[tokio::test]
async fn a_delete_is_done_when_a_node_did_it_or_has_no_such_blob() {
    for (reply, outcome) in [
        (done as Says, Ok(())),
        (lacks_it, Ok(())),
        (fails, Err(ErrorCode::Storage)),
        (hangs_up, Err(ErrorCode::Interrupted)),
    ] {
        let node = Fake::node(reply).await;
        let blobs = Fake::tracker(vec![(node.port, NodeStatus::Active)]).await;
        let deleted = blobs.delete(&blob_of(1)).await;
        assert_eq!(deleted.map_err(|error| error.code()), outcome);
    }
    // A tracker that knows nobody has not said that the blob is gone.
    let error = Fake::tracker(vec![]).await.delete(&blob_of(1)).await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::Unavailable);
}

#[tokio::test]
async fn an_upload_is_written_named_and_committed() {
    let node = Fake::node(done).await;
    let blobs = Fake::tracker(vec![(node.port, NodeStatus::Active)]).await;
    let extension = Extension::from_bytes(b"jpg").unwrap();
    let mut writer = blobs.begin(extension).await.unwrap();
    writer.write(Bytes::from_static(b"hel")).await.unwrap();
    writer.write(Bytes::from_static(b"lo")).await.unwrap();
    let prepared = writer.finish().await.unwrap();
    let id = *prepared.file_id();
    assert_eq!(id.name, name(1, b"hello", extension));
    let stem = *prepared.file_id().name.stem();
    assert_eq!((stem.size(), stem.crc), (5, Crc32::of(b"hello")));
    assert_eq!(prepared.commit().await.unwrap(), id);
    blobs.close().await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_uncertain_and_a_refused_one_is_not() {
    for (reply, code) in [
        (hangs_up as Says, ErrorCode::Interrupted),
        (|| Reply::Status(Status::EXISTS), ErrorCode::Exists),
    ] {
        let node = Fake::node(reply).await;
        let blobs = Fake::tracker(vec![(node.port, NodeStatus::Active)]).await;
        let writer = blobs.begin(Extension::default()).await.unwrap();
        let prepared = writer.finish().await.unwrap();
        assert_eq!(prepared.commit().await.unwrap_err().code(), code);
    }
}

/// What a node says to an arrangement of "hello" in two pieces.
fn arranged() -> Reply {
    let mut packet = BytesMut::new();
    PreparedResponse {
        group: GROUP.parse().unwrap(),
        size: 5,
        crc: Crc32::of(b"hello"),
        name: name(1, b"hello", Extension::default()),
    }
    .encode(&mut packet);
    Reply::Packet(packet)
}

#[tokio::test]
async fn a_staged_upload_is_staged_extended_arranged_and_committed() {
    let node = Fake::start(|command| {
        if command == Command::ArrangeStaging {
            arranged()
        } else {
            done()
        }
    });
    let node = node.await;
    let blobs = Fake::tracker(vec![(node.port, NodeStatus::Active)]).await;
    let staged = blobs.stage(Extension::default()).await.unwrap();
    assert_eq!(staged.file_id().name.kind(), BlobKind::Appender);
    let staging = staged.commit().await.unwrap();
    let mut extending = blobs.extend(&staging).await.unwrap();
    extending.write(Bytes::from_static(b"lo")).await.unwrap();
    let last = extending.finish().await.unwrap();
    assert_eq!(last, piece(7, b"lo"));
    let pieces = [piece(0, b"hel"), last];
    let extension = Extension::default();
    let prepared = blobs.arrange(&staging, extension, &pieces).await.unwrap();
    let id = *prepared.file_id();
    assert_eq!(id.name, name(1, b"hello", extension));
    assert_eq!(prepared.commit().await.unwrap(), id);
    blobs.close().await;
}

#[tokio::test]
async fn that_a_staging_blob_is_gone_is_certain_only_from_a_node() {
    let (staging, extension) = (staging(), Extension::default());
    for (reply, code) in [
        (lacks_it as Says, ErrorCode::NotFound),
        (hangs_up, ErrorCode::Unavailable),
        (fails, ErrorCode::Storage),
        (|| Reply::Status(Status::NO_SPACE), ErrorCode::NoSpace),
    ] {
        let node = Fake::node(reply).await;
        let blobs = Fake::tracker(vec![(node.port, NodeStatus::Active)]).await;
        let mut extending = blobs.extend(&staging).await.unwrap();
        extending.write(Bytes::from_static(b"lo")).await.unwrap();
        assert_eq!(extending.finish().await.unwrap_err().code(), code);
        let pieces = [piece(0, b"hello")];
        let arranged = blobs.arrange(&staging, extension, &pieces);
        assert_eq!(arranged.await.unwrap_err().code(), code);
    }
    // A tracker that knows nobody has not said that the blob is gone.
    let blobs = Fake::tracker(vec![]).await;
    let error = blobs.extend(&staging).await.err().unwrap();
    assert_eq!(error.code(), ErrorCode::Unavailable);
    let arranged = blobs.arrange(&staging, extension, &[]);
    assert_eq!(arranged.await.unwrap_err().code(), ErrorCode::Unavailable);
}

#[tokio::test]
async fn ranges_of_a_staging_blob_are_read_one_after_the_other() {
    let node = Fake::start(|command| {
        if command == Command::Download {
            Reply::Packet(common::wire::response(b"he").into())
        } else {
            has_it()
        }
    });
    let node = node.await;
    let blobs = Fake::tracker(vec![(node.port, NodeStatus::Active)]).await;
    let opened = blobs.open(&staging()).await.unwrap();
    assert_eq!(opened.facts.size, 5);
    let Content::Pieces(mut reader) = opened.content else {
        panic!("it may be long")
    };
    // Each is a request of its own, wherever the last one ended.
    for range in [0..2, 2..4, 0..2] {
        assert_eq!(reader.read(range).await.unwrap(), "he");
    }
}

#[tokio::test]
async fn without_a_node_that_takes_writes_no_upload_begins() {
    let blobs = Fake::tracker(vec![]).await;
    let error = blobs.begin(Extension::default()).await.err().unwrap();
    assert_eq!(error.code(), ErrorCode::Unavailable);
}

#[tokio::test]
async fn the_state_of_the_cluster_is_what_the_tracker_lists() {
    let nodes = vec![(1001, NodeStatus::Active), (1002, NodeStatus::Offline)];
    let state = Fake::tracker(nodes).await.cluster().await.unwrap();
    let [group] = &state.groups[..] else {
        panic!("one group: {state:?}")
    };
    assert_eq!(group.name.as_str(), GROUP);
    let space = [group.space_total, group.space_free, group.space_reserved];
    assert_eq!(space, [100 * MIB, 60 * MIB, 10 * MIB]);
    assert_eq!((group.readable_count, group.writable_count), (2, 1));
    let [first, second] = &group.nodes[..] else {
        panic!("two nodes: {group:?}")
    };
    assert_eq!(
        (first.id.as_str(), first.address.as_str()),
        ("1", "127.0.0.1")
    );
    assert_eq!((first.port, first.status), (1001, NodeStatus::Active));
    assert_eq!((second.port, second.status), (1002, NodeStatus::Offline));
    assert_eq!([first.joined, first.started, first.last_change], [1, 2, 3]);
    assert_eq!((first.last_heartbeat, first.version.as_str()), (4, "0.1.0"));
    assert_eq!(first.counters.upload.success, 11);
    assert_eq!(first.space_free, 60 * MIB);
}
