//! What must be true of a tree after each step, and once all work is done.

use super::*;

impl World {
    /// What is true at any time.
    pub(super) fn check(&self) {
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
            let expected = if model.nodes.contains_key(&number) {
                Ok(model.row(number))
            } else {
                Err(CoreError::NoEntry)
            };
            assert_eq!(text(&found), text(&expected));
            let expected = if model.is_in_tree(number) {
                Ok(model.row(number))
            } else {
                Err(CoreError::NoEntry)
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
    pub(super) fn check_done(mut self, steps: usize) {
        let moment = Moment {
            now: 9_999,
            chance: 5,
        };
        for account in (1..=USERS as u64).map(AccountId) {
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
