//! The life of blobs, appenders and slaves by raw packets.

use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::wire::{
    ACTIVE_TEST, ANY_PATH, DOWNLOAD, Failure, LIST_STORAGES, QUERY_FETCH, QUERY_STORE, UPLOAD,
    UPLOAD_APPENDER, Wire, packet, padded,
};
use crate::support::{chance, deadline};
use std::net::SocketAddr;
use std::time::Duration;

/// What the connection says about an operation that must be refused.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Failure>) -> u8 {
    match result {
        Err(Failure::Status(status)) => status,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_tracker_sends_writers_and_readers_to_the_storage() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut tracker = Wire::connect(server.addresses.tracker).unwrap();

    let answer = tracker.ask(QUERY_STORE, &[]).unwrap();
    assert_eq!((answer.status, answer.body.len()), (0, 40), "{answer:?}");
    assert_eq!(&answer.body[..16], &padded::<16>("group1"));
    assert_eq!(address_in(&answer.body), server.addresses.storage);

    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let id = storage.upload(UPLOAD, "txt", b"hello").unwrap();
    let answer = tracker.ask(QUERY_FETCH, &id.field()).unwrap();
    assert_eq!((answer.status, answer.body.len()), (0, 39), "{answer:?}");
    assert_eq!(address_in(&answer.body), server.addresses.storage);
}

/// The address behind the group of a query's answer, with 16-byte fields.
fn address_in(body: &[u8]) -> SocketAddr {
    let host = std::str::from_utf8(&body[16..31]).unwrap();
    let port = u64::from_be_bytes(body[31..39].try_into().unwrap());
    format!("{}:{port}", host.trim_end_matches('\0'))
        .parse()
        .unwrap()
}

#[test]
fn blobs_of_every_size_come_back_whole_and_in_parts() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    // Around the borders of records, volumes (32 MiB here) and read buffers.
    let mebibyte = 1024 * 1024;
    let sizes = [
        0,
        1,
        4095,
        4096,
        65536,
        mebibyte - 1,
        mebibyte,
        mebibyte + 1,
        3 * mebibyte + 5,
        40 * mebibyte + 1,
    ];
    for size in sizes {
        let content = chance::content(size as u64, size);
        let id = storage.upload(UPLOAD, "bin", &content).unwrap();
        assert!(storage.download(&id).unwrap() == content, "{size} bytes");
        let info = storage.info(&id).unwrap();
        assert_eq!(info.size, size as u64);
        assert_eq!(info.crc, common::digest::Crc32::of(&content).0, "{size}");
        assert!(
            info.time
                .abs_diff(u64::from(common::env::clock::unix_seconds()))
                < 60
        );
        if size < 2 {
            continue;
        }
        for (offset, len) in [(0, 1), (1, size / 2), (size / 2, 0), (size - 1, 100)] {
            let end = if len == 0 {
                size
            } else {
                size.min(offset + len)
            };
            let part = storage
                .download_range(&id, offset as u64, len as u64)
                .unwrap();
            assert!(part == content[offset..end], "{size}: {offset}+{len}");
        }
        let past = storage.download_range(&id, size as u64, 0);
        assert_eq!(refusal(past), 22, "{size}");
    }
}

#[test]
fn an_appender_grows_changes_shrinks_and_becomes_a_blob() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let id = storage.upload(UPLOAD_APPENDER, "log", b"").unwrap();
    let mut model = Vec::new();
    for (number, len) in [10, 1, 70_000, 2 * 1024 * 1024 + 3].into_iter().enumerate() {
        let piece = chance::content(number as u64, len);
        storage.append(&id, &piece).unwrap();
        model.extend_from_slice(&piece);
        assert!(storage.download(&id).unwrap() == model, "append {number}");
    }
    // Inside, across the end, and at the end.
    for (offset, len) in [(5, 100_000), (model.len() - 3, 10), (model.len() + 7, 4)] {
        let piece = chance::content(offset as u64, len);
        storage.modify(&id, offset as u64, &piece).unwrap();
        model.resize(model.len().max(offset + len), 0);
        model[offset..offset + len].copy_from_slice(&piece);
        assert!(storage.download(&id).unwrap() == model, "modify {offset}");
    }
    for size in [model.len() + 1000, 65_537, 65_537, 0, 3] {
        storage.truncate(&id, size as u64).unwrap();
        model.resize(size, 0);
        assert!(storage.download(&id).unwrap() == model, "truncate {size}");
        assert_eq!(storage.info(&id).unwrap().size, size as u64);
    }
    storage.append(&id, b"!").unwrap();
    model.push(b'!');

    let blob = storage.regenerate(&id).unwrap();
    assert_eq!(storage.download(&blob).unwrap(), model);
    let crc = storage.info(&blob).unwrap().crc;
    assert_eq!(crc, common::digest::Crc32::of(&model).0);
    assert_eq!(refusal(storage.append(&id, b"x")), 2, "the old name");
    assert_eq!(refusal(storage.append(&blob, b"x")), 22, "a normal blob");
}

#[test]
fn a_slave_lives_and_dies_beside_its_master() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let master = storage.upload(UPLOAD, "jpg", b"master").unwrap();
    let slave = storage
        .upload_slave(&master, "_80x80", "jpg", b"small")
        .unwrap();
    let stem = master.name.strip_suffix(".jpg").unwrap();
    assert_eq!(slave.name, format!("{stem}_80x80.jpg"));
    assert_eq!(storage.download(&slave).unwrap(), b"small");
    assert_eq!(
        storage.info(&slave).unwrap().crc,
        common::digest::Crc32::of(b"small").0,
        "the slave's, though its name repeats the master's"
    );
    let again = storage.upload_slave(&master, "_80x80", "jpg", b"other");
    assert_eq!(refusal(again), 17);
    let of_slave = storage
        .upload_slave(&slave, "_tiny", "png", b"tiny")
        .unwrap();
    assert_eq!(storage.download(&of_slave).unwrap(), b"tiny");

    storage.delete(&master).unwrap();
    assert_eq!(storage.download(&slave).unwrap(), b"small");
    let orphan = storage.upload_slave(&master, "_other", "jpg", b"x");
    assert_eq!(refusal(orphan), 2);
    storage.delete(&slave).unwrap();
    assert_eq!(refusal(storage.download(&slave)), 2);
}

#[test]
fn metadata_is_replaced_merged_sorted_and_deleted_with_its_blob() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let id = storage.upload(UPLOAD, "txt", b"hello").unwrap();
    assert_eq!(refusal(storage.get_metadata(&id)), 2, "none yet");

    storage
        .set_metadata(&id, b'O', b"width\x02160\x01author\x02me")
        .unwrap();
    assert_eq!(
        storage.get_metadata(&id).unwrap(),
        b"author\x02me\x01width\x02160"
    );
    // The trailing separator is what one client always sends.
    storage
        .set_metadata(&id, b'M', b"zed\x021\x01author\x02you\x01")
        .unwrap();
    assert_eq!(
        storage.get_metadata(&id).unwrap(),
        b"author\x02you\x01width\x02160\x01zed\x021"
    );
    storage.set_metadata(&id, b'M', b"").unwrap();
    assert!(!storage.get_metadata(&id).unwrap().is_empty());
    assert_eq!(refusal(storage.set_metadata(&id, b'X', b"a\x02b")), 22);

    storage.set_metadata(&id, b'O', b"").unwrap();
    assert_eq!(refusal(storage.get_metadata(&id)), 2, "removed");
    storage.set_metadata(&id, b'O', b"a\x02b").unwrap();
    storage.delete(&id).unwrap();
    assert_eq!(refusal(storage.get_metadata(&id)), 2, "deleted");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let first = storage.upload(UPLOAD, "txt", b"first").unwrap();
    let second = storage.upload(UPLOAD, "txt", b"second").unwrap();
    let download = |id: &crate::support::wire::Id| {
        packet(DOWNLOAD, 0, &[&[0; 16], id.field().as_slice()].concat())
    };
    let upload = [ANY_PATH, 0, 0, 0, 0, 0, 0, 0, 3, b't', b'x', b't', 0, 0, 0];
    let batch = [
        download(&first),
        packet(ACTIVE_TEST, 0, &[]),
        packet(UPLOAD, 0, &[upload.as_slice(), b"new"].concat()),
        packet(99, 0, b"nobody knows this command"),
        download(&second),
    ]
    .concat();
    storage.send(&batch).unwrap();
    assert_eq!(storage.answer().unwrap().body, b"first");
    assert_eq!(storage.answer().unwrap().body, b"");
    assert_eq!(storage.answer().unwrap().body.len(), 16 + 44);
    assert_eq!(storage.answer().unwrap().status, 22);
    assert_eq!(storage.answer().unwrap().body, b"second");
}

#[test]
fn the_storages_counters_reach_the_tracker() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    for number in 0..3_u8 {
        storage.upload(UPLOAD, "txt", &[number]).unwrap();
    }
    let mut tracker = Wire::connect(server.addresses.tracker).unwrap();
    deadline::eventually(
        "three successful uploads in the listing",
        Duration::from_secs(10),
        || {
            let answer = tracker.ask(LIST_STORAGES, &padded::<16>("group1")).unwrap();
            assert_eq!((answer.status, answer.body.len()), (0, 487), "{answer:?}");
            let successes = u64::from_be_bytes(answer.body[158..166].try_into().unwrap());
            (successes == 3).then_some(())
        },
    );
}
