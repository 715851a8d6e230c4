//! The model: vectors that are searched from end to end.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use common::id::FileId;

use super::{hash, md5, size};
use crate::core::catalog::Direction;
use crate::core::files::{FileOrder, FileRecord, FileRow};
use crate::core::id::{ContentHash, FileNumber, FolderNumber, Md5, PictureLink, ShareNumber};
use crate::core::name::{EntryName, FileName};
use crate::core::shares::ShareOrder;

/// How a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    NoFile,
    FileExists,
    Collision,
    NoContent,
    AlreadyShared,
    NoShare,
    NoPicture,
    PictureFileDeleted,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    files: Vec<(u64, FileRow)>,
    shares: Vec<Share>,
    pub(super) pictures: Vec<Picture>,
    pub(super) orphans: BTreeSet<FileId>,
    blobs: Vec<(ContentHash, FileId)>,
    last_numbers: [u64; 4],
    last_share: u64,
    now: u32,
}

#[derive(Clone, Debug)]
struct Share {
    number: ShareNumber,
    user: u64,
    md5: Md5,
    name: FileName,
    views: u64,
}

#[derive(Debug)]
pub(super) struct Picture {
    link: PictureLink,
    user: u64,
    file: FileNumber,
    views: u64,
    is_live: bool,
    is_cancelled: bool,
}

impl Model {
    pub(super) fn upload(
        &mut self,
        user: u64,
        content: u8,
        name: &FileName,
        blob: FileId,
    ) -> Outcome {
        let hash = hash(content);
        if let Some(file) = self.find(user, md5(content), name) {
            if self.files[file].1.1.content != hash {
                return Outcome::Collision;
            }
            return Outcome::FileExists;
        }
        if self.references(hash) == 0 {
            self.blobs.retain(|(known, _)| *known != hash);
            self.blobs.push((hash, blob));
            self.orphans.remove(&blob);
        }
        self.add(user, hash, md5(content), size(content), name);
        Outcome::Done
    }

    pub(super) fn instant(&mut self, user: u64, md5: Md5, name: &FileName) -> Outcome {
        if self.find(user, md5, name).is_some() {
            return Outcome::FileExists;
        }
        let known: BTreeSet<_> = self
            .files
            .iter()
            .filter(|(_, (_, file))| file.md5 == md5)
            .map(|(_, (_, file))| (file.content, file.size))
            .collect();
        let mut known = known.into_iter();
        let (Some((hash, size)), None) = (known.next(), known.next()) else {
            return Outcome::NoContent;
        };
        self.add(user, hash, md5, size, name);
        Outcome::Done
    }

    pub(super) fn remove(&mut self, user: u64, md5: Md5, name: &FileName) -> Outcome {
        let Some(at) = self.find(user, md5, name) else {
            return Outcome::NoFile;
        };
        let (_, (number, _)) = self.files.remove(at);
        self.shares
            .retain(|share| !(share.user == user && share.md5 == md5 && share.name == *name));
        for picture in &mut self.pictures {
            picture.is_live &= !(picture.user == user && picture.file == number);
        }
        Outcome::Done
    }

    pub(super) fn view(&mut self, user: u64, md5: Md5, name: &FileName) -> Outcome {
        match self.find(user, md5, name) {
            None => Outcome::NoFile,
            Some(at) => {
                self.files[at].1.1.views += 1;
                Outcome::Done
            }
        }
    }

    pub(super) fn share(&mut self, user: u64, md5: Md5, name: &FileName) -> Outcome {
        let Some(at) = self.find(user, md5, name) else {
            return Outcome::NoFile;
        };
        if self.find_share(md5, name).is_some() {
            return Outcome::AlreadyShared;
        }
        self.last_share += 1;
        let number = ShareNumber(self.last_share);
        self.files[at].1.1.share = Some(number);
        self.shares.push(Share {
            number,
            user,
            md5,
            name: name.clone(),
            views: 0,
        });
        Outcome::Done
    }

    pub(super) fn cancel(&mut self, user: u64, md5: Md5, name: &FileName) -> Outcome {
        match self.find_share(md5, name) {
            Some(at) if self.shares[at].user == user => {
                self.shares.remove(at);
                let file = self.find(user, md5, name).unwrap();
                self.files[file].1.1.share = None;
                Outcome::Done
            }
            _ => Outcome::NoShare,
        }
    }

    pub(super) fn save(&mut self, user: u64, md5: Md5, name: &FileName) -> Outcome {
        if self.find(user, md5, name).is_some() {
            return Outcome::FileExists;
        }
        let Some(at) = self.find_share(md5, name) else {
            return Outcome::NoShare;
        };
        let file = self.find(self.shares[at].user, md5, name).unwrap();
        let FileRecord { content, size, .. } = self.files[file].1.1;
        self.add(user, content, md5, size, name);
        Outcome::Done
    }

    pub(super) fn view_share(&mut self, md5: Md5, name: &FileName) -> Outcome {
        match self.find_share(md5, name) {
            None => Outcome::NoShare,
            Some(at) => {
                self.shares[at].views += 1;
                Outcome::Done
            }
        }
    }

    pub(super) fn share_picture(
        &mut self,
        user: u64,
        md5: Md5,
        name: &FileName,
        link: PictureLink,
    ) -> Outcome {
        let Some(at) = self.find(user, md5, name) else {
            return Outcome::NoFile;
        };
        self.last_numbers[usize::try_from(user).unwrap()] += 1;
        self.files[at].1.1.pictures += 1;
        self.pictures.push(Picture {
            link,
            user,
            file: self.files[at].1.0,
            views: 0,
            is_live: true,
            is_cancelled: false,
        });
        Outcome::Done
    }

    pub(super) fn browse(&mut self, link: PictureLink) -> Outcome {
        match self.find_picture(link) {
            None => Outcome::NoPicture,
            Some(picture) if !picture.is_live => Outcome::PictureFileDeleted,
            Some(picture) => {
                picture.views += 1;
                Outcome::Done
            }
        }
    }

    pub(super) fn cancel_picture(&mut self, user: u64, link: PictureLink) -> Outcome {
        let Some(picture) = self
            .find_picture(link)
            .filter(|picture| picture.user == user)
        else {
            return Outcome::NoPicture;
        };
        picture.is_cancelled = true;
        if picture.is_live {
            let number = picture.file;
            let mut files = self.files.iter_mut();
            let file = files.find(|(owner, (own, _))| *owner == user && *own == number);
            file.unwrap().1.1.pictures -= 1;
        }
        Outcome::Done
    }

    pub(super) fn files_sorted(
        &self,
        user: u64,
        order: FileOrder,
        direction: Direction,
    ) -> Vec<FileRow> {
        let mut rows: Vec<_> = self
            .files
            .iter()
            .filter(|(owner, _)| *owner == user)
            .map(|(_, row)| row.clone())
            .collect();
        rows.sort_by_key(|(number, _)| *number);
        match order {
            FileOrder::Created => {}
            FileOrder::Name => rows.sort_by_key(|(_, file)| file.name.clone()),
            FileOrder::Size => rows.sort_by_key(|(_, file)| file.size),
            FileOrder::Views => {
                if direction == Direction::Descending {
                    rows.sort_by_key(|(_, file)| Reverse(file.views));
                    return rows;
                }
                rows.sort_by_key(|(_, file)| file.views);
            }
        }
        if direction == Direction::Descending {
            rows.reverse();
        }
        rows
    }

    pub(super) fn shares_sorted(&self, order: ShareOrder) -> Vec<(u64, Md5, FileName, u64)> {
        let mut shares = self.shares.clone();
        shares.sort_by_key(|share| share.number);
        match order {
            ShareOrder::Created => {}
            ShareOrder::Newest => shares.reverse(),
            ShareOrder::Views => shares.sort_by_key(|share| Reverse(share.views)),
        }
        shares
            .into_iter()
            .map(|share| (share.user, share.md5, share.name, share.views))
            .collect()
    }

    pub(super) fn pictures_of(&self, user: u64) -> Vec<(PictureLink, u64)> {
        self.pictures
            .iter()
            .filter(|picture| picture.user == user && picture.is_live && !picture.is_cancelled)
            .map(|picture| (picture.link, picture.views))
            .collect()
    }

    pub(super) fn references(&self, hash: ContentHash) -> u64 {
        self.files
            .iter()
            .filter(|(_, (_, file))| file.content == hash)
            .count() as u64
    }

    fn add(&mut self, user: u64, content: ContentHash, md5: Md5, size: u64, name: &FileName) {
        let entry = self.free_entry(user, &EntryName::like(name));
        let last = &mut self.last_numbers[usize::try_from(user).unwrap()];
        *last += 1;
        let (_, blob) = *self
            .blobs
            .iter()
            .find(|(known, _)| *known == content)
            .unwrap();
        let file = FileRecord {
            name: name.clone(),
            folder: FolderNumber::ROOT,
            entry,
            content,
            md5,
            size,
            blob,
            created: self.now,
            modified: self.now,
            trashed: None,
            views: 0,
            share: None,
            pictures: 0,
        };
        self.files.push((user, (FileNumber(*last), file)));
    }

    /// The name like `name` that a file gets in the root.
    fn free_entry(&self, user: u64, name: &EntryName) -> EntryName {
        let is_taken = |name: &EntryName| {
            let mut files = self.files.iter();
            files.any(|(owner, (_, file))| *owner == user && file.entry == *name)
        };
        let mut free = name.clone();
        for number in 1.. {
            if !is_taken(&free) {
                break;
            }
            free = name.numbered(number);
        }
        free
    }

    fn find(&self, user: u64, md5: Md5, name: &FileName) -> Option<usize> {
        self.files
            .iter()
            .position(|(owner, (_, file))| *owner == user && file.md5 == md5 && file.name == *name)
    }

    fn find_share(&self, md5: Md5, name: &FileName) -> Option<usize> {
        self.shares
            .iter()
            .position(|share| share.md5 == md5 && share.name == *name)
    }

    fn find_picture(&mut self, link: PictureLink) -> Option<&mut Picture> {
        self.pictures
            .iter_mut()
            .find(|picture| picture.link == link && !picture.is_cancelled)
    }

    /// The time of the step that comes.
    pub(super) fn tick(&mut self, now: u32) {
        self.now = now;
    }
}
