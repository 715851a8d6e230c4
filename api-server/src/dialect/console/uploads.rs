//! Uploads in slices, which survive restarts of the server and of the browser.

use common::web::server::RequestBody;
use http::request;

use super::answer::Answer;
use super::call::UploadCall;
use super::files::file;
use super::model::{self, Duplicate};
use super::refusal::Refusal;
use super::tree::{entry_name, folder_number};
use super::who::User;
use super::{Console, read};
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::files::{self, Conflict, FileRecord};
use crate::core::id::{Entry, FileNumber, Md5, UploadId};
use crate::core::upload_sessions::{self, UploadKind, UploadRecord};
use crate::http::body::Pieces;
use crate::service::{Begun, Completion, NewSliced, ServiceError, SliceUpload};
use common::env::clock;

/// Uploads of one list. An account may have more, but nobody looks at so many.
const UPLOADS_SHOWN_MAX: usize = 500;
/// Ranges of missing slices that one answer names; whoever sent these asks again.
const MISSING_SHOWN_MAX: usize = 4096;
/// The header with the MD5 of a slice.
const SLICE_MD5: &str = "x-slice-md5";

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// A call on uploads.
    pub(super) async fn on_uploads(
        &self,
        user: &User,
        call: UploadCall,
        head: &request::Parts,
        base: &str,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        match call {
            UploadCall::List => self.uploads(user).await,
            UploadCall::Begin => self.begin_upload(user, read(body).await?, base).await,
            UploadCall::Show(id) => self.upload_state(user, id).await,
            UploadCall::GiveUp(id) => {
                self.service.give_up_upload(&user.actor, id).await?;
                Ok(Answer::Done)
            }
            UploadCall::Slice(id, number) => self.slice(user, id, number, head, body).await,
            UploadCall::Complete(id) => self.complete(user, id, base).await,
        }
    }

    /// `GET uploads`.
    async fn uploads(&self, user: &User) -> Result<Answer, Refusal> {
        let (account, now) = (user.actor.account, clock::unix_seconds());
        let rows = self
            .service
            .look(move |view| upload_sessions::of_account(view, account, UPLOADS_SHOWN_MAX, now))
            .await?;
        let sliced = rows
            .iter()
            .filter(|(_, record)| record.kind == UploadKind::Sliced);
        Answer::of(&model::Uploads {
            uploads: sliced.map(|(id, record)| upload(*id, record)).collect(),
        })
    }

    /// `POST uploads`.
    async fn begin_upload(
        &self,
        user: &User,
        wanted: model::BeginUpload,
        base: &str,
    ) -> Result<Answer, Refusal> {
        if self.upload_size_max < wanted.size {
            return Err(Refusal::TooLarge(self.upload_size_max));
        }
        let md5 = wanted.md5.map(|md5| md5.parse::<Md5>()).transpose();
        let new = NewSliced {
            folder: folder_number(&wanted.parent)?,
            path: Vec::new(),
            name: entry_name(&wanted.name)?,
            conflict: match wanted.duplicate {
                Duplicate::Refuse => Conflict::Refuse,
                Duplicate::Keep => Conflict::Keep,
                Duplicate::Replace => Conflict::Replace,
            },
            size: wanted.size,
            md5: md5.map_err(|_| Refusal::Value("md5"))?,
        };
        let (size, md5) = (new.size, new.md5);
        let begun = match self.service.begin_sliced(&user.actor, new).await {
            Ok(Begun::Open(id, record)) => model::Begun::Upload(model::NewUpload {
                id: id.to_string(),
                slice_size: record.slice_size,
                slices: record.slices(),
            }),
            Ok(Begun::File(number)) => model::Begun::Done {
                file: self.file_model(user, number, base).await?,
                present: false,
            },
            Err(error @ ServiceError::Core(CoreError::NameInUse(Entry::File(number)))) => {
                let record = self.file_record(user, number).await?;
                // Whoever uploads a folder again has nothing to decide about what did not change.
                if record.size != size || Some(record.md5) != md5 {
                    return Err(error.into());
                }
                model::Begun::Done {
                    file: file(number, &record, base),
                    present: true,
                }
            }
            Err(error @ ServiceError::Mismatch { .. }) => return Err(Refusal::WrongContent(error)),
            Err(error) => return Err(error.into()),
        };
        Answer::of(&begun)
    }

    /// `GET uploads/{id}`.
    async fn upload_state(&self, user: &User, id: UploadId) -> Result<Answer, Refusal> {
        let record = self.service.upload(&user.actor, id).await?;
        let shown = upload(id, &record);
        let missing = self
            .service
            .look(move |view| upload_sessions::missing(view, id, &record, MISSING_SHOWN_MAX))
            .await?;
        Answer::of(&model::UploadState {
            upload: shown,
            missing: missing
                .iter()
                .map(|range| (*range.start(), *range.end()))
                .collect(),
        })
    }

    /// `PUT uploads/{id}/slices/{n}`. The body streams: only a piece of it is in memory.
    async fn slice(
        &self,
        user: &User,
        id: UploadId,
        number: u64,
        head: &request::Parts,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        let md5 = head
            .headers
            .get(SLICE_MD5)
            .and_then(|value| value.to_str().ok());
        let md5 = md5.and_then(|text| text.parse::<Md5>().ok());
        let md5 = md5.ok_or(Refusal::SliceMd5)?;
        let begun = self
            .service
            .begin_slice_of(&user.actor, id, number, Some(md5));
        let mut slice = begun.await?;
        match receive(&mut slice, body).await {
            Ok(()) => slice.finish(Some(md5)).await.map_err(of_slice)?,
            Err(refusal) => {
                slice.abort().await;
                return Err(refusal);
            }
        }
        Ok(Answer::Done)
    }

    /// `POST uploads/{id}/complete`.
    async fn complete(&self, user: &User, id: UploadId, base: &str) -> Result<Answer, Refusal> {
        let file = match self.service.complete_sliced(&user.actor, id).await {
            // Between two calls the file may have been moved to the trash, or deleted.
            Ok(Completion::File(number)) => self.file_model(user, number, base).await.ok(),
            Ok(Completion::Verifying) => {
                return Answer::of(&model::Completed {
                    completed: false,
                    file: None,
                });
            }
            Err(error @ ServiceError::Mismatch { .. }) => return Err(Refusal::WrongContent(error)),
            Err(error) => return Err(error.into()),
        };
        Answer::of(&model::Completed {
            completed: true,
            file,
        })
    }

    async fn file_model(
        &self,
        user: &User,
        number: FileNumber,
        base: &str,
    ) -> Result<model::File, Refusal> {
        let record = self.file_record(user, number).await?;
        Ok(file(number, &record, base))
    }

    async fn file_record(&self, user: &User, number: FileNumber) -> Result<FileRecord, Refusal> {
        let account = user.actor.account;
        let found = self
            .service
            .look(move |view| files::get(view, account, number))
            .await?;
        Ok(found)
    }
}

/// Gives the bytes of a body to a slice.
async fn receive<C: Catalog, B: Blobs>(
    slice: &mut SliceUpload<C, B>,
    body: RequestBody,
) -> Result<(), Refusal> {
    let mut pieces = Pieces::new(body, slice.len())?;
    while let Some(piece) = pieces.next().await? {
        slice.write(piece).await.map_err(of_slice)?;
    }
    Ok(())
}

/// Why a slice was not taken.
fn of_slice(error: ServiceError) -> Refusal {
    if matches!(error, ServiceError::Mismatch { .. }) {
        Refusal::Slice(error)
    } else {
        error.into()
    }
}

fn upload(id: UploadId, record: &UploadRecord) -> model::Upload {
    model::Upload {
        id: id.to_string(),
        name: record.name.to_string(),
        parent: record.folder.to_string(),
        size: record.size,
        slice_size: record.slice_size,
        slices: record.slices(),
        received: record.received,
        created: record.created,
        expires: record.expires(),
    }
}
