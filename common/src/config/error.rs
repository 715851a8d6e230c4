//! Problems with the configuration: where, what, and what to do about it.

use std::fmt;
use std::ops::Range;

use super::value::ValueError;

/// Where a text of the configuration stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the file; line and column count from 1.
    File {
        /// The file as the operator named it.
        name: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// In an environment variable.
    Environment(String),
    /// In a flag of the command line.
    Flag(&'static str),
    /// Nowhere: the default is meant.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// Not TOML at all; the parser's words.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// A key that nothing reads.
    #[error("unknown key; {}", remedy(.nearest.as_deref()))]
    UnknownKey {
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A value where a section belongs, or the other way round.
    #[error("{found} found where a section belongs; write [{section}] on a line of its own")]
    NotASection {
        /// What TOML calls it.
        found: &'static str,
        /// The section's dotted path.
        section: String,
    },
    /// A value that its key does not take.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Two settings that do not go together.
    #[error(transparent)]
    Rule(#[from] super::rules::RuleError),
}

fn remedy(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean \"{nearest}\"?"),
        None => "remove it, or see `hayloft config print-default` for all keys and what they mean"
            .to_owned(),
    }
}

/// One problem of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// The dotted key; empty when the file is not TOML.
    pub key: String,
    /// What is wrong and the remedy.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return write!(f, "{}: {}", self.origin, self.kind);
        }
        write!(f, "{}: {}: {}", self.origin, self.key, self.kind)
    }
}

/// All problems of a configuration, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems in the order of the description.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

/// One line per problem.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, problem) in self.0.iter().enumerate() {
            if idx != 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Line and column of a span of `text`; the beginning when there is none.
pub(super) fn place(name: &str, text: &str, span: Option<Range<usize>>) -> Origin {
    let before = span
        .and_then(|span| text.get(..span.start))
        .unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Origin::File {
        name: name.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}
