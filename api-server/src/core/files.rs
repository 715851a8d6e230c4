//! A user's files, and the lists of all of them, whatever folder they are in.

use std::collections::hash_map::{self, HashMap};
use std::ops::ControlFlow;

use common::id::FileId;

use super::accounts;
use super::catalog::{CatalogError, Direction, Transaction, View};
use super::contents::{self, ContentRecord};
use super::error::CoreError;
use super::id::{AccountId, ContentHash, Entry, FileNumber, FolderNumber, Md5, Sha1};
use super::keys::{
    self, Contents, FileLabels, Files, FilesByName, FilesBySize, FilesByViews, KeyType, Order,
    TrashedFiles, Usages,
};
use super::moment::Moment;
use super::name::{EntryName, FileName};
use super::page::Page;
use super::ranked::List;
use super::tree::{self, Growth};
use super::{pictures, shares, trash};

pub use super::keys::{Conflict, FileRecord};

/// Names that one call of [`search`] looks at, at most.
pub const SEARCH_STEPS_MAX: u64 = 5_000;

/// Files of one MD5 that are looked at for some content.
const COLLISIONS_SEEN_MAX: usize = 16;

/// A file in a list.
pub type FileRow = (FileNumber, FileRecord);

/// How a list of files is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOrder {
    /// By when they were added.
    Created,
    /// By name, in the order of code points.
    Name,
    /// By size.
    Size,
    /// By views; among equals the oldest comes first in both directions.
    Views,
}

/// How a new file is called, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// It has this label, which nothing changes, and is in the root under a free name like it.
    Label(FileName),
    /// It is in a folder, and has a free label like its name.
    Place(Place),
}

/// A place in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: FolderNumber,
    /// The name in it.
    pub name: EntryName,
    /// What if the name is taken.
    pub conflict: Conflict,
}

impl Naming {
    /// What its blob's extension is taken from.
    pub fn text(&self) -> &str {
        match self {
            Self::Label(label) => label.as_str(),
            Self::Place(place) => place.name.as_str(),
        }
    }
}

/// Adds a file whose content is in the catalog. It gets `number`, if that was reserved for it.
///
/// # Errors
///
/// [`CoreError::FileExists`] if the user has the label with these bytes; [`CoreError::Collision`] if
/// the user has a file of this label and MD5 with other bytes; those of [`check_place`];
/// [`CoreError::OverQuota`], [`CoreError::TooManyEntries`].
pub(super) fn add(
    tx: &mut dyn Transaction,
    account: AccountId,
    naming: &Naming,
    number: Option<FileNumber>,
    hash: ContentHash,
    content: &ContentRecord,
    moment: Moment,
) -> Result<FileNumber, CoreError> {
    let (folder, entry, replaced) = match naming {
        Naming::Label(label) => {
            let key = (account, content.md5, label.clone());
            if let Some(number) = keys::get::<FileLabels>(tx, &key)? {
                let file = keys::get_promised::<Files>(tx, &(account, number))?;
                return Err(if file.content == hash {
                    CoreError::FileExists
                } else {
                    CoreError::Collision
                });
            }
            let root = FolderNumber::ROOT;
            let name = tree::free_name(tx, account, root, EntryName::like(label))?;
            (root, name, None)
        }
        Naming::Place(place) => {
            let replaced = check_place(tx, account, place)?;
            let name = match place.conflict {
                Conflict::Refuse | Conflict::Replace => place.name.clone(),
                Conflict::Keep => tree::free_name(tx, account, place.folder, place.name.clone())?,
            };
            (place.folder, name, replaced)
        }
    };
    // Before a file of the same content may go, which would take the content with it.
    contents::retain(tx, hash, content)?;
    if let Some(replaced) = replaced {
        remove(tx, account, replaced, moment.now)?;
    }
    accounts::check_room(tx, account, content.size, 0)?;
    let label = match naming {
        Naming::Label(label) => label.clone(),
        Naming::Place(_) => free_label(tx, account, content.md5, entry.label())?,
    };
    let mut usage = accounts::usage(tx, account)?;
    let number = number.unwrap_or_else(|| {
        usage.last_number += 1;
        FileNumber(usage.last_number)
    });
    usage.files += 1;
    usage.bytes = usage.bytes.saturating_add(content.size);
    keys::put::<Usages>(tx, &(account,), &usage)?;
    let file = FileRecord {
        name: label,
        folder,
        entry,
        content: hash,
        md5: content.md5,
        size: content.size,
        blob: content.blob,
        created: moment.now,
        modified: moment.now,
        trashed: None,
        views: 0,
        share: None,
        pictures: 0,
    };
    tree::attach(
        tx,
        account,
        folder,
        Entry::File(number),
        &file.entry,
        moment,
    )?;
    tree::grow(tx, account, folder, Growth::of_file(file.size))?;
    list(tx, account, number, &file, moment)?;
    Ok(number)
}

/// Whether a file can go to a place, and which one it replaces there.
///
/// # Errors
///
/// [`CoreError::NoFolder`]; [`CoreError::NameInUse`] if the name is taken and the conflict cannot be
/// resolved as wished.
pub fn check_place(
    view: &dyn View,
    account: AccountId,
    place: &Place,
) -> Result<Option<FileNumber>, CoreError> {
    tree::ancestors(view, account, place.folder)?;
    let taken = tree::child(view, account, place.folder, &place.name)?;
    match (taken, place.conflict) {
        (None, _) | (Some(_), Conflict::Keep) => Ok(None),
        (Some(Entry::File(number)), Conflict::Replace) => Ok(Some(number)),
        (Some(entry), Conflict::Refuse | Conflict::Replace) => Err(CoreError::NameInUse(entry)),
    }
}

/// Whether a file of `size` bytes can go to a place, and the account has room for it.
///
/// # Errors
///
/// Those of [`check_place`]; [`CoreError::OverQuota`], [`CoreError::TooManyEntries`].
pub fn check_room(
    view: &dyn View,
    account: AccountId,
    place: &Place,
    size: u64,
) -> Result<(), CoreError> {
    let freed = match check_place(view, account, place)? {
        Some(replaced) => get_any(view, account, replaced)?.0.size,
        None => 0,
    };
    accounts::check_room(view, account, size, freed)
}

/// Whether the account has room for a file of `size` bytes where every name is free.
///
/// # Errors
///
/// [`CoreError::OverQuota`], [`CoreError::TooManyEntries`].
pub fn check_new_room(view: &dyn View, account: AccountId, size: u64) -> Result<(), CoreError> {
    accounts::check_room(view, account, size, 0)
}

/// A label like `label` that no listed file of this MD5 has.
pub(super) fn free_label(
    view: &dyn View,
    account: AccountId,
    md5: Md5,
    label: FileName,
) -> Result<FileName, CatalogError> {
    let is_taken = |label: &FileName| {
        Ok(keys::get::<FileLabels>(view, &(account, md5, label.clone()))?.is_some())
    };
    if !is_taken(&label)? {
        return Ok(label);
    }
    let number = tree::free_number(|number| is_taken(&label.numbered(number)))?;
    Ok(label.numbered(number))
}

/// Puts a file into all lists of its account.
pub(super) fn list(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &FileRecord,
    moment: Moment,
) -> Result<(), CatalogError> {
    let moment = moment.for_change(number.0);
    let label = (account, file.md5, file.name.clone());
    keys::put::<FileLabels>(tx, &label, &number)?;
    Files::list(account).insert(
        tx,
        &keys::bytes(&number),
        &keys::value::<Files>(file),
        moment.chance_for(KeyType::File),
    )?;
    enlist::<FilesByName>(tx, account, number, file, moment)?;
    enlist::<FilesBySize>(tx, account, number, file, moment)?;
    enlist::<FilesByViews>(tx, account, number, file, moment)
}

/// Takes a listed file out of all lists. Its share and picture shares end with that.
pub(super) fn unlist(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &FileRecord,
) -> Result<(), CoreError> {
    if let Some(share) = file.share {
        shares::withdraw(tx, share)?;
    }
    pictures::end_all(tx, account, number, file.pictures)?;
    // What the share's end changed in the record does not matter: the record goes.
    delist::<FilesByName>(tx, account, number, file)?;
    delist::<FilesBySize>(tx, account, number, file)?;
    delist::<FilesByViews>(tx, account, number, file)?;
    Files::list(account).remove(tx, &keys::bytes(&number))?;
    let label = (account, file.md5, file.name.clone());
    Ok(keys::delete::<FileLabels>(tx, &label)?)
}

/// Adds a file of content that somebody uploaded before, found by its MD5.
///
/// # Errors
///
/// [`CoreError::NoContent`], [`CoreError::NoAccount`], those of adding a file.
pub fn add_by_md5(
    tx: &mut dyn Transaction,
    account: AccountId,
    md5: Md5,
    name: FileName,
    moment: Moment,
) -> Result<FileNumber, CoreError> {
    accounts::get_active(tx, account)?;
    // With two contents of one MD5 only the file itself tells which one is meant.
    if keys::get::<FileLabels>(tx, &(account, md5, name.clone()))?.is_some() {
        return Err(CoreError::FileExists);
    }
    let (hash, content) = contents::by_md5(tx, &md5)?.ok_or(CoreError::NoContent)?;
    let naming = Naming::Label(name);
    add(tx, account, &naming, None, hash, &content, moment)
}

/// What a client knows of content that may be there already. Whoever knows this may have the bytes,
/// as the documented APIs have it; see [`Reuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// By MD5.
    Md5(Md5),
    /// By SHA-1.
    Sha1(Sha1),
}

/// Whose content may be had by naming a digest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Everybody's.
    Global,
    /// One's own.
    Own,
}

/// Adds a file of content that is there already, found by a digest and its size.
///
/// # Errors
///
/// [`CoreError::NoContent`] if nothing has the digest and size, or several things have, or, under
/// [`Reuse::Own`], if the user has no file of it; [`CoreError::NoAccount`], those of adding a file.
pub fn add_claimed(
    tx: &mut dyn Transaction,
    account: AccountId,
    claim: Claim,
    size: u64,
    place: Place,
    reuse: Reuse,
    moment: Moment,
) -> Result<FileNumber, CoreError> {
    accounts::get_active(tx, account)?;
    check_place(tx, account, &place)?;
    let found = match claim {
        Claim::Md5(md5) => contents::by_md5_and_size(tx, &md5, size)?,
        Claim::Sha1(sha1) => contents::by_sha1_and_size(tx, &sha1, size)?,
    };
    let (hash, content) = found.ok_or(CoreError::NoContent)?;
    if reuse == Reuse::Own && !has_content(tx, account, content.md5, hash)? {
        return Err(CoreError::NoContent);
    }
    let naming = Naming::Place(place);
    add(tx, account, &naming, None, hash, &content, moment)
}

/// Makes another file of the content of one that is not in the trash.
///
/// # Errors
///
/// [`CoreError::NoFile`]; those of adding a file.
pub fn copy(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    place: Place,
    moment: Moment,
) -> Result<FileNumber, CoreError> {
    accounts::get_active(tx, account)?;
    let file = get(tx, account, number)?;
    let content = keys::get_promised::<Contents>(tx, &(file.content,))?;
    let naming = Naming::Place(place);
    add(tx, account, &naming, None, file.content, &content, moment)
}

/// Whether a user has a file of some content outside the trash.
fn has_content(
    view: &dyn View,
    account: AccountId,
    md5: Md5,
    hash: ContentHash,
) -> Result<bool, CatalogError> {
    // Files of one MD5 have the same content, unless somebody made a collision.
    for (_, number) in keys::scan::<FileLabels>(view, &(account, md5), COLLISIONS_SEEN_MAX)? {
        if keys::get_promised::<Files>(view, &(account, number))?.content == hash {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The file that an MD5 and a name mean.
pub fn find(
    view: &dyn View,
    account: AccountId,
    md5: Md5,
    name: &FileName,
) -> Result<FileRow, CoreError> {
    let number = keys::get::<FileLabels>(view, &(account, md5, name.clone()))?;
    let number = number.ok_or(CoreError::NoFile)?;
    Ok((
        number,
        keys::get_promised::<Files>(view, &(account, number))?,
    ))
}

/// A file by its number.
pub fn get(
    view: &dyn View,
    account: AccountId,
    number: FileNumber,
) -> Result<FileRecord, CoreError> {
    keys::get::<Files>(view, &(account, number))?.ok_or(CoreError::NoFile)
}

/// Counts a view.
pub fn count_view(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    moment: Moment,
) -> Result<u64, CoreError> {
    let mut file = get(tx, account, number)?;
    delist::<FilesByViews>(tx, account, number, &file)?;
    file.views = file.views.saturating_add(1);
    enlist::<FilesByViews>(tx, account, number, &file, moment)?;
    put(tx, account, number, &file)?;
    Ok(file.views)
}

/// Gives a file the label of another name, or one like it. The caller writes the record.
pub(super) fn relabel(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &mut FileRecord,
    name: &EntryName,
    moment: Moment,
) -> Result<(), CatalogError> {
    if keys::get::<Files>(tx, &(account, number))?.is_none() {
        // It gets a free one when it is listed.
        file.name = name.label();
        return Ok(());
    }
    delist::<FilesByName>(tx, account, number, file)?;
    keys::delete::<FileLabels>(tx, &(account, file.md5, file.name.clone()))?;
    file.name = free_label(tx, account, file.md5, name.label())?;
    let label = (account, file.md5, file.name.clone());
    keys::put::<FileLabels>(tx, &label, &number)?;
    enlist::<FilesByName>(tx, account, number, file, moment)
}

/// A file by its number, also one in the trash, and whether it is in the lists.
pub fn get_any(
    view: &dyn View,
    account: AccountId,
    number: FileNumber,
) -> Result<(FileRecord, bool), CoreError> {
    if let Some(file) = keys::get::<Files>(view, &(account, number))? {
        return Ok((file, true));
    }
    let file = keys::get::<TrashedFiles>(view, &(account, number))?;
    Ok((file.ok_or(CoreError::NoFile)?, false))
}

/// Removes a file for good, wherever it is. Returns the blob that nobody needs any more, if there is
/// one; it is an orphan until it is deleted.
pub fn remove(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    now: u32,
) -> Result<Option<FileId>, CoreError> {
    let (file, _) = get_any(tx, account, number)?;
    let (entry, folder) = (Entry::File(number), file.folder);
    if let Some(place) = file.trashed {
        trash::take_out(tx, account, place, entry, folder, file.size)?;
    } else {
        tree::detach(tx, account, folder, entry, &file.entry)?;
        let growth = Growth::of_file(file.size).negative();
        tree::grow(tx, account, folder, growth)?;
    }
    erase(tx, account, number, now)
}

/// Removes a file that is in no folder any more.
pub(super) fn erase(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    now: u32,
) -> Result<Option<FileId>, CoreError> {
    let (file, is_listed) = get_any(tx, account, number)?;
    if is_listed {
        unlist(tx, account, number, &file)?;
    } else {
        keys::delete::<TrashedFiles>(tx, &(account, number))?;
    }
    let mut usage = accounts::usage(tx, account)?;
    usage.files = usage.files.saturating_sub(1);
    usage.bytes = usage.bytes.saturating_sub(file.size);
    keys::put::<Usages>(tx, &(account,), &usage)?;
    Ok(contents::release(tx, file.content, now)?)
}

/// A part of the list of an account's files.
pub fn page(
    view: &dyn View,
    account: AccountId,
    order: FileOrder,
    direction: Direction,
    start: u64,
    count: u64,
) -> Result<Page<FileRow>, CoreError> {
    let referred = |list: List| {
        Page::read(&list, view, direction, start, count, |sort_key, _| {
            number_of(sort_key)
        })
    };
    let numbers = match order {
        FileOrder::Created => {
            let list = Files::list(account);
            return Page::read(&list, view, direction, start, count, |sort_key, value| {
                Ok((
                    number_of(sort_key)?,
                    keys::decode::<Files>(sort_key, value)?,
                ))
            });
        }
        FileOrder::Name => referred(sorted::<FilesByName>(account)),
        FileOrder::Size => referred(sorted::<FilesBySize>(account)),
        FileOrder::Views if direction == Direction::Descending => {
            let list = sorted::<FilesByViews>(account);
            Page::read_groups(
                &list,
                view,
                size_of::<u64>(),
                start,
                count,
                |sort_key, _| number_of(sort_key),
            )
        }
        FileOrder::Views => referred(sorted::<FilesByViews>(account)),
    };
    numbers?.try_map(|number| {
        Ok((
            number,
            keys::get_promised::<Files>(view, &(account, number))?,
        ))
    })
}

/// Where a search goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// Bytes that mean the place to whoever asks again.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The place of such bytes. Any bytes are a place.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Files whose name contains `text`, whatever the case, in the order of names: at most `count`, and
/// only among the next [`SEARCH_STEPS_MAX`] names. The cursor says where to go on; there is none if
/// all names were looked at. Files below a folder that went to the trash, or is being removed, are not
/// found, though they are listed until the work that this left is done.
pub fn search(
    view: &dyn View,
    account: AccountId,
    text: &str,
    after: Option<&Cursor>,
    count: u64,
) -> Result<(Vec<FileRow>, Option<Cursor>), CoreError> {
    let text = text.to_lowercase();
    let (mut steps, mut found, mut next) = (0, Vec::new(), None);
    let mut malformed = None;
    let list = sorted::<FilesByName>(account);
    let from = after.map_or(&[][..], Cursor::as_bytes);
    list.walk(view, from, &mut |sort_key, _| {
        if steps == SEARCH_STEPS_MAX || count <= found.len() as u64 {
            next = Some(Cursor(sort_key.to_vec()));
            return ControlFlow::Break(());
        }
        steps += 1;
        match keys::decode_fields::<(FileName, FileNumber)>(sort_key, 0) {
            Ok((name, number)) if name.as_str().to_lowercase().contains(&text) => {
                found.push(number);
                ControlFlow::Continue(())
            }
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => {
                malformed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = malformed {
        return Err(error.into());
    }
    let (mut rows, mut is_live) = (Vec::with_capacity(found.len()), HashMap::new());
    for number in found {
        let file = keys::get_promised::<Files>(view, &(account, number))?;
        let is_live = match is_live.entry(file.folder) {
            hash_map::Entry::Occupied(known) => *known.get(),
            hash_map::Entry::Vacant(unknown) => {
                *unknown.insert(tree::is_live(view, account, file.folder)?)
            }
        };
        if is_live {
            rows.push((number, file));
        }
    }
    Ok((rows, next))
}

/// Writes a record whose views, name and size are what they were.
pub(super) fn put(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &FileRecord,
) -> Result<(), CatalogError> {
    keys::put::<Files>(tx, &(account, number), file)
}

/// The number at the end of a sort key.
fn number_of(sort_key: &[u8]) -> Result<FileNumber, CatalogError> {
    let skip = sort_key.len().saturating_sub(size_of::<u64>());
    keys::decode_fields(sort_key, skip)
}

fn sorted<O: Order>(account: AccountId) -> List {
    List::new(keys::key(O::TYPE, &account))
}

fn enlist<O: Order>(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &FileRecord,
    moment: Moment,
) -> Result<(), CatalogError> {
    let sort_key = keys::bytes(&(O::sorted(file), number));
    sorted::<O>(account).insert(tx, &sort_key, &[], moment.chance_for(O::TYPE))
}

fn delist<O: Order>(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &FileRecord,
) -> Result<(), CatalogError> {
    let sort_key = keys::bytes(&(O::sorted(file), number));
    sorted::<O>(account).remove(tx, &sort_key)
}
