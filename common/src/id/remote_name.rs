//! Remote names: the file id without its group, `M00/02/44/<27 characters><tail>`.
//!
//! Every name that a server ever made prints back to the same bytes. The 27 characters are base64 of
//! a [`Stem`]; the tail is digits and extension of a normal name, or the rest of a slave's name.
//! Source: docs/wire.md, file ids.

use std::fmt;

use super::stem::{STEM_LEN, STEM_TEXT_LEN, Stem, random_left};
use super::tail::{Extension, SlavePrefix, Tail, TailError, check_name_bytes};
use super::{NodeNumber, Source, VolumePath};
use crate::digest::Crc32;
use crate::limits;
use crate::text::Text;

/// Characters of `M00/00/00/`.
pub(super) const DIRECTORIES_LEN: usize = 10;

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
        let stem = Stem::from_text(stem).ok_or(NameError::Unknown)?;
        let tail = Tail::new(&[tail]).map_err(|_| length)?;
        Ok(Self {
            volume_path,
            directories,
            stem,
            tail,
        })
    }

    /// Makes a new normal or appender name.
    pub fn generate(new: &NewBlob) -> Self {
        let source = Source::Node(new.source);
        let stem = Stem::generate(source, new.time, new.size, new.crc, new.random);
        // Any scheme will do, clients never compute directories; this one spreads evenly.
        let [.., high, low] = Crc32::of(&stem.to_text()).0.to_be_bytes();
        let tail = Tail::generate(new.extension, random_left(new.random));
        Self {
            volume_path: new.volume_path,
            directories: [high, low],
            stem,
            tail,
        }
    }

    /// The name of a slave of this blob. Source: docs/wire.md, slave upload.
    pub fn slave(&self, prefix: SlavePrefix, extension: Extension) -> Result<Self, TailError> {
        let tail = self.tail.slave(prefix, extension)?;
        Ok(Self { tail, ..*self })
    }

    /// The name that an appender gets when it becomes a normal blob: same directories and tail.
    #[must_use]
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
    /// from the appender itself, and short slave names from their masters where the tail shows it.
    pub fn kind(&self) -> BlobKind {
        if self.tail.is_normal() && self.stem.is_appender() {
            BlobKind::Appender
        } else if self.tail.is_normal() && !self.stem.is_trunk() {
            BlobKind::Normal
        } else if self.tail.is_trunk() && self.stem.is_trunk() {
            BlobKind::Trunk
        } else {
            BlobKind::Slave
        }
    }

    /// The binary form that records and the index use: time, source, size field, checksum,
    /// directories, tail. Sorts by time. The volume path is not part of it.
    pub fn to_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(STEM_LEN + 2 + self.tail.as_bytes().len());
        key.extend_from_slice(&self.stem.to_key());
        key.extend_from_slice(&self.directories);
        key.extend_from_slice(self.tail.as_bytes());
        key
    }

    /// The name whose [`Self::to_key`] is `key`, or `None` if there is none.
    pub fn from_key(volume_path: VolumePath, key: &[u8]) -> Option<Self> {
        let (stem, rest) = key.split_first_chunk::<STEM_LEN>()?;
        let ([high, low], tail) = rest.split_first_chunk::<2>()?;
        check_name_bytes(tail).ok()?;
        let tail = Tail::new(&[tail]).ok()?;
        Some(Self {
            volume_path,
            directories: [*high, *low],
            stem: Stem::from_key(*stem),
            tail,
        })
    }

    /// Whether the name with this [`Self::to_key`] is that of a slave, which can be used again after
    /// its blob was deleted.
    pub fn is_slave_key(key: &[u8]) -> bool {
        Self::from_key(VolumePath(0), key).is_some_and(|name| name.kind() == BlobKind::Slave)
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

#[cfg(test)]
mod tests;
