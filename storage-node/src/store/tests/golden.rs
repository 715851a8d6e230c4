//! tests/golden/volume-v2.bin: a volume with a record of each kind. It keeps the format from drifting:
//! it is decoded and encoded again, and the engine still writes it, byte for byte.

use std::path::PathBuf;

use bytes::BytesMut;

use super::*;
use crate::disk::{Disk as _, VolumeFile as _};
use crate::format::{RecordKind, Superblock, UnverifiedRecord};

const VOLUME: VolumeNumber = VolumeNumber(2);

fn golden() -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/volume-v2.bin");
    std::fs::read(path).unwrap()
}

/// The changes that made the golden volume.
fn write() -> Vec<u8> {
    let (disk, index, mut engine) = fresh();
    // Number 1 holds what number 2 is moved into it.
    submit(&mut engine, blob(1, b"moved")).unwrap();
    compact(&mut engine, VolumeNumber(1));
    submit(&mut engine, blob(2, b"hello")).unwrap();
    let pairs = b"height\x02480\x01width\x02640".to_vec();
    submit(&mut engine, metadata(2, pairs)).unwrap();
    create_appender(&mut engine, 3, b"to be ").unwrap();
    submit(&mut engine, edit(3, Edit::Append(inline(b"continued")))).unwrap();
    submit(&mut engine, edit(3, Edit::Truncate { len: 20 })).unwrap();
    let name = key(3);
    let found = engine.shared().locate(IndexKey::Blob(&name)).unwrap();
    let rename = Edit::Rename {
        key: key(4),
        expected: found.map(|found| found.extent),
        crc: Crc32::of(b"to be continued\0\0\0\0\0"),
    };
    submit(&mut engine, edit(3, rename)).unwrap();
    submit(&mut engine, delete(1)).unwrap();
    engine.make_durable().unwrap();
    // A torn tail, which the next start covers with a filler.
    let volume = engine.shared().volume(VOLUME).unwrap();
    disk.corrupt(VOLUME, volume.committed_end(), |tail| {
        tail[..40].copy_from_slice(b"the bytes that a power cut left half way");
    });
    drop(engine);
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    submit(&mut engine, blob(5, b"")).unwrap();
    let end = engine.shared().volume(VOLUME).unwrap().committed_end();
    let file = disk.open(VOLUME).unwrap();
    file.slice(0..end).unwrap().to_vec()
}

#[test]
fn the_engine_still_writes_the_golden_volume() {
    let golden = golden();
    let mut written = write();
    // The time of creation is the only thing that differs from run to run.
    let created = Superblock::decode(&golden).unwrap().created;
    let superblock = Superblock::decode(&written).unwrap();
    let block = Superblock {
        created,
        ..superblock
    }
    .encode();
    written[..SUPERBLOCK_LEN].copy_from_slice(&block);
    assert_eq!(written.len(), golden.len());
    let differs = written
        .iter()
        .zip(&golden)
        .position(|(new, old)| new != old);
    assert_eq!(differs, None, "first difference, as an offset");
}

#[test]
fn the_golden_volume_decodes_and_encodes_to_itself() {
    let golden = golden();
    let superblock = Superblock::decode(&golden).unwrap();
    assert_eq!(superblock.number, VOLUME);
    let mut encoded = BytesMut::from(superblock.encode().as_slice());
    let (mut kinds, mut moved) = (Vec::new(), 0);
    while encoded.len() < golden.len() {
        let rest = &golden[encoded.len()..];
        let record = UnverifiedRecord::decode(VOLUME, rest).unwrap();
        let header = record.header;
        let start = usize::try_from(header.payload_start()).unwrap();
        let payload = &rest[start..start + header.payload_len as usize];
        let end = encoded.len() + usize::try_from(header.record_len()).unwrap();
        header.encode(VOLUME, record.key, &mut encoded);
        match header.kind {
            RecordKind::Manifest => {
                encoded.extend_from_slice(&Manifest::decode(payload).unwrap().encode());
            }
            RecordKind::Tombstone => {
                let ended = engine::decode_tombstone(payload).unwrap();
                encoded.extend_from_slice(&ended.0.to_be_bytes());
            }
            RecordKind::Blob | RecordKind::Part | RecordKind::Metadata | RecordKind::Filler => {
                encoded.extend_from_slice(payload);
            }
        }
        if header.kind != RecordKind::Filler {
            assert_eq!(record.verify(payload), Ok(()));
        }
        encoded.resize(end, 0);
        kinds.push(header.kind);
        moved += usize::from(header.moved);
    }
    assert_eq!(encoded, golden);
    for kind in 1..=6 {
        assert!(
            kinds.contains(&RecordKind::try_from(kind).unwrap()),
            "kind {kind}"
        );
    }
    assert_eq!(moved, 1);
}
