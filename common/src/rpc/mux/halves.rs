//! Streams whose two directions belong to two tasks.

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A stream that comes apart into a reader and a writer.
pub trait Halves: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// What is read from.
    type Reader: AsyncRead + Unpin + Send + 'static;
    /// What is written to.
    type Writer: AsyncWrite + Unpin + Send + 'static;

    /// The two directions. The stream ends when both are gone.
    fn into_halves(self) -> (Self::Reader, Self::Writer);
}

/// Without a lock: the system takes calls of both directions at the same time.
impl Halves for TcpStream {
    type Reader = OwnedReadHalf;
    type Writer = OwnedWriteHalf;

    fn into_halves(self) -> (Self::Reader, Self::Writer) {
        self.into_split()
    }
}

impl Halves for DuplexStream {
    type Reader = ReadHalf<Self>;
    type Writer = WriteHalf<Self>;

    fn into_halves(self) -> (Self::Reader, Self::Writer) {
        tokio::io::split(self)
    }
}
