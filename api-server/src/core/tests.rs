//! The core against a small model: whatever is done in whatever order, lists, counts and references
//! agree, and a step that is refused changes nothing.

mod model;

use proptest::prelude::*;

use super::catalog::Direction;
use super::error::CoreError;
use super::files::{self, FileOrder, Naming};
use super::id::{AccountId, ContentHash, Md5, PictureLink, Sha1};
use super::moment::Moment;
use super::name::FileName;
use super::shares::{self, ShareOrder};
use super::testing::{State, attempt, blob, user};
use super::uploads::{self, Added, Digests, OrphanState};
use super::{accounts, contents, pictures};
use model::{Model, Outcome};

/// Contents 0 and 1 were made to have the same MD5 and size.
const CONTENTS: u8 = 4;
const USERS: u64 = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The last part says whether the process dies before the file is there.
    Upload {
        user: u64,
        content: u8,
        name: u8,
        dies: bool,
    },
    Instant {
        user: u64,
        content: u8,
        name: u8,
    },
    Remove {
        user: u64,
        content: u8,
        name: u8,
    },
    View {
        user: u64,
        content: u8,
        name: u8,
    },
    Share {
        user: u64,
        content: u8,
        name: u8,
    },
    Cancel {
        user: u64,
        content: u8,
        name: u8,
    },
    Save {
        user: u64,
        content: u8,
        name: u8,
    },
    ViewShare {
        content: u8,
        name: u8,
    },
    SharePicture {
        user: u64,
        content: u8,
        name: u8,
    },
    Browse {
        link: u8,
    },
    CancelPicture {
        user: u64,
        link: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let label = || (1..=USERS, 0..CONTENTS, 0..3_u8);
    prop_oneof![
        4 => (label(), prop::bool::weighted(0.1)).prop_map(|((user, content, name), dies)| {
            Step::Upload { user, content, name, dies }
        }),
        2 => label().prop_map(|(user, content, name)| Step::Instant { user, content, name }),
        3 => label().prop_map(|(user, content, name)| Step::Remove { user, content, name }),
        3 => label().prop_map(|(user, content, name)| Step::View { user, content, name }),
        3 => label().prop_map(|(user, content, name)| Step::Share { user, content, name }),
        1 => label().prop_map(|(user, content, name)| Step::Cancel { user, content, name }),
        2 => label().prop_map(|(user, content, name)| Step::Save { user, content, name }),
        3 => label().prop_map(|(_, content, name)| Step::ViewShare { content, name }),
        2 => label().prop_map(|(user, content, name)| Step::SharePicture { user, content, name }),
        1 => (0..12_u8).prop_map(|link| Step::Browse { link }),
        1 => (1..=USERS, 0..12_u8).prop_map(|(user, link)| Step::CancelPicture { user, link }),
    ]
}

pub(super) fn md5(content: u8) -> Md5 {
    Md5([content.max(1); 16])
}

pub(super) fn hash(content: u8) -> ContentHash {
    ContentHash([content; 32])
}

pub(super) fn size(content: u8) -> u64 {
    u64::from(content.max(1)) * 100
}

fn name(number: u8) -> FileName {
    format!("{}.png", char::from(b'c' - number))
        .parse()
        .unwrap()
}

fn digests(content: u8) -> Digests {
    Digests {
        hash: hash(content),
        md5: md5(content),
        sha1: Sha1([content; 20]),
        size: size(content),
    }
}

/// A name that the image host gives.
fn label(number: u8) -> Naming {
    Naming::Label(name(number))
}

fn link(number: u8) -> PictureLink {
    PictureLink([number; 16])
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever the model does not know is a failure"
)]
fn outcome<T>(result: Result<T, CoreError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(error) => match error {
            CoreError::NoFile => Outcome::NoFile,
            CoreError::FileExists => Outcome::FileExists,
            CoreError::Collision => Outcome::Collision,
            CoreError::NoContent => Outcome::NoContent,
            CoreError::AlreadyShared => Outcome::AlreadyShared,
            CoreError::NoShare => Outcome::NoShare,
            CoreError::NoPicture => Outcome::NoPicture,
            CoreError::PictureFileDeleted => Outcome::PictureFileDeleted,
            other => panic!("{other}"),
        },
    }
}

fn play(state: &mut State, model: &mut Model, step: Step, at: u32) {
    let moment = Moment {
        now: at,
        // Towers are as frequent as the walks below can bear.
        chance: u64::from(at) << (at % 3 * 7),
    };
    model.tick(at);
    let meaning = |content, number| (md5(content), name(number));
    let (done, expected) = match step {
        Step::Upload {
            user,
            content,
            name: number,
            dies,
        } => {
            let blob = blob(at.into());
            let account = AccountId(user);
            let digests = digests(content);
            attempt(state, |tx| uploads::announce(tx, &blob, 7, at)).unwrap();
            model.orphans.insert(blob);
            if dies {
                return;
            }
            let done = attempt(state, |tx| {
                uploads::complete(tx, account, &label(number), &digests, &blob, moment)
            });
            let expected = model.upload(user, content, &name(number), blob);
            if let Ok((added, surplus)) = &done {
                let is_new = expected == Outcome::Done;
                assert_eq!(matches!(added, Added::New(_)), is_new);
                assert_eq!(surplus.is_some(), model.orphans.contains(&blob));
            }
            // An upload of what is there already succeeds and changes nothing.
            if expected == Outcome::FileExists {
                (Outcome::FileExists, expected)
            } else {
                (outcome(done), expected)
            }
        }
        Step::Instant {
            user,
            content,
            name: number,
        } => {
            let (md5, name) = meaning(content, number);
            let done = attempt(state, |tx| {
                files::add_by_md5(tx, AccountId(user), md5, name.clone(), moment)
            });
            (outcome(done), model.instant(user, md5, &name))
        }
        Step::Remove {
            user,
            content,
            name: number,
        } => {
            let (md5, name) = meaning(content, number);
            let done = attempt(state, |tx| {
                let (number, _) = files::find(tx, AccountId(user), md5, &name)?;
                files::remove(tx, AccountId(user), number, at)
            });
            if let Ok(Some(orphan)) = &done {
                model.orphans.insert(*orphan);
            }
            (outcome(done), model.remove(user, md5, &name))
        }
        Step::View {
            user,
            content,
            name: number,
        } => {
            let (md5, name) = meaning(content, number);
            let done = attempt(state, |tx| {
                let (number, _) = files::find(tx, AccountId(user), md5, &name)?;
                files::count_view(tx, AccountId(user), number, moment)
            });
            (outcome(done), model.view(user, md5, &name))
        }
        Step::Share {
            user,
            content,
            name: number,
        } => {
            let (md5, name) = meaning(content, number);
            let done = attempt(state, |tx| {
                shares::share(tx, AccountId(user), md5, &name, moment)
            });
            (outcome(done), model.share(user, md5, &name))
        }
        Step::Cancel {
            user,
            content,
            name: number,
        } => {
            let (md5, name) = meaning(content, number);
            let done = attempt(state, |tx| shares::cancel(tx, AccountId(user), md5, &name));
            (outcome(done), model.cancel(user, md5, &name))
        }
        Step::Save {
            user,
            content,
            name: number,
        } => {
            let (md5, name) = meaning(content, number);
            let done = attempt(state, |tx| {
                shares::save(tx, AccountId(user), md5, &name, moment)
            });
            (outcome(done), model.save(user, md5, &name))
        }
        Step::ViewShare {
            content,
            name: number,
        } => {
            let (md5, name) = meaning(content, number);
            let done = attempt(state, |tx| shares::count_view(tx, md5, &name, moment));
            (outcome(done), model.view_share(md5, &name))
        }
        Step::SharePicture {
            user,
            content,
            name: number,
        } => {
            let (md5, name) = meaning(content, number);
            let new = link(u8::try_from(model.pictures.len()).unwrap());
            let done = attempt(state, |tx| {
                pictures::share(tx, AccountId(user), md5, &name, new, moment)
            });
            (outcome(done), model.share_picture(user, md5, &name, new))
        }
        Step::Browse { link: number } => {
            let done = attempt(state, |tx| pictures::browse(tx, link(number)));
            (outcome(done), model.browse(link(number)))
        }
        Step::CancelPicture { user, link: number } => {
            let done = attempt(state, |tx| {
                pictures::cancel(tx, AccountId(user), link(number))
            });
            (outcome(done), model.cancel_picture(user, link(number)))
        }
    };
    assert_eq!(done, expected, "{step:?}");
}

/// Everything that can be asked.
fn check(state: &State, model: &Model) {
    for user in 1..=USERS {
        let account = AccountId(user);
        for order in [
            FileOrder::Created,
            FileOrder::Name,
            FileOrder::Size,
            FileOrder::Views,
        ] {
            for direction in [Direction::Ascending, Direction::Descending] {
                let page = files::page(state, account, order, direction, 0, 100).unwrap();
                let expected = model.files_sorted(user, order, direction);
                assert_eq!(page.total, expected.len() as u64);
                assert_eq!(page.rows, expected, "{order:?} {direction:?}");
                let page = files::page(state, account, order, direction, 1, 2).unwrap();
                let expected: Vec<_> = expected.into_iter().skip(1).take(2).collect();
                assert_eq!(page.rows, expected, "a part of {order:?} {direction:?}");
            }
        }
        let rows = pictures::page(state, account, Direction::Ascending, 0, 100).unwrap();
        assert_eq!(
            rows.rows
                .iter()
                .map(|(link, record)| (*link, record.views))
                .collect::<Vec<_>>(),
            model.pictures_of(user)
        );
        assert_eq!(rows.total, rows.rows.len() as u64);
        let holdings = accounts::holdings(state, account).unwrap();
        let files = model.files_sorted(user, FileOrder::Created, Direction::Ascending);
        assert_eq!(holdings.files, files.len() as u64);
        assert_eq!(
            holdings.bytes,
            files.iter().map(|(_, file)| file.size).sum::<u64>()
        );
        assert_eq!(holdings.pictures, rows.total);
        assert_eq!(
            holdings.shares,
            files
                .iter()
                .filter(|(_, file)| file.share.is_some())
                .count() as u64
        );
    }
    for order in [ShareOrder::Created, ShareOrder::Newest, ShareOrder::Views] {
        let page = shares::page(state, order, 0, 100).unwrap();
        let rows: Vec<_> = page
            .rows
            .iter()
            .map(|share| (share.account.0, share.md5, share.name.clone(), share.views))
            .collect();
        assert_eq!(rows, model.shares_sorted(order), "{order:?}");
        assert_eq!(page.total, rows.len() as u64);
        assert_eq!(shares::total(state).unwrap(), page.total);
    }
    for content in 0..CONTENTS {
        let record = contents::get(state, &hash(content)).unwrap();
        let references = model.references(hash(content));
        assert_eq!(
            record.as_ref().map_or(0, |record| record.references),
            references
        );
        if let Some(record) = record {
            assert!(0 < record.references && !model.orphans.contains(&record.blob));
        }
    }
    let orphans = uploads::orphans(state, None, 1_000).unwrap();
    let ids: Vec<_> = orphans.iter().map(|(blob, _)| *blob).collect();
    assert_eq!(ids, model.orphans.iter().copied().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_core_equals_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut state = State::default();
        for number in 1..=USERS {
            prop_assert_eq!(user(&mut state, &format!("user{number}")), AccountId(number));
        }
        let mut model = Model::default();
        for (at, step) in (1..).zip(steps) {
            play(&mut state, &mut model, step, at);
            check(&state, &model);
        }
    }
}

#[test]
fn contents_of_one_md5_are_never_given_for_one_another() {
    let mut state = State::default();
    let (first, second) = (user(&mut state, "first"), user(&mut state, "second"));
    let add = |state: &mut State, account, content, at: u32| {
        let digests = digests(content);
        let moment = Moment { now: at, chance: 1 };
        attempt(state, |tx| uploads::announce(tx, &blob(at.into()), 1, at)).unwrap();
        attempt(state, |tx| {
            uploads::complete(tx, account, &label(0), &digests, &blob(at.into()), moment)
        })
    };
    add(&mut state, first, 0, 1).unwrap();
    let moment = Moment { now: 9, chance: 1 };
    // While there is one, it is found; with two, nobody can say which one is meant.
    let other = "other.png".parse().unwrap();
    attempt(&mut state, |tx| {
        files::add_by_md5(tx, second, md5(0), other, moment)
    })
    .unwrap();
    add(&mut state, second, 1, 2).unwrap();
    let third = user(&mut state, "third");
    let refused = attempt(&mut state, |tx| {
        files::add_by_md5(tx, third, md5(0), name(1), moment)
    });
    assert!(matches!(refused, Err(CoreError::NoContent)));
    // The same user cannot have both under one name: the label means one of them.
    let refused = add(&mut state, first, 1, 3);
    assert!(matches!(refused, Err(CoreError::Collision)));
    let (_, file) = files::find(&state, second, md5(0), &name(0)).unwrap();
    assert_eq!((file.content, file.blob), (hash(1), blob(2)));
}

#[test]
fn the_first_account_is_an_administrators_and_names_are_unique() {
    let mut state = State::default();
    user(&mut state, "first");
    user(&mut state, "second");
    let standing = |name: &str| {
        accounts::find(&state, &name.parse().unwrap())
            .unwrap()
            .unwrap()
            .1
            .standing
    };
    assert_eq!(standing("first"), accounts::Standing::Administrator);
    assert_eq!(standing("second"), accounts::Standing::Member);
    assert_eq!(
        accounts::find(&state, &"First".parse().unwrap()).unwrap(),
        None
    );
    let page = accounts::page(&state, 1, 5).unwrap();
    assert_eq!((page.total, page.rows.len()), (2, 1));
}

#[test]
fn search_ignores_case_and_goes_on_where_it_stopped() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let moment = Moment { now: 1, chance: 1 };
    let digests = digests(2);
    uploads::announce(&mut state, &blob(1), 7, 1).unwrap();
    uploads::complete(
        &mut state,
        account,
        &Naming::Label("a.png".parse().unwrap()),
        &digests,
        &blob(1),
        moment,
    )
    .unwrap();
    for text in [
        "Ferien ÄRGER.png",
        "ferien ärger 2.png",
        "zug.png",
        "ärger.txt",
    ] {
        uploads::add_known(
            &mut state,
            account,
            &Naming::Label(text.parse().unwrap()),
            &digests,
            moment,
        )
        .unwrap();
    }
    let (rows, next) = files::search(&state, account, "ärger", None, 2).unwrap();
    let names = |rows: &[files::FileRow]| -> Vec<String> {
        rows.iter().map(|(_, file)| file.name.to_string()).collect()
    };
    assert_eq!(names(&rows), ["Ferien ÄRGER.png", "ferien ärger 2.png"]);
    let (rows, next) = files::search(&state, account, "ärger", next.as_ref(), 2).unwrap();
    assert_eq!(names(&rows), ["ärger.txt"]);
    assert_eq!(next, None);
}

#[test]
fn orphans_are_listed_in_parts() {
    let mut state = State::default();
    for number in 1..=5 {
        uploads::announce(&mut state, &blob(number), 7, 1).unwrap();
    }
    uploads::discard(&mut state, &blob(3), 2).unwrap();
    let first = uploads::orphans(&state, None, 3).unwrap();
    assert_eq!(first.len(), 3);
    assert_eq!(first[0].1.state, OrphanState::Pending(7));
    assert_eq!(first[2].1.state, OrphanState::Garbage);
    let rest = uploads::orphans(&state, Some(&first[2].0), 3).unwrap();
    assert_eq!(
        rest.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        [blob(4), blob(5)]
    );
    uploads::forget(&mut state, &blob(4)).unwrap();
    assert_eq!(uploads::orphans(&state, None, 9).unwrap().len(), 4);
}
