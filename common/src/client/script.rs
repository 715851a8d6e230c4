//! A node that says what a test wants.

use std::time::Duration;

use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Address, Pool, PoolSettings, StorageClient};
use crate::digest::Crc32;
use crate::id::RemoteName;
use crate::rpc::Connection;
use crate::wire::storage::{ChunkHead, PrepareHead, PreparedResponse};
use crate::wire::{Command, Header, Status};

/// The name that the node gives to what it receives.
pub(super) const NAME: &[u8] = b"M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt";
const TIMEOUT: Duration = Duration::from_secs(10);

/// One connection of a scripted node.
pub(super) struct Peer(pub(super) Connection<TcpStream>);

/// What a node received of one upload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) content: Vec<u8>,
    pub(super) chunks: usize,
    pub(super) last: ChunkHead,
}

impl Peer {
    pub(super) async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self(Connection::new(stream, TIMEOUT))
    }

    pub(super) async fn expect(&mut self, command: Command) {
        let header = self.0.header().await.unwrap().expect("a request");
        assert_eq!(Command::from_byte(header.command), Some(command));
        assert_eq!(header.body_len, 0);
    }

    /// Reads the head of an upload.
    pub(super) async fn head(&mut self) {
        let header = self.0.header().await.unwrap().expect("a request");
        assert_eq!(
            header,
            Header::request(Command::PrepareUpload, PrepareHead::BODY_LEN)
        );
        let head = self.0.take(PrepareHead::LEN).await.unwrap();
        assert_eq!(&head[..], b"\xff\0txt\0\0\0");
    }

    /// Reads an upload to its end.
    pub(super) async fn upload(&mut self) -> Received {
        self.head().await;
        self.chunks().await
    }

    /// Reads chunks to the end of the content.
    pub(super) async fn chunks(&mut self) -> Received {
        let (mut content, mut chunks) = (Vec::new(), 0);
        loop {
            let head = self.0.take(ChunkHead::LEN).await.unwrap();
            match ChunkHead::decode(&head).unwrap() {
                ChunkHead::Content(len) => {
                    content.extend_from_slice(&self.0.take(len as usize).await.unwrap());
                    chunks += 1;
                }
                last @ (ChunkHead::End | ChunkHead::Abort) => {
                    return Received {
                        content,
                        chunks,
                        last,
                    };
                }
            }
        }
    }

    /// Says that content was received.
    pub(super) async fn prepared(&mut self, content: &[u8]) {
        let response = PreparedResponse {
            group: "group1".parse().unwrap(),
            size: content.len() as u64,
            crc: Crc32::of(content),
            name: RemoteName::parse(NAME).unwrap(),
        };
        let mut out = BytesMut::new();
        response.encode(&mut out);
        self.0.send(&out).await.unwrap();
    }

    pub(super) async fn answer(&mut self, status: Status) {
        self.0.send(&Header::error(status).encode()).await.unwrap();
    }

    pub(super) async fn expect_close(&mut self) {
        assert!(self.0.header().await.unwrap().is_none());
    }
}

/// A node that runs `script`; the handle panics where the script does.
pub(super) async fn node<F>(script: impl FnOnce(TcpListener) -> F) -> (Address, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().into();
    (address, tokio::spawn(script(listener)))
}

pub(super) fn client() -> StorageClient {
    StorageClient::new(Pool::new(PoolSettings {
        network_timeout: TIMEOUT,
        ..PoolSettings::default()
    }))
}
