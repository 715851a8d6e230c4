//! Why the body of an upload is refused.

use crate::http::multipart::{FirstLineTooLong, HeadError};

use super::FieldName;

/// Why the body of an upload is refused. The client learns no more than code 1; the log learns this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    /// The first line cannot be a delimiter.
    #[error("the first line of the body is empty or holds what is not printable ASCII")]
    Delimiter,
    /// The first line goes on for too long.
    #[error(transparent)]
    FirstLine(#[from] FirstLineTooLong),
    /// The Content-Type says one boundary and the body begins with another line.
    #[error("the body does not begin with the boundary of its Content-Type")]
    BoundaryMismatch,
    /// The header lines of a part are not sound.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A Content-Disposition that is no `form-data`.
    #[error("a part is not form-data")]
    NotFormData,
    /// A Content-Disposition line in an unknown encoding.
    #[error("a Content-Disposition line is not text in a known encoding")]
    Encoding,
    /// A value whose closing quote is missing.
    #[error("a parameter of a Content-Disposition line has no closing quote")]
    Unterminated,
    /// A part that is neither a field nor a file.
    #[error("a part has neither a name nor a file name")]
    NoName,
    /// A part in the document's own format without a file name.
    #[error("the file has no name")]
    NoFileName,
    /// A parameter that stands twice in a line.
    #[error("a parameter of a Content-Disposition line is repeated")]
    RepeatedParameter,
    /// A value that was given twice.
    #[error("{0} is given twice")]
    Repeated(FieldName),
    /// A size that is no decimal number of 64 bits.
    #[error("the size is not a number")]
    SizeNotANumber,
    /// More parts than a form has any use for.
    #[error("the body has more than {} parts", super::PARTS_MAX)]
    TooManyParts,
    /// A field's value goes on for too long.
    #[error("the value of a field is longer than {} bytes", super::FIELD_LEN_MAX)]
    FieldTooLong,
    /// A field's value is not UTF-8.
    #[error("the value of {0} is not UTF-8")]
    FieldEncoding(FieldName),
    /// More than one part is a file.
    #[error("the body has two files")]
    TwoFiles,
    /// No part is a file.
    #[error("the body has no file")]
    NoFile,
    /// The body was cut, or its content is shorter than announced.
    #[error("the body ends before its closing delimiter")]
    MissingEnd,
    /// Content of an announced size is followed by something else than the end.
    #[error("the announced size is not followed by the delimiter and the end of the body")]
    NotAtEnd,
    /// The content has another size than announced.
    #[error("{announced} bytes were announced and {received} came")]
    SizeMismatch {
        /// Bytes that the form says.
        announced: u64,
        /// Bytes of the content.
        received: u64,
    },
}
