//! From pixels to a thumbnail: made small, turned upright, written as JPEG or WebP.
//!
//! Only pixels go on from here. Whatever else the picture carried (place, camera, owner, previews,
//! comments) is not copied, so a thumbnail cannot give it away.

use std::time::Instant;

use common::env::clock;
use fast_image_resize::{ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use webp::WebPConfig;

use super::accept::Accepts;
use super::decode::{self, Picture};
use super::error::PictureError;
use super::request::{Size, ThumbRequest};
use super::settings::PictureLimits;

/// Of 100. Artefacts are not seen at the size of a thumbnail.
const JPEG_QUALITY: u8 = 82;
/// Of 100, which libwebp counts otherwise than JPEG does: about the same look.
const WEBP_QUALITY: f32 = 78.0;
/// 0 is fast, 6 is small. Thumbnails are made while somebody waits.
const WEBP_METHOD: i32 = 3;

/// The format of a thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThumbFormat {
    /// `image/jpeg`
    Jpeg,
    /// `image/webp`
    Webp,
}

impl ThumbFormat {
    /// The `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// Makes a thumbnail of `input`.
///
/// The clock is asked between the steps, so that a job that was given up ends after the step that it
/// is in.
pub(super) fn render(
    input: &[u8],
    wanted: ThumbRequest,
    accepts: Accepts,
    limits: &PictureLimits,
    deadline: Instant,
) -> Result<(ThumbFormat, Vec<u8>), PictureError> {
    let in_time = || {
        if clock::monotonic() < deadline {
            Ok(())
        } else {
            Err(PictureError::TooSlow(limits.decode_time))
        }
    };
    let picture = decode::decode(input, limits, deadline)?;
    in_time()?;
    let small = upright(shrink(picture, wanted)?);
    in_time()?;
    encode(small, accepts)
}

/// Resizes before anything else is done, so that all else is done to few pixels.
fn shrink(picture: Picture, wanted: ThumbRequest) -> Result<Picture, PictureError> {
    let Picture {
        pixels,
        orientation,
    } = picture;
    let stored = Size {
        width: pixels.width(),
        height: pixels.height(),
    };
    // The box is meant for the picture as it is shown.
    let target = if is_turned(orientation) {
        wanted.fit(stored.turned()).turned()
    } else {
        wanted.fit(stored)
    };
    if target == stored {
        return Ok(Picture {
            pixels,
            orientation,
        });
    }
    let mut small = DynamicImage::new(target.width, target.height, pixels.color());
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(
        fast_image_resize::FilterType::CatmullRom,
    ));
    Resizer::new()
        .resize(&pixels, &mut small, &options)
        .map_err(|_| PictureError::Encode)?;
    Ok(Picture {
        pixels: small,
        orientation,
    })
}

fn upright(picture: Picture) -> DynamicImage {
    let mut pixels = picture.pixels;
    pixels.apply_orientation(picture.orientation);
    pixels
}

fn is_turned(orientation: Orientation) -> bool {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => true,
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => false,
    }
}

fn encode(small: DynamicImage, accepts: Accepts) -> Result<(ThumbFormat, Vec<u8>), PictureError> {
    let (width, height) = (small.width(), small.height());
    if small.color().has_alpha() {
        let pixels = small.into_rgba8();
        if pixels
            .pixels()
            .any(|pixel| pixel.0.last() != Some(&u8::MAX))
        {
            let encoder = webp::Encoder::from_rgba(&pixels, width, height);
            return encode_webp(&encoder);
        }
        // An alpha channel that hides nothing, as most screenshots have.
        return encode_opaque(DynamicImage::ImageRgba8(pixels), accepts);
    }
    encode_opaque(small, accepts)
}

fn encode_opaque(
    small: DynamicImage,
    accepts: Accepts,
) -> Result<(ThumbFormat, Vec<u8>), PictureError> {
    let (width, height) = (small.width(), small.height());
    let pixels = small.into_rgb8();
    match accepts {
        Accepts::Webp => encode_webp(&webp::Encoder::from_rgb(&pixels, width, height)),
        Accepts::Any => {
            let mut bytes = Vec::new();
            JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
                .encode_image(&pixels)
                .map_err(|_| PictureError::Encode)?;
            Ok((ThumbFormat::Jpeg, bytes))
        }
    }
}

fn encode_webp(encoder: &webp::Encoder<'_>) -> Result<(ThumbFormat, Vec<u8>), PictureError> {
    let mut config = WebPConfig::new().map_err(|()| PictureError::Encode)?;
    config.quality = WEBP_QUALITY;
    config.method = WEBP_METHOD;
    let bytes = encoder
        .encode_advanced(&config)
        .map_err(|_| PictureError::Encode)?;
    Ok((ThumbFormat::Webp, bytes.to_vec()))
}

#[cfg(test)]
mod tests;
