//! Requests to the tracker.

use bytes::BytesMut;

use super::statistics::{GroupFilter, StorageFilter, TrackerFilter};
use crate::codec::{CodecError, Reader};
use crate::id::{GroupName, RemoteName};
use crate::limits;
use crate::text::Text;
use crate::wire::{AddressText, Command, HostText, NodeText, WireError, field, packet};

/// Shortest name that the tracker looks at, in bytes.
const NAME_LEN_MIN: usize = 22;

/// Whether one node is asked for or all that qualify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One, chosen by the tracker.
    One,
    /// All.
    All,
}

/// A request to the tracker.
///
/// A group that no group can be named like is answered like one that does not exist, and so is a name
/// that no server makes; a name that could exist is routed without asking whether it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Where to write (101, 104, 106, 107).
    QueryStore {
        /// The group to write to; `None` lets the tracker choose.
        group: Option<GroupName>,
        /// One node or all.
        scope: Scope,
    },
    /// Where to read (102, 105).
    QueryFetch {
        /// The blob's group.
        group: GroupName,
        /// The blob.
        name: RemoteName,
        /// One node or all.
        scope: Scope,
    },
    /// Where to change or delete (103).
    QueryUpdate {
        /// The blob's group.
        group: GroupName,
        /// The blob.
        name: RemoteName,
    },
    /// One group record (90).
    ListOneGroup(GroupName),
    /// All group records (91).
    ListAllGroups,
    /// Storage records (92).
    ListStorages {
        /// Their group.
        group: GroupName,
        /// Only this one.
        node: Option<NodeText>,
    },
    /// Forget a node (93).
    DeleteStorage {
        /// Its group.
        group: GroupName,
        /// Its id.
        node: NodeText,
    },
    /// Forget an empty group (108).
    DeleteGroup(GroupName),
    /// Choose the node that assigns trunk space (94).
    SetTrunkServer {
        /// The group.
        group: GroupName,
        /// The node; `None` lets the tracker choose.
        node: Option<NodeText>,
    },
    /// Address of the leading tracker (95).
    GetLeader,
    /// The trackers of the cluster (96).
    TrackerStatistics(TrackerFilter),
    /// The nodes of the cluster (97).
    StorageStatistics(StorageFilter),
    /// Space of the groups (98).
    GroupStatistics(GroupFilter),
    /// Ids of the nodes, a page at a time (69).
    FetchStorageIds {
        /// How many to leave out.
        start: u32,
        /// Answer an empty list instead of an error when ids are not in use.
        allow_empty: bool,
    },
    /// Id of a node (70).
    GetStorageId {
        /// Its group.
        group: GroupName,
        /// Its address and port.
        host: HostText,
    },
    /// State of a node (71).
    GetStorageStatus {
        /// Its group.
        group: GroupName,
        /// Its address and port.
        host: HostText,
    },
    /// Parameters that clients load (75).
    GetParameters,
    /// Group of a node (109).
    GetGroup {
        /// Its address; empty means the one that the request comes from.
        address: AddressText,
        /// Its storage port.
        port: u32,
    },
    /// Is somebody there (111).
    ActiveTest,
    /// End of the connection, without an answer (82).
    Quit,
}

impl Request {
    /// Decodes the body of a request whose header has `command` for its command byte. Commands that
    /// clients do not send to trackers are unknown here.
    pub fn decode(command: u8, body: &[u8]) -> Result<Self, WireError> {
        let unknown = WireError::UnknownCommand(command);
        let command = Command::from_byte(command).ok_or(unknown)?;
        let mut reader = Reader::new(body);
        let request = Self::take(command, &mut reader)?.ok_or(unknown)?;
        reader.finish()?;
        Ok(request)
    }

    /// `None` for commands of others.
    fn take(command: Command, reader: &mut Reader<'_>) -> Result<Option<Self>, WireError> {
        Ok(Some(match command {
            Command::QueryStoreAnyOne => Self::query_any(Scope::One),
            Command::QueryStoreAnyAll => Self::query_any(Scope::All),
            Command::QueryStoreGroupOne => Self::query_group(reader, Scope::One)?,
            Command::QueryStoreGroupAll => Self::query_group(reader, Scope::All)?,
            Command::QueryFetchOne => Self::query_fetch(reader, Scope::One)?,
            Command::QueryFetchAll => Self::query_fetch(reader, Scope::All)?,
            Command::QueryUpdate => {
                let (group, name) = group_and_name(reader)?;
                Self::QueryUpdate { group, name }
            }
            Command::ListOneGroup => Self::ListOneGroup(field::looked_up_group(reader)?),
            Command::ListAllGroups => Self::ListAllGroups,
            Command::ListStorages => Self::ListStorages {
                group: field::looked_up_group(reader)?,
                node: optional_rest(reader)?,
            },
            Command::DeleteStorage => Self::DeleteStorage {
                group: field::looked_up_group(reader)?,
                node: rest(reader)?,
            },
            Command::DeleteGroup => Self::DeleteGroup(field::looked_up_group(reader)?),
            Command::SetTrunkServer => Self::SetTrunkServer {
                group: field::looked_up_group(reader)?,
                node: optional_rest(reader)?,
            },
            Command::GetLeader => Self::GetLeader,
            Command::TrackerStatistics => Self::TrackerStatistics(TrackerFilter::decode(reader)?),
            Command::StorageStatistics => Self::StorageStatistics(StorageFilter::decode(reader)?),
            Command::GroupStatistics => Self::GroupStatistics(GroupFilter::decode(reader)?),
            Command::FetchStorageIds => Self::FetchStorageIds {
                // The protocol's number is signed; a negative one is beyond every list, as this is.
                start: reader.u32()?,
                allow_empty: field::flag(reader)?,
            },
            Command::GetStorageId => Self::GetStorageId {
                group: field::looked_up_group(reader)?,
                host: rest(reader)?,
            },
            Command::GetStorageStatus => Self::GetStorageStatus {
                group: field::looked_up_group(reader)?,
                host: rest(reader)?,
            },
            Command::GetParameters => Self::GetParameters,
            Command::GetGroup => {
                let address_len = reader.left().saturating_sub(4);
                Self::GetGroup {
                    address: Text::from_bytes(reader.take(address_len)?)?,
                    port: reader.u32()?,
                }
            }
            Command::ActiveTest => Self::ActiveTest,
            Command::Quit => Self::Quit,
            Command::Upload
            | Command::Delete
            | Command::SetMetadata
            | Command::Download
            | Command::GetMetadata
            | Command::UploadSlave
            | Command::QueryFileInfo
            | Command::UploadAppender
            | Command::Append
            | Command::Modify
            | Command::Truncate
            | Command::RegenerateAppender
            | Command::NodeJoin
            | Command::NodeReport
            | Command::ClusterStatus
            | Command::ClusterOrder
            | Command::TrackerHello
            | Command::Authenticate
            | Command::PrepareUpload
            | Command::CommitUpload
            | Command::AbandonUpload
            | Command::ExtendStaging
            | Command::ArrangeStaging => return Ok(None),
        }))
    }

    fn query_any(scope: Scope) -> Self {
        Self::QueryStore { group: None, scope }
    }

    fn query_group(reader: &mut Reader<'_>, scope: Scope) -> Result<Self, WireError> {
        let group = Some(field::looked_up_group(reader)?);
        Ok(Self::QueryStore { group, scope })
    }

    fn query_fetch(reader: &mut Reader<'_>, scope: Scope) -> Result<Self, WireError> {
        let (group, name) = group_and_name(reader)?;
        Ok(Self::QueryFetch { group, name, scope })
    }

    /// The command that asks for this.
    pub fn command(&self) -> Command {
        match self {
            Self::QueryStore { group, scope } => match (group, scope) {
                (None, Scope::One) => Command::QueryStoreAnyOne,
                (None, Scope::All) => Command::QueryStoreAnyAll,
                (Some(_), Scope::One) => Command::QueryStoreGroupOne,
                (Some(_), Scope::All) => Command::QueryStoreGroupAll,
            },
            Self::QueryFetch { scope, .. } => match scope {
                Scope::One => Command::QueryFetchOne,
                Scope::All => Command::QueryFetchAll,
            },
            Self::QueryUpdate { .. } => Command::QueryUpdate,
            Self::ListOneGroup(_) => Command::ListOneGroup,
            Self::ListAllGroups => Command::ListAllGroups,
            Self::ListStorages { .. } => Command::ListStorages,
            Self::DeleteStorage { .. } => Command::DeleteStorage,
            Self::DeleteGroup(_) => Command::DeleteGroup,
            Self::SetTrunkServer { .. } => Command::SetTrunkServer,
            Self::GetLeader => Command::GetLeader,
            Self::TrackerStatistics(_) => Command::TrackerStatistics,
            Self::StorageStatistics(_) => Command::StorageStatistics,
            Self::GroupStatistics(_) => Command::GroupStatistics,
            Self::FetchStorageIds { .. } => Command::FetchStorageIds,
            Self::GetStorageId { .. } => Command::GetStorageId,
            Self::GetStorageStatus { .. } => Command::GetStorageStatus,
            Self::GetParameters => Command::GetParameters,
            Self::GetGroup { .. } => Command::GetGroup,
            Self::ActiveTest => Command::ActiveTest,
            Self::Quit => Command::Quit,
        }
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::request(out, self.command(), 0, 0, |body| match self {
            Self::QueryStore { group, .. } => {
                if let Some(group) = group {
                    body.bytes(group.as_field());
                }
            }
            Self::QueryFetch { group, name, .. } | Self::QueryUpdate { group, name } => {
                body.bytes(group.as_field());
                body.bytes(name.text().as_bytes());
            }
            Self::ListOneGroup(group) | Self::DeleteGroup(group) => body.bytes(group.as_field()),
            Self::ListStorages { group, node } | Self::SetTrunkServer { group, node } => {
                body.bytes(group.as_field());
                body.bytes(node.unwrap_or_default().as_bytes());
            }
            Self::DeleteStorage { group, node } => {
                body.bytes(group.as_field());
                body.bytes(node.as_bytes());
            }
            Self::TrackerStatistics(filter) => filter.put(body),
            Self::StorageStatistics(filter) => filter.put(body),
            Self::GroupStatistics(filter) => filter.put(body),
            Self::FetchStorageIds { start, allow_empty } => {
                body.u32(*start);
                body.u8(u8::from(*allow_empty));
            }
            Self::GetStorageId { group, host } | Self::GetStorageStatus { group, host } => {
                body.bytes(group.as_field());
                body.bytes(host.as_bytes());
            }
            Self::GetGroup { address, port } => {
                body.bytes(address.as_bytes());
                body.u32(*port);
            }
            Self::ListAllGroups
            | Self::GetLeader
            | Self::GetParameters
            | Self::ActiveTest
            | Self::Quit => {}
        });
    }
}

fn group_and_name(reader: &mut Reader<'_>) -> Result<(GroupName, RemoteName), WireError> {
    let group = field::looked_up_group(reader)?;
    let name = field::name(reader.rest(), NAME_LEN_MIN..=limits::REMOTE_NAME_LEN_MAX)?;
    Ok((group, name))
}

/// The text at the end of a body, at least one byte.
fn rest<const N: usize>(reader: &mut Reader<'_>) -> Result<Text<N>, WireError> {
    optional_rest(reader)?.ok_or(CodecError::Short { wanted: 1, left: 0 }.into())
}

/// The text at the end of a body, if there is one.
fn optional_rest<const N: usize>(reader: &mut Reader<'_>) -> Result<Option<Text<N>>, WireError> {
    let text = Text::from_bytes(reader.rest())?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}
