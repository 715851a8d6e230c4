//! The dialect over doubles of catalog and storage. Requests are built, not sent: sockets come in only
//! where a connection has to break.

mod bad_input;
mod decisions;
mod documented;
mod lists;
mod tokens;
mod transport;
mod uploads;

use std::net::IpAddr;
use std::time::Duration;

use ::md5::{Digest as _, Md5 as Md5Hasher};
use bytes::Bytes;
use common::web::origin::Scheme;
use common::web::server::RequestBody;
use http::{HeaderMap, Method, Request as HttpRequest, StatusCode};
use http_body_util::BodyExt as _;
use jiff::tz::{self, TimeZone};
use serde_json::{Value, json};

use super::{ImageHost, ImageHostSettings};
use crate::backend::MemoryBlobs;
use crate::backend::catalog::{MemoryCatalog, MemorySnapshot};
use crate::core::accounts::{self, PasswordHash, Profile};
use crate::core::id::Token;
use crate::core::sessions;
use crate::http::caller::CallerRules;
use crate::http::{Dialect as _, Exchange};
use crate::service::{Service, ServiceSettings};
use common::id::FileId;

/// Where users are when nothing else is said, and where they log in.
const HOME: &str = "203.0.113.7";
/// Another place.
const ELSEWHERE: &str = "198.51.100.9";
/// The document's password: the MD5 of `123456`.
const PASSWORD: &str = "e10adc3949ba59abbe56e057f20f883e";
/// Bytes that a file may have on the servers of these tests.
const UPLOAD_SIZE_MAX: u64 = 64 * 1024;

/// A server and what it stands on.
#[derive(Debug)]
struct Server {
    host: ImageHost<MemoryCatalog, MemoryBlobs>,
    catalog: MemoryCatalog,
    blobs: MemoryBlobs,
}

/// An answer, whose form was checked.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    fn code(&self) -> u64 {
        self.json()["code"].as_u64().unwrap()
    }
}

/// A user who is logged in at home.
#[derive(Clone, Debug)]
struct User {
    name: &'static str,
    token: String,
}

impl Server {
    fn new() -> Self {
        Self::with(ServiceSettings::default())
    }

    fn with(settings: ServiceSettings) -> Self {
        let catalog = MemoryCatalog::new();
        // Work may run more than once, so in tests all of it does.
        catalog.repeat_work(true);
        let blobs = MemoryBlobs::new("group1".parse().unwrap(), 7.try_into().unwrap());
        let service = Service::new(catalog.clone(), blobs.clone(), settings).unwrap();
        let settings = ImageHostSettings {
            upload_size_max: UPLOAD_SIZE_MAX,
            unknown_sender_len_max: UPLOAD_SIZE_MAX,
            time_zone: TimeZone::fixed(tz::offset(8)),
        };
        let host = ImageHost::new(service, settings);
        Self {
            host,
            catalog,
            blobs,
        }
    }

    /// Makes an account with a session; its password fits nothing.
    async fn user(&self, name: &'static str) -> User {
        let token = self
            .host
            .service
            .change(move |tx, moment| {
                let profile = Profile {
                    nick: name.parse().unwrap(),
                    email: None,
                    phone: None,
                };
                let password = PasswordHash("none".into());
                let name = name.parse().unwrap();
                let account = accounts::register(tx, name, profile, password, None, moment)?;
                let token = Token((u128::from(account.0) << 64 | 0xabcd).to_be_bytes());
                let (address, life) = (HOME.parse().unwrap(), Duration::from_hours(24));
                sessions::open(tx, account, token.hash(), address, life, moment.now)?;
                Ok(token)
            })
            .await
            .unwrap();
        User {
            name,
            token: token.to_string(),
        }
    }

    /// Everything that a refused request must leave as it was.
    fn state(&self) -> (MemorySnapshot, Vec<FileId>, usize) {
        let (ids, prepared) = (self.blobs.ids(), self.blobs.prepared_count());
        (self.catalog.snapshot(), ids, prepared)
    }

    async fn send(&self, from: &str, request: HttpRequest<impl Into<Bytes>>) -> Reply {
        let (mut head, body) = request.into_parts();
        if !head.headers.contains_key("host") {
            head.headers.insert("host", "img.example".parse().unwrap());
        }
        let caller = rules().identify(from.parse().unwrap(), &head).unwrap();
        let body = RequestBody::from(body.into());
        let response = self.host.handle(Exchange { head, caller, body }).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let reply = Reply {
            status: head.status,
            headers: head.headers,
            bytes,
        };
        check_form(&reply);
        reply
    }

    /// A POST from home.
    async fn post(&self, target: &str, body: impl Into<Bytes>) -> Reply {
        let request = HttpRequest::post(target).body(body.into()).unwrap();
        self.send(HOME, request).await
    }

    async fn call(&self, target: &str, body: Value) -> Value {
        self.post(target, body.to_string()).await.json()
    }

    /// The code of a call, which must leave no trace unless it is 0.
    async fn code(&self, target: &str, body: Value) -> u64 {
        self.code_of(target, body.to_string()).await
    }

    async fn code_of(&self, target: &str, body: impl Into<Bytes>) -> u64 {
        let before = self.state();
        let code = self.post(target, body).await.code();
        if code != 0 {
            assert_eq!(self.state(), before, "a refusal leaves no trace");
        }
        code
    }

    /// Uploads as browsers do.
    async fn upload(&self, user: &User, name: &str, content: &[u8]) -> u64 {
        let body = browser_form(user, name, content);
        self.code_of("/api/upload", body).await
    }

    /// Rows of a user's list.
    async fn files(&self, user: &User) -> Vec<Value> {
        let body = json!({"user": user.name, "token": user.token, "start": 0, "count": 1000});
        let list = self.call("/api/myfiles?cmd=normal", body).await;
        assert_eq!(list["code"], 0);
        list["files"].as_array().unwrap().clone()
    }

    /// The file's views, in the list of its owner or in that of shares.
    async fn shared(&self) -> Vec<Value> {
        let list = self.call(
            "/api/sharefiles?cmd=normal",
            json!({"start": 0, "count": 1000}),
        );
        list.await["files"].as_array().unwrap().clone()
    }
}

/// What holds for every answer.
fn check_form(reply: &Reply) {
    let header = |name| reply.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(header("x-content-type-options"), Some("nosniff"));
    assert_eq!(header("set-cookie"), None);
    if let Some(len) = header("content-length") {
        assert_eq!(len, reply.bytes.len().to_string());
    }
    if reply.status == StatusCode::FOUND {
        return;
    }
    let content_type = header("content-type");
    assert_eq!(content_type, Some("application/json;charset=utf-8"));
    let answer = reply.json();
    let code = answer["code"].as_u64().expect("the code is an integer");
    if code != 0 {
        let members = answer.as_object().unwrap().len();
        assert_eq!(members, 1, "a failure says its code alone: {answer}");
    }
    if reply.status != StatusCode::OK {
        assert_eq!(code, 1);
    }
}

fn rules() -> CallerRules {
    CallerRules {
        trusted_proxies: Vec::new(),
        allowed_origins: vec!["https://app.example".parse().unwrap()],
        public_url: None,
        scheme: Scheme::Http,
        listening_on: "192.0.2.1:8080".parse().unwrap(),
    }
}

/// The MD5 of `content`.
fn md5_of(content: &[u8]) -> String {
    let digest = u128::from_be_bytes(Md5Hasher::digest(content).into());
    format!("{digest:032x}")
}

/// A body as browsers send it: the file first, no token.
fn browser_form(user: &User, name: &str, content: &[u8]) -> Vec<u8> {
    let (size, md5) = (content.len().to_string(), md5_of(content));
    let fields = [
        ("user", user.name),
        ("md5", md5.as_str()),
        ("size", size.as_str()),
    ];
    form(&[(name, content)], &fields)
}

/// A body of ordinary multipart: files, then fields.
fn form(files: &[(&str, &[u8])], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in files {
        let head = format!(
            "--BOUNDARY\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    for (name, value) in fields {
        let part = format!(
            "--BOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend(part.as_bytes());
    }
    body.extend(b"--BOUNDARY--\r\n");
    body
}

/// A body in the document's own format.
fn literal(parameters: &str, content: &[u8]) -> Vec<u8> {
    let delimiter = "------WebKitFormBoundarynHRBTFoUv<p3Tewg";
    let head = format!(
        "{delimiter}\r\nContent-Disposition: form-data; {parameters}\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let end = format!("\r\n{delimiter}");
    [head.as_bytes(), content, end.as_bytes()].concat()
}

impl User {
    /// The members of a call about a file.
    fn label(&self, md5: &str, name: &str) -> Value {
        json!({"user": self.name, "token": self.token, "md5": md5, "filename": name})
    }

    /// The members of a call about a file in which the document shows no token.
    fn bare_label(&self, md5: &str, name: &str) -> Value {
        json!({"user": self.name, "md5": md5, "filename": name})
    }

    fn rows(&self, start: i64, count: i64) -> Value {
        json!({"user": self.name, "token": self.token, "start": start, "count": count})
    }
}

/// `body` with a member set to `value`, or without it.
fn with(body: &Value, name: &str, value: Option<Value>) -> Value {
    let mut body = body.clone();
    let members = body.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    body
}

fn empty(method: Method, target: &str) -> HttpRequest<Bytes> {
    let request = HttpRequest::builder().method(method).uri(target);
    request.body(Bytes::new()).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
