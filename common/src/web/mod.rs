//! HTTP: what both servers that hand out blobs need.
//!
//! The rules (`range` … `download`) are pure functions over the `http` crate's types. `source`, `front`
//! and `server` carry them over hyper: a server brings a [`source::BlobSource`] and gets ranges,
//! conditions, tokens, limits and draining.

pub mod cross_domain;
pub mod network;
pub mod origin;
pub mod query;

pub mod anti_leech;
pub mod condition;
pub mod content_type;
pub mod disposition;
pub mod path;
pub mod range;

pub mod download;

pub mod body;
pub mod metrics;
pub mod source;
pub mod text;
pub mod tls;

pub mod front;
pub mod operations;
pub mod server;
