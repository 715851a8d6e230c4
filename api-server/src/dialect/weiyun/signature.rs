//! OAuth 1.0 signatures: HMAC-SHA1 over method, address and parameters. Source: docs/api/weiyun.md
//! §6.6; RFC 5849 §3.4.
//!
//! Two readings of the base string are about. The platform's description joins the values as they are
//! and encodes the whole; RFC 5849 encodes each value before that, too. Clients were written by either,
//! so that both are computed and either is right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use super::parameters::Parameters;

/// The parameter that is not signed: the signature itself.
pub(super) const SIGNATURE: &str = "oauth_signature";

/// All bytes but letters, digits and `-._~` (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request as it is signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// Upper case, as it was sent.
    pub(super) method: &'a str,
    /// Scheme, host and port as the client asked for them, and the path: no query.
    pub(super) address: &'a str,
    /// All parameters, among which [`SIGNATURE`] does not count.
    pub(super) parameters: &'a Parameters,
}

/// The two secrets that make the key. Never printed.
#[derive(Clone, Copy)]
pub(super) struct Secrets<'a> {
    /// The application's.
    pub(super) app: &'a str,
    /// The token's.
    pub(super) token: &'a str,
}

impl std::fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// What a base string does with names and values before it joins them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Nothing: the platform's description.
    Raw,
    /// Encodes them: RFC 5849.
    Encoded,
}

impl Signed<'_> {
    /// Whether `signature` is one of this request, by either reading. Takes the same time whatever
    /// is wrong with it.
    pub(super) fn is_signed_with(&self, secrets: Secrets<'_>, signature: &str) -> bool {
        let [raw, encoded] = [Reading::Raw, Reading::Encoded]
            .map(|reading| self.signature(secrets, reading))
            .map(|expected| expected.as_bytes().ct_eq(signature.as_bytes()));
        (raw | encoded).into()
    }

    fn signature(&self, secrets: Secrets<'_>, reading: Reading) -> String {
        let Secrets { app, token } = secrets;
        // Our secrets are letters and digits, which encoding leaves alone.
        let key = format!("{app}&{token}");
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key.as_bytes()) else {
            return String::new();
        };
        mac.update(self.base_string(reading).as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// What is signed. Source: RFC 5849 §3.4.1.
    fn base_string(&self, reading: Reading) -> String {
        let part = |bytes: &[u8]| match reading {
            Reading::Raw => bytes.to_vec(),
            Reading::Encoded => encode(bytes).into_bytes(),
        };
        let pairs = self.parameters.pairs().iter();
        let mut pairs: Vec<_> = pairs
            .filter(|pair| pair.name != SIGNATURE.as_bytes())
            .map(|pair| (part(&pair.name), part(&pair.value)))
            .collect();
        pairs.sort_unstable();
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(name, value)| [name, value].join(&b'='))
            .collect();
        let parts = [
            self.method.as_bytes(),
            self.address.as_bytes(),
            &pairs.join(&b'&'),
        ];
        parts.map(encode).join("&")
    }
}

fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;

    /// The example of docs/api/weiyun.md §6.6.
    struct Example {
        golden: serde_json::Value,
    }

    impl Example {
        fn new() -> Self {
            let golden = tests::golden("signature");
            Self { golden }
        }

        fn text(&self, name: &str) -> &str {
            tests::text(&self.golden, name)
        }

        fn secrets(&self) -> Secrets<'_> {
            Secrets {
                app: self.text("app_secret"),
                token: self.text("token_secret"),
            }
        }

        /// In both readings.
        fn signatures(&self) -> [&str; 2] {
            ["encoded_once", "encoded_twice"].map(|name| self.text(name))
        }
    }

    fn is_right(
        method: &str,
        address: &str,
        query: &str,
        secrets: Secrets<'_>,
        sign: &str,
    ) -> bool {
        let parameters = Parameters::parse(query.as_bytes()).unwrap();
        let signed = Signed {
            method,
            address,
            parameters: &parameters,
        };
        signed.is_signed_with(secrets, sign)
    }

    #[test]
    fn the_example_is_right_in_both_readings() {
        let example = Example::new();
        let (address, query) = (example.text("address"), example.text("query"));
        for sign in example.signatures() {
            let is_right = |query: &str| is_right("GET", address, query, example.secrets(), sign);
            assert!(is_right(query));
            // The order is the signer's concern, and the signature signs all but itself.
            let (head, tail) = query.split_once("&size").unwrap();
            assert!(is_right(&format!("size{tail}&oauth_signature=x&{head}")));
            // A blank may be a plus sign: values are signed, not spellings.
            assert!(is_right(&query.replace("a%20b", "a+b")));
        }
    }

    #[test]
    fn whatever_is_changed_makes_it_wrong() {
        let example = Example::new();
        let (address, query) = (example.text("address"), example.text("query"));
        let secrets = example.secrets();
        for sign in example.signatures() {
            let changed = query.replace("size=3", "size=4");
            assert!(!is_right("GET", address, &changed, secrets, sign));
            let added = format!("{query}&x=");
            assert!(!is_right("GET", address, &added, secrets, sign));
            assert!(!is_right("POST", address, query, secrets, sign));
            let put = address.replace("upload_file", "put");
            assert!(!is_right("GET", &put, query, secrets, sign));
            let token = "s3creT";
            let other = Secrets { token, ..secrets };
            assert!(!is_right("GET", address, query, other, sign));
            assert!(!is_right("GET", address, query, secrets, &sign[1..]));
        }
        assert!(!is_right("GET", address, query, secrets, ""));
    }

    #[test]
    fn the_readings_differ_only_where_something_needs_encoding() {
        let base = |query: &str, reading| {
            let parameters = Parameters::parse(query.as_bytes()).unwrap();
            let signed = Signed {
                method: "GET",
                address: "http://h/weiyun/put",
                parameters: &parameters,
            };
            signed.base_string(reading)
        };
        let plain = "GET&http%3A%2F%2Fh%2Fweiyun%2Fput&a%3D1%26b%3D2";
        assert_eq!(base("b=2&a=1", Reading::Raw), plain);
        assert_eq!(base("b=2&a=1", Reading::Encoded), plain);
        assert!(base("a=x+y", Reading::Raw).ends_with("&a%3Dx%20y"));
        assert!(base("a=x+y", Reading::Encoded).ends_with("&a%3Dx%2520y"));
        // Names that are there twice are sorted by their values.
        assert!(base("a=2&a=1", Reading::Raw).ends_with("&a%3D1%26a%3D2"));
    }

    #[test]
    fn secrets_are_never_printed() {
        let example = Example::new();
        assert_eq!(format!("{:?}", example.secrets()), "Secrets(…)");
    }
}
