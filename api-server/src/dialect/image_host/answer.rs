//! What endpoints answer, and its bytes. Source: docs/api/image-host.md §2.1, §4.

use bytes::Bytes;
use common::web::body::Body;
use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};

use crate::core::id::{PictureLink, Token};
use crate::http::json;

use super::json_text::JsonText;
use super::listing::Listing;

/// What a successful call answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// The code alone.
    Done,
    /// A session was begun.
    Token(Token),
    /// How many files a user has.
    Total(u64),
    /// How many files are shared. Said twice, as one front end reads it by another name.
    SharedTotal(u64),
    /// Rows of a list.
    Listing(Listing),
    /// A picture was shared.
    Link(PictureLink),
    /// What a picture share shows.
    Picture(Picture),
    /// The page is elsewhere.
    Elsewhere(HeaderValue),
}

/// What a picture share shows.
#[derive(Debug)]
pub(super) struct Picture {
    /// Where the picture is.
    pub(super) url: String,
    /// Who shared it.
    pub(super) user: String,
    /// When.
    pub(super) time: [u8; crate::dialect::local_time::LEN],
    /// How often it was looked at, this time included.
    pub(super) views: u64,
}

impl Answer {
    /// The response.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut text = JsonText::with_capacity(64);
        match self {
            Self::Done => text.raw(r#"{"code":0}"#),
            Self::Token(token) => text.raw(r#"{"code":0,"token":""#).plain(token).raw(r#""}"#),
            Self::Total(total) => text.raw(r#"{"code":0,"total":"#).number(total).raw("}"),
            Self::SharedTotal(total) => text
                .raw(r#"{"code":0,"total":"#)
                .number(total)
                .raw(r#","num":"#)
                .number(total)
                .raw("}"),
            Self::Listing(Listing::Whole(whole)) => {
                return json::response(StatusCode::OK, whole.into_bytes());
            }
            Self::Listing(Listing::Streamed(body)) => return json::streamed(body),
            Self::Link(link) => text.raw(r#"{"code":0,"urlmd5":""#).plain(link).raw(r#""}"#),
            Self::Picture(picture) => text
                .raw(r#"{"code":0,"url":"#)
                .string(&picture.url)
                .raw(r#","user":"#)
                .string(&picture.user)
                .raw(r#","time":""#)
                .raw(picture.time)
                .raw(r#"","pv":"#)
                .number(picture.views)
                .raw("}"),
            Self::Elsewhere(location) => {
                let mut response = json::response(StatusCode::FOUND, Bytes::new());
                response.headers_mut().insert(LOCATION, location);
                return response;
            }
        };
        json::response(StatusCode::OK, text.into_bytes())
    }
}
