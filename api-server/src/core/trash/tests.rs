//! The tree and the trash: random histories against a model, and cases of the trash by themselves.

mod check;
mod directed;
mod model;
mod step;

use common::id::FileId;
use proptest::prelude::*;

use super::*;
use crate::core::files::{FileOrder, Naming, Place};
use crate::core::id::{ContentHash, Md5, PictureLink, Sha1};
use crate::core::keys::Contents;
use crate::core::name::{EntryName, FileName};
use crate::core::testing::{State, attempt, blob, user};
use crate::core::uploads::{self, Added, Digests};
use crate::core::{contents, pictures, shares};
use model::{Known, Model, What, label_of};
use step::{LATEST, PickedPlace, Step, first_step, phrase, user_number};

/// Work that is left, by account and folder.
fn tasks(view: &dyn View, max: usize) -> Result<Vec<(AccountId, FolderNumber)>, CatalogError> {
    let tasks = keys::scan::<TreeTasks>(view, &(), max)?;
    Ok(tasks.into_iter().map(|(key, _)| key).collect())
}

const USERS: usize = 2;
const CONTENTS: u8 = 4;
const NAMES: [&str; 4] = ["a", "b.txt", "c.tar.gz", "a(1)"];

/// Contents differ in everything, and one has no bytes.
fn digests(content: u8) -> Digests {
    Digests {
        hash: ContentHash([content; 32]),
        md5: Md5([content; 16]),
        sha1: Sha1([content; 20]),
        size: [0, 100, 250, 1_000][usize::from(content)],
    }
}

fn entry_name(name: u8) -> EntryName {
    NAMES[usize::from(name)].parse().unwrap()
}

/// An outcome as something that can be compared.
fn text<T: std::fmt::Debug>(result: &Result<T, CoreError>) -> String {
    format!("{result:?}")
}

/// The catalog and the models of its users.
#[derive(Debug)]
struct World {
    state: State,
    models: Vec<Model>,
    /// Every blob that was ever announced.
    blobs: Vec<FileId>,
    links: u8,
    /// The folder that was put into the trash last.
    latest: Option<FolderNumber>,
}

impl World {
    fn new() -> Self {
        let mut state = State::default();
        for number in 1..=USERS {
            user(&mut state, &format!("user{number}"));
        }
        Self {
            state,
            models: vec![Model::default(); USERS],
            blobs: Vec::new(),
            links: 0,
            latest: None,
        }
    }

    /// A number of an entry; now and then one that means nothing, or nothing any more.
    fn entry(&self, user: usize, pick: u8) -> u64 {
        let model = &self.models[user];
        if pick % 8 == 7 || model.nodes.is_empty() {
            return u64::from(pick) % (model.last_number + 2);
        }
        let at = usize::from(pick) % model.nodes.len();
        model.nodes.keys().nth(at).copied().unwrap_or_default()
    }

    /// A folder, wherever it is; now and then a file, or nothing.
    fn folder(&self, user: usize, pick: u8) -> FolderNumber {
        if pick % 16 == 15 {
            return FolderNumber(self.entry(user, pick / 16));
        }
        let nodes = self.models[user].nodes.iter();
        let mut all = vec![0];
        all.extend(
            nodes
                .filter(|(_, node)| matches!(node.what, What::Folder { .. }))
                .map(|(number, _)| *number),
        );
        FolderNumber(all[usize::from(pick) % all.len()])
    }

    /// Something that is in the trash by itself, or anything if there is nothing.
    fn trashed(&self, user: usize, pick: u8) -> u64 {
        let trash = self.models[user].trash();
        if let (LATEST, Some((number, _))) = (pick, trash.last()) {
            return *number;
        }
        match trash.get(usize::from(pick) % (trash.len() + 1)) {
            Some((number, _)) => *number,
            None => self.entry(user, pick),
        }
    }

    /// Something to move.
    fn moved(&self, user: usize, pick: u8) -> u64 {
        let children = match self.latest {
            Some(folder) if pick == LATEST => self.models[user].children(folder),
            Some(_) | None => Vec::new(),
        };
        // Any of them, the next time another one.
        let at = self.models[user].last_number % (children.len() as u64).max(1);
        let child = children.get(usize::try_from(at).unwrap_or_default());
        child.copied().unwrap_or_else(|| self.entry(user, pick))
    }

    fn place(&self, user: usize, place: PickedPlace) -> Place {
        Place {
            folder: self.folder(user, place.folder),
            name: entry_name(place.name),
            conflict: place.conflict,
        }
    }

    fn listed(&self, account: AccountId) -> Vec<files::FileRow> {
        let (order, direction) = (FileOrder::Created, Direction::Ascending);
        let page = files::page(&self.state, account, order, direction, 0, 1_000).unwrap();
        assert_eq!(page.total, page.rows.len() as u64);
        page.rows
    }

    fn known(&self, account: AccountId, content: u8, label: Option<&FileName>) -> Known {
        let digests = digests(content);
        let holdings = accounts::holdings(&self.state, account).unwrap();
        let has_label = label
            .is_some_and(|label| files::find(&self.state, account, digests.md5, label).is_ok());
        let content = contents::get(&self.state, &digests.hash).unwrap();
        let listed = self.listed(account);
        Known {
            used: holdings.bytes + holdings.trash_bytes,
            has_label,
            has_content: content.is_some(),
            owns_content: listed.iter().any(|(_, file)| file.content == digests.hash),
        }
    }

    /// Runs a step on the catalog and on the model, which must come to the same.
    fn play(&mut self, user: usize, step: &Step, at: u32) {
        let account = AccountId(user as u64 + 1);
        let moment = Moment {
            now: at,
            // Towers are as frequent as the walks below can bear.
            chance: u64::from(at) << (at % 3 * 7),
        };
        let mut model = self.models[user].clone();
        let (done, expected) = match step {
            Step::MakeFolder { folder, name } => {
                let (parent, name) = (self.folder(user, *folder), entry_name(*name));
                let expected = model.make_folder(parent, &name, at);
                let done = attempt(&mut self.state, |tx| {
                    tree::make_folder(tx, account, parent, name, moment)
                });
                (text(&done), text(&expected))
            }
            Step::MakePath { folder, names } => {
                let from = self.folder(user, *folder);
                let names: Vec<_> = names.iter().map(|name| entry_name(*name)).collect();
                let expected = model.make_path(from, &names, at);
                let done = attempt(&mut self.state, |tx| {
                    tree::make_path(tx, account, from, &names, moment)
                });
                if let Ok(folder) = done {
                    let followed = tree::follow(&self.state, account, from, &names);
                    assert_eq!(followed.unwrap(), Some(folder));
                }
                (text(&done), text(&expected))
            }
            Step::AddLabelled { content, name } => {
                let naming = Naming::Label(NAMES[usize::from(*name)].parse().unwrap());
                self.add(&mut model, account, *content, &naming, moment)
            }
            Step::Add { content, place } => {
                let naming = Naming::Place(self.place(user, *place));
                self.add(&mut model, account, *content, &naming, moment)
            }
            Step::Claim {
                content,
                place,
                by_sha1,
                reuse,
            } => {
                let place = self.place(user, *place);
                let known = self.known(account, *content, None);
                let expected = model.claim(*content, &place, *reuse, known, at);
                let digests = digests(*content);
                let claim = if *by_sha1 {
                    files::Claim::Sha1(digests.sha1)
                } else {
                    files::Claim::Md5(digests.md5)
                };
                let done = attempt(&mut self.state, |tx| {
                    files::add_claimed(tx, account, claim, digests.size, place, *reuse, moment)
                });
                (text(&done), text(&expected))
            }
            Step::Rename { entry, name } => {
                let (number, name) = (self.entry(user, *entry), entry_name(*name));
                let expected = model.rename(number, &name, at);
                let done = attempt(&mut self.state, |tx| {
                    tree::rename(tx, account, number, name, moment)
                });
                (text(&done), text(&expected))
            }
            Step::Move { entries, folder } => {
                let to = self.folder(user, *folder);
                let numbers: Vec<_> = entries.iter().map(|pick| self.moved(user, *pick)).collect();
                let expected = model.move_to(&numbers, to, at);
                let done = attempt(&mut self.state, |tx| {
                    tree::move_to(tx, account, &numbers, to, moment)
                });
                (text(&done), text(&expected))
            }
            Step::Put { entry, steps } => {
                // Folders are where the work is.
                let number = match entry % 2 {
                    0 => self.folder(user, entry / 2).0,
                    _ => self.entry(user, entry / 2),
                };
                self.latest = Some(FolderNumber(number));
                let expected = model.put(number, at);
                let done = attempt(&mut self.state, |tx| {
                    put_in_steps(tx, account, number, *steps, moment)
                });
                (text(&done), text(&expected))
            }
            Step::Restore { entry, to, steps } => {
                let number = self.trashed(user, *entry);
                let to = to.map(|pick| self.folder(user, pick));
                let expected = model.restore(number, to, at);
                let done = attempt(&mut self.state, |tx| {
                    restore_in_steps(tx, account, number, to, *steps, moment)
                });
                (text(&done), text(&expected))
            }
            Step::Purge { entry, steps } => {
                let number = self.trashed(user, *entry);
                let expected = model.purge(number);
                let done = attempt(&mut self.state, |tx| {
                    purge_in_steps(tx, account, number, *steps, moment)
                });
                (text(&done), text(&expected))
            }
            Step::RemoveListed { file } => {
                // It may be in the trash, or even gone, where the lists do not follow yet.
                let listed = self.listed(account);
                let Some((number, _)) = listed.get(usize::from(*file) % (listed.len() + 1)) else {
                    return;
                };
                model.remove(number.0);
                let done = attempt(&mut self.state, |tx| {
                    files::remove(tx, account, *number, at).map(drop)
                });
                (text(&done), text(&Ok(())))
            }
            Step::RemoveTrashed { entry } => {
                let number = self.trashed(user, *entry);
                let is_file = matches!(
                    model.nodes.get(&number).map(|node| node.what),
                    Some(What::File { .. })
                );
                let expected = if is_file {
                    model.remove(number);
                    Ok(())
                } else {
                    Err(CoreError::NoFile)
                };
                let done = attempt(&mut self.state, |tx| {
                    files::remove(tx, account, FileNumber(number), at).map(drop)
                });
                (text(&done), text(&expected))
            }
            Step::Share { file } => {
                let listed = self.listed(account);
                let Some((_, row)) = listed.get(usize::from(*file) % (listed.len() + 1)) else {
                    return;
                };
                let taken = shares::find(&self.state, row.md5, &row.name).is_ok();
                let done = attempt(&mut self.state, |tx| {
                    shares::share(tx, account, row.md5, &row.name, moment).map(drop)
                });
                let expected = if taken {
                    Err(CoreError::AlreadyShared)
                } else {
                    Ok(())
                };
                (text(&done), text(&expected))
            }
            Step::SharePicture { file } => {
                let listed = self.listed(account);
                let Some((_, row)) = listed.get(usize::from(*file) % (listed.len() + 1)) else {
                    return;
                };
                self.links += 1;
                model.last_number += 1;
                let link = PictureLink([self.links; 16]);
                let done = attempt(&mut self.state, |tx| {
                    pictures::share(tx, account, row.md5, &row.name, link, moment)
                });
                (text(&done), text(&Ok(())))
            }
            Step::Work { steps } => {
                let done = attempt(&mut self.state, |tx| work(tx, account, *steps, moment));
                let is_left = tasks(&self.state, 100)
                    .unwrap()
                    .iter()
                    .any(|(owner, _)| *owner == account);
                assert_eq!(done.unwrap(), !is_left);
                return;
            }
            Step::SetQuota { quota } => {
                model.quota = *quota;
                let done = attempt(&mut self.state, |tx| {
                    accounts::set_quota(tx, account, *quota)
                });
                (text(&done), text(&Ok(())))
            }
        };
        assert_eq!(done, expected, "{step:?}");
        if done.starts_with("Ok") {
            self.models[user] = model;
        }
    }

    /// Uploads a file whose blob is new.
    fn add(
        &mut self,
        model: &mut Model,
        account: AccountId,
        content: u8,
        naming: &Naming,
        moment: Moment,
    ) -> (String, String) {
        let known = self.known(account, content, label_of(naming));
        let expected = model.add(content, naming, known, moment.now);
        let (digests, blob) = (digests(content), blob(moment.now.into()));
        self.blobs.push(blob);
        attempt(&mut self.state, |tx| {
            uploads::announce(tx, &blob, 7, moment.now)
        })
        .unwrap();
        let done = attempt(&mut self.state, |tx| {
            uploads::complete(tx, account, naming, &digests, &blob, moment)
        });
        // A label that is there with these bytes is no error, and nothing changes.
        let done = done.and_then(|(added, _)| match added {
            Added::New(number) => Ok(number),
            Added::Before => Err(CoreError::FileExists),
        });
        (text(&done), text(&expected))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn trees_and_trash_equal_the_model(
        beginning in prop::collection::vec((user_number(), first_step()), 0..20),
        history in prop::collection::vec((user_number(), phrase()), 1..50),
        steps in 1..4_usize,
    ) {
        let mut world = World::new();
        let beginning = beginning.iter().map(|(user, step)| (user, step));
        let history = history
            .iter()
            .flat_map(|(user, steps)| steps.iter().map(move |step| (user, step)));
        for (at, (user, step)) in (1..).zip(beginning.chain(history)) {
            world.play(*user, step, at);
            world.check();
            let copy = World {
                state: world.state.clone(),
                models: world.models.clone(),
                blobs: world.blobs.clone(),
                ..World::new()
            };
            copy.check_done(steps);
        }
    }
}
