//! Folders, lists, names, moves, the trash, copies. Source: docs/api/pan123.md §6.

use super::*;

const TRASH: &str = "/api/v1/file/trash";
const RECOVER: &str = "/api/v1/file/recover";
const DELETE: &str = "/api/v1/file/delete";
const MOVE: &str = "/api/v1/file/move";

impl Server {
    async fn detail(&self, user: &User, number: u64) -> Reply {
        let target = format!("/api/v1/file/detail?fileID={number}");
        self.get(user, &target).await
    }

    async fn rename(&self, user: &User, number: u64, name: &str) -> u64 {
        let body = json!({"fileId": number, "fileName": name}).to_string();
        let request = user.request("PUT", "/api/v1/file/name");
        let before = self.state();
        let code = self.send(request.body(body).unwrap()).await.code();
        if code != 0 {
            assert_eq!(self.state(), before, "a refusal leaves no trace");
        }
        code
    }
}

#[tokio::test]
async fn an_entry_has_all_members_that_clients_look_for() {
    let server = Server::new();
    let user = server.user("a").await;
    let folder = server.mkdir(&user, 0, "folder").await;
    let content = bytes(SLICE, 1);
    let body = with(
        announcement("a.mp4", &content),
        &json!({"parentFileID": folder}),
    );
    let data = server.call(&user, "/upload/v2/file/create", body).await;
    let id = data["preuploadID"].as_str().unwrap();
    server.slice(&user, id, 1, &content).await.data();
    let file = server.completed(&user, id).await;
    let [row] = &server.rows(&user, folder).await[..] else {
        panic!("one row")
    };
    let at = row["createAt"].as_str().unwrap();
    assert_eq!(at.len(), "2025-06-01 12:00:00".len());
    assert_eq!(
        row,
        &json!({
            "fileId": file, "filename": "a.mp4", "parentFileId": folder, "type": 0,
            "etag": md5_of(&content), "size": SLICE, "category": 2, "status": 0,
            "punishFlag": 0, "s3KeyFlag": "", "storageNode": "", "trashed": 0,
            "createAt": at, "updateAt": at,
        })
    );
    let detail = server.detail(&user, folder).await;
    let data = detail.data();
    assert_eq!(
        (
            &data["fileID"],
            &data["parentFileID"],
            &data["type"],
            &data["etag"],
            &data["size"]
        ),
        (
            &json!(folder),
            &json!(0),
            &json!(1),
            &json!(""),
            &json!(SLICE)
        ),
        "the size of a folder is that of what is below it"
    );
    let infos = json!({"fileIds": [file, 999, folder]});
    let infos = server.call(&user, "/api/v1/file/infos", infos).await;
    assert_eq!(infos["list"], infos["fileList"]);
    assert_eq!(
        infos["list"].as_array().unwrap().len(),
        2,
        "what is not there is left out"
    );
    assert_eq!(infos["list"][0], *row);
    assert_eq!(server.detail(&user, 999).await.code(), 5066);
    let target = format!("/api/v1/file/download_info?fileID={folder}");
    assert_eq!(server.get(&user, &target).await.code(), 1);
    let target = "/api/v1/file/download_info?fileId=999";
    assert_eq!(server.get(&user, target).await.code(), 5066);
}

#[tokio::test]
async fn a_link_carries_the_name_in_its_query() {
    let server = Server::new();
    let user = server.user("a").await;
    let file = server.upload(&user, "测 & #%+.txt", &bytes(9, 1)).await;
    let target = format!("/api/v1/file/download_info?fileId={file}");
    let reply = server.get(&user, &target).await;
    let url = reply.data()["downloadUrl"].as_str().unwrap();
    assert!(url.starts_with("http://pan.example/group1/M00/"), "{url}");
    let (_, query) = url.split_once('?').unwrap();
    assert_eq!(query, "filename=%E6%B5%8B%20%26%20%23%25%2B.txt");
    let reply = server
        .get(&user, &format!("/api/v1/direct-link/url?fileID={file}"))
        .await;
    assert_eq!(reply.data()["url"], url.split_once('?').unwrap().0);
    let folder = server.mkdir(&user, 0, "folder").await;
    for action in ["enable", "disable"] {
        let target = format!("/api/v1/direct-link/{action}");
        let answer = server.call(&user, &target, json!({"fileID": folder})).await;
        assert_eq!(answer, json!({"filename": "folder"}));
    }
    let named = common::web::query::value(query, "filename").unwrap();
    assert_eq!(named, "测 & #%+.txt");
}

#[tokio::test]
async fn a_list_is_paged_by_number_until_minus_one() {
    let server = Server::new();
    let user = server.user("a").await;
    for number in 0..25 {
        server.mkdir(&user, 0, &format!("{number}")).await;
    }
    for limit in [1, 7, 24, 25, 26, 100] {
        let (mut after, mut names, mut pages) = (0, Vec::new(), 0);
        while after != -1 {
            let target =
                format!("/api/v2/file/list?parentFileId=0&limit={limit}&lastFileId={after}");
            let reply = server.get(&user, &target).await;
            let rows = reply.data()["fileList"].as_array().unwrap();
            assert!(!rows.is_empty(), "an empty page ends some clients' lists");
            names.extend(
                rows.iter()
                    .map(|row| row["filename"].as_str().unwrap().to_owned()),
            );
            after = reply.data()["lastFileId"].as_i64().unwrap();
            pages += 1;
        }
        assert_eq!(pages, 25_usize.div_ceil(limit), "{limit}");
        let expected: Vec<String> = (0..25).map(|number| number.to_string()).collect();
        assert_eq!(names, expected, "{limit}");
    }
    let clamped = server
        .get(&user, "/api/v2/file/list?parentFileId=0&limit=5000")
        .await;
    assert_eq!(clamped.data()["lastFileId"], -1);
    let empty = server.mkdir(&user, 0, "empty").await;
    let target = format!("/api/v2/file/list?parentFileId={empty}");
    let reply = server.get(&user, &target).await;
    assert_eq!(reply.data(), &json!({"lastFileId": -1, "fileList": []}));
    for (query, code) in [
        ("parentFileId=999", 1),
        ("limit=5", 1),
        ("parentFileId=0&limit=0", 1),
        ("parentFileId=0&limit=x", 1),
        ("parentFileId=0&lastFileId=-1", 0),
    ] {
        let reply = server
            .get(&user, &format!("/api/v2/file/list?{query}"))
            .await;
        assert_eq!(reply.code(), code, "{query}");
    }
}

#[tokio::test]
async fn a_list_shows_the_trash_unless_it_is_told() {
    let server = Server::new();
    let user = server.user("a").await;
    let kept = server.mkdir(&user, 0, "kept").await;
    let gone = server.mkdir(&user, 0, "gone").await;
    server.call(&user, TRASH, json!({"fileIDs": [gone]})).await;
    for (query, expected) in [
        ("", vec![(kept, 0), (gone, 1)]),
        ("&trashed=false", vec![(kept, 0)]),
        ("&trashed=0", vec![(kept, 0)]),
        ("&trashed=true", vec![(gone, 1)]),
        ("&trashed=", vec![(kept, 0), (gone, 1)]),
    ] {
        let target = format!("/api/v2/file/list?parentFileId=0&limit=100{query}");
        let reply = server.get(&user, &target).await;
        let rows = reply.data()["fileList"].as_array().unwrap();
        let rows: Vec<(u64, u64)> = rows
            .iter()
            .map(|row| {
                (
                    row["fileId"].as_u64().unwrap(),
                    row["trashed"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(rows, expected, "{query}");
    }
    // The first of a hundred that are in the trash does not make an empty page.
    let ids: Vec<u64> = {
        let mut ids = Vec::new();
        for number in 0..30 {
            ids.push(server.mkdir(&user, 0, &format!("x{number}")).await);
        }
        ids
    };
    server.call(&user, TRASH, json!({"fileIDs": ids})).await;
    server.mkdir(&user, 0, "last").await;
    let target = "/api/v2/file/list?parentFileId=0&limit=1&trashed=false";
    let first = server.get(&user, target).await;
    let after = first.data()["lastFileId"].as_u64().unwrap();
    let next = server
        .get(&user, &format!("{target}&lastFileId={after}"))
        .await;
    assert_eq!(next.data()["fileList"][0]["filename"], "last");
    assert_eq!(next.data()["lastFileId"], -1);
}

#[tokio::test]
async fn a_search_goes_over_all_folders() {
    let server = Server::new();
    let user = server.user("a").await;
    let folder = server.mkdir(&user, 0, "Report").await;
    server.mkdir(&user, folder, "report 2024").await;
    server.mkdir(&user, folder, "other").await;
    let gone = server.mkdir(&user, 0, "old report").await;
    server.call(&user, TRASH, json!({"fileIDs": [gone]})).await;
    for (query, names) in [
        (
            "searchData=REPORT",
            vec!["Report", "report 2024", "old report"],
        ),
        (
            "searchData=report&trashed=false",
            vec!["Report", "report 2024"],
        ),
        ("searchData=Report&searchMode=1", vec!["Report"]),
        ("searchData=report&searchMode=1&parentFileId=999", vec![]),
        ("searchData=nothing&parentFileId=0", vec![]),
    ] {
        let reply = server
            .get(&user, &format!("/api/v2/file/list?{query}"))
            .await;
        let rows = reply.data()["fileList"].as_array().unwrap();
        let found: Vec<&str> = rows
            .iter()
            .map(|row| row["filename"].as_str().unwrap())
            .collect();
        assert_eq!(found, names, "{query}");
        assert_eq!(reply.data()["lastFileId"], -1, "{query}");
    }
    let reply = server
        .get(&user, "/api/v2/file/list?searchData=report&limit=1")
        .await;
    let after = reply.data()["lastFileId"].as_u64().unwrap();
    let target = format!("/api/v2/file/list?searchData=report&limit=1&lastFileId={after}");
    let next = server.get(&user, &target).await;
    assert_eq!(next.data()["fileList"][0]["filename"], "report 2024");
}

#[tokio::test]
async fn no_page_but_the_last_one_is_empty_however_much_lies_before_what_is_wanted() {
    let server = Server::new();
    let user = server.user("a").await;
    let mut in_trash = Vec::new();
    for number in 0..60 {
        in_trash.push(server.mkdir(&user, 0, &format!("gone {number}")).await);
    }
    server
        .call(&user, TRASH, json!({"fileIDs": in_trash}))
        .await;
    let mut kept = Vec::new();
    for name in ["kept 1", "kept 2", "kept 3"] {
        kept.push(server.mkdir(&user, 0, name).await);
    }
    for search in ["", "&searchData=e"] {
        for (trashed, expected) in [(0, &kept), (1, &in_trash)] {
            let (mut found, mut after) = (Vec::new(), 0);
            while after != -1 {
                let list = format!(
                    "/api/v2/file/list?parentFileId=0&limit=2&trashed={trashed}&lastFileId={after}{search}"
                );
                let reply = server.get(&user, &list).await;
                let data = reply.data();
                let rows = data["fileList"].as_array().unwrap();
                after = data["lastFileId"].as_i64().unwrap();
                assert!(!rows.is_empty() || after == -1, "{trashed} {search}");
                found.extend(rows.iter().map(|row| row["fileId"].as_u64().unwrap()));
            }
            assert_eq!(&found, expected, "{search}");
        }
    }
}

#[tokio::test]
async fn the_older_list_has_pages_and_a_total() {
    let server = Server::new();
    let user = server.user("a").await;
    for name in ["c", "a", "b"] {
        server.mkdir(&user, 0, name).await;
    }
    let file = server.upload(&user, "0", &bytes(5, 1)).await;
    let list = async |query: &str| {
        let reply = server
            .get(&user, &format!("/api/v1/file/list?{query}"))
            .await;
        let data = reply.data().clone();
        let rows = data["fileList"].as_array().unwrap().iter();
        let names: Vec<String> = rows
            .map(|row| row["filename"].as_str().unwrap().to_owned())
            .collect();
        (data["total"].as_u64().unwrap(), names.join(""), data)
    };
    let (total, names, data) = list("parentFileId=0&page=1&limit=3&orderDirection=asc").await;
    assert_eq!(
        (total, names.as_str()),
        (4, "abc"),
        "folders first, then by name"
    );
    assert!(data["fileList"][0]["fileID"].is_u64());
    let (total, names, data) = list("parentfileid=0&page=2&limit=3").await;
    assert_eq!((total, names.as_str()), (4, "0"));
    assert_eq!(data["fileList"][0]["fileID"], file);
    let (total, names, _) = list("parentFileId=0&page=9&limit=3").await;
    assert_eq!((total, names.as_str()), (4, ""));
    let (_, names, _) = list("parentFileId=0&limit=100&orderDirection=desc").await;
    assert_eq!(names, "0cba");
    server.call(&user, TRASH, json!({"fileIDs": [file]})).await;
    let (total, names, _) = list("parentFileId=0&limit=100&trashed=true").await;
    assert_eq!((total, names.as_str()), (1, "0"));
    let (total, names, _) = list("parentFileId=0&limit=100&searchData=B").await;
    assert_eq!((total, names.as_str()), (1, "b"));
}

#[tokio::test]
async fn folders_and_names_are_unique() {
    let server = Server::new();
    let user = server.user("a").await;
    let file = server.upload(&user, "file", &bytes(5, 1)).await;
    let folder = server.mkdir(&user, 0, "folder").await;
    for name in ["folder", "file"] {
        let body = json!({"name": name, "parentID": "0"});
        let reply = server.post(&user, "/upload/v1/file/mkdir", body).await;
        let message = "该目录下已经有同名文件夹,无法进行创建";
        assert_eq!((reply.code(), reply.message()), (1, message), "{name}");
    }
    let body = json!({"name": "x", "parentID": file});
    assert_eq!(server.code(&user, "/upload/v1/file/mkdir", body).await, 1);
    assert_eq!(server.rename(&user, file, "folder").await, 5060);
    assert_eq!(server.rename(&user, file, "a/b").await, 1);
    assert_eq!(server.rename(&user, file, "").await, 1);
    assert_eq!(server.rename(&user, 999, "x").await, 5066);
    assert_eq!(server.rename(&user, file, "new.txt").await, 0);
    assert_eq!(server.rename(&user, folder, "文件夹").await, 0);
    assert_eq!(server.names(&user, 0).await, ["new.txt", "文件夹"]);
    server.call(&user, TRASH, json!({"fileIDs": [file]})).await;
    assert_eq!(server.rename(&user, file, "x").await, 5066);
}

#[tokio::test]
async fn of_many_renames_each_is_for_itself() {
    let server = Server::new();
    let user = server.user("a").await;
    let (one, two) = (
        server.mkdir(&user, 0, "one").await,
        server.mkdir(&user, 0, "two").await,
    );
    let list = json!({"renameList": [
        format!("{one}|two"), "999|x", format!("{two}|a|b"), format!("{two}|2"), format!("{one}|two"),
    ]});
    let data = server.call(&user, "/api/v1/file/rename", list).await;
    let ids = |list: &Value| -> Vec<u64> {
        let rows = list.as_array().unwrap().iter();
        rows.map(|row| row["fileID"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids(&data["successList"]), [two, one]);
    assert_eq!(ids(&data["failList"]), [one, 999, two]);
    assert!(!data["failList"][0]["message"].as_str().unwrap().is_empty());
    assert_eq!(
        data["successList"][0]["updateAt"].as_str().unwrap().len(),
        19
    );
    assert_eq!(server.names(&user, 0).await, ["two", "2"]);
    for bad in [
        json!([]),
        json!(["1"]),
        json!(["x|y"]),
        json!([5]),
        json!(vec![format!("{one}|x"); 31]),
    ] {
        let body = json!({"renameList": bad});
        assert_eq!(
            server.code(&user, "/api/v1/file/rename", body).await,
            1,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_move_is_all_or_nothing() {
    let server = Server::new();
    let user = server.user("a").await;
    let a = server.mkdir(&user, 0, "a").await;
    let b = server.mkdir(&user, a, "b").await;
    let file = server.upload(&user, "file", &bytes(5, 1)).await;
    for (ids, to, code) in [
        (json!([file, 999]), b, 5066),
        (json!([file, a]), b, 1),
        (json!([file, a]), a, 1),
        (json!([file]), 999, 1),
        (json!([file]), file, 1),
        (json!([]), b, 1),
        (json!(["x"]), b, 1),
        (json!((1..=101).collect::<Vec<u64>>()), b, 1),
    ] {
        let body = json!({"fileIDs": ids, "toParentFileID": to});
        assert_eq!(server.code(&user, MOVE, body).await, code, "{ids} {to}");
    }
    let body = json!({"fileIDs": [file, file], "toParentFileID": b.to_string()});
    assert_eq!(server.code(&user, MOVE, body).await, 0);
    assert_eq!(server.names(&user, b).await, ["file"]);
    let again = server.mkdir(&user, 0, "file").await;
    let body = json!({"fileIDs": [again], "toParentFileID": b});
    assert_eq!(server.code(&user, MOVE, body).await, 5060);
}

#[tokio::test]
async fn the_trash_gives_back_and_lets_go() {
    let server = Server::new();
    let user = server.user("a").await;
    let folder = server.mkdir(&user, 0, "folder").await;
    let inner = server.mkdir(&user, folder, "inner").await;
    let file = server.upload(&user, "file", &bytes(SLICE, 1)).await;
    assert_eq!(
        server
            .code(&user, TRASH, json!({"fileIDs": [file, 999]}))
            .await,
        5066
    );
    assert_eq!(
        server.code(&user, DELETE, json!({"fileIDs": [file]})).await,
        1,
        "not there yet"
    );
    // A folder, something below it, and both again.
    for _ in 0..2 {
        let body = json!({"fileIDs": [folder, inner, file]});
        assert_eq!(server.code(&user, TRASH, body).await, 0);
    }
    assert!(server.names(&user, 0).await.is_empty());
    let target = format!("/api/v1/file/download_info?fileId={file}");
    assert_eq!(server.get(&user, &target).await.code(), 5066);
    assert_eq!(server.detail(&user, file).await.data()["trashed"], 1);
    assert_eq!(
        server
            .code(&user, RECOVER, json!({"fileIDs": [file, 999]}))
            .await,
        5066
    );
    server.mkdir(&user, 0, "file").await;
    let recovered = server
        .call(&user, RECOVER, json!({"fileIDs": [file, folder]}))
        .await;
    assert_eq!(recovered, json!({"abnormalFileIDs": []}));
    assert_eq!(server.names(&user, 0).await, ["folder", "file(1)", "file"]);
    assert_eq!(
        server.names(&user, folder).await,
        ["inner"],
        "a folder brings its tree"
    );
    server.call(&user, TRASH, json!({"fileIDs": [inner]})).await;
    server
        .call(&user, TRASH, json!({"fileIDs": [folder]}))
        .await;
    let recovered = server
        .call(&user, RECOVER, json!({"fileIDs": [inner]}))
        .await;
    assert_eq!(
        recovered,
        json!({"abnormalFileIDs": [inner]}),
        "its folder is gone"
    );
    let by_path = "/api/v1/file/recover/by_path";
    let body = json!({"fileIDs": [inner], "parentFileID": 999});
    assert_eq!(server.code(&user, by_path, body).await, 1);
    let body = json!({"fileids": [inner], "toparentfileid": 0});
    assert_eq!(server.code(&user, by_path, body).await, 0);
    assert_eq!(
        server
            .code(&user, DELETE, json!({"fileIDs": [folder, 999]}))
            .await,
        5066
    );
    assert_eq!(
        server
            .code(&user, DELETE, json!({"fileIDs": [folder, inner]}))
            .await,
        1
    );
    assert_eq!(
        server
            .code(&user, DELETE, json!({"fileIDs": [folder]}))
            .await,
        0
    );
    assert_eq!(server.detail(&user, folder).await.code(), 5066);
    assert_eq!(
        server
            .code(&user, DELETE, json!({"fileIDs": [folder]}))
            .await,
        5066
    );
}

#[tokio::test]
async fn other_peoples_entries_are_not_there() {
    let server = Server::new();
    let (user, other) = (server.user("a").await, server.user("b").await);
    for number in 0..10 {
        server.mkdir(&user, 0, &format!("{number}")).await;
    }
    let foreign = server.rows(&user, 0).await[9]["fileId"].as_u64().unwrap();
    let ids = json!({"fileIDs": [foreign], "toParentFileID": 0, "parentFileID": 0});
    for target in [TRASH, RECOVER, DELETE, MOVE, "/api/v1/file/recover/by_path"] {
        assert_eq!(
            server.code(&other, target, ids.clone()).await,
            5066,
            "{target}"
        );
    }
    assert_eq!(server.rename(&other, foreign, "x").await, 5066);
    assert_eq!(server.detail(&other, foreign).await.code(), 5066);
    let infos = json!({"fileIds": [foreign]});
    let infos = server.call(&other, "/api/v1/file/infos", infos).await;
    assert_eq!(infos["list"], json!([]));
    let copy = json!({"fileId": foreign, "targetDirId": 0});
    assert_eq!(server.code(&other, "/api/v1/file/copy", copy).await, 5066);
}

#[tokio::test]
async fn a_copy_is_another_entry_of_the_same_content() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let file = server.upload(&user, "a.txt", &content).await;
    let folder = server.mkdir(&user, 0, "folder").await;
    let inner = server.mkdir(&user, folder, "inner").await;
    let blobs = server.blobs.ids();
    for (name, to) in [("a(1).txt", 0), ("a.txt", folder), ("a.txt", inner)] {
        let body = json!({"fileId": file, "targetDirID": to});
        let copied = server.call(&user, "/api/v1/file/copy", body).await;
        assert_eq!(copied["sourceFileId"], file);
        let copy = copied["targetFileId"].as_u64().unwrap();
        assert_eq!(server.detail(&user, copy).await.data()["filename"], name);
        assert_eq!(server.content(&user, copy).await, content);
    }
    assert_eq!(server.blobs.ids(), blobs, "no byte was copied");
    let into_itself = json!({"fileId": folder, "targetDirId": inner});
    assert_eq!(
        server.code(&user, "/api/v1/file/copy", into_itself).await,
        1
    );
    let process = async |task: &Value| {
        let target = format!("/api/v1/file/async/copy/process?taskId={task}");
        // A GET with a body besides its query.
        let request = user.request("GET", &target);
        let reply = server.send(request.body(r#"{"taskId": 0}"#).unwrap()).await;
        reply.data()["status"].as_u64().unwrap()
    };
    let many = json!({"fileIds": [file, folder], "targetDirId": 0});
    let task = server.call(&user, "/api/v1/file/async/copy", many).await["taskId"].clone();
    // Nothing was copied within the request.
    assert_eq!(process(&task).await, 0);
    assert_eq!(server.names(&user, 0).await.len(), 3);
    server.service.maintain().await.unwrap();
    assert_eq!(process(&task).await, 2);
    let names = server.names(&user, 0).await;
    assert_eq!(
        names,
        ["a.txt", "folder", "a(1).txt", "a(2).txt", "folder(1)"]
    );
    let copy = server.rows(&user, 0).await[4]["fileId"].as_u64().unwrap();
    assert_eq!(server.names(&user, copy).await, ["inner", "a.txt"]);
    let bad = json!({"fileIds": [file, 999], "targetDirId": 0});
    assert_eq!(
        server.code(&user, "/api/v1/file/async/copy", bad).await,
        5066
    );
    let failing = json!({"fileIds": [folder], "targetDirId": inner});
    let task = server.call(&user, "/api/v1/file/async/copy", failing).await["taskId"].clone();
    server.service.maintain().await.unwrap();
    assert_eq!(process(&task).await, 3);
    let other = server.user("b").await;
    let foreign = format!("/api/v1/file/async/copy/process?taskId={task}");
    assert_eq!(server.get(&other, &foreign).await.code(), 1);
    let target = "/api/v1/file/async/copy/process?taskId=5";
    assert_eq!(server.get(&user, target).await.code(), 1);
}
