//! What tests of upload sessions share: processes that end and begin again over what outlives them,
//! contents, clients, and the question who owns which blob.

use std::collections::BTreeMap;

use md5::Digest as _;

use super::*;
use crate::core::contents;
use crate::core::files::{Conflict, FileRecord};
use crate::core::id::{FileNumber, FolderNumber};
use crate::core::name::EntryName;
use crate::core::upload_sessions::{self, UploadRecord, UploadState};

/// Bytes of a slice: the smallest that there can be.
pub(super) const SLICE: usize = 1024;
/// Turns of the runtime in which everything that is under way comes to its end.
const TURNS_MAX: usize = 5_000;

/// A world whose time passes when it is told to.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) clock: Clock,
    pub(super) settings: ServiceSettings,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self {
            world: World::new(),
            clock: Clock::default(),
            settings: ServiceSettings {
                slice_size: SLICE as u64,
                ..ServiceSettings::default()
            },
        }
    }

    /// A process.
    pub(super) fn start(&self) -> TestService {
        let World { catalog, blobs } = self.world.clone();
        Service::with_clock(catalog, blobs, self.settings, self.clock.clone()).unwrap()
    }

    /// Ends a process in the middle of whatever it does. Only what it kept is there for the next.
    pub(super) async fn crash(&self, service: TestService) -> TestService {
        self.world.catalog.close();
        service.shared.hashing.stop();
        service.shared.tasks.close();
        service.shared.tasks.wait().await;
        drop(service);
        self.world.blobs.heal();
        self.world.catalog.revive();
        self.start()
    }

    /// After all uploads have ended: storage holds the files of these users and nothing else, and the
    /// catalog knows them by their digests and sums.
    pub(super) async fn check_all_ended(&self, users: &[&Actor]) {
        // The last process knows no blob as its own.
        let service = self.start();
        service.reclaim().await.unwrap();
        let everybody: Vec<Actor> = users.iter().map(|user| (*user).clone()).collect();
        self.world.check(&service, &everybody).await;
        for user in users {
            assert_eq!(uploads_of(&service, user).await, []);
            assert_eq!(holdings(&service, user).await.upload_bytes, 0);
            self.check_files(&service, user).await;
        }
    }

    /// The files of a user are what the catalog says of them.
    pub(super) async fn check_files(&self, service: &TestService, user: &Actor) {
        let mut sum = 0;
        for (number, file) in files_of(service, user).await {
            self.check_file(service, number, &file).await;
            sum += file.size;
        }
        assert_eq!(holdings(service, user).await.bytes, sum);
    }

    async fn check_file(&self, service: &TestService, number: FileNumber, file: &FileRecord) {
        let bytes = self.world.blobs.bytes(&file.blob).unwrap();
        let hash = file.content;
        let content = service.look(move |view| Ok(contents::get(view, &hash)?));
        let content = content.await.unwrap().unwrap();
        assert_eq!(*blake3::hash(&bytes).as_bytes(), hash.0, "file {number}");
        assert_eq!(md5_of(&bytes), content.md5, "file {number}");
        assert_eq!(content.md5, file.md5);
        assert_eq!(Sha1(sha1::Sha1::digest(&bytes).into()), content.sha1);
        assert_eq!(bytes.len() as u64, file.size);
        assert_eq!((content.size, content.blob), (file.size, file.blob));
    }

    /// Each blob in storage belongs to one content, one upload, or is listed as an orphan: API-2.
    /// `uploads` are those that may be under way.
    pub(super) async fn check_owners(
        &self,
        service: &TestService,
        users: &[Actor],
        uploads: &[UploadId],
    ) {
        let mut owners: BTreeMap<FileId, Vec<String>> = BTreeMap::new();
        let mut contents = BTreeMap::new();
        for user in users {
            for (_, file) in files_of(service, user).await {
                contents.insert(file.content.0, file.blob);
            }
        }
        for blob in contents.into_values() {
            assert!(self.world.blobs.bytes(&blob).is_some(), "content is lost");
            owners.entry(blob).or_default().push("content".to_owned());
        }
        for id in uploads {
            let id = *id;
            let record = service.look(move |view| upload_sessions::find(view, id));
            let Some(record) = record.await.unwrap() else {
                continue;
            };
            let committing = match record.state {
                UploadState::Committing(blobs) => blobs,
                UploadState::Open | UploadState::Done(_) => Vec::new(),
            };
            for blob in committing.into_iter().chain(record.staging) {
                owners.entry(blob).or_default().push(format!("upload {id}"));
            }
        }
        let orphans = service.look(|view| uploads::orphans(view, None, 10_000));
        for (blob, _) in orphans.await.unwrap() {
            owners.entry(blob).or_default().push("orphan".to_owned());
        }
        for (blob, owners) in &owners {
            assert_eq!(owners.len(), 1, "{blob} is owned by {owners:?}");
        }
        for blob in self.world.blobs.ids() {
            assert!(owners.contains_key(&blob), "nobody owns {blob}");
        }
    }

    /// A file's bytes.
    pub(super) async fn bytes(
        &self,
        service: &TestService,
        user: &Actor,
        file: FileNumber,
    ) -> Bytes {
        let record = file_of(service, user, file).await;
        self.check_file(service, file, &record).await;
        self.world.blobs.bytes(&record.blob).unwrap()
    }
}

pub(super) async fn file_of(service: &TestService, user: &Actor, number: FileNumber) -> FileRecord {
    let account = user.account;
    let file = service.look(move |view| files::get(view, account, number));
    file.await.unwrap()
}

pub(super) async fn holdings(service: &TestService, user: &Actor) -> accounts::Holdings {
    let account = user.account;
    let holdings = service.look(move |view| accounts::holdings(view, account));
    holdings.await.unwrap()
}

/// The uploads of a user that take bytes.
pub(super) async fn uploads_of(service: &TestService, user: &Actor) -> Vec<UploadId> {
    let (account, now) = (user.account, service.now());
    let uploads = service.look(move |view| upload_sessions::of_account(view, account, 1_000, now));
    let uploads = uploads.await.unwrap().into_iter();
    uploads.map(|(id, _)| id).collect()
}

/// Bytes that differ wherever they differ in seed or place.
pub(super) fn content(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_keyed(&[seed; 32])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

pub(super) fn md5_of(bytes: &[u8]) -> Md5 {
    Md5(md5::Md5::digest(bytes).into())
}

pub(super) fn sha1_of(bytes: &[u8]) -> Sha1 {
    Sha1(sha1::Sha1::digest(bytes).into())
}

pub(super) fn entry(name: &str) -> EntryName {
    name.parse().unwrap()
}

/// A file of the root that nobody else may have the name of.
pub(super) fn new_file(name: &str, content: &[u8]) -> NewSliced {
    NewSliced {
        folder: FolderNumber::ROOT,
        path: Vec::new(),
        name: entry(name),
        conflict: Conflict::Refuse,
        size: content.len() as u64,
        md5: Some(md5_of(content)),
    }
}

pub(super) async fn begin(service: &TestService, user: &Actor, new: NewSliced) -> UploadId {
    match service.begin_sliced(user, new).await.unwrap() {
        Begun::Open(id, _) => id,
        Begun::File(number) => panic!("file {number} was there"),
    }
}

/// A slice of content, from 1 on.
pub(super) fn slice(content: &[u8], number: u64) -> &[u8] {
    let at = usize::try_from(number).unwrap() - 1;
    content.chunks(SLICE).nth(at).unwrap()
}

/// Sends bytes as a slice, with the MD5 that they have.
pub(super) async fn send(
    service: &TestService,
    user: &Actor,
    id: UploadId,
    number: u64,
    bytes: &[u8],
) -> Result<(), ServiceError> {
    send_as(service, user, id, number, bytes, Some(md5_of(bytes))).await
}

pub(super) async fn send_as(
    service: &TestService,
    user: &Actor,
    id: UploadId,
    number: u64,
    bytes: &[u8],
    md5: Option<Md5>,
) -> Result<(), ServiceError> {
    let mut upload = service.begin_slice(user, id, number).await?;
    for piece in bytes.chunks(700) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    upload.finish(md5).await
}

/// Sends all slices, in this order.
pub(super) async fn send_all(
    service: &TestService,
    user: &Actor,
    id: UploadId,
    content: &[u8],
    order: impl IntoIterator<Item = u64>,
) {
    for number in order {
        send(service, user, id, number, slice(content, number))
            .await
            .unwrap();
    }
}

/// Asks until it is known how the completion ends.
pub(super) async fn complete(
    service: &TestService,
    user: &Actor,
    id: UploadId,
) -> Result<FileNumber, ServiceError> {
    for _ in 0..TURNS_MAX {
        match service.complete_sliced(user, id).await? {
            Completion::File(number) => return Ok(number),
            Completion::Verifying => tokio::task::yield_now().await,
        }
    }
    panic!("upload {id} is being verified for ever");
}

/// Waits until an upload is as it should be.
pub(super) async fn until(
    service: &TestService,
    user: &Actor,
    id: UploadId,
    is_so: impl Fn(&UploadRecord) -> bool,
) -> UploadRecord {
    for _ in 0..TURNS_MAX {
        let record = service.upload(user, id).await.unwrap();
        if is_so(&record) {
            return record;
        }
        tokio::task::yield_now().await;
    }
    panic!("upload {id} stays as it is");
}

/// Acts as a client that leaves after so many turns, if it has to wait as long.
pub(super) async fn leave_after<T>(
    turns: Option<u8>,
    client: impl Future<Output = T>,
) -> Option<T> {
    let Some(mut left) = turns else {
        return Some(client.await);
    };
    let mut client = std::pin::pin!(client);
    std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        client.as_mut().poll(context).map(Some)
    })
    .await
}

macro_rules! assert_refused {
    ($result:expr, $pattern:pat) => {
        let result = $result;
        assert!(matches!(&result, Err($pattern)), "{result:?}");
    };
}
pub(super) use assert_refused;
