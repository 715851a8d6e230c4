//! The Weiyun upload API (微云), with the token endpoints that it needs. Source: docs/api/weiyun.md.

mod parameters;
mod route;

mod application;
mod form;
mod hex;
mod key;
mod nonces;
mod packet;
mod signature;

mod crossdomain;
mod model;
mod oauth;
mod refusal;
mod ret;
mod time;
