//! The dialect over doubles of catalog and storage. Requests are built, not sent.

mod clients;
mod documented;
mod envelope;
mod names;
mod older_upload;
mod reuse;
mod single;
mod sliced;
mod tokens;
mod tree;

use std::time::Duration;

use bytes::Bytes;
use common::id::FileId;
use common::web::origin::Scheme;
use common::web::server::RequestBody;
use http::{HeaderMap, Request as HttpRequest, StatusCode};
use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5 as Md5Hasher};
use serde_json::{Value, json};

use super::token::{self, Claims};
use super::{Pan123, Pan123Settings};
use crate::backend::MemoryBlobs;
use crate::backend::catalog::{MemoryCatalog, MemorySnapshot};
use crate::core::accounts::{self, PasswordHash, Profile};
use crate::core::apps::Scopes;
use crate::core::id::AccountId;
use crate::http::caller::CallerRules;
use crate::http::{Dialect as _, Exchange};
use crate::service::{NewTokens, Service, ServiceSettings};

/// Where clients are when nothing else is said.
const HOME: &str = "203.0.113.7";
/// Bytes of a slice on the servers of these tests.
const SLICE: usize = 4096;
/// The boundary of forms.
const BOUNDARY: &str = "----FormBoundary-0123456789abcdef";

/// A server and what it stands on.
#[derive(Debug)]
struct Server {
    dialect: Pan123<MemoryCatalog, MemoryBlobs>,
    service: Service<MemoryCatalog, MemoryBlobs>,
    catalog: MemoryCatalog,
    blobs: MemoryBlobs,
}

/// An answer, whose form was checked.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
}

impl Reply {
    fn code(&self) -> u64 {
        self.json["code"].as_u64().unwrap()
    }

    fn message(&self) -> &str {
        self.json["message"].as_str().unwrap()
    }

    /// What a call that succeeded says.
    fn data(&self) -> &Value {
        assert_eq!(self.code(), 0, "{}", self.json);
        &self.json["data"]
    }
}

/// A user with an access token.
#[derive(Clone, Debug)]
struct User {
    account: AccountId,
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
        let settings = ServiceSettings {
            slice_size: SLICE as u64,
            ..settings
        };
        let service = Service::new(catalog.clone(), blobs.clone(), settings).unwrap();
        let settings = Pan123Settings {
            upload_size_max: u64::MAX,
            password_tokens: true,
        };
        Self {
            dialect: Pan123::new(service.clone(), settings),
            service,
            catalog,
            blobs,
        }
    }

    /// Makes an account with a token for everything; its password fits nothing.
    async fn user(&self, name: &'static str) -> User {
        self.user_with(name, None, Scopes::ALL).await
    }

    async fn user_with(&self, name: &'static str, quota: Option<u64>, scopes: Scopes) -> User {
        let account = self
            .service
            .change(move |tx, moment| {
                let profile = Profile {
                    nick: name.parse().unwrap(),
                    email: None,
                    phone: None,
                };
                let password = PasswordHash("none".into());
                accounts::register(tx, name.parse().unwrap(), profile, password, quota, moment)
            })
            .await
            .unwrap();
        let token = self.token(account, scopes).await;
        User { account, token }
    }

    /// Another token for an account.
    async fn token(&self, account: AccountId, scopes: Scopes) -> String {
        let new = NewTokens {
            account,
            app: None,
            scopes,
            access_life: Duration::from_hours(1),
            refresh_life: None,
        };
        let tokens = self.service.issue_tokens(new).await.unwrap();
        let claims = Claims {
            account,
            issued: tokens.grant.created,
            expires: tokens.grant.expires,
        };
        token::encode(&tokens.access, claims)
    }

    /// Everything that a refused request must leave as it was.
    fn state(&self) -> (MemorySnapshot, Vec<FileId>, usize) {
        let (ids, prepared) = (self.blobs.ids(), self.blobs.prepared_count());
        (self.catalog.snapshot(), ids, prepared)
    }

    async fn send(&self, request: HttpRequest<impl Into<Bytes>>) -> Reply {
        let (head, body) = request.into_parts();
        let (status, headers, bytes) = self.send_raw(head, body.into()).await;
        let reply = Reply {
            status,
            headers,
            json: serde_json::from_slice(&bytes).unwrap(),
        };
        check_form(&reply);
        reply
    }

    async fn send_raw(
        &self,
        mut head: http::request::Parts,
        body: Bytes,
    ) -> (StatusCode, HeaderMap, Bytes) {
        if !head.headers.contains_key("host") {
            head.headers.insert("host", "pan.example".parse().unwrap());
        }
        let caller = rules().identify(HOME.parse().unwrap(), &head).unwrap();
        let body = RequestBody::from(body);
        let response = self.dialect.handle(Exchange { head, caller, body }).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, bytes)
    }

    /// A GET of a user.
    async fn get(&self, user: &User, target: &str) -> Reply {
        self.send(user.request("GET", target).body("").unwrap())
            .await
    }

    /// A POST of a user.
    async fn post(&self, user: &User, target: &str, body: Value) -> Reply {
        self.send(user.request("POST", target).body(body.to_string()).unwrap())
            .await
    }

    /// What a POST that succeeds says.
    async fn call(&self, user: &User, target: &str, body: Value) -> Value {
        self.post(user, target, body).await.data().clone()
    }

    /// The code of a POST, which must leave no trace unless it is 0.
    async fn code(&self, user: &User, target: &str, body: Value) -> u64 {
        let before = self.state();
        let code = self.post(user, target, body).await.code();
        if code != 0 {
            assert_eq!(self.state(), before, "a refusal leaves no trace");
        }
        code
    }

    /// A form of a user.
    async fn form(&self, user: &User, target: &str, parts: &[Part<'_>]) -> Reply {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let request = user
            .request("POST", target)
            .header("Content-Type", content_type);
        self.send(request.body(form(parts)).unwrap()).await
    }

    /// Begins an upload.
    async fn create(&self, user: &User, name: &str, content: &[u8]) -> Reply {
        let body = announcement(name, content);
        self.post(user, "/upload/v2/file/create", body).await
    }

    /// Begins an upload whose bytes are needed.
    async fn open(&self, user: &User, name: &str, content: &[u8]) -> String {
        let reply = self.create(user, name, content).await;
        let data = reply.data();
        assert_eq!(
            (&data["reuse"], &data["fileID"]),
            (&json!(false), &json!(0))
        );
        data["preuploadID"].as_str().unwrap().to_owned()
    }

    /// Sends a slice as the document's sample does.
    async fn slice(&self, user: &User, id: &str, number: usize, content: &[u8]) -> Reply {
        let (number, md5) = (number.to_string(), md5_of(content));
        self.form(
            user,
            "/upload/v2/file/slice",
            &[
                Part::Field("preuploadID", id),
                Part::Field("sliceNo", &number),
                Part::Field("sliceMD5", &md5),
                Part::File("slice", "part", content),
            ],
        )
        .await
    }

    async fn complete(&self, user: &User, id: &str) -> Reply {
        let body = json!({"preuploadID": id});
        self.post(user, "/upload/v2/file/upload_complete", body)
            .await
    }

    /// Uploads a file in slices.
    async fn upload(&self, user: &User, name: &str, content: &[u8]) -> u64 {
        let id = self.open(user, name, content).await;
        for (number, slice) in (1..).zip(content.chunks(SLICE)) {
            assert_eq!(self.slice(user, &id, number, slice).await.code(), 0);
        }
        self.completed(user, &id).await
    }

    /// The file that an upload becomes, as soon as its bytes were looked at.
    async fn completed(&self, user: &User, id: &str) -> u64 {
        for _ in 0..100 {
            let reply = self.complete(user, id).await;
            if reply.data()["completed"] == true {
                return reply.data()["fileID"].as_u64().unwrap();
            }
        }
        panic!("the upload does not come to its end");
    }

    /// Names in a folder that are not in the trash, in the order of their numbers.
    async fn names(&self, user: &User, folder: u64) -> Vec<String> {
        let rows = self.rows(user, folder).await;
        rows.iter()
            .map(|row| row["filename"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn rows(&self, user: &User, folder: u64) -> Vec<Value> {
        let target = format!("/api/v2/file/list?parentFileId={folder}&limit=100&trashed=false");
        let reply = self.get(user, &target).await;
        reply.data()["fileList"].as_array().unwrap().clone()
    }

    async fn mkdir(&self, user: &User, parent: u64, name: &str) -> u64 {
        let body = json!({"name": name, "parentID": parent});
        let made = self.call(user, "/upload/v1/file/mkdir", body).await;
        made["dirID"].as_u64().unwrap()
    }

    /// What a file's link leads to.
    async fn content(&self, user: &User, file: u64) -> Bytes {
        let target = format!("/api/v1/file/download_info?fileId={file}");
        let reply = self.get(user, &target).await;
        let url = reply.data()["downloadUrl"].as_str().unwrap();
        let path = url.strip_prefix("http://pan.example/").unwrap();
        let (id, _) = path.split_once('?').unwrap();
        self.blobs.bytes(&id.parse().unwrap()).unwrap()
    }
}

impl User {
    /// The head of a request.
    fn request(&self, method: &str, target: &str) -> http::request::Builder {
        HttpRequest::builder()
            .method(method)
            .uri(target)
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Platform", "open_platform")
    }
}

/// What holds for every answer in the envelope.
fn check_form(reply: &Reply) {
    let header = |name| reply.headers.get(name).map(|value| value.to_str().unwrap());
    let content_type = header("content-type");
    assert_eq!(content_type, Some("application/json;charset=utf-8"));
    assert_eq!(header("cache-control"), Some("no-store"));
    let members = reply.json.as_object().unwrap();
    let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["code", "data", "message", "x-traceID"]);
    assert!(!reply.message().is_empty());
    assert_eq!(reply.json["x-traceID"].as_str().unwrap().len(), 32);
    match reply.code() {
        0 => assert_eq!(reply.message(), "ok"),
        _ => assert!(reply.json["data"].is_null(), "a refusal has no data"),
    }
    match reply.status {
        StatusCode::OK => assert_ne!(reply.code(), 404),
        StatusCode::NOT_FOUND => assert_eq!(reply.code(), 404),
        status => assert_eq!((status, reply.code()), (StatusCode::PAYLOAD_TOO_LARGE, 1)),
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

fn md5_of(content: &[u8]) -> String {
    let digest = u128::from_be_bytes(Md5Hasher::digest(content).into());
    format!("{digest:032x}")
}

/// What says that a file in the root will be uploaded.
fn announcement(name: &str, content: &[u8]) -> Value {
    json!({
        "parentFileID": 0,
        "filename": name,
        "etag": md5_of(content),
        "size": content.len(),
    })
}

/// `change` in `body`.
fn with(mut body: Value, change: &Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Bytes of which no two runs are alike.
fn bytes(len: usize, seed: u8) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[seed]);
    let mut bytes = vec![0; len];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// A part of a form.
#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Field(&'a str, &'a str),
    File(&'a str, &'a str, &'a [u8]),
}

fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let (name, file, content) = match part {
            Part::Field(name, value) => (name, String::new(), value.as_bytes()),
            Part::File(name, file, content) => (name, format!("; filename=\"{file}\""), *content),
        };
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
        );
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}
