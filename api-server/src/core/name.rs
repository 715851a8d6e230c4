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
    /// A character that names in a folder may not have.
    #[error("the name has the character {0}; none of \" \\ / : * ? | > < is allowed")]
    Forbidden(char),
    /// Nothing but blanks.
    #[error("the name has nothing but blanks")]
    Blank,
    /// `.` or `..`.
    #[error("the names . and .. have a meaning of their own")]
    Reserved,
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
    /// What the user called a file, 1 to 255 characters. A label, never a path.
    FileName, 255
}

/// The name of a file or folder in its folder: 1 to 255 characters.
///
/// * compared exactly: case counts, nothing is trimmed or normalised
/// * no control characters, none of `"\/:*?|><`, not only blanks, not `.` or `..`
///
/// Source: docs/api/pan123.md §3.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryName(Box<str>);

impl EntryName {
    /// Characters it may have.
    pub const LEN_MAX: usize = 255;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name like a label: what may not be in a name becomes an underscore.
    pub fn like(label: &FileName) -> Self {
        let text = label.as_str();
        if let Ok(name) = text.parse() {
            return name;
        }
        let mut text: String = text
            .chars()
            .map(|character| {
                if is_forbidden(character) {
                    '_'
                } else {
                    character
                }
            })
            .collect();
        if check_entry(&text).is_err() {
            // Blanks only, or a dot or two: there is room, or the label would be too long.
            text = text.chars().take(Self::LEN_MAX - 1).collect();
            text.push('_');
        }
        Self(text.into())
    }

    /// The label of a file of this name.
    pub fn label(&self) -> FileName {
        // What a name may have, a label may.
        FileName(self.0.clone())
    }

    /// This name with a number, as one gives it to a second file of a name: before the extension.
    #[must_use]
    pub fn numbered(&self, number: u64) -> Self {
        Self(numbered(&self.0, number, Self::LEN_MAX).into())
    }
}

impl FromStr for EntryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, Self::LEN_MAX)?;
        check_entry(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_forbidden(character: char) -> bool {
    matches!(
        character,
        '"' | '\\' | '/' | ':' | '*' | '?' | '|' | '>' | '<'
    )
}

fn check_entry(text: &str) -> Result<(), NameError> {
    if let Some(character) = text.chars().find(|character| is_forbidden(*character)) {
        return Err(NameError::Forbidden(character));
    }
    if text.chars().all(char::is_whitespace) {
        return Err(NameError::Blank);
    }
    if matches!(text, "." | "..") {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// `text` with `(number)` before its last extension, cut to `max` characters: the stem first, and
/// everything only if the extension alone is too long. A dot at the beginning begins no extension.
fn numbered(text: &str, number: u64, max: usize) -> String {
    let dot = text.rfind('.').filter(|dot| *dot != 0);
    let (stem, extension) = text.split_at(dot.unwrap_or(text.len()));
    let suffix = format!("({number})");
    let room = max.saturating_sub(suffix.len());
    let extension_len = extension.chars().count();
    if extension_len < room {
        let stem = stem.chars().take(room - extension_len);
        return stem
            .chain(suffix.chars())
            .chain(extension.chars())
            .collect();
    }
    text.chars().take(room).chain(suffix.chars()).collect()
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
    /// This label with a number, as [`EntryName::numbered`].
    #[must_use]
    pub fn numbered(&self, number: u64) -> Self {
        Self(numbered(&self.0, number, Self::LEN_MAX).into())
    }

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
        assert!("😀".repeat(255).parse::<FileName>().is_ok());
        assert!("a".repeat(256).parse::<FileName>().is_err());
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

    #[test]
    fn names_in_a_folder_have_rules_of_their_own() {
        let longest = "汉".repeat(255);
        for good in [
            "测试文件.mp4",
            " a ",
            ".bashrc",
            "...",
            "100% + 1",
            "😀",
            "a“b”",
            &longest,
        ] {
            assert_eq!(good.parse::<EntryName>().unwrap().as_str(), good);
        }
        for forbidden in "\"\\/:*?|><".chars() {
            let text = format!("a{forbidden}b");
            assert_eq!(
                text.parse::<EntryName>(),
                Err(NameError::Forbidden(forbidden))
            );
            let label: FileName = text.parse().unwrap();
            assert_eq!(EntryName::like(&label).as_str(), "a_b");
        }
        for blank in [" ", "\u{3000}", " \u{a0} "] {
            assert_eq!(blank.parse::<EntryName>(), Err(NameError::Blank));
        }
        for reserved in [".", ".."] {
            assert_eq!(reserved.parse::<EntryName>(), Err(NameError::Reserved));
            let label: FileName = reserved.parse().unwrap();
            assert_eq!(EntryName::like(&label).as_str(), format!("{reserved}_"));
        }
        let blanks: FileName = " ".repeat(255).parse().unwrap();
        assert!(
            EntryName::like(&blanks)
                .as_str()
                .parse::<EntryName>()
                .is_ok()
        );
        assert!("a".repeat(256).parse::<EntryName>().is_err());
    }

    #[test]
    fn a_number_stands_before_the_last_extension_and_cuts_the_stem() {
        for (text, expected) in [
            ("测试文件.mp4", "测试文件(1).mp4"),
            ("a.tar.gz", "a.tar(1).gz"),
            ("Makefile", "Makefile(1)"),
            (".bashrc", ".bashrc(1)"),
            ("dot.", "dot(1)."),
        ] {
            let name: EntryName = text.parse().unwrap();
            assert_eq!(name.numbered(1).as_str(), expected);
            assert_eq!(name.label().numbered(1).as_str(), expected);
        }
        let long: EntryName = format!("{}.mp4", "汉".repeat(251)).parse().unwrap();
        let expected = format!("{}(12).mp4", "汉".repeat(247));
        assert_eq!(long.numbered(12).as_str(), expected);
        let extension: EntryName = format!("a.{}", "b".repeat(253)).parse().unwrap();
        let expected = format!("a.{}(7)", "b".repeat(250));
        assert_eq!(extension.numbered(7).as_str(), expected);
    }
}
