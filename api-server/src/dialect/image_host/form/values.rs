//! What a form says besides content.

use std::fmt;

use super::FormError;

/// A value that an upload may carry. In ordinary multipart it is a field, in the literal format a
/// parameter of the Content-Disposition line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FieldName {
    /// Whose file it becomes.
    User,
    /// What the client thinks the content's MD5 is.
    Md5,
    /// What the client thinks the content's length is, in bytes.
    Size,
    /// The token of a session.
    Token,
}

impl FieldName {
    const ALL: [Self; 4] = [Self::User, Self::Md5, Self::Size, Self::Token];

    /// The name in requests.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Md5 => "md5",
            Self::Size => "size",
            Self::Token => "token",
        }
    }

    /// The field of this name, exactly.
    pub(super) fn of_field(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// The parameter of this name, in any case.
    pub(super) fn of_parameter(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The values of a form, as text that nobody has checked yet: an empty one is not an absent one.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Values {
    /// Whose file it becomes.
    pub(crate) user: Option<String>,
    /// What the client thinks the content's MD5 is.
    pub(crate) md5: Option<String>,
    /// What the client thinks the content's length is, in bytes.
    pub(crate) size: Option<u64>,
    /// The token of a session.
    pub(crate) token: Option<String>,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values")
            .field("user", &self.user)
            .field("md5", &self.md5)
            .field("size", &self.size)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .finish()
    }
}

/// What a form says besides content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// What the user calls the file, as it came. May be empty; never used to build a path.
    pub(crate) file_name: String,
    /// Everything else.
    pub(crate) values: Values,
}

impl Values {
    /// Sets a value that is not set yet: of two, nobody could say which is meant.
    pub(super) fn set(&mut self, name: FieldName, text: String) -> Result<(), FormError> {
        let place = match name {
            FieldName::User => &mut self.user,
            FieldName::Md5 => &mut self.md5,
            FieldName::Token => &mut self.token,
            FieldName::Size => {
                let size = parse_size(&text).ok_or(FormError::SizeNotANumber)?;
                return put(&mut self.size, size, name);
            }
        };
        put(place, text, name)
    }

    /// Adds what `other` says.
    pub(super) fn merge(&mut self, other: Self) -> Result<(), FormError> {
        let Self {
            user,
            md5,
            size,
            token,
        } = other;
        for (place, value, name) in [
            (&mut self.user, user, FieldName::User),
            (&mut self.md5, md5, FieldName::Md5),
            (&mut self.token, token, FieldName::Token),
        ] {
            if let Some(value) = value {
                put(place, value, name)?;
            }
        }
        size.map_or(Ok(()), |size| put(&mut self.size, size, FieldName::Size))
    }

    /// Whether no value is set.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes kept.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn kept_len(&self) -> usize {
        [&self.user, &self.md5, &self.token]
            .into_iter()
            .flatten()
            .map(String::len)
            .sum()
    }
}

fn put<T>(place: &mut Option<T>, value: T, name: FieldName) -> Result<(), FormError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(FormError::Repeated(name)),
    }
}

/// Digits only: no sign, no blanks.
fn parse_size(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}
