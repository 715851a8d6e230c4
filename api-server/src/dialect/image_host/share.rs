//! `GET /api/share`: the link of the document, which leads to the page `/share`.
//! Source: docs/api/image-host.md §4.20, §7.

use common::web::query;
use http::Uri;
use http::header::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::Answer;

/// The page.
const PAGE: &str = "/share";

/// Leads to the page, which says so if the link is none.
pub(super) fn answer(target: &Uri) -> Answer {
    let link = target
        .query()
        .and_then(|query| query::value(query, "urlmd5"))
        .unwrap_or_default();
    let page = if link.is_empty() {
        PAGE.to_owned()
    } else {
        // Everything but letters and digits is encoded: nothing of the value can end the header, the
        // query or a string in a page.
        format!(
            "{PAGE}?urlmd5={}",
            utf8_percent_encode(&link, NON_ALPHANUMERIC)
        )
    };
    let page = HeaderValue::try_from(page);
    Answer::Elsewhere(page.unwrap_or(HeaderValue::from_static(PAGE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(target: &str) -> String {
        let Answer::Elsewhere(page) = answer(&target.parse().unwrap()) else {
            panic!("the page is elsewhere")
        };
        page.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_link_is_handed_on_and_nothing_else() {
        let link = "602fdf30db2aacf517badf4565121234";
        assert_eq!(
            location(&format!("/api/share?urlmd5={link}")),
            format!("/share?urlmd5={link}")
        );
        assert_eq!(location("/api/share"), "/share");
        assert_eq!(location("/api/share?urlmd5="), "/share");
        assert_eq!(
            location("/api/share?urlmd5=%0d%0aSet-Cookie:%20a&x=1"),
            "/share?urlmd5=%0D%0ASet%2DCookie%3A%20a"
        );
        assert_eq!(
            location("/api/share?urlmd5=%22%3E%3Cscript%3E"),
            "/share?urlmd5=%22%3E%3Cscript%3E"
        );
    }
}
