//! Group names.

use std::fmt;
use std::str::FromStr;

use crate::limits;

/// A group's name, such as `group1`.
///
/// * 1 to [`limits::GROUP_NAME_LEN_MAX`] bytes
/// * ASCII letters and digits only
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName {
    /// Padded with NUL, which sorts shorter names first.
    bytes: [u8; limits::GROUP_NAME_LEN_MAX],
}

/// Why a text is not a group name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupNameError {
    /// No byte at all.
    #[error("a group name is empty")]
    Empty,
    /// More than [`limits::GROUP_NAME_LEN_MAX`] bytes.
    #[error(
        "a group name of {len} bytes is longer than {}",
        limits::GROUP_NAME_LEN_MAX
    )]
    TooLong {
        /// Bytes it has.
        len: usize,
    },
    /// A byte that is neither letter nor digit.
    #[error("byte {0:#04x} in a group name: letters and digits only")]
    Byte(u8),
}

impl GroupName {
    /// Parses the bytes before the padding of a name field.
    pub fn from_bytes(text: &[u8]) -> Result<Self, GroupNameError> {
        if text.is_empty() {
            return Err(GroupNameError::Empty);
        }
        if let Some(byte) = text.iter().find(|byte| !byte.is_ascii_alphanumeric()) {
            return Err(GroupNameError::Byte(*byte));
        }
        let mut bytes = [0; limits::GROUP_NAME_LEN_MAX];
        match bytes.get_mut(..text.len()) {
            Some(head) => head.copy_from_slice(text),
            None => return Err(GroupNameError::TooLong { len: text.len() }),
        }
        Ok(Self { bytes })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let text = self
            .bytes
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// The name as the 16-byte field that requests carry.
    pub fn as_field(&self) -> &[u8; limits::GROUP_NAME_LEN_MAX] {
        &self.bytes
    }
}

impl FromStr for GroupName {
    type Err = GroupNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupName({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_print_back_and_bad_ones_say_why() {
        for good in ["g", "group1", "ABCDEFGHIJKLMNOP"] {
            assert_eq!(good.parse::<GroupName>().unwrap().to_string(), good);
        }
        assert_eq!("".parse::<GroupName>(), Err(GroupNameError::Empty));
        assert_eq!(
            "ABCDEFGHIJKLMNOPQ".parse::<GroupName>(),
            Err(GroupNameError::TooLong { len: 17 })
        );
        assert_eq!("a/b".parse::<GroupName>(), Err(GroupNameError::Byte(b'/')));
        assert_eq!("a\0b".parse::<GroupName>(), Err(GroupNameError::Byte(0)));
    }
}
