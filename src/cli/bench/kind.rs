//! What can be measured, as the command line names it.

use clap::ValueEnum;

use super::api::Call;
use super::pan::PanCall;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Query a tracker and upload a file
    Upload,
    /// Query a tracker and download a file
    Download,
    /// GET a link over a kept-alive connection
    HttpGet,
    /// Uploads, downloads and deletes
    Mixed,
    /// Query a tracker and delete a file
    Delete,
    /// Query a tracker only
    Query,
    /// List a page of files over the image-host API
    ApiList,
    /// Add files of a content that the server has over the image-host API
    ApiInstant,
    /// Share files that an api-instant run with the same seed added
    ApiShare,
    /// Count views of files that an api-instant run with the same seed added
    ApiView,
    /// Upload files over the image-host API, each with its MD5
    ApiUpload,
    /// Upload files in slices over 123pan's API; --count counts them
    PanSliced,
    /// Begin uploads in slices over 123pan's API
    PanCreate,
    /// Add files of a content that the server has over 123pan's API
    PanReuse,
    /// Upload files in one request each over 123pan's API
    PanSingle,
}

impl Kind {
    /// What is called, in a run of calls.
    pub(super) fn call(self) -> Option<Call> {
        match self {
            Self::ApiList => Some(Call::List),
            Self::ApiInstant => Some(Call::Instant),
            Self::ApiShare => Some(Call::Share),
            Self::ApiView => Some(Call::View),
            Self::ApiUpload => Some(Call::Upload),
            Self::Upload
            | Self::Download
            | Self::HttpGet
            | Self::Mixed
            | Self::Delete
            | Self::Query
            | Self::PanSliced
            | Self::PanCreate
            | Self::PanReuse
            | Self::PanSingle => None,
        }
    }

    /// What is called of 123pan's API, in a run of such calls.
    pub(super) fn pan_call(self) -> Option<PanCall> {
        match self {
            Self::PanCreate => Some(PanCall::Create),
            Self::PanReuse => Some(PanCall::Reuse),
            Self::PanSingle => Some(PanCall::Single),
            Self::Upload
            | Self::Download
            | Self::HttpGet
            | Self::Mixed
            | Self::Delete
            | Self::Query
            | Self::ApiList
            | Self::ApiInstant
            | Self::ApiShare
            | Self::ApiView
            | Self::ApiUpload
            | Self::PanSliced => None,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::HttpGet => "http-get",
            Self::Mixed => "mixed",
            Self::Delete => "delete",
            Self::Query => "query",
            Self::ApiList => "api-list",
            Self::ApiInstant => "api-instant",
            Self::ApiShare => "api-share",
            Self::ApiView => "api-view",
            Self::ApiUpload => "api-upload",
            Self::PanSliced => "pan-sliced",
            Self::PanCreate => "pan-create",
            Self::PanReuse => "pan-reuse",
            Self::PanSingle => "pan-single",
        }
    }

    /// Whether the run works on files that are there before, whatever its options.
    pub(super) fn needs_files(self) -> bool {
        match self {
            Self::Download | Self::HttpGet | Self::Mixed | Self::Delete => true,
            Self::Upload
            | Self::Query
            | Self::ApiList
            | Self::ApiInstant
            | Self::ApiShare
            | Self::ApiView
            | Self::ApiUpload
            | Self::PanSliced
            | Self::PanCreate
            | Self::PanReuse
            | Self::PanSingle => false,
        }
    }

    /// What one operation is, in words; `is_direct` if no tracker is asked.
    pub(super) fn measured(self, is_direct: bool) -> &'static str {
        match (self, is_direct) {
            (Self::Upload, false) => "each operation is a tracker query and an upload",
            (Self::Upload, true) => "each operation is an upload, without a tracker query",
            (Self::Download, false) => "each operation is a tracker query and a download",
            (Self::Download, true) => "each operation is a download, without a tracker query",
            (Self::HttpGet, _) => "each operation is an HTTP GET over a kept-alive connection",
            (Self::Mixed, false) => "each operation is a tracker query and what it is for",
            (Self::Mixed, true) => "operations go to the storage node without tracker queries",
            (Self::Delete, false) => "each operation is a tracker query and a delete",
            (Self::Delete, true) => "each operation is a delete, without a tracker query",
            (Self::Query, _) => "each operation is a tracker query",
            (Self::ApiList, _) => "each operation is a page of a list",
            (Self::ApiInstant | Self::PanReuse, _) => {
                "each operation is a new file of content that is there"
            }
            (Self::ApiShare, _) => "each operation is a file that is shared",
            (Self::ApiView, _) => "each operation is a view that is counted",
            (Self::ApiUpload | Self::PanSingle, _) => {
                "each operation is a form with a file, its MD5 and its size"
            }
            (Self::PanSliced, _) => {
                "a file is create, its slices with their MD5s, and upload_complete until it is there"
            }
            (Self::PanCreate, _) => "each operation is an upload that begins",
        }
    }
}
