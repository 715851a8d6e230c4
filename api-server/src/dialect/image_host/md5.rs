//! `POST /api/md5`: adds a file whose bytes are here already. Source: docs/api/image-host.md §4.14.

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::service::Service;

use super::answer::Answer;
use super::refusal::{Cause, Codes, Refusal};
use super::request::{Label, Request};

pub(super) const CODES: Codes = &[(Cause::Token, 4), (Cause::FileExists, 5)];

/// Adds the file.
pub(super) async fn answer<C: Catalog, B: Blobs>(
    service: &Service<C, B>,
    request: Request,
) -> Result<Answer, Refusal> {
    let actor = request.actor(service).await?;
    let Label { md5, name } = Label::parse_new(&request.body)?;
    service.add_by_md5(&actor, md5, name).await?;
    Ok(Answer::Done)
}
