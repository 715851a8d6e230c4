//! A tracker, a storage node and an HTTP server over one map in memory, for tests of the client
//! commands: small enough to be seen right, and able to misbehave on demand.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a double answers a few commands and panics at the others"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::client::Address;
use common::digest::Crc32;
use common::id::{FileId, GroupName, NewBlob, NodeNumber, RemoteName, VolumePath};
use common::rpc::Connection;
use common::wire::cluster::{self, ClusterStatus, GroupStatus, StatusPage};
use common::wire::storage::{
    AppendHead, BlobRequest, DownloadRequest, FileInfo, Metadata, MetadataMode, ModifyHead,
    QueryFileInfo, RegenerateRequest, SetMetadata, SlaveHead, StoredResponse, Streamed,
    TruncateRequest, UploadHead,
};
use common::wire::tracker::{
    ClientDialect, Connections, FetchTarget, GroupRecord, NodeAddress, NodeStatus, ReadWriteMode,
    Request, StorageCounters, StorageRecord, StoreTarget, encode_groups, encode_storages,
};
use common::wire::{AddressWidth, Command, Header, Status, encode_empty, encode_error, response};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Runs until dropped.
pub(crate) struct FakeCluster {
    pub(crate) tracker: Address,
    pub(crate) storage: Address,
    pub(crate) http_base: String,
    pub(crate) state: Arc<State>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) blobs: Mutex<HashMap<RemoteName, (Vec<u8>, Metadata)>>,
    counter: AtomicU64,
    /// Downloads that end after half of their bytes.
    pub(crate) broken_downloads: AtomicU64,
    /// Downloads whose last byte is wrong.
    pub(crate) rotten_downloads: AtomicU64,
}

impl Drop for FakeCluster {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl FakeCluster {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(State::default());
        let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (tracker, storage, http) = (bind().await, bind().await, bind().await);
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let address = |listener: &TcpListener| Address::new("127.0.0.1", port(listener));
        let node = NodeAddress {
            address: "127.0.0.1".parse().unwrap(),
            port: port(&storage),
        };
        let mut cluster = Self {
            tracker: address(&tracker),
            storage: address(&storage),
            http_base: format!("http://{}", address(&http)),
            state: Arc::clone(&state),
            tasks: Vec::new(),
        };
        for listener in [tracker, storage] {
            let state = Arc::clone(&state);
            cluster.tasks.push(tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&state), node));
                }
            }));
        }
        cluster.tasks.push(tokio::spawn(async move {
            while let Ok((stream, _)) = http.accept().await {
                tokio::spawn(serve_http(stream, Arc::clone(&state)));
            }
        }));
        cluster
    }

    pub(crate) fn content(&self, id: &FileId) -> Option<Vec<u8>> {
        let blobs = self.state.blobs.lock().unwrap();
        blobs.get(&id.name).map(|(content, _)| content.clone())
    }
}

fn group() -> GroupName {
    "group1".parse().unwrap()
}

async fn serve(stream: TcpStream, state: Arc<State>, node: NodeAddress) {
    stream.set_nodelay(true).unwrap();
    let mut connection = Connection::new(stream, Duration::from_secs(30));
    while let Ok(Some(header)) = connection.header().await {
        let body = connection.body(&header, 64 << 20).await.unwrap();
        let command = Command::from_byte(header.command).unwrap();
        let mut out = BytesMut::new();
        match command {
            Command::Quit => return,
            Command::Download => {
                if !download(&mut connection, &state, &body).await {
                    return;
                }
            }
            _ => match state.storage_command(command, &body) {
                Some(Ok(answer)) => out.extend_from_slice(&answer),
                Some(Err(status)) => encode_error(&mut out, status),
                None => tracker_command(&header, &body, node, &mut out),
            },
        }
        if connection.send(&out).await.is_err() {
            return;
        }
    }
}

fn tracker_command(header: &Header, body: &[u8], node: NodeAddress, out: &mut BytesMut) {
    let (width, group) = (AddressWidth::V4, group());
    let path = VolumePath(0);
    if header.command == Command::ClusterStatus as u8 {
        let mut body = BytesMut::new();
        cluster_status(node).encode(&mut body);
        out.extend_from_slice(&response(&body));
        return;
    }
    match Request::decode(header.command, body).unwrap() {
        Request::QueryStore { .. } => StoreTarget { group, node, path }.encode(width, out),
        Request::QueryFetch { .. } | Request::QueryUpdate { .. } => {
            FetchTarget { group, node }.encode(width, out);
        }
        Request::ActiveTest => encode_empty(out),
        Request::ListAllGroups => encode_groups([&group_record()], ClientDialect::default(), out),
        Request::ListStorages { .. } => {
            encode_storages([&storage_record(node)], ClientDialect::default(), out);
        }
        other => panic!("{other:?}"),
    }
}

fn cluster_status(node: NodeAddress) -> StatusPage {
    let node = cluster::NodeStatus {
        number: 1,
        address: format!("{}:{}", node.address, node.port),
        state: "active".to_owned(),
        is_alive: true,
        last_report: 3,
        ..cluster::NodeStatus::default()
    };
    let group = GroupStatus {
        name: group().to_string(),
        total_bytes: 1 << 30,
        free_bytes: 1 << 29,
        nodes: vec![node],
        ..GroupStatus::default()
    };
    StatusPage {
        status: ClusterStatus {
            groups: vec![group],
            ..ClusterStatus::default()
        },
        next: None,
    }
}

fn group_record() -> GroupRecord {
    GroupRecord {
        name: group(),
        total_mb: 1024,
        free_mb: 512,
        reserved_mb: 10,
        trunk_free_mb: 0,
        node_count: 1,
        storage_port: None,
        http_port: 0,
        readable_count: 1,
        writable_count: 1,
        write_node_idx: 0,
        volume_path_count: 1,
        subdir_count: 256,
        trunk_file: None,
    }
}

fn storage_record(node: NodeAddress) -> StorageRecord {
    StorageRecord {
        status: NodeStatus::Active,
        mode: ReadWriteMode::Both,
        id: "1".parse().unwrap(),
        address: node.address,
        sync_source: "".parse().unwrap(),
        version: "0.1.0".parse().unwrap(),
        join_time: 1,
        start_time: 2,
        total_mb: 1024,
        free_mb: 512,
        reserved_mb: 10,
        upload_priority: 10,
        volume_path_count: 1,
        subdir_count: 256,
        write_path: 0,
        port: node.port,
        http_port: 0,
        connections: Connections::default(),
        counters: StorageCounters::default(),
        last_source_change: 0,
        last_replica_change: 0,
        last_synced: 0,
        last_heartbeat: 3,
        is_trunk_server: false,
    }
}

/// `false` when the connection shall break.
async fn download(connection: &mut Connection<TcpStream>, state: &State, body: &[u8]) -> bool {
    let request = DownloadRequest::decode(body).unwrap();
    let content = {
        let blobs = state.blobs.lock().unwrap();
        blobs.get(&request.name).map(|(content, _)| content.clone())
    };
    let range = content
        .as_ref()
        .map(|content| request.range(content.len() as u64).unwrap());
    let (Some(content), Some(range)) = (content, range) else {
        let refusal = Header::error(Status::NOT_FOUND).encode();
        return connection.send(&refusal).await.is_ok();
    };
    let mut piece = content
        [usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
        .to_vec();
    if take_one(&state.rotten_downloads) {
        *piece.last_mut().unwrap() ^= 1;
    }
    let header = Header::success(piece.len() as u64).encode();
    connection.send(&header).await.unwrap();
    if take_one(&state.broken_downloads) {
        piece.truncate(piece.len() / 2);
        connection.send(&piece).await.unwrap();
        return false;
    }
    connection.send(&piece).await.is_ok()
}

/// Takes one of a number of misbehaviours, if any is left.
fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

impl State {
    /// `None` for commands of a tracker.
    fn storage_command(&self, command: Command, body: &[u8]) -> Option<Result<Bytes, Status>> {
        let done = || Ok(response(b""));
        Some(match command {
            Command::Upload | Command::UploadAppender => {
                let (fixed, content) = body.split_at(UploadHead::FIXED_LEN);
                let head = UploadHead::decode(fixed, b"").unwrap();
                let size = (command == Command::Upload).then_some(head.size);
                let name = self.new_name(size, content, head.extension);
                self.insert(name, content);
                Ok(stored(name))
            }
            Command::UploadSlave => {
                let (head, content) = split::<SlaveHead>(body);
                let name = head.master.slave(head.prefix, head.extension).unwrap();
                if self.blobs.lock().unwrap().contains_key(&name) {
                    return Some(Err(Status::EXISTS));
                }
                self.insert(name, content);
                Ok(stored(name))
            }
            Command::Append => {
                let (head, content) = split::<AppendHead>(body);
                self.change(&head.name, |blob| blob.extend_from_slice(content))
            }
            Command::Modify => {
                let (head, content) = split::<ModifyHead>(body);
                let start = usize::try_from(head.offset).unwrap();
                self.change(&head.name, |blob| {
                    let end = start + content.len();
                    blob.resize(blob.len().max(end), 0);
                    blob[start..end].copy_from_slice(content);
                })
            }
            Command::Truncate => {
                let request = TruncateRequest::decode(body).unwrap();
                let size = usize::try_from(request.size).unwrap();
                self.change(&request.name, |blob| blob.resize(size, 0))
            }
            Command::RegenerateAppender => {
                let old = RegenerateRequest::decode(body).unwrap().name;
                let blob = self.blobs.lock().unwrap().remove(&old);
                let Some((content, _)) = blob else {
                    return Some(Err(Status::NOT_FOUND));
                };
                let size = Some(content.len() as u64);
                let name = self.new_name(size, &content, common::id::Extension::default());
                self.insert(name, &content);
                Ok(stored(name))
            }
            Command::Delete => {
                let request = BlobRequest::decode(body).unwrap();
                match self.blobs.lock().unwrap().remove(&request.name) {
                    Some(_) => done(),
                    None => Err(Status::NOT_FOUND),
                }
            }
            Command::SetMetadata => {
                let request = SetMetadata::decode(body).unwrap();
                let given = request.metadata();
                match self.blobs.lock().unwrap().get_mut(&request.name) {
                    Some((_, metadata)) => {
                        *metadata = match request.mode {
                            MetadataMode::Overwrite => given,
                            MetadataMode::Merge => metadata.merged(&given),
                        };
                        done()
                    }
                    None => Err(Status::NOT_FOUND),
                }
            }
            Command::GetMetadata => {
                let request = BlobRequest::decode(body).unwrap();
                match self.blobs.lock().unwrap().get(&request.name) {
                    Some((_, metadata)) if !metadata.is_empty() => {
                        Ok(response(metadata.as_bytes()))
                    }
                    _ => Err(Status::NOT_FOUND),
                }
            }
            Command::QueryFileInfo => {
                let request = QueryFileInfo::decode(body, 0).unwrap();
                match self.blobs.lock().unwrap().get(&request.name) {
                    Some((content, _)) => Ok(info(content)),
                    None => Err(Status::NOT_FOUND),
                }
            }
            _ => return None,
        })
    }

    fn new_name(
        &self,
        size: Option<u64>,
        content: &[u8],
        extension: common::id::Extension,
    ) -> RemoteName {
        RemoteName::generate(&NewBlob {
            volume_path: VolumePath(0),
            source: NodeNumber::try_from(1).unwrap(),
            time: 1_700_000_000,
            size,
            crc: Crc32::of(content),
            extension,
            random: self.counter.fetch_add(1, Ordering::Relaxed),
        })
    }

    fn insert(&self, name: RemoteName, content: &[u8]) {
        let mut blobs = self.blobs.lock().unwrap();
        blobs.insert(name, (content.to_vec(), Metadata::default()));
    }

    fn change(
        &self,
        name: &RemoteName,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Bytes, Status> {
        match self.blobs.lock().unwrap().get_mut(name) {
            Some((content, _)) => {
                change(content);
                Ok(response(b""))
            }
            None => Err(Status::NOT_FOUND),
        }
    }
}

fn split<H: Streamed>(body: &[u8]) -> (H, &[u8]) {
    let (fixed, rest) = body.split_at(H::FIXED_LEN);
    let name_len = H::name_len(fixed, body.len() as u64).unwrap();
    let (name, content) = rest.split_at(name_len);
    (H::decode(fixed, name).unwrap(), content)
}

fn stored(name: RemoteName) -> Bytes {
    let mut out = BytesMut::new();
    let group = group();
    StoredResponse { group, name }.encode(&mut out);
    out.freeze()
}

fn info(content: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    let info = FileInfo {
        size: content.len() as u64,
        time: 1_700_000_000,
        crc: Crc32::of(content),
        source: "127.0.0.1".parse().unwrap(),
    };
    info.encode(AddressWidth::V4, &mut out);
    out.freeze()
}

async fn serve_http(stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
        let content = path.parse::<FileId>().ok().and_then(|id| {
            let blobs = state.blobs.lock().unwrap();
            blobs.get(&id.name).map(|(content, _)| content.clone())
        });
        let status = if content.is_some() {
            "200 OK"
        } else {
            "404 Not Found"
        };
        let content = content.unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&content).await.unwrap();
    }
}
