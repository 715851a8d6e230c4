//! `hayloft download`: resumes, verifies, and never leaves half a file under the final name.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use common::client::{Client, FileInfo};
use common::digest::{Crc32, Crc32Hasher};
use common::id::{BlobKind, FileId};
use serde::Serialize;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};

use super::client::{Cluster, parse_id};
use super::output::{EXIT_CODES, Failure, Tally};
use super::{output, progress};

/// How often a broken connection is taken up again where it broke.
const ATTEMPTS: usize = 5;

/// Bytes read at once from a partial file.
const READ_LEN: usize = 256 * 1024;

/// Download a file, check its size and CRC-32, and resume where a broken download ended
///
/// Bytes go to FILE.part first; FILE appears when all of them arrived and are right.
///
/// Example: hayloft download -o photo.jpg group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.jpg
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DownloadArgs {
    /// File id or link
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: FileId,

    /// Where to write; - is standard output; default: the last part of the id, here
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Debug, Serialize)]
struct Downloaded {
    id: String,
    path: String,
    size: u64,
    crc32: String,
    resumed_at: u64,
}

/// What the whole content must be.
#[derive(Clone, Copy, Debug)]
struct Promise {
    size: u64,
    crc: Crc32,
}

impl Promise {
    /// A normal id is a promise by itself; appenders and slaves change or have their own content, so
    /// the node is believed.
    fn of(id: &FileId, info: &FileInfo) -> Self {
        match id.name.kind() {
            BlobKind::Normal | BlobKind::Trunk => Self {
                size: id.name.stem().size(),
                crc: id.name.stem().crc,
            },
            BlobKind::Appender | BlobKind::Slave => Self {
                size: info.size,
                crc: info.crc,
            },
        }
    }

    fn check(self, id: &FileId, size: u64, crc: Crc32) -> Result<(), Failure> {
        let wrong = |expected: String, found: String| Failure::Content {
            id: id.to_string(),
            expected,
            found,
        };
        if self.size != size {
            return Err(wrong(
                format!("{} bytes", self.size),
                format!("{size} bytes"),
            ));
        }
        if self.crc != crc {
            return Err(wrong(
                format!("CRC-32 {}", self.crc),
                format!("CRC-32 {crc}"),
            ));
        }
        Ok(())
    }
}

impl DownloadArgs {
    /// Downloads the file.
    pub(crate) async fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        let result = self.download().await;
        tally.check(&self.id.to_string(), result);
        tally.into()
    }

    async fn download(&self) -> Result<(), Failure> {
        let client = self.cluster.client(1)?;
        let info = client.file_info(&self.id).await?;
        let promise = Promise::of(&self.id, &info);
        let target = match &self.output {
            Some(path) => path.clone(),
            None => default_path(&self.id),
        };
        if target == Path::new("-") {
            let mut sink = Sink::new(tokio::io::stdout(), Crc32Hasher::new(), 0);
            fetch(&client, &self.id, promise, &mut sink).await?;
            sink.finish().await?;
            promise.check(&self.id, sink.len, sink.crc.finish())?;
        } else {
            let resumed_at = self.to_file(&client, promise, &target).await?;
            self.report(promise, &target, resumed_at)?;
        }
        client.close().await;
        Ok(())
    }

    /// Returns where an earlier download was resumed.
    async fn to_file(
        &self,
        client: &Client,
        promise: Promise,
        target: &Path,
    ) -> Result<u64, Failure> {
        let part = part_path(target);
        let failure = || Failure::local(format!("cannot write {}", part.display()));
        let (file, crc, resumed_at) = open_part(&part, promise.size).await.map_err(failure())?;
        let mut sink = Sink::new(file, crc, resumed_at);
        fetch(client, &self.id, promise, &mut sink).await?;
        sink.finish().await?;
        if let Err(wrong) = promise.check(&self.id, sink.len, sink.crc.finish()) {
            // Nothing good can be built on it, neither now nor by resuming.
            tokio::fs::remove_file(&part).await.map_err(failure())?;
            return Err(wrong);
        }
        sink.to.sync_all().await.map_err(failure())?;
        tokio::fs::rename(&part, target)
            .await
            .map_err(Failure::local(format!("cannot name {}", target.display())))?;
        Ok(resumed_at)
    }

    fn report(&self, promise: Promise, target: &Path, resumed_at: u64) -> Result<(), Failure> {
        if self.cluster.json {
            return output::json(&Downloaded {
                id: self.id.to_string(),
                path: target.display().to_string(),
                size: promise.size,
                crc32: promise.crc.to_string(),
                resumed_at,
            });
        }
        output::line(&target.display().to_string())
    }
}

/// Opens a partial file behind its last byte, with the checksum of what it holds. One that is longer
/// than the content begins anew.
async fn open_part(path: &Path, size: u64) -> std::io::Result<(File, Crc32Hasher, u64)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .await?;
    let mut crc = Crc32Hasher::new();
    let mut len = file.metadata().await?.len();
    if size < len {
        file.set_len(0).await?;
        len = 0;
    }
    let mut buffer = bytes::BytesMut::with_capacity(READ_LEN);
    while file.read_buf(&mut buffer).await? != 0 {
        crc.update(&buffer);
        buffer.clear();
    }
    file.seek(std::io::SeekFrom::Start(len)).await?;
    Ok((file, crc, len))
}

/// Where bytes go, and what they have been so far.
#[derive(Debug)]
struct Sink<W> {
    to: W,
    crc: Crc32Hasher,
    len: u64,
}

impl<W: AsyncWrite + Unpin> Sink<W> {
    fn new(to: W, crc: Crc32Hasher, len: u64) -> Self {
        Self { to, crc, len }
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.crc.update(piece);
        self.len += piece.len() as u64;
        self.to.write_all(piece).await.map_err(Failure::Output)
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        self.to.flush().await.map_err(Failure::Output)
    }
}

/// Fetches from where `sink` stands to the end, taking up broken connections.
async fn fetch<W: AsyncWrite + Unpin>(
    client: &Client,
    id: &FileId,
    promise: Promise,
    sink: &mut Sink<W>,
) -> Result<(), Failure> {
    let bar = progress::bytes();
    bar.set_length(promise.size);
    let mut attempts_left = ATTEMPTS;
    while sink.len < promise.size {
        let before = sink.len;
        let result = fetch_rest(client, id, sink, &bar).await;
        if before < sink.len {
            attempts_left = ATTEMPTS;
        }
        attempts_left -= 1;
        match result {
            Ok(()) => break,
            Err(Failure::Client(error)) if error.is_unreachable() && 0 < attempts_left => {}
            Err(failure) => return Err(failure),
        }
    }
    bar.finish_and_clear();
    Ok(())
}

async fn fetch_rest<W: AsyncWrite + Unpin>(
    client: &Client,
    id: &FileId,
    sink: &mut Sink<W>,
    bar: &indicatif::ProgressBar,
) -> Result<(), Failure> {
    let mut download = client.download(id, sink.len, 0).await?;
    while let Some(piece) = download.piece().await? {
        sink.write(&piece).await?;
        bar.set_position(sink.len);
    }
    Ok(())
}

fn default_path(id: &FileId) -> PathBuf {
    let text = id.to_string();
    text.rsplit('/').next().unwrap_or_default().into()
}

fn part_path(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_partial_file_is_continued_and_a_longer_one_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("x.part");
        std::fs::write(&part, b"hello").unwrap();
        let (_, crc, len) = open_part(&part, 11).await.unwrap();
        assert_eq!((len, crc.finish()), (5, Crc32::of(b"hello")));
        let (_, crc, len) = open_part(&part, 4).await.unwrap();
        assert_eq!((len, crc.finish()), (0, Crc32::of(b"")));
    }

    #[test]
    fn the_default_name_is_the_last_part_of_the_id() {
        let id = "group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt";
        let path = default_path(&id.parse().unwrap());
        assert_eq!(path, Path::new("fwAADWsCX7CAJB_eAAAABTYQpoY217.txt"));
        assert_eq!(part_path(Path::new("a/b.c")), Path::new("a/b.c.part"));
    }
}
