//! Lists: order, pages, and lists that are longer than one read.

use super::super::listing::ROWS_PER_READ;
use super::*;
use crate::core::contents;
use crate::core::files::{self, Naming};
use crate::core::id::{AccountId, ContentHash, Md5, Sha1};
use crate::core::uploads::{self, Digests};

/// Adds `count` files of one content, `0.txt` and so on, without uploading each.
async fn add_files(server: &Server, count: u64) {
    let blob = "group1/M00/00/00/rBAAD18AISGAP6QrAAACRhizVvQ79062.h";
    let added = server.host.service.change(move |tx, moment| {
        let (account, md5) = (AccountId(1), Md5([7; 16]));
        let hash = ContentHash([4; 32]);
        for number in 0..count {
            let mut moment = moment;
            // Chance decides how a list is built: give every entry its own.
            moment.chance = moment.chance.wrapping_mul(2 * number + 1);
            let name = Naming::Label(format!("{number}.txt").parse().unwrap());
            let digests = Digests {
                hash,
                md5,
                sha1: Sha1([7; 20]),
                size: 582,
            };
            if contents::get(tx, &hash)?.is_some() {
                uploads::add_known(tx, account, &name, &digests, moment)?;
            } else {
                let blob = blob.parse().unwrap();
                uploads::announce(tx, &blob, 1, moment.now)?;
                uploads::complete(tx, account, &name, &digests, &blob, moment)?;
            }
        }
        Ok(())
    });
    added.await.unwrap();
}

/// The names in an answer.
fn names(list: &Value, member: &str) -> Vec<String> {
    let rows = list["files"].as_array().unwrap();
    assert_eq!(list["count"], rows.len());
    let name = |row: &Value| row[member].as_str().unwrap().to_owned();
    rows.iter().map(name).collect()
}

#[tokio::test]
async fn pages_neither_repeat_nor_lose_rows() {
    let server = Server::new();
    let user = server.user("a").await;
    add_files(&server, 7).await;
    for (name, views) in [("3.txt", 2), ("5.txt", 1), ("1.txt", 1)] {
        for _ in 0..views {
            let label = user.label(&Md5([7; 16]).to_string(), name);
            assert_eq!(server.code("/api/dealfile?cmd=pv", label).await, 0);
        }
    }
    for (command, order) in [
        ("normal", "0 1 2 3 4 5 6"),
        ("pvasc", "0 2 4 6 1 5 3"),
        ("pvdesc", "3 1 5 0 2 4 6"),
    ] {
        let target = format!("/api/myfiles?cmd={command}");
        let order: Vec<_> = order.split(' ').map(|name| format!("{name}.txt")).collect();
        for count in 1..=8 {
            let mut found = Vec::new();
            for start in (0..8).step_by(usize::try_from(count).unwrap()) {
                let rows = user.rows(start, count);
                let list = server.call(&target, rows).await;
                assert_eq!(list["total"], 7);
                found.extend(names(&list, "file_name"));
            }
            assert_eq!(found, order, "{command} by {count}");
        }
    }
}

#[tokio::test]
async fn the_whole_list_can_be_had_in_one_answer_however_long() {
    let server = Server::new();
    let user = server.user("a").await;
    let total = 2 * ROWS_PER_READ + 3;
    add_files(&server, total).await;
    for (start, count, expected) in [
        (0, i64::MAX, total),
        (1, i64::MAX, total - 1),
        (0, 2 * 500, 2 * ROWS_PER_READ),
        (0, 501, ROWS_PER_READ + 1),
        (0, 500, ROWS_PER_READ),
        (3, 2 * 500, 2 * ROWS_PER_READ),
    ] {
        let body = user.rows(start, count).to_string();
        let reply = server.post("/api/myfiles?cmd=normal", body).await;
        let list = reply.json();
        assert_eq!((&list["code"], &list["total"]), (&json!(0), &json!(total)));
        let first = u64::try_from(start).unwrap();
        let all: Vec<_> = (first..first + expected)
            .map(|number| format!("{number}.txt"))
            .collect();
        assert_eq!(names(&list, "file_name"), all, "{start} {count}");
        // What fits in one read has a length; the rest is made while it is sent.
        let is_short = expected <= ROWS_PER_READ;
        assert_eq!(reply.headers.contains_key("content-length"), is_short);
    }
}

#[tokio::test]
async fn a_list_that_shrinks_while_it_is_sent_ends_well() {
    let server = Server::new();
    let user = server.user("a").await;
    add_files(&server, 2 * ROWS_PER_READ).await;
    let (head, ()) = HttpRequest::post("/api/myfiles?cmd=normal")
        .body(())
        .unwrap()
        .into_parts();
    let caller = rules().identify(address(HOME), &head).unwrap();
    let body = RequestBody::from(Bytes::from(user.rows(0, 10_000).to_string()));
    let response = server.host.handle(Exchange { head, caller, body }).await;
    let mut body = response.into_body();
    let mut text = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap()
        .to_vec();
    let removed = server.host.service.change(|tx, moment| {
        let account = AccountId(1);
        for number in ROWS_PER_READ + 1..=2 * ROWS_PER_READ {
            let name = format!("{}.txt", number - 1).parse().unwrap();
            let (number, _) = files::find(tx, account, Md5([7; 16]), &name)?;
            files::remove(tx, account, number, moment.now)?;
        }
        Ok(())
    });
    removed.await.unwrap();
    text.extend(body.collect().await.unwrap().to_bytes());
    let list: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(names(&list, "file_name").len() as u64, ROWS_PER_READ);
}

#[tokio::test]
async fn a_session_that_ends_while_a_list_is_sent_ends_the_list_too() {
    let server = Server::new();
    let user = server.user("a").await;
    add_files(&server, ROWS_PER_READ + 1).await;
    let (head, ()) = HttpRequest::post("/api/myfiles?cmd=normal")
        .body(())
        .unwrap()
        .into_parts();
    let caller = rules().identify(address(HOME), &head).unwrap();
    let body = RequestBody::from(Bytes::from(user.rows(0, 10_000).to_string()));
    let response = server.host.handle(Exchange { head, caller, body }).await;
    let closed = server
        .host
        .service
        .change(|tx, _| sessions::close_all(tx, AccountId(1), None));
    closed.await.unwrap();
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn the_ranking_is_by_views_and_then_by_age() {
    let server = Server::new();
    let user = server.user("a").await;
    add_files(&server, 4).await;
    let md5 = Md5([7; 16]).to_string();
    for name in ["2.txt", "0.txt", "3.txt", "1.txt"] {
        let shared = server.code("/api/dealfile?cmd=share", user.label(&md5, name));
        assert_eq!(shared.await, 0);
    }
    let view = user.bare_label(&md5, "3.txt");
    assert_eq!(server.code("/api/dealsharefile?cmd=pv", view).await, 0);
    let body = json!({"start": 0, "count": 9});
    let list = server
        .call("/api/sharefiles?cmd=pvdesc", body.clone())
        .await;
    assert_eq!(
        names(&list, "filename"),
        ["3.txt", "2.txt", "0.txt", "1.txt"]
    );
    let list = server.call("/api/sharefiles?cmd=normal", body).await;
    assert_eq!(
        names(&list, "file_name"),
        ["2.txt", "0.txt", "3.txt", "1.txt"]
    );
}
