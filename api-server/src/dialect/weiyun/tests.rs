//! The dialect over doubles of catalog and storage. Requests are built, not sent.

mod bad_input;
mod codes;
mod control;
mod documented;
mod files;
mod normal;
mod signed;
mod tokens;

use std::net::IpAddr;
use std::time::Duration;

use ::md5::{Digest as _, Md5 as Md5Hasher};
use bytes::Bytes;
use common::id::FileId;
use common::web::origin::Scheme;
use common::web::server::RequestBody;
use http::{HeaderMap, Request as HttpRequest, StatusCode};
use http_body_util::BodyExt as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha1::Sha1 as Sha1Hasher;

use super::*;
use crate::backend::catalog::{MemoryCatalog, MemorySnapshot};
use crate::backend::{ClusterState, GroupState, MemoryBlobs};
use crate::core::accounts::{self, PasswordHash, Profile};
use crate::core::apps::Scopes;
use crate::core::files::{self as core_files, FileOrder, FileRow};
use crate::core::id::{AccountId, AppNumber};
use crate::http::caller::CallerRules;
use crate::service::{Actor, NewTokens, Secret, ServiceSettings};

const HOME: &str = "203.0.113.7";
const HOST: &str = "127.0.0.1:8080";
/// The MD5 of `123456`, as log-ins send it.
const PASSWORD: &str = "e10adc3949ba59abbe56e057f20f883e";
const SIZE_MAX: u64 = 10 << 30;

/// The document's examples, and others that were computed independently.
pub(super) fn golden(name: &str) -> Value {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/golden/weiyun.json"
    ));
    let golden: Value = serde_json::from_str(text).unwrap();
    golden[name].clone()
}

/// A text of an example.
pub(super) fn text<'a>(example: &'a Value, name: &str) -> &'a str {
    example[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {example}"))
}

/// A server and what it stands on.
#[derive(Debug)]
struct Server {
    dialect: Weiyun<MemoryCatalog, MemoryBlobs>,
    catalog: MemoryCatalog,
    blobs: MemoryBlobs,
}

/// A user with an application and a token of it.
#[derive(Clone, Debug)]
struct User {
    actor: Actor,
    app: AppNumber,
    app_secret: String,
    token: String,
    openid: String,
}

/// A file that somebody uploads.
#[derive(Clone, Debug)]
struct Content {
    name: &'static str,
    bytes: Bytes,
}

/// An answer in the dialect's frame, whose form was checked.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    json: Value,
}

impl Reply {
    fn ret(&self) -> i64 {
        self.json["ret"].as_i64().unwrap()
    }

    fn data(&self, name: &str) -> &str {
        self.json["data"][name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} in {}", self.json))
    }
}

impl Content {
    fn new(name: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { name, bytes }
    }

    fn md5(&self) -> String {
        hex::encode(&Md5Hasher::digest(&self.bytes))
    }

    fn sha(&self) -> String {
        hex::encode(&Sha1Hasher::digest(&self.bytes))
    }

    /// The private parameters of an application.
    fn parameters(&self, upload_type: &str) -> Vec<(&'static str, String)> {
        vec![
            ("sha", self.sha()),
            ("md5", self.md5()),
            ("size", self.bytes.len().to_string()),
            ("name", self.name.to_owned()),
            ("upload_type", upload_type.to_owned()),
        ]
    }
}

impl User {
    /// The general parameters of OAuth 2.0.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("access_token", self.token.clone()),
            ("oauth_consumer_key", self.app.to_string()),
            ("openid", self.openid.clone()),
        ]
    }
}

/// Pairs as a query.
fn query(pairs: &[(&str, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| {
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        format!("{name}={value}")
    });
    pairs.collect::<Vec<_>>().join("&")
}

impl Server {
    async fn new() -> Self {
        let settings = WeiyunSettings {
            size_max: SIZE_MAX,
            cross_domain: vec!["*".parse().unwrap()],
            blocked: std::collections::BTreeSet::default(),
            users: std::collections::BTreeSet::default(),
        };
        Self::with(settings, ServiceSettings::default()).await
    }

    async fn with(settings: WeiyunSettings, service: ServiceSettings) -> Self {
        let catalog = MemoryCatalog::new();
        // Work may run more than once, so in tests all of it does.
        catalog.repeat_work(true);
        let blobs = MemoryBlobs::new("group1".parse().unwrap(), 7.try_into().unwrap());
        let service = Service::new(catalog.clone(), blobs.clone(), service).unwrap();
        let dialect = Weiyun::new(service, settings);
        // The server's key is made when it is first wanted. Here that is no trace of a refusal.
        dialect.names().await.unwrap();
        let server = Self {
            dialect,
            catalog,
            blobs,
        };
        server.set_writable(1);
        server
    }

    /// How many nodes take uploads.
    fn set_writable(&self, writable_count: u64) {
        let group = GroupState {
            name: "group1".parse().unwrap(),
            space_total: 1 << 40,
            space_free: 1 << 40,
            space_reserved: 0,
            readable_count: 1,
            writable_count,
            nodes: Vec::new(),
        };
        self.blobs.set_cluster(ClusterState {
            groups: vec![group],
            ..ClusterState::default()
        });
    }

    /// The service that the dialect is over.
    fn service(&self) -> &Service<MemoryCatalog, MemoryBlobs> {
        &self.dialect.service
    }

    /// Makes an account; its password fits nothing.
    async fn account(&self, name: &'static str) -> AccountId {
        let made = self.service().change(move |tx, moment| {
            let profile = Profile {
                nick: name.parse().unwrap(),
                email: None,
                phone: None,
            };
            let password = PasswordHash("none".into());
            accounts::register(tx, name.parse().unwrap(), profile, password, None, moment)
        });
        made.await.unwrap()
    }

    async fn user(&self, name: &'static str) -> User {
        self.user_with(name, Scopes::ALL, Duration::from_hours(1))
            .await
    }

    async fn user_with(&self, name: &'static str, scopes: Scopes, life: Duration) -> User {
        let account = self.account(name).await;
        let created = self
            .service()
            .create_app(account, "app".parse().unwrap(), scopes);
        let (app, secret) = created.await.unwrap();
        let tokens = NewTokens {
            account,
            app: Some(app),
            scopes,
            access_life: life,
            refresh_life: None,
        };
        let tokens = self.service().issue_tokens(tokens).await.unwrap();
        let names = self.dialect.names().await.unwrap();
        User {
            actor: Actor {
                account,
                user: name.parse().unwrap(),
            },
            app,
            app_secret: secret.0.to_string(),
            token: tokens.access.to_string(),
            openid: names.openid(account, app),
        }
    }

    /// Everything that a refused request must leave as it was.
    fn state(&self) -> (MemorySnapshot, Vec<FileId>, usize) {
        let (ids, prepared) = (self.blobs.ids(), self.blobs.prepared_count());
        (self.catalog.snapshot(), ids, prepared)
    }

    /// Status, headers and bytes of an answer.
    async fn exchange(
        &self,
        request: HttpRequest<impl Into<Bytes>>,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let (mut head, body) = request.into_parts();
        if !head.headers.contains_key("host") {
            head.headers.insert("host", HOST.parse().unwrap());
        }
        let home: IpAddr = HOME.parse().unwrap();
        let caller = rules().identify(home, &head).unwrap();
        let body = RequestBody::from(body.into());
        let response = self.dialect.handle(Exchange { head, caller, body }).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, bytes)
    }

    async fn send(&self, request: HttpRequest<impl Into<Bytes>>) -> Reply {
        let (status, headers, bytes) = self.exchange(request).await;
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(
            header("content-type"),
            Some("application/json;charset=utf-8")
        );
        assert_eq!(header("cache-control"), Some("no-store"));
        let json: Value = serde_json::from_slice(&bytes).unwrap();
        let members = json.as_object().unwrap();
        let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["data", "msg", "ret"]);
        assert!(!json["msg"].as_str().unwrap().is_empty());
        let reply = Reply { status, json };
        let data = reply.json["data"].as_object().unwrap();
        if reply.ret() != 0 {
            assert!(!data.contains_key("csum"), "a refusal has no key");
        }
        reply
    }

    async fn get(&self, path: &str, pairs: &[(&str, String)]) -> Reply {
        let target = format!("{path}?{}", query(pairs));
        let reply = self.send(HttpRequest::get(target).body("").unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK);
        reply
    }

    /// Applies for an upload.
    async fn apply(&self, user: &User, content: &Content, upload_type: &str) -> Reply {
        let pairs = [user.parameters(), content.parameters(upload_type)].concat();
        self.get("/weiyun/upload_file", &pairs).await
    }

    /// The key of an application that is admitted.
    async fn key(&self, user: &User, content: &Content, upload_type: &str) -> String {
        let reply = self.apply(user, content, upload_type).await;
        assert_eq!(reply.ret(), 0, "{}", reply.json);
        reply.data("csum").to_owned()
    }

    /// Sends a form with a key.
    async fn post_form(&self, key: &str, form: impl Into<Bytes>) -> Reply {
        let target = format!("/ftn_handler/?ver=12345&ukey={key}&filekey=0&");
        let request = HttpRequest::post(target)
            .header("content-type", "multipart/form-data;boundary=BOUNDARY")
            .body(form)
            .unwrap();
        let reply = self.send(request).await;
        assert_eq!(reply.status, StatusCode::OK, "forms always get a body");
        reply
    }

    /// Uploads as one form.
    async fn upload(&self, user: &User, content: &Content) -> Reply {
        let key = self.key(user, content, "normal").await;
        self.post_form(&key, form(&content.bytes)).await
    }

    /// Sends a packet.
    async fn post_packet(&self, query: &str, packet: Vec<u8>) -> Reply {
        let target = format!("/ftn_handler/?{query}");
        self.send(HttpRequest::post(target).body(packet).unwrap())
            .await
    }

    /// All files of a user.
    async fn files(&self, user: &User) -> Vec<FileRow> {
        use crate::core::catalog::Direction;
        let account = user.actor.account;
        let page = self.service().look(move |view| {
            core_files::page(
                view,
                account,
                FileOrder::Created,
                Direction::Ascending,
                0,
                1_000,
            )
        });
        page.await.unwrap().rows
    }

    /// The bytes of the user's only file.
    async fn only_file(&self, user: &User) -> (String, Bytes) {
        let files = self.files(user).await;
        let [(_, file)] = files.as_slice() else {
            panic!("{} files", files.len());
        };
        let bytes = self.blobs.bytes(&file.blob).unwrap();
        (file.entry.to_string(), bytes)
    }
}

fn rules() -> CallerRules {
    CallerRules {
        trusted_proxies: Vec::new(),
        allowed_origins: Vec::new(),
        public_url: None,
        scheme: Scheme::Http,
        listening_on: "192.0.2.1:8080".parse().unwrap(),
    }
}

/// A form of this content, with the parts that Flash sends.
fn form(content: &[u8]) -> Vec<u8> {
    form_with("UTF8", content)
}

fn form_with(charset: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--BOUNDARY\r\nContent-Disposition: form-data; name=\"Filename\"\r\n\r\nother.txt\r\n\
         --BOUNDARY\r\nContent-Disposition: form-data; name=\"resp_charset\"\r\n\r\n{charset}\r\n\
         --BOUNDARY\r\nContent-Disposition: form-data; name=\"file\"; filename=\"other.txt\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let tail = "\r\n--BOUNDARY\r\nContent-Disposition: form-data; name=\"Upload\"\r\n\r\n\
                Submit Query\r\n--BOUNDARY--";
    [head.as_bytes(), content, tail.as_bytes()].concat()
}

/// A packet of a block.
fn packet(key: &str, content: &Content, offset: usize, block: &[u8]) -> Vec<u8> {
    let key = hex::decode(key).unwrap();
    let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let rest = [
        &u16::try_from(key.len()).unwrap().to_be_bytes(),
        key.as_slice(),
        &[0, 20],
        &Sha1Hasher::digest(&content.bytes),
        &number(content.bytes.len()),
        &number(offset),
        &number(block.len()),
        block,
    ]
    .concat();
    [
        packet::MAGIC.as_slice(),
        &number(1000),
        &number(0),
        &number(rest.len()),
        &rest,
    ]
    .concat()
}

/// The parameter that announces a block's digest.
fn bmd5(block: &[u8]) -> String {
    format!("bmd5={}", hex::encode(&Md5Hasher::digest(block)))
}
