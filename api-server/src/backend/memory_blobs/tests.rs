//! The double does what storage does, and fails where it is told to.

use super::*;
use crate::backend::BlobExtension as _;

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

#[tokio::test]
async fn a_staging_blob_grows_and_becomes_what_is_arranged_of_it() {
    let blobs = blobs();
    let extension = Extension::from_bytes(b"bin").unwrap();
    let staged = blobs.stage(Extension::default()).await.unwrap();
    assert_eq!((blobs.ids(), blobs.prepared_count()), (vec![], 1));
    let staging = staged.commit().await.unwrap();
    let (mut one, mut other) = (
        blobs.extend(&staging).await.unwrap(),
        blobs.extend(&staging).await.unwrap(),
    );
    one.write(Bytes::from_static(b"world")).await.unwrap();
    other.write(Bytes::from_static(b"hello ")).await.unwrap();
    let (other, one) = (other.finish().await.unwrap(), one.finish().await.unwrap());
    assert_eq!((other.offset, one.offset, one.len), (0, 6, 5));
    let given_up = blobs.extend(&staging).await.unwrap();
    given_up.abort().await;
    assert_eq!(blobs.bytes(&staging).unwrap(), "hello world");
    let pieces = [one, other];
    let prepared = blobs.arrange(&staging, extension, &pieces).await.unwrap();
    prepared.abandon().await;
    let prepared = blobs.arrange(&staging, extension, &pieces).await.unwrap();
    let stem = *prepared.file_id().name.stem();
    assert_eq!((stem.size(), stem.crc), (11, Crc32::of(b"worldhello ")));
    let late = blobs.arrange(&staging, extension, &pieces).await.unwrap();
    let id = prepared.commit().await.unwrap();
    assert_eq!(blobs.ids(), [id]);
    assert_eq!(blobs.bytes(&id).unwrap(), "worldhello ");
    // From here on the staging blob is gone.
    let late = late.commit().await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::NotFound);
    let gone = blobs.extend(&staging).await.unwrap().finish().await;
    assert_eq!(gone.unwrap_err().code(), ErrorCode::NotFound);
    let gone = blobs.arrange(&staging, extension, &pieces).await;
    assert_eq!(gone.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!((blobs.ids(), blobs.prepared_count()), (vec![id], 0));
}

#[tokio::test]
async fn pieces_that_a_node_would_refuse_or_that_are_not_what_they_say_are_invalid() {
    let blobs = blobs();
    let staged = blobs.stage(Extension::default()).await.unwrap();
    let staging = staged.commit().await.unwrap();
    let mut extending = blobs.extend(&staging).await.unwrap();
    extending.write(Bytes::from_static(b"hello")).await.unwrap();
    let piece = extending.finish().await.unwrap();
    for bad in [
        Piece { len: 6, ..piece },
        Piece { offset: 1, ..piece },
        Piece { len: 0, ..piece },
        Piece {
            crc: Crc32(1),
            ..piece
        },
    ] {
        let arranged = blobs.arrange(&staging, Extension::default(), &[bad]).await;
        assert_eq!(arranged.unwrap_err().code(), ErrorCode::Invalid, "{bad:?}");
    }
    let normal = prepare(&blobs).await.unwrap().commit().await.unwrap();
    let extended = blobs.extend(&normal).await.unwrap().finish().await;
    assert_eq!(extended.unwrap_err().code(), ErrorCode::Invalid);
}

#[tokio::test]
async fn each_step_of_a_staged_upload_fails_when_it_is_told_to() {
    let blobs = blobs();
    let extension = Extension::default();
    blobs.fail(Step::Stage, ErrorCode::NoSpace);
    assert!(blobs.stage(extension).await.is_err());
    blobs.heal();
    let staging = blobs.stage(extension).await.unwrap().commit().await;
    let staging = staging.unwrap();
    let extend = async || {
        let mut extending = blobs.extend(&staging).await?;
        extending.write(Bytes::from_static(b"hello")).await?;
        extending.finish().await
    };
    for (step, len) in [
        (Step::Extend, 0),
        (Step::ExtendWrite, 0),
        (Step::ExtendFinish, 0),
        (Step::ExtendAnswer, 5),
    ] {
        blobs.fail(step, ErrorCode::Unavailable);
        let error = extend().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unavailable, "{step:?}");
        assert_eq!(blobs.bytes(&staging).unwrap().len(), len, "{step:?}");
        blobs.heal();
    }
    let piece = extend().await.unwrap();
    assert_eq!(piece.offset, 5, "behind what nobody knows the place of");
    let arrange = || blobs.arrange(&staging, extension, std::slice::from_ref(&piece));
    blobs.fail(Step::Arrange, ErrorCode::Unavailable);
    assert!(arrange().await.is_err());
    blobs.heal();
    blobs.fail(Step::Commit, ErrorCode::Unavailable);
    let error = arrange().await.unwrap().commit().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert_eq!(blobs.ids(), [staging]);
    blobs.heal();
    blobs.fail(Step::CommitAnswer, ErrorCode::Unavailable);
    let prepared = arrange().await.unwrap();
    let id = *prepared.file_id();
    let error = prepared.commit().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Interrupted);
    assert_eq!(blobs.ids(), [id], "it happened although nobody was told");
}
