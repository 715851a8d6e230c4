//! The form that brings a whole file to `/ftn_handler/`. Source: docs/api/weiyun.md §3.1.
//!
//! Everything but the part `file` is read past; of the others only `resp_charset` says something. The
//! document's own sample declares one boundary and uses another, without the dashes that the standard
//! puts in front, so that the first line of the body decides what the delimiter is.
//!
//! * content passes through as slices of what came in; what is kept is bounded, whatever the body holds
//! * how the body is cut into pieces changes nothing
//! * a body that ends well was understood to its closing delimiter

mod charset;
mod delimiter;
mod disposition;

#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;

pub(super) use charset::Charset;

use crate::http::multipart::{self, End, FirstLineTooLong, Head, HeadError, Piece, Rule, Splitter};
use disposition::PartName;

/// Parts of a form: the documented ones are nine.
const PARTS_MAX: usize = 32;
/// Bytes of a field's value.
const FIELD_LEN_MAX: usize = 4 * 1024;

/// Why the form of an upload is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    /// The first line goes on for too long.
    #[error(transparent)]
    FirstLine(#[from] FirstLineTooLong),
    /// The first line cannot be a delimiter.
    #[error("the body begins neither with its boundary nor with a line of dashes")]
    Delimiter,
    /// The header lines of a part are not sound.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A part without a name.
    #[error("a part has no name")]
    NoName,
    /// More parts than a form has any use for.
    #[error("the body has more than {PARTS_MAX} parts")]
    TooManyParts,
    /// A field's value goes on for too long.
    #[error("the value of a field is longer than {FIELD_LEN_MAX} bytes")]
    FieldTooLong,
    /// More than one part is the file.
    #[error("the body has two files")]
    TwoFiles,
    /// No part is the file.
    #[error("the body has no part called file")]
    NoFile,
    /// The body was cut.
    #[error("the body ends before its closing delimiter")]
    MissingEnd,
}

/// What a body says, in its order.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// Content follows.
    FileBegins,
    /// The next bytes of the content, never empty.
    Content(Bytes),
    /// All content was sent. Only [`Parser::finish`] says that the rest is sound too.
    FileEnds,
}

/// Shows no content.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileBegins => f.write_str("FileBegins"),
            Self::Content(content) => write!(f, "Content({} bytes)", content.len()),
            Self::FileEnds => f.write_str("FileEnds"),
        }
    }
}

/// Reads one body.
pub(super) struct Parser {
    state: State,
    /// What the form says so far about the answer's characters.
    charset: Charset,
    /// Whether the part `file` has begun.
    has_file: bool,
    /// Parts begun so far.
    count: usize,
}

enum State {
    FirstLine {
        /// What came of the line.
        line: Vec<u8>,
        /// The boundary that the Content-Type promises.
        promised: Option<Box<str>>,
    },
    Part(Box<Splitter>, Part),
    Refused(FormError),
}

/// Where in the body we are.
enum Part {
    Head(Head),
    /// A field's value, which is kept only of the one that says something.
    Field {
        is_charset: bool,
        len: usize,
        value: Vec<u8>,
    },
    File,
    /// What follows the closing delimiter: RFC 2046 §5.1.1 says to pass over it.
    Epilogue,
}

/// What it keeps may be content, and is not shown.
impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser").finish_non_exhaustive()
    }
}

impl Parser {
    /// A parser for a body with this Content-Type. Any type will do.
    pub(super) fn new(content_type: Option<&str>) -> Self {
        let boundary = content_type.and_then(multipart::boundary_of);
        Self {
            state: State::FirstLine {
                line: Vec::new(),
                promised: boundary.map(Into::into),
            },
            charset: Charset::default(),
            has_file: false,
            count: 0,
        }
    }

    /// Reads the next bytes of the body and adds what they say to `events`. After an error, which
    /// the parser remembers, the body is to be refused and what it said so far to be undone.
    pub(super) fn feed(
        &mut self,
        mut input: Bytes,
        events: &mut Vec<Event>,
    ) -> Result<(), FormError> {
        while !input.is_empty() {
            if let Err(error) = self.step(&mut input, events) {
                self.state = State::Refused(error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes some of `input`.
    fn step(&mut self, input: &mut Bytes, events: &mut Vec<Event>) -> Result<(), FormError> {
        match &mut self.state {
            State::FirstLine { line, promised } => {
                if let Some(line) = multipart::read_first_line(line, input)? {
                    let delimiter = delimiter::of_first_line(&line, promised.as_deref());
                    let splitter = Splitter::new(delimiter.ok_or(FormError::Delimiter)?.as_slice());
                    self.state = State::Part(Box::new(splitter), Part::Head(Head::default()));
                }
            }
            State::Part(_, Part::Head(head)) => {
                if let Some(line) = head.read(input)? {
                    self.begin(&line, events)?;
                }
            }
            State::Part(splitter, part @ Part::Field { .. }) => {
                match splitter.next(input, Rule::NextLine) {
                    Piece::Wait => {}
                    Piece::Content(piece) => part.extend(&piece)?,
                    Piece::End(end) => {
                        if let Part::Field {
                            is_charset: true,
                            value,
                            ..
                        } = part
                        {
                            self.charset = Charset::of_field(value);
                        }
                        *part = Part::after(end);
                    }
                }
            }
            State::Part(splitter, part @ Part::File) => {
                match splitter.next(input, Rule::NextLine) {
                    Piece::Wait => {}
                    Piece::Content(content) => events.push(Event::Content(content)),
                    Piece::End(end) => {
                        *part = Part::after(end);
                        events.push(Event::FileEnds);
                    }
                }
            }
            State::Part(_, Part::Epilogue) => input.clear(),
            State::Refused(error) => return Err(*error),
        }
        Ok(())
    }

    /// Begins the part that a Content-Disposition names.
    fn begin(&mut self, disposition: &[u8], events: &mut Vec<Event>) -> Result<(), FormError> {
        let State::Part(splitter, part) = &mut self.state else {
            return Ok(());
        };
        self.count += 1;
        if PARTS_MAX < self.count {
            return Err(FormError::TooManyParts);
        }
        let name = PartName::of_disposition(disposition).ok_or(FormError::NoName)?;
        splitter.begin_part();
        *part = if name == PartName::File {
            if std::mem::replace(&mut self.has_file, true) {
                return Err(FormError::TwoFiles);
            }
            events.push(Event::FileBegins);
            Part::File
        } else {
            Part::Field {
                is_charset: name == PartName::Charset,
                len: 0,
                value: Vec::new(),
            }
        };
        Ok(())
    }

    /// Ends the body: it was sound if this returns how the answer is to be written.
    pub(super) fn finish(self) -> Result<Charset, FormError> {
        match self.state {
            State::Part(_, Part::Epilogue) if self.has_file => Ok(self.charset),
            State::Part(_, Part::Epilogue) => Err(FormError::NoFile),
            State::Refused(error) => Err(error),
            State::FirstLine { .. }
            | State::Part(_, Part::Head(_) | Part::Field { .. } | Part::File) => {
                Err(FormError::MissingEnd)
            }
        }
    }

    /// How a refusal is to be written, as far as the form said.
    pub(super) fn charset(&self) -> Charset {
        self.charset
    }

    /// Bytes kept between two calls.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn kept_len(&self) -> usize {
        match &self.state {
            State::FirstLine { line, .. } => line.len(),
            State::Part(splitter, part) => {
                splitter.held_len()
                    + match part {
                        Part::Head(head) => head.kept_len(),
                        Part::Field { value, .. } => value.len(),
                        Part::File | Part::Epilogue => 0,
                    }
            }
            State::Refused(_) => 0,
        }
    }
}

impl Part {
    fn after(end: End) -> Self {
        match end {
            End::Part => Self::Head(Head::default()),
            End::Body => Self::Epilogue,
        }
    }

    /// Adds to a field's value.
    fn extend(&mut self, piece: &[u8]) -> Result<(), FormError> {
        if let Self::Field {
            is_charset,
            len,
            value,
        } = self
        {
            *len += piece.len();
            if FIELD_LEN_MAX < *len {
                return Err(FormError::FieldTooLong);
            }
            if *is_charset {
                value.extend_from_slice(piece);
            }
        }
        Ok(())
    }
}
