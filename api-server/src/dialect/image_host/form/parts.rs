//! The parts of a body, one after the other.

use bytes::Bytes;

use crate::http::multipart::{End, Head, Piece, Rule, Splitter};

use super::disposition::Disposition;
use super::{Event, FIELD_LEN_MAX, FieldName, Form, FormError, PARTS_MAX, Values};

/// Reads everything behind the first line.
pub(super) struct Parts {
    splitter: Splitter,
    part: Part,
    /// Parts begun so far.
    count: usize,
    /// What the form says so far.
    values: Values,
    /// The name of the file, once it has begun.
    file_name: Option<String>,
    /// Bytes of the file so far.
    content_len: u64,
}

/// Where in the body we are.
enum Part {
    Head(Head),
    /// A field's value. Of an unknown field, only its length is watched.
    Field {
        name: Option<FieldName>,
        value: Vec<u8>,
    },
    /// A file whose end is told by the delimiter.
    File(Rule),
    /// A file of announced size: so many bytes are still to come, and then the end of the body.
    SizedFile {
        remaining: u64,
    },
    /// What follows the closing delimiter of ordinary multipart, which RFC 2046 §5.1.1 says to pass
    /// over.
    Epilogue,
}

impl Parts {
    pub(super) fn new(splitter: Splitter) -> Self {
        Self {
            splitter,
            part: Part::Head(Head::default()),
            count: 0,
            values: Values::default(),
            file_name: None,
            content_len: 0,
        }
    }

    pub(super) fn feed(
        &mut self,
        mut input: Bytes,
        events: &mut Vec<Event>,
    ) -> Result<(), FormError> {
        while !input.is_empty() {
            match &mut self.part {
                Part::Head(head) => {
                    if let Some(line) = head.read(&mut input)? {
                        self.begin(Disposition::parse(&line)?, events)?;
                    }
                }
                Part::Field { name, value } => {
                    match self.splitter.next(&mut input, Rule::NextLine) {
                        Piece::Wait => {}
                        Piece::Content(piece) => extend(value, &piece)?,
                        Piece::End(end) => {
                            let field = name.map(|name| (name, std::mem::take(value)));
                            self.part = next_part(end);
                            self.end_field(field, events)?;
                        }
                    }
                }
                Part::File(rule) => match self.splitter.next(&mut input, *rule) {
                    Piece::Wait => {}
                    Piece::Content(content) => self.content(content, events),
                    Piece::End(end) => {
                        self.part = next_part(end);
                        events.push(Event::FileEnds);
                    }
                },
                Part::SizedFile { remaining: 0 } => {
                    if !self.splitter.expect_end(&mut input) {
                        return Err(FormError::NotAtEnd);
                    }
                }
                Part::SizedFile { remaining } => {
                    let len = usize::try_from(*remaining).unwrap_or(usize::MAX);
                    let content = input.split_to(len.min(input.len()));
                    *remaining -= content.len() as u64;
                    self.content(content, events);
                }
                Part::Epilogue => input.clear(),
            }
        }
        Ok(())
    }

    fn content(&mut self, content: Bytes, events: &mut Vec<Event>) {
        self.content_len += content.len() as u64;
        events.push(Event::Content(content));
    }

    fn begin(
        &mut self,
        disposition: Disposition,
        events: &mut Vec<Event>,
    ) -> Result<(), FormError> {
        self.count += 1;
        if PARTS_MAX < self.count {
            return Err(FormError::TooManyParts);
        }
        match disposition {
            Disposition::Field(name) => {
                self.splitter.begin_part();
                self.part = Part::Field {
                    name: FieldName::of_field(&name),
                    value: Vec::new(),
                };
                Ok(())
            }
            Disposition::File(file_name) => {
                self.splitter.begin_part();
                self.part = Part::File(Rule::NextLine);
                self.begin_file(file_name, events)
            }
            Disposition::Literal(file_name, values) => {
                self.part = match values.size {
                    Some(remaining) => Part::SizedFile { remaining },
                    None => Part::File(Rule::EndOfBody),
                };
                self.values.merge(values)?;
                self.begin_file(file_name, events)
            }
        }
    }

    fn begin_file(&mut self, file_name: String, events: &mut Vec<Event>) -> Result<(), FormError> {
        if self.file_name.is_some() {
            return Err(FormError::TwoFiles);
        }
        self.file_name = Some(file_name.clone());
        let values = self.values.clone();
        events.push(Event::FileBegins(Form { file_name, values }));
        Ok(())
    }

    fn end_field(
        &mut self,
        field: Option<(FieldName, Vec<u8>)>,
        events: &mut Vec<Event>,
    ) -> Result<(), FormError> {
        let Some((name, value)) = field else {
            return Ok(());
        };
        let value = String::from_utf8(value).map_err(|_| FormError::FieldEncoding(name))?;
        self.values.set(name, value.clone())?;
        events.push(Event::Field(name, value));
        Ok(())
    }

    pub(super) fn finish(self, events: &mut Vec<Event>) -> Result<Form, FormError> {
        let is_last_file = match self.part {
            Part::Epilogue => false,
            Part::File(Rule::EndOfBody) | Part::SizedFile { remaining: 0 } => true,
            Part::Head(_)
            | Part::Field { .. }
            | Part::File(Rule::NextLine)
            | Part::SizedFile { .. } => return Err(FormError::MissingEnd),
        };
        if is_last_file && !self.splitter.is_end_of_body() {
            return Err(FormError::MissingEnd);
        }
        let file_name = self.file_name.ok_or(FormError::NoFile)?;
        let (received, values) = (self.content_len, self.values);
        match values.size {
            Some(announced) if announced != received => Err(FormError::SizeMismatch {
                announced,
                received,
            }),
            Some(_) | None => {
                events.extend(is_last_file.then_some(Event::FileEnds));
                Ok(Form { file_name, values })
            }
        }
    }

    /// Bytes kept between two calls.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn kept_len(&self) -> usize {
        let part_len = match &self.part {
            Part::Head(head) => head.kept_len(),
            Part::Field { value, .. } => value.len(),
            Part::File(_) | Part::SizedFile { .. } | Part::Epilogue => 0,
        };
        let name_len = self.file_name.as_ref().map_or(0, String::len);
        self.splitter.held_len() + part_len + name_len + self.values.kept_len()
    }
}

fn next_part(end: End) -> Part {
    match end {
        End::Part => Part::Head(Head::default()),
        End::Body => Part::Epilogue,
    }
}

fn extend(value: &mut Vec<u8>, piece: &[u8]) -> Result<(), FormError> {
    if FIELD_LEN_MAX < value.len() + piece.len() {
        return Err(FormError::FieldTooLong);
    }
    value.extend_from_slice(piece);
    Ok(())
}
