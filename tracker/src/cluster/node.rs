//! One storage node: what is remembered of it, and what it said last.

use std::net::SocketAddr;
use std::time::Duration;

use common::id::{GroupName, NodeNumber, VolumePath};
use common::wire::report::{
    GroupMarks, Member, MemberMarks, NodeEntry, NodeJoin, NodePhase, NodeReport, PathSpace,
    RemovedMember, Stamp, Standing,
};
use common::wire::tracker::{NodeStatus, ReadWriteMode};
use common::wire::{AddressText, AddressWidth, VersionText};

use super::space::takes_writes;
use super::{Now, ReservedSpace, Space, StorePath};

/// Where clients reach a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its number.
    pub number: NodeNumber,
    /// Address and port of the storage protocol.
    pub address: SocketAddr,
    /// The address as answers carry it, kept because every query needs it.
    pub text: AddressText,
}

impl Endpoint {
    fn of(entry: &NodeEntry) -> Self {
        let text = entry.place.address.to_string();
        Self {
            number: entry.number,
            address: entry.place.storage(),
            text: AddressText::from_bytes(text.as_bytes()).unwrap_or_default(),
        }
    }
}

/// Names one connection of one node, so that the end of an old one does not end a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    pub(super) group: GroupName,
    pub(super) number: NodeNumber,
    pub(super) serial: u64,
}

impl SessionId {
    /// The node whose session it is.
    pub fn number(&self) -> NodeNumber {
        self.number
    }
}

#[derive(Clone, Copy, Debug)]
struct Session {
    serial: u64,
    heard: Duration,
    silent: bool,
    reported: bool,
}

/// A storage node.
#[derive(Debug)]
pub struct Node {
    entry: NodeEntry,
    /// Place of the entry in this tracker's list of changes.
    changed: u64,
    /// What an operator said of its group; kept here because every query needs it.
    group_marks: GroupMarks,
    group_marked: Stamp,
    /// When it was heard last since this tracker's start.
    heard: Option<Duration>,
    endpoint: Endpoint,
    session: Option<Session>,
    software: VersionText,
    started: u32,
    upload_priority: i32,
    path_count: usize,
    report: NodeReport,
    reported_at: u32,
    space: Space,
    next_path: usize,
}

impl Node {
    /// A node known from earlier that has not called yet.
    pub(super) fn known(entry: NodeEntry) -> Self {
        Self {
            entry,
            changed: 0,
            group_marks: GroupMarks::default(),
            group_marked: Stamp::default(),
            heard: None,
            endpoint: Endpoint::of(&entry),
            session: None,
            software: VersionText::default(),
            started: 0,
            upload_priority: 0,
            path_count: 0,
            report: NodeReport::default(),
            reported_at: 0,
            space: Space::default(),
            next_path: 0,
        }
    }

    /// Begins a session. What an earlier one reported stays on show until the next report.
    pub(super) fn join(&mut self, join: &NodeJoin, serial: u64, now: Now) {
        self.session = Some(Session {
            serial,
            heard: now.uptime,
            silent: false,
            reported: false,
        });
        self.heard = Some(now.uptime);
        self.software = join.software;
        self.started = join.started;
        self.upload_priority = join.upload_priority;
        self.path_count = join.volume_paths.len();
    }

    /// Takes a report in; `false` when the session is not the present one.
    pub(super) fn take_report(
        &mut self,
        serial: u64,
        report: NodeReport,
        reserved: ReservedSpace,
        now: Now,
    ) -> bool {
        let Some(session) = self.session.as_mut().filter(|it| it.serial == serial) else {
            return false;
        };
        session.heard = now.uptime;
        session.silent = false;
        session.reported = true;
        self.heard = Some(now.uptime);
        self.space = Space::of_paths(&report.paths, reserved);
        self.path_count = report.paths.len();
        self.report = report;
        self.reported_at = now.unix;
        true
    }

    /// Ends the session; `false` when it is not the present one.
    pub(super) fn leave(&mut self, serial: u64) -> bool {
        let is_present = self.session.is_some_and(|session| session.serial == serial);
        if is_present {
            self.session = None;
        }
        is_present
    }

    /// Marks the node silent if it is; `true` when that is news.
    pub(super) fn check_silence(&mut self, silence_max: Duration, now: Now) -> bool {
        match &mut self.session {
            Some(session)
                if !session.silent && silence_max < now.uptime.saturating_sub(session.heard) =>
            {
                session.silent = true;
                true
            }
            _ => false,
        }
    }

    /// Forgives a silence during which this tracker itself could not listen.
    pub(super) fn forgive_silence(&mut self, now: Now) {
        if let Some(session) = &mut self.session {
            session.heard = now.uptime;
        }
    }

    /// Replaces what is remembered of it.
    pub(super) fn set_entry(&mut self, entry: NodeEntry) {
        self.endpoint = Endpoint::of(&entry);
        self.entry = entry;
        if entry.marks.standing != Standing::Member {
            // A session that wakes up has to join again, and is told why it cannot.
            self.session = None;
        }
    }

    /// Moves it to the end of the list of changes.
    pub(super) fn set_changed(&mut self, changed: u64) {
        self.changed = changed;
    }

    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    pub(super) fn set_group_marks(&mut self, marks: GroupMarks, marked: Stamp) {
        self.group_marks = marks;
        self.group_marked = marked;
    }

    /// Whether a node holds a session now, silent or not.
    pub(super) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Whether it belongs to the cluster.
    pub fn is_member(&self) -> bool {
        self.entry.marks.standing == Standing::Member
    }

    /// Whether this tracker hears it.
    pub fn is_alive(&self) -> bool {
        self.session.is_some_and(|session| !session.silent)
    }

    /// Whether it takes no new blobs because it, or its group, shall be removed.
    pub fn is_draining(&self) -> bool {
        self.entry.marks.draining || self.group_marks.draining
    }

    /// Whether an operator forbade writes to it or to its group.
    pub fn is_marked_read_only(&self) -> bool {
        self.entry.marks.read_only || self.group_marks.read_only
    }

    /// How long it has been silent; `None` when it was not heard since the tracker's start.
    pub fn silence(&self, now: Now) -> Option<Duration> {
        Some(now.uptime.saturating_sub(self.heard?))
    }

    /// Where clients reach it.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// What its peers are told of it, unless it was removed.
    pub(super) fn member(&self) -> Option<Member> {
        let entry = &self.entry;
        self.is_member().then(|| Member {
            identity: entry.identity,
            number: entry.number,
            address: self.endpoint.address,
            http_port: entry.place.http_port,
            phase: self.report.phase,
            is_alive: self.is_alive(),
            marks: MemberMarks {
                draining: self.is_draining(),
                read_only: self.is_marked_read_only(),
            },
            place_version: entry.placed.count,
            marks_version: entry.marked.count.max(self.group_marked.count),
        })
    }

    /// What its peers are told of it once it was removed, released or not: of a node that a tracker does
    /// not name they cannot tell whether it is gone or forgotten.
    pub(super) fn removed_member(&self) -> Option<RemovedMember> {
        (!self.is_member()).then_some(RemovedMember {
            number: self.entry.number,
            identity: self.entry.identity,
        })
    }

    /// What is remembered of it.
    pub fn entry(&self) -> &NodeEntry {
        &self.entry
    }

    /// Where it stands.
    pub fn state(&self) -> NodeStatus {
        match &self.session {
            _ if !self.is_member() => NodeStatus::Deleted,
            None => NodeStatus::Offline,
            Some(session) if session.silent => NodeStatus::Offline,
            Some(session) if !session.reported => NodeStatus::Online,
            Some(_) => match self.report.phase {
                NodePhase::Serving => NodeStatus::Active,
                NodePhase::CatchingUp => NodeStatus::Syncing,
                NodePhase::Recovering => NodeStatus::Recovery,
            },
        }
    }

    /// What both the operator and the node allow.
    pub fn mode(&self) -> ReadWriteMode {
        let writes = self.takes_changes() && !self.is_draining();
        match (self.report.readable, writes) {
            (false, false) => ReadWriteMode::None,
            (false, true) => ReadWriteMode::Write,
            (true, false) => ReadWriteMode::Read,
            (true, true) => ReadWriteMode::Both,
        }
    }

    /// What the operator allows.
    pub fn allowed_mode(&self) -> ReadWriteMode {
        if self.is_marked_read_only() || self.is_draining() {
            ReadWriteMode::Read
        } else {
            ReadWriteMode::Both
        }
    }

    /// Whether the node and the operator let what is stored be changed.
    fn takes_changes(&self) -> bool {
        self.report.writable && !self.is_marked_read_only()
    }

    /// Whether an address field of that width can hold its address. Clients that could only be told
    /// a part of the address are not sent here.
    pub fn fits(&self, width: AddressWidth) -> bool {
        width == AddressWidth::V6 || self.entry.place.address.is_ipv4()
    }

    /// Whether it answers clients at all: it lives and belongs to the cluster.
    pub(super) fn answers(&self) -> bool {
        self.is_member()
            && self
                .session
                .is_some_and(|session| session.reported && !session.silent)
    }

    /// Whether clients are sent here to read of a volume path: only while it holds everything there.
    pub fn is_readable_at(&self, path: VolumePath) -> bool {
        let mut paths = self.report.paths.iter();
        self.answers_reads() && paths.any(|it| it.path == path && it.is_complete)
    }

    /// Whether it answers reads, of a volume path that is not complete by asking its peers.
    pub fn answers_reads(&self) -> bool {
        self.answers() && self.report.readable
    }

    /// Whether clients are sent here to read, of any volume path.
    pub fn is_readable(&self) -> bool {
        self.answers_reads() && self.report.paths.iter().any(|path| path.is_complete)
    }

    /// Whether clients are sent here to store new blobs, space aside.
    pub fn is_writable(&self) -> bool {
        let is_open = |path: &PathSpace| !path.read_only && path.is_complete;
        self.answers()
            && self.takes_changes()
            && !self.is_draining()
            && self.report.paths.iter().any(is_open)
    }

    /// Whether clients are sent here to change what is stored in a volume path: also while it is
    /// drained, because deleting empties it.
    pub fn is_changeable_at(&self, path: VolumePath) -> bool {
        let is_open = |it: &PathSpace| it.path == path && !it.read_only && it.is_complete;
        self.answers() && self.takes_changes() && self.report.paths.iter().any(is_open)
    }

    /// Whether it holds everything that its group stored up to and including the given second.
    pub fn is_complete_at(&self, unix: u32) -> bool {
        unix < self.report.complete_up_to
    }

    /// Whether a volume path takes a write.
    pub(super) fn has_room(&self, reserved: ReservedSpace) -> bool {
        let paths = &self.report.paths;
        paths
            .iter()
            .any(|path| takes_writes(path, reserved, paths.len()))
    }

    /// Chooses a volume path for a write and moves round robin on.
    pub(super) fn choose_path(
        &mut self,
        policy: StorePath,
        reserved: ReservedSpace,
    ) -> Option<VolumePath> {
        let paths = &self.report.paths;
        let count = paths.len();
        let takes_writes = |path: &&PathSpace| takes_writes(path, reserved, count);
        match policy {
            StorePath::RoundRobin => {
                let start = self.next_path.min(count);
                let (head, tail) = paths.split_at_checked(start)?;
                let chosen = tail.iter().chain(head).find(takes_writes)?.path;
                let position = paths.iter().position(|path| path.path == chosen)?;
                self.next_path = (position + 1) % count;
                Some(chosen)
            }
            StorePath::LoadBalance => {
                // `max_by_key` takes the last of equals; the first is what people expect.
                let candidates = paths.iter().rev().filter(takes_writes);
                Some(candidates.max_by_key(|path| path.free_mb)?.path)
            }
        }
    }

    /// Its last report; all zero before the first.
    pub fn report(&self) -> &NodeReport {
        &self.report
    }

    /// Whether the last that it said is that it stops.
    pub fn said_farewell(&self) -> bool {
        self.has_reported() && self.report.is_farewell()
    }

    /// Whether it reported since the tracker's start.
    pub fn has_reported(&self) -> bool {
        self.reported_at != 0
    }

    /// Unix seconds of its last report; 0 before the first.
    pub fn reported_at(&self) -> u32 {
        self.reported_at
    }

    /// Its space as of the last report.
    pub fn space(&self) -> Space {
        self.space
    }

    /// How many volume paths it holds.
    pub fn path_count(&self) -> usize {
        self.path_count
    }

    /// The volume path that round robin tries next.
    pub fn next_path(&self) -> VolumePath {
        let path = self.report.paths.get(self.next_path);
        path.map(|path| path.path).unwrap_or_default()
    }

    /// Smaller numbers are written first under the `priority` policy.
    pub fn upload_priority(&self) -> i32 {
        self.upload_priority
    }

    /// Version of its program; empty before it joined.
    pub fn software(&self) -> VersionText {
        self.software
    }

    /// Unix seconds of its start; 0 before it joined.
    pub fn started(&self) -> u32 {
        self.started
    }
}
