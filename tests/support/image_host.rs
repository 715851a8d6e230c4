//! A client of the image-host API: JSON calls and the two forms of an upload.
//! Source: docs/api/image-host.md §4, §5.

use std::io;

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::http::{Http, HttpAnswer};

/// The MD5 of `123456`, which the document sends as the password.
pub(crate) const PASSWORD: &str = "e10adc3949ba59abbe56e057f20f883e";

/// A digest of nothing that is stored, and a token of nobody.
pub(crate) const NO_MD5: &str = "0123456789abcdef0123456789abcdef";

/// Rows of one call; the tests have fewer.
pub(crate) const ALL: u64 = 100_000;

/// The delimiter of the document's upload, which ends no content of ours.
const DELIMITER: &str = "------WebKitFormBoundarynHRBTFoUv<p3Tewg";

/// Somebody who is logged in, on a connection of their own.
#[derive(Debug)]
pub(crate) struct Client {
    http: Http,
    pub(crate) user: String,
    pub(crate) token: String,
}

impl Client {
    /// Somebody who has no session yet.
    pub(crate) fn stranger(http: Http, user: &str) -> Self {
        Self {
            http,
            user: user.to_owned(),
            token: String::new(),
        }
    }

    /// Makes an account and logs in.
    pub(crate) fn register(http: Http, user: &str) -> Self {
        let mut client = Self::stranger(http, user);
        let account = json!({"userName": user, "nickName": user, "firstPwd": PASSWORD});
        assert_eq!(client.ask("/api/reg", &account).unwrap()["code"], 0);
        client.log_in();
        client
    }

    /// Begins a session.
    pub(crate) fn log_in(&mut self) {
        let login = json!({"user": self.user, "pwd": PASSWORD});
        let answer = self.ask("/api/login", &login).unwrap();
        assert_eq!(answer["code"], 0, "{answer}");
        self.token = answer["token"].as_str().unwrap().to_owned();
    }

    /// The same user on a new connection, as after a restart.
    pub(crate) fn reconnect(&mut self, http: Http) {
        self.http = http;
    }

    /// What links begin with, after the scheme.
    pub(crate) fn host(&self) -> &str {
        self.http.host()
    }

    /// A call and its answer. An error says that the connection broke.
    pub(crate) fn ask(&mut self, target: &str, body: &Value) -> io::Result<Value> {
        Ok(json_of(&self.post(target, &body.to_string())?))
    }

    /// A call about one's own files, by the token.
    pub(crate) fn ask_as_owner(&mut self, target: &str, label: &Label) -> io::Result<u64> {
        let (user, token) = (&self.user, &self.token);
        let body = json!({
            "user": user, "token": token, "md5": label.md5, "filename": label.name,
        });
        Ok(code_of(&self.ask(target, &body)?))
    }

    /// A call about a share, as the document shows it: by the user's name, without a token.
    pub(crate) fn ask_by_name(&mut self, target: &str, label: &Label) -> io::Result<u64> {
        let body = json!({"user": self.user, "md5": label.md5, "filename": label.name});
        Ok(code_of(&self.ask(target, &body)?))
    }

    /// A list of one's own, of which all rows are asked for; the number of rows must be the total.
    pub(crate) fn own_list(&mut self, target: &str) -> io::Result<Vec<Value>> {
        let body = json!({"user": self.user, "token": self.token, "start": 0, "count": ALL});
        let answer = self.ask(target, &body)?;
        Ok(rows_of(&answer))
    }

    /// A list that is everybody's.
    pub(crate) fn public_list(&mut self, target: &str) -> io::Result<Vec<Value>> {
        let answer = self.ask(target, &json!({"start": 0, "count": ALL}))?;
        Ok(rows_of(&answer))
    }

    /// Uploads in the document's format, as it shows: without a token.
    pub(crate) fn upload(&mut self, name: &str, content: &[u8]) -> io::Result<u64> {
        let answer = self.upload_answer(name, content)?;
        Ok(code_of(&json_of(&answer)))
    }

    /// The same, whatever the answer is.
    pub(crate) fn upload_answer(&mut self, name: &str, content: &[u8]) -> io::Result<HttpAnswer> {
        let body = literal(&self.user, name, content);
        self.send("/api/upload", "application/octet-stream", &body)
    }

    /// POST of a text as JSON.
    pub(crate) fn post(&mut self, target: &str, body: &str) -> io::Result<HttpAnswer> {
        self.send(target, "application/json", body.as_bytes())
    }

    /// POST of bytes.
    pub(crate) fn send(
        &mut self,
        target: &str,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<HttpAnswer> {
        let headers = [("Content-Type", content_type)];
        self.http.ask("POST", target, &headers, Some(body))
    }

    /// The connection itself.
    pub(crate) fn http(&mut self) -> &mut Http {
        &mut self.http
    }

    /// GET of a path, or of a link to this server.
    pub(crate) fn get(&mut self, target: &str) -> io::Result<HttpAnswer> {
        let target = target.split_once("://").map_or(target, |(_, rest)| {
            rest.strip_prefix(self.http.host()).unwrap_or(target)
        });
        self.http.ask("GET", target, &[], None)
    }
}

/// What calls name a file by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Label {
    pub(crate) md5: String,
    pub(crate) name: String,
}

impl Label {
    /// The label of this content under this name.
    pub(crate) fn new(name: &str, content: &[u8]) -> Self {
        Self {
            md5: md5_hex(content),
            name: name.to_owned(),
        }
    }
}

/// The MD5 of a content, as calls name it.
pub(crate) fn md5_hex(content: &[u8]) -> String {
    format!("{:032x}", u128::from_be_bytes(Md5::digest(content).into()))
}

/// Whether a text is as tokens and links are: 32 hexadecimal digits in lower case.
pub(crate) fn is_hex_of_128_bits(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The answer of a call, which came with status 200 and as JSON.
pub(crate) fn json_of(answer: &HttpAnswer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kind = answer.header("content-type");
    assert_eq!(kind, "application/json;charset=utf-8");
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{:?}", answer.text()))
}

/// The path of a link, whatever server it leads to.
pub(crate) fn path_of(link: &str) -> &str {
    let (_, rest) = link.split_once("://").unwrap();
    rest.find('/').map_or("/", |start| &rest[start..])
}

/// The code of an answer; one that fails says nothing else.
pub(crate) fn code_of(answer: &Value) -> u64 {
    let code = answer["code"].as_u64().expect("an integer");
    let members = answer.as_object().expect("an object").len();
    assert!(code == 0 || members == 1, "{answer}");
    code
}

fn rows_of(answer: &Value) -> Vec<Value> {
    assert_eq!(code_of(answer), 0);
    let rows = answer["files"].as_array().unwrap().clone();
    assert_eq!(answer["count"], rows.len(), "rows of {answer}");
    assert_eq!(answer["total"], rows.len(), "the total is the list's");
    rows
}

/// An upload in the document's format.
pub(crate) fn literal(user: &str, name: &str, content: &[u8]) -> Vec<u8> {
    let (md5, size) = (md5_hex(content), content.len());
    literal_as(
        &format!(r#"user="{user}" filename="{name}" md5="{md5}" size={size}"#),
        content,
    )
}

/// An upload in the document's format, with any parameters.
pub(crate) fn literal_as(parameters: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "{DELIMITER}\r\nContent-Disposition: form-data; {parameters}\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let end = format!("\r\n{DELIMITER}");
    [head.as_bytes(), content, end.as_bytes()].concat()
}

/// An upload as browsers send it, for the boundary `browser`: the file, then the fields.
pub(crate) fn ordinary(name: &str, content: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = format!(
        "--browser\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    for (field, value) in fields {
        let part = format!(
            "\r\n--browser\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}"
        );
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(b"\r\n--browser--\r\n");
    body
}

/// The content type of [`ordinary`].
pub(crate) const ORDINARY: &str = "multipart/form-data; boundary=browser";
