//! Where a server listens, as people and trackers write it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use crate::wire::tracker::NodeAddress;

/// Port of a tracker when none is written.
pub const TRACKER_PORT: u16 = 22122;

/// A host, by name or address, and a port. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: Arc<str>,
    port: u16,
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing where the host should be.
    #[error("no host; write host:port, for example 127.0.0.1:22122")]
    Host,
    /// The part behind the last colon is no port.
    #[error("bad port; write host:port with a port from 1 to 65535")]
    Port,
    /// A bare IPv6 address, where the port cannot be told from the rest.
    #[error("an IPv6 address needs square brackets, for example [::1]:22122")]
    Brackets,
}

impl Address {
    /// Puts an address together. `host` carries no brackets.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// The host without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Parses `host`, `host:port`, `[v6]` or `[v6]:port`.
    pub fn parse_with_default_port(text: &str, default: u16) -> Result<Self, AddressError> {
        let text = text.trim();
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or(AddressError::Brackets)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(AddressError::Port),
            }
        } else {
            match text.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(AddressError::Brackets),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        if host.is_empty() {
            return Err(AddressError::Host);
        }
        let port = match port {
            None => default,
            Some(text) => text.parse().map_err(|_| AddressError::Port)?,
        };
        if port == 0 {
            return Err(AddressError::Port);
        }
        Ok(Self::new(host, port))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_with_default_port(text, TRACKER_PORT)
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(address: std::net::SocketAddr) -> Self {
        Self::new(&address.ip().to_string(), address.port())
    }
}

impl From<NodeAddress> for Address {
    fn from(node: NodeAddress) -> Self {
        Self::new(node.address.as_str(), node.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(host)) => write!(f, "[{host}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_back_and_the_port_may_be_left_out() {
        for text in ["127.0.0.1:1", "tracker.example:22122", "[::1]:9"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("host".parse::<Address>().unwrap().to_string(), "host:22122");
        assert_eq!("[::1]".parse::<Address>().unwrap().port(), TRACKER_PORT);
    }

    #[test]
    fn bad_addresses_say_what_to_write() {
        for (text, error) in [
            ("", AddressError::Host),
            (":22122", AddressError::Host),
            ("host:", AddressError::Port),
            ("host:0", AddressError::Port),
            ("host:65536", AddressError::Port),
            ("[::1]x", AddressError::Port),
            ("::1", AddressError::Brackets),
            ("[::1", AddressError::Brackets),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}
