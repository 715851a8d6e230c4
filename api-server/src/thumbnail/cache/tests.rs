//! The cache on a real directory: restarts, damage, foreign files, full.

use tempfile::TempDir;

use super::*;
use crate::thumbnail::fixture::{key, some_id};

const ROOM: u64 = 1 << 20;

fn open(directory: &Path, bytes_max: u64) -> Cache {
    let gauge = IntGauge::new("bytes", "bytes").unwrap();
    Cache::open(directory.to_owned(), bytes_max, gauge)
}

fn names(cache: &Cache) -> Vec<String> {
    let mut names = Vec::new();
    for shard in fs::read_dir(&cache.directory).unwrap() {
        let shard = shard.unwrap().path();
        if shard.is_dir() {
            for file in fs::read_dir(shard).unwrap() {
                names.push(file.unwrap().file_name().into_string().unwrap());
            }
        }
    }
    names
}

fn thumbnail(number: u64) -> Vec<u8> {
    vec![u8::try_from(number).unwrap(); 3000]
}

fn fill(cache: &Cache, count: u64) {
    for number in 0..count {
        cache.write(key(number), ThumbFormat::Jpeg, &thumbnail(number));
    }
}

#[test]
fn what_was_written_is_read_also_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), ROOM);
    fill(&cache, 5);
    let bytes = cache.bytes.get();
    assert!(0 < bytes);
    for cache in [cache, open(directory.path(), ROOM)] {
        assert_eq!(cache.bytes.get(), bytes);
        for number in 0..5 {
            let (format, bytes) = cache.read(key(number)).unwrap();
            assert_eq!(format, ThumbFormat::Jpeg);
            assert_eq!(bytes, thumbnail(number));
        }
        assert!(cache.read(key(5)).is_none());
    }
}

#[test]
fn a_full_cache_drops_the_least_recently_used_from_the_disk_too() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 4 * 4096);
    fill(&cache, 4);
    assert!(cache.read(key(0)).is_some());
    cache.write(key(9), ThumbFormat::Webp, &thumbnail(9));
    assert!(cache.read(key(1)).is_none());
    assert!(cache.read(key(0)).is_some());
    assert_eq!(names(&cache).len(), 4);
    assert_eq!(cache.bytes.get(), 4 * 4096);
}

#[test]
fn a_smaller_cache_after_a_restart_makes_room_at_once() {
    let directory = TempDir::new().unwrap();
    fill(&open(directory.path(), ROOM), 6);
    let cache = open(directory.path(), 2 * 4096);
    assert_eq!(names(&cache).len(), 2);
}

#[test]
fn a_cache_of_nothing_writes_nothing() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 0);
    fill(&cache, 2);
    assert!(names(&cache).is_empty());
}

#[test]
fn a_damaged_file_is_removed_and_not_shown() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), ROOM);
    fill(&cache, 3);
    let mut file = fs::read(cache.path(key(0))).unwrap();
    *file.last_mut().unwrap() ^= 1;
    fs::write(cache.path(key(0)), &file).unwrap();
    fs::write(cache.path(key(1)), b"short").unwrap();
    fs::remove_file(cache.path(key(2))).unwrap();
    for number in 0..3 {
        assert!(cache.read(key(number)).is_none());
        assert!(!cache.has(key(number)));
    }
    assert!(names(&cache).is_empty());
    assert_eq!(cache.bytes.get(), 0);
}

#[test]
fn leftovers_are_removed_and_what_lies_outside_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), ROOM);
    fill(&cache, 1);
    let ours = cache.path(key(0));
    let shard = ours.parent().unwrap();
    let precious = directory.path().join("letters");
    fs::create_dir(&precious).unwrap();
    for path in [
        directory.path().join("letter.txt"),
        precious.join("letter.txt"),
    ] {
        fs::write(path, b"dear").unwrap();
    }
    fs::write(shard.join("new-0123"), b"unfinished").unwrap();
    fs::write(shard.join("foreign.jpg"), b"foreign").unwrap();
    let misplaced = shard.join(ours.file_name().unwrap().to_str().unwrap().to_uppercase());
    fs::write(misplaced, b"foreign").unwrap();
    let target = directory.path().join("letter.txt");
    std::os::unix::fs::symlink(&target, shard.join(key(7).to_string())).unwrap();

    let cache = open(directory.path(), ROOM);
    assert_eq!(
        names(&cache).len(),
        2,
        "the thumbnail, and the letter beside"
    );
    assert!(cache.read(key(0)).is_some());
    assert_eq!(fs::read(target).unwrap(), b"dear");
    assert!(precious.join("letter.txt").exists());
}

#[test]
fn a_directory_that_cannot_be_used_costs_the_cache_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let cache = open(&file, ROOM);
    fill(&cache, 2);
    assert!(cache.read(key(0)).is_none());
    assert_eq!(cache.bytes.get(), 0);
    assert!(cache.complained.load(Ordering::Relaxed));
}

#[test]
fn all_thumbnails_of_a_blob_go_together() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), ROOM);
    fill(&cache, 4);
    let blob = BlobKey::of(&some_id());
    assert!(cache.has_blob(blob));
    cache.remove_blob(blob);
    assert!(!cache.has_blob(blob));
    assert!(names(&cache).is_empty());
    assert_eq!(cache.bytes.get(), 0);
}
