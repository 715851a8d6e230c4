//! A front end from a directory of the operator, in place of the console.
//!
//! What a client sends chooses a file here, as nowhere else in Hayloft, so it is believed least here:
//! names are taken apart by an allow-list, and what the file system makes of them, links included, must
//! lie in the directory. Source: docs/api/image-host.md (what the web front end needs).

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::{Bytes, BytesMut};
use common::code::ErrorCode;
use common::limits;
use common::web::body::Body;
use common::web::download::PlanBody;
use common::web::source::{Content, ReadPieces, SourceError};
use common::web::{condition, text};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue};
use http::{Response, StatusCode, request};
use percent_encoding::percent_decode_str;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tracing::warn;

use super::pages;
use crate::error::ApiError;

const INDEX: &str = "index.html";
/// Paths that the front end makes pages of by itself, from its one file.
const PAGES: &[&str] = &[
    "/",
    "/login",
    "/reg",
    "/logout",
    "/myFiles",
    "/shareFiles",
    "/myShareImages",
    "/downloadRankingList",
    "/share",
];
/// Bytes that are read at once.
const PIECE_LEN: usize = 64 * 1024;

/// The directory, with every link in its own path resolved.
#[derive(Clone, Debug)]
pub(crate) struct WebDir {
    root: Arc<Path>,
}

impl WebDir {
    /// Blocks for a moment.
    ///
    /// # Errors
    ///
    /// [`ApiError::WebDir`] if there is no index page.
    pub(crate) fn open(directory: PathBuf) -> Result<Self, ApiError> {
        let root = directory.canonicalize().and_then(|root| {
            let index = root.join(INDEX).metadata()?;
            if index.is_file() {
                Ok(root)
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        });
        match root {
            Ok(root) => Ok(Self { root: root.into() }),
            Err(source) => Err(ApiError::WebDir { directory, source }),
        }
    }

    /// Answers a GET or HEAD.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn respond(&self, head: &request::Parts) -> Response<Body> {
        match self.find(head.uri.path()).await {
            Ok(found) => found.respond(head),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    warn!(path = head.uri.path(), %error, "a file of the front end cannot be read");
                }
                text::response(StatusCode::NOT_FOUND, "no such page")
            }
        }
    }

    async fn find(&self, path: &str) -> io::Result<Found> {
        let relative = if PAGES.contains(&path) {
            PathBuf::from(INDEX)
        } else {
            relative(path).ok_or(io::ErrorKind::NotFound)?
        };
        let content_type = pages::content_type(&relative.to_string_lossy());
        let resolved = tokio::fs::canonicalize(self.root.join(relative)).await;
        let resolved = resolved.map_err(|error| {
            // A file in place of a directory, and names that are too long, are just not there.
            let absent = [io::ErrorKind::NotADirectory, io::ErrorKind::InvalidFilename];
            if absent.contains(&error.kind()) {
                io::ErrorKind::NotFound.into()
            } else {
                error
            }
        })?;
        let inside = resolved
            .strip_prefix(&self.root)
            .map_err(|_| io::ErrorKind::NotFound)?;
        // A link may lead to what its own name hides.
        if inside
            .iter()
            .any(|name| name.as_encoded_bytes().starts_with(b"."))
        {
            return Err(io::ErrorKind::NotFound.into());
        }
        // What is no regular file may block when it is opened.
        if !tokio::fs::metadata(&resolved).await?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = File::open(&resolved).await?;
        let metadata = file.metadata().await?;
        let written = metadata.modified()?.duration_since(UNIX_EPOCH);
        let nanos = written.unwrap_or_default().as_nanos();
        Ok(Found {
            file,
            len: metadata.len(),
            etag: format!("\"{nanos:x}-{:x}\"", metadata.len()),
            content_type,
        })
    }
}

/// The path below the directory that `path` of a URL means, if every name in it is a plain one.
fn relative(path: &str) -> Option<PathBuf> {
    if limits::HTTP_PATH_LEN_MAX < path.len() {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let mut relative = PathBuf::new();
    for name in decoded.strip_prefix('/')?.split('/') {
        let is_plain = |c: char| !c.is_control() && !matches!(c, '\\' | ':');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            return None;
        }
        relative.push(name);
    }
    Some(relative)
}

/// A file that was opened.
struct Found {
    file: File,
    len: u64,
    etag: String,
    content_type: HeaderValue,
}

impl Found {
    fn respond(self, head: &request::Parts) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let not_modified = condition::none_match_has(&head.headers, self.etag.as_bytes());
        if let Ok(etag) = HeaderValue::try_from(self.etag) {
            headers.insert(ETAG, etag);
        }
        if not_modified {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(CONTENT_TYPE, self.content_type);
        headers.insert(CONTENT_LENGTH, self.len.into());
        if self.len == 0 {
            return response;
        }
        let reader = Content::Pieces(FileReader(self.file));
        match Body::planned(PlanBody::Range(0..self.len), reader, self.len) {
            Ok(body) => response.map(|_| body),
            Err(error) => text::response(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

/// Reads a file from its beginning, piece by piece.
struct FileReader(File);

impl ReadPieces for FileReader {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, SourceError> {
        let wanted = usize::try_from(range.end - range.start).unwrap_or(PIECE_LEN);
        let mut piece = BytesMut::with_capacity(wanted.min(PIECE_LEN));
        let mut limited = (&mut self.0).take(piece.capacity().min(wanted) as u64);
        let read = limited.read_buf(&mut piece).await;
        // Nothing read means that the file was cut short, which the body takes for an error.
        read.map_err(|error| SourceError::new(ErrorCode::Storage, error))?;
        Ok(piece.freeze())
    }
}

#[cfg(test)]
mod tests;
