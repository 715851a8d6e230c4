//! What answers say of files, folders and uploads. Source: docs/api/weiyun.md §2.5, §3.3.

use super::Weiyun;
use super::model::{Attribute, Entry};
use super::names::Names;
use super::refusal::Refusal;
use super::time::FileTime;
use crate::backend::Blobs;
use crate::core::catalog::{Catalog, CatalogError};
use crate::core::contents::{self, ContentRecord};
use crate::core::id::{self, AccountId, FileNumber};
use crate::core::tree::{self, EntryRow};
use crate::core::upload_sessions::UploadRecord;
use crate::http::caller::Caller;

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// An entry of an account.
    pub(super) async fn describe(
        &self,
        account: AccountId,
        entry: id::Entry,
    ) -> Result<Entry, Refusal> {
        let (row, content) = self.row(account, entry.number()).await?;
        Ok(of_row(self.names().await?, account, &row, content.as_ref()))
    }

    /// A file that was just uploaded, with a link to it.
    pub(super) async fn describe_new(
        &self,
        account: AccountId,
        number: FileNumber,
        caller: &Caller,
    ) -> Result<Entry, Refusal> {
        let (row, content) = self.row(account, number.0).await?;
        let mut entry = of_row(self.names().await?, account, &row, content.as_ref());
        if let EntryRow::File(_, file) = &row {
            entry.url = Some(format!("{}/{}", caller.public_base(), file.blob));
        }
        Ok(entry)
    }

    /// An upload of which so many bytes are there.
    pub(super) async fn describe_upload(
        &self,
        upload: &UploadRecord,
        received: u64,
    ) -> Result<Entry, Refusal> {
        let names = self.names().await?;
        let account = upload.account;
        let digest = |digest: Option<String>| digest.unwrap_or_default();
        Ok(Entry {
            file_attr: Attribute::File.as_str(),
            file_ctime: FileTime::of_seconds(upload.created).to_string(),
            file_cur_size: received.to_string(),
            file_id: file_id_of_upload(names, upload),
            file_md5: digest(upload.md5.map(|md5| md5.to_string())),
            file_name: upload.name.to_string(),
            file_sha: digest(upload.sha1.map(|sha1| sha1.to_string())),
            file_size: upload.size.to_string(),
            pdirkey: names.folder(account, upload.folder),
            url: None,
        })
    }

    /// An entry's record, and the content of a file.
    async fn row(
        &self,
        account: AccountId,
        number: u64,
    ) -> Result<(EntryRow, Option<ContentRecord>), Refusal> {
        let found = self
            .service
            .look(move |view| {
                let row = tree::find(view, account, number)?;
                let content = match &row {
                    EntryRow::Folder(..) => None,
                    EntryRow::File(_, file) => {
                        let content = contents::get(view, &file.content)?;
                        Some(content.ok_or(CatalogError::Contradiction("a file has no content"))?)
                    }
                };
                Ok((row, content))
            })
            .await?;
        Ok(found)
    }
}

/// The id that an upload's file will have.
pub(super) fn file_id_of_upload(names: &Names, upload: &UploadRecord) -> String {
    // Uploads in order know their number beforehand.
    let number = upload.file.map_or(0, |file| file.0);
    names.file_id(upload.account, number)
}

fn of_row(
    names: &Names,
    account: AccountId,
    row: &EntryRow,
    content: Option<&ContentRecord>,
) -> Entry {
    let (attribute, created, size) = match row {
        EntryRow::Folder(_, folder) => (Attribute::Folder, folder.created, 0),
        EntryRow::File(_, file) => (Attribute::File, file.created, file.size),
    };
    Entry {
        file_attr: attribute.as_str(),
        file_ctime: FileTime::of_seconds(created).to_string(),
        file_cur_size: size.to_string(),
        file_id: names.file_id(account, row.entry().number()),
        file_md5: content
            .map(|content| content.md5.to_string())
            .unwrap_or_default(),
        file_name: row.name().to_string(),
        file_sha: content
            .map(|content| content.sha1.to_string())
            .unwrap_or_default(),
        file_size: size.to_string(),
        pdirkey: names.folder(account, row.parent()),
        url: None,
    }
}
