//! Several API servers over one cluster, with the catalog in a `PostgreSQL` of the test's own: whichever
//! is asked, it is one service, also while one of them is killed.

mod faults;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::chance;
use crate::support::deadline::{eventually, within};
use crate::support::home::Home;
use crate::support::http::{Http, HttpAnswer, get};
use crate::support::image_host::{Client, Label, PASSWORD, md5_hex, path_of};
use crate::support::ports;
use crate::support::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::server::{Server, blobs_left};

const BOUNDARY: &str = "----FormBoundary-1d2f0c44c3b74e64b8b0d1a3b5f8a6c0";
/// Bytes of a slice.
const SLICE: usize = 1 << 20;
/// How long a start may take.
const LIMIT: Duration = Duration::from_mins(1);
/// How long it may take until what nobody owns is gone: servers look every minute.
const RECLAIM_LIMIT: Duration = Duration::from_mins(3);

/// One API server of several.
struct Api {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

/// What all servers of a cluster are told.
struct Cluster<'a> {
    home: &'a Home,
    tracker: SocketAddr,
    database: String,
}

impl Cluster<'_> {
    fn command(&self, name: &str, listen: &str) -> (Command, PathBuf) {
        let folder = self.home.file(name);
        fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hayloft"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HAYLOFT_") {
                command.env_remove(name);
            }
        }
        command
            .args(["api", "--listen", listen, "--data-dir"])
            .arg(folder.join("data"))
            .arg("--ready-file")
            .arg(folder.join("ready.json"))
            .env("HAYLOFT_API_TRACKERS", self.tracker.to_string())
            .env("HAYLOFT_API_CATALOG", &self.database)
            .env("HAYLOFT_API_SLICE_SIZE", "1MiB")
            .env("HAYLOFT_API_ABANDONED_AFTER", "3s")
            .env("HAYLOFT_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        (command, folder)
    }

    /// Starts a server, at this address if it had one before.
    fn start(&self, name: &str, address: Option<SocketAddr>) -> Api {
        let address = address.unwrap_or_else(|| ports::free(Ipv4Addr::LOCALHOST));
        let (mut command, folder) = self.command(name, &address.to_string());
        let ready = folder.join("ready.json");
        // A file of an earlier run would be taken for this one's.
        let _ = fs::remove_file(&ready);
        let said = folder.join("stderr.log");
        let log = OpenOptions::new().create(true).append(true).open(&said);
        let mut child = command.stderr(log.unwrap()).spawn().unwrap();
        let address = within(LIMIT, || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("ended, {status}: {}", fs::read_to_string(&said).unwrap());
            }
            let ready: Value = serde_json::from_slice(&fs::read(&ready).ok()?).unwrap();
            Some(ready["api"].as_str().unwrap().parse().unwrap())
        });
        let Some(address) = address else {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("not ready: {}", fs::read_to_string(&said).unwrap());
        };
        Api {
            child,
            folder,
            address,
        }
    }
}

impl Api {
    fn http(&self) -> Http {
        Http::connect(self.address).unwrap()
    }

    fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    fn kill(mut self) -> SocketAddr {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.address
    }

    fn terminate(mut self) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said());
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("stderr.log")).unwrap()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // Both fail when the process has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let said = self.said();
            let words: Vec<&str> = said.lines().rev().take(40).collect();
            eprintln!(
                "{}'s last words, latest first:\n{}",
                self.folder.display(),
                words.join("\n")
            );
        }
    }
}

/// A program of the 123pan API that holds a token, wherever it sends it.
struct Pan {
    token: String,
}

impl Pan {
    fn log_in(http: &mut Http, user: &str) -> Self {
        let mut pan = Self {
            token: String::new(),
        };
        let body = json!({"clientID": user, "clientSecret": PASSWORD});
        let answer = pan.post(http, "/api/v1/access_token", &body);
        pan.token = data(&answer)["accessToken"].as_str().unwrap().to_owned();
        pan
    }

    fn send(&self, http: &mut Http, method: &str, target: &str, kind: &str, body: &[u8]) -> Value {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Platform", "open_platform"),
            ("Content-Type", kind),
        ];
        let answer = http.ask(method, target, &headers, Some(body)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn post(&self, http: &mut Http, target: &str, body: &Value) -> Value {
        let body = body.to_string();
        self.send(http, "POST", target, "application/json", body.as_bytes())
    }

    fn create(&self, http: &mut Http, name: &str, content: &[u8]) -> String {
        let body = json!({
            "parentFileID": 0, "filename": name, "etag": md5_hex(content), "size": content.len(),
        });
        let answer = self.post(http, "/upload/v2/file/create", &body);
        data(&answer)["preuploadID"].as_str().unwrap().to_owned()
    }

    fn slice(&self, http: &mut Http, id: &str, number: usize, content: &[u8]) {
        let (number, md5) = (number.to_string(), md5_hex(content));
        let mut body = Vec::new();
        for (name, value) in [
            ("preuploadID", id.as_bytes()),
            ("sliceNo", number.as_bytes()),
            ("sliceMD5", md5.as_bytes()),
            ("slice", content),
        ] {
            let file = if name == "slice" {
                "; filename=\"a\""
            } else {
                ""
            };
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
            );
            body.extend([head.as_bytes(), value, b"\r\n"].concat());
        }
        body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let answer = self.send(http, "POST", "/upload/v2/file/slice", &kind, &body);
        assert_eq!(answer["code"], 0, "{answer}");
    }

    fn complete(&self, http: &mut Http, id: &str) -> u64 {
        let body = json!({"preuploadID": id});
        // Each answer waits for the bytes to be looked at, so this ends.
        for _ in 0..20 {
            let answer = self.post(http, "/upload/v2/file/upload_complete", &body);
            if data(&answer)["completed"] == true {
                return data(&answer)["fileID"].as_u64().unwrap();
            }
        }
        panic!("the upload does not come to its end");
    }

    fn download(&self, http: &mut Http, file: u64) -> HttpAnswer {
        let target = format!("/api/v1/file/download_info?fileId={file}");
        let answer = self.send(http, "GET", &target, "application/json", b"");
        let url = data(&answer)["downloadUrl"].as_str().unwrap().to_owned();
        let path = url
            .strip_prefix(&format!("http://{}", http.host()))
            .unwrap()
            .to_owned();
        http.ask("GET", &path, &[], None).unwrap()
    }
}

/// What a call that succeeded says.
fn data(answer: &Value) -> Value {
    assert_eq!(answer["code"], 0, "{answer}");
    answer["data"].clone()
}

fn names(rows: &[Value]) -> BTreeSet<String> {
    let name = |row: &Value| row["file_name"].as_str().unwrap().to_owned();
    rows.iter().map(name).collect()
}

#[test]
fn two_api_servers_over_one_database_are_one_service() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let home = Home::new();
    // Its own API server is asked nothing.
    let storage = Server::start(&home);
    let cluster = Cluster {
        home: &home,
        tracker: storage.addresses.tracker,
        database: postgres.url(),
    };
    let one = cluster.start("one", None);
    let other = cluster.start("other", None);

    // Logged in at one, the other knows the session; what one takes, the other lists and gives out.
    let mut king = Client::register(one.http(), "king");
    let content = chance::content(1, 300_000);
    king.reconnect(other.http());
    assert_eq!(king.upload("a.png", &content).unwrap(), 0);
    king.reconnect(one.http());
    let rows = king.own_list("/api/myfiles?cmd=normal").unwrap();
    assert_eq!(names(&rows), ["a.png".to_owned()].into());
    let link = rows[0]["url"].as_str().unwrap();
    for server in [&one, &other] {
        assert!(get(server.address, path_of(link)).body == content);
    }

    let mut queen = Client::register(other.http(), "queen");
    one_upload_through_both(&cluster, one, other, |one, other| {
        the_same_contents_through_both(one, other, &mut king, &mut queen);
        // Everything goes, each file by the server that did not take it.
        for (client, server) in [(&mut king, other), (&mut queen, one)] {
            client.reconnect(server.http());
            for row in client.own_list("/api/myfiles?cmd=normal").unwrap() {
                let text = |name: &str| row[name].as_str().unwrap().to_owned();
                let label = Label {
                    md5: text("md5"),
                    name: text("file_name"),
                };
                let removed = client.ask_as_owner("/api/dealfile?cmd=del", &label);
                assert_eq!(removed.unwrap(), 0, "{row}");
            }
        }
        // What was under way at the kill is reclaimed when its server must be dead.
        let orphans =
            "SELECT count(*) FROM hayloft_catalog WHERE substring(key FROM 1 FOR 1) = 'O'";
        eventually("nobody's blobs are reclaimed", RECLAIM_LIMIT, || {
            (postgres.sql(orphans) == "0").then_some(())
        });
        let kinds = "SELECT count(*) FROM hayloft_catalog \
                     WHERE substring(key FROM 1 FOR 1) IN ('C', 'F', 'B', 'v', 'E', 'e')";
        assert_eq!(
            postgres.sql(kinds),
            "0",
            "no content, file or slice is left"
        );
    });
    storage.terminate();
    assert_eq!(blobs_left(&home), 0, "nothing is left in the end");
}

/// An upload whose slices go to the two servers in turn, while one of them is killed and comes back.
fn one_upload_through_both(
    cluster: &Cluster<'_>,
    one: Api,
    other: Api,
    then: impl FnOnce(&Api, &Api),
) {
    let content = chance::content(2, 7 * SLICE + 1_234);
    let slices: Vec<&[u8]> = content.chunks(SLICE).collect();
    let pan = Pan::log_in(&mut one.http(), "king");
    let id = pan.create(&mut other.http(), "big.bin", &content);
    for (at, slice) in slices.iter().enumerate().take(4) {
        let server = if at % 2 == 0 { &one } else { &other };
        pan.slice(&mut server.http(), &id, at + 1, slice);
    }
    // Another upload is at the server when that is killed.
    let mut torn = one.http();
    let head = format!(
        "POST /api/upload HTTP/1.1\r\nHost: {}\r\nContent-Length: 9000000\r\n\r\n",
        torn.host()
    );
    torn.send(head.as_bytes()).unwrap();
    torn.send(&vec![b'x'; 100_000]).unwrap();
    let address = one.kill();
    pan.slice(&mut other.http(), &id, 5, slices[4]);
    let one = cluster.start("one", Some(address));
    for (at, slice) in slices.iter().enumerate().skip(5) {
        let server = if at % 2 == 0 { &one } else { &other };
        pan.slice(&mut server.http(), &id, at + 1, slice);
    }
    // Both are asked at once, and say the same.
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| pan.complete(&mut one.http(), &id));
        let second = scope.spawn(|| pan.complete(&mut other.http(), &id));
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_eq!(first, second);
    for server in [&one, &other] {
        assert!(pan.download(&mut server.http(), first).body == content);
    }
    then(&one, &other);
    for server in [one, other] {
        let said = server.said();
        assert!(
            !said.contains(DATABASE_PASSWORD),
            "the password is in a log"
        );
        server.terminate();
    }
}

/// Two users send the same contents to two servers at the same time: each is stored once, and stays as
/// long as one of them has it.
fn the_same_contents_through_both(one: &Api, other: &Api, king: &mut Client, queen: &mut Client) {
    let contents: Vec<Vec<u8>> = (10..22).map(|seed| chance::content(seed, 40_000)).collect();
    king.reconnect(one.http());
    queen.reconnect(other.http());
    thread::scope(|scope| {
        for client in [&mut *king, &mut *queen] {
            let contents = &contents;
            scope.spawn(move || {
                for (number, content) in contents.iter().enumerate() {
                    let name = format!("{number}.bin");
                    assert_eq!(client.upload(&name, content).unwrap(), 0, "{name}");
                }
            });
        }
    });
    let urls = |client: &mut Client| -> BTreeSet<String> {
        let rows = client.own_list("/api/myfiles?cmd=normal").unwrap();
        let path = |row: &Value| {
            let url = row["url"].as_str().unwrap();
            url.split_once("/group").unwrap().1.to_owned()
        };
        let wanted = |row: &&Value| {
            let name = Path::new(row["file_name"].as_str().unwrap());
            name.extension().is_some_and(|extension| extension == "bin")
        };
        rows.iter().filter(wanted).map(path).collect()
    };
    let (kings, queens) = (urls(king), urls(queen));
    assert_eq!(queens.len(), contents.len());
    assert!(kings.is_superset(&queens), "each content is one blob");
    // The king removes his, at the other server; the queen's stay.
    king.reconnect(other.http());
    for (number, content) in contents.iter().enumerate() {
        let label = Label::new(&format!("{number}.bin"), content);
        assert_eq!(
            king.ask_as_owner("/api/dealfile?cmd=del", &label).unwrap(),
            0
        );
    }
    for (path, server) in queens.iter().zip([one, other].into_iter().cycle()) {
        let answer = get(server.address, &format!("/group{path}"));
        assert!(
            contents.contains(&answer.body),
            "{path} is {}",
            answer.status
        );
    }
}

fn hayloft(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hayloft"))
        .args(arguments)
        .env_remove("HAYLOFT_CONFIG")
        .output()
        .unwrap()
}

#[test]
fn a_catalog_moves_into_a_database_and_back_with_all_that_it_knows() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let home = Home::new();
    let server = Server::start(&home);
    let mut king = Client::register(Http::connect(server.addresses.api).unwrap(), "king");
    assert_eq!(king.upload("a.txt", b"some bytes").unwrap(), 0);
    let url = postgres.url();
    let embedded = format!("embedded:{}", home.data_dir().display());
    let copy = |from: &str, to: &str| hayloft(&["catalog", "copy", "--from", from, "--to", to]);
    let in_use = copy(&embedded, &url);
    let said = String::from_utf8_lossy(&in_use.stderr).into_owned();
    assert!(
        !in_use.status.success() && said.contains("is used by"),
        "{said}"
    );
    server.terminate();

    let copied = copy(&embedded, &url);
    let said = String::from_utf8_lossy(&copied.stdout).into_owned();
    assert!(copied.status.success(), "{copied:?}");
    assert!(said.contains("read back, the same: BLAKE3"), "{said}");
    let again = copy(&embedded, &url);
    let refused = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1));
    assert!(
        refused.contains("already") && !refused.contains(DATABASE_PASSWORD),
        "{refused}"
    );
    let nonsense = copy("mysql://u:secret@h/d", &url);
    let refused = String::from_utf8_lossy(&nonsense.stderr).into_owned();
    assert_eq!(nonsense.status.code(), Some(2));
    assert!(!refused.contains("secret"), "{refused}");

    // The server goes on with the database, sessions included; operators reach it as before.
    let server = Server::start_with(&home, &[("HAYLOFT_API_CATALOG", &url)]);
    king.reconnect(Http::connect(server.addresses.api).unwrap());
    let rows = king.own_list("/api/myfiles?cmd=normal").unwrap();
    assert_eq!(names(&rows), ["a.txt".to_owned()].into());
    assert_eq!(king.upload("b.txt", b"other bytes").unwrap(), 0);
    let listed = hayloft(&[
        "user",
        "--data-dir",
        home.data_dir().to_str().unwrap(),
        "list",
    ]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("king"), "{listed}");
    server.terminate();

    let back = home.file("back");
    let copied = copy(&url, &format!("embedded:{}", back.display()));
    assert!(copied.status.success(), "{copied:?}");
    let catalog = home.data_dir().join("api/catalog");
    fs::remove_dir_all(&catalog).unwrap();
    fs::rename(back.join("api/catalog"), &catalog).unwrap();
    let server = Server::start(&home);
    king.reconnect(Http::connect(server.addresses.api).unwrap());
    let rows = king.own_list("/api/myfiles?cmd=normal").unwrap();
    assert_eq!(
        names(&rows),
        ["a.txt".to_owned(), "b.txt".to_owned()].into()
    );
    server.terminate();
}

#[test]
fn a_server_whose_database_is_away_says_so_and_goes_on_when_it_is_back() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let home = Home::new();
    let storage = Server::start(&home);
    let cluster = Cluster {
        home: &home,
        tracker: storage.addresses.tracker,
        database: postgres.url(),
    };
    let api = cluster.start("one", None);
    let mut king = Client::register(api.http(), "king");
    assert_eq!(king.upload("a.txt", b"some bytes").unwrap(), 0);
    postgres.kill();
    let answer = get(api.address, "/readyz");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        !answer.text().contains(DATABASE_PASSWORD),
        "{}",
        answer.text()
    );
    let list = json!({"user": "king", "token": king.token, "start": 0, "count": 9});
    let refused = king.post("/api/myfiles?cmd=normal", &list.to_string());
    assert!(500 <= refused.unwrap().status);
    assert_eq!(get(api.address, "/healthz").status, 200, "it lives");
    postgres.restart();
    king.reconnect(api.http());
    assert_eq!(king.upload("b.txt", b"other bytes").unwrap(), 0);
    assert_eq!(get(api.address, "/readyz").status, 200);
    let rows = king.own_list("/api/myfiles?cmd=normal").unwrap();
    assert_eq!(
        names(&rows),
        ["a.txt".to_owned(), "b.txt".to_owned()].into()
    );

    // A second server cannot be started on a database that is not there, and says why.
    postgres.kill();
    let (mut command, _) = cluster.command("other", "127.0.0.1:0");
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success());
    assert!(
        said.contains("remedy") && !said.contains(DATABASE_PASSWORD),
        "{said}"
    );
    let refused = command.env(
        "HAYLOFT_API_CATALOG",
        "postgres://u:hidden@h/d?sslmode=prefer",
    );
    let refused = refused.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("sslmode=prefer") && !said.contains("hidden"),
        "{said}"
    );
    let said = api.said();
    assert!(!said.contains(DATABASE_PASSWORD));
    assert!(
        !said.contains("executing statement"),
        "what is kept is nobody's to read in a log"
    );
    api.terminate();
    storage.terminate();
}
