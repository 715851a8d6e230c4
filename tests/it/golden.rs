//! Replays every request that was captured from the original server, in order, and compares.
//!
//! The names in the captured requests are replaced by the ones that this server gave for the same
//! uploads. An answer must equal the captured one in status, length and every byte that the capture
//! does not mark as varying, except for the deviations listed here, each with its reason.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::wire::{ANY_PATH, Answer, UPLOAD, Wire};

/// What this server does instead.
enum Deviation {
    /// Status 0 and an empty body. Source: docs/wire.md, deviations.
    EmptySuccess,
    /// Status 0 and a body that the function accepts.
    Accepts(fn(&[u8]) -> bool),
    /// The request names a storage by its address; here a storage's id is its number.
    NamesStorage,
}

/// The deviation of a vector, if it has one.
fn deviation(name: &str) -> Option<Deviation> {
    Some(match name {
        // The original cannot give back an empty file that it took.
        "download_empty_file" => Deviation::EmptySuccess,
        // The original echoes the request when there is nothing to do, which clients trip over.
        "append_zero_bytes_quirk" | "modify_zero_bytes_quirk" | "truncate_same_size_quirk" => {
            Deviation::EmptySuccess
        }
        // Ids carry node numbers here, so there are always storage ids.
        "fetch_storage_ids_allow_empty" | "fetch_storage_ids_required" => {
            Deviation::Accepts(|body| body.starts_with(&[0, 0, 0, 1, 0, 0, 0, 1]))
        }
        // The text depends on the configuration; clients have room for less than 1024 bytes.
        "parameters" => {
            Deviation::Accepts(|body| body.len() < 1024 && body.starts_with(b"use_storage_id="))
        }
        // As long as the address is.
        "get_leader" => Deviation::Accepts(|body| {
            std::str::from_utf8(body).is_ok_and(|text| text.parse::<std::net::SocketAddr>().is_ok())
        }),
        "list_storages_one_id" | "delete_storage_active" => Deviation::NamesStorage,
        _ => return None,
    })
}

#[test]
fn every_captured_request_gets_the_answer_of_the_original() {
    // The captured server had two store paths.
    let home = Home::with_volume_paths(2);
    let server = Server::start(&home);
    let mut replay = Replay {
        tracker: Wire::connect(server.addresses.tracker).unwrap(),
        storage: Wire::connect(server.addresses.storage).unwrap(),
        names: BTreeMap::new(),
        storage_id: Vec::new(),
    };
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/fastdfs-wire.json"
    );
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut count = 0;
    for vector in golden["vectors"].as_array().unwrap() {
        // The other captured cluster had two storages and 46-byte addresses.
        if vector["profile"] == "plain16" {
            replay.vector(vector);
            count += 1;
        }
    }
    assert_eq!(count, 78, "vectors replayed");
}

struct Replay {
    tracker: Wire,
    storage: Wire,
    /// Captured names without extension, and what they are called here.
    names: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The storage's id as the listing tells it.
    storage_id: Vec<u8>,
}

impl Replay {
    fn vector(&mut self, vector: &Value) {
        let name = vector["name"].as_str().unwrap();
        let deviation = deviation(name);
        let mut request = self.translate(&bytes(&vector["request"]));
        if matches!(deviation, Some(Deviation::NamesStorage)) {
            // Header and group stay; the id follows them.
            request.truncate(26);
            request.extend_from_slice(&self.storage_id);
            let len = (request.len() - 10) as u64;
            request[..8].copy_from_slice(&len.to_be_bytes());
        }
        let to_storage = vector["to"] == "storage";
        let wire = if to_storage {
            &mut self.storage
        } else {
            &mut self.tracker
        };
        wire.send(&request).unwrap();
        let answer = wire
            .answer()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            answer.status == 0 || wire.is_usable(),
            "{name}: the connection must stay usable after {answer:?}"
        );
        match deviation {
            Some(Deviation::EmptySuccess) => {
                assert_eq!(
                    (answer.status, answer.body.len()),
                    (0, 0),
                    "{name}: {answer:?}"
                );
            }
            Some(Deviation::Accepts(accepts)) => {
                assert!(
                    answer.status == 0 && accepts(&answer.body),
                    "{name}: {answer:?}"
                );
            }
            Some(Deviation::NamesStorage) | None => {
                self.compare(name, vector, &request, &answer);
            }
        }
    }

    /// Compares an answer with the captured one, and learns names from it.
    fn compare(&mut self, name: &str, vector: &Value, request: &[u8], answer: &Answer) {
        let captured = bytes(&vector["response"]);
        let (header, captured) = captured.split_at_checked(10).unwrap();
        assert_eq!(answer.status, header[9], "{name}: {answer:?}");
        assert_eq!(answer.body.len(), captured.len(), "{name}: {answer:?}");
        // Group and a logical name.
        if captured
            .get(16..20)
            .is_some_and(|start| start.starts_with(b"M0"))
        {
            let (stem, extension) = stem_and_extension(&captured[16..]);
            let (here, extension_here) = stem_and_extension(&answer.body[16..]);
            assert_eq!(extension, extension_here, "{name}: {answer:?}");
            let (command, path) = (request[8], request[10]);
            assert!(
                stem[..4] == here[..4] || (command == UPLOAD && path == ANY_PATH),
                "{name}: volume path of {answer:?}"
            );
            self.names.insert(stem.to_vec(), here.to_vec());
        }
        if name == "list_storages" {
            let id = answer.body[2..18].split(|byte| *byte == 0).next().unwrap();
            self.storage_id = id.to_vec();
        }
        let varies = |offset: usize| {
            vector["response_varies"]
                .as_array()
                .unwrap()
                .iter()
                .any(|range| {
                    let number = |key: &str| usize::try_from(range[key].as_u64().unwrap()).unwrap();
                    (number("offset")..number("offset") + number("length")).contains(&(offset + 10))
                })
        };
        for (offset, (got, want)) in answer.body.iter().zip(captured).enumerate() {
            assert!(
                got == want || varies(offset),
                "{name}: byte {offset} is {got:#04x}, captured {want:#04x}: {answer:?}"
            );
        }
    }

    /// The request with this server's names in the place of the captured ones.
    fn translate(&self, request: &[u8]) -> Vec<u8> {
        let mut request = request.to_vec();
        for (captured, here) in &self.names {
            let place = request
                .windows(captured.len())
                .position(|window| window == captured);
            if let Some(start) = place {
                request[start..start + captured.len()].copy_from_slice(here);
            }
        }
        request
    }
}

/// A logical name before and after the dot among its last seven characters.
fn stem_and_extension(name: &[u8]) -> (&[u8], &[u8]) {
    let start = name.len().saturating_sub(7);
    let dot = name[start..].iter().position(|byte| *byte == b'.');
    name.split_at(dot.map_or(name.len(), |dot| start + dot))
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len() / 2)
        .map(|idx| u8::from_str_radix(&hex[2 * idx..2 * idx + 2], 16).unwrap())
        .collect()
}
