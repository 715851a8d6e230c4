//! The side that asks.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::frame::{Frame, FrameError, FrameHeader, FrameKind, Settings};
use super::halves::Halves;
use super::receiver::Receiver;
use super::sender::{Outgoing, Sender, heartbeat};
use super::{MuxEnd, MuxError, MuxLimits};
use crate::limits;
use crate::rpc::Connection;
use crate::rpc::auth::{self, Authenticated, Credentials, Purpose};

/// A connection to a node that takes many requests at once. Cheap to clone; it ends when the last
/// clone is dropped.
#[derive(Clone)]
pub struct Mux(Arc<Inner>);

struct Inner {
    authenticated: Authenticated,
    limits: MuxLimits,
    /// Number of the last request.
    last_request: AtomicU64,
    /// A permit for each request that may be under way.
    slots: Arc<Semaphore>,
    /// A permit for each byte of requests that may be under way.
    bytes: Arc<Semaphore>,
    outgoing: mpsc::Sender<Outgoing>,
    calls: Arc<Calls>,
    /// The task that reads and the one that writes; they end with this.
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Mux {
    /// Connects to the node at `address` and authenticates for `purpose`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the connection.
    pub async fn connect(
        address: impl ToSocketAddrs,
        credentials: &Credentials,
        purpose: Purpose,
        limits: MuxLimits,
    ) -> Result<Self, MuxError> {
        let patience = limits.connect_timeout;
        let stream = timeout(patience, TcpStream::connect(address)).await;
        let stream = stream
            .map_err(|_| MuxError::Unreachable(patience))?
            .map_err(MuxError::Connect)?;
        stream.set_nodelay(true).map_err(MuxError::Connect)?;
        Self::over(stream, credentials, purpose, limits).await
    }

    /// Authenticates for `purpose` over a stream that was opened for this.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the stream.
    pub async fn over<S: Halves>(
        stream: S,
        credentials: &Credentials,
        purpose: Purpose,
        limits: MuxLimits,
    ) -> Result<Self, MuxError> {
        let patience = limits.connect_timeout;
        let connection = Connection::new(stream, patience);
        let (connection, authenticated) =
            auth::initiate(connection, credentials, purpose, patience).await?;
        Self::start(connection, authenticated, limits).await
    }

    /// Begins on a connection that was authenticated already.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the connection.
    pub async fn start<S: Halves>(
        connection: Connection<S>,
        authenticated: Authenticated,
        limits: MuxLimits,
    ) -> Result<Self, MuxError> {
        let limits = limits.checked();
        let (stream, buffered) = connection.into_parts();
        let (reader, mut writer) = stream.into_halves();
        let mut receiver = Receiver::new(reader, buffered, limits.silence_max);
        let patience = limits.connect_timeout;
        let told = async {
            writer.write_all(&Settings::of(&limits).encode()).await?;
            writer.flush().await?;
            settings(&mut receiver).await
        };
        let peer = timeout(patience, told)
            .await
            .map_err(|_| MuxError::Unreachable(patience))??;

        let requests_max = usize::try_from(peer.requests).unwrap_or(usize::MAX);
        let bytes_max = usize::try_from(peer.bytes).unwrap_or(usize::MAX);
        let agreed = MuxLimits {
            requests_max: limits.requests_max.min(requests_max),
            bytes_max: limits.bytes_max.min(bytes_max),
            ..limits
        }
        .checked();
        let slots = Arc::new(Semaphore::new(agreed.requests_max));
        let bytes = Arc::new(Semaphore::new(agreed.bytes_max));
        let calls = Arc::new(Calls::new(Arc::clone(&slots)));
        // A request has its place here by having one of the slots.
        let (outgoing, queue) = mpsc::channel(agreed.requests_max);
        let every = heartbeat(limits.silence_max, peer.silence());
        let sender = Sender::new(writer, queue, every, limits.silence_max);
        Ok(Self(Arc::new(Inner {
            authenticated,
            limits: agreed,
            last_request: AtomicU64::new(0),
            slots,
            bytes,
            outgoing,
            _tasks: [
                AbortOnDropHandle::new(tokio::spawn(read(receiver, Arc::clone(&calls)))),
                AbortOnDropHandle::new(tokio::spawn(write(sender, Arc::clone(&calls)))),
            ],
            calls,
        })))
    }

    /// Sends a request and waits for its answer, no longer than the connection's `call_timeout`.
    ///
    /// # Errors
    ///
    /// [`MuxError::TooLong`], [`MuxError::Deadline`] or [`MuxError::Ended`]; a refusal by the peer is
    /// an answer like any other.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the answer; the peer may act on the request all the same.
    pub async fn call(&self, request: Frame) -> Result<Frame, MuxError> {
        self.call_within(request, self.0.limits.call_timeout).await
    }

    /// As [`Self::call`] with a deadline of its own.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::call`].
    pub async fn call_within(&self, request: Frame, deadline: Duration) -> Result<Frame, MuxError> {
        let len = request.len();
        if limits::NODE_FRAME_LEN_MAX < len {
            return Err(MuxError::TooLong { len });
        }
        timeout(deadline, self.exchange(request))
            .await
            .map_err(|_| MuxError::Deadline(deadline))?
    }

    async fn exchange(&self, frame: Frame) -> Result<Frame, MuxError> {
        let inner = &*self.0;
        // A request longer than all that may be under way goes alone.
        let weight = frame.len().min(inner.limits.bytes_max);
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let over = |_| MuxError::Ended(inner.calls.reason());
        let slot = Arc::clone(&inner.slots)
            .acquire_owned()
            .await
            .map_err(over)?;
        let bytes = Arc::clone(&inner.bytes)
            .acquire_many_owned(weight)
            .await
            .map_err(over)?;
        let request = inner.last_request.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        inner.calls.await_answer(
            request,
            Waiting {
                answer,
                _slot: slot,
                _bytes: bytes,
            },
        )?;
        let queued = inner.outgoing.try_send(Outgoing {
            kind: FrameKind::Request,
            request,
            frame,
            _holds: Vec::new(),
        });
        if queued.is_err() {
            // Only when the writer has ended, for there is a place for each slot.
            inner.calls.forget(request);
            return Err(inner.calls.reason().into());
        }
        answered
            .await
            .map_err(|_| MuxError::Ended(inner.calls.reason()))
    }

    /// Who is at the other end.
    pub fn authenticated(&self) -> &Authenticated {
        &self.0.authenticated
    }

    /// What both sides agreed on.
    pub fn limits(&self) -> &MuxLimits {
        &self.0.limits
    }

    /// Requests that wait for their answer.
    pub fn under_way(&self) -> usize {
        self.0.calls.table().waiting.len()
    }

    /// Whether requests can be sent, as far as is known.
    pub fn is_open(&self) -> bool {
        self.0.calls.ended.borrow().is_none()
    }

    /// Waits until no more requests can be sent; says why.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ended(&self) -> MuxEnd {
        let mut ended = self.0.calls.ended.subscribe();
        let end = ended.wait_for(Option::is_some).await;
        // The sender lives as long as this does.
        end.ok()
            .and_then(|end| end.clone())
            .unwrap_or(MuxEnd::Closed)
    }
}

impl fmt::Debug for Mux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux")
            .field("authenticated", &self.0.authenticated)
            .field("ended", &*self.0.calls.ended.borrow())
            .finish_non_exhaustive()
    }
}

/// The requests that were sent and not answered.
struct Calls {
    table: Mutex<Table>,
    /// Closed at the end, so that nobody waits for room on a dead connection.
    slots: Arc<Semaphore>,
    /// Why no more requests can be sent.
    ended: watch::Sender<Option<MuxEnd>>,
    /// Ends the tasks, and with them the connection.
    over: CancellationToken,
}

struct Table {
    waiting: HashMap<u64, Waiting>,
    is_open: bool,
}

/// A request without an answer. It has its slot until the answer comes, even if nobody waits for that
/// any more: the peer is still at work on it.
struct Waiting {
    answer: oneshot::Sender<Frame>,
    _slot: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Calls {
    fn new(slots: Arc<Semaphore>) -> Self {
        Self {
            table: Mutex::new(Table {
                waiting: HashMap::new(),
                is_open: true,
            }),
            slots,
            ended: watch::Sender::new(None),
            over: CancellationToken::new(),
        }
    }

    fn await_answer(&self, request: u64, waiting: Waiting) -> Result<(), MuxEnd> {
        let mut table = self.table();
        if !table.is_open {
            drop(table);
            return Err(self.reason());
        }
        table.waiting.insert(request, waiting);
        Ok(())
    }

    fn forget(&self, request: u64) {
        self.table().waiting.remove(&request);
    }

    fn answered(&self, request: u64, answer: Frame) -> Result<(), FrameError> {
        let waiting = self.table().waiting.remove(&request);
        let waiting = waiting.ok_or(FrameError::NotAsked(request))?;
        // Nobody may wait any more.
        let _ = waiting.answer.send(answer);
        Ok(())
    }

    /// Takes no more requests; those under way may still be answered.
    fn close(&self, end: MuxEnd) {
        // Before the table: whoever finds that closed asks for the reason.
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            if is_first {
                *ended = Some(end);
            }
            is_first
        });
        self.table().is_open = false;
        self.slots.close();
    }

    /// Fails all that is under way.
    fn end(&self, end: MuxEnd) {
        self.close(end);
        self.over.cancel();
        let waiting = std::mem::take(&mut self.table().waiting);
        // Dropping the senders outside of the lock wakes the callers.
        drop(waiting);
    }

    fn reason(&self) -> MuxEnd {
        self.ended.borrow().clone().unwrap_or(MuxEnd::Closed)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change is one operation on the map, so a poisoned table is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first frame of the peer.
pub(super) async fn settings<R: AsyncRead + Unpin>(
    receiver: &mut Receiver<R>,
) -> Result<Settings, MuxEnd> {
    let header = receiver.header().await?.ok_or(MuxEnd::Closed)?;
    if header.kind != FrameKind::Settings || crate::limits::AUTHENTICATION_LEN_MAX < header.len {
        return Err(FrameError::Settings.into());
    }
    let frame = receiver.frame(&header).await?;
    Ok(Settings::decode(&frame.head)?)
}

async fn read<R: AsyncRead + Unpin>(mut receiver: Receiver<R>, calls: Arc<Calls>) {
    let reading = async {
        loop {
            if let Err(end) = read_one(&mut receiver, &calls).await {
                return end;
            }
        }
    };
    tokio::select! {
        end = reading => calls.end(end),
        () = calls.over.cancelled() => {}
    }
}

async fn read_one<R: AsyncRead + Unpin>(
    receiver: &mut Receiver<R>,
    calls: &Calls,
) -> Result<(), MuxEnd> {
    let header = receiver.header().await?.ok_or(MuxEnd::Closed)?;
    match header {
        FrameHeader {
            kind: FrameKind::Answer,
            ..
        } => {
            let answer = receiver.frame(&header).await?;
            calls.answered(header.request, answer)?;
        }
        FrameHeader {
            kind: FrameKind::Alive,
            len: 0,
            ..
        } => {
            receiver.frame(&header).await?;
        }
        FrameHeader {
            kind: FrameKind::Leaving,
            len: 0,
            ..
        } => {
            receiver.frame(&header).await?;
            calls.close(MuxEnd::Leaving);
        }
        FrameHeader { kind, .. } => return Err(FrameError::OutOfPlace(kind as u8).into()),
    }
    Ok(())
}

async fn write<W: tokio::io::AsyncWrite + Unpin>(sender: Sender<W>, calls: Arc<Calls>) {
    tokio::select! {
        ended = sender.run() => {
            // Without an error the last clone is gone, and nobody hears this.
            calls.end(ended.err().unwrap_or(MuxEnd::Stopping));
        }
        () = calls.over.cancelled() => {}
    }
}
