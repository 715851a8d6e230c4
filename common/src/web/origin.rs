//! Where a page came from and what a server is called: `https://img.example.com:8443`.
//!
//! Clients and proxies send these texts, and answers repeat them in headers and links. So both are
//! parsed by a grammar that has no blank, quote, comma, semicolon or control character.
//!
//! Source: RFC 9110 §4.2 and §7.2 (`Host`), RFC 6454 §7 (`Origin`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::limits;

/// Whether bytes are encrypted on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// They are not.
    Http,
    /// They are.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Any case, as proxies write it.
impl FromStr for Scheme {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        [Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
            .ok_or(AuthorityError::Scheme)
    }
}

/// Why a text is no host, or no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Longer than any host name.
    #[error("longer than {} bytes", limits::HTTP_AUTHORITY_LEN_MAX)]
    TooLong,
    /// No host, or one with bytes that host names do not have.
    #[error("not a host name or address")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("not a port")]
    Port,
    /// Neither http nor https.
    #[error("neither http nor https")]
    Scheme,
    /// More than scheme, host and port.
    #[error("more than scheme, host and port")]
    Path,
}

/// A host and perhaps a port: `img.example.com`, `192.0.2.7:8080`, `[::1]`.
///
/// * at most [`limits::HTTP_AUTHORITY_LEN_MAX`] bytes, lower case
/// * the host is an IPv6 address in brackets, or letters, digits, `.`, `-` and `_`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    host: Box<str>,
    port: Option<u16>,
}

impl Authority {
    /// The name or address, IPv6 with its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if it is not the scheme's own.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it names the machine that asks: `localhost`, `127.0.0.1`, `[::1]`.
    pub fn is_loopback(&self) -> bool {
        if &*self.host == "localhost" || self.host.ends_with(".localhost") {
            return true;
        }
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare.parse()
            .is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
    }
}

impl FromStr for Authority {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        if limits::HTTP_AUTHORITY_LEN_MAX < text.len() {
            return Err(AuthorityError::TooLong);
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(AuthorityError::Host)?;
            let address: Ipv6Addr = address.parse().map_err(|_| AuthorityError::Host)?;
            (format!("[{address}]"), port)
        } else {
            let colon = text.find(':').unwrap_or(text.len());
            let (host, port) = text.split_at_checked(colon).ok_or(AuthorityError::Host)?;
            (name(host)?, port)
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return Err(AuthorityError::Host),
            // RFC 3986 §3.2.3: a colon without a port means the scheme's own.
            Some("") => None,
            Some(digits) => Some(number(digits).ok_or(AuthorityError::Port)?),
        };
        Ok(Self {
            host: host.into(),
            port,
        })
    }
}

impl From<std::net::SocketAddr> for Authority {
    fn from(address: std::net::SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => "127.0.0.1".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => "[::1]".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self {
            host: host.into(),
            port: Some(address.port()),
        }
    }
}

fn name(host: &str) -> Result<String, AuthorityError> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err(AuthorityError::Host);
    }
    Ok(host.to_ascii_lowercase())
}

/// Decimal digits only; `parse` alone would take a sign.
fn number(digits: &str) -> Option<u16> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|port| *port != 0)
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match self.port {
            None => Ok(()),
            Some(port) => write!(f, ":{port}"),
        }
    }
}

/// A scheme and an authority: what browsers send as `Origin`, and what a link begins with.
///
/// * a port that is the scheme's own is not kept, so equal origins are equal
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    /// The origin of what `authority` serves with `scheme`.
    pub fn new(scheme: Scheme, mut authority: Authority) -> Self {
        authority.port = authority.port.filter(|port| *port != scheme.default_port());
        Self { scheme, authority }
    }

    /// The origin of an `http` or `https` URL, and what follows it.
    ///
    /// # Errors
    ///
    /// What is wrong with its beginning.
    pub fn of_url(url: &str) -> Result<(Self, &str), AuthorityError> {
        let (scheme, rest) = url.split_once("://").ok_or(AuthorityError::Scheme)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).ok_or(AuthorityError::Host)?;
        Ok((Self::new(scheme.parse()?, authority.parse()?), rest))
    }

    /// Whether it is encrypted.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host and a port that is not the scheme's own.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl FromStr for Origin {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        match Self::of_url(text)? {
            (origin, "") => Ok(origin),
            _ => Err(AuthorityError::Path),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn authorities_are_hosts_with_or_without_a_port() {
        for (text, expected) in [
            ("img.example.com", "img.example.com"),
            ("IMG.Example.com:8080", "img.example.com:8080"),
            ("hayloft_api", "hayloft_api"),
            ("192.0.2.7:1", "192.0.2.7:1"),
            ("[2001:DB8::1]:443", "[2001:db8::1]:443"),
            ("[::1]", "[::1]"),
            ("x:", "x"),
        ] {
            assert_eq!(text.parse::<Authority>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_could_end_up_in_a_header_or_page_is_no_authority() {
        let long = "a".repeat(300);
        for text in [
            "",
            ":80",
            "a b",
            "a\"b",
            "a'b",
            "a;b",
            "a,b",
            "a/b",
            "a?b",
            "a@b",
            "a#b",
            "a<b",
            "a\r\nb",
            "a:0",
            "a:65536",
            "a:+1",
            "a:b",
            "a:1:2",
            "[::1",
            "[::1]x",
            "[x]",
            "::1",
            "ä",
            "a%41",
            long.as_str(),
        ] {
            assert!(text.parse::<Authority>().is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_known_by_name_and_by_address() {
        for (text, expected) in [
            ("localhost:8080", true),
            ("127.0.0.1", true),
            ("127.9.9.9:80", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]", true),
            ("app.localhost", true),
            ("localhost.example.com", false),
            ("10.0.0.1", false),
            ("127.0.0.1.example.com", false),
        ] {
            let authority: Authority = text.parse().unwrap();
            assert_eq!(authority.is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn origins_with_and_without_the_usual_port_are_the_same() {
        let origin = |text: &str| text.parse::<Origin>().unwrap();
        assert_eq!(origin("https://A.example"), origin("HTTPS://a.example:443"));
        assert_ne!(origin("https://a.example"), origin("http://a.example"));
        assert_ne!(origin("http://a.example"), origin("http://a.example:8080"));
        assert_eq!(origin("http://a:80").to_string(), "http://a");
        for text in [
            "null",
            "",
            "a.example",
            "ftp://a",
            "http://",
            "http://a/",
            "http://a b",
            "file://",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
        let (origin, rest) = Origin::of_url("https://a.example:8443/base/x").unwrap();
        assert_eq!(origin.to_string(), "https://a.example:8443");
        assert_eq!(rest, "/base/x");
    }

    proptest! {
        #[test]
        fn what_parses_prints_back_and_is_harmless(text in "[ -~]{0,40}") {
            if let Ok(authority) = text.parse::<Authority>() {
                let printed = authority.to_string();
                prop_assert_eq!(printed.parse::<Authority>(), Ok(authority));
                let harmless = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
                prop_assert!(printed.chars().all(harmless));
            }
        }
    }
}
