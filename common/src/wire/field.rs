//! Fields that several commands share.

use std::ops::RangeInclusive;

use super::WireError;
use crate::codec::{CodecError, Reader, Writer};
use crate::id::{BlobKind, GroupName, RemoteName};
use crate::limits;
use crate::text::Text;

/// A node's address as text, `127.0.0.1` or `fe80::1`.
pub type AddressText = Text<45>;
/// A node's id as text: its number, or its address on clusters without ids.
pub type NodeText = Text<15>;
/// A software version, such as `6.16.1`.
pub type VersionText = Text<8>;
/// An address and a port, `127.0.0.1:22122` or `[fe80::1]:22122`.
pub type HostText = Text<52>;

/// Bytes of a group field in requests and answers.
pub(super) const GROUP_LEN: usize = limits::GROUP_NAME_LEN_MAX;

/// The group field of a request to a storage node: a bad name is a bad request.
pub(super) fn group(reader: &mut Reader<'_>) -> Result<GroupName, WireError> {
    GroupName::from_bytes(reader.padded(GROUP_LEN)?).map_err(WireError::Group)
}

/// The group field of a request to the tracker, which looks names up and does not judge them.
pub(super) fn looked_up_group(reader: &mut Reader<'_>) -> Result<GroupName, WireError> {
    GroupName::from_bytes(reader.padded(GROUP_LEN)?).map_err(WireError::UnknownGroup)
}

/// Checks the length of a name and parses it.
pub(super) fn name(text: &[u8], allowed: RangeInclusive<usize>) -> Result<RemoteName, WireError> {
    name_len(text.len() as u64, allowed)?;
    Ok(RemoteName::parse(text)?)
}

/// Like [`name`], for a name whose blob is wanted: names inside trunk files are not held here.
pub(super) fn blob_name(
    text: &[u8],
    allowed: RangeInclusive<usize>,
) -> Result<RemoteName, WireError> {
    let name = name(text, allowed)?;
    match name.kind() {
        BlobKind::Trunk => Err(WireError::Trunk),
        BlobKind::Normal | BlobKind::Appender | BlobKind::Slave => Ok(name),
    }
}

/// Checks a declared name length.
pub(super) fn name_len(len: u64, allowed: RangeInclusive<usize>) -> Result<usize, WireError> {
    usize::try_from(len)
        .ok()
        .filter(|len| allowed.contains(len))
        .ok_or(WireError::NameLength {
            len,
            min: *allowed.start(),
            max: *allowed.end(),
        })
}

/// A text field of fixed width, up to its first NUL.
pub(super) fn text<const N: usize>(
    reader: &mut Reader<'_>,
    width: usize,
) -> Result<Text<N>, WireError> {
    Ok(Text::from_bytes(reader.padded(width)?)?)
}

/// An address in a field of `width` bytes. One that does not fit is left out: cut, it could be the
/// address of somebody else.
pub(super) fn put_address(writer: &mut Writer<'_>, address: &AddressText, width: usize) {
    let bytes = address.as_bytes();
    let fitting = if bytes.len() <= width { bytes } else { b"" };
    writer.padded(fitting, width);
}

/// A port in an 8-byte field.
pub(super) fn port(reader: &mut Reader<'_>) -> Result<u16, WireError> {
    let port = reader.u64()?;
    Ok(u16::try_from(port).map_err(|_| CodecError::Field("port"))?)
}

/// A flag byte.
pub(super) fn flag(reader: &mut Reader<'_>) -> Result<bool, WireError> {
    Ok(reader.u8()? != 0)
}
