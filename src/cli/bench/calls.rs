//! The calls of a run in which each operation is one call of an HTTP API.

use std::sync::Arc;

use common::client::Address;

use super::api::Api;
use super::http::HttpLink;
use super::link::OpError;
use super::pan::PanCalls;

/// Of which API.
#[derive(Debug)]
pub(super) enum Calls {
    ImageHost(Api),
    Pan(PanCalls),
}

impl Calls {
    /// Where to connect.
    pub(super) fn address(&self) -> &Arc<Address> {
        match self {
            Self::ImageHost(api) => api.address(),
            Self::Pan(calls) => calls.address(),
        }
    }

    /// Makes the call with number `n`; the bytes of content that it moved.
    pub(super) async fn call(&self, link: &mut HttpLink, n: u64) -> Result<u64, OpError> {
        match self {
            Self::ImageHost(api) => api.call(link, n).await,
            Self::Pan(calls) => calls.call(link, n).await,
        }
    }
}
