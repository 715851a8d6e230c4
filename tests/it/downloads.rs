//! Downloads by HTTP from the storage port and, equally, from the API port.

use crate::support::home::Home;
use crate::support::http::{self, HttpAnswer};
use crate::support::server::Server;
use crate::support::wire::{Id, UPLOAD, UPLOAD_APPENDER, Wire};
use crate::support::{chance, wire};

struct Fixture {
    server: Server,
    storage: Wire,
    // Dropped after the server, whose files it holds.
    _home: Home,
}

impl Fixture {
    fn new() -> Self {
        let home = Home::new();
        let server = Server::start(&home);
        let storage = Wire::connect(server.addresses.storage).unwrap();
        Self {
            server,
            storage,
            _home: home,
        }
    }

    fn upload(&mut self, extension: &str, content: &[u8]) -> Id {
        self.storage.upload(UPLOAD, extension, content).unwrap()
    }

    /// Asks both ports, expects the same from them, and returns one answer.
    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> HttpAnswer {
        let addresses = &self.server.addresses;
        let direct = http::ask(addresses.storage_http, method, target, headers);
        let through_api = http::ask(addresses.api, method, target, headers);
        assert_eq!(direct.status, through_api.status, "{method} {target}");
        if direct.status < 400 {
            assert!(direct.body == through_api.body, "{method} {target}");
            for name in [
                "content-type",
                "content-length",
                "content-range",
                "content-disposition",
                "etag",
                "last-modified",
                "accept-ranges",
                "cache-control",
            ] {
                assert_eq!(
                    direct.header(name),
                    through_api.header(name),
                    "{name} of {method} {target}"
                );
            }
        }
        direct
    }

    fn get(&self, target: &str) -> HttpAnswer {
        self.ask("GET", target, &[])
    }
}

#[test]
fn a_link_works_from_both_ports_the_moment_the_upload_is_acknowledged() {
    let mut fixture = Fixture::new();
    for size in [0, 1, 4096, 1024 * 1024, 5 * 1024 * 1024 + 3] {
        let content = chance::content(size as u64, size);
        let id = fixture.upload("jpg", &content);
        let answer = fixture.get(&format!("/{}", id.text()));
        assert_eq!(answer.status, 200);
        assert!(answer.body == content, "{size} bytes");
        assert_eq!(answer.header("content-type"), "image/jpeg");
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert!(answer.header("cache-control").contains("immutable"));
        assert!(answer.header("etag").starts_with('"'), "a strong tag");
        assert!(answer.header("last-modified").ends_with("GMT"));
    }
}

#[test]
fn head_tells_the_same_without_the_body() {
    let mut fixture = Fixture::new();
    let id = fixture.upload("txt", b"hello");
    let target = format!("/{}", id.text());
    let answer = fixture.ask("HEAD", &target, &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), "5");
    assert_eq!(answer.header("etag"), fixture.get(&target).header("etag"));
}

#[test]
fn ranges_are_the_bytes_they_name() {
    let mut fixture = Fixture::new();
    let content = chance::content(9, 2 * 1024 * 1024 + 11);
    let len = content.len();
    let id = fixture.upload("bin", &content);
    let target = format!("/{}", id.text());
    let cases = [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=1-3".to_owned(), 1..4),
        ("bytes=1048570-1048590".to_owned(), 1_048_570..1_048_591),
        (format!("bytes={}-", len - 4), len - 4..len),
        ("bytes=-7".to_owned(), len - 7..len),
        ("bytes=100-99999999".to_owned(), 100..len),
        ("bytes=-99999999".to_owned(), 0..len),
    ];
    for (range, want) in cases {
        let answer = fixture.ask("GET", &target, &[("Range", &range)]);
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.body == content[want.clone()], "{range}");
        assert_eq!(
            answer.header("content-range"),
            format!("bytes {}-{}/{len}", want.start, want.end - 1),
            "{range}"
        );
    }
    for range in [format!("bytes={len}-"), "bytes=-0".to_owned()] {
        let answer = fixture.ask("GET", &target, &[("Range", &range)]);
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes */{len}"));
    }
    // What is no range is no range: the whole file.
    let answer = fixture.ask("GET", &target, &[("Range", "bytes=9-2")]);
    assert!(matches!(answer.status, 200 | 416), "{}", answer.status);
}

#[test]
fn several_ranges_come_as_parts() {
    let mut fixture = Fixture::new();
    let id = fixture.upload("txt", b"0123456789");
    // A boundary is the server's choice, so the ports are asked one by one.
    for address in [
        fixture.server.addresses.storage_http,
        fixture.server.addresses.api,
    ] {
        let answer = http::get_with(
            address,
            &format!("/{}", id.text()),
            &[("Range", "bytes=0-1,5-6,-1")],
        );
        assert_eq!(answer.status, 206);
        let boundary = answer
            .header("content-type")
            .strip_prefix("multipart/byteranges; boundary=")
            .expect("parts")
            .trim_matches('"')
            .to_owned();
        let text = answer.text();
        let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
        assert_eq!(parts.len(), 5, "preamble, three parts, the end: {text}");
        for (part, (range, content)) in parts[1..4].iter().zip([
            ("bytes 0-1/10", "01"),
            ("bytes 5-6/10", "56"),
            ("bytes 9-9/10", "9"),
        ]) {
            assert!(
                part.to_ascii_lowercase()
                    .contains(&format!("content-range: {range}"))
            );
            assert!(
                part.ends_with(&format!("\r\n\r\n{content}\r\n")),
                "{part:?}"
            );
        }
        assert_eq!(parts[4].trim_end(), "--");
    }
}

#[test]
fn conditions_save_the_body() {
    let mut fixture = Fixture::new();
    let id = fixture.upload("txt", b"hello");
    let target = format!("/{}", id.text());
    let first = fixture.get(&target);
    let (tag, time) = (first.header("etag"), first.header("last-modified"));
    for headers in [[("If-None-Match", tag)], [("If-Modified-Since", time)]] {
        assert_eq!(fixture.ask("GET", &target, &headers).status, 304);
    }
    let other = fixture.ask("GET", &target, &[("If-None-Match", "\"other\"")]);
    assert_eq!(other.status, 200);
    let range = ("Range", "bytes=0-1");
    let same = fixture.ask("GET", &target, &[range, ("If-Range", tag)]);
    assert_eq!(same.status, 206);
    let changed = fixture.ask("GET", &target, &[range, ("If-Range", "\"other\"")]);
    assert_eq!((changed.status, changed.body.len()), (200, 5));
}

#[test]
fn a_name_can_be_given_for_the_download() {
    let mut fixture = Fixture::new();
    let id = fixture.upload("pdf", b"%PDF");
    for parameter in ["filename", "attname"] {
        let answer = fixture.get(&format!(
            "/{}?{parameter}=%E6%8A%A5%E5%91%8A.pdf",
            id.text()
        ));
        assert_eq!(answer.status, 200);
        let disposition = answer.header("content-disposition");
        assert!(disposition.starts_with("attachment"), "{disposition}");
        assert!(
            disposition.contains("filename*=UTF-8''%E6%8A%A5%E5%91%8A.pdf"),
            "{disposition}"
        );
    }
    let answer = fixture.get(&format!("/{}?filename=a%0d%0aX-Evil:%201", id.text()));
    assert_eq!(answer.header("x-evil"), "");
}

#[test]
fn what_is_not_there_is_404_and_says_why() {
    let mut fixture = Fixture::new();
    let id = fixture.upload("txt", b"hello");
    let gone = fixture.upload("txt", b"gone");
    fixture.storage.delete(&gone).unwrap();
    let never = id.text().replace(".txt", ".tzt");
    for target in [gone.text(), never] {
        let answer = fixture.get(&format!("/{target}"));
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.header("content-type").starts_with("text/plain"));
        assert!(!answer.body.is_empty());
    }
    let elsewhere = format!("/{}", id.text().replace("group1", "group9"));
    let addresses = fixture.server.addresses.clone();
    assert_eq!(http::get(addresses.storage_http, &elsewhere).status, 404);
    // Nobody said no: the group's nodes may just not have reported to the tracker yet.
    assert_eq!(http::get(addresses.api, &elsewhere).status, 503);
    assert_eq!(fixture.get("/favicon.ico").status, 404);
    let post = fixture.ask(
        "POST",
        &format!("/{}", id.text()),
        &[("Content-Length", "0")],
    );
    assert_eq!(post.status, 405);
}

#[test]
fn a_changed_appender_is_not_taken_from_a_cache() {
    let mut fixture = Fixture::new();
    let addresses = fixture.server.addresses.clone();
    for address in [addresses.storage_http, addresses.api] {
        let id = fixture
            .storage
            .upload(UPLOAD_APPENDER, "log", b"one")
            .unwrap();
        let target = format!("/{}", id.text());
        let first = fixture.get(&target);
        assert_eq!(first.body, b"one");
        assert!(!first.header("cache-control").contains("immutable"));
        // The same second and the same length: only the content differs.
        fixture.storage.modify(&id, 0, b"two").unwrap();
        let unless = |tag| http::get_with(address, &target, &[("If-None-Match", tag)]);
        let second = unless(first.header("etag"));
        assert_eq!((second.status, second.body.as_slice()), (200, &b"two"[..]));
        assert_eq!(unless(second.header("etag")).status, 304);
        fixture.storage.append(&id, b"+").unwrap();
        let third = unless(second.header("etag"));
        assert_eq!((third.status, third.body.as_slice()), (200, &b"two+"[..]));
    }
}

#[test]
fn html_from_strangers_runs_no_scripts() {
    let mut fixture = Fixture::new();
    let id = fixture.upload("html", b"<script>alert(1)</script>");
    for address in [
        fixture.server.addresses.storage_http,
        fixture.server.addresses.api,
    ] {
        let answer = http::get(address, &format!("/{}", id.text()));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("sandbox"), "{policy:?}");
    }
}

#[test]
fn a_protected_server_wants_a_token() {
    let home = Home::with_config(
        "[storage]\nvolume_size = \"32MiB\"\n\
         [storage.anti_leech]\nenabled = true\nkeys = [\"secret\"]\n",
    );
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let id = storage.upload(wire::UPLOAD, "txt", b"hello").unwrap();
    for address in [server.addresses.storage_http, server.addresses.api] {
        for query in [
            "",
            "?token=00000000000000000000000000000000&ts=0",
            "?token=x",
        ] {
            let answer = http::get(address, &format!("/{}{query}", id.text()));
            assert_eq!(answer.status, 403, "{query}");
            assert!(!answer.text().contains("hello"));
        }
    }
}
