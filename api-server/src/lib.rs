//! The API server: today it serves the blobs of a whole cluster over HTTP; accounts and upload
//! dialects follow (ARCHITECTURE.md).
#![forbid(unsafe_code)]

mod error;

pub mod core;

pub mod backend;
mod http;
pub mod thumbnail;

mod service;

mod dialect;

mod run;

#[cfg(test)]
mod tests;

pub use error::ApiError;
pub use run::{ApiServer, ApiSettings};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
