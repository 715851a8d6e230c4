//! The folder of one server: its data, its configuration and what it said.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use tempfile::TempDir;

/// Small volumes, so that many servers fit on a disk and tests cross volume borders.
const SMALL_VOLUMES: &str = "[storage]\nvolume_size = \"32MiB\"\n";

/// A folder that vanishes with the value.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// A new folder whose server has small volumes and else the defaults.
    pub(crate) fn new() -> Self {
        Self::with_config(SMALL_VOLUMES)
    }

    /// A new folder whose server has the defaults of a first start.
    pub(crate) fn with_defaults() -> Self {
        Self {
            folder: tempfile::Builder::new()
                .prefix("hayloft-")
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .unwrap(),
        }
    }

    /// A new folder with this configuration file.
    pub(crate) fn with_config(toml: &str) -> Self {
        let home = Self::with_defaults();
        fs::write(home.file("hayloft.toml"), toml).unwrap();
        home
    }

    /// A new folder whose server has these volume paths, each in a store path of its own.
    pub(crate) fn with_volume_paths(count: usize) -> Self {
        let home = Self::with_defaults();
        let mut toml = format!("{SMALL_VOLUMES}store_paths = [\n");
        for idx in 0..count {
            let dir = home.file(&format!("disk{idx}"));
            writeln!(
                toml,
                "  {{ dir = {dir:?}, volume_paths = [\"M{idx:02X}\"] }},"
            )
            .unwrap();
        }
        toml.push_str("]\n");
        fs::write(home.file("hayloft.toml"), toml).unwrap();
        home
    }

    /// The configuration file, if there is one.
    pub(crate) fn config(&self) -> Option<PathBuf> {
        Some(self.file("hayloft.toml")).filter(|file| file.exists())
    }

    /// Where volumes and index live.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.file("data")
    }

    /// A file of the folder, outside of the data.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Bytes that the data takes on the disk.
    pub(crate) fn allocated(&self) -> u64 {
        allocated(&self.data_dir())
    }
}

/// Allocated bytes of everything below `path`; what vanishes meanwhile counts nothing.
fn allocated(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    let below: u64 = fs::read_dir(path).map_or(0, |entries| {
        entries
            .flatten()
            .map(|entry| allocated(&entry.path()))
            .sum()
    });
    metadata.blocks() * 512 + below
}
