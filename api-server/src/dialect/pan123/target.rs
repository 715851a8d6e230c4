//! Where an uploaded file goes: folder, name, and what if the name is taken.
//! Source: docs/api/pan123.md §3.

use super::param::{Name, ParamError, Params, bad_value};
use super::refusal::Refusal;
use crate::core::files::Conflict;
use crate::core::id::FolderNumber;
use crate::core::name::EntryName;
use crate::service::NewSliced;

/// Folders that a path may have in front of a file's name.
const LEVELS_MAX: usize = 64;

/// The file that the parameters of an upload describe, which may have `size_max` bytes.
///
/// # Errors
///
/// [`Refusal::Param`], [`Refusal::TooLarge`].
pub(super) fn new_file(params: &Params, size_max: u64) -> Result<NewSliced, Refusal> {
    let folder = folder(params)?;
    let (path, name) = path_and_name(params)?;
    Ok(NewSliced {
        folder,
        path,
        name,
        conflict: conflict(params)?,
        md5: Some(params.parsed(Name::Etag)?),
        size: size(params, size_max)?,
    })
}

/// The folder that a file goes to, or that its path begins in.
pub(super) fn folder(params: &Params) -> Result<FolderNumber, ParamError> {
    params.natural(Name::ParentFileId).map(FolderNumber)
}

/// Bytes of the file.
///
/// # Errors
///
/// [`Refusal::Param`], [`Refusal::TooLarge`].
pub(super) fn size(params: &Params, size_max: u64) -> Result<u64, Refusal> {
    let size = params.natural(Name::Size)?;
    if size_max < size {
        return Err(Refusal::TooLarge { max: size_max });
    }
    Ok(size)
}

/// What happens if the name is taken.
pub(super) fn conflict(params: &Params) -> Result<Conflict, ParamError> {
    match params.integer_if_any(Name::Duplicate)? {
        None | Some(0) => Ok(Conflict::Refuse),
        Some(1) => Ok(Conflict::Keep),
        Some(2) => Ok(Conflict::Replace),
        Some(_) => Err(ParamError::Type {
            name: Name::Duplicate,
            wanted: "1 or 2",
        }),
    }
}

/// The name, and the folders in front of it if the request says that there are any.
fn path_and_name(params: &Params) -> Result<(Vec<EntryName>, EntryName), ParamError> {
    let text = params.text(Name::FileName)?;
    let parse = |text: &str| {
        text.parse::<EntryName>()
            .map_err(|error| bad_value(Name::FileName, &error))
    };
    if !params.flag(Name::ContainDir)? {
        return Ok((Vec::new(), parse(text)?));
    }
    let bad = |why: &str| ParamError::Value {
        name: Name::FileName,
        why: why.to_owned(),
    };
    let (folders, name) = text.rsplit_once('/').unwrap_or(("", text));
    if name.is_empty() {
        return Err(bad("the path does not end with a name"));
    }
    let folders = || folders.split('/').filter(|segment| !segment.is_empty());
    if LEVELS_MAX < folders().count() {
        return Err(bad("the path has more than 64 levels"));
    }
    let folders: Vec<EntryName> = folders().map(parse).collect::<Result<_, _>>()?;
    Ok((folders, parse(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::{Value, json};

    fn file(change: &Value) -> Result<NewSliced, Refusal> {
        let mut body = json!({
            "parentFileID": 0,
            "filename": "测试文件.mp4",
            "etag": "4b5c549c4abd0a079caf92d6cad24127",
            "size": 50_650_928,
        });
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let params = Params::parse(None, &Bytes::from(body.to_string())).unwrap();
        new_file(&params, 10 << 30)
    }

    #[test]
    fn the_documented_example_is_a_file_in_the_root() {
        let new = file(&json!({})).unwrap();
        assert_eq!(new.folder, FolderNumber::ROOT);
        assert_eq!(new.name.as_str(), "测试文件.mp4");
        assert!(new.path.is_empty());
        assert_eq!(new.conflict, Conflict::Refuse);
        assert_eq!(new.size, 50_650_928);
        let md5 = new.md5.unwrap().to_string();
        assert_eq!(md5, "4b5c549c4abd0a079caf92d6cad24127");
        let upper = json!({"etag": "4B5C549C4ABD0A079CAF92D6CAD24127"});
        assert_eq!(file(&upper).unwrap().md5.unwrap().to_string(), md5);
    }

    #[test]
    fn a_path_is_split_only_where_the_request_says_that_it_is_one() {
        for (path, folders, name) in [
            (
                "/你好/123/测试文件.mp4",
                &["你好", "123"][..],
                "测试文件.mp4",
            ),
            ("你好/123/a", &["你好", "123"], "a"),
            ("//a///b//c", &["a", "b"], "c"),
            ("a", &[], "a"),
            ("/a", &[], "a"),
            (" /a", &[], ""),
            ("a/b/", &[], ""),
            ("/", &[], ""),
            ("a/../b", &[], ""),
            ("a/./b", &[], ""),
            ("a/b:c", &[], ""),
            ("a*/b", &[], ""),
            ("a/..", &[], ""),
        ] {
            assert!(
                file(&json!({"filename": path})).is_err() == path.contains('/'),
                "without containDir: {path}"
            );
            match file(&json!({"filename": path, "containDir": true})) {
                Ok(new) => {
                    let found: Vec<&str> = new.path.iter().map(EntryName::as_str).collect();
                    assert_eq!((&*found, new.name.as_str()), (folders, name), "{path}");
                }
                Err(refusal) => assert!(name.is_empty(), "{path}: {refusal}"),
            }
        }
        let deep = |levels| json!({"filename": "a/".repeat(levels) + "b", "containDir": "1"});
        assert_eq!(file(&deep(64)).unwrap().path.len(), 64);
        assert!(file(&deep(65)).is_err());
    }

    #[test]
    fn what_happens_to_a_taken_name_is_1_or_2_or_not_said() {
        for (value, conflict) in [
            (json!(null), Conflict::Refuse),
            (json!(""), Conflict::Refuse),
            (json!(0), Conflict::Refuse),
            (json!(1), Conflict::Keep),
            (json!("2"), Conflict::Replace),
        ] {
            let new = file(&json!({"duplicate": value})).unwrap();
            assert_eq!(new.conflict, conflict, "{value}");
        }
        for value in [json!(3), json!(-1), json!("x"), json!(true)] {
            assert_eq!(file(&json!({"duplicate": value})).unwrap_err().code(), 1);
        }
    }

    #[test]
    fn bad_parameters_are_1_and_large_files_20106() {
        let name = |len| "长".repeat(len);
        assert!(file(&json!({"filename": name(255), "size": 10_u64 << 30})).is_ok());
        for (bad, code) in [
            (json!({"size": (10_u64 << 30) + 1}), 20106),
            (json!({"size": -1}), 1),
            (json!({"size": "x"}), 1),
            (json!({"size": null}), 1),
            (json!({"etag": "4b5c"}), 1),
            (json!({"etag": ""}), 1),
            (json!({"parentFileID": null}), 1),
            (json!({"parentFileID": -1}), 1),
            (json!({"parentFileID": true}), 1),
            (json!({"filename": ""}), 1),
            (json!({"filename": null}), 1),
            (json!({"filename": name(256)}), 1),
            (json!({"filename": " \u{3000} "}), 1),
            (json!({"filename": "a\nb"}), 1),
            (json!({"filename": "a\u{7f}b"}), 1),
            (json!({"filename": "."}), 1),
            (json!({"filename": ".."}), 1),
        ] {
            assert_eq!(file(&bad).unwrap_err().code(), code, "{bad}");
        }
        for character in "\"\\/:*?|><".chars() {
            let bad = json!({"filename": format!("a{character}b")});
            assert_eq!(file(&bad).unwrap_err().code(), 1, "{bad}");
        }
        for good in [" a ", ".bashrc", "100%+1.txt", "😀", "“a”"] {
            let new = file(&json!({"filename": good})).unwrap();
            assert_eq!(new.name.as_str(), good);
        }
    }
}
