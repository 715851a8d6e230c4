//! Clients that store, change, delete and read, each remembering what was acknowledged, and the
//! checks of what the cluster has in the end.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::client::{Client, ClientError, Metadata, MetadataMode, Upload, UploadKind};
use common::code::ErrorCode;
use common::env::clock;
use common::id::FileId;
use tokio::runtime::Handle;

use super::harness::{Cluster, Place};
use crate::support::chance::{self, Chance};
use crate::support::deadline::within;
use crate::support::http::Http;

/// Clients at the same time.
pub(super) const CLIENTS: u64 = 8;
/// Blobs of one client; a client that has so many reads and changes them only.
const BLOBS_MAX: usize = 350;
/// A longer content is a broken server.
const CONTENT_LEN_MAX: usize = 64 * 1024 * 1024;
/// Findings that are told in full.
const EXAMPLES: usize = 20;
/// Threads that check.
const CHECKERS: usize = 4;

/// What clients need of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) client: Client,
    pub(super) runtime: Handle,
    pub(super) places: Vec<Place>,
}

impl Access {
    /// To all trackers and nodes of a cluster.
    pub(super) fn to(cluster: &Cluster) -> Self {
        Self {
            client: cluster.client(),
            runtime: cluster.runtime.handle().clone(),
            places: cluster.places(),
        }
    }

    /// Stores a normal blob where a tracker says.
    pub(super) fn upload(&self, content: &[u8]) -> Result<FileId, ClientError> {
        let upload = Upload::default();
        self.runtime
            .block_on(self.client.upload(&upload, content.into()))
    }

    /// Reads a blob where a tracker says.
    pub(super) fn download(&self, id: &FileId) -> Result<Vec<u8>, ClientError> {
        self.runtime.block_on(async {
            let download = self.client.download(id, 0, 0).await?;
            Ok(download.collect(CONTENT_LEN_MAX).await?.to_vec())
        })
    }

    /// Reads a blob from one node.
    pub(super) fn download_from(&self, place: Place, id: &FileId) -> Result<Vec<u8>, ClientError> {
        self.runtime.block_on(async {
            let storages = self.client.storages();
            let download = storages.download(&place.storage.into(), id, 0, 0).await?;
            Ok(download.collect(CONTENT_LEN_MAX).await?.to_vec())
        })
    }

    /// The metadata of a blob as one node has it; `None` if it has none.
    pub(super) fn metadata_from(
        &self,
        place: Place,
        id: &FileId,
    ) -> Result<Option<Metadata>, ClientError> {
        let storages = self.client.storages();
        let address = place.storage.into();
        let asked = storages.metadata(&address, id);
        match self.runtime.block_on(asked) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What went wrong: what must never happen, with examples.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<BTreeMap<&'static str, (u64, Vec<String>)>>);

impl Findings {
    pub(super) fn add(&self, what: &'static str, example: impl FnOnce() -> String) {
        let mut findings = self.0.lock().unwrap();
        let (count, examples) = findings.entry(what).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            let at = clock::unix_micros() / 1000 % 1_000_000;
            examples.push(format!("at {at} ms: {}", example()));
        }
    }

    /// Fails the test if there are any.
    pub(super) fn expect_none(&self, seed: u64) {
        let findings = self.0.lock().unwrap();
        assert!(findings.is_empty(), "seed {seed}: {findings:#?}");
    }
}

/// A change that got no answer, or an error: it may have taken place as a whole or not at all.
#[derive(Clone, Copy, Debug)]
enum Change {
    Append(u64, usize),
    Metadata(u64),
    Delete,
}

/// A blob and what it must be.
#[derive(Debug)]
struct Blob {
    id: FileId,
    is_appender: bool,
    /// Seed and length of what was uploaded, then of each append.
    pieces: Vec<(u64, usize)>,
    metadata: Option<u64>,
    is_deleted: bool,
    /// Nothing more is changed once there is one.
    doubt: Option<Change>,
}

impl Blob {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Append(seed, len) => self.pieces.push((seed, len)),
            Change::Metadata(bits) => self.metadata = Some(bits),
            Change::Delete => self.is_deleted = true,
        }
    }

    fn content(&self) -> Vec<u8> {
        let pieces = self.pieces.iter();
        pieces
            .flat_map(|(seed, len)| chance::content(*seed, *len))
            .collect()
    }

    /// Whether these are the bytes that the blob has or once had.
    fn had(&self, got: &[u8]) -> bool {
        let mut pieces = self.pieces.clone();
        if let Some(Change::Append(seed, len)) = self.doubt {
            pieces.push((seed, len));
        }
        let mut rest = got;
        for (seed, len) in pieces {
            match rest.strip_prefix(chance::content(seed, len).as_slice()) {
                Some([]) => return true,
                Some(more) => rest = more,
                None => return false,
            }
        }
        false
    }

    fn may_be_gone(&self) -> bool {
        self.is_deleted || matches!(self.doubt, Some(Change::Delete))
    }
}

/// One client.
#[derive(Debug)]
pub(super) struct Worker {
    access: Access,
    chance: Chance,
    blobs: Vec<Blob>,
    /// Acknowledged changes and reads by kind.
    done: BTreeMap<&'static str, u64>,
}

/// What a read found.
enum Read {
    Bytes(Vec<u8>),
    /// A definite no.
    NotFound,
    /// Busy, away, broken: nothing that counts.
    Nothing,
}

impl Worker {
    /// Clients with chances of their own.
    pub(super) fn crowd(cluster: &Cluster, chance: &mut Chance) -> Vec<Self> {
        let access = Access::to(cluster);
        (0..CLIENTS)
            .map(|_| Self {
                access: access.clone(),
                chance: Chance::new(chance.bits()),
                blobs: Vec::new(),
                done: BTreeMap::new(),
            })
            .collect()
    }

    /// Changes and reads until told to stop.
    pub(super) fn run(&mut self, stop: &AtomicBool, findings: &Findings) {
        while !stop.load(Ordering::Relaxed) {
            let is_done = match self.chance.below(100) {
                0..35 => self.upload(),
                35..45 => self.append(),
                45..52 => self.set_metadata(),
                52..58 => self.delete(),
                _ => self.read(findings),
            };
            if !is_done {
                // A refused connection is refused again at once: leave the processor to the others.
                let _ = within(Duration::from_millis(20), || None::<()>);
            }
        }
    }

    fn count(&mut self, what: &'static str) -> bool {
        *self.done.entry(what).or_default() += 1;
        true
    }

    fn upload(&mut self) -> bool {
        if BLOBS_MAX <= self.blobs.len() {
            return true;
        }
        let (seed, len) = (self.chance.bits(), size(&mut self.chance));
        let is_appender = self.chance.below(4) == 0;
        let upload = Upload {
            kind: if is_appender {
                UploadKind::Appender
            } else {
                UploadKind::Normal
            },
            ..Upload::default()
        };
        let content = chance::content(seed, len);
        let access = &self.access;
        let stored = access.client.upload(&upload, content.as_slice().into());
        let Ok(id) = access.runtime.block_on(stored) else {
            // Nobody was told the name, so nobody can miss it.
            self.count("failed uploads");
            return false;
        };
        self.blobs.push(Blob {
            id,
            is_appender,
            pieces: vec![(seed, len)],
            metadata: None,
            is_deleted: false,
            doubt: None,
        });
        self.count("uploads")
    }

    /// A blob that can be changed.
    fn changeable(&mut self, wants_appender: bool) -> Option<usize> {
        let candidates: Vec<usize> = (0..self.blobs.len())
            .filter(|idx| {
                let blob = &self.blobs[*idx];
                let fits = blob.is_appender || !wants_appender;
                fits && !blob.is_deleted && blob.doubt.is_none()
            })
            .collect();
        (!candidates.is_empty()).then(|| candidates[self.chance.place(candidates.len())])
    }

    fn append(&mut self) -> bool {
        let (seed, len) = (self.chance.bits(), 1 + size(&mut self.chance) / 4);
        let content = chance::content(seed, len);
        self.change(true, Change::Append(seed, len), "appends", |access, id| {
            let append = access.client.append(id, content.as_slice().into());
            access.runtime.block_on(append)
        })
    }

    fn set_metadata(&mut self) -> bool {
        let bits = self.chance.bits();
        self.change(
            false,
            Change::Metadata(bits),
            "metadata changes",
            |access, id| {
                let (mode, metadata) = (MetadataMode::Overwrite, metadata(bits));
                let set = access.client.set_metadata(id, mode, &metadata);
                access.runtime.block_on(set)
            },
        )
    }

    fn delete(&mut self) -> bool {
        self.change(false, Change::Delete, "deletes", |access, id| {
            access.runtime.block_on(access.client.delete(id))
        })
    }

    fn change(
        &mut self,
        wants_appender: bool,
        change: Change,
        what: &'static str,
        make: impl FnOnce(&Access, &FileId) -> Result<(), ClientError>,
    ) -> bool {
        let Some(idx) = self.changeable(wants_appender) else {
            return true;
        };
        if make(&self.access, &self.blobs[idx].id).is_err() {
            self.blobs[idx].doubt = Some(change);
            self.count("doubtful changes");
            return false;
        }
        self.blobs[idx].apply(change);
        self.count(what)
    }

    /// Reads one of the blobs by one of the ways.
    fn read(&mut self, findings: &Findings) -> bool {
        if self.blobs.is_empty() {
            return true;
        }
        let blob = &self.blobs[self.chance.place(self.blobs.len())];
        let place = self.access.places[self.chance.place(self.access.places.len())];
        let (way, read) = match self.chance.below(3) {
            0 => (format!("http://{}", place.http), read_http(place, &blob.id)),
            1 => {
                let read = self.access.download_from(place, &blob.id);
                (place.storage.to_string(), Read::from(read))
            }
            _ => (
                "trackers".to_owned(),
                Read::from(self.access.download(&blob.id)),
            ),
        };
        match read {
            Read::Bytes(got) if !blob.had(&got) => {
                let len = got.len();
                findings.add("damaged while it ran", || {
                    format!("{len} bytes by {way} for {}: {blob:?}", blob.id)
                });
                true
            }
            Read::NotFound if !blob.may_be_gone() => {
                findings.add("not found while it ran", || {
                    format!("{} by {way}: {blob:?}", blob.id)
                });
                true
            }
            Read::Bytes(_) | Read::NotFound => self.count("reads"),
            Read::Nothing => {
                self.count("reads without an answer");
                false
            }
        }
    }
}

impl From<Result<Vec<u8>, ClientError>> for Read {
    fn from(read: Result<Vec<u8>, ClientError>) -> Self {
        match read {
            Ok(bytes) => Self::Bytes(bytes),
            Err(error) if error.code() == ErrorCode::NotFound => Self::NotFound,
            Err(_) => Self::Nothing,
        }
    }
}

fn read_http(place: Place, id: &FileId) -> Read {
    let answer = Http::connect(place.http)
        .and_then(|mut http| http.ask("GET", &format!("/{id}"), &[("Connection", "close")], None));
    match answer {
        Ok(answer) if answer.status == 200 => Read::Bytes(answer.body),
        Ok(answer) if answer.status == 404 => Read::NotFound,
        Ok(_) | Err(_) => Read::Nothing,
    }
}

/// Acknowledged changes and reads of all clients.
pub(super) fn summary(workers: &[Worker]) -> String {
    let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, count) in workers.iter().flat_map(|worker| &worker.done) {
        *sum.entry(what).or_default() += count;
    }
    let parts = sum.iter().map(|(what, count)| format!("{count} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// Acknowledged changes of all clients so far.
pub(super) fn acknowledged(workers: &[Worker]) -> u64 {
    let kinds = ["uploads", "appends", "metadata changes", "deletes"];
    let of =
        |worker: &Worker| -> u64 { kinds.iter().filter_map(|kind| worker.done.get(kind)).sum() };
    workers.iter().map(of).sum()
}

/// Compares what each node has by itself with what was acknowledged. All nodes end, then each runs
/// alone for its check; all run when this returns. The first node's copy decides what was in doubt.
pub(super) fn check_each_alone(cluster: &mut Cluster, workers: &mut [Worker], findings: &Findings) {
    for node in &mut cluster.nodes {
        node.terminate();
    }
    for idx in 0..cluster.nodes.len() {
        let place = cluster.place(idx + 1);
        let node = &mut cluster.nodes[idx];
        node.start();
        check(place, workers, findings);
        node.terminate();
    }
    for node in &mut cluster.nodes {
        node.start();
    }
}

/// Compares what a node answers with what was acknowledged, and settles what was in doubt.
pub(super) fn check(place: Place, workers: &mut [Worker], findings: &Findings) {
    let share = workers.len().div_ceil(CHECKERS);
    std::thread::scope(|scope| {
        for workers in workers.chunks_mut(share) {
            scope.spawn(move || {
                let mut http = Http::connect(place.http).unwrap();
                for worker in workers {
                    let access = &worker.access;
                    for blob in &mut worker.blobs {
                        check_blob(&mut http, access, place, blob, findings);
                    }
                }
            });
        }
    });
}

fn check_blob(
    http: &mut Http,
    access: &Access,
    place: Place,
    blob: &mut Blob,
    findings: &Findings,
) {
    let answer = http
        .ask("GET", &format!("/{}", blob.id), &[], None)
        .unwrap();
    let metadata_got = access.metadata_from(place, &blob.id);
    if let Some(doubt) = blob.doubt.take() {
        let took_place = match doubt {
            Change::Delete => answer.status == 404,
            Change::Metadata(bits) => {
                matches!(&metadata_got, Ok(Some(got)) if *got == metadata(bits))
            }
            Change::Append(_, len) => {
                let before: usize = blob.pieces.iter().map(|(_, len)| len).sum();
                answer.status == 200 && answer.body.len() == before + len
            }
        };
        if took_place {
            blob.apply(doubt);
        }
    }
    let seen = || {
        let (status, len) = (answer.status, answer.body.len());
        format!(
            "status {status} with {len} bytes and metadata {metadata_got:?} from {} for {} {blob:?}",
            place.http, blob.id
        )
    };
    match (answer.status, blob.is_deleted) {
        (404, true) => {}
        (200, true) => findings.add("came back", seen),
        (404, false) => findings.add("lost", seen),
        (200, false) if answer.body != blob.content() => findings.add("damaged", seen),
        (200, false) => match &metadata_got {
            Ok(got) if *got == blob.metadata.map(metadata) => {}
            Ok(_) | Err(_) => findings.add("metadata damaged", seen),
        },
        (_, true) => findings.add("not known to be deleted", seen),
        (_, false) => findings.add("not there", seen),
    }
}

fn metadata(bits: u64) -> Metadata {
    let bits = bits.to_string();
    Metadata::from_pairs([(b"bits".as_slice(), bits.as_bytes())])
}

/// Mostly small, some of several records.
fn size(chance: &mut Chance) -> usize {
    let end = match chance.below(100) {
        0..75 => 8 * 1024,
        75..98 => 150 * 1024,
        _ => 5_000_000,
    };
    usize::try_from(1 + chance.below(end)).unwrap()
}
