//! `hayloft check`, `repair` and `compact` on what a stopped, killed or harmed server left behind.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::cycle::refusal;
use crate::support::chance;
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::wire::{Id, UPLOAD, UPLOAD_APPENDER, Wire};

/// Small volumes, and nothing in the background that gives space back before `compact` does.
const CONFIG: &str = "[storage]\nvolume_size = \"16MiB\"\n[storage.compaction]\nenabled = false\n";

const SOUND: Option<i32> = Some(0);
const DAMAGED: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);
const UNUSABLE: Option<i32> = Some(3);

/// A node that stored blobs of one record each and was stopped.
struct Stopped {
    home: Home,
    blobs: Vec<(Id, Vec<u8>)>,
}

impl Stopped {
    fn new(count: u64, len: usize) -> Self {
        Self::ended(count, len, Server::terminate)
    }

    fn ended(count: u64, len: usize, end: fn(Server)) -> Self {
        let home = Home::with_config(CONFIG);
        let server = Server::start(&home);
        let mut storage = Wire::connect(server.addresses.storage).unwrap();
        let blobs = (0..count)
            .map(|seed| {
                let content = chance::content(seed, len);
                (storage.upload(UPLOAD, "bin", &content).unwrap(), content)
            })
            .collect();
        end(server);
        Self { home, blobs }
    }

    fn tool(&self, arguments: &[&str]) -> Output {
        tool(&self.home, arguments)
    }

    /// What `check` says as JSON, with the exit code that it must have.
    fn checked(&self, code: Option<i32>) -> Value {
        let output = self.tool(&["check", "--json"]);
        assert_eq!(output.status.code(), code, "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["is_sound"], code == SOUND, "{report}");
        report["paths"][0].clone()
    }

    fn volumes(&self) -> Vec<PathBuf> {
        let folder = self.home.data_dir().join("storage/M00/volumes");
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    /// The volume and the offset where the content of a blob lies.
    fn place(&self, number: usize) -> (PathBuf, u64) {
        let start = &self.blobs[number].1[..64];
        self.volumes()
            .into_iter()
            .find_map(|file| {
                let bytes = fs::read(&file).unwrap();
                let offset = bytes.windows(64).position(|window| window == start)?;
                Some((file, offset as u64))
            })
            .expect("the content lies in a volume as it is")
    }

    fn id(&self, number: usize) -> String {
        self.blobs[number].0.text()
    }

    /// Ids of blobs whose content lies in `volume` at or behind `offset`.
    fn ids_from(&self, volume: &Path, offset: u64) -> Vec<String> {
        let mut ids: Vec<String> = (0..self.blobs.len())
            .filter(|number| {
                let (file, start) = self.place(*number);
                let end = start + self.blobs[*number].1.len() as u64;
                file == volume && offset < end
            })
            .map(|number| self.id(number))
            .collect();
        ids.sort();
        ids
    }

    /// `check` and `repair` name exactly `lost`; afterwards everything else is served.
    fn assert_lost(&self, lost: &[String]) {
        let report = self.checked(DAMAGED);
        assert_eq!(ids(&report["affected"]), lost, "{report}");
        let output = self.tool(&["repair", "--yes"]);
        assert_eq!(output.status.code(), DAMAGED, "{output:?}");
        let said = text(&output);
        for (id, _) in &self.blobs {
            let id = id.text();
            assert_eq!(said.contains(&id), lost.contains(&id), "{id}: {said}");
        }
        self.assert_served_without(lost);
    }

    /// Without an index nothing can be listed, which is not the same as nothing being there.
    fn assert_not_listed(&self) {
        let output = self.tool(&["check", "--list"]);
        assert_eq!(output.status.code(), UNUSABLE, "{output:?}");
        assert!(text(&output).contains("hayloft repair"), "{output:?}");
    }

    fn assert_served_without(&self, lost: &[String]) {
        let server = Server::start(&self.home);
        let mut storage = Wire::connect(server.addresses.storage).unwrap();
        for (id, content) in &self.blobs {
            if lost.contains(&id.text()) {
                assert_eq!(refusal(storage.download(id)), 2, "{}", id.text());
            } else {
                assert!(&storage.download(id).unwrap() == content, "{}", id.text());
            }
        }
        let id = storage.upload(UPLOAD, "txt", b"goes on").unwrap();
        assert_eq!(storage.download(&id).unwrap(), b"goes on");
        server.terminate();
    }
}

fn tool(home: &Home, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hayloft"));
    // The developer's own settings must not change what is tested.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HAYLOFT_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(home.data_dir());
    if let Some(config) = home.config() {
        command.arg("--config").arg(config);
    }
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(said).unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    let mut lines: Vec<String> = text(output).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn ids(affected: &Value) -> Vec<String> {
    let affected = affected.as_array().unwrap().iter();
    let mut ids: Vec<String> = affected
        .map(|blob| blob["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

/// Every file of the data with its bytes, but for the lock.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(snapshot(&path));
        } else if !path.ends_with("lock") {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_stopped_node_is_sound_and_a_check_changes_nothing() {
    let home = Home::with_config(CONFIG);
    let server = Server::start(&home);
    fs::write(home.file("a.txt"), chance::content(1, 3_000_000)).unwrap();
    let uploaded = Command::new(env!("CARGO_BIN_EXE_hayloft"))
        .args(["upload", "a.txt", "--meta", "author=me"])
        .current_dir(home.file(""))
        .env("HAYLOFT_TRACKER", server.addresses.tracker.to_string())
        .output()
        .unwrap();
    assert!(uploaded.status.success(), "{uploaded:?}");
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let log = storage.upload(UPLOAD_APPENDER, "log", b"one").unwrap();
    storage.append(&log, b", two").unwrap();
    let renamed = storage.upload(UPLOAD_APPENDER, "log", b"three").unwrap();
    let renamed = storage.regenerate(&renamed).unwrap();
    let deleted = storage.upload(UPLOAD, "txt", b"deleted").unwrap();
    storage.delete(&deleted).unwrap();
    server.terminate();

    let stopped = Stopped {
        home,
        blobs: Vec::new(),
    };
    let before = snapshot(&stopped.home.data_dir());
    let report = stopped.checked(SOUND);
    assert_eq!(report["blobs"], 3, "{report}");
    assert_eq!(report["pending_records"], 0, "{report}");
    assert_eq!(report["unowned_parts"], 0, "{report}");
    let output = stopped.tool(&["check", "--headers-only"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    let output = stopped.tool(&["check", "--list"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    let uploaded = text(&uploaded);
    let mut words = uploaded.split_whitespace();
    let uploaded = words.find(|word| word.starts_with("group1/")).unwrap();
    let mut expected = [uploaded.to_owned(), log.text(), renamed.text()];
    expected.sort();
    assert_eq!(lines(&output), expected);
    let output = stopped.tool(&["repair", "--dry-run"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    let output = stopped.tool(&["repair"]);
    assert_eq!(output.status.code(), USAGE, "nobody said yes: {output:?}");
    assert!(text(&output).contains("--yes"), "{output:?}");
    assert!(before == snapshot(&stopped.home.data_dir()), "changed");
}

#[test]
fn what_cannot_be_looked_at_is_refused_with_a_code_of_its_own() {
    let home = Home::with_config(CONFIG);
    let output = tool(&home, &["check"]);
    assert_eq!(output.status.code(), UNUSABLE, "{output:?}");
    assert!(!home.data_dir().exists(), "a check makes nothing");
    fs::create_dir(home.data_dir()).unwrap();
    let output = tool(&home, &["check"]);
    assert_eq!(output.status.code(), UNUSABLE, "{output:?}");
    assert!(text(&output).contains("no storage node"), "{output:?}");

    let server = Server::start(&home);
    for command in [&["check"] as &[&str], &["repair", "--yes"], &["compact"]] {
        let output = tool(&home, command);
        assert_eq!(output.status.code(), UNUSABLE, "{output:?}");
        assert!(text(&output).contains("is used by process"), "{output:?}");
    }
    server.terminate();
    fs::write(home.file("hayloft.toml"), "[storage]\nno_such_key = 1\n").unwrap();
    let output = tool(&home, &["check"]);
    assert_eq!(output.status.code(), USAGE, "{output:?}");
}

#[test]
fn a_flipped_bit_is_found_by_name_and_deleting_the_blob_mends_it() {
    let stopped = Stopped::new(5, 70_000);
    let (file, offset) = stopped.place(2);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset + 33_333).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset + 33_333).unwrap();

    let report = stopped.checked(DAMAGED);
    assert_eq!(ids(&report["affected"]), [stopped.id(2)], "{report}");
    let said = text(&stopped.tool(&["check"]));
    assert!(said.contains(&stopped.id(2)), "{said}");
    assert!(said.contains("DAMAGE FOUND"), "{said}");
    assert!(!said.contains(&stopped.id(1)), "{said}");

    let server = Server::start(&stopped.home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    storage.delete(&stopped.blobs[2].0).unwrap();
    server.terminate();
    stopped.checked(SOUND);
}

#[test]
fn a_lost_index_is_told_and_repaired() {
    let stopped = Stopped::new(20, 70_000);
    fs::remove_dir_all(stopped.home.data_dir().join("storage/M00/index")).unwrap();
    let report = stopped.checked(DAMAGED);
    assert_eq!(report["index"]["state"], "missing", "{report}");
    stopped.assert_not_listed();
    let output = stopped.tool(&["repair", "--yes"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    assert!(text(&output).contains("20 records"), "{output:?}");
    assert!(text(&output).contains("records/s"), "{output:?}");
    let report = stopped.checked(SOUND);
    assert_eq!(report["blobs"], 20, "{report}");
    stopped.assert_served_without(&[]);
}

#[test]
fn a_broken_index_is_told_and_repaired() {
    let stopped = Stopped::new(20, 70_000);
    let index = stopped.home.data_dir().join("storage/M00/index");
    for entry in fs::read_dir(index).unwrap() {
        fs::write(entry.unwrap().path(), b"this is no index").unwrap();
    }
    let report = stopped.checked(DAMAGED);
    assert_eq!(report["index"]["state"], "damaged", "{report}");
    stopped.assert_not_listed();
    let output = stopped.tool(&["repair", "--yes"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    stopped.checked(SOUND);
    stopped.assert_served_without(&[]);
}

#[test]
fn a_volume_cut_short_loses_the_blobs_behind_the_cut_by_name() {
    let stopped = Stopped::new(30, 1_000_000);
    let (file, offset) = stopped.place(20);
    let lost = stopped.ids_from(&file, offset + 100);
    assert!(!lost.is_empty() && lost.len() < 20, "{lost:?}");
    let volume = OpenOptions::new().write(true).open(&file).unwrap();
    volume.set_len(offset + 100).unwrap();
    stopped.assert_lost(&lost);
}

#[test]
fn a_volume_cut_to_almost_nothing_loses_all_of_its_blobs_by_name() {
    let stopped = Stopped::new(30, 1_000_000);
    let (file, _) = stopped.place(0);
    let lost = stopped.ids_from(&file, 0);
    let volume = OpenOptions::new().write(true).open(&file).unwrap();
    volume.set_len(100).unwrap();
    stopped.assert_lost(&lost);
}

#[test]
fn a_zeroed_stretch_loses_the_blobs_in_it_by_name() {
    let stopped = Stopped::new(30, 1_000_000);
    let (file, offset) = stopped.place(3);
    let lost = vec![stopped.id(3)];
    let volume = OpenOptions::new().write(true).open(&file).unwrap();
    // From the middle of the header to the middle of the content.
    volume.write_all_at(&vec![0; 500_000], offset - 50).unwrap();
    let report = stopped.checked(DAMAGED);
    let end = report["damage"][0]["end"].as_u64().unwrap();
    assert!(offset + 1_000_000 <= end, "{report}");
    stopped.assert_lost(&lost);
}

#[test]
fn a_zeroed_end_loses_the_blobs_in_it_by_name() {
    let stopped = Stopped::new(12, 1_000_000);
    let (file, offset) = stopped.place(7);
    let lost = stopped.ids_from(&file, offset - 50);
    assert_eq!(lost.len(), 5);
    let volume = OpenOptions::new().write(true).open(&file).unwrap();
    let rest = volume.metadata().unwrap().len() - (offset - 50);
    let zeros = vec![0; usize::try_from(rest).unwrap()];
    volume.write_all_at(&zeros, offset - 50).unwrap();
    stopped.assert_lost(&lost);
}

#[test]
fn a_removed_volume_loses_its_blobs_by_name() {
    let stopped = Stopped::new(40, 1_000_000);
    let (file, _) = stopped.place(20);
    let lost = stopped.ids_from(&file, 0);
    fs::remove_file(&file).unwrap();
    let report = stopped.checked(DAMAGED);
    let problem = report["volume_problems"][0]["what"].as_str().unwrap();
    assert!(problem.contains("is missing"), "{report}");
    let lost_again = ids(&report["affected"]);
    assert_eq!(lost_again, lost, "{report}");
    let output = stopped.tool(&["repair", "--yes"]);
    assert_eq!(output.status.code(), DAMAGED, "{output:?}");
    assert!(
        lost.iter().all(|id| text(&output).contains(id)),
        "{output:?}"
    );
    let report = stopped.checked(SOUND);
    assert_eq!(report["blobs"], 40 - lost.len(), "{report}");
}

#[test]
fn a_foreign_volume_is_told_apart() {
    let stopped = Stopped::new(3, 1000);
    let other = Stopped::new(1, 1000);
    let foreign = stopped.volumes()[0].with_file_name("00000007.vol");
    fs::copy(&other.volumes()[0], &foreign).unwrap();
    let report = stopped.checked(DAMAGED);
    let problem = &report["volume_problems"][0];
    assert_eq!(problem["volume"], 7, "{report}");
    let what = problem["what"].as_str().unwrap();
    assert!(what.contains("belongs to the store"), "{report}");
    assert_eq!(report["affected"], Value::Array(Vec::new()), "{report}");
    fs::remove_file(foreign).unwrap();
    stopped.checked(SOUND);
}

#[test]
fn a_killed_node_is_sound_and_its_unclean_stop_is_told() {
    let stopped = Stopped::ended(10, 70_000, Server::kill);
    let report = stopped.checked(SOUND);
    assert!(report["pending_records"].as_u64().unwrap() > 0, "{report}");
    assert!(text(&stopped.tool(&["check"])).contains("unclean"));
    stopped.assert_served_without(&[]);
    let report = stopped.checked(SOUND);
    assert_eq!(report["pending_records"], 0, "{report}");
}

#[test]
fn compaction_gives_the_space_of_deleted_blobs_back() {
    let stopped = Stopped::new(90, 1_000_000);
    let before = stopped.volumes().len();
    let allocated = stopped.home.allocated();
    let server = Server::start(&stopped.home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let is_kept = |number: usize| number.is_multiple_of(3);
    let mut deleted = Vec::new();
    for (number, (id, _)) in stopped.blobs.iter().enumerate() {
        if !is_kept(number) {
            storage.delete(id).unwrap();
            deleted.push(id.text());
        }
    }
    server.terminate();

    let output = stopped.tool(&["compact"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    assert!(text(&output).contains("given back"), "{output:?}");
    let after = stopped.volumes().len();
    assert!(after * 2 <= before, "{before} volumes, then {after}");
    assert!(stopped.home.allocated() < allocated / 2 + 4 * 1024 * 1024);
    stopped.checked(SOUND);
    stopped.assert_served_without(&deleted);

    // Nothing deleted comes back with a new index either.
    let output = stopped.tool(&["repair", "--yes"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    stopped.assert_served_without(&deleted);
}

#[test]
fn a_finished_appender_keeps_its_new_name_only_after_compaction_and_repair() {
    let home = Home::with_config(CONFIG);
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    let appender = storage.upload(UPLOAD_APPENDER, "log", b"content").unwrap();
    // A volume each: the appender, its end, and what comes after.
    let fill = |storage: &mut Wire| -> Vec<Id> {
        let filler = chance::content(1, 1_000_000);
        let ids = (0..17).map(|_| storage.upload(UPLOAD, "bin", &filler).unwrap());
        ids.collect()
    };
    fill(&mut storage);
    let finished = storage.regenerate(&appender).unwrap();
    for id in fill(&mut storage) {
        storage.delete(&id).unwrap();
    }
    server.terminate();

    let output = tool(&home, &["compact", "--min-garbage", "50"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    let output = tool(&home, &["check"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    let output = tool(&home, &["repair", "--yes"]);
    assert_eq!(output.status.code(), SOUND, "{output:?}");
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    assert_eq!(refusal(storage.download(&appender)), 2, "the old name");
    assert_eq!(storage.download(&finished).unwrap(), b"content");
    server.terminate();
}
