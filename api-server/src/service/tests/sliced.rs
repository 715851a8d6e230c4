//! Slices on their way: in any order, at once, twice, wrong, and read back when it is their turn.

use futures_util::future::join_all;

use super::scene::*;
use super::*;
use crate::backend::Step;
use crate::backend::catalog::Fault;
use crate::core::files::Reuse;
use crate::core::id::UploadKeyHash;
use crate::core::upload_sessions::{self, Advance, HashState};
use common::code::ErrorCode;

#[tokio::test]
async fn slices_in_any_order_make_the_file() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    for (seed, len) in (0..).zip([1, 1023, 1024, 1025, 2048, 4096, 5 * 1024 - 1, 9 * 1024 + 1]) {
        let content = content(seed, len);
        let last = content.chunks(SLICE).len() as u64;
        let inside_out = (1..=last).filter(|number| number % 2 == 0);
        let inside_out = inside_out.chain((1..=last).rev().filter(|number| number % 2 == 1));
        let orders: [Vec<u64>; 3] = [
            (1..=last).collect(),
            (1..=last).rev().collect(),
            inside_out.collect(),
        ];
        for (way, order) in (0..).zip(orders) {
            let name = format!("{len}-{way}.bin");
            let mut new = new_file(&name, &content);
            // Otherwise it would be there from the second time on.
            new.md5 = new.md5.filter(|_| way == 0);
            let id = begin(&service, &king, new).await;
            send_all(&service, &king, id, &content, order).await;
            let file = complete(&service, &king, id).await.unwrap();
            assert_eq!(scene.bytes(&service, &king, file).await, content);
            assert_eq!(file_of(&service, &king, file).await.entry.as_str(), name);
        }
    }
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn slices_can_come_at_once_and_leave_one_staging_blob() {
    for seed in 0..20 {
        let scene = Scene::new();
        let service = scene.start();
        let king = user(&service, "king").await;
        scene.world.catalog.hesitate(Some(seed));
        let content = content(1, 12 * SLICE + 5);
        let id = begin(&service, &king, new_file("a", &content)).await;
        let sends = (1..=13).map(|number| {
            let bytes = slice(&content, number);
            send(&service, &king, id, number, bytes)
        });
        for sent in join_all(sends).await {
            sent.unwrap();
        }
        service.reclaim().await.unwrap();
        assert_eq!(
            scene.world.blobs.ids().len(),
            1,
            "those not needed are gone"
        );
        let file = complete(&service, &king, id).await.unwrap();
        assert_eq!(scene.bytes(&service, &king, file).await, content);
        scene.check_all_ended(&[&king]).await;
    }
}

#[tokio::test]
async fn a_slice_that_comes_again_changes_nothing() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 2 * SLICE);
    let id = begin(&service, &king, new_file("a", &content)).await;
    send_all(&service, &king, id, &content, [1]).await;
    let before = service.look(move |view| upload_sessions::slices(view, id));
    let before = before.await.unwrap();
    send_all(&service, &king, id, &content, [1, 1]).await;
    let after = service.look(move |view| upload_sessions::slices(view, id));
    assert_eq!(after.await.unwrap(), before);
    let record = service.upload(&king, id).await.unwrap();
    assert_eq!((record.received, record.hashed), (1, 1));
    send_all(&service, &king, id, &content, [2, 1, 2]).await;
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn the_bytes_sent_last_count_whether_the_first_were_hashed_or_not() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    for (seed, replaced) in (0..).zip([1, 2, 3]) {
        let (wrong, right) = (content(100, 3 * SLICE), content(seed, 3 * SLICE));
        let id = begin(&service, &king, new_file(&format!("{seed}"), &right)).await;
        for number in 1..=3 {
            let from = if number == replaced { &wrong } else { &right };
            send_all(&service, &king, id, from, [number]).await;
        }
        until(&service, &king, id, |record| record.hashed == 3).await;
        send_all(&service, &king, id, &right, [replaced]).await;
        let file = complete(&service, &king, id).await.unwrap();
        assert_eq!(scene.bytes(&service, &king, file).await, right);
    }
    // Not hashed yet: the first slice is missing.
    let (wrong, right) = (content(100, 3 * SLICE), content(50, 3 * SLICE));
    let mut new = new_file("unhashed", &right);
    new.md5 = None;
    let id = begin(&service, &king, new).await;
    send_all(&service, &king, id, &wrong, [2, 3]).await;
    send_all(&service, &king, id, &right, [3, 2, 1]).await;
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, right);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn a_slice_under_way_does_not_bring_back_hashes_of_bytes_that_were_replaced() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let (old, new) = (content(1, 3 * SLICE), content(2, 3 * SLICE));
    let mut file = new_file("a", &new);
    file.md5 = None;
    let id = begin(&service, &king, file).await;
    send_all(&service, &king, id, &old, [1]).await;
    // It begins with the hashes of the old first slice …
    let mut slow = service.begin_slice(&king, id, 2).await.unwrap();
    // … which is replaced, and hashed once more, while it is on its way.
    send_all(&service, &king, id, &new, [1]).await;
    until(&service, &king, id, |record| record.hashed == 1).await;
    let bytes = Bytes::copy_from_slice(slice(&new, 2));
    slow.write(bytes).await.unwrap();
    slow.finish(None).await.unwrap();
    send_all(&service, &king, id, &new, [3]).await;
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, new);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn a_slice_that_is_not_what_was_announced_leaves_the_copy_before_it() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 2 * SLICE + 10);
    let id = begin(&service, &king, new_file("a", &content)).await;
    send_all(&service, &king, id, &content, [1, 3]).await;
    let other = vec![7; SLICE];
    let wrong = send_as(&service, &king, id, 1, &other, Some(Md5([0; 16]))).await;
    assert_refused!(wrong, ServiceError::Mismatch { .. });
    // Too short, too long; the last one has a length of its own.
    for (number, len) in [
        (1, SLICE - 1),
        (1, SLICE + 1),
        (1, 0),
        (3, 9),
        (3, 11),
        (3, SLICE),
    ] {
        let sent = send(&service, &king, id, number, &other[..len.min(SLICE)]);
        let sent = if len <= SLICE {
            sent.await
        } else {
            send(&service, &king, id, number, &[7; SLICE + 1]).await
        };
        assert_refused!(sent, ServiceError::Mismatch { .. });
    }
    for number in [0, 4, 5, u64::MAX] {
        let sent = send(&service, &king, id, number, &other).await;
        assert_refused!(sent, ServiceError::NoSlice { slices: 3, .. });
    }
    let record = service.upload(&king, id).await.unwrap();
    assert_eq!(record.received, 2);
    send_all(&service, &king, id, &content, [2]).await;
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn slices_that_were_given_up_leave_nothing() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 2 * SLICE);
    let id = begin(&service, &king, new_file("a", &content)).await;
    let mut dropped = service.begin_slice(&king, id, 1).await.unwrap();
    assert_eq!(dropped.len(), SLICE as u64);
    dropped.write(Bytes::from_static(b"some")).await.unwrap();
    drop(dropped);
    let mut aborted = service.begin_slice(&king, id, 1).await.unwrap();
    aborted.write(Bytes::from_static(b"more")).await.unwrap();
    aborted.abort().await;
    let record = service.upload(&king, id).await.unwrap();
    assert_eq!(record.received, 0);
    let staging = scene.world.blobs.bytes(&record.staging.unwrap()).unwrap();
    assert!(staging.is_empty());
    service.give_up_upload(&king, id).await.unwrap();
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn an_upload_is_its_users_and_only_of_its_kind() {
    let scene = Scene::new();
    let service = scene.start();
    let (king, queen) = (user(&service, "king").await, user(&service, "queen").await);
    let content = content(1, 2 * SLICE);
    let id = begin(&service, &king, new_file("a", &content)).await;
    let no_upload = ServiceError::Core(CoreError::NoUpload);
    let bytes = slice(&content, 1);
    for (who, which) in [(&queen, id), (&king, UploadId([9; 16]))] {
        let sent = send(&service, who, which, 1, bytes).await;
        assert_eq!(sent.unwrap_err().to_string(), no_upload.to_string());
        let completed = service.complete_sliced(who, which).await;
        assert_refused!(completed, ServiceError::Core(CoreError::NoUpload));
        let given_up = service.give_up_upload(who, which).await;
        assert_refused!(given_up, ServiceError::Core(CoreError::NoUpload));
    }
    let application = Application {
        name: entry("b"),
        size: content.len() as u64,
        md5: md5_of(&content),
        sha1: sha1_of(&content),
    };
    let applied = service.apply(&king, application, UploadKeyHash([1; 32]));
    let Applied::Open(in_order, _) = applied.await.unwrap() else {
        panic!("nothing else has the name");
    };
    let sent = send(&service, &king, in_order, 1, bytes).await;
    assert_refused!(sent, ServiceError::Core(CoreError::NoUpload));
    for id in [id, in_order] {
        service.give_up_upload(&king, id).await.unwrap();
    }
    scene.check_all_ended(&[&king, &queen]).await;
}

#[tokio::test]
async fn a_completion_says_which_slices_are_missing() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 8 * SLICE - 1);
    let id = begin(&service, &king, new_file("a", &content)).await;
    let mut sent: Vec<u64> = Vec::new();
    for (number, missing) in [
        (0, vec![1..=8]),
        (2, vec![1..=1, 3..=8]),
        (8, vec![1..=1, 3..=7]),
        (5, vec![1..=1, 3..=4, 6..=7]),
        (1, vec![3..=4, 6..=7]),
        (4, vec![3..=3, 6..=7]),
        (7, vec![3..=3, 6..=6]),
        (6, vec![3..=3]),
    ] {
        if 0 < number {
            send_all(&service, &king, id, &content, [number]).await;
            sent.push(number);
        }
        match service.complete_sliced(&king, id).await {
            Err(ServiceError::SlicesMissing(found)) => assert_eq!(found, missing, "{sent:?}"),
            other => panic!("{other:?} after {sent:?}"),
        }
    }
    send_all(&service, &king, id, &content, [3]).await;
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn a_file_without_bytes_needs_no_slice() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let mut new = new_file("empty", b"");
    new.path = vec![entry("new"), entry("folder")];
    let mut wrong = new.clone();
    wrong.md5 = Some(Md5([0; 16]));
    let refused = service.begin_sliced(&king, wrong).await;
    assert_refused!(refused, ServiceError::Mismatch { .. });
    let rows = service.look({
        let account = king.account;
        let from = crate::core::id::FolderNumber::ROOT;
        move |view| crate::core::tree::follow(view, account, from, &[entry("new")])
    });
    assert_eq!(rows.await.unwrap(), None, "no folder for what is refused");
    for md5 in [new.md5, None] {
        let mut new = new.clone();
        new.md5 = md5;
        new.name = entry(if md5.is_some() { "known" } else { "unknown" });
        match service.begin_sliced(&king, new).await.unwrap() {
            Begun::File(file) => assert!(scene.bytes(&service, &king, file).await.is_empty()),
            Begun::Open(id, _) => panic!("{id} waits for nothing"),
        }
    }
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn content_that_is_there_needs_no_slice_where_it_may_be_had_by_its_digest() {
    let mut scene = Scene::new();
    let service = scene.start();
    let (king, queen) = (user(&service, "king").await, user(&service, "queen").await);
    let content = content(1, 2 * SLICE);
    let id = begin(&service, &king, new_file("a", &content)).await;
    send_all(&service, &king, id, &content, [1, 2]).await;
    complete(&service, &king, id).await.unwrap();

    let begun = service.begin_sliced(&queen, new_file("b", &content)).await;
    assert!(matches!(begun, Ok(Begun::File(_))), "{begun:?}");
    // Of another size it is something else.
    let mut shorter = new_file("c", &content);
    shorter.size -= 1;
    let id = begin(&service, &queen, shorter).await;
    service.give_up_upload(&queen, id).await.unwrap();

    scene.settings.reuse = Reuse::Own;
    let service = scene.start();
    let prince = user(&service, "prince").await;
    let begun = service.begin_sliced(&queen, new_file("d", &content)).await;
    assert!(matches!(begun, Ok(Begun::File(_))), "{begun:?}");
    let id = begin(&service, &prince, new_file("e", &content)).await;
    service.give_up_upload(&prince, id).await.unwrap();
    scene.check_all_ended(&[&king, &queen, &prince]).await;
}

#[tokio::test]
async fn an_upload_whose_staging_blob_storage_lost_begins_anew() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 3 * SLICE);
    let id = begin(&service, &king, new_file("a", &content)).await;
    send_all(&service, &king, id, &content, [1, 2]).await;
    let lose = async |service: &TestService| {
        let record = service.upload(&king, id).await.unwrap();
        let staging = record.staging.unwrap();
        crate::backend::Blobs::delete(&scene.world.blobs, &staging)
            .await
            .unwrap();
    };
    lose(&service).await;
    let sent = send(&service, &king, id, 3, slice(&content, 3)).await;
    assert_refused!(sent, ServiceError::Core(CoreError::UploadChanged));
    let asked = complete(&service, &king, id).await;
    assert!(
        matches!(&asked, Err(ServiceError::SlicesMissing(all)) if *all == [1..=3]),
        "{asked:?}"
    );
    // Lost before it was read back: whoever reads finds out.
    scene.world.blobs.fail(Step::Open, ErrorCode::Unavailable);
    send_all(&service, &king, id, &content, [3, 2, 1]).await;
    let verifying = service.complete_sliced(&king, id).await.unwrap();
    assert_eq!(verifying, Completion::Verifying, "storage does not answer");
    lose(&service).await;
    scene.world.blobs.heal();
    let asked = complete(&service, &king, id).await;
    assert_refused!(asked, ServiceError::SlicesMissing(_));
    send_all(&service, &king, id, &content, [1, 2, 3]).await;
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn another_process_goes_on_with_hashes_where_the_last_one_stopped() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 6 * SLICE + 100);
    let id = begin(&service, &king, new_file("a", &content)).await;
    send_all(&service, &king, id, &content, [1, 2, 3]).await;
    // What came out of order waits for a storage that can be read.
    scene.world.blobs.fail(Step::Open, ErrorCode::Unavailable);
    send_all(&service, &king, id, &content, [7, 6]).await;
    let service = scene.crash(service).await;
    scene.world.blobs.fail(Step::Open, ErrorCode::Unavailable);
    let record = service.upload(&king, id).await.unwrap();
    assert_eq!((record.received, record.hashed), (5, 3));
    // The hashes that were kept go on with a slice that comes in order.
    send_all(&service, &king, id, &content, [4]).await;
    let record = service.upload(&king, id).await.unwrap();
    assert_eq!(record.hashed, 4);
    let service = scene.crash(service).await;
    send_all(&service, &king, id, &content, [5]).await;
    until(&service, &king, id, |record| record.hashed == 7).await;
    let service = scene.crash(service).await;
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn slices_that_wait_to_be_hashed_are_noted_together() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let content = content(1, 6 * SLICE + 100);
    let id = begin(&service, &king, new_file("a", &content)).await;
    let idle = async || {
        let mut ended = service.hash_later(id);
        // An error is its end.
        assert!(ended.changed().await.is_err());
    };
    scene.world.blobs.fail(Step::Open, ErrorCode::Unavailable);
    send_all(&service, &king, id, &content, [7, 2, 4, 6, 3, 5, 1]).await;
    idle().await;
    let record = service.upload(&king, id).await.unwrap();
    assert_eq!((record.received, record.hashed), (7, 1));
    scene.world.blobs.heal();
    // While one slice after the other was noted, it came no further than the second one.
    scene.world.catalog.fail_write(2, Fault::Before);
    idle().await;
    scene.world.catalog.revive();
    let record = service.upload(&king, id).await.unwrap();
    assert_eq!(record.hashed, 7);
    let file = complete(&service, &king, id).await.unwrap();
    assert_eq!(scene.bytes(&service, &king, file).await, content);
    scene.check_all_ended(&[&king]).await;
}

#[tokio::test]
async fn hashes_that_cannot_be_gone_on_from_are_computed_once_more() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    for (seed, sent_before) in (0..).zip([1..=1, 1..=3]) {
        let content = content(seed, 3 * SLICE);
        let id = begin(&service, &king, new_file(&format!("{seed}"), &content)).await;
        let last = *sent_before.end();
        send_all(&service, &king, id, &content, sent_before).await;
        // As another version may have left them.
        let record = service.upload(&king, id).await.unwrap();
        let spoil = Advance {
            from: HashState::default(),
            to: HashState(vec![0xff; 40].into()),
        };
        service
            .change(move |tx, _| {
                upload_sessions::forget_hashes(tx, id, &record.hashes)?;
                for number in 1..=last {
                    let slice = upload_sessions::slice(tx, id, number)?.unwrap();
                    let from = upload_sessions::find(tx, id)?.unwrap().hashes;
                    let spoil = Advance {
                        from,
                        ..spoil.clone()
                    };
                    upload_sessions::add_hashes(tx, id, number, &[slice], spoil)?;
                }
                Ok(())
            })
            .await
            .unwrap();
        send_all(&service, &king, id, &content, last + 1..=3).await;
        let file = complete(&service, &king, id).await.unwrap();
        assert_eq!(scene.bytes(&service, &king, file).await, content);
    }
    scene.check_all_ended(&[&king]).await;
}
