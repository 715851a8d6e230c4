//! Where a request's token is looked for, and whom it proves. Source: docs/api/image-host.md §2.5.

use std::borrow::Cow;

use common::web::query;
use http::header::{AUTHORIZATION, COOKIE};
use http::request;

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::name::UserName;
use crate::http::caller::Caller;
use crate::service::{Actor, Proof, Service, TokenlessCall};

use super::json::Object;
use super::refusal::Refusal;

/// The scheme of an `Authorization` that brings a token, with the blank behind it.
const BEARER: &str = "bearer ";
/// The name of the token in bodies, queries and cookies.
const TOKEN: &str = "token";

/// The proof that a text is. An empty one is none.
///
/// # Errors
///
/// [`Refusal::TokenControl`]: such a request is malformed.
pub(super) fn of_text(text: &str) -> Result<Proof, Refusal> {
    if text.is_empty() {
        return Ok(Proof::Nothing);
    }
    if text.contains(|character: char| character.is_ascii_control()) {
        return Err(Refusal::TokenControl);
    }
    // Tokens are given out in lower case, and another spelling is another text.
    if text.contains(|character: char| character.is_ascii_uppercase()) {
        return Ok(Proof::Malformed);
    }
    Ok(text.parse().map_or(Proof::Malformed, Proof::Token))
}

/// The member `token` of a body.
pub(super) fn of_body(body: &Object) -> Result<Proof, Refusal> {
    match body.string_if_any(TOKEN) {
        Ok(text) => of_text(text.unwrap_or_default()),
        Err(_) => Ok(Proof::Malformed),
    }
}

/// The first token of the query, the header `Authorization` and the cookies.
pub(super) fn of_head(head: &request::Parts) -> Result<Proof, Refusal> {
    let in_query = head
        .uri
        .query()
        .and_then(|query| query::value(query, TOKEN));
    let bearer = head
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer);
    let cookie = head
        .headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == TOKEN && !value.is_empty()).then_some(value));
    let found = [
        in_query,
        bearer.map(Cow::Borrowed),
        cookie.map(Cow::Borrowed),
    ]
    .into_iter()
    .flatten()
    .find(|text| !text.is_empty());
    of_text(found.as_deref().unwrap_or_default())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim())
}

/// The user of a call that must bring a token in its body. The token is judged first: a user's name
/// that cannot be one is only then what is wrong.
///
/// # Errors
///
/// [`ServiceError::Denied`](crate::service::ServiceError::Denied); else what is wrong with the name.
pub(super) async fn require<C: Catalog, B: Blobs>(
    service: &Service<C, B>,
    user: Result<UserName, Refusal>,
    proof: &Proof,
) -> Result<Actor, Refusal> {
    match user {
        Ok(user) => Ok(service.actor(&user, proof).await?),
        Err(refusal) => {
            service.actor_of(proof).await?;
            Err(refusal)
        }
    }
}

/// The user of a call that need not bring a token. `proof` is what its body brings.
///
/// # Errors
///
/// [`ServiceError::Denied`](crate::service::ServiceError::Denied), and what else the service says.
pub(super) async fn accept<C: Catalog, B: Blobs>(
    service: &Service<C, B>,
    user: &UserName,
    proof: Proof,
    head: &request::Parts,
    caller: &Caller,
    call: TokenlessCall,
) -> Result<Actor, Refusal> {
    let proof = match proof {
        Proof::Nothing => of_head(head)?,
        Proof::Token(_) | Proof::Malformed => proof,
    };
    let address = caller.address();
    Ok(service.actor_or_named(user, &proof, address, call).await?)
}

/// Refuses a call that a page of somebody else made a browser send, with the user's cookies.
pub(super) fn refuse_foreign_pages(caller: &Caller) -> Result<(), Refusal> {
    if caller.is_from_foreign_page() {
        return Err(Refusal::ForeignPage);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::Token;
    use http::Request;

    fn text(byte: u8) -> String {
        Token([byte; 16]).to_string()
    }

    fn found(query: &str, headers: &[(&str, &str)]) -> Option<u8> {
        let mut request = Request::post(format!("/api/upload?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        match of_head(&head).unwrap() {
            Proof::Token(Token([first, ..])) => Some(first),
            Proof::Malformed => Some(0),
            Proof::Nothing => None,
        }
    }

    #[test]
    fn the_first_token_that_is_not_empty_decides() {
        let (one, two, three) = (text(1), text(2), text(3));
        let query = format!("token={one}");
        let bearer = format!("Bearer {two}");
        let cookies = format!("userName=a; token={three}");
        let all = [
            ("authorization", bearer.as_str()),
            ("cookie", cookies.as_str()),
        ];
        assert_eq!(found(&query, &all), Some(1));
        assert_eq!(found("token=", &all), Some(2));
        assert_eq!(found("", &all[1..]), Some(3));
        assert_eq!(found("", &[]), None);
        assert_eq!(found("", &[("authorization", "Basic YTpi")]), None);
        assert_eq!(found("", &[("authorization", "bearer x")]), Some(0));
        assert_eq!(found("", &[("cookie", "token="), all[1]]), Some(3));
        assert_eq!(found("", &[("cookie", "xtoken=1;token")]), None);
        assert_eq!(found("token=x", &all), Some(0));
    }

    #[test]
    fn tokens_are_lower_case_and_have_no_control_characters() {
        assert!(matches!(of_text(""), Ok(Proof::Nothing)));
        assert!(matches!(of_text(&text(0xab)), Ok(Proof::Token(_))));
        let upper = text(0xab).to_uppercase();
        assert!(matches!(of_text(&upper), Ok(Proof::Malformed)));
        assert!(matches!(of_text(&text(1)[1..]), Ok(Proof::Malformed)));
        assert!(matches!(of_text("a\0"), Err(Refusal::TokenControl)));
    }
}
