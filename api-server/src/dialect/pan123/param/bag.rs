//! What was sent under each name.

use super::Name;

/// Values that a request may have under known names: the longest list is documented with 3,000.
const VALUES_MAX: usize = 4096;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Scalar {
    Null,
    Text(String),
    Integer(i64),
    Flag(bool),
    /// Another number, an object, or an array within an array, which no parameter is.
    Other,
}

impl Scalar {
    /// Whether it stands for the absence of a value.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::Integer(_) | Self::Flag(_) | Self::Other => false,
        }
    }
}

/// All values of one name.
#[derive(Clone, Debug)]
struct Entry {
    name: Name,
    values: Vec<Scalar>,
    /// Whether the request says that it is a list, whatever its length.
    is_array: bool,
}

/// More values than any call has use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has more than {VALUES_MAX} values")]
pub(in super::super) struct TooMany;

/// Values by name.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Bag {
    entries: Vec<Entry>,
    count: usize,
}

impl Bag {
    /// Adds a value to those of its name.
    pub(in super::super) fn push(&mut self, name: Name, value: Scalar) -> Result<(), TooMany> {
        self.count_one()?;
        match self.entries.iter_mut().find(|entry| entry.name == name) {
            Some(entry) => entry.values.push(value),
            None => self.entries.push(Entry {
                name,
                values: vec![value],
                is_array: false,
            }),
        }
        Ok(())
    }

    /// Puts values in place of those that a name has.
    pub(super) fn put(&mut self, name: Name, values: Vec<Scalar>, is_array: bool) {
        self.entries.retain(|entry| entry.name != name);
        self.entries.push(Entry {
            name,
            values,
            is_array,
        });
    }

    /// Counts a value that is about to be kept.
    pub(super) fn count_one(&mut self) -> Result<(), TooMany> {
        if VALUES_MAX <= self.count {
            return Err(TooMany);
        }
        self.count += 1;
        Ok(())
    }

    fn entry(&self, name: Name) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The last value of a name.
    ///
    /// # Errors
    ///
    /// If it is a list.
    pub(super) fn last(&self, name: Name) -> Result<Option<&Scalar>, ()> {
        match self.entry(name) {
            None => Ok(None),
            Some(entry) if entry.is_array => Err(()),
            Some(entry) => Ok(entry.values.last()),
        }
    }

    /// All values of a name.
    pub(super) fn all(&self, name: Name) -> impl Iterator<Item = &Scalar> {
        self.entry(name).into_iter().flat_map(|entry| &entry.values)
    }
}
