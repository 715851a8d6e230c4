//! What a random history of upload sessions consists of.

use proptest::prelude::*;

use crate::core::files::Conflict;
use crate::core::upload_sessions::LIFE;

/// What happens. Sessions, slices and messages are picked by the remainder.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Open {
        user: u8,
        is_in_order: bool,
        in_folder: bool,
        name: u8,
        conflict: Conflict,
        slices: u64,
    },
    /// A process asks storage for a staging blob; it may die before the session has it.
    Stage {
        session: u8,
        dies: bool,
    },
    /// A sender begins a slice: it sees the session as it is now.
    Begin {
        session: u8,
        slice: u8,
    },
    /// A sender ends its slice.
    Send {
        sender: u8,
        content: u8,
    },
    /// A reader begins to read the next slices to hash.
    Read {
        session: u8,
        max: usize,
    },
    /// A reader has read its slices.
    Hash {
        reader: u8,
    },
    ForgetHashes {
        session: u8,
    },
    Block {
        session: u8,
        from: u8,
        len: u64,
    },
    /// An upload in order is made shorter, to get what is behind some byte out of the way.
    TakeBack {
        session: u8,
        offset: u8,
    },
    /// Some of the slices that nobody has any more go.
    Forget {
        session: u8,
    },
    LoseStaging {
        session: u8,
        old: bool,
    },
    CommitTo {
        session: u8,
    },
    Complete {
        session: u8,
        content: u8,
        with: With,
    },
    GiveUp {
        session: u8,
    },
    AddKey {
        session: u8,
    },
    Sleep {
        seconds: u32,
    },
    Expire,
    TrashFolder {
        user: u8,
        comes_back: bool,
    },
    RemoveFile {
        user: u8,
    },
    SetQuota {
        user: u8,
        quota: Option<u64>,
    },
}

/// The blob that a session is completed with.
#[derive(Clone, Copy, Debug)]
pub(super) enum With {
    Nothing,
    /// One that the session was committed to.
    Committed(u8),
    /// One that was announced for it.
    Announced,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let pick = any::<u8>;
    let conflict = prop::sample::select(vec![Conflict::Refuse, Conflict::Keep, Conflict::Replace]);
    let with = prop_oneof![
        1 => Just(With::Nothing),
        3 => any::<u8>().prop_map(With::Committed),
        1 => Just(With::Announced),
    ];
    let open = (
        pick(),
        prop::bool::weighted(0.3),
        any::<bool>(),
        0..3_u8,
        conflict,
        0..5_u64,
    );
    let quota = prop::option::of(prop::sample::select(vec![0, 30, 100, 200]));
    prop_oneof![
        5 => open.prop_map(|(user, is_in_order, in_folder, name, conflict, slices)| Step::Open {
            user, is_in_order, in_folder, name, conflict, slices,
        }),
        4 => (pick(), prop::bool::weighted(0.2))
            .prop_map(|(session, dies)| Step::Stage { session, dies }),
        12 => (pick(), pick()).prop_map(|(session, slice)| Step::Begin { session, slice }),
        12 => (pick(), 0..2_u8).prop_map(|(sender, content)| Step::Send { sender, content }),
        6 => (pick(), 1..4_usize).prop_map(|(session, max)| Step::Read { session, max }),
        6 => pick().prop_map(|reader| Step::Hash { reader }),
        1 => pick().prop_map(|session| Step::ForgetHashes { session }),
        6 => (pick(), pick(), 1..20_u64)
            .prop_map(|(session, from, len)| Step::Block { session, from, len }),
        2 => (pick(), any::<bool>()).prop_map(|(session, old)| Step::LoseStaging { session, old }),
        3 => (pick(), pick()).prop_map(|(session, offset)| Step::TakeBack { session, offset }),
        3 => pick().prop_map(|session| Step::Forget { session }),
        4 => pick().prop_map(|session| Step::CommitTo { session }),
        6 => (pick(), 0..3_u8, with)
            .prop_map(|(session, content, with)| Step::Complete { session, content, with }),
        1 => pick().prop_map(|session| Step::GiveUp { session }),
        2 => pick().prop_map(|session| Step::AddKey { session }),
        2 => prop::sample::select(vec![LIFE / 3, LIFE - 5, LIFE])
            .prop_map(|seconds| Step::Sleep { seconds }),
        2 => Just(Step::Expire),
        2 => (pick(), prop::bool::weighted(0.6))
            .prop_map(|(user, comes_back)| Step::TrashFolder { user, comes_back }),
        1 => pick().prop_map(|user| Step::RemoveFile { user }),
        1 => (pick(), quota).prop_map(|(user, quota)| Step::SetQuota { user, quota }),
    ]
}
