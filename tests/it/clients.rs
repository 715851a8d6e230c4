//! Other people's clients, unmodified, through the whole life of a file.
//!
//! The scripts are in tests/clients. The clients are installed from their registries once, in
//! pinned versions, into a folder of the build. Where that is impossible the test is skipped with a
//! message, except in CI (variable `CI`), where it fails.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use fastdfs::types::{Metadata, MetadataFlag};
use fastdfs::{ClientOptions, FastDFSError, FdfsClient};

use crate::support::home::Home;
use crate::support::ports;
use crate::support::server::Server;
use crate::support::tell;

/// One installation at a time: tests of two clients may want the same tool.
static INSTALLATION: Mutex<()> = Mutex::new(());

#[test]
fn py3fdfs_goes_through_the_whole_cycle() {
    let Some(packages) = installed("python3", "py3Fdfs-2.2.0", |folder| {
        pip("py3Fdfs==2.2.0", folder)
    }) else {
        return;
    };
    // The defaults of a first start: nothing must have to be set for an unmodified client.
    let home = Home::with_defaults();
    let server = Server::start(&home);
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages);
    run_script(
        python.arg(script("py3fdfs_cycle.py")),
        server.addresses.tracker,
    );
}

#[test]
fn npm_fdfs_goes_through_the_whole_cycle() {
    npm_client("fdfs", "1.0.4");
}

#[test]
fn npm_fastdfs_client_goes_through_the_whole_cycle() {
    npm_client("fastdfs-client", "1.0.2");
}

fn npm_client(package: &str, version: &str) {
    let pinned = format!("{package}@{version}");
    let Some(packages) = installed("node", &format!("npm-{package}-{version}"), |folder| {
        npm(&pinned, folder)
    }) else {
        return;
    };
    let home = Home::with_defaults();
    let server = Server::start(&home);
    let mut node = Command::new("node");
    // The clients use an old form of Buffer; the warnings say nothing about the server.
    node.env("NODE_PATH", packages.join("node_modules"))
        .arg("--no-deprecation");
    run_script(
        node.arg(script("npm_fdfs_cycle.js")).arg(package),
        server.addresses.tracker,
    );
}

#[test]
fn a_client_of_46_byte_addresses_has_a_listener_of_its_own() {
    let Some(packages) = installed("python3", "fastdfs-client-1.3.0", |folder| {
        pip("fastdfs-client==1.3.0", folder)
    }) else {
        return;
    };
    let (home, wide) = home_with_wide_listener();
    let _server = Server::start(&home);
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages);
    run_script(python.arg(script("fastdfs_client_cycle.py")), wide);
}

#[test]
fn the_fastdfs_crate_goes_through_the_whole_cycle_with_either_address_width() {
    let (home, wide) = home_with_wide_listener();
    let server = Server::start(&home);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for tracker in [server.addresses.tracker, wide] {
        runtime.block_on(crate_cycle(tracker));
    }
}

async fn crate_cycle(tracker: SocketAddr) {
    let client = ClientOptions::new(vec![tracker.to_string()])
        .build()
        .unwrap();
    let mut metadata: Metadata = [("width".to_owned(), "160".to_owned())].into();
    let id = client
        .upload_file_buf(b"hello", "txt", Some(&metadata), false)
        .await
        .unwrap();
    assert_eq!(content(&client, &id).await, b"hello");
    let part = client.download_file_buf(&id, 1, 3).await.unwrap();
    assert_eq!(part.as_ref(), b"ell");
    assert_eq!(client.get_metadata(&id).await.unwrap(), metadata);
    let more: Metadata = [("author".to_owned(), "me".to_owned())].into();
    client
        .set_metadata(&id, &more, MetadataFlag::Merge)
        .await
        .unwrap();
    metadata.extend(more);
    assert_eq!(client.get_metadata(&id).await.unwrap(), metadata);
    let info = client.get_file_info(&id).await.unwrap();
    assert_eq!((info.file_size, info.crc32), (5, 0x3610_a686));

    let appender = client
        .upload_file_buf(b"hello", "log", None, true)
        .await
        .unwrap();
    client.append_file_buf(&appender, b" world").await.unwrap();
    // The original answers this one with a body, after which the crate is out of step.
    client.append_file_buf(&appender, b"").await.unwrap();
    client
        .modify_file_buf(&appender, 0, b"HELLO")
        .await
        .unwrap();
    assert_eq!(content(&client, &appender).await, b"HELLO world");
    client.truncate_file(&appender, 5).await.unwrap();
    let normal = client
        .regenerate_appender_filename(&appender)
        .await
        .unwrap();
    assert_eq!(content(&client, &normal).await, b"HELLO");
    assert!(!client.file_exists(&appender).await.unwrap());

    // The crate keeps its connection after a refusal, which the original closes.
    for _ in 0..3 {
        let refused = client.append_file_buf(&normal, b"x").await;
        assert!(
            matches!(refused, Err(FastDFSError::InvalidArgument(_))),
            "{refused:?}"
        );
    }
    let groups = client.list_groups().await.unwrap();
    assert_eq!(groups.len(), 1);
    let storages = client.list_storages("group1", None::<&str>).await.unwrap();
    assert_eq!(storages.len(), 1);
    for id in [id, normal] {
        client.delete_file(&id).await.unwrap();
        let again = client.delete_file(&id).await;
        assert!(
            matches!(again, Err(FastDFSError::FileNotFound(_))),
            "{again:?}"
        );
    }
    client.close().await;
}

async fn content(client: &FdfsClient, id: &fastdfs::FileId) -> Vec<u8> {
    client.download_file_buf(id, 0, 0).await.unwrap().to_vec()
}

/// A home whose tracker has a second address with 46-byte fields.
fn home_with_wide_listener() -> (Home, SocketAddr) {
    // The ready file does not name further listeners, so a free port is chosen here.
    let wide = ports::free(Ipv4Addr::LOCALHOST);
    let home = Home::with_config(&format!(
        "[tracker]\nextra_listeners = [{{ listen = \"{wide}\", address_width = 46 }}]\n"
    ));
    (home, wide)
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

pub(crate) fn run_script(command: &mut Command, tracker: SocketAddr) {
    let output = command
        .arg(tracker.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    println!("{}", said(&output));
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("whole cycle passed"));
}

/// The folder of a client that `interpreter` can run, or nothing when there cannot be one here.
pub(crate) fn installed(
    interpreter: &str,
    name: &str,
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Option<PathBuf> {
    let _one = INSTALLATION.lock().unwrap_or_else(PoisonError::into_inner);
    let clients = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let folder = clients.join(name);
    let found = succeed(Command::new(interpreter).arg("--version")).and_then(|()| {
        if folder.exists() {
            return Ok(());
        }
        // Renamed only when whole, so that an interrupted installation is not taken for one.
        let partial = clients.join(format!("{name}.partial"));
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).unwrap();
        install(&partial)?;
        fs::rename(&partial, &folder).unwrap();
        Ok(())
    });
    match found {
        Ok(()) => Some(folder),
        Err(reason) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "{name} cannot be installed: {reason}"
            );
            tell(format_args!(
                "SKIPPED: {name} cannot be installed: {reason}"
            ));
            None
        }
    }
}

pub(crate) fn pip(package: &str, folder: &Path) -> Result<(), String> {
    let install = ["-m", "pip", "install", "--quiet", "--target"];
    succeed(
        Command::new("python3")
            .args(install)
            .arg(folder)
            .arg(package),
    )
}

fn npm(package: &str, folder: &Path) -> Result<(), String> {
    let install = [
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--prefix",
    ];
    succeed(Command::new("npm").args(install).arg(folder).arg(package))
}

pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {}", said(&output)))
    }
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&text).trim_end().to_owned()
}
