//! From the path of a request to the call that is meant. Source: docs/api/pan123.md §2 to §7.

use http::Method;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    /// §2.1
    AccessToken,
    /// §2.3
    UserInfo,
    /// §4.1, and §7 for the same under its older name.
    Create,
    /// §4.2
    Slice,
    /// §4.4
    Complete,
    /// §5.1
    Domain,
    /// §5.2
    SingleCreate,
    /// §6
    Sha1Reuse,
    /// §6
    Mkdir,
    /// §6
    List,
    /// §6
    ListByPage,
    /// §6
    Detail,
    /// §6
    Infos,
    /// §6
    DownloadInfo,
    /// §6
    DirectLink,
    /// §6
    DirectLinkSpace,
    /// §6
    Rename,
    /// §6
    RenameMany,
    /// §6
    Move,
    /// §6
    Trash,
    /// §6
    Recover,
    /// §6
    RecoverByPath,
    /// §6
    Delete,
    /// §6
    Copy,
    /// §6
    CopyMany,
    /// §6
    CopyProgress,
    /// §7
    UploadUrl,
    /// §7
    PutPart,
    /// §7
    UploadParts,
    /// §7
    CompleteV1,
    /// §7
    UploadResult,
}

/// What a token must allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// To see and fetch files.
    Read,
    /// To add, change and remove them.
    Write,
}

impl Call {
    /// What a token must allow for it.
    pub(super) fn needs(self) -> Needs {
        match self {
            Self::AccessToken
            | Self::UserInfo
            | Self::List
            | Self::ListByPage
            | Self::Detail
            | Self::Infos
            | Self::DownloadInfo
            | Self::DirectLink
            | Self::DirectLinkSpace => Needs::Read,
            Self::Create
            | Self::Slice
            | Self::Complete
            | Self::Domain
            | Self::SingleCreate
            | Self::Sha1Reuse
            | Self::Mkdir
            | Self::Rename
            | Self::RenameMany
            | Self::Move
            | Self::Trash
            | Self::Recover
            | Self::RecoverByPath
            | Self::Delete
            | Self::Copy
            | Self::CopyMany
            | Self::CopyProgress
            | Self::UploadUrl
            | Self::PutPart
            | Self::UploadParts
            | Self::CompleteV1
            | Self::UploadResult => Needs::Write,
        }
    }

    /// The call of a path, and its method.
    pub(super) fn of(path: &str) -> Option<(Method, Self)> {
        Some(match path {
            "/api/v1/access_token" => (Method::POST, Self::AccessToken),
            "/api/v1/user/info" => (Method::GET, Self::UserInfo),
            "/upload/v2/file/create" | "/upload/v1/file/create" => (Method::POST, Self::Create),
            "/upload/v2/file/slice" => (Method::POST, Self::Slice),
            "/upload/v2/file/upload_complete" => (Method::POST, Self::Complete),
            "/upload/v2/file/domain" => (Method::GET, Self::Domain),
            "/upload/v2/file/single/create" => (Method::POST, Self::SingleCreate),
            "/upload/v2/file/sha1_reuse" => (Method::POST, Self::Sha1Reuse),
            "/upload/v1/file/mkdir" => (Method::POST, Self::Mkdir),
            "/api/v2/file/list" => (Method::GET, Self::List),
            "/api/v1/file/list" => (Method::GET, Self::ListByPage),
            "/api/v1/file/detail" => (Method::GET, Self::Detail),
            "/api/v1/file/infos" => (Method::POST, Self::Infos),
            "/api/v1/file/download_info" => (Method::GET, Self::DownloadInfo),
            "/api/v1/direct-link/url" => (Method::GET, Self::DirectLink),
            "/api/v1/direct-link/enable" | "/api/v1/direct-link/disable" => {
                (Method::POST, Self::DirectLinkSpace)
            }
            "/api/v1/file/name" => (Method::PUT, Self::Rename),
            "/api/v1/file/rename" => (Method::POST, Self::RenameMany),
            "/api/v1/file/move" => (Method::POST, Self::Move),
            "/api/v1/file/trash" => (Method::POST, Self::Trash),
            "/api/v1/file/recover" => (Method::POST, Self::Recover),
            "/api/v1/file/recover/by_path" => (Method::POST, Self::RecoverByPath),
            "/api/v1/file/delete" => (Method::POST, Self::Delete),
            "/api/v1/file/copy" => (Method::POST, Self::Copy),
            "/api/v1/file/async/copy" => (Method::POST, Self::CopyMany),
            "/api/v1/file/async/copy/process" => (Method::GET, Self::CopyProgress),
            "/upload/v1/file/get_upload_url" => (Method::POST, Self::UploadUrl),
            "/upload/v1/file/part" => (Method::PUT, Self::PutPart),
            "/upload/v1/file/list_upload_parts" => (Method::POST, Self::UploadParts),
            "/upload/v1/file/upload_complete" => (Method::POST, Self::CompleteV1),
            "/upload/v1/file/upload_async_result" => (Method::POST, Self::UploadResult),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_document_and_no_others() {
        let call = |path| Call::of(path).map(|(_, call)| call);
        assert_eq!(call("/upload/v2/file/create"), Some(Call::Create));
        assert_eq!(call("/upload/v1/file/create"), Some(Call::Create));
        assert_eq!(
            Call::of("/api/v1/file/name"),
            Some((Method::PUT, Call::Rename))
        );
        for path in [
            "/api/v1",
            "/api/v1/",
            "/api/v2/access_token",
            "/api/v1/file/list/",
            "/api/v1/File/list",
            "/upload/v2/file/upload_domain",
            "/upload/v1/file/slice",
            "/api/v1/offline/download",
            "/api/v1/share/create",
        ] {
            assert_eq!(call(path), None, "{path}");
        }
    }
}
