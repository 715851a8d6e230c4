//! Bodies that break a rule or a limit, in either family.

use super::*;
use crate::dialect::image_host::form::{FIELD_LEN_MAX, HEAD_LEN_MAX, PARTS_MAX};
use crate::http::multipart::{FIRST_LINE_LEN_MAX, FirstLineTooLong, HeadError};

const FILE: &str =
    "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nabc\r\n";
const END: &str = "--x--\r\n";

fn field(name: &str, value: &str) -> String {
    format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

/// Long bodies are not cut everywhere, only in two ways.
fn read_twice(body: &str) -> Result<Upload, FormError> {
    let whole = read(None, [body.as_bytes()]);
    assert_eq!(read(None, body.as_bytes().chunks(1)), whole);
    whole
}

#[test]
fn two_files_are_refused_and_none_too() {
    let two = format!("{FILE}{FILE}{END}");
    assert_eq!(check(None, two.as_bytes()), Err(FormError::TwoFiles));
    let none = format!("{}{END}", field("user", "a"));
    assert_eq!(check(None, none.as_bytes()), Err(FormError::NoFile));
    assert_eq!(check(None, b""), Err(FormError::MissingEnd));
}

#[test]
fn a_body_without_its_end_is_refused() {
    let whole = format!("{FILE}{}--x--", field("user", "a"));
    for len in 0..whole.len() {
        let cut = read(None, [&whole.as_bytes()[..len]]);
        assert_eq!(cut, Err(FormError::MissingEnd), "{len}");
    }
    assert!(check(None, whole.as_bytes()).is_ok());
    for end in ["", "--x", "--x\r\n", "--x-", "--y--"] {
        let body = format!("{FILE}{}{end}", field("user", "a"));
        assert_eq!(check(None, body.as_bytes()), Err(FormError::MissingEnd));
    }
}

#[test]
fn a_size_that_differs_is_refused() {
    for (size, error) in [
        ("2", Some((2, 3))),
        ("4", Some((4, 3))),
        ("3", None),
        ("003", None),
    ] {
        let expected = error.map(|(announced, received)| FormError::SizeMismatch {
            announced,
            received,
        });
        for body in [
            format!("{FILE}{}{END}", field("size", size)),
            format!("{}{FILE}{END}", field("size", size)),
        ] {
            assert_eq!(check(None, body.as_bytes()).err(), expected, "{size}");
        }
    }
    for size in ["", " 3", "-3", "3.0", "three", "99999999999999999999"] {
        let body = format!("{FILE}{}{END}", field("size", size));
        let error = check(None, body.as_bytes());
        assert_eq!(error, Err(FormError::SizeNotANumber), "{size}");
    }
}

#[test]
fn a_value_that_is_given_twice_is_refused() {
    for name in [
        FieldName::User,
        FieldName::Md5,
        FieldName::Token,
        FieldName::Size,
    ] {
        let field = field(name.as_str(), "3");
        let body = format!("{FILE}{field}{field}{END}");
        assert_eq!(check(None, body.as_bytes()), Err(FormError::Repeated(name)));
    }
}

#[test]
fn a_value_in_another_encoding_is_refused() {
    let (before, behind) = (format!("{FILE}--x\r\n"), format!("\r\n{END}"));
    let body = [
        before.as_bytes(),
        b"Content-Disposition: form-data; name=\"user\"\r\n\r\n\xd5\xc5",
        behind.as_bytes(),
    ]
    .concat();
    let error = check(None, &body);
    assert_eq!(error, Err(FormError::FieldEncoding(FieldName::User)));
}

#[test]
fn the_first_line_has_a_limit() {
    for (len, is_sound) in [(FIRST_LINE_LEN_MAX, true), (FIRST_LINE_LEN_MAX + 1, false)] {
        let delimiter = "-".repeat(len);
        for line_end in ["\r\n", "\n"] {
            let body = format!(
                "{delimiter}{line_end}Content-Disposition: form-data; filename=a\r\n\r\nx\r\n{delimiter}--"
            );
            let error = read_twice(&body).err();
            let expected = (!is_sound).then_some(FormError::FirstLine(FirstLineTooLong));
            assert_eq!(error, expected, "{len}");
        }
    }
    let endless = "x".repeat(100_000);
    assert_eq!(
        read_twice(&endless),
        Err(FormError::FirstLine(FirstLineTooLong))
    );
}

#[test]
fn a_first_line_that_is_no_delimiter_is_refused() {
    for body in ["\r\nx", "\n\n", "a\rb\n", "a\0\n", "图\n", "\x7f\n"] {
        assert_eq!(check(None, body.as_bytes()), Err(FormError::Delimiter));
    }
}

#[test]
fn header_lines_have_a_limit() {
    let with_head = |filler_len: usize| {
        let filler = "f".repeat(filler_len);
        let head = format!("Content-Disposition: form-data; filename=a\r\nX: {filler}\r\n\r\n");
        (head.len(), format!("--x\r\n{head}abc\r\n{END}"))
    };
    let (base_len, _) = with_head(0);
    let (len, body) = with_head(HEAD_LEN_MAX - base_len);
    assert_eq!(len, HEAD_LEN_MAX);
    assert!(read_twice(&body).is_ok());
    let (_, body) = with_head(HEAD_LEN_MAX - base_len + 1);
    assert_eq!(read_twice(&body), Err(FormError::Head(HeadError::TooLong)));
    let many = format!("--x\r\n{}", "a: b\r\n".repeat(10_000));
    assert_eq!(read_twice(&many), Err(FormError::Head(HeadError::TooLong)));
    let endless = format!("--x\r\n{}", "a".repeat(100_000));
    assert_eq!(
        read_twice(&endless),
        Err(FormError::Head(HeadError::TooLong))
    );
}

#[test]
fn parts_that_do_not_say_what_they_are_are_refused() {
    for (head, error) in [
        ("", FormError::Head(HeadError::NoDisposition)),
        (
            "Content-Type: text/plain\r\n",
            FormError::Head(HeadError::NoDisposition),
        ),
        ("no colon\r\n", FormError::Head(HeadError::Line)),
        ("Content-Disposition: form-data\r\n", FormError::NoName),
        (
            "Content-Disposition: attachment; filename=a\r\n",
            FormError::NotFormData,
        ),
        ("Content-Disposition:\r\n", FormError::NotFormData),
        (
            "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n",
            FormError::Head(HeadError::TwoDispositions),
        ),
        (
            "Content-Disposition: form-data; name=\"a\r\n",
            FormError::Unterminated,
        ),
        (
            "Content-Disposition: form-data; name=a; name=b\r\n",
            FormError::RepeatedParameter,
        ),
    ] {
        let body = format!("--x\r\n{head}\r\nabc\r\n{END}");
        assert_eq!(check(None, body.as_bytes()), Err(error), "{head}");
    }
}

#[test]
fn parts_have_a_limit() {
    let body = |count: usize| format!("{FILE}{}{END}", field("other", "").repeat(count - 1));
    assert!(read_twice(&body(PARTS_MAX)).is_ok());
    assert_eq!(
        read_twice(&body(PARTS_MAX + 1)),
        Err(FormError::TooManyParts)
    );
}

#[test]
fn values_have_a_limit() {
    for name in ["user", "other"] {
        let body = |len: usize| format!("{FILE}{}{END}", field(name, &"v".repeat(len)));
        assert!(read_twice(&body(FIELD_LEN_MAX)).is_ok());
        let longer = read_twice(&body(FIELD_LEN_MAX + 1));
        assert_eq!(longer, Err(FormError::FieldTooLong), "{name}");
    }
}
