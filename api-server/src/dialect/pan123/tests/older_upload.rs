//! The older way of sending slices. Source: docs/api/pan123.md §7.

use super::*;

const V1: &str = "/upload/v1/file";

impl Server {
    async fn url(&self, user: &User, id: &str, number: usize) -> Reply {
        let body = json!({"preuploadID": id, "sliceNo": number});
        self.post(user, &format!("{V1}/get_upload_url"), body).await
    }

    /// Puts bytes to a URL, without any header of ours.
    async fn put(&self, url: &str, content: &[u8]) -> (StatusCode, HeaderMap) {
        let target = url.strip_prefix("http://pan.example").unwrap();
        let (head, ()) = HttpRequest::put(target).body(()).unwrap().into_parts();
        let body = Bytes::copy_from_slice(content);
        let (status, headers, body) = self.send_raw(head, body).await;
        assert_eq!(status == StatusCode::OK, body.is_empty());
        (status, headers)
    }
}

fn url_of(reply: &Reply) -> String {
    reply.data()["presignedURL"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_file_is_uploaded_by_urls_of_its_slices() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(2 * SLICE + 9, 1);
    let body = with(announcement("a", &content), &json!({"duplicate": null}));
    let created = server.call(&user, &format!("{V1}/create"), body).await;
    let id = created["preuploadID"].as_str().unwrap();
    for (number, slice) in (1..).zip(content.chunks(SLICE)) {
        let url = url_of(&server.url(&user, id, number).await);
        let (status, headers) = server.put(&url, slice).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["etag"], format!("\"{}\"", md5_of(slice)));
    }
    let which = json!({"preuploadID": id});
    let listed = server
        .call(&user, &format!("{V1}/list_upload_parts"), which.clone())
        .await;
    let parts = listed["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    assert_eq!(
        parts[2],
        json!({"partNumber": "3", "size": 9, "etag": md5_of(&content[2 * SLICE..])})
    );
    let target = format!("{V1}/upload_complete");
    let mut done = server.call(&user, &target, which.clone()).await;
    while done["async"] == true {
        assert_eq!(
            (&done["completed"], &done["fileID"]),
            (&json!(false), &json!(0))
        );
        done = server.call(&user, &target, which.clone()).await;
    }
    let file = done["fileID"].as_u64().unwrap();
    assert_eq!(
        done,
        json!({"async": false, "completed": true, "fileID": file})
    );
    let result = server
        .call(&user, &format!("{V1}/upload_async_result"), which)
        .await;
    assert_eq!(result, json!({"completed": true, "fileID": file}));
    assert_eq!(server.content(&user, file).await, content);
}

#[tokio::test]
async fn a_url_is_good_for_one_slice_of_its_length_and_no_other() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE + 1, 1);
    let id = server.open(&user, "a", &content).await;
    let url = url_of(&server.url(&user, &id, 1).await);
    let other = url.replace("sliceNo=1", "sliceNo=2");
    assert_eq!(
        server.put(&other, &content[..1]).await.0,
        StatusCode::FORBIDDEN
    );
    let forged = format!("{}{}", &url[..url.len() - 1], u8::from(url.ends_with('0')));
    assert_eq!(
        server.put(&forged, &content[..SLICE]).await.0,
        StatusCode::FORBIDDEN
    );
    for bad in [&content[..SLICE - 1], &content, b""] {
        let status = server.put(&url, bad).await.0;
        assert!(status.is_client_error(), "{} bytes: {status}", bad.len());
    }
    assert_eq!(server.put(&url, &content[..SLICE]).await.0, StatusCode::OK);
    for number in [0, 3] {
        assert_eq!(server.url(&user, &id, number).await.code(), 20102);
    }
    assert_eq!(server.url(&user, "garbage", 1).await.code(), 20101);
    let session = id.parse().unwrap();
    let account = user.account;
    server
        .service
        .change(move |tx, moment| {
            crate::core::upload_sessions::give_up(tx, account, session, moment.now)
        })
        .await
        .unwrap();
    let status = server.put(&url, &content[..SLICE]).await.0;
    assert_eq!(status, StatusCode::FORBIDDEN, "it dies with its upload");
}
