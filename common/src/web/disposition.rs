//! `Content-Disposition`: whether a blob is saved, and under which name, from its type and from
//! `?filename=` or `?attname=`. Source: RFC 6266, RFC 8187.

use std::fmt::Write as _;

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::content_type::Presentation;
use super::query;
use crate::limits;

/// Everything but RFC 8187's `attr-char`.
const EXT_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The header, or `None` if the blob is to be shown.
///
/// A query that gives a name asks for saving, whatever the type; `filename` wins over `attname`.
pub fn of(query: Option<&str>, presentation: Presentation) -> Option<HeaderValue> {
    match (query.and_then(of_query), presentation) {
        (Some(value), _) => Some(value),
        (None, Presentation::Attachment) => Some(HeaderValue::from_static("attachment")),
        (None, Presentation::Inline) => None,
    }
}

fn of_query(query: &str) -> Option<HeaderValue> {
    let name = query::value(query, "filename").or_else(|| query::value(query, "attname"))?;
    Some(attachment(&name))
}

/// `attachment` with `name` made harmless: no control characters, no directories, no characters that
/// turn the reading direction (they disguise extensions), at most
/// [`limits::HTTP_FILE_NAME_LEN_MAX`] bytes.
fn attachment(name: &str) -> HeaderValue {
    let name = harmless(name);
    let plain: String = name
        .chars()
        .map(|c| match c {
            // Browsers disagree on escapes inside quotes and on percent signs.
            '"' | '\\' | '%' => '_',
            ' '..='~' => c,
            _ => '_',
        })
        .collect();
    let mut value = String::from("attachment");
    if !name.is_empty() {
        let _ = write!(value, "; filename=\"{plain}\"");
        if plain != name {
            let encoded = utf8_percent_encode(&name, EXT_VALUE);
            let _ = write!(value, "; filename*=UTF-8''{encoded}");
        }
    }
    // Only visible ASCII was written, so the fallback never happens.
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"))
}

fn harmless(name: &str) -> String {
    let mut kept = String::new();
    for c in name.chars() {
        if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            continue;
        }
        if limits::HTTP_FILE_NAME_LEN_MAX < kept.len() + c.len_utf8() {
            break;
        }
        kept.push(if matches!(c, '/' | '\\') { '_' } else { c });
    }
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(query: &str, expected: &str) {
        assert_eq!(of_query(query).unwrap().to_str().unwrap(), expected);
    }

    #[test]
    fn names_get_an_ascii_fallback_and_a_utf8_form() {
        check("filename=a.txt", "attachment; filename=\"a.txt\"");
        check("attname=a%20b.txt", "attachment; filename=\"a b.txt\"");
        check("attname=b&filename=a", "attachment; filename=\"a\"");
        check("filename=", "attachment");
        check(
            "filename=%E6%96%87%E4%BB%B6.txt",
            "attachment; filename=\"__.txt\"; filename*=UTF-8''%E6%96%87%E4%BB%B6.txt",
        );
        check(
            "filename=50%25%22.txt",
            "attachment; filename=\"50__.txt\"; filename*=UTF-8''50%25%22.txt",
        );
        assert_eq!(of_query("name=a"), None);
    }

    #[test]
    fn a_type_that_is_not_shown_is_saved_with_or_without_a_name() {
        use Presentation::{Attachment, Inline};
        for (query, presentation, expected) in [
            (None, Inline, None),
            (Some("token=x"), Inline, None),
            (None, Attachment, Some("attachment")),
            (Some("token=x"), Attachment, Some("attachment")),
            (
                Some("filename=a"),
                Inline,
                Some("attachment; filename=\"a\""),
            ),
            (
                Some("filename=a"),
                Attachment,
                Some("attachment; filename=\"a\""),
            ),
        ] {
            let value = of(query, presentation);
            let value = value.as_ref().map(|value| value.to_str().unwrap());
            assert_eq!(value, expected);
        }
    }

    #[test]
    fn nothing_can_be_injected() {
        check(
            "filename=a%0d%0aSet-Cookie:%20x=1%00",
            "attachment; filename=\"aSet-Cookie: x=1\"",
        );
        check(
            "filename=..%2f..%5cetc",
            "attachment; filename=\".._.._etc\"",
        );
        check(
            "filename=x%E2%80%AEgpj.exe",
            "attachment; filename=\"xgpj.exe\"",
        );
    }

    proptest! {
        #[test]
        fn any_query_gives_a_short_visible_header(name in any::<String>(), raw in "[ -~]{0,400}") {
            for value in [attachment(&name), attachment(&raw)] {
                let text = value.to_str().unwrap();
                prop_assert!(text.len() < 60 + 4 * limits::HTTP_FILE_NAME_LEN_MAX);
                prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
            of_query(&raw);
        }
    }
}
