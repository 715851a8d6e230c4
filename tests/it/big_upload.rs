//! A file far bigger than the memory that a server may take for it.

use std::time::Duration;

use common::digest::Crc32Hasher;

use crate::cycle::refusal;
use crate::support::chance::Chance;
use crate::support::deadline;
use crate::support::home::Home;
use crate::support::http;
use crate::support::server::Server;
use crate::support::tell;
use crate::support::wire::{UPLOAD, Wire, upload_head};

/// The server's own memory while the file streams in, in bytes; mapped pages do not count.
const MEMORY_MAX: u64 = 200 * 1024 * 1024;

/// Bytes that are made and sent at once.
const PIECE_LEN: usize = 1024 * 1024;

/// The file is not a multiple of any block.
const TAIL_LEN: usize = 4321;

/// Time from the delete until compaction gave the space back.
const SPACE_LIMIT: Duration = Duration::from_mins(2);

/// What may stay allocated behind the deleted file: the volume file that is being filled and the
/// one made ahead of it, with the default size.
const LEFT_OVER_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Pieces between two looks at the server's memory.
const LOOK_INTERVAL: u64 = 32;

#[test]
fn a_huge_upload_takes_little_memory_and_gives_its_space_back() {
    let gibibytes: u64 = std::env::var("HAYLOFT_TEST_BIG_GIB").map_or(8, |text| {
        text.parse().expect("HAYLOFT_TEST_BIG_GIB is a number")
    });
    let home = Home::with_config(
        "[storage.compaction]\ninterval = \"1s\"\nrate = \"0\"\n[storage.scrub]\nenabled = false\n",
    );
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let before = home.allocated();

    let pieces = gibibytes * 1024;
    let size = pieces * PIECE_LEN as u64 + TAIL_LEN as u64;
    let mut header = (15 + size).to_be_bytes().to_vec();
    header.extend_from_slice(&[UPLOAD, 0]);
    header.extend_from_slice(&upload_head("img", size));
    storage.send(&header).unwrap();
    let mut piece = vec![0; PIECE_LEN];
    let mut crc = Crc32Hasher::new();
    let mut memory_peak = 0;
    for number in 0..pieces {
        fill(&mut piece, number);
        crc.update(&piece);
        storage.send(&piece).unwrap();
        if number % LOOK_INTERVAL == 0 {
            memory_peak = memory_peak.max(server.anonymous_memory());
        }
    }
    let tail = piece.get(..TAIL_LEN).unwrap();
    crc.update(tail);
    storage.send(tail).unwrap();
    let id = storage.uploaded().unwrap();

    let info = storage.info(&id).unwrap();
    assert_eq!((info.size, info.crc), (size, crc.finish().0));
    let mut want = vec![0; PIECE_LEN];
    let mut chance = Chance::new(size);
    for _ in 0..50 {
        let number = chance.below(pieces);
        fill(&mut want, number);
        let offset = number * PIECE_LEN as u64;
        let got = storage
            .download_range(&id, offset, PIECE_LEN as u64)
            .unwrap();
        assert!(got == want, "piece {number}");
    }
    let target = format!("/{}", id.text());
    for address in [server.addresses.storage_http, server.addresses.api] {
        let range = format!("bytes={}-", size - 10);
        let answer = http::get_with(address, &target, &[("Range", &range)]);
        assert_eq!((answer.status, answer.body.len()), (206, 10));
    }
    memory_peak = memory_peak.max(server.anonymous_memory());
    tell(format_args!(
        "{gibibytes} GiB: at most {} MiB of anonymous memory",
        memory_peak >> 20
    ));
    assert!(memory_peak < MEMORY_MAX, "{memory_peak} bytes of memory");

    let full = home.allocated();
    assert!(size <= full - before, "{full} allocated, {before} before");
    storage.delete(&id).unwrap();
    assert_eq!(refusal(storage.download(&id)), 2);
    deadline::eventually("the space comes back", SPACE_LIMIT, || {
        (home.allocated() < before + LEFT_OVER_MAX).then_some(())
    });
    server.terminate();
}

/// Mostly zeros, but no two pieces are alike.
fn fill(piece: &mut [u8], number: u64) {
    let mut chance = Chance::new(number);
    for block in piece.chunks_exact_mut(64 * 1024) {
        block[..8].copy_from_slice(&chance.bits().to_be_bytes());
    }
}
