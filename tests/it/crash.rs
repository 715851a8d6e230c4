//! `kill -9` under load, again and again: what was acknowledged is there, what was deleted is not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::chance::{self, Chance};
use crate::support::deadline;
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::tell;
use crate::support::wire::{Failure, Id, UPLOAD, UPLOAD_APPENDER, Wire};

/// Connections at the same time, each with blobs of its own.
const CONNECTIONS: u64 = 16;

/// Blobs of earlier rounds that are read again after each crash; all of them are at the end.
const OLD_BLOBS_CHECKED: usize = 500;

/// Small volumes and an eager compaction, so that crashes meet every moment of a volume's life.
const BUSY: &str = "[storage]\nvolume_size = \"16MiB\"\n\
                    [storage.compaction]\ninterval = \"1s\"\ngarbage_percent = 10\nrate = \"0\"\n";

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    let rounds = std::env::var("HAYLOFT_TEST_CRASH_ROUNDS").map_or(10, |text| {
        text.parse().expect("HAYLOFT_TEST_CRASH_ROUNDS is a number")
    });
    crash_loop("always", rounds);
}

#[test]
fn without_syncs_nothing_acknowledged_is_lost_to_kill_9_either() {
    // The system's cache survives the process; only a power cut would tell the difference.
    crash_loop("os", 3);
}

fn crash_loop(durability: &str, rounds: u64) {
    let seed = chance::seed();
    println!("seed {seed}: repeat with HAYLOFT_TEST_SEED={seed}");
    let mut chance = Chance::new(seed);
    let home = Home::with_config(&BUSY.replace(
        "[storage]\n",
        &format!("[storage]\ndurability = \"{durability}\"\n"),
    ));
    let mut workers: Vec<Worker> = (0..CONNECTIONS)
        .map(|_| Worker::new(chance.bits()))
        .collect();
    let mut report = Report::default();
    for round in 0..rounds {
        let server = Server::start(&home);
        let enough = 300 + chance.below(1500);
        run_until_killed(server, &mut workers, enough);
        if round % 3 == 1 {
            // Recovery itself is interrupted too.
            Server::start_and_kill(&home, Duration::from_millis(chance.below(60)));
        }
        let server = Server::start(&home);
        let last = round + 1 == rounds;
        check(server.addresses.storage, &mut workers, last, &mut report);
        // The next round begins with a crash of a server that only read, or with a clean end.
        if chance.below(2) == 0 {
            server.kill();
        } else {
            server.terminate();
        }
    }
    let acknowledged = |count: fn(&Worker) -> u64| workers.iter().map(count).sum::<u64>();
    tell(format_args!(
        "crash loop ({durability}): {rounds} rounds, {} acknowledged uploads, {} appends, \
         {} deletes, {} metadata changes; {} checks: {} lost, {} damaged, {} came back",
        acknowledged(|worker| worker.uploads),
        acknowledged(|worker| worker.appends),
        acknowledged(|worker| worker.deletes),
        acknowledged(|worker| worker.metadata_changes),
        report.checks,
        report.lost,
        report.damaged,
        report.back,
    ));
    assert_eq!(
        (report.lost, report.damaged, report.back),
        (0, 0, 0),
        "seed {seed}: {:#?}",
        report.examples
    );
}

/// What the checks found.
#[derive(Debug, Default)]
struct Report {
    checks: u64,
    lost: u64,
    damaged: u64,
    back: u64,
    examples: Vec<String>,
}

/// One connection's load, and what it knows about its blobs.
#[derive(Debug)]
struct Worker {
    chance: Chance,
    blobs: Vec<Blob>,
    /// Blobs before this one were there when the round began.
    old: usize,
    uploads: u64,
    appends: u64,
    deletes: u64,
    metadata_changes: u64,
}

/// One blob and what it must be.
#[derive(Debug)]
struct Blob {
    id: Id,
    appender: bool,
    /// Seed and length of what was uploaded, then of each append.
    pieces: Vec<(u64, usize)>,
    metadata: Option<u64>,
    deleted: bool,
    doubt: Option<Doubt>,
    touched: bool,
}

/// A change that was under way at the crash: it may have taken place as a whole or not at all.
#[derive(Clone, Copy, Debug)]
enum Doubt {
    Append(u64, usize),
    Metadata(u64),
    Delete,
}

/// Puts load on the server, kills it after `enough` acknowledged changes, and lets the workers
/// find out.
fn run_until_killed(server: Server, workers: &mut [Worker], enough: u64) {
    let acknowledged = AtomicU64::new(0);
    let address = server.addresses.storage;
    std::thread::scope(|scope| {
        for worker in workers {
            worker.old = worker.blobs.len();
            let acknowledged = &acknowledged;
            scope.spawn(move || worker.run(address, acknowledged));
        }
        deadline::eventually("enough changes for a crash", Duration::from_mins(2), || {
            (enough <= acknowledged.load(Ordering::Relaxed)).then_some(())
        });
        server.kill();
    });
}

impl Worker {
    fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            blobs: Vec::new(),
            old: 0,
            uploads: 0,
            appends: 0,
            deletes: 0,
            metadata_changes: 0,
        }
    }

    /// Changes things until the connection breaks.
    fn run(&mut self, address: SocketAddr, acknowledged: &AtomicU64) {
        let Ok(mut wire) = Wire::connect(address) else {
            return;
        };
        while let Ok(()) = self.change(&mut wire) {
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One change; an error says that the connection broke.
    fn change(&mut self, wire: &mut Wire) -> Result<(), ()> {
        let kind = self.chance.below(100);
        let living = (kind < 55).then(|| self.living(kind < 25)).flatten();
        let Some(idx) = living else {
            return self.upload(wire);
        };
        let bits = self.chance.bits();
        let blob = &mut self.blobs[idx];
        blob.touched = true;
        let (doubt, result) = if blob.appender && kind < 25 {
            let len = size(&mut self.chance);
            let result = wire.append(&blob.id, &chance::content(bits, len));
            (Doubt::Append(bits, len), result)
        } else if kind < 40 {
            let pair = metadata(bits);
            let result = wire.set_metadata(&blob.id, b'O', &pair);
            (Doubt::Metadata(bits), result)
        } else {
            (Doubt::Delete, wire.delete(&blob.id))
        };
        match result {
            Ok(()) => {
                blob.apply(doubt);
                match doubt {
                    Doubt::Append(..) => self.appends += 1,
                    Doubt::Metadata(_) => self.metadata_changes += 1,
                    Doubt::Delete => self.deletes += 1,
                }
                Ok(())
            }
            Err(Failure::Broken(_)) => {
                blob.doubt = Some(doubt);
                Err(())
            }
            Err(Failure::Status(status)) => {
                panic!("{doubt:?} of {} was refused: {status}", blob.id.text())
            }
        }
    }

    fn upload(&mut self, wire: &mut Wire) -> Result<(), ()> {
        let (seed, len) = (self.chance.bits(), size(&mut self.chance));
        let appender = self.chance.below(3) == 0;
        let command = if appender { UPLOAD_APPENDER } else { UPLOAD };
        match wire.upload(command, "bin", &chance::content(seed, len)) {
            Ok(id) => {
                self.uploads += 1;
                self.blobs.push(Blob {
                    id,
                    appender,
                    pieces: vec![(seed, len)],
                    metadata: None,
                    deleted: false,
                    doubt: None,
                    touched: true,
                });
                Ok(())
            }
            // Nobody was told the name, so nobody can miss it.
            Err(Failure::Broken(_)) => Err(()),
            Err(Failure::Status(status)) => panic!("an upload was refused: {status}"),
        }
    }

    /// A blob that can be changed.
    fn living(&mut self, appender: bool) -> Option<usize> {
        let candidates: Vec<usize> = (0..self.blobs.len())
            .filter(|idx| {
                let blob = &self.blobs[*idx];
                !blob.deleted && (blob.appender || !appender)
            })
            .collect();
        if candidates.is_empty() {
            return None;
        }
        Some(candidates[self.chance.place(candidates.len())])
    }
}

impl Blob {
    fn apply(&mut self, change: Doubt) {
        match change {
            Doubt::Append(seed, len) => self.pieces.push((seed, len)),
            Doubt::Metadata(bits) => self.metadata = Some(bits),
            Doubt::Delete => self.deleted = true,
        }
    }

    fn content(&self) -> Vec<u8> {
        self.pieces
            .iter()
            .flat_map(|(seed, len)| chance::content(*seed, *len))
            .collect()
    }

    /// Compares the blob with what the server has, and settles what was in doubt.
    fn check(&mut self, wire: &mut Wire, report: &mut Report) {
        self.touched = false;
        report.checks += 1;
        let got = read(wire.download(&self.id));
        let metadata_got = read(wire.get_metadata(&self.id));
        if let Some(doubt) = self.doubt.take() {
            let took_place = match doubt {
                Doubt::Delete => got.is_none(),
                Doubt::Metadata(bits) => metadata_got == Some(metadata(bits)),
                Doubt::Append(_, len) => {
                    let before: usize = self.pieces.iter().map(|(_, len)| len).sum();
                    got.as_ref().is_some_and(|got| got.len() == before + len)
                }
            };
            if took_place {
                self.apply(doubt);
            }
        }
        let verdict = match (&got, self.deleted) {
            (Some(_), true) => {
                report.back += 1;
                "came back"
            }
            (None, false) => {
                report.lost += 1;
                "lost"
            }
            (Some(got), false) if *got != self.content() => {
                report.damaged += 1;
                "damaged"
            }
            (Some(_), false) if metadata_got != self.metadata.map(metadata) => {
                report.damaged += 1;
                "metadata damaged"
            }
            (None, true) | (Some(_), false) => return,
        };
        if report.examples.len() < 10 {
            report.examples.push(format!(
                "{verdict}: {} bytes and metadata {metadata_got:?} for {self:?}",
                got.map_or(0, |got| got.len())
            ));
        }
    }
}

/// Checks the blobs that the last round touched, and old ones: some, or all after the last round.
fn check(address: SocketAddr, workers: &mut [Worker], all: bool, report: &mut Report) {
    let mut wire = Wire::connect(address).unwrap();
    for worker in workers {
        let share = OLD_BLOBS_CHECKED / usize::try_from(CONNECTIONS).unwrap();
        let chosen: Vec<usize> = (0..share.min(worker.old))
            .map(|_| worker.chance.place(worker.old))
            .collect();
        for (idx, blob) in worker.blobs.iter_mut().enumerate() {
            if all || blob.touched || chosen.contains(&idx) {
                blob.check(&mut wire, report);
            }
        }
    }
}

/// What a read found, or nothing when the server says that there is nothing.
fn read(result: Result<Vec<u8>, Failure>) -> Option<Vec<u8>> {
    match result {
        Ok(bytes) => Some(bytes),
        Err(Failure::Status(2)) => None,
        Err(failure) => panic!("a read after the restart: {failure:?}"),
    }
}

/// Metadata in wire form.
fn metadata(bits: u64) -> Vec<u8> {
    format!("bits\x02{bits}").into_bytes()
}

/// Mostly small, some of several records.
fn size(chance: &mut Chance) -> usize {
    let end = match chance.below(100) {
        0..70 => 8 * 1024,
        70..95 => 200 * 1024,
        _ => 2_500_000,
    };
    usize::try_from(chance.below(end)).unwrap()
}
