//! A TCP stream that gives up on a client which takes no bytes for too long.
//!
//! hyper bounds how long a head may take to arrive, but not how long an answer may take to leave: a
//! client that stops reading would hold its connection, and the piece in its buffer, for ever. TLS
//! stands above this stream, so what counts is what the network takes, encrypted or not.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

#[derive(Debug)]
pub(super) struct Patient {
    stream: TcpStream,
    patience: Patience,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, stall_timeout: Duration) -> Self {
        Self {
            stream,
            patience: Patience::new(stall_timeout),
        }
    }

    /// Passes progress on and turns a wait that is too long into an error.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience.progress();
            return written;
        }
        self.patience
            .poll_lost(cx)
            .map(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A clock that runs only while somebody waits.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// Made by the first wait, then used again.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the timer runs.
    waiting: bool,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            waiting: false,
        }
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// The wait is over.
    pub(super) fn progress(&mut self) {
        self.waiting = false;
    }

    /// Waits on; ready with the limit once the wait has lasted that long.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + self.limit);
        }
        timer.as_mut().poll(cx).map(|()| self.limit)
    }
}
