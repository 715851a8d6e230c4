//! The 20 bytes at the heart of a name, and their 27 characters of base64.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Source;
use crate::codec::Reader;
use crate::digest::Crc32;

/// Characters of the encoded stem.
pub(super) const STEM_TEXT_LEN: usize = 27;
/// Bytes of the stem.
pub(super) const STEM_LEN: usize = 20;

const SIZE_MASKED: u64 = 1 << 63;
const TRUNK_MARK: u64 = 1 << 59;
const APPENDER_MARK: u64 = 1 << 58;
/// The random bits above the 32-bit size.
const RANDOM_BITS: u32 = 23;

/// The 20 bytes that a name encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stem {
    /// Unix seconds of the upload. First, so that names sort by time.
    pub time: u32,
    /// The node that accepted the upload.
    pub source: Source,
    /// Size with marks and random bits, as it stands in the name.
    pub size_field: u64,
    /// Checksum of the uploaded bytes.
    pub crc: Crc32,
}

impl Stem {
    /// The stem of a new normal name, or with no size of an appender. The upper bits of `random` go
    /// into it, as far as the size leaves room; [`random_left`] is the rest.
    pub(super) fn generate(
        source: Source,
        time: u32,
        size: Option<u64>,
        crc: Crc32,
        random: u64,
    ) -> Self {
        let random = (random >> (64 - RANDOM_BITS)) << 32;
        let size_field = match size.map(u32::try_from) {
            None => SIZE_MASKED | APPENDER_MARK | random,
            Some(Ok(size)) => SIZE_MASKED | random | u64::from(size),
            Some(Err(_)) => size.unwrap_or_default(),
        };
        Self {
            time,
            source,
            size_field,
            crc,
        }
    }

    /// Decodes the bytes in the order of the name: source first.
    fn from_bytes(bytes: [u8; STEM_LEN]) -> Self {
        let mut reader = Reader::new(&bytes);
        let mut four = || reader.array::<4>().unwrap_or_default();
        let (source, time, size_high, size_low, crc) = (four(), four(), four(), four(), four());
        Self {
            time: u32::from_be_bytes(time),
            source: Source::from_bytes(source),
            size_field: u64::from(u32::from_be_bytes(size_high)) << 32
                | u64::from(u32::from_be_bytes(size_low)),
            crc: Crc32(u32::from_be_bytes(crc)),
        }
    }

    /// The bytes in the order of the name: source first.
    fn to_bytes(self) -> [u8; STEM_LEN] {
        let mut bytes = [0; STEM_LEN];
        let fields = self
            .source
            .to_bytes()
            .into_iter()
            .chain(self.time.to_be_bytes())
            .chain(self.size_field.to_be_bytes())
            .chain(self.crc.0.to_be_bytes());
        for (target, byte) in bytes.iter_mut().zip(fields) {
            *target = byte;
        }
        bytes
    }

    /// Swaps source and time, which turns the bytes of a name into those of a key and back.
    fn swap(bytes: [u8; STEM_LEN]) -> [u8; STEM_LEN] {
        let mut swapped = bytes;
        if let Some(head) = swapped.first_chunk_mut::<8>() {
            head.rotate_left(4);
        }
        swapped
    }

    /// Decodes the bytes in the order of a key: time first, so that keys sort by it.
    pub(super) fn from_key(bytes: [u8; STEM_LEN]) -> Self {
        Self::from_bytes(Self::swap(bytes))
    }

    /// The bytes in the order of a key: time first.
    pub(super) fn to_key(self) -> [u8; STEM_LEN] {
        Self::swap(self.to_bytes())
    }

    /// Decodes the characters of a name. `None` also for characters whose spare bits are set, which
    /// would print back differently.
    pub(super) fn from_text(text: &[u8]) -> Option<Self> {
        // The decoder wants room for whole quanta, one byte more than there is.
        let mut bytes = [0; STEM_LEN + 4];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(STEM_LEN) => bytes.first_chunk().copied().map(Self::from_bytes),
            _ => None,
        }
    }

    /// The characters of a name.
    pub(super) fn to_text(self) -> [u8; STEM_TEXT_LEN] {
        let mut text = [0; STEM_TEXT_LEN];
        let written = URL_SAFE_NO_PAD.encode_slice(self.to_bytes(), &mut text);
        debug_assert_eq!(written, Ok(STEM_TEXT_LEN));
        text
    }

    /// The size that the name tells; meaningless for appender and slave names.
    pub fn size(&self) -> u64 {
        if self.size_field & (SIZE_MASKED | TRUNK_MARK) == 0 {
            self.size_field
        } else {
            self.size_field & u64::from(u32::MAX)
        }
    }

    /// Whether bit 58 marks an appender.
    pub fn is_appender(&self) -> bool {
        self.size_field & SIZE_MASKED != 0 && self.size_field & APPENDER_MARK != 0
    }

    /// Whether bit 59 marks a blob inside a trunk file.
    pub(super) fn is_trunk(&self) -> bool {
        self.size_field & SIZE_MASKED != 0 && self.size_field & TRUNK_MARK != 0
    }
}

/// The bits of `random` that [`Stem::generate`] does not use.
pub(super) fn random_left(random: u64) -> u64 {
    random & (u64::MAX >> RANDOM_BITS)
}
