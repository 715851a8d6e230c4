//! When the servers answer: the ready file for scripts, a few friendly lines for people.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use common::rpc::Connection;
use common::web::origin::Scheme;
use common::wire::{Command, Header};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Where the roles of this process listen; an address that stands for all is shown as loopback, so
/// that every address can be connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Addresses {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tracker: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage_http: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api: Option<SocketAddr>,
}

/// Pause between two attempts; short, because tests and scripts wait for it.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);
/// Time that one attempt gets.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// What an alert of TLS begins with. Source: RFC 8446 §5.1.
const TLS_ALERT: u8 = 21;

/// The address to connect to for one that is listened on.
pub(crate) fn reachable(listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        ip if !ip.is_unspecified() => listening,
        // A socket on [::] answers on 127.0.0.1 as well, which older clients need.
        _ => SocketAddr::from((Ipv4Addr::LOCALHOST, listening.port())),
    }
}

/// The address that other machines most probably know this one by: the one that packets to them
/// would carry. Nothing is sent. `None` without a network.
pub(crate) fn outward_address() -> Option<IpAddr> {
    // TEST-NET-1: routed like any foreign address, used by nobody.
    let somewhere = SocketAddr::from(([192, 0, 2, 1], 9));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(somewhere).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

/// Returns when every role answers and, if both are here, the tracker sends uploads to the storage.
///
/// # Cancel safety
///
/// Cancel safe.
pub(crate) async fn wait(addresses: Addresses) {
    if let Some(storage) = addresses.storage {
        until(|| answers(storage, Command::ActiveTest)).await;
    }
    match (addresses.tracker, addresses.storage) {
        // It has heard of a writable storage node.
        (Some(tracker), Some(_)) => until(|| answers(tracker, Command::QueryStoreAnyOne)).await,
        (Some(tracker), None) => until(|| answers(tracker, Command::ActiveTest)).await,
        (None, _) => {}
    }
    for http in [addresses.storage_http, addresses.api]
        .into_iter()
        .flatten()
    {
        until(|| answers_http(http)).await;
    }
}

async fn until<F: Future<Output = io::Result<bool>>>(attempt: impl Fn() -> F) {
    while !matches!(timeout(ATTEMPT_TIMEOUT, attempt()).await, Ok(Ok(true))) {
        sleep(ATTEMPT_PAUSE).await;
    }
}

/// Whether a server of the `FastDFS` protocol is able to do its work. A disk without space is
/// reported by /readyz and must not keep the links of stored files from being announced.
async fn answers(address: SocketAddr, command: Command) -> io::Result<bool> {
    let stream = TcpStream::connect(address).await?;
    let mut connection = Connection::new(stream, ATTEMPT_TIMEOUT);
    let request = Header::request(command, 0).encode();
    let header = match connection.send(&request).await {
        Ok(()) => connection.header().await,
        Err(error) => Err(error),
    };
    let status = header.ok().flatten().map(|header| header.status);
    Ok([
        Some(common::wire::Status::OK.0),
        Some(common::wire::Status::NO_SPACE.0),
    ]
    .contains(&status))
}

async fn answers_http(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    // A port that speaks HTTPS only answers so plain a request with an alert, which is an answer too.
    if stream.read_u8().await? == TLS_ALERT {
        return Ok(true);
    }
    let mut status = [0; 11];
    stream.read_exact(&mut status).await?;
    Ok(&status == b"TTP/1.1 200")
}

/// Writes the addresses as one JSON object; a reader sees all of it or no file.
pub(crate) fn write_file(path: &Path, addresses: &Addresses) -> io::Result<()> {
    let mut text = serde_json::to_vec(addresses)?;
    text.push(b'\n');
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}

/// What a person sees after the first start.
pub(crate) fn welcome(
    addresses: &Addresses,
    api_scheme: Scheme,
    data_dir: &Path,
    host: IpAddr,
) -> String {
    let mut text = format!(
        "\nHayloft {} is ready. Data is kept in {}.\n\n",
        env!("CARGO_PKG_VERSION"),
        data_dir.display()
    );
    let at = |address: SocketAddr| SocketAddr::new(host, address.port());
    if let Some(tracker) = addresses.tracker {
        let _ = writeln!(
            text,
            "  tracker   {}   (tracker_server of FastDFS clients)",
            at(tracker)
        );
    }
    if let Some(storage) = addresses.storage {
        let _ = writeln!(text, "  storage   {}", at(storage));
    }
    if let Some(http) = addresses.storage_http {
        let _ = writeln!(text, "  links     http://{}/group1/M00/…", at(http));
    }
    if let Some(api) = addresses.api {
        let _ = writeln!(text, "  API       {}://{}/", api_scheme.as_str(), at(api));
    }
    if let Some(tracker) = addresses.tracker {
        let option = match tracker.port() {
            22122 => String::new(),
            _ => format!("--tracker {tracker} "),
        };
        let _ = writeln!(text, "\nUpload a first file:   hayloft upload {option}FILE");
    }
    text.push_str(
        "The FastDFS protocol has no login: whoever reaches these ports can store and delete.\n\
         Stop with Ctrl-C; nothing acknowledged is lost.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses {
            tracker: Some("127.0.0.1:1".parse().unwrap()),
            storage_http: Some("127.0.0.1:2".parse().unwrap()),
            ..Addresses::default()
        }
    }

    #[test]
    fn the_ready_file_is_one_json_object_with_the_roles_that_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready.json");
        write_file(&path, &addresses()).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"tracker\":\"127.0.0.1:1\",\"storage_http\":\"127.0.0.1:2\"}\n"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_address_for_all_interfaces_is_shown_as_one_to_connect_to() {
        let shown = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(shown("0.0.0.0:5"), "127.0.0.1:5");
        assert_eq!(shown("[::]:5"), "127.0.0.1:5");
        assert_eq!(shown("192.0.2.1:5"), "192.0.2.1:5");
    }

    #[test]
    fn the_welcome_names_every_address_and_a_first_step() {
        let api = Some("127.0.0.1:3".parse().unwrap());
        let addresses = Addresses { api, ..addresses() };
        let text = welcome(
            &addresses,
            Scheme::Https,
            Path::new("./data"),
            "192.0.2.7".parse().unwrap(),
        );
        for part in [
            "192.0.2.7:1",
            "http://192.0.2.7:2/group1",
            "https://192.0.2.7:3/",
            "hayloft upload --tracker 127.0.0.1:1 FILE",
            "./data",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
