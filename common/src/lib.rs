//! Vocabulary and bytes that the servers and the client share.
//!
//! Pure at heart: ids, codecs and messages are values without IO. The edges (`rpc`, `client`, `web`)
//! carry them over tokio and hyper. Nothing here knows a volume, `RocksDB` or a server's state.
#![forbid(unsafe_code)]

pub mod limits;

pub mod code;
pub mod codec;
pub mod digest;
pub mod id;
pub mod secret;
pub mod text;
pub mod wire;

pub mod config;
pub mod env;
pub mod telemetry;

pub mod client;
pub mod rpc;
pub mod web;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
