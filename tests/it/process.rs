//! The process as an operator sees it: start, lock, end, restart.

use std::time::Duration;

use crate::cycle::refusal;
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::tell;
use crate::support::wire::{Id, UPLOAD, UPLOAD_APPENDER, Wire};
use crate::support::{chance, http};

/// An idle server's own memory, in bytes; the project's target.
const IDLE_MEMORY_MAX: u64 = 60 * 1024 * 1024;

#[test]
fn a_ready_server_answers_on_every_address_of_the_ready_file() {
    let home = Home::with_defaults();
    let server = Server::start(&home);
    let at = &server.addresses;
    assert!(Wire::connect(at.tracker).unwrap().is_usable());
    assert!(Wire::connect(at.storage).unwrap().is_usable());
    for address in [at.storage_http, at.api] {
        for page in ["/healthz", "/readyz", "/metrics"] {
            let answer = http::get(address, page);
            assert_eq!(answer.status, 200, "{page}: {}", answer.text());
        }
        assert!(http::get(address, "/metrics").text().contains("hayloft_"));
    }
    let memory = server.anonymous_memory();
    tell(format_args!(
        "idle: {} KiB of anonymous memory",
        memory / 1024
    ));
    assert!(memory < IDLE_MEMORY_MAX, "{memory} bytes while idle");
    server.terminate();
}

#[test]
fn a_second_process_on_the_same_data_is_refused_and_harms_nothing() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let id = storage.upload(UPLOAD, "txt", b"mine").unwrap();

    let (status, said) = Server::run_to_end(&home);
    assert!(!status.success(), "{said}");
    let data_dir = home.data_dir();
    assert!(
        said.contains(data_dir.to_str().unwrap()),
        "the refusal names the directory: {said}"
    );
    assert_eq!(storage.download(&id).unwrap(), b"mine");
    server.terminate();
}

#[test]
fn everything_is_there_after_a_restart() {
    everything_survives(Server::terminate);
}

#[test]
fn everything_is_there_after_a_kill() {
    everything_survives(Server::kill);
}

fn everything_survives(end: fn(Server)) {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let contents: Vec<Vec<u8>> = [0, 1, 4096, 5 * 1024 * 1024]
        .into_iter()
        .map(|len| chance::content(len as u64, len))
        .collect();
    let blobs: Vec<Id> = contents
        .iter()
        .map(|content| storage.upload(UPLOAD, "bin", content).unwrap())
        .collect();
    let appender = storage.upload(UPLOAD_APPENDER, "log", b"a").unwrap();
    storage.append(&appender, b"bcd").unwrap();
    storage.modify(&appender, 1, b"B").unwrap();
    storage.truncate(&appender, 3).unwrap();
    let slave = storage
        .upload_slave(&blobs[1], "_s", "bin", b"slave")
        .unwrap();
    storage.set_metadata(&slave, b'O', b"k\x02v").unwrap();
    let deleted = storage.upload(UPLOAD, "txt", b"deleted").unwrap();
    storage.delete(&deleted).unwrap();
    end(server);

    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    for (id, content) in blobs.iter().zip(&contents) {
        assert!(&storage.download(id).unwrap() == content, "{}", id.text());
        let answer = http::get(server.addresses.storage_http, &format!("/{}", id.text()));
        assert_eq!(answer.status, 200);
        assert!(&answer.body == content, "{}", id.text());
    }
    assert_eq!(storage.download(&appender).unwrap(), b"aBc");
    storage.append(&appender, b"!").unwrap();
    assert_eq!(storage.download(&appender).unwrap(), b"aBc!");
    assert_eq!(storage.download(&slave).unwrap(), b"slave");
    assert_eq!(storage.get_metadata(&slave).unwrap(), b"k\x02v");
    assert_eq!(refusal(storage.download(&deleted)), 2);
    assert_eq!(refusal(storage.delete(&deleted)), 2);
    server.terminate();
}

#[test]
fn a_download_under_way_ends_whole_after_sigterm_and_idle_connections_do_not_hold_the_end() {
    let home = Home::new();
    let mut server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    // More than the sockets buffer, so that the server is in the middle of it.
    let content = chance::content(1, 24 * 1024 * 1024);
    let id = storage.upload(UPLOAD, "bin", &content).unwrap();
    let mut idle = Wire::connect(server.addresses.storage).unwrap();
    assert!(idle.is_usable());
    let mut idle_tracker = Wire::connect(server.addresses.tracker).unwrap();
    assert!(idle_tracker.is_usable());

    let request = [[0; 16].as_slice(), &id.field()].concat();
    storage
        .request(crate::support::wire::DOWNLOAD, 0, &request)
        .unwrap();
    let (status, len) = storage.head().unwrap();
    assert_eq!((status, len), (0, content.len() as u64));
    server.send_terminate();
    // The server closes its idle connections once it has seen the signal.
    assert!(idle.is_closed_by_server(Duration::from_secs(10)));
    let mut body = vec![0; content.len()];
    storage.body(&mut body).unwrap();
    assert!(body == content, "the download under way");

    let status = server.wait(Duration::from_secs(10));
    assert!(status.success(), "{status}");
}

#[test]
fn sigterm_cuts_a_stuck_client_off_at_the_end_of_the_drain_time() {
    let home = Home::with_config("drain = \"500ms\"\n[storage]\nvolume_size = \"32MiB\"\n");
    let mut server = Server::start(&home);
    let mut stuck = Wire::connect(server.addresses.storage).unwrap();
    let mut upload = 1_000_000_u64.to_be_bytes().to_vec();
    upload.extend_from_slice(&[UPLOAD, 0]);
    stuck.send(&upload).unwrap();
    assert!(server.is_alive());
    server.send_terminate();
    let status = server.wait(Duration::from_secs(10));
    assert!(status.success(), "{status}");
}
