//! Uploads that are applied for: at once or block by block, gone on with by name or key.

use super::scene::*;
use super::*;
use crate::backend::Step;
use crate::core::id::{Entry, FileNumber, UploadKeyHash};
use crate::core::upload_sessions::{self, LIFE, UploadRecord, UploadState};
use common::code::ErrorCode;

pub(super) const KEY: UploadKeyHash = UploadKeyHash([1; 32]);
const OTHER_KEY: UploadKeyHash = UploadKeyHash([2; 32]);

pub(super) fn application(name: &str, content: &[u8]) -> Application {
    Application {
        name: entry(name),
        size: content.len() as u64,
        md5: md5_of(content),
        sha1: sha1_of(content),
    }
}

pub(super) async fn apply(
    service: &TestService,
    user: &Actor,
    name: &str,
    content: &[u8],
    key: UploadKeyHash,
) -> (UploadId, UploadRecord) {
    let applied = service.apply(user, application(name, content), key).await;
    match applied.unwrap() {
        Applied::Open(id, record) => (id, record),
        Applied::Different(id, _) => panic!("{id} is of other bytes"),
    }
}

/// Sends a block as a client does who has the key.
pub(super) async fn block(
    service: &TestService,
    key: UploadKeyHash,
    offset: usize,
    bytes: &[u8],
) -> Result<BlockAdded, ServiceError> {
    let (id, record) = service.upload_of_key(key).await?;
    let bytes = Bytes::copy_from_slice(bytes);
    service.add_block(id, record, offset as u64, bytes).await
}

pub(super) async fn whole(
    service: &TestService,
    key: UploadKeyHash,
    bytes: &[u8],
) -> Result<FileNumber, ServiceError> {
    let (id, record) = service.upload_of_key(key).await?;
    let mut upload = service.begin_whole(&record);
    for piece in bytes.chunks(700) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    service.finish_whole(id, &record, upload).await
}

fn is_open_at(added: Result<BlockAdded, ServiceError>, received: usize) {
    match added {
        Ok(BlockAdded::Open(record)) => assert_eq!(record.received, received as u64),
        other => panic!("{other:?}"),
    }
}

fn file(added: Result<BlockAdded, ServiceError>) -> FileNumber {
    match added {
        Ok(BlockAdded::File(file)) => file,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn blocks_in_order_make_the_file_that_was_promised() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 5_000);
    let (_, record) = apply(&service, &king, "a.bin", &content, KEY).await;
    assert_eq!(holdings(&service, &king).await.upload_bytes, 5_000);
    is_open_at(block(&service, KEY, 0, &content[..1]).await, 1);
    is_open_at(block(&service, KEY, 1, &content[1..3_000]).await, 3_000);
    is_open_at(block(&service, KEY, 3_000, b"").await, 3_000);
    let file = file(block(&service, KEY, 3_000, &content[3_000..]).await);
    assert_eq!(Some(file), record.file);
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    let late = block(&service, KEY, 3_000, &content[3_000..]).await;
    assert!(
        matches!(late, Err(ServiceError::Core(CoreError::UploadDone(done))) if done == file),
        "{late:?}"
    );
    let (_, record) = service.upload_of_key(KEY).await.unwrap();
    assert_eq!(record.state, UploadState::Done(file));
    let again = service
        .apply(&king, application("a.bin", &content), OTHER_KEY)
        .await;
    assert_refused!(
        again,
        ServiceError::Core(CoreError::NameInUse(Entry::File(_)))
    );
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn an_upload_is_gone_on_with_by_its_name_and_only_with_the_same_bytes() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 3_000);
    let (id, first) = apply(&service, &king, "a", &content, KEY).await;
    is_open_at(block(&service, KEY, 0, &content[..1_000]).await, 1_000);
    let service = scene.crash(service).await;
    for different in [&content[..2_999], &self::content(2, 3_000)] {
        let applied = service
            .apply(&king, application("a", different), OTHER_KEY)
            .await;
        assert!(
            matches!(&applied, Ok(Applied::Different(other, _)) if *other == id),
            "{applied:?}"
        );
        let nobodys = service.upload_of_key(OTHER_KEY).await;
        assert_refused!(nobodys, ServiceError::Core(CoreError::NoUpload));
    }
    let (again, record) = apply(&service, &king, "a", &content, OTHER_KEY).await;
    assert_eq!(
        (again, record.file, record.received),
        (id, first.file, 1_000)
    );
    // Both keys are good.
    is_open_at(
        block(&service, KEY, 1_000, &content[1_000..2_000]).await,
        2_000,
    );
    let file = file(block(&service, OTHER_KEY, 2_000, &content[2_000..]).await);
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn a_block_takes_the_place_of_everything_behind_its_beginning() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let (wrong, right) = (content(9, 4_000), content(1, 4_000));
    apply(&service, &king, "a", &right, KEY).await;
    is_open_at(block(&service, KEY, 0, &right[..1_000]).await, 1_000);
    is_open_at(
        block(&service, KEY, 1_000, &wrong[1_000..3_000]).await,
        3_000,
    );
    // From the beginning of a block, from within one, and the same once more.
    is_open_at(
        block(&service, KEY, 1_000, &right[1_000..1_500]).await,
        1_500,
    );
    is_open_at(
        block(&service, KEY, 1_500, &wrong[1_500..2_500]).await,
        2_500,
    );
    is_open_at(
        block(&service, KEY, 1_200, &right[1_200..2_000]).await,
        2_000,
    );
    is_open_at(
        block(&service, KEY, 1_200, &right[1_200..2_000]).await,
        2_000,
    );
    let gap = block(&service, KEY, 2_001, &right[2_001..]).await;
    assert_refused!(
        gap,
        ServiceError::Gap {
            received: 2_000,
            offset: 2_001
        }
    );
    let long = block(&service, KEY, 2_000, &[0; 2_001]).await;
    assert_refused!(long, ServiceError::Mismatch { .. });
    let far = block(&service, KEY, usize::MAX, b"far").await;
    assert_refused!(far, ServiceError::Mismatch { .. });
    let file = file(block(&service, KEY, 2_000, &right[2_000..]).await);
    assert_eq!(scene.bytes(&service, &king, file).await, right);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn a_whole_that_is_not_what_was_announced_begins_anew() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let (wrong, right) = (content(9, 2_000), content(1, 2_000));
    let (id, _) = apply(&service, &king, "a", &right, KEY).await;
    is_open_at(block(&service, KEY, 0, &right[..1_000]).await, 1_000);
    let failed = block(&service, KEY, 1_000, &wrong[1_000..]).await;
    assert_refused!(failed, ServiceError::Mismatch { .. });
    let (again, record) = apply(&service, &king, "a", &right, OTHER_KEY).await;
    assert_eq!((again, record.received, record.staging), (id, 0, None));
    service.reclaim().await.unwrap();
    assert_eq!(scene.world.blobs.ids(), []);
    // At once, the upload stays as it was.
    is_open_at(block(&service, KEY, 0, &right[..500]).await, 500);
    for bytes in [&wrong[..], &right[..1_999], &[]] {
        let failed = whole(&service, KEY, bytes).await;
        assert_refused!(failed, ServiceError::Mismatch { .. });
    }
    let (_, record) = service.upload_of_key(KEY).await.unwrap();
    assert_eq!(record.received, 500);
    let file = file(block(&service, KEY, 500, &right[500..]).await);
    assert_eq!(scene.bytes(&service, &king, file).await, right);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn bytes_at_once_make_the_same_file_and_end_what_blocks_began() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    for (seed, len) in [(1, 2_000), (2, 0), (3, 400_000)] {
        let content = content(seed, len);
        let key = UploadKeyHash([seed; 32]);
        let (_, record) = apply(&service, &king, &format!("{seed}"), &content, key).await;
        if 0 < len {
            is_open_at(block(&service, key, 0, &content[..100]).await, 100);
        }
        let file = whole(&service, key, &content).await.unwrap();
        assert_eq!(Some(file), record.file);
        assert_eq!(scene.bytes(&service, &king, file).await, content);
        let again = whole(&service, key, &content).await;
        assert!(
            matches!(again, Err(ServiceError::Core(CoreError::UploadDone(done))) if done == file),
            "{again:?}"
        );
    }
    // No bytes at all are a block, too.
    let (_, record) = apply(&service, &king, "none", b"", OTHER_KEY).await;
    let file = file(block(&service, OTHER_KEY, 0, b"").await);
    assert_eq!(Some(file), record.file);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn blocks_and_bytes_at_once_at_the_same_time_make_one_file() {
    for seed in 0..40 {
        let scene = Scene::new();
        let service = scene.start();
        let king = user(&service, "king").await;
        let content = content(1, 3_000);
        let (_, record) = apply(&service, &king, "a", &content, KEY).await;
        scene.world.catalog.hesitate(Some(seed));
        let blocks = async {
            block(&service, KEY, 0, &content[..1_000]).await?;
            block(&service, KEY, 1_000, &content[1_000..]).await
        };
        let (blocks, whole, other) = tokio::join!(
            blocks,
            whole(&service, KEY, &content),
            whole(&service, KEY, &content),
        );
        scene.world.catalog.hesitate(None);
        let made = [
            blocks.map(|added| match added {
                BlockAdded::File(file) => file,
                BlockAdded::Open(record) => panic!("all bytes are there: {record:?}"),
            }),
            whole,
            other,
        ];
        let mut count = 0;
        for made in made {
            match made {
                Ok(file) | Err(ServiceError::Core(CoreError::UploadDone(file))) => {
                    assert_eq!(Some(file), record.file);
                    count += 1;
                }
                // It lost its staging blob to the others, or met them at the end.
                Err(ServiceError::Core(CoreError::UploadChanged | CoreError::UploadClosed)) => {}
                Err(error) => panic!("{error:?} with seed {seed}"),
            }
        }
        assert_ne!(count, 0);
        assert_eq!(files_of(&service, &king).await.len(), 1);
        scene.check_all_ended(&[&king]).await;
    }
}

#[tokio::test]
async fn clients_that_send_the_same_blocks_at_the_same_time_end_with_one_file() {
    for seed in 0..60 {
        let scene = Scene::new();
        let service = scene.start();
        let king = user(&service, "king").await;
        let content = content(1, 2_500);
        let (_, promised) = apply(&service, &king, "a", &content, KEY).await;
        scene.world.catalog.hesitate(Some(seed));
        let client = async || {
            for _ in 0..1_000 {
                let (id, record) = service.upload_of_key(KEY).await.unwrap();
                if let UploadState::Done(file) = record.state {
                    return file;
                }
                let from = service.next_offset(id, &record).await.unwrap();
                let from = usize::try_from(from).unwrap();
                let to = content.len().min(from + 1_000);
                let added = block(&service, KEY, from, &content[from..to]).await;
                match added {
                    Ok(_)
                    | Err(
                        ServiceError::Gap { .. }
                        | ServiceError::Core(
                            CoreError::UploadDone(_)
                            | CoreError::UploadChanged
                            | CoreError::UploadClosed,
                        ),
                    ) => {}
                    Err(error) => panic!("{error:?} with seed {seed}"),
                }
                tokio::task::yield_now().await;
            }
            panic!("it comes to no end with seed {seed}");
        };
        let (one, other) = tokio::join!(client(), client());
        scene.world.catalog.hesitate(None);
        assert_eq!((Some(one), Some(other)), (promised.file, promised.file));
        assert_eq!(scene.bytes(&service, &king, one).await, content);
        scene.check_all_ended(&[&king]).await;
    }
}

#[tokio::test]
async fn what_a_crash_left_is_finished_with_the_last_block_once_more() {
    for step in [Step::Arrange, Step::Commit, Step::CommitAnswer] {
        let scene = Scene::new();
        let service = scene.start();
        let king = user(&service, "king").await;
        let content = content(1, 3_000);
        apply(&service, &king, "a", &content, KEY).await;
        is_open_at(block(&service, KEY, 0, &content[..2_000]).await, 2_000);
        scene.world.blobs.fail(step, ErrorCode::Unavailable);
        let failed = block(&service, KEY, 2_000, &content[2_000..]).await;
        assert!(failed.unwrap_err().is_fault(), "{step:?}");
        let service = scene.crash(service).await;
        let (id, record) = apply(&service, &king, "a", &content, OTHER_KEY).await;
        assert_eq!(record.received, 3_000, "{step:?}");
        let from = service.next_offset(id, &record).await.unwrap();
        let from = usize::try_from(from).unwrap();
        let file = file(block(&service, OTHER_KEY, from, &content[from..]).await);
        assert_eq!(
            scene.bytes(&service, &king, file).await,
            content,
            "{step:?}"
        );
        scene.check_all_ended(&[&king]).await;
    }
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_ends_the_upload() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 2_000);
    for (key, at_once) in [(KEY, true), (OTHER_KEY, false)] {
        let name = if at_once { "a" } else { "b" };
        let (id, _) = apply(&service, &king, name, &content, key).await;
        let other = self::content(key.0[0] + 50, 10);
        let begun = begin(&service, &king, new_file(name, &other)).await;
        send_all(&service, &king, begun, &other, [1]).await;
        let taken = complete(&service, &king, begun).await.unwrap();
        let refused = if at_once {
            whole(&service, key, &content).await
        } else {
            block(&service, key, 0, &content).await.map(|_| taken)
        };
        assert!(
            matches!(
                refused,
                Err(ServiceError::Core(CoreError::NameInUse(Entry::File(file)))) if file == taken
            ),
            "{refused:?}"
        );
        let ended = service.look(move |view| upload_sessions::find(view, id));
        assert_eq!(ended.await.unwrap(), None);
        let nobodys = service.upload_of_key(key).await;
        assert_refused!(nobodys, ServiceError::Core(CoreError::NoUpload));
    }
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn an_upload_that_is_over_gives_its_name_and_its_key_free() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 2_000);
    let (id, first) = apply(&service, &king, "a", &content, KEY).await;
    is_open_at(block(&service, KEY, 0, &content[..1_000]).await, 1_000);
    scene.clock.put_forward(LIFE);
    let over = service.upload_of_key(KEY).await;
    assert_refused!(over, ServiceError::Core(CoreError::NoUpload));
    // Another one has the name before anybody looked after the old one.
    let (other, record) = apply(&service, &king, "a", &content, OTHER_KEY).await;
    assert_ne!((other, record.file), (id, first.file));
    service.maintain().await.unwrap();
    let (again, _) = apply(&service, &king, "a", &content, KEY).await;
    assert_eq!(again, other);
    let file = whole(&service, KEY, &content).await.unwrap();
    assert_eq!(Some(file), record.file);
    scene.check_all_ended(&[&king]).await;
}
