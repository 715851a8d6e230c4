//! The image-host API (图床). Source: docs/api/image-host.md.
//!
//! A request goes one way: [`route`] finds the endpoint and the command, [`request`] and [`form`] read
//! the body, the endpoint's file parses what it needs, calls the service and returns an
//! [`Answer`] or a [`Refusal`], and both are made bytes in
//! [`answer`]. No endpoint builds an HTTP response, and which number a refusal becomes stands in a
//! table beside the endpoint.

mod answer;
mod file_row;
mod json_text;
mod listing;
mod proof;
mod refusal;
mod request;
mod route;

pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod json;

mod dealfile;
mod dealsharefile;
mod login;
mod md5;
mod myfiles;
mod reg;
mod share;
mod sharefiles;
mod sharepic;
mod upload;

#[cfg(test)]
mod tests;

use common::web::body::Body;
use common::web::text;
use http::header::{ALLOW, HeaderValue};
use http::{Response, StatusCode};
use jiff::tz::TimeZone;
use tracing::{debug, error};

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::http::{Dialect, Exchange, json as json_response};
use crate::service::Service;

use crate::dialect::local_time::LocalTime;
use answer::Answer;
use refusal::{Codes, ONLY_ONE, Refusal};
use request::Request;
use route::{Endpoint, Route};

/// What the dialect is told.
#[derive(Clone, Debug)]
pub(crate) struct ImageHostSettings {
    /// Bytes that an uploaded file may have.
    pub(crate) upload_size_max: u64,
    /// Bytes of content that somebody may send who has shown neither name nor token.
    pub(crate) unknown_sender_len_max: u64,
    /// Where the times in answers are read off the wall.
    pub(crate) time_zone: TimeZone,
}

/// Answers the calls below `/api`.
#[derive(Debug)]
pub(crate) struct ImageHost<C, B> {
    service: Service<C, B>,
    upload_size_max: u64,
    unknown_sender_len_max: u64,
    time: LocalTime,
}

impl<C: Catalog, B: Blobs> ImageHost<C, B> {
    /// The dialect over `service`.
    pub(crate) fn new(service: Service<C, B>, settings: ImageHostSettings) -> Self {
        Self {
            service,
            upload_size_max: settings.upload_size_max,
            unknown_sender_len_max: settings.unknown_sender_len_max,
            time: LocalTime::new(settings.time_zone),
        }
    }

    /// Answers a call.
    async fn answer(&self, call: Call, exchange: Exchange) -> Result<Answer, Refusal> {
        let service = &self.service;
        match call {
            Call::Reg => reg::answer(service, Request::read(exchange).await?).await,
            Call::Login => login::answer(service, Request::read(exchange).await?).await,
            Call::MyFiles(command) => {
                myfiles::answer(self, command, Request::read(exchange).await?).await
            }
            Call::ShareFiles(command) => sharefiles::answer(self, command, exchange).await,
            Call::DealFile(command) => {
                dealfile::answer(service, command, Request::read(exchange).await?).await
            }
            Call::DealShareFile(command) => {
                dealsharefile::answer(service, command, Request::read(exchange).await?).await
            }
            Call::Md5 => md5::answer(service, Request::read(exchange).await?).await,
            Call::Upload => upload::answer(self, exchange).await,
            Call::SharePic(command) => {
                sharepic::answer(self, command, Request::read(exchange).await?).await
            }
            Call::Share => Ok(share::answer(&exchange.head.uri)),
        }
    }

    /// The response to a request, and what is to be said about it in the log.
    async fn respond(&self, route: &Route<'_>, exchange: Exchange) -> Response<Body> {
        let (endpoint, address) = (route.endpoint, exchange.caller.address());
        let (refusal, codes) = match Call::of(route) {
            Err(refusal) => (refusal, ONLY_ONE),
            Ok(call) => match self.answer(call, exchange).await {
                Ok(answer) => return answer.into_response(),
                Err(refusal) => (refusal, call.codes()),
            },
        };
        let (status, code) = (refusal.status(), refusal.code(codes));
        let (command, reason) = (route.command.as_deref(), text::chain(&refusal));
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            error!(?endpoint, command, %address, reason, "a call failed");
        } else {
            debug!(?endpoint, command, %address, code, reason, "a call was refused");
        }
        json_response::code(status, code)
    }
}

/// An endpoint and what it is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Reg,
    Login,
    MyFiles(myfiles::Command),
    ShareFiles(sharefiles::Command),
    DealFile(dealfile::Command),
    DealShareFile(dealsharefile::Command),
    Md5,
    Upload,
    SharePic(sharepic::Command),
    Share,
}

impl Call {
    fn of(route: &Route<'_>) -> Result<Self, Refusal> {
        let command = route.command.as_deref();
        Ok(match route.endpoint {
            Endpoint::Reg => Self::Reg,
            Endpoint::Login => Self::Login,
            Endpoint::MyFiles => Self::MyFiles(myfiles::Command::parse(command)?),
            Endpoint::ShareFiles => Self::ShareFiles(sharefiles::Command::parse(command)?),
            Endpoint::DealFile => Self::DealFile(dealfile::Command::parse(command)?),
            Endpoint::DealShareFile => Self::DealShareFile(dealsharefile::Command::parse(command)?),
            Endpoint::Md5 => Self::Md5,
            Endpoint::Upload => Self::Upload,
            Endpoint::SharePic => Self::SharePic(sharepic::Command::parse(command)?),
            Endpoint::Share => Self::Share,
        })
    }

    /// Its table of codes.
    fn codes(self) -> Codes {
        match self {
            Self::Reg => reg::CODES,
            Self::Login => login::CODES,
            Self::DealFile(command) => command.codes(),
            Self::DealShareFile(command) => command.codes(),
            Self::Md5 => md5::CODES,
            Self::SharePic(command) => command.codes(),
            Self::MyFiles(_) => myfiles::CODES,
            Self::ShareFiles(_) => sharefiles::CODES,
            Self::Upload => upload::CODES,
            Self::Share => ONLY_ONE,
        }
    }
}

impl<C: Catalog, B: Blobs> Dialect for ImageHost<C, B> {
    async fn handle(&self, exchange: Exchange) -> Response<Body> {
        let head = &exchange.head;
        // The target outlives the exchange, which the endpoint consumes.
        let (method, target) = (head.method.clone(), head.uri.clone());
        let Some(route) = Route::of(&target) else {
            debug!(%method, path = target.path(), "no such call");
            return json_response::code(StatusCode::NOT_FOUND, 1);
        };
        if !route.allows(&method) {
            debug!(%method, path = target.path(), "the call has another method");
            let mut response = json_response::code(StatusCode::METHOD_NOT_ALLOWED, 1);
            let allowed = HeaderValue::from_static(route.methods());
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        self.respond(&route, exchange).await
    }

    fn failed(&self) -> Response<Body> {
        json_response::code(StatusCode::INTERNAL_SERVER_ERROR, 1)
    }
}
