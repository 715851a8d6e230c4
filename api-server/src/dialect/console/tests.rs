//! The calls over a catalog and blobs in memory, as the pages make them.

mod account;
mod admin;
mod files;
mod operator;
mod tree;
mod uploads;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::env::clock;
use common::id::{Extension, GroupName};
use common::web::origin::Scheme;
use common::web::server::RequestBody;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::Console;
use crate::backend::MemoryBlobs;
use crate::backend::catalog::MemoryCatalog;
use crate::core::accounts::{self, PasswordHash, Profile, Standing};
use crate::core::files::Naming;
use crate::core::id::{AccountId, Token};
use crate::core::sessions;
use crate::http::caller::CallerRules;
use crate::http::{Dialect, Exchange};
use crate::service::{
    Actor, Announced, Rate, RateSettings, Registration, Secret, Service, ServiceSettings,
};

/// MD5s of `123456` and of `654321`.
const PASSWORD: &str = "e10adc3949ba59abbe56e057f20f883e";
const OTHER_PASSWORD: &str = "c33367701511b4f6020ec61ded352059";

type MemoryService = Service<MemoryCatalog, MemoryBlobs>;

struct Fixture {
    console: Arc<Console<MemoryCatalog, MemoryBlobs>>,
    service: MemoryService,
    catalog: MemoryCatalog,
    blobs: MemoryBlobs,
}

/// Somebody who is logged in.
#[derive(Clone)]
struct User {
    actor: Actor,
    token: String,
}

/// An answer.
struct Said {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
}

impl Fixture {
    fn new() -> Self {
        Self::with(ServiceSettings::default())
    }

    fn with(settings: ServiceSettings) -> Self {
        let catalog = MemoryCatalog::new();
        // Whatever an implementation may do to the work it is given is done to it.
        catalog.repeat_work(true);
        let group: GroupName = "group1".parse().unwrap();
        let blobs = MemoryBlobs::new(group, 1.try_into().unwrap());
        let service = Service::new(catalog.clone(), blobs.clone(), settings).unwrap();
        Self {
            console: Arc::new(Console::new(service.clone(), 1 << 30)),
            service,
            catalog,
            blobs,
        }
    }

    /// An account without a password that anybody could have, logged in. The first is an
    /// administrator's.
    async fn user(&self, name: &str) -> User {
        let user: crate::core::name::UserName = name.parse().unwrap();
        let profile = Profile {
            nick: name.parse().unwrap(),
            email: None,
            phone: None,
        };
        let name = user.clone();
        let account = self
            .service
            .change(move |tx, moment| {
                let password = PasswordHash("none".into());
                let (name, profile) = (name.clone(), profile.clone());
                accounts::register(tx, name, profile, password, None, moment)
            })
            .await
            .unwrap();
        self.session(Actor { account, user }).await
    }

    /// Another session of a user.
    async fn session(&self, actor: Actor) -> User {
        let token = Token(
            common::env::entropy::random_u64()
                .to_be_bytes()
                .repeat(2)
                .try_into()
                .unwrap(),
        );
        let (account, hash) = (actor.account, token.hash());
        let life = Duration::from_hours(1);
        self.service
            .change(move |tx, moment| {
                sessions::open(tx, account, hash, address(), life, moment.now)
            })
            .await
            .unwrap();
        User {
            actor,
            token: token.to_string(),
        }
    }

    /// An account with [`PASSWORD`], logged in.
    async fn user_with_password(&self, name: &str) -> User {
        let registration = Registration {
            user: name.parse().unwrap(),
            secret: Secret::new(PASSWORD).unwrap(),
            profile: Profile {
                nick: name.parse().unwrap(),
                email: None,
                phone: None,
            },
        };
        let user = registration.user.clone();
        let account = self
            .service
            .register(address(), registration)
            .await
            .unwrap();
        self.session(Actor { account, user }).await
    }

    /// Gives a user a file.
    async fn file(&self, user: &User, name: &str, content: &str) -> u64 {
        let mut upload = self.service.begin_upload(Extension::of_file_name(name));
        let content = Bytes::from(content.to_owned());
        upload.write(content).await.unwrap();
        let naming = Naming::Label(name.parse().unwrap());
        let nothing = Announced::default();
        upload.finish(&user.actor, naming, nothing).await.unwrap();
        self.count_of(user).await
    }

    /// Files of a user.
    async fn count_of(&self, user: &User) -> u64 {
        let account = user.actor.account;
        let holdings = self
            .service
            .look(move |view| accounts::holdings(view, account));
        holdings.await.unwrap().files
    }

    async fn set_standing(&self, account: AccountId, standing: Standing) {
        self.service
            .change(move |tx, _| accounts::set_standing(tx, account, standing))
            .await
            .unwrap();
    }

    async fn get(&self, user: &User, path: &str) -> Said {
        self.call(Method::GET, path, Some(user), None).await
    }

    async fn post(&self, user: &User, path: &str, body: Value) -> Said {
        self.call(Method::POST, path, Some(user), Some(body)).await
    }

    async fn delete(&self, user: &User, path: &str) -> Said {
        self.call(Method::DELETE, path, Some(user), None).await
    }

    /// Calls `/console/api/<path>`.
    async fn call(
        &self,
        method: Method,
        path: &str,
        user: Option<&User>,
        body: Option<Value>,
    ) -> Said {
        let mut headers = Vec::new();
        let token;
        if let Some(user) = user {
            token = format!("Bearer {}", user.token);
            headers.push(("authorization", token.as_str()));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(method, path, &headers, body.into()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Said {
        let path = format!("/console/api/{path}");
        let mut request = Request::builder().method(method).uri(&path);
        request = request.header("host", "img.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let rules = CallerRules {
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            public_url: None,
            scheme: Scheme::Http,
            listening_on: "192.0.2.99:8080".parse().unwrap(),
        };
        let exchange = Exchange {
            caller: rules.identify(address(), &head).unwrap(),
            head,
            body: RequestBody::from(body),
        };
        Said::of(self.console.handle(exchange).await).await
    }
}

impl Said {
    async fn of(response: http::Response<common::web::body::Body>) -> Self {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(head.headers["cache-control"], "no-store");
        assert_eq!(head.headers["x-content-type-options"], "nosniff");
        let json = if head.status == StatusCode::NO_CONTENT {
            assert!(bytes.is_empty());
            Value::Null
        } else {
            assert_eq!(
                head.headers["content-type"],
                "application/json;charset=utf-8"
            );
            serde_json::from_slice(&bytes).unwrap()
        };
        Self {
            status: head.status,
            headers: head.headers,
            json,
        }
    }

    /// The object of a call that went well.
    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.json);
        self.json
    }

    /// Expects that the call was done and nothing said.
    #[track_caller]
    fn done(self) {
        assert_eq!(self.status, 204, "{}", self.json);
    }

    /// Expects a refusal with a sentence.
    #[track_caller]
    fn refused(self, status: u16, word: &str) {
        assert_eq!(
            (self.status.as_u16(), &self.json["error"]),
            (status, &json!(word)),
            "{}",
            self.json
        );
        assert!(
            self.json["message"]
                .as_str()
                .is_some_and(|text| 10 < text.len())
        );
        assert_eq!(self.json.as_object().unwrap().len(), 2);
    }
}

fn address() -> IpAddr {
    [192, 0, 2, 1].into()
}

/// The texts of a member of all objects of a list.
fn column(list: &Value, name: &str) -> Vec<String> {
    let rows = list.as_array().unwrap().iter();
    let text = |row: &Value| {
        let value = &row[name];
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    rows.map(text).collect()
}
