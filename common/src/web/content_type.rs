//! Content types by extension, and what keeps uploaded pages from acting as the site.
//!
//! Anybody who may upload may upload HTML or SVG with scripts, and all blobs share one origin: a
//! script inside one could read everything that the viewer may read there, that is stored cross-site
//! scripting. So every answer forbids sniffing, which would turn a "picture" into a page, and types
//! that browsers execute are shown inside a sandbox: an origin of their own, no scripts, no forms, no
//! loading from elsewhere. Such a page still displays.

use http::HeaderValue;

/// The headers that depend on the extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// `Content-Type`.
    pub value: HeaderValue,
    /// `Content-Security-Policy`, for types that browsers execute.
    pub policy: Option<HeaderValue>,
}

const SANDBOX: &str = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
                       base-uri 'none'; form-action 'none'";

/// The type of a blob whose name ends in `extension` (without dot, any case).
pub fn of_extension(extension: &str) -> ContentType {
    let essence = mime_guess::from_ext(extension)
        .first_raw()
        .unwrap_or("application/octet-stream");
    ContentType {
        value: with_charset(essence),
        policy: is_active(essence).then(|| HeaderValue::from_static(SANDBOX)),
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

/// Whether a browser that opens such a blob may run what is in it.
fn is_active(essence: &str) -> bool {
    matches!(
        essence,
        "text/html" | "text/xml" | "text/xsl" | "application/xml" | "message/rfc822"
    ) || essence.ends_with("+xml")
        || essence.starts_with("multipart/")
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
    fn what_browsers_execute_is_sandboxed_and_pictures_are_not() {
        for extension in [
            "html", "htm", "HTML", "xhtml", "xht", "svg", "svgz", "xml", "xsl", "mht", "mhtml",
            "rss", "rdf",
        ] {
            let policy = of_extension(extension).policy;
            let sandboxed = policy.is_some_and(|p| p.as_bytes().starts_with(b"sandbox; "));
            assert!(sandboxed, "{extension}");
        }
        for extension in ["jpg", "png", "pdf", "txt", "mp4", "bin", ""] {
            assert_eq!(of_extension(extension).policy, None, "{extension}");
        }
    }
}
