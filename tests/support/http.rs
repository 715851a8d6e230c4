//! A client of raw HTTP/1.1: one connection per request, or one that is kept.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes longer on a machine that lives.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// An answer.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl HttpAnswer {
    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// GET without further headers.
pub(crate) fn get(address: SocketAddr, target: &str) -> HttpAnswer {
    ask(address, "GET", target, &[])
}

/// GET with further headers.
pub(crate) fn get_with(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> HttpAnswer {
    ask(address, "GET", target, headers)
}

/// Any request without a body, whose answer has a known length.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> HttpAnswer {
    let headers = [headers, &[("Connection", "close")]].concat();
    let mut http = Http::connect(address).unwrap();
    let answer = http.ask(method, target, &headers, None).unwrap();
    assert_eq!(answer.header("transfer-encoding"), "", "lengths are known");
    http.expect_end().unwrap();
    answer
}

/// A connection that is kept between requests.
pub(crate) struct Http {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
}

/// What HTTP is spoken over.
trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// A plain connection.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_as(address, &address.to_string())
    }

    /// A plain connection to a server that is asked for by another name.
    pub(crate) fn connect_as(address: SocketAddr, host: &str) -> io::Result<Self> {
        Ok(Self::over(dial(address)?, host.to_owned()))
    }

    /// A connection to `host`, whose certificate is checked as `config` says.
    pub(crate) fn connect_tls(
        address: SocketAddr,
        host: &str,
        config: rustls::ClientConfig,
    ) -> io::Result<Self> {
        let name = host.to_owned().try_into().map_err(io::Error::other)?;
        let session = rustls::ClientConnection::new(config.into(), name);
        let session = session.map_err(io::Error::other)?;
        let stream = rustls::StreamOwned::new(session, dial(address)?);
        Ok(Self::over(stream, format!("{host}:{}", address.port())))
    }

    fn over(stream: impl Stream + 'static, host: String) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
            host,
        }
    }

    /// What links to this server begin with, after the scheme.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// A request and its answer. An error says that the connection broke.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> io::Result<HttpAnswer> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        if let Some(body) = body {
            let len = body.len().to_string();
            request.extend(["Content-Length: ", &len, "\r\n"]);
        }
        request.push_str("\r\n");
        self.send(&[request.as_bytes(), body.unwrap_or_default()].concat())?;
        self.answer(method)
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        self.stream.get_mut().flush()
    }

    /// Reads the answer to a request with this method.
    pub(crate) fn answer(&mut self, method: &str) -> io::Result<HttpAnswer> {
        let line = self.line()?;
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| line.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_else(|| panic!("not a status line: {line:?}"));
        let mut headers = Vec::new();
        while let Some((name, value)) = self.line()?.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = HttpAnswer {
            status,
            headers,
            body: Vec::new(),
        };
        let has_body = method != "HEAD" && status != 204 && status != 304;
        if has_body && answer.header("transfer-encoding") == "chunked" {
            answer.body = self.chunks()?;
        } else if has_body {
            let len = answer.header("content-length").parse().unwrap_or(0);
            answer.body = self.bytes(len)?;
        }
        Ok(answer)
    }

    /// Expects that nothing comes any more and that the connection ends.
    pub(crate) fn expect_end(&mut self) -> io::Result<()> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        assert!(rest.is_empty(), "behind the answer: {rest:?}");
        Ok(())
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let len = usize::from_str_radix(&line, 16)
                .unwrap_or_else(|_| panic!("not the length of a chunk: {line:?}"));
            body.extend(self.bytes(len)?);
            assert_eq!(self.line()?, "", "behind a chunk");
            if len == 0 {
                return Ok(body);
            }
        }
    }

    /// A line without its end.
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn bytes(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    Ok(stream)
}
