//! The body of `POST /api/upload`, as values in and values out. Source: docs/api/image-host.md §5.
//!
//! Two families of bodies are read. *Ordinary multipart*: a part for the file and one for each field,
//! as browsers send. The *literal format* of the API document: one part, with all values in its
//! Content-Disposition line. The first line of the body is the delimiter in both; a line that carries
//! `user`, `md5` or `token`, or a `size` without a `name`, tells the literal format. The third family, in which a body names a file
//! of the server, is not read: it would let a client choose any file.
//!
//! * content passes through as slices of what came in; what is kept is bounded by the constants below,
//!   whatever the body holds
//! * how the body is cut into pieces changes nothing
//! * a body that ends well was understood to its last byte

mod disposition;
mod error;
mod parts;
mod values;

#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;

pub(crate) use crate::http::multipart::HEAD_LEN_MAX;
pub(crate) use error::FormError;
pub(crate) use values::{FieldName, Form, Values};

use parts::Parts;

use crate::http::multipart::{self, Splitter};

/// Parts of a body: the documented ones are four or five.
pub(crate) const PARTS_MAX: usize = 32;
/// Bytes of a field's value.
pub(crate) const FIELD_LEN_MAX: usize = 4 * 1024;

/// What a body says, in its order.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Content follows. The form is what is known by now: fields may still come.
    FileBegins(Form),
    /// The next bytes of the content, never empty.
    Content(Bytes),
    /// All content was sent. Only [`Parser::finish`] says that the rest is sound too.
    FileEnds,
    /// A known field. Others are passed over.
    Field(FieldName, String),
}

/// Shows neither content nor tokens.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileBegins(form) => f.debug_tuple("FileBegins").field(form).finish(),
            Self::Content(content) => write!(f, "Content({} bytes)", content.len()),
            Self::FileEnds => f.write_str("FileEnds"),
            Self::Field(name, _) => write!(f, "Field({name})"),
        }
    }
}

/// Reads one body.
pub(crate) struct Parser {
    state: State,
}

enum State {
    FirstLine {
        /// What came of the line.
        line: Vec<u8>,
        /// The line that the Content-Type promises.
        promised: Option<Vec<u8>>,
    },
    Parts(Box<Parts>),
    Refused(FormError),
}

/// What it keeps may be content or a token, and is not shown.
impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser").finish_non_exhaustive()
    }
}

impl Parser {
    /// A parser for a body with this Content-Type. Any type will do; if it has a boundary, the body
    /// must use it.
    pub(crate) fn new(content_type: Option<&str>) -> Self {
        let boundary = content_type.and_then(multipart::boundary_of);
        Self {
            state: State::FirstLine {
                line: Vec::new(),
                promised: boundary.map(|boundary| format!("--{boundary}").into_bytes()),
            },
        }
    }

    /// Reads the next bytes of the body and adds what they say to `events`. After an error, which
    /// the parser remembers, the body is to be refused and what it said so far to be undone.
    pub(crate) fn feed(&mut self, input: Bytes, events: &mut Vec<Event>) -> Result<(), FormError> {
        let fed = self.try_feed(input, events);
        if let Err(error) = fed {
            self.state = State::Refused(error);
        }
        fed
    }

    fn try_feed(&mut self, mut input: Bytes, events: &mut Vec<Event>) -> Result<(), FormError> {
        if let State::FirstLine { line, promised } = &mut self.state {
            let Some(delimiter) = multipart::read_first_line(line, &mut input)? else {
                return Ok(());
            };
            check_delimiter(&delimiter, promised.as_deref())?;
            let delimiter = promised.as_deref().unwrap_or(&delimiter);
            self.state = State::Parts(Box::new(Parts::new(Splitter::new(delimiter))));
        }
        match &mut self.state {
            State::FirstLine { .. } => Ok(()),
            State::Parts(parts) => parts.feed(input, events),
            State::Refused(error) => Err(*error),
        }
    }

    /// Ends the body, which may add a last [`Event::FileEnds`]: in the literal format, the file ends
    /// with the body. The form's size, if it has one, is what came.
    pub(crate) fn finish(self, events: &mut Vec<Event>) -> Result<Form, FormError> {
        match self.state {
            State::FirstLine { .. } => Err(FormError::MissingEnd),
            State::Parts(parts) => parts.finish(events),
            State::Refused(error) => Err(error),
        }
    }

    /// Bytes kept between two calls.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn kept_len(&self) -> usize {
        match &self.state {
            State::FirstLine { line, .. } => line.len(),
            State::Parts(parts) => parts.kept_len(),
            State::Refused(_) => 0,
        }
    }
}

fn check_delimiter(line: &[u8], promised: Option<&[u8]>) -> Result<(), FormError> {
    // Blanks behind a promised boundary are padding; with none promised they are part of it.
    let is_promised = promised.is_none_or(|promised| line.trim_ascii_end() == promised);
    if !is_promised {
        return Err(FormError::BoundaryMismatch);
    }
    if line.is_empty() || !line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(FormError::Delimiter);
    }
    Ok(())
}
