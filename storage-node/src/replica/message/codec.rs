//! Messages as bytes.

use bytes::{Bytes, BytesMut};
use common::codec::{CodecError, Reader, Writer};
use common::digest::Crc32;
use common::id::VolumePath;
use common::limits;

use super::{
    Answer, Carried, ENTRIES_MAX, Entry, FETCHED_MAX, Found, LogPlace, MessageError, Parcel,
    PeerChange, PeerEdit, Request,
};
use crate::format::{Position, Stamp, Version, VolumeNumber};
use crate::store::Says;

/// Ranges of one arrangement.
const RANGES_MAX: usize = limits::ARRANGED_PIECES_MAX;
/// Bytes of a key: a binary remote name.
const KEY_LEN_MAX: usize = 128;

type Decoded<T> = Result<T, CodecError>;

fn put_key(writer: &mut Writer<'_>, key: &[u8]) {
    // Keys are at most `KEY_LEN_MAX` long.
    writer.u8(u8::try_from(key.len()).unwrap_or(u8::MAX));
    writer.bytes(key);
}

fn take_key(reader: &mut Reader<'_>) -> Decoded<Vec<u8>> {
    let len = usize::from(reader.u8()?);
    if KEY_LEN_MAX < len {
        return Err(CodecError::Field("key length"));
    }
    Ok(reader.take(len)?.to_vec())
}

fn put_version(writer: &mut Writer<'_>, version: Version) {
    writer.u64(version.stamp.0);
    writer.u32(version.edit);
}

fn take_version(reader: &mut Reader<'_>) -> Decoded<Version> {
    Ok(Version {
        stamp: Stamp(reader.u64()?),
        edit: reader.u32()?,
    })
}

fn put_place(writer: &mut Writer<'_>, place: LogPlace) {
    writer.u64(place.log);
    writer.u32(place.position.volume.0);
    writer.u64(place.position.offset);
}

fn take_place(reader: &mut Reader<'_>) -> Decoded<LogPlace> {
    Ok(LogPlace {
        log: reader.u64()?,
        position: Position {
            volume: VolumeNumber(reader.u32()?),
            offset: reader.u64()?,
        },
    })
}

fn put_option<T>(writer: &mut Writer<'_>, value: Option<T>, put: impl FnOnce(&mut Writer<'_>, T)) {
    writer.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(writer, value);
    }
}

fn take_option<T>(
    reader: &mut Reader<'_>,
    take: impl FnOnce(&mut Reader<'_>) -> Decoded<T>,
) -> Decoded<Option<T>> {
    match reader.u8()? {
        0 => Ok(None),
        1 => take(reader).map(Some),
        _ => Err(CodecError::Field("presence")),
    }
}

fn take_flag(reader: &mut Reader<'_>) -> Decoded<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::Field("flag")),
    }
}

/// A count of things that take at least `each` bytes of what is left.
fn take_count(reader: &mut Reader<'_>, max: usize, each: usize) -> Decoded<usize> {
    let count = reader.u32()? as usize;
    if max < count || reader.left() < count.saturating_mul(each) {
        return Err(CodecError::Field("count"));
    }
    Ok(count)
}

fn put_count(writer: &mut Writer<'_>, count: usize) {
    writer.u32(u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_entries(writer: &mut Writer<'_>, entries: &[Entry]) {
    put_count(writer, entries.len());
    for entry in entries {
        writer.u8(entry.says as u8);
        put_version(writer, entry.version);
        put_key(writer, &entry.key);
    }
}

fn take_entries(reader: &mut Reader<'_>) -> Decoded<Vec<Entry>> {
    let count = take_count(reader, 2 * ENTRIES_MAX, 14)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let says = Says::from_byte(reader.u8()?);
        entries.push(Entry {
            says: says.ok_or(CodecError::Field("what an entry says"))?,
            version: take_version(reader)?,
            key: take_key(reader)?,
        });
    }
    Ok(entries)
}

impl Carried {
    fn put(&self, writer: &mut Writer<'_>, payload: &mut Bytes) {
        match self {
            Self::Inline(content) => {
                writer.u8(0);
                *payload = content.clone();
            }
            Self::Transfer { id, crc } => {
                writer.u8(1);
                writer.u64(*id);
                writer.u32(crc.0);
            }
        }
    }

    fn take(reader: &mut Reader<'_>, payload: &mut Bytes) -> Decoded<Self> {
        match reader.u8()? {
            0 => Ok(Self::Inline(std::mem::take(payload))),
            1 => Ok(Self::Transfer {
                id: reader.u64()?,
                crc: Crc32(reader.u32()?),
            }),
            _ => Err(CodecError::Field("carried")),
        }
    }
}

impl PeerEdit {
    fn put(&self, writer: &mut Writer<'_>, payload: &mut Bytes) {
        match self {
            Self::Append(content) => {
                writer.u8(0);
                content.put(writer, payload);
            }
            Self::Modify { offset, content } => {
                writer.u8(1);
                writer.u64(*offset);
                content.put(writer, payload);
            }
            Self::Truncate { len } => {
                writer.u8(2);
                writer.u64(*len);
            }
            Self::Rename { key, crc } => {
                writer.u8(3);
                put_key(writer, key);
                writer.u32(crc.0);
            }
            Self::Arrange { key, ranges, crc } => {
                writer.u8(4);
                put_key(writer, key);
                writer.u32(crc.0);
                put_count(writer, ranges.len());
                for range in ranges {
                    writer.u64(range.start);
                    writer.u64(range.end);
                }
            }
        }
    }

    fn take(reader: &mut Reader<'_>, payload: &mut Bytes) -> Decoded<Self> {
        Ok(match reader.u8()? {
            0 => Self::Append(Carried::take(reader, payload)?),
            1 => Self::Modify {
                offset: reader.u64()?,
                content: Carried::take(reader, payload)?,
            },
            2 => Self::Truncate { len: reader.u64()? },
            3 => Self::Rename {
                key: take_key(reader)?,
                crc: Crc32(reader.u32()?),
            },
            4 => {
                let key = take_key(reader)?;
                let crc = Crc32(reader.u32()?);
                let count = take_count(reader, RANGES_MAX, 16)?;
                let mut ranges = Vec::with_capacity(count);
                for _ in 0..count {
                    ranges.push(reader.u64()?..reader.u64()?);
                }
                Self::Arrange { key, ranges, crc }
            }
            _ => return Err(CodecError::Field("edit")),
        })
    }
}

impl PeerChange {
    fn put(&self, writer: &mut Writer<'_>, payload: &mut Bytes) {
        match self {
            Self::Put {
                in_parts,
                content,
                crc,
            } => {
                writer.u8(0);
                writer.u8(u8::from(*in_parts));
                writer.u32(crc.0);
                content.put(writer, payload);
            }
            Self::Edit { base, edit } => {
                writer.u8(1);
                put_version(writer, *base);
                edit.put(writer, payload);
            }
            Self::Metadata(packed) => {
                writer.u8(2);
                put_count(writer, packed.len());
                writer.bytes(packed);
            }
            Self::Delete => writer.u8(3),
        }
    }

    fn take(reader: &mut Reader<'_>, payload: &mut Bytes) -> Decoded<Self> {
        Ok(match reader.u8()? {
            0 => Self::Put {
                in_parts: take_flag(reader)?,
                crc: Crc32(reader.u32()?),
                content: Carried::take(reader, payload)?,
            },
            1 => Self::Edit {
                base: take_version(reader)?,
                edit: PeerEdit::take(reader, payload)?,
            },
            2 => {
                let len = take_count(reader, limits::METADATA_LEN_MAX, 1)?;
                Self::Metadata(reader.take(len)?.to_vec())
            }
            3 => Self::Delete,
            _ => return Err(CodecError::Field("change")),
        })
    }
}

impl Request {
    /// Encodes the request, with the newest stamp of its sender.
    pub fn encode(&self, stamp: Stamp) -> Parcel {
        let mut head = BytesMut::with_capacity(96);
        let mut payload = Bytes::new();
        let mut writer = Writer::new(&mut head);
        writer.u64(stamp.0);
        match self {
            Self::Part {
                transfer,
                path,
                time,
                payload: content,
            } => {
                writer.u8(1);
                writer.u64(*transfer);
                writer.u8(path.0);
                writer.u32(*time);
                payload = content.clone();
            }
            Self::Drop { transfer } => {
                writer.u8(2);
                writer.u64(*transfer);
            }
            Self::Apply {
                path,
                key,
                time,
                version,
                change,
            } => {
                writer.u8(3);
                writer.u8(path.0);
                put_key(&mut writer, key);
                writer.u32(*time);
                put_version(&mut writer, *version);
                change.put(&mut writer, &mut payload);
            }
            Self::Log {
                path,
                from,
                patience,
            } => {
                writer.u8(4);
                writer.u8(path.0);
                writer.u32(*patience);
                put_option(&mut writer, *from, put_place);
            }
            Self::Compare {
                path,
                prefix,
                from,
                to,
                count,
                digest,
            } => {
                writer.u8(5);
                writer.u8(path.0);
                writer.u8(*prefix);
                put_key(&mut writer, from);
                put_option(&mut writer, to.as_deref(), put_key);
                writer.u64(*count);
                writer.bytes(digest);
            }
            Self::Fetch { path, names } => {
                writer.u8(6);
                writer.u8(path.0);
                put_count(&mut writer, names.len());
                for (prefix, key) in names {
                    writer.u8(*prefix);
                    put_key(&mut writer, key);
                }
            }
            Self::Read {
                path,
                key,
                version,
                range,
            } => {
                writer.u8(7);
                writer.u8(path.0);
                put_key(&mut writer, key);
                put_version(&mut writer, *version);
                writer.u64(range.start);
                writer.u64(range.end);
            }
            Self::Decide { source, term } => {
                writer.u8(8);
                writer.u32(*source);
                writer.u64(term.0);
            }
            Self::Ping { version } => {
                writer.u8(9);
                writer.u16(*version);
            }
            Self::Find { path, key } => {
                writer.u8(10);
                writer.u8(path.0);
                put_key(&mut writer, key);
            }
            Self::Take { path, key } => {
                writer.u8(11);
                writer.u8(path.0);
                put_key(&mut writer, key);
            }
        }
        Parcel {
            head: head.freeze(),
            payload,
        }
    }

    /// Decodes a request and its sender's stamp.
    pub fn decode(parcel: Parcel) -> Result<(Stamp, Self), MessageError> {
        let Parcel { head, mut payload } = parcel;
        let mut reader = Reader::new(&head);
        let stamp = Stamp(reader.u64()?);
        let request = match reader.u8()? {
            1 => Self::Part {
                transfer: reader.u64()?,
                path: VolumePath(reader.u8()?),
                time: reader.u32()?,
                payload: std::mem::take(&mut payload),
            },
            2 => Self::Drop {
                transfer: reader.u64()?,
            },
            3 => Self::Apply {
                path: VolumePath(reader.u8()?),
                key: take_key(&mut reader)?,
                time: reader.u32()?,
                version: take_version(&mut reader)?,
                change: PeerChange::take(&mut reader, &mut payload)?,
            },
            4 => Self::Log {
                path: VolumePath(reader.u8()?),
                patience: reader.u32()?,
                from: take_option(&mut reader, take_place)?,
            },
            5 => Self::Compare {
                path: VolumePath(reader.u8()?),
                prefix: reader.u8()?,
                from: take_key(&mut reader)?,
                to: take_option(&mut reader, take_key)?,
                count: reader.u64()?,
                digest: reader.array()?,
            },
            6 => {
                let path = VolumePath(reader.u8()?);
                let count = take_count(&mut reader, FETCHED_MAX, 2)?;
                let mut names = Vec::with_capacity(count);
                for _ in 0..count {
                    names.push((reader.u8()?, take_key(&mut reader)?));
                }
                Self::Fetch { path, names }
            }
            7 => Self::Read {
                path: VolumePath(reader.u8()?),
                key: take_key(&mut reader)?,
                version: take_version(&mut reader)?,
                range: reader.u64()?..reader.u64()?,
            },
            8 => Self::Decide {
                source: reader.u32()?,
                term: Stamp(reader.u64()?),
            },
            // A later version may append to it.
            9 => {
                return Ok((
                    stamp,
                    Self::Ping {
                        version: reader.u16()?,
                    },
                ));
            }
            10 => Self::Find {
                path: VolumePath(reader.u8()?),
                key: take_key(&mut reader)?,
            },
            11 => Self::Take {
                path: VolumePath(reader.u8()?),
                key: take_key(&mut reader)?,
            },
            _ => return Err(CodecError::Field("request").into()),
        };
        reader.finish()?;
        Ok((stamp, request))
    }
}

impl Found {
    fn put(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Nothing => writer.u8(0),
            Self::Later => writer.u8(1),
            Self::Damaged => writer.u8(2),
            Self::Whole {
                version,
                time,
                in_parts,
                crc,
                len,
            } => {
                writer.u8(3);
                put_version(writer, *version);
                writer.u32(*time);
                writer.u8(u8::from(*in_parts));
                writer.u32(crc.0);
                writer.u32(*len);
            }
            Self::Long {
                version,
                time,
                crc,
                len,
            } => {
                writer.u8(4);
                put_version(writer, *version);
                writer.u32(*time);
                put_option(writer, *crc, |writer, crc| writer.u32(crc.0));
                writer.u64(*len);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(match reader.u8()? {
            0 => Self::Nothing,
            1 => Self::Later,
            2 => Self::Damaged,
            3 => Self::Whole {
                version: take_version(reader)?,
                time: reader.u32()?,
                in_parts: take_flag(reader)?,
                crc: Crc32(reader.u32()?),
                len: reader.u32()?,
            },
            4 => Self::Long {
                version: take_version(reader)?,
                time: reader.u32()?,
                crc: take_option(reader, |reader| Ok(Crc32(reader.u32()?)))?,
                len: reader.u64()?,
            },
            _ => return Err(CodecError::Field("found")),
        })
    }
}

impl Answer {
    /// Encodes the answer, with the newest stamp of its sender.
    pub fn encode(&self, stamp: Stamp) -> Parcel {
        let mut head = BytesMut::with_capacity(32);
        let mut payload = Bytes::new();
        let mut writer = Writer::new(&mut head);
        writer.u64(stamp.0);
        match self {
            Self::Done => writer.u8(1),
            Self::Known => writer.u8(2),
            Self::Behind { version } => {
                writer.u8(3);
                put_option(&mut writer, *version, put_version);
            }
            Self::Deleted => writer.u8(4),
            Self::Refused(status) => {
                writer.u8(5);
                writer.u8(*status);
            }
            Self::Log {
                entries,
                next,
                behind,
                is_new,
                live_bytes,
            } => {
                writer.u8(6);
                put_place(&mut writer, *next);
                writer.u64(*behind);
                writer.u8(u8::from(*is_new));
                writer.u64(*live_bytes);
                put_entries(&mut writer, entries);
            }
            Self::Same => writer.u8(7),
            Self::Entries { entries, next } => {
                writer.u8(8);
                put_option(&mut writer, next.as_deref(), |writer, next| {
                    put_key(writer, next);
                });
                put_entries(&mut writer, entries);
            }
            Self::Fetched {
                found,
                payload: content,
            } => {
                writer.u8(9);
                put_count(&mut writer, found.len());
                for found in found {
                    found.put(&mut writer);
                }
                payload = content.clone();
            }
            Self::Range(content) => {
                writer.u8(10);
                payload = content.clone();
            }
            Self::Granted => writer.u8(11),
            Self::Pong { version } => {
                writer.u8(12);
                writer.u16(*version);
            }
            Self::State { blob, tombstone } => {
                writer.u8(13);
                put_option(&mut writer, *blob, put_version);
                put_option(&mut writer, *tombstone, put_version);
            }
            Self::Overruled => writer.u8(14),
        }
        Parcel {
            head: head.freeze(),
            payload,
        }
    }

    /// Decodes an answer and its sender's stamp.
    pub fn decode(parcel: Parcel) -> Result<(Stamp, Self), MessageError> {
        let Parcel { head, payload } = parcel;
        let mut reader = Reader::new(&head);
        let stamp = Stamp(reader.u64()?);
        let answer = match reader.u8()? {
            1 => Self::Done,
            2 => Self::Known,
            3 => Self::Behind {
                version: take_option(&mut reader, take_version)?,
            },
            4 => Self::Deleted,
            5 => Self::Refused(reader.u8()?),
            6 => Self::Log {
                next: take_place(&mut reader)?,
                behind: reader.u64()?,
                is_new: take_flag(&mut reader)?,
                live_bytes: reader.u64()?,
                entries: take_entries(&mut reader)?,
            },
            7 => Self::Same,
            8 => Self::Entries {
                next: take_option(&mut reader, take_key)?,
                entries: take_entries(&mut reader)?,
            },
            9 => {
                let count = take_count(&mut reader, FETCHED_MAX, 1)?;
                let mut found = Vec::with_capacity(count);
                for _ in 0..count {
                    found.push(Found::take(&mut reader)?);
                }
                Self::Fetched { found, payload }
            }
            10 => Self::Range(payload),
            11 => Self::Granted,
            // A later version may append to it.
            12 => {
                return Ok((
                    stamp,
                    Self::Pong {
                        version: reader.u16()?,
                    },
                ));
            }
            13 => Self::State {
                blob: take_option(&mut reader, take_version)?,
                tombstone: take_option(&mut reader, take_version)?,
            },
            14 => Self::Overruled,
            _ => return Err(CodecError::Field("answer").into()),
        };
        reader.finish()?;
        Ok((stamp, answer))
    }
}
