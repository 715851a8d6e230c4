//! A request whose body is JSON, and the members that several endpoints have.
//! Source: docs/api/image-host.md §2.2, §2.3.

use http::request;

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::id::{Md5, PictureLink};
use crate::core::name::{FileName, NameError, UserName};
use crate::http::Exchange;
use crate::http::body;
use crate::http::caller::Caller;
use crate::service::{Actor, Proof, Service};

use super::fields::{Count, Start};
use super::json::Object;
use super::proof;
use super::refusal::Refusal;

/// Bytes that a body may have.
const BODY_LEN_MAX: usize = 1024 * 1024;

/// A request as it was read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: request::Parts,
    pub(super) caller: Caller,
    pub(super) body: Object,
}

impl Request {
    /// Reads the body.
    pub(super) async fn read(exchange: Exchange) -> Result<Self, Refusal> {
        let Exchange { head, caller, body } = exchange;
        let bytes = body::collect(body, BODY_LEN_MAX).await?;
        let body = Object::parse(&bytes)?;
        Ok(Self { head, caller, body })
    }

    /// The name of the user who asks.
    pub(super) fn user(&self) -> Result<UserName, Refusal> {
        let field = "user";
        let text = self.body.string(field)?;
        text.parse()
            .map_err(|source| Refusal::Text { field, source })
    }

    /// What the body brings to prove that.
    pub(super) fn proof(&self) -> Result<Proof, Refusal> {
        proof::of_body(&self.body)
    }

    /// The user of a call that must bring a token.
    pub(super) async fn actor<C: Catalog, B: Blobs>(
        &self,
        service: &Service<C, B>,
    ) -> Result<Actor, Refusal> {
        proof::require(service, self.user(), &self.proof()?).await
    }

    /// The link of a picture share.
    pub(super) fn link(&self) -> Result<PictureLink, Refusal> {
        let field = "urlmd5";
        let text = self.body.string(field)?;
        text.parse()
            .map_err(|source| Refusal::Hex { field, source })
    }
}

/// What a user's file and a share are called by: MD5 and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) md5: Md5,
    pub(super) name: FileName,
}

impl Label {
    /// The label in a body.
    pub(super) fn parse(body: &Object) -> Result<Self, Refusal> {
        Ok(Self {
            md5: parse_md5(body.string("md5")?)?,
            name: parse_file_name(body.filename()?)?,
        })
    }

    /// The label of a new file in a body.
    pub(super) fn parse_new(body: &Object) -> Result<Self, Refusal> {
        Ok(Self {
            md5: parse_md5(body.string("md5")?)?,
            name: parse_new_file_name(body.filename()?)?,
        })
    }
}

/// Characters that the name of a new file may have. Source: docs/api/image-host.md §2.3.
const NEW_NAME_LEN_MAX: usize = 128;

/// The MD5 of a text.
pub(super) fn parse_md5(text: &str) -> Result<Md5, Refusal> {
    let field = "md5";
    text.parse()
        .map_err(|source| Refusal::Hex { field, source })
}

/// The name of a new file. Names of files that came in over other APIs may be longer.
pub(super) fn parse_new_file_name(text: &str) -> Result<FileName, Refusal> {
    let name = parse_file_name(text)?;
    let len = text.chars().count();
    if NEW_NAME_LEN_MAX < len {
        let max = NEW_NAME_LEN_MAX;
        let source = NameError::TooLong { len, max };
        return Err(Refusal::Text {
            field: "filename",
            source,
        });
    }
    Ok(name)
}

/// The file name of a text.
pub(super) fn parse_file_name(text: &str) -> Result<FileName, Refusal> {
    let field = "filename";
    text.parse()
        .map_err(|source| Refusal::Text { field, source })
}

/// Which rows of a list are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) start: Start,
    pub(super) count: Count,
}

impl Rows {
    /// The rows that a body names.
    pub(super) fn parse(body: &Object) -> Result<Self, Refusal> {
        let bad = |field| move |source| Refusal::Page { field, source };
        Ok(Self {
            start: body.integer("start")?.try_into().map_err(bad("start"))?,
            count: body.integer("count")?.try_into().map_err(bad("count"))?,
        })
    }
}
