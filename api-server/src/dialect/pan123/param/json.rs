//! Bodies in JSON: the members of one object.
//!
//! Of several members of one name, in whatever spelling, the last one counts; a decoder that is
//! derived from a type would call that an error, and there are clients that send two spellings.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Bag, EXACT_MAX, Name, Scalar};

/// Why a body is no such.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum JsonError {
    #[error("the body is not UTF-8")]
    Encoding(#[from] std::str::Utf8Error),
    #[error("the body is not a JSON object")]
    Syntax(#[from] serde_json::Error),
}

/// The members of the object that `body` is.
pub(super) fn parse(body: &[u8]) -> Result<Bag, JsonError> {
    let text = std::str::from_utf8(body)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = serde_json::Deserializer::from_str(text);
    let bag = reader.deserialize_map(Members)?;
    reader.end()?;
    Ok(bag)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Bag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bag, A::Error> {
        let mut bag = Bag::default();
        while let Some(key) = map.next_key::<String>()? {
            match Name::of(&key) {
                Some(name) => {
                    let reader = ValueReader {
                        counter: &mut bag,
                        in_array: false,
                    };
                    match map.next_value_seed(reader)? {
                        Value::One(value) => bag.put(name, vec![value], false),
                        Value::Array(values) => bag.put(name, values, true),
                    }
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(bag)
    }
}

/// A member's value.
enum Value {
    One(Scalar),
    Array(Vec<Scalar>),
}

/// Reads a member's value, or an element of one.
struct ValueReader<'a> {
    /// Counts what is kept.
    counter: &'a mut Bag,
    in_array: bool,
}

impl ValueReader<'_> {
    fn one<E: de::Error>(self, value: Scalar) -> Result<Value, E> {
        self.counter.count_one().map_err(E::custom)?;
        Ok(Value::One(value))
    }
}

impl<'de> DeserializeSeed<'de> for ValueReader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        if self.in_array {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return self.one(Scalar::Other);
        }
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(ValueReader {
            counter: &mut *self.counter,
            in_array: true,
        })? {
            match value {
                Value::One(value) => values.push(value),
                Value::Array(_) => values.push(Scalar::Other),
            }
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.one(Scalar::Other)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.one(Scalar::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Value, E> {
        self.one(Scalar::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        self.one(Scalar::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        self.one(of_unsigned(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        self.one(of_float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.one(Scalar::Text(text.to_owned()))
    }
}

fn of_unsigned(number: u64) -> Scalar {
    number.try_into().map_or(Scalar::Other, Scalar::Integer)
}

/// `2.0` and `2e0` are 2.
fn of_float(number: f64) -> Scalar {
    if number.fract() != 0.0 || EXACT_MAX <= number.abs() {
        return Scalar::Other;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "there is no fraction, and every such number below the bound has an integer"
    )]
    Scalar::Integer(number as i64)
}
