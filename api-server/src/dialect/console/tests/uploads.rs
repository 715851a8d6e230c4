//! Uploads in slices, and applications.

use md5::{Digest as _, Md5 as Hasher};

use super::tree::folder;
use super::*;

/// Bytes of a slice in these tests: the least that slices may have.
const SLICE: usize = 1024;

fn fixture() -> Fixture {
    Fixture::with(ServiceSettings {
        slice_size: SLICE as u64,
        ..ServiceSettings::default()
    })
}

/// Bytes that differ from slice to slice.
fn content(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|at| u8::try_from((at / 3) % 251).unwrap() ^ u8::try_from(at / SLICE).unwrap() ^ seed)
        .collect()
}

fn md5(bytes: &[u8]) -> String {
    crate::core::id::Md5(Hasher::digest(bytes).into()).to_string()
}

fn announced(name: &str, bytes: &[u8]) -> Value {
    json!({"parent": "0", "name": name, "size": bytes.len(), "md5": md5(bytes), "duplicate": "refuse"})
}

/// Announces an upload of which bytes are needed, and gives its id.
async fn begin(fixture: &Fixture, user: &User, wanted: Value) -> String {
    let begun = fixture.post(user, "uploads", wanted).await.ok();
    begun["upload"]["id"].as_str().unwrap().to_owned()
}

async fn send(
    fixture: &Fixture,
    user: &User,
    id: &str,
    number: usize,
    bytes: &[u8],
    md5: &str,
) -> Said {
    let token = format!("Bearer {}", user.token);
    let headers = [("authorization", token.as_str()), ("x-slice-md5", md5)];
    let path = format!("uploads/{id}/slices/{number}");
    let body = Bytes::copy_from_slice(bytes);
    fixture.send(Method::PUT, &path, &headers, body).await
}

async fn send_right(fixture: &Fixture, user: &User, id: &str, number: usize, whole: &[u8]) {
    let from = (number - 1) * SLICE;
    let slice = &whole[from..whole.len().min(from + SLICE)];
    send(fixture, user, id, number, slice, &md5(slice))
        .await
        .done();
}

/// Completes an upload, as often as it has to be asked for.
async fn complete(fixture: &Fixture, user: &User, id: &str) -> Value {
    for _ in 0..100 {
        let path = format!("uploads/{id}/complete");
        let answer = fixture.post(user, &path, Value::Null).await.ok();
        if answer["completed"] == true {
            return answer["file"].clone();
        }
        assert_eq!(answer, json!({"completed": false, "file": null}));
        tokio::task::yield_now().await;
    }
    panic!("the upload is never completed");
}

#[tokio::test]
async fn slices_in_any_order_become_a_file() {
    let fixture = fixture();
    let user = fixture.user("king").await;
    let whole = content(3 * SLICE + 5, 0);
    let parent = folder(&fixture, &user, "0", "a").await;
    let mut wanted = announced("big.BIN", &whole);
    wanted["parent"] = json!(parent);
    let begun = fixture.post(&user, "uploads", wanted).await.ok();
    let id = begun["upload"]["id"].as_str().unwrap();
    assert_eq!(
        begun,
        json!({"upload": {"id": id, "slice_size": SLICE, "slices": 4}})
    );
    let me = fixture.get(&user, "me").await.ok();
    assert_eq!(
        (&me["reserved"], &me["used"]),
        (&json!(whole.len()), &json!(0))
    );

    for number in [4, 2, 2] {
        send_right(&fixture, &user, id, number, &whole).await;
    }
    let path = format!("uploads/{id}");
    let state = fixture.get(&user, &path).await.ok();
    assert_eq!(state["missing"], json!([[1, 1], [3, 3]]));
    let list = fixture.get(&user, "uploads").await.ok();
    let shown = &list["uploads"][0];
    let expected = json!({
        "id": id, "name": "big.BIN", "parent": parent, "size": whole.len(), "slice_size": SLICE, "slices": 4,
        "received": 2, "created": shown["created"], "expires": shown["expires"],
    });
    assert_eq!(*shown, expected);
    fixture
        .post(&user, &format!("{path}/complete"), Value::Null)
        .await
        .refused(409, "slices_missing");
    for number in [3, 1] {
        send_right(&fixture, &user, id, number, &whole).await;
    }
    let file = complete(&fixture, &user, id).await;
    assert_eq!(
        (&file["name"], &file["parent"], &file["md5"], &file["type"]),
        (
            &json!("big.BIN"),
            &json!(parent),
            &json!(md5(&whole)),
            &json!("bin")
        )
    );
    let blob = file["url"].as_str().unwrap()["http://img.example/".len()..].parse();
    assert_eq!(fixture.blobs.bytes(&blob.unwrap()).unwrap(), whole);
    // The answer may have been lost.
    assert_eq!(complete(&fixture, &user, id).await["id"], file["id"]);
    assert_eq!(
        fixture.get(&user, "uploads").await.ok(),
        json!({"uploads": []})
    );
    let me = fixture.get(&user, "me").await.ok();
    assert_eq!(
        (&me["reserved"], &me["used"]),
        (&json!(0), &json!(whole.len()))
    );
}

#[tokio::test]
async fn a_slice_that_is_not_as_announced_is_refused_and_changes_nothing() {
    let fixture = fixture();
    let user = fixture.user("king").await;
    let whole = content(2 * SLICE + 1, 0);
    let id = begin(&fixture, &user, announced("a", &whole)).await;
    let first = &whole[..SLICE];
    let right = md5(first);
    for (number, bytes, sum) in [
        (1, first, md5(&whole)),
        (1, first, "no md5".to_owned()),
        (1, &whole[..SLICE - 1], md5(&whole[..SLICE - 1])),
        (0, first, right.clone()),
        (4, first, right.clone()),
        (3, &[][..], md5(b"")),
    ] {
        send(&fixture, &user, &id, number, bytes, &sum)
            .await
            .refused(400, "bad_slice");
    }
    let long = &whole[..=SLICE];
    send(&fixture, &user, &id, 1, long, &md5(long))
        .await
        .refused(413, "too_large");
    let other = fixture.user("queen").await;
    for user in [&other] {
        send(&fixture, user, &id, 1, first, &right)
            .await
            .refused(404, "not_found");
        let path = format!("uploads/{id}");
        fixture.get(user, &path).await.refused(404, "not_found");
        fixture.delete(user, &path).await.refused(404, "not_found");
    }
    let path = format!("uploads/{id}");
    let state = fixture.get(&user, &path).await.ok();
    assert_eq!(state["missing"], json!([[1, 3]]));
    fixture.delete(&user, &path).await.done();
    fixture.get(&user, &path).await.refused(404, "not_found");
    assert_eq!(fixture.get(&user, "me").await.ok()["reserved"], 0);
}

#[tokio::test]
async fn content_that_is_there_needs_no_slices_and_a_taken_name_a_decision() {
    let fixture = fixture();
    let user = fixture.user("king").await;
    let (one, two) = (content(1500, 1), content(1500, 2));
    for (name, bytes) in [("one", &one), ("two", &two)] {
        let id = begin(&fixture, &user, announced(name, bytes)).await;
        for number in [1, 2] {
            send_right(&fixture, &user, &id, number, bytes).await;
        }
        complete(&fixture, &user, &id).await;
    }
    let again = fixture
        .post(&user, "uploads", announced("three", &one))
        .await
        .ok();
    assert_eq!(
        (&again["file"]["name"], &again["present"]),
        (&json!("three"), &json!(false))
    );
    let same = fixture
        .post(&user, "uploads", announced("one", &one))
        .await
        .ok();
    assert_eq!(
        (&same["file"]["name"], &same["present"]),
        (&json!("one"), &json!(true))
    );
    let mut other = announced("one", &two);
    fixture
        .post(&user, "uploads", other.clone())
        .await
        .refused(409, "name_taken");
    folder(&fixture, &user, "0", "folder").await;
    fixture
        .post(&user, "uploads", announced("folder", &two))
        .await
        .refused(409, "name_taken");
    other["duplicate"] = json!("keep");
    let kept = fixture.post(&user, "uploads", other.clone()).await.ok();
    assert_eq!(kept["file"]["name"], "one(1)");
    other["duplicate"] = json!("replace");
    let replaced = fixture.post(&user, "uploads", other).await.ok();
    assert_eq!(
        (&replaced["file"]["name"], &replaced["file"]["md5"]),
        (&json!("one"), &json!(md5(&two)))
    );
    let empty = fixture
        .post(&user, "uploads", announced("empty", b""))
        .await
        .ok();
    assert_eq!(empty["file"]["size"], 0);
}

#[tokio::test]
async fn bytes_of_another_md5_end_the_upload() {
    let fixture = fixture();
    let user = fixture.user("king").await;
    let whole = content(1500, 1);
    let mut wanted = announced("a", &whole);
    wanted["md5"] = json!(md5(b"something else"));
    let id = begin(&fixture, &user, wanted).await;
    for number in [1, 2] {
        send_right(&fixture, &user, &id, number, &whole).await;
    }
    let path = format!("uploads/{id}/complete");
    fixture
        .post(&user, &path, Value::Null)
        .await
        .refused(409, "wrong_content");
    fixture
        .post(&user, &path, Value::Null)
        .await
        .refused(404, "not_found");
    let mut wanted = announced("b", b"");
    wanted["md5"] = json!(md5(b"something else"));
    fixture
        .post(&user, "uploads", wanted)
        .await
        .refused(409, "wrong_content");
    assert_eq!(fixture.count_of(&user).await, 0);
}

#[tokio::test]
async fn what_cannot_become_a_file_is_refused_before_it_is_sent() {
    let fixture = fixture();
    let king = fixture.user("king").await;
    let limit = json!({"quota": 3000});
    fixture
        .post(&king, "admin/accounts/king", limit)
        .await
        .done();
    begin(&fixture, &king, announced("first", &content(2000, 1))).await;
    let before = fixture.catalog.snapshot();
    let right = announced("second", &content(500, 2));
    let with = |name: &str, value: Value| {
        let mut wanted = right.clone();
        wanted[name] = value;
        wanted
    };
    for (wanted, status, word) in [
        (announced("second", &content(1001, 2)), 409, "quota"),
        (with("size", json!((1_u64 << 30) + 1)), 413, "too_large"),
        (with("name", json!("a/b")), 400, "bad_name"),
        (with("parent", json!("7")), 404, "not_found"),
        (with("md5", json!("abc")), 400, "bad_request"),
        (with("size", json!(-1)), 400, "bad_request"),
        (with("duplicate", json!("ask")), 400, "bad_request"),
    ] {
        fixture
            .post(&king, "uploads", wanted)
            .await
            .refused(status, word);
    }
    assert_eq!(fixture.catalog.snapshot(), before);
    let unknown = with("md5", Value::Null);
    let id = begin(&fixture, &king, unknown).await;
    send_right(&fixture, &king, &id, 1, &content(500, 2)).await;
    assert_eq!(complete(&fixture, &king, &id).await["size"], 500);
}

#[tokio::test]
async fn applications_are_made_listed_and_removed_by_their_owner() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let body = json!({"name": "OpenList", "scopes": ["write", "read"]});
    let made = fixture.post(&user, "apps", body).await.ok();
    assert_eq!(
        (&made["name"], &made["scopes"]),
        (&json!("OpenList"), &json!(["read", "write"]))
    );
    assert!(made["secret"].as_str().unwrap().len() >= 32);
    let body = json!({"name": "viewer", "scopes": ["read"]});
    fixture.post(&user, "apps", body).await.ok();
    let list = fixture.get(&user, "apps").await.ok();
    let first = &list["apps"][0];
    let expected = json!({
        "id": made["id"], "name": "OpenList", "scopes": ["read", "write"], "created": first["created"], "used": null,
    });
    assert_eq!(*first, expected);
    assert_eq!(list["apps"][1]["scopes"], json!(["read"]));
    for bad in [
        json!({"name": "", "scopes": ["read"]}),
        json!({"name": "a\n", "scopes": ["read"]}),
        json!({"name": "a", "scopes": []}),
        json!({"name": "a", "scopes": ["delete"]}),
        json!({"name": "a"}),
    ] {
        fixture
            .post(&user, "apps", bad)
            .await
            .refused(400, "bad_request");
    }
    let stranger = fixture.user("queen").await;
    let path = format!("apps/{}", made["id"].as_str().unwrap());
    fixture
        .delete(&stranger, &path)
        .await
        .refused(404, "not_found");
    fixture.delete(&user, &path).await.done();
    fixture.delete(&user, &path).await.refused(404, "not_found");
    let list = fixture.get(&user, "apps").await.ok();
    assert_eq!(column(&list["apps"], "name"), ["viewer"]);
    for number in 1..100 {
        let body = json!({"name": format!("app {number}"), "scopes": ["read"]});
        fixture.post(&user, "apps", body).await.ok();
    }
    let body = json!({"name": "one more", "scopes": ["read"]});
    fixture
        .post(&user, "apps", body)
        .await
        .refused(409, "too_many_entries");
}
