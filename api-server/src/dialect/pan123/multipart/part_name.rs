//! The name of a part, in the value of its Content-Disposition.

/// Blanks between parameters.
const BLANKS: [char; 2] = [' ', '\t'];

/// What a part is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartName {
    /// The name of the field.
    pub(super) name: String,
    /// The name of a file, as it came.
    pub(super) file_name: Option<String>,
}

/// The names in a line such as `form-data; name="slice"; filename="a.txt"`; `None` if it does not name
/// the field.
///
/// Values may be bare or in quotes, and a `;` may stand at the end. Some clients escape quotes in file
/// names and some do not: a value ends at the quote behind which a `;` or nothing follows. File names in
/// other encodings do no harm, as only the field's name decides anything.
pub(super) fn of(line: &[u8]) -> Option<PartName> {
    let line = String::from_utf8_lossy(line);
    let (kind, mut rest) = line.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut file_name) = (None, None);
    while let Some((key, behind)) = rest.split_once('=') {
        // A word without a value may stand before the name.
        let key = key.rsplit(';').next().unwrap_or(key).trim();
        let (value, behind) = value_of(behind.trim_start_matches(BLANKS));
        let place = if key.eq_ignore_ascii_case("name") {
            &mut name
        } else {
            &mut file_name
        };
        if key.eq_ignore_ascii_case("name") || key.eq_ignore_ascii_case("filename") {
            place.get_or_insert_with(|| value.to_owned());
        }
        rest = behind;
    }
    let name = name.filter(|name: &String| !name.is_empty())?;
    Some(PartName { name, file_name })
}

/// Splits what follows `=` into the value and what stands behind it.
fn value_of(text: &str) -> (&str, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, behind) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim(), behind);
    };
    let mut from = 0;
    while let Some(found) = quoted.get(from..).and_then(|rest| rest.find('"')) {
        let (value, behind) = quoted.split_at(from + found);
        let behind = behind.strip_prefix('"').unwrap_or(behind);
        let is_end = behind.trim_start_matches(BLANKS);
        if is_end.is_empty() || is_end.starts_with(';') {
            return (value, behind);
        }
        from += found + 1;
    }
    (quoted, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_all_spellings_that_clients_have() {
        for line in [
            r#" form-data; name="sliceNo""#,
            r#"form-data; name="sliceNo";"#,
            "form-data;name=sliceNo",
            r#"Form-Data ; NAME = "sliceNo" ; "#,
            r#"form-data; filename="a\"b; name=\"c"; name="sliceNo""#,
            r#"form-data; filename="a"b.txt"; name="sliceNo""#,
            r#"form-data; filename="a;b=c"; filename*=UTF-8''%22; name=sliceNo"#,
            r#"form-data; name="sliceNo"; filename="x"; name="other""#,
            "form-data; word; name=sliceNo; size=5",
        ] {
            let found = of(line.as_bytes()).unwrap();
            assert_eq!(found.name, "sliceNo", "{line}");
        }
        let gbk = b"form-data; filename=\"\xb2\xe2\"; name=\"slice\"";
        assert_eq!(of(gbk).unwrap().name, "slice");
        let named = of(br#"form-data; filename="abc.pdf"; name="file""#).unwrap();
        assert_eq!(named.file_name.as_deref(), Some("abc.pdf"));
    }

    #[test]
    fn a_part_without_a_name_is_none() {
        for line in [
            "",
            "form-data",
            "form-data;",
            "form-data; name",
            "form-data; name=",
            "form-data; name=\"\"",
            "form-data; filename=\"name=x\"",
            "attachment; name=\"a\"",
            "form-data name=\"a\"",
        ] {
            assert_eq!(of(line.as_bytes()), None, "{line}");
        }
    }
}
