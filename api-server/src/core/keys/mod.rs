//! Every key of the catalog. The one drawing of the layout is docs/format/catalog.md.
//!
//! A key is one byte for its type and then fields; numbers are big-endian, so keys sort by them. A
//! value is one byte for its version and then fields. Each type has a file with its table, its record
//! and a test that both come back as they were written.

mod field;

mod account;
mod account_name;
mod account_session;
mod app;
mod content;
mod content_md5;
mod content_sha1;
mod copy;
mod counter;
mod entry;
mod file;
mod file_label;
mod file_picture;
mod folder;
mod grant;
mod leftover;
mod note;
mod orphan;
mod picture;
mod server_key;
mod session;
mod share;
mod share_label;
mod slice;
mod trash;
mod tree_task;
mod upload;
mod upload_key;
mod usage;

use std::ops::ControlFlow;

use bytes::BytesMut;
use common::codec::{CodecError, Reader, Writer};

use super::catalog::{CatalogError, Direction, Transaction, View};
use super::id::AccountId;

pub(super) use account::Accounts;
pub use account::{AccountRecord, PasswordHash, Standing};
pub(super) use account_name::AccountNames;
pub(super) use account_session::{AccountSessionRecord, AccountSessions};
pub use app::{AppRecord, AppSecret, Scopes};
pub(super) use app::{Apps, AppsOfAccount};
pub use content::ContentRecord;
pub(super) use content::Contents;
pub(super) use content_md5::ContentsByMd5;
pub(super) use content_sha1::ContentsBySha1;
pub use copy::CopyState;
pub(super) use copy::{CopyItem, CopyItems, CopyTask, CopyTasks};
pub(super) use counter::{Counter, Counters};
pub(super) use entry::{Entries, EntriesByNumber, EntryKind, Presence};
pub(super) use field::{Field, Origin, Seconds};
pub use file::FileRecord;
pub(super) use file::{Files, FilesByName, FilesBySize, FilesByViews, Order};
pub(super) use file_label::FileLabels;
pub(super) use file_picture::PicturesOfFile;
pub use folder::FolderRecord;
pub(super) use folder::Folders;
pub use grant::{GrantKind, GrantRecord};
pub(super) use grant::{Grants, GrantsOfAccount};
pub(super) use leftover::{GrantsLeft, SlicesLeft};
pub(super) use note::{Notes, NotesByDue};
pub(super) use orphan::Orphans;
pub use orphan::{OrphanRecord, OrphanState};
pub use picture::PictureRecord;
pub(super) use picture::{Pictures, PicturesOfAccount};
pub(super) use server_key::ServerKeys;
pub use session::SessionRecord;
pub(super) use session::Sessions;
pub use share::ShareRecord;
pub(super) use share::{Shares, SharesByViews};
pub(super) use share_label::ShareLabels;
pub use slice::SliceRecord;
pub(super) use slice::Slices;
pub(super) use trash::{Trash, TrashRecord, TrashedFiles};
pub(super) use tree_task::TreeTasks;
pub(super) use tree_task::{TreeTask, TreeTaskKind};
pub use upload::{Conflict, HashState, UploadKind, UploadRecord, UploadState};
pub(super) use upload::{Uploads, UploadsByDue, UploadsByName, UploadsOfAccount};
pub(super) use upload_key::{UploadKeys, UploadKeysOfUpload};
pub(super) use usage::{UsageRecord, Usages};

/// The first byte of a key. The values are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum KeyType {
    Account = b'A',
    AccountName = b'a',
    App = b'X',
    AppOfAccount = b'x',
    Content = b'C',
    ContentMd5 = b'c',
    ContentSha1 = b'd',
    CopyItem = b't',
    CopyTask = b'b',
    Entry = b'E',
    EntryByNumber = b'e',
    File = b'F',
    FileLabel = b'f',
    FileByName = b'N',
    FileBySize = b'Z',
    FileByViews = b'V',
    Folder = b'D',
    TrashedFile = b'G',
    Grant = b'K',
    GrantOfAccount = b'k',
    GrantsLeft = b'g',
    Note = b'i',
    NoteByDue = b'j',
    ServerKey = b'Y',
    Slice = b'B',
    SlicesLeft = b'o',
    Trash = b'T',
    TreeTask = b'J',
    Upload = b'U',
    UploadByDue = b'y',
    UploadByName = b'L',
    UploadKey = b'l',
    UploadKeyOfUpload = b'm',
    UploadOfAccount = b'v',
    Share = b'H',
    ShareLabel = b'h',
    ShareByViews = b'W',
    Counter = b'n',
    Orphan = b'O',
    Picture = b'P',
    PictureOfAccount = b'p',
    PictureOfFile = b'q',
    Rank = super::catalog::COUNTS,
    Session = b'S',
    AccountSession = b's',
    Usage = b'u',
}

/// A kind of entry.
pub(super) trait Table {
    const TYPE: KeyType;
    /// Version of the value.
    const VERSION: u8 = 1;
    type Key: Field;
    type Value: Field;
}

/// A key's fields and its record.
pub(super) type Entry<T> = (<T as Table>::Key, <T as Table>::Value);

/// The key of an entry, or the beginning of the keys of several.
pub(super) fn key(key_type: KeyType, fields: &impl Field) -> Vec<u8> {
    let mut out = BytesMut::with_capacity(64);
    let mut writer = Writer::new(&mut out);
    writer.u8(key_type as u8);
    fields.write(&mut writer);
    out.to_vec()
}

/// The value of an entry.
pub(super) fn value<T: Table>(record: &T::Value) -> Vec<u8> {
    let mut out = BytesMut::with_capacity(256);
    let mut writer = Writer::new(&mut out);
    writer.u8(T::VERSION);
    record.write(&mut writer);
    out.to_vec()
}

/// Fields that are a key's part or a list's sort key.
pub(super) fn bytes(fields: &impl Field) -> Vec<u8> {
    let mut out = BytesMut::with_capacity(64);
    fields.write(&mut Writer::new(&mut out));
    out.to_vec()
}

/// The record of a value.
pub(super) fn decode<T: Table>(key: &[u8], value: &[u8]) -> Result<T::Value, CatalogError> {
    let mut reader = Reader::new(value);
    let record = reader.u8().and_then(|version| {
        if version != T::VERSION {
            return Err(CodecError::Field("version"));
        }
        let record = T::Value::read(&mut reader)?;
        reader.finish()?;
        Ok(record)
    });
    record.map_err(|error| malformed(key, error))
}

/// Fields of a key behind `skip` bytes.
pub(super) fn decode_fields<F: Field>(key: &[u8], skip: usize) -> Result<F, CatalogError> {
    let mut reader = Reader::new(key);
    let fields = reader.take(skip).and_then(|_| {
        let fields = F::read(&mut reader)?;
        reader.finish()?;
        Ok(fields)
    });
    fields.map_err(|error| malformed(key, error))
}

/// The record of a key, if there is one.
pub(super) fn get<T: Table>(
    view: &dyn View,
    fields: &T::Key,
) -> Result<Option<T::Value>, CatalogError> {
    let key = key(T::TYPE, fields);
    match view.get(&key)? {
        Some(value) => decode::<T>(&key, &value).map(Some),
        None => Ok(None),
    }
}

/// The record of a key that another entry promises.
pub(super) fn get_promised<T: Table>(
    view: &dyn View,
    fields: &T::Key,
) -> Result<T::Value, CatalogError> {
    get::<T>(view, fields)?.ok_or(CatalogError::Contradiction(
        "an entry leads to one that is not there",
    ))
}

pub(super) fn put<T: Table>(
    tx: &mut dyn Transaction,
    fields: &T::Key,
    record: &T::Value,
) -> Result<(), CatalogError> {
    tx.put(&key(T::TYPE, fields), &value::<T>(record))
}

pub(super) fn delete<T: Table>(
    tx: &mut dyn Transaction,
    fields: &T::Key,
) -> Result<(), CatalogError> {
    tx.delete(&key(T::TYPE, fields))
}

/// The entries whose keys begin with `prefix`, at most `max`, in their order.
pub(super) fn scan<T: Table>(
    view: &dyn View,
    prefix: &impl Field,
    max: usize,
) -> Result<Vec<Entry<T>>, CatalogError> {
    scan_after::<T>(view, prefix, None, max)
}

/// Like [`scan`], but only those behind `after`.
pub(super) fn scan_after<T: Table>(
    view: &dyn View,
    prefix: &impl Field,
    after: Option<&T::Key>,
    max: usize,
) -> Result<Vec<Entry<T>>, CatalogError> {
    let first = key(T::TYPE, prefix);
    let to = successor(&first).unwrap_or_default();
    let from = after.map_or(first, |after| {
        let mut from = key(T::TYPE, after);
        from.push(0);
        from
    });
    collect::<T>(view, [&from, &to], Direction::Ascending, max)
}

/// The accounts that keys of a table begin with, at most `max` of those behind `after`, by one look for
/// each. `end` is the last key that an account can have, and `owner` whose a key is.
pub(super) fn owners<T: Table>(
    view: &dyn View,
    after: Option<AccountId>,
    max: usize,
    end: impl Fn(AccountId) -> T::Key,
    owner: impl Fn(&T::Key) -> AccountId,
) -> Result<Vec<AccountId>, CatalogError> {
    let mut found = Vec::new();
    let mut last = after;
    while found.len() < max {
        let behind = last.map(&end);
        let next = scan_after::<T>(view, &(), behind.as_ref(), 1)?;
        let Some((key, _)) = next.first() else {
            break;
        };
        let account = owner(key);
        found.push(account);
        last = Some(account);
    }
    Ok(found)
}

/// The last entries whose keys begin with `prefix` and do not come before `from`, at most `max`, the last
/// one first.
pub(super) fn scan_back<T: Table>(
    view: &dyn View,
    prefix: &impl Field,
    from: &T::Key,
    max: usize,
) -> Result<Vec<Entry<T>>, CatalogError> {
    let to = successor(&key(T::TYPE, prefix)).unwrap_or_default();
    let from = key(T::TYPE, from);
    collect::<T>(view, [&from, &to], Direction::Descending, max)
}

fn collect<T: Table>(
    view: &dyn View,
    [from, to]: [&[u8]; 2],
    direction: Direction,
    max: usize,
) -> Result<Vec<Entry<T>>, CatalogError> {
    let mut found = Vec::new();
    let mut malformed = None;
    view.scan(from, to, direction, &mut |key, value| {
        if max <= found.len() {
            return ControlFlow::Break(());
        }
        let entry = decode_fields::<T::Key>(key, 1)
            .and_then(|fields| Ok((fields, decode::<T>(key, value)?)));
        match entry {
            Ok(entry) => {
                found.push(entry);
                ControlFlow::Continue(())
            }
            Err(error) => {
                malformed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    malformed.map_or(Ok(found), Err)
}

/// The first key behind all that begin with `prefix`; none if there is no such key.
pub(super) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if let Some(larger) = last.checked_add(1) {
            next.push(larger);
            return Some(next);
        }
    }
    None
}

pub(super) fn malformed(key: &[u8], source: CodecError) -> CatalogError {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(2 * key.len());
    for byte in key {
        let _ = write!(text, "{byte:02x}");
    }
    CatalogError::Entry { key: text, source }
}

#[cfg(test)]
pub(super) mod testing {
    //! What the test of each table checks.

    use std::fmt::Debug;

    use super::*;

    /// Key and value come back as they were written, and a value of another version is refused.
    pub(in super::super) fn check_table<T: Table>(fields: &T::Key, record: &T::Value)
    where
        T::Key: Debug + PartialEq,
        T::Value: Debug + PartialEq,
    {
        let key = key(T::TYPE, fields);
        assert_eq!(decode_fields::<T::Key>(&key, 1).unwrap(), *fields);
        let mut value = value::<T>(record);
        assert_eq!(decode::<T>(&key, &value).unwrap(), *record);
        for cut in 0..value.len() {
            assert!(decode::<T>(&key, &value[..cut]).is_err(), "cut to {cut}");
        }
        value[0] += 1;
        assert!(decode::<T>(&key, &value).is_err());
    }

    #[test]
    fn the_successor_is_behind_everything_with_the_prefix() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(successor(&[255]), None);
    }
}
