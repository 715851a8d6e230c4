//! Which output a client takes: the `Accept` header.

use http::header::{ACCEPT, HeaderMap};

/// What the client can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accepts {
    /// It says that it shows WebP.
    Webp,
    /// It says nothing of the kind, as tools and old programs do: JPEG where that can hold the
    /// picture.
    Any,
}

impl Accepts {
    /// Reads `Accept`. Only `image/webp` by name counts: programs that show no WebP send `*/*` too.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let named = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(is_wanted_webp);
        if named { Self::Webp } else { Self::Any }
    }

    /// A byte that is part of a cached thumbnail's name and must not change.
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Webp => 1,
            Self::Any => 2,
        }
    }
}

/// Whether an element of `Accept` is WebP with a weight above zero. Source: RFC 9110 §12.5.1.
fn is_wanted_webp(element: &str) -> bool {
    let mut parts = element.split(';').map(str::trim);
    let is_webp = parts
        .next()
        .is_some_and(|range| range.eq_ignore_ascii_case("image/webp"));
    is_webp && !parts.any(is_weight_zero)
}

fn is_weight_zero(parameter: &str) -> bool {
    parameter
        .strip_prefix("q=")
        .or_else(|| parameter.strip_prefix("Q="))
        .is_some_and(|weight| weight.trim_matches(['0', '.']).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Accepts {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        Accepts::from_headers(&headers)
    }

    #[test]
    fn only_webp_by_name_counts() {
        assert_eq!(of(&["image/avif,image/webp,*/*;q=0.8"]), Accepts::Webp);
        assert_eq!(of(&["image/png", "Image/WebP ; q=0.3"]), Accepts::Webp);
        assert_eq!(of(&["*/*"]), Accepts::Any);
        assert_eq!(of(&["image/*"]), Accepts::Any);
        assert_eq!(of(&["image/webp2"]), Accepts::Any);
        assert_eq!(of(&[]), Accepts::Any);
    }

    #[test]
    fn weight_zero_means_no() {
        assert_eq!(of(&["image/webp;q=0"]), Accepts::Any);
        assert_eq!(of(&["image/webp; q=0.000, image/png"]), Accepts::Any);
    }
}
