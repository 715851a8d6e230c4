//! Times as answers show them. Source: docs/api/pan123.md §1.4, §2.1.
//!
//! Clients take texts without an offset for China's time, wherever the server is.

use jiff::tz::{self, TimeZone};

use crate::dialect::local_time::LocalTime;

/// `YYYY-MM-DD HH:MM:SS` of Unix seconds.
pub(super) fn plain(seconds: u32) -> String {
    let zone = TimeZone::fixed(tz::offset(8));
    String::from_utf8_lossy(&LocalTime::new(zone).format(seconds)).into_owned()
}

/// `YYYY-MM-DDTHH:MM:SS+08:00`, RFC 3339 with an offset in digits, which some clients cut off.
pub(super) fn with_offset(seconds: u32) -> String {
    format!("{}+08:00", plain(seconds).replace(' ', "T"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_china() {
        assert_eq!(plain(1_748_750_400), "2025-06-01 12:00:00");
        assert_eq!(with_offset(1_748_750_400), "2025-06-01T12:00:00+08:00");
        let parsed: jiff::Timestamp = with_offset(1_748_750_400).parse().unwrap();
        assert_eq!(parsed.as_second(), 1_748_750_400);
    }
}
