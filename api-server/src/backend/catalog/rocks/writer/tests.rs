use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use prometheus::Registry;
use tokio::sync::oneshot;

use super::super::super::job::Work;
use super::*;
use crate::core::catalog::{Direction, Visitor};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    Keep(Sync),
    Sync,
    Finish,
}

/// A keeper that writes down what it is asked and fails when told to.
#[derive(Clone, Default)]
struct Double {
    kept: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    /// Which call fails, counted from 0.
    failing: Option<usize>,
    /// Told to close after a sync.
    ends_after_sync: Option<SyncSender<Message>>,
}

struct Newest(BTreeMap<Vec<u8>, Vec<u8>>);

impl View for Newest {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, _: &[u8], _: &[u8], _: Direction, _: Visitor<'_>) -> Result<(), CatalogError> {
        Err(CatalogError::Database("not asked for here".to_owned()))
    }
}

impl Double {
    fn call(&self, call: Call) -> Result<(), String> {
        let mut calls = self.calls.lock().unwrap();
        calls.push(call);
        if self.failing == Some(calls.len() - 1) {
            return Err("the disk is gone".to_owned());
        }
        Ok(())
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

impl Keeper for Double {
    fn look<R>(&self, look: impl FnOnce(&dyn View) -> R) -> R {
        look(&Newest(self.kept.lock().unwrap().clone()))
    }

    fn keep(&self, changes: &Changes, sync: Sync) -> Result<(), String> {
        self.call(Call::Keep(sync))?;
        let mut kept = self.kept.lock().unwrap();
        for (key, value) in changes.iter() {
            kept.insert(key.to_vec(), value.unwrap_or_default().to_vec());
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), String> {
        if let Some(sender) = &self.ends_after_sync {
            sender.send(Message::Close).unwrap();
        }
        self.call(Call::Sync)
    }

    fn finish(&self) -> Result<(), String> {
        self.call(Call::Finish)
    }
}

fn writer(keeper: &Double, durability: Durability) -> Writer<Double> {
    let metrics = CatalogMetrics::new(&Registry::new()).unwrap();
    Writer::new(keeper.clone(), durability, metrics)
}

type Answer = oneshot::Receiver<Result<u8, CatalogError>>;

/// Sends a transaction that adds one to a counter and is refused if that is what `refused` says.
fn send(sender: &SyncSender<Message>, refused: bool) -> Answer {
    let (job, answer) = Work::new(
        move |transaction: &mut dyn crate::core::catalog::Transaction| {
            let seen = transaction.get(b"counter")?.map_or(0, |value| value[0]);
            transaction.put(b"counter", &[seen.wrapping_add(1)])?;
            if refused {
                Err(CatalogError::Busy)
            } else {
                Ok(seen.wrapping_add(1))
            }
        },
    );
    sender.send(Message::Run(Box::new(job))).unwrap();
    answer
}

fn received(mut answer: Answer) -> Result<u8, CatalogError> {
    answer.try_recv().unwrap()
}

#[test]
fn what_waits_is_kept_with_one_sync_and_refusals_do_not_count() {
    let keeper = Double::default();
    let (sender, receiver) = sync_channel(8);
    let answers = [false, true, false].map(|refused| send(&sender, refused));
    sender.send(Message::Close).unwrap();
    writer(&keeper, Durability::Always).run(&receiver);
    assert_eq!(keeper.calls(), [Call::Keep(Sync::Now), Call::Finish]);
    let [first, refused, second] = answers.map(received);
    assert_eq!(first.unwrap(), 1);
    assert!(matches!(refused, Err(CatalogError::Busy)));
    assert_eq!(second.unwrap(), 2);
    assert_eq!(keeper.kept.lock().unwrap()[&b"counter"[..]], [2]);
}

#[test]
fn a_group_without_changes_writes_nothing() {
    let keeper = Double::default();
    let (sender, receiver) = sync_channel(8);
    let answer = send(&sender, true);
    drop(sender);
    writer(&keeper, Durability::Always).run(&receiver);
    assert_eq!(keeper.calls(), [Call::Finish]);
    assert!(matches!(received(answer), Err(CatalogError::Busy)));
}

#[test]
fn a_failed_write_is_unknown_to_its_group_and_the_end_of_all_changes() {
    let keeper = Double {
        failing: Some(0),
        ..Double::default()
    };
    let (sender, receiver) = sync_channel(GROUP_MAX + 2);
    let mut group: Vec<Answer> = (0..GROUP_MAX).map(|at| send(&sender, at == 1)).collect();
    let later = send(&sender, false);
    sender.send(Message::Close).unwrap();
    writer(&keeper, Durability::Always).run(&receiver);
    assert_eq!(keeper.calls(), [Call::Keep(Sync::Now)], "nothing after it");
    // What it decided may rest on what was lost, but its own changes were not to be kept.
    assert!(matches!(
        received(group.remove(1)),
        Err(CatalogError::Database(_))
    ));
    for answer in group {
        assert!(matches!(received(answer), Err(CatalogError::Unknown(_))));
    }
    assert!(matches!(received(later), Err(CatalogError::Database(_))));
}

#[test]
fn with_an_interval_a_sync_follows_even_if_nothing_else_comes() {
    let (sender, receiver) = sync_channel(8);
    let keeper = Double {
        ends_after_sync: Some(sender.clone()),
        ..Double::default()
    };
    let answer = send(&sender, false);
    writer(&keeper, Durability::Interval(Duration::from_millis(1))).run(&receiver);
    let expected = [Call::Keep(Sync::Later), Call::Sync, Call::Finish];
    assert_eq!(keeper.calls(), expected);
    assert_eq!(received(answer).unwrap(), 1);
}

#[test]
fn with_an_interval_a_failed_sync_is_the_end_of_all_changes() {
    let keeper = Double {
        failing: Some(1),
        ..Double::default()
    };
    let (sender, receiver) = sync_channel(GROUP_MAX + 2);
    let mut answers: Vec<Answer> = (0..=GROUP_MAX).map(|_| send(&sender, false)).collect();
    sender.send(Message::Close).unwrap();
    writer(&keeper, Durability::Interval(Duration::ZERO)).run(&receiver);
    assert_eq!(keeper.calls(), [Call::Keep(Sync::Later), Call::Sync]);
    let later = received(answers.pop().unwrap());
    assert!(matches!(later, Err(CatalogError::Database(_))));
    for answer in answers {
        assert!(received(answer).is_ok(), "it was promised no more");
    }
}

#[test]
fn the_operating_system_is_left_to_sync_when_asked_for() {
    let keeper = Double::default();
    let (sender, receiver) = sync_channel(GROUP_MAX + 2);
    for _ in 0..=GROUP_MAX {
        drop(send(&sender, false));
    }
    drop(sender);
    writer(&keeper, Durability::Os).run(&receiver);
    let expected = [
        Call::Keep(Sync::Later),
        Call::Keep(Sync::Later),
        Call::Finish,
    ];
    assert_eq!(keeper.calls(), expected);
}

#[test]
fn what_waits_behind_the_closing_is_not_run() {
    let keeper = Double::default();
    let (sender, receiver) = sync_channel(8);
    sender.send(Message::Close).unwrap();
    let mut answer = send(&sender, false);
    writer(&keeper, Durability::Always).run(&receiver);
    drop(receiver);
    assert!(answer.try_recv().is_err());
    assert_eq!(keeper.calls(), [Call::Finish]);
}
