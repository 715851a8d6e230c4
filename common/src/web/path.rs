//! From a URL path to a file id.
//!
//! The path is decoded once and parsed by the grammar of file ids, which has no `..`, no NUL and no
//! byte outside `[A-Za-z0-9._-/]`; nothing here or behind it is ever a path of a file system.

use http::StatusCode;
use percent_encoding::percent_decode_str;

use crate::id::{FileId, FileIdError, GroupName, RemoteName};
use crate::limits;

/// Why a path names no blob. The texts go to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Longer than any path that names a blob.
    #[error(
        "the path has {len} bytes, a file's has at most {}",
        limits::HTTP_PATH_LEN_MAX
    )]
    TooLong {
        /// Bytes it has.
        len: usize,
    },
    /// Not UTF-8 after decoding, or with a NUL.
    #[error("the path is not text")]
    Encoding,
    /// Not a file id.
    #[error("no file has this path")]
    FileId(#[source] FileIdError),
}

impl PathError {
    /// The status that goes with it: a name that no file can have is a file that is not there.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLong { .. } | Self::Encoding => StatusCode::BAD_REQUEST,
            Self::FileId(_) => StatusCode::NOT_FOUND,
        }
    }
}

/// The file id of `/group1/M00/…`, or of `/M00/…` where `default_group` is set.
pub fn file_id(path: &str, default_group: Option<GroupName>) -> Result<FileId, PathError> {
    if limits::HTTP_PATH_LEN_MAX < path.len() {
        return Err(PathError::TooLong { len: path.len() });
    }
    let decoded = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| PathError::Encoding)?;
    if decoded.contains('\0') {
        return Err(PathError::Encoding);
    }
    let id = decoded.strip_prefix('/').unwrap_or(&decoded);
    if let (Some(group), [b'M', _, _, b'/', ..]) = (default_group, id.as_bytes()) {
        return match RemoteName::parse(id.as_bytes()) {
            Ok(name) => Ok(FileId { group, name }),
            Err(error) => Err(PathError::FileId(error.into())),
        };
    }
    id.parse().map_err(PathError::FileId)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "group1/M00/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h";

    #[test]
    fn paths_with_and_without_group_and_percent_signs_name_the_same_blob() {
        let group: GroupName = "group1".parse().unwrap();
        let expected: FileId = ID.parse().unwrap();
        let bare = ID.strip_prefix("group1").unwrap();
        assert_eq!(file_id(&format!("/{ID}"), None), Ok(expected));
        assert_eq!(file_id(&format!("/{ID}"), Some(group)), Ok(expected));
        assert_eq!(file_id(bare, Some(group)), Ok(expected));
        // Without a default group, `M00` itself reads as a group: names had no `M00/` before V1.12.
        let other = file_id(bare, None).unwrap();
        assert_eq!(other.group.as_str(), "M00");
        let encoded = format!("/{}", ID.replace('_', "%5f").replace('/', "%2F"));
        assert_eq!(file_id(&encoded, None), Ok(expected));
    }

    #[test]
    fn crafted_paths_are_refused() {
        let long = "a".repeat(10_000);
        for (path, status) in [
            ("/", 404),
            ("", 404),
            ("/favicon.ico", 404),
            ("/group1/M00/../../etc/passwd", 404),
            (
                "/group1/M00/%2e%2e/%2e%2e/rBAAD18AISGAP6QrAAACRhizVvQ79062.h",
                404,
            ),
            (
                "/group1/M00/02/44/..%2f..%2f..%2fetc%2fpasswd%2fxxxxxxxxxxxxxxxxx",
                404,
            ),
            ("//etc/passwd", 404),
            ("/group1/MZZ/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h", 404),
            ("/group1/M00/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h/", 404),
            (
                "/group1/M00/02/44/%00BAAD18AISGAP6QrAAACRhizVvQ79062.h",
                400,
            ),
            (
                "/group1/M00/02/44/%ffBAAD18AISGAP6QrAAACRhizVvQ79062.h",
                400,
            ),
            (long.as_str(), 400),
        ] {
            let refused = file_id(path, Some("group1".parse().unwrap())).unwrap_err();
            assert_eq!(refused.status().as_u16(), status, "{path}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_paths_never_panic_and_never_hold_traversal(path in "/[ -~]{0,600}") {
            if let Ok(id) = file_id(&path, None) {
                prop_assert!(!id.to_string().contains("/../"));
            }
        }
    }
}
