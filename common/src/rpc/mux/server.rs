//! The side that answers.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use super::client::settings;
use super::frame::{Frame, FrameError, FrameKind, Settings};
use super::halves::Halves;
use super::receiver::Receiver;
use super::sender::{Outgoing, Sender, heartbeat};
use super::{MuxEnd, MuxLimits};
use crate::env::Shutdown;
use crate::limits;
use crate::rpc::Connection;
use crate::rpc::auth::Authenticated;

/// What answers the requests of peers.
pub trait Handler: Send + Sync + 'static {
    /// The answer to one request of `peer`, of at most [`limits::NODE_FRAME_LEN_MAX`] bytes.
    ///
    /// Requests are answered at the same time, and may begin in another order than they were sent: a
    /// peer that needs an order waits for an answer. The end of the connection does not interrupt it;
    /// the end of the process does.
    fn handle(&self, peer: &Authenticated, request: Frame) -> impl Future<Output = Frame> + Send;
}

/// Answers the requests of one authenticated connection until either side ends it; says why it ended.
///
/// After the signal no more requests are taken, those under way are answered, and the peer is told.
///
/// # Cancel safety
///
/// Dropping the future ends the connection and interrupts what is under way.
pub async fn serve<S: Halves, H: Handler>(
    connection: Connection<S>,
    authenticated: Authenticated,
    handler: Arc<H>,
    limits: MuxLimits,
    shutdown: &Shutdown,
) -> MuxEnd {
    let limits = limits.checked();
    let (stream, buffered) = connection.into_parts();
    let (reader, mut writer) = stream.into_halves();
    let mut receiver = Receiver::new(reader, buffered, limits.silence_max);
    let told = async {
        writer.write_all(&Settings::of(&limits).encode()).await?;
        writer.flush().await?;
        settings(&mut receiver).await
    };
    let peer = match timeout(limits.connect_timeout, told).await {
        Ok(Ok(peer)) => peer,
        Ok(Err(end)) => return end,
        Err(_) => return MuxEnd::Silent(limits.connect_timeout),
    };
    // One more for the word that this side is leaving.
    let (outgoing, queue) = mpsc::channel(limits.requests_max + 1);
    let every = heartbeat(limits.silence_max, peer.silence());
    let sender = Sender::new(writer, queue, every, limits.silence_max);
    let mut writer = AbortOnDropHandle::new(tokio::spawn(sender.run()));

    let mut requests = Requests {
        peer: authenticated,
        handler,
        slots: Arc::new(Semaphore::new(limits.requests_max)),
        bytes: Arc::new(Semaphore::new(limits.bytes_max)),
        bytes_max: limits.bytes_max,
        outgoing,
        unanswered: CancellationToken::new(),
        under_way: JoinSet::new(),
    };
    let unanswered = requests.unanswered.clone();
    let end = tokio::select! {
        biased;
        ended = &mut writer => writing_ended(ended),
        () = unanswered.cancelled() => MuxEnd::Unanswered,
        () = shutdown.requested() => MuxEnd::Stopping,
        end = requests.read(&mut receiver) => end,
    };
    let Requests {
        outgoing,
        mut under_way,
        ..
    } = requests;
    let is_stopping = matches!(end, MuxEnd::Stopping);
    if is_stopping {
        let leaving = Outgoing {
            kind: FrameKind::Leaving,
            request: 0,
            frame: Frame::default(),
            _holds: Vec::new(),
        };
        // Fails only when the writer has ended.
        let _ = outgoing.send(leaving).await;
    }
    drop(outgoing);
    // A caller would wait in vain for what is unanswered: all of them shall learn of it now.
    let halves = (!matches!(end, MuxEnd::Unanswered)).then_some((receiver, writer));
    // Their answers have nowhere to go when the peer is gone, but what they do is worth finishing.
    while let Some(ended) = under_way.join_next().await {
        report(ended);
    }
    if is_stopping && let Some((mut receiver, writer)) = halves {
        // Closing with unread bytes would reset the connection and lose the last answers.
        let _ = timeout(limits.silence_max, async {
            let ((), _) = tokio::join!(receiver.discard(), writer);
        })
        .await;
    }
    end
}

/// What is needed to take and start requests.
struct Requests<H> {
    peer: Authenticated,
    handler: Arc<H>,
    slots: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
    outgoing: mpsc::Sender<Outgoing>,
    /// Cancelled when a request ends without an answer.
    unanswered: CancellationToken,
    under_way: JoinSet<()>,
}

impl<H: Handler> Requests<H> {
    /// Takes requests until the connection ends.
    async fn read<R: AsyncRead + Unpin>(&mut self, receiver: &mut Receiver<R>) -> MuxEnd {
        loop {
            if let Err(end) = self.read_one(receiver).await {
                return end;
            }
            while let Some(ended) = self.under_way.try_join_next() {
                report(ended);
            }
        }
    }

    async fn read_one<R: AsyncRead + Unpin>(
        &mut self,
        receiver: &mut Receiver<R>,
    ) -> Result<(), MuxEnd> {
        let header = receiver.header().await?.ok_or(MuxEnd::Closed)?;
        match header.kind {
            FrameKind::Alive if header.len == 0 => {
                receiver.frame(&header).await?;
                Ok(())
            }
            FrameKind::Request => {
                // A peer that keeps to the limits it was told waits here for an instant at most:
                // between our writing its last answer and our noticing that it was written.
                let weight = u32::try_from(header.len.min(self.bytes_max)).unwrap_or(u32::MAX);
                let slot = Arc::clone(&self.slots).acquire_owned().await;
                let bytes = Arc::clone(&self.bytes).acquire_many_owned(weight).await;
                // Neither semaphore is ever closed.
                let holds = slot.into_iter().chain(bytes).collect();
                let frame = receiver.frame(&header).await?;
                self.start(header.request, frame, holds);
                Ok(())
            }
            kind @ (FrameKind::Settings
            | FrameKind::Answer
            | FrameKind::Alive
            | FrameKind::Leaving) => Err(FrameError::OutOfPlace(kind as u8).into()),
        }
    }

    fn start(&mut self, request: u64, frame: Frame, holds: Vec<tokio::sync::OwnedSemaphorePermit>) {
        let (peer, handler) = (self.peer, Arc::clone(&self.handler));
        let outgoing = self.outgoing.clone();
        let unanswered = self.unanswered.clone().drop_guard();
        self.under_way.spawn(async move {
            let frame = handler.handle(&peer, frame).await;
            if limits::NODE_FRAME_LEN_MAX < frame.len() {
                error!(
                    len = frame.len(),
                    "an answer to another node is too long; this is a defect, please report it"
                );
                return;
            }
            unanswered.disarm();
            let answer = Outgoing {
                kind: FrameKind::Answer,
                request,
                frame,
                _holds: holds,
            };
            // Fails when the writer has ended; then nobody waits.
            let _ = outgoing.send(answer).await;
        });
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a request of another node panicked");
    }
}

fn writing_ended(ended: Result<Result<(), MuxEnd>, tokio::task::JoinError>) -> MuxEnd {
    match ended {
        Ok(Ok(())) => MuxEnd::Closed,
        Ok(Err(end)) => end,
        Err(error) => {
            error!(%error, "the writer of a connection failed");
            MuxEnd::Unanswered
        }
    }
}
