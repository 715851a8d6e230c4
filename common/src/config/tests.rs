//! The configuration as an operator meets it.

use std::time::Duration;

use super::*;

fn load(text: &str) -> Result<Config, String> {
    Sources::new()
        .file("hayloft.toml", text)
        .load()
        .map(|loaded| loaded.config)
        .map_err(|problems| problems.to_string())
}

#[track_caller]
fn check_problem(text: &str, expected: &str) {
    match load(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(problems) => assert!(problems.contains(expected), "{problems}\nlacks: {expected}"),
    }
}

#[test]
fn the_printed_defaults_are_toml_that_reads_back_to_the_defaults() {
    let printed = print_default();
    assert_eq!(load(&printed).unwrap(), Config::default());
    let table: toml::Table = printed.parse().unwrap();
    for (path, _) in section::keys(&Config::DESCRIPTION) {
        let mut value: Option<&toml::Value> = None;
        for name in path.split('.') {
            value = match value {
                None => table.get(name),
                Some(inner) => inner.get(name),
            };
            assert!(value.is_some(), "{path} is not printed");
        }
    }
}

#[test]
fn every_bound_and_default_of_the_description_parses() {
    // Reading with a value outside of the bounds touches both bounds of a key.
    for (path, key) in section::keys(&Config::DESCRIPTION) {
        if let Some((least, most)) = key.bounds {
            for text in [least, most] {
                let loaded = Sources::new()
                    .environment([(section::environment_name(&path), text.to_owned())])
                    .load();
                if let Err(problems) = loaded {
                    // Rules between keys may object, the bounds may not.
                    assert!(!problems.to_string().contains("out of range"), "{problems}");
                    assert!(!problems.to_string().contains("understood"), "{problems}");
                }
            }
        }
    }
}

#[test]
fn environment_names_are_unique() {
    let names: std::collections::BTreeSet<String> = section::keys(&Config::DESCRIPTION)
        .map(|(path, _)| section::environment_name(&path))
        .collect();
    assert_eq!(names.len(), section::keys(&Config::DESCRIPTION).count());
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_name() {
    check_problem(
        "[tracker]\n\n  check_actve = \"3s\"\n",
        "hayloft.toml:3:3: tracker.check_actve: unknown key; did you mean \"check_active\"?",
    );
    check_problem(
        "[trakcer]\n",
        "hayloft.toml:1:2: trakcer: unknown key; did you mean \"tracker\"?",
    );
    check_problem("zzz = 1\n", "print-default");
    check_problem(
        "[storage.scrub]\nrat = \"1MiB\"",
        "hayloft.toml:2:1: storage.scrub.rat: unknown key; did you mean \"rate\"?",
    );
}

#[test]
fn a_wrong_type_or_form_is_refused_with_what_to_write() {
    check_problem(
        "[tracker]\nlisten = 22122\n",
        "hayloft.toml:2:10: tracker.listen: integer found; write an address and port",
    );
    check_problem(
        "drain = \"20 parsecs\"",
        "hayloft.toml:1:9: drain: \"20 parsecs\" is not understood; write a duration",
    );
    check_problem("[storage]\nvolume_size = \"1MiB\"", "from 16MiB to 32GiB");
    check_problem(
        "[storage]\ndurability = \"maybe\"",
        "\"always\", \"interval\" or \"os\"",
    );
    check_problem(
        "[storage]\ntrackers = \"a:1\"",
        "string found; write a list",
    );
    check_problem(
        "[storage]\ntrackers = [\"a:1\", \":\"]",
        "hayloft.toml:2:20: ",
    );
    check_problem("tracker = 3", "write [tracker] on a line of its own");
    check_problem("a = [", "hayloft.toml:1:");
}

#[test]
fn all_problems_are_reported_at_once() {
    let problems = load("dran = 1\n[log]\nformat = \"xml\"\n[api]\nlisten = \"here\"").unwrap_err();
    assert_eq!(problems.lines().count(), 3, "{problems}");
}

#[test]
fn a_flag_wins_over_the_environment_which_wins_over_the_file() {
    let text = "drain = \"1s\"\ndata_dir = \"/a\"\n[tracker]\nlisten = \":1\"";
    let environment = [
        ("HAYLOFT_DRAIN".to_owned(), "2s".to_owned()),
        ("HAYLOFT_TRACKER_LISTEN".to_owned(), ":2".to_owned()),
        ("HAYLOFT_STORAGE_TRACKERS".to_owned(), "a:1, b:2".to_owned()),
    ];
    let config = Sources::new()
        .file("f", text)
        .environment(environment)
        .flag("--tracker-listen", "tracker.listen", Some(":3".to_owned()))
        .flag("--drain", "drain", None)
        .load()
        .unwrap()
        .config;
    assert_eq!(config.data_dir.to_str(), Some("/a"));
    assert_eq!(config.drain, Duration::from_secs(2));
    assert_eq!(config.tracker.listen.port(), 3);
    let trackers: Vec<String> = config
        .storage
        .trackers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(trackers, ["a:1", "b:2"]);
}

#[test]
fn a_problem_names_the_flag_or_variable_it_came_from() {
    let problems = Sources::new()
        .environment([("HAYLOFT_LOG_FORMAT".to_owned(), "xml".to_owned())])
        .flag("--api-listen", "api.listen", Some("x".to_owned()))
        .load()
        .unwrap_err()
        .to_string();
    assert!(
        problems.contains("environment variable HAYLOFT_LOG_FORMAT: log.format:"),
        "{problems}"
    );
    assert!(
        problems.contains("flag --api-listen: api.listen:"),
        "{problems}"
    );
}

#[test]
fn a_misspelt_variable_is_suspected_and_a_foreign_one_is_not() {
    let loaded = Sources::new()
        .environment([
            ("HAYLOFT_TRACKER_LISTEM".to_owned(), "x".to_owned()),
            ("HAYLOFT_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ])
        .load()
        .unwrap();
    assert_eq!(
        loaded.suspects,
        [Suspect {
            variable: "HAYLOFT_TRACKER_LISTEM".to_owned(),
            nearest: "HAYLOFT_TRACKER_LISTEN".to_owned(),
        }]
    );
}

#[test]
fn lists_of_tables_may_be_written_inline_or_as_sections() {
    let inline = "[tracker]\nextra_listeners = [{ listen = \":1\", address_width = 46, listing = \"legacy\" }]";
    let sections =
        "[[tracker.extra_listeners]]\nlisten = \":1\"\naddress_width = 46\nlisting = \"legacy\"";
    let expected = [ExtraListener {
        listen: "0.0.0.0:1".parse().unwrap(),
        address_width: crate::wire::AddressWidth::V6,
        listing: Listing::Legacy,
    }];
    assert_eq!(load(inline).unwrap().tracker.extra_listeners, expected);
    assert_eq!(load(sections).unwrap().tracker.extra_listeners, expected);
    check_problem(
        "[storage]\nstore_paths = [{ dri = \"/a\" }]",
        "hayloft.toml:2:18: storage.store_paths: unknown field \"dri\"",
    );
    check_problem(
        "[[storage.store_paths]]\nvolume_paths = []",
        "\"dir\" is missing",
    );
}

#[test]
fn store_paths_get_the_volume_path_of_their_place_and_share_none() {
    let config = load("[storage]\nstore_paths = [{ dir = \"/a\" }, { dir = \"/b\" }]").unwrap();
    let held: Vec<String> = config
        .storage
        .store_path_volumes()
        .map(|(dir, held)| format!("{} {held:?}", dir.display()))
        .collect();
    assert_eq!(held, ["/a [VolumePath(0)]", "/b [VolumePath(1)]"]);
    check_problem(
        "[storage]\nstore_paths = [{ dir = \"/a\" }, { dir = \"/b\", volume_paths = [\"M00\"] }]",
        "M00 is held by two directories",
    );
    check_problem(
        "[storage]\nstore_paths = [{ dir = \"/a\" }, { dir = \"/a\" }]",
        "twice",
    );
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    check_problem(
        "[tracker]\nstore_lookup = \"group\"",
        "needs the group's name",
    );
    check_problem(
        "[tracker]\ncheck_active = \"900ms\"",
        "longer than storage.heartbeat",
    );
    check_problem(
        "[storage.anti_leech]\nenabled = true",
        "refuse every download",
    );
    for url in [
        "img.example.com",
        "ftp://img.example.com",
        "https://",
        "https://img.example.com/?a",
        "https://img.example.com/a b",
        "https://img.example.com/';x",
        "https://user@img.example.com",
    ] {
        check_problem(&format!("[api]\npublic_url = \"{url}\""), "http://");
    }
    for key in ["tls_certificate", "tls_key"] {
        let text = format!("[api]\n{key} = \"/etc/x.pem\"");
        check_problem(&text, &format!("api.{key}: TLS needs both"));
    }
}

#[test]
fn the_api_server_takes_networks_origins_and_choices() {
    let config = load(
        "[api]\npublic_url = \"https://img.example.com:8443/base\"\ntls_certificate = \"/c\"\ntls_key = \"/k\"\n\
         trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\nallowed_origins = [\"https://app.example.com\"]\n\
         registration = \"closed\"\ntokenless_writes = \"strict\"\n[api.rate_limits]\nfailed_logins = 0",
    )
    .unwrap();
    let api = config.api;
    assert!(api.trusted_proxies[1].contains("10.1.2.3".parse().unwrap()));
    assert_eq!(
        api.allowed_origins[0].to_string(),
        "https://app.example.com"
    );
    assert_eq!(api.registration, Registration::Closed);
    assert_eq!(api.tokenless_writes, TokenlessWrites::Strict);
    assert_eq!(api.rate_limits.failed_logins, 0);
    check_problem(
        "[api]\ntrusted_proxies = [\"10.0.0.1/8\"]",
        "hayloft.toml:2:20: api.trusted_proxies: \"10.0.0.1/8\" is not understood; write an address",
    );
    check_problem("[api]\nallowed_origins = [\"*\"]", "write an origin");
    check_problem("[api]\nupload_size_max = \"1MiB\"", "from 30MiB");
}

#[test]
fn sizes_shares_and_hosts_print_back() {
    use super::value::Setting as _;
    use crate::client::Address;
    for text in ["1GiB", "1536MiB", "10GiB", "4095", "1KiB"] {
        assert_eq!(ByteSize::from_text(text).unwrap().to_string(), text);
    }
    assert_eq!(
        ByteSize::from_text("2G").unwrap(),
        ByteSize::from_text("2 GiB").unwrap()
    );
    assert_eq!(ByteSize::from_text("2GB").unwrap().0, 2_000_000_000);
    for text in ["", "GiB", "-1", "1.5GiB", "99999999TiB", "1XB"] {
        assert!(ByteSize::from_text(text).is_err(), "{text}");
    }
    assert_eq!(
        ReservedSpace::from_text("10%").unwrap(),
        ReservedSpace::Percent(10)
    );
    assert!(ReservedSpace::from_text("100%").is_err());
    for text in ["a:1", "[::1]:22122", "192.0.2.1:65535"] {
        assert_eq!(Address::from_text(text).unwrap().to_string(), text);
    }
    for text in ["a:0", "::1:22122", ":1", "a b:1", "a:65536", "a/b"] {
        assert!(Address::from_text(text).is_err(), "{text}");
    }
    for (text, ms) in [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("0", 0),
        ("1 h", 3_600_000),
    ] {
        assert_eq!(
            Duration::from_text(text).unwrap(),
            Duration::from_millis(ms)
        );
    }
    for text in ["30", "s", "-1s", "1.5s", "18446744073709551615d"] {
        assert!(Duration::from_text(text).is_err(), "{text}");
    }
}

#[test]
fn the_page_of_the_documentation_is_what_the_description_says() {
    let page = include_str!("../../../docs/configuration.md");
    assert!(
        page == markdown(),
        "docs/configuration.md is old; write it again with \
         `hayloft config print-default --markdown > docs/configuration.md`"
    );
}

#[test]
fn secrets_are_neither_repeated_in_problems_nor_printed() {
    let long = "hush".repeat(40);
    let problems = load(&format!("[storage.anti_leech]\nkeys = [\"{long}\"]")).unwrap_err();
    assert!(problems.contains("1 to 128 bytes"), "{problems}");
    assert!(!problems.contains("hush"), "{problems}");
    let config = load("[storage.anti_leech]\nkeys = [\"hush\"]").unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    let problems = load("[api]\ncatalog = \"postgre://u:hush@h/d\"").unwrap_err();
    assert!(
        problems.contains("postgres://user:password@host"),
        "{problems}"
    );
    assert!(!problems.contains("hush"), "{problems}");
    for (url, shown) in [
        (
            "postgres://u:hush@h:5/d?sslmode=disable",
            "postgres://u@h:5/d",
        ),
        ("postgres://h/d?user=u&password=hush", "postgres://h/d"),
        ("postgresql://u:hush@hush@h/d#hush", "postgresql://u@h/d"),
    ] {
        let config = load(&format!("[api]\ncatalog = \"{url}\"")).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        let CatalogPlace::Database(url) = config.api.catalog else {
            panic!("it is a database");
        };
        assert_eq!(url.to_string(), shown);
    }
    assert_eq!(load("").unwrap().api.catalog, CatalogPlace::Embedded);
}

#[test]
fn a_secret_is_checked_and_never_repeated() {
    for source in [
        Sources::new().file("f", "[cluster]\nsecret = \"hunter2\""),
        Sources::new().environment([("HAYLOFT_CLUSTER_SECRET".into(), "hunter2".into())]),
    ] {
        let problems = source.load().unwrap_err().to_string();
        assert!(problems.contains("16 to 1024 bytes"), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    let config = load("[cluster]\nsecret = \"0123456789abcdef\"").unwrap();
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    check_problem(
        "[cluster]\nsecret = \"0123456789abcdef\"\nsecret_file = \"/f\"",
        "keep one of them",
    );
}

#[test]
fn hosts_with_brackets_can_be_given_in_a_variable() {
    let text = "10.0.1.[1-15,20], 192.168.5.64/26 ,host[01-08].example.com";
    let variable = ("HAYLOFT_TRACKER_ALLOW_HOSTS".to_owned(), text.to_owned());
    let loaded = Sources::new().environment([variable]).load().unwrap();
    let hosts = loaded.config.tracker.allow_hosts;
    let texts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "10.0.1.[1-15,20]",
            "192.168.5.64/26",
            "host[01-08].example.com"
        ]
    );
    check_problem(
        "[storage]\nallow_hosts = [\"10.0.1.[5-1]\"]",
        "hayloft.toml:2:16: storage.allow_hosts: \"10.0.1.[5-1]\" is not understood; write \"*\"",
    );
}
