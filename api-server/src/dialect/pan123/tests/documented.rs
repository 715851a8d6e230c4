//! The examples of the document, with numbers and digests that fit.

use super::*;

#[tokio::test]
async fn a_file_is_uploaded_in_three_steps() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(2 * SLICE + 1, 1);
    let created = server.create(&user, "测试文件.mp4", &content).await;
    let id = created.data()["preuploadID"].as_str().unwrap();
    assert!((22..=256).contains(&id.len()));
    assert_eq!(
        created.data(),
        &json!({
            "fileID": 0,
            "reuse": false,
            "preuploadID": id,
            "sliceSize": SLICE,
            "servers": ["http://pan.example"],
        })
    );
    assert!(
        server.names(&user, 0).await.is_empty(),
        "not before it is complete"
    );
    for (number, slice) in (1..).zip(content.chunks(SLICE)) {
        let reply = server.slice(&user, id, number, slice).await;
        assert_eq!((reply.code(), &reply.json["data"]), (0, &Value::Null));
    }
    let completed = server.complete(&user, id).await;
    let file = completed.data()["fileID"].as_u64().unwrap();
    assert_eq!(
        completed.data(),
        &json!({"completed": true, "fileID": file})
    );
    assert_eq!(server.names(&user, 0).await, ["测试文件.mp4"]);
    assert_eq!(server.content(&user, file).await, content);
}

#[tokio::test]
async fn a_file_that_is_here_is_there_at_once() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    server.upload(&user, "a", &content).await;
    let created = server.create(&user, "b", &content).await;
    let file = created.data()["fileID"].as_u64().unwrap();
    // The document: "if reuse is true, this member does not exist".
    assert_eq!(
        created.data(),
        &json!({
            "fileID": file,
            "reuse": true,
            "sliceSize": SLICE,
            "servers": ["http://pan.example"],
        })
    );
    assert_eq!(server.content(&user, file).await, content);
}

#[tokio::test]
async fn a_file_is_uploaded_in_one_step_whose_bytes_come_first() {
    let server = Server::new();
    let user = server.user("a").await;
    let reply = server.get(&user, "/upload/v2/file/domain").await;
    assert_eq!(reply.data(), &json!(["http://pan.example"]));
    let content = bytes(3 * SLICE, 2);
    let folder = server.mkdir(&user, 0, "pdf").await.to_string();
    let (md5, size) = (md5_of(&content), content.len().to_string());
    // The order of the document's sample.
    let parts = [
        Part::File("file", "abc.pdf", &content),
        Part::Field("parentFileID", &folder),
        Part::Field("filename", "abc.pdf"),
        Part::Field("etag", &md5),
        Part::Field("size", &size),
    ];
    let reply = server
        .form(&user, "/upload/v2/file/single/create", &parts)
        .await;
    let file = reply.data()["fileID"].as_u64().unwrap();
    assert_eq!(reply.data(), &json!({"fileID": file, "completed": true}));
    assert_eq!(
        server.names(&user, folder.parse().unwrap()).await,
        ["abc.pdf"]
    );
    assert_eq!(server.content(&user, file).await, content);
}

#[tokio::test]
async fn the_slice_of_the_documents_sample_is_read_as_it_stands() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(100, 3);
    let id = server.open(&user, "a.txt", &content).await;
    let boundary = "wL36Yn8afVp8Ag7AmP8qZ0SA4n1v9T";
    let mut body = Vec::new();
    for (name, value) in [
        ("preuploadID", id.as_str()),
        ("sliceNo", "1"),
        ("sliceMD5", &md5_of(&content)),
    ] {
        let part = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\";\r\n\
             Content-Type: text/plain\r\n\r\n{value}\r\n"
        );
        body.extend(part.as_bytes());
    }
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"slice\"; \
         filename=\"新建 文本文档 (4).txt\"\r\nContent-Type: ('text/plain', None)\r\n\r\n"
    );
    let end = format!("\r\n--{boundary}--\r\n");
    body.extend([head.as_bytes(), &content, end.as_bytes()].concat());
    let request = user.request("POST", "/upload/v2/file/slice").header(
        "Content-type",
        format!("multipart/form-data; boundary={boundary}"),
    );
    assert_eq!(server.send(request.body(body).unwrap()).await.code(), 0);
    let file = server.completed(&user, &id).await;
    assert_eq!(server.content(&user, file).await, content);
}
