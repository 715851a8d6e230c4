//! What separates the parts: three readings of the first line, in this order.
//!
//! 1. the standard's: two dashes and the boundary of the Content-Type
//! 2. the boundary alone
//! 3. whatever line begins with a dash

/// The delimiter of a body with this first line, which has no line end; `boundary` is that of the
/// Content-Type. Nothing if the line is none.
pub(super) fn of_first_line(line: &[u8], boundary: Option<&str>) -> Option<Vec<u8>> {
    // Blanks behind a delimiter are padding (RFC 2046 §5.1.1).
    let trimmed = line.trim_ascii_end();
    let boundary = boundary.map(str::as_bytes);
    let is_standard =
        boundary.is_some_and(|boundary| trimmed.strip_prefix(b"--") == Some(boundary));
    if is_standard || boundary == Some(trimmed) {
        return Some(trimmed.to_vec());
    }
    let is_printable = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
    (line.starts_with(b"-") && is_printable).then(|| line.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, boundary: Option<&str>, expected: Option<&str>) {
        let found = of_first_line(line.as_bytes(), boundary);
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{line}");
    }

    #[test]
    fn the_three_readings_are_tried_in_order() {
        check("--x", Some("x"), Some("--x"));
        check("--x \t", Some("x"), Some("--x"));
        check("x", Some("x"), Some("x"));
        check("--x", Some("--x"), Some("--x"));
        check("-----5GI3", Some("-----5G13"), Some("-----5GI3"));
        check("-----5GI3", None, Some("-----5GI3"));
        check("-", None, Some("-"));
    }

    #[test]
    fn other_lines_are_no_delimiters() {
        check("", Some("x"), None);
        check("", None, None);
        check("x", Some("y"), None);
        check("Content-Disposition: form-data", None, None);
        check("-\u{1}", None, None);
        check("-图", None, None);
    }
}
