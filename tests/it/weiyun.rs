//! The upload API of Weiyun against the real binary: an application is made on the command line, a
//! token is got for it, and files come as forms and as packets, also across `kill -9`.
//! Source: docs/api/weiyun.md.

use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::env::clock;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Digest as _;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::support::deadline::{eventually, within};
use crate::support::home::Home;
use crate::support::http::{self, Http, HttpAnswer};
use crate::support::image_host::{Client, Label, PASSWORD, json_of, md5_hex};
use crate::support::server::{Server, blobs_left};

/// Bytes of a block, as the platform's own client sends them.
const BLOCK_LEN: usize = 128 * 1024;

/// Somebody with an application, and a token of it.
#[derive(Debug)]
struct Program {
    appid: String,
    appkey: String,
    token: String,
    openid: String,
    token_secret: String,
}

/// A file to upload.
#[derive(Debug)]
struct Content {
    name: &'static str,
    bytes: Vec<u8>,
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// All bytes that are not kept by RFC 3986 in `%XX`.
fn encode(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| {
        if keep(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(one).collect()
}

fn query(pairs: &[(&str, String)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// What `hayloft app create` prints for the account.
fn create_app(home: &Home, user: &str) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hayloft"))
        .args(["app", "--data-dir"])
        .arg(home.data_dir())
        .args(["create", user, "sync", "--json"])
        .env_remove("HAYLOFT_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let app: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = &app["id"];
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    (id, app["secret"].as_str().unwrap().to_owned())
}

impl Program {
    /// Makes an application of a user and gets a token for it.
    fn new(home: &Home, server: &Server, user: &str) -> Self {
        let (appid, appkey) = create_app(home, user);
        let pairs = [
            ("grant_type", "password".to_owned()),
            ("client_id", appid.clone()),
            ("client_secret", appkey.clone()),
            ("username", user.to_owned()),
            ("password", PASSWORD.to_owned()),
            ("fmt", "json".to_owned()),
        ];
        let target = format!("/oauth2.0/token?{}", query(&pairs));
        let answer = http::get(server.addresses.api, &target);
        let tokens: Value = serde_json::from_slice(&answer.body).unwrap();
        let text = |name: &str| tokens[name].as_str().unwrap_or_else(|| panic!("{tokens}"));
        let me = http::get(
            server.addresses.api,
            &format!("/oauth2.0/me?access_token={}", text("access_token")),
        );
        let expected = format!(
            "callback( {{\"client_id\":\"{appid}\",\"openid\":\"{}\"}} );\n",
            text("openid")
        );
        assert_eq!(me.text(), expected);
        Self {
            token: text("access_token").to_owned(),
            openid: text("openid").to_owned(),
            token_secret: text("oauth_token_secret").to_owned(),
            appid,
            appkey,
        }
    }

    /// The general parameters of OAuth 2.0.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("access_token", self.token.clone()),
            ("oauth_consumer_key", self.appid.clone()),
            ("openid", self.openid.clone()),
        ]
    }

    fn call(&self, server: &Server, path: &str, more: &[(&'static str, String)]) -> Value {
        let pairs = [&self.parameters(), more].concat();
        answer_of(&http::get(
            server.addresses.api,
            &format!("{path}?{}", query(&pairs)),
        ))
    }

    /// The data of an application that is admitted.
    fn apply(&self, server: &Server, content: &Content, upload_type: &str) -> Value {
        let answer = self.call(
            server,
            "/weiyun/upload_file",
            &content.parameters(upload_type),
        );
        assert_eq!(answer["ret"], 0, "{answer}");
        answer["data"].clone()
    }
}

impl Content {
    fn parameters(&self, upload_type: &str) -> Vec<(&'static str, String)> {
        vec![
            ("sha", hex(&Sha1::digest(&self.bytes))),
            ("md5", md5_hex(&self.bytes)),
            ("size", self.bytes.len().to_string()),
            ("name", self.name.to_owned()),
            ("upload_type", upload_type.to_owned()),
        ]
    }

    /// The packet of the block at `offset`.
    fn packet(&self, key: &str, offset: usize) -> (String, Vec<u8>) {
        let end = self.bytes.len().min(offset + BLOCK_LEN);
        let block = &self.bytes[offset..end];
        let key: Vec<u8> = (0..key.len() / 2)
            .map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
        let sha = Sha1::digest(&self.bytes);
        let rest = [
            &[1, 0x30],
            key.as_slice(),
            &[0, 20],
            &sha,
            &number(self.bytes.len()),
            &number(offset),
            &number(block.len()),
            block,
        ]
        .concat();
        let head = [
            [0xab, 0xcd, 0x98, 0x76],
            number(1000),
            number(0),
            number(rest.len()),
        ];
        let target = format!("/ftn_handler/?bmd5={}", md5_hex(block));
        (target, [head.as_flattened(), &rest].concat())
    }
}

/// An answer in the dialect's frame.
fn answer_of(answer: &HttpAnswer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{:?}", answer.text()))
}

fn text<'a>(data: &'a Value, name: &str) -> &'a str {
    data[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {data}"))
}

/// Sends one packet; nothing if the connection broke.
fn send_packet(http: &mut Http, content: &Content, key: &str, offset: usize) -> Option<HttpAnswer> {
    let (target, packet) = content.packet(key, offset);
    http.ask("POST", &target, &[], Some(&packet)).ok()
}

/// The user's files as the image host lists them.
fn my_files(server: &Server, user: &str) -> Vec<Value> {
    let mut client = Client::stranger(Http::connect(server.addresses.api).unwrap(), user);
    client.log_in();
    client.own_list("/api/myfiles?cmd=normal").unwrap()
}

/// The bytes that a link leads to.
fn fetch(server: &Server, link: &str) -> Vec<u8> {
    let path = link.split_once("://").unwrap().1;
    let path = &path[path.find('/').unwrap()..];
    let answer = http::get(server.addresses.api, path);
    assert_eq!(answer.status, 200, "{path}");
    answer.body
}

fn register(server: &Server, user: &str) {
    Client::register(Http::connect(server.addresses.api).unwrap(), user);
}

#[test]
fn a_form_becomes_a_file_of_all_apis() {
    let home = Home::new();
    let server = Server::start(&home);
    let api = server.addresses.api;
    register(&server, "king");
    let program = Program::new(&home, &server, "king");
    // Its name, its delimiter and its bytes are what real clients stumble over.
    let content = Content {
        name: "图 片+1.jpg",
        bytes: b"\r\n-----------------------------7d5--\r\n--\0\xff".repeat(10_000),
    };
    let admission = program.apply(&server, &content, "normal");
    assert_eq!(text(&admission, "host"), "127.0.0.1");
    assert_eq!(admission["port"], api.port());
    let boundary = "---------------------------7d5x";
    let head = format!(
        "{boundary}\r\nContent-Disposition: form-data; name=\"Filename\"\r\n\r\nx\r\n{boundary}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let tail = format!(
        "\r\n{boundary}\r\nContent-Disposition: form-data; name=\"Upload\"\r\n\r\nSubmit Query\r\n\
         {boundary}--"
    );
    let body = [head.as_bytes(), &content.bytes, tail.as_bytes()].concat();
    let kind = format!("multipart/form-data;boundary={boundary}");
    let headers = [("Content-Type", kind.as_str())];
    let key = text(&admission, "csum").to_uppercase();
    let target = format!("/ftn_handler/?ver=12345&ukey={key}&filekey=0&");
    let mut http = Http::connect(api).unwrap();
    let done = http.ask("POST", &target, &headers, Some(&body)).unwrap();
    let done = answer_of(&done);
    assert_eq!(done["ret"], 0, "{done}");
    let data = &done["data"];
    assert_eq!(text(data, "file_name"), content.name);
    assert_eq!(fetch(&server, text(data, "url")), content.bytes);
    // The same key once more, and the name once more.
    let again = http.ask("POST", &target, &headers, Some(&body)).unwrap();
    assert_eq!(answer_of(&again)["ret"], 1022);
    let taken = program.call(&server, "/weiyun/put", &content.parameters("control"));
    assert_eq!(
        (&taken["ret"], &taken["data"]["file_id"]),
        (&1051.into(), &data["file_id"])
    );

    let files = my_files(&server, "king");
    assert_eq!(files.len(), 1);
    assert_eq!(text(&files[0], "file_name"), content.name);
    assert_eq!(text(&files[0], "md5"), md5_hex(&content.bytes));
    assert_eq!(fetch(&server, text(&files[0], "url")), content.bytes);

    let list = program.call(&server, "/weiyun/get_photo_list", &[]);
    assert_eq!(list["data"]["file_total"], 1, "{list}");
    let id = vec![("file_id", text(data, "file_id").to_owned())];
    let link = program.call(&server, "/weiyun/download_photo", &id);
    let link = &link["data"];
    let path = format!("/ftn_handler/{}/", text(link, "dl_encrypt_url"));
    let cookie = format!(
        "{}={}",
        text(link, "dl_cookie_name"),
        text(link, "dl_cookie_value")
    );
    let range = format!("bytes=100-{}", content.bytes.len());
    let headers = [("Cookie", cookie.as_str()), ("Range", range.as_str())];
    let part = http::get_with(api, &path, &headers);
    assert_eq!(
        (part.status, part.body),
        (206, content.bytes[100..].to_vec())
    );
    assert_eq!(http::get(api, &path).status, 403);
    assert_eq!(program.call(&server, "/weiyun/delete_photo", &id)["ret"], 0);
    assert!(my_files(&server, "king").is_empty());
    server.terminate();
}

#[test]
fn packets_go_on_after_kill_9_at_any_of_them() {
    let home = Home::new();
    let mut server = Server::start(&home);
    register(&server, "king");
    let program = Program::new(&home, &server, "king");
    let bytes: Vec<u8> = (0..5 * BLOCK_LEN + 1_000)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 7).to_be_bytes()[7])
        .collect();
    let content = Content {
        name: "big.bin",
        bytes,
    };
    let admission = program.apply(&server, &content, "control");
    let file_id = text(&admission, "file_id").to_owned();
    let mut key = text(&admission, "csum").to_owned();
    let mut acknowledged = 0;
    let mut rounds = 0;
    let done = loop {
        let mut http = Http::connect(server.addresses.api).unwrap();
        // One block and then one more whose answer nobody waits for.
        let answer = send_packet(&mut http, &content, &key, acknowledged).unwrap();
        let answer = answer_of(&answer);
        assert_eq!(answer["ret"], 0, "{answer}");
        acknowledged = text(&answer["data"], "file_cur_size").parse().unwrap();
        if acknowledged == content.bytes.len() {
            break answer["data"].clone();
        }
        let (target, packet) = content.packet(&key, acknowledged);
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            packet.len()
        );
        http.send(head.as_bytes()).unwrap();
        http.send(&packet[..packet.len() / 2]).unwrap();
        server.kill();
        server = Server::start(&home);
        let admission = program.apply(&server, &content, "control");
        assert_eq!(text(&admission, "file_id"), file_id);
        let there: usize = text(&admission, "file_cur_size").parse().unwrap();
        // What was answered is durable, and a half of a packet is nothing.
        assert_eq!(there, acknowledged);
        // Each of the keys is good.
        if rounds % 2 == 0 {
            text(&admission, "csum").clone_into(&mut key);
        }
        rounds += 1;
    };
    assert_eq!(rounds, 5);
    assert_eq!(text(&done, "file_id"), file_id);
    assert_eq!(fetch(&server, text(&done, "url")), content.bytes);
    // Sent once more, the last block is refused, and the file is as it was.
    let mut http = Http::connect(server.addresses.api).unwrap();
    let last = 5 * BLOCK_LEN;
    let again = send_packet(&mut http, &content, &key, last).unwrap();
    assert_eq!(again.status, 409, "{}", again.text());
    assert_eq!(my_files(&server, "king").len(), 1);
    server.terminate();
    assert_eq!(blobs_left(&home), 1, "nothing is left but the file");
}

#[test]
fn a_kill_while_the_last_packet_completes_the_file_loses_nothing() {
    let home = Home::new();
    let mut server = Server::start(&home);
    register(&server, "king");
    let program = Program::new(&home, &server, "king");
    for round in 0..6_u8 {
        let content = Content {
            name: ["0.bin", "1.bin", "2.bin", "3.bin", "4.bin", "5.bin"][usize::from(round)],
            bytes: [vec![round; 2 * BLOCK_LEN], vec![!round; 7]].concat(),
        };
        let key = text(&program.apply(&server, &content, "control"), "csum").to_owned();
        let mut http = Http::connect(server.addresses.api).unwrap();
        for offset in [0, BLOCK_LEN] {
            let answer = send_packet(&mut http, &content, &key, offset).unwrap();
            assert_eq!(answer.status, 200);
        }
        let (target, packet) = content.packet(&key, 2 * BLOCK_LEN);
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            packet.len()
        );
        http.send(&[head.as_bytes(), &packet].concat()).unwrap();
        // The server is somewhere between the packet and its answer, or behind both.
        let pause = Duration::from_millis(u64::from(round) * 3);
        within(pause, || None::<()>);
        server.kill();
        server = Server::start(&home);
        let applied = program.call(&server, "/weiyun/put", &content.parameters("control"));
        if applied["ret"] != 1051 {
            assert_eq!(applied["ret"], 0, "{applied}");
            let there: usize = text(&applied["data"], "file_cur_size").parse().unwrap();
            assert_eq!(there, 2 * BLOCK_LEN, "the last block comes again");
            let mut http = Http::connect(server.addresses.api).unwrap();
            let key = text(&applied["data"], "csum");
            let answer = send_packet(&mut http, &content, key, there).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let files = my_files(&server, "king");
        let file = files
            .iter()
            .find(|file| text(file, "file_name") == content.name);
        assert_eq!(fetch(&server, text(file.unwrap(), "url")), content.bytes);
    }
    // Blobs of attempts that came to nothing are deleted by and by.
    let mut running = Some(server);
    eventually("no blob without an owner", Duration::from_mins(2), || {
        let server = running.take()?;
        lose_an_owner(&server, "king");
        server.terminate();
        if blobs_left(&home) == 6 {
            return Some(());
        }
        running = Some(Server::start(&home));
        None
    });
}

/// The server looks for blobs without an owner once a minute, and whenever there is one more.
fn lose_an_owner(server: &Server, user: &str) {
    let mut client = Client::stranger(Http::connect(server.addresses.api).unwrap(), user);
    client.log_in();
    let content = b"a content of no other file";
    let label = Label::new("probe", content);
    assert_eq!(client.upload("probe", content).unwrap(), 0);
    let deleted = client.ask_as_owner("/api/dealfile?cmd=del", &label);
    assert_eq!(deleted.unwrap(), 0);
}

#[test]
fn a_signed_request_is_admitted_once() {
    let home = Home::new();
    let server = Server::start(&home);
    let api = server.addresses.api;
    register(&server, "king");
    let program = Program::new(&home, &server, "king");
    let content = Content {
        name: "a b&c=d.txt",
        bytes: b"abc".to_vec(),
    };
    let mut pairs = content.parameters("normal");
    pairs.extend([
        ("oauth_consumer_key", program.appid.clone()),
        ("oauth_token", program.token.clone()),
        ("oauth_nonce", "4072".to_owned()),
        ("oauth_timestamp", clock::unix_seconds().to_string()),
        ("oauth_version", "1.0".to_owned()),
        ("oauth_signature_method", "HMAC-SHA1".to_owned()),
        ("openid", program.openid.clone()),
    ]);
    // RFC 5849: encoded, sorted, joined, and encoded once more.
    let mut signed: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    signed.sort();
    let address = format!("http://{api}/weiyun/upload_file");
    let base = format!("GET&{}&{}", encode(&address), encode(&signed.join("&")));
    let key = format!("{}&{}", program.appkey, program.token_secret);
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(base.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    pairs.push(("oauth_signature", signature));
    let target = format!("/weiyun/upload_file?{}", query(&pairs));
    // As curl asks.
    let headers = [("User-Agent", "curl/8.5.0"), ("Accept", "*/*")];
    let admitted = answer_of(&http::get_with(api, &target, &headers));
    assert_eq!(admitted["ret"], 0, "{admitted}");
    assert_eq!(text(&admitted["data"], "csum").len(), 608);
    let replayed = answer_of(&http::get_with(api, &target, &headers));
    assert_eq!(replayed["ret"], 20015);
    let changed = target.replace("size=3", "size=4");
    assert_eq!(answer_of(&http::get(api, &changed))["ret"], 20015);
    server.terminate();
}

#[test]
fn what_no_client_should_send_is_answered_and_leaves_nothing() {
    let home = Home::new();
    let server = Server::start(&home);
    let api = server.addresses.api;
    register(&server, "king");
    let program = Program::new(&home, &server, "king");
    let long = format!("/weiyun/upload_file?name={}", "x".repeat(16 * 1024));
    assert_eq!(answer_of(&http::get(api, &long))["ret"], 30003);
    assert_eq!(http::get(api, "/weiyun/nothing").status, 404);
    let policy = http::get(api, "/crossdomain.xml");
    assert_eq!(
        (policy.status, policy.header("content-type")),
        (200, "text/xml")
    );
    let content = Content {
        name: "abc",
        bytes: b"abc".to_vec(),
    };
    let admission = program.apply(&server, &content, "control");
    let key = text(&admission, "csum");
    let post = |target: &str, body: &[u8]| {
        let mut http = Http::connect(api).unwrap();
        http.ask("POST", target, &[], Some(body)).unwrap()
    };
    let form = post(&format!("/ftn_handler/?ukey={key}"), b"no form at all");
    assert_eq!(answer_of(&form)["ret"], 1014);
    let unknown = post(
        &format!("/ftn_handler/?ukey={}", "0".repeat(608)),
        b"--x\r\n",
    );
    assert_eq!(answer_of(&unknown)["ret"], 20015);
    let (target, packet) = content.packet(&"0".repeat(608), 0);
    assert_eq!(post(&target, &packet).status, 403);
    let (_, packet) = content.packet(key, 0);
    assert_eq!(post("/ftn_handler/?bmd5=00", &packet).status, 400);
    assert_eq!(
        post("/ftn_handler/", &packet[..packet.len() - 1]).status,
        400
    );
    assert!(my_files(&server, "king").is_empty());
    let list = json_of(
        &Http::connect(api)
            .and_then(|mut http| {
                let body = json!({"start": 0, "count": 10}).to_string();
                http.ask(
                    "POST",
                    "/api/sharefiles?cmd=normal",
                    &[],
                    Some(body.as_bytes()),
                )
            })
            .unwrap(),
    );
    assert_eq!(list["code"], 0, "the server lives");
    server.terminate();
    assert_eq!(blobs_left(&home), 0);
}
