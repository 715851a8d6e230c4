//! A tracker over real sockets: every command, good days and bad ones.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "all of this crate is tests, helpers included"
)]

mod commands;
mod connections;
mod membership;
mod operator;
mod peers;
#[path = "../../../tests/support/ports.rs"]
mod ports;
mod strangers;
mod support;
mod tls;
