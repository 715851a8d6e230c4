//! Answers as values.

use super::Address;
use super::error::AnswerError;
use crate::codec::Reader;
use crate::digest::Crc32;
use crate::id::{GroupName, VolumePath};
use crate::limits;
use crate::wire::AddressWidth;

/// Where to write a new blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTarget {
    /// The group chosen.
    pub group: GroupName,
    /// The node to send to.
    pub storage: Address,
    /// The slot to name in the upload.
    pub path: VolumePath,
}

/// Everywhere a new blob could be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTargets {
    /// The group chosen.
    pub group: GroupName,
    /// Its nodes that take writes, at least one.
    pub storages: Vec<Address>,
    /// A slot of the first of them.
    pub path: VolumePath,
}

/// What a node says about a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Bytes it has now.
    pub size: u64,
    /// Unix seconds of its last change.
    pub time: u64,
    /// Checksum of its present content.
    pub crc: Crc32,
    /// Address of the node that accepted it; empty if the server does not know.
    pub source: String,
}

impl FileInfo {
    pub(super) fn decode(body: &[u8]) -> Result<Self, AnswerError> {
        let width = [AddressWidth::V4, AddressWidth::V6]
            .into_iter()
            .find(|width| 24 + width.in_record() == body.len())
            .ok_or(AnswerError::Length(body.len()))?;
        let mut reader = Reader::new(body);
        let size = reader.u64()?;
        let time = reader.u64()?;
        // Sign-extended to 64 bits by the original.
        let _sign = reader.u32()?;
        let crc = Crc32(reader.u32()?);
        let source = text(reader.padded(width.in_record())?, "source address")?;
        reader.finish()?;
        Ok(Self {
            size,
            time,
            crc,
            source: source.to_owned(),
        })
    }
}

impl StoreTarget {
    pub(super) fn decode(body: &[u8]) -> Result<Self, AnswerError> {
        let targets = StoreTargets::decode(body)?;
        match <[Address; 1]>::try_from(targets.storages) {
            Ok([storage]) => Ok(Self {
                group: targets.group,
                storage,
                path: targets.path,
            }),
            Err(_) => Err(AnswerError::Length(body.len())),
        }
    }
}

impl StoreTargets {
    pub(super) fn decode(body: &[u8]) -> Result<Self, AnswerError> {
        let (path, rest) = body.split_last().ok_or(AnswerError::Length(0))?;
        let (group, storages) = decode_nodes(rest)?;
        Ok(Self {
            group,
            storages,
            path: VolumePath(*path),
        })
    }
}

/// The answer to a fetch or update query.
pub(super) fn decode_holders(body: &[u8]) -> Result<Vec<Address>, AnswerError> {
    decode_nodes(body).map(|(_, nodes)| nodes)
}

/// A group and addresses with ports. The width of the addresses follows from the length: no answer
/// is long enough to fit both widths.
fn decode_nodes(body: &[u8]) -> Result<(GroupName, Vec<Address>), AnswerError> {
    let mut reader = Reader::new(body);
    let group = reader.padded(limits::GROUP_NAME_LEN_MAX)?;
    let group = GroupName::from_bytes(group).map_err(|_| AnswerError::Field("group"))?;
    let width = [AddressWidth::V4, AddressWidth::V6]
        .into_iter()
        .find(|width| 0 < reader.left() && reader.left().is_multiple_of(width.in_query() + 8))
        .ok_or(AnswerError::Length(body.len()))?;
    let mut nodes = Vec::with_capacity(1);
    while 0 < reader.left() {
        let host = text(reader.padded(width.in_query())?, "storage address")?;
        let port = u16::try_from(reader.u64()?).map_err(|_| AnswerError::Field("port"))?;
        if host.is_empty() {
            return Err(AnswerError::Field("storage address"));
        }
        nodes.push(Address::new(host, port));
    }
    Ok((group, nodes))
}

fn text<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, AnswerError> {
    std::str::from_utf8(bytes).map_err(|_| AnswerError::Field(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(width: usize, hosts: &[&str]) -> Vec<u8> {
        let mut body = b"group1\0\0\0\0\0\0\0\0\0\0".to_vec();
        for host in hosts {
            let mut field = host.as_bytes().to_vec();
            field.resize(width - 1, 0);
            body.extend(field);
            body.extend(23000_u64.to_be_bytes());
        }
        body
    }

    #[test]
    fn both_address_widths_are_recognised_by_length() {
        for width in [16, 46] {
            let hosts = ["10.0.0.1", "10.0.0.2"];
            let decoded = decode_holders(&nodes(width, &hosts)).unwrap();
            let expected = hosts.map(|host| Address::new(host, 23000));
            assert_eq!(decoded, expected);
            let mut one = nodes(width, &["10.0.0.1"]);
            one.push(3);
            let target = StoreTarget::decode(&one).unwrap();
            assert_eq!(target.path, VolumePath(3));
            assert_eq!(target.storage.host(), "10.0.0.1");
        }
    }

    #[test]
    fn answers_without_nodes_or_with_stray_bytes_are_malformed() {
        assert!(decode_holders(&nodes(16, &[])).is_err());
        let mut stray = nodes(16, &["10.0.0.1"]);
        stray.push(0);
        assert!(decode_holders(&stray).is_err());
        assert!(StoreTarget::decode(&[]).is_err());
    }

    #[test]
    fn a_sign_extended_checksum_is_read_right() {
        let mut body = Vec::new();
        body.extend(8_u64.to_be_bytes());
        body.extend(7_u64.to_be_bytes());
        body.extend(0xffff_ffff_af87_6bdb_u64.to_be_bytes());
        body.extend(b"127.0.0.13\0\0\0\0\0\0");
        let info = FileInfo::decode(&body).unwrap();
        assert_eq!((info.size, info.crc), (8, Crc32(0xaf87_6bdb)));
    }
}
