//! Ordinary multipart, as browsers and libraries send it.

use super::*;

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

fn content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// A body of these parts, each with its Content-Disposition parameters and content.
fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (parameters, content) in parts {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {parameters}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn upload(parts: &[(&str, &[u8])]) -> Result<Upload, FormError> {
    check(Some(&content_type()), &body(parts))
}

/// The file name that a disposition with these parameters means.
fn file_name(parameters: &str) -> Result<String, FormError> {
    Ok(upload(&[(parameters, b"x")])?.form.file_name)
}

const FILE: &str = "name=\"file\"; filename=\"1.png\"";
const USER: (&str, &[u8]) = ("name=\"user\"", b"qingfu");

#[test]
fn what_the_web_front_end_sends_is_read() {
    let sent = format!(
        "--{BOUNDARY}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"1.png\"\r\n\
         Content-Type: image/png\r\n\r\n\
         abc\r\n\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nqingfu\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"md5\"\r\n\r\n{MD5}\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"size\"\r\n\r\n5\r\n\
         --{BOUNDARY}--\r\n"
    );
    let upload = check(Some(&content_type()), sent.as_bytes()).unwrap();
    assert_eq!(upload.content, b"abc\r\n");
    assert_eq!(upload.begun.values, Values::default());
    let form = Form {
        file_name: "1.png".to_owned(),
        values: Values {
            md5: Some(MD5.to_owned()),
            size: Some(5),
            ..values("qingfu")
        },
    };
    assert_eq!(upload.form, form);
    let fields = [
        (FieldName::User, "qingfu"),
        (FieldName::Md5, MD5),
        (FieldName::Size, "5"),
    ];
    let fields = fields.map(|(name, value)| (name, value.to_owned()));
    assert_eq!(upload.fields, fields);
    // The delimiter alone tells enough.
    assert_eq!(check(None, sent.as_bytes()).unwrap(), upload);
}

#[test]
fn parts_may_come_in_any_order_with_unknown_ones_between() {
    let upload = upload(&[
        USER,
        ("name=\"token\"", b"T"),
        ("name=\"file_path\"", b"/etc/passwd"),
        ("name=\"anything\"", b"\xff\0"),
        ("name=\"upfile\"; filename=\"1.png\"", b"abc"),
        ("name=\"size\"", b"3"),
    ])
    .unwrap();
    assert_eq!(upload.begun.values.user.as_deref(), Some("qingfu"));
    assert_eq!(upload.begun.values.size, None);
    assert_eq!(upload.form.values.size, Some(3));
    assert_eq!(upload.form.values.token.as_deref(), Some("T"));
    assert_eq!(upload.fields.len(), 3);
}

#[test]
fn the_three_escapes_of_browsers_are_undone_and_no_other() {
    for (escaped, name) in [
        ("a%22b%0D%0Ac.png", "a\"b\r\nc.png"),
        ("100%.png", "100%.png"),
        ("%41%0a%0d%2522", "%41%0a%0d%2522"),
        ("a\\b", "a\\b"),
        ("a\\", "a\\"),
        ("a\\\"b", "a\\\"b"),
        ("a; user=%22b%22", "a; user=\"b\""),
        ("图 😀.png", "图 😀.png"),
        ("../../a", "../../a"),
        ("", ""),
    ] {
        let parameters = format!("name=\"file\"; filename=\"{escaped}\"");
        assert_eq!(file_name(&parameters).as_deref(), Ok(name));
    }
}

#[test]
fn extended_names_are_preferred_where_they_can_be_read() {
    for (parameters, name) in [
        (
            "name=\"f\"; filename=\"a\"; filename*=UTF-8''%e5%9b%be%20%22.png",
            "图 \".png",
        ),
        ("filename*=utf-8'zh'b%2Fc; filename=a; name=f", "b/c"),
        ("name=f; filename*=\"UTF-8''b\"", "b"),
        ("name=f; filename=\"a\"; filename*=ISO-8859-1''%e4", "a"),
        ("name=f; filename=\"a\"; filename*=UTF-8''%ff", "a"),
        ("name=f; filename=\"a%22\"; filename*=nothing", "a\""),
    ] {
        assert_eq!(file_name(parameters).as_deref(), Ok(name), "{parameters}");
    }
    let unreadable = file_name("name=f; filename*=UTF-8''%ff");
    assert_eq!(unreadable, Err(FormError::Encoding));
}

#[test]
fn parameters_nobody_knows_are_passed_over() {
    for parameters in [
        "name=\"file\"; filename=\"a.png\"; foo=\"bar\"",
        "name=\"file\"; foo=bar; filename=\"a.png\"",
        "name=\"file\"; filename=\"a.png\"; foo=bar",
        "name=\"file\"; filename=\"a.png\"; foo",
        "name=file; filename=a.png",
        "name=file;filename=a.png;",
        // A size here is only roughly the length (RFC 2183 §2.7).
        "name=\"file\"; filename=\"a.png\"; size=100",
    ] {
        assert_eq!(
            file_name(parameters).as_deref(),
            Ok("a.png"),
            "{parameters}"
        );
    }
}

#[test]
fn a_name_in_another_encoding_is_refused() {
    let sent = [
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"")
            .as_bytes(),
        b"\xd5\xc5.png",
        format!("\"\r\n\r\nx\r\n--{BOUNDARY}--").as_bytes(),
    ]
    .concat();
    assert_eq!(check(None, &sent), Err(FormError::Encoding));
}

#[test]
fn the_next_delimiter_line_ends_the_content() {
    let delimiter = format!("\r\n--{BOUNDARY}");
    for (content, read) in [
        ("", ""),
        ("\r\n", "\r\n"),
        ("\r", "\r"),
        ("\r\n\r\n--", "\r\n\r\n--"),
        (BOUNDARY, BOUNDARY),
        // Longer than the delimiter, so another line.
        (&*format!("{delimiter}x"), &*format!("{delimiter}x")),
        (&*format!("{delimiter}-"), &*format!("{delimiter}-")),
        (&*format!("{delimiter} x"), &*format!("{delimiter} x")),
        (&*format!("--{BOUNDARY}x"), &*format!("--{BOUNDARY}x")),
        // The closing delimiter; the rest is an epilogue.
        (&*format!("a{delimiter}--rest"), "a"),
        (&*format!("a{delimiter}--\r\nrest"), "a"),
    ] {
        let upload = upload(&[(FILE, content.as_bytes())]).unwrap();
        assert_eq!(upload.content, read.as_bytes(), "{content}");
    }
}

#[test]
fn a_part_may_be_empty_without_a_line_end_of_its_own() {
    for padding in ["", " ", "\t \t"] {
        let sent = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\n\
             --{BOUNDARY}{padding}\r\nContent-Disposition: form-data; {FILE}\r\n\r\n\
             --{BOUNDARY}--"
        );
        let upload = check(Some(&content_type()), sent.as_bytes()).unwrap();
        assert_eq!(upload.form.values.user.as_deref(), Some(""));
        assert_eq!(upload.content, b"");
    }
}

#[test]
fn an_epilogue_is_passed_over() {
    let mut sent = body(&[(FILE, b"x"), USER]);
    let without = check(Some(&content_type()), &sent).unwrap();
    sent.extend_from_slice(b"epilogue\r\n--another");
    assert_eq!(check(Some(&content_type()), &sent).unwrap(), without);
}

#[test]
fn the_boundary_of_the_type_begins_the_body() {
    let sent =
        b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nx\r\n--b--";
    for content_type in [
        "multipart/form-data; boundary=b",
        "multipart/form-data;boundary=b",
        "Multipart/Form-Data; Boundary=\"b\"",
        "multipart/form-data; charset=utf-8; boundary=b",
        "multipart/form-data; boundary=b; charset=utf-8",
        "multipart/form-data; x=\"; boundary=c\"; boundary=b",
        " multipart/mixed ; boundary = b ",
        "multipart/form-data; charset; boundary=b",
    ] {
        let upload = check(Some(content_type), sent);
        assert_eq!(
            upload.map(|upload| upload.content),
            Ok(b"x".to_vec()),
            "{content_type}"
        );
    }
    for content_type in [
        "multipart/form-data; boundary=c",
        "multipart/form-data; boundary=B",
        "multipart/form-data; boundary=--b",
        "multipart/form-data; boundary=bb",
    ] {
        let refused = check(Some(content_type), sent);
        assert_eq!(refused, Err(FormError::BoundaryMismatch), "{content_type}");
    }
    let padded = b"--b  \r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\nx\r\n--b--";
    assert!(check(Some("multipart/form-data; boundary=b"), padded).is_ok());
}

#[test]
fn content_is_a_slice_of_what_came() {
    let sent = Bytes::from(body(&[(FILE, &b"x".repeat(65536)), USER]));
    let mut parser = Parser::new(Some(&content_type()));
    let mut events = Vec::new();
    parser.feed(sent.clone(), &mut events).unwrap();
    parser.finish(&mut events).unwrap();
    let pieces: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Content(piece) => Some(piece),
            Event::FileBegins(_) | Event::FileEnds | Event::Field(..) => None,
        })
        .collect();
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].len(), 65536);
    assert!(sent.as_ptr_range().contains(&pieces[0].as_ptr()));
}
