//! Content types by extension, and what keeps uploaded pages from acting as the site.
//!
//! Anybody who may upload may upload HTML or SVG with scripts, and all blobs share one origin, on the
//! API port with the pages of the server itself: a script inside one could read everything that the
//! viewer may read there, that is stored cross-site scripting. So
//!
//! * every answer forbids sniffing, which would turn a "picture" into a page,
//! * only what browsers show without executing anything is shown; the rest is saved,
//! * and whatever a browser makes of it all the same, it makes in a sandbox: an origin of its own, no
//!   scripts, no forms, nothing loaded.
//!
//! Source: docs/api/image-host.md (downloads).

use http::HeaderValue;

/// The headers that depend on the extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// `Content-Type`.
    pub value: HeaderValue,
    /// `Content-Security-Policy`.
    pub policy: Option<HeaderValue>,
    /// What a browser does with it.
    pub presentation: Presentation,
}

/// What a browser does with a blob that somebody opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presentation {
    /// Shows it.
    Inline,
    /// Saves it.
    Attachment,
}

const SANDBOX: &str = "default-src 'none'; sandbox";

/// The type of a blob whose name ends in `extension` (without dot, any case).
pub fn of_extension(extension: &str) -> ContentType {
    let essence = mime_guess::from_ext(extension)
        .first_raw()
        .unwrap_or("application/octet-stream");
    let kind = Kind::of(essence);
    ContentType {
        value: with_charset(essence),
        policy: kind.policy().map(HeaderValue::from_static),
        presentation: kind.presentation(),
    }
}

/// What matters about a type.
enum Kind {
    /// Pixels.
    Picture,
    /// Sound, film and PDF, for which browsers have players that a sandbox keeps from working: they
    /// load the blob a second time, by themselves. They execute nothing in the name of the site.
    Played,
    /// Everything else.
    Other,
}

impl Kind {
    fn of(essence: &str) -> Self {
        match essence {
            // A list, because pictures in SVG or PostScript are programs.
            "image/apng" | "image/avif" | "image/bmp" | "image/gif" | "image/heic"
            | "image/heif" | "image/jpeg" | "image/jxl" | "image/png" | "image/tiff"
            | "image/webp" | "image/x-icon" => Self::Picture,
            "application/pdf" => Self::Played,
            _ if essence.starts_with("audio/") || essence.starts_with("video/") => Self::Played,
            _ => Self::Other,
        }
    }

    fn policy(&self) -> Option<&'static str> {
        match self {
            Self::Picture | Self::Other => Some(SANDBOX),
            Self::Played => None,
        }
    }

    fn presentation(&self) -> Presentation {
        match self {
            Self::Picture | Self::Played => Presentation::Inline,
            Self::Other => Presentation::Attachment,
        }
    }
}

/// Text is UTF-8 today; without the parameter browsers guess some regional encoding.
fn with_charset(essence: &'static str) -> HeaderValue {
    let text = match essence {
        "text/plain" => "text/plain; charset=utf-8",
        "text/html" => "text/html; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/csv" => "text/csv; charset=utf-8",
        "text/markdown" => "text/markdown; charset=utf-8",
        "text/javascript" => "text/javascript; charset=utf-8",
        // XML names its encoding itself, and a header would overrule it.
        "text/xml" => essence,
        _ if essence.starts_with("text/") => {
            return HeaderValue::try_from(format!("{essence}; charset=utf-8"))
                .unwrap_or(HeaderValue::from_static(essence));
        }
        _ => essence,
    };
    HeaderValue::from_static(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_extension_in_any_case() {
        for (extension, expected) in [
            ("jpg", "image/jpeg"),
            ("JPG", "image/jpeg"),
            ("txt", "text/plain; charset=utf-8"),
            ("html", "text/html; charset=utf-8"),
            ("js", "text/javascript; charset=utf-8"),
            ("mp4", "video/mp4"),
            ("ics", "text/calendar; charset=utf-8"),
            ("", "application/octet-stream"),
            ("nosuch", "application/octet-stream"),
        ] {
            assert_eq!(of_extension(extension).value, expected, "{extension}");
        }
    }

    #[test]
    fn only_pictures_sound_film_and_pdf_are_shown() {
        for extension in [
            "jpg", "JPEG", "png", "gif", "webp", "bmp", "avif", "ico", "tif", "mp4", "webm", "mov",
            "mp3", "ogg", "flac", "wav", "pdf",
        ] {
            let shown = of_extension(extension).presentation;
            assert_eq!(shown, Presentation::Inline, "{extension}");
        }
        for extension in [
            "html", "htm", "HTML", "xhtml", "xht", "svg", "svgz", "xml", "xsl", "mht", "mhtml",
            "rss", "rdf", "js", "css", "txt", "md", "csv", "json", "swf", "zip", "eps", "psd",
            "bin", "nosuch", "",
        ] {
            let kind = of_extension(extension);
            assert_eq!(kind.presentation, Presentation::Attachment, "{extension}");
            assert_eq!(kind.policy.unwrap(), SANDBOX, "{extension}");
        }
    }

    #[test]
    fn everything_is_in_a_sandbox_but_what_a_player_must_load_again() {
        for extension in ["jpg", "png", "svg", "html", "txt", "bin", ""] {
            assert_eq!(of_extension(extension).policy.unwrap(), SANDBOX);
        }
        for extension in ["mp4", "mp3", "pdf"] {
            assert_eq!(of_extension(extension).policy, None, "{extension}");
        }
    }
}
