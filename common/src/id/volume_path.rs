//! Volume paths: the logical slots `M00`…`MFF` of a group.

use std::fmt;

/// A logical slot of a group that the tracker assigns for a write, printed `M00`…`MFF`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumePath(pub u8);

impl VolumePath {
    /// Parses two hexadecimal digits, either case.
    pub fn from_hex(digits: [u8; 2]) -> Option<Self> {
        let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
        u8::try_from(high? * 16 + low?).ok().map(Self)
    }
}

impl fmt::Display for VolumePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{:02X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_paths_print_upper_case_hex() {
        assert_eq!(VolumePath(0xaf).to_string(), "MAF");
        assert_eq!(VolumePath::from_hex(*b"af"), Some(VolumePath(0xaf)));
        assert_eq!(VolumePath::from_hex(*b"g0"), None);
        assert_eq!(VolumePath::from_hex(*b"+1"), None);
    }
}
