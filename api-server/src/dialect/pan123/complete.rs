//! The last step of an upload in slices. Source: docs/api/pan123.md §4.4, §7.

use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::create::of_place;
use super::param::Params;
use super::refusal::Refusal;
use super::slice::upload_id;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::service::{Actor, Completion, ServiceError};

#[derive(Serialize)]
struct Model {
    /// Only the older call says whether to ask another one for the result.
    #[serde(rename = "async", skip_serializing_if = "Option::is_none")]
    is_async: Option<bool>,
    completed: bool,
    #[serde(rename = "fileID")]
    file_id: u64,
}

/// Which call asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// `/upload/v2/file/upload_complete`, or `/upload/v1/file/upload_async_result`.
    Plain,
    /// `/upload/v1/file/upload_complete`.
    Async,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// Completes an upload, or says that it is still being looked at.
    pub(super) async fn complete(
        &self,
        actor: &Actor,
        params: &Params,
        asked: Asked,
    ) -> Result<Answer, Refusal> {
        let id = upload_id(params)?;
        // Of an upload that ended nobody could tell any more what was wished.
        let conflict = self.service.upload(actor, id).await?.conflict;
        let file = match self.service.complete_sliced(actor, id).await {
            Ok(Completion::File(file)) => Some(file),
            Ok(Completion::Verifying)
            // An earlier attempt is not at its end, or has just been: asked again, it will be known.
            | Err(ServiceError::Core(CoreError::UploadClosed | CoreError::UploadChanged)) => None,
            Err(error) => return Err(of_place(error, conflict)),
        };
        Answer::of(&Model {
            is_async: (asked == Asked::Async).then_some(file.is_none()),
            completed: file.is_some(),
            file_id: file.map_or(0, |file| file.0),
        })
    }
}
