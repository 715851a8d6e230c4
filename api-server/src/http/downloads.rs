//! `GET /group1/M00/…`: a blob, or with `?thumb=` or `?w=` and `?h=` a thumbnail of it. Both pass the
//! same check of access.

use common::code::ErrorCode;
use common::web::body::Body;
use common::web::front::{self, Front};
use common::web::text;
use http::{Response, StatusCode, request};
use tracing::{debug, error};

use crate::backend::Blobs;
use crate::thumbnail::{self, Accepts, ThumbError, ThumbRequest, Thumbnails};

/// Answers downloads.
#[derive(Debug)]
pub(crate) struct Downloads<B> {
    pub(crate) front: Front<B>,
    /// What the front is over.
    pub(crate) blobs: B,
    pub(crate) thumbnails: Thumbnails,
}

impl<B: Blobs> Downloads<B> {
    /// Answers one request.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: downloads change nothing that anybody could see.
    pub(super) async fn respond(&self, request: &request::Parts) -> Response<Body> {
        match self.thumbnail(request).await {
            Some(response) => front::open_to_all_pages(response),
            None => self.front.respond(request).await,
        }
    }

    /// The answer to a request for a thumbnail that may have it; none to any other.
    async fn thumbnail(&self, request: &request::Parts) -> Option<Response<Body>> {
        let wanted = ThumbRequest::from_query(request.uri.query()?).transpose()?;
        let (id, sharing) = self.front.admits(request)?;
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(error) => {
                return Some(text::response(StatusCode::BAD_REQUEST, &error.to_string()));
            }
        };
        let accepts = Accepts::from_headers(&request.headers);
        let outcome = self.thumbnails.get(&id, wanted, accepts, &self.blobs).await;
        if let Err(error) = &outcome {
            log(request, error);
        }
        Some(thumbnail::respond(request, &outcome, sharing).map(Body::from))
    }
}

fn log(request: &request::Parts, error: &ThumbError) {
    let path = request.uri.path();
    if error.code() == ErrorCode::Storage {
        error!(path, error = text::chain(error), "no thumbnail was made");
    } else {
        debug!(path, error = text::chain(error), "no thumbnail was made");
    }
}
