//! Rows that show a file: those of my files and those of the shared ones.
//! Source: docs/api/image-host.md §2.7, §2.8, §4.4, §4.6, §6.

use common::id::FileId;

use crate::core::id::Md5;
use crate::core::name::{FileName, UserName};
use crate::http::caller::Caller;

use super::json_text::{JsonText, escaped};
use crate::dialect::local_time::LocalTime;

/// What a row shows besides the user.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileRow<'a> {
    pub(super) md5: Md5,
    /// Unix seconds.
    pub(super) created: u32,
    pub(super) name: &'a FileName,
    pub(super) is_shared: bool,
    pub(super) views: u64,
    pub(super) blob: &'a FileId,
    pub(super) size: u64,
}

/// Writes rows of one answer.
#[derive(Debug)]
pub(super) struct RowWriter {
    /// What addresses begin with, up to the file id, as it stands in a string of JSON.
    url_begin: Vec<u8>,
    time: LocalTime,
}

impl RowWriter {
    /// For an answer to `caller`.
    pub(super) fn new(caller: &Caller, time: &LocalTime) -> Self {
        let mut url_begin = escaped(&caller.public_base());
        url_begin.push(b'/');
        Self {
            url_begin,
            time: time.clone(),
        }
    }

    /// Writes a row of the files of `user`.
    pub(super) fn write(&self, user: &UserName, row: &FileRow<'_>, text: &mut JsonText) {
        text.raw(r#"{"user":"#)
            .string(user.as_str())
            .raw(r#","md5":""#)
            .plain(row.md5)
            .raw(r#"","create_time":""#)
            .raw(self.time.format(row.created))
            .raw(r#"","file_name":"#)
            .string(row.name.as_str())
            .raw(r#","share_status":"#)
            .number(row.is_shared.into())
            .raw(r#","pv":"#)
            .number(row.views)
            .raw(r#","url":""#)
            .raw(&self.url_begin)
            .plain(row.blob)
            .raw(r#"","size":"#)
            .number(row.size)
            .raw(r#","type":"#);
        match row.name.kind() {
            Some(kind) => text.string(&kind),
            // A string, not the null of JSON: that is what the document shows.
            None => text.raw(r#""null""#),
        }
        .raw("}");
    }
}
