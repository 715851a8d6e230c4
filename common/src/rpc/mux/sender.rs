//! The writing direction: frames to bytes, as many as wait in one call.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::MuxEnd;
use super::frame::{FRAME_HEADER_LEN, Frame, FrameHeader, FrameKind};

/// Frames that leave together.
const BATCH_MAX: usize = 128;

/// Parts of frames up to this many bytes are copied together; longer ones are sent from where they are.
const COPIED_LEN_MAX: usize = 2 * 1024;

/// Buffers of one call. Systems take more, but a call is large by then.
const SLICES_MAX: usize = 64;

/// Room for copied parts.
const COPIES_LEN: usize = 16 * 1024;

/// Between two signs of life when somebody is said to be impatient beyond reason.
const HEARTBEAT_MIN: Duration = Duration::from_millis(10);

/// Signs of life within the silence that the peer endures: one or two may come late.
const HEARTBEATS_PER_SILENCE: u32 = 4;

/// A frame on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) kind: FrameKind,
    pub(super) request: u64,
    pub(super) frame: Frame,
    /// What is free again once the frame was written.
    pub(super) _holds: Vec<OwnedSemaphorePermit>,
}

/// How long to be silent oneself, where either side gives up after its own time.
pub(super) fn heartbeat(own_silence: Duration, peer_silence: Duration) -> Duration {
    (own_silence.min(peer_silence) / HEARTBEATS_PER_SILENCE).max(HEARTBEAT_MIN)
}

/// Sends frames, and signs of life between them.
#[derive(Debug)]
pub(super) struct Sender<W> {
    writer: W,
    queue: mpsc::Receiver<Outgoing>,
    /// Time without a frame until a sign of life.
    heartbeat: Duration,
    /// Time in which the peer must take something.
    patience: Duration,
    copies: BytesMut,
    segments: VecDeque<Bytes>,
}

impl<W: AsyncWrite + Unpin> Sender<W> {
    pub(super) fn new(
        writer: W,
        queue: mpsc::Receiver<Outgoing>,
        heartbeat: Duration,
        patience: Duration,
    ) -> Self {
        Self {
            writer,
            queue,
            heartbeat,
            patience,
            copies: BytesMut::new(),
            segments: VecDeque::new(),
        }
    }

    /// Sends until nobody can queue a frame any more; then ends the direction.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part of a frame may have been sent.
    pub(super) async fn run(mut self) -> Result<(), MuxEnd> {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let received = self.queue.recv_many(&mut batch, BATCH_MAX);
            match timeout(self.heartbeat, received).await {
                Err(_) => self.put(&Frame::default(), 0, FrameKind::Alive),
                Ok(0) => {
                    self.writer.shutdown().await?;
                    return Ok(());
                }
                Ok(_) => {
                    // Others that are about to queue a frame do so now, and theirs go along.
                    tokio::task::yield_now().await;
                    while batch.len() < BATCH_MAX
                        && let Ok(next) = self.queue.try_recv()
                    {
                        batch.push(next);
                    }
                    for outgoing in &batch {
                        self.put(&outgoing.frame, outgoing.request, outgoing.kind);
                    }
                }
            }
            self.write().await?;
            // Gives back what the frames held.
            batch.clear();
        }
    }

    fn put(&mut self, frame: &Frame, request: u64, kind: FrameKind) {
        self.copies.reserve(FRAME_HEADER_LEN);
        FrameHeader::put(frame, request, kind, &mut self.copies);
        self.put_part(&frame.head);
        self.put_part(&frame.payload);
    }

    fn put_part(&mut self, part: &Bytes) {
        if part.len() <= COPIED_LEN_MAX {
            self.copies.extend_from_slice(part);
        } else {
            self.end_copies();
            self.segments.push_back(part.clone());
        }
    }

    fn end_copies(&mut self) {
        if !self.copies.is_empty() {
            self.segments.push_back(self.copies.split().freeze());
        }
    }

    /// Writes all segments.
    async fn write(&mut self) -> Result<(), MuxEnd> {
        self.end_copies();
        while !self.segments.is_empty() {
            let (writer, segments) = (&mut self.writer, &self.segments);
            let written = poll_fn(|context| {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let mut count = 0;
                for (slice, segment) in slices.iter_mut().zip(segments) {
                    *slice = IoSlice::new(segment);
                    count += 1;
                }
                let slices = slices.get(..count).unwrap_or_default();
                Pin::new(&mut *writer).poll_write_vectored(context, slices)
            });
            let written = timeout(self.patience, written).await;
            match written.map_err(|_| MuxEnd::Stalled(self.patience))?? {
                0 => return Err(MuxEnd::Closed),
                written => self.advance(written),
            }
        }
        if self.copies.capacity() < COPIES_LEN {
            self.copies.reserve(COPIES_LEN);
        }
        self.flush().await
    }

    /// Waits until nothing is kept back. A plain stream keeps nothing, so it is asked without the cost of
    /// a clock; one that encrypts may wait for the peer as long as a write does.
    async fn flush(&mut self) -> Result<(), MuxEnd> {
        if let Some(flushed) = self.writer.flush().now_or_never() {
            return Ok(flushed?);
        }
        let flushed = timeout(self.patience, self.writer.flush()).await;
        Ok(flushed.map_err(|_| MuxEnd::Stalled(self.patience))??)
    }

    fn advance(&mut self, mut written: usize) {
        while 0 < written
            && let Some(first) = self.segments.front_mut()
        {
            let taken = written.min(first.len());
            first.advance(taken);
            written -= taken;
            if first.is_empty() {
                self.segments.pop_front();
            }
        }
    }
}
