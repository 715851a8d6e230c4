//! An index in memory that forgets like a memtable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Cached, Index, IndexError, Visitor};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
struct State {
    current: Entries,
    flushed: Entries,
    since_flush: Vec<Batch>,
    fail: bool,
}

/// An index in memory. Clones share the same entries.
#[derive(Clone, Debug, Default)]
pub struct MemoryIndex {
    state: Arc<Mutex<State>>,
}

fn apply(entries: &mut Entries, batch: &Batch) {
    for (key, value) in batch.changes() {
        match value {
            Some(value) => entries.insert(key.clone(), value.clone()),
            None => entries.remove(key),
        };
    }
}

impl MemoryIndex {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the youngest batches: `random` decides how many of those since the last flush.
    pub fn crash(&self, mut random: impl FnMut() -> u64) {
        let mut state = self.locked();
        let batches = std::mem::take(&mut state.since_flush);
        let kept = usize::try_from(random()).unwrap_or(0) % (batches.len() + 1);
        let mut survived = state.flushed.clone();
        for batch in batches.iter().take(kept) {
            apply(&mut survived, batch);
        }
        state.flushed = survived.clone();
        state.current = survived;
        state.fail = false;
    }

    /// Another index with what is durable of this one.
    #[must_use]
    pub fn copy(&self) -> Self {
        let flushed = self.locked().flushed.clone();
        let state = State {
            current: flushed.clone(),
            flushed,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Loses everything, as when its directory is deleted.
    pub fn wipe(&self) {
        *self.locked() = State::default();
    }

    /// Makes every later batch fail, or no longer.
    pub fn fail(&self, fail: bool) {
        self.locked().fail = fail;
    }
}

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.locked().current.get(key).cloned())
    }

    fn try_get(&self, key: &[u8]) -> Result<Cached, IndexError> {
        self.get(key).map(Cached::Known)
    }

    fn apply(&self, batch: &Batch) -> Result<(), IndexError> {
        let mut state = self.locked();
        if state.fail {
            return Err(IndexError::Injected);
        }
        apply(&mut state.current, batch);
        state.since_flush.push(batch.clone());
        Ok(())
    }

    fn scan(&self, prefix: u8, from: &[u8], visit: Visitor<'_>) -> Result<(), IndexError> {
        let first = if from.is_empty() {
            vec![prefix]
        } else {
            from.to_vec()
        };
        // A copy, so that the visitor may use the index.
        let entries: Vec<(Vec<u8>, Vec<u8>)> = {
            let state = self.locked();
            let found = state.current.range(first..);
            found
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        for (key, value) in entries {
            if key.first() != Some(&prefix) || visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), IndexError> {
        let mut state = self.locked();
        state.flushed = state.current.clone();
        state.since_flush.clear();
        Ok(())
    }

    fn flush_soon(&self) -> Result<(), IndexError> {
        Ok(())
    }

    fn disk_len(&self) -> u64 {
        0
    }
}
