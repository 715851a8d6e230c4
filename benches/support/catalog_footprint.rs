//! Memory of a server whose catalog knows many files, and of one that receives many big uploads over
//! the image-host API.

use serde::Serialize;

use super::error::BenchError;
use super::finding::{Finding, MB, Notes, Target, float, folder};
use super::generator::Load;
use super::memory::{self, Memory};
use super::process::Durability;
use super::server::Server;

/// What the server may hold in all, in MB, pages of mapped files included.
const RESIDENT_MAX: f64 = 300.0;
/// Connections that add files.
const CONNECTIONS: u64 = 64;
/// Seconds that a call may take.
const PATIENCE: &str = "3000";

/// How much of everything.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Scale {
    /// Files in the catalog.
    pub(crate) files: u64,
    /// Uploads at the same time.
    pub(crate) uploads: u64,
    /// Bytes of each.
    pub(crate) upload_size: u64,
}

/// Measures everything.
pub(crate) fn measure<F: FnMut(&Finding)>(
    scale: &Scale,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let home = folder()?;
    let server = Server::start(home.path(), Durability::Always)?;
    many_files(scale, &server, notes)?;
    // On the same server: both at once is what the target is about.
    big_uploads(scale, &server, notes)?;
    server.stop()
}

fn many_files<F: FnMut(&Finding)>(
    scale: &Scale,
    server: &Server,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let files = scale.files;
    let load = call(server, "api-instant", CONNECTIONS)?.with("--count", files.to_string());
    let (figures, peak) = memory::watched(server, &load)?;
    notes.add(
        "files added to the catalog",
        figures.per_second,
        "files/s",
        None,
    );
    resident(notes, &format!("while {files} files are catalogued"), peak);
    for (order, start) in [("normal", 0), ("normal", files / 2), ("pvdesc", files / 2)] {
        let load = call(server, "api-list", CONNECTIONS)?
            .with("--order", order)
            .with("--start", start.to_string())
            .with("--seconds", "5");
        let (_, peak) = memory::watched(server, &load)?;
        resident(
            notes,
            &format!("listing {order} from {start}, {files} files"),
            peak,
        );
    }
    let after = memory::look(server.pid())?;
    resident(
        notes,
        &format!("after {files} files were catalogued"),
        after,
    );
    Ok(())
}

fn big_uploads<F: FnMut(&Finding)>(
    scale: &Scale,
    server: &Server,
    notes: &mut Notes<F>,
) -> Result<(), BenchError> {
    let Scale {
        uploads,
        upload_size,
        ..
    } = *scale;
    let load = call(server, "api-upload", uploads)?
        .with("--count", uploads.to_string())
        .with("--size", upload_size.to_string());
    let (figures, peak) = memory::watched(server, &load)?;
    let what = format!(
        "during {uploads} uploads of {} MiB at the same time",
        upload_size >> 20
    );
    resident(notes, &what, peak);
    let rate = figures.per_second * float(upload_size) / MB;
    notes.add("their rate together", rate, "MB/s", None);
    Ok(())
}

/// Notes what is resident in all and how much of it is the process's own.
fn resident<F: FnMut(&Finding)>(notes: &mut Notes<F>, when: &str, seen: Memory) {
    let all = float(seen.own + seen.mapped) / MB;
    notes.add(
        format!("resident, {when}"),
        all,
        "MB",
        Target::AtMost(RESIDENT_MAX),
    );
    notes.add(
        format!("of it the process's own, {when}"),
        float(seen.own) / MB,
        "MB",
        None,
    );
}

fn call(server: &Server, kind: &str, connections: u64) -> Result<Load, BenchError> {
    Ok(Load::new(kind)
        .with("--api", format!("http://{}", server.address("api")?))
        .with("--connections", connections.to_string())
        .with("--timeout", PATIENCE))
}
