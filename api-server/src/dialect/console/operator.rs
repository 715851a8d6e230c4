//! The administrators' calls for the operator's command line, on a port of its own; see
//! [`crate::operator`].

use std::sync::Arc;

use common::web::body::Body;
use common::web::server::{Handler, Peer, RequestBody};
use http::{Request, Response, request};
use subtle::ConstantTimeEq as _;

use super::answer::Answer;
use super::call::Call;
use super::query::Query;
use super::refusal::Refusal;
use super::who::{self, Administrator};
use super::{Console, Described};
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::id::Token;
use crate::service;

/// Answers the operator's commands.
#[derive(Debug)]
pub(crate) struct Operator<C, B> {
    console: Arc<Console<C, B>>,
    token: Token,
}

impl<C: Catalog, B: Blobs> Operator<C, B> {
    /// With a token that is new.
    pub(crate) fn new(console: Arc<Console<C, B>>) -> Self {
        Self {
            console,
            token: Token(service::random_bytes()),
        }
    }

    /// What proves that a command may.
    pub(crate) fn token(&self) -> String {
        self.token.to_string()
    }

    async fn answer(&self, head: &request::Parts, body: RequestBody) -> Result<Answer, Refusal> {
        let token = who::bearer(&head.headers).and_then(|text| text.parse::<Token>().ok());
        let is_right = token.is_some_and(|token| token.0.ct_eq(&self.token.0).into());
        if !is_right {
            return Err(Refusal::NoSession);
        }
        match Call::of(&head.method, head.uri.path())? {
            Call::Admin(call) => {
                let query = Query::of(head);
                self.console
                    .for_administrator(&Administrator::Operator, call, query, body)
                    .await
            }
            Call::Server | Call::Shares | Call::User(_) => Err(Refusal::NotFound),
        }
    }
}

impl<C: Catalog, B: Blobs> Handler for Operator<C, B> {
    async fn handle(&self, request: Request<RequestBody>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Some(Peer(peer)) = head.extensions.get().copied() else {
            return Refusal::Panicked.render();
        };
        let described = Described::of(&head, peer.ip());
        let answer = self.answer(&head, body).await;
        described.render(answer)
    }
}
