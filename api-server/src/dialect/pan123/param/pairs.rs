//! Queries and forms: `name=value` pairs, decoded as browsers encode them.

use percent_encoding::percent_decode;

use super::{Bag, Name, Scalar, TooMany};

/// Why such pairs are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum PairError {
    #[error("{0} is not UTF-8")]
    Encoding(Name),
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

/// The values in `text`. Pairs of unknown names are passed over, whatever they hold.
pub(super) fn parse(text: &[u8]) -> Result<Bag, PairError> {
    let mut bag = Bag::default();
    for pair in text.split(|byte| *byte == b'&') {
        let (key, value) = match memchr::memchr(b'=', pair) {
            Some(at) => {
                let (key, rest) = pair.split_at(at);
                (key, rest.strip_prefix(b"=").unwrap_or(rest))
            }
            None => (pair, pair.get(..0).unwrap_or_default()),
        };
        let Some(name) = decode(key).as_deref().and_then(Name::of) else {
            continue;
        };
        let value = decode(value).ok_or(PairError::Encoding(name))?;
        bag.push(name, Scalar::Text(value))?;
    }
    Ok(bag)
}

fn decode(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}
