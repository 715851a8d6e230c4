//! Names and other short texts that users choose. Source: docs/api/image-host.md §2.2, §2.3, §4.1.

use std::fmt;
use std::str::FromStr;

/// Why a text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No character at all.
    #[error("the text is empty")]
    Empty,
    /// More characters than allowed.
    #[error("the text has {len} characters, {max} are allowed")]
    TooLong {
        /// Characters it has.
        len: usize,
        /// Characters it may have.
        max: usize,
    },
    /// U+0000 to U+001F or U+007F.
    #[error("the text has the control character U+{0:04X}")]
    Control(u32),
    /// Not an address of electronic mail.
    #[error(
        "an e-mail address has one @, something before it, a domain with a dot behind it, and no blanks"
    )]
    Email,
}

/// Checks what all texts have in common: 1 to `max` Unicode scalar values, no control character.
fn check(text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(control) = text.chars().find(char::is_ascii_control) {
        return Err(NameError::Control(control.into()));
    }
    // Bytes bound characters from above, and counting is the dearer test.
    if max < text.len() {
        let len = text.chars().count();
        if max < len {
            return Err(NameError::TooLong { len, max });
        }
    }
    Ok(())
}

macro_rules! text {
    ($(#[doc = $doc:literal])+ $Name:ident, $max:literal) => {
        $(#[doc = $doc])+
        ///
        /// * compared exactly: case counts, nothing is trimmed or normalised
        /// * no control characters
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Name(Box<str>);

        impl $Name {
            /// Characters it may have.
            pub const LEN_MAX: usize = $max;

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $Name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text, Self::LEN_MAX)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// The name an account logs in with, 1 to 32 characters.
    UserName, 32
}
text! {
    /// The name others see, 1 to 32 characters; several accounts may have the same.
    NickName, 32
}
text! {
    /// A telephone number as the user wrote it, 1 to 16 characters.
    Phone, 16
}
text! {
    /// What the user called a file, 1 to 128 characters. A label, never a path.
    FileName, 128
}

/// An e-mail address of at most 254 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(Box<str>);

impl Email {
    /// Characters it may have.
    pub const LEN_MAX: usize = 254;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, Self::LEN_MAX)?;
        let is_address = match text.split_once('@') {
            Some((local, domain)) => {
                !local.is_empty()
                    && !domain.contains('@')
                    && !text.contains(char::is_whitespace)
                    && matches!(domain.split_once('.'), Some((host, rest)) if !host.is_empty() && !rest.is_empty())
            }
            None => false,
        };
        if is_address {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Email)
        }
    }
}

impl FileName {
    /// What stands behind the last dot, in lower case; nothing if there is no dot or nothing behind
    /// it. Source: docs/api/image-host.md §2.8.
    pub fn kind(&self) -> Option<String> {
        let (_, kind) = self.0.rsplit_once('.')?;
        (!kind.is_empty()).then(|| kind.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_characters_and_not_bytes() {
        let longest = "汉".repeat(32);
        assert_eq!(longest.parse::<UserName>().unwrap().as_str(), longest);
        let error = "汉".repeat(33).parse::<UserName>().unwrap_err();
        assert_eq!(error, NameError::TooLong { len: 33, max: 32 });
        assert!("😀".repeat(128).parse::<FileName>().is_ok());
        assert!("a".repeat(129).parse::<FileName>().is_err());
        assert_eq!("".parse::<UserName>(), Err(NameError::Empty));
        assert_eq!("a\0b".parse::<UserName>(), Err(NameError::Control(0)));
        assert_eq!("a\u{7f}".parse::<FileName>(), Err(NameError::Control(0x7f)));
        assert!(" a ".parse::<UserName>().is_ok());
    }

    #[test]
    fn email_addresses_have_one_at_sign_and_a_domain_with_a_dot() {
        for good in ["a@b.c", "472251823@qq.com", "a.b+c@mail.example.org"] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in [
            "", "a", "a@b", "@b.c", "a@.c", "a@b.", "a@b@c.d", "a b@c.d", "a@b.c\n",
        ] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
        assert!(format!("{}@b.c", "a".repeat(250)).parse::<Email>().is_ok());
        assert!(format!("{}@b.c", "a".repeat(251)).parse::<Email>().is_err());
    }

    #[test]
    fn the_kind_of_a_file_is_behind_its_last_dot() {
        for (name, kind) in [
            ("1.png", Some("png")),
            ("A.JPG", Some("jpg")),
            ("archive.tar.gz", Some("gz")),
            (".bashrc", Some("bashrc")),
            ("Makefile", None),
            ("dot.", None),
        ] {
            let name: FileName = name.parse().unwrap();
            assert_eq!(name.kind().as_deref(), kind, "{name}");
        }
    }
}
