//! Who belongs to this node's group, put together from what all trackers told.
//!
//! * A node that any tracker removed is removed, for trackers tell one another within a second.
//! * Addresses and marks come from the tracker whose knowledge of them is newest.
//! * A node lives if any tracker that this node reaches hears it: hearing proves more than silence.
//! * While no tracker is reached, what they said last stands: nodes go on without trackers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use common::id::NodeNumber;
use common::wire::report::{Member, NodeIdentity, RemovedMember, ReportAnswer};
use tokio::sync::watch;

/// The nodes of a group as all trackers together know them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Whether any tracker told; before, nothing is known of peers.
    pub is_known: bool,
    /// Whether none told, and one that answers never will: it is of a release that knows no peers.
    pub is_untold: bool,
    /// All nodes that were not removed, this one too, by number.
    pub members: Vec<Member>,
    /// Nodes that an operator removed. One that is neither a member nor removed is not known to the
    /// trackers, which may have forgotten it.
    pub removed: BTreeSet<NodeIdentity>,
}

/// What each tracker told last, in the order of the settings, and what follows from it.
#[derive(Debug)]
pub struct Directory {
    told: Mutex<Vec<Told>>,
    merged: watch::Sender<Members>,
}

/// What one tracker told.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Whether anything.
    is_known: bool,
    /// Whether it answers.
    is_reached: bool,
    /// Whether it answers and tells nothing.
    is_silent: bool,
    view: u64,
    members: Vec<Member>,
    removed: Vec<RemovedMember>,
}

impl Directory {
    /// One for so many trackers, and what they told together.
    pub fn new(tracker_count: usize) -> (Self, watch::Receiver<Members>) {
        let (merged, receiver) = watch::channel(Members::default());
        let told = Mutex::new(vec![Told::default(); tracker_count]);
        (Self { told, merged }, receiver)
    }

    /// Takes an answer in and returns the view to name in the next report to that tracker.
    pub fn take(&self, idx: usize, answer: ReportAnswer) -> u64 {
        self.change(idx, |told| {
            told.is_reached = true;
            match answer {
                ReportAnswer::Nothing => {
                    told.is_silent = true;
                    // A view that it gave before, perhaps before its restart, may be another one by
                    // now.
                    told.view = 0;
                }
                ReportAnswer::Unchanged { view } => told.view = view,
                ReportAnswer::Members {
                    view,
                    members,
                    removed,
                } => {
                    *told = Told {
                        is_known: true,
                        is_reached: true,
                        is_silent: false,
                        view,
                        members,
                        removed,
                    };
                }
            }
            told.view
        })
    }

    /// Notes that a tracker does not answer any more.
    pub fn lost(&self, idx: usize) {
        self.change(idx, |told| {
            told.is_reached = false;
            told.is_silent = false;
            0
        });
    }

    fn change(&self, idx: usize, change: impl FnOnce(&mut Told) -> u64) -> u64 {
        // Every change leaves each entry whole, so a poisoned list is.
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = all.get_mut(idx) else {
            return 0;
        };
        let view = change(told);
        let merged = merge(&all);
        self.merged.send_if_modified(|members| {
            let is_news = *members != merged;
            if is_news {
                *members = merged;
            }
            is_news
        });
        view
    }
}

fn merge(all: &[Told]) -> Members {
    let known = || all.iter().filter(|told| told.is_known);
    let is_any_reached = known().any(|told| told.is_reached);
    let gone: BTreeSet<NodeIdentity> = known()
        .flat_map(|told| &told.removed)
        .map(|node| node.identity)
        .collect();

    let mut by_identity = BTreeMap::<NodeIdentity, Member>::new();
    for told in known() {
        let counts = told.is_reached || !is_any_reached;
        for member in &told.members {
            if gone.contains(&member.identity) {
                continue;
            }
            let heard = Member {
                is_alive: member.is_alive && counts,
                ..*member
            };
            by_identity
                .entry(member.identity)
                .and_modify(|known| *known = newest(*known, heard))
                .or_insert(heard);
        }
    }

    // Two nodes of one number show only until the trackers agree; the later one is the heir of a
    // number that was released.
    let mut by_number = BTreeMap::<NodeNumber, Member>::new();
    for member in by_identity.into_values() {
        by_number
            .entry(member.number)
            .and_modify(|other| {
                if other.place_version < member.place_version {
                    *other = member;
                }
            })
            .or_insert(member);
    }
    Members {
        is_known: known().next().is_some(),
        is_untold: known().next().is_none() && all.iter().any(|told| told.is_silent),
        members: by_number.into_values().collect(),
        removed: gone,
    }
}

/// What two trackers together know of one node.
fn newest(left: Member, right: Member) -> Member {
    let placed = if left.place_version < right.place_version {
        right
    } else {
        left
    };
    let marked = if left.marks_version < right.marks_version {
        right
    } else {
        left
    };
    // A phase is as fresh as the last report, so it comes from who hears the node.
    let heard = if right.is_alive && !left.is_alive {
        right
    } else {
        left
    };
    Member {
        phase: heard.phase,
        is_alive: heard.is_alive,
        marks: marked.marks,
        marks_version: marked.marks_version,
        ..placed
    }
}

#[cfg(test)]
mod tests {
    use common::wire::report::{MemberMarks, NodePhase};

    use super::*;

    fn identity(of: u8) -> NodeIdentity {
        NodeIdentity([of; 16])
    }

    fn member(number: u32, of: u8) -> Member {
        Member {
            identity: identity(of),
            number: number.try_into().unwrap(),
            address: format!("10.0.0.{of}:23000").parse().unwrap(),
            http_port: 8888,
            phase: NodePhase::Serving,
            is_alive: true,
            marks: MemberMarks::default(),
            place_version: 1,
            marks_version: 1,
        }
    }

    fn dead(number: u32, of: u8) -> Member {
        Member {
            is_alive: false,
            ..member(number, of)
        }
    }

    fn told(view: u64, members: Vec<Member>, removed: &[(u32, u8)]) -> ReportAnswer {
        let removed = removed.iter().map(|(number, of)| RemovedMember {
            number: (*number).try_into().unwrap(),
            identity: identity(*of),
        });
        ReportAnswer::Members {
            view,
            members,
            removed: removed.collect(),
        }
    }

    fn directory() -> (Directory, watch::Receiver<Members>) {
        Directory::new(2)
    }

    fn numbers(members: &Members) -> Vec<u32> {
        members.members.iter().map(|it| it.number.get()).collect()
    }

    #[test]
    fn members_of_all_trackers_are_put_together() {
        let (directory, merged) = directory();
        assert!(!merged.borrow().is_known);
        assert_eq!(directory.take(0, told(7, vec![member(1, 1)], &[])), 7);
        directory.take(1, told(3, vec![member(1, 1), member(2, 2)], &[]));
        assert!(merged.borrow().is_known);
        assert_eq!(numbers(&merged.borrow()), [1, 2]);
    }

    #[test]
    fn an_unchanged_view_and_a_tracker_that_tells_nothing_change_nothing() {
        let (directory, mut merged) = directory();
        directory.take(0, told(7, vec![member(1, 1)], &[]));
        merged.mark_unchanged();
        assert_eq!(directory.take(0, ReportAnswer::Unchanged { view: 7 }), 7);
        assert_eq!(directory.take(1, ReportAnswer::Nothing), 0);
        assert!(!merged.has_changed().unwrap());
        assert_eq!(numbers(&merged.borrow()), [1]);
    }

    #[test]
    fn whoever_any_reached_tracker_hears_is_alive() {
        let (directory, merged) = directory();
        let alive = || merged.borrow().members[0].is_alive;
        directory.take(0, told(1, vec![dead(1, 1)], &[]));
        assert!(!alive());
        directory.take(1, told(1, vec![member(1, 1)], &[]));
        assert!(alive());
        // What the second one heard is old once it is lost.
        directory.lost(1);
        assert!(!alive());
        directory.lost(0);
        assert!(alive(), "with no tracker in reach the last word stands");
    }

    #[test]
    fn the_newest_address_and_the_newest_marks_win_by_themselves() {
        let (directory, merged) = directory();
        let moved = Member {
            address: "10.9.9.9:23000".parse().unwrap(),
            place_version: 5,
            ..member(1, 1)
        };
        let marks = MemberMarks {
            draining: true,
            read_only: false,
        };
        let marked = Member {
            marks,
            marks_version: 9,
            ..member(1, 1)
        };
        directory.take(0, told(1, vec![moved], &[]));
        directory.take(1, told(1, vec![marked], &[]));
        let merged = merged.borrow().members[0];
        assert_eq!((merged.address, merged.marks), (moved.address, marks));
        assert_eq!((merged.place_version, merged.marks_version), (5, 9));
    }

    #[test]
    fn who_was_removed_by_any_tracker_is_removed_and_an_heir_of_its_number_is_not() {
        let (directory, merged) = directory();
        directory.take(0, told(1, vec![member(1, 1), member(2, 2)], &[]));
        directory.take(1, told(1, vec![member(2, 2)], &[(1, 1)]));
        assert_eq!(numbers(&merged.borrow()), [2]);
        assert_eq!(merged.borrow().removed.len(), 1);
        directory.take(0, told(2, vec![member(1, 9), member(2, 2)], &[]));
        assert_eq!(numbers(&merged.borrow()), [1, 2]);
        assert_eq!(merged.borrow().members[0].identity, identity(9));
        assert!(merged.borrow().removed.contains(&identity(1)));
    }
}
