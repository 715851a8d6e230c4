//! Lists of ids and links in files, one per line.

use std::path::Path;

use common::id::FileId;
use tokio::io::{AsyncWriteExt as _, BufWriter};

use super::http::Url;
use crate::cli::client::parse_id;
use crate::cli::output::Failure;

/// Reads ids, such as `hayloft upload` prints them: what is behind a tab is ignored.
pub(super) async fn load(path: &Path) -> Result<Vec<FileId>, Failure> {
    let text = read(path).await?;
    let ids: Result<Vec<FileId>, _> = lines(&text).map(parse_id).collect();
    match ids {
        Ok(ids) if ids.is_empty() => Err(Failure::Usage("the file of ids is empty")),
        Ok(ids) => Ok(ids),
        Err(_) => Err(Failure::Usage("a line of the file of ids is no file id")),
    }
}

/// Reads links.
pub(super) async fn load_urls(path: &Path) -> Result<Vec<Url>, Failure> {
    let text = read(path).await?;
    let urls: Result<Vec<Url>, _> = lines(&text).map(Url::parse).collect();
    match urls {
        Ok(urls) if urls.is_empty() => Err(Failure::Usage("the file of links is empty")),
        Ok(urls) => Ok(urls),
        Err(_) => Err(Failure::Usage(
            "a line of the file of links is not of the form http://host[:port]/path",
        )),
    }
}

/// Writes ids.
pub(super) async fn save(path: &Path, ids: &[FileId]) -> Result<(), Failure> {
    let failure = || Failure::local(format!("cannot write {}", path.display()));
    let file = tokio::fs::File::create(path).await.map_err(failure())?;
    let mut out = BufWriter::new(file);
    for id in ids {
        let line = format!("{id}\n");
        out.write_all(line.as_bytes()).await.map_err(failure())?;
    }
    out.flush().await.map_err(failure())
}

async fn read(path: &Path) -> Result<String, Failure> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(Failure::local(format!("cannot read {}", path.display())))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(|line| line.split('\t').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ids_are_saved_and_loaded_and_bad_lines_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids");
        let id: FileId = "group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt"
            .parse()
            .unwrap();
        save(&path, &[id, id]).await.unwrap();
        assert_eq!(load(&path).await.unwrap(), [id, id]);
        std::fs::write(&path, format!("{id}\thttp://h/{id}\n\n")).unwrap();
        assert_eq!(load(&path).await.unwrap(), [id]);
        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(load(&path).await.is_err());
        std::fs::write(&path, "").unwrap();
        assert!(load(&path).await.is_err());
    }
}
