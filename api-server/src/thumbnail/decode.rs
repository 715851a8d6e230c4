//! From bytes to pixels, within limits.

use std::time::Instant;

use common::env::clock;
use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, Limits};

use super::error::PictureError;
use super::format::Format;
use super::reader::DeadlineReader;
use super::request::Size;
use super::settings::PictureLimits;

/// A decoded picture as it lies in the file.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) pixels: DynamicImage,
    /// How it is to be turned before it is shown.
    pub(super) orientation: Orientation,
}

/// Decodes the first frame of `input`.
///
/// Pixels, memory and passes are checked against `limits` before the decoder allocates for them.
/// A decoder that reads as it goes also ends soon after `deadline`.
pub(super) fn decode(
    input: &[u8],
    limits: &PictureLimits,
    deadline: Instant,
) -> Result<Picture, PictureError> {
    let format = Format::of(input).ok_or(PictureError::Unknown)?;
    if let Some(inner) = format.largest_inner(input) {
        check_pixels(inner, limits)?;
    }
    let picture = Input {
        bytes: input,
        format,
        limits,
        deadline,
    };
    let reader = DeadlineReader::new(input, deadline);
    let decoded = match format {
        Format::Jpeg => JpegDecoder::new(reader).map(|decoder| picture.decode(decoder)),
        // Its limit must be known before it reads the chunks in front of the pixels.
        Format::Png => PngDecoder::with_limits(reader, limits.as_image_limits())
            .map(|decoder| picture.decode(decoder)),
        Format::Gif => GifDecoder::new(reader).map(|decoder| picture.decode(decoder)),
        Format::Webp => WebPDecoder::new(reader).map(|decoder| picture.decode(decoder)),
        Format::Bmp => BmpDecoder::new(reader).map(|decoder| picture.decode(decoder)),
    };
    match decoded {
        Ok(outcome) => outcome,
        Err(error) => Err(picture.explain(&error)),
    }
}

/// A picture's bytes and what decoding them may cost.
#[derive(Clone, Copy)]
struct Input<'a> {
    bytes: &'a [u8],
    format: Format,
    limits: &'a PictureLimits,
    deadline: Instant,
}

impl Input<'_> {
    fn decode(&self, mut decoder: impl ImageDecoder) -> Result<Picture, PictureError> {
        let (width, height) = decoder.dimensions();
        let size = Size { width, height };
        check_pixels(size, self.limits)?;
        self.check_work(size)?;
        self.check_memory(size, decoder.total_bytes())?;
        decoder
            .set_limits(self.limits.as_image_limits())
            .map_err(|error| self.explain(&error))?;
        // Metadata that cannot be read is no reason against a thumbnail.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let pixels = DynamicImage::from_decoder(decoder).map_err(|error| self.explain(&error))?;
        Ok(Picture {
            pixels,
            orientation,
        })
    }

    fn check_memory(&self, size: Size, decoded_len: u64) -> Result<(), PictureError> {
        let inner = self.format.largest_inner(self.bytes);
        let pixels = inner.map_or(0, Size::pixels).max(size.pixels());
        let needed = self.format.memory(self.bytes, pixels, decoded_len);
        let max = self.limits.memory_max;
        if max < needed {
            return Err(PictureError::TooMuchMemory { needed, max });
        }
        Ok(())
    }

    /// A picture of many scans is as much work as a picture of so many more pixels; the decoder of
    /// this format looks at no clock.
    fn check_work(&self, size: Size) -> Result<(), PictureError> {
        let pixels = self.format.passes(self.bytes).saturating_mul(size.pixels());
        let max = self.limits.pixels_max.saturating_mul(PASSES_MAX);
        if max < pixels {
            return Err(PictureError::TooManyPixels { pixels, max });
        }
        Ok(())
    }

    fn explain(&self, error: &ImageError) -> PictureError {
        match error {
            _ if self.deadline <= clock::monotonic() => {
                PictureError::TooSlow(self.limits.decode_time)
            }
            ImageError::Limits(_) => PictureError::TooMuchMemory {
                needed: self.limits.memory_max,
                max: self.limits.memory_max,
            },
            ImageError::Decoding(_)
            | ImageError::Encoding(_)
            | ImageError::Parameter(_)
            | ImageError::Unsupported(_)
            | ImageError::IoError(_) => PictureError::Broken,
        }
    }
}

/// Scans that a picture of the largest allowed size may have. Encoders make about ten.
const PASSES_MAX: u64 = 16;

fn check_pixels(size: Size, limits: &PictureLimits) -> Result<(), PictureError> {
    let (pixels, max) = (size.pixels(), limits.pixels_max);
    if max < pixels {
        return Err(PictureError::TooManyPixels { pixels, max });
    }
    Ok(())
}

impl PictureLimits {
    fn as_image_limits(&self) -> Limits {
        let mut limits = Limits::no_limits();
        // One side at its longest: the other is one pixel.
        let side_max = u32::try_from(self.pixels_max).unwrap_or(u32::MAX);
        limits.max_image_width = Some(side_max);
        limits.max_image_height = Some(side_max);
        limits.max_alloc = Some(self.memory_max);
        limits
    }
}

#[cfg(test)]
mod tests;
