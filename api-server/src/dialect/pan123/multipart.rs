//! Multipart bodies: fields in any order, and one part that is the bytes.
//! Source: docs/api/pan123.md §1.3, RFC 7578.
//!
//! Clients disagree about the order of parts, quotes, header names and what stands in a part's
//! Content-Type. Of all that only a part's name matters. Bytes pass through as slices of what came in;
//! what is kept is bounded by the constants below, whatever the body holds, and how the body is cut
//! into pieces changes nothing.

mod part_name;

#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;

use crate::http::multipart::{
    self, End, FIRST_LINE_LEN_MAX, FirstLineTooLong, HEAD_LEN_MAX, Head, HeadError, Piece, Rule,
    Splitter,
};

use super::param::Name;
use part_name::PartName;

/// Parts of a body: the documented ones are four to seven.
const PARTS_MAX: usize = 32;
/// Bytes of a field's value.
const FIELD_LEN_MAX: usize = 64 * 1024;
/// Bytes that a body may have besides the bytes that it is about: all parts with the longest heads and
/// values.
pub(super) const FORM_LEN_MAX: u64 = (PARTS_MAX * (HEAD_LEN_MAX + FIELD_LEN_MAX)) as u64;

/// Why a body is no such form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    #[error(transparent)]
    FirstLine(#[from] FirstLineTooLong),
    #[error("the body is not multipart/form-data")]
    NotMultipart,
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("a part has no name")]
    NoName,
    #[error("the body has more than {PARTS_MAX} parts")]
    TooManyParts,
    #[error("the value of a field is longer than {FIELD_LEN_MAX} bytes")]
    FieldTooLong,
    #[error("the value of {0} is not UTF-8")]
    Encoding(Name),
    #[error("the body has two parts {0}")]
    TwoFiles(&'static str),
    #[error("the body ends before its closing delimiter")]
    MissingEnd,
}

/// What a body says, in its order.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A known field. Others are passed over.
    Field(Name, String),
    /// The part that is the bytes begins, with the file name that it has itself.
    FileBegins(Option<String>),
    /// The next of its bytes, never empty.
    Content(Bytes),
    /// All of them were sent.
    FileEnds,
}

/// Shows neither bytes nor secrets.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name, value) => write!(f, "Field({name}, {} bytes)", value.len()),
            Self::FileBegins(_) => f.write_str("FileBegins"),
            Self::Content(content) => write!(f, "Content({} bytes)", content.len()),
            Self::FileEnds => f.write_str("FileEnds"),
        }
    }
}

/// Reads one body.
pub(super) struct Reader {
    state: State,
    /// The name of the part that is the bytes.
    file: &'static str,
    has_file: bool,
    /// Parts begun so far.
    count: usize,
}

enum State {
    /// Nothing promised a delimiter, so the first line has to be one.
    FirstLine(Vec<u8>),
    Inside(Box<Splitter>, Place),
    Refused(FormError),
}

/// Where in the body we are.
enum Place {
    /// In front of the first delimiter, which RFC 2046 §5.1.1 says to pass over.
    Preamble,
    Head(Head),
    /// A field's value. Of an unknown field, only its length is watched.
    Field(Option<Name>, Vec<u8>),
    File,
    /// Behind the last delimiter.
    Epilogue,
}

/// What it keeps may be a secret, and is not shown.
impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader for a body with this Content-Type, in which the part called `file` is the bytes. A type
    /// without a boundary says nothing: there are clients that label every body as JSON.
    pub(super) fn new(content_type: Option<&str>, file: &'static str) -> Self {
        let state = match content_type.and_then(multipart::boundary_of) {
            Some(boundary) if FIRST_LINE_LEN_MAX < boundary.len() => {
                State::Refused(FirstLineTooLong.into())
            }
            Some(boundary) => {
                let mut splitter = Splitter::new(format!("--{boundary}").as_bytes());
                // A delimiter at the very beginning has no line end before it.
                splitter.begin_part();
                State::Inside(Box::new(splitter), Place::Preamble)
            }
            None => State::FirstLine(Vec::new()),
        };
        Self {
            state,
            file,
            has_file: false,
            count: 0,
        }
    }

    /// Reads the next bytes of the body and adds what they say to `events`. After an error, which the
    /// reader remembers, the body is to be refused and what it said so far to be undone.
    pub(super) fn feed(&mut self, input: Bytes, events: &mut Vec<Event>) -> Result<(), FormError> {
        let fed = self.try_feed(input, events);
        if let Err(error) = fed {
            self.state = State::Refused(error);
        }
        fed
    }

    fn try_feed(&mut self, mut input: Bytes, events: &mut Vec<Event>) -> Result<(), FormError> {
        if let State::FirstLine(line) = &mut self.state {
            let Some(delimiter) = multipart::read_first_line(line, &mut input)? else {
                return Ok(());
            };
            let is_printable = delimiter.iter().all(|byte| matches!(byte, b' '..=b'~'));
            if delimiter.len() <= 2 || !delimiter.starts_with(b"--") || !is_printable {
                return Err(FormError::NotMultipart);
            }
            let splitter = Splitter::new(delimiter.trim_ascii_end());
            self.begin(Box::new(splitter))?;
        }
        while !input.is_empty() {
            self.step(&mut input, events)?;
        }
        Ok(())
    }

    /// Begins a part.
    fn begin(&mut self, splitter: Box<Splitter>) -> Result<(), FormError> {
        self.count += 1;
        if PARTS_MAX < self.count {
            return Err(FormError::TooManyParts);
        }
        self.state = State::Inside(splitter, Place::Head(Head::default()));
        Ok(())
    }

    /// Goes on to what follows a delimiter.
    fn pass(&mut self, end: End) -> Result<(), FormError> {
        let state = std::mem::replace(&mut self.state, State::FirstLine(Vec::new()));
        match (state, end) {
            (State::Inside(splitter, _), End::Part) => self.begin(splitter),
            (State::Inside(splitter, _), End::Body) => {
                self.state = State::Inside(splitter, Place::Epilogue);
                Ok(())
            }
            // Nobody gets here without a splitter.
            (State::FirstLine(_) | State::Refused(_), _) => Err(FormError::NotMultipart),
        }
    }

    fn step(&mut self, input: &mut Bytes, events: &mut Vec<Event>) -> Result<(), FormError> {
        let (splitter, place) = match &mut self.state {
            State::Inside(splitter, place) => (splitter, place),
            State::Refused(error) => return Err(*error),
            State::FirstLine(_) => return Err(FormError::NotMultipart),
        };
        let end = match place {
            Place::Head(head) => {
                let Some(disposition) = head.read(input)? else {
                    return Ok(());
                };
                let PartName { name, file_name } =
                    part_name::of(&disposition).ok_or(FormError::NoName)?;
                splitter.begin_part();
                if !name.eq_ignore_ascii_case(self.file) {
                    *place = Place::Field(Name::of(&name), Vec::new());
                    return Ok(());
                }
                if std::mem::replace(&mut self.has_file, true) {
                    return Err(FormError::TwoFiles(self.file));
                }
                *place = Place::File;
                events.push(Event::FileBegins(file_name));
                return Ok(());
            }
            Place::Field(name, value) => match splitter.next(input, Rule::NextLine) {
                Piece::Wait => return Ok(()),
                Piece::Content(piece) if value.len() + piece.len() <= FIELD_LEN_MAX => {
                    value.extend_from_slice(&piece);
                    return Ok(());
                }
                Piece::Content(_) => return Err(FormError::FieldTooLong),
                Piece::End(end) => {
                    if let Some(name) = *name {
                        let value = String::from_utf8(std::mem::take(value))
                            .map_err(|_| FormError::Encoding(name))?;
                        events.push(Event::Field(name, value));
                    }
                    end
                }
            },
            Place::File => match splitter.next(input, Rule::NextLine) {
                Piece::Wait => return Ok(()),
                Piece::Content(content) => {
                    events.push(Event::Content(content));
                    return Ok(());
                }
                Piece::End(end) => {
                    events.push(Event::FileEnds);
                    end
                }
            },
            Place::Preamble => match splitter.next(input, Rule::NextLine) {
                Piece::Wait | Piece::Content(_) => return Ok(()),
                Piece::End(end) => end,
            },
            Place::Epilogue => {
                input.clear();
                return Ok(());
            }
        };
        self.pass(end)
    }

    /// Ends the body.
    pub(super) fn finish(self) -> Result<(), FormError> {
        match self.state {
            State::Inside(_, Place::Epilogue) => Ok(()),
            State::Inside(_, Place::Preamble) | State::FirstLine(_) => Err(FormError::NotMultipart),
            State::Inside(_, Place::Head(_) | Place::Field(..) | Place::File) => {
                Err(FormError::MissingEnd)
            }
            State::Refused(error) => Err(error),
        }
    }

    /// Bytes kept between two calls.
    #[cfg(test)]
    fn kept_len(&self) -> usize {
        match &self.state {
            State::FirstLine(line) => line.len(),
            State::Refused(_) => 0,
            State::Inside(splitter, place) => {
                splitter.held_len()
                    + match place {
                        Place::Head(head) => head.kept_len(),
                        Place::Field(_, value) => value.len(),
                        Place::Preamble | Place::File | Place::Epilogue => 0,
                    }
            }
        }
    }
}
