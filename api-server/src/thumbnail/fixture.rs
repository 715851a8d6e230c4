//! Pictures and names that tests share.

use std::io::Cursor;

use common::digest::Crc32;
use common::id::FileId;
use common::web::download::{BlobFacts, Version};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

use super::accept::Accepts;
use super::format::Format;
use super::key::{BlobKey, ContentKey, ThumbKey};
use super::request::ThumbRequest;

/// A name that a storage node could have made.
pub(super) fn some_id() -> FileId {
    "group1/M00/00/00/fwAADWsCX-OACGPVAAAABi0Jo9Y093.jpg"
        .parse()
        .unwrap()
}

fn facts(number: u64) -> BlobFacts {
    BlobFacts {
        size: number,
        time: 1,
        version: Version::Immutable(Crc32(1)),
    }
}

/// Keys of one blob, a different one for each number.
pub(super) fn key(number: u64) -> ThumbKey {
    let wanted = ThumbRequest::named("small").unwrap();
    ThumbKey::of(
        BlobKey::of(&some_id()),
        &facts(number),
        wanted,
        Accepts::Any,
    )
}

pub(super) fn content_key(number: u64) -> ContentKey {
    ContentKey::of(BlobKey::of(&some_id()), &facts(number))
}

pub(super) const RED: [u8; 3] = [220, 30, 30];
pub(super) const GREEN: [u8; 3] = [30, 200, 30];
pub(super) const BLUE: [u8; 3] = [30, 30, 220];
pub(super) const WHITE: [u8; 3] = [240, 240, 240];

/// Four coloured quarters, which tell how a picture was turned:
///
/// ```text
/// red  green
/// blue white
/// ```
pub(super) fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => WHITE,
        })
    })
}

/// Like [`quarters`], with a hole in the middle.
pub(super) fn quarters_with_hole(width: u32, height: u32) -> RgbaImage {
    let mut picture = DynamicImage::from(quarters(width, height)).into_rgba8();
    for x in width / 4..width * 3 / 4 {
        for y in height / 4..height * 3 / 4 {
            picture.put_pixel(x, y, Rgba([0, 0, 0, 0]));
        }
    }
    picture
}

/// Noise that no encoder makes small: the same for the same size.
pub(super) fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 1_u32;
    RgbImage::from_fn(width, height, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [a, b, c, _] = state.to_be_bytes();
        Rgb([a, b, c])
    })
}

pub(super) fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(super) fn webp(width: u32, height: u32, lossless: bool) -> Vec<u8> {
    let picture = quarters(width, height);
    let encoder = webp::Encoder::from_rgb(&picture, width, height);
    if lossless {
        encoder.encode_lossless().to_vec()
    } else {
        encoder.encode(90.0).to_vec()
    }
}

/// The quarters in each format that is read.
pub(super) fn every_format(width: u32, height: u32) -> Vec<(Format, Vec<u8>)> {
    let picture = quarters(width, height);
    vec![
        (Format::Jpeg, encoded(picture.clone(), ImageFormat::Jpeg)),
        (Format::Png, encoded(picture.clone(), ImageFormat::Png)),
        (Format::Gif, encoded(picture.clone(), ImageFormat::Gif)),
        (Format::Bmp, encoded(picture, ImageFormat::Bmp)),
        (Format::Webp, webp(width, height, false)),
        (Format::Webp, webp(width, height, true)),
    ]
}
