//! What a GET or HEAD of a blob is answered with: a pure function of the request and the blob's facts.
//!
//! Source: RFC 9110 (conditions, ranges), RFC 9111 (caching), RFC 8246 (`immutable`).

use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode, request};

use super::condition::{self, Outcome, Validators};
use super::range::{self, ByteRange, Selection};
use super::{content_type, disposition, text};
use crate::digest::Crc32;

/// What is known about a blob before its bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobFacts {
    /// Bytes.
    pub size: u64,
    /// Unix seconds of the last change, for normal blobs of the upload.
    pub time: u32,
    /// What tells these bytes from others under the same name.
    pub version: Version,
}

/// What tells a blob's bytes from others under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A normal blob: the name will never mean other bytes, so caches may keep it for ever.
    Immutable(Crc32),
    /// An appender or slave: a number that differs after each change. Caches must ask each time.
    Changing(u64),
}

/// Whether caches shared by several people may keep an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// They may.
    Public,
    /// Only the asker's own cache: access was checked for this request.
    Private,
}

/// An answer whose bytes are still to be read.
#[derive(Debug)]
pub struct Plan {
    /// Status and headers, `Content-Length` included.
    pub head: Response<()>,
    /// What follows.
    pub body: PlanBody,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanBody {
    /// Nothing.
    Empty,
    /// A part of the blob or all of it.
    Range(Range<u64>),
    /// Several parts with text around them, in order.
    Pieces(Vec<BodyPiece>),
}

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPiece {
    /// These bytes.
    Literal(Bytes),
    /// A part of the blob.
    Range(Range<u64>),
}

/// Plans the answer to a GET or HEAD.
///
/// `extension` is that of the blob's name. `boundary` gives 64 random bits for the boundary of a
/// multi-part answer: whoever uploads content must not be able to foresee it.
pub fn respond(
    request: &request::Parts,
    facts: &BlobFacts,
    extension: &str,
    sharing: Sharing,
    boundary: impl FnOnce() -> u64,
) -> Plan {
    let etag = etag(facts);
    let validators = Validators {
        etag: etag.as_bytes(),
        last_modified: facts.time,
        date_is_strong: matches!(facts.version, Version::Immutable(_)),
    };
    match condition::evaluate(&request.headers, &validators) {
        Outcome::Proceed => {}
        Outcome::NotModified => {
            let mut head = with_status(StatusCode::NOT_MODIFIED);
            insert_validators(head.headers_mut(), facts, etag, sharing);
            return Plan {
                head,
                body: PlanBody::Empty,
            };
        }
        Outcome::Failed => {
            return refusal(
                request,
                StatusCode::PRECONDITION_FAILED,
                "the file is not the one that If-Match or If-Unmodified-Since asks for",
            );
        }
    }
    // RFC 9110 §14.2 defines ranges for GET only.
    let selection = match request.headers.get(RANGE) {
        Some(value)
            if request.method == Method::GET
                && condition::range_applies(&request.headers, &validators) =>
        {
            range::select(value.as_bytes(), facts.size)
        }
        _ => Selection::Whole,
    };
    let content_type = content_type::of_extension(extension);
    let mut head = with_status(StatusCode::OK);
    let (len, body) = match selection {
        Selection::Whole => (facts.size, PlanBody::Range(0..facts.size)),
        Selection::One(range) => {
            *head.status_mut() = StatusCode::PARTIAL_CONTENT;
            let value = ascii(content_range(range, facts.size));
            head.headers_mut().insert(CONTENT_RANGE, value);
            (range.len(), PlanBody::Range(range.start..range.end))
        }
        Selection::Many(ranges) => {
            *head.status_mut() = StatusCode::PARTIAL_CONTENT;
            let boundary = format!("hayloft-{:016x}", boundary());
            let (len, pieces) = multipart(&ranges, facts.size, &content_type.value, &boundary);
            let value = ascii(format!("multipart/byteranges; boundary={boundary}"));
            head.headers_mut().insert(CONTENT_TYPE, value);
            (len, PlanBody::Pieces(pieces))
        }
        Selection::Unsatisfiable => {
            let why = format!("the range lies outside the file's {} bytes", facts.size);
            let mut plan = refusal(request, StatusCode::RANGE_NOT_SATISFIABLE, &why);
            let value = ascii(format!("bytes */{}", facts.size));
            plan.head.headers_mut().insert(CONTENT_RANGE, value);
            return plan;
        }
    };
    let headers = head.headers_mut();
    headers.insert(CONTENT_LENGTH, len.into());
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, content_type.value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(policy) = content_type.policy {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    if let Some(value) = disposition::of(request.uri.query(), content_type.presentation) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    insert_validators(headers, facts, etag, sharing);
    let body = if request.method == Method::HEAD || len == 0 {
        PlanBody::Empty
    } else {
        body
    };
    Plan { head, body }
}

/// The headers that a 304 repeats.
fn insert_validators(headers: &mut HeaderMap, facts: &BlobFacts, etag: String, sharing: Sharing) {
    headers.insert(ETAG, ascii(etag));
    let time = UNIX_EPOCH + Duration::from_secs(facts.time.into());
    headers.insert(LAST_MODIFIED, ascii(httpdate::fmt_http_date(time)));
    let cache = match (facts.version, sharing) {
        (Version::Immutable(_), Sharing::Public) => "public, max-age=31536000, immutable",
        // A shared cache would serve a link after its token has expired.
        (Version::Immutable(_), Sharing::Private) => "private, max-age=31536000, immutable",
        (Version::Changing(_), Sharing::Public) => "no-cache",
        (Version::Changing(_), Sharing::Private) => "private, no-cache",
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
}

/// A strong entity tag. Size and time stand in both forms, so a slave that was deleted and uploaded
/// again does not match its predecessor.
fn etag(facts: &BlobFacts) -> String {
    let mut tag = String::with_capacity(48);
    let _ = match facts.version {
        Version::Immutable(crc) => write!(tag, "\"{:x}-{:x}-{crc}\"", facts.time, facts.size),
        Version::Changing(number) => {
            write!(tag, "\"{:x}-{:x}-v{number:x}\"", facts.time, facts.size)
        }
    };
    tag
}

/// The body of a `multipart/byteranges` answer and its length. Source: RFC 9110 §14.6.
fn multipart(
    ranges: &[ByteRange],
    size: u64,
    content_type: &HeaderValue,
    boundary: &str,
) -> (u64, Vec<BodyPiece>) {
    let content_type = content_type.to_str().unwrap_or("application/octet-stream");
    let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
    let mut len = 0;
    let mut separator = "";
    for range in ranges {
        let text = format!(
            "{separator}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
            content_range(*range, size)
        );
        separator = "\r\n";
        len += text.len() as u64 + range.len();
        pieces.push(BodyPiece::Literal(text.into()));
        pieces.push(BodyPiece::Range(range.start..range.end));
    }
    let text = format!("\r\n--{boundary}--\r\n");
    len += text.len() as u64;
    pieces.push(BodyPiece::Literal(text.into()));
    (len, pieces)
}

fn content_range(range: ByteRange, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

fn refusal(request: &request::Parts, status: StatusCode, why: &str) -> Plan {
    let (head, line) = text::response::<String>(status, why).into_parts();
    let body = if request.method == Method::HEAD {
        PlanBody::Empty
    } else {
        PlanBody::Pieces(vec![BodyPiece::Literal(line.into())])
    };
    Plan {
        head: Response::from_parts(head, ()),
        body,
    }
}

fn with_status(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    // One allocation instead of one per doubling.
    response.headers_mut().reserve(10);
    response
}

/// A header value of text that we wrote ourselves and know to be visible ASCII.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
