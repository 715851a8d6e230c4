//! One request to the server's port for operators. Blocks; a command has nothing else to do.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use api_server::OperatorAccess;
use serde_json::Value;

/// How long the server may be silent. Hashing a password waits for others that are being hashed.
const PATIENCE: Duration = Duration::from_mins(1);
/// Bytes of an answer: a page of accounts has far fewer.
const ANSWER_LEN_MAX: u64 = 4 * 1024 * 1024;

/// The way to the server.
#[derive(Debug)]
pub(super) struct Link(OperatorAccess);

/// What the server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Link {
    pub(super) fn new(access: OperatorAccess) -> Self {
        Self(access)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(super) fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.0.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Calls `/console/api/<path>`. A body that is null is none.
    pub(super) fn exchange(
        &self,
        mut stream: TcpStream,
        method: &str,
        path: &str,
        body: &Value,
    ) -> io::Result<Answer> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let OperatorAccess { address, token } = &self.0;
        let request = format!(
            "{method} /console/api/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        read(BufReader::new(stream.take(ANSWER_LEN_MAX)))
    }
}

/// Reads an answer. Bodies of this port have a length that is known.
fn read(mut reader: impl io::BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    let mut len = 0;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        if name.eq_ignore_ascii_case("content-length") {
            len = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = Vec::new();
    reader.take(len).read_to_end(&mut body)?;
    if body.len() as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_an_error() {
        let answer = |text: &str| read(text.as_bytes());
        let done = answer("HTTP/1.1 204 No Content\r\ncache-control: no-store\r\n\r\n").unwrap();
        assert_eq!((done.status, done.body.len()), (204, 0));
        let said = answer("HTTP/1.1 409 x\r\nContent-Length: 2\r\n\r\n{}rest").unwrap();
        assert_eq!((said.status, said.body.as_slice()), (409, &b"{}"[..]));
        for broken in [
            "",
            "SSH-2.0\r\n",
            "HTTP/1.1 200 OK\r\nx",
            "HTTP/1.1 200 OK\r\nx: y\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
        ] {
            assert!(answer(broken).is_err(), "{broken:?}");
        }
    }
}
