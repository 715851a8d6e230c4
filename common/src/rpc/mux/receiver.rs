//! The reading direction: bytes to frames, without copying what is in them.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::MuxEnd;
use super::frame::{FRAME_HEADER_LEN, Frame, FrameHeader};

/// Room that is made for a read: many small frames come with one call.
const READ_LEN: usize = 64 * 1024;

/// Room below which more is made. A frame keeps the buffer it came in, so making room for each read
/// anew would cost a buffer for each.
const READ_LEN_MIN: usize = 16 * 1024;

/// Takes frames from a stream.
#[derive(Debug)]
pub(super) struct Receiver<R> {
    reader: R,
    buffer: BytesMut,
    silence_max: Duration,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    /// A receiver of `buffered` and what `reader` brings; it gives up after `silence_max` without a byte.
    pub(super) fn new(reader: R, buffered: BytesMut, silence_max: Duration) -> Self {
        Self {
            reader,
            buffer: buffered,
            silence_max,
        }
    }

    /// The header of the next frame, which is not taken yet; `None` when the peer closed between
    /// frames.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was read stays in the buffer.
    pub(super) async fn header(&mut self) -> Result<Option<FrameHeader>, MuxEnd> {
        loop {
            if let Some(bytes) = self.buffer.first_chunk::<FRAME_HEADER_LEN>() {
                return Ok(Some(FrameHeader::decode(bytes)?));
            }
            if self.read(FRAME_HEADER_LEN).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(MuxEnd::Closed)
                };
            }
        }
    }

    /// Takes the frame that `header` begins.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was read stays in the buffer.
    pub(super) async fn frame(&mut self, header: &FrameHeader) -> Result<Frame, MuxEnd> {
        let len = FRAME_HEADER_LEN + header.len;
        while self.buffer.len() < len {
            if self.read(len).await? == 0 {
                return Err(MuxEnd::Closed);
            }
        }
        let mut frame = self.buffer.split_to(len).freeze();
        let _header = frame.split_to(FRAME_HEADER_LEN);
        let head = frame.split_to(header.head_len);
        Ok(Frame {
            head,
            payload: frame,
        })
    }

    /// Reads on and throws away until the peer closes.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn discard(&mut self) {
        loop {
            self.buffer.clear();
            match self.read(0).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Reads once, with room for a buffer of `len` bytes at least; 0 at the end.
    async fn read(&mut self, len: usize) -> Result<usize, MuxEnd> {
        let missing = len.saturating_sub(self.buffer.len());
        let room = self.buffer.capacity() - self.buffer.len();
        if room < missing.max(READ_LEN_MIN) {
            self.buffer.reserve(missing.max(READ_LEN));
        }
        let read = timeout(self.silence_max, self.reader.read_buf(&mut self.buffer)).await;
        Ok(read.map_err(|_| MuxEnd::Silent(self.silence_max))??)
    }
}
