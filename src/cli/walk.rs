//! Files named on a command line, and what lies below the directories among them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use futures_util::Stream;

use super::output::Failure;

/// Finds files one by one, in sorted order, holding one directory listing per level in memory.
///
/// Symbolic links are followed when named on the command line, not below it: they may lead out of the
/// tree or round in it.
#[derive(Debug)]
pub(crate) struct Walk {
    named: VecDeque<PathBuf>,
    levels: Vec<std::vec::IntoIter<PathBuf>>,
}

/// A file, or what could not be read.
pub(crate) type Found = (PathBuf, Result<(), Failure>);

impl Walk {
    /// A walk over `named`; `-` is taken as it is.
    pub(crate) fn new(named: Vec<PathBuf>) -> Self {
        Self {
            named: named.into(),
            levels: Vec::new(),
        }
    }

    /// The files as a stream.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Found> {
        futures_util::stream::unfold(self, async |mut walk| {
            let found = walk.next().await?;
            Some((found, walk))
        })
    }

    async fn next(&mut self) -> Option<Found> {
        loop {
            let (path, named) = self.step()?;
            if named && path == Path::new("-") {
                return Some((path, Ok(())));
            }
            let kind = if named {
                tokio::fs::metadata(&path).await
            } else {
                tokio::fs::symlink_metadata(&path).await
            };
            let kind = match kind {
                Ok(metadata) => metadata.file_type(),
                Err(error) => return Some(unreadable(path, error)),
            };
            if kind.is_dir() {
                match entries(&path).await {
                    Ok(level) => self.levels.push(level.into_iter()),
                    Err(error) => return Some(unreadable(path, error)),
                }
            } else if kind.is_file() {
                return Some((path, Ok(())));
            } else if named {
                let failure = Failure::Usage("neither a file nor a directory");
                return Some((path, Err(failure)));
            }
        }
    }

    /// The next path and whether it was named on the command line.
    fn step(&mut self) -> Option<(PathBuf, bool)> {
        while let Some(level) = self.levels.last_mut() {
            if let Some(path) = level.next() {
                return Some((path, false));
            }
            self.levels.pop();
        }
        Some((self.named.pop_front()?, true))
    }
}

fn unreadable(path: PathBuf, error: std::io::Error) -> Found {
    let failure = Failure::local("cannot read it")(error);
    (path, Err(failure))
}

async fn entries(path: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut listing = tokio::fs::read_dir(path).await?;
    let mut paths = Vec::new();
    while let Some(entry) = listing.next_entry().await? {
        paths.push(entry.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;

    #[tokio::test]
    async fn a_directory_yields_its_files_sorted_and_a_missing_one_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        for name in ["b/c/3", "b/2", "a", "z"] {
            std::fs::write(root.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
        let missing = root.join("missing");
        let walk = Walk::new(vec!["-".into(), root.into(), missing.clone()]);
        let found: Vec<Found> = walk.into_stream().collect().await;
        let names: Vec<String> = found
            .iter()
            .map(|(path, _)| {
                let name = path.strip_prefix(root).unwrap_or(path);
                name.display().to_string()
            })
            .collect();
        assert_eq!(names, ["-", "a", "b/2", "b/c/3", "z", "missing"]);
        let failed: Vec<bool> = found.iter().map(|(_, result)| result.is_err()).collect();
        assert_eq!(failed, [false, false, false, false, false, true]);
    }
}
