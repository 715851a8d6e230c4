//! Packets over connections: accepting, framing, draining; and between nodes authentication,
//! encryption and many requests at once.

mod accept;
mod connection;
mod member_stream;

pub mod allowed_hosts;
pub mod auth;
pub mod mux;

pub use accept::{AcceptLimits, accept_connections, listen, refuse_busy};
pub use connection::{Connection, ConnectionError};
pub use member_stream::{MemberReader, MemberStream, MemberWriter, PlainOrTls};
