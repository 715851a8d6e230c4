//! Lists of files, shares and picture shares.

use super::*;
use crate::core::id::PictureLink;
use crate::core::{files, pictures, shares};
use common::code::ErrorCode;

/// A user with three files, two of them with a view, one of them shared and one picture-shared.
async fn with_files(fixture: &Fixture) -> User {
    let user = fixture.user("king").await;
    fixture.file(&user, "b.PNG", "1").await;
    fixture.file(&user, "Makefile", "333").await;
    fixture.file(&user, "a.txt", "22").await;
    let account = user.actor.account;
    fixture
        .service
        .change(move |tx, moment| {
            let rows = files::page(
                tx,
                account,
                files::FileOrder::Created,
                crate::core::catalog::Direction::Ascending,
                0,
                9,
            )?
            .rows;
            let [(_, first), (second_number, second), (third_number, _)] = &rows[..] else {
                panic!("three files");
            };
            files::count_view(tx, account, *second_number, moment)?;
            files::count_view(tx, account, *third_number, moment)?;
            shares::share(tx, account, first.md5, &first.name, moment)?;
            let link = PictureLink([7; 16]);
            pictures::share(tx, account, second.md5, &second.name, link, moment)
        })
        .await
        .unwrap();
    user
}

#[tokio::test]
async fn files_are_listed_in_every_order_and_page() {
    let fixture = Fixture::new();
    let user = with_files(&fixture).await;
    for (query, expected) in [
        ("", "b.PNG Makefile a.txt"),
        ("?direction=desc", "a.txt Makefile b.PNG"),
        ("?order=name", "Makefile a.txt b.PNG"),
        ("?order=name&direction=desc", "b.PNG a.txt Makefile"),
        ("?order=size", "b.PNG a.txt Makefile"),
        ("?order=views&direction=desc", "Makefile a.txt b.PNG"),
        ("?order=created&start=1&count=1", "Makefile"),
        ("?start=3", ""),
        ("?start=18446744073709551615&count=200", ""),
    ] {
        let page = fixture.get(&user, &format!("files{query}")).await.ok();
        assert_eq!(page["total"], 3, "{query}");
        assert_eq!(
            column(&page["files"], "name").join(" "),
            expected,
            "{query}"
        );
    }
    let page = fixture.get(&user, "files?count=1").await.ok();
    let file = &page["files"][0];
    let url = file["url"].as_str().unwrap();
    assert!(url.starts_with("http://img.example/group1/M00/"), "{url}");
    assert!(
        fixture
            .blobs
            .bytes(&url["http://img.example/".len()..].parse().unwrap())
            .is_some()
    );
    let expected = json!({
        "id": "1", "name": "b.PNG", "label": "b.PNG", "parent": "0", "md5": "c4ca4238a0b923820dcc509a6f75849b", "size": 1,
        "type": "png", "created": file["created"], "modified": file["created"], "views": 0, "shared": true,
        "url": url,
    });
    assert_eq!(*file, expected);
    let makefile = fixture.get(&user, "files?order=name&count=1").await.ok();
    assert_eq!(makefile["files"][0]["type"], "");
    assert_eq!(makefile["files"][0]["shared"], false);
}

#[tokio::test]
async fn what_a_list_does_not_have_is_refused() {
    let fixture = Fixture::new();
    let user = with_files(&fixture).await;
    for path in [
        "files?count=0",
        "files?count=201",
        "files?count=99999999999999999999",
        "files?start=-1",
        "files?order=md5",
        "files?direction=up",
        "files?search=",
        "files?search=a&after=xyz",
        "files?search=a&after=",
        "files?search=a&count=0",
        "shares?order=size",
        "shares?order=views&direction=asc",
        "pictures?count=1.5",
        "admin/accounts?count=201",
    ] {
        fixture.get(&user, path).await.refused(400, "bad_request");
    }
}

#[tokio::test]
async fn a_search_goes_on_where_it_ended() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let other = fixture.user("queen").await;
    for name in ["Holiday 1.jpg", "holiday 2.jpg", "Ferien.jpg", "My HOLIDAY"] {
        fixture.file(&user, name, name).await;
    }
    fixture.file(&other, "holiday of the queen", "1").await;
    let mut found = Vec::new();
    let mut path = "files?search=holiDAY&count=1".to_owned();
    for _ in 0..10 {
        let page = fixture.get(&user, &path).await.ok();
        assert!(page.get("total").is_none());
        found.extend(column(&page["files"], "name"));
        match page["next"].as_str() {
            Some(cursor) => path = format!("files?search=holiDAY&count=1&after={cursor}"),
            None => break,
        }
    }
    assert_eq!(found, ["Holiday 1.jpg", "My HOLIDAY", "holiday 2.jpg"]);
    // Any bytes are a place in the list of names, and never one of somebody else's files.
    for cursor in ["00", "ff", &"ff".repeat(2048)] {
        let path = format!("files?search=queen&after={cursor}");
        let page = fixture.get(&user, &path).await.ok();
        assert_eq!(page, json!({"files": [], "next": null}), "{cursor}");
    }
    let page = fixture.get(&user, "files?search=%E6%B1%89").await.ok();
    assert_eq!(page, json!({"files": [], "next": null}));
}

#[tokio::test]
async fn a_file_is_deleted_by_its_owner_with_all_that_hangs_on_it() {
    let fixture = Fixture::new();
    let user = with_files(&fixture).await;
    let other = fixture.user("queen").await;
    for path in [
        "files/1",
        "files/99",
        "files/0",
        "files/18446744073709551615",
    ] {
        fixture.delete(&other, path).await.refused(404, "not_found");
    }
    assert_eq!(fixture.count_of(&user).await, 3);
    fixture.delete(&user, "files/1").await.done();
    fixture
        .delete(&user, "files/1")
        .await
        .refused(404, "not_found");
    assert_eq!(fixture.blobs.ids().len(), 2);
    let shares = fixture.get(&user, "shares").await.ok();
    assert_eq!(shares, json!({"total": 0, "files": []}));
}

#[tokio::test]
async fn shares_are_seen_by_everybody_and_say_whose_they_are() {
    let fixture = Fixture::new();
    let user = with_files(&fixture).await;
    let other = fixture.user("queen").await;
    let own = fixture.get(&user, "shares").await.ok();
    let share = &own["files"][0];
    let expected = json!({
        "name": "b.PNG", "md5": "c4ca4238a0b923820dcc509a6f75849b", "size": 1, "type": "png",
        "sharer": "king", "created": share["created"], "views": 0, "url": share["url"], "mine": true,
    });
    assert_eq!((&own["total"], share), (&json!(1), &expected));
    for query in [
        "",
        "?order=created&direction=desc",
        "?order=views&direction=desc",
    ] {
        let path = format!("shares{query}");
        let of_other = fixture.get(&other, &path).await.ok();
        let of_guest = fixture.call(Method::GET, &path, None, None).await.ok();
        assert_eq!(of_other["files"][0]["mine"], false);
        assert_eq!(of_guest, of_other);
    }
}

#[tokio::test]
async fn picture_shares_are_their_owners_only() {
    let fixture = Fixture::new();
    let user = with_files(&fixture).await;
    let other = fixture.user("queen").await;
    let page = fixture.get(&user, "pictures?direction=desc").await.ok();
    let picture = &page["pictures"][0];
    let expected = json!({
        "link": "07".repeat(16), "name": "Makefile", "md5": "310dcbbf4cce62f762a2aaa148d556bd",
        "size": 3, "type": "", "created": picture["created"], "views": 0, "url": picture["url"],
    });
    assert_eq!((&page["total"], picture), (&json!(1), &expected));
    let of_other = fixture.get(&other, "pictures").await.ok();
    assert_eq!(of_other, json!({"total": 0, "pictures": []}));
}

#[tokio::test]
async fn a_catalog_that_is_closed_or_broken_is_said_without_details() {
    let fixture = Fixture::new();
    let user = with_files(&fixture).await;
    fixture
        .catalog
        .fail_write(1, crate::backend::catalog::Fault::Before);
    let said = fixture.post(&user, "renew", Value::Null).await;
    assert!(!said.json["message"].as_str().unwrap().contains("database"));
    said.refused(500, "internal");
    // A blob that storage does not delete now is deleted later; the file is gone all the same.
    fixture
        .blobs
        .fail(crate::backend::Step::Delete, ErrorCode::Unavailable);
    fixture.delete(&user, "files/1").await.done();
    fixture.catalog.close();
    let said = fixture.get(&user, "me").await;
    assert!(said.headers.contains_key("retry-after"));
    said.refused(503, "unavailable");
}
