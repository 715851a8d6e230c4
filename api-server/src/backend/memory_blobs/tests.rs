//! The double does what storage does, and fails where it is told to.

use super::*;

fn blobs() -> MemoryBlobs {
    MemoryBlobs::new("group1".parse().unwrap(), 7.try_into().unwrap())
}

async fn prepare(blobs: &MemoryBlobs) -> Result<PreparedInMemory, BlobsError> {
    let extension = Extension::from_bytes(b"txt").unwrap();
    let mut writer = blobs.begin(extension).await?;
    writer.write(Bytes::from_static(b"hel")).await?;
    writer.write(Bytes::from_static(b"lo")).await?;
    writer.finish().await
}

#[tokio::test]
async fn a_blob_is_seen_when_it_is_committed_and_not_before() {
    let blobs = blobs();
    let prepared = prepare(&blobs).await.unwrap();
    let id = *prepared.file_id();
    let stem = *prepared.file_id().name.stem();
    assert_eq!((stem.size(), stem.crc), (5, Crc32::of(b"hello")));
    assert!(!blobs.exists(&id).await.unwrap());
    assert_eq!(prepared.commit().await.unwrap(), id);
    assert!(blobs.exists(&id).await.unwrap());
    assert_eq!(blobs.bytes(&id).unwrap(), "hello");
    blobs.delete(&id).await.unwrap();
    blobs.delete(&id).await.unwrap();
    assert_eq!(blobs.ids(), []);
}

#[tokio::test]
async fn what_is_given_up_or_dropped_leaves_nothing() {
    let blobs = blobs();
    prepare(&blobs).await.unwrap().abandon().await;
    drop(prepare(&blobs).await.unwrap());
    blobs
        .begin(Extension::default())
        .await
        .unwrap()
        .abort()
        .await;
    assert_eq!((blobs.ids(), blobs.prepared_count()), (vec![], 0));
}

#[tokio::test]
async fn each_step_fails_when_it_is_told_to() {
    let blobs = blobs();
    for step in [Step::Begin, Step::Write, Step::Finish] {
        blobs.fail(step, ErrorCode::NoSpace);
        let error = prepare(&blobs).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NoSpace, "{step:?}");
        blobs.heal();
    }
    blobs.fail(Step::Commit, ErrorCode::Unavailable);
    let error = prepare(&blobs).await.unwrap().commit().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert_eq!(blobs.ids(), []);
    blobs.heal();
    blobs.fail(Step::CommitAnswer, ErrorCode::Unavailable);
    let error = prepare(&blobs).await.unwrap().commit().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Interrupted);
    let [id] = blobs.ids()[..] else {
        panic!("the blob is there although nobody was told")
    };
    blobs.fail(Step::Delete, ErrorCode::Unavailable);
    assert!(blobs.delete(&id).await.is_err());
    assert!(blobs.exists(&id).await.unwrap());
    blobs.heal();
    blobs.fail(Step::DeleteAnswer, ErrorCode::Unavailable);
    let error = blobs.delete(&id).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Interrupted);
    assert!(!blobs.exists(&id).await.unwrap());
    for step in [Step::Exists, Step::Open, Step::Cluster] {
        blobs.fail(step, ErrorCode::Unavailable);
    }
    assert!(blobs.exists(&id).await.is_err());
    let error = blobs.open(&id).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(blobs.cluster().await.is_err());
    assert_ne!(blobs.readiness().await, Readiness::Ready);
}
