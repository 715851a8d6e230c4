//! What a request for a thumbnail is answered with.

use bytes::Bytes;
use common::web::condition::{self, Outcome, Validators};
use common::web::download::{Sharing, Version};
use common::web::text;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue,
    RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode, request};

use super::Thumbnail;
use super::error::ThumbError;

/// Seconds after which a client should try again: the time of a few thumbnails.
const RETRY_AFTER_SECONDS: &str = "2";

/// Answers a GET or HEAD with what [`super::Thumbnails::get`] gave. Logging is the caller's.
///
/// Conditions are honoured; ranges are not, for a thumbnail is small. `Vary: Accept` stands on every
/// answer, for what the client accepts chooses the format.
pub fn respond(
    request: &request::Parts,
    outcome: &Result<Thumbnail, ThumbError>,
    sharing: Sharing,
) -> Response<Bytes> {
    let mut response = match outcome {
        Ok(thumbnail) => picture(request, thumbnail, sharing),
        Err(error) => refusal(error),
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if request.method == Method::HEAD {
        response.map(|_| Bytes::new())
    } else {
        response
    }
}

fn picture(request: &request::Parts, thumbnail: &Thumbnail, sharing: Sharing) -> Response<Bytes> {
    let validators = Validators {
        etag: thumbnail.etag.as_bytes(),
        last_modified: thumbnail.facts.time,
        date_is_strong: false,
    };
    let mut response = match condition::evaluate(&request.headers, &validators) {
        Outcome::Proceed => Response::new(thumbnail.bytes.clone()),
        Outcome::NotModified => with_status(StatusCode::NOT_MODIFIED),
        Outcome::Failed => {
            let why = "the thumbnail is not the one that If-Match asks for";
            return text::response::<String>(StatusCode::PRECONDITION_FAILED, why).map(Bytes::from);
        }
    };
    let headers = response.headers_mut();
    // As for the blob itself, so that both leave caches by the same rule.
    let cache = match (thumbnail.facts.version, sharing) {
        (Version::Immutable(_), Sharing::Public) => "public, max-age=31536000, immutable",
        (Version::Immutable(_), Sharing::Private) => "private, max-age=31536000, immutable",
        (Version::Changing(_), Sharing::Public) => "no-cache",
        (Version::Changing(_), Sharing::Private) => "private, no-cache",
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    // Hexadecimal digits and quotes.
    if let Ok(etag) = HeaderValue::try_from(&thumbnail.etag) {
        headers.insert(ETAG, etag);
    }
    if response.status() == StatusCode::OK {
        let content_type = HeaderValue::from_static(thumbnail.format.content_type());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CONTENT_LENGTH, thumbnail.bytes.len().into());
        let policy = HeaderValue::from_static("default-src 'none'");
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn refusal(error: &ThumbError) -> Response<Bytes> {
    let status = error.status();
    // What a source says in its causes is for the log; what a picture did wrong is the client's.
    let why = match error {
        ThumbError::Picture(_) => text::chain(error),
        ThumbError::Source(_) | ThumbError::Busy => error.to_string(),
    };
    let mut response = text::response::<String>(status, &why).map(Bytes::from);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let value = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

fn with_status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use common::digest::Crc32;
    use common::web::download::BlobFacts;
    use http::Request;
    use http::header::IF_NONE_MATCH;

    use super::*;
    use crate::thumbnail::{PictureError, ThumbFormat};

    fn thumbnail() -> Thumbnail {
        Thumbnail {
            bytes: Bytes::from_static(b"pixels"),
            format: ThumbFormat::Webp,
            etag: "\"t-1\"".to_owned(),
            facts: BlobFacts {
                size: 9,
                time: 1,
                version: Version::Immutable(Crc32(1)),
            },
        }
    }

    fn asked(method: Method, if_none_match: Option<&str>) -> request::Parts {
        let mut request = Request::builder().method(method);
        if let Some(tag) = if_none_match {
            request = request.header(IF_NONE_MATCH, tag);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_picture_is_typed_tagged_and_may_be_kept() {
        let response = respond(&asked(Method::GET, None), &Ok(thumbnail()), Sharing::Public);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "image/webp");
        assert_eq!(response.headers()[ETAG], "\"t-1\"");
        assert_eq!(response.headers()[VARY], "Accept");
        assert_eq!(
            response.headers()[CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
        assert_eq!(&response.body()[..], b"pixels");
    }

    #[test]
    fn a_head_has_the_length_and_no_body() {
        let response = respond(
            &asked(Method::HEAD, None),
            &Ok(thumbnail()),
            Sharing::Private,
        );
        assert_eq!(response.headers()[CONTENT_LENGTH], "6");
        assert!(response.body().is_empty());
        let cache = response.headers()[CACHE_CONTROL].to_str().unwrap();
        assert!(cache.starts_with("private"));
    }

    #[test]
    fn a_client_that_has_it_is_told_so() {
        let request = asked(Method::GET, Some("\"t-1\""));
        let response = respond(&request, &Ok(thumbnail()), Sharing::Public);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert!(response.body().is_empty());
        assert!(response.headers().contains_key(ETAG));
    }

    #[test]
    fn refusals_have_a_status_each_and_say_why() {
        for (error, status) in [
            (ThumbError::Busy, 503),
            (PictureError::Unknown.into(), 415),
            (PictureError::Broken.into(), 422),
            (
                PictureError::TooManyPixels { pixels: 9, max: 8 }.into(),
                422,
            ),
        ] {
            let response = respond(&asked(Method::GET, None), &Err(error), Sharing::Public);
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert!(!response.body().is_empty());
        }
    }
}
