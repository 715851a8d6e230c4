//! A client of raw HTTP/1.1, one connection per request.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
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

/// Any request without a body.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> HttpAnswer {
    send(address, method, target, headers, b"")
}

/// Any request.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> HttpAnswer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(ANSWER_LIMIT)).unwrap();
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n");
    if !body.is_empty() {
        // Writing to a string does not fail.
        let _ = write!(request, "Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    read(&mut BufReader::new(stream), method)
}

fn read(reader: &mut BufReader<TcpStream>, method: &str) -> HttpAnswer {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("not a status line: {line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = HttpAnswer {
        status,
        headers,
        body: Vec::new(),
    };
    assert_eq!(answer.header("transfer-encoding"), "", "lengths are known");
    reader.read_to_end(&mut answer.body).unwrap();
    let announced = answer.header("content-length").parse().unwrap_or(0);
    if method == "HEAD" || status == 304 {
        assert!(answer.body.is_empty(), "a body behind {method} or 304");
    } else {
        assert_eq!(answer.body.len(), announced, "the announced length");
    }
    answer
}
