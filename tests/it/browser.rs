//! The console in a real Chromium: tests/browser/console.mjs against a real server.
//!
//! The driver and the accessibility checker come from the npm registry in pinned versions, as other
//! people's clients do in clients.rs. The script has the server killed and started again (server.mjs).
//! Where Node.js, they or Chromium cannot be had the test is skipped with a message, except in CI
//! (variable `CI`), where it fails. Screenshots stay in the folder `screenshots` of the build's
//! temporary files.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::clients::{installed, succeed};
use crate::support::home::Home;
use crate::support::ports;
use crate::support::server::Server;
use crate::support::tell;

/// Where Chromium is in other distributions, and under other names.
const CHROMIUMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

pub(crate) const ADMINISTRATOR: &str = "warden";
pub(crate) const PASSWORD: &str = "a hay fork";

#[test]
fn people_of_two_languages_use_the_console_on_phone_and_desktop() {
    let Some((packages, chromium)) = tools() else {
        return;
    };
    let home = Home::with_defaults();
    let server = Server::start_at(&home, &[], ports::free(Ipv4Addr::LOCALHOST));
    add_administrator(&home.data_dir());

    let scripts = scripts(&packages);
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    // Those of an earlier run would be taken for this one's.
    let _ = fs::remove_dir_all(&screenshots);
    tell(format_args!("screenshots: {}", screenshots.display()));
    let errors = home.file("browser-errors.log");
    let mut log = OpenOptions::new();
    let log = log.create(true).write(true).truncate(true).open(&errors);
    let mut node = Command::new("node")
        .arg(scripts.path().join("console.mjs"))
        .arg(format!("http://{}", server.addresses.api))
        .arg(&screenshots)
        .env("CHROMIUM", chromium)
        .env("HAYLOFT_ADMIN_USER", ADMINISTRATOR)
        .env("HAYLOFT_ADMIN_PASSWORD", PASSWORD)
        .env("HAYLOFT_SERVER_CONTROL", "stdio")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log.unwrap())
        .spawn()
        .unwrap();
    let (server, said) = control(&home, server, &mut node);
    let said = said + &fs::read_to_string(errors).unwrap();
    assert!(node.wait().unwrap().success(), "{said}");
    assert!(said.contains("passed;"), "{said}");
    let pictures = fs::read_dir(&screenshots).unwrap().count();
    assert!(120 < pictures, "{pictures} screenshots");
    server.terminate();
}

/// The packages that the scripts need, and a Chromium; nothing where they cannot be had.
pub(crate) fn tools() -> Option<(PathBuf, PathBuf)> {
    Some((packages()?, chromium()?))
}

/// A copy of the scripts: they find packages in the folders above them, and nowhere else.
pub(crate) fn scripts(packages: &Path) -> TempDir {
    let scripts = tempfile::tempdir_in(packages).unwrap();
    for file in fs::read_dir(source()).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(&file, scripts.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    scripts
}

/// Kills the server and starts it again, at the same address, whenever the script asks, until it ends;
/// gives what it said otherwise.
fn control(home: &Home, server: Server, node: &mut Child) -> (Server, String) {
    let api = server.addresses.api;
    let mut running = Some(server);
    let mut answers = node.stdin.take().unwrap();
    let mut said = String::new();
    for line in BufReader::new(node.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.as_str() {
            "@kill" => running.take().unwrap().kill(),
            "@start" => running = Some(Server::start_at(home, &[], api)),
            _ => {
                said.push_str(&line);
                said.push('\n');
                continue;
            }
        }
        writeln!(answers, "done").unwrap();
    }
    // A script that failed in between has said why.
    let server = running.unwrap_or_else(|| Server::start_at(home, &[], api));
    (server, said)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// The folder with the packages that package.json names, or nothing when they cannot be had.
fn packages() -> Option<PathBuf> {
    let manifest = fs::read_to_string(source().join("package.json")).unwrap();
    let parsed: Value = serde_json::from_str(&manifest).unwrap();
    let pinned: Vec<String> = parsed["dependencies"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(package, version)| format!("{package}-{}", version.as_str().unwrap()))
        .collect();
    installed("node", &format!("browser-{}", pinned.join("-")), |folder| {
        fs::write(folder.join("package.json"), &manifest).unwrap();
        let install = [
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--prefix",
        ];
        succeed(Command::new("npm").args(install).arg(folder))
    })
}

/// A Chromium, which is installed where that is possible, or nothing.
fn chromium() -> Option<PathBuf> {
    let found = find_chromium().map_or_else(
        || {
            install_chromium()?;
            find_chromium().ok_or_else(|| "it is not in the PATH".to_owned())
        },
        Ok,
    );
    match found {
        Ok(chromium) => Some(chromium),
        Err(reason) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "there is no Chromium: {reason}"
            );
            tell(format_args!(
                "SKIPPED: the console was not tried, there is no Chromium: {reason}"
            ));
            None
        }
    }
}

fn find_chromium() -> Option<PathBuf> {
    if let Some(chosen) = std::env::var_os("CHROMIUM") {
        return Some(chosen.into());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .flat_map(|folder| CHROMIUMS.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// Installs Debian's, if whoever runs the tests may.
fn install_chromium() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("install the package chromium, or name a binary in CHROMIUM".to_owned());
    }
    tell("installing chromium");
    succeed(Command::new("apt-get").args(["update", "-qq"]))?;
    succeed(
        Command::new("apt-get")
            .args([
                "install",
                "-y",
                "-qq",
                "--no-install-recommends",
                "chromium",
            ])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Makes an administrator, who has the first account.
/// Makes the administrator's account at the server that runs with this data directory.
pub(crate) fn add_administrator(data_dir: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hayloft"))
        .args(["user", "add", ADMINISTRATOR, "--password-stdin"])
        .arg("--data-dir")
        .arg(data_dir)
        .env_remove("HAYLOFT_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = command.stdin.take().unwrap();
    writeln!(input, "{PASSWORD}").unwrap();
    drop(input);
    assert!(command.wait().unwrap().success());
}
