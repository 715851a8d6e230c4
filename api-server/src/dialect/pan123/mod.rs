//! The open platform's API of 123pan. Source: docs/api/pan123.md.
//!
//! A request goes one way: [`call`] finds what is meant, [`credentials`] who asks, [`param`] and
//! [`multipart`] read what is sent, the call's file does it and returns an [`Answer`] or a [`Refusal`],
//! and both are made bytes in [`answer`]. The checks come in this order: platform, token, parameters,
//! ownership, state.

mod answer;
mod call;
mod credentials;
mod multipart;
mod param;
mod refusal;
mod token;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use common::web::body::Body;
use common::web::text;
use http::{Response, request};
use tracing::{debug, error};

use self::answer::{Answer, TraceId};
use self::call::Call;
use self::param::{BODY_LEN_MAX, Params};
use self::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::http::caller::Caller;
use crate::http::{Dialect, Exchange, body};
use crate::service::{Actor, Proof, Service, ServiceError};

/// Answers the calls below `/api/v1`, `/api/v2`, `/upload/v1` and `/upload/v2`.
#[derive(Debug)]
pub(crate) struct Pan123<C, B> {
    service: Service<C, B>,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// The dialect over `service`.
    pub(crate) fn new(service: Service<C, B>) -> Self {
        Self { service }
    }

    async fn answer(&self, exchange: Exchange) -> Result<Answer, Refusal> {
        let head = &exchange.head;
        let (method, call) = Call::of(head.uri.path()).ok_or(Refusal::NotFound)?;
        if head.method != method {
            return Err(Refusal::Method(method));
        }
        credentials::check_platform(&head.headers)?;
        let actor = self.actor(head).await?;
        self.for_user(call, &actor, exchange).await
    }

    /// Who asks.
    async fn actor(&self, head: &request::Parts) -> Result<Actor, Refusal> {
        let token = credentials::token(&head.headers)?;
        match self.service.actor_of(&Proof::Token(token)).await {
            Ok(actor) => Ok(actor),
            Err(ServiceError::Denied) => Err(Refusal::Unauthorized),
            Err(error) => Err(error.into()),
        }
    }

    async fn for_user(
        &self,
        call: Call,
        _actor: &Actor,
        exchange: Exchange,
    ) -> Result<Answer, Refusal> {
        let Exchange { head, caller, body } = exchange;
        let body = body::collect(body, BODY_LEN_MAX).await?;
        let _params = Params::parse(head.uri.query(), &body)?;
        match call {
            Call::Domain => domain(&caller),
            _ => Err(Refusal::NotFound),
        }
    }
}

/// `GET /upload/v2/file/domain`. Source: docs/api/pan123.md §5.1.
fn domain(caller: &Caller) -> Result<Answer, Refusal> {
    Answer::of(&[caller.public_base()])
}

impl<C: Catalog, B: Blobs> Dialect for Pan123<C, B> {
    async fn handle(&self, exchange: Exchange) -> Response<Body> {
        let described = Described::of(&exchange.head, exchange.caller.address());
        let answer = self.answer(exchange).await;
        described.render(answer)
    }

    fn failed(&self) -> Response<Body> {
        Refusal::Panicked.render(TraceId::generate())
    }
}

/// What a log line says of a request.
struct Described {
    trace: TraceId,
    method: http::Method,
    path: String,
    address: IpAddr,
}

impl Described {
    fn of(head: &request::Parts, address: IpAddr) -> Self {
        Self {
            trace: TraceId::generate(),
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            address,
        }
    }

    /// The answer; a refusal is logged here, where it is handled.
    fn render(self, answer: Result<Answer, Refusal>) -> Response<Body> {
        let Self {
            trace,
            method,
            path,
            address,
        } = self;
        let refusal = match answer {
            Ok(answer) => return answer.render(trace),
            Err(refusal) => refusal,
        };
        let (code, why) = (refusal.code(), text::chain(&refusal));
        if refusal.is_fault() {
            error!(%trace, %method, path, %address, error = why, "a call of 123pan's API failed");
        } else {
            debug!(%trace, %method, path, %address, code, why, "a call of 123pan's API was refused");
        }
        refusal.render(trace)
    }
}
