//! `POST /ftn_handler/`: brings the bytes, as one form or as packets. Source: docs/api/weiyun.md §3, §4.
//!
//! The body's first bytes tell which of the two it is. The key is the permission, whichever way it
//! comes.

use bytes::{Bytes, BytesMut};
use common::web::server::RequestBody;
use http::request;

use super::Weiyun;
use super::form::Charset;
use super::key::UploadKey;
use super::packet;
use super::parameters::Parameters;
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::UploadId;
use crate::core::upload_sessions::{UploadRecord, UploadState};
use crate::http::body::{Pieces, ReadError};
use crate::http::caller::Caller;
use crate::service::ServiceError;

use super::model::Data;

/// Bytes that a form may have besides the file.
const FORM_LEN_MAX: u64 = 64 * 1024;

/// A body of which the first bytes were looked at.
pub(super) struct Opened {
    /// What was read of it; not empty, unless all of it is.
    pub(super) first: Bytes,
    pub(super) rest: Pieces,
}

/// What an upload's answer depends on besides its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// A form came: its sender reads the body, written so.
    Form(Charset),
    /// A packet came: its sender looks at the status.
    Packet,
}

impl Opened {
    async fn open(body: RequestBody, max: u64) -> Result<Self, ReadError> {
        let mut rest = Pieces::new(body, max)?;
        let mut first = BytesMut::new();
        while first.len() < packet::MAGIC.len() {
            match rest.next().await? {
                // The usual case, without a copy.
                Some(piece) if first.is_empty() && packet::MAGIC.len() <= piece.len() => {
                    return Ok(Self { first: piece, rest });
                }
                Some(piece) => first.extend_from_slice(&piece),
                None => break,
            }
        }
        let first = first.freeze();
        Ok(Self { first, rest })
    }

    /// The next bytes, the first ones included; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        if !self.first.is_empty() {
            return Ok(Some(std::mem::take(&mut self.first)));
        }
        self.rest.next().await
    }
}

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// Takes the bytes of an upload.
    pub(super) async fn receive(
        &self,
        head: &request::Parts,
        caller: &Caller,
        body: RequestBody,
    ) -> (Manner, Result<Data, Refusal>) {
        let form = Manner::Form(Charset::default());
        let query = head.uri.query().unwrap_or_default();
        let parameters = match Parameters::parse(query.as_bytes()) {
            Ok(parameters) => parameters,
            Err(error) => return (form, Err(error.into())),
        };
        // Only a form's key is in the query. It tells how long the body may be, and a body of which
        // nothing is known may be a packet.
        let upload = match parameters.filled("ukey") {
            Some(digits) => Some(self.upload_of(UploadKey::of_digits(digits)).await),
            None => None,
        };
        let form_len = match &upload {
            Some(Ok((_, upload))) => upload.size.saturating_add(FORM_LEN_MAX),
            Some(Err(_)) | None => 0,
        };
        let announced = body.announced_len();
        let mut body = match Opened::open(body, form_len.max(packet::LEN_MAX)).await {
            Ok(body) => body,
            Err(error) => return (form, Err(error.into())),
        };
        if body.first.starts_with(&packet::MAGIC) {
            let taken = self.receive_packet(caller, &parameters, &mut body).await;
            return (Manner::Packet, taken);
        }
        let (id, upload) = match upload.unwrap_or(Err(Refusal::Key)) {
            Ok(found) => found,
            Err(refusal) => return (form, Err(refusal)),
        };
        if announced.is_some_and(|announced| form_len < announced) {
            let refusal = self.content_refusal(&upload).await;
            return (form, Err(refusal));
        }
        let (charset, taken) = self
            .receive_form(head, caller, id, &upload, &mut body)
            .await;
        (Manner::Form(charset), taken)
    }

    /// The upload of a key that takes bytes.
    pub(super) async fn upload_of(
        &self,
        key: Option<UploadKey>,
    ) -> Result<(UploadId, UploadRecord), Refusal> {
        let key = key.ok_or(Refusal::Key)?;
        match self.service.upload_of_key(key.hash()).await {
            Ok((_, upload)) if matches!(upload.state, UploadState::Done(_)) => {
                Err(Refusal::Complete)
            }
            Ok(found) => Ok(found),
            Err(ServiceError::Core(CoreError::NoUpload)) => Err(Refusal::Key),
            Err(error) => Err(error.into()),
        }
    }

    /// What came cannot be the file of this upload.
    pub(super) async fn content_refusal(&self, upload: &UploadRecord) -> Refusal {
        match self.describe_upload(upload, 0).await {
            Ok(entry) => Refusal::Changed(Box::new(entry)),
            Err(refusal) => refusal,
        }
    }
}
