//! Requests and answers as JSON. Numbers of bytes are bytes, times are Unix seconds.

use serde::{Deserialize, Serialize};

/// `GET server`.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) version: &'static str,
    pub(super) registration: bool,
    pub(super) upload_size_max: u64,
    /// Seconds from a log-in to the end of its session.
    pub(super) session_life: u64,
}

/// `GET me`. Texts that the user did not give are empty.
#[derive(Debug, Serialize)]
pub(super) struct Me {
    pub(super) user: String,
    pub(super) nick: String,
    pub(super) email: String,
    pub(super) phone: String,
    pub(super) created: u32,
    pub(super) administrator: bool,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) shares: u64,
    pub(super) pictures: u64,
}

/// `PUT me`. Empty texts mean that there is none.
#[derive(Debug, Deserialize)]
pub(super) struct SetMe {
    pub(super) nick: String,
    #[serde(default)]
    pub(super) email: String,
    #[serde(default)]
    pub(super) phone: String,
}

/// `POST password`: MD5s, as the documented log-in has them.
#[derive(Deserialize)]
pub(super) struct ChangePassword {
    pub(super) old: String,
    pub(super) new: String,
}

/// `POST admin/accounts/{user}/password`.
#[derive(Deserialize)]
pub(super) struct SetPassword {
    pub(super) new: String,
}

/// `POST admin/accounts`. Without a nick name the user's name is taken.
#[derive(Deserialize)]
pub(super) struct AddAccount {
    pub(super) user: String,
    pub(super) password: String,
    #[serde(default)]
    pub(super) nick: String,
}

/// `POST admin/accounts/{user}`. What is absent stays as it is.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct SetStanding {
    pub(super) administrator: Option<bool>,
    pub(super) disabled: Option<bool>,
}

/// `GET sessions`.
#[derive(Debug, Serialize)]
pub(super) struct Sessions {
    pub(super) sessions: Vec<Session>,
}

#[derive(Debug, Serialize)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) created: u32,
    pub(super) expires: u32,
    pub(super) address: String,
    pub(super) current: bool,
}

/// `POST renew`.
#[derive(Serialize)]
pub(super) struct Renewed {
    pub(super) token: String,
    pub(super) expires: u32,
}

/// `GET files` with a range.
#[derive(Debug, Serialize)]
pub(super) struct FilePage {
    pub(super) total: u64,
    pub(super) files: Vec<File>,
}

/// `GET files` with a search.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) files: Vec<File>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct File {
    /// A text, for programs that read numbers as floating point.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) md5: String,
    pub(super) size: u64,
    /// What stands behind the last dot of the name; empty if nothing does.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) created: u32,
    pub(super) views: u64,
    pub(super) shared: bool,
    pub(super) url: String,
}

/// `GET shares`.
#[derive(Debug, Serialize)]
pub(super) struct SharePage {
    pub(super) total: u64,
    pub(super) files: Vec<Share>,
}

#[derive(Debug, Serialize)]
pub(super) struct Share {
    pub(super) name: String,
    pub(super) md5: String,
    pub(super) size: u64,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) sharer: String,
    pub(super) created: u32,
    pub(super) views: u64,
    pub(super) url: String,
    pub(super) mine: bool,
}

/// `GET pictures`.
#[derive(Debug, Serialize)]
pub(super) struct PicturePage {
    pub(super) total: u64,
    pub(super) pictures: Vec<Picture>,
}

#[derive(Debug, Serialize)]
pub(super) struct Picture {
    pub(super) link: String,
    pub(super) name: String,
    pub(super) md5: String,
    pub(super) size: u64,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) created: u32,
    pub(super) views: u64,
    pub(super) url: String,
}

/// `GET admin/overview`. Counters only grow; the page makes rates of two answers.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    pub(super) accounts: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) shares: u64,
    pub(super) pictures: u64,
    pub(super) uptime_seconds: u64,
    pub(super) groups: Vec<Group>,
}

#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Serialize)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) address: String,
    pub(super) state: String,
    pub(super) version: String,
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
    pub(super) uploads: u64,
    pub(super) downloads: u64,
    pub(super) deletes: u64,
    pub(super) upload_bytes: u64,
    pub(super) download_bytes: u64,
    pub(super) last_report: u64,
}

/// `GET admin/accounts`.
#[derive(Debug, Serialize)]
pub(super) struct AccountPage {
    pub(super) total: u64,
    pub(super) accounts: Vec<Account>,
}

#[derive(Debug, Serialize)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) nick: String,
    pub(super) created: u32,
    pub(super) administrator: bool,
    pub(super) disabled: bool,
    pub(super) files: u64,
    pub(super) bytes: u64,
}
