//! Orders of an operator.

use std::fmt;
use std::str::FromStr;

use bytes::BytesMut;

use super::CLUSTER_VERSION;
use crate::codec::{CodecError, Reader, Writer};
use crate::id::{GroupName, GroupNameError, NodeNumber, NodeNumberError};
use crate::limits;
use crate::wire::report::ReportError;

// The values are stable: they are the protocol.
const DRAIN: u8 = 0;
const UNDRAIN: u8 = 1;
const READ_ONLY: u8 = 2;
const WRITABLE: u8 = 3;
const REMOVE: u8 = 4;

const FORCE: u8 = 1;
const RELEASE: u8 = 1 << 1;

const NODE: u8 = 0;
const GROUP: u8 = 1;

const DONE: u8 = 0;
const WAIT: u8 = 1;
const REFUSED: u8 = 2;

/// Bytes of a reason; longer ones are cut at a character.
const REASON_LEN_MAX: usize = 2048;

/// What an operator wants of a node or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Give it no new blobs.
    Drain,
    /// Take that back.
    Undrain,
    /// Let nothing there change.
    ReadOnly,
    /// Take that back.
    Writable,
    /// Remove it for good, once what it holds is elsewhere.
    Remove {
        /// Even if blobs may be lost.
        force: bool,
        /// Whether another node may have the number.
        release: bool,
    },
}

/// A node or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A node.
    Node(NodeNumber),
    /// A group.
    Group(GroupName),
}

/// Why a text names neither a node nor a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No number of a node.
    #[error("no node number; write a number, or group:NAME for a group whose name is digits")]
    Number(#[source] NodeNumberError),
    /// No name of a group.
    #[error("neither a node number nor a group name")]
    Group(#[source] GroupNameError),
}

/// Body of command 165.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderRequest {
    /// What.
    pub order: Order,
    /// Of which.
    pub target: Target,
}

/// Answer to command 165. Refusals are bodies of successful responses, so that they can say why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderAnswer {
    /// It is so, and is stored.
    Done,
    /// Not yet: asked again later, it may be done.
    Wait {
        /// What is waited for.
        reason: String,
    },
    /// No, and why.
    Refused {
        /// Cause and remedy.
        reason: String,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(number) => write!(f, "node {number}"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// `7` or `node:7` is a node, `group1` or `group:group1` a group.
impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let node = |text: &str| text.parse().map(Self::Node).map_err(TargetError::Number);
        let group = |text: &str| text.parse().map(Self::Group).map_err(TargetError::Group);
        match text.split_once(':') {
            Some(("node", number)) => node(number),
            Some(("group", name)) => group(name),
            _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => node(text),
            _ => group(text),
        }
    }
}

impl OrderRequest {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = Reader::new(body);
        version(&mut reader)?;
        let (order, flags, kind) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let order = order_of(order, flags)?;
        let target = match kind {
            NODE => Target::Node(
                NodeNumber::try_from(reader.u32()?)
                    .map_err(|_| CodecError::Field("node number"))?,
            ),
            GROUP => Target::Group(
                GroupName::from_bytes(reader.padded(limits::GROUP_NAME_LEN_MAX)?)
                    .map_err(|_| CodecError::Field("group"))?,
            ),
            _ => return Err(CodecError::Field("kind of target").into()),
        };
        reader.finish()?;
        Ok(Self { order, target })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.u16(CLUSTER_VERSION);
        let (order, flags) = match self.order {
            Order::Drain => (DRAIN, 0),
            Order::Undrain => (UNDRAIN, 0),
            Order::ReadOnly => (READ_ONLY, 0),
            Order::Writable => (WRITABLE, 0),
            Order::Remove { force, release } => {
                let bit = |set: bool, bit: u8| if set { bit } else { 0 };
                (REMOVE, bit(force, FORCE) | bit(release, RELEASE))
            }
        };
        writer.u8(order);
        writer.u8(flags);
        match self.target {
            Target::Node(number) => {
                writer.u8(NODE);
                writer.u32(number.get());
            }
            Target::Group(name) => {
                writer.u8(GROUP);
                writer.bytes(name.as_field());
            }
        }
    }
}

impl OrderAnswer {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = Reader::new(body);
        version(&mut reader)?;
        let verdict = reader.u8()?;
        let text = reader.rest();
        if REASON_LEN_MAX < text.len() {
            return Err(CodecError::Field("reason").into());
        }
        let reason = String::from_utf8(text.to_vec()).map_err(|_| CodecError::Field("reason"))?;
        match verdict {
            DONE if reason.is_empty() => Ok(Self::Done),
            WAIT => Ok(Self::Wait { reason }),
            REFUSED => Ok(Self::Refused { reason }),
            _ => Err(CodecError::Field("verdict").into()),
        }
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.u16(CLUSTER_VERSION);
        let (verdict, reason) = match self {
            Self::Done => (DONE, ""),
            Self::Wait { reason } => (WAIT, reason.as_str()),
            Self::Refused { reason } => (REFUSED, reason.as_str()),
        };
        writer.u8(verdict);
        let end = reason.floor_char_boundary(REASON_LEN_MAX);
        writer.bytes(reason.get(..end).unwrap_or_default().as_bytes());
    }
}

fn order_of(order: u8, flags: u8) -> Result<Order, CodecError> {
    let plain = match order {
        DRAIN => Order::Drain,
        UNDRAIN => Order::Undrain,
        READ_ONLY => Order::ReadOnly,
        WRITABLE => Order::Writable,
        REMOVE if flags & !(FORCE | RELEASE) == 0 => {
            return Ok(Order::Remove {
                force: flags & FORCE != 0,
                release: flags & RELEASE != 0,
            });
        }
        _ => return Err(CodecError::Field("order")),
    };
    if flags == 0 {
        Ok(plain)
    } else {
        Err(CodecError::Field("order flags"))
    }
}

/// Orders are only carried out in the very version that was meant.
fn version(reader: &mut Reader<'_>) -> Result<(), ReportError> {
    match reader.u16()? {
        CLUSTER_VERSION => Ok(()),
        0 => Err(CodecError::Field("version").into()),
        theirs => Err(ReportError::TooNew { theirs }),
    }
}
