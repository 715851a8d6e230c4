//! The older way of sending slices: each is put to a URL of its own. Source: docs/api/pan123.md §7.
//!
//! Such a URL names one upload and one slice, is signed, and needs no token. It is good as long as the
//! upload is.

use common::web::server::RequestBody;
use serde::Serialize;
use subtle::ConstantTimeEq as _;

use super::Pan123;
use super::answer::Answer;
use super::param::{Name, Params};
use super::refusal::Refusal;
use super::slice::{of_slice, upload_id};
use crate::backend::Blobs;
use crate::core::accounts;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::{ContentHash, Md5, UploadId};
use crate::core::upload_sessions;
use crate::http::body::Pieces;
use crate::http::caller::Caller;
use crate::service::{Actor, ServiceError};

/// What signatures of URLs are for: nothing else that the server's key signs begins so.
const PURPOSE: &[u8] = b"pan123 part";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Url {
    #[serde(rename = "presignedURL")]
    presigned_url: String,
    is_multipart: bool,
}

#[derive(Serialize)]
struct Parts {
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    /// A text, although it is a number.
    #[serde(rename = "partNumber")]
    number: String,
    size: u64,
    etag: String,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// `POST /upload/v1/file/get_upload_url`.
    pub(super) async fn upload_url(
        &self,
        actor: &Actor,
        caller: &Caller,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let (id, number) = (upload_id(params)?, params.natural(Name::SliceNo)?);
        let record = self.service.upload(actor, id).await?;
        let slices = record.slices();
        if record.slice_len(number).is_none() {
            return Err(of_slice(ServiceError::NoSlice { number, slices }));
        }
        let (base, signature) = (caller.public_base(), self.signature(id, number).await?);
        Answer::of(&Url {
            presigned_url: format!(
                "{base}/upload/v1/file/part?preuploadID={id}&sliceNo={number}&signature={signature}"
            ),
            is_multipart: slices != 1,
        })
    }

    /// `PUT` of a slice to such a URL. There is no digest of the slice; that of the whole decides.
    pub(super) async fn put_part(
        &self,
        params: &Params,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        let (id, number) = (upload_id(params)?, params.natural(Name::SliceNo)?);
        let signature: ContentHash = params.parsed(Name::Signature)?;
        let expected = self.signature(id, number).await?;
        if !bool::from(expected.0.ct_eq(&signature.0)) {
            return Err(Refusal::Signature);
        }
        let actor = self.owner(id).await?;
        let begun = self.service.begin_slice(&actor, id, number).await;
        let mut slice = begun.map_err(of_slice)?;
        let received = async {
            let mut pieces = Pieces::new(body, slice.len())?;
            while let Some(piece) = pieces.next().await? {
                slice.write(piece).await.map_err(of_slice)?;
            }
            Ok::<_, Refusal>(())
        }
        .await;
        if let Err(refusal) = received {
            slice.abort().await;
            return Err(refusal);
        }
        let md5: Md5 = slice.md5();
        slice.finish(None).await.map_err(of_slice)?;
        Ok(Answer::Part(md5))
    }

    /// `POST /upload/v1/file/list_upload_parts`.
    pub(super) async fn upload_parts(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let id = upload_id(params)?;
        self.service.upload(actor, id).await?;
        let slices = self
            .service
            .look(move |view| upload_sessions::slices(view, id))
            .await?;
        let parts = slices.into_iter().map(|(number, slice)| Part {
            number: number.to_string(),
            size: slice.len,
            etag: slice.md5.to_string(),
        });
        Answer::of(&Parts {
            parts: parts.collect(),
        })
    }

    /// Whose upload it is.
    async fn owner(&self, id: UploadId) -> Result<Actor, Refusal> {
        let owner = self
            .service
            .look(move |view| {
                let record = upload_sessions::find(view, id)?.ok_or(CoreError::NoUpload)?;
                let user = accounts::get(view, record.account)?.name;
                Ok(Actor {
                    account: record.account,
                    user,
                })
            })
            .await?;
        Ok(owner)
    }

    async fn signature(&self, id: UploadId, number: u64) -> Result<ContentHash, Refusal> {
        let key = self.service.server_key().await?;
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        hasher.update(PURPOSE);
        hasher.update(&id.0);
        hasher.update(&number.to_be_bytes());
        Ok(ContentHash(*hasher.finalize().as_bytes()))
    }
}
