//! What the fuzz targets share with tests. Compiled for tests and under the feature `testing` only.
//!
//! A fuzz target is one `pub fn fuzz_…(&[u8])` that panics when an invariant breaks; the file in
//! `fuzz/fuzz_targets/` only calls it, and a test here replays its corpus in every `cargo test`.

use bytes::Bytes;

use crate::dialect::image_host::form::{
    Event, FIELD_LEN_MAX, Form, FormError, HEAD_LEN_MAX, Parser,
};
use crate::dialect::weiyun;

/// More than a form parser may ever keep: header lines twice, values, what is held back.
const FORM_KEPT_LEN_MAX: usize = 2 * HEAD_LEN_MAX + 4 * FIELD_LEN_MAX + 1024;
/// Lengths of the pieces in which a body comes.
const PIECE_LENS: [usize; 5] = [1, 2, 7, 64, 1000];

/// Fuzz target `form`: reads `bytes` as the body of an upload. How it is cut into pieces and whether
/// the Content-Type repeats its boundary changes nothing, and what is kept is bounded.
pub fn fuzz_form(bytes: &[u8]) {
    let whole = read_form(None, [bytes]);
    for len in PIECE_LENS {
        assert_eq!(read_form(None, bytes.chunks(len)), whole);
    }
    let boundary = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .and_then(|line| line.strip_prefix(b"--"))
        .and_then(|boundary| std::str::from_utf8(boundary).ok())
        .filter(|boundary| boundary.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if let Some(boundary) = boundary {
        let content_type = format!("multipart/form-data; boundary={boundary}");
        assert_eq!(read_form(Some(&content_type), [bytes]), whole);
    }
}

/// Fuzz target `weiyun`: reads `bytes` as the body of an upload to Weiyun's handler, a form or a packet.
pub fn fuzz_weiyun(bytes: &[u8]) {
    weiyun::fuzz::check_body(bytes);
}

/// What a body says: form and content, both as they are when it ended well.
fn read_form<'a>(
    content_type: Option<&str>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Form, Vec<u8>), FormError> {
    let mut parser = Parser::new(content_type);
    let (mut events, mut fed_len) = (Vec::new(), 0);
    for piece in pieces {
        fed_len += piece.len();
        parser.feed(Bytes::copy_from_slice(piece), &mut events)?;
        assert!(parser.kept_len() <= FORM_KEPT_LEN_MAX.min(2 * fed_len));
    }
    let form = parser.finish(&mut events)?;
    let mut content = Vec::new();
    for event in events {
        if let Event::Content(piece) = event {
            content.extend_from_slice(&piece);
        }
    }
    assert!(content.len() < fed_len, "content is less than its body");
    let announced = form.values.size;
    assert!(announced.is_none_or(|size| size == content.len() as u64));
    Ok((form, content))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Has every file of a corpus checked, and counts those that are sound.
    fn replay(target: &str, check: fn(&[u8]), is_sound: fn(&[u8]) -> bool) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        let (mut count, mut sound) = (0, 0);
        for entry in std::fs::read_dir(corpus.join(target)).unwrap() {
            let body = std::fs::read(entry.unwrap().path()).unwrap();
            check(&body);
            count += 1;
            sound += usize::from(is_sound(&body));
        }
        assert!(10 <= count, "{count} files: is this the corpus?");
        assert!(5 <= sound, "{sound} sound bodies: were line ends changed?");
    }

    #[test]
    fn the_corpus_of_the_form_target_passes() {
        replay("form", fuzz_form, |body| read_form(None, [body]).is_ok());
    }

    #[test]
    fn the_corpus_of_the_weiyun_target_passes() {
        replay("weiyun", fuzz_weiyun, weiyun::fuzz::is_sound);
    }
}
