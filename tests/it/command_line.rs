//! The client commands against a server, as a person or a script uses them.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::chance;
use crate::support::home::Home;
use crate::support::http;
use crate::support::server::Server;

struct Fixture {
    server: Server,
    // Dropped after the server, whose files it holds.
    home: Home,
}

impl Fixture {
    fn new(config: &str) -> Self {
        let home = Home::with_config(&format!("[storage]\nvolume_size = \"32MiB\"\n{config}"));
        let server = Server::start(&home);
        Self { server, home }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hayloft"));
        command
            .args(arguments)
            .current_dir(self.home.file(""))
            .env("HAYLOFT_TRACKER", self.server.addresses.tracker.to_string())
            .env(
                "HAYLOFT_HTTP_BASE",
                format!("http://{}", self.server.addresses.storage_http),
            )
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a successful command printed.
    fn printed(&self, arguments: &[&str]) -> String {
        text(arguments, &self.run(arguments))
    }

    /// The one JSON object that a successful command printed.
    fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.printed(&[arguments, &["--json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    fn write(&self, name: &str, content: &[u8]) {
        let file = self.home.file(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
}

fn text(arguments: &[&str], output: &Output) -> String {
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn uploads_print_ids_and_links_that_work() {
    let fixture = Fixture::new("");
    let photo = chance::content(1, 1_500_000);
    fixture.write("in/photo.jpg", &photo);
    fixture.write("in/deep/note.txt", b"note");
    let printed = fixture.printed(&["upload", "in"]);
    let lines: Vec<(&str, &str)> = printed
        .lines()
        .map(|line| line.split_once('\t').expect("id, tab, link"))
        .collect();
    assert_eq!(lines.len(), 2, "{printed}");
    for (id, link) in lines {
        let base = format!("http://{}", fixture.server.addresses.storage_http);
        assert_eq!(link, format!("{base}/{id}"));
        let answer = http::get(fixture.server.addresses.storage_http, &format!("/{id}"));
        assert_eq!(answer.status, 200);
        let is_photo = id.ends_with("jpg");
        let want: &[u8] = if is_photo { &photo } else { b"note" };
        assert!(answer.body == want, "{id}");

        fixture.printed(&["download", id, "-o", "out"]);
        assert!(fs::read(fixture.home.file("out")).unwrap() == want, "{id}");
        fs::remove_file(fixture.home.file("out")).unwrap();
    }
}

#[test]
fn standard_input_and_output_are_files_too() {
    let fixture = Fixture::new("");
    let content = chance::content(2, 3_000_000);
    let mut upload = fixture
        .command(&["upload", "-", "--ext", "bin", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = upload.stdin.take().unwrap();
    input.write_all(&content).unwrap();
    drop(input);
    let printed = text(&["upload -"], &upload.wait_with_output().unwrap());
    let uploaded: Value = serde_json::from_str(&printed).unwrap();
    let id = uploaded["id"].as_str().unwrap();
    assert_eq!(uploaded["size"], 3_000_000);
    let output = fixture.run(&["download", id, "-o", "-"]);
    assert!(output.status.success() && output.stdout == content);
}

#[test]
fn a_file_is_described_changed_tagged_and_deleted() {
    let fixture = Fixture::new("");
    fixture.write("log.txt", b"one");
    fixture.write("more.txt", b", two");
    let uploaded = fixture.json(&["upload", "log.txt", "--appender"]);
    let id = uploaded["id"].as_str().unwrap();
    fixture.printed(&["append", id, "more.txt"]);
    let info = fixture.json(&["info", id]);
    assert_eq!(info["kind"], "appender", "{info}");
    assert_eq!(info["stored"]["size"], 8, "{info}");
    let output = fixture.run(&["download", id, "-o", "-"]);
    assert_eq!(output.stdout, b"one, two");

    fixture.printed(&["meta", "set", id, "author=me", "year=2026"]);
    fixture.printed(&["meta", "merge", id, "author=you"]);
    let metadata = fixture.printed(&["meta", "get", id]);
    assert!(
        metadata.contains("you") && metadata.contains("2026"),
        "{metadata}"
    );

    fixture.printed(&["delete", id]);
    for command in ["info", "delete", "download"] {
        let output = fixture.run(&[command, id]);
        assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
        assert!(!output.stderr.is_empty(), "{command} says why");
    }
}

#[test]
fn a_link_with_a_token_opens_a_protected_server() {
    let fixture = Fixture::new("[storage.anti_leech]\nenabled = true\nkeys = [\"old\", \"new\"]\n");
    fixture.write("secret.txt", b"secret");
    let uploaded = fixture.json(&["upload", "secret.txt"]);
    let id = uploaded["id"].as_str().unwrap();
    for (key, status) in [("old", 200), ("new", 200), ("other", 403)] {
        let link = fixture.printed(&["url", id, "--key", key]);
        let (_, target) = link.trim().split_once("/group1").expect("a link");
        for address in [
            fixture.server.addresses.storage_http,
            fixture.server.addresses.api,
        ] {
            let answer = http::get(address, &format!("/group1{target}"));
            assert_eq!(answer.status, status, "{key}: {}", answer.text());
        }
    }
}

#[test]
fn the_cluster_is_listed() {
    let fixture = Fixture::new("");
    let listed = fixture.printed(&["ls"]);
    let port = fixture.server.addresses.storage.port().to_string();
    assert!(
        listed.contains("group1") && listed.contains(&port),
        "{listed}"
    );
    let monitored = fixture.printed(&["monitor", "--once"]);
    assert!(monitored.contains("group1"), "{monitored}");
}

#[test]
fn an_unreachable_cluster_is_named_and_has_an_exit_code_of_its_own() {
    let fixture = Fixture::new("");
    fixture.write("a.txt", b"a");
    // Nobody listens on port 1.
    let output = fixture.run(&["upload", "a.txt", "--tracker", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("127.0.0.1:1"), "{said}");
}
