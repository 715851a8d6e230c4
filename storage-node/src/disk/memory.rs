//! A disk in memory that does what bad disks do.
//!
//! Faults it makes, all from one seed: a crash loses any subset of the writes that were not synced
//! and tears the ones it keeps, also those whose sync was about to happen; writes and syncs fail with
//! EIO; space runs out.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Disk, Space, VolumeFile};
use crate::format::VolumeNumber;

/// What a crash does with writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashStyle {
    /// `kill -9`: the operating system lives and keeps every write, but what was not synced is no
    /// more durable than before.
    Process,
    /// Power cut: each write survives whole, in part, or not at all, whatever their order.
    Power,
}

#[derive(Debug, Default)]
struct FileState {
    /// What a power cut cannot take.
    durable: Vec<u8>,
    /// What reads see.
    current: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<VolumeNumber, Arc<Mutex<FileState>>>,
    total: u64,
    writes: Fate,
    syncs: Fate,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    FailsOnce,
    Fails,
    /// The machine is about to stop: it fails, and what it should have done is open until the crash.
    CutOff,
}

impl Fate {
    fn lasting(fails: bool) -> Self {
        if fails { Self::Fails } else { Self::Works }
    }

    /// Lets one operation happen.
    fn meet(&mut self) -> io::Result<()> {
        match *self {
            Self::Works => return Ok(()),
            Self::FailsOnce => *self = Self::Works,
            Self::Fails | Self::CutOff => {}
        }
        Err(io::Error::other("injected EIO"))
    }
}

/// A disk in memory. Clones share the same disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDisk {
    /// An empty disk of `total` bytes.
    pub fn new(total: u64) -> Self {
        let state = State {
            files: BTreeMap::new(),
            total,
            writes: Fate::Works,
            syncs: Fate::Works,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Another disk with what this one would have after a power cut now that loses all it may lose.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = locked(&self.state);
        let copied = Self::new(state.total);
        for (number, file) in &state.files {
            let durable = locked(file).durable.clone();
            let file = FileState {
                current: durable.clone(),
                durable,
                unsynced: Vec::new(),
            };
            let mut copied = locked(&copied.state);
            copied.files.insert(*number, Arc::new(Mutex::new(file)));
        }
        copied
    }

    /// Makes every later write fail with EIO, or no longer.
    pub fn fail_writes(&self, fail: bool) {
        locked(&self.state).writes = Fate::lasting(fail);
    }

    /// Gives the disk another size. What it holds stays, and nothing more fits if that is too much.
    pub fn set_total(&self, total: u64) {
        locked(&self.state).total = total;
    }

    /// Makes every later sync fail with EIO, or no longer. A failed sync loses what it should have
    /// kept from a power cut, as Linux does.
    pub fn fail_syncs(&self, fail: bool) {
        locked(&self.state).syncs = Fate::lasting(fail);
    }

    /// Makes the next write fail with EIO, and no later one.
    pub fn fail_next_write(&self) {
        locked(&self.state).writes = Fate::FailsOnce;
    }

    /// Makes the next sync fail with EIO, and no later one: the case in which asking again gives a
    /// wrong answer.
    pub fn fail_next_sync(&self) {
        locked(&self.state).syncs = Fate::FailsOnce;
    }

    /// Has the power fail in the middle of the next sync: it reports an error to the process, which is
    /// about to end, and [`Self::crash`] decides what of the writes before it survives.
    pub fn cut_power_at_next_sync(&self) {
        locked(&self.state).syncs = Fate::CutOff;
    }

    /// Cuts a volume file behind the engine's back.
    pub fn cut(&self, number: VolumeNumber, len: usize) {
        let state = locked(&self.state);
        if let Some(file) = state.files.get(&number) {
            let mut file = locked(file);
            file.current.truncate(len);
            file.durable.truncate(len);
            file.unsynced.clear();
        }
    }

    /// Stops and starts the machine. `random` decides what survives.
    pub fn crash(&self, style: CrashStyle, mut random: impl FnMut() -> u64) {
        let mut state = locked(&self.state);
        state.writes = Fate::Works;
        state.syncs = Fate::Works;
        for file in state.files.values() {
            let mut file = locked(file);
            if style == CrashStyle::Power {
                let unsynced = std::mem::take(&mut file.unsynced);
                let mut survived = std::mem::take(&mut file.durable);
                for (offset, bytes) in unsynced {
                    let kept = match random() % 4 {
                        0 => 0,
                        1 => usize::try_from(random()).unwrap_or(0) % (bytes.len() + 1),
                        _ => bytes.len(),
                    };
                    overwrite(&mut survived, offset, bytes.get(..kept).unwrap_or_default());
                }
                file.current.clone_from(&survived);
                file.durable = survived;
            }
        }
    }

    /// Changes stored bytes behind the engine's back.
    pub fn corrupt(&self, number: VolumeNumber, offset: u64, change: impl FnOnce(&mut [u8])) {
        let state = locked(&self.state);
        let Some(file) = state.files.get(&number) else {
            return;
        };
        let mut file = locked(file);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(bytes) = file.current.get_mut(offset..) {
            change(bytes);
        }
        let current = file.current.clone();
        file.durable = current;
    }
}

fn overwrite(target: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(range) = target.get_mut(offset..offset + bytes.len()) {
        range.copy_from_slice(bytes);
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn create(&self, number: VolumeNumber, len: u64, first_block: &[u8]) -> io::Result<MemoryFile> {
        if self.space()?.free < len {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut state = locked(&self.state);
        if [state.writes, state.syncs].contains(&Fate::Fails) {
            return Err(io::Error::other("injected EIO"));
        }
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        overwrite(&mut bytes, 0, first_block);
        let file = FileState {
            durable: bytes.clone(),
            current: bytes,
            unsynced: Vec::new(),
        };
        let file = Arc::new(Mutex::new(file));
        state.files.insert(number, Arc::clone(&file));
        Ok(MemoryFile {
            file,
            disk: self.clone(),
        })
    }

    fn open(&self, number: VolumeNumber) -> io::Result<MemoryFile> {
        let state = locked(&self.state);
        let file = state.files.get(&number).ok_or(io::ErrorKind::NotFound)?;
        Ok(MemoryFile {
            file: Arc::clone(file),
            disk: self.clone(),
        })
    }

    fn list(&self) -> io::Result<Vec<VolumeNumber>> {
        Ok(locked(&self.state).files.keys().copied().collect())
    }

    fn remove(&self, number: VolumeNumber) -> io::Result<()> {
        match locked(&self.state).files.remove(&number) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn space(&self) -> io::Result<Space> {
        let state = locked(&self.state);
        let used: usize = state
            .files
            .values()
            .map(|file| locked(file).current.len())
            .sum();
        Ok(Space {
            total: state.total,
            free: state.total.saturating_sub(used as u64),
        })
    }
}

/// A file of a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryFile {
    file: Arc<Mutex<FileState>>,
    disk: MemoryDisk,
}

impl VolumeFile for MemoryFile {
    fn len(&self) -> u64 {
        locked(&self.file).current.len() as u64
    }

    fn write_at(&self, pieces: &[io::IoSlice<'_>], offset: u64) -> io::Result<()> {
        locked(&self.disk.state).writes.meet()?;
        let mut file = locked(&self.file);
        let mut offset = usize::try_from(offset).map_err(io::Error::other)?;
        for piece in pieces {
            if file.current.len() < offset + piece.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            overwrite(&mut file.current, offset, piece);
            file.unsynced.push((offset, piece.to_vec()));
            offset += piece.len();
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (is_cut_off, fate) = {
            let syncs = &mut locked(&self.disk.state).syncs;
            (*syncs == Fate::CutOff, syncs.meet())
        };
        let mut file = locked(&self.file);
        if is_cut_off {
            return fate;
        }
        let unsynced = std::mem::take(&mut file.unsynced);
        fate?;
        for (offset, bytes) in unsynced {
            overwrite(&mut file.durable, offset, &bytes);
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = self.slice(offset..offset + buffer.len() as u64)?;
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        let file = locked(&self.file);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let found = file.current.iter().skip(start).position(|byte| *byte != 0);
        Ok(found.map(|distance| offset + distance as u64))
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        let file = locked(&self.file);
        let start = usize::try_from(range.start).map_err(io::Error::other)?;
        let end = usize::try_from(range.end).map_err(io::Error::other)?;
        match file.current.get(start..end) {
            Some(bytes) => Ok(Bytes::copy_from_slice(bytes)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn is_resident(&self, _range: Range<u64>) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_disk() {
        crate::disk::conformance::check(&MemoryDisk::new(1 << 20));
    }

    #[test]
    fn a_power_cut_takes_only_what_was_not_synced() {
        let disk = MemoryDisk::new(1 << 20);
        let file = disk.create(VolumeNumber(1), 4096, b"").unwrap();
        file.write_at(&[io::IoSlice::new(b"kept")], 0).unwrap();
        file.sync().unwrap();
        file.write_at(&[io::IoSlice::new(b"lost")], 8).unwrap();
        disk.crash(CrashStyle::Power, || 0);
        let file = disk.open(VolumeNumber(1)).unwrap();
        assert_eq!(&file.slice(0..12).unwrap()[..], b"kept\0\0\0\0\0\0\0\0");
    }
}
