//! Every cap of the system in one place, with its unit and the reason for the number.
//!
//! A length that comes from a peer is compared with one of these before anything is allocated.

/// Bytes of a group name on the wire. Source: docs/wire.md, limits.
pub const GROUP_NAME_LEN_MAX: usize = 16;
/// Bytes of a file extension, without its dot.
pub const EXTENSION_LEN_MAX: usize = 6;
/// Bytes of a slave prefix.
pub const SLAVE_PREFIX_LEN_MAX: usize = 16;
/// Bytes of a remote name (`M00/…`), exclusive bound of the protocol is 128.
pub const REMOTE_NAME_LEN_MAX: usize = 127;
/// Bytes of a metadata name; longer ones are cut.
pub const METADATA_NAME_LEN_MAX: usize = 64;
/// Bytes of a metadata value; longer ones are cut.
pub const METADATA_VALUE_LEN_MAX: usize = 256;
/// Bytes of one metadata request or answer: the original's default network buffer.
pub const METADATA_LEN_MAX: usize = 256 * 1024;
/// Bytes of one packet that is not streamed, its header included.
pub const PACKET_LEN_MAX: usize = 256 * 1024;
/// Largest node number: the id marks numbers by a zero fourth byte.
pub const NODE_NUMBER_MAX: u32 = (1 << 24) - 1;
/// Volume paths of a group (`M00`…`MFF`).
pub const VOLUME_PATHS_MAX: usize = 256;
/// Subdirectories per level that ids show; clients never compute them.
pub const SUBDIR_COUNT: u16 = 256;
/// Groups that one tracker keeps. The C client has fixed arrays of this size.
pub const GROUPS_MAX: usize = 512;
/// Nodes of one group. The C client has fixed arrays of this size.
pub const NODES_PER_GROUP_MAX: usize = 32;
/// Removed nodes of one group that trackers remember, so that their numbers are not used again. Far
/// more than a group replaces in its life; an operator can release numbers.
pub const REMOVED_PER_GROUP_MAX: usize = 256;
/// Registrations that a tracker tells another in one answer: with 256 bytes for each, half a packet.
pub const TRACKER_ENTRIES_MAX: usize = 500;
/// Nodes, removed ones included, that a tracker remembers at all.
pub const NODES_MAX: usize = GROUPS_MAX * NODES_PER_GROUP_MAX;
/// Nodes that a tracker remembers to have refused, to show them.
pub const REFUSED_NODES_MAX: usize = 64;
/// Trackers of one cluster. The C client has fixed arrays of this size.
pub const TRACKERS_MAX: usize = 16;
/// Bytes of a cluster secret: 16 that were drawn at random cannot be guessed.
pub const CLUSTER_SECRET_LEN_MIN: usize = 16;
/// Bytes of a cluster secret; a longer text is probably a file of another kind.
pub const CLUSTER_SECRET_LEN_MAX: usize = 1024;
/// Bytes of one message of an authentication: twice what this version sends, so that a later one can
/// append to it.
pub const AUTHENTICATION_LEN_MAX: usize = 128;
/// Bytes of one frame between nodes behind its header: a record with what is said about it, twice.
pub const NODE_FRAME_LEN_MAX: usize = 2 * 1024 * 1024;
/// Requests under way on one connection between nodes. Each may hold a frame while it is answered.
pub const NODE_REQUESTS_MAX: usize = 1024;

/// Payload bytes of one record. A longer blob becomes parts of this size and a manifest, so this is
/// also what one upload keeps in memory.
pub const RECORD_PAYLOAD_LEN_MAX: usize = 1024 * 1024;
/// Bytes of uploads that all connections of a node together keep in memory while they arrive; more
/// wait in the sockets. Without it, thousands of stalled senders would hold a record each.
pub const UPLOAD_BUFFERS_LEN_MAX: usize = 256 * 1024 * 1024;
/// Uploads up to this many bytes do not count: what the connection reads at once anyway.
pub const UPLOAD_UNCOUNTED_LEN_MAX: u64 = 16 * 1024;
/// Bytes of one chunk of a prepared upload. A node takes a chunk of a record's size into a record
/// without copying it.
pub const UPLOAD_CHUNK_LEN_MAX: u32 = 1024 * 1024;
/// Pieces of a staging blob that one arrangement puts together: more slices than an upload of the
/// largest announced size has. A request with all of them is less than 3 MiB.
pub const ARRANGED_PIECES_MAX: usize = 1 << 17;
/// Bytes of a body that are read and thrown away after an early error, so that the connection stays
/// usable; beyond it the connection is closed (docs/wire.md, connection life).
pub const DRAIN_LEN_MAX: u64 = 64 * 1024 * 1024;
/// Largest blob: what the signed 64-bit lengths of the protocol and a manifest can carry, in bytes.
pub const BLOB_LEN_MAX: u64 = 1 << 44;

const _: () = assert!(RECORD_PAYLOAD_LEN_MAX < NODE_FRAME_LEN_MAX);
const _: () = assert!(METADATA_NAME_LEN_MAX < METADATA_VALUE_LEN_MAX);
const _: () = assert!(TRACKER_ENTRIES_MAX * 256 < PACKET_LEN_MAX);
const _: () = assert!(PACKET_LEN_MAX <= RECORD_PAYLOAD_LEN_MAX);

/// Ranges of one HTTP request; a request with more gets the whole blob. The original allows 5.
pub const HTTP_RANGES_MAX: usize = 16;
/// Bytes of a URL path that can name a blob: group and name with every character percent-encoded
/// stay below it.
pub const HTTP_PATH_LEN_MAX: usize = 512;
/// Bytes of one request's head, request line included; also what an idle connection may buffer. A
/// query of 16 KiB and more gets as far as to be told that it is too long (docs/api/weiyun.md §2.4).
pub const HTTP_HEAD_LEN_MAX: usize = 32 * 1024;
/// Header fields of one request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Bytes of the file name that `?filename=` suggests: what common file systems take.
pub const HTTP_FILE_NAME_LEN_MAX: usize = 255;
/// Bytes that a download reads ahead of the socket.
pub const HTTP_PIECE_LEN_MAX: usize = RECORD_PAYLOAD_LEN_MAX;
/// Bytes of a `Host`: a DNS name has at most 253, and a port with its colon 6.
pub const HTTP_AUTHORITY_LEN_MAX: usize = 259;
/// Bytes of a file with certificates or a key; the longest chains have some ten thousand.
pub const TLS_FILE_LEN_MAX: u64 = 1024 * 1024;
/// Connections over the limit that are told so at the same time; the rest are just closed.
pub const HTTP_REFUSALS_MAX: usize = 64;
/// Bytes of an anti-leech key, as the original advises.
pub const ANTI_LEECH_KEY_LEN_MAX: usize = 128;

const _: () = assert!(3 * (GROUP_NAME_LEN_MAX + REMOTE_NAME_LEN_MAX + 2) < HTTP_PATH_LEN_MAX);
const _: () = assert!(RECORD_PAYLOAD_LEN_MAX <= UPLOAD_BUFFERS_LEN_MAX);
const _: () = assert!(UPLOAD_CHUNK_LEN_MAX as usize <= RECORD_PAYLOAD_LEN_MAX);
