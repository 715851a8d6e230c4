//! Rules between keys: what is right for each alone and wrong together.

use std::collections::BTreeSet;

use super::reader::Reader;
use super::settings::{Config, StorageConfig};
use super::types::StoreLookup;
use crate::id::VolumePath;
use crate::limits;
use crate::web::cross_domain::Domain;
use crate::web::origin::Origin;

/// Two settings that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// `store_lookup = "group"` without a group.
    #[error("store_lookup = \"group\" needs the group's name in store_group")]
    StoreGroupMissing,
    /// Silence shorter than the time between two reports.
    #[error(
        "must be longer than storage.heartbeat, else healthy nodes leave rotation; three times it is usual"
    )]
    CheckActiveTooShort,
    /// More trackers than clients can keep.
    #[error(
        "{count} trackers are too many; clients keep at most {}",
        limits::TRACKERS_MAX
    )]
    TooManyTrackers {
        /// Trackers in the list.
        count: usize,
    },
    /// More data directories than volume paths exist.
    #[error(
        "{count} directories are too many; a group has {} volume paths",
        limits::VOLUME_PATHS_MAX
    )]
    TooManyStorePaths {
        /// Directories in the list.
        count: usize,
    },
    /// One directory, two entries.
    #[error("the directory \"{0}\" is given twice; every entry needs its own")]
    SameDir(String),
    /// One volume path, two directories.
    #[error("{0} is held by two directories; give every volume path to one")]
    SameVolumePath(VolumePath),
    /// A check of tokens that no token can pass.
    #[error("enabled without keys would refuse every download; add keys = [\"…\"]")]
    KeysMissing,
    /// Links need a scheme and a host, and stand in pages and headers.
    #[error(
        "a public URL begins with http:// or https:// and a host, has no ? or #, and encodes whatever else URLs do not have"
    )]
    PublicUrl,
    /// A certificate without its key, or the other way round.
    #[error(
        "TLS needs both api.tls_certificate and api.tls_key; give the other one too, or remove this one"
    )]
    HalfOfTls,
    /// A secret and a file of one.
    #[error("cluster.secret and cluster.secret_file are both given; keep one of them")]
    TwoSecrets,
    /// A domain that a policy file cannot name.
    #[error("write *, a name such as \"www.example.com\", or \"*.example.com\"")]
    CrossDomain,
    /// No digest.
    #[error("a SHA-1 has 40 hexadecimal digits")]
    Sha1,
    /// A slice is a subtree of the hash of the whole.
    #[error("must be a power of two, such as 8MiB or 16MiB")]
    SliceSize,
}

/// Reports every broken rule at the key that should change.
pub(super) fn check(config: &Config, reader: &mut Reader<'_>) {
    let tracker = &config.tracker;
    if tracker.store_lookup == StoreLookup::Group && tracker.store_group.is_none() {
        reader.problem_at_key("tracker.store_lookup", RuleError::StoreGroupMissing);
    }
    if tracker.check_active <= config.storage.heartbeat {
        reader.problem_at_key("tracker.check_active", RuleError::CheckActiveTooShort);
    }
    let lists = [
        ("tracker.peers", &tracker.peers),
        ("storage.trackers", &config.storage.trackers),
        ("api.trackers", &config.api.trackers),
    ];
    for (path, trackers) in lists {
        let count = trackers.len();
        if limits::TRACKERS_MAX < count {
            reader.problem_at_key(path, RuleError::TooManyTrackers { count });
        }
    }
    for error in store_paths(&config.storage) {
        reader.problem_at_key("storage.store_paths", error);
    }
    if config.cluster.secret.is_some() && config.cluster.secret_file.is_some() {
        reader.problem_at_key("cluster.secret_file", RuleError::TwoSecrets);
    }
    let anti_leech = &config.storage.anti_leech;
    if anti_leech.enabled && anti_leech.keys.is_empty() {
        reader.problem_at_key("storage.anti_leech.enabled", RuleError::KeysMissing);
    }
    if config
        .api
        .public_url
        .as_deref()
        .is_some_and(|url| !is_base(url))
    {
        reader.problem_at_key("api.public_url", RuleError::PublicUrl);
    }
    let weiyun = &config.api.weiyun;
    let is_domain = |text: &String| text.parse::<Domain>().is_ok();
    if !weiyun.cross_domain.iter().all(is_domain) {
        reader.problem_at_key("api.weiyun.cross_domain", RuleError::CrossDomain);
    }
    let is_sha1 = |text: &String| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !weiyun.blocked_sha1.iter().all(is_sha1) {
        reader.problem_at_key("api.weiyun.blocked_sha1", RuleError::Sha1);
    }
    if !config.api.slice_size.0.is_power_of_two() {
        reader.problem_at_key("api.slice_size", RuleError::SliceSize);
    }
    match (&config.api.tls_certificate, &config.api.tls_key) {
        (Some(_), Some(_)) | (None, None) => {}
        (Some(_), None) => reader.problem_at_key("api.tls_certificate", RuleError::HalfOfTls),
        (None, Some(_)) => reader.problem_at_key("api.tls_key", RuleError::HalfOfTls),
    }
}

/// Whether links may begin with `url`: what follows the host has only what paths have unencoded, and
/// not the two of these that could end a policy's source or an attribute.
fn is_base(url: &str) -> bool {
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/%-._~!$&()*+=:@".contains(&byte);
    Origin::of_url(url).is_ok_and(|(_, path)| path.bytes().all(is_path))
}

fn store_paths(storage: &StorageConfig) -> Vec<RuleError> {
    let count = storage.store_paths.len();
    if limits::VOLUME_PATHS_MAX < count {
        return vec![RuleError::TooManyStorePaths { count }];
    }
    let (mut dirs, mut held) = (BTreeSet::new(), BTreeSet::new());
    let mut errors = Vec::new();
    for (path, volume_paths) in storage.store_path_volumes() {
        if !dirs.insert(path) {
            errors.push(RuleError::SameDir(path.display().to_string()));
        }
        for volume_path in volume_paths {
            if !held.insert(volume_path) {
                errors.push(RuleError::SameVolumePath(volume_path));
            }
        }
    }
    errors
}

impl StorageConfig {
    /// Each configured directory with the volume paths it holds, defaults filled in.
    pub fn store_path_volumes(&self) -> impl Iterator<Item = (&std::path::Path, Vec<VolumePath>)> {
        (0..=u8::MAX)
            .zip(&self.store_paths)
            .map(|(place, store_path)| {
                let volume_paths = match store_path.volume_paths.as_slice() {
                    [] => vec![VolumePath(place)],
                    given => given.to_vec(),
                };
                (store_path.dir.as_path(), volume_paths)
            })
    }
}
