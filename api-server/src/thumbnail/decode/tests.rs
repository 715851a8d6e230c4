//! Hostile and broken pictures, and the limits one by one.

use std::time::Duration;

use common::digest::Crc32;
use image::ImageFormat;

use super::*;
use crate::thumbnail::fixture;

fn generous() -> PictureLimits {
    PictureLimits {
        decode_time: Duration::from_mins(1),
        ..PictureLimits::default()
    }
}

fn decode_within(input: &[u8], limits: &PictureLimits) -> Result<Picture, PictureError> {
    decode(input, limits, clock::monotonic() + limits.decode_time)
}

fn png_chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind, data].concat();
    let len = u32::try_from(data.len()).unwrap().to_be_bytes();
    let crc = Crc32::of(&body).0.to_be_bytes();
    [&len[..], &body, &crc].concat()
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // Eight bits, colours, and nothing unusual.
    let header = [&size[..], &[8, 2, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n", &png_chunk(*b"IHDR", &header)[..]].concat()
}

#[test]
fn every_format_is_decoded_to_its_own_size() {
    for (format, bytes) in fixture::every_format(40, 24) {
        let picture = decode_within(&bytes, &generous()).unwrap();
        let size = (picture.pixels.width(), picture.pixels.height());
        assert_eq!(size, (40, 24), "{format:?}");
        assert_eq!(picture.orientation, Orientation::NoTransforms);
    }
}

#[test]
fn a_header_that_claims_a_giant_is_refused_before_anything_is_allocated() {
    let data = png_chunk(*b"IDAT", &[0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]);
    let bomb = [png_header(100_000, 100_000), data].concat();
    let error = decode_within(&bomb, &generous()).unwrap_err();
    let max = generous().pixels_max;
    let pixels = 10_000_000_000;
    assert_eq!(error, PictureError::TooManyPixels { pixels, max });
}

#[test]
fn a_giant_frame_behind_a_small_canvas_is_refused() {
    let mut small = fixture::webp(4, 4, true);
    // The frame's own size: fourteen bits each, as large as they get.
    let at = small.windows(4).position(|four| four == b"VP8L").unwrap() + 9;
    small[at] = 0xff;
    small[at + 1] = 0xff;
    small[at + 2] = 0xff;
    small[at + 3] |= 0x0f;
    let canvas = [3, 0, 0, 3, 0, 0];
    let extended = [b"VP8X\x0a\0\0\0\0\0\0\0", &canvas[..]].concat();
    let bomb = [&small[..12], &extended, &small[12..]].concat();
    assert!(matches!(
        decode_within(&bomb, &generous()).unwrap_err(),
        PictureError::TooManyPixels {
            pixels: 268_435_456,
            ..
        }
    ));
}

#[test]
fn the_limit_of_pixels_is_exact() {
    for (format, bytes) in fixture::every_format(40, 24) {
        let exactly = PictureLimits {
            pixels_max: 40 * 24,
            ..generous()
        };
        assert!(decode_within(&bytes, &exactly).is_ok(), "{format:?}");
        let less = PictureLimits {
            pixels_max: 40 * 24 - 1,
            ..generous()
        };
        assert!(
            matches!(
                decode_within(&bytes, &less),
                Err(PictureError::TooManyPixels { pixels: 960, .. })
            ),
            "{format:?}"
        );
    }
}

#[test]
fn a_picture_that_needs_more_memory_than_allowed_is_refused() {
    let limits = PictureLimits {
        memory_max: 2000,
        ..generous()
    };
    for (format, bytes) in fixture::every_format(40, 24) {
        assert!(
            matches!(
                decode_within(&bytes, &limits),
                Err(PictureError::TooMuchMemory { .. })
            ),
            "{format:?}"
        );
    }
}

#[test]
fn a_picture_of_many_scans_counts_as_many_pictures() {
    let mut jpeg = fixture::encoded(fixture::quarters(8, 8), ImageFormat::Jpeg);
    let limits = PictureLimits {
        pixels_max: 64,
        ..generous()
    };
    assert!(decode_within(&jpeg, &limits).is_ok());
    jpeg.extend([0xff, 0xda].repeat(16));
    assert_eq!(
        decode_within(&jpeg, &limits).unwrap_err(),
        PictureError::TooManyPixels {
            pixels: 17 * 64,
            max: 16 * 64
        }
    );
}

#[test]
fn no_format_is_decoded_after_the_deadline() {
    for (format, bytes) in fixture::every_format(40, 24) {
        let limits = generous();
        let error = decode(&bytes, &limits, clock::monotonic()).unwrap_err();
        assert_eq!(
            error,
            PictureError::TooSlow(limits.decode_time),
            "{format:?}"
        );
    }
}

#[test]
fn what_is_no_picture_is_not_decoded() {
    for bytes in [b"".as_slice(), b"%PDF-1.7", b"<html>", b"II*\0\x08\0\0\0"] {
        assert_eq!(
            decode_within(bytes, &generous()).unwrap_err(),
            PictureError::Unknown
        );
    }
}

#[test]
fn a_picture_cut_anywhere_is_an_error_or_a_picture_of_the_same_size() {
    for (format, bytes) in fixture::every_format(40, 24) {
        let mut refused = 0;
        for len in 12..bytes.len() {
            match decode_within(&bytes[..len], &generous()) {
                Ok(picture) => {
                    let size = (picture.pixels.width(), picture.pixels.height());
                    assert_eq!(size, (40, 24), "{format:?} cut at {len}");
                }
                Err(_) => refused += 1,
            }
        }
        assert!(0 < refused, "{format:?}");
    }
}

#[test]
fn a_header_followed_by_nonsense_is_broken() {
    let starts: [&[u8]; 5] = [
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"BM",
    ];
    for start in starts {
        let bytes = [start, &[1; 400]].concat();
        assert_eq!(
            decode_within(&bytes, &generous()).unwrap_err(),
            PictureError::Broken,
            "{start:?}"
        );
    }
}
