//! A catalog in memory, for tests: it forgets, fails and repeats on request.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::overlay::{Changes, Verdict};
use crate::core::catalog::{Catalog, CatalogError, Direction, Transaction, View, Visitor};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// When a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Before it took effect: its changes are lost.
    Before,
    /// After it took effect: its changes are kept, and only the acknowledgement is lost.
    After,
}

/// All entries of a catalog at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySnapshot(Arc<Entries>);

#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a wish of a test's of its own"
)]
struct State {
    entries: Arc<Entries>,
    /// How many writes go well before the next failure, and how that one fails.
    fault: Option<(u64, Fault)>,
    /// Whether everything is refused after that failure.
    dies: bool,
    repeats: bool,
    is_closed: bool,
    is_shared: bool,
    /// What is drawn from for how long answers take.
    hesitation: Option<u64>,
}

/// A catalog in memory. Clones share the same entries.
#[derive(Clone, Debug, Default)]
pub struct MemoryCatalog {
    state: Arc<Mutex<State>>,
}

impl MemoryCatalog {
    /// An empty catalog.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `n`-th write from now, counted from 1, answer [`CatalogError::Unknown`]. Only
    /// writes whose work returns `Ok` count. A later call replaces an earlier one.
    pub fn fail_write(&self, n: u64, fault: Fault) {
        let mut state = self.locked();
        state.fault = Some((n.saturating_sub(1), fault));
        state.dies = false;
    }

    /// Like [`Self::fail_write`], but everything after it is refused too, until [`Self::revive`]: to
    /// whoever uses the catalog it is as if the process had ended there.
    pub fn die_at_write(&self, n: u64, fault: Fault) {
        self.fail_write(n, fault);
        self.locked().dies = true;
    }

    /// Ends what [`Self::die_at_write`] began, and takes back what is due.
    pub fn revive(&self) {
        let mut state = self.locked();
        state.fault = None;
        state.is_closed = false;
    }

    /// Has all work run twice, the first time in vain, as an implementation may.
    pub fn repeat_work(&self, repeats: bool) {
        self.locked().repeats = repeats;
    }

    /// Says from now on that other processes use it, too.
    pub fn share(&self) {
        self.locked().is_shared = true;
    }

    /// Has answers come late, so that others act in between: each after a few turns of the runtime,
    /// how many is drawn from `seed`. Without one they come at once.
    pub fn hesitate(&self, seed: Option<u64>) {
        self.locked().hesitation = seed;
    }

    /// Turns of the runtime until the next answer.
    fn turns(&self) -> u64 {
        let mut state = self.locked();
        let Some(seed) = &mut state.hesitation else {
            return 0;
        };
        // The numbers of a linear congruential generator (Knuth's MMIX); the upper bits are good.
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 60) % 4
    }

    /// All entries as they are now.
    pub fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot(Arc::clone(&self.locked().entries))
    }

    /// Goes back to a snapshot, as a crash would, and forgets a failure that is due.
    pub fn restore(&self, snapshot: MemorySnapshot) {
        let mut state = self.locked();
        state.entries = snapshot.0;
        state.fault = None;
    }

    /// Refuses everything from now on.
    pub fn close(&self) {
        self.locked().is_closed = true;
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View for Entries {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: Visitor<'_>,
    ) -> Result<(), CatalogError> {
        if to <= from {
            return Ok(());
        }
        let mut range = self.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        while let Some((key, value)) = match direction {
            Direction::Ascending => range.next(),
            Direction::Descending => range.next_back(),
        } {
            if visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl Catalog for MemoryCatalog {
    fn read<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: Fn(&dyn View) -> Result<T, E> + Send + Sync + 'static,
    {
        let this = self.clone();
        async move {
            let (entries, repeats) = {
                let state = this.locked();
                if state.is_closed {
                    return Err(CatalogError::Closed.into());
                }
                (Arc::clone(&state.entries), state.repeats)
            };
            if repeats {
                // The result of a first look is not used.
                drop(work(entries.as_ref()));
            }
            let looked = work(entries.as_ref());
            drop(entries);
            give_way(this.turns()).await;
            looked
        }
    }

    fn write<T, E, F>(&self, mut work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send + 'static,
    {
        // It has happened when the future is made, so dropping that stops nothing.
        let changed = self.write_now(&mut work);
        let turns = self.turns();
        async move {
            give_way(turns).await;
            changed
        }
    }

    fn is_shared(&self) -> bool {
        self.locked().is_shared
    }
}

/// Lets others act.
async fn give_way(turns: u64) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

impl MemoryCatalog {
    fn write_now<T, E: From<CatalogError>>(
        &self,
        work: &mut dyn FnMut(&mut dyn Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.locked();
        if state.is_closed {
            return Err(CatalogError::Closed.into());
        }
        if state.repeats {
            let mut in_vain = Changes::default();
            in_vain.attempt(state.entries.as_ref(), |transaction| {
                drop(work(transaction));
                Verdict::Forget
            })?;
        }
        let mut changes = Changes::default();
        let mut answer = None;
        changes.attempt(state.entries.as_ref(), |transaction| {
            let result = work(transaction);
            let verdict = if result.is_ok() {
                Verdict::Keep
            } else {
                Verdict::Forget
            };
            answer = Some(result);
            verdict
        })?;
        let Some(answer) = answer else {
            return Err(CatalogError::Contradiction("a transaction without an answer").into());
        };
        let value = answer?;
        let fault = match &mut state.fault {
            Some((0, fault)) => Some(*fault),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        if fault != Some(Fault::Before) {
            let entries = Arc::make_mut(&mut state.entries);
            for (key, value) in changes.iter() {
                match value {
                    Some(value) => entries.insert(key.to_vec(), value.to_vec()),
                    None => entries.remove(key),
                };
            }
        }
        if fault.is_some() {
            state.fault = None;
            state.is_closed |= state.dies;
            return Err(CatalogError::Unknown("as the test asked for".to_owned()).into());
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_is_a_catalog() {
        conformance::check(
            async || MemoryCatalog::new(),
            async |catalog| catalog.close(),
        )
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_is_a_catalog_when_it_repeats_work() {
        let fresh = async || {
            let catalog = MemoryCatalog::new();
            catalog.repeat_work(true);
            catalog
        };
        conformance::check(fresh, async |catalog| catalog.close()).await;
    }

    async fn put(catalog: &MemoryCatalog, key: &'static str) -> Result<(), CatalogError> {
        catalog
            .write(|transaction| transaction.put(key.as_bytes(), b""))
            .await
    }

    async fn has(catalog: &MemoryCatalog, key: &'static str) -> bool {
        let read = catalog.read(|view| view.get(key.as_bytes()));
        read.await.unwrap().is_some()
    }

    #[tokio::test]
    async fn a_failed_write_is_lost_or_kept_as_asked_for_and_the_next_one_goes_well() {
        let catalog = MemoryCatalog::new();
        for (fault, key, is_kept) in [(Fault::Before, "lost", false), (Fault::After, "kept", true)]
        {
            catalog.fail_write(2, fault);
            put(&catalog, "first").await.unwrap();
            let refused = catalog.write(|_| Err::<(), _>(CatalogError::Busy)).await;
            assert!(matches!(refused, Err(CatalogError::Busy)), "does not count");
            let failed = put(&catalog, key).await;
            assert!(matches!(failed, Err(CatalogError::Unknown(_))));
            assert_eq!(has(&catalog, key).await, is_kept);
            put(&catalog, "next").await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_snapshot_brings_everything_back() {
        let catalog = MemoryCatalog::new();
        put(&catalog, "before").await.unwrap();
        let snapshot = catalog.snapshot();
        put(&catalog, "after").await.unwrap();
        catalog.fail_write(1, Fault::Before);
        catalog.restore(snapshot.clone());
        assert_eq!(catalog.snapshot(), snapshot);
        assert!(has(&catalog, "before").await && !has(&catalog, "after").await);
        put(&catalog, "after").await.unwrap();
    }
}
