//! `hayloft user` against a server that runs, that stopped, and that was killed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::home::Home;
use crate::support::http;
use crate::support::server::Server;

/// MD5 of `123456`, as the document has it.
const MD5: &str = "e10adc3949ba59abbe56e057f20f883e";

fn user(home: &Home, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hayloft"))
        .arg("user")
        .arg("--data-dir")
        .arg(home.data_dir())
        .args(arguments)
        .env_remove("HAYLOFT_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments reads nothing, and then the pipe is closed.
    let _ = command.stdin.take().unwrap().write_all(input.as_bytes());
    command.wait_with_output().unwrap()
}

/// What a command printed that is expected to succeed.
#[track_caller]
fn printed(home: &Home, arguments: &[&str], input: &str) -> String {
    let output = user(home, arguments, input);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command said that is expected to fail with `code`.
#[track_caller]
fn refused(home: &Home, arguments: &[&str], code: i32) -> String {
    let output = user(home, arguments, "other\n");
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {output:?}"
    );
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The token of a log-in, if it is accepted.
fn log_in(server: &Server, name: &str, md5: &str) -> Option<String> {
    let body = json!({"user": name, "pwd": md5}).to_string();
    let api = server.addresses.api;
    let mut http = http::Http::connect(api).unwrap();
    let answer = http
        .ask("POST", "/api/login", &[], Some(body.as_bytes()))
        .unwrap();
    assert_eq!(answer.status, 200);
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let token = answer["token"].as_str().map(str::to_owned);
    assert_eq!(answer["code"] == 0, token.is_some(), "{answer}");
    token
}

/// The status of a call of the console.
fn status(server: &Server, call: &str, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    let target = format!("/console/api/{call}");
    http::get_with(server.addresses.api, &target, &headers).status
}

fn accounts(home: &Home) -> Vec<(String, bool, bool)> {
    let listed = printed(home, &["list", "--json"], "");
    let rows = listed.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let flag = |name: &str| row[name].as_bool().unwrap();
        let name = row["user"].as_str().unwrap().to_owned();
        (name, flag("administrator"), flag("disabled"))
    });
    rows.collect()
}

#[test]
fn accounts_are_managed_while_the_server_runs() {
    let home =
        Home::with_config("[storage]\nvolume_size = \"32MiB\"\n[api]\nregistration = \"closed\"");
    let server = Server::start(&home);
    let access = fs::metadata(home.data_dir().join("api/admin.json")).unwrap();
    assert_eq!(access.permissions().mode() & 0o777, 0o600);
    assert_eq!(accounts(&home), []);

    let add = |name: &str| printed(&home, &["add", name, "--password-stdin"], "123456\n");
    assert_eq!(add("king"), "added king\n");
    assert_eq!(add("女王/1"), "added 女王/1\n");
    let king = log_in(&server, "king", MD5).unwrap();
    let queen = log_in(&server, "女王/1", MD5).unwrap();
    assert_eq!(status(&server, "admin/accounts", &king), 200);
    assert_eq!(status(&server, "admin/accounts", &queen), 403);

    printed(&home, &["promote", "女王/1"], "");
    printed(&home, &["demote", "king"], "");
    assert_eq!(status(&server, "admin/accounts", &queen), 200);
    assert_eq!(status(&server, "admin/accounts", &king), 403);
    let table = printed(&home, &["list"], "");
    assert!(
        table.starts_with("USER") && table.contains("administrator"),
        "{table}"
    );

    printed(&home, &["disable", "女王/1"], "");
    assert_eq!(status(&server, "me", &queen), 401);
    assert_eq!(log_in(&server, "女王/1", MD5), None);
    let expected = [
        ("king".to_owned(), false, false),
        ("女王/1".to_owned(), false, true),
    ];
    assert_eq!(accounts(&home), expected);
    printed(&home, &["enable", "女王/1"], "");
    log_in(&server, "女王/1", MD5).unwrap();

    printed(&home, &["password", "king", "--password-stdin"], "654321");
    assert_eq!(status(&server, "me", &king), 401);
    assert_eq!(log_in(&server, "king", MD5), None);
    log_in(&server, "king", "c33367701511b4f6020ec61ded352059").unwrap();

    let said = refused(&home, &["add", "king", "--password-stdin"], 1);
    assert!(said.contains("\"king\" already"), "{said}");
    for command in ["promote", "demote", "disable", "enable"] {
        let said = refused(&home, &[command, "nobody"], 1);
        assert!(said.contains("no account \"nobody\""), "{said}");
    }
    let said = refused(&home, &["add", &"a".repeat(33), "--password-stdin"], 1);
    assert!(said.contains("33 characters"), "{said}");
    let said = refused(&home, &["add", "page"], 2);
    assert!(said.contains("--password-stdin"), "{said}");
    assert_eq!(accounts(&home).len(), 2);
    server.terminate();
}

#[test]
fn a_server_that_does_not_run_is_told_with_the_remedy() {
    let home = Home::new();
    let said = refused(&home, &["list"], 3);
    assert!(
        said.contains("no API server runs") && said.contains("hayloft serve"),
        "{said}"
    );
    let server = Server::start(&home);
    printed(&home, &["add", "king", "--password-stdin"], "123456\n");
    server.kill();
    let said = refused(&home, &["list"], 3);
    assert!(
        said.contains("does not answer") && said.contains("hayloft serve"),
        "{said}"
    );

    // What was acknowledged survived, and the file of the killed server is replaced.
    let server = Server::start(&home);
    assert_eq!(accounts(&home), [("king".to_owned(), true, false)]);
    log_in(&server, "king", MD5).unwrap();
    server.terminate();
    assert!(!home.data_dir().join("api/admin.json").exists());
    let said = refused(&home, &["list"], 3);
    assert!(said.contains("no API server runs"), "{said}");
}
