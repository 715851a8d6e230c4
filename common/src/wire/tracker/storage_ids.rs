//! The list of node ids (69): lines of `id group address[:port][ rw=mode]`, a page at a time.

use bytes::{BufMut, BytesMut};

use super::ReadWriteMode;
use crate::codec::{CodecError, Reader, Writer};
use crate::id::GroupName;
use crate::limits;
use crate::text::Text;
use crate::wire::{NodeText, WireError, packet};

/// One or two addresses of a node, joined by a comma, each with or without a port.
pub type HostsText = Text<112>;

/// Bytes of lines in one page: a quarter of a packet, and far more than one line.
const PAGE_LEN_MAX: usize = limits::PACKET_LEN_MAX / 4;

/// One node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageIdLine {
    /// Its id.
    pub id: NodeText,
    /// Its group.
    pub group: GroupName,
    /// Its addresses.
    pub hosts: HostsText,
    /// What it may be used for, if the line says so.
    pub mode: Option<ReadWriteMode>,
}

impl StorageIdLine {
    fn parse(line: &[u8]) -> Result<Self, WireError> {
        let mut words = line
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        let mut word = || words.next().ok_or(CodecError::Field("storage id line"));
        let id = Text::from_bytes(word()?)?;
        let group = GroupName::from_bytes(word()?).map_err(WireError::Group)?;
        let hosts = Text::from_bytes(word()?)?;
        let mode = match words.next() {
            None => None,
            Some(word) => Some(mode(word)?),
        };
        Ok(Self {
            id,
            group,
            hosts,
            mode,
        })
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_slice(self.id.as_bytes());
        out.put_u8(b' ');
        out.put_slice(self.group.as_str().as_bytes());
        out.put_u8(b' ');
        out.put_slice(self.hosts.as_bytes());
        if let Some(mode) = self.mode {
            out.put_slice(b" rw=");
            out.put_slice(mode.text().as_bytes());
        }
        out.put_u8(b'\n');
    }
}

fn mode(word: &[u8]) -> Result<ReadWriteMode, CodecError> {
    [
        ReadWriteMode::None,
        ReadWriteMode::Write,
        ReadWriteMode::Read,
        ReadWriteMode::Both,
    ]
    .into_iter()
    .find(|mode| word.strip_prefix(b"rw=") == Some(mode.text().as_bytes()))
    .ok_or(CodecError::Field("rw"))
}

/// A page of the list. A client asks again from `start + lines.len()` until it has `total`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageIds {
    /// Nodes in the whole list.
    pub total: u32,
    /// Those of this page.
    pub lines: Vec<StorageIdLine>,
}

impl StorageIds {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let (total, returned) = (reader.u32()?, reader.u32()?);
        let mut lines = Vec::new();
        for line in reader.rest().split_inclusive(|byte| *byte == b'\n') {
            let line = line
                .strip_suffix(b"\n")
                .ok_or(CodecError::Field("end of the last line"))?;
            lines.push(StorageIdLine::parse(line)?);
        }
        if u32::try_from(lines.len()) != Ok(returned) || total < returned {
            return Err(CodecError::Field("number of lines").into());
        }
        Ok(Self { total, lines })
    }

    /// Appends the packet with as many of `lines` as fit a page. `lines` are those from the requested
    /// start on; the server refuses a start at or beyond `total` before it comes here.
    pub fn encode_page<'a>(
        total: u32,
        lines: impl IntoIterator<Item = &'a StorageIdLine>,
        out: &mut BytesMut,
    ) {
        let mut page = BytesMut::new();
        let mut returned = 0;
        for line in lines {
            line.put(&mut page);
            returned += 1;
            if PAGE_LEN_MAX <= page.len() {
                break;
            }
        }
        packet::response(out, |body: &mut Writer<'_>| {
            body.u32(total);
            body.u32(returned);
            body.bytes(&page);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::HEADER_LEN;

    #[test]
    fn long_lists_come_in_pages() {
        let lines: Vec<_> = (1..5000)
            .map(|id| StorageIdLine {
                id: id.to_string().parse().unwrap(),
                group: "group1".parse().unwrap(),
                hosts: "127.0.0.1:23000".parse().unwrap(),
                mode: (id % 2 == 0).then_some(ReadWriteMode::Read),
            })
            .collect();
        let total = u32::try_from(lines.len()).unwrap();
        let mut received = Vec::new();
        let mut pages = 0;
        while received.len() < lines.len() {
            let mut out = BytesMut::new();
            StorageIds::encode_page(total, &lines[received.len()..], &mut out);
            assert!(out.len() < limits::PACKET_LEN_MAX);
            let page = StorageIds::decode(&out[HEADER_LEN..]).unwrap();
            assert_eq!(page.total, total);
            assert!(!page.lines.is_empty());
            received.extend(page.lines);
            pages += 1;
        }
        assert_eq!(received, lines);
        assert!(1 < pages);
    }

    #[test]
    fn a_list_that_is_cut_or_miscounted_is_refused() {
        for body in [
            b"\0\0\0\x01\0\0\0\x01".as_slice(),
            b"\0\0\0\x01\0\0\0\x011 g h",
            b"\0\0\0\0\0\0\0\x011 g h\n",
            b"\0\0\0\x01\0\0\0\x011 g\n",
            b"\0\0\0\x01\0\0\0\x011 g h rw=x\n",
        ] {
            assert!(StorageIds::decode(body).is_err(), "{body:?}");
        }
        assert!(StorageIds::decode(b"\0\0\0\x01\0\0\0\x011 g h rw=none\n").is_ok());
    }
}
