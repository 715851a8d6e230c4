//! The document's own format, in all forms that clients send.

use md5::{Digest as _, Md5};

use super::*;

/// The delimiter of the document's example.
const DELIMITER: &str = "------WebKitFormBoundarynHRBTFoUv<p3Tewg";

/// The content of the document's example, with the braces, blank lines and indents that printing lost.
const SAMPLE: &str = "#include \"mainwindow.h\"\r\n\
    #include <QApplication>\r\n\
    #include \"login.h\"\r\n\
    \r\n\
    int main(int argc, char *argv[])\r\n\
    {\r\n\
    \x20   QApplication a(argc, argv);\r\n\
    \x20   Login w;\r\n\
    \x20   w.show();\r\n\
    \r\n\
    \x20   return a.exec();\r\n\
    }\r\n";
const SAMPLE_MD5: &str = "5f2a390a60cb3d51355469fea61efa0b";

/// A body with this disposition, content, and bytes behind the closing delimiter.
fn body(parameters: &str, content: &[u8], tail: &str) -> Vec<u8> {
    let head = format!(
        "{DELIMITER}\r\nContent-Disposition: form-data{parameters}\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let end = format!("\r\n{DELIMITER}{tail}");
    [head.as_bytes(), content, end.as_bytes()].concat()
}

/// The upload that a disposition with these parameters means, with content of four bytes.
fn upload(parameters: &str) -> Result<Upload, FormError> {
    check(None, &body(parameters, b"abcd", ""))
}

#[test]
fn the_example_of_the_document_has_the_printed_size_and_md5() {
    let sent = body(
        &format!("; user=\"qingfu\" filename=\"main.cpp\" md5=\"{SAMPLE_MD5}\" size=198"),
        SAMPLE.as_bytes(),
        "",
    );
    let upload = check(Some("application/octet-stream"), &sent).unwrap();
    assert_eq!(upload.content.len(), 198);
    let digest = u128::from_be_bytes(Md5::digest(&upload.content).into());
    assert_eq!(format!("{digest:032x}"), SAMPLE_MD5);
    let form = Form {
        file_name: "main.cpp".to_owned(),
        values: Values {
            md5: Some(SAMPLE_MD5.to_owned()),
            size: Some(198),
            ..values("qingfu")
        },
    };
    assert_eq!((&upload.form, &upload.begun), (&form, &form));
    assert_eq!(upload.fields, []);
}

#[test]
fn the_type_of_the_request_does_not_matter() {
    let sent = body("; user=\"a\" filename=\"b\" size=1", b"x", "");
    for content_type in [
        None,
        Some(""),
        Some("application/octet-stream"),
        Some("application/json"),
        Some("application/json; boundary=other"),
        Some("multipart/form-data"),
        Some("multipart/form-data;"),
        Some("multipart/form-data; boundary="),
        Some("multipart/form-data; boundary"),
        Some("multipart/form-data; charset=utf-8"),
    ] {
        let upload = check(content_type, &sent).unwrap();
        assert_eq!(upload.content, b"x", "{content_type:?}");
    }
}

#[test]
fn the_end_may_have_dashes_and_a_line_end() {
    for size in [" size=4", ""] {
        for tail in ["", "--", "\r\n", "--\r\n", "\n", "--\n"] {
            let sent = body(&format!("; user=\"a\" filename=\"b\"{size}"), b"abcd", tail);
            let upload = check(None, &sent).unwrap();
            assert_eq!(upload.content, b"abcd", "{size} {tail:?}");
        }
        for tail in [
            "-", "---", "--x", "x", "\r", "\r\n\r\n", "--\r", "--\r\nx", " ", "\r\n--", "\0",
        ] {
            let sent = body(&format!("; user=\"a\" filename=\"b\"{size}"), b"abcd", tail);
            let error = check(None, &sent).unwrap_err();
            let known = matches!(error, FormError::NotAtEnd | FormError::MissingEnd);
            assert!(known, "{size} {tail:?}: {error}");
        }
    }
}

#[test]
fn parameters_may_be_separated_and_ordered_in_any_way() {
    for parameters in [
        "; user=\"a\" filename=\"b.c\" md5=\"M\" size=4",
        "; user=\"a\"; filename=\"b.c\"; md5=\"M\"; size=4",
        "; user=\"a\";filename=\"b.c\";md5=\"M\";size=4",
        ";user=\"a\" filename=\"b.c\" md5=\"M\" size=4",
        ";user=\"a\";filename=\"b.c\";md5=\"M\";size=4;",
        "; user = \"a\"  filename =\"b.c\"\tmd5= \"M\" size = 4 ",
        "; size=4 md5=\"M\" filename=\"b.c\" user=\"a\"",
        "; size=\"4\"; md5=\"M\"; filename=\"b.c\"; user=\"a\"",
        "; user=\"a\" filename=\"b.c\" md5=\"M\" size=\"4\"",
        "; user=\"a\" filename=\"b.c\" md5=\"M\" size=\"4",
        "; user=\"a\" size=\"4 filename=\"b.c\" md5=\"M\"",
        "; name=\"file\"; user=\"a\"; filename=\"b.c\"; md5=\"M\"; size=4",
        "; user=a filename=b.c md5=M size=4",
        "; user=a; filename=b.c; md5=M; size=4",
        " user=\"a\" filename=\"b.c\" md5=\"M\" size=4",
        "; USER=\"a\" fileName=\"b.c\" MD5=\"M\" Size=4",
        "; user=\"a\" file_name=\"b.c\" md5=\"M\" size=4",
        "; word user=\"a\" filename=\"b.c\" md5=\"M\" size=4 word",
    ] {
        let upload = upload(parameters).unwrap_or_else(|error| panic!("{parameters}: {error}"));
        let expected = Values {
            md5: Some("M".to_owned()),
            size: Some(4),
            ..values("a")
        };
        assert_eq!(upload.form.values, expected, "{parameters}");
        assert_eq!(upload.form.file_name, "b.c", "{parameters}");
        assert_eq!(upload.content, b"abcd", "{parameters}");
    }
}

#[test]
fn a_token_may_stand_in_the_line() {
    let upload = upload(&format!("; user=\"a\" filename=\"b\" token=\"{MD5}\"")).unwrap();
    assert_eq!(upload.form.values.token.as_deref(), Some(MD5));
    assert!(
        !format!("{upload:?}").contains(MD5),
        "tokens are not printed"
    );
    let field = Event::Field(FieldName::Token, MD5.to_owned());
    assert_eq!(format!("{field:?}"), "Field(token)");
}

#[test]
fn names_with_quotes_and_separators_survive() {
    for name in [
        "a\"b.txt",
        "a;b.txt",
        "a; b.txt",
        "a\" b.txt",
        "a\"; b.txt",
        "a\" size matters.txt",
        "a\" sizes=3.txt",
        "\"a\"",
        "a b c",
        "user=x size=3",
        "",
        "a\\\"b\\",
        "%22%0D%41+",
        "../../etc/passwd",
        "C:\\dir\\a.txt",
        "图片 😀.png",
        "a'b`c<d>",
    ] {
        for parameters in [
            format!("; user=\"a\" filename=\"{name}\" md5=\"M\" size=4"),
            format!("; user=\"a\"; filename=\"{name}\"; size=4; md5=\"M\""),
            format!("; md5=\"M\" size=4 user=\"a\" filename=\"{name}\""),
            format!("; md5=\"M\"; user=\"a\"; filename=\"{name}\" ; "),
        ] {
            let upload =
                upload(&parameters).unwrap_or_else(|error| panic!("{parameters}: {error}"));
            assert_eq!(upload.form.file_name, name, "{parameters}");
            assert_eq!(upload.form.values.user.as_deref(), Some("a"));
        }
    }
}

#[test]
fn extended_names_are_preferred() {
    let parameters = "; user=\"a\" filename=\"b\" filename*=UTF-8''%E5%9B%BE.png size=4";
    assert_eq!(upload(parameters).unwrap().form.file_name, "图.png");
}

#[test]
fn a_line_of_the_local_code_page_is_read() {
    let gb18030 = |text: &str| encoding_rs::GB18030.encode(text).0.into_owned();
    let line = gb18030("user=\"张三\" filename=\"图片㐀😀.png\" size=1");
    assert!(std::str::from_utf8(&line).is_err());
    let sent = [
        b"--x\r\nContent-Disposition: form-data; ".as_slice(),
        &line,
        b"\r\n\r\nc\r\n--x",
    ]
    .concat();
    let upload = check(None, &sent).unwrap();
    assert_eq!(upload.form.file_name, "图片㐀😀.png");
    assert_eq!(upload.form.values.user.as_deref(), Some("张三"));
}

#[test]
fn a_line_in_no_known_encoding_is_refused() {
    let sent = b"--x\r\nContent-Disposition: form-data; user=\"a\" filename=\"\xff\xff\" size=1\r\n\r\nc\r\n--x";
    assert_eq!(check(None, sent), Err(FormError::Encoding));
}

#[test]
fn every_boundary_that_clients_draw_is_taken_as_it_is() {
    // Some draw from the whole range of ASCII from 0 to y.
    let drawn: String = ('0'..='y').collect();
    for delimiter in [
        format!("------WebKitFormBoundary{drawn}"),
        format!("--{}", "x".repeat(198)),
        "------".to_owned(),
        "x".to_owned(),
        "-- a b ".to_owned(),
    ] {
        for size in ["", " size=1"] {
            let sent = format!(
                "{delimiter}\r\nContent-Disposition: form-data; user=\"a\" filename=\"b\"{size}\r\n\
                 \r\nc\r\n{delimiter}"
            );
            let upload = check(None, sent.as_bytes()).unwrap();
            assert_eq!(upload.content, b"c", "{delimiter}");
        }
    }
}

#[test]
fn a_multipart_class_may_send_the_same_line() {
    let boundary = "boundary_.oOo._MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";
    for size in ["", "; size=4"] {
        let sent = format!(
            "--{boundary}\r\n\
             Content-Type: application/octet-stream\r\n\
             Content-Disposition: form-data; user=\"a\"; filename=\"b\"; md5=\"M\"{size}\r\n\
             \r\nabcd\r\n--{boundary}--\r\n"
        );
        for quote in ["\"", ""] {
            let content_type = format!("multipart/mixed; boundary={quote}{boundary}{quote}");
            let upload = check(Some(&content_type), sent.as_bytes()).unwrap();
            assert_eq!(upload.content, b"abcd");
        }
    }
}

#[test]
fn header_lines_may_end_with_a_bare_line_feed_and_have_any_case() {
    for size in ["", " size=1"] {
        let sent = format!(
            "--x\ncontent-type: text/plain\nCONTENT-DISPOSITION:Form-Data; user=\"a\" \
             filename=\"b\"{size}\n\nc\r\n--x"
        );
        assert_eq!(check(None, sent.as_bytes()).unwrap().content, b"c");
    }
}

#[test]
fn content_of_announced_size_may_be_anything() {
    let traps: [&[u8]; 8] = [
        b"",
        b"\r\n",
        b"\r\n\r\n\0\0\r\n",
        b"\r\n------WebKitFormBoundarynHRBTFoUv<p3Tewg",
        b"\r\n------WebKitFormBoundarynHRBTFoUv<p3Tewg--\r\n",
        b"\r\n------WebKitFormBoundarynHRBTFoUv<p3Tewg\r\n------WebKitFormBoundarynHRBTFoUv<p3Tewg",
        b"------WebKitFormBoundarynHRBTFoUv<p3Tewg\r\n",
        b"\r",
    ];
    for content in traps {
        let parameters = format!("; user=\"a\" filename=\"b\" size={}", content.len());
        let upload = check(None, &body(&parameters, content, "--\r\n")).unwrap();
        assert_eq!(upload.content, content);
        // Without a size, the last delimiter ends the content.
        let sent = body("; user=\"a\" filename=\"b\"", content, "");
        assert_eq!(check(None, &sent).unwrap().content, content);
    }
}

#[test]
fn announced_sizes_that_are_wrong_are_refused() {
    for (size, error) in [
        ("3", FormError::NotAtEnd),
        ("5", FormError::NotAtEnd),
        ("0", FormError::NotAtEnd),
        ("46", FormError::MissingEnd),
        ("47", FormError::MissingEnd),
        ("18446744073709551615", FormError::MissingEnd),
        ("18446744073709551616", FormError::SizeNotANumber),
        ("-4", FormError::SizeNotANumber),
        ("+4", FormError::SizeNotANumber),
        ("4.0", FormError::SizeNotANumber),
        ("0x4", FormError::SizeNotANumber),
        ("", FormError::SizeNotANumber),
        ("\"\"", FormError::SizeNotANumber),
        ("four", FormError::SizeNotANumber),
    ] {
        let parameters = format!("; user=\"a\" filename=\"b\" size={size}");
        assert_eq!(upload(&parameters), Err(error), "{size}");
    }
}

#[test]
fn a_cut_body_is_refused_wherever_it_is_cut() {
    for size in [" size=4", ""] {
        let sent = body(&format!("; user=\"a\" filename=\"b\"{size}"), b"abcd", "");
        for len in 0..sent.len() {
            let cut = read(None, [&sent[..len]]);
            assert_eq!(cut, Err(FormError::MissingEnd), "{size} {len}");
        }
        assert!(read(None, [sent.as_slice()]).is_ok());
    }
}

#[test]
fn the_file_is_the_only_and_last_part() {
    let file =
        "--x\r\nContent-Disposition: form-data; user=\"a\" filename=\"b\" size=1\r\n\r\nc\r\n";
    let two = format!("{file}{file}--x");
    assert_eq!(check(None, two.as_bytes()), Err(FormError::NotAtEnd));
    // A field in front of it does no harm, but may not say the same as the line.
    let token = "--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nT\r\n";
    let upload = check(None, format!("{token}{file}--x").as_bytes()).unwrap();
    assert_eq!(upload.form.values.token.as_deref(), Some("T"));
    assert_eq!(upload.begun.values.token.as_deref(), Some("T"));
    let user = "--x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\na\r\n";
    let twice = check(None, format!("{user}{file}--x").as_bytes());
    assert_eq!(twice, Err(FormError::Repeated(FieldName::User)));
}

#[test]
fn lines_that_cannot_be_understood_are_refused() {
    for (parameters, error) in [
        ("; user=\"a\" size=4", FormError::NoFileName),
        (
            "; user=\"a\" user=\"b\" filename=\"c\"",
            FormError::Repeated(FieldName::User),
        ),
        (
            "; user=\"a\" filename=\"b\" filename=\"c\"",
            FormError::RepeatedParameter,
        ),
        (
            "; user=\"a\" filename=\"b\" size=4 size=4",
            FormError::Repeated(FieldName::Size),
        ),
        ("; user=\"a\" filename=\"b", FormError::Unterminated),
        ("; user=\"a filename=b", FormError::Unterminated),
        ("x; user=\"a\" filename=\"b\"", FormError::NotFormData),
        ("", FormError::NoName),
        (";", FormError::NoName),
        ("; size", FormError::NoName),
        ("; =\"a\"", FormError::NoName),
    ] {
        assert_eq!(upload(parameters), Err(error), "{parameters}");
    }
}
