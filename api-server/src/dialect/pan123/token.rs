//! The text of an access token: three parts of base64url with dots between them.
//! Source: docs/api/pan123.md §2.1.
//!
//! Some clients take the token for a JSON Web Token, decode the part in the middle and look for the
//! user's number there. So it is one in form. Nothing here believes what it says: who asks is told by
//! the 128 random bits at the end alone, of which the catalog has a hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::core::id::{AccountId, Token};

/// Characters that a token may have; ours have fewer than 200.
const LEN_MAX: usize = 1024;
/// What the first part says: the last one is no signature that anybody could check.
const HEADER: &str = r#"{"alg":"none","typ":"JWT"}"#;

/// What a token tells clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claims {
    pub(super) account: AccountId,
    /// When it was made, Unix seconds.
    pub(super) issued: u32,
    /// When it ends, Unix seconds.
    pub(super) expires: u32,
}

/// The text that clients get.
pub(super) fn encode(token: &Token, claims: Claims) -> String {
    let Claims {
        account,
        issued,
        expires,
    } = claims;
    let payload = format!(r#"{{"id":{account},"exp":{expires},"iat":{issued}}}"#);
    let [header, payload, secret] =
        [HEADER.as_bytes(), payload.as_bytes(), &token.0].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{payload}.{secret}")
}

/// The token in a text, if it can be one.
pub(super) fn decode(text: &str) -> Option<Token> {
    if LEN_MAX < text.len() {
        return None;
    }
    let mut parts = text.split('.');
    let (_header, _payload, secret) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let secret = URL_SAFE_NO_PAD.decode(secret).ok()?;
    secret.try_into().ok().map(Token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const CLAIMS: Claims = Claims {
        account: AccountId(17),
        issued: 1_748_736_000,
        expires: 1_751_328_000,
    };

    #[test]
    fn clients_find_the_user_in_the_middle() {
        let text = encode(&Token([0xfb; 16]), CLAIMS);
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, _] = parts[..] else {
            panic!("{text}")
        };
        let json = |part| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(json(header)["typ"], "JWT");
        let payload = json(payload);
        assert_eq!(payload["id"], 17);
        assert_eq!(payload["exp"], 1_751_328_000_u32);
        assert_eq!(payload["iat"], 1_748_736_000_u32);
    }

    #[test]
    fn a_token_comes_back_and_nothing_else_is_one() {
        let token = Token(std::array::from_fn(|at| u8::try_from(at * 16).unwrap()));
        let text = encode(&token, CLAIMS);
        assert!(decode(&text).is_some_and(|found| found.0 == token.0));
        let (front, secret) = text.rsplit_once('.').unwrap();
        for bad in [
            String::new(),
            "..".to_owned(),
            secret.to_owned(),
            format!("a.{secret}"),
            format!("{text}.x"),
            format!("{text}A"),
            text[..text.len() - 1].to_owned(),
            format!("{front}.{}", "ab".repeat(16)),
            format!("{front}.{}", "é".repeat(11)),
            format!("{}.{secret}", front.repeat(20)),
        ] {
            assert!(decode(&bad).is_none(), "{bad}");
        }
    }
}
