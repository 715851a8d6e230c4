//! Input of a decoder that ends when its time is over.

use std::io::{self, BufRead, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::time::Instant;

use common::env::clock;

/// Bytes that are handed out between two looks at the clock.
const WINDOW_LEN: usize = 16 * 1024;

/// Reads from memory until a deadline, then fails: a decoder cannot be stopped from outside, but it
/// stops by itself when it cannot read on.
#[derive(Debug)]
pub(super) struct DeadlineReader<'a> {
    cursor: Cursor<&'a [u8]>,
    deadline: Instant,
}

impl<'a> DeadlineReader<'a> {
    pub(super) fn new(input: &'a [u8], deadline: Instant) -> Self {
        Self {
            cursor: Cursor::new(input),
            deadline,
        }
    }

    fn check(&self) -> io::Result<()> {
        if clock::monotonic() < self.deadline {
            Ok(())
        } else {
            Err(ErrorKind::TimedOut.into())
        }
    }
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let len = buf.len().min(WINDOW_LEN);
        self.cursor.read(buf.get_mut(..len).unwrap_or_default())
    }
}

impl BufRead for DeadlineReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        let rest = self.cursor.fill_buf()?;
        Ok(rest.get(..WINDOW_LEN).unwrap_or(rest))
    }

    fn consume(&mut self, amount: usize) {
        self.cursor.consume(amount);
    }
}

impl Seek for DeadlineReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.cursor.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn before_the_deadline_all_is_read_in_windows() {
        let input = vec![7; 3 * WINDOW_LEN / 2];
        let later = clock::monotonic() + Duration::from_mins(1);
        let mut reader = DeadlineReader::new(&input, later);
        assert_eq!(reader.fill_buf().unwrap().len(), WINDOW_LEN);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all, input);
        reader.seek(SeekFrom::Start(1)).unwrap();
        assert_eq!(reader.fill_buf().unwrap().len(), WINDOW_LEN);
    }

    #[test]
    fn after_the_deadline_nothing_is_read() {
        let mut reader = DeadlineReader::new(b"bytes", clock::monotonic());
        assert_eq!(
            reader.read(&mut [0; 4]).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        assert_eq!(reader.fill_buf().unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
