//! Histories of uploads in slices: clients that err, repeat themselves and leave, storage and catalog
//! that fail, processes that end. Whatever happens, what was acknowledged is there, what became a file
//! is right, and each blob has one owner.

use std::collections::BTreeSet;

use futures_util::future::join;
use proptest::prelude::*;

use super::scene::*;
use super::*;
use crate::backend::Step;
use crate::backend::catalog::Fault;
use crate::core::files::Conflict;
use crate::core::id::FileNumber;
use crate::core::upload_sessions::{self, UploadRecord, UploadState};
use crate::service::hashes::Sequence;
use common::code::ErrorCode;

/// A file that is uploaded again and again: seed and length of its bytes, its name, what if that is
/// taken, and whether the client says the MD5.
struct Plan {
    seed: u8,
    len: usize,
    name: &'static str,
    conflict: Conflict,
    has_md5: bool,
}

const PLANS: [Plan; 4] = [
    Plan {
        seed: 1,
        len: 3 * SLICE + 100,
        name: "a",
        conflict: Conflict::Keep,
        has_md5: true,
    },
    // The same bytes under another name, where another file may be faster.
    Plan {
        seed: 1,
        len: 3 * SLICE + 100,
        name: "b",
        conflict: Conflict::Refuse,
        has_md5: false,
    },
    Plan {
        seed: 2,
        len: 3 * SLICE,
        name: "b",
        conflict: Conflict::Replace,
        has_md5: false,
    },
    Plan {
        seed: 3,
        len: 1000,
        name: "c",
        conflict: Conflict::Keep,
        has_md5: true,
    },
];

impl Plan {
    fn right(&self) -> Vec<u8> {
        content(self.seed, self.len)
    }

    /// What a client sends in its place.
    fn wrong(&self) -> Vec<u8> {
        content(self.seed + 100, self.len)
    }

    fn bytes(&self, variant: Variant) -> Vec<u8> {
        match variant {
            Variant::Right => self.right(),
            Variant::Wrong => self.wrong(),
        }
    }

    fn slices(&self) -> u64 {
        self.len.div_ceil(SLICE) as u64
    }

    fn announcement(&self) -> NewSliced {
        let right = self.right();
        let mut new = new_file(self.name, &right);
        new.conflict = self.conflict;
        new.md5 = new.md5.filter(|_| self.has_md5);
        new
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Variant {
    Right,
    Wrong,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Begin,
    Send(u64, Variant),
    /// Another MD5 than the bytes have.
    SendWrongly(u64),
    /// All slices, the last one first.
    SendAll(Variant),
    /// Both variants of a slice at once.
    Race(u64),
    Complete,
    /// While a slice is sent.
    CompleteDuring(u64, Variant),
    GiveUp,
    Maintain,
    Reclaim,
    Crash,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// A step of storage fails until the action is over.
    Storage(Step),
    /// A write of the catalog fails, once.
    Catalog(u64, Fault),
    /// The process ends at a write of the catalog.
    Death(u64, Fault),
}

#[derive(Clone, Copy, Debug)]
struct Event {
    /// Which file's.
    plan: usize,
    action: Action,
    trouble: Trouble,
    /// The client leaves after so many turns.
    leaves: Option<u8>,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let variant = || prop_oneof![4 => Just(Variant::Right), 1 => Just(Variant::Wrong)];
    let action = prop_oneof![
        5 => Just(Action::Begin),
        8 => (1..=4_u64, variant()).prop_map(|(number, variant)| Action::Send(number, variant)),
        1 => (1..=4_u64).prop_map(Action::SendWrongly),
        4 => variant().prop_map(Action::SendAll),
        1 => (1..=4_u64).prop_map(Action::Race),
        5 => Just(Action::Complete),
        2 => (1..=4_u64, variant())
            .prop_map(|(number, variant)| Action::CompleteDuring(number, variant)),
        1 => Just(Action::GiveUp),
        1 => Just(Action::Maintain),
        2 => Just(Action::Reclaim),
        1 => Just(Action::Crash),
    ];
    let fault = || prop_oneof![Just(Fault::Before), Just(Fault::After)];
    let step = prop::sample::select(vec![
        Step::Open,
        Step::Begin,
        Step::Commit,
        Step::CommitAnswer,
        Step::Stage,
        Step::Extend,
        Step::ExtendWrite,
        Step::ExtendFinish,
        Step::ExtendAnswer,
        Step::Arrange,
        Step::Delete,
        Step::DeleteAnswer,
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
        (0..PLANS.len(), action, trouble, leaves).prop_map(|(plan, action, trouble, leaves)| {
            Event {
                plan,
                action,
                trouble,
                leaves,
            }
        });
    prop::collection::vec(event, 1..40)
}

/// What a client may expect of a slice.
#[derive(Clone, Debug, Default)]
struct Slot {
    /// It was acknowledged.
    is_there: bool,
    /// What it may be: what was acknowledged last, and what was sent since without an answer.
    may_be: BTreeSet<Variant>,
}

/// What a client knows of its upload.
#[derive(Clone, Debug)]
struct Client {
    id: UploadId,
    slots: Vec<Slot>,
    /// Nobody may wonder when it is gone.
    may_end: bool,
    /// It was asked to be completed.
    may_be_done: bool,
    /// A completion may go on behind the client's back, with slices of before.
    may_complete: bool,
}

impl Client {
    fn new(id: UploadId, plan: &Plan) -> Self {
        let count = usize::try_from(plan.slices()).unwrap();
        Self {
            id,
            slots: vec![Slot::default(); count],
            may_end: false,
            may_be_done: false,
            may_complete: false,
        }
    }

    /// Notes what became of a slice; nothing, if the client left before the answer.
    fn note(&mut self, number: u64, variant: Variant, sent: Option<&Result<(), ServiceError>>) {
        let slot = usize::try_from(number).unwrap() - 1;
        let Some(slot) = self.slots.get_mut(slot) else {
            assert!(
                matches!(sent, None | Some(Err(_))),
                "there is no such slice: {number}"
            );
            return;
        };
        if matches!(sent, Some(Ok(()))) {
            slot.is_there = true;
            if !self.may_complete {
                slot.may_be.clear();
            }
        }
        slot.may_be.insert(variant);
    }

    /// Before a completion: what may come of it.
    fn expect_end(&mut self, plan: &Plan) {
        let may_be_wrong = self
            .slots
            .iter()
            .any(|slot| slot.may_be.contains(&Variant::Wrong));
        self.may_end |= plan.conflict == Conflict::Refuse || (plan.has_md5 && may_be_wrong);
        self.may_be_done = true;
        self.may_complete = true;
    }
}

/// Whether the answer to a completion fits what the client knew before. Files are looked at later.
fn check_completed(plan: &Plan, client: &Client, completed: &Result<Completion, ServiceError>) {
    match completed {
        Err(ServiceError::SlicesMissing(ranges)) => {
            for number in ranges.iter().cloned().flatten() {
                let slot = &client.slots[usize::try_from(number).unwrap() - 1];
                assert!(!slot.is_there, "slice {number} was acknowledged");
            }
        }
        Err(ServiceError::Mismatch { .. }) => {
            assert!(plan.has_md5, "nothing was announced");
            assert!(client.may_end, "all slices were right");
        }
        Err(ServiceError::Core(CoreError::NameInUse(_))) => {
            assert_eq!(plan.conflict, Conflict::Refuse);
        }
        Ok(_) | Err(_) => {}
    }
}

struct Play {
    scene: Scene,
    service: TestService,
    king: Actor,
    clients: [Option<Client>; PLANS.len()],
    /// All uploads that there were.
    ids: Vec<UploadId>,
    /// Files that clients were told of, by name.
    files: Vec<(usize, FileNumber)>,
    /// Files that there may be besides these.
    doubts: usize,
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
            clients: [const { None }; PLANS.len()],
            ids: Vec::new(),
            files: Vec::new(),
            doubts: 0,
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
            self.crash().await;
        }
        self.scene.world.catalog.revive();
        for plan in 0..PLANS.len() {
            self.look_after(plan).await;
        }
    }

    async fn crash(&mut self) {
        self.service = self.scene.crash(self.service.clone()).await;
        for client in self.clients.iter_mut().flatten() {
            client.may_complete = false;
        }
    }

    async fn act_in_trouble(&mut self, event: Event) {
        let plan = &PLANS[event.plan];
        let (service, king) = (self.service.clone(), self.king.clone());
        match event.action {
            Action::Begin => {
                if self.clients[event.plan].is_none() {
                    let begun = service.begin_sliced(&king, plan.announcement());
                    let begun = leave_after(event.leaves, begun).await;
                    self.note_begun(event.plan, begun.as_ref());
                }
                return;
            }
            Action::Maintain => {
                let _ = leave_after(event.leaves, service.maintain()).await;
                return;
            }
            Action::Reclaim => {
                let _ = leave_after(event.leaves, service.reclaim()).await;
                return;
            }
            Action::Crash => return,
            Action::Send(..)
            | Action::SendWrongly(_)
            | Action::SendAll(_)
            | Action::Race(_)
            | Action::Complete
            | Action::CompleteDuring(..)
            | Action::GiveUp => {}
        }
        let Some(mut client) = self.clients[event.plan].take() else {
            return;
        };
        let id = client.id;
        let bytes_of = |number: u64, variant: Variant| {
            let bytes = plan.bytes(variant);
            let at = usize::try_from(number).unwrap() - 1;
            bytes.chunks(SLICE).nth(at).unwrap_or_default().to_vec()
        };
        let send = async |number: u64, variant: Variant| {
            send(&service, &king, id, number, &bytes_of(number, variant)).await
        };
        let complete = async || service.complete_sliced(&king, id).await;
        match event.action {
            Action::Send(number, variant) => {
                let sent = leave_after(event.leaves, send(number, variant)).await;
                client.note(number, variant, sent.as_ref());
            }
            Action::SendWrongly(number) => {
                let bytes = bytes_of(number, Variant::Wrong);
                let md5 = Some(Md5([0; 16]));
                let sent = send_as(&service, &king, id, number, &bytes, md5);
                let sent = leave_after(event.leaves, sent).await;
                assert!(!matches!(sent, Some(Ok(()))), "the MD5 is wrong");
            }
            Action::SendAll(variant) => {
                for number in (1..=plan.slices()).rev() {
                    let sent = leave_after(event.leaves, send(number, variant)).await;
                    client.note(number, variant, sent.as_ref());
                }
            }
            Action::Race(number) => {
                let both = join(send(number, Variant::Right), send(number, Variant::Wrong));
                let (right, wrong) = both.await;
                client.note(number, Variant::Right, Some(&right));
                let before = client.clone();
                client.note(number, Variant::Wrong, Some(&wrong));
                // Nobody knows which one was the last.
                for (slot, before) in client.slots.iter_mut().zip(before.slots) {
                    slot.may_be.extend(before.may_be);
                }
            }
            Action::Complete => {
                client.expect_end(plan);
                if let Some(completed) = leave_after(event.leaves, complete()).await {
                    check_completed(plan, &client, &completed);
                }
            }
            Action::CompleteDuring(number, variant) => {
                client.note(number, variant, None);
                client.expect_end(plan);
                let before = client.clone();
                let both = join(complete(), send(number, variant));
                if let Some((completed, sent)) = leave_after(event.leaves, both).await {
                    check_completed(plan, &before, &completed);
                    client.note(number, variant, Some(&sent));
                }
            }
            Action::GiveUp => {
                client.may_end = true;
                let _ = leave_after(event.leaves, service.give_up_upload(&king, id)).await;
            }
            Action::Begin | Action::Maintain | Action::Reclaim | Action::Crash => {}
        }
        self.clients[event.plan] = Some(client);
    }

    fn note_begun(&mut self, plan: usize, begun: Option<&Result<Begun, ServiceError>>) {
        match begun {
            Some(Ok(Begun::Open(id, _))) => {
                self.ids.push(*id);
                self.clients[plan] = Some(Client::new(*id, &PLANS[plan]));
            }
            Some(Ok(Begun::File(file))) => {
                assert!(PLANS[plan].has_md5, "nobody said what it is");
                self.note_file(plan, *file);
            }
            // It may be a file by now, or an upload that nobody goes on with.
            Some(Err(_)) | None => self.doubts += 1,
        }
    }

    fn note_file(&mut self, plan: usize, file: FileNumber) {
        if PLANS[plan].conflict == Conflict::Replace {
            let name = PLANS[plan].name;
            self.files.retain(|(other, _)| PLANS[*other].name != name);
        }
        if !self.files.contains(&(plan, file)) {
            self.files.push((plan, file));
        }
    }

    /// Compares what a client knows with what there is.
    async fn look_after(&mut self, plan: usize) {
        let Some(client) = self.clients[plan].take() else {
            return;
        };
        let record = match self.service.upload(&self.king, client.id).await {
            Ok(record) => record,
            Err(ServiceError::Core(CoreError::NoUpload)) => {
                assert!(client.may_end, "an upload of {} is lost", PLANS[plan].name);
                return;
            }
            Err(error) => panic!("{error:?}"),
        };
        match record.state {
            UploadState::Open => {
                self.check_slices(plan, &client, &record).await;
                self.clients[plan] = Some(client);
            }
            UploadState::Committing(_) => self.clients[plan] = Some(client),
            UploadState::Done(file) => {
                assert!(client.may_be_done, "nobody completed it");
                self.check_file(plan, &client, file).await;
                self.note_file(plan, file);
            }
        }
    }

    /// Acknowledged slices are there, as they may be, and hashes are those of what is there.
    async fn check_slices(&self, plan: usize, client: &Client, record: &UploadRecord) {
        let id = client.id;
        // Of one moment: others may be at work.
        let (record, slices) = self
            .service
            .look(move |view| {
                let record = upload_sessions::find(view, id)?;
                Ok((record, upload_sessions::slices(view, id)?))
            })
            .await
            .map(|(now, slices)| (now.unwrap_or_else(|| record.clone()), slices))
            .unwrap();
        if record.state != UploadState::Open {
            return;
        }
        let staging = record
            .staging
            .map(|staging| self.scene.world.blobs.bytes(&staging).unwrap())
            .unwrap_or_default();
        let mut sequence = Sequence::default();
        let mut found = BTreeSet::new();
        for (number, slice) in &slices {
            let at = usize::try_from(slice.offset).unwrap();
            let len = usize::try_from(slice.len).unwrap();
            let bytes = &staging[at..at + len];
            let slot = usize::try_from(*number).unwrap() - 1;
            let may_be = &client.slots[slot].may_be;
            let is_so = may_be.iter().any(|variant| {
                let whole = PLANS[plan].bytes(*variant);
                whole.chunks(SLICE).nth(slot) == Some(bytes)
            });
            assert!(
                is_so,
                "slice {number} of {} is none of {may_be:?}",
                PLANS[plan].name
            );
            if *number <= record.hashed {
                sequence.update(bytes);
            }
            found.insert(slot);
        }
        for (slot, expected) in client.slots.iter().enumerate() {
            assert!(
                !expected.is_there || found.contains(&slot),
                "slice {} was acknowledged and is not there",
                slot + 1
            );
        }
        assert_eq!(record.received, slices.len() as u64);
        if 0 < record.hashed {
            assert_eq!(record.hashes, sequence.save(), "hashes of other bytes");
        }
    }

    async fn check_file(&self, plan: usize, client: &Client, file: FileNumber) {
        let bytes = self.scene.bytes(&self.service, &self.king, file).await;
        if PLANS[plan].has_md5 {
            assert_eq!(bytes, PLANS[plan].right());
        }
        assert_eq!(bytes.len(), PLANS[plan].len);
        for (slot, (expected, bytes)) in client.slots.iter().zip(bytes.chunks(SLICE)).enumerate() {
            let is_so = expected.may_be.iter().any(|variant| {
                let whole = PLANS[plan].bytes(*variant);
                whole.chunks(SLICE).nth(slot) == Some(bytes)
            });
            assert!(is_so, "slice {} is none of {:?}", slot + 1, expected.may_be);
        }
    }

    /// Everything works again, and each client comes to its end.
    async fn finish(mut self) {
        self.crash().await;
        self.scene.world.catalog.hesitate(None);
        self.service.reclaim().await.unwrap();
        self.scene
            .check_owners(
                &self.service,
                std::slice::from_ref(&self.king),
                &self.known_uploads().await,
            )
            .await;
        for (plan, planned) in PLANS.iter().enumerate() {
            self.look_after(plan).await;
            let Some(mut client) = self.clients[plan].take() else {
                continue;
            };
            let record = self.service.upload(&self.king, client.id).await.unwrap();
            if record.state == UploadState::Open {
                let right = planned.right();
                for number in 1..=PLANS[plan].slices() {
                    let bytes = slice(&right, number);
                    let sent = send(&self.service, &self.king, client.id, number, bytes).await;
                    client.note(number, Variant::Right, Some(&sent));
                    sent.unwrap();
                }
            }
            client.expect_end(&PLANS[plan]);
            match complete(&self.service, &self.king, client.id).await {
                Ok(file) => {
                    self.check_file(plan, &client, file).await;
                    self.note_file(plan, file);
                }
                Err(ServiceError::Core(CoreError::NameInUse(_))) => {
                    assert_eq!(PLANS[plan].conflict, Conflict::Refuse);
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        // Those that nobody knew of.
        for id in uploads_of(&self.service, &self.king).await {
            self.service.give_up_upload(&self.king, id).await.unwrap();
        }
        self.scene.check_all_ended(&[&self.king]).await;
        let rows = files_of(&self.service, &self.king).await;
        for (plan, file) in &self.files {
            assert!(
                rows.iter().any(|(number, _)| number == file),
                "file {file} of {} is lost",
                PLANS[*plan].name
            );
        }
        assert!(rows.len() <= self.files.len() + self.doubts);
    }

    async fn known_uploads(&self) -> Vec<UploadId> {
        let mut ids: BTreeSet<UploadId> = self.ids.iter().copied().collect();
        ids.extend(uploads_of(&self.service, &self.king).await);
        ids.into_iter().collect()
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
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_history_loses_an_acknowledged_slice_or_leaves_a_blob_without_an_owner(
        seed in any::<u64>(),
        events in events(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(seed, events));
    }
}
