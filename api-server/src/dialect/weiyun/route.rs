//! From the path of a request to the call that is meant. Source: docs/api/weiyun.md §2, §3, §5, §6.

use http::Method;

use super::category::Category;

/// A call of this dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call<'a> {
    /// §2: applies for an upload.
    UploadFile,
    /// §3, §4: brings the bytes.
    Upload,
    /// §5: fetches a file by what stands in the path.
    Fetch(&'a str),
    /// §5: lists files.
    List(Category),
    /// §5: tells where a file can be fetched.
    Download,
    /// §5: moves a file to the trash.
    Delete,
    /// §5: the policy for Flash.
    CrossDomain,
    /// §6.2: gives tokens.
    Token,
    /// §6.3: tells the openid.
    Me,
}

impl<'a> Call<'a> {
    /// The call of a path, if there is one.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        if let Some(name) = path.strip_prefix("/weiyun/") {
            return Self::of_name(name);
        }
        if let Some(name) = path.strip_prefix("/oauth2.0/") {
            return match name {
                "token" => Some(Self::Token),
                "me" => Some(Self::Me),
                _ => None,
            };
        }
        match path {
            "/crossdomain.xml" => Some(Self::CrossDomain),
            "/ftn_handler" | "/ftn_handler/" => Some(Self::Upload),
            _ => {
                let name = path.strip_prefix("/ftn_handler/")?;
                let name = name.strip_suffix('/').unwrap_or(name);
                (!name.contains('/')).then_some(Self::Fetch(name))
            }
        }
    }

    /// A call below `/weiyun/`. The platform has them for each kind of file, and clients call those.
    fn of_name(name: &str) -> Option<Self> {
        // The document's own example calls it so.
        if name == "put" {
            return Some(Self::UploadFile);
        }
        let (verb, kind) = name.split_once('_')?;
        if let ("get", Some(kind)) = (verb, kind.strip_suffix("_list")) {
            return Category::of(kind).map(Self::List);
        }
        Category::of(kind)?;
        match verb {
            "upload" => Some(Self::UploadFile),
            "download" => Some(Self::Download),
            "delete" => Some(Self::Delete),
            _ => None,
        }
    }

    /// Whether it is to be asked for with this method. `HEAD` goes where `GET` goes.
    pub(super) fn allows(self, method: &Method) -> bool {
        let reads = [Method::GET, Method::HEAD].contains(method);
        match self {
            // They change something, or give a key: nobody shall cause that by asking for headers.
            Self::UploadFile | Self::List(_) | Self::Download | Self::Delete | Self::Me => {
                method == Method::GET
            }
            Self::Upload => method == Method::POST,
            Self::Fetch(_) | Self::CrossDomain => reads,
            Self::Token => [Method::GET, Method::POST].contains(method),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_path_is_a_call() {
        for (path, call) in [
            ("/weiyun/upload_file", Call::UploadFile),
            ("/weiyun/put", Call::UploadFile),
            ("/weiyun/upload_photo", Call::UploadFile),
            ("/weiyun/upload_music", Call::UploadFile),
            ("/weiyun/upload_video", Call::UploadFile),
            ("/weiyun/get_file_list", Call::List(Category::File)),
            ("/weiyun/get_photo_list", Call::List(Category::Photo)),
            ("/weiyun/get_music_list", Call::List(Category::Music)),
            ("/weiyun/get_video_list", Call::List(Category::Video)),
            ("/weiyun/download_file", Call::Download),
            ("/weiyun/download_video", Call::Download),
            ("/weiyun/delete_file", Call::Delete),
            ("/weiyun/delete_photo", Call::Delete),
            ("/ftn_handler", Call::Upload),
            ("/ftn_handler/", Call::Upload),
            ("/ftn_handler/abc/", Call::Fetch("abc")),
            ("/ftn_handler/abc", Call::Fetch("abc")),
            ("/crossdomain.xml", Call::CrossDomain),
            ("/oauth2.0/token", Call::Token),
            ("/oauth2.0/me", Call::Me),
        ] {
            assert_eq!(Call::of(path), Some(call), "{path}");
        }
        for path in [
            "/weiyun",
            "/weiyun/",
            "/weiyun/upload",
            "/weiyun/upload_",
            "/weiyun/upload_folder",
            "/weiyun/upload_file/",
            "/weiyun/Upload_File",
            "/weiyun/get_file",
            "/weiyun/get_list",
            "/weiyun/query_all_record",
            "/ftn_handler/a/b",
            "/ftn_handlerx",
            "/oauth2.0",
            "/oauth2.0/",
            "/oauth2.0/tokens",
            "/oauth2.0/authorize",
        ] {
            assert_eq!(Call::of(path), None, "{path}");
        }
    }

    #[test]
    fn calls_have_the_methods_of_the_document() {
        let call = |path: &'static str| Call::of(path).unwrap();
        assert!(call("/weiyun/put").allows(&Method::GET));
        assert!(!call("/weiyun/put").allows(&Method::HEAD));
        assert!(!call("/weiyun/put").allows(&Method::POST));
        assert!(call("/ftn_handler/").allows(&Method::POST));
        assert!(!call("/ftn_handler/").allows(&Method::GET));
        assert!(call("/ftn_handler/abc").allows(&Method::HEAD));
        assert!(call("/crossdomain.xml").allows(&Method::GET));
        assert!(call("/oauth2.0/token").allows(&Method::POST));
    }
}
