//! The HTTP APIs that are built over the core: one module for each family of documented requests.

pub(crate) mod console;
pub(crate) mod image_host;
pub(crate) mod local_time;
pub(crate) mod pan123;
pub(crate) mod weiyun;
