use proptest::prelude::*;

use super::*;
use crate::testing::arbitrary::{extension, new_blob};

fn name(text: &str) -> RemoteName {
    RemoteName::parse(text.as_bytes()).unwrap()
}

fn slave(master: &str, prefix: &str, extension: &str) -> Result<String, TailError> {
    let prefix = SlavePrefix::from_bytes(prefix.as_bytes())?;
    let extension = Extension::from_bytes(extension.as_bytes())?;
    Ok(name(master).slave(prefix, extension)?.to_text())
}

const MASTER: &str = "M00/00/00/fwAADWsCX-OACGPVAAAABi0Jo9Y093.jpg";

#[test]
fn a_slave_is_named_after_the_stem_of_its_master() {
    for (master_tail, prefix, extension, slave_tail) in [
        ("280.jpg", "_80x80", "jpg", "280_80x80.jpg"),
        ("280.jpg", "_big", "", "280_big"),
        ("1896298", "_s", "png", "1896298_s.png"),
        (".tar.gz", "_s", "png", "_s.png"),
        ("280_80x80.jpg", "_x", "gif", "280_80x80_x.gif"),
        ("_s.png", "_t", "", "_s_t"),
        ("280.jpg", "-m", "jpg", "280-m.jpg"),
    ] {
        let stem = "M00/00/00/fwAADWsCX-OACGPVAAAABi0Jo9Y";
        let made = slave(&format!("{stem}{master_tail}"), prefix, extension);
        assert_eq!(made, Ok(format!("{stem}{slave_tail}")));
    }
}

#[test]
fn slave_names_that_cannot_be_are_refused() {
    assert_eq!(slave(MASTER, "-m", ""), Err(TailError::Reserved));
    assert_eq!(slave(MASTER, "", "jpg"), Err(TailError::Empty));
    assert_eq!(slave(MASTER, "a/b", ""), Err(TailError::Byte(b'/')));
    assert_eq!(
        slave(MASTER, "12345678901234567", ""),
        Err(TailError::TooLong)
    );
    assert_eq!(slave(MASTER, "_s", "1234567"), Err(TailError::TooLong));
    let mut longest = MASTER.to_owned();
    let error = loop {
        match slave(&longest, "_0123456789", "") {
            Ok(longer) => longest = longer,
            Err(error) => break error,
        }
    };
    assert_eq!(error, TailError::TooLong);
    assert!(longest.len() <= limits::REMOTE_NAME_LEN_MAX);
}

#[test]
fn names_that_no_server_makes_are_unknown_and_malformed_ones_say_why() {
    let length = |len| NameError::Length { len };
    for (text, error) in [
        ("", length(0)),
        ("M00/00/00/", length(10)),
        (&format!("{MASTER}{}", "x".repeat(84)), length(128)),
        // Without the volume path there is room for 4 bytes more, but not in the printed form.
        (&format!("{}{}", &MASTER[4..], "x".repeat(84)), length(124)),
        ("M0g/00/00/fwAADWsCX", NameError::VolumePath),
        ("M00x00/00/fwAADWsCX", NameError::VolumePath),
        ("M00/aa/00/fwAADWsCX", NameError::Directory),
        ("M00/00/../fwAADWsCX", NameError::Directory),
        ("0000/00/fwAADWsCX", NameError::Directory),
        ("M00/00/00/../../etc/passwd", NameError::Byte(b'/')),
        ("M00/00/00/fwAAD\0WsCX", NameError::Byte(0)),
        ("M00/00/00/fwAAD+WsCX", NameError::Byte(b'+')),
        ("M00/00/00/..", NameError::Dots),
        ("M00/00/00/.", NameError::Dots),
        ("M00/00/00/...", NameError::Unknown),
        ("M00/00/00/fwAADWsCX-OACGPVAAAABi0Jo9", NameError::Unknown),
        // The spare bits of the last character of the stem are set.
        (
            "M00/00/00/fwAADWsCX-OACGPVAAAABi0Jo9Z093.jpg",
            NameError::Unknown,
        ),
        (
            "M00/00/00/fwAAD.sCX-OACGPVAAAABi0Jo9Y093.jpg",
            NameError::Unknown,
        ),
    ] {
        assert_eq!(RemoteName::parse(text.as_bytes()), Err(error), "{text}");
    }
}

#[test]
fn names_without_a_volume_path_mean_the_first() {
    assert_eq!(name(&MASTER[4..]), name(MASTER));
    assert_eq!(
        name(&MASTER.replace("M00", "Maf")).to_text(),
        MASTER.replace("M00", "MAF")
    );
}

#[test]
fn the_kind_follows_marks_and_tail() {
    let appender = "M00/00/00/fwAADWsCX-OEBaG8AAAAADYQpoY";
    let normal = "M00/00/00/fwAADWsCX-OACGPVAAAABi0Jo9Y";
    let trunk = "M00/00/00/fwAAIWsCYNOIFFi_AAAABTYQpoY";
    for (stem, tail, kind) in [
        (normal, "093.jpg", BlobKind::Normal),
        (normal, "0931234", BlobKind::Normal),
        (normal, ".tar.gz", BlobKind::Normal),
        (normal, "8342..x", BlobKind::Normal),
        (normal, "093_big", BlobKind::Slave),
        (normal, "093123.", BlobKind::Slave),
        (normal, "_s.png", BlobKind::Slave),
        (normal, "", BlobKind::Slave),
        (appender, "177.txt", BlobKind::Appender),
        (appender, "177_s.txt", BlobKind::Slave),
        (appender, "_ss.png", BlobKind::Slave),
        (trunk, "AAAAAQAAAAAAAAEA218.txt", BlobKind::Trunk),
        (trunk, "AAAAAQAAAAAAAAEA218_s.jpg", BlobKind::Slave),
        (normal, "AAAAAQAAAAAAAAEA218.txt", BlobKind::Slave),
    ] {
        assert_eq!(name(&format!("{stem}{tail}")).kind(), kind, "{stem}{tail}");
    }
}

#[test]
fn a_regenerated_appender_keeps_directories_and_tail() {
    let appender = name("M01/0A/FF/fwAADWsCX-OEBaG8AAAAADYQpoY177.txt");
    let source = NodeNumber::try_from(7).unwrap();
    let made = appender.regenerated(source, 9, 5, Crc32(3), u64::MAX);
    assert_eq!(made.kind(), BlobKind::Normal);
    assert_eq!(
        (made.volume_path(), made.tail()),
        (VolumePath(1), b"177.txt".as_slice())
    );
    assert!(made.to_text().starts_with("M01/0A/FF/"));
    assert_eq!(made.stem().size(), 5);
    assert_eq!(made.stem().crc, Crc32(3));
}

#[test]
fn stem_and_tail_do_not_share_random_bits() {
    let mut new = NewBlob {
        volume_path: VolumePath(0),
        source: NodeNumber::try_from(1).unwrap(),
        time: 0,
        size: Some(0),
        crc: Crc32(0),
        extension: Extension::default(),
        random: 0,
    };
    let zero = RemoteName::generate(&new);
    let mut stem_bits = 0;
    for bit in 0..64 {
        new.random = 1 << bit;
        let made = RemoteName::generate(&new);
        let changes = (made.stem() != zero.stem(), made.tail() != zero.tail());
        assert!(changes.0 != changes.1, "bit {bit}");
        stem_bits += u32::from(changes.0);
    }
    assert_eq!(stem_bits, 23);
}

/// Bytes of a name, in the alphabet of names more often than not.
fn name_bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        9 => (0..64_usize).prop_map(|at| {
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[at]
        }),
        1 => any::<u8>(),
        1 => Just(b'.'),
    ];
    proptest::collection::vec(byte, 0..max)
}

proptest! {
    #[test]
    fn a_generated_name_parses_back_to_what_it_was_made_of(new in new_blob()) {
        let made = RemoteName::generate(&new);
        let text = made.to_text();
        prop_assert_eq!(text.len(), 44);
        prop_assert_eq!(RemoteName::parse(text.as_bytes()), Ok(made));
        prop_assert_eq!(made.volume_path(), new.volume_path);
        prop_assert_eq!(made.stem().source, Source::Node(new.source));
        prop_assert_eq!(made.stem().time, new.time);
        prop_assert_eq!(made.stem().crc, new.crc);
        let kind = new.size.map_or(BlobKind::Appender, |_| BlobKind::Normal);
        prop_assert_eq!(made.kind(), kind);
        prop_assert_eq!(made.stem().size(), new.size.unwrap_or_default());
        prop_assert!(text.as_bytes().ends_with(new.extension.as_bytes()));
    }

    #[test]
    fn keys_lead_back_to_names_and_sort_by_time(one in new_blob(), other in new_blob()) {
        let (one, other) = (RemoteName::generate(&one), RemoteName::generate(&other));
        let (one_key, other_key) = (one.to_key(), other.to_key());
        prop_assert_eq!(RemoteName::from_key(one.volume_path(), &one_key), Some(one));
        if one.stem().time < other.stem().time {
            prop_assert!(one_key < other_key);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = RemoteName::parse(&bytes);
        let _ = RemoteName::from_key(VolumePath(0), &bytes);
    }

    #[test]
    fn what_parses_prints_back(
        directories in "(M[0-9A-Fa-f]{2}/)?[0-9A-F]{2}/[0-9A-F]{2}/",
        stem in proptest::array::uniform20(any::<u8>()),
        tail in name_bytes(100),
    ) {
        let mut text = directories.clone().into_bytes();
        text.extend_from_slice(&Stem::from_key(stem).to_text());
        text.extend_from_slice(&tail);
        if let Ok(parsed) = RemoteName::parse(&text) {
            // Volume paths print upper-case, and old names get the one that they mean.
            let prefix = if directories.starts_with('M') { "" } else { "M00/" };
            let mut expected = format!("{prefix}{}", directories.to_uppercase()).into_bytes();
            expected.extend_from_slice(&text[directories.len()..]);
            prop_assert_eq!(parsed.to_text().into_bytes(), expected);
            prop_assert_eq!(RemoteName::from_key(parsed.volume_path(), &parsed.to_key()), Some(parsed));
        }
    }

    #[test]
    fn a_slave_parses_back_and_is_told_from_its_master(
        new in new_blob(),
        prefix in "[A-Za-z0-9_-]{1,16}",
        extension in extension(),
    ) {
        let master = RemoteName::generate(&new);
        let prefix = SlavePrefix::from_bytes(prefix.as_bytes()).unwrap();
        if let Ok(slave) = master.slave(prefix, extension) {
            prop_assert_eq!(RemoteName::parse(slave.to_text().as_bytes()), Ok(slave));
            prop_assert_eq!(slave.stem(), master.stem());
            prop_assert_eq!(slave.volume_path(), master.volume_path());
        }
    }
}
