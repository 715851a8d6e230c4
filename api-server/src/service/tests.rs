//! The service over a catalog and storage that fail on request.

mod access;
mod apps;
mod completion;
mod crashes;
mod histories;
mod histories_in_order;
mod in_order;
mod scene;
mod several;
mod sliced;

use std::collections::BTreeSet;
use std::net::IpAddr;

use bytes::Bytes;
use common::id::{Extension, FileId, NodeNumber};

use super::*;
use crate::backend::MemoryBlobs;
use crate::backend::catalog::MemoryCatalog;
use crate::core::accounts::{self, PasswordHash, Profile};
use crate::core::catalog::Direction;
use crate::core::files::{self, FileOrder, FileRow, Naming};
use crate::core::id::{AccountId, Md5, Sha1, UploadId};
use crate::core::uploads::{self, Added};

type TestService = Service<MemoryCatalog, MemoryBlobs>;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

/// What outlives a process.
#[derive(Clone, Debug)]
struct World {
    catalog: MemoryCatalog,
    blobs: MemoryBlobs,
}

impl World {
    fn new() -> Self {
        let catalog = MemoryCatalog::new();
        // Work may run more than once, so all of it always does.
        catalog.repeat_work(true);
        let node = NodeNumber::try_from(7).unwrap();
        Self {
            catalog,
            blobs: MemoryBlobs::new("group1".parse().unwrap(), node),
        }
    }

    /// A process.
    fn start(&self) -> TestService {
        self.start_with(ServiceSettings::default())
    }

    fn start_with(&self, settings: ServiceSettings) -> TestService {
        Service::new(self.catalog.clone(), self.blobs.clone(), settings).unwrap()
    }

    /// Blobs in storage are those that the catalog refers to, and files have the right bytes.
    async fn check(&self, service: &TestService, users: &[Actor]) {
        let mut referred = BTreeSet::new();
        for user in users {
            for (_, file) in files_of(service, user).await {
                let bytes = self.blobs.bytes(&file.blob).expect("a file's blob exists");
                assert_eq!(blake3::hash(&bytes), blake3::Hash::from(file.content.0));
                referred.insert(file.blob);
            }
        }
        let stored: BTreeSet<FileId> = self.blobs.ids().into_iter().collect();
        assert_eq!(stored, referred);
        let orphans = service
            .look(|view| uploads::orphans(view, None, 9))
            .await
            .unwrap();
        assert_eq!(orphans, []);
        assert_eq!(self.blobs.prepared_count(), 0);
    }
}

/// An account without the cost of a password.
async fn user(service: &TestService, name: &'static str) -> Actor {
    let account: AccountId = service
        .change(move |tx, moment| {
            let profile = Profile {
                nick: name.parse().unwrap(),
                email: None,
                phone: None,
            };
            let password = PasswordHash("none".into());
            let name = name.parse().unwrap();
            accounts::register(tx, name, profile, password, None, moment)
        })
        .await
        .unwrap();
    Actor {
        account,
        user: name.parse().unwrap(),
    }
}

async fn files_of(service: &TestService, user: &Actor) -> Vec<FileRow> {
    let account = user.account;
    let page = service
        .look(move |view| {
            files::page(
                view,
                account,
                FileOrder::Created,
                Direction::Ascending,
                0,
                1_000,
            )
        })
        .await
        .unwrap();
    assert_eq!(page.total, page.rows.len() as u64);
    page.rows
}

async fn upload(
    service: &TestService,
    user: &Actor,
    name: &str,
    content: &[u8],
    announced: Announced,
) -> Result<Added, ServiceError> {
    let mut upload = service.begin_upload(Extension::of_file_name(name));
    for piece in content.chunks(100_000) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    let naming = Naming::Label(name.parse().unwrap());
    upload.finish(user, naming, announced).await
}

#[tokio::test]
async fn content_is_stored_once_and_goes_with_its_last_owner() {
    let world = World::new();
    let service = world.start();
    let (king, queen) = (user(&service, "king").await, user(&service, "queen").await);
    // Short content, content that streams, and no content at all.
    for content in [b"short".to_vec(), vec![7; 700_000], Vec::new()] {
        let nothing = Announced::default();
        let first = upload(&service, &king, "a.png", &content, nothing)
            .await
            .unwrap();
        assert!(matches!(first, Added::New(_)));
        let again = upload(&service, &king, "a.png", &content, nothing)
            .await
            .unwrap();
        assert_eq!(again, Added::Before);
        let other = upload(&service, &queen, "b.jpg", &content, nothing)
            .await
            .unwrap();
        assert!(matches!(other, Added::New(_)));
        let rows = files_of(&service, &king).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(world.blobs.ids(), [rows[0].1.blob]);
        assert_eq!(world.blobs.bytes(&rows[0].1.blob).unwrap(), content);
        assert_eq!(rows[0].1.blob.name.extension(), "png");

        service.remove(&king, rows[0].0).await.unwrap();
        assert_eq!(world.blobs.ids().len(), 1, "the queen has it");
        let hers = files_of(&service, &queen).await;
        service.remove(&queen, hers[0].0).await.unwrap();
        assert!(world.blobs.ids().is_empty(), "gone when the answer comes");
        service.reclaim().await.unwrap();
        world.check(&service, &[king.clone(), queen.clone()]).await;
    }
}

#[tokio::test]
async fn what_is_not_what_was_announced_leaves_nothing() {
    let world = World::new();
    let service = world.start();
    let king = user(&service, "king").await;
    for content in [b"hello".to_vec(), vec![9; 600_000]] {
        let nothing = Announced::default();
        for announced in [
            Announced {
                md5: Some(Md5([0; 16])),
                ..nothing
            },
            Announced {
                sha1: Some(Sha1([0; 20])),
                ..nothing
            },
            Announced {
                size: Some(content.len() as u64 + 1),
                ..nothing
            },
        ] {
            let refused = upload(&service, &king, "a", &content, announced).await;
            assert!(
                matches!(refused, Err(ServiceError::Mismatch { .. })),
                "{refused:?}"
            );
        }
    }
    assert_eq!(files_of(&service, &king).await, []);
    world.check(&service, &[king]).await;
}

#[tokio::test]
async fn without_room_in_memory_short_content_streams_too() {
    let world = World::new();
    let service = world.start();
    let king = user(&service, "king").await;
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let mut upload = service.begin_upload(Extension::default());
        upload.write(Bytes::from_static(b"some")).await.unwrap();
        held.push(upload);
    }
    upload(&service, &king, "b", b"short", Announced::default())
        .await
        .unwrap();
    drop(held);
    assert_eq!(files_of(&service, &king).await.len(), 1);
    world.check(&service, &[king]).await;
}

#[tokio::test]
async fn instant_upload_needs_the_content() {
    let world = World::new();
    let service = world.start();
    let (king, queen) = (user(&service, "king").await, user(&service, "queen").await);
    // MD5 of "123456". Source: docs/api/image-host.md §12.
    let md5 = "e10adc3949ba59abbe56e057f20f883e".parse().unwrap();
    let name = || "pass.txt".parse().unwrap();
    let unknown = service.add_by_md5(&queen, md5, name()).await;
    assert!(matches!(
        unknown,
        Err(ServiceError::Core(CoreError::NoContent))
    ));
    upload(&service, &king, "p", b"123456", Announced::default())
        .await
        .unwrap();
    service.add_by_md5(&queen, md5, name()).await.unwrap();
    let again = service.add_by_md5(&queen, md5, name()).await;
    assert!(matches!(
        again,
        Err(ServiceError::Core(CoreError::FileExists))
    ));
    world.check(&service, &[king, queen]).await;
}
