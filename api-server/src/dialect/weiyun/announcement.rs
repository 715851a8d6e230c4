//! What somebody who applies for an upload says about the file. Source: docs/api/weiyun.md §2.2.

use super::parameters::Parameters;
use super::refusal::Refusal;
use crate::core::id::{Md5, Sha1};
use crate::core::name::EntryName;

/// Which way the bytes will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadType {
    /// In packets of a block each.
    Control,
    /// As one form.
    Normal,
}

impl UploadType {
    /// Bytes that a file may have which comes this way; `max` is the limit of all.
    fn size_max(self, max: u64) -> u64 {
        match self {
            Self::Normal => max,
            // Packets have numbers of 32 bits.
            Self::Control => max.min(u32::MAX.into()),
        }
    }
}

/// A file that somebody wants to upload, as it was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) upload_type: UploadType,
    pub(super) sha1: Sha1,
    pub(super) md5: Md5,
    /// Bytes.
    pub(super) size: u64,
    pub(super) name: EntryName,
}

impl Announcement {
    /// Reads the parameters, in the order in which they are to be judged.
    ///
    /// # Errors
    ///
    /// The refusal of the first one that is wrong.
    pub(super) fn parse(parameters: &Parameters, size_max: u64) -> Result<Self, Refusal> {
        let upload_type = match parameters.text("upload_type") {
            Ok(None | Some("" | "control")) => UploadType::Control,
            Ok(Some("normal")) => UploadType::Normal,
            Ok(Some(_)) | Err(_) => return Err(Refusal::UploadType),
        };
        let digest = |name| parameters.filled(name).unwrap_or_default();
        let sha1 = digest("sha").parse().map_err(|_| Refusal::Sha)?;
        let md5 = digest("md5").parse().map_err(|_| Refusal::Md5)?;
        let size = size(parameters, upload_type.size_max(size_max))?;
        let name = parameters
            .text("name")
            .map_err(|_| Refusal::NotText("name"))?;
        let name = name.ok_or(Refusal::Missing("name"))?.parse()?;
        Ok(Self {
            upload_type,
            sha1,
            md5,
            size,
            name,
        })
    }
}

fn size(parameters: &Parameters, max: u64) -> Result<u64, Refusal> {
    let digits = parameters.filled("size").ok_or(Refusal::Missing("size"))?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::Size);
    }
    // A number that is too large for us is so for everybody.
    let size = digits.parse().unwrap_or(u64::MAX);
    if max < size {
        return Err(Refusal::TooBig { max });
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::super::ret::Ret;
    use super::*;

    const SIZE_MAX: u64 = 10 << 30;
    const SHA: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    /// The parameters of a sound application with some of them set, or taken away.
    fn apply(changes: &[(&str, Option<&str>)]) -> Result<Announcement, Ret> {
        let mut pairs = vec![
            ("sha", SHA),
            ("md5", MD5),
            ("size", "3"),
            ("name", "abc.txt"),
        ];
        for (name, value) in changes {
            pairs.retain(|(found, _)| found != name);
            pairs.extend(value.map(|value| (*name, value)));
        }
        let query: Vec<_> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let parameters = Parameters::parse(query.join("&").as_bytes()).unwrap();
        Announcement::parse(&parameters, SIZE_MAX).map_err(|refusal| refusal.ret())
    }

    fn check(name: &str, value: Option<&str>, expected: Result<(), Ret>) {
        assert_eq!(
            apply(&[(name, value)]).map(drop),
            expected,
            "{name}={value:?}"
        );
    }

    #[test]
    fn a_sound_application_is_understood() {
        let expected = Announcement {
            upload_type: UploadType::Control,
            sha1: SHA.parse().unwrap(),
            md5: MD5.parse().unwrap(),
            size: 3,
            name: "abc.txt".parse().unwrap(),
        };
        assert_eq!(apply(&[]), Ok(expected.clone()));
        let [sha, md5] = [SHA, MD5].map(str::to_uppercase);
        let upper = apply(&[
            ("sha", Some(&sha)),
            ("md5", Some(&md5)),
            ("upload_type", Some("")),
        ]);
        assert_eq!(upper, Ok(expected));
        let normal = apply(&[
            ("upload_type", Some("normal")),
            ("name", Some("%E5%9B%BE+1.jpg")),
        ]);
        let normal = normal.unwrap();
        assert_eq!(
            (normal.upload_type, normal.name.as_str()),
            (UploadType::Normal, "图 1.jpg")
        );
    }

    #[test]
    fn each_parameter_has_its_return_code() {
        for value in ["Control", "flash", "0", "%ff"] {
            check("upload_type", Some(value), Err(Ret::UploadType));
        }
        check("upload_type", Some("control"), Ok(()));
        for value in [None, Some(""), Some(&SHA[1..]), Some("z999"), Some(MD5)] {
            check("sha", value, Err(Ret::Sha));
        }
        let not_hex = SHA.replace('a', "g");
        check("sha", Some(&not_hex), Err(Ret::Sha));
        for value in [None, Some(""), Some(&MD5[1..]), Some(SHA)] {
            check("md5", value, Err(Ret::Md5));
        }
        for value in [
            None,
            Some(""),
            Some("-1"),
            Some("1.0"),
            Some("+3"),
            Some("3x"),
            Some("%20"),
        ] {
            check("size", value, Err(Ret::Internal));
        }
        check("size", Some("0"), Ok(()));
        check("size", Some("007"), Ok(()));
        check("name", None, Err(Ret::Internal));
        check("name", Some("%ff"), Err(Ret::Internal));
    }

    #[test]
    fn packets_carry_less_than_forms() {
        for (upload_type, max) in [("control", u64::from(u32::MAX)), ("normal", SIZE_MAX)] {
            let of = |size: u64| {
                let size = size.to_string();
                apply(&[("upload_type", Some(upload_type)), ("size", Some(&size))])
            };
            assert_eq!(of(max).map(|application| application.size), Ok(max));
            assert_eq!(of(max + 1), Err(Ret::TooBig));
        }
        check("size", Some("99999999999999999999999"), Err(Ret::TooBig));
    }

    #[test]
    fn the_first_that_is_wrong_decides() {
        let order = ["upload_type", "sha", "md5", "size"];
        let codes = [Ret::UploadType, Ret::Sha, Ret::Md5, Ret::Internal];
        for (at, code) in codes.into_iter().enumerate() {
            let wrong: Vec<_> = order[at..].iter().map(|name| (*name, Some("x"))).collect();
            assert_eq!(apply(&wrong), Err(code));
        }
    }
}
