//! Conditional requests, in the order of RFC 9110 §13.2.2.

use std::time::UNIX_EPOCH;

use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

/// What identifies the bytes that a request would get.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The entity tag with its quotes; always a strong one.
    pub etag: &'a [u8],
    /// Unix seconds of the last change.
    pub last_modified: u32,
    /// Whether no two contents share a `last_modified`, so that a date may select a range.
    pub date_is_strong: bool,
}

/// What the conditions of a GET or HEAD come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answer as if there were none.
    Proceed,
    /// 304: the client has these bytes already.
    NotModified,
    /// 412: the client wants other bytes than these.
    Failed,
}

/// Evaluates everything but `If-Range`.
pub fn evaluate(headers: &HeaderMap, validators: &Validators<'_>) -> Outcome {
    let since = |name| date(headers, name);
    let passes = if headers.contains_key(IF_MATCH) {
        matches_any(headers, &IF_MATCH, validators.etag, Comparison::Strong)
    } else {
        since(&IF_UNMODIFIED_SINCE).is_none_or(|date| u64::from(validators.last_modified) <= date)
    };
    if !passes {
        return Outcome::Failed;
    }
    let has_them = if headers.contains_key(IF_NONE_MATCH) {
        matches_any(headers, &IF_NONE_MATCH, validators.etag, Comparison::Weak)
    } else {
        since(&IF_MODIFIED_SINCE).is_some_and(|date| u64::from(validators.last_modified) <= date)
    };
    if has_them {
        Outcome::NotModified
    } else {
        Outcome::Proceed
    }
}

/// Whether `If-None-Match` names the bytes with this entity tag: for what has no other validator.
pub fn none_match_has(headers: &HeaderMap, etag: &[u8]) -> bool {
    matches_any(headers, &IF_NONE_MATCH, etag, Comparison::Weak)
}

/// Whether `If-Range` lets the `Range` header apply; without `If-Range` it does.
///
/// Anything but the exact strong validator means that the client's half is of other bytes.
pub fn range_applies(headers: &HeaderMap, validators: &Validators<'_>) -> bool {
    let Some(value) = headers.get(IF_RANGE) else {
        return true;
    };
    let value = value.as_bytes().trim_ascii();
    if value.contains(&b'"') {
        return value == validators.etag;
    }
    validators.date_is_strong && parse_date(value) == Some(u64::from(validators.last_modified))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// A tag marked weak matches nothing.
    Strong,
    /// The mark is overlooked.
    Weak,
}

fn matches_any(headers: &HeaderMap, name: &HeaderName, etag: &[u8], how: Comparison) -> bool {
    headers
        .get_all(name)
        .iter()
        .any(|value| list_matches(value.as_bytes(), etag, how))
}

/// Whether a list of entity tags, or `*`, has one that matches. A malformed rest matches nothing.
fn list_matches(list: &[u8], etag: &[u8], how: Comparison) -> bool {
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    loop {
        rest = rest.trim_ascii_start();
        if let Some(next) = rest.strip_prefix(b",") {
            rest = next;
            continue;
        }
        let strong = !rest.starts_with(b"W/");
        let quoted = rest.strip_prefix(b"W/").unwrap_or(rest);
        // A tag may contain commas, so the list is split at quotes.
        let closing = match quoted.split_first() {
            Some((b'"', tag)) => tag.iter().position(|byte| *byte == b'"'),
            _ => None,
        };
        let Some((tag, next)) = closing.and_then(|at| quoted.split_at_checked(at + 2)) else {
            return false;
        };
        if tag == etag && (strong || how == Comparison::Weak) {
            return true;
        }
        rest = next;
    }
}

/// A date header in Unix seconds. Several or malformed ones count as none (RFC 9110 §13.1.3).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse_date(value.as_bytes()),
        _ => None,
    }
}

fn parse_date(value: &[u8]) -> Option<u64> {
    let date = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &[u8] = b"\"a,b\"";
    /// The second of `LAST_MODIFIED`.
    const TIME: u32 = 784_111_777;
    const LAST_MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        headers
    }

    fn check(fields: &[(&str, &str)], expected: Outcome) {
        let validators = Validators {
            etag: ETAG,
            last_modified: TIME,
            date_is_strong: true,
        };
        assert_eq!(
            evaluate(&headers(fields), &validators),
            expected,
            "{fields:?}"
        );
    }

    #[test]
    fn entity_tags_decide_before_dates() {
        use Outcome::{Failed, NotModified, Proceed};
        check(&[], Proceed);
        for value in [
            "*",
            "\"a,b\"",
            "W/\"a,b\"",
            "\"x\", W/\"y\" ,\"a,b\"",
            ",\"a,b\",",
        ] {
            check(&[("if-none-match", value)], NotModified);
        }
        for value in [
            "\"x\"",
            "a,b",
            "\"a\",\"b\"",
            "\"a,b",
            "",
            "*,",
            "w/\"a,b\"",
        ] {
            check(&[("if-none-match", value)], Proceed);
        }
        check(
            &[("if-none-match", "\"x\""), ("if-none-match", "\"a,b\"")],
            NotModified,
        );
        check(
            &[("if-none-match", "\"x\""), ("if-modified-since", AFTER)],
            Proceed,
        );
        check(&[("if-match", "\"a,b\"")], Proceed);
        check(&[("if-match", "*")], Proceed);
        check(&[("if-match", "W/\"a,b\"")], Failed);
        check(&[("if-match", "\"x\""), ("if-none-match", "*")], Failed);
        check(
            &[("if-match", "*"), ("if-unmodified-since", BEFORE)],
            Proceed,
        );
    }

    #[test]
    fn dates_compare_whole_seconds() {
        use Outcome::{Failed, NotModified, Proceed};
        check(&[("if-modified-since", LAST_MODIFIED)], NotModified);
        check(&[("if-modified-since", AFTER)], NotModified);
        check(&[("if-modified-since", BEFORE)], Proceed);
        check(&[("if-modified-since", "yesterday")], Proceed);
        check(
            &[("if-modified-since", AFTER), ("if-modified-since", AFTER)],
            Proceed,
        );
        check(&[("if-unmodified-since", BEFORE)], Failed);
        check(&[("if-unmodified-since", LAST_MODIFIED)], Proceed);
    }

    #[test]
    fn a_range_applies_only_to_the_very_same_bytes() {
        let applies = |value: Option<&str>, date_is_strong| {
            let fields: Vec<_> = value.map(|value| ("if-range", value)).into_iter().collect();
            range_applies(
                &headers(&fields),
                &Validators {
                    etag: ETAG,
                    last_modified: TIME,
                    date_is_strong,
                },
            )
        };
        assert!(applies(None, false));
        assert!(applies(Some("\"a,b\""), false));
        assert!(!applies(Some("W/\"a,b\""), true));
        assert!(!applies(Some("\"x\""), true));
        assert!(applies(Some(LAST_MODIFIED), true));
        assert!(!applies(Some(LAST_MODIFIED), false));
        assert!(!applies(Some(AFTER), true));
        assert!(!applies(Some("*"), true));
    }
}
