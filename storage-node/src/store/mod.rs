//! The store of one volume path: group commit, recovery, reading, compaction, scrub.
//!
//! * IDX-1: the index says nothing that the volumes do not say: it can be thrown away.
//! * STO-1: a change is acknowledged after its record is as durable as the setting asks and the
//!   index shows it.
//! * STO-2: replaying all records in the order of volume number and offset gives the index.

mod change;
mod committer;
mod compact;
mod engine;
mod group;
mod log;
mod maintain;
mod plan;
mod reader;
mod recover;
mod scrub;
mod shared;
mod space;

#[cfg(test)]
mod tests;

pub use change::{
    Answer, Change, Condition, Content, Edit, MetadataChange, MovedRecord, Reply, Request,
};
pub use committer::{Committer, PathStore, PendingParts};
#[cfg(any(test, feature = "testing"))]
pub use compact::plan_volume;
pub use compact::{CompactionReport, compact_volume};
pub(crate) use engine::is_ended;
pub use engine::{Engine, EngineSettings, VOLUME_LEN_MIN};
pub use log::{IndexPage, LogEntry, LogPage, PartState, Says};
pub use maintain::{Maintenance, MaintenanceSettings};
pub use reader::{BlobContent, OpenBlob, Pieces};
pub use recover::{Recovery, RecoveryMode};
pub use scrub::{DamagedRecord, ScrubReport, scrub_volume};
pub use shared::{Shared, StoreStatus};
pub use space::{Durability, Reserve};
