//! Somebody's uploads to API servers that are disturbed: what was acknowledged must be there, what was
//! not may be.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::env::clock;

use crate::support::chance;
use crate::support::deadline::within;
use crate::support::http::{Http, get};
use crate::support::image_host::{Client, code_of, json_of, path_of};

/// Bytes of each file.
pub(crate) const LEN: usize = 3000;
/// What was refused is refused again at once: the pause leaves the processor to others.
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// Somebody's uploads.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    /// Names of what was acknowledged.
    pub(crate) stored: BTreeSet<String>,
    /// Names of what was answered with an error, or not at all: stored or not.
    pub(crate) doubtful: BTreeSet<String>,
    /// The longest wait for an answer.
    pub(crate) longest: Duration,
}

impl Uploads {
    /// Uploads until told to stop, to the first of the servers that can be reached.
    pub(crate) fn make(
        client: &mut Client,
        servers: &[SocketAddr],
        seed: u64,
        stop: &AtomicBool,
    ) -> Self {
        let mut uploads = Self::default();
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return uploads;
            }
            uploads.make_one(client, servers, &format!("{seed}-{number}.bin"));
        }
        uploads
    }

    /// Uploads a file of this name.
    pub(crate) fn make_one(&mut self, client: &mut Client, servers: &[SocketAddr], name: &str) {
        let started = clock::monotonic();
        let answer = client.upload_answer(name, &content(name));
        self.longest = self.longest.max(started.elapsed());
        let is_stored = answer
            .as_ref()
            .is_ok_and(|answer| answer.status == 200 && code_of(&json_of(answer)) == 0);
        let names = if is_stored {
            &mut self.stored
        } else {
            &mut self.doubtful
        };
        names.insert(name.to_owned());
        if answer.is_err() {
            reconnect(client, servers);
        }
        if !is_stored {
            let _ = within(FAILURE_PAUSE, || None::<()>);
        }
    }

    /// Expects that these are there: all that was acknowledged, and nothing that nobody uploaded.
    pub(crate) fn expect(&self, found: &BTreeSet<String>) {
        let lost: Vec<_> = self.stored.difference(found).collect();
        assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
        let strange = found.difference(&self.stored);
        let strange: Vec<_> = strange
            .filter(|name| !self.doubtful.contains(*name))
            .collect();
        assert!(strange.is_empty(), "never uploaded: {strange:?}");
    }
}

/// Connects a client to the first of the servers that can be reached.
pub(crate) fn reconnect(client: &mut Client, servers: &[SocketAddr]) {
    let reached = servers
        .iter()
        .find_map(|server| Http::connect(*server).ok());
    if let Some(http) = reached {
        client.reconnect(http);
    }
}

/// The content of a file is made of its name, so no two are the same.
pub(crate) fn content(name: &str) -> Vec<u8> {
    let seed = name.bytes().fold(17_u64, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    chance::content(seed, LEN)
}

/// The names in a user's list, each of which must be there once and whole.
pub(crate) fn listed(client: &mut Client, server: SocketAddr) -> BTreeSet<String> {
    client.reconnect(Http::connect(server).unwrap());
    let rows = client.own_list("/api/myfiles?cmd=normal").unwrap();
    let mut found = BTreeSet::new();
    for row in &rows {
        let name = row["file_name"].as_str().unwrap();
        assert!(found.insert(name.to_owned()), "{name} is listed twice");
        let answer = get(server, path_of(row["url"].as_str().unwrap()));
        assert!(answer.body == content(name), "{name}: {}", answer.status);
    }
    found
}
