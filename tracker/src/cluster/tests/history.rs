//! Random histories against a model that keeps, per node, only what a reader of the rules would.

use super::*;

/// What may happen. Nodes are 1 to 6; node `n` lives in group `n % 3`.
#[derive(Clone, Debug)]
enum Event {
    Join(u32),
    Report {
        node: u32,
        report: Box<NodeReport>,
    },
    Leave(u32),
    Tick {
        after: u64,
    },
    Delete(u32),
    Release(u32),
    Mark {
        target: u32,
        is_group: bool,
        order: Order,
    },
    Store(Option<u32>),
}

#[derive(Clone, Debug, Default)]
struct Model {
    session: Option<SessionId>,
    heard: u64,
    silent: bool,
    report: Option<NodeReport>,
    deleted: bool,
    marks: Marks,
}

impl Model {
    fn is_active(&self) -> bool {
        !self.deleted && self.session.is_some() && !self.silent && self.report.is_some()
    }

    fn takes_writes(&self) -> bool {
        let report = self.report.as_ref();
        self.is_active()
            && report.is_some_and(|it| {
                it.writable
                    && !self.marks.draining
                    && !self.marks.read_only
                    && it.paths.iter().any(is_open)
            })
    }
}

fn is_open(path: &PathSpace) -> bool {
    path.is_complete && !path.read_only && 0 < path.free_mb
}

fn home(node: u32) -> String {
    format!("group{}", node % 3)
}

fn reports() -> impl Strategy<Value = NodeReport> {
    let path = (
        0_u64..3,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.8),
    );
    (
        0_u8..6,
        prop::bool::weighted(0.8),
        prop::collection::btree_map(0_u8..4, path, 0..4),
    )
        .prop_map(|(phase, writable, paths)| NodeReport {
            phase: match phase {
                0 => NodePhase::CatchingUp,
                1 => NodePhase::Recovering,
                _ => NodePhase::Serving,
            },
            writable,
            paths: paths
                .into_iter()
                .map(|(path, (free_mb, read_only, is_complete))| PathSpace {
                    read_only,
                    is_complete,
                    ..space(path, free_mb)
                })
                .collect(),
            ..serving(0)
        })
}

fn events() -> impl Strategy<Value = Event> {
    let node = 1_u32..=6;
    prop_oneof![
        2 => node.clone().prop_map(Event::Join),
        5 => (node.clone(), reports()).prop_map(|(node, report)| Event::Report { node, report: Box::new(report) }),
        1 => node.clone().prop_map(Event::Leave),
        1 => (0_u64..6).prop_map(|after| Event::Tick { after }),
        1 => node.clone().prop_map(Event::Delete),
        1 => node.clone().prop_map(Event::Release),
        2 => (node.clone(), any::<bool>(), orders()).prop_map(|(target, is_group, order)| {
            Event::Mark { target, is_group, order }
        }),
        6 => prop::option::of(node).prop_map(Event::Store),
    ]
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![
        1 => Just(Order::Drain),
        // Twice as often, so that most nodes are open most of the time.
        2 => Just(Order::Undrain),
        1 => Just(Order::ReadOnly),
        2 => Just(Order::Writable),
    ]
}

/// What a node or a group is marked with.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    draining: bool,
    read_only: bool,
}

impl Marks {
    fn apply(&mut self, order: Order) {
        match order {
            Order::Drain => self.draining = true,
            Order::Undrain => self.draining = false,
            Order::ReadOnly => self.read_only = true,
            Order::Writable => self.read_only = false,
            Order::Remove { .. } => unreachable!("not a mark"),
        }
    }
}

struct Run {
    cluster: Cluster,
    model: BTreeMap<u32, Model>,
    groups: BTreeMap<String, Marks>,
    /// Half seconds.
    now: u64,
    last_tick: Option<u64>,
}

impl Run {
    fn step(&mut self, event: Event) {
        let now = at_ms(self.now * 500);
        match event {
            Event::Join(node) => {
                let joined = self.cluster.join(&join(node, &home(node)), PEER, now);
                let model = self.model.entry(node).or_default();
                if model.deleted {
                    assert!(matches!(joined, Err(JoinRefusal::Removed { .. })));
                    return;
                }
                *model = Model {
                    session: Some(joined.unwrap().session),
                    heard: self.now,
                    marks: model.marks,
                    ..Model::default()
                };
            }
            Event::Report { node, report } => {
                let model = self.model.entry(node).or_default();
                let Some(session) = model.session else { return };
                assert!(self.cluster.report(session, (*report).clone(), now).is_ok());
                model.report = Some(*report);
                model.heard = self.now;
                model.silent = false;
            }
            Event::Leave(node) => {
                let model = self.model.entry(node).or_default();
                if let Some(session) = model.session.take() {
                    assert!(self.cluster.leave(session));
                }
            }
            Event::Tick { after } => {
                self.now += after;
                self.cluster.tick(at_ms(self.now * 500));
                let last = self.last_tick.replace(self.now);
                let was_asleep = last.is_some_and(|last| 2 < self.now - last);
                for model in self.model.values_mut() {
                    if was_asleep && !model.silent {
                        model.heard = self.now;
                    }
                    model.silent |= model.heard + 5 < self.now;
                }
            }
            Event::Delete(node) => {
                let deleted = self.cluster.delete_node(&group(&home(node)), number(node));
                if deleted.is_ok() {
                    let model = self.model.entry(node).or_default();
                    assert!(model.session.is_none() || model.silent);
                    *model = Model {
                        deleted: true,
                        ..Model::default()
                    };
                }
            }
            Event::Release(node) => {
                let release = Order::Remove {
                    force: true,
                    release: true,
                };
                let is_removed = self.model.get(&node).is_some_and(|it| it.deleted);
                if is_removed {
                    let released = self.cluster.order(Target::Node(number(node)), release);
                    assert_eq!(released, Ok(()));
                    self.model.remove(&node);
                }
            }
            Event::Mark {
                target,
                is_group: true,
                order,
            } => {
                let name = home(target);
                let marked = self.cluster.order(Target::Group(group(&name)), order);
                if marked.is_ok() {
                    self.groups.entry(name).or_default().apply(order);
                }
            }
            Event::Mark { target, order, .. } => {
                let marked = self.cluster.order(Target::Node(number(target)), order);
                let model = self.model.entry(target).or_default();
                if marked.is_ok() {
                    model.marks.apply(order);
                }
            }
            Event::Store(of) => self.check_store(of),
        }
    }

    fn writers(&self, of: Option<u32>) -> BTreeSet<u32> {
        let writers = self.model.iter().filter(|(_, model)| model.takes_writes());
        let writers = writers.map(|(node, _)| *node);
        let allowed: BTreeSet<u32> = writers
            .filter(|node| of.is_none_or(|of| home(of) == home(*node)))
            .filter(|node| {
                let marks = self.groups.get(&home(*node)).copied().unwrap_or_default();
                !marks.draining && !marks.read_only
            })
            .collect();
        // Groups in which all that serve have room go first, unless a group is asked for.
        let roomy: BTreeSet<u32> = allowed
            .iter()
            .copied()
            .filter(|node| self.has_room_everywhere(&home(*node)))
            .collect();
        if of.is_some() || roomy.is_empty() {
            allowed
        } else {
            roomy
        }
    }

    fn has_room_everywhere(&self, of: &str) -> bool {
        let mates = self.model.iter().filter(|(it, _)| home(**it) == of);
        let mut serving = mates.filter(|(_, it)| it.is_active() && !it.marks.draining);
        serving.all(|(_, it)| {
            let paths = it.report.iter().flat_map(|it| &it.paths);
            0 < paths.map(|path| path.free_mb).sum::<u64>()
        })
    }

    /// TRK-1, and that somebody is found exactly when there is somebody.
    fn check_store(&mut self, of: Option<u32>) {
        let writers = self.writers(of);
        match self.cluster.store_one(of.map(|of| group(&home(of))), WIDTH) {
            Ok(placement) => {
                let node = placement.node.number.get();
                assert!(writers.contains(&node), "{node} offered, {writers:?} can");
                let report = self.model.get(&node).and_then(|it| it.report.as_ref());
                let mut paths = report.unwrap().paths.iter();
                let path = paths.find(|it| it.path == placement.path).unwrap();
                assert!(is_open(path));
            }
            Err(_) => assert!(writers.is_empty(), "nobody offered, {writers:?} can"),
        }
    }

    /// With nothing changing, each writer of a group is offered equally often, and each group with
    /// writers too.
    fn check_fairness(&mut self) {
        const ROUNDS: usize = 5;
        for of in 0..3 {
            let writers = self.writers(Some(of));
            let offers = (0..ROUNDS * writers.len()).map(|_| {
                self.cluster
                    .store_one(Some(group(&home(of))), WIDTH)
                    .unwrap()
            });
            let mut counts = BTreeMap::<u32, usize>::new();
            for offer in offers {
                *counts.entry(offer.node.number.get()).or_default() += 1;
            }
            assert_eq!(counts.keys().copied().collect::<BTreeSet<_>>(), writers);
            assert!(counts.values().all(|count| *count == ROUNDS), "{counts:?}");
        }
        let groups: BTreeSet<_> = self.writers(None).into_iter().map(home).collect();
        let mut counts = BTreeMap::<GroupName, usize>::new();
        for _ in 0..ROUNDS * groups.len() {
            let offer = self.cluster.store_one(None, WIDTH).unwrap();
            *counts.entry(offer.group).or_default() += 1;
        }
        assert_eq!(counts.len(), groups.len());
        assert!(counts.values().all(|count| *count == ROUNDS), "{counts:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn only_nodes_that_can_take_a_write_are_offered_and_all_of_them_fairly(
        history in prop::collection::vec(events(), 0..60)
    ) {
        let mut run = Run {
            cluster: Cluster::new(policy(), Vec::new(), 1),
            model: BTreeMap::new(),
            groups: BTreeMap::new(),
            now: 0,
            last_tick: None,
        };
        for event in history {
            run.step(event);
        }
        run.check_fairness();
    }
}
