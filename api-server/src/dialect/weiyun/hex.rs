//! Hexadecimal digits of values whose length the core does not know.

/// The bytes of pairs of digits in any case; nothing if anything else is among them.
pub(super) fn decode(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let pair = |[high, low]: &[u8; 2]| Some(value(*high)? << 4 | value(*low)?);
    pairs.iter().map(pair).collect()
}

fn value(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// The digits of bytes, in lower case.
pub(super) fn encode(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15].map(digit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_pairs_and_any_case() {
        assert_eq!(decode("00fFA9"), Some(vec![0, 255, 0xa9]));
        assert_eq!(encode(&[0, 255, 0xa9]), "00ffa9");
        assert_eq!(decode(""), Some(Vec::new()));
        for bad in ["0", "0g", " 0", "+1", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
