//! What the API server knows: accounts and who may act for them, files in folders and in the trash,
//! content, uploads, shares.
//!
//! Everything here is a function of a [`catalog::View`] or [`catalog::Transaction`] and of `now`; it
//! knows no HTTP, no JSON and no database. Dialects parse their requests into these calls and render
//! their results.

pub mod catalog;
pub mod error;
pub mod id;
pub mod moment;
pub mod name;
pub mod page;

mod keys;
mod ranked;

pub mod accounts;
pub mod apps;
pub mod contents;
pub mod copies;
pub mod files;
pub mod grants;
pub mod notes;
pub mod pictures;
pub mod sessions;
pub mod shares;
pub mod trash;
pub mod tree;
pub mod upload_sessions;
pub mod uploads;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
