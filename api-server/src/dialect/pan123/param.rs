//! Parameters of a request, wherever they stand. Source: docs/api/pan123.md §1.3.
//!
//! Client programs disagree about everything: the case of names, whether a number is a number or a
//! text, whether an absent value is left out, `null` or empty. So all spellings are read, and what a
//! call takes is what its meaning is. Names that no call has are passed over while they are read, so
//! that a body holds no more memory than its bytes.

mod bag;
mod json;
mod name;
mod pairs;

#[cfg(test)]
mod tests;

use std::str::FromStr;

use bytes::Bytes;

pub(super) use bag::{Bag, Scalar, TooMany};
pub(super) use json::JsonError;
pub(super) use name::Name;
pub(super) use pairs::PairError;

/// Bytes that a body of JSON or of a form may have.
pub(super) const BODY_LEN_MAX: usize = 1024 * 1024;
/// Digits that a number may have.
const DIGITS_MAX: usize = 19;
/// Numbers in JSON that have a point or an exponent are exact below this one.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a body or a query holds no parameters.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyntaxError {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error(transparent)]
    Pair(#[from] PairError),
}

/// Why a parameter is not what the call asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParamError {
    #[error("{0} is missing")]
    Missing(Name),
    #[error("{name} is not {wanted}")]
    Type {
        name: Name,
        /// What it has to be.
        wanted: &'static str,
    },
    #[error("{name} is bad: {why}")]
    Value {
        name: Name,
        /// What is wrong with it.
        why: String,
    },
    #[error("{0} has several values")]
    Repeated(Name),
    #[error("{name} has {count} values, {min} to {max} are allowed")]
    Count {
        name: Name,
        count: usize,
        min: usize,
        max: usize,
    },
}

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Params {
    query: Bag,
    body: Bag,
}

impl Params {
    /// The parameters of a query and of a body, which is JSON or a form, or empty.
    ///
    /// # Errors
    ///
    /// [`SyntaxError`] if one of them is no such.
    pub(super) fn parse(query: Option<&str>, body: &Bytes) -> Result<Self, SyntaxError> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        let body = match first {
            None => Bag::default(),
            // A byte order mark can only be in front of JSON.
            Some(b'{' | 0xef) => json::parse(body)?,
            Some(_) => pairs::parse(body)?,
        };
        let query = pairs::parse(query.unwrap_or_default().as_bytes())?;
        Ok(Self { query, body })
    }

    /// The parameters of a query alone.
    ///
    /// # Errors
    ///
    /// [`SyntaxError`] if it is no such.
    pub(super) fn of_query(query: Option<&str>) -> Result<Self, SyntaxError> {
        Self::of_fields(query, Bag::default())
    }

    /// The parameters of a query and of a multipart body.
    ///
    /// # Errors
    ///
    /// [`SyntaxError`] if the query is no such.
    pub(super) fn of_fields(query: Option<&str>, fields: Bag) -> Result<Self, SyntaxError> {
        let query = pairs::parse(query.unwrap_or_default().as_bytes())?;
        Ok(Self {
            query,
            body: fields,
        })
    }

    /// The value of a parameter: the last one of the query, else of the body. `null` and an empty text
    /// are none.
    fn value(&self, name: Name) -> Result<Option<&Scalar>, ParamError> {
        for bag in [&self.query, &self.body] {
            let last = bag.last(name).map_err(|()| ParamError::Type {
                name,
                wanted: "a single value",
            })?;
            if let Some(value) = last.filter(|value| !value.is_nothing()) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Whether a parameter has a value.
    pub(super) fn has(&self, name: Name) -> bool {
        matches!(self.value(name), Ok(Some(_)) | Err(_))
    }

    /// A text that may be absent.
    pub(super) fn text_if_any(&self, name: Name) -> Result<Option<&str>, ParamError> {
        match self.value(name)? {
            None => Ok(None),
            Some(Scalar::Text(text)) => Ok(Some(text)),
            Some(_) => Err(ParamError::Type {
                name,
                wanted: "a text",
            }),
        }
    }

    /// A text.
    pub(super) fn text(&self, name: Name) -> Result<&str, ParamError> {
        self.text_if_any(name)?.ok_or(ParamError::Missing(name))
    }

    /// What a text stands for.
    pub(super) fn parsed<T>(&self, name: Name) -> Result<T, ParamError>
    where
        T: FromStr,
        T::Err: std::error::Error,
    {
        let text = self.text(name)?;
        text.parse()
            .map_err(|error: T::Err| bad_value(name, &error))
    }

    /// A whole number that may be absent.
    pub(super) fn integer_if_any(&self, name: Name) -> Result<Option<i64>, ParamError> {
        self.value(name)?
            .map(|value| integer(value).ok_or(not_a_number(name)))
            .transpose()
    }

    /// A whole number.
    pub(super) fn integer(&self, name: Name) -> Result<i64, ParamError> {
        self.integer_if_any(name)?.ok_or(ParamError::Missing(name))
    }

    /// A whole number from 0 on.
    pub(super) fn natural(&self, name: Name) -> Result<u64, ParamError> {
        natural(name, self.integer(name)?)
    }

    /// A whole number from 0 on that may be absent.
    pub(super) fn natural_if_any(&self, name: Name) -> Result<Option<u64>, ParamError> {
        let number = self.integer_if_any(name)?;
        number.map(|number| natural(name, number)).transpose()
    }

    /// A truth value; absent is false.
    pub(super) fn flag(&self, name: Name) -> Result<bool, ParamError> {
        Ok(self.flag_if_any(name)?.unwrap_or(false))
    }

    /// A truth value that may be absent.
    pub(super) fn flag_if_any(&self, name: Name) -> Result<Option<bool>, ParamError> {
        self.value(name)?
            .map(|value| {
                flag(value).ok_or(ParamError::Type {
                    name,
                    wanted: "a truth value",
                })
            })
            .transpose()
    }

    /// All values of a list, of which there have to be `counts`. A lone value is a list of one.
    fn list(
        &self,
        name: Name,
        counts: std::ops::RangeInclusive<usize>,
    ) -> Result<Vec<&Scalar>, ParamError> {
        let mut found = Vec::new();
        for bag in [&self.query, &self.body] {
            found.extend(bag.all(name).filter(|value| !value.is_nothing()));
            if !found.is_empty() {
                break;
            }
        }
        let (count, min, max) = (found.len(), *counts.start(), *counts.end());
        if count == 0 && 0 < min {
            return Err(ParamError::Missing(name));
        }
        if !counts.contains(&count) {
            return Err(ParamError::Count {
                name,
                count,
                min,
                max,
            });
        }
        Ok(found)
    }

    /// A list of whole numbers.
    pub(super) fn integers(
        &self,
        name: Name,
        counts: std::ops::RangeInclusive<usize>,
    ) -> Result<Vec<i64>, ParamError> {
        let values = self.list(name, counts)?;
        let integers = values.into_iter().map(integer);
        integers.collect::<Option<_>>().ok_or(not_a_number(name))
    }

    /// A list of texts.
    pub(super) fn texts(
        &self,
        name: Name,
        counts: std::ops::RangeInclusive<usize>,
    ) -> Result<Vec<&str>, ParamError> {
        let texts = self.list(name, counts)?.into_iter().map(text);
        texts.collect::<Option<_>>().ok_or(ParamError::Type {
            name,
            wanted: "a list of texts",
        })
    }
}

/// The error of a value that its type refuses.
pub(super) fn bad_value(name: Name, error: &dyn std::error::Error) -> ParamError {
    ParamError::Value {
        name,
        why: error.to_string(),
    }
}

fn not_a_number(name: Name) -> ParamError {
    ParamError::Type {
        name,
        wanted: "a whole number",
    }
}

fn natural(name: Name, number: i64) -> Result<u64, ParamError> {
    number.try_into().map_err(|_| ParamError::Type {
        name,
        wanted: "a number from 0 on",
    })
}

fn integer(value: &Scalar) -> Option<i64> {
    match value {
        Scalar::Integer(number) => Some(*number),
        Scalar::Text(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let has_room = (1..=DIGITS_MAX).contains(&digits.len());
            (is_plain && has_room).then(|| text.parse().ok()).flatten()
        }
        Scalar::Null | Scalar::Flag(_) | Scalar::Other => None,
    }
}

fn text(value: &Scalar) -> Option<&str> {
    match value {
        Scalar::Text(text) => Some(text),
        Scalar::Null | Scalar::Integer(_) | Scalar::Flag(_) | Scalar::Other => None,
    }
}

fn flag(value: &Scalar) -> Option<bool> {
    match value {
        Scalar::Flag(flag) => Some(*flag),
        Scalar::Integer(0) => Some(false),
        Scalar::Integer(1) => Some(true),
        Scalar::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Scalar::Null | Scalar::Integer(_) | Scalar::Other => None,
    }
}
