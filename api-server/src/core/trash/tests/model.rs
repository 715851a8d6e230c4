//! The model of an account's tree and trash: a map of entries that is searched from end to end. It
//! knows no lists, no sums and no work that is left: it says what must be true once all is done.

use std::collections::BTreeMap;

use super::digests;
use crate::core::error::CoreError;
use crate::core::files::{Conflict, FileRecord, Naming, Place, Reuse};
use crate::core::id::{Entry, FileNumber, FolderNumber};
use crate::core::name::{EntryName, FileName};
use crate::core::testing::blob;
use crate::core::trash::Restored;
use crate::core::tree::{DEPTH_MAX, EntryRow, FolderRecord};

/// An entry.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) parent: FolderNumber,
    pub(super) name: EntryName,
    created: u32,
    modified: u32,
    /// Its place in the trash and since when it is there, if it was put there by itself.
    pub(super) trashed: Option<(u64, u32)>,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// With the levels that were ever below it.
    Folder { height: u64 },
    /// Of this content.
    File { content: u8 },
}

/// What the model cannot know, because it depends on how much of the work is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Bytes that count against the quota.
    pub(super) used: u64,
    /// Whether the user has a listed file of this label and content.
    pub(super) has_label: bool,
    /// Whether the catalog has the content.
    pub(super) has_content: bool,
    /// Whether the user has a listed file of the content.
    pub(super) owns_content: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) last_number: u64,
    pub(super) quota: Option<u64>,
}

impl Model {
    /// A folder and those above it, up to the root or to one that is in the trash.
    pub(super) fn chain(&self, folder: FolderNumber) -> Result<Vec<u64>, CoreError> {
        let (mut chain, mut at) = (Vec::new(), folder);
        while at != FolderNumber::ROOT {
            let node = self.nodes.get(&at.0).ok_or(CoreError::NoFolder)?;
            let What::Folder { .. } = node.what else {
                return Err(CoreError::NoFolder);
            };
            chain.push(at.0);
            if node.trashed.is_some() {
                break;
            }
            at = node.parent;
        }
        Ok(chain)
    }

    /// A folder in the tree and those above it.
    pub(super) fn ancestors(&self, folder: FolderNumber) -> Result<Vec<u64>, CoreError> {
        let chain = self.chain(folder)?;
        let top = chain.last().map(|top| &self.nodes[top]);
        if top.is_some_and(|top| top.trashed.is_some()) {
            return Err(CoreError::NoFolder);
        }
        Ok(chain)
    }

    pub(super) fn is_in_tree(&self, number: u64) -> bool {
        let node = self.nodes.get(&number);
        node.is_some_and(|node| node.trashed.is_none() && self.ancestors(node.parent).is_ok())
    }

    pub(super) fn entry(&self, number: u64) -> Entry {
        match self.nodes[&number].what {
            What::Folder { .. } => Entry::Folder(FolderNumber(number)),
            What::File { .. } => Entry::File(FileNumber(number)),
        }
    }

    /// What is in a folder, folders first, then by name.
    pub(super) fn children(&self, folder: FolderNumber) -> Vec<u64> {
        let nodes = self.nodes.iter();
        let mut children: Vec<u64> = nodes
            .filter(|(_, node)| node.parent == folder && node.trashed.is_none())
            .map(|(number, _)| *number)
            .collect();
        children.sort_by_key(|number| {
            let node = &self.nodes[number];
            (matches!(node.what, What::File { .. }), node.name.clone())
        });
        children
    }

    fn child(&self, folder: FolderNumber, name: &EntryName) -> Option<Entry> {
        let children = self.children(folder);
        let named = children
            .iter()
            .find(|number| self.nodes[number].name == *name);
        named.map(|number| self.entry(*number))
    }

    fn free_name(&self, folder: FolderNumber, name: &EntryName) -> EntryName {
        let mut names = std::iter::once(name.clone()).chain((1..).map(|n| name.numbered(n)));
        names
            .find(|name| self.child(folder, name).is_none())
            .unwrap()
    }

    /// Files, folders and bytes below a folder.
    pub(super) fn sums(&self, folder: FolderNumber) -> [u64; 3] {
        let mut sums = [0; 3];
        for number in self.children(folder) {
            let more = match self.nodes[&number].what {
                What::Folder { .. } => {
                    let [files, folders, bytes] = self.sums(FolderNumber(number));
                    [files, folders + 1, bytes]
                }
                What::File { content } => [1, 0, digests(content).size],
            };
            sums = std::array::from_fn(|sum| sums[sum] + more[sum]);
        }
        sums
    }

    /// What a row of a list says, without what the model does not know: see `super::masked`.
    pub(super) fn row(&self, number: u64) -> EntryRow {
        let node = &self.nodes[&number];
        let trashed = node.trashed.map(|(place, _)| place);
        match node.what {
            What::Folder { height } => {
                let [files, folders, bytes] = self.sums(FolderNumber(number));
                let record = FolderRecord {
                    parent: node.parent,
                    name: node.name.clone(),
                    created: node.created,
                    modified: node.modified,
                    files,
                    folders,
                    bytes,
                    height,
                    trashed,
                };
                EntryRow::Folder(FolderNumber(number), record)
            }
            What::File { content } => {
                let digests = digests(content);
                let record = FileRecord {
                    name: "masked".parse().unwrap(),
                    folder: node.parent,
                    entry: node.name.clone(),
                    content: digests.hash,
                    md5: digests.md5,
                    size: digests.size,
                    blob: blob(0),
                    created: node.created,
                    modified: node.modified,
                    trashed,
                    views: 0,
                    share: None,
                    pictures: 0,
                };
                EntryRow::File(FileNumber(number), record)
            }
        }
    }

    /// Entries in the trash by themselves, oldest first, with since when.
    pub(super) fn trash(&self) -> Vec<(u64, u32)> {
        let trashed = self.nodes.iter();
        let mut trashed: Vec<_> = trashed
            .filter_map(|(number, node)| {
                let (place, since) = node.trashed?;
                Some((place, *number, since))
            })
            .collect();
        trashed.sort_unstable();
        let rows = trashed.into_iter();
        rows.map(|(_, number, since)| (number, since)).collect()
    }

    fn next(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn enter(&mut self, parent: FolderNumber, name: EntryName, what: What, now: u32) -> u64 {
        let number = self.next();
        let node = Node {
            parent,
            name,
            created: now,
            modified: now,
            trashed: None,
            what,
        };
        self.nodes.insert(number, node);
        number
    }

    /// Notes that there are so many levels below a folder, and more below those above it.
    fn raise(&mut self, folder: FolderNumber, levels: u64) {
        let above = self.ancestors(folder).unwrap();
        for (levels, number) in (levels..).zip(above) {
            if let What::Folder { height } = &mut self.nodes.get_mut(&number).unwrap().what {
                *height = levels.max(*height);
            }
        }
    }

    pub(super) fn make_folder(
        &mut self,
        parent: FolderNumber,
        name: &EntryName,
        now: u32,
    ) -> Result<FolderNumber, CoreError> {
        self.ancestors(parent)?;
        if let Some(taken) = self.child(parent, name) {
            return Err(CoreError::NameInUse(taken));
        }
        let what = What::Folder { height: 0 };
        let number = self.enter(parent, name.clone(), what, now);
        self.raise(parent, 1);
        Ok(FolderNumber(number))
    }

    pub(super) fn make_path(
        &mut self,
        from: FolderNumber,
        names: &[EntryName],
        now: u32,
    ) -> Result<FolderNumber, CoreError> {
        self.ancestors(from)?;
        let mut at = from;
        for name in names {
            at = match self.child(at, name) {
                Some(Entry::Folder(folder)) => folder,
                Some(taken) => return Err(CoreError::NameInUse(taken)),
                None => self.make_folder(at, name, now)?,
            };
        }
        Ok(at)
    }

    fn check_place(&self, place: &Place) -> Result<Option<u64>, CoreError> {
        self.ancestors(place.folder)?;
        match (self.child(place.folder, &place.name), place.conflict) {
            (None, _) | (_, Conflict::Keep) => Ok(None),
            (Some(Entry::File(file)), Conflict::Replace) => Ok(Some(file.0)),
            (Some(taken), _) => Err(CoreError::NameInUse(taken)),
        }
    }

    pub(super) fn add(
        &mut self,
        content: u8,
        naming: &Naming,
        known: Known,
        now: u32,
    ) -> Result<FileNumber, CoreError> {
        let mut used = known.used;
        let (folder, name) = match naming {
            Naming::Label(_) if known.has_label => return Err(CoreError::FileExists),
            Naming::Label(label) => {
                let root = FolderNumber::ROOT;
                (root, self.free_name(root, &EntryName::like(label)))
            }
            Naming::Place(place) => {
                let replaced = self.check_place(place)?;
                if let Some(What::File { content }) = replaced
                    .and_then(|number| self.nodes.remove(&number))
                    .map(|node| node.what)
                {
                    used -= digests(content).size;
                }
                (place.folder, self.free_name(place.folder, &place.name))
            }
        };
        let size = digests(content).size;
        if let Some(quota) = self.quota
            && size != 0
            && quota < used + size
        {
            return Err(CoreError::OverQuota { quota, used, size });
        }
        Ok(FileNumber(self.enter(
            folder,
            name,
            What::File { content },
            now,
        )))
    }

    pub(super) fn claim(
        &mut self,
        content: u8,
        place: &Place,
        reuse: Reuse,
        known: Known,
        now: u32,
    ) -> Result<FileNumber, CoreError> {
        self.check_place(place)?;
        if !known.has_content || reuse == Reuse::Own && !known.owns_content {
            return Err(CoreError::NoContent);
        }
        self.add(content, &Naming::Place(place.clone()), known, now)
    }

    pub(super) fn rename(
        &mut self,
        number: u64,
        name: &EntryName,
        now: u32,
    ) -> Result<(), CoreError> {
        if !self.is_in_tree(number) {
            return Err(CoreError::NoEntry);
        }
        if self.nodes[&number].name == *name {
            return Ok(());
        }
        if let Some(taken) = self.child(self.nodes[&number].parent, name) {
            return Err(CoreError::NameInUse(taken));
        }
        let node = self.nodes.get_mut(&number).unwrap();
        (node.name, node.modified) = (name.clone(), now);
        Ok(())
    }

    pub(super) fn move_to(
        &mut self,
        numbers: &[u64],
        to: FolderNumber,
        now: u32,
    ) -> Result<(), CoreError> {
        self.ancestors(to)?;
        for number in numbers {
            if !self.is_in_tree(*number) {
                return Err(CoreError::NoEntry);
            }
            if self.nodes[number].parent == to {
                continue;
            }
            if let Some(taken) = self.child(to, &self.nodes[number].name) {
                return Err(CoreError::NameInUse(taken));
            }
            self.place(*number, to, now)?;
        }
        Ok(())
    }

    fn place(&mut self, number: u64, to: FolderNumber, now: u32) -> Result<(), CoreError> {
        let above = self.ancestors(to)?;
        let what = self.nodes[&number].what;
        if let What::Folder { height } = what {
            if above.contains(&number) {
                return Err(CoreError::IntoItself);
            }
            if DEPTH_MAX < above.len() as u64 + height + 1 {
                return Err(CoreError::TooDeep(DEPTH_MAX));
            }
        }
        let node = self.nodes.get_mut(&number).unwrap();
        (node.parent, node.modified, node.trashed) = (to, now, None);
        if let What::Folder { height } = what {
            self.raise(to, height + 1);
        }
        Ok(())
    }

    pub(super) fn put(&mut self, number: u64, now: u32) -> Result<(), CoreError> {
        if !self.is_in_tree(number) {
            return Err(CoreError::NoEntry);
        }
        let place = self.next();
        self.nodes.get_mut(&number).unwrap().trashed = Some((place, now));
        Ok(())
    }

    pub(super) fn restore(
        &mut self,
        number: u64,
        to: Option<FolderNumber>,
        now: u32,
    ) -> Result<Restored, CoreError> {
        let node = self.nodes.get(&number).ok_or(CoreError::NoEntry)?;
        node.trashed.ok_or(CoreError::NotInTrash)?;
        let to = to.unwrap_or(node.parent);
        self.ancestors(to)?;
        let name = self.free_name(to, &node.name);
        let is_renamed = name != node.name;
        self.nodes.get_mut(&number).unwrap().name = name;
        self.place(number, to, now)?;
        Ok(Restored { is_renamed })
    }

    pub(super) fn purge(&mut self, number: u64) -> Result<(), CoreError> {
        let node = self.nodes.get(&number).ok_or(CoreError::NoEntry)?;
        node.trashed.ok_or(CoreError::NotInTrash)?;
        self.remove(number);
        Ok(())
    }

    /// Removes an entry and what is below it. What went to the trash from there stays.
    pub(super) fn remove(&mut self, number: u64) {
        for child in self.children(FolderNumber(number)) {
            self.remove(child);
        }
        self.nodes.remove(&number);
    }

    /// A file of this label, for messages of tests.
    pub(super) fn files(&self) -> impl Iterator<Item = (u64, u8)> {
        self.nodes
            .iter()
            .filter_map(|(number, node)| match node.what {
                What::File { content } => Some((*number, content)),
                What::Folder { .. } => None,
            })
    }
}

/// The label that is asked for.
pub(super) fn label_of(naming: &Naming) -> Option<&FileName> {
    match naming {
        Naming::Label(label) => Some(label),
        Naming::Place(_) => None,
    }
}
