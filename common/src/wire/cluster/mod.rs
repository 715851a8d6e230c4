//! How operators see and change a cluster: commands 164 and 165 of any tracker.
//!
//! Every request begins with the version of its layout. Status is JSON, because people and pages read
//! it and it gains fields with every release; orders are bytes, because a mistaken one does harm.

mod order;
mod status;

pub use order::{Order, OrderAnswer, OrderRequest, Target, TargetError};
pub use status::{
    ClusterStatus, GroupStatus, NodeStatus, PathStatus, Progress, RefusedNode, StatusCursor,
    StatusPage, TrackerStatus,
};

/// Version of the layouts in this module.
pub const CLUSTER_VERSION: u16 = 1;

#[cfg(test)]
mod tests;
