//! Reads keys from the strongest source that has them and collects every problem on the way.

use std::collections::BTreeMap;
use std::ops::Range;

use toml_edit::{Item, Table, TableLike};

use super::error::{Origin, Problem, ProblemKind, Problems, place};
use super::nearest;
use super::section::{Description, Section, environment_name};
use super::value::{Setting, ValueError};

/// The sources while a configuration is read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    file_name: &'a str,
    file_text: &'a str,
    root: &'a Table,
    environment: &'a BTreeMap<String, String>,
    /// Texts of flags by dotted key.
    pub(super) flags: &'a BTreeMap<&'static str, (&'static str, String)>,
    /// Names of the sections around the current one.
    inside: Vec<&'static str>,
    origins: BTreeMap<String, Origin>,
    problems: Vec<Problem>,
}

static NO_FLAGS: BTreeMap<&'static str, (&'static str, String)> = BTreeMap::new();

impl<'a> Reader<'a> {
    pub(super) fn new(
        file_name: &'a str,
        file_text: &'a str,
        root: &'a Table,
        environment: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            file_name,
            file_text,
            root,
            environment,
            flags: &NO_FLAGS,
            inside: Vec::new(),
            origins: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Reads a subsection.
    pub(super) fn section<S: Section>(&mut self, name: &'static str) -> S {
        self.inside.push(name);
        let section = S::read(self);
        self.inside.pop();
        section
    }

    /// Reads a key; a problem leaves the default in place.
    pub(super) fn key<T: Setting>(&mut self, name: &'static str, default: &'static str) -> T {
        self.read(name).unwrap_or_else(|| default_of(default))
    }

    /// Reads a key whose value must not lie outside of the bounds.
    pub(super) fn key_within<T: Setting + PartialOrd>(
        &mut self,
        name: &'static str,
        default: &'static str,
        least: &'static str,
        most: &'static str,
    ) -> T {
        let Some(value) = self.read::<T>(name) else {
            return default_of(default);
        };
        if default_of::<T>(least) <= value && value <= default_of::<T>(most) {
            return value;
        }
        let path = self.path(name);
        let text = self.text_of(&path);
        self.problem_at_key(&path, ValueError::OutOfRange { text, least, most });
        default_of(default)
    }

    /// Refuses names that the section does not have.
    pub(super) fn check_names(&mut self, description: &Description) {
        let section = self.inside.join(".");
        let table = match self.current() {
            None => return,
            Some(Ok(table)) => table,
            Some(Err(item)) => {
                let problem = Problem {
                    origin: self.place(item.span()),
                    key: section.clone(),
                    kind: ProblemKind::NotASection {
                        found: item.type_name(),
                        section,
                    },
                };
                self.problems.push(problem);
                return;
            }
        };
        let known = || {
            let keys = description.keys.iter().map(|key| key.name);
            keys.chain(description.sections.iter().map(|(name, _)| *name))
        };
        for (name, item) in table.iter() {
            if known().any(|known| known == name) {
                continue;
            }
            let span = table
                .get_key_value(name)
                .and_then(|(key, _)| key.span())
                .or(item.span());
            self.problems.push(Problem {
                origin: self.place(span),
                key: self.path(name),
                kind: ProblemKind::UnknownKey {
                    nearest: nearest(name, known()).map(str::to_owned),
                },
            });
        }
    }

    /// Reports a problem at the place where `path` was given.
    pub(super) fn problem_at_key(&mut self, path: &str, kind: impl Into<ProblemKind>) {
        self.problems.push(Problem {
            origin: self.origins.get(path).cloned().unwrap_or(Origin::Default),
            key: path.to_owned(),
            kind: kind.into(),
        });
    }

    pub(super) fn finish(self) -> Result<(), Problems> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Problems::from(self.problems))
    }

    /// The value of the strongest source; `None` when nobody gave one or it is wrong.
    fn read<T: Setting>(&mut self, name: &'static str) -> Option<T> {
        let path = self.path(name);
        let (origin, read) = self.find::<T>(&path, name)?;
        self.origins.insert(path.clone(), origin);
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem_at_key(&path, error);
                None
            }
        }
    }

    fn find<T: Setting>(
        &self,
        path: &str,
        name: &'static str,
    ) -> Option<(Origin, Result<T, ValueError>)> {
        if let Some((flag, text)) = self.flags.get(path) {
            return Some((Origin::Flag(flag), T::from_text(text)));
        }
        let variable = environment_name(path);
        if let Some(text) = self.environment.get(&variable) {
            return Some((Origin::Environment(variable), T::from_text(text)));
        }
        let item = self.current()?.ok()?.get(name)?;
        // `[[rows]]` and `rows = [{…}]` mean the same, so both become a value.
        let value = match item.clone().into_value() {
            Ok(value) => value,
            Err(other) => {
                let error = ValueError::Type {
                    wanted: T::WANTED,
                    found: other.type_name(),
                };
                return Some((self.place(item.span()), Err(error)));
            }
        };
        Some(match T::from_value(&value) {
            Ok(read) => (self.place(item.span()), Ok(read)),
            Err(located) => {
                let span = located.span.or(item.span());
                (self.place(span), Err(located.error))
            }
        })
    }

    /// The current section of the file: none, a table, or something else in its place.
    fn current(&self) -> Option<Result<&'a dyn TableLike, &'a Item>> {
        let mut table: &'a dyn TableLike = self.root;
        for name in &self.inside {
            let item = table.get(name)?;
            match item.as_table_like() {
                Some(inner) => table = inner,
                None => return Some(Err(item)),
            }
        }
        Some(Ok(table))
    }

    fn path(&self, name: &str) -> String {
        let mut path = self.inside.join(".");
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        path
    }

    fn place(&self, span: Option<Range<usize>>) -> Origin {
        place(self.file_name, self.file_text, span)
    }

    /// The value as it was written, for messages.
    fn text_of(&self, path: &str) -> String {
        if let Some((_, text)) = self.flags.get(path) {
            return text.clone();
        }
        if let Some(text) = self.environment.get(&environment_name(path)) {
            return text.clone();
        }
        let name = path.rsplit('.').next().unwrap_or(path);
        let item = self
            .current()
            .and_then(Result::ok)
            .and_then(|table| table.get(name));
        item.and_then(Item::span)
            .and_then(|span| self.file_text.get(span))
            .unwrap_or("the value")
            .to_owned()
    }
}

/// A text of the description as a value.
///
/// # Panics
///
/// If the description is wrong, which a test reads in full.
#[expect(
    clippy::expect_used,
    reason = "the text is a literal of the description, which a test reads in full"
)]
fn default_of<T: Setting>(text: &'static str) -> T {
    T::from_text(text).expect("a default or bound of the description parses")
}
