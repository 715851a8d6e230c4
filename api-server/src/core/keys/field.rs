//! How the parts of keys and values are written.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use common::codec::{CodecError, Reader, Writer};
use common::id::FileId;

use crate::core::id::{
    AccountId, AppNumber, ContentHash, Entry, FileNumber, FolderNumber, Md5, NoteHash, PictureLink,
    ServerKey, Sha1, ShareNumber, TokenHash, UploadId, UploadKeyHash,
};
use crate::core::name::{Email, EntryName, FileName, NickName, Phone, UserName};

/// A part of a key or value.
///
/// Written parts sort as their values do, and no part's bytes begin with another's: so tuples of
/// parts sort by their first difference.
pub(in crate::core) trait Field: Sized {
    fn write(&self, out: &mut Writer<'_>);
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError>;
}

/// Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::core) struct Seconds(pub(in crate::core) u32);

/// Where a client came from: an address as IPv6, IPv4 ones mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct Origin(pub(in crate::core) IpAddr);

impl Field for () {
    fn write(&self, _out: &mut Writer<'_>) {}

    fn read(_reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(())
    }
}

impl Field for bool {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8((*self).into());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(CodecError::Field("truth value")),
        }
    }
}

impl Field for u64 {
    fn write(&self, out: &mut Writer<'_>) {
        out.u64(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.u64()
    }
}

impl Field for Seconds {
    fn write(&self, out: &mut Writer<'_>) {
        out.u32(self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.u32().map(Self)
    }
}

impl Field for Origin {
    fn write(&self, out: &mut Writer<'_>) {
        let address = match self.0 {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        out.bytes(&address.octets());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(Ipv6Addr::from(reader.array::<16>()?).to_canonical()))
    }
}

impl<F: Field> Field for Option<F> {
    fn write(&self, out: &mut Writer<'_>) {
        self.is_some().write(out);
        if let Some(field) = self {
            field.write(out);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        if bool::read(reader)? {
            F::read(reader).map(Some)
        } else {
            Ok(None)
        }
    }
}

macro_rules! numbers {
    ($($Name:ident)+) => {
        $(impl Field for $Name {
            fn write(&self, out: &mut Writer<'_>) {
                out.u64(self.0);
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                reader.u64().map(Self)
            }
        })+
    };
}
numbers!(AccountId AppNumber FileNumber FolderNumber ShareNumber);

macro_rules! digests {
    ($($Name:ident)+) => {
        $(impl Field for $Name {
            fn write(&self, out: &mut Writer<'_>) {
                out.bytes(&self.0);
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                reader.array().map(Self)
            }
        })+
    };
}
digests!(ContentHash Md5 NoteHash PictureLink ServerKey Sha1 TokenHash UploadId UploadKeyHash);

/// Folders sort before files.
impl Field for Entry {
    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Folder(number) => {
                out.u8(1);
                number.write(out);
            }
            Self::File(number) => {
                out.u8(2);
                number.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => FolderNumber::read(reader).map(Self::Folder),
            2 => FileNumber::read(reader).map(Self::File),
            _ => Err(CodecError::Field("entry")),
        }
    }
}

impl Field for u8 {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.u8()
    }
}

impl Field for u32 {
    fn write(&self, out: &mut Writer<'_>) {
        out.u32(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.u32()
    }
}

/// Writes a text that holds no NUL, and one behind it.
pub(super) fn write_text(text: &str, out: &mut Writer<'_>) {
    out.bytes(text.as_bytes());
    out.u8(0);
}

/// Reads what [`write_text`] wrote.
pub(super) fn read_text<T: FromStr>(
    reader: &mut Reader<'_>,
    field: &'static str,
) -> Result<T, CodecError> {
    let rest = reader.clone().rest();
    let len = rest.iter().take_while(|byte| **byte != 0).count();
    let text = reader.take(len)?;
    reader.u8()?;
    let text = std::str::from_utf8(text).map_err(|_| CodecError::Field(field))?;
    text.parse().map_err(|_| CodecError::Field(field))
}

macro_rules! texts {
    ($($Name:ident)+) => {
        $(impl Field for $Name {
            fn write(&self, out: &mut Writer<'_>) {
                write_text(self.as_str(), out);
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                read_text(reader, stringify!($Name))
            }
        })+
    };
}
texts!(UserName NickName Phone Email EntryName FileName);

impl Field for FileId {
    fn write(&self, out: &mut Writer<'_>) {
        write_text(&self.to_string(), out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        read_text(reader, "file id")
    }
}

macro_rules! tuples {
    ($(($($Part:ident),+))+) => {
        $(impl<$($Part: Field),+> Field for ($($Part,)+) {
            #[expect(non_snake_case, reason = "parts are named after their types")]
            fn write(&self, out: &mut Writer<'_>) {
                let ($($Part,)+) = self;
                $($Part.write(out);)+
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok(($($Part::read(reader)?,)+))
            }
        })+
    };
}
tuples!((A)(A, B)(A, B, C)(A, B, C, D));

/// Declares a record: its fields are written in the order in which they stand.
macro_rules! record {
    (
        $(#[doc = $about:literal])+
        $(#[derive($Derived:ident)])?
        $vis:vis $Name:ident { $( $(#[doc = $doc:literal])+ $field:ident: $Type:ty $(as $Wire:ty)?, )+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq $(, $Derived)?)]
        $vis struct $Name {
            $( $(#[doc = $doc])+ pub $field: $Type, )+
        }

        impl $crate::core::keys::Field for $Name {
            fn write(&self, out: &mut ::common::codec::Writer<'_>) {
                $( record!(@write self, $field, out $(, $Wire)?); )+
            }

            fn read(
                reader: &mut ::common::codec::Reader<'_>,
            ) -> Result<Self, ::common::codec::CodecError> {
                $( let $field = record!(@read reader, $Type $(, $Wire)?); )+
                Ok(Self { $($field),+ })
            }
        }
    };
    (@write $self:ident, $field:ident, $out:ident) => {
        $crate::core::keys::Field::write(&$self.$field, $out);
    };
    (@write $self:ident, $field:ident, $out:ident, $Wire:ty) => {
        $crate::core::keys::Field::write(&<$Wire>::from($self.$field), $out);
    };
    (@read $reader:ident, $Type:ty) => {
        <$Type as $crate::core::keys::Field>::read($reader)?
    };
    (@read $reader:ident, $Type:ty, $Wire:ty) => {
        <$Wire as $crate::core::keys::Field>::read($reader)?.0
    };
}
pub(super) use record;

impl From<u32> for Seconds {
    fn from(seconds: u32) -> Self {
        Self(seconds)
    }
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(address)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn written(field: &impl Field) -> Vec<u8> {
        let mut out = BytesMut::new();
        field.write(&mut Writer::new(&mut out));
        out.to_vec()
    }

    #[test]
    fn texts_sort_as_they_should_whatever_follows_them() {
        let row = |name: &str, number| {
            let name: FileName = name.parse().unwrap();
            written(&(name, FileNumber(number)))
        };
        assert!(row("a", u64::MAX) < row("a b", 0));
        assert!(row("a", 9) < row("ab", 0));
        assert!(row("a", 1) < row("a", 2));
    }

    #[test]
    fn addresses_of_both_families_come_back() {
        for text in ["192.0.2.7", "2001:db8::1", "::1"] {
            let origin = Origin(text.parse().unwrap());
            let bytes = written(&origin);
            assert_eq!(Origin::read(&mut Reader::new(&bytes)).unwrap(), origin);
        }
    }

    #[test]
    fn a_text_without_its_end_is_refused() {
        let mut reader = Reader::new(b"name");
        assert!(FileName::read(&mut reader).is_err());
        let mut reader = Reader::new(b"\0");
        assert!(FileName::read(&mut reader).is_err(), "an empty name");
    }
}
