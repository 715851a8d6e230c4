//! `GET /crossdomain.xml`: which pages a Flash uploader may be part of. Source: docs/api/weiyun.md §5.

use std::fmt::Write as _;

use bytes::Bytes;
use common::web::body::Body;
use common::web::cross_domain::Domain;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};

/// The policy file, made once.
#[derive(Clone, Debug)]
pub(super) struct CrossDomainPolicy(Bytes);

impl CrossDomainPolicy {
    /// The policy that admits pages of these domains.
    pub(super) fn new(domains: &[Domain]) -> Self {
        let mut text = String::from("<?xml version=\"1.0\"?>\n<cross-domain-policy>\n");
        // A domain has no byte that XML would have to escape. Writing into a string cannot fail.
        for name in domains {
            let _ = writeln!(
                text,
                "  <allow-access-from domain=\"{name}\" secure=\"false\"/>"
            );
        }
        for name in domains {
            let _ = writeln!(
                text,
                "  <allow-http-request-headers-from domain=\"{name}\" headers=\"*\"/>"
            );
        }
        text.push_str("</cross-domain-policy>\n");
        Self(text.into())
    }

    /// The answer to everybody.
    pub(super) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.0.clone()));
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, self.0.len().into());
        for (name, value) in [
            (CONTENT_TYPE, "text/xml"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_all_domains_is_that_of_the_document() {
        let policy = CrossDomainPolicy::new(&["*".parse().unwrap()]);
        let expected = "<?xml version=\"1.0\"?>\n<cross-domain-policy>\n  \
            <allow-access-from domain=\"*\" secure=\"false\"/>\n  \
            <allow-http-request-headers-from domain=\"*\" headers=\"*\"/>\n\
            </cross-domain-policy>\n";
        assert_eq!(policy.0, expected);
        let response = policy.response();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/xml");
    }

    #[test]
    fn without_domains_nobody_is_admitted() {
        let policy = CrossDomainPolicy::new(&[]);
        let text = "<?xml version=\"1.0\"?>\n<cross-domain-policy>\n</cross-domain-policy>\n";
        assert_eq!(policy.0, text);
    }
}
