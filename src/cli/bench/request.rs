//! What the calls of every HTTP API have in common: a server, requests in pieces, answers with a code,
//! an account, and contents whose MD5 is known before the run.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use common::client::Address;
use md5::{Digest as _, Md5};

use super::http::HttpLink;
use super::link::OpError;
use super::payload::scramble;
use crate::cli::output::Failure;

/// Bytes at the end of each content that are its own.
pub(super) const STAMP_LEN: usize = 8;
/// What stands between the parts of a form; nothing random, since contents are not searched for it.
pub(super) const BOUNDARY: &str = "----HayloftBenchFormBoundary";
/// What an account of the generator sends as its password: the MD5 of something.
pub(super) const PASSWORD: &str = "e10adc3949ba59abbe56e057f20f883e";

/// An API server.
#[derive(Clone, Debug)]
pub(super) struct Host {
    address: Arc<Address>,
    /// As the client writes it.
    name: String,
}

/// A request in three pieces, of which the middle one belongs to all requests.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) head: Vec<u8>,
    pub(super) shared: &'a [u8],
    pub(super) tail: Vec<u8>,
}

impl Host {
    /// Parses `http://host[:port]`.
    pub(super) fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = Failure::Usage("--api must be http://host[:port]");
        let Some(name) = url.strip_prefix("http://") else {
            return Err(wrong);
        };
        let name = name.trim_end_matches('/').to_owned();
        let Ok(address) = Address::parse_with_default_port(&name, 80) else {
            return Err(wrong);
        };
        Ok(Self {
            address: Arc::new(address),
            name,
        })
    }

    /// Where to connect.
    pub(super) fn address(&self) -> &Arc<Address> {
        &self.address
    }

    /// The head of a POST: `headers` are whole lines with their ends, `len` counts the body's bytes.
    pub(super) fn head(&self, path: &str, headers: &str, len: usize) -> String {
        let host = &self.name;
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {len}\r\n\r\n")
    }

    /// A POST of JSON.
    pub(super) fn json(&self, path: &str, headers: &str, json: &str) -> Request<'static> {
        let headers = format!("{headers}Content-Type: application/json\r\n");
        let head = self.head(path, &headers, json.len());
        Request {
            head: [head.as_bytes(), json.as_bytes()].concat(),
            shared: &[],
            tail: Vec::new(),
        }
    }

    /// A POST of a form: `begin`, `shared` and `end` are its bytes in their order.
    pub(super) fn form<'a>(
        &self,
        path: &str,
        headers: &str,
        begin: &str,
        shared: &'a [u8],
        end: Vec<u8>,
    ) -> Request<'a> {
        let headers =
            format!("{headers}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n");
        let head = self.head(path, &headers, begin.len() + shared.len() + end.len());
        Request {
            head: [head.as_bytes(), begin.as_bytes()].concat(),
            shared,
            tail: end,
        }
    }

    /// Sends a request; the answer, if its code is 0.
    pub(super) async fn send(
        &self,
        link: &mut HttpLink,
        request: Request<'_>,
    ) -> Result<Bytes, OpError> {
        let mut pieces = request.head.chain(request.shared).chain(&request.tail[..]);
        let answer = link.post(&self.address, &mut pieces).await?;
        check(&answer)?;
        Ok(answer)
    }

    /// Makes an account, unless there is one of this name: then the login tells whether it is ours.
    pub(super) async fn register(&self, link: &mut HttpLink, account: &str) -> Result<(), Failure> {
        let json = format!(
            r#"{{"userName":"{account}","nickName":"bench","firstPwd":"{PASSWORD}","phone":"","email":""}}"#
        );
        match self.send(link, self.json("/api/reg", "", &json)).await {
            // 2 is an account of that name.
            Ok(_) | Err(OpError::Code(2)) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Contents of one size that differ in their last bytes.
#[derive(Debug)]
pub(super) struct Contents {
    shared: Vec<u8>,
    /// After the shared bytes.
    state: Md5,
}

impl Contents {
    pub(super) fn new(seed: u64, size: u64) -> Self {
        let len = usize::try_from(size).unwrap_or(0);
        let shared = random_bytes(seed, len.saturating_sub(STAMP_LEN));
        let state = Md5::new().chain_update(&shared);
        Self { shared, state }
    }

    /// The bytes that all of them have.
    pub(super) fn shared(&self) -> &[u8] {
        &self.shared
    }

    pub(super) fn md5(&self, stamp: [u8; STAMP_LEN]) -> String {
        hex(self.state.clone().chain_update(stamp).finalize().as_slice())
    }

    pub(super) fn len(&self) -> u64 {
        (self.shared.len() + STAMP_LEN) as u64
    }
}

/// Bytes that do not compress, the same for the same seed.
pub(super) fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + STAMP_LEN);
    let mut state = seed;
    while bytes.len() < len {
        state = state.wrapping_add(1);
        bytes.extend_from_slice(&scramble(state).to_be_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A part of a form that is a text, with the delimiter before it.
pub(super) fn field(name: &str, value: &str) -> String {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

/// What ends a form.
pub(super) fn last_delimiter() -> String {
    format!("--{BOUNDARY}--\r\n")
}

/// Whether an answer's code is 0.
fn check(answer: &[u8]) -> Result<(), OpError> {
    const KEY: &[u8] = b"\"code\":";
    let key = answer.windows(KEY.len()).position(|window| window == KEY);
    let value = key.and_then(|key| answer.get(key + KEY.len()..));
    let value = value.ok_or(OpError::Answer)?.trim_ascii_start();
    let digits: Vec<u8> = value
        .iter()
        .copied()
        .take_while(u8::is_ascii_digit)
        .collect();
    let code = std::str::from_utf8(&digits).ok();
    match code.and_then(|code| code.parse().ok()) {
        Some(0) => Ok(()),
        Some(code) => Err(OpError::Code(code)),
        None => Err(OpError::Answer),
    }
}

/// A call before the run that did not succeed.
pub(super) fn failed(error: OpError) -> Failure {
    if matches!(error, OpError::Code(_)) {
        return Failure::Run(
            "the API server refused to register, to log in or to take a first file; its log says \
             why. An account of this name with another password? Try another --account",
        );
    }
    Failure::Connections {
        failed: 1,
        first: error.into(),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_md5_of_a_content_is_that_of_all_its_bytes_and_each_has_another() {
        let contents = Contents::new(1, 1000);
        let stamps = [[1; STAMP_LEN], [2; STAMP_LEN]];
        let whole = stamps.map(|stamp| [contents.shared(), &stamp].concat());
        assert_eq!(contents.len(), 1000);
        assert_eq!(whole[0].len(), 1000);
        for (stamp, whole) in stamps.into_iter().zip(&whole) {
            assert_eq!(contents.md5(stamp), hex(Md5::digest(whole).as_slice()));
        }
        assert_ne!(contents.md5(stamps[0]), contents.md5(stamps[1]));
        assert_eq!(hex(Md5::digest("123456").as_slice()), PASSWORD);
    }

    #[test]
    fn only_code_0_is_a_success() {
        assert!(check(br#"{"code":0,"files":[]}"#).is_ok());
        assert!(check(br#"{"total":1,"code": 0}"#).is_ok());
        assert!(matches!(check(br#"{"code":4}"#), Err(OpError::Code(4))));
        let refused = check(br#"{"code":20102,"message":""}"#);
        assert!(matches!(refused, Err(OpError::Code(20_102))));
        assert!(matches!(check(br#"{"code":"0"}"#), Err(OpError::Answer)));
        assert!(matches!(check(b""), Err(OpError::Answer)));
    }

    #[test]
    fn requests_are_as_long_as_they_say() {
        let host = Host::parse("http://h:1/").unwrap();
        let requests = [
            host.json("/p", "A: b\r\n", "{}"),
            host.form("/p", "A: b\r\n", "begin", b"shared", b"end".to_vec()),
        ];
        for request in requests {
            let all = [request.head.as_slice(), request.shared, &request.tail].concat();
            let text = String::from_utf8(all).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /p HTTP/1.1\r\nHost: h:1\r\nA: b\r\n"));
            let len = format!("\r\nContent-Length: {}", body.len());
            assert!(head.contains(&len), "{text}");
        }
        assert!(Host::parse("https://h").is_err());
    }
}
