//! The stream between two members after they proved who they are: plain or TLS, one type for both.
//!
//! A plain one costs a comparison for each call. Of a TLS one the two directions share the keys, so its
//! reader and its writer take turns for as long as it takes to encrypt a buffer.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf, ReadHalf, WriteHalf};
use tokio_rustls::TlsStream;

use super::mux::Halves;

/// TLS over a stream, which is read in larger pieces than the TLS library asks for.
type Tls<S> = TlsStream<BufReader<S>>;

/// A stream between members.
pub type MemberStream<S> = PlainOrTls<S, Box<Tls<S>>>;

/// What is read from a [`MemberStream`].
pub type MemberReader<S> = PlainOrTls<<S as Halves>::Reader, ReadHalf<Tls<S>>>;

/// What is written to a [`MemberStream`].
pub type MemberWriter<S> = PlainOrTls<<S as Halves>::Writer, WriteHalf<Tls<S>>>;

/// A stream, or a half of one, that is plain or inside of TLS.
pub struct PlainOrTls<P, T>(Inner<P, T>);

enum Inner<P, T> {
    Plain(P),
    Tls(T),
}

impl<S> MemberStream<S> {
    /// A stream that is not encrypted.
    pub fn plain(stream: S) -> Self {
        Self(Inner::Plain(stream))
    }

    /// A stream inside of TLS, whose handshake is done.
    pub(super) fn tls(stream: Tls<S>) -> Self {
        Self(Inner::Tls(Box::new(stream)))
    }
}

impl<S: AsyncRead> MemberStream<S> {
    /// The stream on the network. What is read from or written to it directly is outside of TLS.
    pub fn get_ref(&self) -> &S {
        match &self.0 {
            Inner::Plain(stream) => stream,
            Inner::Tls(stream) => stream.get_ref().0.get_ref(),
        }
    }
}

impl<S: Halves> Halves for MemberStream<S> {
    type Reader = MemberReader<S>;
    type Writer = MemberWriter<S>;

    fn into_halves(self) -> (Self::Reader, Self::Writer) {
        match self.0 {
            Inner::Plain(stream) => {
                let (reader, writer) = stream.into_halves();
                let (reader, writer) = (Inner::Plain(reader), Inner::Plain(writer));
                (PlainOrTls(reader), PlainOrTls(writer))
            }
            Inner::Tls(stream) => {
                let (reader, writer) = tokio::io::split(*stream);
                let (reader, writer) = (Inner::Tls(reader), Inner::Tls(writer));
                (PlainOrTls(reader), PlainOrTls(writer))
            }
        }
    }
}

impl<P, T> fmt::Debug for PlainOrTls<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Inner::Plain(_) => "MemberStream(plain)",
            Inner::Tls(_) => "MemberStream(TLS)",
        })
    }
}

/// An end without TLS's farewell is an end like that of a plain stream, which has none either. Nothing
/// is concluded from where a stream ends: packets and frames say how long they are, and one that was cut
/// off is an error there.
fn ended(read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
    match read {
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Poll::Ready(Ok(()))
        }
        read @ (Poll::Ready(_) | Poll::Pending) => read,
    }
}

impl<P: AsyncRead + Unpin, T: AsyncRead + Unpin> AsyncRead for PlainOrTls<P, T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Inner::Tls(stream) => ended(Pin::new(stream).poll_read(context, buffer)),
        }
    }
}

impl<P: AsyncWrite + Unpin, T: AsyncWrite + Unpin> AsyncWrite for PlainOrTls<P, T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Inner::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Inner::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Inner::Plain(stream) => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(context),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
