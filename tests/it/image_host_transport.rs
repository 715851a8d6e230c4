//! What the image host's calls are carried by: statuses, addresses, origins and HTTPS, against the real
//! server.

use std::fs;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;

use crate::image_host_codes::{Fixture, of};
use crate::support::chance;
use crate::support::home::Home;
use crate::support::http::Http;
use crate::support::image_host::{Client, PASSWORD, code_of, json_of, literal};
use crate::support::server::Server;

/// Bodies of JSON are not longer.
const JSON_LEN_MAX: usize = 1024 * 1024;

#[test]
fn statuses_other_than_200_are_for_what_reached_no_call() {
    let mut fixture = Fixture::new();
    let http = fixture.ann.http();
    let long = vec![b' '; JSON_LEN_MAX + 1];
    for (method, target, body, status) in [
        ("POST", "/api/nothing", Some(&b"{}"[..]), 404),
        ("GET", "/api/", None, 404),
        ("GET", "/api/login", None, 405),
        ("DELETE", "/api/myfiles?cmd=count", None, 405),
        ("GET", "/api/sharefiles?cmd=normal", None, 405),
    ] {
        let answer = http.ask(method, target, &[], body).unwrap();
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.text(), r#"{"code":1}"#, "{method} {target}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let options = http.ask("OPTIONS", "/api/login", &[], None).unwrap();
    assert_eq!(options.status, 204);
    // Malformed is not a status: clients read the code of a 200 only.
    let deep = format!(r#"{{"user":{}"#, "[".repeat(100_000));
    for text in ["", "{", "null", "[]", "{\"user\":\"\\ud800\"}", &deep] {
        let answer = http.ask("POST", "/api/login", &[], Some(text.as_bytes()));
        assert_eq!(code_of(&json_of(&answer.unwrap())), 1, "{text:.40}");
    }
    // Comments, a mark in front and unknown members are no mistake.
    let lenient =
        format!("\u{feff}{{/* me */\"user\":\"ann\", // and\n\"pwd\":\"{PASSWORD}\",\"x\":[1]}}");
    let answer = http.ask("POST", "/api/login", &[], Some(lenient.as_bytes()));
    assert_eq!(code_of(&json_of(&answer.unwrap())), 0);
    let mut http = Http::connect(fixture.server.addresses.api).unwrap();
    let head = format!(
        "POST /api/login HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        long.len()
    );
    http.send(head.as_bytes()).unwrap();
    let answer = http.answer("POST").unwrap();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (413, r#"{"code":1}"#)
    );
}

#[test]
fn writes_without_a_token_are_for_who_is_logged_in_from_the_same_address() {
    // The proxy says who the client is, so that one machine can be several.
    let mut fixture = Fixture::on(Home::with_config(
        "[storage]\nvolume_size = \"32MiB\"\n[api]\ntrusted_proxies = [\"127.0.0.1\"]\n",
    ));
    let target = "/api/dealsharefile?cmd=cancel";
    let body = of(&fixture.a, &json!({"user": "ann"})).to_string();
    // Behind a loopback name the origin would not be compared: a proxy may hide the public one.
    let mut http = Http::connect_as(fixture.server.addresses.api, "img.example.com").unwrap();
    let mut code = |headers: &[(&str, &str)]| {
        let answer = http.ask("POST", target, headers, Some(body.as_bytes()));
        code_of(&json_of(&answer.unwrap()))
    };
    let elsewhere = ("X-Forwarded-For", "203.0.113.9");
    assert_eq!(code(&[elsewhere]), 1, "from elsewhere");
    let foreign = ("Origin", "https://evil.example");
    assert_eq!(code(&[foreign]), 1, "from somebody else's page");
    let own = ("Origin", "http://img.example.com");
    assert_eq!(code(&[own]), 0, "from where ann is");
    // An account without a session cannot be written to from anywhere.
    let account = json!({"userName": "eve", "nickName": "n", "firstPwd": PASSWORD});
    fixture.expect("/api/reg", &account, 0);
    let upload = literal("eve", "x.txt", b"x");
    let answer = fixture.ann.send("/api/upload", "", &upload).unwrap();
    assert_eq!(code_of(&json_of(&answer)), 1);
}

#[test]
fn a_port_with_a_certificate_serves_the_api_and_links_by_https() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let home = Home::with_defaults();
    let (chain, key) = (home.file("chain.pem"), home.file("key.pem"));
    fs::write(&chain, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = format!(
        "[storage]\nvolume_size = \"32MiB\"\n[api]\ntls_certificate = {chain:?}\ntls_key = {key:?}\n"
    );
    fs::write(home.file("hayloft.toml"), config).unwrap();
    let server = Server::start(&home);
    let address = server.addresses.api;
    let mut http = Http::connect_tls(address, "localhost", trusting(made.cert.der())).unwrap();
    let health = http.ask("GET", "/healthz", &[], None).unwrap();
    assert_eq!(health.status, 200);
    let mut ann = Client::register(http, "ann");
    let content = chance::content(9, 300_000);
    assert_eq!(ann.upload("secret.bin", &content).unwrap(), 0);
    let rows = ann.own_list("/api/myfiles?cmd=normal").unwrap();
    let url = rows[0]["url"].as_str().unwrap();
    let base = format!("https://localhost:{}/group1/M00/", address.port());
    assert!(url.starts_with(&base), "{url}");
    assert!(ann.get(url).unwrap().body == content);
    let page = ann.get("/").unwrap();
    assert_ne!(page.header("strict-transport-security"), "");

    // Whoever speaks plainly gets nothing.
    let mut plain = Http::connect(address).unwrap();
    assert!(plain.ask("GET", "/healthz", &[], None).is_err());
    // And who does not know the certificate says so.
    let strangers = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let config = trusting(strangers.cert.der());
    let mut other = Http::connect_tls(address, "localhost", config).unwrap();
    assert!(other.ask("GET", "/healthz", &[], None).is_err());
    server.terminate();
}

/// A client that believes this certificate and no other.
fn trusting(certificate: &CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
