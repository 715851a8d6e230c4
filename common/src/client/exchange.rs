//! One request and its answer over a pooled connection.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Address;
use super::error::{AnswerError, ClientError};
use super::pool::{Lease, Pool};
use crate::limits;
use crate::wire::{Command, HEADER_LEN, Header, Status};

/// Bytes of content that one upload keeps in memory.
const CONTENT_BUFFER_LEN: usize = 256 * 1024;

/// Room for the header and the head of any streamed request.
const HEAD_LEN_MAX: usize = HEADER_LEN + 38 + limits::REMOTE_NAME_LEN_MAX;

/// Whether a request may be sent again when an idle connection turns out to be dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replay {
    /// It changes nothing, or the same thing again.
    Safe,
    /// Doing it twice differs from doing it once.
    Never,
}

/// A request without content: header and body in one buffer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) replay: Replay,
    packet: BytesMut,
}

impl Request {
    /// A request whose packet is what `encode` appends.
    pub(super) fn new(
        command: Command,
        replay: Replay,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Self {
        let mut packet = BytesMut::new();
        encode(&mut packet);
        Self {
            command,
            replay,
            packet,
        }
    }
}

/// Sends `request` and returns the lease with the answer's header; its body is not yet read.
pub(super) async fn open(
    pool: &Pool,
    address: &Address,
    request: &Request,
) -> Result<(Lease, Header), ClientError> {
    let mut lease = pool.lease(address).await?;
    let first = send_and_wait(&mut lease, request).await;
    let retry = matches!(&first, Err(error) if lease.is_reused()
        && request.replay == Replay::Safe
        && error.is_stale_connection());
    let answer = if retry {
        lease.reconnect().await?;
        send_and_wait(&mut lease, request).await
    } else {
        first
    };
    match answer {
        Ok(header) => Ok((lease, header)),
        Err(error) => {
            release_after_refusal(lease, &error);
            Err(error)
        }
    }
}

/// Sends `request` and returns the answer's body of at most [`limits::PACKET_LEN_MAX`] bytes.
pub(super) async fn call(
    pool: &Pool,
    address: &Address,
    request: &Request,
) -> Result<Bytes, ClientError> {
    let (mut lease, header) = open(pool, address, request).await?;
    let body = lease.body(&header, limits::PACKET_LEN_MAX).await?;
    lease.release();
    Ok(body)
}

/// A refusal leaves the connection in step, but the original server closes it behind "invalid".
pub(super) fn release_after_refusal(lease: Lease, error: &ClientError) {
    if let ClientError::Refused { status, .. } = error
        && *status != Status::INVALID
    {
        lease.release();
    }
}

async fn send_and_wait(lease: &mut Lease, request: &Request) -> Result<Header, ClientError> {
    lease.send(&request.packet).await?;
    lease.answer(request.command).await
}

/// Bytes to send and how many they are.
#[derive(Debug)]
pub struct Content<R> {
    reader: R,
    len: u64,
}

impl<R: AsyncRead + Unpin> Content<R> {
    /// The next `len` bytes of `reader`; it must have at least as many.
    pub fn new(reader: R, len: u64) -> Self {
        Self { reader, len }
    }

    /// How many bytes will be sent.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing will be sent.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<'a> From<&'a [u8]> for Content<&'a [u8]> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes, bytes.len() as u64)
    }
}

/// Streams a packet's head and its content, and returns the answer's body.
///
/// An answer that comes before the end of the content ends the sending: servers refuse early.
pub(super) async fn stream<R: AsyncRead + Unpin>(
    mut lease: Lease,
    command: Command,
    encode: impl FnOnce(&mut BytesMut),
    content: Content<R>,
) -> Result<Bytes, ClientError> {
    let room = usize::try_from(content.len).unwrap_or(usize::MAX);
    let mut buffer = BytesMut::with_capacity(HEAD_LEN_MAX + room.min(CONTENT_BUFFER_LEN));
    encode(&mut buffer);

    let mut reader = content.reader.take(content.len);
    while 0 < reader.limit() {
        // Head and first bytes leave together; a small blob is one packet.
        if fill(&mut reader, &mut buffer).await? == 0 {
            return Err(ClientError::ContentShort {
                wanted: content.len,
                got: content.len - reader.limit(),
            });
        }
        if 0 < reader.limit() {
            refused_early(&mut lease, command).await?;
            send_piece(&mut lease, command, &mut buffer.as_ref()).await?;
            buffer.clear();
        }
    }
    send_piece(&mut lease, command, &mut buffer.as_ref()).await?;
    match lease.answer(command).await {
        Ok(header) => {
            let body = lease.body(&header, limits::PACKET_LEN_MAX).await?;
            lease.release();
            Ok(body)
        }
        Err(error) => {
            release_after_refusal(lease, &error);
            Err(error)
        }
    }
}

/// Reads until the buffer is full or the content ends; the number of bytes read.
async fn fill<R: AsyncRead + Unpin>(
    reader: &mut tokio::io::Take<R>,
    buffer: &mut BytesMut,
) -> Result<usize, ClientError> {
    let before = buffer.len();
    while buffer.len() < buffer.capacity() && 0 < reader.limit() {
        if reader
            .read_buf(buffer)
            .await
            .map_err(ClientError::Content)?
            == 0
        {
            return Ok(0);
        }
    }
    Ok(buffer.len() - before)
}

/// The refusal that is there before the content ended, if any. Does not wait.
pub(super) async fn refused_early(lease: &mut Lease, command: Command) -> Result<(), ClientError> {
    tokio::select! {
        biased;
        _ = lease.connection()?.readable() => {}
        () = std::future::ready(()) => return Ok(()),
    }
    lease.answer(command).await?;
    Err(lease.answer_error(AnswerError::Early))
}

/// Sends a piece; if that fails or an answer is there already, the answer is the error.
pub(super) async fn send_piece(
    lease: &mut Lease,
    command: Command,
    piece: &mut impl Buf,
) -> Result<(), ClientError> {
    if let Err(error) = lease.send_buf(piece).await {
        // The server may have refused and closed; its answer says more than a broken pipe.
        return match lease.answer(command).await {
            Err(refusal @ ClientError::Refused { .. }) => Err(refusal),
            _ => Err(error),
        };
    }
    Ok(())
}
