//! Sizes, formats, orientations and what is left behind.

use std::time::Duration;

use image::{GenericImageView as _, ImageFormat, Rgb, RgbImage};

use super::*;
use crate::thumbnail::fixture::{self, BLUE, GREEN, RED, WHITE};

fn rendered(input: &[u8], query: &str, accepts: Accepts) -> (ThumbFormat, Vec<u8>) {
    let wanted = ThumbRequest::from_query(query).unwrap().unwrap();
    let limits = PictureLimits {
        decode_time: Duration::from_mins(1),
        ..PictureLimits::default()
    };
    let deadline = clock::monotonic() + limits.decode_time;
    render(input, wanted, accepts, &limits, deadline).unwrap()
}

/// What a browser would see.
fn seen(thumbnail: &(ThumbFormat, Vec<u8>)) -> DynamicImage {
    let format = match thumbnail.0 {
        ThumbFormat::Jpeg => ImageFormat::Jpeg,
        ThumbFormat::Webp => ImageFormat::WebP,
    };
    image::load_from_memory_with_format(&thumbnail.1, format).unwrap()
}

fn assert_close(pixel: [u8; 4], expected: [u8; 3], what: &str) {
    for (is, should) in pixel.iter().zip(expected) {
        assert!(is.abs_diff(should) < 24, "{what}: {pixel:?}, {expected:?}");
    }
}

fn assert_quarters(picture: &DynamicImage, what: &str) {
    let (width, height) = picture.dimensions();
    for (x, y, colour) in [(1, 1, RED), (3, 1, GREEN), (1, 3, BLUE), (3, 3, WHITE)] {
        let pixel = picture.get_pixel(width * x / 4, height * y / 4);
        assert_close(pixel.0, colour, what);
    }
}

#[test]
fn every_format_is_shown_in_every_size_and_output() {
    for (format, input) in fixture::every_format(400, 240) {
        for (query, size) in [
            ("thumb=small", (160, 96)),
            ("thumb=medium", (400, 240)),
            ("thumb=large", (400, 240)),
            ("w=50", (50, 30)),
            ("h=60", (100, 60)),
        ] {
            for (accepts, output) in [
                (Accepts::Any, ThumbFormat::Jpeg),
                (Accepts::Webp, ThumbFormat::Webp),
            ] {
                let thumbnail = rendered(&input, query, accepts);
                let what = format!("{format:?} {query} {accepts:?}");
                assert_eq!(thumbnail.0, output, "{what}");
                let picture = seen(&thumbnail);
                assert_eq!(picture.dimensions(), size, "{what}");
                assert_quarters(&picture, &what);
            }
        }
    }
}

#[test]
fn every_kind_of_pixel_is_shown() {
    let picture = DynamicImage::from(fixture::quarters(200, 100));
    let kinds = [
        DynamicImage::from(picture.to_luma8()),
        DynamicImage::from(picture.to_luma_alpha8()),
        DynamicImage::from(picture.to_rgba8()),
        DynamicImage::from(picture.to_luma16()),
        DynamicImage::from(picture.to_luma_alpha16()),
        DynamicImage::from(picture.to_rgb16()),
        DynamicImage::from(picture.to_rgba16()),
    ];
    for kind in kinds {
        let colour = kind.color();
        let input = fixture::encoded(kind.clone(), ImageFormat::Png);
        let thumbnail = rendered(&input, "w=100", Accepts::Any);
        // The alpha channel hides nothing, so it is no reason for WebP.
        assert_eq!(thumbnail.0, ThumbFormat::Jpeg, "{colour:?}");
        let shown = seen(&thumbnail);
        assert_eq!(shown.dimensions(), (100, 50));
        for (x, y) in [(50, 25), (150, 25), (50, 75), (150, 75)] {
            let [r, g, b, _] = kind.get_pixel(x, y).0;
            assert_close(shown.get_pixel(x / 2, y / 2).0, [r, g, b], "kind of pixel");
        }
    }
}

#[test]
fn what_is_transparent_stays_so_whatever_the_client_accepts() {
    let input = fixture::encoded(fixture::quarters_with_hole(200, 100), ImageFormat::Png);
    for accepts in [Accepts::Any, Accepts::Webp] {
        for query in ["w=100", "w=200"] {
            let thumbnail = rendered(&input, query, accepts);
            assert_eq!(thumbnail.0, ThumbFormat::Webp);
            let picture = seen(&thumbnail);
            let (width, height) = picture.dimensions();
            assert_eq!(picture.get_pixel(width / 2, height / 2).0[3], 0);
            let corner = picture.get_pixel(width / 10, height / 10).0;
            assert_eq!(corner[3], u8::MAX);
            assert_close(corner, RED, "corner");
        }
    }
}

/// A TIFF block that says the orientation, and a place that nobody should learn.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01".to_vec();
    exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    exif.extend([0; 4]);
    exif.extend(b"SECRET-PLACE");
    exif
}

/// `upright` as a camera held in such a way stores it. Source: Exif 2.32 §4.6.4, Orientation: which
/// side of what is seen the first row and the first column are.
fn stored(upright: &RgbImage, orientation: u8) -> RgbImage {
    let (width, height) = upright.dimensions();
    let (right, bottom) = (width - 1, height - 1);
    let (stored_width, stored_height) = if orientation < 5 {
        (width, height)
    } else {
        (height, width)
    };
    RgbImage::from_fn(stored_width, stored_height, |column, row| {
        let (x, y) = match orientation {
            1 => (column, row),
            2 => (right - column, row),
            3 => (right - column, bottom - row),
            4 => (column, bottom - row),
            5 => (row, column),
            6 => (right - row, column),
            7 => (right - row, bottom - column),
            8 => (row, bottom - column),
            _ => unreachable!(),
        };
        let Rgb(pixel) = upright.get_pixel(x, y);
        Rgb(*pixel)
    })
}

fn jpeg_with_exif(picture: RgbImage, orientation: u8) -> Vec<u8> {
    let jpeg = fixture::encoded(picture, ImageFormat::Jpeg);
    let exif = exif(orientation);
    let len = u16::try_from(exif.len() + 8).unwrap().to_be_bytes();
    [
        &jpeg[..2],
        &[0xff, 0xe1],
        &len,
        b"Exif\0\0",
        &exif,
        &jpeg[2..],
    ]
    .concat()
}

fn webp_with_exif(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let webp = webp::Encoder::from_rgb(picture, width, height).encode_lossless();
    let minus_one = |side: u32| {
        let [_, high, middle, low] = (side - 1).to_be_bytes();
        [low, middle, high]
    };
    let chunk_len = |len: usize| {
        let mut bytes = u32::try_from(len).unwrap().to_be_bytes();
        bytes.reverse();
        bytes
    };
    let exif = exif(orientation);
    assert_eq!(exif.len() % 2, 0, "chunks of odd length would need padding");
    let body = [
        b"WEBPVP8X\x0a\0\0\0\x08\0\0\0".as_slice(),
        &minus_one(width),
        &minus_one(height),
        &webp[12..],
        b"EXIF",
        &chunk_len(exif.len()),
        &exif,
    ]
    .concat();
    [b"RIFF", &chunk_len(body.len())[..], &body].concat()
}

#[test]
fn a_picture_is_turned_upright_and_the_box_is_meant_for_what_is_seen() {
    let upright = fixture::quarters(160, 80);
    for orientation in 1..=8 {
        let input = stored(&upright, orientation);
        for input in [
            jpeg_with_exif(input.clone(), orientation),
            webp_with_exif(&input, orientation),
        ] {
            for (query, size) in [
                ("w=80&h=80", (80, 40)),
                ("h=20", (40, 20)),
                ("thumb=large", (160, 80)),
            ] {
                let picture = seen(&rendered(&input, query, Accepts::Any));
                let what = format!("orientation {orientation}, {query}");
                assert_eq!(picture.dimensions(), size, "{what}");
                assert_quarters(&picture, &what);
            }
        }
    }
}

#[test]
fn an_orientation_that_does_not_exist_turns_nothing() {
    for orientation in [0, 9, 255] {
        let input = jpeg_with_exif(fixture::quarters(160, 80), orientation);
        let picture = seen(&rendered(&input, "w=80", Accepts::Any));
        assert_eq!(picture.dimensions(), (80, 40));
        assert_quarters(&picture, "no orientation");
    }
}

#[test]
fn metadata_stays_behind_even_when_nothing_is_resized() {
    let holds = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    let input = jpeg_with_exif(fixture::quarters(80, 40), 1);
    assert!(holds(&input, b"SECRET-PLACE"));
    for accepts in [Accepts::Any, Accepts::Webp] {
        let (_, bytes) = rendered(&input, "thumb=large", accepts);
        for word in [b"SECRET-PLACE".as_slice(), b"Exif\0", b"EXIF"] {
            assert!(!holds(&bytes, word));
        }
    }
}

#[test]
fn a_line_of_one_pixel_has_a_thumbnail() {
    for (width, height) in [(3000, 1), (1, 3000), (1, 1)] {
        let input = fixture::encoded(fixture::noise(width, height), ImageFormat::Png);
        for accepts in [Accepts::Any, Accepts::Webp] {
            let picture = seen(&rendered(&input, "thumb=small", accepts));
            assert_eq!(
                picture.dimensions(),
                (width.min(160), height.min(160)),
                "{width}x{height}"
            );
        }
    }
}
