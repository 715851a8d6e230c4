//! Finds the delimiter in content that arrives in pieces.
//!
//! What is decided passes on as slices of the input. Only what may still turn out to be a delimiter
//! is held back, in a copy: never more than one delimiter and what may follow it on its line. The
//! delimiter holds neither CR nor LF, so two occurrences of CRLF + delimiter never overlap, and at the
//! end of a piece only the last CR can begin one.

use bytes::{Buf, Bytes};
use memchr::memmem::Finder;

/// Blanks that may stand between a delimiter and the end of its line (RFC 2046, transport padding).
const PADDING_LEN_MAX: usize = 32;
/// Most bytes behind a delimiter that decide what it is: padding and CRLF.
const TAIL_LEN_MAX: usize = PADDING_LEN_MAX + 2;

/// Which occurrence of the delimiter ends a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The next delimiter line, as RFC 2046 says.
    NextLine,
    /// The last one, which ends the body: the document's own format. It may be followed by `--` and
    /// by one line end. Any other byte behind it shows that it was content.
    EndOfBody,
}

/// The delimiter that ended a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Another part follows.
    Part,
    /// It was the closing delimiter.
    Body,
}

/// What [`Splitter::next`] found.
pub(crate) enum Piece {
    /// Content, never empty.
    Content(Bytes),
    /// The end of the content; what follows is left in the input.
    End(End),
    /// The input is used up.
    Wait,
}

/// What a run of bytes is.
enum Scan {
    /// So many bytes are content; whether the rest is, later bytes decide.
    Content(usize),
    /// So many bytes are content, then a delimiter of `len` bytes follows.
    Delimited {
        content: usize,
        len: usize,
        end: End,
    },
}

/// What the bytes behind a delimiter make of it.
enum Tail {
    /// A delimiter, with so many bytes behind it that belong to it.
    Delimiter(usize, End),
    /// Content that looks like one.
    Content,
    /// It depends on bytes that are still to come.
    Undecided,
}

/// Finds one delimiter in all contents of a body.
pub(crate) struct Splitter {
    /// Searches CRLF + delimiter.
    finder: Finder<'static>,
    /// Bytes that may be a delimiter. Begins with CR, if not empty.
    held: Vec<u8>,
    /// First bytes of `held` that are no content: the line end that closed the header lines.
    borrowed_len: usize,
}

impl Splitter {
    /// Splits at lines that begin with `delimiter`, which holds neither CR nor LF.
    pub(crate) fn new(delimiter: &[u8]) -> Self {
        let needle = [b"\r\n", delimiter].concat();
        Self {
            finder: Finder::new(&needle).into_owned(),
            held: Vec::new(),
            borrowed_len: 0,
        }
    }

    /// Bytes held back.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn held_len(&self) -> usize {
        self.held.len()
    }

    /// Begins a content that ends by [`Rule::NextLine`]. A part may be empty without a line end of
    /// its own (RFC 2046 §5.1.1): the one that closed the header lines then begins the delimiter.
    pub(crate) fn begin_part(&mut self) {
        self.held.clear();
        self.held.extend_from_slice(b"\r\n");
        self.borrowed_len = self.held.len();
    }

    /// Takes the next piece of content, or its end, from `input`.
    pub(crate) fn next(&mut self, input: &mut Bytes, rule: Rule) -> Piece {
        while !input.is_empty() {
            let piece = if self.held.is_empty() {
                self.next_of_input(input, rule)
            } else {
                self.next_of_held(input, rule)
            };
            if let Some(piece) = piece {
                return piece;
            }
        }
        Piece::Wait
    }

    /// The common case: nothing is held back, so content is a slice of the input.
    fn next_of_input(&mut self, input: &mut Bytes, rule: Rule) -> Option<Piece> {
        match self.scan(input, rule) {
            Scan::Delimited {
                content: 0,
                len,
                end,
            } => {
                input.advance(len);
                Some(Piece::End(end))
            }
            Scan::Delimited { content, .. } => Some(Piece::Content(input.split_to(content))),
            Scan::Content(len) => {
                let content = input.split_to(len);
                self.held.extend_from_slice(input);
                input.clear();
                (!content.is_empty()).then_some(Piece::Content(content))
            }
        }
    }

    /// Decides what is held back, with as much of the input as that can take.
    fn next_of_held(&mut self, input: &mut Bytes, rule: Rule) -> Option<Piece> {
        let held_len = self.held.len();
        let borrowed_len = std::mem::take(&mut self.borrowed_len);
        let look_ahead = input.len().min(self.finder.needle().len() + TAIL_LEN_MAX);
        self.held
            .extend_from_slice(input.get(..look_ahead).unwrap_or_default());
        let content_len = match self.scan(&self.held, rule) {
            Scan::Delimited {
                content: 0,
                len,
                end,
            } => {
                self.held.clear();
                input.advance(len.saturating_sub(held_len));
                return Some(Piece::End(end));
            }
            Scan::Content(0) => {
                // Undecided with all that the input has: longer look-ahead always decides.
                self.borrowed_len = borrowed_len;
                input.advance(look_ahead);
                return None;
            }
            Scan::Delimited { content, .. } | Scan::Content(content) => content.min(held_len),
        };
        // What came with the look-ahead stays in the input, to become a slice of it.
        self.held.truncate(held_len);
        let content: Vec<u8> = self.held.drain(..content_len).skip(borrowed_len).collect();
        (!content.is_empty()).then(|| Piece::Content(content.into()))
    }

    fn scan(&self, bytes: &[u8], rule: Rule) -> Scan {
        let needle = self.finder.needle();
        let mut from = 0;
        while let Some(found) = bytes.get(from..).and_then(|rest| self.finder.find(rest)) {
            let content = from + found;
            let behind = content + needle.len();
            match rule.tail(bytes.get(behind..).unwrap_or_default()) {
                Tail::Delimiter(tail_len, end) => {
                    let len = needle.len() + tail_len;
                    return Scan::Delimited { content, len, end };
                }
                Tail::Undecided => return Scan::Content(content),
                Tail::Content => from = behind,
            }
        }
        let last = bytes.len().saturating_sub(needle.len() - 1).max(from);
        let rest = bytes.get(last..).unwrap_or_default();
        let begun = memchr::memrchr(b'\r', rest)
            .filter(|at| rest.get(*at..).is_some_and(|rest| needle.starts_with(rest)));
        Scan::Content(begun.map_or(bytes.len(), |at| last + at))
    }

    /// Takes all of `input`, which follows content of an announced size: nothing but the delimiter
    /// and the end of the body may come. Returns whether that may still be so.
    pub(crate) fn expect_end(&mut self, input: &mut Bytes) -> bool {
        let needle = self.finder.needle();
        // One byte more than can be right, so that too many bytes are seen and not kept.
        let room = (needle.len() + TAIL_LEN_MAX).saturating_sub(self.held.len());
        self.held
            .extend_from_slice(input.get(..room.min(input.len())).unwrap_or_default());
        input.clear();
        match self.held.strip_prefix(needle) {
            Some(tail) => matches!(Rule::EndOfBody.tail(tail), Tail::Undecided),
            None => needle.starts_with(&self.held),
        }
    }

    /// Whether the bytes held back are the delimiter that ends a body.
    pub(crate) fn is_end_of_body(&self) -> bool {
        self.held
            .strip_prefix(self.finder.needle())
            .map(|tail| tail.strip_prefix(b"--").unwrap_or(tail))
            .is_some_and(|rest| matches!(rest, b"" | b"\n" | b"\r\n"))
    }
}

impl Rule {
    fn tail(self, tail: &[u8]) -> Tail {
        match self {
            Self::NextLine => Self::tail_of_line(tail),
            Self::EndOfBody => {
                let rest = tail.strip_prefix(b"--").unwrap_or(tail);
                let may_end = tail == b"-" || matches!(rest, b"" | b"\n" | b"\r" | b"\r\n");
                if may_end {
                    Tail::Undecided
                } else {
                    Tail::Content
                }
            }
        }
    }

    fn tail_of_line(tail: &[u8]) -> Tail {
        if tail.starts_with(b"--") {
            return Tail::Delimiter(2, End::Body);
        }
        let is_padding = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let padding_len = tail.iter().take_while(is_padding).count();
        if PADDING_LEN_MAX < padding_len {
            return Tail::Content;
        }
        match tail.get(padding_len..).unwrap_or_default() {
            [] | b"\r" => Tail::Undecided,
            [b'\n', ..] => Tail::Delimiter(padding_len + 1, End::Part),
            [b'\r', b'\n', ..] => Tail::Delimiter(padding_len + 2, End::Part),
            b"-" if padding_len == 0 => Tail::Undecided,
            _ => Tail::Content,
        }
    }
}
