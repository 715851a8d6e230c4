use proptest::prelude::*;

use super::*;

const TYPE: &str = "multipart/form-data; boundary=wL36Yn8afVp8Ag7AmP8qZ0SA4n1v9T";

/// What a body said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    fields: Vec<(Name, String)>,
    file: Option<Vec<u8>>,
}

fn read<'a>(
    content_type: Option<&str>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Said, FormError> {
    let mut reader = Reader::new(content_type, "slice");
    let mut events = Vec::new();
    for piece in pieces {
        let fed = reader.feed(Bytes::copy_from_slice(piece), &mut events);
        assert!(reader.kept_len() <= 2 * HEAD_LEN_MAX + FIELD_LEN_MAX + 1024);
        if let Err(error) = fed {
            let again = reader.feed(Bytes::from_static(b"x"), &mut events);
            assert_eq!(again, Err(error), "an error is remembered");
            return Err(error);
        }
    }
    reader.finish()?;
    let (mut fields, mut file, mut is_open) = (Vec::new(), None::<Vec<u8>>, false);
    for event in events {
        match event {
            Event::Field(name, value) => fields.push((name, value)),
            Event::FileBegins(_) => {
                assert_eq!(file.replace(Vec::new()), None);
                is_open = true;
            }
            Event::Content(content) => {
                assert!(is_open && !content.is_empty());
                file.as_mut().unwrap().extend_from_slice(&content);
            }
            Event::FileEnds => assert!(std::mem::replace(&mut is_open, false)),
        }
    }
    assert!(!is_open, "a file ends before its body does");
    Ok(Said { fields, file })
}

/// Reads a body in one piece, and makes sure that byte by byte and any two pieces say the same.
fn check(content_type: Option<&str>, body: &[u8]) -> Result<Said, FormError> {
    let whole = read(content_type, [body]);
    assert_eq!(read(content_type, body.chunks(1)), whole, "byte by byte");
    for at in 0..=body.len() {
        let (head, tail) = body.split_at(at);
        assert_eq!(read(content_type, [head, tail]), whole, "cut at {at}");
    }
    whole
}

fn part(head: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--wL36Yn8afVp8Ag7AmP8qZ0SA4n1v9T\r\n{head}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn body(parts: &[Vec<u8>]) -> Vec<u8> {
    [&*parts.concat(), b"--wL36Yn8afVp8Ag7AmP8qZ0SA4n1v9T--\r\n"].concat()
}

fn expected() -> Said {
    Said {
        fields: vec![
            (Name::PreuploadId, "WvjyUgonimrl".to_owned()),
            (Name::SliceNo, "1".to_owned()),
        ],
        file: Some(b"\r\n--bytes\r\n\r\n".to_vec()),
    }
}

#[test]
fn the_documents_sample_is_read_with_all_its_oddities() {
    // The stray `;`, and the type that is a Python tuple printed as text.
    let sample = body(&[
        part(
            "Content-Disposition: form-data; name=\"preuploadID\";\r\nContent-Type: text/plain",
            b"WvjyUgonimrl",
        ),
        part(
            "Content-Disposition: form-data; name=\"sliceNo\";\r\nContent-Type: text/plain",
            b"1",
        ),
        part(
            "Content-Disposition: form-data; name=\"slice\"; filename=\"新建 文本文档 (4).txt\"\r\n\
             Content-Type: ('text/plain', None)",
            b"\r\n--bytes\r\n\r\n",
        ),
    ]);
    // Its body ends with the delimiter and CRLF, or without.
    for cut in [0, 2] {
        let said = check(Some(TYPE), &sample[..sample.len() - cut]);
        assert_eq!(said, Ok(expected()));
    }
}

#[test]
fn parts_may_be_spelled_and_ordered_in_any_way() {
    let said = check(
        Some("Multipart/Form-Data; charset=utf-8; boundary=\"wL36Yn8afVp8Ag7AmP8qZ0SA4n1v9T\""),
        &body(&[
            part(
                "content-disposition:form-data;name=SLICE",
                b"\r\n--bytes\r\n\r\n",
            ),
            part(
                "X: y\r\nCONTENT-DISPOSITION: form-data; filename=f; name=preuploadid",
                b"WvjyUgonimrl",
            ),
            part(
                "Content-Disposition: form-data; name=\"unknown\"; filename=\"x\"",
                b"\xff\0",
            ),
            part("Content-Disposition: form-data; name=\"sliceno\"", b"1"),
        ]),
    );
    assert_eq!(said, Ok(expected()));
}

#[test]
fn a_type_without_a_boundary_does_no_harm() {
    let parts = [
        part("Content-Disposition: form-data; name=\"sliceNo\"", b"7"),
        part("Content-Disposition: form-data; name=\"slice\"", b""),
    ];
    let said = Said {
        fields: vec![(Name::SliceNo, "7".to_owned())],
        file: Some(Vec::new()),
    };
    for content_type in [None, Some("application/json"), Some("multipart/form-data")] {
        assert_eq!(check(content_type, &body(&parts)), Ok(said.clone()));
    }
    for junk in ["{\"a\": 1}\n", "\r\n--x\r\n", "--\r\n", "a=b\n"] {
        assert_eq!(
            check(None, junk.as_bytes()),
            Err(FormError::NotMultipart),
            "{junk}"
        );
    }
    assert_eq!(check(None, b"{}"), Err(FormError::NotMultipart));
    let long = "-".repeat(FIRST_LINE_LEN_MAX + 1);
    assert_eq!(
        read(None, [long.as_bytes(), b"\r\n"]),
        Err(FirstLineTooLong.into())
    );
    let long = format!("multipart/form-data; boundary={long}");
    assert_eq!(read(Some(&long), [&b"x"[..]]), Err(FirstLineTooLong.into()));
}

#[test]
fn what_stands_around_the_parts_is_passed_over() {
    let parts = body(&[part(
        "Content-Disposition: form-data; name=\"sliceNo\"",
        b"7",
    )]);
    let around = [b"preamble\r\n\r\n", &*parts, b"epilogue --x"].concat();
    let said = check(Some(TYPE), &around).unwrap();
    assert_eq!(said.fields, [(Name::SliceNo, "7".to_owned())]);
    assert_eq!(said.file, None);
}

#[test]
fn forms_that_are_not_sound_are_refused() {
    let field = part("Content-Disposition: form-data; name=\"sliceNo\"", b"7");
    let file = part("Content-Disposition: form-data; name=\"slice\"", b"abc");
    let of = |parts: &[Vec<u8>]| check(Some(TYPE), &body(parts));
    assert_eq!(
        of(&[file.clone(), file.clone()]),
        Err(FormError::TwoFiles("slice"))
    );
    let bad = part("Content-Disposition: form-data; name=\"filename\"", b"\xff");
    assert_eq!(of(&[bad]), Err(FormError::Encoding(Name::FileName)));
    let nameless = part("Content-Disposition: form-data", b"x");
    assert_eq!(of(&[nameless]), Err(FormError::NoName));
    let headless = part("Content-Type: text/plain", b"x");
    assert_eq!(of(&[headless]), Err(HeadError::NoDisposition.into()));
    let long = part(
        "Content-Disposition: form-data; name=\"x\"",
        &vec![b'x'; FIELD_LEN_MAX + 1],
    );
    assert_eq!(
        read(Some(TYPE), [&*body(&[long])]),
        Err(FormError::FieldTooLong)
    );
    let many = vec![field.clone(); PARTS_MAX + 1];
    assert_eq!(
        read(Some(TYPE), [&*body(&many)]),
        Err(FormError::TooManyParts)
    );
    assert!(read(Some(TYPE), [&*body(&many[1..])]).is_ok());
    assert_eq!(check(Some(TYPE), b""), Err(FormError::NotMultipart));
    assert_eq!(
        check(Some(TYPE), b"{\"a\": 1}"),
        Err(FormError::NotMultipart)
    );
}

#[test]
fn a_body_that_breaks_off_is_refused() {
    let whole = body(&[
        part("Content-Disposition: form-data; name=\"sliceNo\"", b"7"),
        part("Content-Disposition: form-data; name=\"slice\"", b"abc"),
    ]);
    let end = whole.len() - b"--\r\n".len();
    for cut in b"--wL36Yn8afVp8Ag7AmP8qZ0SA4n1v9T\r\n".len()..=end {
        let said = read(Some(TYPE), [&whole[..cut]]);
        assert_eq!(said, Err(FormError::MissingEnd), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn any_bytes_come_through_however_they_are_cut(
        content in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'w'), any::<u8>()], 0..200,
        ),
        len in 1_usize..50,
    ) {
        let parts = body(&[
            part("Content-Disposition: form-data; name=\"slice\"", &content),
            part("Content-Disposition: form-data; name=\"sliceNo\"", b"7"),
        ]);
        let said = read(Some(TYPE), parts.chunks(len)).unwrap();
        prop_assert_eq!(said.file.unwrap(), content);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes: Vec<u8>, len in 1_usize..50) {
        let whole = read(None, [&*bytes]);
        prop_assert_eq!(read(None, bytes.chunks(len)), whole);
        let framed = [b"--wL36Yn8afVp8Ag7AmP8qZ0SA4n1v9T\r\n", &*bytes].concat();
        prop_assert_eq!(read(Some(TYPE), framed.chunks(len)), read(Some(TYPE), [&*framed]));
    }
}
