//! The document's examples, as requests.

use super::*;

/// The names of an object's members.
fn members(object: &Value) -> Vec<String> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().cloned().collect();
    names.sort_unstable();
    names
}

/// `d1.jpg` of the document's error sample, with content of ours: its digests are nobody's.
fn d1() -> Content {
    Content::new("d1.jpg", "d1")
}

#[tokio::test]
async fn an_application_is_answered_as_in_the_documents_sample() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let documented = golden("application");
    for path in [
        "/weiyun/upload_file",
        text(&documented, "target"),
        "/weiyun/upload_photo",
        "/weiyun/upload_music",
        "/weiyun/upload_video",
    ] {
        let content = d1();
        let mut pairs = [user.parameters(), content.parameters("normal")].concat();
        // What the platform's own client sends besides.
        for (name, value) in [
            ("format", "json"),
            ("status_os", "4.0"),
            ("status_machine", "图"),
            ("sdkv", "2.0"),
            ("sdkp", "a"),
            ("pf", "openmobile_android"),
            ("appid_for_getting_config", "1"),
        ] {
            pairs.push((name, value.to_owned()));
        }
        let reply = server.get(path, &pairs).await;
        assert_eq!(reply.ret(), 0, "{path}: {}", reply.json);
        let data = &reply.json["data"];
        // All that the sample has, and one more: where to go on.
        let mut sample = documented["answer"]["data"].clone();
        sample["file_cur_size"] = "0".into();
        assert_eq!(members(data), members(&sample));
        let csum = data["csum"].as_str().unwrap();
        assert_eq!(csum.len(), 608);
        assert!(csum.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
        assert_eq!(reply.data("file_id").len(), 36);
        assert_eq!(
            (&data["host"], &data["port"]),
            (&"127.0.0.1".into(), &8080.into())
        );
        assert_eq!(data["file_cur_size"], "0");
        assert_eq!(reply.json["msg"], "ok");
    }
}

#[tokio::test]
async fn the_sample_of_a_form_is_taken_with_its_inconsistent_boundaries() {
    let sample = golden("form");
    let server = Server::new().await;
    let user = server.user("king").await;
    let content = Content::new("test.txt", text(&sample, "content").to_owned());
    let key = server.key(&user, &content, "normal").await;
    // Everything is the sample's but the key, which cannot be.
    let target = text(&sample, "target");
    let (before, rest) = target.split_once("ukey=").unwrap();
    let (lost, behind) = rest.split_once('&').unwrap();
    assert_eq!(lost.len(), 607);
    let send = async |key: &str| {
        let mut request = HttpRequest::post(format!("{before}ukey={key}&{behind}"));
        for (name, value) in sample["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let body = text(&sample, "body").to_owned();
        server.send(request.body(body).unwrap()).await
    };
    assert_eq!(send(lost).await.ret(), 20015);
    let reply = send(&key).await;
    assert_eq!(
        (reply.status, reply.ret()),
        (StatusCode::OK, 0),
        "{}",
        reply.json
    );
    assert_eq!(reply.data("file_name"), "test.txt");
    let found = server.only_file(&user).await;
    assert_eq!(found, ("test.txt".to_owned(), content.bytes));
}

#[tokio::test]
async fn a_name_that_is_taken_is_answered_with_the_documents_body() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let uploaded = server.upload(&user, &d1()).await;
    assert_eq!(uploaded.ret(), 0);
    // The code speaks of names: the content does not matter.
    for content in [d1(), Content::new("d1.jpg", "another one")] {
        let before = server.state();
        let reply = server.apply(&user, &content, "normal").await;
        assert_eq!(reply.ret(), 1051);
        assert_eq!(server.state(), before);
        let documented = golden("name_taken")["answer"].clone();
        assert_eq!(reply.json["ret"], documented["ret"]);
        let names = members(&documented["data"]);
        assert_eq!(members(&reply.json["data"]), names);
        let data = reply.json["data"].as_object().unwrap();
        assert!(data.values().all(Value::is_string));
        assert_eq!(data["file_attr"], "3");
        // It is that of the file that is there.
        for name in &names {
            assert_eq!(data[name], uploaded.json["data"][name], "{name}");
        }
        assert_eq!(
            (&data["file_size"], &data["file_cur_size"]),
            (&"2".into(), &"2".into())
        );
        assert_eq!(
            (&data["file_sha"], &data["file_md5"]),
            (&d1().sha().into(), &d1().md5().into())
        );
        assert_eq!(data["pdirkey"].as_str().unwrap().len(), 32);
        let time = data["file_ctime"].as_str().unwrap();
        assert_eq!((time.len(), &time[19..]), (23, " 000"));
    }
}

#[tokio::test]
async fn a_folder_of_the_name_has_no_digests() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let account = user.actor.account;
    let made = server.service().change_tree(move |tx, moment| {
        let root = crate::core::id::FolderNumber::ROOT;
        crate::core::tree::make_folder(tx, account, root, "d1.jpg".parse().unwrap(), moment)
    });
    made.await.unwrap();
    let reply = server.apply(&user, &d1(), "control").await;
    assert_eq!(reply.ret(), 1051);
    let empty = ["file_md5", "file_sha"].map(|name| reply.data(name));
    assert_eq!((reply.data("file_attr"), empty), ("1", ["", ""]));
}

#[tokio::test]
async fn flash_finds_its_policy() {
    let server = Server::new().await;
    let request = HttpRequest::get("/crossdomain.xml").body("").unwrap();
    let (status, headers, bytes) = server.exchange(request).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::OK, &"text/xml".parse().unwrap())
    );
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(
        text.contains("<allow-access-from domain=\"*\" secure=\"false\"/>"),
        "{text}"
    );
}
