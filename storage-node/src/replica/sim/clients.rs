//! Clients: what they asked for, what they were told, and what must therefore be there.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use common::digest::Crc32;
use common::id::{Extension, NewBlob, NodeNumber, RemoteName, SlavePrefix};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::world::{PATH, SimStore, World};
use crate::error::StoreError;
use crate::replica::GroupEdit;

/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(10);

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
pub(super) struct File {
    pub(super) key: Vec<u8>,
    source: NodeNumber,
    is_appender: bool,
    is_slave: bool,
    created: Fact,
    deleted: Fact,
    /// Pieces in the order in which they were sent, each with whether it was acknowledged.
    pieces: Vec<(String, bool)>,
    /// What its metadata may be: the last that was acknowledged comes first.
    metadata: Vec<Option<String>>,
}

#[derive(Clone, Debug)]
enum Operation {
    Create,
    Append {
        in_parts: bool,
    },
    /// The appender becomes a normal blob, whole or as an arrangement of all its bytes.
    Rename {
        arranges: bool,
    },
    Delete,
    Metadata,
    Read,
}

/// An operation on its way.
struct Pending {
    file: usize,
    operation: Operation,
    text: String,
    node: NodeNumber,
    task: Option<JoinHandle<Result<Option<String>, StoreError>>>,
}

/// All clients.
pub(super) struct Clients {
    files: Vec<File>,
    next_token: u64,
}

impl Clients {
    pub(super) fn new(_: &mut World) -> Self {
        Self {
            files: Vec::new(),
            next_token: 0,
        }
    }

    /// Begins up to `count` operations, lets some time pass, and takes in what became of them.
    pub(super) async fn work(&mut self, world: &mut World, count: u64) {
        let mut pending = Vec::new();
        let mut busy = BTreeSet::new();
        for _ in 0..=world.random.below(count) {
            if let Some(begun) = self.begin(world, &mut busy) {
                pending.push(begun);
            }
        }
        sleep(Duration::from_micros(world.random.below(30_000))).await;
        if world.random.one_in(4) {
            world.strike(false);
        }
        for pending in pending {
            self.finish(world, pending).await;
        }
    }

    fn begin(&mut self, world: &mut World, busy: &mut BTreeSet<usize>) -> Option<Pending> {
        let number = self.next_token;
        self.next_token += 1;
        let node = world.any();
        let text = token(number);
        let is_new = self.files.is_empty() || world.random.one_in(3);
        let (file, operation) = if is_new {
            let file = self.new_file(world, node, number, &text);
            self.files.push(file);
            (self.files.len() - 1, Operation::Create)
        } else {
            let idx = world.random.below(self.files.len() as u64);
            let idx = usize::try_from(idx).unwrap();
            let file = &self.files[idx];
            let operation = match world.random.below(8) {
                0 if file.is_slave && file.deleted == Fact::Yes => Operation::Create,
                0 => Operation::Delete,
                7 if file.is_appender && world.random.one_in(3) => Operation::Rename {
                    arranges: world.random.one_in(2),
                },
                1 | 2 => Operation::Metadata,
                3..=5 if file.is_appender => Operation::Append {
                    in_parts: world.random.one_in(3),
                },
                _ => Operation::Read,
            };
            (idx, operation)
        };
        if !busy.insert(file) {
            return None;
        }
        let known = self.files[file].clone();
        let changes = !matches!(operation, Operation::Read | Operation::Create);
        if matches!(operation, Operation::Create) && !is_new {
            // The name of a slave is used again, for other bytes.
            self.files[file].pieces.clear();
            self.files[file].metadata = vec![None];
            self.files[file].created = Fact::Maybe;
            self.files[file].deleted = Fact::No;
        }
        if changes && (known.deleted != Fact::No || known.created != Fact::Yes) {
            return None;
        }
        // As trackers say: where it came from, unless that is out of reach.
        let node = if changes && !world.random.one_in(4) {
            known.source
        } else {
            node
        };
        world.note(&format!("{operation:?} {text} of {file} at {node}"));
        let task = world.network.process(node).map(|process| {
            let store = process.replica.store(PATH).expect("the path");
            let work = carry_out(store, known, operation.clone(), text.clone());
            let task = tokio::spawn(async move {
                let patient = timeout(PATIENCE, work).await;
                patient.unwrap_or(Err(StoreError::OutOfReach))
            });
            process.adopt(task.abort_handle());
            task
        });
        Some(Pending {
            file,
            operation,
            text,
            node,
            task,
        })
    }

    fn new_file(&self, world: &mut World, node: NodeNumber, number: u64, text: &str) -> File {
        let kind = world.random.below(4);
        let master = self.files.iter().rev().find(|file| {
            file.created == Fact::Yes && file.deleted == Fact::No && !file.is_appender
        });
        let name = |size| {
            RemoteName::generate(&NewBlob {
                volume_path: PATH,
                source: node,
                time: 1_700_000_000 + u32::try_from(number).unwrap(),
                size,
                crc: Crc32::of(text.as_bytes()),
                extension: Extension::default(),
                random: number << 32 | 5,
            })
        };
        let (name, is_appender, is_slave) = match (kind, master) {
            (0 | 1, _) => (name(None), true, false),
            (2, Some(master)) => {
                let master = RemoteName::from_key(PATH, &master.key).expect("a name");
                let prefix =
                    SlavePrefix::from_bytes(format!("-s{number}").as_bytes()).expect("valid");
                match master.slave(prefix, Extension::default()) {
                    Ok(name) => (name, false, true),
                    Err(_) => (name(Some(text.len() as u64)), false, false),
                }
            }
            _ => (name(Some(text.len() as u64)), false, false),
        };
        File {
            key: name.to_key(),
            source: node,
            is_appender,
            is_slave,
            created: Fact::No,
            deleted: Fact::No,
            pieces: Vec::new(),
            metadata: vec![None],
        }
    }

    async fn finish(&mut self, world: &World, pending: Pending) {
        let Pending {
            file: idx,
            operation,
            text,
            node,
            task,
        } = pending;
        let outcome = match task {
            // An error: the process ended.
            Some(task) => task.await.unwrap_or(Err(StoreError::Stopped)),
            None => Err(StoreError::Stopped),
        };
        let is_done = outcome.is_ok();
        let told = match &outcome {
            Ok(_) => "done".to_owned(),
            Err(error) => error.to_string(),
        };
        world.note(&format!("{operation:?} {text} of {idx} at {node}: {told}"));
        let file = &mut self.files[idx];
        let fact = if is_done { Fact::Yes } else { Fact::Maybe };
        match operation {
            Operation::Create => {
                file.created = fact;
                file.pieces.push((text, is_done));
            }
            Operation::Append { .. } => file.pieces.push((text, is_done)),
            Operation::Rename { .. } => {
                // The bytes are under another name by now, or not.
                let renamed = File {
                    key: renamed(file).to_key(),
                    is_appender: false,
                    created: fact,
                    metadata: vec![None],
                    ..file.clone()
                };
                file.deleted = fact;
                self.files.push(renamed);
            }
            Operation::Delete => file.deleted = fact,
            // Alone, two nodes may each change it; the later one by their clocks stays in the end.
            Operation::Metadata if is_done && world.is_strict() => {
                file.metadata = vec![Some(text)];
            }
            Operation::Metadata => file.metadata.push(Some(text)),
            Operation::Read => {
                let Ok(found) = outcome else {
                    // Out of reach, or busy: not wrong.
                    return;
                };
                let must_be = file.created == Fact::Yes && file.deleted == Fact::No;
                assert!(
                    found.is_some() || !must_be,
                    "blob {idx} was acknowledged and is not found at {node}\n{}",
                    world.history()
                );
                // A node that is cut off may still show what was deleted; in the end none does.
                if let Some(found) = found
                    && !file.is_slave
                    && let [(only, _)] = file.pieces.as_slice()
                {
                    assert_eq!(found, *only, "blob {idx}\n{}", world.history());
                }
            }
        }
    }

    /// Looks whether the nodes, which all have the same, have what the clients were promised.
    pub(super) async fn check(&self, world: &World) {
        for number in world.numbers() {
            let store = world.store(number).expect("all run");
            self.check_at(world, &store).await;
        }
    }

    async fn check_at(&self, world: &World, store: &SimStore) {
        for (idx, file) in self.files.iter().enumerate() {
            // Its own copy: no peer helps.
            let found = read_own(store, &file.key).await;
            let found = found.unwrap_or_else(|error| {
                panic!("blob {idx}: {error:?}\n{}", world.history());
            });
            let context = || format!("blob {idx}: {file:?}\n{}", world.history());
            match (file.created, file.deleted) {
                (Fact::Yes, Fact::No) => assert!(found.is_some(), "lost: {}", context()),
                (_, Fact::Yes) => assert!(found.is_none(), "came back: {}", context()),
                _ => {}
            }
            let Some(found) = found else { continue };
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
            let metadata = store.shared().metadata(&file.key).await.expect("readable");
            let metadata = metadata.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            assert!(
                file.metadata.contains(&metadata),
                "metadata {metadata:?}: {}",
                context()
            );
        }
    }
}

/// The name that an appender gets as a normal blob.
fn renamed(file: &File) -> RemoteName {
    let name = RemoteName::from_key(PATH, &file.key).expect("a name");
    name.regenerated(file.source, 1_700_000_000, 1, Crc32(0), 9)
}

/// All bytes of a node's own copy.
async fn read_own(store: &SimStore, key: &[u8]) -> Result<Option<String>, StoreError> {
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

/// All bytes of a blob.
pub(super) async fn read(store: &SimStore, key: &[u8]) -> Result<Option<String>, StoreError> {
    let Some(blob) = store.open(key).await? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let mut pieces = store.pieces(key.to_vec(), &blob, 0..blob.len());
    while let Some(piece) = pieces.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

async fn carry_out(
    store: SimStore,
    file: File,
    operation: Operation,
    text: String,
) -> Result<Option<String>, StoreError> {
    let (key, time) = (file.key.clone(), 1_700_000_000);
    let bytes = Bytes::from(text.clone().into_bytes());
    match operation {
        Operation::Read => return read(&store, &key).await,
        Operation::Delete => store.delete(key, time).await?,
        Operation::Metadata => {
            let change = Box::new(move |_: &[u8]| Some(text.into_bytes()));
            store.change_metadata(key, time, change).await?;
        }
        Operation::Create if file.is_appender || bytes[7].is_multiple_of(3) => {
            let mut upload = store.parts(time);
            let (first, second) = (bytes.slice(..4), bytes.slice(4..));
            upload.push(first).await?;
            upload.push(second).await?;
            upload.finish(key).await?;
        }
        Operation::Create => {
            let crc = Crc32::of(&bytes);
            store.put(key, time, bytes, crc).await?;
        }
        Operation::Rename { arranges } => {
            let new = renamed(&file).to_key();
            let blob = store.open_blob(&key).await?.ok_or(StoreError::NotFound)?;
            let crc = blob.checksum().await?;
            if arranges {
                let half = blob.len() / 2;
                let ranges = vec![0..half, half..blob.len()];
                store.arrange(key, time, new, ranges, crc).await?;
            } else {
                store.rename(key, time, new, blob.extent, crc).await?;
            }
        }
        Operation::Append { in_parts: true } => {
            let mut upload = store.parts(time);
            let (first, second) = (bytes.slice(..5), bytes.slice(5..));
            upload.push(first).await?;
            upload.push(second).await?;
            upload.finish_edit(key, &GroupEdit::Append).await?;
        }
        Operation::Append { in_parts: false } => {
            store.edit(key, time, &GroupEdit::Append, bytes).await?;
        }
    }
    Ok(None)
}
