//! What the integration tests share: a server process, raw packets, raw HTTP, seeded content.
//!
//! Nothing here uses the project's own client or codecs, so that a mistake made twice is found.

pub(crate) mod chance;
pub(crate) mod deadline;
pub(crate) mod home;
pub(crate) mod http;
pub(crate) mod server;
pub(crate) mod wire;
