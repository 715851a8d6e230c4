//! Requests as they come directly, through proxies, and from those who would like to be somebody else.

use http::Request;
use proptest::prelude::*;

use super::*;

fn rules() -> CallerRules {
    CallerRules {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
        allowed_origins: vec!["https://app.example".parse().unwrap()],
        public_url: None,
        scheme: Scheme::Http,
        listening_on: "192.0.2.99:8080".parse().unwrap(),
    }
}

fn identify(
    rules: &CallerRules,
    peer: &str,
    fields: &[(&str, &str)],
) -> Result<Caller, CallerError> {
    let mut request = Request::post("/api/upload");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    rules.identify(peer.parse().unwrap(), &head)
}

fn address(peer: &str, fields: &[(&str, &str)]) -> String {
    identify(&rules(), peer, fields)
        .unwrap()
        .address()
        .to_string()
}

fn base(peer: &str, fields: &[(&str, &str)]) -> String {
    identify(&rules(), peer, fields).unwrap().public_base()
}

#[test]
fn a_stranger_cannot_say_who_it_is() {
    let fields = [
        ("host", "img.example"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=1.2.3.4;proto=https;host=evil.example"),
    ];
    assert_eq!(address("203.0.113.9", &fields), "203.0.113.9");
    assert_eq!(base("203.0.113.9", &fields), "http://img.example");
    assert_eq!(
        address("::ffff:203.0.113.9", &[("host", "x")]),
        "203.0.113.9"
    );
}

#[test]
fn the_right_most_address_that_is_no_trusted_proxy_is_the_client() {
    for (forwarded_for, expected) in [
        ("203.0.113.9", "203.0.113.9"),
        // The client wrote the first one itself.
        ("1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("1.2.3.4, 203.0.113.9,10.0.0.7 , 10.0.0.8", "203.0.113.9"),
        ("203.0.113.9:51000", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:51000", "2001:db8::7"),
        // Everybody is trusted: the outermost is the best that is known.
        ("10.0.0.7, 10.0.0.8", "10.0.0.7"),
        // Nobody is named: the proxy itself.
        ("unknown", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("203.0.113.9, _hidden", "10.0.0.1"),
        ("203.0.113.9, _hidden, 10.0.0.7", "10.0.0.7"),
    ] {
        let fields = [("host", "x"), ("x-forwarded-for", forwarded_for)];
        assert_eq!(address("10.0.0.1", &fields), expected, "{forwarded_for}");
    }
    let several = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    assert_eq!(address("10.0.0.1", &several), "203.0.113.9");
}

#[test]
fn the_standard_header_names_client_scheme_and_host() {
    let one = [(
        "forwarded",
        "for=1.2.3.4;host=evil.example, For=\"[2001:db8::7]:4711\";Proto=HTTPS;host=\"img.example:8443\", for=10.0.0.7;proto=http",
    )];
    assert_eq!(address("10.0.0.1", &one), "2001:db8::7");
    assert_eq!(base("10.0.0.1", &one), "https://img.example:8443");
    for garbage in ["for", "for=", "for=_x", "proto=https", "for=\"", "\u{1}"] {
        let Ok(value) = HeaderValue::from_str(garbage) else {
            continue;
        };
        let fields = [("forwarded", value.to_str().unwrap())];
        assert_eq!(address("10.0.0.1", &fields), "10.0.0.1", "{garbage}");
    }
}

#[test]
fn of_two_families_of_headers_that_differ_neither_is_believed() {
    let fields = [
        ("x-forwarded-for", "203.0.113.9"),
        ("forwarded", "for=1.2.3.4"),
    ];
    assert_eq!(address("10.0.0.1", &fields), "10.0.0.1");
    let agreeing = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=203.0.113.9;proto=https;host=evil.example"),
        ("host", "img.example"),
    ];
    assert_eq!(address("10.0.0.1", &agreeing), "203.0.113.9");
    assert_eq!(base("10.0.0.1", &agreeing), "https://img.example");
}

#[test]
fn links_begin_with_the_configured_url_or_with_what_was_asked_for() {
    assert_eq!(
        base("1.1.1.1", &[("host", "IMG.example:8080")]),
        "http://img.example:8080"
    );
    assert_eq!(
        base("1.1.1.1", &[("host", "img.example:80")]),
        "http://img.example"
    );
    assert_eq!(base("1.1.1.1", &[]), "http://192.0.2.99:8080");
    assert_eq!(base("1.1.1.1", &[("host", "")]), "http://192.0.2.99:8080");
    let proxied = [
        ("host", "127.0.0.1:8080"),
        ("x-forwarded-host", "img.example"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(base("10.0.0.1", &proxied), "https://img.example");
    let strange = [("host", "img.example"), ("x-forwarded-proto", "gopher")];
    assert_eq!(base("10.0.0.1", &strange), "http://img.example");

    let configured = CallerRules {
        public_url: Some("https://cdn.example/img".into()),
        ..rules()
    };
    let caller = identify(&configured, "1.1.1.1", &[("host", "evil.example")]).unwrap();
    assert_eq!(caller.public_base(), "https://cdn.example/img");

    let tls = CallerRules {
        scheme: Scheme::Https,
        ..rules()
    };
    let caller = identify(&tls, "1.1.1.1", &[("host", "img.example")]).unwrap();
    assert_eq!(caller.public_base(), "https://img.example");
}

#[test]
fn a_host_that_is_none_is_refused() {
    for host in [
        "a b",
        "a\"b",
        "a/b",
        "a;b",
        "a:b",
        "a,b",
        "<script>",
        "user@host",
    ] {
        let refused = identify(&rules(), "1.1.1.1", &[("host", host)]);
        assert!(matches!(refused, Err(CallerError::Host(_))), "{host}");
        let fields = [("host", "x"), ("x-forwarded-host", host)];
        let proxied = identify(&rules(), "10.0.0.1", &fields);
        // A comma separates what two proxies said.
        let expected = host == "a,b" || matches!(proxied, Err(CallerError::ForwardedHost(_)));
        assert!(expected, "{host}");
        // Nobody listens to what a stranger says.
        assert!(identify(&rules(), "1.1.1.1", &fields).is_ok(), "{host}");
    }
    let twice = identify(&rules(), "1.1.1.1", &[("host", "a"), ("host", "a")]);
    assert_eq!(twice.unwrap_err(), CallerError::SeveralHosts);
    let (head, ()) = Request::get("http://named.example/api")
        .header("host", "other.example")
        .body(())
        .unwrap()
        .into_parts();
    let caller = rules().identify("1.1.1.1".parse().unwrap(), &head).unwrap();
    assert_eq!(caller.public_base(), "http://named.example");
}

#[test]
fn pages_of_others_are_told_from_our_own() {
    let cross = Some("cross-site");
    for (peer, host, forwarded_host, origin, fetch_site, foreign) in [
        // Without an Origin, no page is known.
        ("1.1.1.1", "img.example", None, None, None, false),
        (
            "1.1.1.1",
            "img.example",
            None,
            Some("http://img.example"),
            None,
            false,
        ),
        (
            "1.1.1.1",
            "img.example:8080",
            None,
            Some("http://img.example:8080"),
            None,
            false,
        ),
        // A proxy dropped the port, or ended TLS without saying so.
        (
            "1.1.1.1",
            "img.example",
            None,
            Some("https://IMG.example:8443"),
            None,
            false,
        ),
        (
            "1.1.1.1",
            "img.example",
            None,
            Some("http://evil.example"),
            None,
            true,
        ),
        (
            "1.1.1.1",
            "img.example",
            None,
            Some("http://img.example.evil"),
            None,
            true,
        ),
        ("1.1.1.1", "img.example", None, Some("null"), None, true),
        ("1.1.1.1", "img.example", None, Some("garbage"), None, true),
        (
            "1.1.1.1",
            "img.example",
            None,
            Some("file://img.example"),
            None,
            true,
        ),
        // Configured: the whole origin counts.
        (
            "1.1.1.1",
            "img.example",
            None,
            Some("https://app.example"),
            cross,
            false,
        ),
        (
            "1.1.1.1",
            "img.example",
            None,
            Some("http://app.example"),
            None,
            true,
        ),
        // A trusted proxy names the host, a stranger does not.
        (
            "10.0.0.1",
            "backend",
            Some("img.example"),
            Some("http://img.example"),
            None,
            false,
        ),
        (
            "1.1.1.1",
            "backend",
            Some("evil.example"),
            Some("http://evil.example"),
            None,
            true,
        ),
        // nginx as it comes: the Host is the address that nginx was told.
        (
            "1.1.1.1",
            "127.0.0.1:8080",
            None,
            Some("http://img.example"),
            None,
            false,
        ),
        (
            "1.1.1.1",
            "localhost",
            None,
            Some("https://img.example"),
            Some("same-origin"),
            false,
        ),
        (
            "1.1.1.1",
            "127.0.0.1:8080",
            None,
            Some("http://evil.example"),
            cross,
            true,
        ),
        ("1.1.1.1", "127.0.0.1:8080", None, Some("null"), None, true),
        // Another page on the same machine is not a public one behind a proxy.
        (
            "1.1.1.1",
            "127.0.0.1:8080",
            None,
            Some("http://localhost:3000"),
            None,
            true,
        ),
        // The proxy is known to name the host, so there is something to compare with.
        (
            "10.0.0.1",
            "127.0.0.1",
            Some("img.example"),
            Some("http://evil.example"),
            None,
            true,
        ),
    ] {
        let mut fields = vec![("host", host)];
        fields.extend(forwarded_host.map(|value| ("x-forwarded-host", value)));
        fields.extend(origin.map(|value| ("origin", value)));
        fields.extend(fetch_site.map(|value| ("sec-fetch-site", value)));
        let caller = identify(&rules(), peer, &fields).unwrap();
        assert_eq!(caller.is_from_foreign_page(), foreign, "{fields:?}");
    }
    let two = [
        ("host", "a"),
        ("origin", "http://a"),
        ("origin", "http://b"),
    ];
    assert!(
        identify(&rules(), "1.1.1.1", &two)
            .unwrap()
            .is_from_foreign_page()
    );
    let configured = CallerRules {
        public_url: Some("https://cdn.example/img".into()),
        ..rules()
    };
    let fields = [("host", "backend"), ("origin", "https://cdn.example")];
    let caller = identify(&configured, "1.1.1.1", &fields).unwrap();
    assert_eq!(caller.provenance(), &Provenance::Own);
}

proptest! {
    #[test]
    fn no_header_makes_a_link_that_breaks_out(value in "[ -~]{0,60}", other in "[ -~]{0,60}") {
        let fields = [
            ("host", value.as_str()),
            ("x-forwarded-host", &other),
            ("forwarded", &value),
            ("x-forwarded-for", &other),
            ("origin", &value),
        ];
        if let Ok(caller) = identify(&rules(), "10.0.0.1", &fields) {
            let base = caller.public_base();
            let harmless = |c: char| c.is_ascii_alphanumeric() || ".-_:[]/".contains(c);
            prop_assert!(base.chars().all(harmless), "{base}");
        }
    }
}
