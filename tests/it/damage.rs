//! Damaged files, a lost index, a full disk: repaired or refused, never a silent wrong byte.
//!
//! Where volumes and index lie is not assumed: a volume is the file that holds what was uploaded,
//! the index the folder that holds `RocksDB`'s `CURRENT`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::cycle::refusal;
use crate::support::chance;
use crate::support::home::Home;
use crate::support::http;
use crate::support::server::Server;
use crate::support::wire::{Failure, Id, QUERY_STORE, UPLOAD, UPLOAD_APPENDER, Wire};

/// Three blobs, one of them of several records, uploaded and safe on the disk.
struct Stored {
    home: Home,
    blobs: Vec<(Id, Vec<u8>)>,
}

impl Stored {
    fn new() -> Self {
        let home = Home::new();
        let server = Server::start(&home);
        let mut storage = Wire::connect(server.addresses.storage).unwrap();
        let blobs = [(1, 5000), (2, 2_500_000), (3, 70_000)]
            .into_iter()
            .map(|(seed, len)| {
                let content = chance::content(seed, len);
                let id = storage.upload(UPLOAD, "bin", &content).unwrap();
                (id, content)
            })
            .collect();
        server.terminate();
        Self { home, blobs }
    }

    /// The file and the offset where the content of a blob lies.
    fn place(&self, number: usize) -> (PathBuf, u64) {
        let start = &self.blobs[number].1[..64];
        files(&self.home.data_dir())
            .into_iter()
            .find_map(|file| {
                let bytes = fs::read(&file).unwrap();
                let offset = bytes.windows(64).position(|window| window == start)?;
                Some((file, offset as u64))
            })
            .expect("the content lies in some file as it is")
    }

    /// Starts the server on what is left; `lost` may be refused, the others must be whole.
    fn assert_only_lost(&self, lost: usize) {
        let mut server = Server::start(&self.home);
        let mut storage = Wire::connect(server.addresses.storage).unwrap();
        for (number, (id, content)) in self.blobs.iter().enumerate() {
            let target = format!("/{}", id.text());
            if number == lost {
                match storage.download(id) {
                    Err(Failure::Status(status)) => {
                        assert!(matches!(status, 2 | 5), "status {status}");
                    }
                    // A blob of several records may have been found out after its beginning.
                    Err(Failure::Broken(_)) => {
                        storage = Wire::connect(server.addresses.storage).unwrap();
                    }
                    Ok(_) => panic!("damaged bytes were served"),
                }
                let status = http::get(server.addresses.storage_http, &target).status;
                assert!(matches!(status, 404 | 500 | 503), "HTTP {status}");
            } else {
                assert!(&storage.download(id).unwrap() == content, "blob {number}");
            }
        }
        let id = storage.upload(UPLOAD, "txt", b"goes on").unwrap();
        assert_eq!(storage.download(&id).unwrap(), b"goes on");
        assert!(server.is_alive());
        server.terminate();
    }
}

#[test]
fn a_flipped_bit_is_found_and_not_served() {
    let stored = Stored::new();
    let (file, offset) = stored.place(2);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset + 33_333).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset + 33_333).unwrap();
    stored.assert_only_lost(2);
}

#[test]
fn zeros_over_the_beginning_of_a_record_lose_that_record_only() {
    let stored = Stored::new();
    let (file, offset) = stored.place(0);
    let file = OpenOptions::new().write(true).open(file).unwrap();
    // The header lies before the content.
    file.write_all_at(&[0; 64], offset.saturating_sub(40))
        .unwrap();
    stored.assert_only_lost(0);
}

#[test]
fn a_volume_cut_short_loses_what_was_cut_off_only() {
    let stored = Stored::new();
    let (file, offset) = stored.place(2);
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(offset + 100).unwrap();
    stored.assert_only_lost(2);
}

#[test]
fn a_lost_index_is_rebuilt_from_the_volumes() {
    index_can_go(|index| fs::remove_dir_all(index).unwrap());
}

#[test]
fn a_broken_index_is_rebuilt_from_the_volumes() {
    index_can_go(|index| {
        for file in files(index) {
            fs::write(file, b"this is no index").unwrap();
        }
    });
}

fn index_can_go(harm: impl Fn(&Path)) {
    let stored = Stored::new();
    let server = Server::start(&stored.home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let appender = storage.upload(UPLOAD_APPENDER, "log", b"one").unwrap();
    storage.append(&appender, b", two").unwrap();
    storage.set_metadata(&appender, b'O', b"k\x02v").unwrap();
    let (deleted, _) = &stored.blobs[0];
    storage.delete(deleted).unwrap();
    server.terminate();

    // The catalog of the API server is a database, too, and not derived from anything.
    let indexes: Vec<PathBuf> = files(&stored.home.data_dir().join("storage"))
        .into_iter()
        .filter(|file| file.ends_with("CURRENT"))
        .collect();
    assert!(!indexes.is_empty(), "there is an index");
    for current in indexes {
        harm(current.parent().unwrap());
    }

    let server = Server::start(&stored.home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    for (id, content) in &stored.blobs[1..] {
        assert!(&storage.download(id).unwrap() == content, "{}", id.text());
    }
    assert_eq!(storage.download(&appender).unwrap(), b"one, two");
    assert_eq!(storage.get_metadata(&appender).unwrap(), b"k\x02v");
    assert_eq!(refusal(storage.download(deleted)), 2, "stays deleted");
    server.terminate();
}

#[test]
fn a_full_disk_refuses_uploads_and_goes_on_serving() {
    let stored = Stored::new();
    // No disk has so much free, so all of it is reserved.
    let reserved = "reserved_space = \"100000TiB\"\n";
    fs::write(
        stored.home.file("hayloft.toml"),
        format!("[tracker]\n{reserved}[storage]\nvolume_size = \"32MiB\"\n{reserved}"),
    )
    .unwrap();
    let server = Server::start(&stored.home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    // A volume that exists has its space already; no further one is made.
    let big = vec![7; 40 * 1024 * 1024];
    assert_eq!(refusal(storage.upload(UPLOAD, "bin", &big)), 28);
    let piece = &big[..3 * 1024 * 1024];
    let taken: Vec<Id> = (0..12)
        .map_while(|_| storage.upload(UPLOAD, "bin", piece).ok())
        .collect();
    assert!(
        taken.len() < 12,
        "more was taken than one volume has room for"
    );
    assert_eq!(refusal(storage.upload(UPLOAD, "bin", piece)), 28);
    for (id, content) in &stored.blobs {
        assert!(&storage.download(id).unwrap() == content, "{}", id.text());
    }
    for id in &taken {
        assert!(storage.download(id).unwrap() == piece, "{}", id.text());
        storage.delete(id).unwrap();
    }
    let mut tracker = Wire::connect(server.addresses.tracker).unwrap();
    assert_eq!(tracker.ask(QUERY_STORE, &[]).unwrap().status, 28);
    server.terminate();
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
