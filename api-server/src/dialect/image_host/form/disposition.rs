//! The Content-Disposition line of a part. Source: docs/api/image-host.md §5.
//!
//! Two grammars share this line. Browsers separate parameters by `;` and escape quotes. The literal
//! format separates them by blanks or `;` and escapes nothing, so that there a value ends at the quote
//! behind which a known parameter or the end of the line follows.

use std::borrow::Cow;

use encoding_rs::GB18030;
use percent_encoding::percent_decode_str;

use super::{FieldName, FormError, Values};

/// What separates parameters, in one grammar or both.
const SEPARATORS: [char; 3] = [' ', '\t', ';'];
const BLANKS: [char; 2] = [' ', '\t'];

/// What the line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// A field of ordinary multipart.
    Field(String),
    /// The file of ordinary multipart.
    File(String),
    /// The literal format: file name and values at once.
    Literal(String, Values),
}

/// The parameters of a line, none of them twice.
#[derive(Default)]
struct Parameters<'a> {
    name: Option<&'a str>,
    file_name: Option<&'a str>,
    file_name_extended: Option<&'a str>,
    values: Values,
}

/// A parameter that means something here.
#[derive(Clone, Copy, Debug)]
enum Known {
    Name,
    FileName,
    FileNameExtended,
    Value(FieldName),
}

/// Where a value ends.
#[derive(Clone, Copy, Debug)]
enum Grammar {
    /// At a quote behind which a separator or nothing follows, or at `;`.
    Ordinary,
    /// Where a known parameter or nothing follows.
    Literal,
}

impl Disposition {
    /// Parses what stands behind the colon.
    pub(super) fn parse(line: &[u8]) -> Result<Self, FormError> {
        let line = line.trim_ascii();
        let (text, is_utf8) = match std::str::from_utf8(line) {
            Ok(text) => (Cow::Borrowed(text), true),
            Err(_) => (
                GB18030
                    .decode_without_bom_handling_and_without_replacement(line)
                    .ok_or(FormError::Encoding)?,
                false,
            ),
        };
        let parameters = parameters_of(&text).ok_or(FormError::NotFormData)?;
        let literal = Parameters::parse(parameters, Grammar::Literal);
        let complaint = match literal {
            Ok(literal) if literal.is_literal() => return literal.into_literal(),
            Ok(_) => None,
            // It may have stumbled over ordinary parameters that it does not know.
            Err(error) => Some(error),
        };
        let ordinary = Parameters::parse(parameters, Grammar::Ordinary)
            .map_err(|error| complaint.unwrap_or(error))?;
        if let Some(error) = complaint.filter(|_| ordinary.is_literal()) {
            return Err(error);
        }
        if !is_utf8 {
            return Err(FormError::Encoding);
        }
        match (ordinary.file_name(unescape)?, ordinary.name) {
            (Some(file_name), _) => Ok(Self::File(file_name)),
            (None, Some(name)) => Ok(Self::Field(name.to_owned())),
            (None, None) => Err(FormError::NoName),
        }
    }
}

/// What follows `form-data`.
fn parameters_of(text: &str) -> Option<&str> {
    const KIND: &str = "form-data";
    let (kind, rest) = text.split_at_checked(KIND.len())?;
    let is_whole = rest.is_empty() || rest.starts_with(SEPARATORS);
    (kind.eq_ignore_ascii_case(KIND) && is_whole).then_some(rest)
}

impl<'a> Parameters<'a> {
    fn parse(mut rest: &'a str, grammar: Grammar) -> Result<Self, FormError> {
        let mut parameters = Self::default();
        loop {
            rest = rest.trim_start_matches(SEPARATORS);
            if rest.is_empty() {
                return Ok(parameters);
            }
            let name_len = rest.find(['=', ' ', '\t', ';']).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(name_len);
            let Some(value) = behind.trim_start_matches(BLANKS).strip_prefix('=') else {
                // A word without a value says nothing here.
                rest = behind;
                continue;
            };
            let known = Known::of(name);
            let value = value.trim_start_matches(BLANKS);
            let (value, behind) = match known {
                Some(Known::Value(FieldName::Size)) => split_size(value),
                Some(_) => grammar.split(value)?,
                // The rule for quotes in values is made for known ones.
                None => Grammar::Ordinary.split(value)?,
            };
            if let Some(known) = known {
                parameters.set(known, value)?;
            }
            rest = behind;
        }
    }

    fn set(&mut self, known: Known, value: &'a str) -> Result<(), FormError> {
        let place = match known {
            Known::Name => &mut self.name,
            Known::FileName => &mut self.file_name,
            Known::FileNameExtended => &mut self.file_name_extended,
            Known::Value(name) => return self.values.set(name, value.to_owned()),
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(FormError::RepeatedParameter),
        }
    }

    /// Whether the line carries what only the literal format puts there. A lone `size` beside a
    /// `name` does not count: RFC 2183 gives it a meaning for ordinary parts.
    fn is_literal(&self) -> bool {
        let Values {
            user, md5, token, ..
        } = &self.values;
        let is_told = user.is_some() || md5.is_some() || token.is_some();
        is_told || (self.name.is_none() && !self.values.is_empty())
    }

    fn into_literal(self) -> Result<Disposition, FormError> {
        let file_name = self.file_name(str::to_owned)?;
        let file_name = file_name.ok_or(FormError::NoFileName)?;
        Ok(Disposition::Literal(file_name, self.values))
    }

    /// The file name, the extended form first.
    fn file_name(&self, plain: fn(&str) -> String) -> Result<Option<String>, FormError> {
        match (self.file_name_extended.map(decode_extended), self.file_name) {
            (Some(Some(extended)), _) => Ok(Some(extended)),
            (_, Some(name)) => Ok(Some(plain(name))),
            (Some(None), None) => Err(FormError::Encoding),
            (None, None) => Ok(None),
        }
    }
}

impl Known {
    /// The parameter of this name, in any case. The aliases of the file name are those of JSON.
    fn of(name: &str) -> Option<Self> {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        if is("name") {
            Some(Self::Name)
        } else if is("filename") || is("file_name") {
            Some(Self::FileName)
        } else if is("filename*") {
            Some(Self::FileNameExtended)
        } else {
            FieldName::of_parameter(name).map(Self::Value)
        }
    }
}

impl Grammar {
    /// Splits what follows `=` into a value and what stands behind it.
    fn split(self, text: &str) -> Result<(&str, &str), FormError> {
        match text.strip_prefix('"') {
            Some(quoted) => quoted
                .match_indices('"')
                .filter_map(|(at, quote)| {
                    let behind = quoted.get(at + quote.len()..)?;
                    Some((quoted.get(..at)?, behind))
                })
                .find(|(_, behind)| self.may_end_quoted(behind))
                .ok_or(FormError::Unterminated),
            None => Ok(self.split_unquoted(text)),
        }
    }

    fn may_end_quoted(self, behind: &str) -> bool {
        match self {
            Self::Ordinary => {
                let rest = behind.trim_start_matches(BLANKS);
                rest.is_empty() || rest.starts_with(';')
            }
            Self::Literal => {
                behind.is_empty() || (behind.starts_with(SEPARATORS) && begins_known(behind))
            }
        }
    }

    fn split_unquoted(self, text: &str) -> (&str, &str) {
        let mut from = 0;
        while let Some(rest) = text.get(from..) {
            let Some(found) = rest.find(SEPARATORS) else {
                break;
            };
            let (value, behind) = text.split_at(from + found);
            let ends = match self {
                Self::Ordinary => behind.starts_with(';'),
                Self::Literal => begins_known(behind),
            };
            if ends {
                return (value.trim_end_matches(BLANKS), behind);
            }
            // On behind the whole run of separators, so that a long one is read once.
            let run = behind.len() - behind.trim_start_matches(SEPARATORS).len();
            from += found + run.max(1);
        }
        (text.trim_end_matches(BLANKS), "")
    }
}

/// Whether a known parameter or nothing follows the separators that `text` begins with.
fn begins_known(text: &str) -> bool {
    let rest = text.trim_start_matches(SEPARATORS);
    let name_len = rest.find(['=', ' ', '\t', ';', '"']).unwrap_or(rest.len());
    let (name, behind) = rest.split_at(name_len);
    rest.is_empty()
        || (Known::of(name).is_some() && behind.trim_start_matches(BLANKS).starts_with('='))
}

/// Splits a size off: bare, in quotes, or with the opening quote only.
fn split_size(text: &str) -> (&str, &str) {
    let text = text.strip_prefix('"').unwrap_or(text);
    let len = text.find([' ', '\t', ';', '"']).unwrap_or(text.len());
    let (size, behind) = text.split_at(len);
    (size, behind.strip_prefix('"').unwrap_or(behind))
}

/// Undoes the three escapes of browsers, and no other: every other `%` is a part of the name.
fn unescape(name: &str) -> String {
    name.replace("%22", "\"")
        .replace("%0D", "\r")
        .replace("%0A", "\n")
}

/// Decodes `UTF-8''percent-encoded` (RFC 8187); nothing if it is anything else.
fn decode_extended(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let decoded = percent_decode_str(encoded).decode_utf8().ok()?;
    Some(decoded.into_owned())
}
