//! Command numbers. The values are stable: they are the protocol.

/// What a request asks for.
///
/// Numbers below 128 are `FastDFS`'s; those from 160 on are spoken between Hayloft's own servers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Command {
    /// Storage: store a blob.
    Upload = 11,
    /// Storage: delete a blob.
    Delete = 12,
    /// Storage: replace or merge metadata.
    SetMetadata = 13,
    /// Storage: read a blob or a part of it.
    Download = 14,
    /// Storage: read metadata.
    GetMetadata = 15,
    /// Storage: store a blob named after a master.
    UploadSlave = 21,
    /// Storage: size, time and checksum.
    QueryFileInfo = 22,
    /// Storage: store a blob that can be appended to.
    UploadAppender = 23,
    /// Storage: append to an appender.
    Append = 24,
    /// Storage: overwrite a range of an appender.
    Modify = 34,
    /// Storage: change the size of an appender.
    Truncate = 36,
    /// Storage: turn an appender into a normal blob.
    RegenerateAppender = 38,
    /// Tracker: storage ids of the cluster.
    FetchStorageIds = 69,
    /// Tracker: the id of a storage.
    GetStorageId = 70,
    /// Tracker: state of one storage.
    GetStorageStatus = 71,
    /// Tracker: parameters that clients load.
    GetParameters = 75,
    /// Both: end of the connection, no response.
    Quit = 82,
    /// Tracker: one group.
    ListOneGroup = 90,
    /// Tracker: all groups.
    ListAllGroups = 91,
    /// Tracker: storages of a group.
    ListStorages = 92,
    /// Tracker: forget a storage.
    DeleteStorage = 93,
    /// Tracker: choose the trunk server.
    SetTrunkServer = 94,
    /// Tracker: address of the leader.
    GetLeader = 95,
    /// Tracker: statistics of the trackers.
    TrackerStatistics = 96,
    /// Tracker: statistics of the storages.
    StorageStatistics = 97,
    /// Tracker: space of the groups.
    GroupStatistics = 98,
    /// Tracker: where to write, any group.
    QueryStoreAnyOne = 101,
    /// Tracker: where to read.
    QueryFetchOne = 102,
    /// Tracker: where to change.
    QueryUpdate = 103,
    /// Tracker: where to write, given group.
    QueryStoreGroupOne = 104,
    /// Tracker: everywhere to read.
    QueryFetchAll = 105,
    /// Tracker: everywhere to write, any group.
    QueryStoreAnyAll = 106,
    /// Tracker: everywhere to write, given group.
    QueryStoreGroupAll = 107,
    /// Tracker: forget an empty group.
    DeleteGroup = 108,
    /// Tracker: group of an address.
    GetGroup = 109,
    /// Both: is somebody there.
    ActiveTest = 111,
    /// Tracker, from a node: join the cluster.
    NodeJoin = 160,
    /// Tracker, from a node: heartbeat with space and counters.
    NodeReport = 161,
    /// Tracker, from a tracker: who are you.
    TrackerHello = 162,
    /// Both, from a node, a tracker or an operator: we know the cluster secret, prove that you do.
    Authenticate = 163,
    /// Tracker, from an operator or an API server: how the cluster fares, node by node.
    ClusterStatus = 164,
    /// Tracker, from an operator: mark, drain or remove a node or a group.
    ClusterOrder = 165,
    /// Storage, from an API server: take content that becomes a blob only when committed.
    PrepareUpload = 170,
    /// Storage, from an API server: make what was prepared a blob.
    CommitUpload = 171,
    /// Storage, from an API server: forget what was prepared.
    AbandonUpload = 172,
    /// Storage, from an API server: add content at the end of a staging blob.
    ExtendStaging = 173,
    /// Storage, from an API server: prepare a blob of pieces of a staging blob.
    ArrangeStaging = 174,
}

impl Command {
    const ALL: [Self; 47] = [
        Self::Upload,
        Self::Delete,
        Self::SetMetadata,
        Self::Download,
        Self::GetMetadata,
        Self::UploadSlave,
        Self::QueryFileInfo,
        Self::UploadAppender,
        Self::Append,
        Self::Modify,
        Self::Truncate,
        Self::RegenerateAppender,
        Self::FetchStorageIds,
        Self::GetStorageId,
        Self::GetStorageStatus,
        Self::GetParameters,
        Self::Quit,
        Self::ListOneGroup,
        Self::ListAllGroups,
        Self::ListStorages,
        Self::DeleteStorage,
        Self::SetTrunkServer,
        Self::GetLeader,
        Self::TrackerStatistics,
        Self::StorageStatistics,
        Self::GroupStatistics,
        Self::QueryStoreAnyOne,
        Self::QueryFetchOne,
        Self::QueryUpdate,
        Self::QueryStoreGroupOne,
        Self::QueryFetchAll,
        Self::QueryStoreAnyAll,
        Self::QueryStoreGroupAll,
        Self::DeleteGroup,
        Self::GetGroup,
        Self::ActiveTest,
        Self::NodeJoin,
        Self::NodeReport,
        Self::TrackerHello,
        Self::Authenticate,
        Self::ClusterStatus,
        Self::ClusterOrder,
        Self::PrepareUpload,
        Self::CommitUpload,
        Self::AbandonUpload,
        Self::ExtendStaging,
        Self::ArrangeStaging,
    ];

    /// The command of a header's command byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|command| *command as u8 == byte)
    }
}
