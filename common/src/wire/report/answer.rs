//! What a tracker answers. Refusals are bodies of successful responses: an error response carries
//! nothing but its status, and a refused node must be able to tell its operator why.

use std::net::SocketAddr;

use bytes::BytesMut;

use super::{ReportError, group, put_socket_address, socket_address};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::GroupName;

/// Answer to a [`super::NodeJoin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinAnswer {
    /// The node belongs to the cluster; clients are sent to `address`.
    Accepted {
        /// The address that the tracker announces.
        address: SocketAddr,
    },
    /// Another node has this number: their file ids could not be told apart.
    NumberTaken {
        /// Where the holder of the number was last seen.
        holder: SocketAddr,
        /// How the tracker sees the refused node.
        yours: SocketAddr,
    },
    /// The node was in another group before; its blobs would not be found in this one.
    WrongGroup {
        /// The group it belongs to.
        registered: GroupName,
    },
    /// The group has all the nodes, or the tracker all the groups, that it can have.
    Full {
        /// The limit that is reached.
        limit: u32,
    },
    /// An operator removed this node. It may hold what was deleted since, so it does not come back.
    Removed,
    /// The tracker does not know the version of the message.
    VersionTooNew {
        /// The latest version it knows.
        known: u16,
    },
}

// The values are stable: they are the protocol.
const ACCEPTED: u8 = 0;
const NUMBER_TAKEN: u8 = 1;
const WRONG_GROUP: u8 = 2;
const FULL: u8 = 3;
const VERSION_TOO_NEW: u8 = 4;
/// Since version 2; a node of version 1 is told [`NUMBER_TAKEN`] instead.
const REMOVED: u8 = 5;

impl JoinAnswer {
    /// Decodes a whole body.
    ///
    /// Carries no version: the asker sent its own, and a tracker answers in that version or with
    /// [`JoinAnswer::VersionTooNew`], which never changes.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = Reader::new(body);
        let answer = match reader.u8()? {
            ACCEPTED => Self::Accepted {
                address: socket_address(&mut reader)?,
            },
            NUMBER_TAKEN => Self::NumberTaken {
                holder: socket_address(&mut reader)?,
                yours: socket_address(&mut reader)?,
            },
            WRONG_GROUP => Self::WrongGroup {
                registered: group(&mut reader)?,
            },
            FULL => Self::Full {
                limit: reader.u32()?,
            },
            VERSION_TOO_NEW => Self::VersionTooNew {
                known: reader.u16()?,
            },
            REMOVED => Self::Removed,
            _ => return Err(CodecError::Field("verdict").into()),
        };
        reader.finish()?;
        Ok(answer)
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        match self {
            Self::Accepted { address } => {
                writer.u8(ACCEPTED);
                put_socket_address(&mut writer, *address);
            }
            Self::NumberTaken { holder, yours } => {
                writer.u8(NUMBER_TAKEN);
                put_socket_address(&mut writer, *holder);
                put_socket_address(&mut writer, *yours);
            }
            Self::WrongGroup { registered } => {
                writer.u8(WRONG_GROUP);
                writer.bytes(registered.as_field());
            }
            Self::Full { limit } => {
                writer.u8(FULL);
                writer.u32(*limit);
            }
            Self::VersionTooNew { known } => {
                writer.u8(VERSION_TOO_NEW);
                writer.u16(*known);
            }
            Self::Removed => writer.u8(REMOVED),
        }
    }
}
