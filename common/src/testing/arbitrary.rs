//! Random values of the vocabulary, for property tests.

use proptest::prelude::*;

use crate::digest::Crc32;
use crate::id::{Extension, GroupName, NewBlob, NodeNumber, RemoteName, SlavePrefix, VolumePath};
use crate::limits;
use crate::text::Text;

/// Any group name.
pub(crate) fn group() -> impl Strategy<Value = GroupName> {
    "[A-Za-z0-9]{1,16}".prop_map(|text| text.parse().unwrap())
}

/// Any extension, also none.
pub(crate) fn extension() -> impl Strategy<Value = Extension> {
    "[A-Za-z0-9._-]{0,6}".prop_map(|text| Extension::from_bytes(text.as_bytes()).unwrap())
}

/// Any slave prefix.
pub(crate) fn prefix() -> impl Strategy<Value = SlavePrefix> {
    "[A-Za-z0-9._-]{1,16}".prop_map(|text| SlavePrefix::from_bytes(text.as_bytes()).unwrap())
}

/// What any new name is made of.
pub(crate) fn new_blob() -> impl Strategy<Value = NewBlob> {
    let size = proptest::option::of(prop_oneof![
        any::<u32>().prop_map(u64::from),
        0..=limits::BLOB_LEN_MAX
    ]);
    let source = 1..=limits::NODE_NUMBER_MAX;
    (
        any::<u8>(),
        source,
        any::<u32>(),
        size,
        any::<u32>(),
        extension(),
        any::<u64>(),
    )
        .prop_map(
            |(path, source, time, size, crc, extension, random)| NewBlob {
                volume_path: VolumePath(path),
                source: NodeNumber::try_from(source).unwrap(),
                time,
                size,
                crc: Crc32(crc),
                extension,
                random,
            },
        )
}

/// Any normal, appender or slave name.
pub(crate) fn name() -> impl Strategy<Value = RemoteName> {
    let slave = proptest::option::of((prefix(), extension()));
    (new_blob(), slave).prop_map(|(new, slave)| {
        let master = RemoteName::generate(&new);
        slave
            .and_then(|(prefix, extension)| master.slave(prefix, extension).ok())
            .unwrap_or(master)
    })
}

/// Any normal or appender name.
pub(crate) fn generated_name() -> impl Strategy<Value = RemoteName> {
    new_blob().prop_map(|new| RemoteName::generate(&new))
}

/// Any text of `len` bytes that may stand in a field.
pub(crate) fn text<const N: usize>(
    len: std::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = Text<N>> {
    proptest::collection::vec(b'!'..=b'~', len).prop_map(|bytes| Text::from_bytes(&bytes).unwrap())
}
