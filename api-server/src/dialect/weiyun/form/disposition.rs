//! The name of a part, from its Content-Disposition.
//!
//! Flash writes file names in the encoding of the machine and escapes nothing, so that the line is
//! read as bytes, and only as far as it names the part.

/// What is known of a part by its name, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartName {
    /// The content.
    File,
    /// How the answer is to be written.
    Charset,
    /// Documented or not, it says nothing.
    Other,
}

impl PartName {
    /// The name that stands behind the colon of the line; nothing if there is none.
    pub(super) fn of_disposition(line: &[u8]) -> Option<Self> {
        const KIND: &[u8] = b"form-data";
        let (kind, mut rest) = line.trim_ascii().split_at_checked(KIND.len())?;
        if !kind.eq_ignore_ascii_case(KIND) {
            return None;
        }
        loop {
            let separators = rest
                .iter()
                .take_while(|byte| b" \t;".contains(byte))
                .count();
            rest = rest.get(separators..)?;
            let equals = memchr::memchr(b'=', rest)?;
            let (name, value) = rest.split_at(equals);
            let (value, behind) = split_value(value.get(1..)?.trim_ascii_start());
            if name.trim_ascii().eq_ignore_ascii_case(b"name") {
                return Some(Self::of_name(value));
            }
            rest = behind;
        }
    }

    fn of_name(name: &[u8]) -> Self {
        if name.eq_ignore_ascii_case(b"file") {
            Self::File
        } else if name.eq_ignore_ascii_case(b"resp_charset") {
            Self::Charset
        } else {
            Self::Other
        }
    }
}

/// Splits a value off: up to the quote that closes it, which a separator or nothing follows, or up to
/// the next separator.
fn split_value(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let ends = |byte: &u8| matches!(byte, b';' | b' ' | b'\t');
        let len = text.iter().position(ends).unwrap_or(text.len());
        return text.split_at(len);
    };
    let closing = memchr::memchr_iter(b'"', quoted).find(|at| {
        let behind = quoted.get(at + 1..).unwrap_or_default().trim_ascii_start();
        behind.is_empty() || behind.starts_with(b";")
    });
    let (value, behind) = quoted.split_at(closing.unwrap_or(quoted.len()));
    (value, behind.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], expected: Option<PartName>) {
        assert_eq!(PartName::of_disposition(line), expected, "{line:?}");
    }

    #[test]
    fn names_are_read_in_any_case_and_place() {
        check(
            b" form-data; name=\"file\"; filename=\"test.txt\"",
            Some(PartName::File),
        );
        check(b"form-data;name=FILE", Some(PartName::File));
        check(
            b"Form-Data; filename=\"a; name=x.txt\"; Name=\"File\"",
            Some(PartName::File),
        );
        check(
            b"form-data; filename=\"a\"b.txt\" ; name = \"file\"",
            Some(PartName::File),
        );
        check(b"form-data; name=\"Resp_Charset\"", Some(PartName::Charset));
        check(b"form-data; name=\"Filename\"", Some(PartName::Other));
        check(b"form-data; name=\"\"", Some(PartName::Other));
        // A file name in GBK.
        check(
            b"form-data; filename=\"\xcd\xbc.jpg\"; name=\"file\"",
            Some(PartName::File),
        );
    }

    #[test]
    fn parts_without_a_name_have_none() {
        check(b"", None);
        check(b"form-data", None);
        check(b"form-data;;;", None);
        check(b"form-data; filename=\"name\"", None);
        check(b"attachment; name=\"file\"", None);
        check(b"form-data; name", None);
    }
}
