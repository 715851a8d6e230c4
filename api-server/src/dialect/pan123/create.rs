//! The first step of an upload, and uploads that need no other one.
//! Source: docs/api/pan123.md §4.1, §4.3, §5.1, §6 (`sha1_reuse`), §7.

use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::param::{Name, Params};
use super::refusal::Refusal;
use super::target;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::files::{self, Claim, Conflict, Place};
use crate::core::id::{AccountId, Entry};
use crate::core::tree;
use crate::http::caller::Caller;
use crate::service::{Actor, Begun, NewSliced, ServiceError};

/// Bytes of the largest file: 10 GB in the document, read the generous way.
const SLICED_SIZE_MAX: u64 = 10 << 30;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    #[serde(rename = "fileID")]
    file_id: u64,
    reuse: bool,
    /// There is no such member if no bytes are needed.
    #[serde(rename = "preuploadID", skip_serializing_if = "Option::is_none")]
    preupload_id: Option<String>,
    slice_size: u64,
    servers: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reused {
    #[serde(rename = "fileID")]
    file_id: u64,
    reuse: bool,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// `GET /upload/v2/file/domain`.
    pub(super) fn domain(caller: &Caller) -> Result<Answer, Refusal> {
        Answer::of(&[caller.public_base()])
    }

    /// `POST /upload/v2/file/create`, and the same under `/upload/v1`.
    pub(super) async fn create(
        &self,
        actor: &Actor,
        caller: &Caller,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let new = target::new_file(params, self.size_max(SLICED_SIZE_MAX))?;
        self.check_path(actor.account, &new).await?;
        let begun = match self.service.begin_sliced(actor, new.clone()).await {
            Ok(begun) => begun,
            // Of a file without bytes the digest is known before any byte comes.
            Err(error @ ServiceError::Mismatch { .. }) => {
                return Err(Refusal::EmptyFileMd5(error));
            }
            Err(error) => return Err(of_place(error, new.conflict)),
        };
        let (file_id, preupload_id, slice_size) = match begun {
            Begun::File(file) => (file.0, None, self.service.settings().slice_size),
            Begun::Open(id, record) => (0, Some(id.to_string()), record.slice_size),
        };
        Answer::of(&Created {
            file_id,
            reuse: preupload_id.is_none(),
            preupload_id,
            slice_size,
            servers: [caller.public_base()],
        })
    }

    /// `POST /upload/v2/file/sha1_reuse`.
    pub(super) async fn sha1_reuse(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let place = Place {
            folder: target::folder(params)?,
            name: params.parsed(Name::FileName)?,
            conflict: target::conflict(params)?,
        };
        let (claim, conflict) = (Claim::Sha1(params.parsed(Name::Sha1)?), place.conflict);
        let size = target::size(params, self.size_max(SLICED_SIZE_MAX))?;
        let added = self.service.add_claimed(actor, claim, size, place).await;
        match added {
            Ok(file) => Answer::of(&Reused {
                file_id: file.0,
                reuse: true,
            }),
            Err(ServiceError::Core(CoreError::NoContent)) => Answer::of(&Reused {
                file_id: 0,
                reuse: false,
            }),
            Err(error) => Err(of_place(error, conflict)),
        }
    }

    /// Bytes that a file may have, of which the document allows `documented`.
    pub(super) fn size_max(&self, documented: u64) -> u64 {
        documented.min(self.upload_size_max)
    }

    /// Whether the folders of a file's path are folders, as far as they are there. This is asked by
    /// itself, since a name in the middle that is a file's is a bad path, and one at the end a name
    /// that is taken.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoParent`], [`Refusal::PathThroughFile`].
    pub(super) async fn check_path(
        &self,
        account: AccountId,
        new: &NewSliced,
    ) -> Result<(), Refusal> {
        if new.path.is_empty() {
            return Ok(());
        }
        let (folder, path) = (new.folder, new.path.clone());
        let followed = self
            .service
            .look(move |view| tree::follow(view, account, folder, &path))
            .await;
        match followed {
            Ok(_) => Ok(()),
            Err(ServiceError::Core(CoreError::NameInUse(_))) => Err(Refusal::PathThroughFile),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a file can go where it is to go, and there is room for it, as far as that is known before
    /// it does.
    ///
    /// # Errors
    ///
    /// What the end of the upload would be refused with.
    pub(super) async fn check_place(
        &self,
        account: AccountId,
        new: &NewSliced,
    ) -> Result<(), Refusal> {
        self.check_path(account, new).await?;
        let wanted = new.clone();
        self.service
            .look(move |view| {
                let folder = tree::follow(view, account, wanted.folder, &wanted.path)?;
                // In a folder that is to be made every name is free.
                let Some(folder) = folder else {
                    return files::check_new_room(view, account, wanted.size);
                };
                let place = Place {
                    folder,
                    name: wanted.name.clone(),
                    conflict: wanted.conflict,
                };
                files::check_room(view, account, &place, wanted.size)
            })
            .await
            .map_err(|error| of_place(error, new.conflict))
    }
}

/// The refusal of a file that cannot go where it is to go. A folder is never replaced, and to ask for
/// that is a mistake; otherwise the name is taken.
pub(super) fn of_place(error: ServiceError, conflict: Conflict) -> Refusal {
    let is_folder = matches!(
        error,
        ServiceError::Core(CoreError::NameInUse(Entry::Folder(_)))
    );
    if is_folder && conflict == Conflict::Replace {
        Refusal::FolderInPlace
    } else {
        error.into()
    }
}
