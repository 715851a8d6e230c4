//! Upload sessions: files whose bytes come in several requests.
//!
//! ```text
//! open ─► Open ── bytes* ─► Open ── commit_to ─► Committing ── complete ─► Done ── LIFE later ─► gone
//!           └ LIFE after the last bytes, or given up: gone
//! ```
//!
//! A session owns its staging blob, and while it is committing also the blobs that storage was asked
//! to make of it: so after a crash at any moment each of them has one owner (API-2). Bytes that were
//! announced count against the quota from the beginning.

mod in_order;
mod leftovers;
mod send_keys;

use std::ops::RangeInclusive;

use common::id::FileId;

use super::accounts;
use super::catalog::{CatalogError, Transaction, View};
use super::contents;
use super::error::CoreError;
use super::files::{self, Naming, Place};
use super::id::{AccountId, FileNumber, Md5, Sha1, UploadId};
use super::keys::{
    self, Seconds, Slices, Uploads, UploadsByDue, UploadsByName, UploadsOfAccount, Usages,
};
use super::moment::Moment;
use super::name::EntryName;
use super::uploads::{self, Digests};

pub use in_order::{BLOCKS_MAX, NewBlock, add_block, block_at, restart};
pub use leftovers::{forget_left, has_left, left, take_back};
pub use send_keys::{add_key, by_key};

pub use super::keys::{HashState, SliceRecord, UploadKind, UploadRecord, UploadState};

/// Seconds that a session lasts after the last bytes.
pub const LIFE: u32 = 24 * 60 * 60;
/// Sessions that an account may have.
pub const UPLOADS_PER_ACCOUNT_MAX: u64 = 20_000;
/// Slices of one upload.
pub const SLICES_MAX: u64 = 1 << 17;
/// Bytes that may be sent again beyond as many as the upload has.
const RESENT_MAX: u64 = 64 * 1024 * 1024;

/// A new session.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Whose it is.
    pub account: AccountId,
    /// How the bytes come.
    pub kind: UploadKind,
    /// Where the file goes.
    pub place: Place,
    /// Bytes of the whole.
    pub size: u64,
    /// Bytes of each slice but the last.
    pub slice_size: u64,
    /// MD5 of the whole, if it is known.
    pub md5: Option<Md5>,
    /// SHA-1 of the whole, if it is known.
    pub sha1: Option<Sha1>,
}

impl UploadRecord {
    /// Where the file goes.
    pub fn place(&self) -> Place {
        Place {
            folder: self.folder,
            name: self.name.clone(),
            conflict: self.conflict,
        }
    }

    /// Slices that make the whole.
    pub fn slices(&self) -> u64 {
        self.size.div_ceil(self.slice_size.max(1))
    }

    /// Bytes of a slice, if there is one of this number.
    pub fn slice_len(&self, number: u64) -> Option<u64> {
        let before = number.checked_sub(1)?.checked_mul(self.slice_size)?;
        let rest = self.size.checked_sub(before)?;
        (rest != 0).then(|| rest.min(self.slice_size))
    }

    /// Unix seconds from which on the session is over.
    pub fn expires(&self) -> u32 {
        self.renewed.saturating_add(LIFE)
    }

    /// Whether `len` bytes more can be staged. Bytes that are sent again take space until the end, and
    /// who sends the same slice for ever must not fill the disk.
    ///
    /// # Errors
    ///
    /// [`CoreError::SentTooOften`].
    pub fn check_staged(&self, len: u64) -> Result<(), CoreError> {
        let max = self.size.saturating_mul(2).saturating_add(RESENT_MAX);
        if max < self.staged.saturating_add(len) {
            return Err(CoreError::SentTooOften);
        }
        Ok(())
    }

    fn note_staged(&mut self, slice: &SliceRecord) {
        let end = slice.offset.saturating_add(slice.len);
        self.staged = self.staged.max(end);
    }

    /// Whether bytes can be added.
    fn check_open(&self) -> Result<(), CoreError> {
        match self.state {
            UploadState::Open => Ok(()),
            UploadState::Committing(_) => Err(CoreError::UploadClosed),
            UploadState::Done(file) => Err(CoreError::UploadDone(file)),
        }
    }
}

/// Begins a session.
///
/// # Errors
///
/// Those of [`files::check_place`]; [`CoreError::OverQuota`], [`CoreError::TooManyUploads`],
/// [`CoreError::TooManyEntries`], [`CoreError::NoAccount`].
pub fn open(
    tx: &mut dyn Transaction,
    id: UploadId,
    new: &NewUpload,
    now: u32,
) -> Result<UploadRecord, CoreError> {
    let account = new.account;
    accounts::get_active(tx, account)?;
    if SLICES_MAX < new.size.div_ceil(new.slice_size.max(1)) {
        return Err(CoreError::TooManySlices(SLICES_MAX));
    }
    files::check_room(tx, account, &new.place, new.size)?;
    let file = match new.kind {
        UploadKind::Sliced => None,
        UploadKind::InOrder => Some(FileNumber(accounts::next_entry(tx, account)?)),
    };
    let mut usage = accounts::usage(tx, account)?;
    if UPLOADS_PER_ACCOUNT_MAX <= usage.uploads {
        return Err(CoreError::TooManyUploads(UPLOADS_PER_ACCOUNT_MAX));
    }
    usage.uploads += 1;
    usage.upload_bytes = usage.upload_bytes.saturating_add(new.size);
    keys::put::<Usages>(tx, &(account,), &usage)?;
    let record = UploadRecord {
        account,
        kind: new.kind,
        folder: new.place.folder,
        name: new.place.name.clone(),
        conflict: new.place.conflict,
        size: new.size,
        slice_size: new.slice_size,
        md5: new.md5,
        sha1: new.sha1,
        file,
        created: now,
        renewed: now,
        staging: None,
        received: 0,
        blocks: 0,
        staged: 0,
        hashed: 0,
        hashes: HashState::default(),
        state: UploadState::Open,
    };
    keys::put::<Uploads>(tx, &(id,), &record)?;
    keys::put::<UploadsOfAccount>(tx, &(account, id), &())?;
    keys::put::<UploadsByDue>(tx, &(Seconds(record.expires()), id), &())?;
    if new.kind == UploadKind::InOrder {
        keys::put::<UploadsByName>(tx, &(account, record.name.clone()), &id)?;
    }
    Ok(record)
}

/// A session of an account.
///
/// # Errors
///
/// [`CoreError::NoUpload`], also if it is over or somebody else's.
pub fn get(
    view: &dyn View,
    account: AccountId,
    id: UploadId,
    now: u32,
) -> Result<UploadRecord, CoreError> {
    let record = keys::get::<Uploads>(view, &(id,))?.ok_or(CoreError::NoUpload)?;
    if record.account != account || record.expires() <= now {
        return Err(CoreError::NoUpload);
    }
    Ok(record)
}

/// A session, whosever it is and over or not.
pub fn find(view: &dyn View, id: UploadId) -> Result<Option<UploadRecord>, CoreError> {
    Ok(keys::get::<Uploads>(view, &(id,))?)
}

/// The sessions of an account that take bytes, at most `max`.
pub fn of_account(
    view: &dyn View,
    account: AccountId,
    max: usize,
    now: u32,
) -> Result<Vec<(UploadId, UploadRecord)>, CoreError> {
    let mut rows = Vec::new();
    let under_way = usize::try_from(UPLOADS_PER_ACCOUNT_MAX).unwrap_or(usize::MAX);
    for ((_, id), ()) in keys::scan::<UploadsOfAccount>(view, &account, under_way)? {
        if max <= rows.len() {
            break;
        }
        let record = keys::get_promised::<Uploads>(view, &(id,))?;
        if now < record.expires() && record.state == UploadState::Open {
            rows.push((id, record));
        }
    }
    Ok(rows)
}

/// The session in order whose file will have this name in the root, if there is one that is not over.
pub fn by_name(
    view: &dyn View,
    account: AccountId,
    name: &EntryName,
    now: u32,
) -> Result<Option<(UploadId, UploadRecord)>, CoreError> {
    let Some(id) = keys::get::<UploadsByName>(view, &(account, name.clone()))? else {
        return Ok(None);
    };
    match get(view, account, id, now) {
        Ok(record) => Ok(Some((id, record))),
        Err(CoreError::NoUpload) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives a session its staging blob, which exists and was announced. Returns the one that it has then:
/// another one if somebody was faster, and `blob` is to be deleted.
///
/// # Errors
///
/// [`CoreError::NoUpload`], [`CoreError::UploadClosed`], [`CoreError::UploadDone`];
/// [`CoreError::UploadChanged`] if slices of another staging blob are left, see [`forget_left`].
pub fn set_staging(
    tx: &mut dyn Transaction,
    account: AccountId,
    id: UploadId,
    blob: &FileId,
    now: u32,
) -> Result<FileId, CoreError> {
    let mut record = get(tx, account, id, now)?;
    record.check_open()?;
    if let Some(staging) = record.staging {
        uploads::discard(tx, blob, now)?;
        return Ok(staging);
    }
    if leftovers::are_there(tx, id)? {
        return Err(CoreError::UploadChanged);
    }
    uploads::take_announced(tx, blob)?;
    record.staging = Some(*blob);
    keys::put::<Uploads>(tx, &(id,), &record)?;
    Ok(*blob)
}

/// Notes that storage has lost the staging blob: the session begins anew.
pub fn lose_staging(
    tx: &mut dyn Transaction,
    account: AccountId,
    id: UploadId,
    staging: &FileId,
    now: u32,
) -> Result<(), CoreError> {
    let mut record = get(tx, account, id, now)?;
    if record.staging != Some(*staging) || record.check_open().is_err() {
        return Ok(());
    }
    uploads::abandon(tx, staging, now)?;
    record.staging = None;
    record.received = 0;
    record.blocks = 0;
    record.staged = 0;
    record.hashed = 0;
    record.hashes = HashState::default();
    leftovers::end_slices(tx, id)?;
    Ok(keys::put::<Uploads>(tx, &(id,), &record)?)
}

/// Hashes that went on by one slice.
///
/// They are only taken where the session still has those that they went on from. Its number alone
/// would not do: while a slice is read, those before it may be replaced and hashed once more, and the
/// hashes would be of bytes that are not in the upload any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The hashes of all slices before it.
    pub from: HashState,
    /// Those with it.
    pub to: HashState,
}

/// Adds a slice, whose bytes are safe in `staging`. `advance` takes the hashes of all before it on by
/// this one, if they were known.
///
/// # Errors
///
/// [`CoreError::NoUpload`], [`CoreError::UploadClosed`], [`CoreError::UploadDone`];
/// [`CoreError::UploadChanged`] if the session has another staging blob by now.
#[expect(
    clippy::too_many_arguments,
    reason = "what a slice is, and what it belongs to"
)]
pub fn add_slice(
    tx: &mut dyn Transaction,
    account: AccountId,
    id: UploadId,
    staging: &FileId,
    number: u64,
    slice: &SliceRecord,
    advance: Option<Advance>,
    now: u32,
) -> Result<(), CoreError> {
    let mut record = get(tx, account, id, now)?;
    record.check_open()?;
    if record.staging != Some(*staging) {
        return Err(CoreError::UploadChanged);
    }
    accounts::get_active(tx, account)?;
    let before = keys::get::<Slices>(tx, &(id, number))?;
    record.renewed = now;
    record.note_staged(slice);
    match before {
        // The same bytes once more: the first copy stays, and what was hashed stays true.
        Some(before) if before.md5 == slice.md5 && before.chaining == slice.chaining => {
            return Ok(keys::put::<Uploads>(tx, &(id,), &record)?);
        }
        Some(_) if number <= record.hashed => {
            record.hashed = 0;
            record.hashes = HashState::default();
        }
        Some(_) => {}
        None => record.received += 1,
    }
    if let Some(advance) = advance
        && record.hashed + 1 == number
        && record.hashes == advance.from
    {
        record.hashed = number;
        record.hashes = advance.to;
    }
    keys::put::<Slices>(tx, &(id, number), slice)?;
    Ok(keys::put::<Uploads>(tx, &(id,), &record)?)
}

/// Takes the hashes on by slices from number `first` on, whose bytes were read from the staging blob.
///
/// # Errors
///
/// [`CoreError::UploadChanged`] if one of the slices, or one before them, is another one by now. Where
/// it lies would not tell: in the next staging blob other bytes may lie there.
/// [`CoreError::NoUpload`].
pub fn add_hashes(
    tx: &mut dyn Transaction,
    id: UploadId,
    first: u64,
    slices: &[SliceRecord],
    advance: Advance,
) -> Result<(), CoreError> {
    let mut record = keys::get::<Uploads>(tx, &(id,))?.ok_or(CoreError::NoUpload)?;
    let is_next = record.hashed + 1 == first && record.hashes == advance.from;
    if !is_next || slices_behind(tx, id, record.hashed, slices.len())? != slices {
        return Err(CoreError::UploadChanged);
    }
    record.hashed = record.hashed.saturating_add(slices.len() as u64);
    record.hashes = advance.to;
    Ok(keys::put::<Uploads>(tx, &(id,), &record)?)
}

/// Forgets hashes that nobody can go on from: another version may have written them down otherwise.
/// All slices are read once more.
///
/// # Errors
///
/// [`CoreError::NoUpload`].
pub fn forget_hashes(
    tx: &mut dyn Transaction,
    id: UploadId,
    hashes: &HashState,
) -> Result<(), CoreError> {
    let mut record = keys::get::<Uploads>(tx, &(id,))?.ok_or(CoreError::NoUpload)?;
    if record.hashes != *hashes {
        return Ok(());
    }
    record.hashed = 0;
    record.hashes = HashState::default();
    Ok(keys::put::<Uploads>(tx, &(id,), &record)?)
}

/// What is there, by place.
pub fn slices(view: &dyn View, id: UploadId) -> Result<Vec<(u64, SliceRecord)>, CoreError> {
    if leftovers::are_there(view, id)? {
        return Ok(Vec::new());
    }
    let max = usize::try_from(SLICES_MAX).unwrap_or(usize::MAX);
    let slices = keys::scan::<Slices>(view, &id, max)?;
    Ok(slices
        .into_iter()
        .map(|((_, place), slice)| (place, slice))
        .collect())
}

/// A slice, if it is there.
pub fn slice(view: &dyn View, id: UploadId, number: u64) -> Result<Option<SliceRecord>, CoreError> {
    if leftovers::are_there(view, id)? {
        return Ok(None);
    }
    Ok(keys::get::<Slices>(view, &(id, number))?)
}

/// The slices that follow the one of this number without a gap, at most `max`. Only for uploads whose
/// slices have numbers: those in order have blocks, at places.
pub fn slices_behind(
    view: &dyn View,
    id: UploadId,
    number: u64,
    max: usize,
) -> Result<Vec<SliceRecord>, CoreError> {
    if leftovers::are_there(view, id)? {
        return Ok(Vec::new());
    }
    let found = keys::scan_after::<Slices>(view, &id, Some(&(id, number)), max)?;
    let numbered = found.into_iter().zip(number.saturating_add(1)..);
    let numbered = numbered.take_while(|(((_, place), _), number)| place == number);
    Ok(numbered.map(|((_, slice), _)| slice).collect())
}

/// Numbers of slices that are missing, as ranges, at most `max` of these.
pub fn missing(
    view: &dyn View,
    id: UploadId,
    record: &UploadRecord,
    max: usize,
) -> Result<Vec<RangeInclusive<u64>>, CoreError> {
    let count = record.slices();
    if record.received == count {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    let mut next = 1;
    let end = count + 1;
    let numbers = slices(view, id)?.into_iter().map(|(number, _)| number);
    for number in numbers.chain([end]) {
        if next < number && missing.len() < max {
            missing.push(next..=number - 1);
        }
        next = number + 1;
    }
    Ok(missing)
}

/// Notes that storage is about to make `blob` of what the staging blob holds. No more bytes are taken
/// from then on. The caller has looked whether one of the blobs of earlier attempts came to be; of too
/// many of them the oldest becomes garbage.
///
/// # Errors
///
/// [`CoreError::NoUpload`], [`CoreError::UploadDone`].
pub fn commit_to(
    tx: &mut dyn Transaction,
    account: AccountId,
    id: UploadId,
    blob: &FileId,
    now: u32,
) -> Result<(), CoreError> {
    let mut record = get(tx, account, id, now)?;
    let mut blobs = match record.state {
        UploadState::Open => Vec::new(),
        UploadState::Committing(blobs) => blobs,
        UploadState::Done(file) => return Err(CoreError::UploadDone(file)),
    };
    if UploadState::BLOBS_MAX <= blobs.len() {
        // Storage may be away for long, and the client is patient: the upload must not end for that.
        uploads::abandon(tx, &blobs.remove(0), now)?;
    }
    blobs.push(*blob);
    record.state = UploadState::Committing(blobs);
    Ok(keys::put::<Uploads>(tx, &(id,), &record)?)
}

/// Makes a session the file that it was for. Its content is what the catalog knows by its hash, or
/// `blob`, which storage made of it and which the session or an orphan names.
///
/// # Errors
///
/// [`CoreError::NoContent`] without a `blob` if the catalog does not know the content;
/// [`CoreError::NoUpload`], [`CoreError::UploadDone`]; those of adding a file, which leave the
/// session as it was.
pub fn complete(
    tx: &mut dyn Transaction,
    account: AccountId,
    id: UploadId,
    digests: &Digests,
    blob: Option<&FileId>,
    moment: Moment,
) -> Result<FileNumber, CoreError> {
    let mut record = get(tx, account, id, moment.now)?;
    if let UploadState::Done(file) = record.state {
        return Err(CoreError::UploadDone(file));
    }
    accounts::get_active(tx, account)?;
    if let Some(blob) = blob
        && !matches!(&record.state, UploadState::Committing(blobs) if blobs.contains(blob))
    {
        uploads::take_announced(tx, blob)?;
    }
    release(tx, &record)?;
    abandon_blobs(tx, &record, moment.now)?;
    let content = match (contents::get(tx, &digests.hash)?, blob) {
        (Some(content), _) => {
            if let Some(blob) = blob {
                uploads::abandon(tx, blob, moment.now)?;
            }
            content
        }
        (None, Some(blob)) => {
            // What the session named is an orphan by now.
            uploads::forget(tx, blob)?;
            contents::make(tx, digests, *blob, moment.now)?
        }
        (None, None) => return Err(CoreError::NoContent),
    };
    let naming = Naming::Place(record.place());
    let (number, hash) = (record.file, digests.hash);
    let file = files::add(tx, account, &naming, number, hash, &content, moment)?;
    leftovers::end_slices(tx, id)?;
    forget_name(tx, id, &record)?;
    keys::delete::<UploadsOfAccount>(tx, &(account, id))?;
    record.staging = None;
    record.renewed = moment.now;
    record.state = UploadState::Done(file);
    keys::put::<Uploads>(tx, &(id,), &record)?;
    Ok(file)
}

/// Ends a session of an account; its bytes become garbage.
///
/// # Errors
///
/// [`CoreError::NoUpload`].
pub fn give_up(
    tx: &mut dyn Transaction,
    account: AccountId,
    id: UploadId,
    now: u32,
) -> Result<(), CoreError> {
    let record = get(tx, account, id, now)?;
    end(tx, id, &record, now)
}

/// Sessions that may be over by now, at most `max`.
pub fn due(view: &dyn View, now: u32, max: usize) -> Result<Vec<(u32, UploadId)>, CoreError> {
    let due = keys::scan::<UploadsByDue>(view, &(), max)?;
    let due = due.into_iter().map(|((due, id), ())| (due.0, id));
    Ok(due.take_while(|(due, _)| *due <= now).collect())
}

/// Ends a session that is over. One that was renewed is looked at again when it is due.
pub fn expire(tx: &mut dyn Transaction, due: u32, id: UploadId, now: u32) -> Result<(), CoreError> {
    keys::delete::<UploadsByDue>(tx, &(Seconds(due), id))?;
    let Some(record) = keys::get::<Uploads>(tx, &(id,))? else {
        return Ok(());
    };
    if now < record.expires() {
        return Ok(keys::put::<UploadsByDue>(
            tx,
            &(Seconds(record.expires()), id),
            &(),
        )?);
    }
    end(tx, id, &record, now)
}

/// Forgets a session and leaves its blobs to whoever reclaims.
fn end(
    tx: &mut dyn Transaction,
    id: UploadId,
    record: &UploadRecord,
    now: u32,
) -> Result<(), CoreError> {
    let is_done = matches!(record.state, UploadState::Done(_));
    if !is_done {
        release(tx, record)?;
    }
    abandon_blobs(tx, record, now)?;
    leftovers::end_slices(tx, id)?;
    forget_name(tx, id, record)?;
    send_keys::forget_all(tx, id)?;
    keys::delete::<UploadsOfAccount>(tx, &(record.account, id))?;
    Ok(keys::delete::<Uploads>(tx, &(id,))?)
}

/// Gives back what a session reserved.
fn release(tx: &mut dyn Transaction, record: &UploadRecord) -> Result<(), CatalogError> {
    let mut usage = accounts::usage(tx, record.account)?;
    usage.uploads = usage.uploads.saturating_sub(1);
    usage.upload_bytes = usage.upload_bytes.saturating_sub(record.size);
    keys::put::<Usages>(tx, &(record.account,), &usage)
}

fn abandon_blobs(
    tx: &mut dyn Transaction,
    record: &UploadRecord,
    now: u32,
) -> Result<(), CatalogError> {
    if let UploadState::Committing(blobs) = &record.state {
        for blob in blobs {
            // Another server may just be asking storage for it.
            uploads::leave(tx, blob, now)?;
        }
    }
    match &record.staging {
        Some(staging) => uploads::abandon(tx, staging, now),
        None => Ok(()),
    }
}

/// Forgets the name by which a session in order is found, if it is this one's.
fn forget_name(
    tx: &mut dyn Transaction,
    id: UploadId,
    record: &UploadRecord,
) -> Result<(), CatalogError> {
    let key = (record.account, record.name.clone());
    if keys::get::<UploadsByName>(tx, &key)? == Some(id) {
        keys::delete::<UploadsByName>(tx, &key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
