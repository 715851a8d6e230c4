//! Slices and the end of their upload, row by row. Source: docs/api/pan123.md §4.2, §4.4, §4.5.

use super::*;
use crate::backend::Step;
use crate::core::id::UploadId;
use crate::core::upload_sessions;
use common::code::ErrorCode;

const SLICES: &str = "/upload/v2/file/slice";

#[tokio::test]
async fn slices_come_in_any_order_and_more_than_once() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(4 * SLICE + 5, 1);
    let id = server.open(&user, "a", &content).await;
    let slices: Vec<&[u8]> = content.chunks(SLICE).collect();
    for number in [5, 2, 4, 2, 1, 5] {
        let reply = server.slice(&user, &id, number, slices[number - 1]).await;
        assert_eq!(reply.code(), 0, "{number}");
    }
    let early = server.complete(&user, &id).await;
    assert_eq!(early.code(), 20104);
    assert!(early.message().ends_with(": 3"), "{}", early.message());
    // Another slice with a digest that fits takes the place of the first one.
    let other = bytes(SLICE, 9);
    assert_eq!(server.slice(&user, &id, 3, &other).await.code(), 0);
    assert_eq!(server.slice(&user, &id, 3, slices[2]).await.code(), 0);
    let file = server.completed(&user, &id).await;
    assert_eq!(server.content(&user, file).await, content);
}

#[tokio::test]
async fn slices_that_come_at_the_same_time_do_not_mix() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(16 * SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    let slices: Vec<&[u8]> = content.chunks(SLICE).collect();
    let sent = (0..64_usize).map(|turn| {
        let index = turn * 7 % 16;
        server.slice(&user, &id, index + 1, slices[index])
    });
    for reply in futures_util::future::join_all(sent).await {
        assert_eq!(reply.code(), 0);
    }
    let ends = (0..8).map(|_| server.complete(&user, &id));
    let ends = futures_util::future::join_all(ends).await;
    let file = server.completed(&user, &id).await;
    for reply in ends {
        // Also while another one completes it.
        let data = reply.data();
        let shown = if data["completed"] == true { file } else { 0 };
        assert_eq!(data["fileID"], shown);
    }
    assert_eq!(server.names(&user, 0).await, ["a"], "one file");
    assert_eq!(server.content(&user, file).await, content);
}

#[tokio::test]
async fn a_slice_of_another_length_number_or_digest_is_refused_and_an_earlier_one_stays() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE + 5, 1);
    let id = server.open(&user, "a", &content).await;
    let (first, last) = content.split_at(SLICE);
    assert_eq!(server.slice(&user, &id, 1, first).await.code(), 0);
    let before = server.state();
    for (number, slice) in [
        (0, first),
        (3, last),
        (1_000_000, last),
        (1, &first[1..]),
        (1, &[]),
        (1, &content[..=SLICE]),
        (2, &last[1..]),
        (2, first),
    ] {
        let reply = server.slice(&user, &id, number, slice).await;
        assert_eq!(reply.code(), 20102, "{number} {}", slice.len());
    }
    let wrong_md5 = md5_of(b"other");
    for (md5, code) in [(wrong_md5.as_str(), 20102), ("xyz", 1), ("", 1)] {
        let parts = [
            Part::Field("preuploadID", &id),
            Part::Field("sliceNo", "1"),
            Part::Field("sliceMD5", md5),
            Part::File("slice", "x", first),
        ];
        assert_eq!(
            server.form(&user, SLICES, &parts).await.code(),
            code,
            "{md5}"
        );
    }
    assert_eq!(server.state(), before, "nothing changed");
    assert_eq!(server.slice(&user, &id, 2, last).await.code(), 0);
    let file = server.completed(&user, &id).await;
    assert_eq!(server.content(&user, file).await, content);
}

#[tokio::test]
async fn a_name_that_became_a_folders_meanwhile_is_not_replaced() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(5, 1);
    for (name, duplicate, code) in [
        ("a", json!(2), 1),
        ("b", json!(0), 5060),
        ("c", json!(null), 5060),
    ] {
        let body = with(
            announcement(name, &content),
            &json!({"duplicate": duplicate}),
        );
        let begun = server.post(&user, "/upload/v2/file/create", body).await;
        let id = begun.data()["preuploadID"].as_str().unwrap().to_owned();
        assert_eq!(server.slice(&user, &id, 1, &content).await.code(), 0);
        server.mkdir(&user, 0, name).await;
        let complete = json!({"preuploadID": id});
        let target = "/upload/v2/file/upload_complete";
        let refused = server.post(&user, target, complete).await;
        assert_eq!(refused.code(), code, "{name}");
    }
}

#[tokio::test]
async fn every_part_of_a_slice_is_required_and_may_stand_anywhere() {
    let server = Server::new();
    let user = server.user("a").await;
    // More than what waits in memory, in a slice that is larger than those of the other tests.
    let content = bytes(SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    let md5 = md5_of(&content).to_uppercase();
    let parts = [
        Part::Field("PREUPLOADID", &id),
        Part::Field("sliceno", "1"),
        Part::Field("slicemd5", &md5),
        Part::File("Slice", "x", &content),
    ];
    for left_out in 0..parts.len() {
        let mut some = parts.to_vec();
        some.remove(left_out);
        let reply = server.form(&user, SLICES, &some).await;
        assert_eq!(reply.code(), 1, "{left_out}");
        some.reverse();
        assert_eq!(
            server.form(&user, SLICES, &some).await.code(),
            1,
            "{left_out}"
        );
    }
    let state = |server: &Server| server.blobs.prepared_count();
    assert_eq!(state(&server), 0, "what came is given up");
    let mut order = parts.to_vec();
    for _ in 0..parts.len() {
        order.rotate_left(1);
        assert_eq!(server.form(&user, SLICES, &order).await.code(), 0);
    }
    let file = server.completed(&user, &id).await;
    assert_eq!(server.content(&user, file).await, content);
    for body in ["", "{}", "a=b", "--x\r\n\r\n--x--"] {
        let request = user.request("POST", SLICES).body(body).unwrap();
        assert_eq!(server.send(request).await.code(), 1, "{body}");
    }
}

#[tokio::test]
async fn bytes_before_their_fields_wait_in_storage_and_are_checked_all_the_same() {
    let mut server = Server::new();
    let settings = ServiceSettings {
        slice_size: 1 << 20,
        ..ServiceSettings::default()
    };
    server.service = Service::new(server.catalog.clone(), server.blobs.clone(), settings).unwrap();
    server.dialect.service = server.service.clone();
    let user = server.user("a").await;
    let content = bytes((1 << 20) + 7, 1);
    let id = server.open(&user, "a", &content).await;
    let send = |number, slice: &[u8], md5: String| {
        let parts = form(&[
            Part::File("slice", "x", slice),
            Part::Field("sliceMD5", &md5),
            Part::Field("sliceNo", number),
            Part::Field("preuploadID", &id),
        ]);
        let request = user.request("POST", SLICES);
        server.send(request.body(parts).unwrap())
    };
    let (first, last) = content.split_at(1 << 20);
    assert_eq!(send("1", first, md5_of(last)).await.code(), 20102);
    assert_eq!(send("2", first, md5_of(first)).await.code(), 20102);
    assert_eq!(send("3", first, md5_of(first)).await.code(), 20102);
    assert_eq!(send("1", first, md5_of(first)).await.code(), 0);
    assert_eq!(send("2", last, md5_of(last)).await.code(), 0);
    let file = server.completed(&user, &id).await;
    assert_eq!(server.content(&user, file).await, content);
    assert_eq!(server.blobs.prepared_count(), 0);
}

#[tokio::test]
async fn an_upload_is_its_users_and_no_one_elses() {
    let server = Server::new();
    let (user, other) = (server.user("a").await, server.user("b").await);
    let content = bytes(SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    let again = User {
        token: server.token(user.account, Scopes::ALL).await,
        ..user.clone()
    };
    assert_eq!(
        server.slice(&again, &id, 1, &content).await.code(),
        0,
        "another log-in goes on"
    );
    let unknown = "0".repeat(32);
    for (who, id) in [
        (&other, id.as_str()),
        (&user, &unknown),
        (&user, "garbage"),
        (&user, "a/../b"),
        (&user, &"f".repeat(300)),
    ] {
        assert_eq!(
            server.slice(who, id, 1, &content).await.code(),
            20101,
            "{id}"
        );
        assert_eq!(server.complete(who, id).await.code(), 20101, "{id}");
    }
    assert_eq!(server.complete(&user, "").await.code(), 1);
    server.completed(&user, &id).await;
}

#[tokio::test]
async fn an_upload_that_is_done_says_the_same_again() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    server.slice(&user, &id, 1, &content).await.data();
    let file = server.completed(&user, &id).await;
    for _ in 0..3 {
        assert_eq!(server.completed(&user, &id).await, file);
    }
    assert_eq!(server.slice(&user, &id, 1, &content).await.code(), 20101);
    assert_eq!(server.names(&user, 0).await, ["a"]);
}

#[tokio::test]
async fn bytes_that_are_not_the_announced_ones_end_the_upload() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(2 * SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    server.slice(&user, &id, 1, &content[..SLICE]).await.data();
    server.slice(&user, &id, 2, &bytes(SLICE, 2)).await.data();
    let reply = server.complete(&user, &id).await;
    assert_eq!((reply.code(), reply.message()), (20105, "文件上传失败"));
    assert_eq!(server.complete(&user, &id).await.code(), 20101);
    assert!(server.names(&user, 0).await.is_empty());
    let info = server.get(&user, "/api/v1/user/info").await;
    assert_eq!(info.data()["spaceUsed"], 0);
    // The announced digest is not remembered.
    assert_eq!(
        server.create(&user, "a", &content).await.data()["reuse"],
        false
    );
}

#[tokio::test]
async fn an_upload_into_a_folder_that_went_waits_for_it() {
    let server = Server::new();
    let user = server.user("a").await;
    let folder = server.mkdir(&user, 0, "folder").await;
    let content = bytes(SLICE, 1);
    let body = with(
        announcement("a", &content),
        &json!({"parentFileID": folder}),
    );
    let data = server.call(&user, "/upload/v2/file/create", body).await;
    let id = data["preuploadID"].as_str().unwrap();
    server.slice(&user, id, 1, &content).await.data();
    let ids = json!({"fileIDs": [folder]});
    server.call(&user, "/api/v1/file/trash", ids.clone()).await;
    let reply = server.complete(&user, id).await;
    assert_eq!((reply.code(), reply.message()), (1, "parentFileID不存在"));
    server.call(&user, "/api/v1/file/recover", ids).await;
    server.completed(&user, id).await;
    assert_eq!(server.names(&user, folder).await, ["a"]);
}

#[tokio::test]
async fn an_upload_that_is_over_is_gone_with_its_bytes() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    server.slice(&user, &id, 1, &content).await.data();
    let session: UploadId = id.parse().unwrap();
    server
        .service
        .change(move |tx, moment| {
            let record = upload_sessions::find(tx, session)?.unwrap();
            upload_sessions::expire(tx, record.expires(), session, moment.now + (2 << 20))
        })
        .await
        .unwrap();
    assert_eq!(server.slice(&user, &id, 1, &content).await.code(), 20101);
    assert_eq!(server.complete(&user, &id).await.code(), 20101);
    let account = user.account;
    let holdings = server
        .service
        .look(move |view| accounts::holdings(view, account))
        .await
        .unwrap();
    assert_eq!(holdings.upload_bytes, 0, "its room is free again");
}

#[tokio::test]
async fn open_uploads_count_against_the_quota_and_so_does_their_end() {
    let server = Server::new();
    let quota = 3 * SLICE as u64;
    let user = server.user_with("a", Some(quota), Scopes::ALL).await;
    let content = bytes(2 * SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    let second = server.create(&user, "b", &bytes(2 * SLICE, 2)).await;
    assert_eq!(second.code(), 20107);
    assert!(second.message().contains("quota"), "{}", second.message());
    for (number, slice) in (1..).zip(content.chunks(SLICE)) {
        server.slice(&user, &id, number, slice).await.data();
    }
    // Less room by the end than at the beginning.
    let account = user.account;
    let set = |quota| {
        server
            .service
            .change(move |tx, _| accounts::set_quota(tx, account, quota))
    };
    set(Some(SLICE as u64)).await.unwrap();
    assert_eq!(server.complete(&user, &id).await.code(), 20107);
    set(None).await.unwrap();
    server.completed(&user, &id).await;
}

#[tokio::test]
async fn a_storage_that_is_away_loses_nothing_that_was_acknowledged() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(2 * SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    server.slice(&user, &id, 1, &content[..SLICE]).await.data();
    for step in [
        Step::Extend,
        Step::ExtendWrite,
        Step::ExtendFinish,
        Step::ExtendAnswer,
    ] {
        server.blobs.fail(step, ErrorCode::Unavailable);
        let reply = server.slice(&user, &id, 2, &content[SLICE..]).await;
        assert_eq!(
            (reply.status, reply.code()),
            (StatusCode::OK, 500),
            "{step:?}"
        );
        server.blobs.heal();
    }
    server.slice(&user, &id, 2, &content[SLICE..]).await.data();
    for step in [Step::Arrange, Step::Commit, Step::CommitAnswer] {
        server.blobs.fail(step, ErrorCode::Unavailable);
        let code = server.complete(&user, &id).await.code();
        assert!([0, 500].contains(&code), "{step:?}: {code}");
        server.blobs.heal();
    }
    let file = server.completed(&user, &id).await;
    assert_eq!(server.content(&user, file).await, content);
}

#[tokio::test]
async fn a_slice_that_comes_during_the_completion_is_to_come_again() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(2 * SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    for (number, slice) in (1..).zip(content.chunks(SLICE)) {
        server.slice(&user, &id, number, slice).await.data();
    }
    // Storage was asked for the file, and nobody knows whether it made it.
    server
        .blobs
        .fail(Step::CommitAnswer, ErrorCode::Unavailable);
    while server.complete(&user, &id).await.code() != 500 {}
    server.blobs.heal();
    let late = server.slice(&user, &id, 1, &content[..SLICE]).await;
    assert_eq!(
        (late.code(), late.message()),
        (20103, "文件正在校验中,请间隔1秒后再试")
    );
    let file = server.completed(&user, &id).await;
    assert_eq!(server.content(&user, file).await, content);
}

#[tokio::test]
async fn what_goes_with_a_restart_of_the_server_is_only_the_server() {
    let mut server = Server::new();
    let user = server.user("a").await;
    let content = bytes(3 * SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    server
        .slice(&user, &id, 3, &content[2 * SLICE..])
        .await
        .data();
    server.slice(&user, &id, 1, &content[..SLICE]).await.data();
    let settings = ServiceSettings {
        slice_size: 2 * SLICE as u64,
        ..ServiceSettings::default()
    };
    server.service = Service::new(server.catalog.clone(), server.blobs.clone(), settings).unwrap();
    server.dialect.service = server.service.clone();
    let parts = json!({"preuploadID": id});
    let data = server
        .call(&user, "/upload/v1/file/list_upload_parts", parts)
        .await;
    let numbers = data["parts"].as_array().unwrap().iter();
    let numbers: Vec<&str> = numbers
        .map(|part| part["partNumber"].as_str().unwrap())
        .collect();
    assert_eq!(numbers, ["1", "3"]);
    // The upload keeps the length of slices that it began with.
    server
        .slice(&user, &id, 2, &content[SLICE..2 * SLICE])
        .await
        .data();
    let file = server.completed(&user, &id).await;
    assert_eq!(server.content(&user, file).await, content);
}
