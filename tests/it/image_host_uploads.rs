//! Uploads in every form that they come in, refused for every reason, and cut off, over sockets, against
//! the real server. What is refused leaves no trace in lists, counts and storage.

use serde_json::Value;

use crate::image_host_codes::Fixture;
use crate::support::chance;
use crate::support::http::Http;
use crate::support::image_host::{
    Label, NO_MD5, ORDINARY, PASSWORD, code_of, json_of, literal, literal_as, md5_hex, ordinary,
};

#[test]
fn uploads_have_their_codes_and_leave_nothing_when_refused() {
    let mut fixture = Fixture::new();
    // Long enough to stream into storage before its end is known.
    let content = chance::content(7, 700 * 1024);
    let (md5, size) = (md5_hex(&content), content.len().to_string());
    let bob = fixture.bob.token.clone();
    let ann = fixture.ann.token.clone();
    let fields = |more: &[(&'static str, &str)]| -> Vec<u8> {
        let known = [
            ("user", "ann"),
            ("md5", md5.as_str()),
            ("size", size.as_str()),
        ];
        let mut fields: Vec<(&str, &str)> = known.to_vec();
        for (name, value) in more {
            fields.retain(|(known, _)| known != name);
            fields.push((name, value));
        }
        ordinary("new.bin", &content, &fields)
    };
    let line = |text: &str| literal_as(text, &content);
    let whole = fields(&[]);
    let two_files = [
        ordinary("one.bin", b"1", &[])
            .strip_suffix(b"--browser--\r\n")
            .unwrap(),
        &whole,
    ]
    .concat();
    let no_file = whole[whole.windows(9).rposition(|w| w == b"--browser").unwrap()..].to_vec();
    let refused: Vec<(&str, &str, Vec<u8>)> = vec![
        ("another md5", ORDINARY, fields(&[("md5", NO_MD5)])),
        ("no md5", ORDINARY, fields(&[("md5", "x")])),
        ("a smaller size", ORDINARY, fields(&[("size", "716799")])),
        ("a larger size", ORDINARY, fields(&[("size", "716801")])),
        ("no size", ORDINARY, fields(&[("size", "many")])),
        ("nobody", ORDINARY, fields(&[("user", "nobody")])),
        ("an empty user", ORDINARY, fields(&[("user", "")])),
        ("another's token", ORDINARY, fields(&[("token", &bob)])),
        (
            "a token that is none",
            ORDINARY,
            fields(&[("token", NO_MD5)]),
        ),
        ("no user", ORDINARY, ordinary("new.bin", &content, &[])),
        (
            "no name",
            ORDINARY,
            ordinary("", &content, &[("user", "ann")]),
        ),
        ("no end", ORDINARY, whole[..whole.len() - 15].to_vec()),
        ("two files", ORDINARY, two_files),
        ("no file", ORDINARY, no_file),
        (
            "another boundary",
            "multipart/form-data; boundary=other",
            whole.clone(),
        ),
        ("nothing", ORDINARY, Vec::new()),
        (
            "the literal form, larger",
            "application/octet-stream",
            line(r#"user="ann" filename="new.bin" size=716801"#),
        ),
        (
            "the literal form, another md5",
            "application/octet-stream",
            line(&format!(r#"user="ann" filename="new.bin" md5="{NO_MD5}""#)),
        ),
        (
            "the literal form, too long a name",
            "application/octet-stream",
            line(&format!(r#"user="ann" filename="{}""#, "n".repeat(129))),
        ),
    ];
    let before = fixture.seen();
    for (what, kind, body) in refused {
        let answer = fixture.ann.send("/api/upload", kind, &body).unwrap();
        assert_eq!(code_of(&json_of(&answer)), 1, "{what}");
        assert_eq!(before, fixture.seen(), "{what} left a trace");
    }
    let label = Label::new("new.bin", &content);
    let known = fixture.ann.ask_as_owner("/api/md5", &label).unwrap();
    assert_eq!(known, 1, "a refused content is offered");

    for (kind, body) in [
        (ORDINARY, fields(&[])),
        (ORDINARY, fields(&[("token", &ann)])),
        ("application/json", literal("ann", "new.bin", &content)),
        ("multipart/form-data", literal("ann", "new.bin", &content)),
        ("", literal("ann", "empty.bin", b"")),
    ] {
        let answer = fixture.ann.send("/api/upload", kind, &body).unwrap();
        assert_eq!(code_of(&json_of(&answer)), 0, "{kind}");
    }
    let rows = fixture.ann.own_list("/api/myfiles?cmd=normal").unwrap();
    let names: Vec<&Value> = rows.iter().map(|row| &row["file_name"]).collect();
    assert_eq!(names, ["a.txt", "b.txt", "new.bin", "empty.bin"]);
    for (row, content) in rows[2..].iter().zip([content.as_slice(), b""]) {
        let answer = fixture.ann.get(row["url"].as_str().unwrap()).unwrap();
        assert!(answer.body == content, "{row}");
    }
    fixture.end_with(4);
}

#[test]
fn an_upload_that_is_cut_off_leaves_nothing() {
    let mut fixture = Fixture::new();
    let content = chance::content(8, 1_200_000);
    let body = literal("ann", "cut.bin", &content);
    let head = format!(
        "POST /api/upload HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    for len in [0, 100, 300_000, body.len() - 1] {
        let mut http = Http::connect(fixture.server.addresses.api).unwrap();
        http.send(head.as_bytes()).unwrap();
        http.send(&body[..len]).unwrap();
    }
    let label = Label::new("cut.bin", &content);
    assert_eq!(fixture.ann.ask_as_owner("/api/md5", &label).unwrap(), 1);
    assert_eq!(
        fixture
            .ann
            .own_list("/api/myfiles?cmd=normal")
            .unwrap()
            .len(),
        2
    );
    fixture.end_with(2);
}

#[test]
fn bodies_come_in_chunks_after_a_question_and_from_old_proxies() {
    let mut fixture = Fixture::new();
    let body = literal("ann", "chunks.bin", b"in three chunks");
    let http = fixture.ann.http();
    http.send(b"POST /api/upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    for piece in body.chunks(body.len().div_ceil(3)) {
        let head = format!("{:x}\r\n", piece.len());
        http.send(&[head.as_bytes(), piece, b"\r\n"].concat())
            .unwrap();
    }
    http.send(b"0\r\n\r\n").unwrap();
    assert_eq!(code_of(&json_of(&http.answer("POST").unwrap())), 0);

    let body = literal("ann", "asked.bin", b"may I?");
    let head = format!(
        "POST /api/upload HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    http.send(head.as_bytes()).unwrap();
    assert_eq!(http.answer("HEAD").unwrap().status, 100);
    http.send(&body).unwrap();
    assert_eq!(code_of(&json_of(&http.answer("POST").unwrap())), 0);

    let mut old = Http::connect(fixture.server.addresses.api).unwrap();
    let login = format!(r#"{{"user":"ann","pwd":"{PASSWORD}"}}"#);
    let head = format!(
        "POST /api/login HTTP/1.0\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        login.len()
    );
    old.send(&[head.as_bytes(), login.as_bytes()].concat())
        .unwrap();
    assert_eq!(code_of(&json_of(&old.answer("POST").unwrap())), 0);
    old.expect_end().unwrap();
    assert_eq!(fixture.seen()[0].len(), 4);
}
