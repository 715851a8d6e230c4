//! Clients that expect to be served all the time: they try once more when a request fails, and no
//! more than once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Scope;

use common::client::{ClientError, Metadata, MetadataMode, UploadKind};
use common::code::ErrorCode;
use common::id::{Extension, FileId, VolumePath};

use super::harness::Place;
use super::load::Access;
use crate::support::chance::{self, Chance};

/// Clients at the same time.
const CLIENTS: u64 = 4;
/// Bytes of a blob at most.
const LEN_MAX: u64 = 20_000;

/// What steady clients did and met.
#[derive(Debug, Default)]
pub(super) struct Steady {
    /// Ends the clients.
    pub(super) stop: AtomicBool,
    pub(super) requests: AtomicU64,
    /// Requests that needed the second attempt.
    pub(super) repeated: AtomicU64,
    /// Requests that failed twice.
    failed: Mutex<Vec<String>>,
    /// All blobs that are left, with the seed and length of their contents.
    pub(super) blobs: Mutex<Vec<Kept>>,
}

/// A blob that was stored and not deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) id: FileId,
    seed: u64,
    len: usize,
}

impl Kept {
    /// What it must be.
    pub(super) fn content(&self) -> Vec<u8> {
        chance::content(self.seed, self.len)
    }

    /// Stores a blob.
    pub(super) fn store(access: &Access, seed: u64, len: usize) -> Result<Self, ClientError> {
        let id = access.upload(&chance::content(seed, len))?;
        Ok(Self { id, seed, len })
    }
}

impl Kept {
    /// Stores a blob in a volume path of one node.
    pub(super) fn store_in(
        access: &Access,
        place: Place,
        path: VolumePath,
        seed: u64,
        len: usize,
    ) -> Result<Self, ClientError> {
        let content = chance::content(seed, len);
        let address = place.storage.into();
        let id = access.runtime.block_on(access.client.storages().upload(
            &address,
            Some(path),
            UploadKind::Normal,
            Extension::default(),
            content.as_slice().into(),
        ))?;
        Ok(Self { id, seed, len })
    }
}

impl Steady {
    /// Starts clients that end at [`Self::stop`].
    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        access: &Access,
        seed: u64,
    ) {
        for number in 0..CLIENTS {
            let access = access.clone();
            let mut chance = Chance::new(seed ^ (number << 48));
            scope.spawn(move || {
                let mut own = Vec::new();
                while !self.stop.load(Ordering::Relaxed) {
                    self.step(&access, &mut chance, &mut own);
                }
                self.blobs.lock().unwrap().extend(own);
            });
        }
    }

    fn step(&self, access: &Access, chance: &mut Chance, own: &mut Vec<Kept>) {
        let kind = chance.below(10);
        if own.is_empty() || kind < 4 {
            let (seed, len) = (chance.bits(), 1 + chance.below(LEN_MAX));
            let len = usize::try_from(len).unwrap();
            own.extend(self.twice("upload", |_| Kept::store(access, seed, len)));
            return;
        }
        let place = chance.place(own.len());
        let kept = own[place];
        let (client, id) = (&access.client, &kept.id);
        match kind {
            4..8 => {
                let read = self.twice("download", |_| access.download(id));
                if read.is_some_and(|bytes| bytes != kept.content()) {
                    self.fail(format!("other bytes for {id}"));
                }
            }
            8 => {
                let metadata = Metadata::from_pairs([(b"k".as_slice(), b"v".as_slice())]);
                let mode = MetadataMode::Overwrite;
                self.twice("metadata", |_| {
                    access
                        .runtime
                        .block_on(client.set_metadata(id, mode, &metadata))
                });
            }
            _ => {
                own.swap_remove(place);
                self.twice("delete", |attempt| {
                    match access.runtime.block_on(client.delete(id)) {
                        // The first attempt did it, and its answer was lost.
                        Err(error) if 1 < attempt && error.code() == ErrorCode::NotFound => Ok(()),
                        done => done,
                    }
                });
            }
        }
    }

    /// Makes a request, and once more if it fails.
    fn twice<T>(&self, what: &str, request: impl Fn(usize) -> Result<T, ClientError>) -> Option<T> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let first = match request(1) {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        self.repeated.fetch_add(1, Ordering::Relaxed);
        match request(2) {
            Ok(answer) => Some(answer),
            Err(second) => {
                self.fail(format!(
                    "{what}: {}; then {}",
                    chain(&first),
                    chain(&second)
                ));
                None
            }
        }
    }

    fn fail(&self, what: String) {
        self.failed.lock().unwrap().push(what);
    }

    /// Fails the test if a request failed twice.
    pub(super) fn expect_no_failures(&self, seed: u64) {
        let failed = self.failed.lock().unwrap();
        let requests = self.requests.load(Ordering::Relaxed);
        let some: Vec<&String> = failed.iter().take(10).collect();
        assert!(
            failed.is_empty(),
            "seed {seed}: {} of {requests} requests failed: {some:#?}",
            failed.len()
        );
        assert!(100 < requests, "only {requests} requests were made");
    }

    /// How much was asked, for people.
    pub(super) fn summary(&self) -> String {
        let repeated = self.repeated.load(Ordering::Relaxed);
        format!(
            "{} requests, {repeated} of them twice",
            self.requests.load(Ordering::Relaxed)
        )
    }
}

/// An error with its causes.
fn chain(error: &ClientError) -> String {
    let first: &dyn std::error::Error = error;
    let causes = std::iter::successors(Some(first), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}
