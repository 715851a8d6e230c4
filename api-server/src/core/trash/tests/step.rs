//! What a random history of a tree consists of.

use proptest::prelude::*;

use super::{CONTENTS, NAMES, USERS};
use crate::core::files::{Conflict, Reuse};

/// A pick of what was put into the trash last; for a move, of something in it.
pub(super) const LATEST: u8 = u8::MAX;

/// What is done. Picks choose among what is there, by their remainder.
#[derive(Clone, Debug)]
pub(super) enum Step {
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
pub(super) struct PickedPlace {
    pub(super) folder: u8,
    pub(super) name: u8,
    pub(super) conflict: Conflict,
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
pub(super) fn first_step() -> impl Strategy<Value = Step> {
    let pick = any::<u8>;
    prop_oneof![
        1 => (pick(), prop::collection::vec(name(), 1..4))
            .prop_map(|(folder, names)| Step::MakePath { folder, names }),
        2 => (0..CONTENTS, place()).prop_map(|(content, place)| Step::Add { content, place }),
    ]
}

/// Steps that follow one another: a folder with all below it goes to the trash and comes back, and what
/// was in it is touched before the lists of files follow.
pub(super) fn phrase() -> impl Strategy<Value = Vec<Step>> {
    let some = prop::sample::select(vec![1, 2, 50]);
    let haste = (any::<u8>(), some, 0..3_usize, any::<u8>(), step());
    let haste = haste.prop_map(|(entry, some, few, folder, last)| {
        let put = Step::Put {
            entry: entry & !1,
            steps: some,
        };
        let restore = Step::Restore {
            entry: LATEST,
            to: None,
            steps: few,
        };
        let entries = vec![LATEST];
        vec![put, restore, Step::Move { entries, folder }, last]
    });
    prop_oneof![8 => step().prop_map(|step| vec![step]), 1 => haste]
}

pub(super) fn user_number() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 1 => 1..USERS]
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
