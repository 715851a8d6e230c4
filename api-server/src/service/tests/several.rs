//! Several servers over one catalog and one storage: what one of them is about to do, no other undoes.

use super::scene::*;
use super::*;
use crate::backend::{BlobWriter as _, Blobs as _, PreparedBlob as _};
use crate::core::upload_sessions::{self, UploadState};

/// A world of several servers.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.world.catalog.share();
    scene
}

fn patience(scene: &Scene) -> u32 {
    let patience = scene.settings.abandoned_after.as_secs();
    u32::try_from(patience).unwrap()
}

async fn orphans_of(service: &TestService) -> usize {
    let orphans = service.look(|view| uploads::orphans(view, None, 99));
    orphans.await.unwrap().len()
}

#[tokio::test]
async fn a_blob_that_another_server_is_about_to_make_is_left_until_that_server_must_be_dead() {
    let scene = scene();
    let (one, other) = (scene.start(), scene.start());
    let king = user(&one, "king").await;
    let content = content(1, 1_000);
    let mut writer = scene.world.blobs.begin(Extension::default()).await.unwrap();
    writer.write(content.clone().into()).await.unwrap();
    let prepared = writer.finish().await.unwrap();
    let under_way = one.shared.announced.begin(*prepared.file_id());
    let blob = one.store(prepared).await.unwrap();
    assert_eq!(other.reclaim().await.unwrap().count, 0);
    // The clock may pass into the next second by itself.
    scene.clock.put_forward(patience(&scene) - 60);
    assert_eq!(other.reclaim().await.unwrap().count, 0);
    assert!(scene.world.blobs.bytes(&blob).is_some());
    scene.clock.put_forward(60);
    // The one that makes it knows better.
    assert_eq!(one.reclaim().await.unwrap().count, 0);
    assert_eq!(other.reclaim().await.unwrap().count, 1);
    assert!(scene.world.blobs.bytes(&blob).is_none());
    drop(under_way);

    // What a server itself gave up it reclaims at once, and what was given up for good anybody does.
    let mut writer = scene.world.blobs.begin(Extension::default()).await.unwrap();
    writer.write(content.into()).await.unwrap();
    let blob = one.store(writer.finish().await.unwrap()).await.unwrap();
    assert_eq!(one.reclaim().await.unwrap().count, 1);
    assert!(scene.world.blobs.bytes(&blob).is_none());
    upload(&one, &king, "a", b"bytes", Announced::default())
        .await
        .unwrap();
    let [(number, _)] = files_of(&other, &king).await[..] else {
        panic!("one file");
    };
    other.remove(&king, number).await.unwrap();
    assert!(scene.world.blobs.ids().is_empty());
    one.reclaim().await.unwrap();
    other.reclaim().await.unwrap();
    scene.world.check(&one, &[king]).await;
}

/// One server has noted the blob that it will ask storage for when another one ends the upload.
#[tokio::test]
async fn a_blob_that_storage_is_asked_for_while_its_upload_ends_elsewhere_does_not_stay() {
    let scene = scene();
    let (one, other) = (scene.start(), scene.start());
    let king = user(&one, "king").await;
    let content = content(2, 2 * SLICE);
    let id = begin(&one, &king, new_file("a", &content)).await;
    send_all(&one, &king, id, &content, [1, 2]).await;
    let record = until(&one, &king, id, |record| record.hashed == 2).await;
    let slices = one.look(move |view| upload_sessions::slices(view, id));
    let pieces: Vec<_> = slices
        .await
        .unwrap()
        .iter()
        .map(|(_, slice)| crate::service::completion::piece(slice))
        .collect();
    let staging = record.staging.unwrap();
    let prepared = scene
        .world
        .blobs
        .arrange(&staging, Extension::default(), &pieces)
        .await;
    let prepared = prepared.unwrap();
    let blob = *prepared.file_id();
    let under_way = one.shared.announced.begin(blob);
    let account = king.account;
    one.change(move |tx, moment| upload_sessions::commit_to(tx, account, id, &blob, moment.now))
        .await
        .unwrap();

    other.give_up_upload(&king, id).await.unwrap();
    // The staging blob is not reclaimed yet when storage is asked.
    prepared.commit().await.unwrap();
    drop(under_way);
    other.reclaim().await.unwrap();
    assert!(
        scene.world.blobs.bytes(&blob).is_some(),
        "it may be in the making"
    );
    assert_eq!(orphans_of(&other).await, 1, "it is not forgotten");
    scene.clock.put_forward(patience(&scene));
    other.reclaim().await.unwrap();
    scene.check_all_ended(&[&king]).await;
    assert!(scene.world.blobs.ids().is_empty());
}

#[tokio::test]
async fn an_upload_whose_slices_go_to_two_servers_and_that_both_complete_is_one_file() {
    for seed in 0..60 {
        let scene = scene();
        let (one, other) = (scene.start(), scene.start());
        let king = user(&one, "king").await;
        let content = content(3, 5 * SLICE + 9);
        let id = begin(&one, &king, new_file("a", &content)).await;
        scene.world.catalog.hesitate(Some(seed));
        let even = send_all(&one, &king, id, &content, [6, 2, 4]);
        let odd = send_all(&other, &king, id, &content, [1, 3, 5]);
        tokio::join!(even, odd);
        let (first, second) = tokio::join!(complete(&one, &king, id), complete(&other, &king, id),);
        let file = first.unwrap();
        assert_eq!(second.unwrap(), file, "seed {seed}");
        assert_eq!(scene.bytes(&other, &king, file).await, content);
        let record = one.upload(&king, id).await.unwrap();
        assert_eq!(record.state, UploadState::Done(file));
        scene.world.catalog.hesitate(None);
        scene.clock.put_forward(patience(&scene));
        scene.check_all_ended(&[&king]).await;
        assert_eq!(scene.world.blobs.ids().len(), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn the_same_content_through_two_servers_is_stored_once_and_goes_with_its_last_file() {
    for seed in 0..60 {
        let scene = scene();
        let (one, other) = (scene.start(), scene.start());
        let (king, queen) = (user(&one, "king").await, user(&one, "queen").await);
        let content = content(4, 3_000);
        scene.world.catalog.hesitate(Some(seed));
        let nothing = Announced::default();
        let (first, second) = tokio::join!(
            upload(&one, &king, "a", &content, nothing),
            upload(&other, &queen, "b", &content, nothing),
        );
        assert!(matches!(first.unwrap(), Added::New(_)));
        assert!(matches!(second.unwrap(), Added::New(_)));
        scene.world.catalog.hesitate(None);
        scene.clock.put_forward(patience(&scene));
        one.reclaim().await.unwrap();
        other.reclaim().await.unwrap();
        assert_eq!(scene.world.blobs.ids().len(), 1);
        for (server, user) in [(&other, &king), (&one, &queen)] {
            let files = files_of(server, user).await;
            server.remove(user, files[0].0).await.unwrap();
        }
        one.reclaim().await.unwrap();
        other.reclaim().await.unwrap();
        scene.world.check(&one, &[king, queen]).await;
        assert!(scene.world.blobs.ids().is_empty());
    }
}

#[tokio::test]
async fn what_one_server_was_told_the_other_knows() {
    let mut scene = scene();
    scene.settings.tokenless = TokenlessPolicy::Ticket;
    let (one, other) = (scene.start(), scene.start());
    let king = user(&one, "king").await;
    let md5 = md5_of(b"123456");
    let call = TokenlessCall::Upload(Some(md5));
    let acted = other.actor_or_named(&king.user, &Proof::Nothing, HERE, call);
    assert_refused!(acted.await, ServiceError::Denied);
    let asked = one.add_by_md5(&king, md5, "a".parse().unwrap()).await;
    assert_refused!(asked, ServiceError::Core(CoreError::NoContent));
    let acted = other.actor_or_named(&king.user, &Proof::Nothing, HERE, call);
    acted.await.unwrap();
    scene.clock.put_forward(3_600);
    let acted = other.actor_or_named(&king.user, &Proof::Nothing, HERE, call);
    assert_refused!(acted.await, ServiceError::Denied);
    other.maintain().await.unwrap();

    let note = NoteHash::of("a request", &[]);
    let until = one.now() + 10;
    assert!(one.remember_among_servers(note, until).await.unwrap());
    assert!(!other.remember_among_servers(note, until).await.unwrap());
    scene.clock.put_forward(10);
    one.maintain().await.unwrap();
    let now = one.now();
    let due = one.look(move |view| notes::due(view, now, 9));
    assert_eq!(due.await.unwrap(), 0, "nothing stays");
}
