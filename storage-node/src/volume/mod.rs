//! Volume files that are open: mapped, verified on first touch, scanned.

mod open;
mod scanner;

pub use open::{FoundRecord, Volume, VolumeState};
pub use scanner::{Damage, ScanDepth, ScanError, ScanItem, ScannedRecord, Scanner};
