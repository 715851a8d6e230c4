//! The JSON form of registrations, version 1. Names and meanings never change within a version.

use std::collections::BTreeMap;
use std::net::IpAddr;

use common::id::GroupName;
use common::wire::report::NodeIdentity;
use common::wire::tracker::ReadWriteMode;
use serde::{Deserialize, Serialize};

use crate::cluster::Registration;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    groups: BTreeMap<String, Vec<Node>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Node {
    number: u32,
    identity: String,
    address: IpAddr,
    storage_port: u16,
    http_port: u16,
    joined: u32,
    deleted: bool,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    None,
    Write,
    Read,
    Both,
}

impl Body {
    pub(super) fn of(registrations: &[Registration]) -> Self {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for registration in registrations {
            let nodes = groups.entry(registration.group.to_string()).or_default();
            nodes.push(Node::of(registration));
        }
        Self { groups }
    }

    /// `None` when a value is none that was ever written.
    pub(super) fn into_registrations(self) -> Option<Vec<Registration>> {
        let mut registrations = Vec::new();
        for (group, nodes) in self.groups {
            let group: GroupName = group.parse().ok()?;
            for node in nodes {
                registrations.push(node.into_registration(group)?);
            }
        }
        Some(registrations)
    }
}

impl Node {
    fn of(registration: &Registration) -> Self {
        Self {
            number: registration.number.get(),
            identity: to_hex(registration.identity.0),
            address: registration.address,
            storage_port: registration.storage_port,
            http_port: registration.http_port,
            joined: registration.joined,
            deleted: registration.deleted,
            mode: match registration.mode {
                ReadWriteMode::None => Mode::None,
                ReadWriteMode::Write => Mode::Write,
                ReadWriteMode::Read => Mode::Read,
                ReadWriteMode::Both => Mode::Both,
            },
        }
    }

    fn into_registration(self, group: GroupName) -> Option<Registration> {
        Some(Registration {
            identity: NodeIdentity(from_hex(&self.identity)?),
            number: self.number.try_into().ok()?,
            group,
            address: self.address,
            storage_port: self.storage_port,
            http_port: self.http_port,
            joined: self.joined,
            deleted: self.deleted,
            mode: match self.mode {
                Mode::None => ReadWriteMode::None,
                Mode::Write => ReadWriteMode::Write,
                Mode::Read => ReadWriteMode::Read,
                Mode::Both => ReadWriteMode::Both,
            },
        })
    }
}

fn to_hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

fn from_hex(text: &str) -> Option<[u8; 16]> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok())??;
    Some(number.to_be_bytes())
}
