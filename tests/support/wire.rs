//! A client of raw packets. Source: docs/wire.md, framing.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes longer on a machine that lives.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// A longer body is a broken server, not a test.
const BODY_LEN_MAX: u64 = 256 * 1024 * 1024;

pub(crate) const UPLOAD: u8 = 11;
pub(crate) const DELETE: u8 = 12;
pub(crate) const SET_METADATA: u8 = 13;
pub(crate) const DOWNLOAD: u8 = 14;
pub(crate) const GET_METADATA: u8 = 15;
pub(crate) const UPLOAD_SLAVE: u8 = 21;
pub(crate) const FILE_INFO: u8 = 22;
pub(crate) const UPLOAD_APPENDER: u8 = 23;
pub(crate) const APPEND: u8 = 24;
pub(crate) const MODIFY: u8 = 34;
pub(crate) const TRUNCATE: u8 = 36;
pub(crate) const REGENERATE: u8 = 38;
pub(crate) const QUIT: u8 = 82;
pub(crate) const LIST_STORAGES: u8 = 92;
pub(crate) const QUERY_STORE: u8 = 101;
pub(crate) const QUERY_FETCH: u8 = 102;
pub(crate) const ACTIVE_TEST: u8 = 111;

/// The store path byte that lets the storage choose.
pub(crate) const ANY_PATH: u8 = 0xff;

/// Bytes of a group field.
const GROUP_LEN: usize = 16;

/// A connection to a tracker or a storage.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
}

/// An answer, whatever its status.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u8,
    pub(crate) body: Vec<u8>,
}

/// Why an operation has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server said no, and why.
    Status(u8),
    /// The connection broke: it is not known whether the operation took place.
    Broken(#[expect(dead_code, reason = "read by people, in a panic's text")] io::Error),
}

/// The name of a blob as the server gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) group: String,
    pub(crate) name: String,
}

/// Answer to a file-information query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) size: u64,
    pub(crate) time: u64,
    pub(crate) crc: u32,
}

impl Wire {
    /// Connects, with a limit on how long an answer may take.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self { stream })
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request.
    pub(crate) fn request(&mut self, command: u8, flags: u8, body: &[u8]) -> io::Result<()> {
        self.send(&packet(command, flags, body))
    }

    /// Reads an answer and checks what holds for every answer.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let (status, len) = self.head()?;
        let mut body = vec![0; usize::try_from(len).unwrap()];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body })
    }

    /// Reads the header of an answer: status and length of the body.
    pub(crate) fn head(&mut self) -> io::Result<(u8, u64)> {
        let mut header = [0; 10];
        self.stream.read_exact(&mut header)?;
        let [l0, l1, l2, l3, l4, l5, l6, l7, command, status] = header;
        let len = u64::from_be_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        assert_eq!(command, 100, "every answer carries command 100: {header:?}");
        assert!(len <= BODY_LEN_MAX, "an answer of {len} bytes");
        assert!(status == 0 || len == 0, "an error with a body: {header:?}");
        Ok((status, len))
    }

    /// Reads exactly this much of a body.
    pub(crate) fn body(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.stream.read_exact(into)
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, command: u8, body: &[u8]) -> io::Result<Answer> {
        self.request(command, 0, body)?;
        self.answer()
    }

    /// Whether the server closes the connection without sending anything more.
    pub(crate) fn is_closed_by_server(&mut self, limit: Duration) -> bool {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        let mut byte = [0];
        let closed = match self.stream.read(&mut byte) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        };
        self.stream.set_read_timeout(Some(ANSWER_LIMIT)).unwrap();
        closed
    }

    /// Whether the connection still answers.
    pub(crate) fn is_usable(&mut self) -> bool {
        self.ask(ACTIVE_TEST, &[])
            .is_ok_and(|answer| answer.status == 0 && answer.body.is_empty())
    }

    /// Uploads a blob ([`UPLOAD`]) or an appender ([`UPLOAD_APPENDER`]).
    pub(crate) fn upload(
        &mut self,
        command: u8,
        extension: &str,
        content: &[u8],
    ) -> Result<Id, Failure> {
        let body = [&upload_head(extension, content.len() as u64), content].concat();
        Ok(Id::read(&self.done(command, &body)?))
    }

    /// Reads the answer to an upload that was sent piece by piece.
    pub(crate) fn uploaded(&mut self) -> Result<Id, Failure> {
        let answer = self.answer().map_err(Failure::Broken)?;
        match answer.status {
            0 => Ok(Id::read(&answer.body)),
            status => Err(Failure::Status(status)),
        }
    }

    /// Uploads a slave of `master`.
    pub(crate) fn upload_slave(
        &mut self,
        master: &Id,
        prefix: &str,
        extension: &str,
        content: &[u8],
    ) -> Result<Id, Failure> {
        let body = [
            &(master.name.len() as u64).to_be_bytes(),
            &(content.len() as u64).to_be_bytes(),
            padded::<16>(prefix).as_slice(),
            &padded::<6>(extension),
            master.name.as_bytes(),
            content,
        ]
        .concat();
        Ok(Id::read(&self.done(UPLOAD_SLAVE, &body)?))
    }

    /// Appends to an appender.
    pub(crate) fn append(&mut self, id: &Id, content: &[u8]) -> Result<(), Failure> {
        let body = [
            &(id.name.len() as u64).to_be_bytes(),
            &(content.len() as u64).to_be_bytes(),
            id.name.as_bytes(),
            content,
        ]
        .concat();
        self.done_silently(APPEND, &body)
    }

    /// Overwrites a range of an appender.
    pub(crate) fn modify(&mut self, id: &Id, offset: u64, content: &[u8]) -> Result<(), Failure> {
        let body = [
            &(id.name.len() as u64).to_be_bytes(),
            &offset.to_be_bytes(),
            &(content.len() as u64).to_be_bytes(),
            id.name.as_bytes(),
            content,
        ]
        .concat();
        self.done_silently(MODIFY, &body)
    }

    /// Changes the size of an appender.
    pub(crate) fn truncate(&mut self, id: &Id, size: u64) -> Result<(), Failure> {
        let body = [
            &(id.name.len() as u64).to_be_bytes(),
            &size.to_be_bytes(),
            id.name.as_bytes(),
        ]
        .concat();
        self.done_silently(TRUNCATE, &body)
    }

    /// Turns an appender into a normal blob.
    pub(crate) fn regenerate(&mut self, id: &Id) -> Result<Id, Failure> {
        Ok(Id::read(&self.done(REGENERATE, id.name.as_bytes())?))
    }

    /// Deletes a blob.
    pub(crate) fn delete(&mut self, id: &Id) -> Result<(), Failure> {
        self.done_silently(DELETE, &id.field())
    }

    /// Reads a whole blob.
    pub(crate) fn download(&mut self, id: &Id) -> Result<Vec<u8>, Failure> {
        self.download_range(id, 0, 0)
    }

    /// Reads `len` bytes from `offset`; a length of 0 reads to the end.
    pub(crate) fn download_range(
        &mut self,
        id: &Id,
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, Failure> {
        let body = [
            offset.to_be_bytes().as_slice(),
            &len.to_be_bytes(),
            &id.field(),
        ]
        .concat();
        self.done(DOWNLOAD, &body)
    }

    /// Replaces (`O`) or merges (`M`) metadata, given in wire form.
    pub(crate) fn set_metadata(&mut self, id: &Id, flag: u8, pairs: &[u8]) -> Result<(), Failure> {
        let body = [
            &(id.name.len() as u64).to_be_bytes(),
            &(pairs.len() as u64).to_be_bytes(),
            [flag].as_slice(),
            &id.field(),
            pairs,
        ]
        .concat();
        self.done_silently(SET_METADATA, &body)
    }

    /// Reads metadata in wire form.
    pub(crate) fn get_metadata(&mut self, id: &Id) -> Result<Vec<u8>, Failure> {
        self.done(GET_METADATA, &id.field())
    }

    /// Asks for size, time and checksum.
    pub(crate) fn info(&mut self, id: &Id) -> Result<Info, Failure> {
        let body = self.done(FILE_INFO, &id.field())?;
        assert_eq!(body.len(), 40, "file information with a 16-byte address");
        let number =
            |idx: usize| u64::from_be_bytes(body[8 * idx..8 * (idx + 1)].try_into().unwrap());
        let extended = number(2).cast_signed();
        let crc = i32::try_from(extended).expect("the CRC is sign-extended from 32 bits");
        Ok(Info {
            size: number(0),
            time: number(1),
            crc: crc.cast_unsigned(),
        })
    }

    fn done(&mut self, command: u8, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let answer = self.ask(command, body).map_err(Failure::Broken)?;
        match answer.status {
            0 => Ok(answer.body),
            status => Err(Failure::Status(status)),
        }
    }

    fn done_silently(&mut self, command: u8, body: &[u8]) -> Result<(), Failure> {
        let body = self.done(command, body)?;
        assert_eq!(body, b"", "command {command} answers without a body");
        Ok(())
    }
}

impl Id {
    /// As people and URLs write it.
    pub(crate) fn text(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    /// Group field and name, as most requests carry them.
    pub(crate) fn field(&self) -> Vec<u8> {
        [&padded::<GROUP_LEN>(&self.group), self.name.as_bytes()].concat()
    }

    fn read(body: &[u8]) -> Self {
        let (group, name) = body
            .split_at_checked(GROUP_LEN)
            .expect("a group and a name");
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec())
                .expect("ASCII")
                .trim_end_matches('\0')
                .to_owned()
        };
        Self {
            group: text(group),
            name: text(name),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.body.get(..64).unwrap_or(&self.body);
        write!(
            f,
            "status {} with {} bytes: {}",
            self.status,
            self.body.len(),
            shown.escape_ascii()
        )
    }
}

/// A whole request.
pub(crate) fn packet(command: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10 + body.len());
    bytes.extend_from_slice(&(body.len() as u64).to_be_bytes());
    bytes.extend_from_slice(&[command, flags]);
    bytes.extend_from_slice(body);
    bytes
}

/// What stands before the content of an upload to any path.
pub(crate) fn upload_head(extension: &str, size: u64) -> [u8; 15] {
    let mut head = [0; 15];
    head[0] = ANY_PATH;
    head[1..9].copy_from_slice(&size.to_be_bytes());
    head[9..].copy_from_slice(&padded::<6>(extension));
    head
}

/// A text field, padded with NUL.
pub(crate) fn padded<const LEN: usize>(text: &str) -> [u8; LEN] {
    let mut field = [0; LEN];
    field[..text.len()].copy_from_slice(text.as_bytes());
    field
}
