//! The tracker: knows groups, nodes and space, answers where to write and where to read, stores no
//! blob.
//!
//! [`cluster`] decides and does no IO.
#![forbid(unsafe_code)]

pub mod cluster;
