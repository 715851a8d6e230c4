//! From the target of a request to an endpoint and its command. Source: docs/api/image-host.md §2.1.

use std::borrow::Cow;

use common::web::query;
use http::{Method, Uri};

/// A documented path below `/api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// §4.1
    Reg,
    /// §4.2
    Login,
    /// §4.3, §4.4
    MyFiles,
    /// §4.5 to §4.7
    ShareFiles,
    /// §4.8 to §4.10
    DealFile,
    /// §4.11 to §4.13
    DealShareFile,
    /// §4.14
    Md5,
    /// §4.15
    Upload,
    /// §4.16 to §4.19
    SharePic,
    /// §4.20
    Share,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route<'a> {
    pub(super) endpoint: Endpoint,
    /// The value of `cmd`, which nobody has looked at.
    pub(super) command: Option<Cow<'a, str>>,
}

impl<'a> Route<'a> {
    /// The route of a target, if its path is documented.
    ///
    /// `/api/myfiles&cmd=count`, which some descriptions of the API show, is read as it is meant.
    pub(super) fn of(target: &'a Uri) -> Option<Self> {
        let path = target.path().strip_prefix("/api/")?;
        let (name, in_path) = match path.split_once('&') {
            Some((name, query)) => (name, Some(query)),
            None => (path, None),
        };
        let endpoint = match name {
            "reg" => Endpoint::Reg,
            "login" => Endpoint::Login,
            "myfiles" => Endpoint::MyFiles,
            "sharefiles" => Endpoint::ShareFiles,
            "dealfile" => Endpoint::DealFile,
            "dealsharefile" => Endpoint::DealShareFile,
            "md5" => Endpoint::Md5,
            "upload" => Endpoint::Upload,
            "sharepic" => Endpoint::SharePic,
            "share" => Endpoint::Share,
            _ => return None,
        };
        let command = [target.query(), in_path]
            .into_iter()
            .flatten()
            .find_map(|query| query::value(query, "cmd"));
        Some(Self { endpoint, command })
    }

    /// Whether a method is documented for it.
    pub(super) fn allows(&self, method: &Method) -> bool {
        let name = if method == Method::HEAD {
            "GET"
        } else {
            method.as_str()
        };
        self.methods().split(", ").any(|allowed| allowed == name)
    }

    /// The documented methods, as the header `Allow` lists them. HEAD is that of a GET.
    pub(super) fn methods(&self) -> &'static str {
        match self.endpoint {
            Endpoint::Share => "GET, HEAD",
            Endpoint::ShareFiles if self.command.as_deref() == Some("count") => "GET, HEAD, POST",
            Endpoint::Reg
            | Endpoint::Login
            | Endpoint::MyFiles
            | Endpoint::ShareFiles
            | Endpoint::DealFile
            | Endpoint::DealShareFile
            | Endpoint::Md5
            | Endpoint::Upload
            | Endpoint::SharePic => "POST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(target: &str) -> Option<(Endpoint, Option<String>)> {
        let target: Uri = target.parse().unwrap();
        let route = Route::of(&target)?;
        Some((route.endpoint, route.command.map(Cow::into_owned)))
    }

    #[test]
    fn the_command_is_in_the_query_or_behind_the_path() {
        for target in [
            "/api/myfiles?cmd=count",
            "/api/myfiles?x=1&cmd=count&cmd=normal",
            "/api/myfiles?cmd=c%6funt",
            "/api/myfiles&cmd=count",
            "/api/myfiles&cmd=count?x=1",
            "http://host/api/myfiles?cmd=count",
        ] {
            let expected = Some((Endpoint::MyFiles, Some("count".to_owned())));
            assert_eq!(route(target), expected, "{target}");
        }
        assert_eq!(route("/api/login"), Some((Endpoint::Login, None)));
        for target in ["/api", "/api/", "/api/x", "/api/login/", "/api/Login", "/x"] {
            assert_eq!(route(target), None, "{target}");
        }
    }

    #[test]
    fn methods_are_those_of_the_document() {
        let allows = |method: Method, target: &str| {
            let target: Uri = target.parse().unwrap();
            Route::of(&target).unwrap().allows(&method)
        };
        assert!(allows(Method::GET, "/api/sharefiles?cmd=count"));
        assert!(allows(Method::HEAD, "/api/sharefiles?cmd=count"));
        assert!(allows(Method::POST, "/api/sharefiles?cmd=count"));
        assert!(allows(Method::POST, "/api/sharefiles?cmd=normal"));
        assert!(!allows(Method::GET, "/api/sharefiles?cmd=normal"));
        assert!(allows(Method::GET, "/api/share?urlmd5=x"));
        assert!(!allows(Method::POST, "/api/share?urlmd5=x"));
        assert!(allows(Method::POST, "/api/login"));
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            assert!(!allows(method, "/api/login"));
        }
    }
}
