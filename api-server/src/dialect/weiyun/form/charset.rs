//! Which characters an answer may have: the form's `resp_charset`.

/// How an answer is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::dialect::weiyun) enum Charset {
    /// As UTF-8.
    #[default]
    Utf8,
    /// In ASCII with `\u` escapes, which a client that reads GBK understands as well.
    Ascii,
}

impl Charset {
    /// What a field's value asks for. Everything but the Chinese national encodings is UTF-8.
    pub(super) fn of_field(value: &[u8]) -> Self {
        let value = value.trim_ascii();
        let is_national = [b"GBK".as_slice(), b"GB2312", b"GB18030"]
            .iter()
            .any(|name| value.eq_ignore_ascii_case(name));
        if is_national { Self::Ascii } else { Self::Utf8 }
    }

    /// `json`, written so.
    pub(in crate::dialect::weiyun) fn write(self, json: String) -> String {
        if self == Self::Utf8 || json.is_ascii() {
            return json;
        }
        let mut text = String::with_capacity(json.len() * 2);
        let mut units = [0; 2];
        for character in json.chars() {
            if character.is_ascii() {
                text.push(character);
                continue;
            }
            // What is beyond ASCII stands in strings only.
            for unit in character.encode_utf16(&mut units) {
                let escape = format!("\\u{unit:04x}");
                text.push_str(&escape);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_national_encodings_ask_for_escapes() {
        for name in ["GBK", "gbk", " GB2312\t", "gb18030"] {
            assert_eq!(Charset::of_field(name.as_bytes()), Charset::Ascii, "{name}");
        }
        for name in ["", "UTF8", "UTF-8", "utf8", "Big5", "GBKx"] {
            assert_eq!(Charset::of_field(name.as_bytes()), Charset::Utf8, "{name}");
        }
    }

    #[test]
    fn escapes_say_what_the_characters_said() {
        let json = r#"{"file_name":"图😀.jpg"}"#.to_owned();
        assert_eq!(Charset::Utf8.write(json.clone()), json);
        let ascii = Charset::Ascii.write(json.clone());
        assert_eq!(ascii, r#"{"file_name":"\u56fe\ud83d\ude00.jpg"}"#);
        let [one, other] =
            [json, ascii].map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap());
        assert_eq!(one, other);
    }
}
