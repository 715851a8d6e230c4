//! The copies of a group's blobs on its nodes.
//!
//! A node that takes a change decides its version, keeps it, and sends it to its peers at the same
//! time; it is acknowledged when enough of them have it. What a node missed it reads from the logs of
//! its peers, and from time to time all of them compare what they have. Newer versions win, wherever
//! they come from, so all of this can be repeated, and can overtake. Decisions:
//! docs/decisions/0016-replication.md.
//!
//! * `message` is what nodes say, as values and bytes; `link` is the seam to how it gets there.
//! * `group` decides about changes and waits for copies; `upload` is one on its way.
//! * `answer` is what a node does for its peers.
//! * `follow` reads logs and compares; `fetch` and `fetching` get what is missing, `remote` reads what
//!   stays with a peer.

mod answer;
mod edit;
mod fetch;
mod fetching;
#[cfg(test)]
mod fixture;
mod follow;
mod group;
pub mod link;
mod mend;
pub mod message;
mod pieces;
mod portions;
mod remote;
mod stamps;
mod state;
mod upload;

pub use edit::GroupEdit;
pub use follow::{FollowSettings, Follower, PathProgress, TOMBSTONE_AGE};
pub use group::{CopySettings, GroupStore, Replica, Scarcity};
pub use link::{Link, LinkError, Peer};
pub use pieces::GroupPieces;
pub use portions::Portions;
pub use remote::{GroupBlob, RemoteBlob};
pub use stamps::{Stamps, WallClock};
pub use upload::Upload;
