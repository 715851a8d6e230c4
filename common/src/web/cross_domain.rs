//! Domains as a cross-domain policy file names them: whose Flash may use a server.
//! Source: docs/api/weiyun.md §5.

use std::fmt;
use std::str::FromStr;

/// Bytes of a domain's name.
const DOMAIN_LEN_MAX: usize = 253;

/// A domain as a policy names it: `*`, `www.example.com` or `*.example.com`.
///
/// Has no byte that XML would have to escape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(Box<str>);

/// A text that a policy could not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a domain is *, a name or an address, or *. and a name")]
pub struct DomainError;

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let name = match text {
            "*" => return Ok(Self(text.into())),
            _ => text.strip_prefix("*.").unwrap_or(text),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if name.is_empty() || DOMAIN_LEN_MAX < text.len() || !name.bytes().all(is_name) {
            return Err(DomainError);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_cannot_leave_their_attribute() {
        for good in ["*", "example.com", "*.example.com", "192.0.2.7"] {
            assert!(good.parse::<Domain>().is_ok(), "{good}");
        }
        let long = "a".repeat(254);
        for bad in [
            "", "*.", "**", "a b", "a\"b", "<a>", "a.*.b", "图.cn", &long,
        ] {
            assert_eq!(bad.parse::<Domain>(), Err(DomainError), "{bad}");
        }
    }
}
