//! Which volume path lies in which store path, compared with what is on the disks.
//!
//! A volume path that is looked for in the wrong directory looks empty, and would be filled anew while
//! its blobs lie elsewhere. So a node refuses to start over a directory with volumes that the settings do
//! not look for there.

use std::io;
use std::path::{Path, PathBuf};

use common::id::VolumePath;

use crate::node::VOLUMES_DIRECTORY;
use crate::settings::StorePathSettings;

/// What is on the disks is not where the settings look for it.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A store path cannot be listed.
    #[error("cannot list {}; remedy: look at the mount and its permissions", directory.display())]
    List {
        /// The store path.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The settings look for it elsewhere.
    #[error(
        "{found} lies in {}, and storage.store_paths looks for it in {}; remedy: swap the mounts or \
         the entries back, so that each volume path is where it was", directory.display(),
        wanted.display()
    )]
    Elsewhere {
        /// The volume path.
        found: VolumePath,
        /// Where it is.
        directory: PathBuf,
        /// Where it is looked for.
        wanted: PathBuf,
    },
    /// The settings do not name it.
    #[error(
        "{found} lies in {}, and storage.store_paths does not name it; remedy: add it to the \
         volume_paths of that directory; links to its files name it for ever", directory.display()
    )]
    Unnamed {
        /// The volume path.
        found: VolumePath,
        /// Where it is.
        directory: PathBuf,
    },
}

/// Compares the volumes in the store paths with the settings.
pub(crate) fn check(store_paths: &[StorePathSettings]) -> Result<(), LayoutError> {
    for store_path in store_paths {
        let directory = &store_path.directory;
        let held = held_in(directory).map_err(|source| LayoutError::List {
            directory: directory.clone(),
            source,
        })?;
        let stray = held
            .into_iter()
            .find(|found| !store_path.volume_paths.contains(found));
        let Some(found) = stray else { continue };
        let directory = directory.clone();
        let mut named = store_paths.iter();
        let wanted = named.find(|it| it.volume_paths.contains(&found));
        return Err(match wanted {
            Some(wanted) => LayoutError::Elsewhere {
                found,
                directory,
                wanted: wanted.directory.clone(),
            },
            None => LayoutError::Unnamed { found, directory },
        });
    }
    Ok(())
}

/// The volume paths of which there are volumes in a directory; none in one that does not exist.
fn held_in(directory: &Path) -> io::Result<Vec<VolumePath>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut held = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some(path) = volume_path(entry.file_name().to_str()) else {
            continue;
        };
        let has_volumes = match std::fs::read_dir(entry.path().join(VOLUMES_DIRECTORY)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            volumes => volumes?.next().is_some(),
        };
        if has_volumes {
            held.push(path);
        }
    }
    held.sort_unstable();
    Ok(held)
}

fn volume_path(name: Option<&str>) -> Option<VolumePath> {
    let hex = name?.strip_prefix('M')?.as_bytes().try_into().ok()?;
    let path = VolumePath::from_hex(hex)?;
    // Directories are named exactly as they are printed.
    (name == Some(path.to_string().as_str())).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_in_another_directory_than_the_settings_say_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, paths: &[u8]| StorePathSettings {
            directory: folder.path().join(name),
            volume_paths: paths.iter().copied().map(VolumePath).collect(),
        };
        for (name, path) in [("one", "M00"), ("two", "M01")] {
            let volumes = folder.path().join(name).join(path).join(VOLUMES_DIRECTORY);
            std::fs::create_dir_all(&volumes).unwrap();
            std::fs::write(volumes.join("00000001.vol"), b"").unwrap();
        }
        // Neither a volume path without volumes nor what is none matters.
        std::fs::create_dir_all(folder.path().join("one/M05").join(VOLUMES_DIRECTORY)).unwrap();
        std::fs::create_dir_all(folder.path().join("one/Music")).unwrap();

        check(&[at("one", &[0]), at("two", &[1]), at("three", &[2])]).unwrap();
        let swapped = check(&[at("one", &[1]), at("two", &[0])]).unwrap_err();
        let text = swapped.to_string();
        assert!(
            matches!(swapped, LayoutError::Elsewhere { .. }) && text.contains("M00 lies in"),
            "{text}"
        );
        let gone = check(&[at("one", &[0]), at("two", &[2])]).unwrap_err();
        let text = gone.to_string();
        assert!(
            matches!(gone, LayoutError::Unnamed { .. }) && text.contains("M01 lies in"),
            "{text}"
        );
    }
}
