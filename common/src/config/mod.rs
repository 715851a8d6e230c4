//! Configuration: flags, environment and TOML become checked settings.
//!
//! * The file `settings` describes every key once: name, type, default, bounds and meaning. The structs,
//!   the strict check, `hayloft config print-default` and docs/configuration.md follow from it.
//! * A flag wins over the environment (`HAYLOFT_…`), which wins over the file, which wins over the
//!   default.
//! * All problems are reported at once, each with its place and a remedy.
//!
//! Reading files is the caller's part; this module sees text.

mod error;
mod print;
mod reader;
mod rules;
mod section;
mod settings;
mod types;
mod value;

use std::collections::BTreeMap;

use toml_edit::Document;

pub use error::{Origin, Problem, ProblemKind, Problems};
pub use print::{markdown, print_default};
pub use rules::RuleError;

pub use settings::{
    AntiLeechConfig, ApiConfig, ClusterConfig, CompactionConfig, Config, ExtraListener, LogConfig,
    RateLimitsConfig, ReplicationConfig, ScrubConfig, StorageConfig, StorePathConfig,
    TrackerConfig, WeiyunConfig,
};
pub use types::{
    ByteSize, ByteSizeError, CatalogPlace, DatabaseUrl, DatabaseUrlError, Durability,
    InstantUpload, Listing, LogFormat, Registration, ReservedSpace, StoreLookup, StorePathChoice,
    StoreServer, TokenlessWrites, WhenTooFew,
};
pub use value::ValueError;

use reader::Reader;
use section::Section as _;

/// Where the text of settings comes from, strongest first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    flags: BTreeMap<&'static str, (&'static str, String)>,
    environment: BTreeMap<String, String>,
    file: Option<(String, String)>,
}

/// Settings and what the operator should hear although it is no error.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The checked settings.
    pub config: Config,
    /// Environment variables that look like a misspelt key.
    pub suspects: Vec<Suspect>,
}

/// An environment variable that names no key but nearly does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The variable that is set.
    pub variable: String,
    /// The variable that would have been read.
    pub nearest: String,
}

impl Sources {
    /// No source: every key has its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag such as `--tracker-listen` gives `key`, if it was used.
    #[must_use]
    pub fn flag(mut self, flag: &'static str, key: &'static str, text: Option<String>) -> Self {
        if let Some(text) = text {
            self.flags.insert(key, (flag, text));
        }
        self
    }

    /// The environment; variables that do not begin with `HAYLOFT_` are passed over.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with(section::ENVIRONMENT_PREFIX))
            .collect();
        self
    }

    /// The text of a TOML file and the name that problems show for it.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.file = Some((name.into(), text.into()));
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// Every problem of every source, in the order of the description.
    pub fn load(self) -> Result<Loaded, Problems> {
        let (name, text) = self.file.unwrap_or_default();
        let document = Document::parse(text.as_str()).map_err(|error| {
            Problems::from(vec![Problem {
                origin: error::place(&name, &text, error.span()),
                key: String::new(),
                kind: ProblemKind::Syntax(error.message().to_owned()),
            }])
        })?;
        let mut reader = Reader::new(&name, &text, document.as_table(), &self.environment);
        reader.flags = &self.flags;
        let config = Config::read(&mut reader);
        rules::check(&config, &mut reader);
        let suspects = suspects(&self.environment);
        reader.finish().map(|()| Loaded { config, suspects })
    }
}

impl Default for Config {
    fn default() -> Self {
        let nothing = toml_edit::Table::new();
        let environment = BTreeMap::new();
        Self::read(&mut Reader::new("", "", &nothing, &environment))
    }
}

/// Differences in letters up to which a name counts as a misspelling.
const MISSPELLING_MAX: usize = 2;

/// The candidate that `name` most probably meant.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        // Half the letters may differ in a short name at most, else `x` would suggest `ttl`.
        .filter(|(distance, candidate)| {
            *distance <= MISSPELLING_MAX.max(candidate.len() / 4) && 2 * distance < candidate.len()
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// A container platform may set variables such as `HAYLOFT_PORT`, so an unknown one is no error.
fn suspects(environment: &BTreeMap<String, String>) -> Vec<Suspect> {
    let known: Vec<String> = section::keys(&Config::DESCRIPTION)
        .map(|(path, _)| section::environment_name(&path))
        .collect();
    environment
        .keys()
        .filter(|variable| !known.contains(variable))
        .filter_map(|variable| {
            let nearest = known
                .iter()
                .map(|name| (strsim::damerau_levenshtein(variable, name), name))
                .filter(|(distance, _)| *distance <= MISSPELLING_MAX)
                .min()?
                .1;
            Some(Suspect {
                variable: variable.clone(),
                nearest: nearest.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
