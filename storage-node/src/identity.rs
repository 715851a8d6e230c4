//! Who the node is: made at its first start and kept in `node.json`.
//!
//! A copy lies in each store path. It says whose disk that is, and when the directory of the node's state
//! is lost with its disk, the node knows from another disk who it is.
#![expect(
    clippy::disallowed_types,
    reason = "a small state file beside the volumes"
)]

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use common::env::{clock, entropy};
use common::id::{GroupName, NodeNumber};
use common::limits;
use serde::{Deserialize, Serialize};
use tracing::warn;

const FILE_NAME: &str = "node.json";
const VERSION: u32 = 1;

/// The node's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Drawn at the first start; stands in every volume.
    pub store: [u8; 16],
    /// Stands in every id that the node makes.
    pub number: NodeNumber,
    /// The group; part of every id too.
    pub group: GroupName,
    /// Unix seconds of the first start.
    pub joined: u32,
}

/// The identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A store path holds what another node stored.
    #[error(
        "{} belongs to node {found} with the identity {identity}, and this is node {own}; \
         remedy: mount the right disk there, or set storage.store_paths right; if the disk shall be \
         used here, empty it first", directory.display()
    )]
    ForeignPath {
        /// The store path.
        directory: PathBuf,
        /// The number of the node that it belongs to.
        found: NodeNumber,
        /// Its identity.
        identity: String,
        /// The number of this node.
        own: NodeNumber,
    },
    /// Which node this is cannot be told: its own file is lost, and the store paths name several.
    #[error(
        "{} is lost, and the store paths belong to different nodes: {} to node {first_number}, {} to \
         node {second_number}; remedy: mount the right disks, or set storage.store_paths right",
        lost.display(), first.display(), second.display()
    )]
    Mixed {
        /// The file that is lost.
        lost: PathBuf,
        /// A store path.
        first: PathBuf,
        /// Whose it is.
        first_number: NodeNumber,
        /// Another store path.
        second: PathBuf,
        /// Whose that is.
        second_number: NodeNumber,
    },
    /// The file is no identity.
    #[error("{} is damaged: {why}; remedy: restore it from a backup; number and group are also \
             in the logs and on the trackers", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The setting differs from what the node is.
    #[error(
        "storage.{key} is {configured}, but the blobs here were stored as {kept}; \
             remedy: set it back, or use an empty data directory"
    )]
    Changed {
        /// The setting.
        key: &'static str,
        /// Its value now.
        configured: String,
        /// Its value at the first start.
        kept: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    store: String,
    number: u32,
    group: String,
    joined: u32,
}

impl Identity {
    /// Loads the identity from `directory`, or from the copy in a store path, or makes one; afterwards
    /// it is in all of these directories.
    pub fn load(
        directory: &Path,
        store_paths: &[&Path],
        group: GroupName,
        number: Option<NodeNumber>,
    ) -> Result<Self, IdentityError> {
        let path = directory.join(FILE_NAME);
        let others = || store_paths.iter().copied().filter(|it| *it != directory);
        let mut copies = Vec::new();
        for store_path in others() {
            copies.extend(Self::copy_in(store_path)?.map(|copy| (store_path, copy)));
        }
        let known = match (Self::existing(directory), copies.first()) {
            (Ok(Some(known)), _) => Some(known),
            (Ok(None) | Err(IdentityError::Damaged { .. }), Some((from, copy))) => {
                if let Some((second, other)) = copies.iter().find(|(_, it)| it.store != copy.store)
                {
                    return Err(IdentityError::Mixed {
                        lost: path,
                        first: (*from).to_owned(),
                        first_number: copy.number,
                        second: (*second).to_owned(),
                        second_number: other.number,
                    });
                }
                warn!(
                    file = %path.display(), copy = %from.join(FILE_NAME).display(),
                    "the node's identity was lost and is taken from its copy"
                );
                copy.save(directory, &path)?;
                Some(*copy)
            }
            (Ok(None), None) => None,
            (Err(error), _) => return Err(error),
        };
        let identity = match known {
            Some(known) => known.checked(group, number)?,
            None => Self::new(group, number),
        };
        if let Some((foreign, found)) = copies.iter().find(|(_, it)| it.store != identity.store) {
            return Err(IdentityError::ForeignPath {
                directory: (*foreign).to_owned(),
                found: found.number,
                identity: found.store_text(),
                own: identity.number,
            });
        }
        if known.is_none() {
            identity.save(directory, &path)?;
        }
        for store_path in others() {
            if copies.iter().all(|(has, _)| *has != store_path) {
                identity.save(store_path, &store_path.join(FILE_NAME))?;
            }
        }
        Ok(identity)
    }

    /// The copy in a store path; a damaged one is made anew.
    fn copy_in(store_path: &Path) -> Result<Option<Self>, IdentityError> {
        match Self::existing(store_path) {
            Err(error @ IdentityError::Damaged { .. }) => {
                warn!(%error, "the copy of the node's identity is made anew");
                Ok(None)
            }
            read => read,
        }
    }

    fn store_text(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.store))
    }

    /// The identity in `directory`, `None` if there was no first start yet. Changes nothing.
    pub fn existing(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let path = directory.join(FILE_NAME);
        match std::fs::read(&path) {
            Ok(bytes) => Self::kept(&path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IdentityError::File {
                action: "read",
                path,
                source,
            }),
        }
    }

    fn new(group: GroupName, number: Option<NodeNumber>) -> Self {
        let mut store = [0; 16];
        let random = [entropy::random_u64(), entropy::random_u64()];
        for (target, byte) in store
            .iter_mut()
            .zip(random.iter().flat_map(|r| r.to_be_bytes()))
        {
            *target = byte;
        }
        let number = number.unwrap_or_else(|| {
            loop {
                // Of sixteen million numbers, so that nodes that start apart hardly ever meet.
                let drawn = entropy::random_u64() % u64::from(limits::NODE_NUMBER_MAX) + 1;
                if let Ok(Ok(number)) = u32::try_from(drawn).map(NodeNumber::try_from) {
                    break number;
                }
            }
        });
        Self {
            store,
            number,
            group,
            joined: clock::unix_seconds(),
        }
    }

    fn kept(path: &Path, bytes: &[u8]) -> Result<Self, IdentityError> {
        let damaged = |why: String| IdentityError::Damaged {
            path: path.to_owned(),
            why,
        };
        let kept: Kept =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if kept.version != VERSION {
            return Err(damaged(format!(
                "version {} is not {VERSION}",
                kept.version
            )));
        }
        let store = u128::from_str_radix(&kept.store, 16);
        Ok(Self {
            store: store
                .map_err(|error| damaged(error.to_string()))?
                .to_be_bytes(),
            number: kept
                .number
                .try_into()
                .map_err(|_| damaged("bad number".to_owned()))?,
            group: kept
                .group
                .parse()
                .map_err(|_| damaged("bad group".to_owned()))?,
            joined: kept.joined,
        })
    }

    fn checked(self, group: GroupName, number: Option<NodeNumber>) -> Result<Self, IdentityError> {
        let changed = |key, configured: String, kept: String| {
            Err(IdentityError::Changed {
                key,
                configured,
                kept,
            })
        };
        match number {
            _ if self.group != group => changed("group", group.to_string(), self.group.to_string()),
            Some(number) if number != self.number => {
                changed("node_number", number.to_string(), self.number.to_string())
            }
            _ => Ok(self),
        }
    }

    /// Written whole or not at all.
    fn save(&self, directory: &Path, path: &Path) -> Result<(), IdentityError> {
        let kept = Kept {
            version: VERSION,
            store: self.store_text(),
            number: self.number.get(),
            group: self.group.to_string(),
            joined: self.joined,
        };
        let temporary = path.with_extension("new");
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(directory)?;
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec_pretty(&kept)?)?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(|source| IdentityError::File {
            action: "write",
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_kept_and_guarded() {
        let directory = tempfile::tempdir().unwrap();
        let group: GroupName = "group1".parse().unwrap();
        assert_eq!(Identity::existing(directory.path()).unwrap(), None);
        let made = Identity::load(directory.path(), &[], group, None).unwrap();
        assert_eq!(
            Identity::load(directory.path(), &[], group, None).unwrap(),
            made
        );
        assert_eq!(Identity::existing(directory.path()).unwrap(), Some(made));
        assert_eq!(
            Identity::load(directory.path(), &[], group, Some(made.number)).unwrap(),
            made
        );
        let other = "group2".parse().unwrap();
        let error = Identity::load(directory.path(), &[], other, None).unwrap_err();
        assert!(matches!(error, IdentityError::Changed { key: "group", .. }));
        std::fs::write(directory.path().join(FILE_NAME), b"{").unwrap();
        let error = Identity::load(directory.path(), &[], group, None).unwrap_err();
        assert!(matches!(error, IdentityError::Damaged { .. }));
    }

    #[test]
    fn an_identity_that_is_lost_is_taken_from_a_store_path_and_a_new_disk_gets_a_copy() {
        let group: GroupName = "group1".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let [state, one, two] = ["state", "one", "two"].map(|name| folder.path().join(name));
        let load = || Identity::load(&state, &[&one, &two], group, None);
        let made = load().unwrap();
        for lost in [&state, &one] {
            std::fs::remove_dir_all(lost).unwrap();
            assert_eq!(load().unwrap(), made);
            assert_eq!(Identity::existing(lost).unwrap(), Some(made));
        }
        for damaged in [&state, &two] {
            std::fs::write(damaged.join(FILE_NAME), b"{").unwrap();
            assert_eq!(load().unwrap(), made);
            assert_eq!(Identity::existing(damaged).unwrap(), Some(made));
        }
    }

    #[test]
    fn a_disk_of_another_node_is_refused_by_name() {
        let group: GroupName = "group1".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let [state, one, two] = ["state", "one", "two"].map(|name| folder.path().join(name));
        let number = |number: u32| Some(NodeNumber::try_from(number).unwrap());
        Identity::load(&state, &[&one], group, number(7)).unwrap();
        let other = folder.path().join("other");
        Identity::load(&other, &[&two], group, number(8)).unwrap();

        let error = Identity::load(&state, &[&one, &two], group, None).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, IdentityError::ForeignPath { .. }), "{text}");
        for part in ["two", "node 8", "this is node 7", "remedy"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        std::fs::remove_dir_all(&state).unwrap();
        let error = Identity::load(&state, &[&one, &two], group, None).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, IdentityError::Mixed { .. }), "{text}");
        for part in ["one to node 7", "two to node 8", "remedy"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!state.exists(), "nothing is made in place of what is lost");
    }
}
