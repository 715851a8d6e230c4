//! The image-host API (图床). Source: docs/api/image-host.md.

#![allow(
    dead_code,
    reason = "requests are read here before the handlers that answer them stand beside it"
)]

pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod json;
