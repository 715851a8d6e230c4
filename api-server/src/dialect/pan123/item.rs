//! Files and folders as answers show them. Source: docs/api/pan123.md §6.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::time;
use crate::core::tree::EntryRow;

/// Which spelling of ids the answer of a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `fileId`, `parentFileId`.
    Id,
    /// `fileID`, and `parentFileId`: the older list.
    MixedId,
    /// `fileID`, `parentFileID`.
    UpperId,
}

impl Spelling {
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Id => ["fileId", "parentFileId"],
            Self::MixedId => ["fileID", "parentFileId"],
            Self::UpperId => ["fileID", "parentFileID"],
        }
    }
}

/// An entry in an answer.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) row: EntryRow,
    pub(super) is_trashed: bool,
    pub(super) spelling: Spelling,
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = self.row.name().as_str();
        let (kind, etag, size, created, modified) = match &self.row {
            EntryRow::File(_, file) => (
                0,
                file.md5.to_string(),
                file.size,
                file.created,
                file.modified,
            ),
            EntryRow::Folder(_, folder) => (
                1,
                String::new(),
                folder.bytes,
                folder.created,
                folder.modified,
            ),
        };
        let category = if kind == 0 { category(name) } else { 0 };
        let [id, parent] = self.spelling.names();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(id, &self.row.entry().number())?;
        map.serialize_entry("filename", name)?;
        map.serialize_entry(parent, &self.row.parent().0)?;
        map.serialize_entry("type", &kind)?;
        map.serialize_entry("etag", &etag)?;
        map.serialize_entry("size", &size)?;
        map.serialize_entry("category", &category)?;
        // More than 100 would mean that it is blocked.
        map.serialize_entry("status", &0)?;
        map.serialize_entry("punishFlag", &0)?;
        map.serialize_entry("s3KeyFlag", "")?;
        map.serialize_entry("storageNode", "")?;
        map.serialize_entry("trashed", &u8::from(self.is_trashed))?;
        map.serialize_entry("createAt", &time::plain(created))?;
        map.serialize_entry("updateAt", &time::plain(modified))?;
        map.end()
    }
}

/// What a file is by its name: 1 sound, 2 film, 3 picture, 0 something else.
fn category(name: &str) -> u8 {
    const KINDS: [(u8, &[&str]); 3] = [
        (
            1,
            &[
                "aac", "ape", "flac", "m4a", "mp3", "ogg", "opus", "wav", "wma",
            ],
        ),
        (
            2,
            &[
                "avi", "flv", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "rmvb", "ts", "webm",
                "wmv",
            ],
        ),
        (
            3,
            &[
                "avif", "bmp", "gif", "heic", "ico", "jpeg", "jpg", "png", "svg", "tif", "tiff",
                "webp",
            ],
        ),
    ];
    let Some((_, extension)) = name.rsplit_once('.') else {
        return 0;
    };
    KINDS
        .iter()
        .find(|(_, extensions)| {
            extensions
                .iter()
                .any(|known| known.eq_ignore_ascii_case(extension))
        })
        .map_or(0, |(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_is_told_by_the_last_extension() {
        for (name, expected) in [
            ("a.mp3", 1),
            ("a.MP4", 2),
            ("a.tar.JPEG", 3),
            ("a.txt", 0),
            ("mp4", 0),
            ("a.", 0),
        ] {
            assert_eq!(category(name), expected, "{name}");
        }
    }
}
