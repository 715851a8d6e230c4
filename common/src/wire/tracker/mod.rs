//! Messages of the tracker commands. Source: docs/wire.md, tracker commands.
//!
//! Requests are one enum, [`Request`]. Answers are a type each; `encode` appends the whole packet,
//! `decode` takes the body. What depends on the family of clients that a listening address serves is a
//! [`ClientDialect`]; decoders tell the families apart by length.

mod answers;
mod counters;
mod dialect;
mod group_record;
mod node_state;
mod parameters;
mod query;
mod request;
mod statistics;
mod storage_ids;
mod storage_record;

pub use answers::{
    GroupResponse, LeaderResponse, NodeIdResponse, NodeStatusResponse, TrunkServerResponse,
};
pub use counters::{Connections, Counter, StorageCounters};
pub use dialect::{ClientDialect, ListingLayout};
pub use group_record::{GroupRecord, decode_groups, encode_groups};
pub use node_state::{NodeStatus, ReadWriteMode};
pub use parameters::Parameters;
pub use query::{FetchTarget, FetchTargets, NodeAddress, StoreTarget, StoreTargets};
pub use request::{Request, Scope};
pub use statistics::{
    GroupFilter, GroupSpace, GroupStatistics, StatusFilter, StorageFilter, StorageStatistic,
    StorageStatistics, TrackerFilter, TrackerStatistic, TrackerStatistics,
};
pub use storage_ids::{HostsText, StorageIdLine, StorageIds};
pub use storage_record::{StorageRecord, decode_storages, encode_storages};

#[cfg(test)]
mod tests;
