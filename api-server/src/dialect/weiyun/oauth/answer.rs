//! Answers of the token endpoints, in the two forms that clients read. Source: docs/api/weiyun.md §6.2,
//! §6.3, §6.5.

use common::web::body::Body;
use http::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use serde::Serialize;

use super::super::parameters::Parameters;

/// How an answer is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect::weiyun) enum Format {
    /// As the platform does: pairs joined by `&`, or a call of the function `callback`.
    Text,
    /// As a JSON object: `fmt=json`.
    Json,
}

impl Format {
    /// What the parameter `fmt` asks for.
    pub(in crate::dialect::weiyun) fn of(parameters: &Parameters) -> Self {
        match parameters.filled("fmt") {
            Some("json") => Self::Json,
            Some(_) | None => Self::Text,
        }
    }

    /// An object, bare or as the argument of a call.
    pub(super) fn object(self, object: &impl Serialize) -> Response<Body> {
        // Only maps with keys that are no texts can fail, and these have none.
        let json = serde_json::to_string(object).unwrap_or_default();
        match self {
            Self::Text => self.respond(format!("callback( {json} );\n")),
            Self::Json => self.respond(json),
        }
    }

    fn respond(self, text: String) -> Response<Body> {
        let kind = match self {
            // Clients do not mind the type, so that this is that of the platform.
            Self::Text => "text/html; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        };
        let len = text.len();
        let mut response = Response::new(Body::from(bytes::Bytes::from(text)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, len.into());
        for (name, value) in [
            (CONTENT_TYPE, kind),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// What `token` gives. Never printed.
#[derive(Serialize)]
pub(in crate::dialect::weiyun) struct Tokens {
    pub(in crate::dialect::weiyun) access_token: String,
    /// Seconds.
    pub(in crate::dialect::weiyun) expires_in: u64,
    pub(in crate::dialect::weiyun) refresh_token: String,
    pub(in crate::dialect::weiyun) openid: String,
    /// For signatures of OAuth 1.0.
    pub(in crate::dialect::weiyun) oauth_token_secret: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// The answer. The text has what the platform says and no more; all of its values are letters and
    /// digits.
    pub(in crate::dialect::weiyun) fn response(&self, format: Format) -> Response<Body> {
        match format {
            Format::Json => format.object(self),
            Format::Text => format.respond(format!(
                "access_token={}&expires_in={}&refresh_token={}",
                self.access_token, self.expires_in, self.refresh_token
            )),
        }
    }
}

/// What `me` says.
#[derive(Clone, Debug, Serialize)]
pub(in crate::dialect::weiyun) struct OpenId {
    pub(in crate::dialect::weiyun) client_id: String,
    pub(in crate::dialect::weiyun) openid: String,
}

impl OpenId {
    /// The answer.
    pub(in crate::dialect::weiyun) fn response(&self, format: Format) -> Response<Body> {
        format.object(self)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// Type and text of a response.
    pub(in super::super) async fn read(response: Response<Body>) -> (String, String) {
        let kind = response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (kind, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn tokens() -> Tokens {
        Tokens {
            access_token: "a1".to_owned(),
            expires_in: 7_776_000,
            refresh_token: "b2".to_owned(),
            openid: "C3".to_owned(),
            oauth_token_secret: "d4".to_owned(),
        }
    }

    #[tokio::test]
    async fn tokens_are_pairs_or_an_object() {
        let (kind, text) = read(tokens().response(Format::Text)).await;
        assert_eq!(kind, "text/html; charset=utf-8");
        assert_eq!(text, "access_token=a1&expires_in=7776000&refresh_token=b2");
        let (kind, json) = read(tokens().response(Format::Json)).await;
        assert_eq!(kind, "application/json; charset=utf-8");
        let expected = concat!(
            r#"{"access_token":"a1","expires_in":7776000,"refresh_token":"b2","#,
            r#""openid":"C3","oauth_token_secret":"d4"}"#
        );
        assert_eq!(json, expected);
        assert_eq!(format!("{:?}", tokens()), "Tokens(…)");
    }

    #[tokio::test]
    async fn an_openid_is_the_argument_of_a_call_or_an_object() {
        let me = OpenId {
            client_id: "12345".to_owned(),
            openid: "0123456789ABCDEF0123456789ABCDEF".to_owned(),
        };
        let object = r#"{"client_id":"12345","openid":"0123456789ABCDEF0123456789ABCDEF"}"#;
        let (_, text) = read(me.response(Format::Text)).await;
        assert_eq!(text, format!("callback( {object} );\n"));
        assert_eq!(read(me.response(Format::Json)).await.1, object);
    }

    #[test]
    fn only_json_asks_for_json() {
        let format = |query: &str| Format::of(&Parameters::parse(query.as_bytes()).unwrap());
        assert_eq!(format("fmt=json"), Format::Json);
        for query in ["", "fmt=", "fmt=JSON", "fmt=xml", "format=json"] {
            assert_eq!(format(query), Format::Text, "{query}");
        }
    }
}
