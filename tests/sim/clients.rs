//! Clients: what they asked for, what they were told, and what must therefore be there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::id::{Extension, GroupName, NodeNumber, RemoteName, SlavePrefix};
use storage_node::error::StoreError;
use storage_node::format::IndexKey;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::network::{Host, Network};
use crate::node::{NodeProcess, SimStore};
use crate::operation::{Answered, Asked, Kind, Operation, carry_out};
use crate::random::locked;
use crate::tracker::Query;
use crate::world::World;

/// How many clients there are.
pub(crate) const CLIENTS: u64 = 4;
/// How long a client waits for a tracker, and for a node.
const TRACKER_PATIENCE: Duration = Duration::from_secs(2);
const NODE_PATIENCE: Duration = Duration::from_secs(10);
/// What several uploads have in common.
const COMMON: &str = "<00000000>";

/// Bytes that no other operation writes.
fn token(number: u64) -> String {
    format!("<{number:08}>")
}

/// Whether something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    No,
    /// The client was not told, or was told of a failure.
    Maybe,
    Yes,
}

/// What a client knows of one blob.
#[derive(Clone, Debug)]
struct File {
    group: GroupName,
    name: RemoteName,
    is_appender: bool,
    is_slave: bool,
    created: Fact,
    deleted: Fact,
    /// Pieces in the order in which they were sent, each with whether it was acknowledged.
    pieces: Vec<(String, bool)>,
    /// What its metadata may be: the last that was acknowledged comes first.
    metadata: Vec<Option<String>>,
}

impl File {
    fn new(group: GroupName, name: RemoteName) -> Self {
        Self {
            group,
            name,
            is_appender: false,
            is_slave: false,
            created: Fact::No,
            deleted: Fact::No,
            pieces: Vec::new(),
            metadata: vec![None],
        }
    }

    /// Whether whoever asks must get it.
    fn must_be(&self) -> bool {
        self.created == Fact::Yes && self.deleted == Fact::No
    }
}

/// What became of a request.
#[derive(Debug)]
enum Told {
    Done(Answered),
    /// A node was asked, and failed or did not answer.
    Failed(StoreError),
    /// No node was asked, so nothing changed.
    NotSent,
}

/// An operation on its way.
struct Pending {
    /// The blob that it is about, if there is one before.
    file: Option<usize>,
    operation: Operation,
    text: String,
    /// Names that nodes drew for what it makes.
    drawn: Arc<Mutex<Vec<RemoteName>>>,
    /// The group that the last node belonged to that was asked.
    group: Arc<Mutex<Option<GroupName>>>,
    task: JoinHandle<Told>,
}

/// One client, while it asks for one thing.
struct Client {
    host: Host,
    trackers: Vec<u8>,
    network: Arc<Network>,
    /// Whether what is acknowledged has two copies.
    is_strict: bool,
}

impl Client {
    /// Asks a tracker where to go, goes there, and tries once again elsewhere if that is safe.
    async fn ask(self, query: Query, asked: Asked, group: Arc<Mutex<Option<GroupName>>>) -> Told {
        let mut told = Told::NotSent;
        // Doing it twice is the same as doing it once, or makes another blob.
        let is_safe = matches!(
            asked.operation,
            Operation::Upload(_) | Operation::Read | Operation::Delete | Operation::Metadata
        );
        for attempt in 0..2 {
            let tracker = self.trackers[attempt % self.trackers.len()];
            let found = Arc::clone(&self.network).ask_tracker(
                self.host,
                tracker,
                None,
                move |it| async move { it.query(query) },
            );
            let Ok(Ok(Ok(sent))) = timeout(TRACKER_PATIENCE, found).await else {
                continue;
            };
            *locked(&group) = Some(sent.group);
            let mut asked = asked.clone();
            asked.group = sent.group;
            let watching = self.is_strict.then(|| Arc::clone(&self.network));
            let done = Arc::clone(&self.network).ask_node(
                self.host,
                sent.address,
                move |node| async move {
                    let done = carry_out(Arc::clone(&node), asked).await;
                    if let (
                        Some(network),
                        Ok(Answered {
                            name: Some(name), ..
                        }),
                    ) = (watching, &done)
                    {
                        check_copies(&network, &node, *name);
                    }
                    done
                },
            );
            told = match timeout(NODE_PATIENCE, done).await {
                Ok(Ok(Ok(answered))) => return Told::Done(answered),
                Ok(Ok(Err(error))) => Told::Failed(error),
                Ok(Err(_)) | Err(_) => Told::Failed(StoreError::OutOfReach),
            };
            if !is_safe {
                break;
            }
        }
        told
    }
}

/// All clients.
pub(crate) struct Clients {
    files: Vec<File>,
    next_token: u64,
    /// The trackers that each client knows, in the order in which it asks them.
    known: Vec<Vec<u8>>,
    /// Every name that a node ever drew, with what it was drawn for.
    drawn: BTreeMap<RemoteName, String>,
}

impl Clients {
    pub(crate) fn new(world: &mut World) -> Self {
        let trackers = world.tracker_idxs();
        let known = (0..CLIENTS).map(|_| {
            let first = world.random.pick(&trackers);
            let second = world.random.pick(&trackers);
            let mut known = vec![first];
            known.extend(Some(second).filter(|second| *second != first));
            known
        });
        Self {
            known: known.collect(),
            files: Vec::new(),
            next_token: 0,
            drawn: BTreeMap::new(),
        }
    }

    /// Begins up to `count` operations, lets some time pass, and takes in what became of them.
    pub(crate) async fn work(&mut self, world: &mut World, count: u64) {
        let mut pending = Vec::new();
        let mut busy = BTreeSet::new();
        for _ in 0..=world.random.below(count) {
            if let Some(begun) = self.begin(world, &mut busy) {
                pending.push(begun);
            }
        }
        sleep(Duration::from_micros(world.random.below(30_000))).await;
        if world.random.one_in(4) {
            world.strike(false).await;
        }
        for pending in pending {
            self.finish(world, pending).await;
        }
    }

    fn begin(&mut self, world: &mut World, busy: &mut BTreeSet<usize>) -> Option<Pending> {
        let number = self.next_token;
        self.next_token += 1;
        let mut text = token(number);
        let is_new = self.files.is_empty() || world.random.one_in(3);
        let (file, operation) = if is_new {
            self.creation(world, number)
        } else {
            let idx = world.random.below(self.files.len() as u64);
            let idx = usize::try_from(idx).unwrap();
            if busy.contains(&idx) {
                return None;
            }
            let operation = self.change(world, idx)?;
            (Some(idx), operation)
        };
        if operation_is_common(&operation) && world.random.one_in(3) {
            COMMON.clone_into(&mut text);
        }
        busy.extend(file);
        let known = file.map(|file| self.files[file].clone());
        let query = query(&operation, known.as_ref(), world);
        let asked = Asked {
            group: known.as_ref().map_or_else(any_group, |file| file.group),
            operation: operation.clone(),
            name: known.map(|file| file.name),
            text: text.clone(),
            drawn: Arc::default(),
        };
        let idx = world.random.below(CLIENTS);
        let client = Client {
            host: Host::Client(u8::try_from(idx).unwrap()),
            trackers: self.known[usize::try_from(idx).unwrap()].clone(),
            network: Arc::clone(&world.network),
            is_strict: world.is_strict(),
        };
        world.note(&format!("{operation:?} {text} of {file:?} by client {idx}"));
        let (drawn, group) = (Arc::clone(&asked.drawn), Arc::default());
        let task = tokio::spawn(client.ask(query, asked, Arc::clone(&group)));
        Some(Pending {
            file,
            operation,
            text,
            drawn,
            group,
            task,
        })
    }

    /// Something new: a blob, or a slave of one, whose name is known before.
    fn creation(&mut self, world: &mut World, number: u64) -> (Option<usize>, Operation) {
        let kind = world.random.below(4);
        let mut masters = self.files.iter().rev();
        let master = masters.find(|file| file.must_be() && !file.is_appender);
        let slave = master.and_then(|master| {
            let prefix = format!("-s{number}");
            let prefix = SlavePrefix::from_bytes(prefix.as_bytes()).expect("valid");
            let name = master.name.slave(prefix, Extension::default()).ok()?;
            Some(File {
                is_slave: true,
                ..File::new(master.group, name)
            })
        });
        match (kind, slave) {
            (0 | 1, _) => (None, Operation::Upload(Kind::Appender)),
            (2, Some(slave)) => {
                self.files.push(slave);
                (Some(self.files.len() - 1), Operation::Slave)
            }
            _ => (None, Operation::Upload(Kind::Normal)),
        }
    }

    /// Something that can be asked of a blob.
    fn change(&mut self, world: &mut World, idx: usize) -> Option<Operation> {
        let file = &mut self.files[idx];
        let operation = match world.random.below(8) {
            0 if file.is_slave && file.deleted == Fact::Yes => {
                // The name of a slave is used again, for other bytes.
                file.pieces.clear();
                file.metadata = vec![None];
                file.created = Fact::Maybe;
                file.deleted = Fact::No;
                return Some(Operation::Slave);
            }
            0 => Operation::Delete,
            7 if file.is_appender && world.random.one_in(3) => Operation::Rename {
                arranges: world.random.one_in(2),
            },
            1 | 2 => Operation::Metadata,
            3..=5 if file.is_appender => Operation::Append {
                in_parts: world.random.one_in(3),
            },
            _ => return Some(Operation::Read),
        };
        file.must_be().then_some(operation)
    }

    /// Notes names that nodes drew: none of them may ever be drawn again.
    fn note_drawn(&mut self, world: &World, pending: &Pending) -> Vec<RemoteName> {
        let drawn = locked(&pending.drawn).clone();
        for name in &drawn {
            let before = self.drawn.insert(*name, pending.text.clone());
            assert!(
                before.is_none(),
                "{name} is the name of {before:?} and of {}\n{}",
                pending.text,
                world.history()
            );
        }
        drawn
    }

    async fn finish(&mut self, world: &World, mut pending: Pending) {
        let told = match (&mut pending.task).await {
            Ok(told) => told,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let (text, operation) = (pending.text.clone(), pending.operation.clone());
        let outcome = match &told {
            Told::Done(_) => "done".to_owned(),
            Told::Failed(error) => error.to_string(),
            Told::NotSent => "not sent".to_owned(),
        };
        let about = pending.file;
        world.note(&format!("{operation:?} {text} of {about:?}: {outcome}"));
        let drawn = self.note_drawn(world, &pending);
        let fact = match told {
            Told::Done(_) => Fact::Yes,
            Told::Failed(_) => Fact::Maybe,
            Told::NotSent => Fact::No,
        };
        let named = match &told {
            Told::Done(answered) => answered.name,
            Told::Failed(_) | Told::NotSent => None,
        };
        let group = locked(&pending.group).to_owned();
        if let Operation::Upload(kind) = operation {
            for name in drawn {
                let is_it = named == Some(name);
                let created = if is_it { Fact::Yes } else { Fact::Maybe };
                self.files.push(File {
                    is_appender: kind == Kind::Appender,
                    created,
                    pieces: vec![(text.clone(), is_it)],
                    ..File::new(group.expect("a node was asked"), name)
                });
            }
            return;
        }
        let idx = about.expect("all others are about a blob");
        let must_be = self.files[idx].must_be();
        self.check_found(world, idx, &operation, &told, must_be);
        let file = &mut self.files[idx];
        match operation {
            Operation::Upload(_) | Operation::Read => {}
            Operation::Slave => {
                if fact != Fact::No {
                    file.created = fact;
                    file.pieces.push((text, fact == Fact::Yes));
                }
            }
            Operation::Append { .. } => file.pieces.push((text, fact == Fact::Yes)),
            Operation::Rename { .. } => {
                file.deleted = fact;
                // The bytes are under another name by now, or not.
                for name in drawn {
                    let renamed = File {
                        name,
                        is_appender: false,
                        created: fact,
                        metadata: vec![None],
                        deleted: Fact::No,
                        ..self.files[idx].clone()
                    };
                    self.files.push(renamed);
                }
            }
            Operation::Delete => file.deleted = fact,
            // Alone, two nodes may each change it; the later one by their clocks stays in the end.
            Operation::Metadata if fact == Fact::Yes && world.is_strict() => {
                file.metadata = vec![Some(text)];
            }
            Operation::Metadata => file.metadata.push(Some(text)),
        }
    }

    /// Whoever asks for what was acknowledged gets it, or is told that nobody knows now.
    fn check_found(
        &self,
        world: &World,
        idx: usize,
        operation: &Operation,
        told: &Told,
        must_be: bool,
    ) {
        let file = &self.files[idx];
        let is_absent = match (operation, told) {
            (Operation::Read, Told::Done(answered)) => answered.found.is_none(),
            (Operation::Append { .. } | Operation::Metadata, Told::Failed(error)) => {
                matches!(error, StoreError::NotFound)
            }
            _ => false,
        };
        assert!(
            !is_absent || !must_be,
            "blob {idx} was acknowledged and is not found\n{}",
            world.history()
        );
        // A node that is cut off may still show what was deleted; in the end none does.
        if let Told::Done(Answered {
            found: Some(found), ..
        }) = told
            && !file.is_slave
            && let [(only, _)] = file.pieces.as_slice()
        {
            assert_eq!(found, only, "blob {idx}\n{}", world.history());
        }
    }

    /// Looks whether the nodes, which all have the same, have what the clients were promised.
    pub(crate) async fn check(&self, world: &World) {
        for number in world.numbers() {
            let node = world.node(number);
            for (idx, file) in self.files.iter().enumerate() {
                if file.group == node.group {
                    check_file(world, &node.store(), idx, file).await;
                }
            }
        }
    }
}

/// At the moment in which a node acknowledges a blob, enough nodes have it. One that just ended, or came
/// back without its disk, had it perhaps.
fn check_copies(network: &Network, node: &NodeProcess, name: RemoteName) {
    let key = name.to_key();
    let peers = node.replica.peers();
    let may_have = |number: NodeNumber| {
        let older = |other: &Arc<NodeProcess>| NODE_PATIENCE < other.started.elapsed();
        let Some(other) = network.node(number).filter(older) else {
            return true;
        };
        let (store, has) = (other.store(), |found| matches!(found, Ok(Some(_))));
        has(store.shared().locate(IndexKey::Blob(&key)))
            || has(store.shared().locate(IndexKey::Tombstone(&key)))
    };
    let numbers = peers.iter().map(|peer| peer.number).chain([node.number]);
    let copies = numbers.filter(|number| may_have(*number)).count();
    let wanted = 2.min(1 + peers.len());
    assert!(
        wanted <= copies,
        "node {} acknowledges {name} with {copies} of {wanted} copies",
        node.number
    );
}

/// Whether several blobs may get the same bytes: those that never change.
fn operation_is_common(operation: &Operation) -> bool {
    matches!(operation, Operation::Upload(Kind::Normal))
}

/// Stands for the group that the tracker will choose.
fn any_group() -> GroupName {
    GroupName::from_bytes(b"group1").unwrap()
}

/// What a client asks a tracker before.
fn query(operation: &Operation, file: Option<&File>, world: &mut World) -> Query {
    let groups: Vec<GroupName> = world.groups().into_iter().collect();
    match (operation, file) {
        (Operation::Read, Some(file)) => Query::Fetch(file.group, file.name),
        (_, Some(file)) => Query::Update(file.group, file.name),
        (_, None) => {
            let wanted = world.random.one_in(4).then(|| world.random.pick(&groups));
            Query::Store(wanted)
        }
    }
}

async fn check_file(world: &World, store: &SimStore, idx: usize, file: &File) {
    // Its own copy: no peer helps.
    let found = read_own(store, &file.name.to_key()).await;
    let found = found.unwrap_or_else(|error| {
        panic!("blob {idx}: {error:?}\n{}", world.history());
    });
    let context = || format!("blob {idx}: {file:?}\n{}", world.history());
    match (file.created, file.deleted) {
        (Fact::Yes, Fact::No) => assert!(found.is_some(), "lost: {}", context()),
        (_, Fact::Yes) => assert!(found.is_none(), "came back: {}", context()),
        _ => {}
    }
    let Some(found) = found else { return };
    let mut rest = found.as_str();
    let mut seen = BTreeSet::new();
    let mut acknowledged = Vec::new();
    while !rest.is_empty() {
        let piece = file.pieces.iter().find(|(text, _)| rest.starts_with(text));
        let Some((text, is_acknowledged)) = piece else {
            panic!("damaged: {found:?} {}", context());
        };
        assert!(seen.insert(text), "twice: {found:?} {}", context());
        if *is_acknowledged {
            acknowledged.push(text);
        }
        rest = &rest[text.len()..];
    }
    let expected: Vec<&String> = file
        .pieces
        .iter()
        .filter(|(_, is_acknowledged)| *is_acknowledged)
        .map(|(text, _)| text)
        .collect();
    assert_eq!(acknowledged, expected, "lost: {found:?} {}", context());
    let metadata = store.shared().metadata(&file.name.to_key()).await;
    let metadata = metadata.expect("readable");
    let metadata = metadata.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    assert!(
        file.metadata.contains(&metadata),
        "metadata {metadata:?}: {}",
        context()
    );
}

/// All bytes of a node's own copy.
pub(crate) async fn read_own(store: &SimStore, key: &[u8]) -> Result<Option<String>, StoreError> {
    let Some(blob) = store.shared().open_blob(key).await? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let mut pieces = blob.pieces(0..blob.len());
    while let Some(piece) = pieces.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
