//! Other people's clients of 123pan, as they come from `PyPI`, pointed at this server.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::clients::{installed, pip, run_script, script};
use super::support::home::Home;
use super::support::http::Http;
use super::support::image_host::{Client, PASSWORD};
use super::support::server::Server;

/// What a client logs in with.
struct Credentials {
    id: String,
    secret: String,
}

impl Credentials {
    /// Those of an application that the operator makes for a user.
    fn of_application(home: &Home, user: &str) -> Self {
        let output = Command::new(env!("CARGO_BIN_EXE_hayloft"))
            .args(["app", "create", user, "backup", "--json", "--data-dir"])
            .arg(home.data_dir())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let app: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |name: &str| app[name].as_str().unwrap().to_owned();
        Self {
            id: text("id"),
            secret: text("secret"),
        }
    }

    /// A user's own.
    fn of_user(user: &str) -> Self {
        Self {
            id: user.to_owned(),
            secret: PASSWORD.to_owned(),
        }
    }
}

fn drive(package: &str, name: &str, credentials: fn(&Home, &str) -> Credentials) {
    let Some(packages) = installed("python3", name, |folder| pip(package, folder)) else {
        return;
    };
    let home = Home::with_defaults();
    let server = Server::start(&home);
    let api = server.addresses.api;
    Client::register(Http::connect(api).unwrap(), "king");
    let credentials = credentials(&home, "king");
    let mut python = Command::new("python3");
    python
        .env("PYTHONPATH", packages)
        .env("PAN_CLIENT_ID", &credentials.id)
        .env("PAN_CLIENT_SECRET", &credentials.secret)
        // Proxies of the machine are not for this server.
        .env("NO_PROXY", "*");
    let (module, _) = name.split_once('-').unwrap();
    run_script(python.arg(script(&format!("pan123_{module}.py"))), api);
}

#[test]
fn py_123pan_client_goes_through_the_whole_cycle() {
    drive(
        "py-123pan-client==0.1.15",
        "py123-0.1.15",
        Credentials::of_application,
    );
}

#[test]
fn aio123pan_goes_through_the_whole_cycle() {
    drive("aio123pan==0.1.2", "aio-0.1.2", |_, user| {
        Credentials::of_user(user)
    });
}

#[test]
fn v123pan_goes_through_the_older_upload() {
    drive("v123pan==1.1.0", "v123-1.1.0", |_, user| {
        Credentials::of_user(user)
    });
}
