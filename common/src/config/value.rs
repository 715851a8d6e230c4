//! One value: text or TOML becomes a type, or a problem with its place in the file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml_edit::{InlineTable, Value};

use super::nearest;
use super::section::Form;
use crate::id::{GroupName, VolumePath};
use crate::limits;
use crate::secret::Secret;
use crate::web::anti_leech::Key;

/// Why a value is not what its key takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A TOML value of another type.
    #[error("{found} found; write {wanted}")]
    Type {
        /// What the key takes.
        wanted: &'static str,
        /// What TOML calls the value.
        found: &'static str,
    },
    /// Right type, wrong form.
    #[error("\"{text}\" is not understood; write {wanted}")]
    Malformed {
        /// The text as given.
        text: String,
        /// What the key takes.
        wanted: &'static str,
    },
    /// Below or above the bounds.
    #[error("{text} is out of range; write a value from {least} to {most}")]
    OutOfRange {
        /// The text as given.
        text: String,
        /// Smallest value, as text.
        least: &'static str,
        /// Largest value, as text.
        most: &'static str,
    },
    /// A field of a row that does not exist.
    #[error("unknown field \"{name}\"; the fields are: {fields}")]
    UnknownField {
        /// The field as given.
        name: String,
        /// The existing ones.
        fields: String,
    },
    /// A field of a row that must be there.
    #[error("the field \"{name}\" is missing; add it to this table")]
    MissingField {
        /// The missing one.
        name: &'static str,
    },
    /// A list of tables in a flag or variable.
    #[error("a list of tables can only be given in the configuration file")]
    FileOnly,
}

/// A problem with a value and the bytes of the file it was found in.
#[derive(Clone, Debug)]
pub(super) struct Located {
    /// What is wrong.
    pub(super) error: ValueError,
    /// Where, if it came from a file.
    pub(super) span: Option<Range<usize>>,
}

/// A type that a key can have.
pub(super) trait Setting: Sized {
    /// What a value looks like, for messages: `a duration such as "30s"`.
    const WANTED: &'static str;
    /// How it is written in TOML.
    const FORM: Form;

    /// From a flag, a variable or a default.
    fn from_text(text: &str) -> Result<Self, ValueError>;

    /// From the file.
    fn from_value(value: &Value) -> Result<Self, Located>;
}

/// A type with a single text form.
pub(super) trait Scalar: Sized {
    /// See [`Setting::WANTED`].
    const WANTED: &'static str;
    /// See [`Setting::FORM`].
    const FORM: Form = Form::Quoted;
    /// Whether messages must not repeat the text.
    const SECRET: bool = false;

    /// The value that `text` means, if any.
    fn parse(text: &str) -> Option<Self>;

    /// The elements of a list in a flag, a variable or a default.
    fn elements(text: &str) -> Vec<&str> {
        text.split(',').collect()
    }
}

impl<T: Scalar> Setting for T {
    const WANTED: &'static str = T::WANTED;
    const FORM: Form = T::FORM;

    fn from_text(text: &str) -> Result<Self, ValueError> {
        T::parse(text).ok_or_else(|| ValueError::Malformed {
            text: if T::SECRET { "(not shown)" } else { text }.to_owned(),
            wanted: T::WANTED,
        })
    }

    fn from_value(value: &Value) -> Result<Self, Located> {
        let text = match (T::FORM, value) {
            (Form::Quoted, Value::String(text)) => text.value().clone(),
            (Form::Bare, Value::Integer(number)) => number.value().to_string(),
            (Form::Bare, Value::Boolean(truth)) => truth.value().to_string(),
            _ => return Err(wrong_type(value, T::WANTED)),
        };
        Self::from_text(&text).map_err(|error| Located {
            error,
            span: value.span(),
        })
    }
}

impl<T: Scalar> Setting for Vec<T> {
    const WANTED: &'static str = "a list of quoted texts";
    const FORM: Form = Form::List;

    /// Elements are separated by commas, as in `HAYLOFT_STORAGE_TRACKERS=a:22122,b:22122`.
    fn from_text(text: &str) -> Result<Self, ValueError> {
        T::elements(text)
            .into_iter()
            .map(str::trim)
            .filter(|element| !element.is_empty())
            .map(T::from_text)
            .collect()
    }

    fn from_value(value: &Value) -> Result<Self, Located> {
        let array = value
            .as_array()
            .ok_or_else(|| wrong_type(value, Self::WANTED))?;
        array.iter().map(T::from_value).collect()
    }
}

fn wrong_type(value: &Value, wanted: &'static str) -> Located {
    Located {
        error: ValueError::Type {
            wanted,
            found: value.type_name(),
        },
        span: value.span(),
    }
}

/// One table of a list of tables.
#[derive(Debug)]
pub(super) struct Row<'a> {
    table: &'a InlineTable,
}

/// The tables of a list, whose elements may only be tables.
pub(super) fn rows<'a>(value: &'a Value, wanted: &'static str) -> Result<Vec<Row<'a>>, Located> {
    let array = value.as_array().ok_or_else(|| wrong_type(value, wanted))?;
    array
        .iter()
        .map(|element| match element.as_inline_table() {
            Some(table) => Ok(Row { table }),
            None => Err(wrong_type(element, wanted)),
        })
        .collect()
}

impl Row<'_> {
    /// Refuses fields that nothing reads.
    pub(super) fn check_names(&self, fields: &[&'static str]) -> Result<(), Located> {
        match self.table.iter().find(|(name, _)| !fields.contains(name)) {
            None => Ok(()),
            Some((name, value)) => Err(Located {
                error: ValueError::UnknownField {
                    name: name.to_owned(),
                    fields: match nearest(name, fields.iter().copied()) {
                        Some(nearest) => format!("{} (perhaps {nearest})", fields.join(", ")),
                        None => fields.join(", "),
                    },
                },
                span: self
                    .table
                    .get_key_value(name)
                    .and_then(|(key, _)| key.span())
                    .or(value.span()),
            }),
        }
    }

    /// A field, its default, or the problem that it is missing.
    pub(super) fn field<T: Setting>(
        &self,
        name: &'static str,
        default: Option<&'static str>,
    ) -> Result<T, Located> {
        match (self.table.get(name), default) {
            (Some(value), _) => T::from_value(value),
            (None, Some(default)) => T::from_text(default).map_err(|error| Located {
                error,
                span: self.table.span(),
            }),
            (None, None) => Err(Located {
                error: ValueError::MissingField { name },
                span: self.table.span(),
            }),
        }
    }
}

/// An empty text means "none".
impl<T: Scalar> Scalar for Option<T> {
    const WANTED: &'static str = T::WANTED;
    const FORM: Form = T::FORM;
    const SECRET: bool = T::SECRET;

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(None);
        }
        T::parse(text).map(Some)
    }
}

impl Scalar for bool {
    const WANTED: &'static str = "true or false";
    const FORM: Form = Form::Bare;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Scalar for u32 {
    const WANTED: &'static str = "a whole number";
    const FORM: Form = Form::Bare;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Scalar for String {
    const WANTED: &'static str = "a quoted text";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Scalar for PathBuf {
    const WANTED: &'static str = "a quoted path such as \"/var/lib/hayloft\"";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }
}

impl Scalar for SocketAddr {
    const WANTED: &'static str = "an address and port such as \"0.0.0.0:22122\", \"[::]:22122\" or \":22122\" (port 0 takes a free one)";

    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        // A bare port listens everywhere, as most servers understand it.
        if let Some(port) = text.strip_prefix("localhost:") {
            return Some(Self::from((Ipv4Addr::LOCALHOST, decimal(port)?)));
        }
        let port = decimal(text.strip_prefix(':').unwrap_or(text))?;
        Some(Self::from((Ipv4Addr::UNSPECIFIED, port)))
    }
}

impl Scalar for IpAddr {
    const WANTED: &'static str = "an IP address such as \"192.0.2.7\"";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Scalar for GroupName {
    const WANTED: &'static str = "a group name of 1 to 16 letters and digits such as \"group1\"";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Scalar for VolumePath {
    const WANTED: &'static str = "a volume path from \"M00\" to \"MFF\"";

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('M')?.as_bytes();
        Self::from_hex(digits.try_into().ok()?)
    }
}

impl Scalar for Key {
    const WANTED: &'static str = "a secret text of 1 to 128 bytes";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        text.try_into().ok()
    }
}

const _: () = assert!(limits::ANTI_LEECH_KEY_LEN_MAX == 128, "said in a message");

impl Scalar for Secret {
    const WANTED: &'static str =
        "a secret text of 16 to 1024 bytes, such as `hayloft cluster secret` makes";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        text.try_into().ok()
    }
}

const _: () = assert!(limits::CLUSTER_SECRET_LEN_MIN == 16, "said in a message");
const _: () = assert!(limits::CLUSTER_SECRET_LEN_MAX == 1024, "said in a message");

impl Scalar for Duration {
    const WANTED: &'static str = "a duration such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if number == 0 => 1,
            _ => return None,
        };
        number.checked_mul(milliseconds).map(Self::from_millis)
    }
}

/// Decimal digits only; `parse` alone would take a sign.
fn decimal(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Splits `64 MiB` into its number and its unit.
pub(super) fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim_start()))
}
