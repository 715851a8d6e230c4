//! The end of uploads in slices: once, whatever fails, and leaving nothing.

use super::scene::*;
use super::*;
use crate::backend::{Blobs as _, Step};
use crate::core::files::Conflict;
use crate::core::id::{Entry, FolderNumber};
use crate::core::upload_sessions::{LIFE, UploadState};
use crate::core::{trash, tree};
use common::code::ErrorCode;

/// An upload all of whose slices are there.
async fn sent(service: &TestService, user: &Actor, new: NewSliced, content: &[u8]) -> UploadId {
    let id = begin(service, user, new).await;
    let last = content.chunks(SLICE).len() as u64;
    send_all(service, user, id, content, 1..=last).await;
    id
}

#[tokio::test]
async fn completions_at_once_and_one_after_the_other_make_one_file() {
    for seed in 0..40 {
        let scene = Scene::new();
        let service = scene.start();
        let king = user(&service, "king").await;
        let content = content(1, 3 * SLICE + 1);
        let id = sent(&service, &king, new_file("a", &content), &content).await;
        scene.world.catalog.hesitate(Some(seed));
        let (one, other, third) = tokio::join!(
            complete(&service, &king, id),
            complete(&service, &king, id),
            complete(&service, &king, id),
        );
        let file = one.unwrap();
        assert_eq!((other.unwrap(), third.unwrap()), (file, file));
        assert_eq!(complete(&service, &king, id).await.unwrap(), file);
        assert_eq!(files_of(&service, &king).await.len(), 1);
        let late = send(&service, &king, id, 1, slice(&content, 1)).await;
        assert!(
            matches!(late, Err(ServiceError::Core(CoreError::UploadDone(done))) if done == file),
            "{late:?}"
        );
        scene.check_all_ended(&[&king]).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_gets_its_file_all_the_same() {
    for turns in 0..30 {
        let scene = Scene::new();
        let service = scene.start();
        let king = user(&service, "king").await;
        let content = content(1, 3 * SLICE);
        let id = sent(&service, &king, new_file("a", &content), &content).await;
        scene.world.catalog.hesitate(Some(turns.into()));
        let left = leave_after(Some(turns), service.complete_sliced(&king, id)).await;
        if turns == 0 {
            assert!(left.is_none());
        }
        let file = complete(&service, &king, id).await.unwrap();
        assert_eq!(scene.bytes(&service, &king, file).await, content);
        scene.check_all_ended(&[&king]).await;
    }
}

#[tokio::test]
async fn a_whole_that_is_not_what_was_announced_ends_the_upload_and_leaves_nothing() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 3 * SLICE);
    for order in [[1, 2, 3], [3, 2, 1]] {
        let mut new = new_file("a", &content);
        new.md5 = Some(Md5([5; 16]));
        let id = begin(&service, &king, new).await;
        send_all(&service, &king, id, &content, order).await;
        let completed = complete(&service, &king, id).await;
        assert_refused!(completed, ServiceError::Mismatch { .. });
        let again = complete(&service, &king, id).await;
        assert_refused!(again, ServiceError::Core(CoreError::NoUpload));
    }
    assert_eq!(files_of(&service, &king).await, []);
    scene.check_all_ended(&[&king]).await;
    assert!(scene.world.blobs.ids().is_empty());
}

#[tokio::test]
async fn content_that_came_in_another_way_meanwhile_is_not_kept_twice() {
    let scene = Scene::new();
    let service = scene.start();
    let (king, queen) = (user(&service, "king").await, user(&service, "queen").await);
    let content = content(1, 3 * SLICE);
    let mut new = new_file("a", &content);
    new.md5 = None;
    let id = sent(&service, &king, new, &content).await;
    upload(&service, &queen, "b", &content, Announced::default())
        .await
        .unwrap();
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    service.reclaim().await.unwrap();
    assert_eq!(scene.world.blobs.ids().len(), 1);
    scene.check_all_ended(&[&king, &queen]).await;
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_is_dealt_with_as_wished() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    for (seed, conflict) in (1..).zip([Conflict::Refuse, Conflict::Keep, Conflict::Replace]) {
        let name = format!("{seed}.bin");
        let (mine, other) = (content(seed, 2 * SLICE), content(seed + 100, SLICE));
        let mut new = new_file(&name, &mine);
        new.conflict = conflict;
        let id = sent(&service, &king, new, &mine).await;
        let faster = sent(&service, &king, new_file(&name, &other), &other).await;
        let first = complete(&service, &king, faster).await.unwrap();

        let completed = complete(&service, &king, id).await;
        let account = king.account;
        let named = entry(&name);
        let child =
            service.look(move |view| Ok(tree::child(view, account, FolderNumber::ROOT, &named)?));
        let child = child.await.unwrap();
        match conflict {
            Conflict::Refuse => {
                assert!(
                    matches!(
                        &completed,
                        Err(ServiceError::Core(CoreError::NameInUse(taken)))
                            if *taken == Entry::File(first)
                    ),
                    "{completed:?}"
                );
                let ended = service.upload(&king, id).await;
                assert_refused!(ended, ServiceError::Core(CoreError::NoUpload));
            }
            Conflict::Keep => {
                let record = file_of(&service, &king, completed.unwrap()).await;
                assert_ne!(record.entry.as_str(), name);
                assert_eq!(child, Some(Entry::File(first)));
            }
            Conflict::Replace => {
                let file = completed.unwrap();
                assert_eq!(child, Some(Entry::File(file)));
                assert_eq!(scene.bytes(&service, &king, file).await, mine);
                let account = king.account;
                let gone = service.look(move |view| files::get_any(view, account, first));
                assert_refused!(gone.await, ServiceError::Core(CoreError::NoFile));
            }
        }
    }
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn an_upload_waits_for_a_folder_that_is_in_the_trash() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 2 * SLICE);
    let mut new = new_file("a", &content);
    new.path = vec![entry("folder")];
    let id = sent(&service, &king, new, &content).await;
    let folder = service.upload(&king, id).await.unwrap().folder;
    let account = king.account;
    service
        .change_tree(move |tx, moment| trash::put(tx, account, folder.0, moment))
        .await
        .unwrap();
    for _ in 0..2 {
        let completed = complete(&service, &king, id).await;
        assert_refused!(completed, ServiceError::Core(CoreError::NoFolder));
    }
    service
        .change_tree(move |tx, moment| trash::restore(tx, account, folder.0, None, moment))
        .await
        .unwrap();
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(file_of(&service, &king, file).await.folder, folder);
    service.maintain().await.unwrap();
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn an_upload_reserves_its_bytes_until_its_end() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let account = king.account;
    service
        .change(move |tx, _| accounts::set_quota(tx, account, Some(5 * SLICE as u64)))
        .await
        .unwrap();
    let reserved = async |service: &TestService| holdings(service, &king).await.upload_bytes;
    let (big, small) = (content(1, 3 * SLICE), content(2, 2 * SLICE));
    let first = begin(&service, &king, new_file("a", &big)).await;
    assert_eq!(reserved(&service).await, big.len() as u64);
    let refused = service
        .begin_sliced(&king, new_file("b", &content(3, 2 * SLICE + 1)))
        .await;
    assert_refused!(refused, ServiceError::Core(CoreError::OverQuota { .. }));
    let exactly = begin(&service, &king, new_file("c", &small)).await;
    // Given up, expired, failed: each gives its bytes back.
    service.give_up_upload(&king, exactly).await.unwrap();
    assert_eq!(reserved(&service).await, big.len() as u64);
    let mut wrong = new_file("d", &small);
    wrong.md5 = Some(Md5([1; 16]));
    let wrong = sent(&service, &king, wrong, &small).await;
    let failed = complete(&service, &king, wrong).await;
    assert_refused!(failed, ServiceError::Mismatch { .. });
    assert_eq!(reserved(&service).await, big.len() as u64);
    scene.clock.put_forward(LIFE);
    service.maintain().await.unwrap();
    assert_eq!(reserved(&service).await, 0);
    let expired = send(&service, &king, first, 1, slice(&big, 1)).await;
    assert_refused!(expired, ServiceError::Core(CoreError::NoUpload));
    // Completed, they are the file's.
    let id = sent(&service, &king, new_file("e", &big), &big).await;
    complete(&service, &king, id).await.unwrap();
    let held = holdings(&service, &king).await;
    assert_eq!((held.bytes, held.upload_bytes), (big.len() as u64, 0));
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn an_upload_is_over_a_day_after_the_last_bytes() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 3 * SLICE);
    let id = begin(&service, &king, new_file("a", &content)).await;
    for number in 1..=2 {
        scene.clock.put_forward(LIFE - 60);
        service.maintain().await.unwrap();
        send_all(&service, &king, id, &content, [number]).await;
    }
    let record = service.upload(&king, id).await.unwrap();
    assert_eq!(record.expires(), record.renewed + LIFE);
    scene.clock.put_forward(LIFE - 60);
    service.maintain().await.unwrap();
    service.reclaim().await.unwrap();
    assert_eq!(scene.world.blobs.ids(), [record.staging.unwrap()]);
    scene.clock.put_forward(120);
    // Over, whether somebody came to look after it or not.
    let late = service.upload(&king, id).await;
    assert_refused!(late, ServiceError::Core(CoreError::NoUpload));
    service.maintain().await.unwrap();
    service.reclaim().await.unwrap();
    assert_eq!(scene.world.blobs.ids(), []);
    // The name and the bytes are free, and one that is done is forgotten without its file.
    let id = sent(&service, &king, new_file("a", &content), &content).await;
    let file = complete(&service, &king, id).await.unwrap();
    scene.clock.put_forward(LIFE + 60);
    service.maintain().await.unwrap();
    let found = service.look(move |view| crate::core::upload_sessions::find(view, id));
    assert_eq!(found.await.unwrap(), None);
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn storage_that_fails_for_long_ends_no_upload() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 3 * SLICE);
    let id = sent(&service, &king, new_file("a", &content), &content).await;
    // The second attempt to commit asks whether the first one made a blob.
    for step in [Step::Arrange, Step::Commit, Step::Exists] {
        scene.world.blobs.fail(step, ErrorCode::Unavailable);
        for _ in 0..2 * UploadState::BLOBS_MAX {
            let failed = complete(&service, &king, id).await.unwrap_err();
            assert_eq!(failed.code(), ErrorCode::Unavailable, "{step:?}");
        }
        scene.world.blobs.heal();
    }
    service.reclaim().await.unwrap();
    scene
        .check_owners(&service, std::slice::from_ref(&king), &[id])
        .await;
    let service = scene.crash(service).await;
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn a_blob_whose_commit_was_not_heard_of_is_found_again() {
    let scene = Scene::new();
    let mut service = scene.start();
    let king = user(&service, "king").await;
    for (seed, crashes) in [(1, false), (2, true)] {
        let content = content(seed, 3 * SLICE);
        let id = sent(
            &service,
            &king,
            new_file(&format!("{seed}"), &content),
            &content,
        )
        .await;
        let staging = service.upload(&king, id).await.unwrap().staging.unwrap();
        scene
            .world
            .blobs
            .fail(Step::CommitAnswer, ErrorCode::Unavailable);
        complete(&service, &king, id).await.unwrap_err();
        let record = service.upload(&king, id).await.unwrap();
        let UploadState::Committing(blobs) = &record.state else {
            panic!("{:?}", record.state);
        };
        assert!(scene.world.blobs.bytes(&blobs[0]).is_some());
        assert!(scene.world.blobs.bytes(&staging).is_none());
        let late = send(&service, &king, id, 1, slice(&content, 1)).await;
        assert_refused!(late, ServiceError::Core(CoreError::UploadClosed));
        scene.world.blobs.heal();
        if crashes {
            service = scene.crash(service).await;
        }
        let file = complete(&service, &king, id).await.unwrap();
        assert_eq!(file_of(&service, &king, file).await.blob, blobs[0]);
        assert_eq!(scene.bytes(&service, &king, file).await, content);
    }
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn a_slice_that_is_replaced_during_a_completion_is_in_the_file_or_refused() {
    let mut replaced = 0;
    for seed in 0..60 {
        let scene = Scene::new();
        let service = scene.start();
        let king = user(&service, "king").await;
        let (old, new) = (content(1, 3 * SLICE), content(2, 3 * SLICE));
        let mut file = new_file("a", &old);
        file.md5 = None;
        let id = sent(&service, &king, file, &old).await;
        scene.world.catalog.hesitate(Some(seed));
        // The blob is made, and only the next process hears of it.
        scene
            .world
            .blobs
            .fail(Step::CommitAnswer, ErrorCode::Unavailable);
        let late = async {
            for _ in 0..seed % 24 {
                tokio::task::yield_now().await;
            }
            send(&service, &king, id, 2, slice(&new, 2)).await
        };
        let (_, sent) = tokio::join!(service.complete_sliced(&king, id), late);
        scene.world.catalog.hesitate(None);
        let service = scene.crash(service).await;
        let file = complete(&service, &king, id).await.unwrap();
        let bytes = scene.bytes(&service, &king, file).await;
        let is_new = slice(&bytes, 2) == slice(&new, 2);
        assert_eq!(is_new, sent.is_ok(), "{sent:?} with seed {seed}");
        replaced += usize::from(is_new);
        scene.check_all_ended(&[&king]).await;
    }
    assert!(
        0 < replaced && replaced < 60,
        "both happen: {replaced} of 60"
    );
}

#[tokio::test]
async fn bytes_that_storage_lost_end_the_upload() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 2 * SLICE);
    let id = sent(&service, &king, new_file("a", &content), &content).await;
    let staging = service.upload(&king, id).await.unwrap().staging.unwrap();
    scene.world.blobs.delete(&staging).await.unwrap();
    let completed = complete(&service, &king, id).await;
    assert_refused!(completed, ServiceError::Core(CoreError::NoUpload));
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_while_its_blob_is_made_leaves_nothing() {
    let mut interrupted = 0;
    for seed in 0..40 {
        let scene = Scene::new();
        let service = scene.start();
        let king = user(&service, "king").await;
        let content = content(1, 2 * SLICE);
        let id = sent(&service, &king, new_file("a", &content), &content).await;
        scene.world.catalog.hesitate(Some(seed));
        let give_up = async {
            let is_committing = |record: &crate::core::upload_sessions::UploadRecord| {
                record.state != UploadState::Open
            };
            until(&service, &king, id, is_committing).await;
            let given_up = service.give_up_upload(&king, id).await;
            service.reclaim().await.unwrap();
            given_up
        };
        let (completed, given_up) = tokio::join!(complete(&service, &king, id), give_up);
        scene.world.catalog.hesitate(None);
        given_up.unwrap();
        interrupted += usize::from(completed.is_err());
        assert_eq!(
            files_of(&service, &king).await.len(),
            usize::from(completed.is_ok())
        );
        scene.check_all_ended(&[&king]).await;
    }
    assert_ne!(interrupted, 0, "none was given up in time");
}

#[tokio::test]
async fn reclaiming_takes_nothing_that_an_upload_needs() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 3 * SLICE);
    let id = begin(&service, &king, new_file("a", &content)).await;
    for number in [2, 3, 1] {
        send_all(&service, &king, id, &content, [number]).await;
        assert_eq!(service.reclaim().await.unwrap().count, 0);
    }
    scene
        .world
        .blobs
        .fail(Step::CommitAnswer, ErrorCode::Unavailable);
    complete(&service, &king, id).await.unwrap_err();
    scene.world.blobs.heal();
    assert_eq!(service.reclaim().await.unwrap().count, 0);
    scene
        .check_owners(&service, std::slice::from_ref(&king), &[id])
        .await;
    complete(&service, &king, id).await.unwrap();
    scene.check_all_ended(&[&king]).await;
}
