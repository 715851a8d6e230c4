//! Byte ranges of the `Range` header. Source: RFC 9110 §14.
//!
//! Three kinds of header get the whole blob with status 200, as §14.2 allows: malformed ones, those
//! with more than [`limits::HTTP_RANGES_MAX`] ranges, and those whose ranges together ask for more
//! bytes than the blob has. The last rule stops floods of overlapping ranges, which would turn one
//! small request into many times the blob.

use crate::limits;

/// Bytes `start..end` of a blob, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

impl ByteRange {
    /// Bytes in the range.
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// Never: a range has at least one byte.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Everything: status 200.
    Whole,
    /// One range: status 206 with `Content-Range`.
    One(ByteRange),
    /// Two or more, in the order asked: status 206 with `multipart/byteranges`.
    Many(Vec<ByteRange>),
    /// Well formed, but no byte of the blob is in it: status 416.
    Unsatisfiable,
}

/// One element of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// `first-` or `first-last`, both inclusive.
    From { first: u64, last: u64 },
    /// `-len`: the last bytes.
    Suffix { len: u64 },
}

/// What `header` selects of a blob of `size` bytes.
pub fn select(header: &[u8], size: u64) -> Selection {
    let Some(list) = list_of_bytes(header) else {
        return Selection::Whole;
    };
    let mut ranges = Vec::new();
    let mut first = None;
    let mut count = 0;
    let mut total = 0_u64;
    for element in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        // The list rule of RFC 9110 §5.6.1 lets senders leave elements empty.
        if element.is_empty() {
            continue;
        }
        count += 1;
        if limits::HTTP_RANGES_MAX < count {
            return Selection::Whole;
        }
        let Some(spec) = parse_spec(element) else {
            return Selection::Whole;
        };
        // No Content-Range can describe the end of an empty blob, so it is served whole.
        if size == 0 && matches!(spec, Spec::Suffix { len: 1.. }) {
            return Selection::Whole;
        }
        let Some(range) = clamp(spec, size) else {
            continue;
        };
        total = total.saturating_add(range.len());
        if size < total {
            return Selection::Whole;
        }
        // Nearly every request has one range, which costs no allocation.
        match first {
            None => first = Some(range),
            Some(first) if ranges.is_empty() => ranges.extend([first, range]),
            Some(_) => ranges.push(range),
        }
    }
    match first {
        _ if count == 0 => Selection::Whole,
        None => Selection::Unsatisfiable,
        Some(range) if ranges.is_empty() => Selection::One(range),
        Some(_) => Selection::Many(ranges),
    }
}

/// The part behind `bytes=`, or `None` for another unit.
fn list_of_bytes(header: &[u8]) -> Option<&[u8]> {
    let (unit, list) = header.trim_ascii().split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(list)
}

fn parse_spec(element: &[u8]) -> Option<Spec> {
    let dash = element.iter().position(|byte| *byte == b'-')?;
    let (first, last) = element.split_at_checked(dash)?;
    let last = last.strip_prefix(b"-")?;
    match (first, last) {
        ([], len) => Some(Spec::Suffix { len: number(len)? }),
        (first, []) => Some(Spec::From {
            first: number(first)?,
            last: u64::MAX,
        }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From { first, last })
        }
    }
}

/// A decimal number; one that does not fit is as good as the largest.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

/// The bytes of the blob that `spec` means, or `None` if there are none.
fn clamp(spec: Spec, size: u64) -> Option<ByteRange> {
    let range = match spec {
        Spec::From { first, last } => ByteRange {
            start: first,
            end: last.saturating_add(1).min(size),
        },
        Spec::Suffix { len } => ByteRange {
            start: size - len.min(size),
            end: size,
        },
    };
    (!range.is_empty()).then_some(range)
}

/// What the fuzzer feeds: eight bytes of blob size, then the header. Panics when an invariant breaks.
#[cfg(any(test, feature = "testing"))]
pub fn fuzz_range(input: &[u8]) {
    let Some((size, header)) = input.split_first_chunk::<8>() else {
        return;
    };
    let size = u64::from_be_bytes(*size);
    let ranges = match select(header, size) {
        Selection::Whole | Selection::Unsatisfiable => return,
        Selection::One(range) => vec![range],
        Selection::Many(ranges) => {
            assert!(1 < ranges.len());
            ranges
        }
    };
    assert!(ranges.len() <= limits::HTTP_RANGES_MAX);
    assert!(
        ranges
            .iter()
            .all(|range| range.start < range.end && range.end <= size)
    );
    let total: u128 = ranges.iter().map(|range| u128::from(range.len())).sum();
    assert!(total <= u128::from(size));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(start: u64, end: u64) -> Selection {
        Selection::One(ByteRange { start, end })
    }

    #[test]
    fn single_ranges_are_clamped_to_the_blob() {
        for (header, size, expected) in [
            ("bytes=0-0", 10, one(0, 1)),
            ("bytes=2-5", 10, one(2, 6)),
            ("bytes=2-", 10, one(2, 10)),
            ("bytes=9-99", 10, one(9, 10)),
            ("bytes=-3", 10, one(7, 10)),
            ("bytes=-30", 10, one(0, 10)),
            ("BYTES= 1-2 ", 10, one(1, 3)),
            ("bytes=,,1-2,", 10, one(1, 3)),
            ("bytes=5-,10-", 10, one(5, 10)),
            ("bytes=0-99999999999999999999999", 10, one(0, 10)),
            ("bytes=10-", 10, Selection::Unsatisfiable),
            ("bytes=-0", 10, Selection::Unsatisfiable),
            ("bytes=0-", 0, Selection::Unsatisfiable),
            ("bytes=-5", 0, Selection::Whole),
            ("bytes=0-18446744073709551615", u64::MAX, one(0, u64::MAX)),
        ] {
            assert_eq!(
                select(header.as_bytes(), size),
                expected,
                "{header} of {size}"
            );
        }
    }

    #[test]
    fn malformed_headers_get_the_whole_blob() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=a-b",
            "bytes=1",
            "bytes=5-2",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=+1-2",
            "items=0-1",
            "bytes=-",
            "bytes=0-1;2-3",
            "bytes=0 -1",
        ] {
            assert_eq!(select(header.as_bytes(), 10), Selection::Whole, "{header}");
        }
    }

    #[test]
    fn several_ranges_keep_their_order_and_floods_get_the_whole_blob() {
        assert_eq!(
            select(b"bytes=8-9, 0-1", 10),
            Selection::Many(vec![
                ByteRange { start: 8, end: 10 },
                ByteRange { start: 0, end: 2 }
            ])
        );
        assert_eq!(select(b"bytes=0-,0-", 10), Selection::Whole);
        let sixteen = format!("bytes={}", vec!["1-1"; 16].join(","));
        let seventeen = format!("bytes={}", vec!["1-1"; 17].join(","));
        assert!(matches!(
            select(sixteen.as_bytes(), 100),
            Selection::Many(_)
        ));
        assert_eq!(select(seventeen.as_bytes(), 100), Selection::Whole);
    }

    #[test]
    fn the_corpus_of_the_range_target_passes() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/range");
        let mut count = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            fuzz_range(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(10 <= count, "{count} files: is this the corpus?");
    }

    /// The bytes a header asks for, computed one position at a time.
    fn model(specs: &[(Option<u8>, Option<u8>)], size: u64) -> Vec<Vec<u64>> {
        specs
            .iter()
            .map(|spec| {
                (0..size)
                    .filter(|at| match *spec {
                        (Some(first), Some(last)) => (first.into()..=last.into()).contains(at),
                        (Some(first), None) => u64::from(first) <= *at,
                        (None, Some(len)) => size <= at + u64::from(len),
                        (None, None) => false,
                    })
                    .collect::<Vec<_>>()
            })
            .filter(|bytes| !bytes.is_empty())
            .collect()
    }

    fn spec() -> impl Strategy<Value = (Option<u8>, Option<u8>)> {
        prop_oneof![
            (0..60_u8, 0..60_u8).prop_map(|(a, b)| (Some(a.min(b)), Some(a.max(b)))),
            (0..60_u8).prop_map(|first| (Some(first), None)),
            (0..60_u8).prop_map(|len| (None, Some(len))),
        ]
    }

    proptest! {
        #[test]
        fn selections_equal_a_naive_model(
            specs in prop::collection::vec(spec(), 1..20),
            size in 1..50_u64,
        ) {
            let digits = |n: Option<u8>| n.map_or(String::new(), |n| n.to_string());
            let list: Vec<_> = specs
                .iter()
                .map(|(first, last)| format!("{}-{}", digits(*first), digits(*last)))
                .collect();
            let expected = model(&specs, size);
            let selected = match select(format!("bytes={}", list.join(", ")).as_bytes(), size) {
                Selection::Whole => {
                    let asked: usize = expected.iter().map(Vec::len).sum();
                    prop_assert!(size < asked as u64 || limits::HTTP_RANGES_MAX < specs.len());
                    return Ok(());
                }
                Selection::Unsatisfiable => vec![],
                Selection::One(range) => vec![range],
                Selection::Many(ranges) => ranges,
            };
            let selected: Vec<Vec<u64>> = selected
                .into_iter()
                .map(|range| (range.start..range.end).collect())
                .collect();
            prop_assert_eq!(selected, expected);
        }

        #[test]
        fn arbitrary_bytes_break_no_invariant(
            size in any::<u64>(),
            header in prop::collection::vec(any::<u8>(), 0..200),
            list in "bytes=[0-9, -]{0,80}",
        ) {
            fuzz_range(&[&size.to_be_bytes(), header.as_slice()].concat());
            fuzz_range(&[&size.to_be_bytes(), list.as_bytes()].concat());
        }
    }
}
