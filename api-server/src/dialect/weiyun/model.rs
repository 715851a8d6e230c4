//! Answers as they are written: `{"ret", "msg", "data"}`. Source: docs/api/weiyun.md §2.3, §2.5, §3.3,
//! §5.

use serde::Serialize;

use super::ret::Ret;

/// The frame of all answers but those of OAuth 2.0.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<'a> {
    ret: i32,
    msg: &'static str,
    data: &'a Data,
}

impl<'a> Envelope<'a> {
    /// The frame of `data`.
    pub(super) fn new(ret: Ret, data: &'a Data) -> Self {
        Self {
            ret: ret.number(),
            msg: ret.message(),
            data,
        }
    }

    /// As JSON.
    pub(super) fn to_json(&self) -> String {
        // Only maps with keys that are no texts can fail, and these have none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What an answer says besides its code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Data {
    /// Nothing: `{}`.
    Nothing {},
    /// Where the bytes are to go.
    Admission(Box<Admission>),
    /// An entry of a folder.
    Entry(Box<Entry>),
    /// Files of a list.
    List(List),
    /// Where a file can be fetched.
    Download(Box<Download>),
}

/// What a successful application is given. Source: docs/api/weiyun.md §2.3.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Admission {
    /// The upload key's digits.
    pub(super) csum: String,
    pub(super) file_id: String,
    /// A name or an address, without scheme and port.
    pub(super) host: String,
    pub(super) port: u16,
    /// Bytes that are there already, as text.
    pub(super) file_cur_size: String,
}

/// A key is not for logs.
impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission")
            .field("file_id", &self.file_id)
            .field("file_cur_size", &self.file_cur_size)
            .finish_non_exhaustive()
    }
}

/// An entry of a folder. Every value is a text, as in the document. Source: docs/api/weiyun.md §2.5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Entry {
    /// What it is: see [`Attribute`].
    pub(super) file_attr: &'static str,
    pub(super) file_ctime: String,
    /// Bytes that are there.
    pub(super) file_cur_size: String,
    pub(super) file_id: String,
    pub(super) file_md5: String,
    pub(super) file_name: String,
    pub(super) file_sha: String,
    /// Bytes that there will be.
    pub(super) file_size: String,
    /// The key of the folder that it is in.
    pub(super) pdirkey: String,
    /// Where it can be fetched, if it is complete and this is the answer to its upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
}

/// What an entry is, as `file_attr` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Folder,
    File,
}

impl Attribute {
    /// The number, as text.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "1",
            Self::File => "3",
        }
    }
}

/// Files of a list, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct List {
    pub(super) file_total: u64,
    pub(super) content: Vec<Row>,
}

/// A file of a list.
#[expect(clippy::struct_field_names, reason = "the members are the document's")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) file_id: String,
    pub(super) file_name: String,
    pub(super) file_ctime: String,
    pub(super) file_size: u64,
}

/// Where a file can be fetched, and the cookie that permits it.
#[expect(clippy::struct_field_names, reason = "the members are the document's")]
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Download {
    pub(super) dl_encrypt_url: String,
    pub(super) dl_cookie_name: &'static str,
    pub(super) dl_cookie_value: String,
    pub(super) dl_svr_host: String,
    pub(super) dl_svr_port: u16,
}

/// The cookie is not for logs.
impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::time::FileTime;
    use super::*;

    #[test]
    fn nothing_is_an_empty_object() {
        let json = Envelope::new(Ret::Login, &Data::Nothing {}).to_json();
        assert_eq!(
            json,
            r#"{"ret":100014,"msg":"the login check failed","data":{}}"#
        );
    }

    #[test]
    fn an_admission_has_the_members_of_the_documents_sample() {
        let data = Data::Admission(Box::new(Admission {
            csum: "32e5".to_owned(),
            file_id: "8fb2cfad-67a9-49a8-b6b1-40014b57dbd7".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 8080,
            file_cur_size: "0".to_owned(),
        }));
        let expected = concat!(
            r#"{"ret":0,"msg":"ok","data":{"csum":"32e5","#,
            r#""file_id":"8fb2cfad-67a9-49a8-b6b1-40014b57dbd7","#,
            r#""host":"127.0.0.1","port":8080,"file_cur_size":"0"}}"#
        );
        assert_eq!(Envelope::new(Ret::Ok, &data).to_json(), expected);
    }

    #[test]
    fn an_entry_has_texts_only_and_a_link_only_when_it_was_uploaded() {
        let mut entry = Entry {
            file_attr: Attribute::File.as_str(),
            file_ctime: FileTime::of_seconds(0).to_string(),
            file_cur_size: "0".to_owned(),
            file_id: "bb58fc0e-af02-454b-81ed-c1dfcecf5961".to_owned(),
            file_md5: "076e3caed758a1c18c91a0e9cae3368f".to_owned(),
            file_name: "d1.jpg".to_owned(),
            file_sha: "f5f8ad26819a471318d24631fa5055036712a87e".to_owned(),
            file_size: "879394".to_owned(),
            pdirkey: "4b7c321637e8951db1089abfc0069610".to_owned(),
            url: None,
        };
        let json = |entry: &Entry| {
            let data = Data::Entry(Box::new(entry.clone()));
            let json = Envelope::new(Ret::NameTaken, &data).to_json();
            serde_json::from_str::<serde_json::Value>(&json).unwrap()
        };
        let found = json(&entry);
        let data = found["data"].as_object().unwrap();
        let mut names: Vec<_> = data.keys().map(String::as_str).collect();
        names.sort_unstable();
        let documented = [
            "file_attr",
            "file_ctime",
            "file_cur_size",
            "file_id",
            "file_md5",
            "file_name",
            "file_sha",
            "file_size",
            "pdirkey",
        ];
        assert_eq!(names, documented);
        assert!(data.values().all(serde_json::Value::is_string));
        assert_eq!(
            (&found["ret"], &data["file_attr"]),
            (&1051.into(), &"3".into())
        );
        entry.url = Some("http://127.0.0.1/group1/M00/00/00/x.jpg".to_owned());
        assert!(json(&entry)["data"]["url"].is_string());
    }
}
