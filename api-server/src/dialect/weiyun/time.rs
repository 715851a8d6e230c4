//! Times as answers show them: `YYYY-MM-DD HH:MM:SS mmm`, in China. Source: docs/api/weiyun.md §2.5.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// Where the platform's clocks stand.
const CHINA: Offset = jiff::tz::offset(8);

/// A moment as `file_ctime` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileTime {
    /// Unix milliseconds.
    millis: i64,
}

impl FileTime {
    /// The moment of `seconds`, Unix seconds. The catalog knows no finer ones, so that answers show
    /// 000 milliseconds.
    pub(super) fn of_seconds(seconds: u32) -> Self {
        Self {
            millis: i64::from(seconds) * 1000,
        }
    }
}

impl fmt::Display for FileTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every moment that a file can have is in the range of years that the calendar has.
        let instant = Timestamp::from_millisecond(self.millis).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = TimeZone::fixed(CHINA).to_datetime(instant);
        let seconds = time.strftime("%Y-%m-%d %H:%M:%S");
        write!(f, "{seconds} {:03}", time.millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_china_with_milliseconds_behind_a_blank() {
        let of = |seconds| FileTime::of_seconds(seconds).to_string();
        assert_eq!(of(0), "1970-01-01 08:00:00 000");
        assert_eq!(of(1_700_000_000), "2023-11-15 06:13:20 000");
        assert_eq!(of(u32::MAX), "2106-02-07 14:28:15 000");
    }

    #[test]
    fn the_documents_own_example_is_printed() {
        let time = FileTime {
            millis: 1_340_009_458,
        };
        assert_eq!(time.to_string(), "1970-01-16 20:13:29 458");
    }
}
