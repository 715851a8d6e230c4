//! Several trackers that hear one another only at times: random histories with partitions.

use common::wire::report::{Entry, NodeEntry, Standing};

use super::*;

const TRACKERS: usize = 3;

/// What may happen. Identities 0 to 3 all want one of the numbers 1 to 3.
#[derive(Clone, Debug)]
enum Event {
    /// An identity joins a tracker with a number, from an address that tells it apart.
    Join {
        tracker: usize,
        identity: u8,
        number: u32,
        host: u8,
    },
    Leave {
        tracker: usize,
    },
    Order {
        tracker: usize,
        target: Target,
        order: Order,
    },
    /// One tracker asks another.
    Pull {
        to: usize,
        from: usize,
    },
    /// A tracker restarts from its snapshot.
    Restart(usize),
}

fn events() -> impl Strategy<Value = Event> {
    let tracker = 0..TRACKERS;
    let target = prop_oneof![
        3 => (1_u32..=3).prop_map(|node| Target::Node(number(node))),
        1 => Just(Target::Group(group("g"))),
    ];
    let order = prop_oneof![
        2 => Just(Order::Drain),
        2 => Just(Order::Undrain),
        1 => Just(Order::ReadOnly),
        1 => Just(Order::Writable),
        2 => any::<bool>().prop_map(|release| Order::Remove { force: true, release }),
    ];
    prop_oneof![
        6 => (tracker.clone(), 0_u8..4, 1_u32..=3, 0_u8..3).prop_map(
            |(tracker, identity, number, host)| Event::Join { tracker, identity, number, host }
        ),
        2 => tracker.clone().prop_map(|tracker| Event::Leave { tracker }),
        4 => (tracker.clone(), target, order).prop_map(|(tracker, target, order)| {
            Event::Order { tracker, target, order }
        }),
        3 => (tracker.clone(), tracker.clone()).prop_map(|(to, from)| Event::Pull { to, from }),
        1 => tracker.prop_map(Event::Restart),
    ]
}

struct Run {
    trackers: Vec<Cluster>,
    sessions: Vec<Vec<SessionId>>,
    /// How far each followed each.
    positions: [[u64; TRACKERS]; TRACKERS],
    instances: u64,
}

impl Run {
    fn new() -> Self {
        let cluster = |instance| Cluster::new(policy(), Vec::new(), instance);
        Self {
            trackers: (0..TRACKERS as u64).map(cluster).collect(),
            sessions: vec![Vec::new(); TRACKERS],
            positions: [[0; TRACKERS]; TRACKERS],
            instances: TRACKERS as u64,
        }
    }

    fn step(&mut self, event: &Event) {
        match *event {
            Event::Join {
                tracker,
                identity,
                number,
                host,
            } => {
                let join = NodeJoin {
                    identity: NodeIdentity([identity; 16]),
                    address: Some(IpAddr::V4(Ipv4Addr::new(10, 0, identity, host))),
                    ..join(number, "g")
                };
                if let Ok(joined) = self.trackers[tracker].join(&join, PEER, at(0)) {
                    self.sessions[tracker].push(joined.session);
                }
            }
            Event::Leave { tracker } => {
                if let Some(session) = self.sessions[tracker].pop() {
                    self.trackers[tracker].leave(session);
                }
            }
            Event::Order {
                tracker,
                target,
                order,
            } => {
                let _ = self.trackers[tracker].order(target, order);
            }
            Event::Pull { to, from } => self.pull(to, from),
            Event::Restart(tracker) => {
                let entries = self.trackers[tracker].entries();
                self.trackers[tracker] = Cluster::new(policy(), entries, self.instances);
                self.instances += 1;
                self.sessions[tracker].clear();
                // Positions were those of the instance before, and it follows others anew.
                self.positions[tracker] = [0; TRACKERS];
                for other in &mut self.positions {
                    other[tracker] = 0;
                }
            }
        }
        for tracker in &self.trackers {
            check_invariants(tracker);
        }
    }

    fn pull(&mut self, to: usize, from: usize) {
        let (changes, end) = self.trackers[from].changes_since(self.positions[to][from]);
        self.positions[to][from] = end;
        for entry in changes {
            self.trackers[to].merge(entry);
        }
    }

    /// All sessions end and everybody hears everybody until nothing is new.
    fn heal(&mut self) {
        for tracker in 0..TRACKERS {
            while !self.sessions[tracker].is_empty() {
                self.step(&Event::Leave { tracker });
            }
        }
        for _ in 0..TRACKERS {
            for to in 0..TRACKERS {
                for from in 0..TRACKERS {
                    // From the beginning, because places were not taken in during sessions.
                    self.positions[to][from] = 0;
                    self.pull(to, from);
                }
            }
        }
    }
}

/// TRK-2: a number stands once.
fn check_invariants(tracker: &Cluster) {
    let mut numbers = BTreeSet::new();
    for node in tracker.nodes() {
        assert!(numbers.insert(node.entry().number), "a number stands twice");
    }
}

fn sorted(tracker: &Cluster) -> Vec<String> {
    let mut entries: Vec<_> = tracker
        .entries()
        .iter()
        .map(|entry| format!("{entry:?}"))
        .collect();
    entries.sort();
    entries
}

fn entries_of(tracker: &Cluster) -> Vec<NodeEntry> {
    tracker.nodes().map(|node| *node.entry()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn trackers_that_were_apart_agree_once_they_have_heard_one_another(
        history in prop::collection::vec(events(), 0..60)
    ) {
        let mut run = Run::new();
        for event in &history {
            run.step(event);
        }
        run.heal();
        let first = sorted(&run.trackers[0]);
        for tracker in &run.trackers {
            prop_assert_eq!(&sorted(tracker), &first);
        }
    }

    #[test]
    fn merging_again_changes_nothing_and_another_order_gives_the_same_holders(
        history in prop::collection::vec(events(), 0..40),
        seed: u64,
    ) {
        let mut run = Run::new();
        for event in history.iter().filter(|event| !matches!(event, Event::Pull { .. })) {
            run.step(event);
        }
        let mut entries: Vec<Entry> = run.trackers.iter().flat_map(Cluster::entries).collect();
        let mut one = Cluster::new(policy(), entries.clone(), 77);
        // A holder that lost its number to another in between tells its place again.
        for entry in &entries {
            one.merge(*entry);
        }
        let before = sorted(&one);
        for entry in &entries {
            prop_assert!(!one.merge(*entry).is_news);
        }
        prop_assert_eq!(&sorted(&one), &before);
        // Some other order that the seed chooses.
        let key = |entry: &Entry| {
            let bytes = format!("{entry:?}{seed}");
            Crc32::of(bytes.as_bytes()).0
        };
        entries.sort_by_key(key);
        let other = Cluster::new(policy(), entries, 78);
        let who = |cluster: &Cluster| -> Vec<_> {
            let of = |it: &NodeEntry| (it.number, it.epoch, it.identity, it.claimed);
            entries_of(cluster).iter().map(of).collect()
        };
        prop_assert_eq!(who(&one), who(&other));
    }
}

/// The two trackers, each with its own node of number 1, the first one's being earlier.
fn split() -> (Cluster, Cluster, NodeJoin, SessionId) {
    let mut one = Cluster::new(policy(), Vec::new(), 1);
    let mut two = Cluster::new(policy(), Vec::new(), 2);
    let late = NodeJoin {
        identity: NodeIdentity([9; 16]),
        address: Some("10.9.9.9".parse().unwrap()),
        ..join(1, "g")
    };
    one.join(&join(1, "g"), PEER, at(0)).unwrap();
    let session = two.join(&late, PEER, at(0)).unwrap().session;
    (one, two, late, session)
}

fn tell(from: &Cluster, to: &mut Cluster) -> Vec<Conflict> {
    let (entries, _) = from.changes_since(0);
    let merged = entries.into_iter().map(|entry| to.merge(entry));
    merged.filter_map(|it| it.conflict).collect()
}

#[test]
fn two_nodes_that_got_one_number_from_two_trackers_are_found_out_and_one_is_refused() {
    let (mut one, mut two, late, session) = split();
    let conflict = Conflict {
        number: number(1),
        holder: "10.0.0.1:23000".parse().unwrap(),
        loser: "10.9.9.9:23000".parse().unwrap(),
    };
    assert_eq!(tell(&two, &mut one), [conflict], "the log of the one");
    assert_eq!(tell(&one, &mut two), [conflict], "the log of the other");
    assert_eq!(two.report(session, serving(10), at(0)), Err(NotJoined));
    let refusal = two.join(&late, PEER, at(1)).unwrap_err();
    assert_eq!(
        refusal.answer(2),
        JoinAnswer::NumberTaken {
            holder: conflict.holder,
            yours: conflict.loser,
        }
    );
}

#[test]
fn a_tracker_that_was_away_learns_of_marks_and_removals_and_its_own_old_ones_do_not_return() {
    let mut one = Cluster::new(policy(), Vec::new(), 1);
    let mut two = Cluster::new(policy(), Vec::new(), 2);
    let drain = Order::Drain;
    let force = Order::Remove {
        force: true,
        release: false,
    };
    for node in [1, 2] {
        one.join(&join(node, "g"), PEER, at(0)).unwrap();
    }
    tell(&one, &mut two);
    two.order(Target::Node(number(1)), drain).unwrap();
    tell(&two, &mut one);
    assert!(one.node(number(1)).unwrap().is_draining());

    // The second one is away while much happens.
    one.order(Target::Node(number(1)), Order::Undrain).unwrap();
    one.order(Target::Node(number(2)), force).unwrap();
    one.order(Target::Group(group("g")), Order::ReadOnly)
        .unwrap();
    tell(&two, &mut one);
    tell(&one, &mut two);
    for tracker in [&one, &two] {
        let node = tracker.node(number(1)).unwrap();
        assert!(!node.is_draining() && node.is_marked_read_only());
        let gone = tracker.node(number(2)).unwrap().entry().marks.standing;
        assert_eq!(gone, Standing::Removed);
    }
    assert!(two.join(&join(2, "g"), PEER, at(1)).is_err());
}

#[test]
fn an_order_outlives_that_its_node_joins_another_tracker_only_afterwards() {
    let mut one = Cluster::new(policy(), Vec::new(), 1);
    let mut two = Cluster::new(policy(), Vec::new(), 2);
    // The second tracker has decided more than the first one by then.
    for node in [2, 3, 4] {
        two.join(&join(node, "g"), PEER, at(0)).unwrap();
    }
    one.join(&join(1, "g"), PEER, at(0)).unwrap();
    one.order(Target::Node(number(1)), Order::Drain).unwrap();
    two.join(&join(1, "g"), PEER, at(0)).unwrap();
    tell(&one, &mut two);
    tell(&two, &mut one);
    for tracker in [&one, &two] {
        assert!(tracker.node(number(1)).unwrap().is_draining());
    }
}

#[test]
fn a_released_number_goes_to_its_heir_wherever_the_old_holder_is_still_known() {
    let mut one = Cluster::new(policy(), Vec::new(), 1);
    let mut two = Cluster::new(policy(), Vec::new(), 2);
    one.join(&join(1, "g"), PEER, at(0)).unwrap();
    tell(&one, &mut two);
    let release = Order::Remove {
        force: true,
        release: true,
    };
    two.order(Target::Node(number(1)), release).unwrap();
    let heir = NodeJoin {
        identity: NodeIdentity([9; 16]),
        ..join(1, "g")
    };
    two.join(&heir, PEER, at(1)).unwrap();
    // The first tracker heard neither of the release nor of the heir.
    assert_eq!(tell(&two, &mut one), []);
    assert_eq!(one.node(number(1)).unwrap().entry().identity, heir.identity);
    assert_eq!(tell(&one, &mut two), []);
    assert_eq!(two.node(number(1)).unwrap().entry().identity, heir.identity);
}

#[test]
fn a_node_that_reports_to_one_tracker_only_is_dead_to_the_other_and_confuses_neither() {
    let (mut one, sessions) = cluster_of(policy(), &[(1, "g", 10)]);
    let mut two = Cluster::new(policy(), Vec::new(), 2);
    tell(&one, &mut two);
    assert_eq!(tell(&two, &mut one), []);
    assert!(one.store_one(None, WIDTH).is_ok());
    assert_eq!(two.store_one(None, WIDTH), Err(StoreRefusal::NoWriter));
    // It comes to the second tracker by another way, which each keeps for its own clients.
    let seen_otherwise = NodeJoin {
        address: Some("192.0.2.1".parse().unwrap()),
        ..join(1, "g")
    };
    two.join(&seen_otherwise, PEER, at(1)).unwrap();
    tell(&two, &mut one);
    let at_one = one.store_one(None, WIDTH).unwrap().node.address;
    assert_eq!(at_one, "10.0.0.1:23000".parse().unwrap());
    assert!(one.report(sessions[0], serving(10), at(1)).is_ok());
}

#[test]
fn what_does_not_fit_one_answer_is_told_in_the_next() {
    let mut one = Cluster::new(policy(), Vec::new(), 1);
    for node in 1..=u32::try_from(limits::TRACKER_ENTRIES_MAX).unwrap() + 10 {
        one.join(&join(node, &format!("g{}", node / 20)), PEER, at(0))
            .unwrap();
    }
    let (first, position) = one.changes_since(0);
    assert_eq!(first.len(), limits::TRACKER_ENTRIES_MAX);
    let (rest, position) = one.changes_since(position);
    assert_eq!(rest.len(), 10);
    let (none, end) = one.changes_since(position);
    assert_eq!((none.len(), end), (0, position));
}
