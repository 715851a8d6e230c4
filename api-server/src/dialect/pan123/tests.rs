//! The dialect over doubles of catalog and storage. Requests are built, not sent.

mod envelope;

use std::time::Duration;

use bytes::Bytes;
use common::web::origin::Scheme;
use common::web::server::RequestBody;
use http::{HeaderMap, Request as HttpRequest, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::Pan123;
use super::token::{self, Claims};
use crate::backend::MemoryBlobs;
use crate::backend::catalog::MemoryCatalog;
use crate::core::accounts::{self, PasswordHash, Profile};
use crate::core::id::Token;
use crate::core::sessions;
use crate::http::caller::CallerRules;
use crate::http::{Dialect as _, Exchange};
use crate::service::{Service, ServiceSettings};

/// Where clients are when nothing else is said.
const HOME: &str = "203.0.113.7";

/// A server and what it stands on.
#[derive(Debug)]
struct Server {
    dialect: Pan123<MemoryCatalog, MemoryBlobs>,
    catalog: MemoryCatalog,
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
}

/// A user with an access token.
#[derive(Clone, Debug)]
struct User {
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
        let service = Service::new(catalog.clone(), blobs, settings).unwrap();
        Self {
            dialect: Pan123::new(service),
            catalog,
        }
    }

    /// Makes an account with a token; its password fits nothing.
    async fn user(&self, name: &'static str) -> User {
        let (token, claims) = self
            .dialect
            .service
            .change(move |tx, moment| {
                let profile = Profile {
                    nick: name.parse().unwrap(),
                    email: None,
                    phone: None,
                };
                let password = PasswordHash("none".into());
                let name = name.parse().unwrap();
                let account = accounts::register(tx, name, profile, password, moment)?;
                let token = Token((u128::from(account.0) << 64 | 0xabcd).to_be_bytes());
                let (address, life) = (HOME.parse().unwrap(), Duration::from_hours(24));
                let session = sessions::open(tx, account, token.hash(), address, life, moment.now)?;
                let claims = Claims {
                    account,
                    issued: moment.now,
                    expires: session.expires,
                };
                Ok((token, claims))
            })
            .await
            .unwrap();
        User {
            token: token::encode(&token, claims),
        }
    }

    async fn send(&self, request: HttpRequest<impl Into<Bytes>>) -> Reply {
        let (mut head, body) = request.into_parts();
        if !head.headers.contains_key("host") {
            head.headers.insert("host", "pan.example".parse().unwrap());
        }
        let caller = rules().identify(HOME.parse().unwrap(), &head).unwrap();
        let body = RequestBody::from(body.into());
        let response = self.dialect.handle(Exchange { head, caller, body }).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let reply = Reply {
            status: head.status,
            headers: head.headers,
            json: serde_json::from_slice(&bytes).unwrap(),
        };
        check_form(&reply);
        reply
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
