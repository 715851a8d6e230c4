//! What goes wrong, what operators do meanwhile, and how it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::id::{GroupName, NodeNumber};
use common::wire::cluster::{Order, Target};
use storage_node::disk::CrashStyle;
use storage_node::error::StoreError;
use storage_node::format::RecordKind;
use storage_node::store::{Change, plan_volume};
use storage_node::volume::{ScanDepth, ScanItem, Scanner};
use tokio::time::{Instant, sleep, timeout};

use crate::clients::CLIENTS;
use crate::network::Host;
use crate::node::Backup;
use crate::random::locked;
use crate::world::{COMPARE_OFTEN, EPOCH, NODES_MAX, PATH, TOMBSTONE_AGE, World};

/// Whoever gives orders.
const OPERATOR: Host = Host::Client(99);
/// Seconds in which a tracker that forgot everybody hears of all, and a new node of its group.
const NEWS: u32 = 30;
/// How long an order is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

impl World {
    /// Something goes wrong, or is changed. Bytes rot only while nothing is under way: the only copy
    /// that there is so far may rot for good.
    pub(crate) async fn strike(&mut self, is_calm: bool) {
        let number = self.any();
        match self.random.below(28) {
            0 => self.stop(number, CrashStyle::Process),
            1 => self.stop(number, CrashStyle::Power),
            2 => self.black_out(),
            3 => {
                self.network.pause(Host::Node(number));
                self.note(&format!("node {number} stands still"));
            }
            4 => self.cut(false),
            5 => self.cut(true),
            6 => {
                let jump = self.jump();
                self.machines[&number].clock.store(jump, Ordering::Relaxed);
                self.note(&format!("the clock of {number} jumps by {jump}"));
            }
            7 => {
                let machine = &self.machines[&number];
                machine.slowness.store(400, Ordering::Relaxed);
                self.note(&format!("the disk of {number} is slow"));
            }
            8 => self.wipe(number),
            9 | 10 if is_calm => self.rot(number),
            11 => {
                let machine = self.machines.get_mut(&number).expect("a node");
                machine.is_failing = true;
                machine.disk.fail_writes(true);
                self.note(&format!("the disk of {number} takes nothing"));
            }
            12 | 13 => self.restore(number),
            14 => {
                let machine = self.machines.get_mut(&number).expect("a node");
                machine.is_failing = true;
                machine.disk.set_total(0);
                self.note(&format!("the disk of {number} is full"));
            }
            15 => self.renumber_address(number),
            16 => self.grow(),
            17 => self.order(number, Order::Drain).await,
            18 => self.order(number, Order::ReadOnly).await,
            19 => self.kill_tracker(),
            20 => {
                let idx = self.kill_tracker_now();
                self.start_tracker(idx);
            }
            21 => {
                let idx = self.any_tracker();
                self.network.pause(Host::Tracker(idx));
                self.note(&format!("tracker {idx} stands still"));
            }
            22 => {
                let idx = self.any_tracker();
                let jump = self.jump();
                self.trackers[&idx].clock.store(jump, Ordering::Relaxed);
                self.note(&format!("the clock of tracker {idx} jumps by {jump}"));
            }
            23 => {
                for idx in self.tracker_idxs() {
                    self.cut_both(Host::Node(number), Host::Tracker(idx));
                }
            }
            _ => {}
        }
    }

    /// Microseconds that a clock is off by: hours, in either direction.
    fn jump(&mut self) -> i64 {
        let hours = self.random.below(7);
        i64::try_from(hours).unwrap() * 3_600_000_000 - 10_000_000_000
    }

    fn any_tracker(&mut self) -> u8 {
        let idxs = self.tracker_idxs();
        self.random.pick(&idxs)
    }

    /// The power of all machines fails, in one case of two that of the trackers too.
    fn black_out(&mut self) {
        for number in self.numbers() {
            if self.network.node(number).is_some() {
                self.stop(number, CrashStyle::Power);
            }
        }
        if self.random.one_in(2) {
            for idx in self.tracker_idxs() {
                self.network.kill_tracker(idx);
            }
            self.note("all trackers end");
        }
    }

    /// Two hosts that talk to each other lose what one of them sends, or both.
    fn cut(&mut self, is_both: bool) {
        let number = self.any();
        let node = Host::Node(number);
        let tracker = Host::Tracker(self.any_tracker());
        let (from, to) = match self.random.below(6) {
            0 => (tracker, node),
            1 => (node, tracker),
            2 => (Host::Tracker(self.any_tracker()), tracker),
            3 => (
                Host::Client(u8::try_from(self.random.below(CLIENTS)).unwrap()),
                tracker,
            ),
            _ => {
                let peers = self.group(self.machines[&number].group);
                (node, Host::Node(self.random.pick(&peers)))
            }
        };
        if from == to {
            return;
        }
        if is_both {
            self.cut_both(from, to);
        } else {
            self.network.cut(from, to);
            self.note(&format!("{from:?} does not reach {to:?}"));
        }
    }

    fn cut_both(&self, one: Host, other: Host) {
        self.network.cut(one, other);
        self.network.cut(other, one);
        self.note(&format!("{one:?} and {other:?} are apart"));
    }

    fn kill_tracker(&mut self) {
        self.kill_tracker_now();
    }

    /// A tracker ends, and may lose what it kept.
    fn kill_tracker_now(&mut self) -> u8 {
        let idx = self.any_tracker();
        self.network.kill_tracker(idx);
        self.note(&format!("tracker {idx} ends"));
        // A tracker that knows nobody believes a new node that it is alone.
        let is_any_new = self
            .machines
            .values()
            .any(|it| self.unix() < it.joined + NEWS);
        if self.random.one_in(3) && !is_any_new {
            locked(&self.trackers[&idx].snapshot).clear();
            // It may have been the only one that knew of an order.
            self.wills = None;
            self.note(&format!("tracker {idx} loses its snapshot"));
        }
        idx
    }

    /// A node comes back at another address.
    fn renumber_address(&mut self, number: NodeNumber) {
        self.stop(number, CrashStyle::Process);
        let address = self.fresh_address();
        self.machines.get_mut(&number).expect("a node").address = address;
        self.note(&format!("node {number} moves to {address}"));
        self.start(number);
    }

    /// A group gets another node.
    fn grow(&mut self) {
        let groups: Vec<GroupName> = self.groups().into_iter().collect();
        let group = self.random.pick(&groups);
        // As above.
        let is_forgotten = self.forgot.is_some_and(|at| self.unix() < at + NEWS);
        let are_all_up = self.network.trackers().len() == self.trackers.len();
        let has_room = self.machines.len() < NODES_MAX && self.group(group).len() < 3;
        if has_room && are_all_up && !is_forgotten {
            let number = self.add_machine(group, self.unix());
            self.start(number);
        }
    }

    /// An operator orders something of a node, at one tracker.
    async fn order(&mut self, number: NodeNumber, order: Order) {
        // Two trackers that are apart keep one of two orders about one node.
        let is_new = self
            .wills
            .as_ref()
            .is_some_and(|wills| !wills.contains_key(&number));
        if !is_new {
            return;
        }
        let idx = self.any_tracker();
        match self.ordered(idx, number, order).await {
            Some(true) => {
                let marks = (order == Order::Drain, order == Order::ReadOnly);
                if let Some(wills) = &mut self.wills {
                    wills.insert(number, marks);
                }
            }
            Some(false) => {}
            None => self.wills = None,
        }
    }

    /// Whether a tracker carried an order out; `None` if nobody knows.
    async fn ordered(&self, idx: u8, number: NodeNumber, order: Order) -> Option<bool> {
        let target = Target::Node(number);
        let network = Arc::clone(&self.network);
        let asked = network.ask_tracker(OPERATOR, idx, None, move |it| async move {
            it.order(target, order).await
        });
        let done = match timeout(PATIENCE, asked).await {
            Ok(Ok(done)) => Some(done.is_ok()),
            Ok(Err(_)) | Err(_) => None,
        };
        self.note(&format!("{order:?} {number} at tracker {idx}: {done:?}"));
        done
    }

    /// Orders are taken back, while all is well.
    pub(crate) async fn pardon(&mut self) {
        let marked: Vec<NodeNumber> = self.wills.iter().flatten().map(|(it, _)| *it).collect();
        let idx = self.any_tracker();
        for number in marked {
            for order in [Order::Undrain, Order::Writable] {
                while self.ordered(idx, number, order).await != Some(true) {
                    sleep(PATIENCE).await;
                }
            }
            if let Some(wills) = &mut self.wills {
                wills.remove(&number);
            }
            // Until all trackers know it: for one that does not, the next order may be no change.
            sleep(Duration::from_secs(3)).await;
        }
    }

    /// Gives the space of a node's old volumes back, and has it forget old tombstones, as it does by
    /// itself now and then.
    pub(crate) async fn tidy(&mut self) {
        let number = self.any();
        let Some(process) = self.network.node(number) else {
            return;
        };
        self.note(&format!("node {number} tidies up"));
        let store = process.store();
        let forgetting = Arc::clone(&process.replica);
        let at = EPOCH + u64::try_from(self.begun.elapsed().as_micros()).unwrap();
        let tidying = tokio::spawn(async move {
            let local = store.local();
            local.submit(Change::Seal).await?;
            for volume in store.shared().volumes() {
                let Some(changes) = plan_volume(store.shared(), &volume)? else {
                    continue;
                };
                for change in changes {
                    local.submit(change).await?;
                }
                match local.submit(Change::RemoveVolume(volume.number())).await {
                    Ok(_) | Err(StoreError::Conflict) => {}
                    Err(error) => return Err(error),
                }
            }
            let before = at.saturating_sub(TOMBSTONE_AGE);
            forgetting.forget_tombstones(PATH, before).await.map(drop)
        });
        process.tasks.adopt(tidying.abort_handle());
        // An error: the process ended, or its disk is what it is.
        let _ = tidying.await;
    }

    /// A byte of a needed record changes on one node's disk, while the others have the same.
    fn rot(&mut self, number: NodeNumber) {
        let group = self.machines[&number].group;
        let is_compared = self.compare_every.as_secs() == COMPARE_OFTEN;
        if !is_compared || !self.is_calm(group) {
            return;
        }
        let store = self.node(number).store();
        let mut records = Vec::new();
        for volume in store.shared().volumes() {
            let end = volume.committed_end();
            let mut scanner =
                Scanner::new(volume.file(), volume.number(), 4096, ScanDepth::Headers);
            while scanner.offset() < end {
                let Ok(ScanItem::Record(record)) = scanner.next_item() else {
                    break;
                };
                // In what the header speaks of, or in itself. Not in that of a part: nothing else says
                // which of a peer's bytes are its, where the peer has another version of the blob.
                let payload = record.header.payload_start();
                let is_part = record.header.kind == RecordKind::Part;
                let places = [payload, if is_part { payload } else { 3 }];
                let is_content = record.header.kind != RecordKind::Filler;
                if is_content && 0 < record.header.payload_len {
                    records.extend(places.map(|at| (volume.number(), record.offset + at)));
                }
            }
        }
        if records.is_empty() {
            return;
        }
        let (volume, at) = self.random.pick(&records);
        self.machines[&number]
            .disk
            .corrupt(volume, at, |bytes| bytes[0] ^= 1);
        self.rotten.insert(group);
        self.note(&format!("rot at {at} of volume {volume} of node {number}"));
    }

    /// A node gets an old copy of all that it keeps, or such a copy is made. As with a disk that is
    /// lost, all nodes have the same at that moment.
    fn restore(&mut self, number: NodeNumber) {
        let is_calm = self.is_calm(self.machines[&number].group);
        let machine = self.machines.get_mut(&number).expect("a node");
        let is_young = |at: Instant| u128::from(TOMBSTONE_AGE) > at.elapsed().as_micros();
        let backup = machine.backup.take_if(|it| is_calm && is_young(it.at));
        let Some(backup) = backup else {
            machine.backup = Some(Backup {
                at: Instant::now(),
                disk: machine.disk.copy(),
                index: machine.index.copy(),
                shelf: machine.shelf.copy(),
            });
            self.note(&format!("the disk of node {number} is copied"));
            return;
        };
        self.stop(number, CrashStyle::Process);
        let machine = self.machines.get_mut(&number).expect("a node");
        machine.disk = backup.disk;
        machine.index = backup.index;
        machine.shelf = backup.shelf;
        self.note(&format!("node {number} gets an old copy of its disk"));
        self.start(number);
    }

    /// A node loses its disk. What was acknowledged by it alone, as the settings may allow, would be
    /// lost with it, so it happens only while all nodes have the same.
    fn wipe(&mut self, number: NodeNumber) {
        if !self.is_calm(self.machines[&number].group) {
            return;
        }
        let owed = self.keys(number);
        self.stop(number, CrashStyle::Process);
        let keeps_state = self.random.one_in(2);
        if let Some(machine) = self.machines.get_mut(&number) {
            machine.owed = owed;
            let shelf = machine.shelf.clone();
            machine.wipe();
            if keeps_state {
                machine.shelf = shelf;
            }
        }
        self.note(&format!(
            "node {number} loses its disk, and keeps its state: {keeps_state}"
        ));
        self.start(number);
    }

    /// All that went wrong ends.
    pub(crate) fn relief(&mut self) {
        self.network.heal();
        for idx in self.tracker_idxs() {
            if self.network.tracker(idx).is_none() {
                self.start_tracker(idx);
            }
        }
        for number in self.numbers() {
            let machine = &self.machines[&number];
            machine.slowness.store(3, Ordering::Relaxed);
            if machine.is_failing {
                // A new disk controller, say: the operator starts the node again.
                self.stop(number, CrashStyle::Process);
            }
            if self.network.node(number).is_none() {
                self.start(number);
            }
        }
        self.note("relief");
    }
}
