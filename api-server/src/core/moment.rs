//! What the outside world contributes to a change: time and chance.

use super::keys::KeyType;

/// The time of a change, and chance for it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Unix seconds.
    pub now: u32,
    /// 64 bits that nobody can foresee.
    pub chance: u64,
}

impl Moment {
    /// The same moment for one of several changes of the same kind.
    pub(super) fn for_change(self, number: u64) -> Self {
        Self {
            chance: self.chance ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            ..self
        }
    }

    /// Bits for one list of several that a change touches, so that an entry which is rare in one is
    /// not rare in all. The mixing function is that of `SplitMix64`.
    pub(super) fn chance_for(&self, list: KeyType) -> u64 {
        let mut bits = self.chance ^ (u64::from(list as u8) << 56);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_get_different_chances_from_one_moment() {
        let moment = Moment { now: 0, chance: 7 };
        let chances = [KeyType::File, KeyType::FileByName, KeyType::FileBySize]
            .map(|list| moment.chance_for(list));
        assert!(
            chances.windows(2).all(|pair| pair[0] != pair[1]),
            "{chances:?}"
        );
    }
}
