//! Upload sessions: random histories against a model, and cases by themselves.

mod check;
mod directed;
mod model;
mod step;

use std::collections::BTreeSet;

use common::id::FileId;
use proptest::prelude::*;

use super::*;
use crate::core::files::Conflict;
use crate::core::id::{ContentHash, FolderNumber, UploadKeyHash};
use crate::core::keys::{
    Contents, Orphans, UploadKeys, UploadKeysOfUpload, UploadsByDue, UploadsByName,
};
use crate::core::testing::{State, attempt, blob, digests, user};
use crate::core::uploads::OrphanState;
use crate::core::{trash, tree};
use model::{Block, Model, Session};
use step::{Step, With, step};

const USERS: u64 = 2;
const SLICE_SIZE: u64 = 16;

/// A slice of bytes that are all `content`, at an offset of a staging blob.
fn slice_of(content: u8, offset: u64, len: u64) -> SliceRecord {
    SliceRecord {
        offset,
        len,
        crc: content.into(),
        md5: Md5([content; 16]),
        chaining: ContentHash([content; 32]),
    }
}

/// Hashes of slices are the slices.
fn hashes(contents: &[u8]) -> HashState {
    HashState(contents.into())
}

/// An outcome as something that can be compared.
fn text<T: std::fmt::Debug>(result: &Result<T, CoreError>) -> String {
    match result {
        // How the sum is made up is tested with the tree.
        Err(CoreError::OverQuota { .. }) => "OverQuota".into(),
        result => format!("{result:?}"),
    }
}

/// A slice on its way, with what its sender saw when it began.
#[derive(Clone, Debug)]
struct Sender {
    session: usize,
    number: u64,
    staging: FileId,
    from: Option<HashState>,
}

/// A read of a run of slices, with what the reader saw when it began.
#[derive(Clone, Debug)]
struct Reader {
    session: usize,
    /// The number of the first one.
    first: u64,
    contents: Vec<u8>,
    slices: Vec<SliceRecord>,
    from: HashState,
}

#[derive(Debug)]
struct World {
    state: State,
    model: Model,
    now: u32,
    chance: u64,
    senders: Vec<Sender>,
    readers: Vec<Reader>,
    /// Every blob that was ever announced or named.
    blobs: Vec<FileId>,
    /// The folder of each user.
    folders: Vec<FolderNumber>,
}

impl World {
    fn new() -> Self {
        let mut state = State::default();
        let mut folders = Vec::new();
        let moment = Moment { now: 1, chance: 1 };
        for number in 1..=USERS {
            let account = user(&mut state, &format!("user{number}"));
            let (root, name) = (FolderNumber::ROOT, "folder".parse().unwrap());
            folders.push(tree::make_folder(&mut state, account, root, name, moment).unwrap());
        }
        Self {
            state,
            model: Model::default(),
            now: 1_000,
            chance: 1,
            senders: Vec::new(),
            readers: Vec::new(),
            blobs: Vec::new(),
            folders,
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            chance: self.chance.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    fn account(pick: u8) -> AccountId {
        AccountId(u64::from(pick) % USERS + 1)
    }

    /// The latest sessions are picked most often.
    fn session(&self, pick: u8) -> Option<usize> {
        let count = self.model.sessions.len();
        let recent = count.min(if pick < 200 { 3 } else { 100 });
        (recent != 0).then(|| count - 1 - usize::from(pick) % recent)
    }

    fn new_blob(&mut self) -> FileId {
        let blob = blob(self.blobs.len() as u64);
        self.blobs.push(blob);
        blob
    }

    fn announce(&mut self) -> FileId {
        let (blob, now) = (self.new_blob(), self.now);
        attempt(&mut self.state, |tx| uploads::announce(tx, &blob, 7, now)).unwrap();
        blob
    }

    fn play(&mut self, step: &Step) {
        self.now += 3;
        self.chance += 1;
        let Some((done, expected)) = self.try_step(step) else {
            // There is nothing that it could be about.
            return;
        };
        assert_eq!(done, expected, "{step:?}");
    }

    /// Runs a step on the catalog and on the model. Returns how it ended in each.
    fn try_step(&mut self, step: &Step) -> Option<(String, String)> {
        let (now, moment) = (self.now, self.moment());
        Some(match step {
            Step::Open {
                user,
                is_in_order,
                in_folder,
                name,
                conflict,
                slices,
            } => self.open(*user, *is_in_order, *in_folder, *name, *conflict, *slices),
            Step::Stage { session, dies } => {
                let session = self.session(*session)?;
                let blob = self.announce();
                if *dies {
                    return None;
                }
                let Session { account, id, .. } = self.model.sessions[session];
                let done = attempt(&mut self.state, |tx| {
                    set_staging(tx, account, id, &blob, now)
                });
                let expected = self.model.open(session, now).and_then(|session| {
                    if session.staging.is_none() && session.left != 0 {
                        return Err(CoreError::UploadChanged);
                    }
                    Ok(*session.staging.get_or_insert_with(|| {
                        session.appended = 0;
                        blob
                    }))
                });
                if done.is_err() {
                    // Whoever made it gives it up.
                    attempt(&mut self.state, |tx| uploads::discard(tx, &blob, now)).unwrap();
                }
                (text(&done), text(&expected))
            }
            Step::Begin { session, slice } => {
                let at = self.session(*session)?;
                let session = &self.model.sessions[at];
                if session.is_in_order || session.slice_count() == 0 {
                    return None;
                }
                let number = u64::from(*slice) % session.slice_count() + 1;
                // The service takes the hashes on where the slice is the next one.
                let is_next = session.hashed.len() as u64 + 1 == number;
                self.senders.push(Sender {
                    session: at,
                    number,
                    staging: session.staging?,
                    from: is_next.then(|| hashes(&session.hashed)),
                });
                return None;
            }
            Step::Send { sender, content } => self.send(*sender, *content)?,
            Step::Read { session, max } => {
                let at = self.session(*session)?;
                let session = &self.model.sessions[at];
                if session.is_in_order {
                    // Its blocks have places and no numbers; they are hashed as they come.
                    return None;
                }
                let hashed = session.hashed.len() as u64;
                let run = (hashed + 1..).map_while(|number| session.slices.get(&number));
                let (contents, slices): (Vec<u8>, Vec<SliceRecord>) =
                    run.take(*max).copied().unzip();
                let seen = slices_behind(&self.state, session.id, hashed, *max).unwrap();
                assert_eq!(seen, slices);
                if slices.is_empty() {
                    return None;
                }
                self.readers.push(Reader {
                    session: at,
                    first: hashed + 1,
                    contents,
                    slices,
                    from: hashes(&session.hashed),
                });
                return None;
            }
            Step::Hash { reader } => self.hash(*reader)?,
            Step::ForgetHashes { session } => {
                let at = self.session(*session)?;
                let session = &mut self.model.sessions[at];
                let (id, known) = (session.id, hashes(&session.hashed));
                let done = attempt(&mut self.state, |tx| forget_hashes(tx, id, &known));
                let expected = if session.is_ended {
                    Err(CoreError::NoUpload)
                } else {
                    session.hashed.clear();
                    Ok(())
                };
                (text(&done), text(&expected))
            }
            Step::Block { session, from, len } => self.block(*session, *from, *len)?,
            Step::TakeBack { session, offset } => self.take_back(*session, *offset)?,
            Step::Forget { session } => {
                let at = self.session(*session)?;
                let session = &mut self.model.sessions[at];
                let id = session.id;
                let done = attempt(&mut self.state, |tx| forget_left(tx, id));
                session.forget();
                (text(&done), text(&Ok(session.left == 0)))
            }
            Step::LoseStaging { session, old } => {
                let at = self.session(*session)?;
                let Session { account, id, .. } = self.model.sessions[at];
                let staging = if *old {
                    *self.blobs.first()?
                } else {
                    self.model.sessions[at].staging?
                };
                let done = attempt(&mut self.state, |tx| {
                    lose_staging(tx, account, id, &staging, now)
                });
                let expected = self.model.get(at, now).map(|session| {
                    if session.staging == Some(staging) && session.check_open().is_ok() {
                        session.lose_staging();
                    }
                });
                (text(&done), text(&expected))
            }
            Step::CommitTo { session } => {
                let at = self.session(*session)?;
                let Session { account, id, .. } = self.model.sessions[at];
                let blob = self.new_blob();
                let done = attempt(&mut self.state, |tx| commit_to(tx, account, id, &blob, now));
                let expected = self.model.get(at, now).and_then(|session| {
                    if let Some(file) = session.file {
                        return Err(CoreError::UploadDone(file));
                    }
                    if session.committing.len() == UploadState::BLOBS_MAX {
                        session.committing.remove(0);
                    }
                    session.committing.push(blob);
                    Ok(())
                });
                if done.is_err() {
                    // Storage was never asked.
                    self.blobs.pop();
                }
                (text(&done), text(&expected))
            }
            Step::Complete {
                session,
                content,
                with,
            } => self.complete(*session, *content, *with)?,
            Step::GiveUp { session } => {
                let at = self.session(*session)?;
                let Session { account, id, .. } = self.model.sessions[at];
                let done = attempt(&mut self.state, |tx| give_up(tx, account, id, now));
                let expected = self.model.get(at, now).map(Session::end);
                (text(&done), text(&expected))
            }
            Step::AddKey { session } => {
                let at = self.session(*session)?;
                let session = &mut self.model.sessions[at];
                if session.is_ended {
                    return None;
                }
                let key = UploadKeyHash([u8::try_from(self.now % 251).unwrap(); 32]);
                if keys::get::<UploadKeys>(&self.state, &(key,))
                    .unwrap()
                    .is_some()
                {
                    return None;
                }
                session.keys.insert(key);
                let id = session.id;
                let done = attempt(&mut self.state, |tx| add_key(tx, id, key));
                (text(&done), text(&Ok(())))
            }
            Step::Sleep { seconds } => {
                self.now += seconds;
                return None;
            }
            Step::Expire => {
                self.expire();
                return None;
            }
            Step::TrashFolder { user, comes_back } => {
                let account = Self::account(*user);
                let folder = self.folders[usize::try_from(account.0 - 1).unwrap()];
                // Whether it can is no matter here.
                let _: Result<_, _> = attempt(&mut self.state, |tx| {
                    if *comes_back {
                        trash::restore(tx, account, folder.0, None, moment).map(drop)
                    } else {
                        trash::put(tx, account, folder.0, moment)
                    }
                });
                return None;
            }
            Step::RemoveFile { user } => {
                let account = Self::account(*user);
                let first = keys::scan::<keys::Files>(&self.state, &account, 1).unwrap();
                let ((_, number), _) = *first.first()?;
                attempt(&mut self.state, |tx| {
                    files::remove(tx, account, number, now)
                })
                .unwrap();
                return None;
            }
            Step::SetQuota { user, quota } => {
                let account = Self::account(*user);
                attempt(&mut self.state, |tx| {
                    accounts::set_quota(tx, account, *quota)
                })
                .unwrap();
                return None;
            }
        })
    }

    /// What room and place a new file finds, by rules that are tested elsewhere.
    fn check_room(&self, account: AccountId, place: &Place, size: u64) -> Result<(), CoreError> {
        let replaced = files::check_place(&self.state, account, place)?;
        let freed = replaced.map_or(0, |number| {
            files::get(&self.state, account, number).unwrap().size
        });
        let usage = accounts::usage(&self.state, account).unwrap();
        let used = usage.bytes + usage.upload_bytes;
        match accounts::get(&self.state, account)?.quota {
            Some(quota) if size != 0 && quota < used - freed + size => {
                Err(CoreError::OverQuota { quota, used, size })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn open(
        &mut self,
        user: u8,
        is_in_order: bool,
        in_folder: bool,
        name: u8,
        conflict: Conflict,
        slices: u64,
    ) -> (String, String) {
        let account = Self::account(user);
        let folder = if in_folder {
            self.folders[usize::try_from(account.0 - 1).unwrap()]
        } else {
            FolderNumber::ROOT
        };
        let place = Place {
            folder,
            name: format!("name{name}").parse().unwrap(),
            conflict,
        };
        // The last slice is shorter.
        let size = (slices * SLICE_SIZE).saturating_sub(5);
        let number = self.model.sessions.len();
        let id = UploadId([u8::try_from(number).unwrap(); 16]);
        let kind = if is_in_order {
            UploadKind::InOrder
        } else {
            UploadKind::Sliced
        };
        let new = NewUpload {
            account,
            kind,
            place: place.clone(),
            size,
            slice_size: SLICE_SIZE,
            md5: None,
            sha1: None,
        };
        let expected = self.check_room(account, &place, size);
        let last_number = accounts::usage(&self.state, account).unwrap().last_number;
        let now = self.now;
        let done = attempt(&mut self.state, |tx| open(tx, id, &new, now));
        if let Ok(record) = &done {
            let reserved = is_in_order.then_some(FileNumber(last_number + 1));
            assert_eq!(record.file, reserved);
            assert_eq!((record.created, record.slices()), (now, slices));
            self.model.sessions.push(Session {
                account,
                id,
                is_in_order,
                place,
                size,
                reserved,
                renewed: now,
                ..Session::default()
            });
        }
        (text(&done.map(drop)), text(&expected))
    }

    fn send(&mut self, pick: u8, content: u8) -> Option<(String, String)> {
        if self.senders.is_empty() {
            return None;
        }
        let sender = self
            .senders
            .swap_remove(usize::from(pick) % self.senders.len());
        let now = self.now;
        let session = &self.model.sessions[sender.session];
        let (account, id) = (session.account, session.id);
        // It goes to the end of the staging blob, whoever names that by now.
        let number = sender.number;
        let len = (session.size - (number - 1) * SLICE_SIZE).min(SLICE_SIZE);
        let slice = slice_of(content, session.appended, len);
        let advance = sender.from.map(|from| {
            let to = [&from.0[..], &[content]].concat();
            Advance {
                from,
                to: hashes(&to),
            }
        });
        let done = attempt(&mut self.state, |tx| {
            let staging = &sender.staging;
            add_slice(
                tx,
                account,
                id,
                staging,
                number,
                &slice,
                advance.clone(),
                now,
            )
        });
        let expected = self.model.open(sender.session, now).and_then(|session| {
            if session.staging != Some(sender.staging) {
                return Err(CoreError::UploadChanged);
            }
            session.renewed = now;
            session.appended += len;
            match session.slices.get(&number) {
                Some((before, _)) if *before == content => return Ok(()),
                Some(_) if number <= session.hashed.len() as u64 => session.hashed.clear(),
                Some(_) | None => {}
            }
            session.slices.insert(number, (content, slice));
            let so_far = hashes(&session.hashed);
            if advance.is_some_and(|advance| advance.from == so_far)
                && session.hashed.len() as u64 + 1 == number
            {
                session.hashed.push(content);
            }
            Ok(())
        });
        Some((text(&done), text(&expected)))
    }

    fn hash(&mut self, pick: u8) -> Option<(String, String)> {
        if self.readers.is_empty() {
            return None;
        }
        let reader = self
            .readers
            .swap_remove(usize::from(pick) % self.readers.len());
        let session = &mut self.model.sessions[reader.session];
        let to = [&reader.from.0[..], &reader.contents].concat();
        let advance = Advance {
            from: reader.from.clone(),
            to: hashes(&to),
        };
        let id = session.id;
        let done = attempt(&mut self.state, |tx| {
            add_hashes(tx, id, reader.first, &reader.slices, advance)
        });
        let read = (reader.first..).zip(reader.contents.iter().zip(&reader.slices));
        let is_same = read.into_iter().all(|(number, (content, slice))| {
            session.slices.get(&number) == Some(&(*content, *slice))
        });
        let expected = if session.is_ended {
            Err(CoreError::NoUpload)
        } else if is_same && reader.from == hashes(&session.hashed) {
            session.hashed.extend(reader.contents);
            Ok(())
        } else {
            Err(CoreError::UploadChanged)
        };
        Some((text(&done), text(&expected)))
    }

    /// Makes an upload in order shorter.
    fn take_back(&mut self, pick: u8, offset: u8) -> Option<(String, String)> {
        let at = self.session(pick)?;
        let now = self.now;
        let session = &self.model.sessions[at];
        let staging = session.staging?;
        if !session.is_in_order {
            return None;
        }
        let (account, id) = (session.account, session.id);
        let offset = u64::from(offset) % (session.received() + 2);
        let done = attempt(&mut self.state, |tx| {
            take_back(tx, account, id, &staging, offset, now)
        });
        let expected = self.model.open(at, now).map(|session| {
            if session.blocks_behind(offset) <= leftovers::AT_ONCE {
                return true;
            }
            for _ in 0..leftovers::AT_ONCE {
                session.blocks.pop_last();
            }
            false
        });
        Some((text(&done), text(&expected)))
    }

    /// Adds a block at the end, at the beginning of another one, within another one, or at nothing.
    fn block(&mut self, pick: u8, from: u8, len: u64) -> Option<(String, String)> {
        let at = self.session(pick)?;
        let now = self.now;
        let session = &self.model.sessions[at];
        let staging = session.staging?;
        if !session.is_in_order {
            return None;
        }
        let (account, id) = (session.account, session.id);
        let offset = u64::from(from / 4) % (session.received() + 2);
        let offset = match from % 4 {
            0 | 1 => session.received(),
            2 => session.block_start(offset).unwrap_or(offset),
            _ => offset,
        };
        let start = session.block_start(offset);
        let cut = start.filter(|start| *start != offset).map(|start| {
            let rest = SliceRecord {
                len: offset - start,
                ..session.blocks[&start]
            };
            (start, rest)
        });
        let block = NewBlock {
            offset,
            record: slice_of(1, session.appended, len),
            cut,
        };
        let done = attempt(&mut self.state, |tx| {
            add_block(tx, account, id, &staging, &block, now).map(|record| record.received)
        });
        let expected = self.model.open(at, now).and_then(|session| {
            let is_too_much = leftovers::AT_ONCE < session.blocks_behind(offset);
            if session.received() < offset || is_too_much {
                return Err(CoreError::UploadChanged);
            }
            session.appended += len;
            session.renewed = now;
            session.blocks.retain(|start, _| *start < offset);
            if let Some((start, rest)) = cut {
                session.blocks.insert(start, rest);
            }
            session.blocks.insert(offset, block.record as Block);
            Ok(session.received())
        });
        Some((text(&done), text(&expected)))
    }

    fn complete(&mut self, pick: u8, content: u8, with: With) -> Option<(String, String)> {
        let at = self.session(pick)?;
        let (now, moment) = (self.now, self.moment());
        let blob = match with {
            With::Nothing => None,
            With::Committed(pick) => {
                let committing = &self.model.sessions[at].committing;
                let count = committing.len().max(1);
                Some(*committing.get(usize::from(pick) % count)?)
            }
            With::Announced => Some(self.announce()),
        };
        let session = &self.model.sessions[at];
        let (account, id, size) = (session.account, session.id, session.size);
        // One content has one size.
        let slices = u8::try_from(session.slice_count()).unwrap();
        let digests = digests(content * 16 + slices, size);
        let known = contents::get(&self.state, &digests.hash).unwrap();
        let place = session.place.clone();
        let mut usage = accounts::usage(&self.state, account).unwrap();
        let number = session
            .reserved
            .unwrap_or(FileNumber(usage.last_number + 1));
        // What the session itself reserved is free for it.
        usage.upload_bytes -= if session.holds_room() { size } else { 0 };
        let mut without = self.state.clone();
        keys::put::<Usages>(&mut without, &(account,), &usage).unwrap();
        let without = std::mem::replace(&mut self.state, without);
        let room = self.check_room(account, &place, size);
        self.state = without;

        let done = attempt(&mut self.state, |tx| {
            complete(tx, account, id, &digests, blob.as_ref(), moment)
        });
        let expected = self.model.get(at, now).and_then(|session| {
            if let Some(file) = session.file {
                return Err(CoreError::UploadDone(file));
            }
            if known.is_none() && blob.is_none() {
                return Err(CoreError::NoContent);
            }
            room?;
            session.finish(number, now);
            Ok(number)
        });
        if let Ok(number) = &done {
            let file = files::get(&self.state, account, *number).unwrap();
            let content = contents::get(&self.state, &file.content).unwrap().unwrap();
            assert_eq!((file.content, file.size), (digests.hash, size));
            assert_eq!((file.folder, file.blob), (place.folder, content.blob));
            assert_eq!(
                known.map_or(blob, |known| Some(known.blob)),
                Some(file.blob)
            );
        } else if let (With::Announced, Some(blob)) = (with, blob) {
            attempt(&mut self.state, |tx| uploads::discard(tx, &blob, now)).unwrap();
        }
        Some((text(&done), text(&expected)))
    }

    /// Does what the maintenance does.
    fn expire(&mut self) {
        let now = self.now;
        loop {
            let due = due(&self.state, now, 2).unwrap();
            if due.is_empty() {
                break;
            }
            for (due, id) in due {
                attempt(&mut self.state, |tx| expire(tx, due, id, now)).unwrap();
            }
        }
        for session in &mut self.model.sessions {
            if !session.is_ended && session.renewed + LIFE <= now {
                session.end();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn sessions_equal_the_model(history in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &history {
            world.play(step);
            world.check();
        }
        world.check_end();
    }
}
