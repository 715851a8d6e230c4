//! What the API server stands on.

pub mod catalog;
mod cluster;

use std::future::Future;

use common::web::operations::Readiness;
use common::web::source::BlobSource;

pub(crate) use cluster::ClusterBlobs;

/// Where the bytes are.
pub(crate) trait Blobs: BlobSource + Clone {
    /// Whether blobs can be reached now. Answers within seconds.
    fn readiness(&self) -> impl Future<Output = Readiness> + Send;
}
