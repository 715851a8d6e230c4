//! Histories of uploads in order: the same questions as of those in slices.

use proptest::prelude::*;

use super::in_order::{application, block, whole};
use super::scene::*;
use super::*;
use crate::backend::Step;
use crate::backend::catalog::Fault;
use crate::core::id::{FileNumber, UploadKeyHash};
use crate::core::upload_sessions::{self, UploadRecord, UploadState};
use common::code::ErrorCode;

/// Names and lengths of the files.
const FILES: [(&str, usize); 3] = [("a", 2_500), ("b", 900), ("c", 0)];

fn right(file: usize) -> Vec<u8> {
    content(u8::try_from(file).unwrap(), FILES[file].1)
}

fn wrong(file: usize) -> Vec<u8> {
    content(u8::try_from(file).unwrap() + 100, FILES[file].1)
}

fn bytes_of(file: usize, is_right: bool) -> Vec<u8> {
    if is_right { right(file) } else { wrong(file) }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Apply,
    /// For other bytes.
    ApplyOtherwise,
    /// So many bytes, from so many before the end of what is there.
    Block {
        back: usize,
        len: usize,
        is_right: bool,
    },
    /// All that is missing.
    Rest,
    Gap,
    Whole {
        is_right: bool,
    },
    Maintain,
    Reclaim,
    Crash,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    Storage(Step),
    Catalog(u64, Fault),
    Death(u64, Fault),
}

#[derive(Clone, Copy, Debug)]
struct Event {
    file: usize,
    action: Action,
    trouble: Trouble,
    leaves: Option<u8>,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let is_right = || prop_oneof![5 => Just(true), 1 => Just(false)];
    let back = prop_oneof![3 => Just(0), 1 => 0..1_500_usize];
    let action = prop_oneof![
        3 => Just(Action::Apply),
        1 => Just(Action::ApplyOtherwise),
        8 => (back, 0..1_500_usize, is_right()).prop_map(|(back, len, is_right)| Action::Block {
            back,
            len,
            is_right,
        }),
        3 => Just(Action::Rest),
        1 => Just(Action::Gap),
        1 => is_right().prop_map(|is_right| Action::Whole { is_right }),
        1 => Just(Action::Maintain),
        1 => Just(Action::Reclaim),
        1 => Just(Action::Crash),
    ];
    let fault = || prop_oneof![Just(Fault::Before), Just(Fault::After)];
    let step = prop::sample::select(vec![
        Step::Open,
        Step::Finish,
        Step::Commit,
        Step::CommitAnswer,
        Step::Stage,
        Step::Extend,
        Step::ExtendFinish,
        Step::ExtendAnswer,
        Step::Arrange,
        Step::Delete,
        Step::Exists,
    ]);
    let trouble = prop_oneof![
        6 => Just(Trouble::None),
        2 => step.prop_map(Trouble::Storage),
        2 => (1..6_u64, fault()).prop_map(|(at, fault)| Trouble::Catalog(at, fault)),
        2 => (1..6_u64, fault()).prop_map(|(at, fault)| Trouble::Death(at, fault)),
    ];
    let leaves = prop_oneof![4 => Just(None), 1 => (0..20_u8).prop_map(Some)];
    let event =
        (0..FILES.len(), action, trouble, leaves).prop_map(|(file, action, trouble, leaves)| {
            Event {
                file,
                action,
                trouble,
                leaves,
            }
        });
    prop::collection::vec(event, 1..40)
}

/// What a client knows of its upload.
#[derive(Clone, Debug)]
struct Client {
    id: UploadId,
    promised: FileNumber,
    /// Bytes that are there.
    there: Vec<u8>,
    /// What may be there instead: sent without an answer.
    doubts: Vec<Vec<u8>>,
}

struct Play {
    scene: Scene,
    service: TestService,
    king: Actor,
    clients: [Option<Client>; FILES.len()],
    done: [Option<FileNumber>; FILES.len()],
    ids: Vec<UploadId>,
}

fn key(file: usize) -> UploadKeyHash {
    UploadKeyHash([u8::try_from(file).unwrap(); 32])
}

impl Play {
    async fn new(seed: u64) -> Self {
        let scene = Scene::new();
        let service = scene.start();
        let king = user(&service, "king").await;
        scene.world.catalog.hesitate(Some(seed));
        Self {
            scene,
            service,
            king,
            clients: [const { None }; FILES.len()],
            done: [None; FILES.len()],
            ids: Vec::new(),
        }
    }

    async fn act(&mut self, event: Event) {
        let World { catalog, blobs } = &self.scene.world;
        match event.trouble {
            Trouble::None => {}
            Trouble::Storage(step) => blobs.fail(step, ErrorCode::Unavailable),
            Trouble::Catalog(at, fault) => catalog.fail_write(at, fault),
            Trouble::Death(at, fault) => catalog.die_at_write(at, fault),
        }
        self.act_in_trouble(event).await;
        self.scene.world.blobs.heal();
        if matches!(event.trouble, Trouble::Death(..)) || matches!(event.action, Action::Crash) {
            self.service = self.scene.crash(self.service.clone()).await;
        }
        self.scene.world.catalog.revive();
        self.settle().await;
        for (file, _) in FILES.iter().enumerate() {
            self.look_after(file).await;
        }
    }

    /// Waits for completions that go on behind a client that left.
    async fn settle(&self) {
        while !self.service.shared.tasks.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    async fn act_in_trouble(&mut self, event: Event) {
        let (service, file) = (self.service.clone(), event.file);
        let known = self.clients[file]
            .as_ref()
            .map_or(0, |client| client.there.len());
        match event.action {
            Action::Apply => {
                let (name, right) = (FILES[file].0, right(file));
                let applied = service.apply(&self.king, application(name, &right), key(file));
                if let Some(Ok(applied)) = leave_after(event.leaves, applied).await {
                    let Applied::Open(id, record) = applied else {
                        panic!("nobody else applied for {name}");
                    };
                    assert_eq!(self.done[file], None, "the name is taken");
                    if let Some(client) = &self.clients[file] {
                        assert_eq!((client.id, Some(client.promised)), (id, record.file));
                    }
                }
            }
            Action::ApplyOtherwise => {
                let (name, wrong) = (FILES[file].0, wrong(file));
                let mut other = application(name, &wrong);
                other.size += 1;
                if self.clients[file].is_some() {
                    let applied = service.apply(&self.king, other, UploadKeyHash([99; 32]));
                    let applied = leave_after(event.leaves, applied).await;
                    assert!(
                        !matches!(applied, Some(Ok(Applied::Open(..)))),
                        "{applied:?}"
                    );
                }
            }
            Action::Block {
                back,
                len,
                is_right,
            } => {
                let from = known.saturating_sub(back);
                self.send(event, from, len, is_right).await;
            }
            Action::Rest => self.send(event, known, FILES[file].1, true).await,
            Action::Gap => {
                let sent = block(&service, key(file), known + 1, b"");
                let sent = leave_after(event.leaves, sent).await;
                assert!(!matches!(sent, Some(Ok(BlockAdded::Open(_)))), "{sent:?}");
            }
            Action::Whole { is_right } => {
                let bytes = bytes_of(file, is_right);
                let sent = whole(&service, key(file), &bytes);
                let sent = leave_after(event.leaves, sent).await;
                let may_be_so = is_right || bytes == right(file);
                assert!(!matches!(sent, Some(Ok(_))) || may_be_so);
            }
            Action::Maintain => {
                let _ = leave_after(event.leaves, service.maintain()).await;
            }
            Action::Reclaim => {
                let _ = leave_after(event.leaves, service.reclaim()).await;
            }
            Action::Crash => {}
        }
    }

    async fn send(&mut self, event: Event, from: usize, len: usize, is_right: bool) {
        let file = event.file;
        let bytes = bytes_of(file, is_right);
        let (from, to) = (from.min(bytes.len()), bytes.len().min(from + len));
        let sent = block(&self.service, key(file), from, &bytes[from..to]);
        let sent = leave_after(event.leaves, sent).await;
        let Some(client) = &mut self.clients[file] else {
            return;
        };
        if from == to {
            return;
        }
        let after = [&client.there[..from], &bytes[from..to]].concat();
        match sent {
            Some(Ok(BlockAdded::Open(record))) => {
                assert_eq!(record.received, after.len() as u64);
                client.there = after;
                client.doubts.clear();
            }
            _ => client.doubts.push(after),
        }
    }

    /// Compares what a client knows with what there is.
    async fn look_after(&mut self, file: usize) {
        let client = self.clients[file].take();
        let (id, record) = match self.service.upload_of_key(key(file)).await {
            Ok(found) => found,
            Err(ServiceError::Core(CoreError::NoUpload)) => {
                assert!(client.is_none(), "an upload of {} is lost", FILES[file].0);
                return;
            }
            Err(error) => panic!("{error:?}"),
        };
        if !self.ids.contains(&id) {
            self.ids.push(id);
        }
        let promised = record.file.unwrap();
        if let UploadState::Done(number) = record.state {
            assert_eq!(number, promised);
            let bytes = self.scene.bytes(&self.service, &self.king, number).await;
            assert_eq!(bytes, right(file));
            self.done[file] = Some(number);
            return;
        }
        assert_eq!(self.done[file], None, "what is done stays done");
        let mut client = client.unwrap_or(Client {
            id,
            promised,
            there: Vec::new(),
            doubts: Vec::new(),
        });
        assert_eq!((client.id, client.promised), (id, promised));
        if record.state == UploadState::Open {
            let there = self.there(id, &record).await;
            let began_anew = there.is_empty()
                && [&client.there]
                    .into_iter()
                    .chain(&client.doubts)
                    .any(|bytes| bytes.len() == FILES[file].1 && *bytes != right(file));
            assert!(
                there == client.there || client.doubts.contains(&there) || began_anew,
                "{} has {} bytes that nobody sent",
                FILES[file].0,
                there.len()
            );
            client.there = there;
            client.doubts.clear();
        }
        self.clients[file] = Some(client);
    }

    /// The bytes that an upload has.
    async fn there(&self, id: UploadId, record: &UploadRecord) -> Vec<u8> {
        let blocks = self
            .service
            .look(move |view| upload_sessions::slices(view, id));
        let mut there = Vec::new();
        for (place, block) in blocks.await.unwrap() {
            assert_eq!(place, there.len() as u64, "blocks follow each other");
            let staging = self.scene.world.blobs.bytes(&record.staging.unwrap());
            let at = usize::try_from(block.offset).unwrap();
            let len = usize::try_from(block.len).unwrap();
            there.extend_from_slice(&staging.unwrap()[at..at + len]);
        }
        assert_eq!(there.len() as u64, record.received);
        there
    }

    /// Everything works again, and each upload comes to its end.
    async fn finish(mut self) {
        self.service = self.scene.crash(self.service.clone()).await;
        self.scene.world.catalog.hesitate(None);
        self.service.reclaim().await.unwrap();
        self.scene
            .check_owners(&self.service, std::slice::from_ref(&self.king), &self.ids)
            .await;
        for (file, _) in FILES.iter().enumerate() {
            self.look_after(file).await;
            let Some(client) = self.clients[file].take() else {
                continue;
            };
            let right = right(file);
            let mut made = None;
            // Once more, if what was there was wrong.
            for _ in 0..2 {
                let (id, record) = self.service.upload_of_key(key(file)).await.unwrap();
                let from = self.service.next_offset(id, &record).await.unwrap();
                let from = usize::try_from(from).unwrap();
                match block(&self.service, key(file), from, &right[from..]).await {
                    Ok(BlockAdded::File(number)) => {
                        made = Some(number);
                        break;
                    }
                    Err(ServiceError::Mismatch { .. }) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(made, Some(client.promised), "{}", FILES[file].0);
            self.done[file] = made;
        }
        self.scene.check_all_ended(&[&self.king]).await;
        let rows = files_of(&self.service, &self.king).await;
        let numbers: Vec<FileNumber> = rows.iter().map(|(number, _)| *number).collect();
        let mut done: Vec<FileNumber> = self.done.into_iter().flatten().collect();
        done.sort();
        assert_eq!(numbers, done);
    }
}

async fn play(seed: u64, events: Vec<Event>) {
    let mut play = Play::new(seed).await;
    for event in events {
        play.act(event).await;
    }
    play.finish().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_history_loses_an_acknowledged_block_or_makes_a_file_of_other_bytes(
        seed in any::<u64>(),
        events in events(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(seed, events));
    }
}
