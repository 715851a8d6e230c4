//! The names of parameters.

use std::fmt;

macro_rules! names {
    ($($(#[doc = $doc:literal])+ $Variant:ident = $text:literal,)+) => {
        /// A parameter that some call has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(
            clippy::enum_variant_names,
            reason = "a parameter that is a name has a name with name in it"
        )]
        pub(in super::super) enum Name {
            $($(#[doc = $doc])+ $Variant,)+
        }

        impl Name {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$Variant),+];

            /// The name as it is documented.
            pub(in super::super) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $text,)+
                }
            }

            /// The parameter of this name in any case. An array's name may end with `[]`.
            pub(in super::super) fn of(text: &str) -> Option<Self> {
                let text = text.strip_suffix("[]").unwrap_or(text);
                $(if text.eq_ignore_ascii_case($text) {
                    return Some(Self::$Variant);
                })+
                None
            }
        }
    };
}

names! {
    /// What an application is known by.
    ClientId = "clientID",
    /// What it proves that with.
    ClientSecret = "clientSecret",
    /// Whether names have folders in front.
    ContainDir = "containDir",
    /// What happens to a name that is taken.
    Duplicate = "duplicate",
    /// The MD5 of a whole file.
    Etag = "etag",
    /// A file or folder.
    FileId = "fileID",
    /// Several of them.
    FileIds = "fileIDs",
    /// A file's name.
    FileName = "filename",
    /// Where an earlier page of a list ended.
    LastFileId = "lastFileId",
    /// Rows of a page.
    Limit = "limit",
    /// A new folder's name.
    FolderName = "name",
    /// What a list is sorted by.
    OrderBy = "orderBy",
    /// Which way.
    OrderDirection = "orderDirection",
    /// The number of a page.
    Page = "page",
    /// The folder that an upload or a list is about.
    ParentFileId = "parentFileID",
    /// The folder that a new folder is made in.
    ParentId = "parentID",
    /// An upload session.
    PreuploadId = "preuploadID",
    /// Numbers with new names.
    RenameList = "renameList",
    /// What names are searched for.
    SearchData = "searchData",
    /// How.
    SearchMode = "searchMode",
    /// The SHA-1 of a whole file.
    Sha1 = "sha1",
    /// What proves that a URL is ours.
    Signature = "signature",
    /// Bytes of a file.
    Size = "size",
    /// The MD5 of a slice.
    SliceMd5 = "sliceMD5",
    /// The number of a slice.
    SliceNo = "sliceNo",
    /// The folder that copies go to.
    TargetDirId = "targetDirId",
    /// A task that copies.
    TaskId = "taskId",
    /// The folder that entries are moved or restored to.
    ToParentFileId = "toParentFileID",
    /// Whether the trash is meant.
    Trashed = "trashed",
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_and_as_an_array() {
        for name in Name::ALL {
            let text = name.as_str();
            for spelling in [
                text.to_owned(),
                text.to_lowercase(),
                text.to_uppercase(),
                format!("{text}[]"),
            ] {
                assert_eq!(Name::of(&spelling), Some(*name), "{spelling}");
            }
        }
        for other in [
            "",
            "file",
            "slice",
            "client_id",
            "size ",
            "[]",
            "fileIDs[0]",
        ] {
            assert_eq!(Name::of(other), None, "{other}");
        }
    }
}
