//! What holds for every body, however it is cut.

use std::time::Duration;

use common::env::clock::monotonic;
use proptest::prelude::*;

use super::*;
use crate::testing::fuzz_form;

/// Pieces of content and of bodies that are likely to confuse.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let traps: [&[u8]; 20] = [
        b"\r\n--x",
        b"\r\n--x--",
        b"\r\n--x\r\n",
        b"--x\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"-",
        b"--",
        b"--x",
        b"x",
        b"\0",
        b" ",
        b"\r\n--",
        b"\r\n\r\n",
        b"Content-Disposition: form-data; user=\"a\" filename=\"b\" size=9\r\n\r\n",
        b"Content-Disposition: form-data; user=\"a\" filename=\"b\"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"f\"; filename=\"b\"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"user\"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"size\"\r\n\r\n",
    ];
    prop_oneof![
        5 => prop::sample::select(traps.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn fragments(count: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(fragment(), 0..count).prop_map(|fragments| fragments.concat())
}

/// `bytes` in pieces of these lengths, used in turn.
fn cut<'a>(mut bytes: &'a [u8], lens: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for len in lens.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(bytes.len().min(*len));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn lens() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..60_usize, 1..8)
}

fn literal(content: &[u8], size: &str, tail: &str) -> Vec<u8> {
    let head =
        format!("--x\r\nContent-Disposition: form-data; user=\"a\" filename=\"b\"{size}\r\n\r\n");
    let end = format!("\r\n--x{tail}");
    [head.as_bytes(), content, end.as_bytes()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn cutting_a_body_changes_nothing(rest in fragments(12), lens in lens()) {
        let body = [b"--x\r\n".as_slice(), &rest].concat();
        for content_type in [None, Some("multipart/form-data; boundary=x")] {
            let whole = read(content_type, [body.as_slice()]);
            prop_assert_eq!(read(content_type, cut(&body, &lens)), whole);
        }
    }

    #[test]
    fn literal_content_comes_back_whatever_it_is(
        content in fragments(12),
        tail in prop::sample::select(vec!["", "--", "\r\n", "--\r\n"]),
        lens in lens(),
    ) {
        for size in [String::new(), format!(" size={}", content.len())] {
            let body = literal(&content, &size, tail);
            let upload = read(None, cut(&body, &lens)).unwrap();
            prop_assert_eq!(&upload.content, &content);
        }
    }

    #[test]
    fn literal_content_ends_at_the_last_delimiter_or_never(rest in fragments(12), lens in lens()) {
        let head = literal(b"", "", "");
        let head = head.strip_suffix(b"\r\n--x").unwrap();
        let body = [head, &rest].concat();
        let content = memchr::memmem::rfind(&rest, b"\r\n--x").and_then(|at| {
            let tails: [&[u8]; 6] = [b"", b"--", b"\r\n", b"--\r\n", b"\n", b"--\n"];
            tails.contains(&&rest[at + 5..]).then(|| rest[..at].to_vec())
        });
        let upload = read(None, cut(&body, &lens));
        prop_assert_eq!(upload.map(|upload| upload.content), content.ok_or(FormError::MissingEnd));
    }

    #[test]
    fn announced_content_is_followed_by_the_end_or_refused(
        rest in fragments(6),
        announced in 0..40_usize,
        lens in lens(),
    ) {
        let head = literal(b"", &format!(" size={announced}"), "");
        let head = head.strip_suffix(b"\r\n--x").unwrap();
        let body = [head, &rest].concat();
        let content = rest.split_at_checked(announced).and_then(|(content, end)| {
            let tail = end.strip_prefix(b"\r\n--x")?;
            let tails: [&[u8]; 6] = [b"", b"--", b"\r\n", b"--\r\n", b"\n", b"--\n"];
            tails.contains(&tail).then(|| content.to_vec())
        });
        let upload = read(None, cut(&body, &lens)).ok().map(|upload| upload.content);
        prop_assert_eq!(upload, content);
    }

    #[test]
    fn ordinary_content_comes_back_if_the_delimiter_is_not_in_it(
        content in fragments(12),
        lens in lens(),
    ) {
        let harmless = |byte: u8| if byte == b'x' { b'y' } else { byte };
        let content: Vec<u8> = content.into_iter().map(harmless).collect();
        let body = [
            b"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"b\"\r\n\r\n".as_slice(),
            &content,
            b"\r\n--x--\r\n",
        ]
        .concat();
        let upload = read(None, cut(&body, &lens)).unwrap();
        prop_assert_eq!(&upload.content, &content);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        lens in lens(),
    ) {
        let _ = read(None, cut(&bytes, &lens));
        fuzz_form(&bytes);
    }

    #[test]
    fn arbitrary_parameters_never_panic(parameters in "[ -~\t图]{0,80}") {
        let body = format!(
            "--x\r\nContent-Disposition: form-data; user=\"a\" filename=\"b\" {parameters}\r\n\r\n\r\n--x"
        );
        fuzz_form(body.as_bytes());
        if let Ok(upload) = read(None, [body.as_bytes()]) {
            prop_assert_eq!(upload.form.values.user.as_deref(), Some("a"));
        }
    }
}

#[test]
fn content_full_of_delimiters_is_passed_on_while_it_comes() {
    // Without a size each of them could be the last one, until the next byte came.
    let content = b"\r\n--x\r\n--x--".repeat(1000);
    let body = literal(&content, "", "");
    for len in [1, 2, 3, 7, 64, 1000] {
        let mut parser = Parser::new(None);
        let mut events = Vec::new();
        for piece in body.chunks(len) {
            parser
                .feed(Bytes::copy_from_slice(piece), &mut events)
                .unwrap();
            assert!(parser.kept_len() < 64, "{} bytes kept", parser.kept_len());
        }
        assert!(parser.finish(&mut events).is_ok());
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "says nothing about an unoptimised build")]
fn content_passes_faster_than_any_disk_takes_it() {
    const CONTENT_LEN: usize = 64 * 1024;
    const ROUNDS: usize = 200;
    /// A third of what was measured for the slower content, for machines that are busy or old.
    const GIGABYTES_PER_SECOND_MIN: u128 = 1;

    let line_ends: Vec<u8> = b"\r\n-".iter().copied().cycle().take(CONTENT_LEN).collect();
    let noise: Vec<u8> = (0..=250).cycle().take(CONTENT_LEN).collect();
    for content in [noise, line_ends] {
        for size in [String::new(), format!(" size={CONTENT_LEN}")] {
            let body = Bytes::from(literal(&content, &size, ""));
            let mut best = Duration::MAX;
            for _ in 0..ROUNDS {
                let begun = monotonic();
                let mut events = Vec::new();
                let mut parser = Parser::new(None);
                parser.feed(body.clone(), &mut events).unwrap();
                assert!(parser.finish(&mut events).is_ok());
                best = best.min(monotonic() - begun);
            }
            // Bytes in a nanosecond are gigabytes in a second.
            let nanos_max = body.len() as u128 / GIGABYTES_PER_SECOND_MIN;
            assert!(best.as_nanos() < nanos_max, "{best:?}, size {size:?}");
        }
    }
}
