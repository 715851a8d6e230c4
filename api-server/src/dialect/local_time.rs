//! Times as answers show them: `YYYY-MM-DD HH:MM:SS`, where the server is.
//! Source: docs/api/image-host.md §2.7, docs/api/pan123.md §1.4.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Bytes of a time.
pub(crate) const LEN: usize = 19;

/// Reads times off the wall of a time zone.
#[derive(Clone, Debug)]
pub(crate) struct LocalTime {
    zone: TimeZone,
}

impl LocalTime {
    pub(crate) fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// The time of `seconds`, Unix seconds.
    pub(crate) fn format(&self, seconds: u32) -> [u8; LEN] {
        // Every such second is in the range of years that the calendar has.
        let instant = Timestamp::from_second(seconds.into()).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = self.zone.to_datetime(instant);
        let [century, year] = pair_of(time.year().unsigned_abs());
        let mut text = *b"0000-00-00 00:00:00";
        let parts = [
            (0, century),
            (2, year),
            (5, digits(time.month())),
            (8, digits(time.day())),
            (11, digits(time.hour())),
            (14, digits(time.minute())),
            (17, digits(time.second())),
        ];
        for (at, pair) in parts {
            if let Some(place) = text.get_mut(at..at + 2) {
                place.copy_from_slice(&pair);
            }
        }
        text
    }
}

/// The digits of a year from 0 to 9999.
fn pair_of(year: u16) -> [[u8; 2]; 2] {
    [year / 100, year % 100].map(|half| digits(i8::try_from(half).unwrap_or_default()))
}

/// The digits of a number from 0 to 99.
fn digits(number: i8) -> [u8; 2] {
    let number = number.unsigned_abs();
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz;
    use proptest::prelude::*;

    #[test]
    fn times_are_local_and_padded() {
        let china = LocalTime::new(TimeZone::fixed(tz::offset(8)));
        assert_eq!(&china.format(1_621_049_584), b"2021-05-15 11:33:04");
        let utc = LocalTime::new(TimeZone::UTC);
        assert_eq!(&utc.format(0), b"1970-01-01 00:00:00");
        assert_eq!(&utc.format(u32::MAX), b"2106-02-07 06:28:15");
    }

    proptest! {
        #[test]
        fn times_are_what_the_calendar_prints(seconds: u32, hours in -12_i8..=14) {
            let zone = TimeZone::fixed(tz::offset(hours));
            let instant = Timestamp::from_second(seconds.into()).unwrap();
            let expected = zone.to_datetime(instant).strftime("%Y-%m-%d %H:%M:%S").to_string();
            prop_assert_eq!(&LocalTime::new(zone).format(seconds)[..], expected.as_bytes());
        }
    }
}
