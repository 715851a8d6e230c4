//! Query strings: `name=value` pairs, decoded like a browser's `URLSearchParams`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The decoded value of the first pair named `name`; invalid UTF-8 is replaced.
pub fn value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| decode(value))
    })
}

fn decode(value: &str) -> Cow<'_, str> {
    if value.contains('+') {
        let spaced = value.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8_lossy();
        Cow::Owned(decoded.into_owned())
    } else {
        percent_decode_str(value).decode_utf8_lossy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pair_of_a_name_wins_and_is_decoded() {
        let query = "ts=1&filename=a%20b+c%2Bd.txt&ts=2&flag";
        assert_eq!(value(query, "ts").as_deref(), Some("1"));
        assert_eq!(value(query, "filename").as_deref(), Some("a b c+d.txt"));
        assert_eq!(value(query, "flag").as_deref(), Some(""));
        assert_eq!(value(query, "name"), None);
        assert_eq!(value("x=%ff%zz", "x").as_deref(), Some("\u{fffd}%zz"));
    }
}
