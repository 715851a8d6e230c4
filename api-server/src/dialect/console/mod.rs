//! The console's own calls, `/console/api/…`: what its pages need beside the documented API.
//!
//! Requests and answers are JSON; a token of the documented log-in says who asks, in `Authorization`
//! and nowhere else, so no page of another site can act with it. Source: docs/api/console.md.
//!
//! In reading order: which call it is (`call`), who asks (`who`), what it brings (`query`, `model`),
//! what each does (`account`, `files`, `tree`, `trash`, `uploads`, `apps`, `admin`), and how it is
//! answered (`answer`, `refusal`).

mod call;
mod who;

mod model;
mod query;

mod account;
mod admin;
mod apps;
mod files;
mod overview;
mod trash;
mod tree;
mod uploads;

mod answer;
mod refusal;

mod operator;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use common::env::clock;
use common::web::body::Body;
use common::web::server::RequestBody;
use common::web::text;
use http::{Response, request};
use serde::de::DeserializeOwned;
use tracing::{debug, error};

use self::answer::Answer;
use self::call::{AdminCall, Call, UserCall};
use self::overview::Sums;
use self::query::Query;
use self::refusal::Refusal;
use self::who::{Administrator, User};
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::http::caller::Caller;
use crate::http::{Dialect, Exchange, body};
use crate::service::Service;

pub(crate) use operator::Operator;

/// Bytes of a request's body. The longest is a profile, whose texts may be all escapes.
const BODY_LEN_MAX: usize = 16 * 1024;

/// Answers the console's calls.
#[derive(Debug)]
pub(crate) struct Console<C, B> {
    service: Service<C, B>,
    /// Bytes of the largest upload, which the page tells before somebody tries.
    upload_size_max: u64,
    started: Instant,
    sums: Sums,
}

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// The calls over `service`.
    pub(crate) fn new(service: Service<C, B>, upload_size_max: u64) -> Self {
        Self {
            service,
            upload_size_max,
            started: clock::monotonic(),
            sums: Sums::default(),
        }
    }

    async fn answer(&self, exchange: Exchange) -> Result<Answer, Refusal> {
        let Exchange { head, caller, body } = exchange;
        if caller.is_from_foreign_page() {
            return Err(Refusal::ForeignPage);
        }
        let call = Call::of(&head.method, head.uri.path())?;
        match call {
            Call::Server => self.server(),
            // The documented list of shares is open to everybody, so this one is.
            Call::Shares => {
                let user = if who::has_token(&head) {
                    Some(self.user(&head).await?)
                } else {
                    None
                };
                let base = caller.public_base();
                self.shares(user.as_ref(), Query::of(&head), &base).await
            }
            Call::User(call) => {
                let user = self.user(&head).await?;
                self.for_user(&user, call, &head, &caller, body).await
            }
            Call::Admin(call) => {
                let user = self.user(&head).await?;
                let administrator = self.administrator(user).await?;
                let query = Query::of(&head);
                self.for_administrator(&administrator, call, query, body)
                    .await
            }
        }
    }

    async fn for_user(
        &self,
        user: &User,
        call: UserCall,
        head: &request::Parts,
        caller: &Caller,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        let (query, base) = (Query::of(head), caller.public_base());
        match call {
            UserCall::Me => self.me(user).await,
            UserCall::SetMe => self.set_me(user, read(body).await?).await,
            UserCall::Password => {
                let passwords = read(body).await?;
                self.change_password(user, caller.address(), passwords)
                    .await
            }
            UserCall::Sessions => self.sessions(user).await,
            UserCall::EndSession(id) => self.end_session(user, id).await,
            UserCall::LogOut => self.log_out(user).await,
            UserCall::Renew => self.renew(user, caller.address()).await,
            UserCall::Files => self.files(user, query, &base).await,
            UserCall::RemoveFile(number) => self.remove_file(user, number).await,
            UserCall::Pictures => self.pictures(user, query, &base).await,
            UserCall::Tree(call) => self.on_tree(user, call, query, &base, body).await,
            UserCall::Upload(call) => self.on_uploads(user, call, head, &base, body).await,
            UserCall::App(call) => self.on_apps(user.actor.account, call, body).await,
        }
    }

    async fn for_administrator(
        &self,
        who: &Administrator,
        call: AdminCall,
        query: Query<'_>,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        match call {
            AdminCall::Overview => self.overview().await,
            AdminCall::Accounts => self.accounts(query).await,
            AdminCall::AddAccount => self.add_account(who, read(body).await?).await,
            AdminCall::ChangeAccount(user) => {
                self.change_account(who, user, read(body).await?).await
            }
            AdminCall::SetPassword(user) => self.set_password(who, user, read(body).await?).await,
            AdminCall::App(user, call) => {
                let account = self.account_for_operator(who, user).await?;
                self.on_apps(account, call, body).await
            }
        }
    }
}

impl<C: Catalog, B: Blobs> Dialect for Console<C, B> {
    async fn handle(&self, exchange: Exchange) -> Response<Body> {
        let request = Described::of(&exchange.head, exchange.caller.address());
        let answer = self.answer(exchange).await;
        request.render(answer)
    }

    fn failed(&self) -> Response<Body> {
        Refusal::Panicked.render()
    }
}

/// What a log line says of a request.
struct Described {
    method: http::Method,
    path: String,
    address: IpAddr,
}

impl Described {
    fn of(head: &request::Parts, address: IpAddr) -> Self {
        Self {
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            address,
        }
    }

    /// The answer; a refusal is logged here, where it is handled.
    fn render(self, answer: Result<Answer, Refusal>) -> Response<Body> {
        let Self {
            method,
            path,
            address,
        } = self;
        let refusal = match answer {
            Ok(answer) => return answer.render(),
            Err(refusal) => refusal,
        };
        let why = text::chain(&refusal);
        if refusal.is_fault() {
            error!(%method, path, %address, error = why, "a call of the console failed");
        } else {
            debug!(%method, path, %address, why, "a call of the console was refused");
        }
        refusal.render()
    }
}

/// The request model in `body`.
async fn read<T: DeserializeOwned>(body: RequestBody) -> Result<T, Refusal> {
    let bytes: Bytes = body::collect(body, BODY_LEN_MAX).await?;
    Ok(serde_json::from_slice(&bytes)?)
}
