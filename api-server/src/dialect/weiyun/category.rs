//! Which files a list shows, told by the extension of their names. Source: docs/api/weiyun.md §5.

use common::web::content_type;

/// Which files a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    /// All.
    File,
    /// Pictures.
    Photo,
    /// Sound.
    Music,
    /// Films.
    Video,
}

impl Category {
    /// The category that calls name so.
    pub(super) fn of(kind: &str) -> Option<Self> {
        match kind {
            "file" => Some(Self::File),
            "photo" => Some(Self::Photo),
            "music" => Some(Self::Music),
            "video" => Some(Self::Video),
            _ => None,
        }
    }

    /// Whether a file of this name is of the category.
    pub(super) fn has(self, name: &str) -> bool {
        let family = match self {
            Self::File => return true,
            Self::Photo => "image/",
            Self::Music => "audio/",
            Self::Video => "video/",
        };
        let Some((_, extension)) = name.rsplit_once('.') else {
            return false;
        };
        let found = content_type::of_extension(extension).value;
        found.as_bytes().starts_with(family.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_tells_the_category() {
        let kinds = [Category::Photo, Category::Music, Category::Video];
        for (name, expected) in [
            ("d1.jpg", Some(Category::Photo)),
            ("图.PNG", Some(Category::Photo)),
            ("a.mp3", Some(Category::Music)),
            ("a.tar.mp4", Some(Category::Video)),
            ("test.txt", None),
            ("jpg", None),
            ("a.", None),
        ] {
            assert!(Category::File.has(name));
            for kind in kinds {
                assert_eq!(kind.has(name), Some(kind) == expected, "{name}");
            }
        }
    }
}
