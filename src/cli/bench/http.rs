//! The smallest HTTP/1.1 client that can measure a server: GET and POST, keep-alive, bodies of known
//! length.
//! Written by hand so that what is measured is the server.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use common::client::Address;
use common::digest::Crc32Hasher;
use common::id::FileId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::link::{OpError, check, open_stream};
use crate::cli::client::parse_id;

/// Room for a response's head, or for a piece of its body.
const BUFFER_LEN: usize = 256 * 1024;
/// Longest head of a response.
const HEAD_LEN_MAX: usize = 32 * 1024;
/// Longest answer to a POST.
const ANSWER_LEN_MAX: u64 = 1024 * 1024;

/// A parsed link.
#[derive(Clone, Debug)]
pub(super) struct Url {
    host: Arc<Address>,
    /// The request as it is sent.
    request: Box<[u8]>,
    /// Known if the path is a file id; then the content can be verified.
    id: Option<FileId>,
}

/// A link that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no link of the form http://host[:port]/path")]
pub(super) struct UrlError(String);

impl Url {
    /// Parses `http://host[:port]/path`. Other schemes are not spoken here.
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let error = || UrlError(text.to_owned());
        let rest = text.strip_prefix("http://").ok_or_else(error)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.bytes().any(|byte| !(b'!'..=b'~').contains(&byte)) {
            return Err(error());
        }
        let address = Address::parse_with_default_port(host, 80).map_err(|_| error())?;
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Ok(Self {
            host: Arc::new(address),
            request: request.into_bytes().into(),
            id: parse_id(text).ok(),
        })
    }
}

/// The keep-alive connections of one worker.
#[derive(Debug)]
pub(super) struct HttpLink {
    connections: Vec<(Arc<Address>, TcpStream)>,
    buffer: BytesMut,
    timeout: Duration,
    verify: bool,
}

/// What a response's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    content_len: u64,
    close: bool,
}

impl Url {
    /// Where to connect.
    pub(super) fn host(&self) -> &Arc<Address> {
        &self.host
    }
}

impl HttpLink {
    pub(super) fn new(timeout: Duration, verify: bool) -> Self {
        Self {
            connections: Vec::new(),
            buffer: BytesMut::with_capacity(BUFFER_LEN),
            timeout,
            verify,
        }
    }

    /// Connects before the clock runs.
    pub(super) async fn open(&mut self, host: &Arc<Address>) -> Result<(), OpError> {
        let stream = open_stream(host, self.timeout).await?;
        self.connections.push((Arc::clone(host), stream));
        Ok(())
    }

    /// Drops all connections.
    pub(super) fn reset(&mut self) {
        self.connections.clear();
    }

    /// Gets a link; the bytes of its body.
    pub(super) async fn get(&mut self, url: &Url) -> Result<u64, OpError> {
        let mut stream = self.take(&url.host).await?;
        stream.write_all(&url.request).await?;
        let head = self.head(&mut stream).await?;
        let len = self.body(&mut stream, url, head).await?;
        if !head.close {
            self.connections.push((Arc::clone(&url.host), stream));
        }
        if head.status == 200 {
            Ok(len)
        } else {
            Err(OpError::HttpStatus(head.status))
        }
    }

    /// Sends a whole request; the body of its answer.
    pub(super) async fn post(
        &mut self,
        host: &Arc<Address>,
        request: &mut (impl Buf + Send),
    ) -> Result<Bytes, OpError> {
        let mut stream = self.take(host).await?;
        stream.write_all_buf(request).await?;
        let head = self.head(&mut stream).await?;
        if ANSWER_LEN_MAX < head.content_len {
            return Err(OpError::Answer);
        }
        let len = usize::try_from(head.content_len).unwrap_or(0);
        while self.buffer.len() < len {
            self.buffer.reserve(len - self.buffer.len());
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
        let answer = self.buffer.split_to(len).freeze();
        if !head.close {
            self.connections.push((Arc::clone(host), stream));
        }
        match head.status {
            200 => Ok(answer),
            status => Err(OpError::HttpStatus(status)),
        }
    }

    /// A connection, taken out while in use: a failure or an early end leaves none behind.
    async fn take(&mut self, host: &Arc<Address>) -> Result<TcpStream, OpError> {
        let known = self.connections.iter().position(|(known, _)| known == host);
        match known {
            Some(index) => Ok(self.connections.swap_remove(index).1),
            None => open_stream(host, self.timeout).await,
        }
    }

    async fn head(&mut self, stream: &mut TcpStream) -> Result<Head, OpError> {
        self.buffer.clear();
        let mut searched = 0;
        loop {
            self.buffer.reserve(HEAD_LEN_MAX);
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            let from = self.buffer.get(searched..).unwrap_or_default();
            if let Some(end) = from.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.buffer.split_to(searched + end + 4);
                return parse_head(&head).ok_or(OpError::Answer);
            }
            searched = self.buffer.len().saturating_sub(3);
            if HEAD_LEN_MAX < searched {
                return Err(OpError::Answer);
            }
        }
    }

    async fn body(
        &mut self,
        stream: &mut TcpStream,
        url: &Url,
        head: Head,
    ) -> Result<u64, OpError> {
        let mut left = head.content_len;
        let mut crc = Crc32Hasher::new();
        while 0 < left {
            if self.buffer.is_empty() {
                self.buffer.reserve(BUFFER_LEN);
                if stream.read_buf(&mut self.buffer).await? == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                }
            }
            let len = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            if self.verify {
                crc.update(self.buffer.get(..len).unwrap_or_default());
            }
            self.buffer.advance(len);
            left -= len as u64;
        }
        if let (true, 200, Some(id)) = (self.verify, head.status, &url.id) {
            check(id, head.content_len, crc.finish())?;
        }
        Ok(head.content_len)
    }
}

/// Status, length and whether the connection ends; `None` for what this client cannot read, such as
/// chunked bodies.
fn parse_head(head: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let (version, status) = lines.next()?.split_once(' ')?;
    let status = status.get(..3)?.parse().ok()?;
    let mut content_len = None;
    let mut close = version != "HTTP/1.1";
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            content_len = Some(value.parse().ok()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.eq_ignore_ascii_case("close");
        }
    }
    Some(Head {
        status,
        content_len: content_len?,
        close,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_in_any_case_and_chunked_ones_are_refused() {
        let head = parse_head(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\nX: y\r\n\r\n").unwrap();
        assert_eq!(
            head,
            Head {
                status: 200,
                content_len: 12,
                close: false
            }
        );
        let close = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert!(parse_head(close).unwrap().close);
        assert_eq!(
            parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            None
        );
        assert_eq!(parse_head(b"HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(parse_head(b"nonsense\r\n\r\n"), None);
    }

    #[test]
    fn links_become_requests_and_know_their_id() {
        let id = "group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt";
        let url = Url::parse(&format!("http://h:8888/{id}?a=b")).unwrap();
        let request = String::from_utf8(url.request.to_vec()).unwrap();
        assert_eq!(
            request,
            format!("GET /{id}?a=b HTTP/1.1\r\nHost: h:8888\r\n\r\n")
        );
        assert_eq!(url.id.unwrap().to_string(), id);
        assert_eq!(Url::parse("http://h").unwrap().host.port(), 80);
        for bad in ["https://h/", "h/x", "http:///x", "http://h/a b"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
