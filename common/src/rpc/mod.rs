//! Packets over connections: accepting, framing, draining.

mod accept;
mod connection;

pub use accept::{AcceptLimits, accept_connections, listen, refuse_busy};
pub use connection::{Connection, ConnectionError};
