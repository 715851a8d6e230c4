//! Ordered lists that know how many entries stand before each: a persistent skip list with counts.
//!
//! Clients ask for "20 rows from row 999,980 on". A plain ordered list would walk past all the rows
//! before; here the walk takes a few dozen steps whatever the length, and a change touches a few
//! small entries. The number of entries is part of the structure, so it cannot drift from the list.
//!
//! * Level 0 is the list itself: entries at `prefix + sort key`, owned by whoever defines the list.
//! * On levels 1 to [`LEVELS`] some entries have a *tower* with a *span*: how many entries lie from
//!   it up to the next tower of that level. An entry has a tower on level n with a chance of 1 in
//!   [`FANOUT`]ⁿ, and then on all levels below.
//! * The *head* has the spans before the first tower of each level, and the number of entries.
//!
//! Layout: docs/format/catalog.md, lists. The idea is that of indexable skip lists (Pugh 1990).

use std::ops::ControlFlow;

use bytes::BytesMut;
use common::codec::{CodecError, Reader, Writer};

use super::catalog::{CatalogError, Direction, Transaction, View, Visitor};
use super::keys::{self, KeyType};

/// One in so many entries of a level stands on the next one, too. Always a power of two. A change
/// looks for one tower on each level that has any, which is dear; a page walks over half as many
/// entries on each level, which is cheap. So levels are few.
const FANOUT: u64 = 128;
/// Levels of towers. 128⁴ entries are 268 million; beyond, the top level gets longer, slowly.
const LEVELS: u8 = 4;

/// Entries that a walk from group to group takes into its hands at once.
const GROUPS_STEP: u64 = 64;

/// Sort key and value.
type Entry = (Vec<u8>, Vec<u8>);

/// An ordered list in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    /// What all keys of its entries begin with; no prefix begins with another.
    prefix: Vec<u8>,
}

/// What is known without looking at a tower.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Head {
    /// Entries of the list.
    total: u64,
    levels: [Level; LEVELS as usize],
}

/// The beginning of a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Level {
    /// Entries before the first tower.
    span: u64,
    /// How many towers there are.
    towers: u64,
}

/// Where a walk down the levels arrived: a tower's sort key, or the list's beginning.
type Place = Option<Vec<u8>>;

impl List {
    /// The list whose entries' keys begin with `prefix`.
    pub(super) fn new(prefix: Vec<u8>) -> Self {
        Self { prefix }
    }

    /// Entries in the list.
    pub(super) fn total(&self, view: &dyn View) -> Result<u64, CatalogError> {
        Ok(self.head(view)?.total)
    }

    /// Adds an entry, which must not be there. `chance` decides about its towers: whoever can
    /// foresee it could make the list slow.
    pub(super) fn insert(
        &self,
        tx: &mut dyn Transaction,
        sort_key: &[u8],
        value: &[u8],
        chance: u64,
    ) -> Result<(), CatalogError> {
        let entry = self.entry_key(sort_key);
        if tx.get(&entry)?.is_some() {
            return Err(CatalogError::Contradiction("an entry is added twice"));
        }
        let mut head = self.head(tx)?;
        let tower_level = level(chance);
        for level in 1..=LEVELS {
            let (before, span) = self.tower_before(tx, &head, level, sort_key)?;
            if tower_level < level {
                self.set_span(tx, &mut head, level, before.as_deref(), span + 1)?;
                continue;
            }
            let near = self.count(tx, &head, level - 1, before.as_deref(), sort_key)?;
            let far = (span + 1).checked_sub(near).ok_or(SPANS)?;
            self.set_span(tx, &mut head, level, before.as_deref(), near)?;
            self.set_span(tx, &mut head, level, Some(sort_key), far)?;
            head.level_mut(level).towers += 1;
        }
        head.total += 1;
        tx.put(&entry, value)?;
        self.set_head(tx, &head)
    }

    /// Removes an entry, which must be there.
    pub(super) fn remove(
        &self,
        tx: &mut dyn Transaction,
        sort_key: &[u8],
    ) -> Result<(), CatalogError> {
        let entry = self.entry_key(sort_key);
        if tx.get(&entry)?.is_none() {
            return Err(CatalogError::Contradiction("an entry is removed twice"));
        }
        let mut head = self.head(tx)?;
        for level in 1..=LEVELS {
            let (before, mut span) = self.tower_before(tx, &head, level, sort_key)?;
            let tower = self.tower_key(level, sort_key);
            if head.level(level).towers != 0
                && let Some(own) = tx.get(&tower)?
            {
                span += decode_span(&tower, &own)?;
                tx.delete(&tower)?;
                head.level_mut(level).towers -= 1;
            }
            let span = span.checked_sub(1).ok_or(SPANS)?;
            self.set_span(tx, &mut head, level, before.as_deref(), span)?;
        }
        head.total = head.total.checked_sub(1).ok_or(SPANS)?;
        tx.delete(&entry)?;
        self.set_head(tx, &head)
    }

    /// Visits up to `count` entries, sort key and value, from the one with `start` entries before it
    /// on in the order of `direction`. Returns how many entries the list has.
    pub(super) fn page(
        &self,
        view: &dyn View,
        direction: Direction,
        start: u64,
        count: u64,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, CatalogError> {
        let head = self.head(view)?;
        self.part(view, &head, direction, start, count, visit)?;
        Ok(head.total)
    }

    /// [`Self::page`] of a list whose head is known.
    fn part(
        &self,
        view: &dyn View,
        head: &Head,
        direction: Direction,
        start: u64,
        count: u64,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), CatalogError> {
        if count == 0 || head.total <= start {
            return Ok(());
        }
        let (mut skip, from, to) = match direction {
            Direction::Ascending => {
                let (place, skip) = self.descend(view, head, start)?;
                (
                    skip,
                    self.entry_key(place.as_deref().unwrap_or_default()),
                    self.end(),
                )
            }
            Direction::Descending => {
                let last = self.nth(view, head, head.total - 1 - start)?;
                let mut to = self.entry_key(&last);
                to.push(0);
                (0, self.prefix.clone(), to)
            }
        };
        let mut left = count;
        view.scan(&from, &to, direction, &mut |key, value| {
            if skip != 0 {
                skip -= 1;
                return ControlFlow::Continue(());
            }
            visit(self.sort_key(key), value);
            left -= 1;
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    /// Like [`Self::page`] in descending order, but entries whose sort keys agree in the first
    /// `group_len` bytes stand in ascending order: "most views first, among equals the oldest first".
    pub(super) fn page_of_groups(
        &self,
        view: &dyn View,
        group_len: usize,
        start: u64,
        count: u64,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, CatalogError> {
        let head = self.head(view)?;
        let total = head.total;
        if count == 0 || total <= start {
            return Ok(total);
        }
        let group_of = |sort_key: &[u8]| sort_key.get(..group_len).unwrap_or(sort_key).to_vec();
        let mut left = count;
        // The group before which it goes on; none at the list's end.
        let mut behind = None;
        if start != 0 {
            // Only here a page may begin within a group, so only here places are counted.
            let group = group_of(&self.nth(view, &head, total - 1 - start)?);
            let first = self.rank(view, &head, &group)?;
            let end = match keys::successor(&group) {
                Some(next) => self.rank(view, &head, &next)?,
                None => total,
            };
            // Entries of later groups come first: `total - end` of them.
            let within = start.checked_sub(total - end).ok_or(SPANS)?;
            let wanted = left.min((end - first).checked_sub(within).ok_or(SPANS)?);
            let (direction, from) = (Direction::Ascending, first + within);
            self.part(view, &head, direction, from, wanted, visit)?;
            left -= wanted;
            behind = Some(group);
        }
        while left != 0 {
            let entries = self.last_before(view, behind.as_deref(), left.min(GROUPS_STEP))?;
            let Some((last, _)) = entries.last() else {
                break;
            };
            let first_group = group_of(last);
            for group in entries.chunk_by(|(a, _), (b, _)| group_of(a) == group_of(b)) {
                if group.iter().any(|(sort_key, _)| sort_key == last) {
                    // There may be more of it, which comes first.
                    break;
                }
                for (sort_key, value) in group.iter().rev() {
                    visit(sort_key, value);
                    left -= 1;
                }
            }
            let end = keys::successor(&first_group)
                .map_or_else(|| self.end(), |next| self.entry_key(&next));
            let from = self.entry_key(&first_group);
            view.scan(&from, &end, Direction::Ascending, &mut |key, value| {
                visit(self.sort_key(key), value);
                left -= 1;
                if left == 0 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            behind = Some(first_group);
        }
        Ok(total)
    }

    /// Up to `count` entries before sort key `behind`, or before the list's end, the last one first.
    fn last_before(
        &self,
        view: &dyn View,
        behind: Option<&[u8]>,
        count: u64,
    ) -> Result<Vec<Entry>, CatalogError> {
        let to = behind.map_or_else(|| self.end(), |behind| self.entry_key(behind));
        let mut entries = Vec::new();
        view.scan(
            &self.prefix,
            &to,
            Direction::Descending,
            &mut |key, value| {
                entries.push((self.sort_key(key).to_vec(), value.to_vec()));
                if entries.len() as u64 == count {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        )?;
        Ok(entries)
    }

    /// Visits entries, sort key and value, from sort key `from` on, until the visitor breaks.
    pub(super) fn walk(
        &self,
        view: &dyn View,
        from: &[u8],
        visit: Visitor<'_>,
    ) -> Result<(), CatalogError> {
        view.scan(
            &self.entry_key(from),
            &self.end(),
            Direction::Ascending,
            &mut |key, value| visit(self.sort_key(key), value),
        )
    }

    /// The sort key with `rank` entries before it; `rank` is below the total.
    fn nth(&self, view: &dyn View, head: &Head, rank: u64) -> Result<Vec<u8>, CatalogError> {
        let mut found = None;
        let (place, mut skip) = self.descend(view, head, rank)?;
        self.walk(
            view,
            place.as_deref().unwrap_or_default(),
            &mut |sort_key, _| {
                if skip == 0 {
                    found = Some(sort_key.to_vec());
                    return ControlFlow::Break(());
                }
                skip -= 1;
                ControlFlow::Continue(())
            },
        )?;
        found.ok_or(SPANS)
    }

    /// The last tower at or before the entry with `rank` entries before it, and how many entries
    /// are to be skipped from there.
    fn descend(
        &self,
        view: &dyn View,
        head: &Head,
        rank: u64,
    ) -> Result<(Place, u64), CatalogError> {
        let (mut place, mut left): (Place, u64) = (None, rank);
        for level in (1..=LEVELS).rev() {
            let Level { span, towers } = *head.level(level);
            if towers == 0 {
                continue;
            }
            if place.is_none() {
                if left < span {
                    continue;
                }
                left -= span;
            }
            let from = self.tower_key(level, place.as_deref().unwrap_or_default());
            self.towers(view, &from, &self.level_end(level), &mut |tower, span| {
                if span <= left {
                    left -= span;
                    return ControlFlow::Continue(());
                }
                place = Some(tower.to_vec());
                ControlFlow::Break(())
            })?;
        }
        Ok((place, left))
    }

    /// Entries before `sort_key`, which need not be in the list.
    fn rank(&self, view: &dyn View, head: &Head, sort_key: &[u8]) -> Result<u64, CatalogError> {
        let (mut place, mut rank): (Place, u64) = (None, 0);
        for level in (1..=LEVELS).rev() {
            if head.level(level).towers == 0 {
                continue;
            }
            // Each tower up to the sort key is a step; the spans stepped over are counted.
            let mut span = match place {
                None => head.level(level).span,
                Some(_) => 0,
            };
            let from = self.tower_key(level, place.as_deref().unwrap_or_default());
            let mut to = self.tower_key(level, sort_key);
            to.push(0);
            self.towers(view, &from, &to, &mut |tower, next| {
                rank += span;
                span = next;
                place = Some(tower.to_vec());
                ControlFlow::Continue(())
            })?;
        }
        Ok(rank + self.count(view, head, 0, place.as_deref(), sort_key)?)
    }

    /// Entries from `place`, which is a tower above `level` or the beginning, up to `sort_key`,
    /// counted by the spans of `level`.
    fn count(
        &self,
        view: &dyn View,
        head: &Head,
        level: u8,
        place: Option<&[u8]>,
        sort_key: &[u8],
    ) -> Result<u64, CatalogError> {
        let from = place.unwrap_or_default();
        let mut count = 0;
        if level == 0 {
            let (from, to) = (self.entry_key(from), self.entry_key(sort_key));
            view.scan(&from, &to, Direction::Ascending, &mut |_, _| {
                count += 1;
                ControlFlow::Continue(())
            })?;
            return Ok(count);
        }
        if place.is_none() {
            count = head.level(level).span;
        }
        let (from, to) = (self.tower_key(level, from), self.tower_key(level, sort_key));
        self.towers(view, &from, &to, &mut |_, span| {
            count += span;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Visits towers, sort key and span, in ascending order, until the visitor breaks.
    fn towers(
        &self,
        view: &dyn View,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>,
    ) -> Result<(), CatalogError> {
        let mut malformed = None;
        view.scan(
            from,
            to,
            Direction::Ascending,
            &mut |key, value| match decode_span(key, value) {
                Ok(span) => visit(self.tower_sort_key(key), span),
                Err(error) => {
                    malformed = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        malformed.map_or(Ok(()), Err)
    }

    /// The last tower of `level` before `sort_key`, or the list's beginning, and its span.
    fn tower_before(
        &self,
        view: &dyn View,
        head: &Head,
        level: u8,
        sort_key: &[u8],
    ) -> Result<(Place, u64), CatalogError> {
        let Level { span, towers } = *head.level(level);
        let mut found = Ok((None, span));
        if towers == 0 {
            return found;
        }
        let (from, to) = (self.tower_key(level, &[]), self.tower_key(level, sort_key));
        view.scan(&from, &to, Direction::Descending, &mut |key, value| {
            let tower = self.tower_sort_key(key).to_vec();
            found = decode_span(key, value).map(|span| (Some(tower), span));
            ControlFlow::Break(())
        })?;
        found
    }

    fn set_span(
        &self,
        tx: &mut dyn Transaction,
        head: &mut Head,
        level: u8,
        tower: Option<&[u8]>,
        span: u64,
    ) -> Result<(), CatalogError> {
        match tower {
            None => {
                head.level_mut(level).span = span;
                Ok(())
            }
            Some(tower) => tx.put(&self.tower_key(level, tower), &span.to_be_bytes()),
        }
    }

    fn head(&self, view: &dyn View) -> Result<Head, CatalogError> {
        let key = self.head_key();
        match view.get(&key)? {
            None => Ok(Head::default()),
            Some(value) => Head::decode(&value).map_err(|error| keys::malformed(&key, error)),
        }
    }

    fn set_head(&self, tx: &mut dyn Transaction, head: &Head) -> Result<(), CatalogError> {
        let key = self.head_key();
        if head.total == 0 {
            return tx.delete(&key);
        }
        tx.put(&key, &head.encode())
    }

    fn entry_key(&self, sort_key: &[u8]) -> Vec<u8> {
        [&self.prefix, sort_key].concat()
    }

    fn sort_key<'a>(&self, entry_key: &'a [u8]) -> &'a [u8] {
        entry_key.get(self.prefix.len()..).unwrap_or_default()
    }

    /// The first key behind all entries.
    fn end(&self) -> Vec<u8> {
        // Prefixes begin with the letter of a key type, so there always is a successor.
        keys::successor(&self.prefix).unwrap_or_default()
    }

    fn head_key(&self) -> Vec<u8> {
        self.tower_key(0, &[])
    }

    fn tower_key(&self, level: u8, sort_key: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(2 + self.prefix.len() + sort_key.len() + 1);
        key.push(KeyType::Rank as u8);
        key.extend_from_slice(&self.prefix);
        key.push(level);
        key.extend_from_slice(sort_key);
        key
    }

    fn tower_sort_key<'a>(&self, tower_key: &'a [u8]) -> &'a [u8] {
        tower_key.get(self.prefix.len() + 2..).unwrap_or_default()
    }

    fn level_end(&self, level: u8) -> Vec<u8> {
        self.tower_key(level + 1, &[])
    }
}

const SPANS: CatalogError =
    CatalogError::Contradiction("the counts of a list do not fit its entries");

/// How many levels of towers an entry gets.
fn level(chance: u64) -> u8 {
    let bits = FANOUT.trailing_zeros();
    let level = chance.trailing_zeros() / bits;
    u8::try_from(level).unwrap_or(LEVELS).min(LEVELS)
}

fn decode_span(key: &[u8], value: &[u8]) -> Result<u64, CatalogError> {
    let mut reader = Reader::new(value);
    let span = reader.u64().and_then(|span| reader.finish().map(|()| span));
    span.map_err(|error| keys::malformed(key, error))
}

impl Head {
    #[expect(clippy::indexing_slicing, reason = "levels are 1 to LEVELS")]
    fn level(&self, level: u8) -> &Level {
        &self.levels[usize::from(level - 1)]
    }

    #[expect(clippy::indexing_slicing, reason = "levels are 1 to LEVELS")]
    fn level_mut(&mut self, level: u8) -> &mut Level {
        &mut self.levels[usize::from(level - 1)]
    }

    fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(8 + 16 * usize::from(LEVELS));
        let mut writer = Writer::new(&mut out);
        writer.u64(self.total);
        for level in &self.levels {
            writer.u64(level.span);
            writer.u64(level.towers);
        }
        out
    }

    fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(value);
        let mut head = Self {
            total: reader.u64()?,
            ..Self::default()
        };
        for level in &mut head.levels {
            *level = Level {
                span: reader.u64()?,
                towers: reader.u64()?,
            };
        }
        reader.finish()?;
        Ok(head)
    }
}

#[cfg(test)]
mod tests;
