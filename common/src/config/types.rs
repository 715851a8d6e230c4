//! Types that only settings have: sizes, shares of a disk, hosts, and choices by name.

use std::fmt;
use std::str::FromStr;

use super::section::Form;
use super::value::{Scalar, number_and_unit};
use crate::client::Address;
use crate::limits;
use crate::rpc::allowed_hosts::HostPattern;
use crate::web::network::Network;
use crate::web::origin::Origin;

/// Bytes of a host name, as DNS limits it.
const HOST_LEN_MAX: usize = 253;

/// Bytes of the URL of a database.
const DATABASE_URL_LEN_MAX: usize = 4096;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        Self::parse(text).ok_or(ByteSizeError)
    }
}

/// A text that is no number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", ByteSize::WANTED)]
pub struct ByteSizeError;

impl Scalar for ByteSize {
    const WANTED: &'static str = "a size such as \"64MiB\", \"10GiB\" (powers of 1024), \"10GB\" (powers of 1000) or \"4096\"";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return None,
        };
        number.checked_mul(factor).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        for (shift, unit) in UNITS {
            let count = self.0 >> shift;
            if count != 0 && count << shift == self.0 {
                return write!(f, "{count}{unit}");
            }
        }
        write!(f, "{}", self.0)
    }
}

/// Space that uploads never use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservedSpace {
    /// Over all store paths of a node; each path's share is an equal part.
    Bytes(u64),
    /// Of the size of each store path, 0 to 99.
    Percent(u8),
}

impl Scalar for ReservedSpace {
    const WANTED: &'static str = "a size such as \"10GiB\" or a share such as \"10%\" (0% to 99%)";

    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            None => ByteSize::parse(text).map(|size| Self::Bytes(size.0)),
            Some(percent) => percent
                .trim_end()
                .parse()
                .ok()
                .filter(|percent| *percent <= 99)
                .map(Self::Percent),
        }
    }
}

impl fmt::Display for ReservedSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => ByteSize(*bytes).fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Names are resolved each time a connection is made, so only the form is checked here.
impl Scalar for Address {
    const WANTED: &'static str = "a host and port such as \"tracker1:22122\"";

    fn parse(text: &str) -> Option<Self> {
        let address: Self = text.parse().ok()?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        (address.host().len() <= HOST_LEN_MAX && address.host().bytes().all(is_host))
            .then_some(address)
    }
}

/// A choice by name: the variants, their names and the list for messages in one place.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        $Name:ident as $wanted:literal {
            $( $(#[doc = $doc:literal])+ $Variant:ident = $text:literal, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name {
            $( $(#[doc = $doc])+ $Variant, )+
        }

        impl $Name {
            /// The name in the configuration.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Self::$Variant => $text, )+
                }
            }
        }

        impl Scalar for $Name {
            const WANTED: &'static str = $wanted;

            fn parse(text: &str) -> Option<Self> {
                match text {
                    $( $text => Some(Self::$Variant), )+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

choice! {
    /// When an upload is acknowledged.
    Durability as "\"always\", \"interval\" or \"os\"" {
        /// After the bytes are on the disk.
        Always = "always",
        /// After the bytes are written; a sync follows every `sync_interval`.
        Interval = "interval",
        /// After the bytes are written; the operating system syncs when it likes.
        Os = "os",
    }
}

choice! {
    /// What is done when fewer nodes than wanted can keep a change.
    WhenTooFew as "\"degrade\" or \"refuse\"" {
        /// Those that can keep it.
        Degrade = "degrade",
        /// Nobody keeps it, and the client is told.
        Refuse = "refuse",
    }
}

choice! {
    /// How the tracker chooses the group of an upload that names none.
    StoreLookup as "\"round_robin\", \"group\" or \"load_balance\"" {
        /// One after the other, sorted by name.
        RoundRobin = "round_robin",
        /// Always `store_group`.
        Group = "group",
        /// The one with the most free space.
        LoadBalance = "load_balance",
    }
}

choice! {
    /// How the tracker chooses the node of a group for an upload.
    StoreServer as "\"round_robin\", \"first\" or \"priority\"" {
        /// One after the other, sorted by number.
        RoundRobin = "round_robin",
        /// The first one, sorted by number.
        First = "first",
        /// The one with the smallest `upload_priority`.
        Priority = "priority",
    }
}

choice! {
    /// How the tracker chooses the volume path for an upload.
    StorePathChoice as "\"round_robin\" or \"load_balance\"" {
        /// One after the other.
        RoundRobin = "round_robin",
        /// The one with the most free space.
        LoadBalance = "load_balance",
    }
}

choice! {
    /// Which layouts of group and storage listings clients of one address get (docs/wire.md).
    Listing as "\"current\", \"legacy\" or \"legacy_v4\"" {
        /// Records of 113 and 487 or 517 bytes.
        Current = "current",
        /// Records of 105 and 612 bytes, for monitoring pages built on old clients.
        Legacy = "legacy",
        /// Records of 105 and 600 bytes, for the oldest.
        LegacyV4 = "legacy_v4",
    }
}

choice! {
    /// How log lines look.
    LogFormat as "\"text\" or \"json\"" {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

choice! {
    /// Who may open an account.
    Registration as "\"open\" or \"closed\"" {
        /// Everybody.
        Open = "open",
        /// Nobody.
        Closed = "closed",
    }
}

choice! {
    /// Whose content may be had by naming its digest (docs/api/pan123.md).
    InstantUpload as "\"global\" or \"user\"" {
        /// Everybody's.
        Global = "global",
        /// One's own.
        User = "user",
    }
}

choice! {
    /// What becomes of writes without a token (docs/api/image-host.md).
    TokenlessWrites as "\"bound\", \"compat\", \"ticket\" or \"strict\"" {
        /// Accepted from the address of a live session of the named user.
        Bound = "bound",
        /// Accepted.
        Compat = "compat",
        /// An upload is accepted for which the named user has asked with a token.
        Ticket = "ticket",
        /// Refused.
        Strict = "strict",
    }
}

impl Scalar for Network {
    const WANTED: &'static str = "an address such as \"192.0.2.7\" or a network such as \"10.0.0.0/8\" whose bits behind the prefix are zero";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Scalar for HostPattern {
    const WANTED: &'static str = "\"*\", an address, a network, a host name, or numbers in brackets as in \"10.0.1.[1-15,20]\"";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// Commas in brackets belong to an element.
    fn elements(text: &str) -> Vec<&str> {
        let mut is_inside = false;
        text.split(|letter| {
            match letter {
                '[' => is_inside = true,
                ']' => is_inside = false,
                _ => {}
            }
            letter == ',' && !is_inside
        })
        .collect()
    }
}

impl Scalar for Origin {
    const WANTED: &'static str = "an origin such as \"https://app.example.com\" or \"http://192.0.2.7:3000\", without a path";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Where a database is, in the way that `PostgreSQL`'s programs write it. It may hold a password, so it
/// prints itself without.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Box<str>);

impl DatabaseUrl {
    /// All of it. For whoever connects, and not for messages.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        match rest {
            Some(rest) if is_plain && !rest.is_empty() && text.len() <= DATABASE_URL_LEN_MAX => {
                Ok(Self(text.into()))
            }
            _ => Err(DatabaseUrlError),
        }
    }
}

/// A text that is no URL of a database. It does not repeat the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", CatalogPlace::WANTED)]
pub struct DatabaseUrlError;

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Parameters may hold a password, too.
        let base = self.0.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = base.split_once("://").unwrap_or(("postgres", ""));
        let Some((user, place)) = rest.rsplit_once('@') else {
            return write!(f, "{scheme}://{rest}");
        };
        let user = user.split(':').next().unwrap_or_default();
        write!(f, "{scheme}://{user}@{place}")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// Where the API server keeps what it knows about people and files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogPlace {
    /// In the data directory, for this server alone.
    Embedded,
    /// In a database, for all servers that name it.
    Database(DatabaseUrl),
}

impl Scalar for CatalogPlace {
    const WANTED: &'static str =
        "\"embedded\" or \"postgres://user:password@host:5432/database?sslmode=verify-full\"";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        match text {
            "embedded" => Some(Self::Embedded),
            url => url.parse().ok().map(Self::Database),
        }
    }
}

/// Bytes of an address field: 16 or 46.
impl Scalar for crate::wire::AddressWidth {
    const WANTED: &'static str = "16 (IPv4-only clients) or 46 (clients of IPv6 clusters)";
    const FORM: Form = Form::Bare;

    fn parse(text: &str) -> Option<Self> {
        match text {
            "16" => Some(Self::V4),
            "46" => Some(Self::V6),
            _ => None,
        }
    }
}

/// 0, which lets the node choose, or a node number.
impl Scalar for Option<crate::id::NodeNumber> {
    const WANTED: &'static str = "0 (chosen at the first start) or a number from 1 to 16777215";
    const FORM: Form = Form::Bare;

    fn parse(text: &str) -> Option<Self> {
        match text {
            "0" => Some(None),
            number => number.parse().ok().map(Some),
        }
    }
}

const _: () = assert!(limits::NODE_NUMBER_MAX == 16_777_215, "said in a message");
