//! The document's sample, real bodies, broken ones, and what holds for every body.

use proptest::prelude::*;

use super::*;

/// The boundary that the sample's header declares, and the delimiter that its body uses.
const DECLARED: &str = "-----ei4lj5Ef1ae0ae0lj5lj5lj5lj5G13";
const USED: &str = "-----ei4lj5Ef1ae0ae0lj5lj5lj5GI3";

/// More than a parser may ever keep.
const KEPT_LEN_MAX: usize = 2 * multipart::HEAD_LEN_MAX + 4 * 1024;

/// Reads a body that comes in these pieces, and checks what holds for all bodies.
fn read<'a>(
    content_type: Option<&str>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, Charset), FormError> {
    let mut parser = Parser::new(content_type);
    let mut events = Vec::new();
    for piece in pieces {
        let fed = parser.feed(Bytes::copy_from_slice(piece), &mut events);
        assert!(parser.kept_len() <= KEPT_LEN_MAX);
        if let Err(error) = fed {
            let again = parser.feed(Bytes::from_static(b"x"), &mut events);
            assert_eq!(again, Err(error), "an error is remembered");
            assert_eq!(parser.finish(), Err(error));
            return Err(error);
        }
    }
    let charset = parser.finish()?;
    assert_eq!(events.first(), Some(&Event::FileBegins));
    assert_eq!(events.last(), Some(&Event::FileEnds));
    let mut content = Vec::new();
    for event in &events[1..events.len() - 1] {
        let Event::Content(piece) = event else {
            panic!("{event:?} in the middle of a file");
        };
        assert!(!piece.is_empty());
        content.extend_from_slice(piece);
    }
    Ok((content, charset))
}

/// Reads a body in one piece, and makes sure that byte by byte and any two pieces say the same.
fn check(content_type: Option<&str>, body: &[u8]) -> Result<(Vec<u8>, Charset), FormError> {
    let whole = read(content_type, [body]);
    assert_eq!(read(content_type, body.chunks(1)), whole, "byte by byte");
    for at in 0..=body.len() {
        let (head, tail) = body.split_at(at);
        assert_eq!(read(content_type, [head, tail]), whole, "cut at {at}");
    }
    whole
}

/// The sample's form with these line ends in the heads.
fn sample(delimiter: &str, line_end: &str, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut part = |name: &str, more: &str, value: &[u8]| {
        let head = format!(
            "{delimiter}\r\nContent-Disposition: form-data; name=\"{name}\"{more}{line_end}{line_end}"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    };
    for (name, value) in [
        ("Filename", "test.txt"),
        ("mode", "flashupload"),
        ("uin", "346972813"),
        ("resp_charset", "UTF8"),
        ("appid", "2"),
        ("sid", "4G2t6lo2uxVAMydp"),
        ("t", "exs_ftn_uploadaction"),
    ] {
        part(name, "", value.as_bytes());
    }
    let more = format!("; filename=\"test.txt\"{line_end}Content-Type: application/octet-stream");
    part("file", &more, content);
    part("Upload", "", b"Submit Query");
    body.extend_from_slice(format!("{delimiter}--").as_bytes());
    body
}

fn content_of(content_type: Option<&str>, body: &[u8]) -> Result<String, FormError> {
    check(content_type, body).map(|(content, _)| String::from_utf8(content).unwrap())
}

const CONTENT: &str = "this is for test";

#[test]
fn the_documents_sample_is_read_with_its_two_boundaries() {
    let content_type = format!("multipart/form-data;boundary={DECLARED}");
    let body = sample(USED, "\r\n", CONTENT.as_bytes());
    let read = check(Some(&content_type), &body);
    assert_eq!(read, Ok((CONTENT.into(), Charset::Utf8)));
}

#[test]
fn each_reading_of_the_delimiter_is_understood() {
    for (content_type, delimiter) in [
        (Some("multipart/form-data; boundary=x"), "--x"),
        (Some("multipart/form-data;boundary=\"x y\""), "--x y"),
        (Some("multipart/form-data;boundary=x"), "x"),
        (Some("multipart/form-data;boundary=-----x"), "-----x"),
        (Some("multipart/form-data;boundary=x"), "--y"),
        (Some("application/octet-stream"), "--y"),
        (None, "-"),
    ] {
        for line_end in ["\r\n", "\n"] {
            let body = sample(delimiter, line_end, CONTENT.as_bytes());
            let content = content_of(content_type, &body);
            assert_eq!(content.as_deref(), Ok(CONTENT), "{delimiter}");
        }
    }
}

#[test]
fn parts_come_in_any_order_and_only_the_file_must_be_there() {
    let file = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc\r\n";
    let charset = "--x\r\nContent-Disposition: form-data; name=resp_charset\r\n\r\nGBK\r\n";
    let expected = |charset| Ok((b"abc".to_vec(), charset));
    assert_eq!(
        check(None, format!("{file}--x--").as_bytes()),
        expected(Charset::Utf8)
    );
    for body in [
        format!("{file}{charset}--x--\r\nbehind the end"),
        format!("{charset}{file}--x--\r\n"),
    ] {
        assert_eq!(check(None, body.as_bytes()), expected(Charset::Ascii));
    }
    assert_eq!(
        check(None, format!("{charset}--x--").as_bytes()),
        Err(FormError::NoFile)
    );
    let twice = format!("{file}{file}--x--");
    assert_eq!(check(None, twice.as_bytes()), Err(FormError::TwoFiles));
}

#[test]
fn a_file_may_have_no_bytes() {
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
    for body in [format!("{head}\r\n--x--"), format!("{head}--x--")] {
        assert_eq!(content_of(None, body.as_bytes()).as_deref(), Ok(""));
    }
}

#[test]
fn cut_bodies_have_no_end() {
    let body = sample("--x", "\r\n", CONTENT.as_bytes());
    for len in 0..body.len() {
        let refused = read(None, [&body[..len]]);
        assert_eq!(refused, Err(FormError::MissingEnd), "{len} bytes");
    }
}

#[test]
fn what_breaks_a_rule_is_refused() {
    let long = "-".repeat(multipart::FIRST_LINE_LEN_MAX + 3);
    let head = "--x\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\n";
    let field = format!("{head}{}\r\n", "v".repeat(FIELD_LEN_MAX + 1));
    let many = format!("{head}v\r\n").repeat(PARTS_MAX + 1);
    for (body, error) in [
        (long, FormError::FirstLine(FirstLineTooLong)),
        ("name=value\r\n".to_owned(), FormError::Delimiter),
        ("\r\n--x\r\n".to_owned(), FormError::Delimiter),
        (field, FormError::FieldTooLong),
        (many, FormError::TooManyParts),
        (
            "--x\r\n\r\n".to_owned(),
            FormError::Head(HeadError::NoDisposition),
        ),
        (
            "--x\r\nContent-Disposition: form-data\r\n\r\n".to_owned(),
            FormError::NoName,
        ),
    ] {
        let pieces = body.as_bytes().chunks(7);
        assert_eq!(read(None, pieces), Err(error));
        assert_eq!(read(None, [body.as_bytes()]), Err(error));
    }
}

/// Pieces of content that are likely to confuse.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let traps: [&[u8]; 14] = [
        b"\r\n-----x",
        b"\r\n-----",
        b"\r\n--x",
        b"\r\nx",
        b"\r\n",
        b"\r",
        b"\n",
        b"-",
        b"--",
        b"-----x--",
        b"-----x\r\n",
        b"\0",
        b"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"file\"\r\n\r\n",
    ];
    prop_oneof![
        5 => prop::sample::select(traps.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn fragments(count: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(fragment(), 0..count).prop_map(|fragments| fragments.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn cutting_a_body_changes_nothing(rest in fragments(12), lens in prop::collection::vec(1..60_usize, 1..8)) {
        let body = [b"-----x\r\n".as_slice(), &rest].concat();
        for content_type in [None, Some("multipart/form-data;boundary=-----x")] {
            let whole = read(content_type, [body.as_slice()]);
            let mut pieces = Vec::new();
            let mut bytes = body.as_slice();
            for len in lens.iter().cycle() {
                if bytes.is_empty() {
                    break;
                }
                let (piece, rest) = bytes.split_at(bytes.len().min(*len));
                pieces.push(piece);
                bytes = rest;
            }
            prop_assert_eq!(read(content_type, pieces), whole);
        }
    }

    #[test]
    fn content_full_of_dashes_and_line_ends_survives(content in fragments(12), len in 1..60_usize) {
        // All but the delimiter itself.
        let harmless = |byte: u8| if byte == b'x' { b'y' } else { byte };
        let content: Vec<u8> = content.into_iter().map(harmless).collect();
        for delimiter in ["-----x", "--x", "x"] {
            let body = sample(delimiter, "\r\n", &content);
            let content_type = Some("multipart/form-data;boundary=x");
            let read = read(content_type, body.chunks(len)).unwrap();
            prop_assert_eq!(&read.0, &content);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), len in 1..60_usize) {
        let whole = read(None, [bytes.as_slice()]);
        prop_assert_eq!(read(None, bytes.chunks(len)), whole);
    }
}
