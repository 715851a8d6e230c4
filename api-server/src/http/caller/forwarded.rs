//! What proxies say about the client: `X-Forwarded-For`, `-Proto`, `-Host`, and `Forwarded`.
//!
//! Each proxy adds the address that it was called from at the right end. So the list is walked from
//! the right, past the proxies that are trusted: the first address that is not one of theirs is the
//! client. Whatever stands further left, the client may have written itself.

use std::net::{IpAddr, SocketAddr};

use common::web::origin::{Authority, Scheme};
use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use super::CallerError;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What is known of the client after the proxies were heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forwarded {
    pub(super) address: IpAddr,
    pub(super) scheme: Option<Scheme>,
    pub(super) host: Option<Authority>,
}

impl Forwarded {
    /// Nobody said anything: the client is the peer.
    pub(super) fn nothing(peer: IpAddr) -> Self {
        Self {
            address: peer,
            scheme: None,
            host: None,
        }
    }
}

/// Reads the headers of a request from `peer`, a trusted proxy.
///
/// A proxy writes one family of headers and passes the other on as the client sent it; which one,
/// cannot be seen. So if both are there and name different clients, neither is believed.
pub(super) fn read(
    peer: IpAddr,
    headers: &HeaderMap,
    trusts: impl Fn(IpAddr) -> bool,
) -> Result<Forwarded, CallerError> {
    let is_there = |name: &HeaderName| headers.contains_key(name);
    let old = [FOR, PROTO, HOST].iter().any(is_there);
    match (old, is_there(&FORWARDED)) {
        (false, false) => Ok(Forwarded::nothing(peer)),
        (true, false) => separate(peer, headers, &trusts),
        (false, true) => combined(peer, headers, &trusts),
        (true, true) => {
            let (old, new) = (
                separate(peer, headers, &trusts)?,
                combined(peer, headers, &trusts)?,
            );
            if old.address != new.address {
                return Ok(Forwarded::nothing(peer));
            }
            Ok(Forwarded {
                address: old.address,
                scheme: old.scheme.filter(|_| old.scheme == new.scheme),
                host: old.host.clone().filter(|_| old.host == new.host),
            })
        }
    }
}

/// The three headers that most proxies write. Scheme and host come from the nearest proxy.
fn separate(
    peer: IpAddr,
    headers: &HeaderMap,
    trusts: impl Fn(IpAddr) -> bool,
) -> Result<Forwarded, CallerError> {
    let mut address = peer;
    for element in elements(headers, &FOR).rev() {
        // An element that is no address names nobody, so the client is whoever stands before it.
        let Some(next) = node(element) else { break };
        address = next;
        if !trusts(next) {
            break;
        }
    }
    let scheme = elements(headers, &PROTO).next_back();
    let host = elements(headers, &HOST)
        .next_back()
        .filter(|text| !text.is_empty());
    Ok(Forwarded {
        address,
        scheme: scheme.and_then(|text| text.parse().ok()),
        host: host.map(authority).transpose()?,
    })
}

/// The header of RFC 7239. Scheme and host come from the proxy that the client called.
fn combined(
    peer: IpAddr,
    headers: &HeaderMap,
    trusts: impl Fn(IpAddr) -> bool,
) -> Result<Forwarded, CallerError> {
    let mut found = Forwarded::nothing(peer);
    for element in elements(headers, &FORWARDED).rev() {
        let Some(next) = parameter(element, "for").and_then(node) else {
            break;
        };
        found.address = next;
        found.scheme = parameter(element, "proto").and_then(|text| text.parse().ok());
        found.host = parameter(element, "host").map(authority).transpose()?;
        if !trusts(next) {
            break;
        }
    }
    Ok(found)
}

fn authority(text: &str) -> Result<Authority, CallerError> {
    text.parse().map_err(CallerError::ForwardedHost)
}

/// The elements of all headers of a name, in order. A value that is not visible ASCII is one element
/// that says nothing.
fn elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(str::trim)
        .collect();
    values.into_iter()
}

/// The value of a parameter of one element, without its quotes. Hosts and addresses need no escapes,
/// so a value with some is one that says nothing.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then_some(bare)
    })
}

/// The address of `192.0.2.1`, `192.0.2.1:1234`, `2001:db8::1`, `[2001:db8::1]` or
/// `[2001:db8::1]:1234`.
fn node(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
        .or_else(bracketed)
        .map(|address: IpAddr| address.to_canonical())
}
