//! The parameters that clients load from the tracker (75): `key=value` lines.

use bytes::BytesMut;

use crate::codec::CodecError;
use crate::wire::{WireError, packet};

/// Bytes that the C client's buffer cannot take any more.
const LEN_END: usize = 1024;

/// Keys and values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    text: String,
}

impl Parameters {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter. Neither may hold a line break, nor the key a `=`, and all lines together must
    /// stay below 1024 bytes, the buffer of the C client.
    pub fn push(&mut self, key: &str, value: &str) -> Result<(), WireError> {
        if key.is_empty() || key.contains(['=', '\n']) || value.contains('\n') {
            return Err(CodecError::Field("parameter").into());
        }
        let len = self.text.len() + key.len() + value.len() + 2;
        if LEN_END <= len {
            return Err(WireError::MessageTooLong {
                len,
                max: LEN_END - 1,
            });
        }
        for piece in [key, "=", value, "\n"] {
            self.text.push_str(piece);
        }
        Ok(())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter()
            .find(|(candidate, _)| *candidate == key)
            .map(|(_, value)| value)
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.lines().filter_map(|line| line.split_once('='))
    }

    /// Decodes a body. Lines that are no parameter are an error.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let text = std::str::from_utf8(body).map_err(|_| CodecError::Field("parameters"))?;
        let mut parameters = Self::new();
        for line in text.split_terminator('\n') {
            let (key, value) = line.split_once('=').ok_or(CodecError::Field("parameter"))?;
            parameters.push(key, value)?;
        }
        Ok(parameters)
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| body.bytes(self.text.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stay_below_the_buffer_of_the_c_client() {
        let mut parameters = Parameters::new();
        let value = "v".repeat(1000);
        parameters.push("k", &value).unwrap();
        parameters.push("key", &"v".repeat(15)).unwrap();
        let mut out = BytesMut::new();
        parameters.encode(&mut out);
        assert_eq!(out.len(), 10 + 1023);
        assert_eq!(
            parameters.push("k", ""),
            Err(WireError::MessageTooLong {
                len: 1026,
                max: 1023
            })
        );
    }

    #[test]
    fn a_parameter_cannot_smuggle_in_another() {
        let mut parameters = Parameters::new();
        for (key, value) in [("a=b", ""), ("", "x"), ("a\n", ""), ("a", "1\nb=2")] {
            assert!(parameters.push(key, value).is_err(), "{key} {value}");
        }
        parameters.push("a", "b=c").unwrap();
        assert_eq!(parameters.get("a"), Some("b=c"));
        assert_eq!(parameters.get("b"), None);
    }
}
