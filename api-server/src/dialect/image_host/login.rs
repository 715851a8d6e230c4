//! `POST /api/login`: begins a session. Source: docs/api/image-host.md §4.2.

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::service::{Secret, Service};

use super::answer::Answer;
use super::refusal::{Codes, ONLY_ONE, Refusal};
use super::request::Request;

/// Nothing but 1: one front end takes every other code for a success.
pub(super) const CODES: Codes = ONLY_ONE;

/// Begins a session.
pub(super) async fn answer<C: Catalog, B: Blobs>(
    service: &Service<C, B>,
    request: Request,
) -> Result<Answer, Refusal> {
    let field = "pwd";
    let user = request.user()?;
    let secret = Secret::new(request.body.string(field)?).ok_or(Refusal::Secret(field))?;
    let address = request.caller.address();
    let (token, _) = service.log_in(address, user, secret).await?;
    Ok(Answer::Token(token))
}
