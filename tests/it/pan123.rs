//! The open-platform API of 123pan on the real binary: the document's examples, and what only real
//! sockets, disks and restarts show. Source: docs/api/pan123.md.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::chance;
use super::support::deadline::within;
use super::support::home::Home;
use super::support::http::{self, Http, HttpAnswer};
use super::support::image_host::{Client, PASSWORD, md5_hex};
use super::support::server::{Server, blobs_left};

const BOUNDARY: &str = "----FormBoundary-5e3c0f0ad2d74b4fa1e6fbd4a8c2a9b1";
/// Bytes of a slice where the configuration says so.
const SLICE: usize = 1 << 20;
const SMALL_SLICES: &str = "[storage]\nvolume_size = \"32MiB\"\n[api]\nslice_size = \"1MiB\"\n";

/// A program that is logged in.
pub(super) struct Pan {
    http: Http,
    token: String,
}

impl Pan {
    /// Logs in with a user's name and password.
    pub(super) fn log_in(api: SocketAddr, user: &str) -> Self {
        let mut pan = Self {
            http: Http::connect(api).unwrap(),
            token: String::new(),
        };
        let body = json!({"clientID": user, "clientSecret": PASSWORD});
        let answer = pan.post("/api/v1/access_token", &body);
        pan.token = data(&answer)["accessToken"].as_str().unwrap().to_owned();
        pan
    }

    /// The same program on another connection.
    fn again(&self, api: SocketAddr) -> Self {
        Self {
            http: Http::connect(api).unwrap(),
            token: self.token.clone(),
        }
    }

    fn send(
        &mut self,
        method: &str,
        target: &str,
        kind: &str,
        body: Option<&[u8]>,
    ) -> io::Result<Value> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Platform", "open_platform"),
            ("Content-Type", kind),
        ];
        let answer = self.http.ask(method, target, &headers, body)?;
        Ok(json_of(&answer))
    }

    fn get(&mut self, target: &str) -> Value {
        self.send("GET", target, "application/json", None).unwrap()
    }

    fn post(&mut self, target: &str, body: &Value) -> Value {
        let body = body.to_string();
        self.send("POST", target, "application/json", Some(body.as_bytes()))
            .unwrap()
    }

    fn form(&mut self, target: &str, parts: &[(&str, &[u8])]) -> io::Result<Value> {
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send("POST", target, &kind, Some(&form(parts)))
    }

    pub(super) fn create(&mut self, name: &str, content: &[u8]) -> Value {
        let body = json!({
            "parentFileID": 0, "filename": name, "etag": md5_hex(content), "size": content.len(),
        });
        data(&self.post("/upload/v2/file/create", &body))
    }

    pub(super) fn slice(&mut self, id: &str, number: usize, content: &[u8]) -> io::Result<Value> {
        let (number, md5) = (number.to_string(), md5_hex(content));
        self.form(
            "/upload/v2/file/slice",
            &[
                ("preuploadID", id.as_bytes()),
                ("sliceNo", number.as_bytes()),
                ("sliceMD5", md5.as_bytes()),
                ("slice", content),
            ],
        )
    }

    pub(super) fn complete(&mut self, id: &str) -> u64 {
        // Each answer waits for the bytes to be looked at, so this ends.
        for _ in 0..20 {
            let answer = self.post(
                "/upload/v2/file/upload_complete",
                &json!({"preuploadID": id}),
            );
            if data(&answer)["completed"] == true {
                return data(&answer)["fileID"].as_u64().unwrap();
            }
        }
        panic!("the upload does not come to its end");
    }

    fn single(&mut self, name: &str, content: &[u8]) -> io::Result<Value> {
        let (md5, size) = (md5_hex(content), content.len().to_string());
        self.form(
            "/upload/v2/file/single/create",
            &[
                ("file", content),
                ("parentFileID", b"0"),
                ("filename", name.as_bytes()),
                ("etag", md5.as_bytes()),
                ("size", size.as_bytes()),
            ],
        )
    }

    /// What a file's link leads to.
    pub(super) fn download(&mut self, file: u64, headers: &[(&str, &str)]) -> HttpAnswer {
        let target = format!("/api/v1/file/download_info?fileId={file}");
        let answer = self.get(&target);
        let url = data(&answer)["downloadUrl"].as_str().unwrap().to_owned();
        let base = format!("http://{}", self.http.host());
        let path = url.strip_prefix(&base).unwrap().to_owned();
        self.http.ask("GET", &path, headers, None).unwrap()
    }
}

/// An answer, which came with status 200 and as JSON.
fn json_of(answer: &HttpAnswer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kind = answer.header("content-type");
    assert_eq!(kind, "application/json;charset=utf-8");
    serde_json::from_slice(&answer.body).unwrap()
}

/// What a call that succeeded says.
fn data(answer: &Value) -> Value {
    assert_eq!(answer["code"], 0, "{answer}");
    answer["data"].clone()
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let file = if matches!(*name, "slice" | "file") {
            "; filename=\"abc.pdf\"\r\nContent-Type: application/octet-stream"
        } else {
            ""
        };
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
        );
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Whether an answer has the members of an example, with values of the same kinds.
fn assert_like(found: &Value, example: &Value, at: &str) {
    match (found, example) {
        (Value::Object(found), Value::Object(example)) => {
            let names = |map: &serde_json::Map<String, Value>| -> Vec<String> {
                let mut names: Vec<_> = map.keys().cloned().collect();
                names.sort();
                names
            };
            assert_eq!(names(found), names(example), "{at}");
            for (name, example) in example {
                assert_like(&found[name], example, &format!("{at}.{name}"));
            }
        }
        (Value::Array(found), Value::Array(example)) => {
            assert_eq!(found.len(), example.len(), "{at}");
            for (found, example) in found.iter().zip(example) {
                assert_like(found, example, at);
            }
        }
        (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_)) => {}
        (found, example) => assert_eq!(found, example, "{at}"),
    }
}

#[test]
fn the_documents_examples_get_the_documents_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pan123.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let example = |section: &str| -> Value {
        let exchanges = golden["exchanges"].as_array().unwrap();
        let found = exchanges.iter().find(|one| one["section"] == section);
        found.unwrap().clone()
    };
    let home = Home::with_defaults();
    let server = Server::start(&home);
    let api = server.addresses.api;
    Client::register(Http::connect(api).unwrap(), "king");
    let mut pan = Pan::log_in(api, "king");

    // Content of the example's size, whose digest takes the place of the example's.
    let create = example("create");
    let size = create["request"]["size"].as_u64().unwrap();
    let content = chance::content(7, usize::try_from(size).unwrap());
    let mut request = create["request"].clone();
    request["etag"] = md5_hex(&content).into();
    let created = pan.post(create["target"].as_str().unwrap(), &request);
    assert_like(&created, &create["answer"], "create");
    let answer = &create["answer"]["data"];
    assert_eq!(created["data"]["sliceSize"], answer["sliceSize"]);
    assert_eq!(created["data"]["fileID"], 0);
    let id = created["data"]["preuploadID"].as_str().unwrap();

    let slice = example("slice");
    let slice_size = usize::try_from(answer["sliceSize"].as_u64().unwrap()).unwrap();
    for (number, bytes) in (1..).zip(content.chunks(slice_size)) {
        let answer = pan.slice(id, number, bytes).unwrap();
        assert_like(&answer, &slice["answer"], "slice");
    }
    let complete = example("upload_complete");
    let file = pan.complete(id);
    let target = complete["target"].as_str().unwrap();
    let completed = pan.post(target, &json!({"preuploadID": id}));
    assert_like(&completed, &complete["answer"], "upload_complete");
    assert_eq!(completed["data"]["fileID"], file);
    assert!(pan.download(file, &[]).body == content);

    let domain = example("domain");
    let domains = pan.get(domain["target"].as_str().unwrap());
    assert_like(&domains, &domain["answer"], "domain");

    let single = example("single_create");
    let body = json!({"name": "pdf", "parentID": 0});
    let folder = data(&pan.post("/upload/v1/file/mkdir", &body))["dirID"].to_string();
    let fields = single["request"]["form"].as_array().unwrap();
    let size: usize = fields[4][1].as_str().unwrap().parse().unwrap();
    let content = chance::content(8, size);
    let md5 = md5_hex(&content);
    let parts: Vec<(&str, &[u8])> = fields
        .iter()
        .map(|field| {
            let name = field[0].as_str().unwrap();
            let value = match name {
                "file" => content.as_slice(),
                "etag" => md5.as_bytes(),
                "parentFileID" => folder.as_bytes(),
                _ => field[1].as_str().unwrap().as_bytes(),
            };
            (name, value)
        })
        .collect();
    let answer = pan
        .form(single["target"].as_str().unwrap(), &parts)
        .unwrap();
    assert_like(&answer, &single["answer"], "single_create");
    let file = answer["data"]["fileID"].as_u64().unwrap();
    assert!(pan.download(file, &[]).body == content);
    server.terminate();
}

#[test]
fn a_file_is_one_file_in_all_apis() {
    let home = Home::with_config(SMALL_SLICES);
    let server = Server::start(&home);
    let api = server.addresses.api;
    let mut client = Client::register(Http::connect(api).unwrap(), "king");
    let mut pan = Pan::log_in(api, "king");
    let content = chance::content(1, 2 * SLICE + 17);
    let created = pan.create("测试.bin", &content);
    let id = created["preuploadID"].as_str().unwrap();
    // Slices in parallel, the last one first.
    let sent: Vec<_> = [1, 2, 3]
        .into_iter()
        .zip(content.chunks(SLICE))
        .rev()
        .map(|(number, slice)| {
            let (mut pan, id, slice) = (pan.again(api), id.to_owned(), slice.to_vec());
            thread::spawn(move || data(&pan.slice(&id, number, &slice).unwrap()))
        })
        .collect();
    for slice in sent {
        slice.join().unwrap();
    }
    let file = pan.complete(id);
    let whole = pan.download(file, &[]);
    assert_eq!(whole.status, 200);
    assert!(whole.body == content);
    assert!(
        whole
            .header("content-disposition")
            .contains("%E6%B5%8B%E8%AF%95.bin")
    );
    let part = pan.download(file, &[("Range", "bytes=1048570-1048585")]);
    assert_eq!(part.status, 206);
    assert!(part.body == content[1_048_570..=1_048_585]);

    let rows = client.own_list("/api/myfiles?cmd=normal").unwrap();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(row["file_name"], "测试.bin");
    assert_eq!(row["md5"], md5_hex(&content));
    let link = row["url"].as_str().unwrap().to_owned();
    assert!(client.get(&link).unwrap().body == content);
    assert_eq!(
        client.upload("图床.txt", b"from the image host").unwrap(),
        0
    );
    let list = data(&pan.get("/api/v2/file/list?parentFileId=0&limit=100"));
    let names: Vec<&str> = list["fileList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["filename"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["测试.bin", "图床.txt"]);
    server.terminate();
    assert_eq!(blobs_left(&home), 2, "the staging blob became the file");
}

#[test]
fn an_upload_goes_on_after_the_server_was_killed() {
    let home = Home::with_config(SMALL_SLICES);
    let server = Server::start(&home);
    let api = server.addresses.api;
    Client::register(Http::connect(api).unwrap(), "king");
    let mut pan = Pan::log_in(api, "king");
    let content = chance::content(2, 5 * SLICE + 1);
    let slices: Vec<&[u8]> = content.chunks(SLICE).collect();
    let created = pan.create("a", &content);
    let id = created["preuploadID"].as_str().unwrap();
    for number in [1, 4, 6] {
        data(&pan.slice(id, number, slices[number - 1]).unwrap());
    }
    server.kill();

    let server = Server::start(&home);
    let api = server.addresses.api;
    let mut pan = pan.again(api);
    let listed = pan.post(
        "/upload/v1/file/list_upload_parts",
        &json!({"preuploadID": id}),
    );
    let parts = data(&listed)["parts"].as_array().unwrap().clone();
    let there: Vec<&str> = parts
        .iter()
        .map(|part| part["partNumber"].as_str().unwrap())
        .collect();
    assert_eq!(
        there,
        ["1", "4", "6"],
        "what was acknowledged, and the token too"
    );
    assert_eq!(parts[1]["etag"], md5_hex(slices[3]));
    for number in [2, 3, 5] {
        data(&pan.slice(id, number, slices[number - 1]).unwrap());
    }
    let file = pan.complete(id);
    server.kill();

    let server = Server::start(&home);
    let mut pan = pan.again(server.addresses.api);
    assert_eq!(pan.complete(id), file, "it is remembered");
    assert!(pan.download(file, &[]).body == content);
    let body = json!({"fileIDs": [file]});
    data(&pan.post("/api/v1/file/trash", &body));
    data(&pan.post("/api/v1/file/delete", &body));
    server.terminate();
    // Orphans are reclaimed at the latest when the server has started once more and its node takes
    // deletes, or when it is asked again.
    let is_empty = (0..30).any(|_| {
        let server = Server::start(&home);
        let address = server.addresses.storage_http;
        // Where nothing is left to delete there is nothing to wait for, and the next look says so.
        let _ = within(Duration::from_secs(3), || {
            let metrics = http::get(address, "/metrics").text();
            let deletes = "hayloft_storage_requests_total{command=\"delete\"";
            let mut deletes = metrics.lines().filter(|line| line.starts_with(deletes));
            deletes.any(|line| !line.ends_with(" 0")).then_some(())
        });
        server.terminate();
        blobs_left(&home) == 0
    });
    let said = std::fs::read_to_string(home.file("stderr.log")).unwrap_or_default();
    assert!(is_empty, "blobs without an owner are left\n{said}");
}

#[test]
fn a_refusal_arrives_although_the_body_is_still_being_sent() {
    let home = Home::with_config(SMALL_SLICES);
    let server = Server::start(&home);
    let api = server.addresses.api;
    Client::register(Http::connect(api).unwrap(), "king");
    let mut pan = Pan::log_in(api, "king");
    let content = chance::content(3, 20 << 20);
    // A bad token, a slice that is too long, a name that is bad: all known before the bytes came.
    let mut nobody = pan.again(api);
    nobody.token = "x".to_owned();
    assert_eq!(nobody.single("a", &content).unwrap()["code"], 401);
    let created = pan.create("a", &content[..SLICE]);
    let id = created["preuploadID"].as_str().unwrap();
    assert_eq!(pan.slice(id, 1, &content).unwrap()["code"], 20102);
    let (md5, size) = (md5_hex(&content), content.len().to_string());
    let parts: [(&str, &[u8]); 5] = [
        ("parentFileID", b"0"),
        ("filename", b"a/b"),
        ("etag", md5.as_bytes()),
        ("size", size.as_bytes()),
        ("file", &content),
    ];
    let refused = pan.form("/upload/v2/file/single/create", &parts).unwrap();
    assert_eq!(refused["code"], 1);
    // The connection is still good.
    data(&pan.slice(id, 1, &content[..SLICE]).unwrap());
    pan.complete(id);
    server.terminate();
    assert_eq!(blobs_left(&home), 1);
}

#[test]
fn a_form_may_come_in_chunks() {
    let home = Home::with_config(SMALL_SLICES);
    let server = Server::start(&home);
    let api = server.addresses.api;
    Client::register(Http::connect(api).unwrap(), "king");
    let mut pan = Pan::log_in(api, "king");
    let content = chance::content(4, 300_001);
    let (md5, size) = (md5_hex(&content), content.len().to_string());
    let body = form(&[
        ("size", size.as_bytes()),
        ("file", &content),
        ("filename", b"a"),
        ("parentFileID", b"0"),
        ("etag", md5.as_bytes()),
    ]);
    let head = format!(
        "POST /upload/v2/file/single/create HTTP/1.1\r\nHost: {}\r\nplatform: open_platform\r\n\
         authorization: bearer {}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n",
        pan.http.host(),
        pan.token
    );
    pan.http.send(head.as_bytes()).unwrap();
    for piece in body.chunks(70_000) {
        let chunk = format!("{:x}\r\n", piece.len());
        pan.http
            .send(&[chunk.as_bytes(), piece, b"\r\n"].concat())
            .unwrap();
    }
    pan.http.send(b"0\r\n\r\n").unwrap();
    let answer = pan.http.answer("POST").unwrap();
    let file = data(&json_of(&answer))["fileID"].as_u64().unwrap();
    assert!(pan.download(file, &[]).body == content);
    // A form that breaks off leaves nothing.
    let mut broken = pan.again(api);
    broken.http.send(head.as_bytes()).unwrap();
    broken.http.send(b"100\r\n").unwrap();
    drop(broken);
    let list = data(&pan.get("/api/v2/file/list?parentFileId=0&limit=100"));
    assert_eq!(list["fileList"].as_array().unwrap().len(), 1);
    server.terminate();
    assert_eq!(blobs_left(&home), 1);
}
