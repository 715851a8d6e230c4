//! The list against a sorted vector.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::core::testing::State;

fn list() -> List {
    List::new(vec![KeyType::File as u8, 7])
}

/// Other lists' keys around the list under test.
fn crowded() -> State {
    let mut state = State::default();
    for prefix in [vec![KeyType::File as u8, 6], vec![KeyType::File as u8, 8]] {
        let other = List::new(prefix);
        for number in 0..100_u64 {
            other
                .insert(&mut state, &number.to_be_bytes(), b"other", number << 5)
                .unwrap();
        }
    }
    state
}

fn check(state: &State, model: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let list = list();
    let total = model.len() as u64;
    assert_eq!(list.total(state).unwrap(), total);
    let rows: Vec<_> = model.iter().collect();
    for start in 0..=total {
        let mut page = Vec::new();
        list.page(state, Direction::Ascending, start, 3, &mut |key, value| {
            page.push((key.to_vec(), value.to_vec()));
        })
        .unwrap();
        let expected: Vec<_> = rows
            .iter()
            .skip(usize::try_from(start).unwrap())
            .take(3)
            .map(|(key, value)| ((*key).clone(), (*value).clone()))
            .collect();
        assert_eq!(page, expected, "ascending from {start}");
        page.clear();
        list.page(state, Direction::Descending, start, 2, &mut |key, value| {
            page.push((key.to_vec(), value.to_vec()));
        })
        .unwrap();
        let expected: Vec<_> = rows
            .iter()
            .rev()
            .skip(usize::try_from(start).unwrap())
            .take(2)
            .map(|(key, value)| ((*key).clone(), (*value).clone()))
            .collect();
        assert_eq!(page, expected, "descending from {start}");
    }
}

/// Rows by their first byte, largest first, and within it by the rest, smallest first.
fn check_groups(state: &State, model: &BTreeMap<Vec<u8>, Vec<u8>>, count: u64) {
    let mut rows: Vec<_> = model.keys().cloned().collect();
    rows.sort_by(|a, b| b[0].cmp(&a[0]).then_with(|| a.cmp(b)));
    for start in 0..=rows.len() {
        let mut page = Vec::new();
        list()
            .page_of_groups(state, 1, start as u64, count, &mut |key, _| {
                page.push(key.to_vec());
            })
            .unwrap();
        let expected: Vec<_> = rows
            .iter()
            .skip(start)
            .take(usize::try_from(count).unwrap())
            .cloned()
            .collect();
        assert_eq!(page, expected, "groups from {start}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_list_equals_a_sorted_vector(
        steps in prop::collection::vec((any::<bool>(), 0..6_u8, 0..30_u8, 0..5_u32), 1..200)
    ) {
        let mut state = crowded();
        let others = state.clone();
        let mut model = BTreeMap::new();
        for (adds, group, rest, level) in steps {
            let key = vec![group, rest, rest];
            if adds && !model.contains_key(&key) {
                // As if the dice had fallen so: more towers than chance would give.
                list().insert(&mut state, &key, &[rest], 1 << (level * 7)).unwrap();
                model.insert(key, vec![rest]);
            } else if !adds && model.remove(&key).is_some() {
                list().remove(&mut state, &key).unwrap();
            }
        }
        check(&state, &model);
        for count in [1, 4, 100] {
            check_groups(&state, &model, count);
        }
        for key in model.keys() {
            list().remove(&mut state, key).unwrap();
        }
        prop_assert_eq!(state, others, "an empty list leaves nothing");
    }
}

#[test]
fn a_long_list_is_paged_in_few_steps() {
    let mut state = State::default();
    let list = list();
    let mut chance = 1_u64;
    for number in 0..50_000_u64 {
        // A full-period generator whose high bits are good enough for dice.
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        list.insert(&mut state, &number.to_be_bytes(), b"", chance >> 20)
            .unwrap();
    }
    for start in [0, 1, 31, 777, 24_999, 49_980] {
        let before = state.visited();
        let mut first = None;
        list.page(&state, Direction::Ascending, start, 20, &mut |key, _| {
            first.get_or_insert(key.to_vec());
        })
        .unwrap();
        assert_eq!(first, Some(start.to_be_bytes().to_vec()));
        let steps = state.visited() - before;
        assert!(steps < 1_000, "{steps} steps from {start}");
    }
}

#[test]
fn a_page_of_many_small_groups_costs_little_more_than_its_rows() {
    let mut state = State::default();
    let list = list();
    for number in 0..5_000_u64 {
        let chance = 1 << (number.trailing_zeros() / 7 * 7);
        list.insert(&mut state, &number.to_be_bytes(), b"", chance)
            .unwrap();
    }
    for start in [0, 1, 777, 4_980] {
        let before = state.visited();
        let mut rows = Vec::new();
        list.page_of_groups(&state, 8, start, 20, &mut |key, _| rows.push(key.to_vec()))
            .unwrap();
        let expected = (0..20).map(|row| (4_999 - start - row).to_be_bytes().to_vec());
        assert_eq!(rows, expected.collect::<Vec<_>>());
        let steps = state.visited() - before;
        assert!(steps < 1_000, "{steps} steps from {start}");
    }
}

#[test]
fn entries_are_added_and_removed_once() {
    let mut state = State::default();
    let list = list();
    list.insert(&mut state, b"a", b"", 1).unwrap();
    assert!(list.insert(&mut state, b"a", b"", 1).is_err());
    list.remove(&mut state, b"a").unwrap();
    assert!(list.remove(&mut state, b"a").is_err());
    assert_eq!(state, State::default());
}

#[test]
fn levels_follow_chance() {
    assert_eq!(level(1), 0);
    assert_eq!(level(1 << 6), 0);
    assert_eq!(level(1 << 7), 1);
    assert_eq!(level(1 << 28), 4);
    assert_eq!(level(0), LEVELS);
}
