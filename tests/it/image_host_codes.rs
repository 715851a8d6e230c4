//! Every code of every endpoint of the image host, over sockets, against the real server. A call that
//! is refused leaves no trace in lists, counts and storage.

use serde_json::{Value, json};

use crate::support::home::Home;
use crate::support::http::Http;
use crate::support::image_host::{Client, Label, NO_MD5, PASSWORD, code_of, is_hex_of_128_bits};
use crate::support::server::{Server, blobs_left};

/// A server with two users; ann shares `a.txt` and has `b.txt`.
pub(crate) struct Fixture {
    pub(crate) ann: Client,
    pub(crate) bob: Client,
    pub(crate) a: Label,
    pub(crate) b: Label,
    pub(crate) server: Server,
    // Dropped after the server, whose files it holds.
    home: Home,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::on(Home::new())
    }

    pub(crate) fn on(home: Home) -> Self {
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
    pub(crate) fn expect(&mut self, target: &str, body: &Value, code: u64) {
        let before = (code != 0).then(|| self.seen());
        let answer = self.ann.ask(target, body).unwrap();
        assert_eq!(code_of(&answer), code, "{target} {body}");
        if let Some(before) = before {
            assert_eq!(before, self.seen(), "{target} {body} left a trace");
        }
    }

    /// All lists that ann sees.
    pub(crate) fn seen(&mut self) -> Vec<Vec<Value>> {
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
    pub(crate) fn end_with(self, blobs: u64) {
        self.server.terminate();
        assert_eq!(blobs_left(&self.home), blobs);
    }
}

/// A body with this label, and these members.
pub(crate) fn of(label: &Label, more: &Value) -> Value {
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
