//! `hayloft repair`: makes the index of a stopped node anew from its volumes.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use storage_node::offline::{Place, Rebuilt, rebuild};
use storage_node::volume::ScanDepth;

use super::offline::{self, NodeArgs, OfflineError, StoppedNode};
use super::{check, output, progress};

const EXIT_CODES: &str = "Exit codes: 0 everything is there, 1 something is lost (all of it is \
listed), 2 wrong usage or configuration, 3 the repair could not be done.";

/// Throw the index of a stopped node away and rebuild it from the volumes
///
/// Volumes are never shortened or removed. Entries for volumes that are gone, and for records that
/// cannot be read any more, go with the old index, and are listed. What is left is checked at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl RepairArgs {
    pub(crate) fn run(self) -> ExitCode {
        match self.repair() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => super::exit(Err(error)),
        }
    }

    /// Whether everything is there.
    fn repair(self) -> Result<bool, OfflineError> {
        let node = StoppedNode::take(self.node)?;
        for place in &node.places {
            let files = place.volume_files().map_err(OfflineError::Volumes)?;
            let bytes = files.iter().map(|(_, len)| len).sum();
            output::line(&format!(
                "{}: the index will be rebuilt from {} volumes of {}",
                place.root().display(),
                files.len(),
                output::bytes(bytes)
            ))?;
        }
        if self.dry_run {
            output::line("nothing was changed; `hayloft check` lists what is damaged")?;
            return Ok(true);
        }
        if !self.yes && !is_confirmed()? {
            return Err(OfflineError::NotConfirmed);
        }
        let mut is_whole = true;
        for place in &node.places {
            is_whole &= repair(&node, place)?;
        }
        if is_whole {
            output::line("repaired; everything is there")?;
        } else {
            output::line("repaired, with losses; see above, and docs/operate.md, Damage")?;
        }
        Ok(is_whole)
    }
}

fn is_confirmed() -> Result<bool, OfflineError> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    output::note("go on? [y/N]");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| output::Failure::local("cannot read the answer")(error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Rebuilds one index; whether nothing is lost.
fn repair(node: &StoppedNode, place: &Place) -> Result<bool, OfflineError> {
    let spinner = progress::spinner(format!("replaying the volumes of {}", place.volume_path));
    let rebuilt = rebuild(place, &node.options(), offline::metrics(place)?);
    spinner.finish_and_clear();
    let rebuilt = rebuilt.map_err(|source| OfflineError::Rebuild {
        root: place.root(),
        source,
    })?;
    output::line(text(place, &rebuilt).trim_end())?;
    // What the volumes still claim to hold may miss a part that lay elsewhere.
    let left = check::walk(node, place, ScanDepth::Headers)?;
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = check::write_affected(&mut out, "cannot be read", &left.affected);
    if !out.is_empty() {
        output::line(out.trim_end())?;
    }
    Ok(rebuilt.lost.is_empty()
        && rebuilt.missing.is_empty()
        && rebuilt.damage.is_empty()
        && left.affected.is_empty())
}

fn text(place: &Place, rebuilt: &Rebuilt) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(&mut out, place, rebuilt);
    out
}

fn write_text(out: &mut String, place: &Place, rebuilt: &Rebuilt) -> std::fmt::Result {
    let seconds = rebuilt.took.as_secs_f64();
    writeln!(
        out,
        "{}: {} records of {} replayed in {seconds:.2} s, {:.0} records/s",
        place.volume_path,
        rebuilt.records,
        output::bytes(rebuilt.bytes),
        output::to_f64(rebuilt.records) / seconds.max(0.001)
    )?;
    if 0 < rebuilt.dropped_parts {
        writeln!(
            out,
            "  {} parts of unfinished uploads and deleted blobs dropped",
            rebuilt.dropped_parts
        )?;
    }
    for (volume, records) in &rebuilt.missing {
        writeln!(
            out,
            "  volume {volume:08} is missing; {records} needed records were in it"
        )?;
    }
    for stretch in &rebuilt.damage {
        writeln!(
            out,
            "  volume {:08}: no readable record from byte {} to {}",
            stretch.volume, stretch.start, stretch.end
        )?;
    }
    check::write_affected(out, "lost", &rebuilt.lost)?;
    if !rebuilt.is_lost_complete {
        writeln!(
            out,
            "  there was no readable index before, so nobody can say whether blobs are lost; \
             `hayloft check` finds those that are damaged"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use storage_node::offline::{Affected, Content};

    use super::*;

    #[test]
    fn a_repair_tells_its_rate_and_names_what_is_lost() {
        let place = Place {
            directory: "/data".into(),
            volume_path: common::id::VolumePath(0),
            group: "group1".parse().unwrap(),
            store: [0; 16],
        };
        let rebuilt = Rebuilt {
            records: 1000,
            took: std::time::Duration::from_millis(500),
            is_lost_complete: true,
            lost: vec![Affected {
                id: "group1/M00/00/00/x".to_owned(),
                content: Content::Blob,
                why: "volume 00000002 is missing".to_owned(),
                volume: 2,
                offset: 4096,
            }],
            ..Rebuilt::default()
        };
        let text = text(&place, &rebuilt);
        assert!(text.contains("2000 records/s"), "{text}");
        assert!(text.contains("lost: blob of group1/M00/00/00/x"), "{text}");
        assert!(!text.contains("nobody can say"), "{text}");
    }
}
