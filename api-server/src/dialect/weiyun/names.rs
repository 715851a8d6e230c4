//! Names that stand for numbers of ours: openid, file id, folder key, token secret, link.
//! Source: docs/api/weiyun.md §2.3, §2.5, §5, §6.3.
//!
//! All of them follow from the number and a key that only the server has. So they are the same each
//! time, need no place in the catalog, and say nothing to anybody else.

use super::hex;
use crate::core::id::{AccountId, AppNumber, FolderNumber, ServerKey, TokenHash};

/// Bits of each half of what a file id says.
const HALF_BITS: u32 = 61;
const HALF_MASK: u64 = (1 << HALF_BITS) - 1;
/// Rounds of the network that mixes the halves: four make it a permutation that looks random to whoever
/// sees its results, and two more cost nothing.
const ROUNDS: u8 = 6;

/// Makes names and reads them.
pub(super) struct Names {
    openids: [u8; 32],
    folders: [u8; 32],
    files: [u8; 32],
    secrets: [u8; 32],
    links: [u8; 32],
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names(…)")
    }
}

impl Names {
    /// Names of a server with this key.
    pub(super) fn new(key: &ServerKey) -> Self {
        // What the contexts say is part of every name: it never changes.
        let derive = |context| blake3::derive_key(context, &key.0);
        Self {
            openids: derive("hayloft 2026 weiyun openid"),
            folders: derive("hayloft 2026 weiyun pdirkey"),
            files: derive("hayloft 2026 weiyun file_id"),
            secrets: derive("hayloft 2026 weiyun oauth_token_secret"),
            links: derive("hayloft 2026 weiyun download"),
        }
    }

    /// What an application knows an account by: 32 digits in upper case.
    pub(super) fn openid(&self, account: AccountId, app: AppNumber) -> String {
        tag(
            &self.openids,
            &[&account.0.to_be_bytes(), &app.0.to_be_bytes()],
        )
        .to_ascii_uppercase()
    }

    /// What clients know a folder by: 32 digits.
    pub(super) fn folder(&self, account: AccountId, folder: FolderNumber) -> String {
        tag(
            &self.folders,
            &[&account.0.to_be_bytes(), &folder.0.to_be_bytes()],
        )
    }

    /// The secret that belongs to an access token, for signatures of OAuth 1.0: 32 digits.
    pub(super) fn token_secret(&self, token: &TokenHash) -> String {
        tag(&self.secrets, &[&token.0])
    }

    /// What permits to fetch what a link says: 32 digits.
    pub(super) fn permission(&self, link: &str) -> String {
        tag(&self.links, &[link.as_bytes()])
    }

    /// What clients know a file or a folder by: a UUID that looks random (version 4 of RFC 9562).
    pub(super) fn file_id(&self, account: AccountId, number: u64) -> String {
        let (mut left, mut right) = (account.0 & HALF_MASK, number & HALF_MASK);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.mix(round, right));
        }
        uuid(u128::from(left) << HALF_BITS | u128::from(right))
    }

    /// The account and number that a file id stands for. One that we never gave means numbers that
    /// nothing has.
    pub(super) fn entry_of(&self, file_id: &str) -> Option<(AccountId, u64)> {
        let bits = bits_of(file_id)?;
        let half = |bits: u128| u64::try_from(bits & u128::from(HALF_MASK)).ok();
        let (mut left, mut right) = (half(bits >> HALF_BITS)?, half(bits)?);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.mix(round, left), left);
        }
        Some((AccountId(left), right))
    }

    fn mix(&self, round: u8, half: u64) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.files);
        hasher.update(&[round]);
        hasher.update(&half.to_be_bytes());
        let hash = *hasher.finalize().as_bytes();
        let first = hash.first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(first) & HALF_MASK
    }
}

/// 128 bits that follow from a key and some values, in digits. All values but one have a fixed length,
/// so that different ones never run together to the same.
fn tag(key: &[u8; 32], values: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for value in values {
        hasher.update(value);
    }
    let hash = *hasher.finalize().as_bytes();
    hex::encode(hash.first_chunk::<16>().unwrap_or(&[0; 16]))
}

/// The UUID of 122 bits: 48, the version, 12, the variant, 62.
fn uuid(bits: u128) -> String {
    let low = bits & ((1 << 62) - 1);
    let middle = bits >> 62 & 0xfff;
    let high = bits >> 74;
    let text = format!(
        "{:032x}",
        high << 80 | 4 << 76 | middle << 64 | 0b10 << 62 | low
    );
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    groups
        .map(|group| text.get(group).unwrap_or_default())
        .join("-")
}

/// The 122 bits of a UUID in any case, if it is one of version 4.
fn bits_of(text: &str) -> Option<u128> {
    let groups: Vec<&str> = text.split('-').collect();
    if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
        return None;
    }
    let bytes: [u8; 16] = hex::decode(&groups.concat())?.try_into().ok()?;
    let bits = u128::from_be_bytes(bytes);
    let (version, variant) = (bits >> 76 & 0xf, bits >> 62 & 0b11);
    let low = bits & ((1 << 62) - 1);
    (version == 4 && variant == 0b10)
        .then_some((bits >> 80) << 74 | (bits >> 64 & 0xfff) << 62 | low)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        Names::new(&ServerKey([7; 32]))
    }

    proptest! {
        #[test]
        fn a_file_id_is_a_uuid_that_leads_back(account in 0..=HALF_MASK, number in 0..=HALF_MASK) {
            let id = names().file_id(AccountId(account), number);
            prop_assert_eq!(id.len(), 36);
            prop_assert_eq!(id.as_bytes()[14], b'4');
            prop_assert!(b"89ab".contains(&id.as_bytes()[19]));
            let expected = Some((AccountId(account), number));
            prop_assert_eq!(names().entry_of(&id), expected);
            prop_assert_eq!(names().entry_of(&id.to_uppercase()), expected);
        }

        #[test]
        fn arbitrary_texts_never_panic(text in "[0-9a-f-]{30,40}") {
            let _ = names().entry_of(&text);
        }
    }

    #[test]
    fn other_texts_are_no_file_ids() {
        let id = names().file_id(AccountId(1), 2);
        let version = format!("{}1{}", &id[..14], &id[15..]);
        let variant = format!("{}c{}", &id[..19], &id[20..]);
        for text in [
            "",
            &id[1..],
            &id.replace('-', ""),
            &version,
            &variant,
            &id.replace('-', "g"),
        ] {
            assert_eq!(names().entry_of(text), None, "{text}");
        }
        // The document's own has lost digits.
        assert_eq!(
            names().entry_of("bb58fc0e-af02-454b-81ed-cldfcecf596"),
            None
        );
    }

    #[test]
    fn a_foreign_file_id_leads_to_no_account() {
        let theirs = Names::new(&ServerKey([8; 32])).file_id(AccountId(1), 2);
        let (account, number) = names().entry_of(&theirs).unwrap();
        assert!(1 << 20 < account.0 && 1 << 20 < number);
        let documented = "8fb2cfad-67a9-49a8-b6b1-40014b57dbd7";
        let (account, _) = names().entry_of(documented).unwrap();
        assert!(1 << 20 < account.0);
    }

    #[test]
    fn names_are_fixed_and_differ() {
        let names = names();
        let openid = |account, app| names.openid(AccountId(account), AppNumber(app));
        assert_eq!(openid(1, 12345), openid(1, 12345));
        let folder = |account, folder| names.folder(AccountId(account), FolderNumber(folder));
        let all = [
            openid(1, 12345),
            openid(1, 12346),
            openid(2, 12345),
            folder(1, 0),
            folder(1, 1),
            folder(2, 0),
            names.token_secret(&TokenHash([0; 32])),
            names.token_secret(&TokenHash([1; 32])),
            names.permission("a"),
            names.permission("b"),
        ];
        assert!(all.iter().all(|name| name.len() == 32));
        let distinct: BTreeSet<_> = all.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(distinct.len(), all.len());
        assert!(
            openid(1, 1)
                .bytes()
                .all(|byte| b"0123456789ABCDEF".contains(&byte))
        );
        assert!(
            folder(1, 0)
                .bytes()
                .all(|byte| b"0123456789abcdef".contains(&byte))
        );
        assert_eq!(format!("{names:?}"), "Names(…)");
    }
}
