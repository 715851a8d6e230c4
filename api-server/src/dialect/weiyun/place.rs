//! Where clients are to send bytes, and where they fetch them.

use common::web::origin::{Origin, Scheme};

use crate::http::caller::Caller;

/// A name or an address without scheme and port, and the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Place {
    /// The configured public place, else the one that was asked for.
    pub(super) fn of(caller: &Caller) -> Self {
        let base = caller.public_base();
        // What is configured was checked at the start, so that this always is an origin.
        let origin = Origin::of_url(&base)
            .map_or_else(|_| caller.asked_for().clone(), |(origin, _path)| origin);
        let own = match origin.scheme() {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let authority = origin.authority();
        Self {
            host: authority.host().to_owned(),
            port: authority.port().unwrap_or(own),
        }
    }
}
