//! Calls of 123pan's open platform: one account, and requests that cost the generator next to nothing.
//! Source: docs/api/pan123.md.

use std::sync::Arc;

use clap::ValueEnum;
use common::client::Address;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::http::HttpLink;
use super::link::OpError;
use super::payload::scramble;
use super::request::{
    BOUNDARY, Contents, Host, PASSWORD, Request, STAMP_LEN, failed, field, hex, last_delimiter,
};
use crate::cli::client::parse_size;
use crate::cli::output::Failure;

/// The content of all files that are made without an upload.
const COMMON_CONTENT: &[u8] = b"a content that many files of 123pan's API have";
/// The last slice of an upload that does not end.
const ONE_BYTE: &[u8] = b"x";

/// What the calls ask for.
#[derive(Debug, clap::Args)]
pub(super) struct PanArgs {
    /// Bytes of a file of pan-sliced and pan-create
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub(super) file_size: u64,

    /// Bytes of a slice of pan-sliced, as the server wants them
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_size)]
    pub(super) slice_size: u64,

    /// Files that pan-sliced uploads at the same time; they share the connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) files_at_once: u16,

    /// Where in the form of a slice its bytes stand; clients differ
    #[arg(long, value_enum, default_value_t = Bytes::Last)]
    pub(super) slice_bytes: Bytes,

    /// What pan-create sends of each upload
    #[arg(long, value_enum, default_value_t = Sent::Nothing)]
    pub(super) send: Sent,
}

/// A place among the fields of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Bytes {
    /// Before the fields
    First,
    /// Behind them
    Last,
}

/// How much of an upload is sent that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sent {
    /// Nothing
    Nothing,
    /// The last of two slices, which has one byte
    LastSlice,
}

/// A call of which a run makes many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PanCall {
    /// An upload in slices begins, and nothing follows, or only its last slice.
    Create,
    /// A new file of content that the server has.
    Reuse,
    /// A file in one request.
    Single,
}

/// The API with an account's token.
#[derive(Debug)]
pub(super) struct Pan {
    host: Host,
    /// The lines that all requests have.
    headers: String,
}

/// A file as it is announced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced<'a> {
    pub(super) name: &'a str,
    pub(super) md5: &'a str,
    pub(super) size: u64,
}

/// A slice as it is sent: bytes that others have too, then some of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice<'a> {
    pub(super) number: u64,
    pub(super) md5: &'a str,
    pub(super) shared: &'a [u8],
    pub(super) own: &'a [u8],
}

/// How an upload began.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    /// Missing if the server has the content.
    #[serde(rename = "preuploadID")]
    pub(super) id: Option<String>,
    #[serde(rename = "sliceSize")]
    pub(super) slice_size: u64,
}

#[derive(Debug, Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Debug, Deserialize)]
struct AccessToken {
    #[serde(rename = "accessToken")]
    access_token: String,
}

#[derive(Debug, Deserialize)]
struct Completed {
    completed: bool,
}

impl Pan {
    /// Makes the account unless it is there, and gets a token.
    pub(super) async fn log_in(
        host: Host,
        account: &str,
        link: &mut HttpLink,
    ) -> Result<Self, Failure> {
        host.register(link, account).await?;
        let platform = "Platform: open_platform\r\n";
        let json = format!(r#"{{"clientID":"{account}","clientSecret":"{PASSWORD}"}}"#);
        let login = host.json("/api/v1/access_token", platform, &json);
        let answer = host.send(link, login).await.map_err(failed)?;
        let AccessToken { access_token } = data(&answer).map_err(failed)?;
        Ok(Self {
            host,
            headers: format!("Authorization: Bearer {access_token}\r\n{platform}"),
        })
    }

    /// Where to connect.
    pub(super) fn address(&self) -> &Arc<Address> {
        self.host.address()
    }

    /// Announces a file.
    pub(super) async fn create(
        &self,
        link: &mut HttpLink,
        file: Announced<'_>,
    ) -> Result<Created, OpError> {
        let Announced { name, md5, size } = file;
        let json =
            format!(r#"{{"parentFileID":0,"filename":"{name}","etag":"{md5}","size":{size}}}"#);
        self.json(link, "/upload/v2/file/create", &json).await
    }

    /// Sends a slice.
    pub(super) async fn slice(
        &self,
        link: &mut HttpLink,
        id: &str,
        slice: Slice<'_>,
        bytes: Bytes,
    ) -> Result<(), OpError> {
        let request = self.slice_request(id, slice, bytes);
        self.host.send(link, request).await.map(drop)
    }

    /// Asks for the end of an upload; whether it is there.
    pub(super) async fn complete(&self, link: &mut HttpLink, id: &str) -> Result<bool, OpError> {
        let json = format!(r#"{{"preuploadID":"{id}"}}"#);
        let path = "/upload/v2/file/upload_complete";
        let Completed { completed } = self.json(link, path, &json).await?;
        Ok(completed)
    }

    /// Uploads a file in one request.
    pub(super) async fn single(
        &self,
        link: &mut HttpLink,
        file: Announced<'_>,
        shared: &[u8],
        own: &[u8],
    ) -> Result<(), OpError> {
        let size = file.size.to_string();
        let fields = [
            ("parentFileID", "0"),
            ("filename", file.name),
            ("etag", file.md5),
            ("size", &size),
        ];
        let path = "/upload/v2/file/single/create";
        let request = self.form(path, &fields, "file", shared, own, Bytes::Last);
        let answer = self.host.send(link, request).await?;
        match data(&answer)? {
            Completed { completed: true } => Ok(()),
            Completed { completed: false } => Err(OpError::Answer),
        }
    }

    fn slice_request<'a>(&self, id: &str, slice: Slice<'a>, bytes: Bytes) -> Request<'a> {
        let number = slice.number.to_string();
        let fields = [
            ("preuploadID", id),
            ("sliceNo", &number),
            ("sliceMD5", slice.md5),
        ];
        let path = "/upload/v2/file/slice";
        self.form(path, &fields, "slice", slice.shared, slice.own, bytes)
    }

    /// A form of fields and the part `file`, whose bytes are `shared` and `own`.
    fn form<'a>(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        file: &str,
        shared: &'a [u8],
        own: &[u8],
        bytes: Bytes,
    ) -> Request<'a> {
        let fields: String = fields
            .iter()
            .map(|(name, value)| field(name, value))
            .collect();
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{file}\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let end = last_delimiter();
        let (begin, end) = match bytes {
            Bytes::First => (part, format!("\r\n{fields}{end}")),
            Bytes::Last => (format!("{fields}{part}"), format!("\r\n{end}")),
        };
        let end = [own, end.as_bytes()].concat();
        self.host.form(path, &self.headers, &begin, shared, end)
    }

    async fn json<T: DeserializeOwned>(
        &self,
        link: &mut HttpLink,
        path: &str,
        json: &str,
    ) -> Result<T, OpError> {
        let request = self.host.json(path, &self.headers, json);
        data(&self.host.send(link, request).await?)
    }
}

/// What a successful answer says.
fn data<T: DeserializeOwned>(answer: &[u8]) -> Result<T, OpError> {
    let Answer { data } = serde_json::from_slice(answer).map_err(|_| OpError::Answer)?;
    Ok(data)
}

/// Uploads that begin and do not end.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenUploads {
    /// Bytes that are announced.
    pub(super) file_size: u64,
    /// Those of a slice, if the last one is sent, which has one byte: then `file_size` does not count.
    pub(super) sent_slice_size: Option<u64>,
}

impl OpenUploads {
    fn size(self) -> u64 {
        match self.sent_slice_size {
            Some(slice_size) => slice_size.saturating_add(1),
            None => self.file_size,
        }
    }
}

/// Everything about the calls of a run in which each operation is one call.
#[derive(Debug)]
pub(super) struct PanCalls {
    pan: Pan,
    call: PanCall,
    seed: u64,
    open: OpenUploads,
    common_md5: String,
    contents: Contents,
}

impl PanCalls {
    /// Prepares the calls. `size` is that of an upload in one request, in bytes.
    pub(super) async fn open(
        pan: Pan,
        call: PanCall,
        seed: u64,
        size: u64,
        open: OpenUploads,
        link: &mut HttpLink,
    ) -> Result<Self, Failure> {
        let calls = Self {
            pan,
            call,
            seed,
            open,
            common_md5: hex(Md5::digest(COMMON_CONTENT).as_slice()),
            contents: Contents::new(seed, if call == PanCall::Single { size } else { 0 }),
        };
        if call == PanCall::Reuse {
            let name = format!("{seed:x}-common.bin");
            let common = calls.common(&name);
            let sent = calls.pan.single(link, common, COMMON_CONTENT, &[]);
            sent.await.map_err(failed)?;
        }
        Ok(calls)
    }

    /// Where to connect.
    pub(super) fn address(&self) -> &Arc<Address> {
        self.pan.address()
    }

    /// Makes the call with number `n`; the bytes of content that it moved.
    pub(super) async fn call(&self, link: &mut HttpLink, n: u64) -> Result<u64, OpError> {
        // Runs with one seed but for different calls do not take each other's names.
        let kind = match self.call {
            PanCall::Create => "begun",
            PanCall::Reuse => "instant",
            PanCall::Single => "single",
        };
        let name = format!("{:x}-{n}.{kind}", self.seed);
        let random = scramble(self.seed.wrapping_add(n));
        match self.call {
            PanCall::Create => self.begin(link, &name, random).await,
            PanCall::Reuse => {
                let created = self.pan.create(link, self.common(&name)).await?;
                match created.id {
                    None => Ok(0),
                    Some(_) => Err(OpError::Answer),
                }
            }
            PanCall::Single => {
                let stamp: [u8; STAMP_LEN] = random.to_be_bytes();
                let file = Announced {
                    name: &name,
                    md5: &self.contents.md5(stamp),
                    size: self.contents.len(),
                };
                let shared = self.contents.shared();
                self.pan.single(link, file, shared, &stamp).await?;
                Ok(self.contents.len())
            }
        }
    }

    /// Begins an upload of no content that there is.
    async fn begin(&self, link: &mut HttpLink, name: &str, random: u64) -> Result<u64, OpError> {
        let md5 = format!("{random:016x}{:016x}", scramble(random));
        let file = Announced {
            name,
            md5: &md5,
            size: self.open.size(),
        };
        let created = self.pan.create(link, file).await?;
        let id = created.id.ok_or(OpError::Answer)?;
        if self.open.sent_slice_size.is_none() {
            return Ok(0);
        }
        let slice = Slice {
            number: 2,
            md5: &hex(Md5::digest(ONE_BYTE).as_slice()),
            shared: ONE_BYTE,
            own: &[],
        };
        self.pan.slice(link, &id, slice, Bytes::Last).await?;
        Ok(1)
    }

    fn common<'a>(&'a self, name: &'a str) -> Announced<'a> {
        Announced {
            name,
            md5: &self.common_md5,
            size: COMMON_CONTENT.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_a_form_with_its_bytes_before_or_behind_its_fields() {
        let pan = Pan {
            host: Host::parse("http://h").unwrap(),
            headers: "A: b\r\n".to_owned(),
        };
        let slice = Slice {
            number: 3,
            md5: "0123",
            shared: b"shared",
            own: b"own",
        };
        let file = "name=\"slice\"; filename=\"slice\"\r\nContent-Type: \
                    application/octet-stream\r\n\r\nsharedown\r\n--";
        let field = "name=\"sliceNo\"\r\n\r\n3\r\n--";
        for order in [Bytes::First, Bytes::Last] {
            let request = pan.slice_request("id", slice, order);
            let all = [request.head.as_slice(), request.shared, &request.tail].concat();
            let text = String::from_utf8(all).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())));
            assert!(body.ends_with("--\r\n"), "{body}");
            let places = [body.find(file).unwrap(), body.find(field).unwrap()];
            assert_eq!(places[0] < places[1], order == Bytes::First, "{body}");
        }
    }

    #[test]
    fn answers_tell_what_the_calls_ask_for() {
        let answer = br#"{"code":0,"message":"ok","data":{"fileID":0,"reuse":false,
            "preuploadID":"x","sliceSize":16777216,"servers":["http://h"]},"x-traceID":""}"#;
        let created: Created = data(answer).unwrap();
        assert_eq!(created.id.as_deref(), Some("x"));
        assert_eq!(created.slice_size, 16_777_216);
        let reused: Created =
            data(br#"{"data":{"fileID":7,"reuse":true,"sliceSize":1,"servers":[]}}"#).unwrap();
        assert_eq!(reused.id, None);
        assert!(data::<Completed>(br#"{"code":0,"data":null}"#).is_err());
    }
}
