//! Request bodies in JSON, read as leniently as the documented examples need.
//! Source: docs/api/image-host.md §2.2, §2.3.
//!
//! UTF-8 with an optional byte order mark; the root is an object; of repeated members the last one
//! wins; `null` is absence. Comments are removed if a body does not parse as it stands. How long a
//! body may be is the caller's business.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// Objects and arrays inside one another, the root included.
const DEPTH_MAX: usize = 64;
/// The names of the member that names a file, the first present one counts: the document has two,
/// and rows of lists have the third.
const FILE_NAME_ALIASES: [&str; 3] = ["filename", "fileName", "file_name"];

/// Why a body is no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    /// The bytes are no text.
    #[error("the body is not UTF-8")]
    Encoding(#[from] std::str::Utf8Error),
    /// The text is no JSON, with comments or without.
    #[error("the body is not JSON")]
    Syntax(#[from] serde_json::Error),
    /// Nesting without use.
    #[error("the body is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// The root is something else.
    #[error("the body is not a JSON object")]
    NotAnObject,
}

/// A member is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MemberError {
    /// It is not there, or `null`.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// It is of another type.
    #[error("{name} is not {wanted}")]
    Type {
        /// The member's name.
        name: &'static str,
        /// What it has to be.
        wanted: &'static str,
    },
}

/// The members that any call has. Others are passed over while they are read, so that a body holds
/// no more memory than its bytes.
const MEMBERS: [&str; 15] = [
    "count",
    "email",
    "fileName",
    "file_name",
    "filename",
    "firstPwd",
    "md5",
    "nickName",
    "phone",
    "pwd",
    "start",
    "token",
    "urlmd5",
    "user",
    "userName",
];

/// The members of a request.
#[derive(Debug)]
pub(crate) struct Object(Vec<(&'static str, Scalar)>);

/// The value of a member.
#[derive(Debug)]
enum Scalar {
    Null,
    Text(String),
    Number(Number),
    /// A truth value, an array or an object, which no member is.
    Other,
}

impl Object {
    /// Parses a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(body)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value = parse_value(text).or_else(|error| match error {
            JsonError::Syntax(_) | JsonError::TooDeep => {
                parse_value(&without_comments(text)).map_err(|_| error)
            }
            JsonError::Encoding(_) | JsonError::NotAnObject => Err(error),
        })?;
        match value {
            Root::Object(object) => Ok(object),
            Root::Other => Err(JsonError::NotAnObject),
        }
    }

    /// The member `name`, if it is there and not `null`.
    fn member(&self, name: &str) -> Option<&Scalar> {
        let member = self.0.iter().find(|(known, _)| *known == name);
        member
            .map(|(_, value)| value)
            .filter(|value| !matches!(value, Scalar::Null))
    }

    /// A string that may be absent.
    pub(crate) fn string_if_any(&self, name: &'static str) -> Result<Option<&str>, MemberError> {
        let wanted = "a string";
        self.member(name)
            .map(|value| match value {
                Scalar::Text(text) => Ok(text.as_str()),
                Scalar::Null | Scalar::Number(_) | Scalar::Other => {
                    Err(MemberError::Type { name, wanted })
                }
            })
            .transpose()
    }

    /// A string.
    pub(crate) fn string(&self, name: &'static str) -> Result<&str, MemberError> {
        self.string_if_any(name)?.ok_or(MemberError::Missing(name))
    }

    /// A whole number: `2`, `2.0` and `"2"` are the same. One beyond 64 bits becomes the nearest that
    /// fits, so that a page number beyond all pages is one.
    pub(crate) fn integer(&self, name: &'static str) -> Result<i64, MemberError> {
        let wanted = "a whole number";
        let integer = match self.member(name).ok_or(MemberError::Missing(name))? {
            Scalar::Number(number) => integer_of_number(number),
            Scalar::Text(text) => integer_of_text(text),
            Scalar::Null | Scalar::Other => None,
        };
        integer.ok_or(MemberError::Type { name, wanted })
    }

    /// The file's name, under the first of its names that is present.
    pub(crate) fn filename(&self) -> Result<&str, MemberError> {
        let [first, ..] = FILE_NAME_ALIASES;
        let present = FILE_NAME_ALIASES
            .into_iter()
            .find(|name| self.member(name).is_some());
        self.string(present.unwrap_or(first))
    }
}

/// What a body is.
enum Root {
    Object(Object),
    Other,
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RootVisitor)
    }
}

struct RootVisitor;

impl<'de> Visitor<'de> for RootVisitor {
    type Value = Root;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Root, A::Error> {
        let mut members: Vec<(&'static str, Scalar)> = Vec::with_capacity(8);
        while let Some(name) = map.next_key::<String>()? {
            let Some(known) = MEMBERS.into_iter().find(|known| *known == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value()?;
            match members.iter_mut().find(|(name, _)| *name == known) {
                Some((_, last)) => *last = value,
                None => members.push((known, value)),
            }
        }
        Ok(Root::Object(Object(members)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Root, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Root::Other)
    }

    fn visit_unit<E>(self) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Root, E> {
        Ok(Root::Other)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Number::from_f64(number).map_or(Scalar::Other, Scalar::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }
}

fn parse_value(text: &str) -> Result<Root, JsonError> {
    if DEPTH_MAX < depth(text) {
        return Err(JsonError::TooDeep);
    }
    Ok(serde_json::from_str(text)?)
}

/// Removes comments, each of which becomes a blank. A block that is not closed stays, and so is not
/// JSON either.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    // Once no end of a block is found there is none behind either. Looking again at each of a body's
    // `/*` would take time that grows with the square of its length.
    let mut may_close = true;
    while let Some(at) = rest.find(['"', '\\', '/']) {
        let (before, found) = rest.split_at(at);
        kept.push_str(before);
        let comment_len = if in_string {
            None
        } else if found.starts_with("/*") {
            let len = may_close.then(|| block_len(found)).flatten();
            may_close = len.is_some();
            len
        } else {
            line_len(found)
        };
        let token_len = comment_len.unwrap_or_else(|| token_len(found, in_string));
        let (token, behind) = found.split_at(token_len);
        in_string ^= token == "\"";
        kept.push_str(comment_len.map_or(token, |_| " "));
        rest = behind;
    }
    kept.push_str(rest);
    kept
}

/// Bytes of the `//` comment that `text` begins with. The line end behind it is not part of it.
fn line_len(text: &str) -> Option<usize> {
    text.starts_with("//")
        .then(|| text.find(['\n', '\r']).unwrap_or(text.len()))
}

/// Bytes of the block comment that `text` begins with, if it is closed.
fn block_len(text: &str) -> Option<usize> {
    let body = text.strip_prefix("/*")?;
    body.find("*/").map(|at| "/*".len() + at + "*/".len())
}

/// Bytes of the character that `text` begins with, or of an escape inside of a string.
fn token_len(text: &str, in_string: bool) -> usize {
    let is_escape = in_string && text.starts_with('\\');
    let characters = if is_escape { 2 } else { 1 };
    text.chars().take(characters).map(char::len_utf8).sum()
}

/// Levels of nesting, strings left out. Right for a text without comments, and no other is parsed.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn integer_of_number(number: &Number) -> Option<i64> {
    if let Some(integer) = number.as_i64() {
        return Some(integer);
    }
    if number.is_u64() {
        return Some(i64::MAX);
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast goes to the nearest that fits, as documented, and there is no fraction"
    )]
    Some(float as i64)
}

fn integer_of_text(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Digits alone can only fail by being too many.
    let beyond = if is_negative { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(beyond))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Object {
        Object::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn members_are_found_and_unknown_ones_ignored() {
        let object = parse(r#"{"user":"qingfu","start":0,"more":{"x":[1]}}"#);
        assert_eq!(object.string("user"), Ok("qingfu"));
        assert_eq!(object.integer("start"), Ok(0));
        assert_eq!(object.string("token"), Err(MemberError::Missing("token")));
        assert_eq!(object.string_if_any("token"), Ok(None));
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(parse("\u{feff}{\"user\":\"a\"}").string("user"), Ok("a"));
    }

    #[test]
    fn comments_are_removed_outside_of_strings() {
        let object = parse(
            "{ // which user\n\"user\":/* \"b\" */\"a//b/*c*/\\\"//d\", \"md5\":\"\\\\\"// end\r\n}// \"",
        );
        assert_eq!(object.string("user"), Ok("a//b/*c*/\"//d"));
        assert_eq!(object.string("md5"), Ok("\\"));
        let browse = "{\n\"urlmd5\": \"602fdf30db2aacf517badf4565121234\" // 分享 \"链接\"\n}";
        assert_eq!(
            parse(browse).string("urlmd5"),
            Ok("602fdf30db2aacf517badf4565121234")
        );
        let quote = format!("{{ // 5\" {}\n\"user\":\"a\"}}", "[".repeat(1000));
        assert_eq!(parse(&quote).string("user"), Ok("a"));
        let quote = format!("{{ /* {} */\n\"user\":\"a\"}}", "[".repeat(1000));
        assert_eq!(parse(&quote).string("user"), Ok("a"));
    }

    #[test]
    fn a_comment_that_is_not_closed_is_no_json() {
        for body in ["{\"a\":1}/* x", "{\"a\":1}/", "/", "{\"a\":\"x\\", "//", ""] {
            let error = Object::parse(body.as_bytes()).unwrap_err();
            assert!(matches!(error, JsonError::Syntax(_)), "{body}: {error:?}");
        }
    }

    #[test]
    fn a_comment_separates_what_it_stands_between() {
        assert!(Object::parse(b"{\"a\":1/**/2}").is_err());
    }

    #[test]
    fn the_last_of_repeated_members_wins() {
        let object = parse(r#"{"user":"a","user":"b"}"#);
        assert_eq!(object.string("user"), Ok("b"));
        assert!(parse(r#"{"user":"a","user":null}"#).string("user").is_err());
    }

    #[test]
    fn null_is_absence_also_before_an_alias() {
        let object = parse(r#"{"filename":null,"fileName":"b","file_name":"c","token":null}"#);
        assert_eq!(object.filename(), Ok("b"));
        assert_eq!(object.string_if_any("token"), Ok(None));
    }

    #[test]
    fn file_names_have_three_member_names_in_this_order() {
        for (body, name) in [
            (r#"{"file_name":"c","fileName":"b","filename":"a"}"#, "a"),
            (r#"{"file_name":"c","fileName":"b"}"#, "b"),
            (r#"{"file_name":"c"}"#, "c"),
        ] {
            assert_eq!(parse(body).filename(), Ok(name));
        }
        let missing = MemberError::Missing("filename");
        assert_eq!(parse("{}").filename(), Err(missing));
        assert!(
            parse(r#"{"filename":1,"fileName":"b"}"#)
                .filename()
                .is_err()
        );
    }

    #[test]
    fn integers_come_as_numbers_floats_or_text() {
        for (text, value) in [
            ("2", 2),
            ("2.0", 2),
            ("2e0", 2),
            ("\"2\"", 2),
            ("-1", -1),
            ("\"-1\"", -1),
            ("\"007\"", 7),
            ("18446744073709551615", i64::MAX),
            ("99999999999999999999999", i64::MAX),
            ("\"99999999999999999999999\"", i64::MAX),
            ("\"-99999999999999999999999\"", i64::MIN),
            ("-1e300", i64::MIN),
        ] {
            let object = parse(&format!("{{\"count\":{text}}}"));
            assert_eq!(object.integer("count"), Ok(value), "{text}");
        }
    }

    #[test]
    fn other_things_are_no_integers() {
        for text in [
            "true", "false", "[2]", "{}", "2.5", "\"\"", "\"-\"", "\"2.0\"", "\" 2\"", "\"+2\"",
            "\"２\"", "null", "\"--2\"",
        ] {
            let object = parse(&format!("{{\"count\":{text}}}"));
            assert!(object.integer("count").is_err(), "{text}");
        }
    }

    #[test]
    fn other_things_are_no_strings() {
        for text in ["1", "true", "[\"a\"]", "{\"a\":\"b\"}"] {
            let object = parse(&format!("{{\"user\":{text}}}"));
            let wanted = "a string";
            let name = "user";
            assert_eq!(
                object.string("user"),
                Err(MemberError::Type { name, wanted })
            );
        }
    }

    #[test]
    fn the_root_is_an_object() {
        for body in ["[]", "1", "\"a\"", "null", "true", "[{\"user\":\"a\"}]"] {
            let error = Object::parse(body.as_bytes()).unwrap_err();
            assert!(matches!(error, JsonError::NotAnObject), "{body}: {error:?}");
        }
    }

    #[test]
    fn what_is_no_unicode_is_refused() {
        let error = Object::parse(b"{\"user\":\"\xff\"}").unwrap_err();
        assert!(matches!(error, JsonError::Encoding(_)), "{error:?}");
        assert!(Object::parse(br#"{"user":"\ud800"}"#).is_err());
        assert_eq!(parse(r#"{"user":"\ud83d\ude00"}"#).string("user"), Ok("😀"));
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| {
            let arrays = depth - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(arrays), "]".repeat(arrays))
        };
        assert!(Object::parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        let error = Object::parse(nested(DEPTH_MAX + 1).as_bytes()).unwrap_err();
        assert!(matches!(error, JsonError::TooDeep), "{error:?}");
        let error = Object::parse("[".repeat(1 << 20).as_bytes()).unwrap_err();
        assert!(matches!(error, JsonError::TooDeep), "{error:?}");
        let text = format!("{{\"a\":\"{}\"}}", "[".repeat(1000));
        assert!(Object::parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn blocks_that_never_close_cost_one_look() {
        // With a look at each of them this would be a hundred thousand million steps.
        let body = format!("{{{}", "/* ".repeat(350_000));
        assert!(Object::parse(body.as_bytes()).is_err());
        let mixed = format!("{{\"user\":/* a */\"b\"}} {}", "/*".repeat(100));
        assert!(Object::parse(mixed.as_bytes()).is_err());
    }

    #[test]
    fn only_known_members_are_kept() {
        let body = format!("{{\"x\":[{}0],\"user\":\"a\"}}", "0,".repeat(100_000));
        let object = parse(&body);
        assert_eq!(object.0.len(), 1);
        assert_eq!(object.string("user"), Ok("a"));
    }
}
