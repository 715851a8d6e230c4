//! The Weiyun upload API (微云), with the token endpoints that it needs. Source: docs/api/weiyun.md.
//!
//! A request goes one way: [`route`] finds the call, [`login`] who asks, and the call's file reads its
//! [`parameters`], calls the service and returns [`model::Data`] or a [`Refusal`]. What these are as
//! bytes and numbers is told in one place each: [`model`] and [`refusal`].
//!
//! The bytes of a file come to [`handler`], whose permission is the key that the application for the
//! upload gave, and no token.

mod parameters;
mod route;
mod settings;

mod login;
mod nonces;
mod oauth;
mod signature;

mod announcement;
mod category;
mod crossdomain;
mod file;
mod list;
mod upload_file;

mod block;
mod form;
mod handler;
mod key;
mod packet;
mod whole;

mod describe;
mod explain;
mod hex;
mod model;
mod names;
mod place;
mod refusal;
mod ret;
mod time;

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use common::web::body::Body;
use common::web::text;
use http::{Method, Response, StatusCode};
use tokio::sync::OnceCell;
use tracing::{debug, error};

use self::block::Memory;
use self::crossdomain::CrossDomainPolicy;
use self::form::Charset;
use self::handler::Manner;
use self::model::{Data, Envelope};
use self::names::Names;
use self::nonces::Nonces;
use self::oauth::{Format, OAuthError};
use self::parameters::Parameters;
use self::refusal::Refusal;
use self::ret::Ret;
use self::route::Call;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::http::{Dialect, Exchange, body, json as json_response};
use crate::service::{Service, ServiceError};

pub(crate) use self::settings::WeiyunSettings;

/// Answers the calls below `/weiyun`, `/ftn_handler` and `/oauth2.0`, and `/crossdomain.xml`.
#[derive(Debug)]
pub(crate) struct Weiyun<C, B> {
    service: Service<C, B>,
    settings: WeiyunSettings,
    policy: CrossDomainPolicy,
    nonces: Nonces,
    memory: Memory,
    /// Made of the server's key, which the catalog has.
    names: OnceCell<Names>,
}

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// The dialect over `service`.
    pub(crate) fn new(service: Service<C, B>, settings: WeiyunSettings) -> Self {
        Self {
            service,
            policy: CrossDomainPolicy::new(&settings.cross_domain),
            settings,
            nonces: Nonces::default(),
            memory: Memory::default(),
            names: OnceCell::new(),
        }
    }

    async fn names(&self) -> Result<&Names, ServiceError> {
        let make = async || Ok(Names::new(&self.service.server_key().await?));
        self.names.get_or_try_init(make).await
    }

    async fn respond(&self, call: Call<'_>, exchange: Exchange) -> Response<Body> {
        let Exchange { head, caller, body } = exchange;
        let (path, address) = (head.uri.path(), caller.address());
        if !call.allows(&head.method) {
            return rendered(StatusCode::OK, Charset::Utf8, path, Err(Refusal::Method));
        }
        match call {
            Call::CrossDomain => self.policy.response(),
            Call::Upload => {
                let (manner, taken) = self.receive(&head, &caller, body).await;
                let (charset, status) = match (manner, &taken) {
                    (Manner::Form(charset), _) => (charset, StatusCode::OK),
                    (Manner::Packet, Ok(_)) => (Charset::Utf8, StatusCode::OK),
                    (Manner::Packet, Err(refusal)) => (Charset::Utf8, refusal.status_of_packet()),
                };
                rendered(status, charset, path, taken)
            }
            Call::Fetch(link) => match self.fetch(link, &head).await {
                Ok(response) => response,
                Err(refusal) => {
                    let status = refusal.status_of_fetch();
                    rendered(status, Charset::Utf8, path, Err(refusal))
                }
            },
            Call::Token | Call::Me => {
                let query = head.uri.query().unwrap_or_default();
                let form = if head.method == Method::POST {
                    body::collect(body, parameters::LEN_MAX).await
                } else {
                    Ok(bytes::Bytes::new())
                };
                let parameters = form.map_err(OAuthError::from).and_then(|form| {
                    let query = Parameters::parse(query.as_bytes())?;
                    Ok(query.followed_by(Parameters::parse(&form)?))
                });
                self.authorise(call, address, parameters, path).await
            }
            Call::UploadFile | Call::List(_) | Call::Download | Call::Delete => {
                let answer = self.answer(call, &head, &caller).await;
                rendered(StatusCode::OK, Charset::Utf8, path, answer)
            }
        }
    }

    /// Answers a call below `/weiyun`.
    async fn answer(
        &self,
        call: Call<'_>,
        head: &http::request::Parts,
        caller: &crate::http::caller::Caller,
    ) -> Result<Data, Refusal> {
        let query = head.uri.query().unwrap_or_default();
        let parameters = Parameters::parse(query.as_bytes())?;
        match call {
            Call::List(category) => self.list(category, head, caller, &parameters).await,
            Call::Download => self.download(head, caller, &parameters).await,
            Call::Delete => self.delete(head, caller, &parameters).await,
            Call::UploadFile
            | Call::Upload
            | Call::Fetch(_)
            | Call::CrossDomain
            | Call::Token
            | Call::Me => self.apply(head, caller, &parameters).await,
        }
    }

    /// Answers a call below `/oauth2.0`.
    async fn authorise(
        &self,
        call: Call<'_>,
        address: std::net::IpAddr,
        parameters: Result<Parameters, OAuthError>,
        path: &str,
    ) -> Response<Body> {
        let (format, answered) = match parameters {
            Err(error) => (Format::Text, Err(error)),
            Ok(parameters) => {
                let format = Format::of(&parameters);
                let answered = if call == Call::Me {
                    self.me(&parameters)
                        .await
                        .map(|openid| openid.response(format))
                } else {
                    let tokens = self.token(address, &parameters).await;
                    tokens.map(|tokens| tokens.response(format))
                };
                (format, answered)
            }
        };
        match answered {
            Ok(response) => response,
            Err(error) => {
                debug!(path, %address, reason = text::chain(&error), "no token was given");
                error.response(format)
            }
        }
    }
}

/// An answer in the frame of the dialect. A refusal is logged here, where it is handled.
fn rendered(
    status: StatusCode,
    charset: Charset,
    path: &str,
    answer: Result<Data, Refusal>,
) -> Response<Body> {
    let (ret, data) = match answer {
        Ok(data) => (Ret::Ok, data),
        Err(refusal) => {
            let (ret, reason) = (refusal.ret(), text::chain(&refusal));
            if refusal.is_fault() {
                error!(path, ret = ret.number(), reason, "a call failed");
            } else {
                debug!(path, ret = ret.number(), reason, "a call was refused");
            }
            (ret, refusal.into_data())
        }
    };
    let json = Envelope::new(ret, &data).to_json();
    json_response::response(status, charset.write(json))
}

impl<C: Catalog, B: Blobs> Dialect for Weiyun<C, B> {
    async fn handle(&self, exchange: Exchange) -> Response<Body> {
        // The path outlives the exchange, which the call consumes.
        let target = exchange.head.uri.clone();
        match Call::of(target.path()) {
            Some(call) => self.respond(call, exchange).await,
            None => rendered(
                StatusCode::NOT_FOUND,
                Charset::Utf8,
                target.path(),
                Err(Refusal::NoSuchCall),
            ),
        }
    }

    fn failed(&self) -> Response<Body> {
        // Not 200: to the sender of a packet that would mean success.
        let json = Envelope::new(Ret::Access, &Data::Nothing {}).to_json();
        json_response::response(StatusCode::INTERNAL_SERVER_ERROR, json)
    }
}
