//! From the path of a request to the part of the server that answers it.

use common::web::path;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// The calls of the image host, below `/api`.
    ImageHost,
    /// The calls of 123pan's open platform.
    Pan123,
    /// The calls of Weiyun, with its token endpoints and what Flash asks before.
    Weiyun,
    /// The calls of the console, below `/console/api`.
    Console,
    /// A page or an asset of one.
    Page(Page<'a>),
    /// A file of the cluster, or what operators ask.
    Blob,
}

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page<'a> {
    /// `/`: the console, or another front end.
    Start,
    /// `/share`: the page of one shared picture.
    Share,
    /// `/console/…`: a file of the console by its name.
    Console(&'a str),
    /// A path that nobody else answers for.
    Other,
}

impl<'a> Route<'a> {
    /// Who answers for `path`, which is as it was sent. `front_end` is whether a front end has files
    /// of its own, under names that we do not know.
    pub(super) fn of(path: &'a str, front_end: bool) -> Self {
        match path {
            "/" => Self::Page(Page::Start),
            "/share" => Self::Page(Page::Share),
            "/console" => Self::Page(Page::Console("")),
            "/healthz" | "/readyz" | "/metrics" => Self::Blob,
            _ if PAN123.iter().any(|folder| is_below(path, folder)) => Self::Pan123,
            "/crossdomain.xml" => Self::Weiyun,
            _ if WEIYUN.iter().any(|folder| is_below(path, folder)) => Self::Weiyun,
            _ if is_below(path, "/api") => Self::ImageHost,
            _ if is_below(path, "/console/api") => Self::Console,
            _ => match path.strip_prefix("/console/") {
                Some(name) => Self::Page(Page::Console(name)),
                None if front_end && !may_be_blob(path) => Self::Page(Page::Other),
                None => Self::Blob,
            },
        }
    }
}

/// What 123pan's API has its calls below. The image host has everything else below `/api`.
const PAN123: [&str; 4] = ["/api/v1", "/api/v2", "/upload/v1", "/upload/v2"];

/// What Weiyun's API has its calls below.
const WEIYUN: [&str; 3] = ["/weiyun", "/ftn_handler", "/oauth2.0"];

/// Whether `path` is `directory` or something in it.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether `path` looks like that of a blob, existing or not: a front end's own page in place of a
/// missing picture would look like one to whoever stored the link.
fn may_be_blob(path: &str) -> bool {
    path.starts_with("/group") || path::file_id(path, None).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_owner() {
        for (path, expected) in [
            ("/", Route::Page(Page::Start)),
            ("/share", Route::Page(Page::Share)),
            ("/api/share", Route::ImageHost),
            ("/console", Route::Page(Page::Console(""))),
            ("/console/", Route::Page(Page::Console(""))),
            ("/console/app.js", Route::Page(Page::Console("app.js"))),
            ("/console/apix", Route::Page(Page::Console("apix"))),
            ("/console/api", Route::Console),
            ("/console/api/me", Route::Console),
            ("/api", Route::ImageHost),
            ("/api/login", Route::ImageHost),
            ("/api/share/x", Route::ImageHost),
            ("/api/v1", Route::Pan123),
            ("/api/v1/access_token", Route::Pan123),
            ("/api/v2/file/list", Route::Pan123),
            ("/upload/v1/file/mkdir", Route::Pan123),
            ("/upload/v2/file/create", Route::Pan123),
            ("/api/v12", Route::ImageHost),
            ("/upload/v3/file/create", Route::Blob),
            ("/weiyun/upload_file", Route::Weiyun),
            ("/ftn_handler", Route::Weiyun),
            ("/ftn_handler/", Route::Weiyun),
            ("/ftn_handler/x/", Route::Weiyun),
            ("/oauth2.0/token", Route::Weiyun),
            ("/crossdomain.xml", Route::Weiyun),
            ("/weiyunx", Route::Blob),
            ("/crossdomain.xml/", Route::Blob),
            ("/apix", Route::Blob),
            ("/group1/M00/00/00/x", Route::Blob),
            ("/M00/00/00/x", Route::Blob),
            ("/healthz", Route::Blob),
            ("/api.txt", Route::Blob),
            ("*", Route::Blob),
            ("", Route::Blob),
        ] {
            assert_eq!(Route::of(path, false), expected, "{path}");
        }
    }

    #[test]
    fn a_front_end_has_the_rest_and_no_more() {
        for (path, expected) in [
            ("/", Route::Page(Page::Start)),
            ("/static/js/main.js", Route::Page(Page::Other)),
            ("/apix", Route::Page(Page::Other)),
            ("/api/login", Route::ImageHost),
            ("/console/app.js", Route::Page(Page::Console("app.js"))),
            ("/group1/M00/00/00/x", Route::Blob),
            ("/group", Route::Blob),
            ("/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt", Route::Blob),
            (
                "/pictures/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt",
                Route::Blob,
            ),
            ("/metrics", Route::Blob),
        ] {
            assert_eq!(Route::of(path, true), expected, "{path}");
        }
    }
}
