//! What is peculiar to each known client program, as a request. Source: docs/api/pan123.md §8.

use base64::Engine as _;

use super::*;

const CREATE: &str = "/upload/v2/file/create";

#[tokio::test]
async fn openlist_spells_names_its_own_way_and_numbers_as_texts() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let body = json!({"parentID": "0", "name": "folder"});
    let made = server.call(&user, "/upload/v1/file/mkdir", body).await;
    let folder = &made["dirID"];
    let body = json!({
        "parentFileId": folder, "filename": "a", "etag": md5_of(&content).to_uppercase(),
        "size": SLICE, "duplicate": 2, "containDir": false,
    });
    let data = server.call(&user, CREATE, body).await;
    assert!(
        data["servers"][0].is_string(),
        "it takes element 0 without looking"
    );
    let id = data["preuploadID"].as_str().unwrap();
    server.slice(&user, id, 1, &content).await.data();
    server.completed(&user, id).await;
    let folder = folder.as_u64().unwrap();
    assert_eq!(server.names(&user, folder).await, ["a"], "not in the root");
    // It repeats a completion whatever is said, so the answer is the same each time.
    let id = server.open(&user, "b", &bytes(SLICE, 2)).await;
    for _ in 0..60 {
        assert_eq!(server.complete(&user, &id).await.code(), 20104);
    }
}

#[tokio::test]
async fn go123_sends_two_spellings_of_a_name_and_fields_in_any_order() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let file = server.upload(&user, "a", &content).await;
    let folder = server.mkdir(&user, 0, "folder").await;
    let body = format!(r#"{{"fileId": {file}, "targetDirId": {folder}, "targetDirID": {folder}}}"#);
    let request = user.request("POST", "/api/v1/file/copy");
    assert_eq!(server.send(request.body(body).unwrap()).await.code(), 0);
    let (md5, size) = (md5_of(b"x"), "1");
    let parts = [
        Part::Field("size", size),
        Part::Field("filename", "x"),
        Part::Field("containDir", "false"),
        Part::File("file", "x", b"x"),
        Part::Field("etag", &md5),
        Part::Field("parentFileID", "0"),
    ];
    let reply = server
        .form(&user, "/upload/v2/file/single/create", &parts)
        .await;
    assert_eq!(reply.data()["completed"], true);
    // A GET that is labelled JSON and has no body.
    let request = user
        .request("GET", "/api/v2/file/list?parentFileId=0&limit=100")
        .header("Content-Type", "application/json");
    assert_eq!(server.send(request.body("").unwrap()).await.code(), 0);
}

#[tokio::test]
async fn p123_sends_lower_case_forms_and_empty_texts() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    let (md5, size) = (md5_of(&content), SLICE.to_string());
    let parts = [
        Part::Field("preuploadid", &id),
        Part::Field("sliceno", "1"),
        Part::Field("slicemd5", &md5),
        Part::File("slice", "", &content),
    ];
    server
        .form(&user, "/upload/v2/file/slice", &parts)
        .await
        .data();
    server.completed(&user, &id).await;
    let parts = [
        Part::Field("parentfileid", "0"),
        Part::Field("filename", "b"),
        Part::Field("etag", &md5),
        Part::Field("size", &size),
        Part::Field("duplicate", ""),
        Part::Field("containdir", ""),
        Part::File("file", "", &content),
    ];
    let reply = server
        .form(&user, "/upload/v2/file/single/create", &parts)
        .await;
    assert_eq!(reply.data()["completed"], true);
    let form = "parentfileid=0&filename=%E6%B5%8B+1&sha1=\
                da39a3ee5e6b4b0d3255bfef95601890afd80709&size=5&duplicate=1";
    let request = user
        .request("POST", "/upload/v2/file/sha1_reuse")
        .header("Content-Type", "application/x-www-form-urlencoded");
    let reply = server.send(request.body(form).unwrap()).await;
    assert_eq!(reply.data(), &json!({"fileID": 0, "reuse": false}));
    // It finds the user's number in the middle of the token.
    let middle = user.token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(middle)
        .unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["id"], user.account.0);
}

#[tokio::test]
async fn v123_sends_null_for_what_it_does_not_mean_and_wrong_digests() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let body = with(
        announcement("a", &content),
        &json!({"duplicate": null, "containDir": null, "etag": md5_of(b"its mistake")}),
    );
    let data = server.call(&user, "/upload/v1/file/create", body).await;
    let id = data["preuploadID"].as_str().unwrap();
    server.slice(&user, id, 1, &content).await.data();
    assert_eq!(server.complete(&user, id).await.code(), 20105);
}

#[tokio::test]
async fn restic_spells_the_client_its_own_way_and_uploads_in_one_step() {
    let server = Server::new();
    let user = server.user("a").await;
    let body = r#"{"clientId": "nobody", "clientSecret": "x"}"#;
    let request = HttpRequest::post("/api/v1/access_token")
        .header("Platform", "open_platform")
        .body(body)
        .unwrap();
    assert_eq!(server.send(request).await.code(), 401, "read, and wrong");
    let servers = server.get(&user, "/upload/v2/file/domain").await;
    assert!(servers.data().is_array());
}

#[tokio::test]
async fn rclone_asks_for_a_link_by_another_spelling() {
    let server = Server::new();
    let user = server.user("a").await;
    let file = server.upload(&user, "a", &bytes(9, 1)).await;
    let target = format!("/api/v1/file/download_info?fileID={file}");
    assert!(server.get(&user, &target).await.data()["downloadUrl"].is_string());
}

#[tokio::test]
async fn a_form_that_is_labelled_json_is_read_all_the_same() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    let md5 = md5_of(&content);
    let parts = form(&[
        Part::Field("preuploadID", &id),
        Part::Field("sliceNo", "1"),
        Part::Field("sliceMD5", &md5),
        Part::File("slice", "x", &content),
    ]);
    let request = user
        .request("POST", "/upload/v2/file/slice")
        .header("Content-Type", "application/json");
    assert_eq!(server.send(request.body(parts).unwrap()).await.code(), 0);
}
