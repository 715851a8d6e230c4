//! One connection of the `FastDFS` protocol, seen from the server or the client.
//!
//! Accepts requests in any fragmentation, hands bodies out as slices of its buffer without copying,
//! and keeps no buffer while it idles, so thousands of idle connections cost next to nothing.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::io::poll_read_buf;

use crate::wire::{HEADER_LEN, Header, HeaderError};

/// Room for a header and a small body in one read.
const READ_LEN: usize = 16 * 1024;

/// Why a connection ended or must end.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The peer went away in the middle of a packet.
    #[error("the peer closed the connection in the middle of a packet")]
    Closed,
    /// No byte moved for the timeout.
    #[error("no progress for {0:?}")]
    Timeout(Duration),
    /// The socket failed.
    #[error("socket error")]
    Io(#[from] io::Error),
    /// A header that cannot be answered.
    #[error("malformed header")]
    Header(#[from] HeaderError),
    /// A body longer than what the caller allows.
    #[error("a body of {len} bytes, {max} allowed")]
    BodyTooLong {
        /// Announced bytes.
        len: u64,
        /// Allowed bytes.
        max: usize,
    },
}

/// A framed stream with read-ahead.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    buffer: BytesMut,
    progress_timeout: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Frames `stream`; every wait for the peer inside a packet ends after `progress_timeout`
    /// without progress.
    pub fn new(stream: S, progress_timeout: Duration) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            progress_timeout,
        }
    }

    /// The stream under the frames.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The same connection over another stream that brings and takes the same bytes.
    pub(super) fn map<T>(self, wrap: impl FnOnce(S) -> T) -> Connection<T> {
        Connection {
            stream: wrap(self.stream),
            buffer: self.buffer,
            progress_timeout: self.progress_timeout,
        }
    }

    /// How long the peer may make no progress inside a packet.
    pub(super) fn progress_timeout(&self) -> Duration {
        self.progress_timeout
    }

    /// The stream and what was read ahead of it, for whoever speaks another protocol from here on.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.buffer)
    }

    /// Bytes that were read ahead and not yet taken.
    pub fn buffered_len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether a whole packet was read ahead, so that taking it waits for nobody. Servers that answer
    /// pipelined requests send their answers when this ends.
    pub fn holds_packet(&self) -> bool {
        let Some((header, rest)) = self.buffer.split_first_chunk::<HEADER_LEN>() else {
            return false;
        };
        // A header that cannot be answered needs no waiting either.
        Header::decode(*header).map_or(true, |header| header.body_len <= rest.len() as u64)
    }

    /// Waits for the first byte of the next packet; `false` when the peer closed instead.
    /// Waits without limit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was read stays in the buffer.
    pub async fn readable(&mut self) -> Result<bool, ConnectionError> {
        if self.buffer.has_remaining() {
            return Ok(true);
        }
        let read = poll_fn(|context| {
            self.buffer.reserve(READ_LEN);
            let read = poll_read_buf(Pin::new(&mut self.stream), context, &mut self.buffer);
            if read.is_pending() {
                // Idle connections are many and need no buffer.
                self.buffer = BytesMut::new();
            }
            read
        });
        Ok(read.await? != 0)
    }

    /// The next header, or `None` when the peer closed between packets.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was read stays in the buffer.
    pub async fn header(&mut self) -> Result<Option<Header>, ConnectionError> {
        if self.buffer.is_empty() && !self.readable().await? {
            return Ok(None);
        }
        self.fill(HEADER_LEN).await?;
        match self.buffer.split_to(HEADER_LEN).first_chunk::<HEADER_LEN>() {
            Some(bytes) => Ok(Some(Header::decode(*bytes)?)),
            None => Err(ConnectionError::Closed),
        }
    }

    /// The next `len` bytes, which the caller has compared with a limit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was read stays in the buffer.
    pub async fn take(&mut self, len: usize) -> Result<Bytes, ConnectionError> {
        self.fill(len).await?;
        Ok(self.buffer.split_to(len).freeze())
    }

    /// A whole body of at most `max` bytes.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was read stays in the buffer.
    pub async fn body(&mut self, header: &Header, max: usize) -> Result<Bytes, ConnectionError> {
        match usize::try_from(header.body_len) {
            Ok(len) if len <= max => self.take(len).await,
            _ => Err(ConnectionError::BodyTooLong {
                len: header.body_len,
                max,
            }),
        }
    }

    /// Whatever arrives next, at least one and at most `max` bytes.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was read stays in the buffer.
    pub async fn piece(&mut self, max: usize) -> Result<Bytes, ConnectionError> {
        if self.buffer.is_empty() {
            self.buffer.reserve(READ_LEN.max(max.min(16 * READ_LEN)));
            self.read_more().await?;
        }
        let len = self.buffer.len().min(max);
        Ok(self.buffer.split_to(len).freeze())
    }

    /// Reads `len` bytes and throws them away.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: it is not known how much was thrown away.
    pub async fn discard(&mut self, mut len: u64) -> Result<(), ConnectionError> {
        while 0 < len {
            let max = usize::try_from(len).unwrap_or(usize::MAX);
            len -= self.piece(max).await?.len() as u64;
        }
        Ok(())
    }

    /// Sends all of `bytes`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part may have been sent.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = self.within_timeout_write(rest).await?;
            rest.advance(sent);
        }
        Ok(())
    }

    /// Sends all of `bytes`, which may be a chain of buffers, with as few system calls as possible.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part may have been sent.
    pub async fn send_buf(&mut self, bytes: &mut impl Buf) -> Result<(), ConnectionError> {
        while bytes.has_remaining() {
            let write = async {
                let sent = self.stream.write_buf(bytes).await?;
                if !bytes.has_remaining() {
                    // A stream that encrypts may keep the last bytes; others have nothing to do here.
                    self.stream.flush().await?;
                }
                io::Result::Ok(sent)
            };
            match timeout(self.progress_timeout, write).await {
                Err(_) => return Err(ConnectionError::Timeout(self.progress_timeout)),
                Ok(Ok(0)) => return Err(ConnectionError::Closed),
                Ok(sent) => {
                    sent?;
                }
            }
        }
        Ok(())
    }

    /// Ends our direction, so that the peer still gets what was sent.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn half_close(&mut self) -> Result<(), ConnectionError> {
        Ok(self.stream.shutdown().await?)
    }

    /// Reads until at least `len` bytes are buffered.
    async fn fill(&mut self, len: usize) -> Result<(), ConnectionError> {
        while self.buffer.len() < len {
            let missing = len - self.buffer.len();
            self.buffer.reserve(missing.max(READ_LEN));
            self.read_more().await?;
        }
        Ok(())
    }

    async fn read_more(&mut self) -> Result<(), ConnectionError> {
        match timeout(
            self.progress_timeout,
            self.stream.read_buf(&mut self.buffer),
        )
        .await
        {
            Err(_) => Err(ConnectionError::Timeout(self.progress_timeout)),
            Ok(Ok(0)) => Err(ConnectionError::Closed),
            Ok(read) => {
                read?;
                Ok(())
            }
        }
    }

    async fn within_timeout_write(&mut self, bytes: &[u8]) -> Result<usize, ConnectionError> {
        let write = async {
            let sent = self.stream.write(bytes).await?;
            if sent == bytes.len() {
                // A stream that encrypts may keep the last bytes; others have nothing to do here.
                self.stream.flush().await?;
            }
            io::Result::Ok(sent)
        };
        match timeout(self.progress_timeout, write).await {
            Err(_) => Err(ConnectionError::Timeout(self.progress_timeout)),
            Ok(Ok(0)) => Err(ConnectionError::Closed),
            Ok(sent) => Ok(sent?),
        }
    }
}
