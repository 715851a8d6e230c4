//! Requests and answers as JSON. Numbers of bytes are bytes, times are Unix seconds.

use serde::{Deserialize, Deserializer, Serialize};

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
    /// Bytes that all of the following may be; null if that is not limited.
    pub(super) quota: Option<u64>,
    /// Bytes of all files, those in the trash included.
    pub(super) used: u64,
    /// Bytes that uploads under way announced.
    pub(super) reserved: u64,
    /// Bytes of the files in the trash.
    pub(super) trash: u64,
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
pub(super) struct ChangeAccount {
    pub(super) administrator: Option<bool>,
    pub(super) disabled: Option<bool>,
    #[serde(default)]
    pub(super) quota: Quota,
}

impl ChangeAccount {
    /// Whether it changes what the account may do, and not only how much it may have.
    pub(super) fn is_about_standing(self) -> bool {
        self.administrator.is_some() || self.disabled.is_some()
    }
}

/// A quota that is given, `null` for none, or stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Quota {
    #[default]
    Stays,
    Is(Option<u64>),
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Is)
    }
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
    pub(super) files: Vec<FoundFile>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct FoundFile {
    #[serde(flatten)]
    pub(super) file: File,
    /// Names from the root down to its folder.
    pub(super) path: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct File {
    /// A text, for programs that read numbers as floating point.
    pub(super) id: String,
    /// The name in its folder.
    pub(super) name: String,
    /// What the documented calls name it by, together with its MD5.
    pub(super) label: String,
    /// The folder's id.
    pub(super) parent: String,
    pub(super) md5: String,
    pub(super) size: u64,
    /// What stands behind the last dot of the name; empty if nothing does.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) created: u32,
    pub(super) modified: u32,
    pub(super) views: u64,
    pub(super) shared: bool,
    pub(super) url: String,
}

/// A folder; the counts and bytes are of everything below it.
#[derive(Debug, Serialize)]
pub(super) struct Folder {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) parent: String,
    pub(super) created: u32,
    pub(super) modified: u32,
    pub(super) files: u64,
    pub(super) folders: u64,
    pub(super) bytes: u64,
}

/// What is in a folder.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Entry {
    Folder(Folder),
    File(File),
}

/// `GET folders/{id}`.
#[derive(Debug, Serialize)]
pub(super) struct FolderPage {
    /// Null for the root.
    pub(super) folder: Option<Folder>,
    pub(super) path: Vec<Step>,
    pub(super) total: u64,
    pub(super) entries: Vec<Entry>,
}

/// A folder on the way to another one.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) id: String,
    pub(super) name: String,
}

/// `POST folders`.
#[derive(Debug, Deserialize)]
pub(super) struct MakeFolder {
    pub(super) parent: String,
    pub(super) name: String,
    /// Whether one that is there already will do.
    #[serde(default)]
    pub(super) existing: bool,
}

/// `POST entries/rename`.
#[derive(Debug, Deserialize)]
pub(super) struct Rename {
    pub(super) id: String,
    pub(super) name: String,
}

/// `POST entries/move`.
#[derive(Debug, Deserialize)]
pub(super) struct Move {
    pub(super) ids: Vec<String>,
    pub(super) parent: String,
}

/// Calls that concern several entries.
#[derive(Debug, Deserialize)]
pub(super) struct Ids {
    pub(super) ids: Vec<String>,
}

/// `GET trash`.
#[derive(Debug, Serialize)]
pub(super) struct TrashPage {
    pub(super) total: u64,
    pub(super) entries: Vec<Trashed>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "clients read this name")]
pub(super) struct Trashed {
    #[serde(flatten)]
    pub(super) entry: Entry,
    /// When it was put there.
    pub(super) trashed: u32,
    /// Names from the root down to the folder that it was in.
    pub(super) from: Vec<String>,
}

/// `POST trash/restore`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "clients read this name")]
pub(super) struct Restored {
    pub(super) restored: u64,
    /// How many of these have another name.
    pub(super) renamed: u64,
    /// How many are in the root, because their folder is gone.
    pub(super) moved_to_root: u64,
}

/// `POST uploads`.
#[derive(Debug, Deserialize)]
pub(super) struct BeginUpload {
    pub(super) parent: String,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) md5: Option<String>,
    pub(super) duplicate: Duplicate,
}

/// What if the name of an upload is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Duplicate {
    Refuse,
    Keep,
    Replace,
}

/// What `POST uploads` led to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Begun {
    Upload(NewUpload),
    #[serde(untagged)]
    Done {
        file: File,
        /// Whether just this was there before.
        present: bool,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct NewUpload {
    pub(super) id: String,
    pub(super) slice_size: u64,
    pub(super) slices: u64,
}

/// `GET uploads`.
#[derive(Debug, Serialize)]
pub(super) struct Uploads {
    pub(super) uploads: Vec<Upload>,
}

#[derive(Debug, Serialize)]
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) parent: String,
    pub(super) size: u64,
    pub(super) slice_size: u64,
    pub(super) slices: u64,
    /// How many slices are there.
    pub(super) received: u64,
    pub(super) created: u32,
    pub(super) expires: u32,
}

/// `GET uploads/{id}`.
#[derive(Debug, Serialize)]
pub(super) struct UploadState {
    #[serde(flatten)]
    pub(super) upload: Upload,
    /// First and last of slices that are not there.
    pub(super) missing: Vec<(u64, u64)>,
}

/// `POST uploads/{id}/complete`.
#[derive(Debug, Serialize)]
pub(super) struct Completed {
    pub(super) completed: bool,
    pub(super) file: Option<File>,
}

/// `GET apps`.
#[derive(Debug, Serialize)]
pub(super) struct Apps {
    pub(super) apps: Vec<App>,
}

#[derive(Debug, Serialize)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) scopes: Vec<Scope>,
    pub(super) created: u32,
    /// When it last got a token; null for never.
    pub(super) used: Option<u32>,
}

/// What an application may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    Read,
    Write,
}

/// `POST apps`.
#[derive(Debug, Deserialize)]
pub(super) struct AddApp {
    pub(super) name: String,
    pub(super) scopes: Vec<Scope>,
}

/// What `POST apps` led to. The secret is not told again.
#[derive(Serialize)]
pub(super) struct NewApp {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) name: String,
    pub(super) scopes: Vec<Scope>,
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
    pub(super) trackers: Vec<Tracker>,
    pub(super) refused: Vec<RefusedNode>,
}

/// A tracker, as the one that was asked sees it.
#[derive(Debug, Serialize)]
pub(super) struct Tracker {
    pub(super) address: String,
    pub(super) alive: bool,
}

/// A node that a tracker did not take in.
#[derive(Debug, Serialize)]
pub(super) struct RefusedNode {
    pub(super) number: u32,
    pub(super) address: String,
    pub(super) reason: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) draining: bool,
    pub(super) read_only: bool,
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
    /// Why it is not simply in service, most important first.
    pub(super) reasons: Vec<String>,
    pub(super) lag_ms: u64,
    pub(super) under_replicated: u64,
    pub(super) unverified_seconds: u64,
    pub(super) paths: Vec<VolumePath>,
}

/// A volume path of a node.
#[derive(Debug, Serialize)]
pub(super) struct VolumePath {
    pub(super) name: String,
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
    pub(super) complete: bool,
    pub(super) read_only: bool,
    /// Records that are there and that shall be; both 0 for a path that is complete.
    pub(super) rebuild_done: u64,
    pub(super) rebuild_total: u64,
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
    /// As in `GET me`.
    pub(super) quota: Option<u64>,
    pub(super) used: u64,
}
