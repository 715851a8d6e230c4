//! The API server: today it serves the blobs of a whole cluster over HTTP; accounts and upload
//! dialects follow (ARCHITECTURE.md).
#![forbid(unsafe_code)]

mod error;
mod operator;

pub mod core;

pub mod backend;
mod http;
pub mod thumbnail;

mod service;

mod dialect;

mod run;
mod settings;

#[cfg(test)]
mod tests;

pub use error::ApiError;
pub use operator::OperatorAccess;
pub use run::ApiServer;
pub use settings::{
    AccountSettings, ApiSettings, CatalogSettings, RateLimits, ThumbnailSettings, WeiyunSettings,
};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
