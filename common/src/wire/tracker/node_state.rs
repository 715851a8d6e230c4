//! States and modes of nodes. Source: docs/wire.md, storage status.

use crate::codec::CodecError;

/// State of a node. The values are those of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NodeStatus {
    /// Joined, no source for its first copy yet.
    Init = 0,
    /// Source chosen, waiting for it.
    WaitSync = 1,
    /// Receiving what the group already has.
    Syncing = 2,
    /// Replaced by another address.
    IpChanged = 3,
    /// Removed by an administrator.
    Deleted = 4,
    /// Known, not connected.
    Offline = 5,
    /// Connected, active at its next heartbeat.
    Online = 6,
    /// In service.
    Active = 7,
    /// Rebuilding a disk.
    Recovery = 9,
    /// No state.
    None = 99,
}

impl NodeStatus {
    const ALL: [Self; 10] = [
        Self::Init,
        Self::WaitSync,
        Self::Syncing,
        Self::IpChanged,
        Self::Deleted,
        Self::Offline,
        Self::Online,
        Self::Active,
        Self::Recovery,
        Self::None,
    ];

    /// The name that the original's tools print.
    pub fn text(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::WaitSync => "WAIT_SYNC",
            Self::Syncing => "SYNCING",
            Self::IpChanged => "IP_CHANGED",
            Self::Deleted => "DELETED",
            Self::Offline => "OFFLINE",
            Self::Online => "ONLINE",
            Self::Active => "ACTIVE",
            Self::Recovery => "RECOVERY",
            Self::None => "NONE",
        }
    }
}

impl TryFrom<u8> for NodeStatus {
    type Error = CodecError;

    fn try_from(byte: u8) -> Result<Self, Self::Error> {
        Self::ALL
            .into_iter()
            .find(|status| *status as u8 == byte)
            .ok_or(CodecError::Field("node status"))
    }
}

/// What a node may be used for. The values are those of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ReadWriteMode {
    /// Holds copies, serves nobody.
    None = 0,
    /// Writes only.
    Write = 2,
    /// Reads only.
    Read = 4,
    /// Everything.
    #[default]
    Both = 6,
}

impl ReadWriteMode {
    /// The word used in id lists.
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Write => "write",
            Self::Read => "read",
            Self::Both => "both",
        }
    }
}

impl TryFrom<u8> for ReadWriteMode {
    type Error = CodecError;

    fn try_from(byte: u8) -> Result<Self, Self::Error> {
        [Self::None, Self::Write, Self::Read, Self::Both]
            .into_iter()
            .find(|mode| *mode as u8 == byte)
            .ok_or(CodecError::Field("read/write mode"))
    }
}
