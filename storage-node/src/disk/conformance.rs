//! What every [`Disk`] must do. Runs on the real one and on the double.

use std::io::IoSlice;

use super::{Disk, VolumeFile};
use crate::format::VolumeNumber;

const LEN: u64 = 64 * 1024;

/// Checks an empty disk; panics at the first difference.
#[expect(clippy::unwrap_used, reason = "a test suite")]
pub fn check(disk: &impl Disk) {
    assert_eq!(disk.list().unwrap(), []);
    let number = VolumeNumber(3);
    let file = disk.create(number, LEN, b"first").unwrap();
    assert_eq!(file.len(), LEN);
    assert!(disk.create(number, LEN, b"again").is_err() || disk.list().unwrap() == [number]);

    file.write_at(
        &[
            IoSlice::new(b"abc"),
            IoSlice::new(b""),
            IoSlice::new(b"def"),
        ],
        4096,
    )
    .unwrap();
    let mut read = [0; 8];
    file.read_at(&mut read, 4096).unwrap();
    assert_eq!(&read, b"abcdef\0\0");
    file.sync().unwrap();
    let slice = file.slice(4096..4102).unwrap();
    assert_eq!(&slice[..], b"abcdef");
    assert!(file.is_resident(4096..4102));
    assert!(file.slice(LEN - 1..LEN + 1).is_err());
    assert!(file.read_at(&mut read, LEN - 1).is_err());

    let many: Vec<IoSlice<'_>> = (0..3000).map(|_| IoSlice::new(b"xyz")).collect();
    file.write_at(&many, 8192).unwrap();
    assert_eq!(&file.slice(8192 + 8997..8192 + 9001).unwrap()[..], b"xyz\0");

    disk.create(VolumeNumber(1), LEN, b"").unwrap();
    assert_eq!(disk.list().unwrap(), [VolumeNumber(1), number]);
    disk.remove(number).unwrap();
    assert_eq!(disk.list().unwrap(), [VolumeNumber(1)]);
    assert_eq!(
        &slice[..],
        b"abcdef",
        "bytes outlive the file that they came from"
    );
    assert!(disk.open(number).is_err());
    let space = disk.space().unwrap();
    assert!(space.free <= space.total);
}
