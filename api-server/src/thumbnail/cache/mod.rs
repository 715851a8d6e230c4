//! Thumbnails on disk: bounded, and never more than a copy of what can be made again.
//!
//! Files are `<directory>/<2 digits>/<key>`; a key is a hash, so no name comes from a user. A file
//! is written aside and renamed, never synced, and verified at each read. Whatever the disk does, the
//! worst is that a thumbnail is made once more.

mod entry;
mod lru;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use common::env::entropy;
use prometheus::IntGauge;
use tracing::{info, warn};

use super::key::{BlobKey, ThumbKey};
use super::render::ThumbFormat;
use lru::Lru;

/// Digits of a key that name its directory.
const SHARD_LEN: usize = 2;
/// What a file is called until it is whole. No key begins so.
const UNFINISHED: &str = "new-";

/// Thumbnails on disk. All methods but `new` are short; those that touch the disk block.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    book: Mutex<Lru>,
    /// Whether a disk error was logged already.
    complained: AtomicBool,
    bytes: IntGauge,
}

impl Cache {
    /// Finds what is cached already. `bytes` shows the size from now on.
    ///
    /// Removes files in its own sub-directories that it did not write; whatever else lies in
    /// `directory` is left alone, for the setting may be wrong.
    pub(super) fn open(directory: PathBuf, bytes_max: u64, bytes: IntGauge) -> Self {
        let cache = Self {
            directory,
            book: Mutex::new(Lru::new(bytes_max)),
            complained: AtomicBool::new(false),
            bytes,
        };
        match cache.find() {
            Ok(mut found) => {
                // The order of use is not on disk; the order of making is close enough.
                found.sort_unstable();
                for (_, key, len) in found {
                    cache.enter(key, len);
                }
            }
            Err(error) => cache.complain(&error),
        }
        cache
    }

    /// A cached thumbnail, verified. Blocks.
    pub(super) fn read(&self, key: ThumbKey) -> Option<(ThumbFormat, Bytes)> {
        let len = self.book().touch(key)?;
        match self.read_file(key, len) {
            Ok(Some(thumbnail)) => return Some(thumbnail),
            Ok(None) => info!(?key, "a cached thumbnail is damaged and will be made anew"),
            // Somebody tidied up.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.complain(&error),
        }
        self.forget(&[key]);
        None
    }

    /// Whether it is worth while to ask [`Self::read`]; counts as a use.
    pub(super) fn has(&self, key: ThumbKey) -> bool {
        self.book().touch(key).is_some()
    }

    /// Keeps a thumbnail, if the disk lets us. Blocks.
    pub(super) fn write(&self, key: ThumbKey, format: ThumbFormat, thumbnail: &[u8]) {
        let file = entry::encode(key, format, thumbnail);
        let len = file.len() as u64;
        if !self.book().has_room_for(len) {
            return;
        }
        match self.write_file(key, &file) {
            Ok(()) => self.enter(key, len),
            Err(error) => self.complain(&error),
        }
    }

    /// Removes all thumbnails of a blob. Blocks if there are any.
    pub(super) fn remove_blob(&self, blob: BlobKey) {
        let gone = self.book().remove_blob(blob);
        self.unlink(&gone);
    }

    /// Whether a thumbnail of the blob is cached.
    pub(super) fn has_blob(&self, blob: BlobKey) -> bool {
        self.book().has_blob(blob)
    }

    fn enter(&self, key: ThumbKey, len: u64) {
        let gone = self.book().insert(key, len);
        self.unlink(&gone);
    }

    fn forget(&self, keys: &[ThumbKey]) {
        {
            let mut book = self.book();
            for key in keys {
                book.remove(*key);
            }
        }
        self.unlink(keys);
    }

    /// Removes files whose entries are gone. If one is written again in the meantime, its entry
    /// outlives its file, which the next read finds out.
    fn unlink(&self, keys: &[ThumbKey]) {
        for key in keys {
            match fs::remove_file(self.path(*key)) {
                Err(error) if error.kind() != ErrorKind::NotFound => self.complain(&error),
                Ok(()) | Err(_) => {}
            }
        }
        let bytes = self.book().bytes();
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn read_file(&self, key: ThumbKey, len: u64) -> io::Result<Option<(ThumbFormat, Bytes)>> {
        let path = self.path(key);
        // Not what was written, and perhaps far too long to be read.
        if fs::metadata(&path)?.len() != len {
            return Ok(None);
        }
        Ok(entry::decode(key, &fs::read(path)?.into()))
    }

    fn write_file(&self, key: ThumbKey, file: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let shard = path.parent().unwrap_or(&self.directory);
        let unfinished = shard.join(format!("{UNFINISHED}{:016x}", entropy::random_u64()));
        let written = match fs::write(&unfinished, file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(shard).and_then(|()| fs::write(&unfinished, file))
            }
            other => other,
        };
        written
            .and_then(|()| fs::rename(&unfinished, path))
            .inspect_err(|_| {
                // It may not even exist; what stays is removed at the next start.
                let _best_effort = fs::remove_file(&unfinished);
            })
    }

    fn path(&self, key: ThumbKey) -> PathBuf {
        let name = key.to_string();
        let shard = name.get(..SHARD_LEN).unwrap_or_default();
        self.directory.join(shard).join(&name)
    }

    /// Time of making, key and length of all files that look like ours.
    fn find(&self) -> io::Result<Vec<(SystemTime, ThumbKey, u64)>> {
        fs::create_dir_all(&self.directory)?;
        let mut found = Vec::new();
        for shard in fs::read_dir(&self.directory)? {
            let shard = shard?;
            let name = shard.file_name();
            let Some(name) = name.to_str().filter(|name| is_shard(name)) else {
                continue;
            };
            if shard.file_type()?.is_dir() {
                self.find_in_shard(name, &shard.path(), &mut found)?;
            }
        }
        Ok(found)
    }

    fn find_in_shard(
        &self,
        shard: &str,
        directory: &Path,
        found: &mut Vec<(SystemTime, ThumbKey, u64)>,
    ) -> io::Result<()> {
        for file in fs::read_dir(directory)? {
            let file = file?;
            // Of the name itself: links are not followed.
            let facts = file.metadata()?;
            if facts.is_dir() {
                continue;
            }
            let name = file.file_name();
            let key = name
                .to_str()
                .filter(|name| facts.is_file() && name.starts_with(shard))
                .and_then(ThumbKey::parse);
            match key {
                Some(key) => found.push((facts.modified()?, key, facts.len())),
                None => fs::remove_file(file.path()).unwrap_or_else(|error| self.complain(&error)),
            }
        }
        Ok(())
    }

    /// Once: a full disk would otherwise fill the log as well.
    fn complain(&self, error: &io::Error) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            let directory = self.directory.display();
            warn!(%directory, %error, "thumbnails cannot be cached; they are made each time");
        }
    }

    fn book(&self) -> MutexGuard<'_, Lru> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_shard(name: &str) -> bool {
    name.len() == SHARD_LEN
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
