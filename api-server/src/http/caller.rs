//! Who asks, and under which name the server was asked.
//!
//! The client's address limits what can be tried per minute and stands in the audit log; scheme and
//! authority make links; the `Origin` tells a foreign page from our own. All of them may come from
//! headers, which anybody can write. So a header counts only if a proxy that the operator trusts has
//! put it there, and everything that is repeated to clients is parsed first.
//!
//! Source: RFC 7239 (`Forwarded`), docs/api/image-host.md (tokens, CORS, URLs).

mod forwarded;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use common::web::network::Network;
use common::web::origin::{Authority, AuthorityError, Origin, Scheme};
use http::header::{HOST, HeaderValue, ORIGIN};
use http::{HeaderMap, request};

/// What tells who asks.
#[derive(Clone, Debug)]
pub(crate) struct CallerRules {
    /// Proxies whose word counts.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Origins besides our own whose pages may use the API.
    pub(crate) allowed_origins: Vec<Origin>,
    /// What links begin with, without a slash at the end; `None` for the name that was asked for.
    pub(crate) public_url: Option<Arc<str>>,
    /// How clients reach the port.
    pub(crate) scheme: Scheme,
    /// What stands in for a `Host` that was not sent.
    pub(crate) listening_on: SocketAddr,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    address: IpAddr,
    base: Origin,
    public_url: Option<Arc<str>>,
    provenance: Provenance,
}

/// Where the page is from that made a browser send the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Provenance {
    /// No page, as far as can be known: browsers name it with every POST, other clients never do.
    NotSaid,
    /// One of ours.
    Own,
    /// One that the operator allows; the value as it was sent.
    Allowed(HeaderValue),
    /// One of somebody else, or of nobody.
    Foreign,
}

/// A request whose `Host`, or what a trusted proxy says in its place, is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallerError {
    #[error("the request has several Host headers")]
    SeveralHosts,
    #[error("the request's Host is {0}")]
    Host(AuthorityError),
    #[error("the proxy's word for the request's host is {0}")]
    ForwardedHost(AuthorityError),
}

impl CallerRules {
    /// Who asks by the request `head`, which came from `peer`.
    ///
    /// # Errors
    ///
    /// [`CallerError`]: such a request is to be refused, since links would be made of it.
    pub(crate) fn identify(
        &self,
        peer: IpAddr,
        head: &request::Parts,
    ) -> Result<Caller, CallerError> {
        let peer = peer.to_canonical();
        let forwarded = if self.trusts(peer) {
            forwarded::read(peer, &head.headers, |address| self.trusts(address))?
        } else {
            forwarded::Forwarded::nothing(peer)
        };
        let host = host(head)?;
        let provenance = self.provenance(&head.headers, host.as_ref(), forwarded.host.as_ref());
        let authority = forwarded
            .host
            .or(host)
            .unwrap_or_else(|| self.listening_on.into());
        Ok(Caller {
            address: forwarded.address,
            base: Origin::new(forwarded.scheme.unwrap_or(self.scheme), authority),
            public_url: self.public_url.clone(),
            provenance,
        })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(address))
    }

    /// Compares hosts, not ports: proxies often pass a `Host` on without its port, and pages of other
    /// ports of a host can use its cookies anyway.
    fn provenance(
        &self,
        headers: &HeaderMap,
        host: Option<&Authority>,
        forwarded_host: Option<&Authority>,
    ) -> Provenance {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(value) = origins.next() else {
            return Provenance::NotSaid;
        };
        // `null`, which pages in sandboxes and files on disks send, is no origin.
        let origin = match value.to_str().map(str::parse::<Origin>) {
            Ok(Ok(origin)) if origins.next().is_none() => origin,
            _ => return Provenance::Foreign,
        };
        if self.allowed_origins.contains(&origin) {
            return Provenance::Allowed(value.clone());
        }
        let is_host = |authority: &Authority| authority.host() == origin.authority().host();
        let public = self.public_url.as_deref().map(Origin::of_url);
        let is_public = matches!(&public, Some(Ok((public, _))) if is_host(public.authority()));
        if is_public || host.is_some_and(is_host) || forwarded_host.is_some_and(is_host) {
            return Provenance::Own;
        }
        // Some proxies, nginx as it comes among them, ask for the address that they were told and not
        // for the name that the client used. If that is a loopback address, there is nothing to compare
        // with, unless the browser itself says that the page is another site's.
        let hidden = forwarded_host.is_none()
            && host.is_some_and(Authority::is_loopback)
            && !origin.authority().is_loopback();
        let other_site = headers
            .get("sec-fetch-site")
            .is_some_and(|value| value == "cross-site");
        if hidden && !other_site {
            return Provenance::Own;
        }
        Provenance::Foreign
    }
}

impl Caller {
    /// The client's address: the peer's, or what trusted proxies say. IPv4 is never written as IPv6.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// What links begin with, without a slash at the end. Has no blank, quote or control character.
    pub(crate) fn public_base(&self) -> String {
        match &self.public_url {
            Some(url) => url.to_string(),
            None => self.base.to_string(),
        }
    }

    /// What the client asked for: scheme, host and port.
    pub(crate) fn asked_for(&self) -> &Origin {
        &self.base
    }

    /// Where the page is from that made a browser send the request.
    pub(crate) fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Whether a page of somebody else made the browser send this. Calls that may be proved by a cookie
    /// are refused then, since a browser adds the cookie whoever's page it is.
    pub(crate) fn is_from_foreign_page(&self) -> bool {
        self.provenance == Provenance::Foreign
    }
}

/// The name that the request itself asks for. Source: RFC 9112 §3.2.
fn host(head: &request::Parts) -> Result<Option<Authority>, CallerError> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Err(CallerError::SeveralHosts);
    }
    // A target with a name in it wins over the header.
    let text = match (head.uri.authority(), host) {
        (Some(authority), _) => authority.as_str(),
        (None, None) => return Ok(None),
        (None, Some(value)) => value
            .to_str()
            .map_err(|_| CallerError::Host(AuthorityError::Host))?,
    };
    // HTTP/1.1 without a name to ask for has an empty Host.
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(CallerError::Host)
}

#[cfg(test)]
mod tests;
