//! How far the scrub of a volume path is, kept in `scrub.json` beside its volumes, so that a node which
//! restarts every day verifies everything all the same. Losing the file costs a new pass.
#![expect(
    clippy::disallowed_types,
    reason = "a small state file beside the volumes"
)]

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::format::VolumeNumber;

const VERSION: u32 = 1;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct ScrubProgress {
    /// Unix seconds when the last pass began that reached the end: no byte waits for longer. 0 for never.
    pub(in crate::store) verified: u32,
    /// Unix seconds when the last pass ended.
    pub(in crate::store) ended: u32,
    /// The pass that is under way.
    pub(in crate::store) pass: Option<ScrubPass>,
}

/// A pass that is under way: volumes before this place are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct ScrubPass {
    /// Unix seconds when it began.
    pub(in crate::store) began: u32,
    /// The volume that is looked at.
    pub(in crate::store) volume: VolumeNumber,
    /// Where in it.
    pub(in crate::store) offset: u64,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    verified: u32,
    ended: u32,
    pass: Option<KeptPass>,
}

#[derive(Serialize, Deserialize)]
struct KeptPass {
    began: u32,
    volume: u32,
    offset: u64,
}

impl ScrubProgress {
    /// Time until there is something to do. `oldest` is when the oldest volume was made, for stores that
    /// were never verified.
    pub(in crate::store) fn due_in(&self, interval: Duration, oldest: u32, now: u32) -> Duration {
        if self.pass.is_some() {
            return Duration::ZERO;
        }
        let last = if self.ended == 0 { oldest } else { self.ended };
        // A clock that was set back must not put it off for long.
        let since = Duration::from_secs(u64::from(now.saturating_sub(last)));
        interval.saturating_sub(since)
    }

    /// Loads what was kept; nothing if there is nothing that can be read.
    pub(in crate::store) fn load(file: &Path) -> Self {
        let kept = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice::<Kept>(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => Err(error.to_string()),
        };
        match kept {
            Ok(kept) if kept.version == VERSION => Self {
                verified: kept.verified,
                ended: kept.ended,
                pass: kept.pass.map(|pass| ScrubPass {
                    began: pass.began,
                    volume: VolumeNumber(pass.volume),
                    offset: pass.offset,
                }),
            },
            Ok(Kept { version, .. }) => {
                warn!(file = %file.display(), version, "not known; the scrub begins anew");
                Self::default()
            }
            Err(error) => {
                warn!(file = %file.display(), error, "not readable; the scrub begins anew");
                Self::default()
            }
        }
    }

    /// Writes it whole or not at all.
    pub(in crate::store) fn save(&self, file: &Path) -> io::Result<()> {
        let kept = Kept {
            version: VERSION,
            verified: self.verified,
            ended: self.ended,
            pass: self.pass.map(|pass| KeptPass {
                began: pass.began,
                volume: pass.volume.0,
                offset: pass.offset,
            }),
        };
        let temporary = file.with_extension("new");
        File::create(&temporary)?.write_all(&serde_json::to_vec_pretty(&kept)?)?;
        // Not synced: what a power cut takes is verified once more.
        std::fs::rename(&temporary, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_a_damaged_file_is_a_new_pass() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("scrub.json");
        assert_eq!(ScrubProgress::load(&file), ScrubProgress::default());
        let pass = ScrubPass {
            began: 7,
            volume: VolumeNumber(3),
            offset: 1 << 40,
        };
        for pass in [None, Some(pass)] {
            let progress = ScrubProgress {
                verified: 5,
                ended: 6,
                pass,
            };
            progress.save(&file).unwrap();
            assert_eq!(ScrubProgress::load(&file), progress);
        }
        std::fs::write(&file, b"{").unwrap();
        assert_eq!(ScrubProgress::load(&file), ScrubProgress::default());
    }

    #[test]
    fn a_pass_is_due_an_interval_after_the_last_one_or_after_the_oldest_volume() {
        let interval = Duration::from_secs(100);
        let at =
            |progress: ScrubProgress, oldest, now| progress.due_in(interval, oldest, now).as_secs();
        let never = ScrubProgress::default();
        assert_eq!(at(never, 1000, 1030), 70);
        assert_eq!(at(never, 1000, 1200), 0);
        let once = ScrubProgress {
            ended: 1150,
            ..never
        };
        assert_eq!(at(once, 1000, 1200), 50);
        assert_eq!(at(once, 1000, 900), 100, "the clock was set back");
        let under_way = ScrubProgress {
            pass: Some(ScrubPass {
                began: 1151,
                volume: VolumeNumber(1),
                offset: 0,
            }),
            ..once
        };
        assert_eq!(at(under_way, 1000, 1151), 0, "it goes on at once");
    }
}
