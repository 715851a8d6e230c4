//! Numbers and digests that must not be mixed up.

use std::fmt;
use std::str::FromStr;

macro_rules! number {
    ($(#[doc = $doc:literal])+ $Name:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Name(pub u64);

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// An account's number, from 1 on; never used twice.
    AccountId
}
number! {
    /// A file's number within its account, from 1 on, growing with time; never used twice. Numbers
    /// of picture shares come from the same sequence.
    FileNumber
}
number! {
    /// A folder's number within its account, from the same sequence as those of files. The root has
    /// none of its own: see [`FolderNumber::ROOT`].
    FolderNumber
}
number! {
    /// An application's number, from 1 on; never used twice.
    AppNumber
}
number! {
    /// A share's number, from 1 on, growing with time; never used twice.
    ShareNumber
}

impl FolderNumber {
    /// The folder that everything of an account is in.
    pub const ROOT: Self = Self(0);
}

/// A file or a folder of an account. Their numbers come from one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// A folder.
    Folder(FolderNumber),
    /// A file.
    File(FileNumber),
}

impl Entry {
    /// Its number.
    pub fn number(self) -> u64 {
        match self {
            Self::Folder(FolderNumber(number)) | Self::File(FileNumber(number)) => number,
        }
    }
}

/// Why a text is no digest or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{digits} hexadecimal digits are expected")]
pub struct HexError {
    /// Digits that such a text has.
    pub digits: usize,
}

/// The bytes of a text of `2 * N` hexadecimal digits in any case.
fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let wrong = HexError { digits: 2 * N };
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return Err(wrong);
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high).ok_or(wrong)? << 4 | digit(*low).ok_or(wrong)?;
    }
    Ok(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // One call for all digits: rows of lists print two of these each.
    let mut text = [0_u8; 64];
    for (target, digit) in text
        .iter_mut()
        .zip(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]))
    {
        *target = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
    }
    let text = text.get(..2 * bytes.len()).unwrap_or(&text);
    f.write_str(std::str::from_utf8(text).unwrap_or_default())
}

macro_rules! digest {
    ($(#[doc = $doc:literal])+ $Name:ident, $len:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Name(pub [u8; $len]);

        impl $Name {
            /// Bytes it has.
            pub const LEN: usize = $len;
        }

        /// Lower-case hexadecimal digits.
        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        /// Hexadecimal digits in any case.
        impl FromStr for $Name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                from_hex(text).map(Self)
            }
        }
    };
}

macro_rules! printed {
    ($($Name:ident)+) => {
        $(impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($Name))
            }
        })+
    };
}

digest! {
    /// BLAKE3 of all bytes: what content is identified by.
    ContentHash, 32
}
digest! {
    /// MD5 of all bytes: a way to look content up, never its identity.
    Md5, 16
}
digest! {
    /// SHA-1 of all bytes: a way to look content up, never its identity.
    Sha1, 20
}
digest! {
    /// An upload session: 128 random bits.
    UploadId, 16
}
digest! {
    /// BLAKE3 of a key that lets its holder send the bytes of one upload.
    UploadKeyHash, 32
}
digest! {
    /// 256 random bits that the server keeps for itself, to derive what nobody else shall compute.
    ServerKey, 32
}
digest! {
    /// What stands in a picture share's link: 128 random bits.
    PictureLink, 16
}
digest! {
    /// BLAKE3 of a token. A thief of the catalog cannot log in with it.
    TokenHash, 32
}
digest! {
    /// BLAKE3 of what is remembered for a while.
    NoteHash, 32
}
digest! {
    /// A session's secret: 128 random bits. Its text is never logged.
    Token, 16
}
printed!(ContentHash Md5 NoteHash PictureLink Sha1 TokenHash UploadId UploadKeyHash);

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(…)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// What the catalog knows the token by. Looking a hash up takes a time that says nothing about
    /// how much of a guessed token was right.
    pub fn hash(&self) -> TokenHash {
        TokenHash(*blake3::hash(&self.0).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_in_any_case_and_printed_in_lower_case() {
        let text = "E10ADC3949BA59abbe56e057f20f883e";
        let md5: Md5 = text.parse().unwrap();
        assert_eq!(md5.to_string(), text.to_lowercase());
        for bad in [
            "",
            "e1",
            "e10adc3949ba59abbe56e057f20f883",
            "g10adc3949ba59abbe56e057f20f883e",
        ] {
            assert_eq!(bad.parse::<Md5>(), Err(HexError { digits: 32 }), "{bad}");
        }
        let hash = ContentHash([0xa5; 32]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn tokens_are_never_printed() {
        let token = Token([0xab; 16]);
        assert!(!format!("{token:?}").contains("ab"));
        assert_ne!(token.hash().0[..16], token.0);
    }
}
