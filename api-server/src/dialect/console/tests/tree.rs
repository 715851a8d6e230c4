//! Folders, the trash, and how much an account may have.

use super::*;

/// Makes a folder and gives its id.
pub(super) async fn folder(fixture: &Fixture, user: &User, parent: &str, name: &str) -> String {
    let body = json!({"parent": parent, "name": name});
    let made = fixture.post(user, "folders", body).await.ok();
    made["id"].as_str().unwrap().to_owned()
}

/// The names in a folder, folders with a slash behind.
async fn list(fixture: &Fixture, user: &User, id: &str) -> String {
    let path = format!("folders/{id}?count=200");
    let page = fixture.get(user, &path).await.ok();
    assert_eq!(
        page["total"],
        page["entries"].as_array().unwrap().len(),
        "{page}"
    );
    names(&page["entries"])
}

fn names(entries: &Value) -> String {
    let entries = entries.as_array().unwrap().iter();
    let name = |entry: &Value| match entry.get("folder") {
        Some(folder) => format!("{}/", folder["name"].as_str().unwrap()),
        None => entry["file"]["name"].as_str().unwrap().to_owned(),
    };
    entries.map(name).collect::<Vec<_>>().join(" ")
}

/// The id of an entry of a folder.
async fn id_of(fixture: &Fixture, user: &User, folder: &str, name: &str) -> String {
    let path = format!("folders/{folder}?count=200");
    let page = fixture.get(user, &path).await.ok();
    let entries = page["entries"].as_array().unwrap().iter();
    let mut rows = entries.map(|entry| entry.get("folder").unwrap_or(&entry["file"]));
    let found = rows.find(|row| row["name"] == name).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn folders_are_made_listed_and_counted() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    fixture.file(&user, "z.txt", "1").await;
    let a = folder(&fixture, &user, "0", "a").await;
    let b = folder(&fixture, &user, &a, "b").await;
    folder(&fixture, &user, "0", "ä").await;
    let file = id_of(&fixture, &user, "0", "z.txt").await;
    let wanted = json!({"ids": [file], "parent": b});
    fixture.post(&user, "entries/move", wanted).await.done();

    assert_eq!(list(&fixture, &user, "0").await, "a/ ä/");
    assert_eq!(list(&fixture, &user, &b).await, "z.txt");
    let page = fixture
        .get(&user, "folders/0?direction=desc&start=1&count=1")
        .await
        .ok();
    assert_eq!(
        (names(&page["entries"]).as_str(), &page["total"]),
        ("a/", &json!(2))
    );
    let shown = &page["entries"][0]["folder"];
    let expected = json!({
        "id": a, "name": "a", "parent": "0", "created": shown["created"], "modified": shown["modified"],
        "files": 1, "folders": 1, "bytes": 1,
    });
    assert_eq!(*shown, expected);
    assert_eq!((&page["folder"], &page["path"]), (&Value::Null, &json!([])));
    let page = fixture.get(&user, &format!("folders/{b}")).await.ok();
    assert_eq!(
        page["path"],
        json!([{"id": a, "name": "a"}, {"id": b, "name": "b"}])
    );
    assert_eq!(page["folder"]["name"], "b");
    let found = fixture.get(&user, "files?search=Z").await.ok();
    assert_eq!(found["files"][0]["path"], json!(["a", "b"]));
    assert_eq!(found["files"][0]["parent"], json!(b));

    // A folder that is there is taken as it is by whoever asks for that.
    let body = json!({"parent": "0", "name": "a"});
    fixture
        .post(&user, "folders", body)
        .await
        .refused(409, "name_taken");
    let body = json!({"parent": "0", "name": "a", "existing": true});
    let taken = fixture.post(&user, "folders", body).await.ok();
    assert_eq!(taken["id"], json!(a));
    let body = json!({"parent": b, "name": "z.txt", "existing": true});
    fixture
        .post(&user, "folders", body)
        .await
        .refused(409, "name_taken");
}

#[tokio::test]
async fn entries_are_renamed_and_moved_but_never_into_themselves_or_onto_others() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let a = folder(&fixture, &user, "0", "a").await;
    let b = folder(&fixture, &user, &a, "b").await;
    for (name, content) in [("x", "1"), ("y", "2")] {
        fixture.file(&user, name, content).await;
    }
    let (x, y) = (
        id_of(&fixture, &user, "0", "x").await,
        id_of(&fixture, &user, "0", "y").await,
    );
    let rename = |id: &str, name: &str| json!({"id": id, "name": name});
    fixture
        .post(&user, "entries/rename", rename(&x, "y"))
        .await
        .refused(409, "name_taken");
    for bad in ["", " ", ".", "..", "a/b", "a:b", "a\nb", &"n".repeat(256)] {
        fixture
            .post(&user, "entries/rename", rename(&x, bad))
            .await
            .refused(400, "bad_name");
        let body = json!({"parent": "0", "name": bad});
        fixture
            .post(&user, "folders", body)
            .await
            .refused(400, "bad_name");
    }
    fixture
        .post(&user, "entries/rename", rename(&x, "x 2"))
        .await
        .done();
    let moved = |ids: &[&str], parent: &str| json!({"ids": ids, "parent": parent});
    fixture
        .post(&user, "entries/move", moved(&[&x, &x], &b))
        .await
        .done();
    assert_eq!(list(&fixture, &user, &b).await, "x 2");
    fixture
        .post(&user, "entries/move", moved(&[&a], &b))
        .await
        .refused(400, "into_itself");
    fixture
        .post(&user, "entries/move", moved(&[&a], &a))
        .await
        .refused(400, "into_itself");

    // All or nothing: y could go, a folder of a taken name cannot.
    let other = folder(&fixture, &user, "0", "x 2").await;
    fixture
        .post(&user, "entries/move", moved(&[&y, &other], &b))
        .await
        .refused(409, "name_taken");
    assert_eq!(list(&fixture, &user, "0").await, "a/ x 2/ y");
    let before = fixture.catalog.snapshot();
    let many: Vec<String> = (0..501).map(|id| id.to_string()).collect();
    for (body, status, word) in [
        (json!({"ids": [], "parent": "0"}), 400, "bad_request"),
        (json!({"ids": many, "parent": "0"}), 400, "bad_request"),
        (json!({"ids": [1], "parent": "0"}), 400, "bad_request"),
        (json!({"ids": ["x"], "parent": "0"}), 404, "not_found"),
        (json!({"ids": ["99"], "parent": "0"}), 404, "not_found"),
        (json!({"ids": [y], "parent": "99"}), 404, "not_found"),
        (json!({"ids": [y], "parent": "-1"}), 404, "not_found"),
        (json!({"ids": [a], "parent": x}), 404, "not_found"),
    ] {
        fixture
            .post(&user, "entries/move", body)
            .await
            .refused(status, word);
    }
    let stranger = fixture.user("queen").await;
    fixture
        .post(&stranger, "entries/rename", rename(&x, "mine"))
        .await
        .refused(404, "not_found");
    fixture
        .get(&stranger, &format!("folders/{a}"))
        .await
        .refused(404, "not_found");
    fixture
        .get(&user, "folders/0?direction=up")
        .await
        .refused(400, "bad_request");
    fixture
        .delete(&user, "folders/0")
        .await
        .refused(405, "bad_request");
    assert_ne!(
        before,
        fixture.catalog.snapshot(),
        "the stranger registered"
    );
    assert_eq!(list(&fixture, &user, "0").await, "a/ x 2/ y");
}

#[tokio::test]
async fn what_is_put_into_the_trash_comes_back_where_it_was() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let a = folder(&fixture, &user, "0", "a").await;
    let b = folder(&fixture, &user, &a, "b").await;
    fixture.file(&user, "x", "1").await;
    fixture.file(&user, "y", "22").await;
    let x = id_of(&fixture, &user, "0", "x").await;
    let y = id_of(&fixture, &user, "0", "y").await;
    let ids = |ids: &[&str]| json!({"ids": ids});
    let wanted = json!({"ids": [x], "parent": b});
    fixture.post(&user, "entries/move", wanted).await.done();

    fixture
        .post(&user, "entries/trash", ids(&[&x, &y]))
        .await
        .done();
    assert_eq!(list(&fixture, &user, "0").await, "a/");
    let trash = fixture.get(&user, "trash").await.ok();
    assert_eq!(
        (names(&trash["entries"]).as_str(), &trash["total"]),
        ("y x", &json!(2))
    );
    assert_eq!(trash["entries"][1]["from"], json!(["a", "b"]));
    assert_eq!(trash["entries"][0]["from"], json!([]));
    assert!(trash["entries"][0]["trashed"].as_u64().unwrap() > 0);
    let me = fixture.get(&user, "me").await.ok();
    assert_eq!(
        (&me["used"], &me["trash"], &me["bytes"]),
        (&json!(3), &json!(3), &json!(0))
    );
    // Once more is not an error as long as something is done by it.
    fixture
        .post(&user, "entries/trash", ids(&[&x, &a]))
        .await
        .done();
    fixture
        .post(&user, "entries/trash", ids(&[&x]))
        .await
        .refused(404, "not_found");
    fixture
        .get(&user, &format!("folders/{a}"))
        .await
        .refused(404, "not_found");

    // The folder of x is in the trash, and the name of y is taken by now.
    fixture.file(&user, "y", "3").await;
    let restored = fixture
        .post(&user, "trash/restore", ids(&[&x, &y]))
        .await
        .ok();
    assert_eq!(
        restored,
        json!({"restored": 2, "renamed": 1, "moved_to_root": 1})
    );
    assert_eq!(list(&fixture, &user, "0").await, "x y y(1)");
    fixture
        .post(&user, "trash/restore", ids(&[&x]))
        .await
        .refused(404, "not_found");
    let restored = fixture.post(&user, "trash/restore", ids(&[&a])).await.ok();
    assert_eq!(
        restored,
        json!({"restored": 1, "renamed": 0, "moved_to_root": 0})
    );
    assert_eq!(list(&fixture, &user, &a).await, "b/");
    let stranger = fixture.user("queen").await;
    fixture
        .post(&stranger, "entries/trash", ids(&[&a]))
        .await
        .refused(404, "not_found");
    let nothing = json!({"total": 0, "entries": []});
    assert_eq!(fixture.get(&stranger, "trash").await.ok(), nothing);
}

#[tokio::test]
async fn what_leaves_the_trash_for_good_gives_its_space_back() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let a = folder(&fixture, &user, "0", "a").await;
    for number in 0..30 {
        fixture
            .file(&user, &format!("f{number}"), &format!("content {number}"))
            .await;
    }
    let x = id_of(&fixture, &user, "0", "f0").await;
    let purge = |id: &str| json!({"ids": [id]});
    // Only what is in the trash can be deleted from there.
    fixture
        .post(&user, "trash/purge", purge(&x))
        .await
        .refused(404, "not_found");
    fixture.post(&user, "entries/trash", purge(&x)).await.done();
    fixture.post(&user, "trash/purge", purge(&x)).await.done();
    let page = fixture.get(&user, "files?count=200").await.ok();
    let rest = column(&page["files"], "id");
    assert_eq!(rest.len(), 29);
    let wanted = json!({"ids": rest, "parent": a});
    fixture.post(&user, "entries/move", wanted).await.done();
    let half = json!({"ids": &rest[..25]});
    fixture.post(&user, "entries/trash", half).await.done();
    fixture.post(&user, "entries/trash", purge(&a)).await.done();
    assert_eq!(fixture.get(&user, "trash").await.ok()["total"], 26);
    fixture.delete(&user, "trash").await.done();
    assert_eq!(fixture.get(&user, "trash").await.ok()["total"], 0);
    let me = fixture.get(&user, "me").await.ok();
    assert_eq!((&me["used"], &me["trash"]), (&json!(0), &json!(0)));
    fixture.delete(&user, "trash").await.done();
}

#[tokio::test]
async fn administrators_limit_what_an_account_may_have() {
    let fixture = Fixture::new();
    let king = fixture.user("king").await;
    let queen = fixture.user("queen").await;
    fixture.file(&queen, "a", "12345").await;
    for who in ["king", "queen"] {
        let limit = json!({"quota": 10});
        let path = format!("admin/accounts/{who}");
        fixture.post(&king, &path, limit).await.done();
    }
    let both = json!({"quota": 11, "administrator": false});
    fixture
        .post(&king, "admin/accounts/king", both)
        .await
        .refused(409, "own_account");
    let me = fixture.get(&queen, "me").await.ok();
    assert_eq!(
        (&me["quota"], &me["used"], &me["reserved"]),
        (&json!(10), &json!(5), &json!(0))
    );
    let page = fixture.get(&king, "admin/accounts").await.ok();
    assert_eq!(column(&page["accounts"], "quota"), ["10", "10"]);
    assert_eq!(column(&page["accounts"], "used"), ["0", "5"]);

    // Without the member it stays, with null it ends.
    let path = "admin/accounts/queen";
    let same = json!({"disabled": false});
    fixture.post(&king, path, same).await.done();
    assert_eq!(fixture.get(&queen, "me").await.ok()["quota"], 10);
    fixture
        .post(&king, path, json!({"quota": null}))
        .await
        .done();
    assert_eq!(fixture.get(&queen, "me").await.ok()["quota"], Value::Null);
    for bad in [
        json!({"quota": -1}),
        json!({"quota": "10"}),
        json!({"quota": 1.5}),
    ] {
        fixture
            .post(&king, path, bad)
            .await
            .refused(400, "bad_request");
    }
    fixture
        .post(&queen, path, json!({"quota": null}))
        .await
        .refused(403, "forbidden");
}
