//! Somebody who uploads to an API server and reads there while it, trackers and nodes are disturbed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::load::Findings;
use crate::support::chance::Chance;
use crate::support::http::{Http, HttpAnswer};
use crate::support::image_host::Client;
use crate::uploads::{Uploads, content, listed, reconnect};

/// Uploads between two looks at the list.
const UPLOADS: u64 = 6;

/// The user of an API server.
#[derive(Debug)]
pub(super) struct Uploader {
    server: SocketAddr,
    client: Client,
    chance: Chance,
    uploads: Uploads,
    reads: u64,
    reads_without_answer: u64,
}

impl Uploader {
    /// Makes an account.
    pub(super) fn register(server: SocketAddr, seed: u64) -> Self {
        Self {
            server,
            client: Client::register(Http::connect(server).unwrap(), "king"),
            chance: Chance::new(seed),
            uploads: Uploads::default(),
            reads: 0,
            reads_without_answer: 0,
        }
    }

    /// Uploads and reads until told to stop.
    pub(super) fn run(&mut self, stop: &AtomicBool, findings: &Findings) {
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if number % UPLOADS == 0 {
                self.read(findings);
            }
            let name = format!("{number}.bin");
            self.uploads
                .make_one(&mut self.client, &[self.server], &name);
        }
    }

    /// Reads one of the files in the list, all of which are whole from the first moment on.
    fn read(&mut self, findings: &Findings) {
        let Ok(rows) = self.client.own_list("/api/myfiles?cmd=normal") else {
            self.reads_without_answer += 1;
            return reconnect(&mut self.client, &[self.server]);
        };
        if rows.is_empty() {
            return;
        }
        let row = &rows[self.chance.place(rows.len())];
        let [name, link] = ["file_name", "url"].map(|member| row[member].as_str().unwrap());
        let seen = |answer: &HttpAnswer| {
            let (status, len) = (answer.status, answer.body.len());
            format!("{name} at {link}: status {status} with {len} bytes")
        };
        match self.client.get(link) {
            Ok(answer) if answer.status == 200 && answer.body == content(name) => self.reads += 1,
            Ok(answer) if answer.status == 200 => {
                findings.add("damaged while it ran", || seen(&answer));
            }
            Ok(answer) if answer.status == 404 => {
                findings.add("not found while it ran", || seen(&answer));
            }
            Ok(_) => self.reads_without_answer += 1,
            Err(_) => {
                self.reads_without_answer += 1;
                reconnect(&mut self.client, &[self.server]);
            }
        }
    }

    /// Expects that all that was acknowledged is there and whole.
    pub(super) fn check(&mut self) {
        self.uploads.expect(&listed(&mut self.client, self.server));
    }

    /// What was done.
    pub(super) fn summary(&self) -> String {
        let (stored, doubtful) = (self.uploads.stored.len(), self.uploads.doubtful.len());
        format!(
            "by the API {stored} uploads, {doubtful} failed ones, {} reads, {} without an answer",
            self.reads, self.reads_without_answer
        )
    }
}
