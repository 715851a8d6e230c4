//! The open platform's API of 123pan. Source: docs/api/pan123.md.
//!
//! A request goes one way: [`call`] finds what is meant, [`credentials`] who asks, [`param`] and
//! [`multipart`] read what is sent, the call's file does it and returns an [`Answer`] or a [`Refusal`],
//! and both are made bytes in [`answer`]. The files of calls are in the order of the document. The checks come in this order: platform, token, parameters,
//! ownership, state.

mod call;
mod credentials;
mod token;

mod multipart;
mod param;
mod target;

mod access_token;
mod complete;
mod copy;
mod create;
mod entry;
mod folders;
mod list;
mod part;
mod single;
mod slice;
mod trash;
mod user_info;

mod answer;
mod item;
mod refusal;
mod time;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use common::web::body::Body;
use common::web::text;
use http::{Response, request};
use tracing::{debug, error};

use self::answer::{Answer, TraceId};
use self::call::{Call, Needs};
use self::complete::Asked;
use self::param::{BODY_LEN_MAX, Params};
use self::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::http::{Dialect, Exchange, body};
use crate::service::{Actor, Bearer, Service, ServiceError};

/// What the dialect is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pan123Settings {
    /// Bytes that an uploaded file may have, if that is less than what the document allows.
    pub(crate) upload_size_max: u64,
    /// Whether a user's name and password are credentials of an application, too.
    pub(crate) password_tokens: bool,
}

/// Answers the calls below `/api/v1`, `/api/v2`, `/upload/v1` and `/upload/v2`.
#[derive(Debug)]
pub(crate) struct Pan123<C, B> {
    service: Service<C, B>,
    upload_size_max: u64,
    password_tokens: bool,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// The dialect over `service`.
    pub(crate) fn new(service: Service<C, B>, settings: Pan123Settings) -> Self {
        Self {
            service,
            upload_size_max: settings.upload_size_max,
            password_tokens: settings.password_tokens,
        }
    }

    async fn answer(&self, exchange: Exchange) -> Result<Answer, Refusal> {
        let head = &exchange.head;
        let (method, call) = Call::of(head.uri.path()).ok_or(Refusal::NotFound)?;
        if head.method != method {
            return Err(Refusal::Method(method));
        }
        if call == Call::AccessToken {
            let address = exchange.caller.address();
            return self.access_token(address, &read(exchange).await?).await;
        }
        if call == Call::PutPart {
            let Exchange { head, body, .. } = exchange;
            let params = Params::of_query(head.uri.query())?;
            return self.put_part(&params, body).await;
        }
        credentials::check_platform(&head.headers)?;
        let actor = self.actor(head, call).await?;
        self.for_user(call, &actor, exchange).await
    }

    /// Who asks, if the token is good for the call.
    async fn actor(&self, head: &request::Parts, call: Call) -> Result<Actor, Refusal> {
        let token = credentials::token(&head.headers)?;
        let Bearer { actor, grant } = match self.service.bearer(&token).await {
            Ok(bearer) => bearer,
            Err(ServiceError::Denied) => return Err(Refusal::Unauthorized),
            Err(error) => return Err(error.into()),
        };
        let may = match call.needs() {
            Needs::Read => grant.scopes.read,
            Needs::Write => grant.scopes.write,
        };
        if !may {
            return Err(Refusal::Scope);
        }
        let is_limited = !matches!(
            call,
            Call::Slice | Call::Complete | Call::CompleteV1 | Call::UploadResult
        );
        if is_limited && !self.service.may_call(token.hash(), head.uri.path()) {
            return Err(Refusal::TooOften);
        }
        Ok(actor)
    }

    async fn for_user(
        &self,
        call: Call,
        actor: &Actor,
        exchange: Exchange,
    ) -> Result<Answer, Refusal> {
        // Bodies of bytes are read as they come.
        if call == Call::Slice {
            let Exchange { head, body, .. } = exchange;
            return self.slice(actor, &head, body).await;
        }
        if call == Call::SingleCreate {
            let Exchange { head, body, .. } = exchange;
            return self.single_create(actor, &head, body).await;
        }
        let caller = exchange.caller.clone();
        let params = &read(exchange).await?;
        match call {
            Call::UserInfo => self.user_info(actor).await,
            Call::Create => self.create(actor, &caller, params).await,
            Call::Complete | Call::UploadResult => self.complete(actor, params, Asked::Plain).await,
            Call::CompleteV1 => self.complete(actor, params, Asked::Async).await,
            Call::Domain => Self::domain(&caller),
            Call::Sha1Reuse => self.sha1_reuse(actor, params).await,
            Call::Mkdir => self.mkdir(actor, params).await,
            Call::List => self.list(actor, params).await,
            Call::ListByPage => self.list_by_page(actor, params).await,
            Call::Detail => self.detail(actor, params).await,
            Call::Infos => self.infos(actor, params).await,
            Call::DownloadInfo => self.download_info(actor, &caller, params).await,
            Call::DirectLink => self.direct_link(actor, &caller, params).await,
            Call::DirectLinkSpace => self.direct_link_space(actor, params).await,
            Call::Rename => self.rename(actor, params).await,
            Call::RenameMany => self.rename_many(actor, params).await,
            Call::Move => self.move_entries(actor, params).await,
            Call::Trash => self.trash(actor, params).await,
            Call::Recover => self.recover(actor, params).await,
            Call::RecoverByPath => self.recover_by_path(actor, params).await,
            Call::Delete => self.delete(actor, params).await,
            Call::Copy => self.copy(actor, params).await,
            Call::CopyMany => self.copy_many(actor, params).await,
            Call::CopyProgress => self.copy_progress(actor, params).await,
            Call::UploadUrl => self.upload_url(actor, &caller, params).await,
            Call::UploadParts => self.upload_parts(actor, params).await,
            // Answered before.
            Call::AccessToken | Call::PutPart | Call::Slice | Call::SingleCreate => {
                Err(Refusal::NotFound)
            }
        }
    }
}

/// The parameters of a request whose body is JSON or a form.
async fn read(exchange: Exchange) -> Result<Params, Refusal> {
    let Exchange { head, body, .. } = exchange;
    let body = body::collect(body, BODY_LEN_MAX).await?;
    Ok(Params::parse(head.uri.query(), &body)?)
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
        match Call::of(&path) {
            Some((_, Call::PutPart)) => refusal.render_bare(trace),
            Some(_) | None => refusal.render(trace),
        }
    }
}
