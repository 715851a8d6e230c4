//! Remote names: the file id without its group, `M00/02/44/<27 characters><tail>`.
//!
//! Every name that a server ever made prints back to the same bytes. The 27 characters are base64 of
//! a [`Stem`]; the tail is digits and extension of a normal name, or the rest of a slave's name.
//! Source: docs/wire.md, file ids.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{NodeNumber, Source, VolumePath};
use crate::digest::Crc32;
use crate::limits;
use crate::text::Text;

/// Characters of the encoded stem.
const STEM_TEXT_LEN: usize = 27;
/// Bytes of the stem.
const STEM_LEN: usize = 20;
/// Characters behind the stem of a normal or appender name.
const NORMAL_TAIL_LEN: usize = 7;
/// Characters behind the stem of a trunk name: 16 of base64 and the normal tail.
const TRUNK_TAIL_LEN: usize = 16 + NORMAL_TAIL_LEN;
/// Characters of `M00/00/00/`.
const DIRECTORIES_LEN: usize = 10;
const TAIL_LEN_MAX: usize = limits::REMOTE_NAME_LEN_MAX - DIRECTORIES_LEN - STEM_TEXT_LEN;
/// Characters from the end in which a master's extension may begin.
const EXTENSION_WINDOW: usize = limits::EXTENSION_LEN_MAX + 1;

const SIZE_MASKED: u64 = 1 << 63;
const TRUNK_MARK: u64 = 1 << 59;
const APPENDER_MARK: u64 = 1 << 58;
/// The 23 random bits above the 32-bit size.
const RANDOM_MASK: u64 = ((1 << 23) - 1) << 32;

/// Why bytes are not a remote name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Shorter or longer than any name.
    #[error("a remote name of {len} bytes")]
    Length {
        /// Bytes it has.
        len: usize,
    },
    /// The `Mxx/` in front is malformed.
    #[error("a remote name must begin with M and two hexadecimal digits")]
    VolumePath,
    /// The two directories are not `HH/HH/` with upper-case digits.
    #[error("the directories of a remote name must be two upper-case hexadecimal digits each")]
    Directory,
    /// A byte outside `[A-Za-z0-9._-]` behind the directories.
    #[error("byte {0:#04x} in a remote name")]
    Byte(u8),
    /// `.` or `..` behind the directories: meant for a file system, not for us.
    #[error("a remote name that ends in a directory")]
    Dots,
    /// Well formed, but no server of this kind made it: nothing can be stored under it.
    #[error("not a name that a storage node made")]
    Unknown,
}

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
    fn from_bytes(bytes: &[u8; STEM_LEN]) -> Self {
        let [
            s0,
            s1,
            s2,
            s3,
            t0,
            t1,
            t2,
            t3,
            z0,
            z1,
            z2,
            z3,
            z4,
            z5,
            z6,
            z7,
            c0,
            c1,
            c2,
            c3,
        ] = *bytes;
        Self {
            time: u32::from_be_bytes([t0, t1, t2, t3]),
            source: Source::from_bytes([s0, s1, s2, s3]),
            size_field: u64::from_be_bytes([z0, z1, z2, z3, z4, z5, z6, z7]),
            crc: Crc32(u32::from_be_bytes([c0, c1, c2, c3])),
        }
    }

    fn to_text(self) -> [u8; STEM_TEXT_LEN] {
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
        let mut text = [0; STEM_TEXT_LEN];
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
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

    fn is_trunk(&self) -> bool {
        self.size_field & SIZE_MASKED != 0 && self.size_field & TRUNK_MARK != 0
    }
}

/// What a name says about the blob behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlobKind {
    /// Size and checksum are those of the name, for ever.
    Normal,
    /// Can be appended to, modified and truncated.
    Appender,
    /// Named after a master; size and checksum are its own.
    Slave,
    /// Lies inside a trunk file of an original server. Recognised, never made.
    Trunk,
}

/// The characters behind the stem.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Tail {
    bytes: [u8; TAIL_LEN_MAX],
    len: u8,
}

impl Tail {
    fn new(pieces: &[&[u8]]) -> Result<Self, TailError> {
        let mut tail = Self {
            bytes: [0; TAIL_LEN_MAX],
            len: 0,
        };
        for piece in pieces {
            let start = usize::from(tail.len);
            let end = start + piece.len();
            match tail.bytes.get_mut(start..end) {
                Some(target) => target.copy_from_slice(piece),
                None => return Err(TailError::TooLong),
            }
            tail.len = u8::try_from(end).map_err(|_| TailError::TooLong)?;
        }
        Ok(tail)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Why an extension or a slave prefix is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TailError {
    /// Longer than its limit, or the name as a whole would be.
    #[error("too long")]
    TooLong,
    /// A prefix without a byte.
    #[error("a slave prefix is empty")]
    Empty,
    /// A byte outside `[A-Za-z0-9._-]`.
    #[error("byte {0:#04x}: letters, digits, '.', '_' and '-' only")]
    Byte(u8),
    /// The prefix `-m` without an extension, which the protocol reserves for metadata.
    #[error("the name ending -m is reserved")]
    Reserved,
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn check_name_bytes(bytes: &[u8]) -> Result<(), TailError> {
    match bytes.iter().find(|byte| !is_name_byte(**byte)) {
        Some(byte) => Err(TailError::Byte(*byte)),
        None => Ok(()),
    }
}

/// A file extension without its dot; may be empty.
///
/// * 0 to [`limits::EXTENSION_LEN_MAX`] bytes of `[A-Za-z0-9._-]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    bytes: [u8; limits::EXTENSION_LEN_MAX],
}

impl Extension {
    /// Parses the bytes before the padding of an extension field.
    pub fn from_bytes(text: &[u8]) -> Result<Self, TailError> {
        check_name_bytes(text)?;
        let mut bytes = [0; limits::EXTENSION_LEN_MAX];
        bytes
            .get_mut(..text.len())
            .ok_or(TailError::TooLong)?
            .copy_from_slice(text);
        Ok(Self { bytes })
    }

    /// The extension of a local file name by the rule of the C client: what is behind the last dot,
    /// or the last two, if it fits and has only allowed characters; else none.
    pub fn of_file_name(name: &str) -> Self {
        let last = name.rfind('.').filter(|dot| *dot > 0);
        let Some(last) = last else {
            return Self::default();
        };
        let two = name
            .get(..last)
            .and_then(|head| head.rfind('.'))
            .filter(|dot| *dot > 0);
        [two, Some(last)]
            .into_iter()
            .flatten()
            .filter_map(|dot| name.get(dot + 1..))
            .filter(|text| !text.is_empty())
            .find_map(|text| Self::from_bytes(text.as_bytes()).ok())
            .unwrap_or_default()
    }

    /// The extension's bytes, without padding.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
    }

    /// The extension as the 6-byte field that requests carry.
    pub fn as_field(&self) -> &[u8; limits::EXTENSION_LEN_MAX] {
        &self.bytes
    }
}

/// What stands between a master's name and a slave's extension, such as `_80x80`.
///
/// * 1 to [`limits::SLAVE_PREFIX_LEN_MAX`] bytes of `[A-Za-z0-9._-]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlavePrefix {
    bytes: [u8; limits::SLAVE_PREFIX_LEN_MAX],
}

impl SlavePrefix {
    /// Parses the bytes before the padding of a prefix field.
    pub fn from_bytes(text: &[u8]) -> Result<Self, TailError> {
        if text.is_empty() {
            return Err(TailError::Empty);
        }
        check_name_bytes(text)?;
        let mut bytes = [0; limits::SLAVE_PREFIX_LEN_MAX];
        bytes
            .get_mut(..text.len())
            .ok_or(TailError::TooLong)?
            .copy_from_slice(text);
        Ok(Self { bytes })
    }

    /// The prefix's bytes, without padding.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
    }

    /// The prefix as the 16-byte field that requests carry.
    pub fn as_field(&self) -> &[u8; limits::SLAVE_PREFIX_LEN_MAX] {
        &self.bytes
    }
}

/// What a new name is made of.
#[derive(Clone, Copy, Debug)]
pub struct NewBlob {
    /// The slot that the blob goes to.
    pub volume_path: VolumePath,
    /// The node that accepts it.
    pub source: NodeNumber,
    /// Unix seconds.
    pub time: u32,
    /// `None` for an appender, whose size may change.
    pub size: Option<u64>,
    /// Checksum of the bytes.
    pub crc: Crc32,
    /// Extension to keep in the name.
    pub extension: Extension,
    /// 64 random bits, so that names cannot be enumerated and do not collide.
    pub random: u64,
}

/// A blob's name inside its group.
///
/// * at most [`limits::REMOTE_NAME_LEN_MAX`] bytes as text
/// * `[A-Za-z0-9._-]` behind the directories, so it can steer no file-system path
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteName {
    volume_path: VolumePath,
    directories: [u8; 2],
    stem: Stem,
    tail: Tail,
}

impl RemoteName {
    /// Parses the text form. Names from before V1.12, which lack `M00/`, mean volume path 0.
    ///
    /// [`NameError::Unknown`] is the only error that means "no such file" rather than "bad name".
    pub fn parse(text: &[u8]) -> Result<Self, NameError> {
        let length = NameError::Length { len: text.len() };
        if !(DIRECTORIES_LEN + 1..=limits::REMOTE_NAME_LEN_MAX).contains(&text.len()) {
            return Err(length);
        }
        let (volume_path, rest) = match text {
            [b'M', high, low, b'/', rest @ ..] => (
                VolumePath::from_hex([*high, *low]).ok_or(NameError::VolumePath)?,
                rest,
            ),
            [b'M', ..] => return Err(NameError::VolumePath),
            _ => (VolumePath(0), text),
        };
        let [h1, h0, b'/', l1, l0, b'/', name @ ..] = rest else {
            return Err(NameError::Directory);
        };
        let directories = [directory([*h1, *h0])?, directory([*l1, *l0])?];
        if let Err(TailError::Byte(byte)) = check_name_bytes(name) {
            return Err(NameError::Byte(byte));
        }
        match name {
            b"" => return Err(length),
            b"." | b".." => return Err(NameError::Dots),
            _ => {}
        }
        let (stem, tail) = name
            .split_at_checked(STEM_TEXT_LEN)
            .ok_or(NameError::Unknown)?;
        // The decoder wants room for whole quanta, one byte more than there is.
        let mut bytes = [0; STEM_LEN + 4];
        match URL_SAFE_NO_PAD.decode_slice(stem, &mut bytes) {
            Ok(STEM_LEN) => {}
            // Also letters whose spare bits are set: they would print back differently.
            _ => return Err(NameError::Unknown),
        }
        let stem = bytes.first_chunk::<STEM_LEN>().ok_or(NameError::Unknown)?;
        let tail = Tail::new(&[tail]).map_err(|_| length)?;
        Ok(Self {
            volume_path,
            directories,
            stem: Stem::from_bytes(stem),
            tail,
        })
    }

    /// Makes a new normal or appender name.
    pub fn generate(new: &NewBlob) -> Self {
        let high_bits = (new.random << 9) & RANDOM_MASK;
        let size_field = match new.size {
            None => SIZE_MASKED | APPENDER_MARK | high_bits,
            Some(size) if size <= u64::from(u32::MAX) => SIZE_MASKED | high_bits | size,
            Some(size) => size,
        };
        let stem = Stem {
            time: new.time,
            source: Source::Node(new.source),
            size_field,
            crc: new.crc,
        };
        let [.., high, low] = Crc32::of(&stem.to_text()).0.to_be_bytes();
        let extension = new.extension.as_bytes();
        let mut digits = [0; NORMAL_TAIL_LEN];
        let mut random = new.random >> 32;
        for digit in &mut digits {
            *digit = b'0' + u8::try_from(random % 10).unwrap_or_default();
            random /= 10;
        }
        let dot: &[u8] = if extension.is_empty() { b"" } else { b"." };
        let digits_len = NORMAL_TAIL_LEN - dot.len() - extension.len();
        let tail = Tail::new(&[digits.get(..digits_len).unwrap_or_default(), dot, extension])
            .unwrap_or(Tail {
                bytes: [0; TAIL_LEN_MAX],
                len: 0,
            });
        Self {
            volume_path: new.volume_path,
            directories: [high, low],
            stem,
            tail,
        }
    }

    /// The name of a slave of this blob. Source: docs/wire.md, upload slave.
    pub fn slave(&self, prefix: SlavePrefix, extension: Extension) -> Result<Self, TailError> {
        let extension = extension.as_bytes();
        if extension.is_empty() && prefix.as_bytes() == b"-m" {
            return Err(TailError::Reserved);
        }
        let tail = self.tail.as_bytes();
        let window_start = tail.len().saturating_sub(EXTENSION_WINDOW);
        let dot = tail
            .iter()
            .skip(window_start)
            .position(|byte| *byte == b'.');
        let base = dot
            .and_then(|dot| tail.get(..window_start + dot))
            .unwrap_or(tail);
        let dot: &[u8] = if extension.is_empty() { b"" } else { b"." };
        let tail = Tail::new(&[base, prefix.as_bytes(), dot, extension])?;
        Ok(Self { tail, ..*self })
    }

    /// The name that an appender gets when it becomes a normal blob: same directories and tail.
    pub fn regenerated(
        &self,
        source: NodeNumber,
        time: u32,
        size: u64,
        crc: Crc32,
        random: u64,
    ) -> Self {
        let new = NewBlob {
            volume_path: self.volume_path,
            source,
            time,
            size: Some(size),
            crc,
            extension: Extension::default(),
            random,
        };
        Self {
            directories: self.directories,
            tail: self.tail,
            ..Self::generate(&new)
        }
    }

    /// The slot that holds the blob.
    pub fn volume_path(&self) -> VolumePath {
        self.volume_path
    }

    /// The 20 bytes that the name encodes.
    pub fn stem(&self) -> &Stem {
        &self.stem
    }

    /// Characters behind the last directory and the stem.
    pub fn tail(&self) -> &[u8] {
        self.tail.as_bytes()
    }

    /// The file name's extension: behind its last dot, if any.
    pub fn extension(&self) -> &str {
        let tail = std::str::from_utf8(self.tail.as_bytes()).unwrap_or_default();
        tail.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// What the name says about the blob, as clients decode it, but telling a slave of an appender
    /// from the appender itself.
    pub fn kind(&self) -> BlobKind {
        match self.tail.as_bytes().len() {
            NORMAL_TAIL_LEN if self.stem.is_appender() => BlobKind::Appender,
            TRUNK_TAIL_LEN if self.stem.is_trunk() => BlobKind::Trunk,
            NORMAL_TAIL_LEN if !self.stem.is_trunk() => BlobKind::Normal,
            _ => BlobKind::Slave,
        }
    }

    /// The binary form that records and the index use: time, source, size field, checksum,
    /// directories, tail. Sorts by time. The volume path is not part of it.
    pub fn to_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(STEM_LEN + 2 + self.tail.as_bytes().len());
        key.extend_from_slice(&self.stem.time.to_be_bytes());
        key.extend_from_slice(&self.stem.source.to_bytes());
        key.extend_from_slice(&self.stem.size_field.to_be_bytes());
        key.extend_from_slice(&self.stem.crc.0.to_be_bytes());
        key.extend_from_slice(&self.directories);
        key.extend_from_slice(self.tail.as_bytes());
        key
    }

    /// The name whose [`Self::to_key`] is `key`, or `None` if there is none.
    pub fn from_key(volume_path: VolumePath, key: &[u8]) -> Option<Self> {
        let (stem, rest) = key.split_first_chunk::<STEM_LEN>()?;
        let ([high, low], tail) = rest.split_first_chunk::<2>()?;
        let [t0, t1, t2, t3, s0, s1, s2, s3, others @ ..] = *stem;
        let [z0, z1, z2, z3, z4, z5, z6, z7, c0, c1, c2, c3] = others;
        let stem = Stem {
            time: u32::from_be_bytes([t0, t1, t2, t3]),
            source: Source::from_bytes([s0, s1, s2, s3]),
            size_field: u64::from_be_bytes([z0, z1, z2, z3, z4, z5, z6, z7]),
            crc: Crc32(u32::from_be_bytes([c0, c1, c2, c3])),
        };
        check_name_bytes(tail).ok()?;
        let tail = Tail::new(&[tail]).ok()?;
        Some(Self {
            volume_path,
            directories: [*high, *low],
            stem,
            tail,
        })
    }

    /// The text form, without touching the heap.
    pub fn text(&self) -> Text<{ limits::REMOTE_NAME_LEN_MAX }> {
        let [v1, v0] = hex(self.volume_path.0);
        let [h, l] = self.directories;
        let ([h1, h0], [l1, l0]) = (hex(h), hex(l));
        let directories = [b'M', v1, v0, b'/', h1, h0, b'/', l1, l0, b'/'];
        let pieces = [
            directories.as_slice(),
            &self.stem.to_text(),
            self.tail.as_bytes(),
        ];
        // Cannot fail: tail lengths and bytes were checked when the name was made.
        Text::from_pieces(&pieces).unwrap_or_default()
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}

fn directory(digits: [u8; 2]) -> Result<u8, NameError> {
    if digits.iter().any(u8::is_ascii_lowercase) {
        return Err(NameError::Directory);
    }
    VolumePath::from_hex(digits)
        .map(|value| value.0)
        .ok_or(NameError::Directory)
}

/// The two upper-case hexadecimal digits of a byte.
fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0x0f].map(|digit| match digit {
        0..=9 => b'0' + digit,
        _ => b'A' + (digit - 10),
    })
}

impl fmt::Display for RemoteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for RemoteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteName({self})")
    }
}
