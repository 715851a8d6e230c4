//! What a client asks for: a named size or a box, taken from the query of a download link.
//!
//! Source: docs/decisions/0011-thumbnails.md, "What can be asked for".

use common::web::query;

/// Pixels that a side of a thumbnail may have at most.
pub const SIDE_MAX: u32 = 2048;

/// The named sizes: all that the web console uses.
const NAMED: [(&str, u32); 3] = [("small", 160), ("medium", 480), ("large", 1280)];

/// The box that a thumbnail must fit into.
///
/// * each side 1 to [`SIDE_MAX`] pixels, or free
/// * at least one side is not free
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThumbRequest {
    width: Option<u32>,
    height: Option<u32>,
}

/// Why a query asks for no thumbnail that we make; the text is for the answer with status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A name that is none of ours.
    #[error("thumb must be small, medium or large")]
    Name,
    /// A side that is no number or out of range.
    #[error("w and h must be whole numbers from 1 to {SIDE_MAX}")]
    Side,
    /// A name and a box at once.
    #[error("ask for thumb or for w and h, not for both")]
    Both,
}

impl ThumbRequest {
    /// Reads `thumb`, `w` and `h`; other parameters belong to somebody else. Without any of the
    /// three the whole blob is asked for, which is `None`.
    pub fn from_query(query: &str) -> Result<Option<Self>, RequestError> {
        let name = query::value(query, "thumb");
        let width = query::value(query, "w").map(|text| side(&text)).transpose();
        let height = query::value(query, "h").map(|text| side(&text)).transpose();
        let (width, height) = (width?, height?);
        match (name, width, height) {
            (None, None, None) => Ok(None),
            (None, width, height) => Ok(Some(Self { width, height })),
            (Some(name), None, None) => Self::named(&name).map(Some).ok_or(RequestError::Name),
            (Some(_), _, _) => Err(RequestError::Both),
        }
    }

    /// The size called `name`: its longer side has so many pixels.
    pub fn named(name: &str) -> Option<Self> {
        let (_, longer) = NAMED.iter().find(|(known, _)| *known == name)?;
        Some(Self {
            width: Some(*longer),
            height: Some(*longer),
        })
    }

    /// The largest size with the aspect of `picture` that fits into the box and is no larger than
    /// the picture. No side is below one pixel.
    pub(super) fn fit(self, picture: Size) -> Size {
        let allowed_width = self.width.unwrap_or(SIDE_MAX).min(picture.width);
        let allowed_height = self.height.unwrap_or(SIDE_MAX).min(picture.height);
        let (width, height) = (u64::from(picture.width), u64::from(picture.height));
        let (wide, high) = (u64::from(allowed_width), u64::from(allowed_height));
        // wide/width <= high/height, without fractions: the width decides.
        if wide * height <= high * width {
            Size {
                width: allowed_width,
                height: rounded(wide * height, width),
            }
        } else {
            Size {
                width: rounded(high * width, height),
                height: allowed_height,
            }
        }
    }

    /// Eight bytes that tell this box from every other.
    pub(super) fn to_bytes(self) -> [u8; 8] {
        let width = u64::from(self.width.unwrap_or_default());
        let height = u64::from(self.height.unwrap_or_default());
        (width << 32 | height).to_be_bytes()
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Size {
    pub(super) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Width and height exchanged, as a quarter turn does.
    pub(super) fn turned(self) -> Self {
        Self {
            width: self.height,
            height: self.width,
        }
    }
}

fn side(text: &str) -> Result<u32, RequestError> {
    // `parse` would take a plus sign, and two spellings of one size would be two thumbnails.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(side @ 1..=SIDE_MAX) if is_plain => Ok(side),
        _ => Err(RequestError::Side),
    }
}

/// `part / whole` to the nearest, at least 1.
fn rounded(part: u64, whole: u64) -> u32 {
    let whole = whole.max(1);
    u32::try_from((part + whole / 2) / whole)
        .unwrap_or(u32::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fitted(query: &str, picture: (u32, u32)) -> (u32, u32) {
        let wanted = ThumbRequest::from_query(query).unwrap().unwrap();
        let (width, height) = picture;
        let size = wanted.fit(Size { width, height });
        (size.width, size.height)
    }

    #[test]
    fn a_named_size_bounds_the_longer_side() {
        assert_eq!(fitted("thumb=small", (4000, 3000)), (160, 120));
        assert_eq!(fitted("thumb=medium", (3000, 4000)), (360, 480));
        assert_eq!(fitted("thumb=large&token=x", (4000, 2000)), (1280, 640));
    }

    #[test]
    fn one_side_alone_keeps_the_aspect_and_two_are_a_box() {
        assert_eq!(fitted("w=100", (400, 200)), (100, 50));
        assert_eq!(fitted("h=100", (400, 200)), (200, 100));
        assert_eq!(fitted("w=100&h=100", (400, 200)), (100, 50));
        assert_eq!(fitted("w=300&h=10", (400, 200)), (20, 10));
    }

    #[test]
    fn nothing_is_enlarged_and_no_side_vanishes() {
        assert_eq!(fitted("thumb=large", (30, 20)), (30, 20));
        assert_eq!(fitted("w=2000", (30, 20)), (30, 20));
        assert_eq!(fitted("thumb=small", (50_000, 1)), (160, 1));
        assert_eq!(fitted("w=100", (10, 60_000)), (1, SIDE_MAX));
    }

    #[test]
    fn a_query_of_others_asks_for_the_whole_blob() {
        for query in ["", "token=1&ts=2", "width=3", "thumbs=small", "filename=w"] {
            assert_eq!(ThumbRequest::from_query(query), Ok(None), "{query}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for (query, error) in [
            ("thumb=", RequestError::Name),
            ("thumb=huge", RequestError::Name),
            ("thumb=Small", RequestError::Name),
            ("w=0", RequestError::Side),
            ("w=2049", RequestError::Side),
            ("w=-1", RequestError::Side),
            ("h=%2B5", RequestError::Side),
            ("h=1.5", RequestError::Side),
            ("h=", RequestError::Side),
            ("w=10&h=99999999999999999999", RequestError::Side),
            ("thumb=small&w=10", RequestError::Both),
        ] {
            assert_eq!(ThumbRequest::from_query(query), Err(error), "{query}");
        }
    }

    #[test]
    fn different_boxes_have_different_bytes() {
        let bytes = |query| ThumbRequest::from_query(query).unwrap().unwrap().to_bytes();
        assert_ne!(bytes("w=5"), bytes("h=5"));
        assert_ne!(bytes("w=5"), bytes("w=5&h=5"));
        assert_eq!(bytes("w=160&h=160"), bytes("thumb=small"));
    }

    proptest! {
        #[test]
        fn a_fit_stays_within_box_and_picture(
            width in 1..70_000u32, height in 1..70_000u32,
            w in proptest::option::of(1..=SIDE_MAX), h in 1..=SIDE_MAX,
        ) {
            let wanted = ThumbRequest { width: w, height: Some(h) };
            let fit = wanted.fit(Size { width, height });
            prop_assert!((1..=width.min(w.unwrap_or(SIDE_MAX))).contains(&fit.width));
            prop_assert!((1..=height.min(h)).contains(&fit.height));
        }
    }
}
