//! Load on the image-host API: one account, and calls that cost the generator next to nothing.
//! Source: docs/api/image-host.md.
//!
//! What a call says about its content is known before the run: contents differ in their last bytes
//! only, so the MD5 of each is one step from a state that all share.

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use common::client::Address;
use md5::{Digest as _, Md5};

use super::http::HttpLink;
use super::link::OpError;
use super::payload::scramble;
use super::request::{
    BOUNDARY, Contents, Host, PASSWORD, Request, failed, field, hex, last_delimiter,
};
use crate::cli::output::Failure;

/// The content of all files that are made without an upload.
pub(super) const COMMON_CONTENT: &[u8] = b"a content that many files have";

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
    host: Host,
    account: String,
    token: String,
    call: Call,
    list: Listed,
    among: u64,
    seed: u64,
    /// The request of a list, the same for each.
    page: Vec<u8>,
    common_md5: String,
    contents: Contents,
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
        let mut api = Api {
            host: self.host()?,
            account: self.account.clone(),
            token: String::new(),
            call,
            list: self.list,
            among: self.among.max(1),
            seed,
            page: Vec::new(),
            common_md5: hex(Md5::digest(COMMON_CONTENT).as_slice()),
            contents: Contents::new(seed, if call == Call::Upload { size } else { 0 }),
        };
        let mut link = HttpLink::new(timeout, false);
        api.token = api.log_in(&mut link).await?;
        api.page = api.list_request(self);
        if matches!(call, Call::Instant) {
            let form = api.form("common.jpg", &api.common_md5, COMMON_CONTENT, [0; 0]);
            api.host.send(&mut link, form).await.map_err(failed)?;
        }
        Ok(api)
    }

    /// Where the calls go, in words.
    pub(super) fn target(&self) -> &str {
        &self.api
    }

    /// Where they go.
    pub(super) fn host(&self) -> Result<Host, Failure> {
        Host::parse(&self.api)
    }

    /// Whose calls they are.
    pub(super) fn account(&self) -> &str {
        &self.account
    }
}

impl Api {
    /// Where to connect.
    pub(super) fn address(&self) -> &Arc<Address> {
        self.host.address()
    }

    /// Makes the call with number `n`; the bytes of content that it moved.
    pub(super) async fn call(&self, link: &mut HttpLink, n: u64) -> Result<u64, OpError> {
        match self.call {
            Call::List => {
                let page = Request {
                    head: self.page.clone(),
                    shared: &[],
                    tail: Vec::new(),
                };
                self.host.send(link, page).await?;
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
                let form = self.form(&self.name(n), &md5, self.contents.shared(), stamp);
                self.host.send(link, form).await?;
                return Ok(self.contents.len());
            }
        }
        Ok(0)
    }

    /// Registers unless the account exists, and logs in.
    async fn log_in(&self, link: &mut HttpLink) -> Result<String, Failure> {
        let account = &self.account;
        let login = format!(r#"{{"user":"{account}","pwd":"{PASSWORD}"}}"#);
        self.host.register(link, account).await?;
        let login = self.host.json("/api/login", "", &login);
        let answer = self.host.send(link, login).await.map_err(failed)?;
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

    fn list_request(&self, args: &ApiArgs) -> Vec<u8> {
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
        self.host.json(&format!("{path}{order}"), "", &json).head
    }

    /// An upload as the web front end sends it: the token is a cookie.
    fn form<'a>(
        &self,
        name: &str,
        md5: &str,
        shared: &'a [u8],
        stamp: impl AsRef<[u8]>,
    ) -> Request<'a> {
        let Self { account, token, .. } = self;
        let stamp = stamp.as_ref();
        let size = shared.len() + stamp.len();
        let begin = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        );
        let mut end = "\r\n".to_owned();
        for (name, value) in [
            ("user", account.as_str()),
            ("md5", md5),
            ("size", &size.to_string()),
        ] {
            end.push_str(&field(name, value));
        }
        end.push_str(&last_delimiter());
        let cookie = format!("Cookie: userName={account}; token={token}\r\n");
        let end = [stamp, end.as_bytes()].concat();
        self.host.form("/api/upload", &cookie, &begin, shared, end)
    }

    async fn json(&self, link: &mut HttpLink, path: &str, json: &str) -> Result<(), OpError> {
        let request = self.host.json(path, "", json);
        self.host.send(link, request).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api() -> Api {
        Api {
            host: Host::parse("http://h").unwrap(),
            account: "a".to_owned(),
            token: "t".to_owned(),
            call: Call::Upload,
            list: Listed::Mine,
            among: 1,
            seed: 7,
            page: Vec::new(),
            common_md5: String::new(),
            contents: Contents::new(7, 1000),
        }
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
}
