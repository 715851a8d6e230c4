//! Which clients may connect: the setting `allow_hosts` as `FastDFS` has it.
//!
//! Entries are parsed with the configuration and names resolved once, at the start. Nodes of the
//! cluster are not bound by the list: they prove who they are.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;
use tracing::warn;

use crate::web::network::{Network, NetworkError};

/// Addresses or names that one entry can stand for.
const HOSTS_PER_PATTERN_MAX: usize = 1024;

/// Bytes of a host name, as DNS limits it.
const NAME_LEN_MAX: usize = 253;

/// Time for one name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// One entry: `*`, an address, a network, a host name, or one of these with numbers in brackets, such
/// as `10.0.1.[1-15,20]` or `host[01-08].example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: Box<str>,
    meaning: Meaning,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Everybody,
    Network(Network),
    Hosts(Vec<Host>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(Box<str>),
}

/// Why a text is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// Neither an address nor a name.
    #[error("neither an IP address nor a host name")]
    Host,
    /// A slash, but no network.
    #[error("not a network such as 192.168.5.64/26")]
    Network(#[source] NetworkError),
    /// Brackets that hold no numbers.
    #[error("brackets hold numbers and ranges such as [1-15,20], once in an entry")]
    Brackets,
    /// A range that ends before it begins.
    #[error("a range of numbers goes upwards")]
    Range,
    /// More than anybody would write.
    #[error("an entry stands for {HOSTS_PER_PATTERN_MAX} hosts at most; write a network instead")]
    TooMany,
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let meaning = if text == "*" {
            Meaning::Everybody
        } else if text.contains('/') {
            Meaning::Network(text.parse().map_err(HostPatternError::Network)?)
        } else if text.contains(['[', ']']) {
            Meaning::Hosts(expanded(text)?)
        } else {
            Meaning::Hosts(vec![host(text)?])
        };
        Ok(Self {
            text: text.into(),
            meaning,
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An address, or a name that could be looked up.
fn host(text: &str) -> Result<Host, HostPatternError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Host::Address(address.to_canonical()));
    }
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_inner)
    };
    // What ends in a number is an address that was mistyped.
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    if NAME_LEN_MAX < text.len() || is_number || !text.split('.').all(is_label) {
        return Err(HostPatternError::Host);
    }
    Ok(Host::Name(text.into()))
}

/// All hosts of an entry with brackets.
fn expanded(text: &str) -> Result<Vec<Host>, HostPatternError> {
    let malformed = HostPatternError::Brackets;
    let (before, rest) = text.split_once('[').ok_or(malformed)?;
    let (inside, behind) = rest.split_once(']').ok_or(malformed)?;
    if [before, inside, behind]
        .iter()
        .any(|part| part.contains(['[', ']']))
    {
        return Err(malformed);
    }
    let mut hosts = Vec::new();
    for part in inside.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim(), last.trim());
        let (from, to) = (number(first)?, number(last)?);
        if to < from {
            return Err(HostPatternError::Range);
        }
        if HOSTS_PER_PATTERN_MAX <= usize::from(to - from) + hosts.len() {
            return Err(HostPatternError::TooMany);
        }
        // Leading zeros are part of names: host01.
        let width = first.len();
        for number in from..=to {
            hosts.push(host(&format!("{before}{number:0width$}{behind}"))?);
        }
    }
    Ok(hosts)
}

/// A decimal number without a sign.
fn number(text: &str) -> Result<u16, HostPatternError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten();
    number.ok_or(HostPatternError::Brackets)
}

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHosts {
    everybody: bool,
    networks: Vec<Network>,
    addresses: BTreeSet<IpAddr>,
    /// The machine that this runs on.
    itself: bool,
}

/// Everybody, as without the setting.
impl Default for AllowedHosts {
    fn default() -> Self {
        Self {
            everybody: true,
            networks: Vec::new(),
            addresses: BTreeSet::new(),
            itself: true,
        }
    }
}

impl AllowedHosts {
    /// Looks the names up. One that cannot be found lets nobody in, and does not keep the server from
    /// starting.
    pub async fn resolve(patterns: &[HostPattern]) -> Self {
        let mut allowed = Self {
            everybody: false,
            ..Self::default()
        };
        for pattern in patterns {
            match &pattern.meaning {
                Meaning::Everybody => allowed.everybody = true,
                Meaning::Network(network) => allowed.networks.push(*network),
                Meaning::Hosts(hosts) => {
                    for host in hosts {
                        allowed.add(host).await;
                    }
                }
            }
        }
        allowed
    }

    /// Not even the machine itself, for tests, whose clients are all there.
    #[cfg(any(test, feature = "testing"))]
    pub fn nobody() -> Self {
        Self {
            everybody: false,
            itself: false,
            ..Self::default()
        }
    }

    async fn add(&mut self, host: &Host) {
        let name = match host {
            Host::Address(address) => {
                self.addresses.insert(*address);
                return;
            }
            Host::Name(name) => name,
        };
        // The port has no meaning here.
        match timeout(LOOKUP_TIMEOUT, lookup_host((&**name, 0))).await {
            Ok(Ok(found)) => self
                .addresses
                .extend(found.map(|address| address.ip().to_canonical())),
            Ok(Err(error)) => warn!(
                %name, %error,
                "a host of allow_hosts is not found and cannot connect; \
                 remedy: correct the name or the name service, then start again"
            ),
            Err(_) => warn!(
                %name,
                "the name service does not answer, so a host of allow_hosts cannot connect; \
                 remedy: see to it, then start again"
            ),
        }
    }

    /// Whether a client at `peer` may connect to our address `local`. The machine itself always may.
    pub fn allows(&self, peer: IpAddr, local: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.everybody
            || self.itself && (peer.is_loopback() || peer == local.to_canonical())
            || self.addresses.contains(&peer)
            || self.networks.iter().any(|network| network.contains(peer))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOCAL: &str = "10.9.9.9";

    async fn allows(patterns: &[&str], peer: &str) -> bool {
        let patterns: Vec<HostPattern> =
            patterns.iter().map(|text| text.parse().unwrap()).collect();
        let allowed = AllowedHosts::resolve(&patterns).await;
        allowed.allows(peer.parse().unwrap(), LOCAL.parse().unwrap())
    }

    #[tokio::test]
    async fn entries_mean_what_they_mean_in_fastdfs() {
        for (patterns, peer, expected) in [
            (&["*"][..], "203.0.113.9", true),
            (&["10.0.1.5"], "10.0.1.5", true),
            (&["10.0.1.5"], "::ffff:10.0.1.5", true),
            (&["10.0.1.5"], "10.0.1.6", false),
            (&["10.0.1.[1-15,20]"], "10.0.1.1", true),
            (&["10.0.1.[1-15,20]"], "10.0.1.15", true),
            (&["10.0.1.[1-15,20]"], "10.0.1.16", false),
            (&["10.0.1.[1-15,20]"], "10.0.1.20", true),
            (&["10.[0-3].1.7"], "10.3.1.7", true),
            (&["192.168.5.64/26"], "192.168.5.127", true),
            (&["192.168.5.64/26"], "192.168.5.128", false),
            (&["fd00::/8", "10.0.0.1"], "fd12::1", true),
            (&["fd00::/8", "10.0.0.1"], "10.0.0.1", true),
            (&["localhost"], "10.0.0.1", false),
            // The machine itself, whatever the list says.
            (&["10.0.0.1"], "127.0.0.1", true),
            (&["10.0.0.1"], "::1", true),
            (&["10.0.0.1"], LOCAL, true),
            (&[], "10.0.0.1", false),
        ] {
            assert_eq!(
                allows(patterns, peer).await,
                expected,
                "{patterns:?} {peer}"
            );
        }
    }

    #[test]
    fn names_are_counted_with_their_leading_zeros() {
        let pattern: HostPattern = "host[08-10,3].example.com".parse().unwrap();
        let name = |text: &str| Host::Name(text.into());
        assert_eq!(
            pattern.meaning,
            Meaning::Hosts(vec![
                name("host08.example.com"),
                name("host09.example.com"),
                name("host10.example.com"),
                name("host3.example.com"),
            ])
        );
        assert_eq!(pattern.to_string(), "host[08-10,3].example.com");
    }

    #[test]
    fn what_is_no_entry_is_refused_with_its_reason() {
        let network = HostPatternError::Network;
        for (text, expected) in [
            ("", HostPatternError::Host),
            ("10.0.1", HostPatternError::Host),
            ("10.0.1.300", HostPatternError::Host),
            ("10.0.1.*", HostPatternError::Host),
            ("a b", HostPatternError::Host),
            ("host..example", HostPatternError::Host),
            ("10.0.1.[250-256]", HostPatternError::Host),
            ("10.0.0.0/33", network(NetworkError::Prefix)),
            ("10.0.0.1/8", network(NetworkError::HostBits)),
            ("10.0.1.[1-15", HostPatternError::Brackets),
            ("10.0.1.1-15]", HostPatternError::Brackets),
            ("10.0.1.[]", HostPatternError::Brackets),
            ("10.0.1.[1,]", HostPatternError::Brackets),
            ("10.0.1.[+1]", HostPatternError::Brackets),
            ("10.0.[0-1].[1-2]", HostPatternError::Brackets),
            ("10.0.1.[70000]", HostPatternError::Brackets),
            ("10.0.1.[15-1]", HostPatternError::Range),
            ("host[0-65535]", HostPatternError::TooMany),
            ("host[0-1000,2000-2100]", HostPatternError::TooMany),
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_entry_or_an_error(text in "[0-9a-z.:/*,\\[\\]-]{0,40}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.to_string(), text);
                if let Meaning::Hosts(hosts) = pattern.meaning {
                    prop_assert!((1..=HOSTS_PER_PATTERN_MAX).contains(&hosts.len()));
                }
            }
        }

        #[test]
        fn a_range_holds_exactly_its_numbers(
            ranges in proptest::collection::vec((0_u8..=255, 0_u8..=255), 1..6),
            asked in 0_u8..=255,
        ) {
            let ordered = ranges.iter().map(|(one, other)| (one.min(other), one.max(other)));
            let ordered: Vec<_> = ordered.collect();
            let texts: Vec<String> =
                ordered.iter().map(|(from, to)| format!("{from}-{to}")).collect();
            let text = format!("10.0.1.[{}]", texts.join(","));
            let total: usize = ordered.iter().map(|(from, to)| usize::from(**to - **from) + 1).sum();
            match text.parse::<HostPattern>() {
                Ok(HostPattern { meaning: Meaning::Hosts(hosts), .. }) => {
                    let address = IpAddr::from([10, 0, 1, asked]);
                    let is_inside = ordered.iter().any(|(from, to)| (**from..=**to).contains(&asked));
                    prop_assert_eq!(hosts.contains(&Host::Address(address)), is_inside);
                }
                other => {
                    prop_assert_eq!(other, Err(HostPatternError::TooMany));
                    prop_assert!(HOSTS_PER_PATTERN_MAX < total);
                }
            }
        }
    }
}
