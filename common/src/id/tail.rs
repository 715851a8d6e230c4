//! What stands behind the stem of a name: digits and extension, or the rest of a slave's name.

use crate::limits;

/// Characters behind the stem of a normal or appender name.
const NORMAL_TAIL_LEN: usize = 7;
const NORMAL_TAIL_LEN_U8: u8 = 7;
const _: () = assert!(NORMAL_TAIL_LEN == limits::EXTENSION_LEN_MAX + 1);
/// Characters of base64 that say where in a trunk file a blob lies.
const TRUNK_PART_LEN: usize = 16;
/// Characters behind the stem of a trunk name: 16 of base64 and the normal tail.
const TRUNK_TAIL_LEN: usize = TRUNK_PART_LEN + NORMAL_TAIL_LEN;
/// Most characters that a name has room for, see [`limits::REMOTE_NAME_LEN_MAX`].
const TAIL_LEN_MAX: usize =
    limits::REMOTE_NAME_LEN_MAX - super::remote_name::DIRECTORIES_LEN - super::stem::STEM_TEXT_LEN;
/// Characters from the end in which a master's extension may begin.
const EXTENSION_WINDOW: usize = limits::EXTENSION_LEN_MAX + 1;

/// The characters behind the stem.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Tail {
    bytes: [u8; TAIL_LEN_MAX],
    len: u8,
}

impl Tail {
    /// Joins pieces.
    pub(super) fn new(pieces: &[&[u8]]) -> Result<Self, TailError> {
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

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The tail of a new name: random digits and the extension, 7 characters together.
    pub(super) fn generate(extension: Extension, random: u64) -> Self {
        let mut tail = Self {
            bytes: [0; TAIL_LEN_MAX],
            len: NORMAL_TAIL_LEN_U8,
        };
        let mut random = random;
        for digit in tail.bytes.iter_mut().take(NORMAL_TAIL_LEN) {
            *digit = b'0' + u8::try_from(random % 10).unwrap_or_default();
            random /= 10;
        }
        let extension = extension.as_bytes();
        if !extension.is_empty() {
            let dot = NORMAL_TAIL_LEN - 1 - extension.len();
            let end = tail.bytes.iter_mut().skip(dot);
            for (target, byte) in end.zip([b'.'].iter().chain(extension)) {
                *target = *byte;
            }
        }
        tail
    }

    /// The tail of a slave of a blob with this tail. Source: docs/wire.md, slave upload.
    pub(super) fn slave(
        &self,
        prefix: SlavePrefix,
        extension: Extension,
    ) -> Result<Self, TailError> {
        let extension = extension.as_bytes();
        if extension.is_empty() && prefix.as_bytes() == b"-m" {
            return Err(TailError::Reserved);
        }
        let tail = self.as_bytes();
        let window_start = tail.len().saturating_sub(EXTENSION_WINDOW);
        let dot = tail
            .iter()
            .skip(window_start)
            .position(|byte| *byte == b'.');
        let base = dot
            .and_then(|dot| tail.get(..window_start + dot))
            .unwrap_or(tail);
        let dot: &[u8] = if extension.is_empty() { b"" } else { b"." };
        Self::new(&[base, prefix.as_bytes(), dot, extension])
    }

    /// Whether a server generates such tails for blobs that are no slaves: 7 digits, or digits, a dot
    /// and an extension. The few slaves that look the same cannot be told from their masters by name.
    pub(super) fn is_normal(&self) -> bool {
        is_normal(self.as_bytes())
    }

    /// Whether this is the tail of a name inside a trunk file.
    pub(super) fn is_trunk(&self) -> bool {
        self.as_bytes().len() == TRUNK_TAIL_LEN
            && self.as_bytes().get(TRUNK_PART_LEN..).is_some_and(is_normal)
    }
}

fn is_normal(tail: &[u8]) -> bool {
    let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_extended = digits < limits::EXTENSION_LEN_MAX && tail.get(digits) == Some(&b'.');
    tail.len() == NORMAL_TAIL_LEN && (digits == NORMAL_TAIL_LEN || is_extended)
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

/// Checks that every byte may stand in a name.
pub(super) fn check_name_bytes(bytes: &[u8]) -> Result<(), TailError> {
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
