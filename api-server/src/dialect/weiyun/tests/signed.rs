//! Calls with signatures of OAuth 1.0.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::env::clock;
use hmac::{Hmac, KeyInit as _, Mac as _};

use super::*;
use crate::core::id::Token;

type Pairs = Vec<(&'static str, String)>;

/// A client that signs, written by the RFC and not by the code it tests.
struct Signer {
    app_secret: String,
    token_secret: String,
    /// Whether values are encoded before the whole is.
    is_twice: bool,
}

fn encode(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if keep(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

impl Signer {
    fn sign(&self, scheme: &str, path: &str, pairs: &[(&str, String)]) -> String {
        let text = |text: &str| {
            if self.is_twice {
                encode(text)
            } else {
                text.to_owned()
            }
        };
        let mut pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", text(name), text(value)))
            .collect();
        pairs.sort();
        let address = format!("{scheme}://{HOST}{path}");
        let base = format!("GET&{}&{}", encode(&address), encode(&pairs.join("&")));
        let key = format!("{}&{}", self.app_secret, self.token_secret);
        let mut mac = Hmac::<Sha1Hasher>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(base.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

async fn signer(server: &Server, user: &User, is_twice: bool) -> Signer {
    let token: Token = user.token.parse().unwrap();
    let names = server.dialect.names().await.unwrap();
    Signer {
        app_secret: user.app_secret.clone(),
        token_secret: names.token_secret(&token.hash()),
        is_twice,
    }
}

/// The general parameters of OAuth 1.0.
fn general(user: &User, nonce: &str) -> Vec<(&'static str, String)> {
    vec![
        ("oauth_consumer_key", user.app.to_string()),
        ("oauth_token", user.token.clone()),
        ("oauth_nonce", nonce.to_owned()),
        ("oauth_timestamp", clock::unix_seconds().to_string()),
        ("oauth_version", "1.0".to_owned()),
        ("oauth_signature_method", "HMAC-SHA1".to_owned()),
        ("oauth_client_ip", "10.0.0.1".to_owned()),
    ]
}

const PATH: &str = "/weiyun/upload_file";

#[tokio::test]
async fn a_signed_application_is_admitted_in_either_reading_and_scheme() {
    let server = Server::new().await;
    let user = server.user("king").await;
    for (is_twice, scheme) in [(false, "http"), (true, "http"), (true, "https")] {
        let signer = signer(&server, &user, is_twice).await;
        let content = Content::new("图 a+b.txt", "abc");
        let nonce = format!("{is_twice}{scheme}");
        let mut pairs = [general(&user, &nonce), content.parameters("normal")].concat();
        pairs.push(("openid", user.openid.clone()));
        let signature = signer.sign(scheme, PATH, &pairs);
        pairs.push(("oauth_signature", signature));
        let reply = server.get(PATH, &pairs).await;
        assert_eq!(reply.ret(), 0, "{}", reply.json);
        // The same request once more is somebody else's.
        assert_eq!(server.get(PATH, &pairs).await.ret(), 20015);
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_signed_request_has_its_code() {
    let server = Server::new().await;
    let (user, other) = (server.user("king").await, server.user("queen").await);
    let signer = signer(&server, &user, true).await;
    let now = clock::unix_seconds();
    let (past, future) = ((now - 400).to_string(), (now + 400).to_string());
    let theirs = other.app.to_string();
    let random = "0".repeat(32);
    let content = Content::new("abc.txt", "abc");
    for (at, (name, value, ret)) in [
        ("oauth_timestamp", Some(past.as_str()), 20015),
        ("oauth_timestamp", Some(future.as_str()), 20015),
        ("oauth_timestamp", None, 20015),
        ("oauth_nonce", None, 20015),
        ("oauth_version", Some("2.0"), 20015),
        ("oauth_version", None, 20015),
        ("oauth_signature_method", Some("PLAINTEXT"), 20015),
        ("openid", Some(other.openid.as_str()), 20015),
        ("oauth_token", Some(random.as_str()), 100_014),
        ("oauth_token", Some(""), 100_014),
        ("oauth_token", None, 100_014),
        ("oauth_consumer_key", Some("12345"), 20014),
        ("oauth_consumer_key", Some("x"), 100_017),
        ("oauth_consumer_key", Some(theirs.as_str()), 20015),
        ("oauth_client_ip", None, 0),
        ("openid", Some(user.openid.as_str()), 0),
    ]
    .into_iter()
    .enumerate()
    {
        let mut pairs = general(&user, &at.to_string());
        pairs.extend(content.parameters("normal"));
        pairs.retain(|(found, _)| *found != name);
        pairs.extend(value.map(|value| (name, value.to_owned())));
        // All of them are signed as they are sent.
        let signature = signer.sign("http", PATH, &pairs);
        pairs.push(("oauth_signature", signature));
        assert_eq!(
            server.get(PATH, &pairs).await.ret(),
            ret,
            "{name}={value:?}"
        );
    }
}

#[tokio::test]
async fn a_signature_is_good_for_what_it_signed() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let signer = signer(&server, &user, true).await;
    let content = Content::new("abc.txt", "abc");
    let unsigned = [general(&user, "1"), content.parameters("normal")].concat();
    let signature = signer.sign("http", PATH, &unsigned);
    let send = async |change: &dyn Fn(&mut Pairs), path: &str| {
        let mut pairs = unsigned.clone();
        pairs.push(("oauth_signature", signature.clone()));
        change(&mut pairs);
        server.get(path, &pairs).await.ret()
    };
    let set = |pairs: &mut Pairs, name: &str, text: &str| {
        for (found, value) in pairs {
            if *found == name {
                text.clone_into(value);
            }
        }
    };
    assert_eq!(send(&|pairs| set(pairs, "size", "4"), PATH).await, 20015);
    assert_eq!(
        send(&|pairs| pairs.push(("x", String::new())), PATH).await,
        20015
    );
    assert_eq!(
        send(&|pairs| set(pairs, "oauth_signature", ""), PATH).await,
        20015
    );
    assert_eq!(
        send(&|pairs| set(pairs, "oauth_signature", "AAAA"), PATH).await,
        20015
    );
    assert_eq!(send(&|_| {}, "/weiyun/put").await, 20015);
    // None of these used the nonce up.
    assert_eq!(send(&|_| {}, PATH).await, 0);
}
