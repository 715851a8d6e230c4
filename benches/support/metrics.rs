//! The metrics of a process.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use super::error::BenchError;

/// Everything that the server of this address counts.
pub(crate) fn metrics(address: &str) -> Result<String, BenchError> {
    read(address).map_err(BenchError::io("cannot get the server's metrics"))
}

fn read(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The values of one metric, whatever its labels are.
pub(crate) fn values<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = f64> + 'a {
    text.lines()
        .filter_map(move |line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']))
        .filter_map(|rest| rest.rsplit_once(' ')?.1.parse().ok())
}
