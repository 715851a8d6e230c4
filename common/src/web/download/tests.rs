//! Answers as a client sees them: status, headers and the very bytes.

use http::Request;
use proptest::prelude::*;

use super::*;

const FACTS: BlobFacts = BlobFacts {
    size: 10,
    // The second of the date in RFC 9110's examples.
    time: 784_111_777,
    version: Version::Immutable(Crc32(0xcafe)),
};
const CONTENT: &[u8] = b"0123456789";
const ETAG_TEXT: &str = "\"2ebc98a1-a-0000cafe\"";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn plan_of(facts: &BlobFacts, method: &str, uri: &str, fields: &[(&str, &str)]) -> Plan {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    respond(&head, facts, "txt", Sharing::Public, || 0xb0)
}

fn get(fields: &[(&str, &str)]) -> Plan {
    plan_of(&FACTS, "GET", "/", fields)
}

/// The bytes that follow the head.
fn bytes(plan: &Plan) -> Vec<u8> {
    let part = |range: &Range<u64>| {
        let at = |offset: u64| usize::try_from(offset).unwrap();
        CONTENT[at(range.start)..at(range.end)].to_vec()
    };
    match &plan.body {
        PlanBody::Empty => vec![],
        PlanBody::Range(range) => part(range),
        PlanBody::Pieces(pieces) => pieces
            .iter()
            .flat_map(|piece| match piece {
                BodyPiece::Literal(text) => text.to_vec(),
                BodyPiece::Range(range) => part(range),
            })
            .collect(),
    }
}

fn header<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    let value = plan.head.headers().get(name)?;
    Some(value.to_str().unwrap())
}

fn check(plan: &Plan, status: u16, body: &[u8]) {
    assert_eq!(plan.head.status().as_u16(), status);
    assert_eq!(
        String::from_utf8_lossy(&bytes(plan)),
        String::from_utf8_lossy(body)
    );
}

#[test]
fn a_plain_get_has_the_bytes_and_everything_caches_want() {
    let plan = get(&[]);
    check(&plan, 200, CONTENT);
    for (name, value) in [
        ("content-length", "10"),
        ("content-type", "text/plain; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("etag", ETAG_TEXT),
        ("last-modified", DATE),
        ("cache-control", "public, max-age=31536000, immutable"),
    ] {
        assert_eq!(header(&plan, name), Some(value), "{name}");
    }
    // Text is saved: it comes from anybody, and the port may be the one that serves our pages.
    assert_eq!(header(&plan, "content-disposition"), Some("attachment"));
    let policy = header(&plan, "content-security-policy");
    assert_eq!(policy, Some("default-src 'none'; sandbox"));
}

#[test]
fn pictures_are_shown_unless_the_query_gives_a_name() {
    for (uri, expected) in [
        ("/", None),
        ("/?filename=a.jpg", Some("attachment; filename=\"a.jpg\"")),
    ] {
        let (head, ()) = Request::get(uri).body(()).unwrap().into_parts();
        let plan = respond(&head, &FACTS, "jpg", Sharing::Public, || 0);
        assert_eq!(header(&plan, "content-disposition"), expected);
        assert_eq!(header(&plan, "x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_bytes() {
    let head = plan_of(&FACTS, "HEAD", "/?filename=a", &[("range", "bytes=0-1")]);
    check(&head, 200, b"");
    let get = plan_of(&FACTS, "GET", "/?filename=a", &[]);
    assert_eq!(head.head.headers(), get.head.headers());
    let refused = plan_of(&FACTS, "HEAD", "/", &[("if-match", "\"x\"")]);
    check(&refused, 412, b"");
}

#[test]
fn one_range_is_sent_bare() {
    let plan = get(&[("range", "bytes=2-4")]);
    check(&plan, 206, b"234");
    assert_eq!(header(&plan, "content-range"), Some("bytes 2-4/10"));
    assert_eq!(header(&plan, "content-length"), Some("3"));
    assert_eq!(
        header(&plan, "content-type"),
        Some("text/plain; charset=utf-8")
    );
    check(&get(&[("range", "bytes=0-0")]), 206, b"0");
}

#[test]
fn several_ranges_are_sent_as_parts() {
    let plan = get(&[("range", "bytes=0-1,-2")]);
    let body = "--hayloft-00000000000000b0\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Content-Range: bytes 0-1/10\r\n\
        \r\n\
        01\r\n\
        --hayloft-00000000000000b0\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Content-Range: bytes 8-9/10\r\n\
        \r\n\
        89\r\n\
        --hayloft-00000000000000b0--\r\n";
    check(&plan, 206, body.as_bytes());
    assert_eq!(
        header(&plan, "content-length"),
        Some(body.len().to_string().as_str())
    );
    assert_eq!(
        header(&plan, "content-type"),
        Some("multipart/byteranges; boundary=hayloft-00000000000000b0")
    );
    assert_eq!(header(&plan, "content-range"), None);
}

#[test]
fn a_range_outside_the_blob_says_how_long_it_is() {
    let plan = get(&[("range", "bytes=10-")]);
    check(&plan, 416, b"the range lies outside the file's 10 bytes\n");
    assert_eq!(header(&plan, "content-range"), Some("bytes */10"));
    assert_eq!(header(&plan, "cache-control"), Some("no-store"));
}

#[test]
fn conditions_decide_before_ranges() {
    let plan = get(&[("if-none-match", ETAG_TEXT), ("range", "bytes=0-1")]);
    check(&plan, 304, b"");
    assert_eq!(header(&plan, "etag"), Some(ETAG_TEXT));
    assert_eq!(header(&plan, "last-modified"), Some(DATE));
    assert_eq!(header(&plan, "content-length"), None);
    check(&get(&[("if-modified-since", DATE)]), 304, b"");
    assert_eq!(get(&[("if-match", "\"x\"")]).head.status(), 412);
    let resumed = [("if-range", ETAG_TEXT), ("range", "bytes=8-")];
    check(&get(&resumed), 206, b"89");
    let by_date = [("if-range", DATE), ("range", "bytes=8-")];
    check(&get(&by_date), 206, b"89");
    let changed = [("if-range", "\"other\""), ("range", "bytes=8-")];
    check(&get(&changed), 200, CONTENT);
}

#[test]
fn blobs_that_change_are_asked_about_each_time() {
    let facts = |number| BlobFacts {
        version: Version::Changing(number),
        ..FACTS
    };
    let plan = plan_of(&facts(1), "GET", "/", &[]);
    assert_eq!(header(&plan, "cache-control"), Some("no-cache"));
    let other = plan_of(&facts(2), "GET", "/", &[]);
    assert_ne!(header(&plan, "etag"), header(&other, "etag"));
    // A second may hold several changes, so its date must not join two halves.
    let by_date = [("if-range", DATE), ("range", "bytes=8-")];
    check(&plan_of(&facts(1), "GET", "/", &by_date), 200, CONTENT);
}

#[test]
fn what_needed_a_token_is_kept_out_of_shared_caches() {
    let (head, ()) = Request::get("/").body(()).unwrap().into_parts();
    for (version, expected) in [
        (FACTS.version, "private, max-age=31536000, immutable"),
        (Version::Changing(1), "private, no-cache"),
    ] {
        let facts = BlobFacts { version, ..FACTS };
        let plan = respond(&head, &facts, "txt", Sharing::Private, || 0);
        assert_eq!(header(&plan, "cache-control"), Some(expected));
    }
}

#[test]
fn an_empty_blob_is_sent_whole() {
    let empty = BlobFacts { size: 0, ..FACTS };
    let plan = plan_of(&empty, "GET", "/", &[]);
    check(&plan, 200, b"");
    assert_eq!(header(&plan, "content-length"), Some("0"));
    assert_eq!(
        plan_of(&empty, "GET", "/", &[("range", "bytes=0-")])
            .head
            .status(),
        416
    );
    assert_eq!(
        plan_of(&empty, "GET", "/", &[("range", "bytes=-1")])
            .head
            .status(),
        200
    );
}

#[test]
fn active_content_is_saved_and_sandboxed_in_every_answer_that_carries_it() {
    let fields: [&[(&str, &str)]; 3] = [
        &[],
        &[("range", "bytes=0-1")],
        &[("range", "bytes=0-1,3-3")],
    ];
    for fields in fields {
        let mut request = Request::get("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let plan = respond(&head, &FACTS, "svg", Sharing::Public, || 0);
        assert!(
            header(&plan, "content-security-policy")
                .unwrap()
                .ends_with("; sandbox")
        );
        assert_eq!(header(&plan, "content-disposition"), Some("attachment"));
        assert_eq!(header(&plan, "x-content-type-options"), Some("nosniff"));
    }
}

proptest! {
    #[test]
    fn the_length_is_always_that_of_the_bytes(
        range in "bytes=[0-9]?-[0-9]?(, ?[0-9]?-[0-9]?){0,4}",
        tag in prop_oneof![Just("\"x\""), Just(ETAG_TEXT), Just("*")],
        name in prop_oneof![Just("if-range"), Just("if-none-match"), Just("if-match"), Just("x-none")],
        method in prop_oneof![Just("GET"), Just("HEAD")],
    ) {
        let plan = plan_of(&FACTS, method, "/", &[("range", &range), (name, tag)]);
        let len = header(&plan, "content-length").map(|len| len.parse::<usize>().unwrap());
        match (method, plan.head.status().as_u16()) {
            (_, 304) => prop_assert_eq!((len, bytes(&plan).len()), (None, 0)),
            ("HEAD", _) => prop_assert_eq!(bytes(&plan).len(), 0),
            _ => prop_assert_eq!(len, Some(bytes(&plan).len())),
        }
    }
}
