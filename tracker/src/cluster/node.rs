//! One storage node: what is remembered of it, and what it said last.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::id::{GroupName, NodeNumber, VolumePath};
use common::wire::report::{
    Member, MemberMarks, NodeIdentity, NodeJoin, NodePhase, NodeReport, PathSpace, RemovedMember,
};
use common::wire::tracker::{NodeStatus, ReadWriteMode};
use common::wire::{AddressText, AddressWidth, VersionText};

use super::space::takes_writes;
use super::{Now, ReservedSpace, Space, StorePath};

/// What survives a restart of the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Who the node is.
    pub identity: NodeIdentity,
    /// The number that its file ids carry.
    pub number: NodeNumber,
    /// Its group.
    pub group: GroupName,
    /// Where it was last seen.
    pub address: IpAddr,
    /// Its port of the storage protocol.
    pub storage_port: u16,
    /// Its port of HTTP downloads.
    pub http_port: u16,
    /// Unix seconds of its first start.
    pub joined: u32,
    /// Whether an operator removed it.
    pub deleted: bool,
    /// What an operator allows.
    pub mode: ReadWriteMode,
}

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
    fn of(registration: &Registration) -> Self {
        let text = registration.address.to_string();
        Self {
            number: registration.number,
            address: SocketAddr::new(registration.address, registration.storage_port),
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
    registration: Registration,
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
    pub(super) fn known(registration: Registration) -> Self {
        Self {
            registration,
            endpoint: Endpoint::of(&registration),
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

    pub(super) fn register(&mut self, registration: Registration) {
        self.endpoint = Endpoint::of(&registration);
        self.registration = registration;
    }

    pub(super) fn set_mode(&mut self, mode: ReadWriteMode) {
        self.registration.mode = mode;
    }

    /// Marks the node as removed. A silent session that wakes up has to join again, so that it knows
    /// it is new.
    pub(super) fn delete(&mut self) {
        self.registration.deleted = true;
        self.session = None;
    }

    /// What is remembered of it.
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Where clients reach it.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// What its peers are told of it, unless it was removed.
    pub(super) fn member(&self) -> Option<Member> {
        let registration = &self.registration;
        if registration.deleted {
            return None;
        }
        Some(Member {
            identity: registration.identity,
            number: registration.number,
            address: self.endpoint.address,
            http_port: registration.http_port,
            phase: self.report.phase,
            is_alive: self.session.is_some_and(|session| !session.silent),
            marks: MemberMarks {
                draining: false,
                read_only: !allows_writing(registration.mode),
            },
            place_version: 0,
            marks_version: 0,
        })
    }

    /// What its peers are told of it once it was removed.
    pub(super) fn removed_member(&self) -> Option<RemovedMember> {
        let registration = &self.registration;
        registration.deleted.then_some(RemovedMember {
            number: registration.number,
            identity: registration.identity,
        })
    }

    /// Where it stands.
    pub fn state(&self) -> NodeStatus {
        match &self.session {
            _ if self.registration.deleted => NodeStatus::Deleted,
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
        let allowed = self.registration.mode;
        let reads = self.report.readable && allows_reading(allowed);
        let writes = self.report.writable && allows_writing(allowed);
        match (reads, writes) {
            (false, false) => ReadWriteMode::None,
            (false, true) => ReadWriteMode::Write,
            (true, false) => ReadWriteMode::Read,
            (true, true) => ReadWriteMode::Both,
        }
    }

    /// Whether an address field of that width can hold its address. Clients that could only be told
    /// a part of the address are not sent here.
    pub fn fits(&self, width: AddressWidth) -> bool {
        width == AddressWidth::V6 || self.registration.address.is_ipv4()
    }

    /// Whether clients are sent here to read.
    pub fn is_readable(&self) -> bool {
        self.state() == NodeStatus::Active && allows_reading(self.mode())
    }

    /// Whether clients are sent here to write, space aside.
    pub fn is_writable(&self) -> bool {
        self.state() == NodeStatus::Active
            && allows_writing(self.mode())
            && self.report.paths.iter().any(|path| !path.read_only)
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

fn allows_reading(mode: ReadWriteMode) -> bool {
    matches!(mode, ReadWriteMode::Read | ReadWriteMode::Both)
}

fn allows_writing(mode: ReadWriteMode) -> bool {
    matches!(mode, ReadWriteMode::Write | ReadWriteMode::Both)
}
