//! Node numbers and the source field of file ids.

use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::limits;

/// A storage node's number, the "storage id" of the protocol.
///
/// * 1 to [`limits::NODE_NUMBER_MAX`]
/// * never changes while the node lives, whatever its address does
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeNumber(NonZeroU32);

/// Why a number is not a node number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a node number is a decimal number from 1 to {}",
    limits::NODE_NUMBER_MAX
)]
pub struct NodeNumberError;

impl NodeNumber {
    /// The number as an integer.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for NodeNumber {
    type Error = NodeNumberError;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        match NonZeroU32::new(number) {
            Some(number) if number.get() <= limits::NODE_NUMBER_MAX => Ok(Self(number)),
            _ => Err(NodeNumberError),
        }
    }
}

impl FromStr for NodeNumber {
    type Err = NodeNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NodeNumberError);
        }
        text.parse::<u32>().map_err(|_| NodeNumberError)?.try_into()
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What bytes 0–3 of a file id say about the node that accepted the upload.
///
/// Ids made by Hayloft always carry a number; addresses come from ids that an original server made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A node's number, little-endian in the id.
    Node(NodeNumber),
    /// An IPv4 address in network order.
    Address(Ipv4Addr),
}

impl Source {
    /// Tells a number from an address: a number has a zero fourth byte and is not zero.
    pub fn from_bytes(bytes: [u8; 4]) -> Self {
        let [a, b, c, d] = bytes;
        match NodeNumber::try_from(u32::from_be_bytes([d, c, b, a])) {
            Ok(number) => Self::Node(number),
            Err(NodeNumberError) => Self::Address(Ipv4Addr::from(bytes)),
        }
    }

    /// The four bytes of the id.
    pub fn to_bytes(self) -> [u8; 4] {
        match self {
            Self::Node(number) => {
                let [a, b, c, d] = number.get().to_be_bytes();
                [d, c, b, a]
            }
            Self::Address(address) => address.octets(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_little_endian_and_everything_else_is_an_address() {
        let number = NodeNumber::try_from(100_001).unwrap();
        assert_eq!(Source::Node(number).to_bytes(), [0xa1, 0x86, 0x01, 0x00]);
        assert_eq!(
            Source::from_bytes([0xa1, 0x86, 0x01, 0x00]),
            Source::Node(number)
        );
        let address = Source::Address(Ipv4Addr::new(127, 0, 0, 13));
        assert_eq!(Source::from_bytes([127, 0, 0, 13]), address);
        assert_eq!(
            Source::from_bytes([0; 4]),
            Source::Address(Ipv4Addr::UNSPECIFIED)
        );
    }

    #[test]
    fn node_numbers_end_at_24_bits() {
        assert!("16777215".parse::<NodeNumber>().is_ok());
        for bad in ["0", "16777216", "-1", "+1", "", "1x"] {
            assert!(bad.parse::<NodeNumber>().is_err(), "{bad}");
        }
    }
}
