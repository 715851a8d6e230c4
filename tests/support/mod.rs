//! What the integration tests share: a server process, raw packets, raw HTTP, seeded content.
//!
//! Nothing here uses the project's own client or codecs, so that a mistake made twice is found.

pub(crate) mod chance;
pub(crate) mod deadline;
pub(crate) mod home;
pub(crate) mod http;
pub(crate) mod image_host;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod server;
pub(crate) mod wire;

use std::fmt::Display;
use std::io::Write as _;

/// Says a figure or a warning to whoever watches. What a passing test prints is hidden, so this
/// goes around the harness.
pub(crate) fn tell(line: impl Display) {
    // Nobody may be listening, which is fine.
    let _ = writeln!(std::io::stderr(), "{line}");
}
