//! Broken, slow, huge and hostile requests: the specified status, and an unharmed server.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cycle::refusal;
use crate::support::chance::{self, Chance};
use crate::support::deadline;
use crate::support::home::Home;
use crate::support::http;
use crate::support::server::Server;
use crate::support::wire::{
    ACTIVE_TEST, APPEND, DELETE, DOWNLOAD, FILE_INFO, GET_METADATA, Id, MODIFY, QUERY_FETCH, QUIT,
    SET_METADATA, TRUNCATE, UPLOAD, UPLOAD_APPENDER, UPLOAD_SLAVE, Wire, packet, upload_head,
};

/// Packets of noise that each server gets.
const NOISE_COUNT: u64 = 1500;

/// A server that works: a blob goes in and comes out.
fn assert_unharmed(server: &mut Server) {
    assert!(server.is_alive(), "the server died");
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let id = storage.upload(UPLOAD, "txt", b"still here").unwrap();
    assert_eq!(storage.download(&id).unwrap(), b"still here");
    assert!(Wire::connect(server.addresses.tracker).unwrap().is_usable());
}

#[test]
fn requests_may_arrive_byte_by_byte() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let body = [upload_head("txt", 5).as_slice(), b"hello"].concat();
    for byte in packet(UPLOAD, 0, &body) {
        storage.send(&[byte]).unwrap();
    }
    assert_eq!(storage.answer().unwrap().body.len(), 60);
}

#[test]
fn a_half_packet_is_given_up_after_the_network_timeout_and_nobody_else_waits() {
    let home = Home::with_config(
        "[tracker]\nnetwork_timeout = \"300ms\"\n\
         [storage]\nvolume_size = \"32MiB\"\nnetwork_timeout = \"300ms\"\n",
    );
    let mut server = Server::start(&home);
    let addresses = server.addresses.clone();
    let half_header = packet(ACTIVE_TEST, 0, &[])[..7].to_vec();
    let half_upload = [
        &packet(UPLOAD, 0, &upload_head("bin", 1 << 20))[10..],
        &[7; 1000],
    ]
    .concat();
    let mut announced = (15_u64 + (1 << 20)).to_be_bytes().to_vec();
    announced.extend_from_slice(&[UPLOAD, 0]);
    let half_upload = [announced, half_upload].concat();
    let cases = [
        (addresses.storage, half_header.as_slice()),
        (addresses.storage, &half_upload),
        (addresses.tracker, &half_header),
    ];
    let mut stuck: Vec<Wire> = cases
        .iter()
        .map(|(address, bytes)| {
            let mut wire = Wire::connect(*address).unwrap();
            wire.send(bytes).unwrap();
            wire
        })
        .collect();
    assert_unharmed(&mut server);
    // An idle connection that has asked once is kept, unlike the halves.
    let mut idle = Wire::connect(addresses.storage).unwrap();
    assert!(idle.is_usable());
    for wire in &mut stuck {
        assert!(wire.is_closed_by_server(Duration::from_secs(10)));
    }
    assert!(idle.is_usable());
}

#[test]
fn a_refused_body_is_read_to_its_end_and_the_connection_stays() {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let normal = storage.upload(UPLOAD, "txt", b"hello").unwrap();
    let gone = storage.upload(UPLOAD_APPENDER, "txt", b"hello").unwrap();
    storage.delete(&gone).unwrap();
    let big = vec![0x65; 3 * 1024 * 1024];
    assert_eq!(refusal(storage.append(&gone, &big)), 2);
    assert_eq!(refusal(storage.append(&normal, &big)), 22);
    assert_eq!(refusal(storage.modify(&gone, 0, &big)), 2);
    assert_eq!(refusal(storage.upload(UPLOAD, "a/b", &big)), 22);
    assert_eq!(refusal(storage.upload_slave(&gone, "_s", "txt", &big)), 2);
    assert_eq!(storage.download(&normal).unwrap(), b"hello");
}

#[test]
fn lengths_that_lie_get_no_memory() {
    let home = Home::new();
    let mut server = Server::start(&home);
    let before = server.anonymous_memory();
    let commands = [
        UPLOAD,
        APPEND,
        MODIFY,
        UPLOAD_SLAVE,
        SET_METADATA,
        DOWNLOAD,
        QUERY_FETCH,
    ];
    let mut open = Vec::new();
    for len in [1_u64 << 28, 1 << 32, (1 << 32) + 16, 1 << 50, (1 << 63) - 1] {
        for command in commands {
            for address in [server.addresses.storage, server.addresses.tracker] {
                let mut wire = Wire::connect(address).unwrap();
                let header = [len.to_be_bytes().as_slice(), &[command, 0]].concat();
                wire.send(&header).unwrap();
                // The server may refuse while this is being sent.
                let _ = wire.send(&[0xff; 5000]);
                open.push(wire);
            }
        }
    }
    assert_unharmed(&mut server);
    let grown = server.anonymous_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for {} lies", open.len());
}

#[test]
fn negative_lengths_and_quit_end_the_connection_without_an_answer() {
    let home = Home::new();
    let mut server = Server::start(&home);
    for address in [server.addresses.storage, server.addresses.tracker] {
        for bytes in [[0xff; 10].to_vec(), packet(QUIT, 0, &[])] {
            let mut wire = Wire::connect(address).unwrap();
            wire.send(&bytes).unwrap();
            assert!(
                wire.is_closed_by_server(Duration::from_secs(10)),
                "{bytes:?}"
            );
        }
    }
    assert_unharmed(&mut server);
}

#[test]
fn crafted_names_reach_nothing() {
    let home = Home::new();
    let mut server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let good = storage.upload(UPLOAD, "txt", b"hello").unwrap();
    let long = format!("M00/00/00/{}", "a".repeat(10_000));
    let names = [
        "M00/00/00/../../../../../../etc/passwd",
        "M00/../../CURRENT",
        "M00/00/00/..",
        "M00/00/00/.",
        "M00/00/00/",
        "M00/00/00/a\0b",
        "M01/00/00/wKgBeFXlZJuAdsBZAAPm5H9JxDA153.jpg",
        "MFF/00/00/wKgBeFXlZJuAdsBZAAPm5H9JxDA153.jpg",
        "MZZ/00/00/wKgBeFXlZJuAdsBZAAPm5H9JxDA153.jpg",
        "M00/zz/00/wKgBeFXlZJuAdsBZAAPm5H9JxDA153.jpg",
        "/etc/passwd",
        "",
        &long,
    ];
    for name in names {
        let id = Id {
            group: "group1".to_owned(),
            name: name.to_owned(),
        };
        for command in [DELETE, DOWNLOAD, FILE_INFO, GET_METADATA] {
            let head: &[u8] = if command == DOWNLOAD { &[0; 16] } else { &[] };
            let answer = storage.ask(command, &[head, &id.field()].concat()).unwrap();
            assert!(
                matches!(answer.status, 2 | 22),
                "command {command} of {name:?}: {answer:?}"
            );
        }
        assert!(matches!(refusal(storage.append(&id, b"x")), 2 | 22));
        assert!(matches!(refusal(storage.truncate(&id, 0)), 2 | 22));
        assert!(matches!(refusal(storage.regenerate(&id)), 2 | 22));
    }
    for target in [
        "/group1/M00/00/00/../../../../../../etc/passwd",
        "/group1/M00/00/00/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/group1/M00/00/00/a%00b",
        "/../../etc/passwd",
        "//etc/passwd",
        &format!("/group1/{long}"),
    ] {
        for address in [server.addresses.storage_http, server.addresses.api] {
            let status = http::get(address, target).status;
            assert!((400..500).contains(&status), "{target:.60}: {status}");
        }
    }
    assert_eq!(storage.download(&good).unwrap(), b"hello");
    assert_unharmed(&mut server);
}

#[test]
fn noise_gets_a_status_or_a_closed_connection() {
    let seed = chance::seed();
    println!("seed {seed}: repeat with HAYLOFT_TEST_SEED={seed}");
    let home = Home::new();
    let mut server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let id = storage.upload(UPLOAD, "txt", b"hello").unwrap();
    let mut chance = Chance::new(seed);
    for address in [server.addresses.storage, server.addresses.tracker] {
        make_noise(&mut chance, address, &id);
    }
    assert_eq!(storage.download(&id).unwrap(), b"hello");
    assert_unharmed(&mut server);
}

/// Sends packets that are valid up to a point.
fn make_noise(chance: &mut Chance, address: SocketAddr, id: &Id) {
    let commands = [
        UPLOAD,
        UPLOAD_SLAVE,
        UPLOAD_APPENDER,
        APPEND,
        MODIFY,
        TRUNCATE,
        SET_METADATA,
        DOWNLOAD,
        GET_METADATA,
        FILE_INFO,
        38,
        69,
        70,
        71,
        75,
        90,
        91,
        92,
        94,
        95,
        96,
        97,
        98,
        101,
        102,
        103,
        104,
        105,
        106,
        107,
        109,
        160,
        161,
        162,
    ];
    let mut wire = Wire::connect(address).unwrap();
    for _ in 0..NOISE_COUNT {
        let command = commands[chance.place(commands.len())];
        let len = chance.place(200);
        let mut body = chance::content(chance.bits(), len);
        // Small numbers and real names get further than noise.
        for byte in body.iter_mut().take(23) {
            if chance.below(4) != 0 {
                *byte = 0;
            }
        }
        if chance.below(2) == 0 {
            let place = chance.place(body.len() + 1);
            body.splice(place..place, id.field());
        }
        let sent = wire.request(command, 0, &body);
        if sent.and_then(|()| wire.answer()).is_err() {
            wire = Wire::connect(address).expect("the server still listens");
        }
    }
}

#[test]
fn one_connection_too_many_is_refused_at_once_and_others_are_served() {
    let home = Home::with_config("[storage]\nvolume_size = \"32MiB\"\nconnections_max = 4\n");
    let server = Server::start(&home);
    let address = server.addresses.storage;
    let mut served: Vec<Wire> = (0..4).map(|_| Wire::connect(address).unwrap()).collect();
    assert!(served.iter_mut().all(Wire::is_usable));

    let mut refused = Wire::connect(address).unwrap();
    assert!(!refused.is_usable(), "a fifth connection");
    assert!(served.iter_mut().all(Wire::is_usable), "the four others");
    let metrics = http::get(server.addresses.storage_http, "/metrics").text();
    assert!(
        metrics
            .lines()
            .any(|line| line.contains("refused") && !line.starts_with('#')),
        "the refusal is counted: {metrics}"
    );

    served.pop();
    deadline::eventually("a place for one more", Duration::from_secs(10), || {
        Wire::connect(address).unwrap().is_usable().then_some(())
    });
}
