//! What the head of a request must bring. Source: docs/api/pan123.md §1.2.

use http::header::{AUTHORIZATION, HeaderMap};

use super::refusal::Refusal;
use super::token;
use crate::core::id::Token;

/// The header that says which API is meant.
const PLATFORM: &str = "platform";
/// What it says.
const OPEN_PLATFORM: &str = "open_platform";

/// Checks that the request is meant for this API.
///
/// # Errors
///
/// [`Refusal::Platform`].
pub(super) fn check_platform(headers: &HeaderMap) -> Result<(), Refusal> {
    let platform = headers.get(PLATFORM).and_then(|value| value.to_str().ok());
    match platform {
        Some(platform) if platform.trim().eq_ignore_ascii_case(OPEN_PLATFORM) => Ok(()),
        _ => Err(Refusal::Platform),
    }
}

/// The token of `Authorization`, with or without the word `Bearer` in front.
///
/// # Errors
///
/// [`Refusal::Unauthorized`] if there is none, more than one, or what cannot be one.
pub(super) fn token(headers: &HeaderMap) -> Result<Token, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    let text = value
        .filter(|_| more.is_none())
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .ok_or(Refusal::Unauthorized)?;
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
        Some(_) => return Err(Refusal::Unauthorized),
        None => text,
    };
    token::decode(token).ok_or(Refusal::Unauthorized)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::AccountId;
    use crate::dialect::pan123::token::Claims;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_platform_is_named_in_any_case() {
        for value in ["open_platform", "OPEN_PLATFORM", " open_platform "] {
            assert!(check_platform(&headers(&[("platform", value)])).is_ok());
        }
        for pairs in [&[][..], &[("platform", "")], &[("platform", "web")]] {
            let refused = check_platform(&headers(pairs));
            assert!(matches!(refused, Err(Refusal::Platform)), "{pairs:?}");
        }
    }

    #[test]
    fn a_token_stands_behind_bearer_or_alone() {
        let claims = Claims {
            account: AccountId(1),
            issued: 0,
            expires: 1,
        };
        let text = token::encode(&Token([7; 16]), claims);
        for value in [
            format!("Bearer {text}"),
            format!("bearer   {text}"),
            format!("BEARER {text} "),
            text.clone(),
        ] {
            let found = token(&headers(&[("authorization", &value)]));
            assert_eq!(found.unwrap().0, [7; 16], "{value}");
        }
        let twice = [("authorization", text.as_str()), ("authorization", &text)];
        let basic = format!("Basic {text}");
        for pairs in [
            &[][..],
            &[("authorization", "")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "Bearer x")],
            &[("authorization", &basic)],
            &twice,
        ] {
            let refused = token(&headers(pairs));
            assert!(matches!(refused, Err(Refusal::Unauthorized)), "{pairs:?}");
        }
    }
}
