//! A file per subcommand.

pub(crate) mod append;
pub(crate) mod bench;
pub(crate) mod client;
pub(crate) mod delete;
pub(crate) mod download;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod meta;
pub(crate) mod monitor;
pub(crate) mod upload;
pub(crate) mod url;

mod listing;
mod output;
mod progress;
mod walk;
