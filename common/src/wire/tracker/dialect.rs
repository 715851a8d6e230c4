//! What differs between client families. Source: docs/wire.md, client families.

use crate::wire::AddressWidth;

/// What the clients of one listening address expect. Requests do not tell, so it is a setting of the
/// address: one tracker can serve several families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientDialect {
    /// Width of address fields.
    pub address: AddressWidth,
    /// Layout of group and storage records.
    pub listing: ListingLayout,
}

/// Layout of the records that monitoring reads; file operations never use them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListingLayout {
    /// Of V6.15 and later: groups of 113 bytes, storages of 487 (517 with wide addresses).
    #[default]
    Current,
    /// Of V5.04 to V6.12: groups of 105 bytes, storages of 612 (642 with wide addresses).
    V5,
    /// Of V4: groups of 105 bytes, storages of 600, addresses always narrow.
    V4,
}
