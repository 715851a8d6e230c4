//! A directory with what belongs to nobody beside and inside it.

use std::os::unix::fs::symlink;

use http::Request;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// `secret` beside the directory `site`, and in it plain files, hidden ones and links.
fn site() -> (TempDir, WebDir) {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("site");
    let write = |name: &str, text: &[u8]| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("index.html", b"<title>front</title>");
    write("static/js/main.js", b"run()");
    write("static/empty.css", b"");
    write("a b.txt", b"blank");
    write(".env", b"secret");
    write("static/.git/config", b"secret");
    std::fs::write(home.path().join("secret"), b"secret").unwrap();
    std::fs::create_dir(home.path().join("site2")).unwrap();
    std::fs::write(home.path().join("site2/x"), b"secret").unwrap();
    symlink(home.path().join("secret"), root.join("link.txt")).unwrap();
    symlink(home.path(), root.join("up")).unwrap();
    symlink(home.path().join("site2"), root.join("beside")).unwrap();
    symlink(root.join(".env"), root.join("env.txt")).unwrap();
    symlink(root.join("static/js"), root.join("js")).unwrap();
    (home, WebDir::open(root).unwrap())
}

async fn get(
    web_dir: &WebDir,
    path: &str,
    fields: &[(&str, &str)],
) -> (http::response::Parts, Bytes) {
    let mut request = Request::get(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let (head, body) = web_dir.respond(&head).await.into_parts();
    (head, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn files_and_pages_are_served_with_their_types() {
    let (_home, web_dir) = site();
    for (path, expected, kind) in [
        ("/", "<title>front</title>", "text/html; charset=utf-8"),
        (
            "/index.html",
            "<title>front</title>",
            "text/html; charset=utf-8",
        ),
        ("/login", "<title>front</title>", "text/html; charset=utf-8"),
        (
            "/share?urlmd5=x",
            "<title>front</title>",
            "text/html; charset=utf-8",
        ),
        (
            "/static/js/main.js",
            "run()",
            "text/javascript; charset=utf-8",
        ),
        ("/static/empty.css", "", "text/css; charset=utf-8"),
        ("/a%20b.txt", "blank", "text/plain; charset=utf-8"),
        ("/js/main.js", "run()", "text/javascript; charset=utf-8"),
    ] {
        let (head, body) = get(&web_dir, path, &[]).await;
        assert_eq!(
            (head.status.as_u16(), &*body),
            (200, expected.as_bytes()),
            "{path}"
        );
        assert_eq!(head.headers["content-type"], kind, "{path}");
        assert_eq!(
            head.headers["content-length"],
            expected.len().to_string().as_str()
        );
        let etag = head.headers["etag"].to_str().unwrap();
        let (head, body) = get(&web_dir, path, &[("if-none-match", etag)]).await;
        assert_eq!((head.status.as_u16(), body.len()), (304, 0), "{path}");
    }
}

#[tokio::test]
async fn nothing_outside_and_nothing_hidden_is_served() {
    let (_home, web_dir) = site();
    let long = format!("/{}", "a".repeat(400));
    for path in [
        "/nothing",
        "/static",
        "/static/",
        "/static/js/main.js/x",
        "/../secret",
        "/static/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/static/..%5c..%5csecret",
        "/%2fetc/passwd",
        "//etc/passwd",
        "/./index.html",
        "/static//js/main.js",
        "/.env",
        "/%2eenv",
        "/static/.git/config",
        "/link.txt",
        "/up/secret",
        "/up/site/index.html/../../secret",
        "/beside/x",
        "/env.txt",
        "/index.html%00",
        "/index.html%00.js",
        "/%ff",
        "/C:%5cx",
        long.as_str(),
    ] {
        let (head, body) = get(&web_dir, path, &[]).await;
        assert_eq!(head.status, 404, "{path}");
        assert!(!body.windows(6).any(|bytes| bytes == b"secret"), "{path}");
    }
    // A link that leads around and back inside shows what could be asked for directly.
    let (head, _) = get(&web_dir, "/up/site/index.html", &[]).await;
    assert_eq!(head.status, 200);
}

#[tokio::test]
async fn a_file_of_many_pieces_arrives_whole() {
    let (home, web_dir) = site();
    let bytes: Vec<u8> = (0..200_001)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    std::fs::write(home.path().join("site/big.wasm"), &bytes).unwrap();
    let (head, body) = get(&web_dir, "/big.wasm", &[]).await;
    assert_eq!(head.headers["content-type"], "application/wasm");
    assert!(body == bytes);
}

#[test]
fn a_directory_without_an_index_page_is_refused() {
    let home = tempfile::tempdir().unwrap();
    for directory in [home.path().to_owned(), home.path().join("absent")] {
        let refused = WebDir::open(directory.clone()).unwrap_err().to_string();
        assert!(refused.contains(directory.to_str().unwrap()), "{refused}");
        assert!(refused.contains("remedy"), "{refused}");
    }
}

proptest! {
    #[test]
    fn whatever_is_asked_for_stays_below_the_directory(path in "/[ -~]{0,80}") {
        if let Some(relative) = relative(&path) {
            prop_assert!(relative.is_relative());
            let normal = |part| matches!(part, std::path::Component::Normal(_));
            prop_assert!(relative.components().all(normal), "{relative:?}");
        }
    }
}
