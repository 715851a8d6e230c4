mod literal;
mod ordinary;
mod properties;
mod refused;

use bytes::Bytes;

use super::{Event, FieldName, Form, FormError, Parser, Values};

/// The document's password, as an MD5 that is nobody's content.
const MD5: &str = "e10adc3949ba59abbe56e057f20f883e";

/// What a body said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Upload {
    form: Form,
    /// What was known when the file began.
    begun: Form,
    content: Vec<u8>,
    fields: Vec<(FieldName, String)>,
}

/// More than a parser may ever keep: header lines twice, values, what is held back.
const KEPT_LEN_MAX: usize = 2 * super::HEAD_LEN_MAX + 4 * super::FIELD_LEN_MAX + 1024;

/// Reads a body that comes in these pieces, and checks what holds for all bodies.
fn read<'a>(
    content_type: Option<&str>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Upload, FormError> {
    let mut parser = Parser::new(content_type);
    let mut events = Vec::new();
    for piece in pieces {
        let fed = parser.feed(Bytes::copy_from_slice(piece), &mut events);
        assert!(parser.kept_len() <= KEPT_LEN_MAX);
        if let Err(error) = fed {
            let again = parser.feed(Bytes::from_static(b"x"), &mut events);
            assert_eq!(again, Err(error), "an error is remembered");
            assert_eq!(parser.finish(&mut events), Err(error));
            return Err(error);
        }
    }
    let form = parser.finish(&mut events)?;
    let (mut begun, mut content, mut fields, mut ended) = (None, Vec::new(), Vec::new(), false);
    for event in events {
        match event {
            Event::FileBegins(form) => assert_eq!(begun.replace(form), None),
            Event::Content(piece) => {
                assert!(begun.is_some() && !ended && !piece.is_empty());
                content.extend_from_slice(&piece);
            }
            Event::FileEnds => {
                assert!(begun.is_some() && !ended);
                ended = true;
            }
            Event::Field(name, value) => fields.push((name, value)),
        }
    }
    assert!(ended, "a sound body has a file that ends");
    let begun = begun.expect("a file begins before it ends");
    assert_eq!(begun.file_name, form.file_name);
    Ok(Upload {
        form,
        begun,
        content,
        fields,
    })
}

/// Reads a body in one piece, and makes sure that byte by byte and any two pieces say the same.
fn check(content_type: Option<&str>, body: &[u8]) -> Result<Upload, FormError> {
    let whole = read(content_type, [body]);
    assert_eq!(read(content_type, body.chunks(1)), whole, "byte by byte");
    for at in 0..=body.len() {
        let (head, tail) = body.split_at(at);
        assert_eq!(read(content_type, [head, tail]), whole, "cut at {at}");
    }
    whole
}

fn values(user: &str) -> Values {
    Values {
        user: Some(user.to_owned()),
        ..Values::default()
    }
}
