//! The tree and the trash: random histories against a model, and cases of the trash by themselves.

mod directed;
mod model;

use proptest::prelude::*;

use super::*;
use crate::core::files::{Conflict, FileOrder, Naming, Place, Reuse};
use crate::core::id::{ContentHash, Md5, PictureLink, Sha1};
use crate::core::keys::Contents;
use crate::core::name::{EntryName, FileName};
use crate::core::testing::{State, attempt, blob, user};
use crate::core::uploads::{self, Added, Digests};
use crate::core::{contents, pictures, shares};
use model::{Known, Model, What, label_of};

const USERS: u64 = 2;
const CONTENTS: u8 = 4;
const NAMES: [&str; 4] = ["a", "b.txt", "c.tar.gz", "a(1)"];

/// What is done. Picks choose among what is there, by their remainder.
#[derive(Clone, Debug)]
enum Step {
    MakeFolder {
        folder: u8,
        name: u8,
    },
    MakePath {
        folder: u8,
        names: Vec<u8>,
    },
    AddLabelled {
        content: u8,
        name: u8,
    },
    Add {
        content: u8,
        place: PickedPlace,
    },
    Claim {
        content: u8,
        place: PickedPlace,
        by_sha1: bool,
        reuse: Reuse,
    },
    Rename {
        entry: u8,
        name: u8,
    },
    Move {
        entries: Vec<u8>,
        folder: u8,
    },
    Put {
        entry: u8,
        steps: usize,
    },
    Restore {
        entry: u8,
        to: Option<u8>,
        steps: usize,
    },
    Purge {
        entry: u8,
        steps: usize,
    },
    RemoveListed {
        file: u8,
    },
    RemoveTrashed {
        entry: u8,
    },
    Share {
        file: u8,
    },
    SharePicture {
        file: u8,
    },
    Work {
        steps: usize,
    },
    SetQuota {
        quota: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug)]
struct PickedPlace {
    folder: u8,
    name: u8,
    conflict: Conflict,
}

fn name() -> impl Strategy<Value = u8> {
    0..u8::try_from(NAMES.len()).unwrap()
}

fn place() -> impl Strategy<Value = PickedPlace> {
    let conflict = prop::sample::select(vec![Conflict::Refuse, Conflict::Keep, Conflict::Replace]);
    (any::<u8>(), name(), conflict).prop_map(|(folder, name, conflict)| PickedPlace {
        folder,
        name,
        conflict,
    })
}

/// What makes a tree to begin with.
fn first_step() -> impl Strategy<Value = Step> {
    let pick = any::<u8>;
    prop_oneof![
        1 => (pick(), prop::collection::vec(name(), 1..4))
            .prop_map(|(folder, names)| Step::MakePath { folder, names }),
        2 => (0..CONTENTS, place()).prop_map(|(content, place)| Step::Add { content, place }),
    ]
}

fn user_number() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 1 => 1..USERS as usize]
}

fn step() -> impl Strategy<Value = Step> {
    let pick = any::<u8>;
    // Often nothing is done at once, so that the next steps come upon what is left.
    let steps = || prop::sample::select(vec![0, 0, 1, 2, 4, 50]);
    let picks = || prop::collection::vec(any::<u8>(), 1..4);
    let reuse = prop::sample::select(vec![Reuse::Own, Reuse::Global]);
    let quota = prop::option::of(prop::sample::select(vec![0, 350, 1_500, 4_000]));
    prop_oneof![
        8 => (pick(), name()).prop_map(|(folder, name)| Step::MakeFolder { folder, name }),
        3 => (pick(), prop::collection::vec(name(), 0..4))
            .prop_map(|(folder, names)| Step::MakePath { folder, names }),
        2 => (0..CONTENTS, name()).prop_map(|(content, name)| Step::AddLabelled { content, name }),
        8 => (0..CONTENTS, place()).prop_map(|(content, place)| Step::Add { content, place }),
        2 => (0..CONTENTS, place(), any::<bool>(), reuse).prop_map(
            |(content, place, by_sha1, reuse)| Step::Claim { content, place, by_sha1, reuse }
        ),
        3 => (pick(), name()).prop_map(|(entry, name)| Step::Rename { entry, name }),
        6 => (picks(), pick()).prop_map(|(entries, folder)| Step::Move { entries, folder }),
        6 => (pick(), steps()).prop_map(|(entry, steps)| Step::Put { entry, steps }),
        6 => (pick(), prop::option::of(pick()), steps())
            .prop_map(|(entry, to, steps)| Step::Restore { entry, to, steps }),
        3 => (pick(), steps()).prop_map(|(entry, steps)| Step::Purge { entry, steps }),
        2 => pick().prop_map(|file| Step::RemoveListed { file }),
        1 => pick().prop_map(|entry| Step::RemoveTrashed { entry }),
        2 => pick().prop_map(|file| Step::Share { file }),
        2 => pick().prop_map(|file| Step::SharePicture { file }),
        4 => steps().prop_map(|steps| Step::Work { steps }),
        1 => quota.prop_map(|quota| Step::SetQuota { quota }),
    ]
}

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

/// One user's part of a history.
#[derive(Debug)]
struct World {
    state: State,
    models: Vec<Model>,
    /// Every blob that was ever announced.
    blobs: Vec<FileId>,
    links: u8,
}

use common::id::FileId;

impl World {
    fn new() -> Self {
        let mut state = State::default();
        for number in 1..=USERS {
            user(&mut state, &format!("user{number}"));
        }
        Self {
            state,
            models: vec![Model::default(); USERS as usize],
            blobs: Vec::new(),
            links: 0,
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
        match trash.get(usize::from(pick) % (trash.len() + 1)) {
            Some((number, _)) => *number,
            None => self.entry(user, pick),
        }
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
                let claim = match by_sha1 {
                    true => files::Claim::Sha1(digests.sha1),
                    false => files::Claim::Md5(digests.md5),
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
                let numbers: Vec<_> = entries.iter().map(|pick| self.entry(user, *pick)).collect();
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
                let expected = match is_file {
                    true => Ok(model.remove(number)),
                    false => Err(CoreError::NoFile),
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
                let expected = match taken {
                    true => Err(CoreError::AlreadyShared),
                    false => Ok(()),
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

    /// What is true at any time.
    fn check(&self) {
        for (account, model) in (1..).map(AccountId).zip(&self.models) {
            self.check_tree(account, model);
            self.check_trash(account, model);
            self.check_lists(account);
        }
        self.check_blobs();
    }

    /// The row as the model has it: labels and shares depend on when the lists follow.
    fn masked(&self, row: EntryRow) -> EntryRow {
        match row {
            EntryRow::File(number, mut file) => {
                let content = contents::get(&self.state, &file.content).unwrap().unwrap();
                assert_eq!(content.blob, file.blob);
                file.blob = blob(0);
                file.name = "masked".parse().unwrap();
                file.share = None;
                file.pictures = 0;
                EntryRow::File(number, file)
            }
            folder @ EntryRow::Folder(..) => folder,
        }
    }

    fn masked_all(&self, rows: Vec<EntryRow>) -> Vec<EntryRow> {
        rows.into_iter().map(|row| self.masked(row)).collect()
    }

    fn check_tree(&self, account: AccountId, model: &Model) {
        let state = &self.state;
        for number in 0..=model.last_number + 1 {
            let found = tree::find(state, account, number).map(|row| self.masked(row));
            let in_tree = tree::find_in_tree(state, account, number).map(|row| self.masked(row));
            let expected = match model.nodes.contains_key(&number) {
                true => Ok(model.row(number)),
                false => Err(CoreError::NoEntry),
            };
            assert_eq!(text(&found), text(&expected));
            let expected = match model.is_in_tree(number) {
                true => Ok(model.row(number)),
                false => Err(CoreError::NoEntry),
            };
            assert_eq!(text(&in_tree), text(&expected));
            self.check_folder(account, FolderNumber(number), model);
        }
    }

    fn check_folder(&self, account: AccountId, folder: FolderNumber, model: &Model) {
        use Direction::{Ascending, Descending};

        let state = &self.state;
        let above = tree::ancestors(state, account, folder);
        let numbers = above.map(|above| above.iter().map(|(n, _)| n.0).collect::<Vec<_>>());
        assert_eq!(text(&numbers), text(&model.ancestors(folder)));
        let path = tree::path(state, account, folder);
        let page = tree::page(state, account, folder, Ascending, 0, 100);
        let by_number = tree::by_number(state, account, folder, 0, 100);
        let Ok(mut chain) = model.chain(folder) else {
            for refused in [text(&path), text(&page), text(&by_number)] {
                assert_eq!(refused, "Err(NoFolder)");
            }
            return;
        };
        chain.reverse();
        let named = |number: &u64| (FolderNumber(*number), model.nodes[number].name.clone());
        assert_eq!(path.unwrap(), chain.iter().map(named).collect::<Vec<_>>());

        let mut children: Vec<_> = model.children(folder);
        let mut rows: Vec<_> = children.iter().map(|number| model.row(*number)).collect();
        let page = page.unwrap();
        assert_eq!(page.total, rows.len() as u64);
        assert_eq!(self.masked_all(page.rows), rows);
        let part = tree::page(state, account, folder, Ascending, 1, 2).unwrap();
        let expected: Vec<_> = rows.iter().skip(1).take(2).cloned().collect();
        assert_eq!(self.masked_all(part.rows), expected);
        rows.reverse();
        let part = tree::page(state, account, folder, Descending, 1, 3).unwrap();
        let expected: Vec<_> = rows.iter().skip(1).take(3).cloned().collect();
        assert_eq!(self.masked_all(part.rows), expected);

        let is_below = chain
            .first()
            .is_some_and(|top| model.nodes[top].trashed.is_some());
        let trashed = model.trash().into_iter().map(|(number, _)| number);
        children.extend(trashed.filter(|number| model.nodes[number].parent == folder));
        children.sort_unstable();
        let expected: Vec<_> = children
            .into_iter()
            .map(|number| {
                let is_trashed = model.nodes[&number].trashed.is_some();
                (model.row(number), is_trashed || is_below)
            })
            .collect();
        let masked = |rows: Vec<(EntryRow, bool)>| -> Vec<_> {
            let rows = rows.into_iter();
            rows.map(|(row, is_trashed)| (self.masked(row), is_trashed))
                .collect()
        };
        assert_eq!(masked(by_number.unwrap()), expected);
        // In parts nothing is lost and nothing comes twice.
        let (mut after, mut parts) = (0, Vec::new());
        loop {
            let part = tree::by_number(state, account, folder, after, 2).unwrap();
            let Some((last, _)) = part.last() else {
                break;
            };
            after = last.entry().number();
            parts.extend(masked(part));
        }
        assert_eq!(parts, expected);
    }

    fn check_trash(&self, account: AccountId, model: &Model) {
        let holdings = accounts::holdings(&self.state, account).unwrap();
        let [_, _, bytes] = model.sums(FolderNumber::ROOT);
        assert_eq!((holdings.bytes, holdings.quota), (bytes, model.quota));
        let mut expected: Vec<_> = model.trash();
        for direction in [Direction::Ascending, Direction::Descending] {
            let trash = page(&self.state, account, direction, 0, 100).unwrap();
            assert_eq!(trash.total, expected.len() as u64);
            let rows = trash.rows.into_iter();
            let rows: Vec<_> = rows
                .map(|found| (self.masked(found.row), found.since))
                .collect();
            let expected_rows: Vec<_> = expected
                .iter()
                .map(|(number, since)| (model.row(*number), *since))
                .collect();
            assert_eq!(rows, expected_rows);
            expected.reverse();
        }
        let part = page(&self.state, account, Direction::Ascending, 1, 1).unwrap();
        let part = part.rows.first().map(|found| found.row.entry().number());
        assert_eq!(part, expected.get(1).map(|(number, _)| *number));
    }

    /// Labels mean one file each, and shares and files agree.
    fn check_lists(&self, account: AccountId) {
        let listed = self.listed(account);
        let mut pictures = 0;
        let mut shared = 0;
        for (number, file) in &listed {
            let (found, _) = files::find(&self.state, account, file.md5, &file.name).unwrap();
            assert_eq!(found, *number, "a label means its file");
            pictures += file.pictures;
            if file.share.is_some() {
                shared += 1;
                let (_, share) = shares::find(&self.state, file.md5, &file.name).unwrap();
                assert_eq!((share.account, share.file), (account, *number));
            }
        }
        for order in [FileOrder::Name, FileOrder::Size, FileOrder::Views] {
            let page = files::page(&self.state, account, order, Direction::Descending, 0, 1_000);
            let mut rows = page.unwrap().rows;
            rows.sort_by_key(|(number, _)| *number);
            assert_eq!(rows, listed, "{order:?}");
        }
        let labels = keys::scan::<keys::FileLabels>(&self.state, &account, 1_000).unwrap();
        assert_eq!(labels.len(), listed.len());
        let holdings = accounts::holdings(&self.state, account).unwrap();
        assert_eq!(holdings.files, listed.len() as u64);
        assert_eq!((holdings.pictures, holdings.shares), (pictures, shared));
        let unlisted = keys::scan::<TrashedFiles>(&self.state, &account, 1_000).unwrap();
        for (_, file) in unlisted {
            assert_eq!((file.share, file.pictures), (None, 0));
        }
    }

    /// Every blob is some content's, or an orphan.
    fn check_blobs(&self) {
        let contents = keys::scan::<Contents>(&self.state, &(), 100).unwrap();
        let owned = contents.iter().map(|(_, content)| content.blob);
        let orphans = uploads::orphans(&self.state, None, 1_000).unwrap();
        let orphaned = orphans.iter().map(|(blob, _)| *blob);
        let mut found: Vec<_> = owned.chain(orphaned).collect();
        found.sort_unstable();
        let mut made = self.blobs.clone();
        made.sort_unstable();
        assert_eq!(found, made);
    }

    /// What is true once all work is done.
    fn check_done(mut self, steps: usize) {
        let moment = Moment {
            now: 9_999,
            chance: 5,
        };
        for account in (1..=USERS).map(AccountId) {
            let mut left = 10_000;
            while !work(&mut self.state, account, steps, moment).unwrap() {
                left -= 1;
                assert_ne!(left, 0, "the work comes to an end");
            }
        }
        assert_eq!(tasks(&self.state, 1).unwrap(), []);
        self.check();
        for (account, model) in (1..).map(AccountId).zip(&self.models) {
            let (live, gone): (Vec<_>, Vec<_>) =
                model.files().partition(|(file, _)| model.is_in_tree(*file));
            let numbers = |files: &[(u64, u8)]| files.iter().map(|(n, _)| *n).collect::<Vec<_>>();
            let listed = self.listed(account).into_iter();
            let listed: Vec<_> = listed.map(|(number, _)| number.0).collect();
            assert_eq!(listed, numbers(&live));
            let unlisted = keys::scan::<TrashedFiles>(&self.state, &account, 1_000).unwrap();
            let unlisted: Vec<_> = unlisted.iter().map(|((_, number), _)| number.0).collect();
            assert_eq!(unlisted, numbers(&gone));
            let holdings = accounts::holdings(&self.state, account).unwrap();
            let bytes = gone.iter().map(|(_, content)| digests(*content).size);
            assert_eq!(holdings.trash_bytes, bytes.sum::<u64>());
            let usage = accounts::usage(&self.state, account).unwrap();
            let count = model.files().count();
            assert_eq!(usage.files, count as u64);
            assert_eq!(usage.folders, (model.nodes.len() - count) as u64);
            // Nothing is left of folders that were removed.
            let folders = keys::scan::<Folders>(&self.state, &account, 1_000).unwrap();
            assert_eq!(folders.len(), model.nodes.len() - count);
            let is_known = |folder: FolderNumber| {
                folder == FolderNumber::ROOT || model.nodes.contains_key(&folder.0)
            };
            let entries = keys::scan::<keys::Entries>(&self.state, &account, 1_000).unwrap();
            let by_number = keys::scan::<EntriesByNumber>(&self.state, &account, 1_000).unwrap();
            assert!(entries.iter().all(|((_, folder, ..), _)| is_known(*folder)));
            assert!(
                by_number
                    .iter()
                    .all(|((_, folder, _), _)| is_known(*folder))
            );
        }
        for content in 0..CONTENTS {
            let files = self.models.iter().flat_map(Model::files);
            let references = files.filter(|(_, of)| *of == content).count() as u64;
            let record = contents::get(&self.state, &digests(content).hash).unwrap();
            assert_eq!(record.map_or(0, |record| record.references), references);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn trees_and_trash_equal_the_model(
        beginning in prop::collection::vec((user_number(), first_step()), 0..20),
        history in prop::collection::vec((user_number(), step()), 1..50),
        steps in 1..4_usize,
    ) {
        let mut world = World::new();
        for (at, (user, step)) in (1..).zip(beginning.iter().chain(&history)) {
            world.play(*user, step, at);
            world.check();
            let copy = World {
                state: world.state.clone(),
                models: world.models.clone(),
                blobs: world.blobs.clone(),
                links: world.links,
            };
            copy.check_done(steps);
        }
    }
}
