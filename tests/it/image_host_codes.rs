//! Every code of every endpoint of the image host, what is refused at which status, the forms that
//! uploads come in, and HTTPS; over sockets, against the real server. Whatever is refused leaves no
//! trace in lists, counts and storage.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use crate::support::chance;
use crate::support::home::Home;
use crate::support::http::Http;
use crate::support::image_host::{
    Client, Label, ORDINARY, PASSWORD, code_of, is_hex_of_128_bits, json_of, literal, literal_as,
    md5_hex, ordinary,
};
use crate::support::server::Server;

/// Bodies of JSON are not longer.
const JSON_LEN_MAX: usize = 1024 * 1024;

/// A digest of nothing that is stored.
const NO_MD5: &str = "0123456789abcdef0123456789abcdef";

/// A server with two users; ann shares `a.txt` and has `b.txt`.
struct Fixture {
    ann: Client,
    bob: Client,
    a: Label,
    b: Label,
    server: Server,
    // Dropped after the server, whose files it holds.
    home: Home,
}

impl Fixture {
    fn new() -> Self {
        Self::on(Home::new())
    }

    fn on(home: Home) -> Self {
        let server = Server::start(&home);
        let connect = || Http::connect(server.addresses.api).unwrap();
        let mut ann = Client::register(connect(), "ann");
        let bob = Client::register(connect(), "bob");
        assert_eq!(ann.upload("a.txt", b"a").unwrap(), 0);
        assert_eq!(ann.upload("b.txt", b"b").unwrap(), 0);
        let (a, b) = (Label::new("a.txt", b"a"), Label::new("b.txt", b"b"));
        let shared = ann.ask_as_owner("/api/dealfile?cmd=share", &a);
        assert_eq!(shared.unwrap(), 0);
        Self {
            ann,
            bob,
            a,
            b,
            server,
            home,
        }
    }

    /// Ann sends this and gets this code; one that is not 0 changes nothing that she sees.
    fn expect(&mut self, target: &str, body: &Value, code: u64) {
        let before = (code != 0).then(|| self.seen());
        let answer = self.ann.ask(target, body).unwrap();
        assert_eq!(code_of(&answer), code, "{target} {body}");
        if let Some(before) = before {
            assert_eq!(before, self.seen(), "{target} {body} left a trace");
        }
    }

    /// All lists that ann sees.
    fn seen(&mut self) -> Vec<Vec<Value>> {
        let own = ["/api/myfiles?cmd=normal", "/api/sharepic?cmd=normal"];
        let own = own.map(|target| self.ann.own_list(target).unwrap());
        let public = ["/api/sharefiles?cmd=normal", "/api/sharefiles?cmd=pvdesc"];
        let public = public.map(|target| self.ann.public_list(target).unwrap());
        [own, public].concat()
    }

    /// A call that must prove who one is fails with this code without a right token.
    fn expect_token_asked(&mut self, target: &str, body: &Value, code: u64) {
        let right = self.ann.token.clone();
        let wrong = [
            json!(self.bob.token),
            json!(NO_MD5),
            json!(right[..31]),
            json!(right.to_uppercase()),
            json!(""),
            json!(0),
            Value::Null,
        ];
        for token in wrong {
            // A token of digits alone is no other in upper case.
            if token == json!(right) {
                continue;
            }
            let mut body = body.clone();
            body["token"] = token;
            self.expect(target, &body, code);
        }
        let mut body = body.clone();
        body.as_object_mut().unwrap().remove("token");
        self.expect(target, &body, code);
    }

    /// Stops the server, whose storage holds so many blobs and nothing else.
    fn end_with(self, blobs: u64) {
        self.server.terminate();
        let output = Command::new(env!("CARGO_BIN_EXE_hayloft"))
            .args(["check", "--json", "--data-dir"])
            .arg(self.home.data_dir())
            .arg("--config")
            .arg(self.home.config().unwrap())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let path = &report["paths"][0];
        assert_eq!(path["blobs"], blobs, "{report}");
        assert_eq!(path["unowned_parts"], 0, "{report}");
    }
}

/// A body with this label, and these members.
fn of(label: &Label, more: &Value) -> Value {
    let mut body = more.clone();
    body["md5"] = json!(label.md5);
    body["filename"] = json!(label.name);
    body
}

#[test]
fn registration_and_login_have_their_codes() {
    let mut fixture = Fixture::new();
    let account = |user: &str| json!({"userName": user, "nickName": "n", "firstPwd": PASSWORD});
    let with = |user: &str, member: &str, value: Value| {
        let mut account = account(user);
        account[member] = value;
        account
    };
    let wide = "图".repeat(32);
    for (account, code) in [
        (account(&wide), 0),
        (account("ann"), 2),
        (with("ann", "firstPwd", json!("another")), 2),
        (with("c", "email", json!("")), 0),
        (with("d", "phone", json!("")), 0),
        (account(""), 1),
        (account(&format!("{wide}床")), 1),
        (account("nul\0"), 1),
        (with("e", "nickName", Value::Null), 1),
        (with("e", "nickName", json!("n".repeat(33))), 1),
        (with("e", "firstPwd", json!("")), 1),
        (with("e", "firstPwd", json!(123_456)), 1),
        (with("e", "phone", json!("1".repeat(17))), 1),
        (with("e", "email", json!("no address")), 1),
    ] {
        fixture.expect("/api/reg", &account, code);
    }
    for (login, code) in [
        (json!({"user": "ann", "pwd": PASSWORD}), 0),
        (json!({"user": "ann", "pwd": PASSWORD.to_uppercase()}), 0),
        (json!({"user": wide, "pwd": PASSWORD}), 0),
        (json!({"user": "ann", "pwd": "wrong"}), 1),
        (json!({"user": "Ann", "pwd": PASSWORD}), 1),
        // Nobody of this name came to be.
        (json!({"user": "e", "pwd": PASSWORD}), 1),
        (json!({"user": "ann"}), 1),
        (json!({"pwd": PASSWORD}), 1),
        (json!([]), 1),
    ] {
        fixture.expect("/api/login", &login, code);
    }
    let before = fixture.ann.token.clone();
    fixture.ann.log_in();
    assert!(is_hex_of_128_bits(&fixture.ann.token));
    assert_ne!(before, fixture.ann.token, "every login has its token");
}

#[test]
fn lists_have_their_codes() {
    let mut fixture = Fixture::new();
    let token = fixture.ann.token.clone();
    let page = json!({"user": "ann", "token": token, "start": 0, "count": 10});
    let own = [
        "/api/myfiles?cmd=normal",
        "/api/myfiles?cmd=pvasc",
        "/api/myfiles?cmd=pvdesc",
        "/api/sharepic?cmd=normal",
    ];
    let public = ["/api/sharefiles?cmd=normal", "/api/sharefiles?cmd=pvdesc"];
    for target in own.into_iter().chain(public) {
        fixture.expect(target, &page, 0);
        let numbers = [
            (json!("2"), 0),
            (json!(2.0), 0),
            (json!(9_007_199_254_740_991_u64), 0),
            (json!(-1), 1),
            (json!(1.5), 1),
            (json!(true), 1),
            (json!([1]), 1),
            (json!(""), 1),
            (Value::Null, 1),
        ];
        for member in ["start", "count"] {
            for (number, code) in &numbers {
                let mut page = page.clone();
                page[member] = number.clone();
                fixture.expect(target, &page, *code);
            }
        }
        let mut none = page.clone();
        none["count"] = json!(0);
        fixture.expect(target, &none, 1);
        let mut beyond = page.clone();
        beyond["start"] = json!(1_000_000);
        let answer = fixture.ann.ask(target, &beyond).unwrap();
        assert_eq!(
            (&answer["count"], &answer["files"]),
            (&json!(0), &json!([]))
        );
    }
    for target in own.into_iter().chain(["/api/myfiles?cmd=count"]) {
        fixture.expect_token_asked(target, &page, 1);
    }
    for target in [
        "/api/myfiles",
        "/api/myfiles?cmd=",
        "/api/sharefiles?cmd=all",
    ] {
        fixture.expect(target, &page, 1);
    }
}

#[test]
fn calls_about_own_files_have_their_codes() {
    let mut fixture = Fixture::new();
    let me = json!({"user": "ann", "token": fixture.ann.token});
    let (a, b) = (of(&fixture.a, &me), of(&fixture.b, &me));
    let mut other_name = b.clone();
    other_name["filename"] = json!("c.txt");
    let unknown = of(&Label::new("a.txt", b"unknown"), &me);
    let mut malformed = a.clone();
    malformed["md5"] = json!("xyz");
    let share = "/api/dealfile?cmd=share";
    let delete = "/api/dealfile?cmd=del";
    let count = "/api/dealfile?cmd=pv";
    let link = "/api/sharepic?cmd=share";
    for (target, code) in [(share, 4), (link, 4), (delete, 1), (count, 1)] {
        fixture.expect_token_asked(target, &b, code);
        for body in [&other_name, &unknown, &malformed, &me] {
            fixture.expect(target, body, 1);
        }
    }
    fixture.expect(share, &a, 3);
    fixture.expect(share, &b, 0);
    fixture.expect(share, &b, 3);
    fixture.expect(count, &b, 0);
    let mut upper = b.clone();
    upper["md5"] = json!(fixture.b.md5.to_uppercase());
    fixture.expect(count, &upper, 0);
    fixture.expect(delete, &b, 0);
    fixture.expect(delete, &b, 1);
    fixture.expect("/api/dealfile?cmd=no", &a, 1);
    fixture.end_with(1);
}

#[test]
fn calls_about_shares_have_their_codes() {
    let mut fixture = Fixture::new();
    let (ann, bob) = (json!({"user": "ann"}), json!({"user": "bob"}));
    let nobody = json!({"user": "nobody"});
    let stolen = json!({"user": "bob", "token": fixture.ann.token});
    let (a, b) = (fixture.a.clone(), fixture.b.clone());
    let cancel = "/api/dealsharefile?cmd=cancel";
    let save = "/api/dealsharefile?cmd=save";
    let count = "/api/dealsharefile?cmd=pv";
    for target in [cancel, save, count] {
        fixture.expect(target, &of(&a, &nobody), 1);
        fixture.expect(target, &of(&a, &stolen), 1);
        fixture.expect(target, &of(&a, &json!({"user": "ann", "token": NO_MD5})), 1);
        fixture.expect(target, &bob, 1);
    }
    fixture.expect(save, &of(&a, &ann), 5);
    fixture.expect(save, &of(&b, &bob), 1);
    fixture.expect(save, &of(&a, &bob), 0);
    fixture.expect(save, &of(&a, &bob), 5);
    fixture.expect(count, &of(&b, &bob), 1);
    fixture.expect(count, &of(&a, &bob), 0);
    fixture.expect(cancel, &of(&a, &bob), 1);
    fixture.expect(cancel, &of(&b, &ann), 1);
    fixture.expect(cancel, &of(&a, &ann), 0);
    fixture.expect(cancel, &of(&a, &ann), 1);
    // Bob keeps what he saved, whatever becomes of ann's.
    let deleted = fixture.ann.ask_as_owner("/api/dealfile?cmd=del", &a);
    assert_eq!(deleted.unwrap(), 0);
    let rows = fixture.bob.own_list("/api/myfiles?cmd=normal").unwrap();
    let kept = fixture.bob.get(rows[0]["url"].as_str().unwrap()).unwrap();
    assert_eq!(kept.body, b"a");
    fixture.end_with(2);
}

#[test]
fn instant_uploads_and_picture_shares_have_their_codes() {
    let mut fixture = Fixture::new();
    let me = json!({"user": "ann", "token": fixture.ann.token});
    let a = of(&fixture.a, &me);
    let mut again = a.clone();
    again.as_object_mut().unwrap().remove("filename");
    again["fileName"] = json!("again.txt");
    fixture.expect_token_asked("/api/md5", &again, 4);
    fixture.expect("/api/md5", &again, 0);
    fixture.expect("/api/md5", &again, 5);
    fixture.expect("/api/md5", &a, 5);
    let unknown = of(&Label::new("a.txt", b"unknown"), &me);
    fixture.expect("/api/md5", &unknown, 1);
    for name in ["", &"图".repeat(129), "new\nline"] {
        let mut bad = a.clone();
        bad["filename"] = json!(name);
        fixture.expect("/api/md5", &bad, 1);
    }
    let mut long = a.clone();
    long["filename"] = json!("图".repeat(128));
    fixture.expect("/api/md5", &long, 0);

    let answer = fixture.ann.ask("/api/sharepic?cmd=share", &a).unwrap();
    let link = answer["urlmd5"].as_str().unwrap().to_owned();
    assert!(is_hex_of_128_bits(&link), "{answer}");
    let browse = "/api/sharepic?cmd=browse";
    let cancel = "/api/sharepic?cmd=cancel";
    fixture.expect(browse, &json!({"urlmd5": link}), 0);
    for body in [
        json!({"urlmd5": NO_MD5}),
        json!({"urlmd5": ""}),
        json!({"urlmd5": "../.."}),
        json!({}),
    ] {
        fixture.expect(browse, &body, 1);
    }
    let mut mine = me.clone();
    mine["urlmd5"] = json!(link);
    fixture.expect_token_asked(cancel, &mine, 4);
    let his = json!({"user": "bob", "token": fixture.bob.token, "urlmd5": link});
    fixture.expect(cancel, &his, 1);
    fixture.expect(cancel, &mine, 0);
    fixture.expect(cancel, &mine, 1);
    fixture.expect(browse, &json!({"urlmd5": link}), 1);
    let answer = fixture.ann.ask("/api/sharepic?cmd=share", &a).unwrap();
    fixture.expect("/api/dealfile?cmd=del", &a, 0);
    fixture.expect(browse, &json!({"urlmd5": answer["urlmd5"]}), 2);
}

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
    let fixture = Fixture::new();
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
    let mut ann = fixture.ann;
    let label = Label::new("cut.bin", &content);
    assert_eq!(ann.ask_as_owner("/api/md5", &label).unwrap(), 1);
    assert_eq!(ann.own_list("/api/myfiles?cmd=normal").unwrap().len(), 2);
    Fixture { ann, ..fixture }.end_with(2);
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

#[test]
fn statuses_other_than_200_are_for_what_reached_no_call() {
    let mut fixture = Fixture::new();
    let http = fixture.ann.http();
    let long = vec![b' '; JSON_LEN_MAX + 1];
    for (method, target, body, status) in [
        ("POST", "/api/nothing", Some(&b"{}"[..]), 404),
        ("GET", "/api/", None, 404),
        ("GET", "/api/login", None, 405),
        ("DELETE", "/api/myfiles?cmd=count", None, 405),
        ("GET", "/api/sharefiles?cmd=normal", None, 405),
    ] {
        let answer = http.ask(method, target, &[], body).unwrap();
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.text(), r#"{"code":1}"#, "{method} {target}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let options = http.ask("OPTIONS", "/api/login", &[], None).unwrap();
    assert_eq!(options.status, 204);
    // Malformed is not a status: clients read the code of a 200 only.
    let deep = format!(r#"{{"user":{}"#, "[".repeat(100_000));
    for text in ["", "{", "null", "[]", "{\"user\":\"\\ud800\"}", &deep] {
        let answer = http.ask("POST", "/api/login", &[], Some(text.as_bytes()));
        assert_eq!(code_of(&json_of(&answer.unwrap())), 1, "{text:.40}");
    }
    // Comments, a mark in front and unknown members are no mistake.
    let lenient =
        format!("\u{feff}{{/* me */\"user\":\"ann\", // and\n\"pwd\":\"{PASSWORD}\",\"x\":[1]}}");
    let answer = http.ask("POST", "/api/login", &[], Some(lenient.as_bytes()));
    assert_eq!(code_of(&json_of(&answer.unwrap())), 0);
    let mut http = Http::connect(fixture.server.addresses.api).unwrap();
    let head = format!(
        "POST /api/login HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        long.len()
    );
    http.send(head.as_bytes()).unwrap();
    let answer = http.answer("POST").unwrap();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (413, r#"{"code":1}"#)
    );
}

#[test]
fn writes_without_a_token_are_for_who_is_logged_in_from_the_same_address() {
    // The proxy says who the client is, so that one machine can be several.
    let mut fixture = Fixture::on(Home::with_config(
        "[storage]\nvolume_size = \"32MiB\"\n[api]\ntrusted_proxies = [\"127.0.0.1\"]\n",
    ));
    let target = "/api/dealsharefile?cmd=cancel";
    let body = of(&fixture.a, &json!({"user": "ann"})).to_string();
    // Behind a loopback name the origin would not be compared: a proxy may hide the public one.
    let mut http = Http::connect_as(fixture.server.addresses.api, "img.example.com").unwrap();
    let mut code = |headers: &[(&str, &str)]| {
        let answer = http.ask("POST", target, headers, Some(body.as_bytes()));
        code_of(&json_of(&answer.unwrap()))
    };
    let elsewhere = ("X-Forwarded-For", "203.0.113.9");
    assert_eq!(code(&[elsewhere]), 1, "from elsewhere");
    let foreign = ("Origin", "https://evil.example");
    assert_eq!(code(&[foreign]), 1, "from somebody else's page");
    let own = ("Origin", "http://img.example.com");
    assert_eq!(code(&[own]), 0, "from where ann is");
    // An account without a session cannot be written to from anywhere.
    let account = json!({"userName": "eve", "nickName": "n", "firstPwd": PASSWORD});
    fixture.expect("/api/reg", &account, 0);
    let upload = literal("eve", "x.txt", b"x");
    let answer = fixture.ann.send("/api/upload", "", &upload).unwrap();
    assert_eq!(code_of(&json_of(&answer)), 1);
}

#[test]
fn a_port_with_a_certificate_serves_the_api_and_links_by_https() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let home = Home::with_defaults();
    let (chain, key) = (home.file("chain.pem"), home.file("key.pem"));
    fs::write(&chain, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = format!(
        "[storage]\nvolume_size = \"32MiB\"\n[api]\ntls_certificate = {chain:?}\ntls_key = {key:?}\n"
    );
    fs::write(home.file("hayloft.toml"), config).unwrap();
    let server = Server::start(&home);
    let address = server.addresses.api;
    let mut http = Http::connect_tls(address, "localhost", trusting(made.cert.der())).unwrap();
    let health = http.ask("GET", "/healthz", &[], None).unwrap();
    assert_eq!(health.status, 200);
    let mut ann = Client::register(http, "ann");
    let content = chance::content(9, 300_000);
    assert_eq!(ann.upload("secret.bin", &content).unwrap(), 0);
    let rows = ann.own_list("/api/myfiles?cmd=normal").unwrap();
    let url = rows[0]["url"].as_str().unwrap();
    let base = format!("https://localhost:{}/group1/M00/", address.port());
    assert!(url.starts_with(&base), "{url}");
    assert!(ann.get(url).unwrap().body == content);
    let page = ann.get("/").unwrap();
    assert_ne!(page.header("strict-transport-security"), "");

    // Whoever speaks plainly gets nothing.
    let mut plain = Http::connect(address).unwrap();
    assert!(plain.ask("GET", "/healthz", &[], None).is_err());
    // And who does not know the certificate says so.
    let strangers = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let config = trusting(strangers.cert.der());
    let mut other = Http::connect_tls(address, "localhost", config).unwrap();
    assert!(other.ask("GET", "/healthz", &[], None).is_err());
    server.terminate();
}

/// A client that believes this certificate and no other.
fn trusting(certificate: &CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
