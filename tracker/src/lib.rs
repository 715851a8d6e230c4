//! The tracker: knows groups, nodes and space, answers where to write and where to read, stores no
//! blob.
//!
//! [`cluster`] decides and does no IO; `service` translates between it and the wire; `run` owns the
//! tasks. State is soft: nodes report it again. What must survive a restart is in [`snapshot`].
#![forbid(unsafe_code)]

pub mod cluster;
pub mod snapshot;

mod error;
mod gate;
mod metrics;
mod peers;
mod run;
mod service;
mod settings;
mod shared;

pub use error::TrackerError;
pub use metrics::Metrics;
pub use run::Tracker;
pub use settings::{ListenerSettings, Settings};
