//! Load on the image-host API: one account, and calls that cost the generator next to nothing.
//! Source: docs/api/image-host.md.
//!
//! What a call says about its content is known before the run: contents differ in their last bytes
//! only, so the MD5 of each is one step from a state that all share.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use clap::ValueEnum;
use common::client::Address;
use md5::{Digest as _, Md5};

use super::http::HttpLink;
use super::link::OpError;
use super::payload::scramble;
use crate::cli::output::Failure;

/// Bytes at the end of each content that hold its number.
const STAMP_LEN: usize = 8;
/// What stands between the parts of a form; nothing random, since contents are not searched for it.
const BOUNDARY: &str = "----HayloftBenchFormBoundary";
/// The content of all files that are made without an upload.
const COMMON_CONTENT: &[u8] = b"a content that many files have";
/// What an account of the generator sends as its password: the MD5 of something.
const PASSWORD: &str = "e10adc3949ba59abbe56e057f20f883e";

/// What the calls ask for.
#[derive(Debug, clap::Args)]
pub(super) struct ApiArgs {
    /// API server of the api-… runs
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    api: String,

    /// Account of the api-… runs; it is made if there is none
    #[arg(long, value_name = "NAME", default_value = "bench")]
    account: String,

    /// Whose files api-list lists and api-view views
    #[arg(long, value_enum, default_value_t = Listed::Mine)]
    list: Listed,

    /// Order of api-list
    #[arg(long, value_enum, default_value_t = Order::Normal)]
    order: Order,

    /// Row at which api-list begins
    #[arg(long, default_value_t = 0)]
    start: u64,

    /// Rows of api-list
    #[arg(long, default_value_t = 20)]
    rows: u64,

    /// Files, made by an api-instant run with the same seed, among which api-view chooses
    #[arg(long, value_name = "N", default_value_t = 1000)]
    among: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Listed {
    /// The account's files
    Mine,
    /// What everybody shared
    Shared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// Oldest first
    Normal,
    /// Fewest views first
    Pvasc,
    /// Most views first
    Pvdesc,
}

/// A call of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// A page of a list.
    List,
    /// A new file of content that the server has.
    Instant,
    /// A file is shared.
    Share,
    /// A view is counted.
    View,
    /// A new file with new content.
    Upload,
}

/// Everything about the calls of a run.
#[derive(Debug)]
pub(super) struct Api {
    address: Arc<Address>,
    /// As the client writes it.
    host: String,
    account: String,
    token: String,
    call: Call,
    list: Listed,
    among: u64,
    seed: u64,
    /// The request of a list, the same for each.
    page: String,
    common_md5: String,
    contents: Contents,
}

/// A request in three pieces, of which the middle one belongs to all requests.
struct Request<'a> {
    head: Vec<u8>,
    shared: &'a [u8],
    tail: Vec<u8>,
}

impl Request<'_> {
    fn of_json(host: &str, path: &str, json: &str) -> Self {
        Self {
            head: json_request(host, path, json).into_bytes(),
            shared: &[],
            tail: Vec::new(),
        }
    }
}

impl ApiArgs {
    /// Logs in and prepares the calls. `size` is that of an upload, in bytes.
    pub(super) async fn open(
        &self,
        call: Call,
        seed: u64,
        size: u64,
        timeout: Duration,
    ) -> Result<Api, Failure> {
        let wrong = Failure::Usage("--api must be http://host[:port]");
        let Some(host) = self.api.strip_prefix("http://") else {
            return Err(wrong);
        };
        let host = host.trim_end_matches('/').to_owned();
        let Ok(address) = Address::parse_with_default_port(&host, 80) else {
            return Err(wrong);
        };
        let mut api = Api {
            address: Arc::new(address),
            host,
            account: self.account.clone(),
            token: String::new(),
            call,
            list: self.list,
            among: self.among.max(1),
            seed,
            page: String::new(),
            common_md5: hex(Md5::digest(COMMON_CONTENT).as_slice()),
            contents: Contents::new(seed, if call == Call::Upload { size } else { 0 }),
        };
        let mut link = HttpLink::new(timeout, false);
        api.token = api.log_in(&mut link).await?;
        api.page = api.list_request(self);
        if matches!(call, Call::Instant) {
            let form = api.form("common.jpg", &api.common_md5, COMMON_CONTENT, [0; 0]);
            api.send(&mut link, form).await.map_err(failed)?;
        }
        Ok(api)
    }

    /// Where the calls go, in words.
    pub(super) fn target(&self) -> &str {
        &self.api
    }
}

impl Api {
    /// Where to connect.
    pub(super) fn address(&self) -> &Arc<Address> {
        &self.address
    }

    /// Makes the call with number `n`; the bytes of content that it moved.
    pub(super) async fn call(&self, link: &mut HttpLink, n: u64) -> Result<u64, OpError> {
        match self.call {
            Call::List => {
                let mut page = self.page.as_bytes();
                check(&link.post(&self.address, &mut page).await?)?;
            }
            Call::Instant => self.json(link, "/api/md5", &self.label(n)).await?,
            Call::Share => {
                self.json(link, "/api/dealfile?cmd=share", &self.label(n))
                    .await?;
            }
            Call::View => {
                let path = match self.list {
                    Listed::Mine => "/api/dealfile?cmd=pv",
                    Listed::Shared => "/api/dealsharefile?cmd=pv",
                };
                // The lower of two, so that some files have many views and many have few.
                let random = scramble(self.seed ^ n);
                let number = (random % self.among).min(random.rotate_left(32) % self.among);
                self.json(link, path, &self.label(number)).await?;
            }
            Call::Upload => {
                let stamp = scramble(self.seed.wrapping_add(n)).to_be_bytes();
                let md5 = self.contents.md5(stamp);
                let form = self.form(&self.name(n), &md5, &self.contents.shared, stamp);
                self.send(link, form).await?;
                return Ok(self.contents.len());
            }
        }
        Ok(0)
    }

    /// Registers unless the account exists, and logs in.
    async fn log_in(&self, link: &mut HttpLink) -> Result<String, Failure> {
        let account = &self.account;
        let login = format!(r#"{{"user":"{account}","pwd":"{PASSWORD}"}}"#);
        let register = format!(
            r#"{{"userName":"{account}","nickName":"bench","firstPwd":"{PASSWORD}","phone":"","email":""}}"#
        );
        let register = Request::of_json(&self.host, "/api/reg", &register);
        match self.send(link, register).await {
            // 2 is an account of that name, which the login tells to be ours or not.
            Ok(_) | Err(OpError::Code(2)) => {}
            Err(error) => return Err(failed(error)),
        }
        let login = Request::of_json(&self.host, "/api/login", &login);
        let answer = self.send(link, login).await.map_err(failed)?;
        let answer: serde_json::Value =
            serde_json::from_slice(&answer).map_err(|_| failed(OpError::Answer))?;
        let token = answer.get("token").and_then(serde_json::Value::as_str);
        Ok(token.ok_or_else(|| failed(OpError::Answer))?.to_owned())
    }

    /// User, token, MD5 and name of the file with number `n` that has the common content.
    fn label(&self, n: u64) -> String {
        let Self {
            account,
            token,
            common_md5,
            ..
        } = self;
        let name = self.name(n);
        format!(
            r#"{{"user":"{account}","token":"{token}","md5":"{common_md5}","filename":"{name}"}}"#
        )
    }

    fn name(&self, n: u64) -> String {
        format!("{:x}-{n}.jpg", self.seed)
    }

    fn list_request(&self, args: &ApiArgs) -> String {
        let Self { account, token, .. } = self;
        let ApiArgs { start, rows, .. } = args;
        let path = match args.list {
            Listed::Mine => "/api/myfiles?cmd=",
            Listed::Shared => "/api/sharefiles?cmd=",
        };
        let order = match args.order {
            Order::Normal => "normal",
            Order::Pvasc => "pvasc",
            Order::Pvdesc => "pvdesc",
        };
        let json =
            format!(r#"{{"user":"{account}","token":"{token}","start":{start},"count":{rows}}}"#);
        json_request(&self.host, &format!("{path}{order}"), &json)
    }

    /// An upload as the web front end sends it: the token is a cookie.
    fn form<'a>(
        &self,
        name: &str,
        md5: &str,
        shared: &'a [u8],
        stamp: impl AsRef<[u8]>,
    ) -> Request<'a> {
        let Self {
            host,
            account,
            token,
            ..
        } = self;
        let stamp = stamp.as_ref();
        let size = shared.len() + stamp.len();
        let begin = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        );
        let mut end = String::new();
        for (field, value) in [
            ("user", account.as_str()),
            ("md5", md5),
            ("size", &size.to_string()),
        ] {
            // Writing to a text cannot fail.
            let _ = write!(
                end,
                "\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}"
            );
        }
        let _ = write!(end, "\r\n--{BOUNDARY}--\r\n");
        let len = begin.len() + size + end.len();
        let head = format!(
            "POST /api/upload HTTP/1.1\r\nHost: {host}\r\nCookie: userName={account}; token={token}\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len}\r\n\r\n\
             {begin}"
        );
        Request {
            head: head.into_bytes(),
            shared,
            tail: [stamp, end.as_bytes()].concat(),
        }
    }

    async fn json(&self, link: &mut HttpLink, path: &str, json: &str) -> Result<(), OpError> {
        let request = Request::of_json(&self.host, path, json);
        self.send(link, request).await.map(drop)
    }

    /// Sends a request; the answer, if its code is 0.
    async fn send(
        &self,
        link: &mut HttpLink,
        request: Request<'_>,
    ) -> Result<bytes::Bytes, OpError> {
        let mut pieces = request.head.chain(request.shared).chain(&request.tail[..]);
        let answer = link.post(&self.address, &mut pieces).await?;
        check(&answer)?;
        Ok(answer)
    }
}

/// Contents of one size that differ in their last bytes.
#[derive(Debug)]
struct Contents {
    shared: Vec<u8>,
    /// After the shared bytes.
    state: Md5,
}

impl Contents {
    fn new(seed: u64, size: u64) -> Self {
        let len = usize::try_from(size).unwrap_or(0);
        let len = len.saturating_sub(STAMP_LEN);
        let mut shared = Vec::with_capacity(len + STAMP_LEN);
        let mut state = seed;
        while shared.len() < len {
            state = state.wrapping_add(1);
            shared.extend_from_slice(&scramble(state).to_be_bytes());
        }
        shared.truncate(len);
        let state = Md5::new().chain_update(&shared);
        Self { shared, state }
    }

    fn md5(&self, stamp: [u8; STAMP_LEN]) -> String {
        hex(self.state.clone().chain_update(stamp).finalize().as_slice())
    }

    fn len(&self) -> u64 {
        (self.shared.len() + STAMP_LEN) as u64
    }
}

fn json_request(host: &str, path: &str, json: &str) -> String {
    let len = json.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {len}\r\n\r\n{json}"
    )
}

/// Whether an answer's code is 0.
fn check(answer: &[u8]) -> Result<(), OpError> {
    const KEY: &[u8] = b"\"code\":";
    let key = answer.windows(KEY.len()).position(|window| window == KEY);
    let value = key.and_then(|key| answer.get(key + KEY.len()..));
    let digit = value.and_then(|value| value.trim_ascii_start().first());
    match digit {
        Some(b'0') => Ok(()),
        Some(digit @ b'1'..=b'9') => Err(OpError::Code(digit - b'0')),
        _ => Err(OpError::Answer),
    }
}

fn failed(error: OpError) -> Failure {
    if let OpError::Code(_) = error {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api() -> Api {
        Api {
            address: Arc::new(Address::new("h", 80)),
            host: "h".to_owned(),
            account: "a".to_owned(),
            token: "t".to_owned(),
            call: Call::Upload,
            list: Listed::Mine,
            among: 1,
            seed: 7,
            page: String::new(),
            common_md5: String::new(),
            contents: Contents::new(7, 1000),
        }
    }

    #[test]
    fn the_md5_of_a_content_is_that_of_all_its_bytes_and_each_has_another() {
        let contents = Contents::new(1, 1000);
        let stamps = [[1; STAMP_LEN], [2; STAMP_LEN]];
        let whole = stamps.map(|stamp| [contents.shared.as_slice(), &stamp].concat());
        assert_eq!(contents.len(), 1000);
        assert_eq!(whole[0].len(), 1000);
        for (stamp, whole) in stamps.into_iter().zip(&whole) {
            assert_eq!(contents.md5(stamp), hex(Md5::digest(whole).as_slice()));
        }
        assert_ne!(contents.md5(stamps[0]), contents.md5(stamps[1]));
        assert_eq!(hex(Md5::digest("123456").as_slice()), PASSWORD);
    }

    #[test]
    fn a_form_is_as_long_as_it_says() {
        let api = api();
        let form = api.form("x.jpg", "d", b"shared", *b"stamp");
        let all = [form.head.as_slice(), form.shared, &form.tail].concat();
        let text = String::from_utf8(all).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("\r\nContent-Length: {}", body.len())),
            "{text}"
        );
        assert!(body.contains("\r\n\r\nsharedstamp\r\n--"), "{text}");
        assert!(body.contains("name=\"size\"\r\n\r\n11\r\n"), "{text}");
    }

    #[test]
    fn only_code_0_is_a_success() {
        assert!(check(br#"{"code":0,"files":[]}"#).is_ok());
        assert!(check(br#"{"total":1,"code": 0}"#).is_ok());
        assert!(matches!(check(br#"{"code":4}"#), Err(OpError::Code(4))));
        assert!(matches!(check(br#"{"code":"0"}"#), Err(OpError::Answer)));
        assert!(matches!(check(b""), Err(OpError::Answer)));
    }
}
