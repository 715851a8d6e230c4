//! Every example of the document, in its order, with the members that it shows, and every code.

use super::*;

/// Names of the members of an object, sorted.
fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

const FILE_ROW: [&str; 9] = [
    "create_time",
    "file_name",
    "md5",
    "pv",
    "share_status",
    "size",
    "type",
    "url",
    "user",
];

fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap();
    text.len() == 19
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b' ',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        })
}

#[tokio::test]
async fn an_account_is_made_once_and_its_password_gives_new_tokens() {
    let server = Server::new();
    let example = json!({
        "email": "472251823@qq.com", "firstPwd": PASSWORD, "nickName": "lucky",
        "phone": "18612345678", "userName": "qingfu"
    });
    let answer = server.call("/api/reg", example.clone()).await;
    assert_eq!(answer, json!({"code": 0}));
    assert_eq!(server.code("/api/reg", example.clone()).await, 2);
    let other = with(&example, "firstPwd", Some(json!("x")));
    assert_eq!(server.code("/api/reg", other).await, 2);

    let mut tokens = Vec::new();
    for password in [PASSWORD.to_owned(), PASSWORD.to_uppercase()] {
        let login = json!({"pwd": password, "user": "qingfu"});
        let answer = server.call("/api/login", login).await;
        assert_eq!(members(&answer), ["code", "token"]);
        let token = answer["token"].as_str().unwrap().to_owned();
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        assert!(token.len() == 32 && token.bytes().all(is_digit), "{token}");
        let count = json!({"user": "qingfu", "token": token});
        let answer = server.call("/api/myfiles?cmd=count", count).await;
        assert_eq!(answer, json!({"code": 0, "total": 0}));
        tokens.push(token);
    }
    assert_ne!(tokens[0], tokens[1]);
    let first = json!({"user": "qingfu", "token": tokens[0]});
    assert_eq!(server.code("/api/myfiles?cmd=count", first).await, 0);
    for login in [
        json!({"pwd": "wrong", "user": "qingfu"}),
        json!({"pwd": PASSWORD, "user": "nobody"}),
        json!({"pwd": PASSWORD, "user": "Qingfu"}),
    ] {
        assert_eq!(server.code("/api/login", login).await, 1);
    }
}

#[tokio::test]
async fn the_documents_upload_is_listed_shared_saved_viewed_and_deleted() {
    let server = Server::new();
    let (qingfu, king) = (server.user("qingfu").await, server.user("King").await);
    let content = b"int main(void) { return 0; }\r\n";
    let md5 = md5_of(content);
    let size = content.len();

    // 17: the literal format, without a token and as application/octet-stream.
    let head = format!("user=\"qingfu\" filename=\"main.cpp\" md5=\"{md5}\" size={size}");
    let request = HttpRequest::post("/api/upload")
        .header("content-type", "application/octet-stream")
        .body(literal(&head, content))
        .unwrap();
    let answer = server.send(HOME, request).await.json();
    assert_eq!(answer, json!({"code": 0}));
    let [blob] = server.blobs.ids()[..] else {
        panic!("one blob is stored")
    };
    assert_eq!(server.blobs.bytes(&blob).unwrap(), content[..]);

    // 3, 4, 5, 6: count and lists.
    let count = json!({"token": qingfu.token, "user": "qingfu"});
    let answer = server.call("/api/myfiles?cmd=count", count.clone()).await;
    assert_eq!(answer, json!({"code": 0, "total": 1}));
    for command in ["normal", "pvasc", "pvdesc"] {
        let target = format!("/api/myfiles?cmd={command}");
        let list = server.call(&target, qingfu.rows(0, 2)).await;
        assert_eq!(members(&list), ["code", "count", "files", "total"]);
        assert_eq!((&list["count"], &list["total"]), (&json!(1), &json!(1)));
        let row = &list["files"][0];
        assert_eq!(members(row), FILE_ROW);
        assert!(is_time(&row["create_time"]), "{row}");
        let expected = json!({
            "user": "qingfu", "md5": md5, "create_time": row["create_time"],
            "file_name": "main.cpp", "share_status": 0, "pv": 0,
            "url": format!("http://img.example/{blob}"), "size": size, "type": "cpp"
        });
        assert_eq!(row, &expected);
        let none = server.call(&target, king.rows(0, 2)).await;
        assert_eq!(
            none,
            json!({"code": 0, "count": 0, "total": 0, "files": []})
        );
    }

    // 9, 7, 8: sharing, and what everybody sees.
    let label = qingfu.label(&md5, "main.cpp");
    let share = "/api/dealfile?cmd=share";
    assert_eq!(server.code(share, with(&label, "token", None)).await, 4);
    assert_eq!(server.code(share, king.label(&md5, "main.cpp")).await, 1);
    assert_eq!(server.code(share, label.clone()).await, 0);
    assert_eq!(server.code(share, label.clone()).await, 3);
    assert_eq!(server.files(&qingfu).await[0]["share_status"], 1);
    for method in [Method::GET, Method::POST] {
        let request = empty(method, "/api/sharefiles?cmd=count");
        let answer = server.send(ELSEWHERE, request).await.json();
        assert_eq!(answer, json!({"code": 0, "total": 1, "num": 1}));
    }
    let list = server.call(
        "/api/sharefiles?cmd=normal",
        json!({"count": 1, "start": 0}),
    );
    let list = list.await;
    assert_eq!((&list["count"], &list["total"]), (&json!(1), &json!(1)));
    let row = &list["files"][0];
    assert_eq!(members(row), FILE_ROW);
    assert_eq!(
        (&row["user"], &row["share_status"]),
        (&json!("qingfu"), &json!(1))
    );

    // 13: saving; 14, 15: views and the ranking; 11: views of one's own.
    let save = "/api/dealsharefile?cmd=save";
    let (mine, kings) = (
        qingfu.bare_label(&md5, "main.cpp"),
        king.bare_label(&md5, "main.cpp"),
    );
    assert_eq!(server.code(save, mine.clone()).await, 5);
    assert_eq!(server.code(save, kings.clone()).await, 0);
    assert_eq!(server.code(save, kings.clone()).await, 5);
    assert_eq!(server.files(&king).await[0]["share_status"], 0);
    let view = "/api/dealsharefile?cmd=pv";
    assert_eq!(server.code(view, kings.clone()).await, 0);
    assert_eq!(server.code(view, king.bare_label(&md5, "other")).await, 1);
    let ranking = server.call(
        "/api/sharefiles?cmd=pvdesc",
        json!({"count": 1, "start": 0}),
    );
    let row = json!({"filename": "main.cpp", "pv": 1});
    let expected = json!({"code": 0, "count": 1, "total": 1, "files": [row]});
    assert_eq!(ranking.await, expected);
    assert_eq!(server.files(&qingfu).await[0]["pv"], 0);
    let view = "/api/dealfile?cmd=pv";
    assert_eq!(server.code(view, label.clone()).await, 0);
    assert_eq!(server.code(view, qingfu.label(&md5, "other")).await, 1);
    assert_eq!(server.files(&qingfu).await[0]["pv"], 1);
    assert_eq!(server.shared().await[0]["pv"], 1);

    // 12: withdrawing, which only the sharer can.
    let cancel = "/api/dealsharefile?cmd=cancel";
    assert_eq!(server.code(cancel, kings.clone()).await, 1);
    assert_eq!(server.code(cancel, mine.clone()).await, 0);
    assert_eq!(server.code(cancel, mine).await, 1);
    assert_eq!(server.code(save, kings).await, 5);
    assert!(server.shared().await.is_empty());

    // 10: deleting; the bytes go with their last owner.
    let delete = "/api/dealfile?cmd=del";
    assert_eq!(server.code(delete, label.clone()).await, 0);
    assert_eq!(server.code(delete, label).await, 1);
    assert_eq!(server.blobs.ids(), [blob]);
    assert_eq!(server.code(delete, king.label(&md5, "main.cpp")).await, 0);
    assert_eq!(server.blobs.ids(), []);
}

#[tokio::test]
async fn known_content_need_not_be_uploaded() {
    let server = Server::new();
    let (qingfu, king) = (server.user("qingfu").await, server.user("King").await);
    let md5 = md5_of(b"#pragma once");
    // The example's member is fileName.
    let body = |user: &User| {
        let mut body = user.label(&md5, "ui_buttongroup.h");
        let members = body.as_object_mut().unwrap();
        let name = members.remove("filename").unwrap();
        members.insert("fileName".to_owned(), name);
        body
    };
    assert_eq!(server.code("/api/md5", body(&king)).await, 1);
    let uploaded = server.upload(&qingfu, "ui_buttongroup.h", b"#pragma once");
    assert_eq!(uploaded.await, 0);
    assert_eq!(server.code("/api/md5", body(&qingfu)).await, 5);
    assert_eq!(server.code("/api/md5", body(&king)).await, 0);
    assert_eq!(server.code("/api/md5", body(&king)).await, 5);
    let stranger = with(&body(&king), "token", Some(json!("0".repeat(32))));
    assert_eq!(server.code("/api/md5", stranger).await, 4);
    let other_name = qingfu.label(&md5.to_uppercase(), "b.h");
    assert_eq!(server.code("/api/md5", other_name).await, 0);
    assert_eq!(server.files(&qingfu).await.len(), 2);
    assert_eq!(server.blobs.ids().len(), 1);
}

#[tokio::test]
async fn a_picture_share_shows_the_picture_until_it_or_the_file_is_gone() {
    let server = Server::new();
    let (qingfu, king) = (server.user("qingfu").await, server.user("King").await);
    let md5 = md5_of(b"all:");
    assert_eq!(server.upload(&qingfu, "Makefile", b"all:").await, 0);
    let [blob] = server.blobs.ids()[..] else {
        panic!("one blob is stored")
    };
    let share = "/api/sharepic?cmd=share";
    let label = qingfu.label(&md5, "Makefile");
    assert_eq!(server.code(share, with(&label, "token", None)).await, 4);
    assert_eq!(server.code(share, king.label(&md5, "Makefile")).await, 1);
    let mut links = Vec::new();
    for _ in 0..2 {
        let answer = server.call(share, label.clone()).await;
        assert_eq!(members(&answer), ["code", "urlmd5"]);
        let link = answer["urlmd5"].as_str().unwrap().to_owned();
        assert!(link.len() == 32 && link != md5, "{link}");
        links.push(link);
    }
    assert_ne!(links[0], links[1]);

    // 17.2, with the comment that the document's example has.
    let browse = "/api/sharepic?cmd=browse";
    for views in 1..=2 {
        let body = format!("{{\n\"urlmd5\": \"{}\" // 来自请求链接\n}}", links[0]);
        let shown = server.post(browse, body).await.json();
        assert!(is_time(&shown["time"]), "{shown}");
        let expected = json!({
            "code": 0, "url": format!("http://img.example/{blob}"), "user": "qingfu",
            "time": shown["time"], "pv": views
        });
        assert_eq!(shown, expected);
    }

    // 17.3
    let list = server
        .call("/api/sharepic?cmd=normal", qingfu.rows(0, 1))
        .await;
    assert_eq!((&list["count"], &list["total"]), (&json!(1), &json!(2)));
    let row = &list["files"][0];
    let expected = json!({
        "user": "qingfu", "filemd5": md5, "file_name": "Makefile", "urlmd5": links[0],
        "pv": 2, "create_time": row["create_time"], "size": 4
    });
    assert_eq!(row, &expected);

    // 17.4
    let cancel = "/api/sharepic?cmd=cancel";
    let body =
        |user: &User, link: &str| json!({"user": user.name, "token": user.token, "urlmd5": link});
    assert_eq!(server.code(cancel, body(&king, &links[0])).await, 1);
    let stranger = with(&body(&qingfu, &links[0]), "token", Some(json!(king.token)));
    assert_eq!(server.code(cancel, stranger).await, 4);
    assert_eq!(server.code(cancel, body(&qingfu, &links[0])).await, 0);
    assert_eq!(server.code(cancel, body(&qingfu, &links[0])).await, 1);
    assert_eq!(server.code(browse, json!({"urlmd5": links[0]})).await, 1);

    assert_eq!(server.code("/api/dealfile?cmd=del", label).await, 0);
    assert_eq!(server.code(browse, json!({"urlmd5": links[1]})).await, 2);
    let list = server
        .call("/api/sharepic?cmd=normal", qingfu.rows(0, 9))
        .await;
    assert_eq!(
        list,
        json!({"code": 0, "count": 0, "total": 0, "files": []})
    );
    // A link that died stays dead.
    assert_eq!(server.upload(&qingfu, "Makefile", b"all:").await, 0);
    assert_eq!(server.code(browse, json!({"urlmd5": links[1]})).await, 2);
}
