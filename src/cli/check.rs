//! `hayloft check`: reads everything that a stopped node keeps, and says exactly what is wrong.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use common::env::clock;
use serde::Serialize;
use storage_node::offline::{self, Affected, IndexState, PathReport, Progress};
use storage_node::volume::ScanDepth;

use super::offline::{NodeArgs, OfflineError, StoppedNode};
use super::output::{self, Failure};
use super::progress;

const EXIT_CODES: &str = "Exit codes: 0 everything is sound, 1 damage was found, 2 wrong usage or \
configuration, 3 the data cannot be looked at (in use, missing, unreadable).";

/// Read all volumes of a stopped node, verify every checksum, compare the index; changes nothing
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Do not read the bytes of blobs; faster where they are large, and finds no rot in them
    #[arg(long)]
    headers_only: bool,
    /// Only print the id of every blob in the index, one in a line, and check nothing. After a crash
    /// the last ones are in it when the node has run once more
    #[arg(long, conflicts_with_all = ["headers_only", "json"])]
    list: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    is_sound: bool,
    seconds: f64,
    paths: Vec<PathReport>,
}

impl CheckArgs {
    pub(crate) fn run(self) -> ExitCode {
        match self.check() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => super::exit(Err(error)),
        }
    }

    /// Whether everything is sound.
    fn check(self) -> Result<bool, OfflineError> {
        let node = StoppedNode::take(self.node)?;
        if self.list {
            return match list(&node) {
                // A reader that went away, as `head` does, is no failure.
                Err(OfflineError::Output(Failure::Output(error)))
                    if error.kind() == io::ErrorKind::BrokenPipe =>
                {
                    Ok(true)
                }
                listed => listed.map(|()| true),
            };
        }
        let depth = if self.headers_only {
            ScanDepth::Headers
        } else {
            ScanDepth::Verify
        };
        let started = clock::monotonic();
        let mut paths = Vec::new();
        for place in &node.places {
            let report = walk(&node, place, depth)?;
            if !self.json {
                let path = place.root().display().to_string();
                output::line(text(&path, &report).trim_end())?;
            }
            paths.push(report);
        }
        let report = Report {
            is_sound: paths.iter().all(PathReport::is_sound),
            seconds: started.elapsed().as_secs_f64(),
            paths,
        };
        if self.json {
            output::json(&report)?;
        } else {
            output::line(&verdict(&report, depth))?;
        }
        Ok(report.is_sound)
    }
}

/// Prints the ids of all blobs.
fn list(node: &StoppedNode) -> Result<(), OfflineError> {
    let failed = |error| OfflineError::from(Failure::Output(error));
    let mut out = BufWriter::new(io::stdout().lock());
    for place in &node.places {
        let print = |id: &str| writeln!(out, "{id}").map_err(failed);
        offline::each_id(place, &node.index_settings(), print)?;
    }
    out.flush().map_err(failed)
}

/// Checks one volume path with a progress bar.
pub(super) fn walk(
    node: &StoppedNode,
    place: &offline::Place,
    depth: ScanDepth,
) -> Result<PathReport, OfflineError> {
    let bar = progress::bytes();
    let report = offline::check(
        place,
        depth,
        &node.index_settings(),
        &mut |step| match step {
            Progress::Expect(bytes) => bar.inc_length(bytes),
            Progress::Walked(bytes) => bar.inc(bytes),
        },
    );
    bar.finish_and_clear();
    Ok(report?)
}

fn verdict(report: &Report, depth: ScanDepth) -> String {
    let records: u64 = report.paths.iter().map(|path| path.records).sum();
    let bytes: u64 = report.paths.iter().map(|path| path.bytes).sum();
    let verdict = match (report.is_sound, depth) {
        (true, ScanDepth::Verify | ScanDepth::Payloads) => "sound",
        (true, ScanDepth::Headers) => "sound, as far as can be seen without reading the blobs",
        (false, _) => "DAMAGE FOUND; see above, and docs/operate.md, Damage",
    };
    format!(
        "{verdict} ({records} records, {} in {:.1} s)",
        output::bytes(bytes),
        report.seconds
    )
}

/// A report for people.
fn text(path: &str, report: &PathReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(&mut out, path, report);
    out
}

fn write_text(out: &mut String, path: &str, report: &PathReport) -> std::fmt::Result {
    writeln!(
        out,
        "{} in {path}: {} volumes, {} records, {} blobs in the index",
        report.volume_path, report.volumes, report.records, report.blobs
    )?;
    match &report.index {
        IndexState::Sound => {}
        IndexState::Missing => writeln!(
            out,
            "  the index is missing; remedy: `hayloft repair`, or start the node: both rebuild it"
        )?,
        IndexState::Damaged(why) => writeln!(
            out,
            "  the index is damaged ({why}); remedy: `hayloft repair` rebuilds it"
        )?,
    }
    if 0 < report.pending_records {
        writeln!(
            out,
            "  the last stop was unclean: the next start will replay {} records (no damage)",
            report.pending_records
        )?;
    }
    if 0 < report.unfinished_records {
        writeln!(
            out,
            "  {} records at the end were never finished nor acknowledged (no damage)",
            report.unfinished_records
        )?;
    }
    if 0 < report.unowned_parts {
        writeln!(
            out,
            "  {} parts belong to no blob; `hayloft repair` gives their space back (no damage)",
            report.unowned_parts
        )?;
    }
    for problem in &report.volume_problems {
        writeln!(out, "  volume {:08}: {}", problem.volume, problem.what)?;
    }
    for stretch in &report.damage {
        writeln!(
            out,
            "  volume {:08}: no readable record from byte {} to {} ({})",
            stretch.volume,
            stretch.start,
            stretch.end,
            output::bytes(stretch.end - stretch.start)
        )?;
    }
    write_affected(out, "cannot be read", &report.affected)?;
    for id in &report.not_in_index {
        writeln!(out, "  not in the index: {id}; remedy: `hayloft repair`")?;
    }
    for id in &report.deleted_in_index {
        writeln!(
            out,
            "  deleted, but in the index: {id}; remedy: `hayloft repair`"
        )?;
    }
    Ok(())
}

/// Lists blobs, one in a line.
pub(super) fn write_affected(
    out: &mut String,
    what: &str,
    affected: &[Affected],
) -> std::fmt::Result {
    for blob in affected {
        writeln!(
            out,
            "  {what}: {} of {}: {} (volume {:08}, byte {})",
            blob.content, blob.id, blob.why, blob.volume, blob.offset
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use storage_node::offline::{Content, Stretch};

    use super::*;

    #[test]
    fn a_report_names_blobs_stretches_and_remedies() {
        let report = PathReport {
            volume_path: "M00".to_owned(),
            index: IndexState::Missing,
            affected: vec![Affected {
                id: "group1/M00/00/00/x.txt".to_owned(),
                content: Content::Metadata,
                why: "the checksum does not match".to_owned(),
                volume: 3,
                offset: 4096,
            }],
            damage: vec![Stretch {
                volume: 3,
                start: 8192,
                end: 12288,
            }],
            ..PathReport::default()
        };
        assert!(!report.is_sound());
        let text = text("/data", &report);
        for part in [
            "cannot be read: metadata of group1/M00/00/00/x.txt",
            "volume 00000003, byte 4096",
            "from byte 8192 to 12288 (4.0 KiB)",
            "the index is missing; remedy",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn an_unclean_stop_is_told_and_is_no_damage() {
        let report = PathReport {
            pending_records: 7,
            unfinished_records: 1,
            ..PathReport::default()
        };
        assert!(report.is_sound());
        assert!(text("/data", &report).contains("unclean: the next start will replay 7"));
    }
}
