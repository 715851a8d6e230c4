//! Failures and ends of the process between any two steps. API-2: nobody's bytes are lost, and
//! nobody's bytes stay.

use common::code::ErrorCode;
use md5::Digest as _;
use proptest::prelude::*;

use super::*;
use crate::backend::Step;
use crate::backend::catalog::Fault;

#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// A step of storage fails until the upload or deletion is over.
    Storage(Step),
    /// A write of the catalog fails, once.
    Catalog(u64, Fault),
    /// The process ends at a write of the catalog.
    Death(u64, Fault),
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Upload { user: usize, content: u8, name: u8 },
    Remove { user: usize, at: usize },
    Restart,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let fault = || prop_oneof![Just(Fault::Before), Just(Fault::After)];
    let step = prop::sample::select(vec![
        Step::Begin,
        Step::Write,
        Step::Finish,
        Step::Commit,
        Step::CommitAnswer,
        Step::Delete,
        Step::DeleteAnswer,
    ]);
    prop_oneof![
        3 => Just(Trouble::None),
        2 => step.prop_map(Trouble::Storage),
        2 => (1..5_u64, fault()).prop_map(|(at, fault)| Trouble::Catalog(at, fault)),
        2 => (1..5_u64, fault()).prop_map(|(at, fault)| Trouble::Death(at, fault)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        5 => (0..2_usize, 0..3_u8, 0..2_u8).prop_map(|(user, content, name)| {
            Action::Upload { user, content, name }
        }),
        3 => (0..2_usize, 0..6_usize).prop_map(|(user, at)| Action::Remove { user, at }),
        1 => Just(Action::Restart),
    ]
}

/// Contents of which one streams.
fn content(number: u8) -> Vec<u8> {
    vec![number; if number == 2 { 300_000 } else { 1_000 }]
}

fn name(number: u8) -> String {
    format!("{number}.png")
}

async fn play(history: Vec<(Action, Trouble)>) {
    let world = World::new();
    let mut service = world.start();
    let users = [user(&service, "king").await, user(&service, "queen").await];
    // What each user was promised: (user, name, content).
    let mut promised: BTreeSet<(usize, u8, u8)> = BTreeSet::new();
    for (action, trouble) in history {
        match trouble {
            Trouble::None => {}
            Trouble::Storage(step) => world.blobs.fail(step, ErrorCode::Unavailable),
            Trouble::Catalog(at, fault) => world.catalog.fail_write(at, fault),
            Trouble::Death(at, fault) => world.catalog.die_at_write(at, fault),
        }
        let mut in_doubt = None;
        match action {
            Action::Upload {
                user,
                content: number,
                name: label,
            } => {
                let bytes = content(number);
                let nothing = Announced::default();
                let done = upload(&service, &users[user], &name(label), &bytes, nothing).await;
                let row = (user, label, number);
                match done {
                    Ok(_) => drop(promised.insert(row)),
                    Err(_) if promised.contains(&row) => {}
                    Err(_) => in_doubt = Some(row),
                }
            }
            Action::Remove { user, at } => {
                let rows: Vec<_> = promised
                    .iter()
                    .filter(|row| row.0 == user)
                    .copied()
                    .collect();
                if let Some(row) = rows.get(at) {
                    let md5 = crate::core::id::Md5(md5::Md5::digest(content(row.2)).into());
                    let name = name(row.1).parse().unwrap();
                    let done = service.remove_labelled(&users[user], md5, name).await;
                    promised.remove(row);
                    if done.is_err() {
                        in_doubt = Some(*row);
                    }
                }
            }
            Action::Restart => service = world.start(),
        }
        world.blobs.heal();
        world.catalog.revive();
        if matches!(trouble, Trouble::Death(..)) {
            service = world.start();
        }
        // What was refused may have happened or not; it is looked up, as a client would.
        if let Some(row) = in_doubt {
            let md5 = crate::core::id::Md5(md5::Md5::digest(content(row.2)).into());
            let rows = files_of(&service, &users[row.0]).await;
            let is_there = rows
                .iter()
                .any(|(_, file)| file.md5 == md5 && file.name.as_str() == name(row.1));
            if is_there {
                promised.insert(row);
            }
        }
    }
    // The last process of all knows no announcement as its own.
    let service = world.start();
    service.reclaim().await.unwrap();
    world.check(&service, &users).await;
    for (at, user) in users.iter().enumerate() {
        let rows = files_of(&service, user).await;
        let expected = promised.iter().filter(|row| row.0 == at).count();
        assert_eq!(rows.len(), expected, "files of {}", user.user);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_history_of_failures_loses_or_leaks_bytes(
        history in prop::collection::vec((action(), trouble()), 1..12)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(history));
    }
}

#[tokio::test]
async fn a_client_that_leaves_after_the_commit_stops_nothing() {
    let world = World::new();
    let service = world.start();
    let king = user(&service, "king").await;
    let mut upload = service.begin_upload(Extension::default());
    upload.write(Bytes::from_static(b"hello")).await.unwrap();
    let naming = Naming::Label("a".parse().unwrap());
    {
        let finish = upload.finish(&king, naming, Announced::default());
        let mut finish = std::pin::pin!(finish);
        // One step, and then nobody waits any more.
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(finish.as_mut().poll(&mut context).is_pending());
    }
    service.shared.tasks.close();
    service.shared.tasks.wait().await;
    assert_eq!(files_of(&service, &king).await.len(), 1);
    world.check(&service, &[king]).await;
}

#[tokio::test]
async fn uploads_under_way_are_not_reclaimed() {
    let world = World::new();
    let service = world.start();
    let king = user(&service, "king").await;
    upload(&service, &king, "a", b"hello", Announced::default())
        .await
        .unwrap();
    let blob = files_of(&service, &king).await[0].1.blob;
    let process = service.shared.process;
    let under_way = service.shared.announced.begin(blob);
    service
        .change(move |tx, _| uploads::announce(tx, &blob, process, 1))
        .await
        .unwrap();
    assert_eq!(service.reclaim().await.unwrap().count, 0);
    assert_eq!(world.blobs.ids(), [blob]);
    // Nobody gives it an owner any more.
    drop(under_way);
    assert_eq!(service.reclaim().await.unwrap().count, 1);
    assert_eq!(world.blobs.ids(), []);
}
