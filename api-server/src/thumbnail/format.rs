//! What the bytes of a picture say before they are decoded: format, hidden sizes, and what decoding
//! will cost.
//!
//! The decoders check what they announce, but not all that they allocate. What they leave out is
//! found here by looking for marks in the raw bytes, wherever they stand: a search does not follow a
//! hostile file's own idea of its structure.

use super::request::Size;

/// Formats that are decoded: what browsers show, and no more, for every decoder is attack surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    Gif,
    Webp,
    Bmp,
}

/// Bytes that [`Format::of`] needs to see.
pub(super) const MAGIC_LEN: usize = 12;

impl Format {
    /// By the first bytes; a name's extension says nothing about its content.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::Webp),
            [b'B', b'M', ..] => Some(Self::Bmp),
            _ => None,
        }
    }

    /// Bytes that the decoder holds at once for a picture whose decoded form has `decoded_len`
    /// bytes, input included. Read off the decoders; rather too much than too little.
    pub(super) fn memory(self, input: &[u8], pixels: u64, decoded_len: u64) -> u64 {
        let input_len = input.len() as u64;
        let inside = match self {
            // Its decoder reads row by row.
            Self::Png | Self::Bmp => 0,
            // A frame of the canvas' size beside the canvas.
            Self::Gif => 4 * pixels,
            // The decoder works on a copy of the input. Coefficients of all components, two bytes
            // each, are kept where a picture comes in several scans.
            Self::Jpeg if jpeg_scans(input) == 1 => input_len,
            Self::Jpeg => input_len.saturating_add(8 * pixels),
            Self::Webp => input_len.saturating_add(webp_bytes_per_pixel(input) * pixels),
        };
        input_len.saturating_add(decoded_len).saturating_add(inside)
    }

    /// How often the decoder goes over all pixels.
    pub(super) fn passes(self, input: &[u8]) -> u64 {
        match self {
            Self::Jpeg => jpeg_scans(input),
            Self::Png | Self::Gif | Self::Webp | Self::Bmp => 1,
        }
    }

    /// The largest picture inside the file, where that need not be the one that its header tells.
    pub(super) fn largest_inner(self, input: &[u8]) -> Option<Size> {
        match self {
            Self::Webp => largest_webp_frame(input),
            Self::Jpeg | Self::Png | Self::Gif | Self::Bmp => None,
        }
    }
}

/// Start-of-scan markers behind the header segments; progressive pictures count as several whatever
/// they have.
///
/// A camera's preview lies inside a segment and so does not count. Behind the first scan 0xff is
/// always followed by a marker.
fn jpeg_scans(input: &[u8]) -> u64 {
    const SOF_PROGRESSIVE: u8 = 0xc2;
    const SOS: u8 = 0xda;
    let mut rest = input.get(2..).unwrap_or_default();
    let mut progressive = false;
    loop {
        match rest {
            [0xff, SOS, scans @ ..] => {
                let more = scans
                    .windows(2)
                    .filter(|pair| matches!(pair, [0xff, SOS]))
                    .count() as u64;
                return if progressive {
                    more.max(1) + 1
                } else {
                    more + 1
                };
            }
            [0xff, 0x01 | 0xd0..=0xd9, after @ ..] => rest = after,
            [0xff, marker @ 0x02..=0xfe, high, low, ..] => {
                progressive |= *marker == SOF_PROGRESSIVE;
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(2 + len.max(2)..).unwrap_or_default();
            }
            // Fill bytes and garbage: decoders look for the next marker, too.
            [_, after @ ..] => rest = after,
            // No scan: nothing will be decoded.
            [] => return 1,
        }
    }
}

/// Planes, alpha, canvas and frame, by what the first chunk announces. Source: RFC 9649 §2.
fn webp_bytes_per_pixel(input: &[u8]) -> u64 {
    const ANIMATION: u8 = 0x02;
    const ALPHA: u8 = 0x10;
    let chunk = input.get(12..16).unwrap_or_default();
    let flags = input.get(20).copied().unwrap_or(u8::MAX);
    match chunk {
        b"VP8 " => 2,
        b"VP8L" => 5,
        _ if flags & ANIMATION != 0 => 18,
        _ if flags & ALPHA != 0 => 10,
        _ => 5,
    }
}

/// The largest frame of a WebP file. Source: RFC 6386 §9.1, RFC 9649 §3.4.
///
/// The decoder allocates and decodes a frame before it sees that it does not fit the canvas.
fn largest_webp_frame(input: &[u8]) -> Option<Size> {
    let mut largest: Option<Size> = None;
    let mut rest = input;
    while let [_, after @ ..] = rest {
        if let Some(size) = webp_frame(rest) {
            let is_larger = largest.is_none_or(|other| other.pixels() < size.pixels());
            largest = if is_larger { Some(size) } else { largest };
        }
        rest = after;
    }
    largest
}

/// The size of the frame whose chunk begins here, if one does.
fn webp_frame(bytes: &[u8]) -> Option<Size> {
    match bytes {
        [
            b'V',
            b'P',
            b'8',
            b' ',
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            0x9d,
            0x01,
            0x2a,
            w0,
            w1,
            h0,
            h1,
            ..,
        ] => Some(Size {
            width: u32::from(u16::from_be_bytes([w1 & 0x3f, *w0])),
            height: u32::from(u16::from_be_bytes([h1 & 0x3f, *h0])),
        }),
        [b'V', b'P', b'8', b'L', _, _, _, _, 0x2f, b0, b1, b2, b3, ..] => {
            let bits = u32::from_be_bytes([*b3, *b2, *b1, *b0]);
            Some(Size {
                width: (bits & 0x3fff) + 1,
                height: ((bits >> 14) & 0x3fff) + 1,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thumbnail::fixture;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        for (format, bytes) in fixture::every_format(8, 6) {
            assert_eq!(Format::of(&bytes), Some(format));
            assert_eq!(Format::of(&bytes[..MAGIC_LEN]), Some(format));
        }
        for foreign in [
            b"".as_slice(),
            b"hello, world, hello",
            b"<svg xmlns=",
            b"II*\0",
            b"%PDF-1.7",
            b"\0\0\0 ftypavif",
        ] {
            assert_eq!(Format::of(foreign), None);
        }
    }

    #[test]
    fn scans_behind_the_header_are_counted_and_previews_are_not() {
        let preview = [0xff, 0xe1, 0, 6, 0xff, 0xda, 0xff, 0xc2];
        let head = |sof| [&[0xff, 0xd8], &preview[..], &[0xff, sof, 0, 4, 1, 1]].concat();
        let scan = [0xff, 0xda, 0, 2, 1, 2, 3];
        let with = |sof, count| [head(sof), scan.repeat(count)].concat();
        assert_eq!(jpeg_scans(&with(0xc0, 1)), 1);
        assert_eq!(jpeg_scans(&with(0xc0, 3)), 3);
        assert_eq!(jpeg_scans(&with(0xc2, 1)), 2);
        assert_eq!(jpeg_scans(&with(0xc2, 9)), 9);
        assert_eq!(jpeg_scans(&head(0xc2)), 1);
        assert_eq!(jpeg_scans(&[0xff; 9]), 1);
    }

    #[test]
    fn the_size_of_a_webp_frame_is_found() {
        for lossless in [false, true] {
            let bytes = fixture::webp(37, 19, lossless);
            let size = largest_webp_frame(&bytes).unwrap();
            assert_eq!((size.width, size.height), (37, 19), "lossless: {lossless}");
        }
    }
}
