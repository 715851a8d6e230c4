//! `hayloft upload`: files, directories and standard input.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

use bytes::BytesMut;
use common::client::{
    Address, Client, ClientError, Content, Metadata, MetadataMode, Upload, UploadKind,
};
use common::id::{Extension, FileId, GroupName, SlavePrefix};
use futures_util::StreamExt as _;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::client::{Cluster, metadata, parse_id, parse_pair};
use super::output::{self, EXIT_CODES, Failure, Tally};
use super::progress;
use super::walk::Walk;

/// Bytes of standard input that are kept in memory. A longer input goes up in pieces of this size.
const PIECE_LEN: usize = 8 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  hayloft upload photo.jpg                          one file: prints its id and link
  hayloft upload --jobs 8 pictures/                 a directory with everything below it
  tar cz src | hayloft upload --ext tar.gz -        standard input
  hayloft upload --master ID --prefix _80x80 t.jpg  a thumbnail named after its original
  hayloft upload --meta author=me --meta year=2026 report.pdf

Standard input of unknown length is sent as it comes: up to 8 MiB as one upload, more than that as an
appender file in pieces of 8 MiB that becomes a normal file at the end. Nothing is kept on disk.

Exit codes: 0 done, 1 some or all of it failed, 2 wrong usage, 3 no server was reachable.";

/// Upload files, directories or standard input; prints an id and a link for each
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXAMPLES)]
pub(crate) struct UploadArgs {
    /// Files and directories; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Extension for the ids instead of each file's own, without the dot, at most 6 characters
    #[arg(long, value_parser = parse_extension)]
    ext: Option<Extension>,

    /// Make appender files, which can be appended to and modified
    #[arg(long, conflicts_with = "master")]
    appender: bool,

    /// Group to write to instead of the tracker's choice
    #[arg(long, conflicts_with = "master")]
    group: Option<GroupName>,

    /// Make a slave: a file named after this one
    #[arg(long, value_name = "ID", value_parser = parse_id, requires = "prefix")]
    master: Option<FileId>,

    /// What the slave's name has behind its master's, such as _80x80
    #[arg(long, value_parser = parse_prefix, requires = "master")]
    prefix: Option<SlavePrefix>,

    /// Metadata for every file; repeat it for several
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    meta: Vec<(String, String)>,

    /// Files sent at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,

    #[command(flatten)]
    cluster: Cluster,
}

fn parse_extension(text: &str) -> Result<Extension, common::id::TailError> {
    Extension::from_bytes(text.trim_start_matches('.').as_bytes())
}

fn parse_prefix(text: &str) -> Result<SlavePrefix, common::id::TailError> {
    SlavePrefix::from_bytes(text.as_bytes())
}

#[derive(Debug, Serialize)]
struct Uploaded {
    path: String,
    id: String,
    url: String,
    size: u64,
}

impl UploadArgs {
    /// Uploads everything that can be uploaded.
    pub(crate) async fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        let client = self.cluster.client(self.jobs.into());
        let Some(client) = tally.check("", client.map_err(Into::into)) else {
            return tally.into();
        };
        let job = Job {
            args: &self,
            metadata: metadata(&self.meta),
            client: &client,
            progress: progress::bytes(),
        };
        // Results come in the order of the arguments, at most `jobs` of them are under way.
        let mut results = pin!(
            Walk::new(self.files.clone())
                .into_stream()
                .map(|found| job.one(found))
                .buffered(self.jobs.into())
        );
        while let Some((path, result)) = results.next().await {
            let printed = job.progress.suspend(|| match tally.check(&path, result) {
                Some(uploaded) if self.cluster.json => output::json(&uploaded),
                Some(uploaded) => output::line(&format!("{}\t{}", uploaded.id, uploaded.url)),
                None => Ok(()),
            });
            if tally.check("", printed).is_none() {
                break;
            }
        }
        job.progress.finish_and_clear();
        client.close().await;
        tally.into()
    }

    fn kind(&self) -> UploadKind {
        if self.appender {
            UploadKind::Appender
        } else {
            UploadKind::Normal
        }
    }
}

struct Job<'a> {
    args: &'a UploadArgs,
    metadata: Metadata,
    client: &'a Client,
    progress: ProgressBar,
}

impl Job<'_> {
    /// One file from path to printed line.
    async fn one(
        &self,
        found: (PathBuf, Result<(), Failure>),
    ) -> (String, Result<Uploaded, Failure>) {
        let (path, readable) = found;
        let name = path.display().to_string();
        let result = match readable {
            Ok(()) => self.upload(&path).await,
            Err(failure) => Err(failure),
        };
        (name, result)
    }

    async fn upload(&self, path: &Path) -> Result<Uploaded, Failure> {
        let (id, storage, size) = if path == Path::new("-") {
            self.upload_input(&mut tokio::io::stdin()).await?
        } else {
            self.upload_file(path).await?
        };
        self.tag(&id).await?;
        Ok(Uploaded {
            path: path.display().to_string(),
            id: id.to_string(),
            url: self.args.cluster.link(&id, &storage),
            size,
        })
    }

    async fn upload_file(&self, path: &Path) -> Result<(FileId, Address, u64), Failure> {
        let failure = || Failure::local(format!("cannot read {}", path.display()));
        let file = File::open(path).await.map_err(failure())?;
        let size = file.metadata().await.map_err(failure())?.len();
        let extension = self.args.ext.unwrap_or_else(|| {
            let name = path.file_name().unwrap_or_default();
            Extension::of_file_name(&name.to_string_lossy())
        });
        self.progress.inc_length(size);
        let counted = self.progress.wrap_async_read(file);
        let (id, storage) = self
            .store(extension, self.args.kind(), Content::new(counted, size))
            .await?;
        Ok((id, storage, size))
    }

    /// Sends one content as a new blob or as a slave.
    async fn store<R: AsyncRead + Unpin>(
        &self,
        extension: Extension,
        kind: UploadKind,
        content: Content<R>,
    ) -> Result<(FileId, Address), ClientError> {
        if let (Some(master), Some(prefix)) = (&self.args.master, self.args.prefix) {
            // The master's node, where the slave will be found.
            let storage = self.client.trackers().update(master).await?;
            let storages = self.client.storages();
            let slave = storages.upload_slave(&storage, &master.name, prefix, extension, content);
            return Ok((slave.await?, storage));
        }
        let upload = Upload {
            group: self.args.group,
            extension,
            kind,
        };
        self.client.upload_to(&upload, content).await
    }

    /// Sends an input whose length only its end tells.
    async fn upload_input(
        &self,
        input: &mut (impl AsyncRead + Unpin),
    ) -> Result<(FileId, Address, u64), Failure> {
        let mut piece = BytesMut::with_capacity(PIECE_LEN);
        let extension = self.args.ext.unwrap_or_default();
        let mut more = fill(input, &mut piece).await?;
        let mut size = piece.len() as u64;
        if !more {
            let content = Content::from(&*piece);
            let (id, storage) = self.store(extension, self.args.kind(), content).await?;
            return Ok((id, storage, size));
        }
        if self.args.master.is_some() {
            return Err(Failure::Usage(
                "a slave from standard input may have at most 8 MiB; write it to a file first",
            ));
        }
        let content = Content::from(&*piece);
        let (id, storage) = self.store(extension, UploadKind::Appender, content).await?;
        let rest = async {
            while more {
                piece.clear();
                more = fill(input, &mut piece).await?;
                self.client.append(&id, Content::from(&*piece)).await?;
                size += piece.len() as u64;
                self.progress.inc(piece.len() as u64);
            }
            match self.args.kind() {
                UploadKind::Appender => Ok(id),
                UploadKind::Normal => Ok(self.client.regenerate(&id).await?),
            }
        };
        match rest.await {
            Ok(id) => Ok((id, storage, size)),
            Err(failure) => {
                // Half an input is worth nothing; what failed first is what is reported.
                let _ = self.client.delete(&id).await;
                Err(failure)
            }
        }
    }

    /// Adds the metadata; a file that could not be tagged is taken back, as other clients do.
    async fn tag(&self, id: &FileId) -> Result<(), Failure> {
        if self.metadata.is_empty() {
            return Ok(());
        }
        let set = self
            .client
            .set_metadata(id, MetadataMode::Overwrite, &self.metadata);
        if let Err(error) = set.await {
            let _ = self.client.delete(id).await;
            return Err(error.into());
        }
        Ok(())
    }
}

/// Reads until `piece` is full; `false` at the end of the input.
async fn fill(input: &mut (impl AsyncRead + Unpin), piece: &mut BytesMut) -> Result<bool, Failure> {
    while piece.len() < PIECE_LEN {
        let room = (PIECE_LEN - piece.len()) as u64;
        let read = (&mut *input).take(room).read_buf(piece).await;
        if read.map_err(Failure::local("cannot read standard input"))? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake_cluster::FakeCluster;
    use clap::Parser;
    use common::id::BlobKind;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: UploadArgs,
    }

    /// Sends `len` bytes of unknown length; what kind of blob they became, and how many there are.
    async fn send(len: usize, options: &[&str]) -> Result<(BlobKind, usize), Failure> {
        let cluster = FakeCluster::start().await;
        let tracker = cluster.tracker.to_string();
        let line = [&["upload", "-", "--tracker", &tracker], options].concat();
        let args = Line::try_parse_from(line).unwrap().args;
        let job = Job {
            client: &args.cluster.client(1).unwrap(),
            metadata: Metadata::default(),
            progress: ProgressBar::hidden(),
            args: &args,
        };
        let mut input = tokio::io::repeat(7).take(len as u64);
        let (id, _, size) = job.upload_input(&mut input).await?;
        let content = cluster.content(&id).unwrap();
        assert_eq!((size, content.len()), (len as u64, len));
        assert!(content.iter().all(|byte| *byte == 7));
        let blobs = cluster.state.blobs.lock().unwrap().len();
        Ok((id.name.kind(), blobs))
    }

    #[tokio::test]
    async fn an_input_of_unknown_length_becomes_one_normal_file() {
        for len in [
            0,
            1,
            PIECE_LEN - 1,
            PIECE_LEN,
            PIECE_LEN + 1,
            2 * PIECE_LEN + 5,
        ] {
            let sent = send(len, &[]).await.unwrap();
            assert_eq!(sent, (BlobKind::Normal, 1), "{len}");
        }
    }

    #[tokio::test]
    async fn an_input_may_stay_an_appender() {
        for len in [3, PIECE_LEN + 1] {
            let sent = send(len, &["--appender"]).await.unwrap();
            assert_eq!(sent, (BlobKind::Appender, 1), "{len}");
        }
    }

    #[tokio::test]
    async fn a_long_input_cannot_become_a_slave() {
        let master = "group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt";
        let options = ["--master", master, "--prefix", "_s"];
        let sent = send(PIECE_LEN + 1, &options).await;
        assert!(matches!(sent, Err(Failure::Usage(_))));
    }
}
