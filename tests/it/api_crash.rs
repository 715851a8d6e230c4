//! `kill -9` of the server while eight users change things over `/api`: what was acknowledged is there
//! with its exact bytes, what was deleted is not, totals equal lists, and storage holds exactly the
//! contents that files refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};

use crate::support::chance::{self, Chance};
use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::http::Http;
use crate::support::image_host::{Client, Label, code_of, json_of, path_of};
use crate::support::server::{Server, blobs_left};
use crate::support::tell;

/// Users, each on a connection of their own.
const USERS: u64 = 8;

/// Contents that all users upload again and again, so that they meet in the same ones.
const COMMON_CONTENTS: u64 = 40;

/// Small volumes and an eager compaction, so that crashes meet every moment of a volume's life.
const BUSY: &str = "[storage]\nvolume_size = \"16MiB\"\n\
                    [storage.compaction]\ninterval = \"1s\"\ngarbage_percent = 10\nrate = \"0\"\n";

#[test]
fn what_the_api_acknowledged_outlives_kill_9_and_nothing_else_stays() {
    let rounds = std::env::var("HAYLOFT_TEST_API_CRASH_ROUNDS").map_or(3, |text| {
        text.parse()
            .expect("HAYLOFT_TEST_API_CRASH_ROUNDS is a number")
    });
    let seed = chance::seed();
    println!("seed {seed}: repeat with HAYLOFT_TEST_SEED={seed}");
    let mut chance = Chance::new(seed);
    let home = Home::with_config(BUSY);
    let mut server = Server::start(&home);
    let mut workers: Vec<Worker> = (0..USERS)
        .map(|number| Worker::new(&server, number, chance.bits()))
        .collect();
    let board = Board::default();
    let mut seen = BTreeSet::new();
    for round in 0..rounds {
        run_until_killed(server, &mut workers, &board, 200 + chance.below(400));
        if round % 3 == 1 {
            // Recovery itself is interrupted too.
            Server::start_and_kill(&home, Duration::from_millis(chance.below(200)));
        }
        server = start(&home, &mut workers);
        let paths = check(&mut workers);
        server = reclaimed(&home, server, &mut workers, &paths);
        for path in seen.difference(&paths) {
            let status = workers[0].client.get(path).unwrap().status;
            assert_eq!(status, 404, "nobody owns {path}");
        }
        seen = paths;
    }
    server.terminate();
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, count) in workers.iter().flat_map(|worker| &worker.done) {
        *done.entry(what).or_default() += count;
    }
    let orphans: u64 = reclaims(&home).iter().sum();
    let doubts: u64 = workers.iter().map(|worker| worker.doubts).sum();
    tell(format_args!(
        "API crash loop: {rounds} rounds, acknowledged: {done:?}; {doubts} changes were under way; \
         {orphans} blobs without an owner were deleted by and by, {} have one",
        seen.len(),
    ));
}

/// Starts the server again, with everybody connected.
fn start(home: &Home, workers: &mut [Worker]) -> Server {
    let server = Server::start(home);
    for worker in workers {
        worker.client.reconnect(connect(&server));
    }
    server
}

fn connect(server: &Server) -> Http {
    Http::connect(server.addresses.api).unwrap()
}

/// Shares that were acknowledged, for others to save.
type Board = Mutex<Vec<(Label, u64)>>;

/// A user, and what the user knows of their files.
#[derive(Debug)]
struct Worker {
    client: Client,
    chance: Chance,
    files: BTreeMap<Label, File>,
    /// Names so far.
    named: u64,
    /// Acknowledged changes by kind.
    done: BTreeMap<&'static str, u64>,
    /// Changes that were under way at a crash.
    doubts: u64,
}

/// A file and what it must be.
#[derive(Debug)]
struct File {
    /// The seed of its content.
    content: u64,
    views: u64,
    is_shared: bool,
    doubt: Option<Change>,
}

/// A change of one file. One that was under way at the crash took place as a whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Upload,
    Instant,
    Save,
    Delete,
    Share,
    Cancel,
    View,
}

/// Puts load on the server, kills it after `enough` acknowledged changes, and lets the workers find
/// out.
fn run_until_killed(server: Server, workers: &mut [Worker], board: &Board, enough: u64) {
    let acknowledged = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in workers {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                while worker.change(board).is_ok() {
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        eventually("enough changes for a crash", Duration::from_mins(2), || {
            (enough <= acknowledged.load(Ordering::Relaxed)).then_some(())
        });
        server.kill();
    });
}

impl Worker {
    fn new(server: &Server, number: u64, seed: u64) -> Self {
        Self {
            client: Client::register(connect(server), &format!("user {number}")),
            chance: Chance::new(seed),
            files: BTreeMap::new(),
            named: 0,
            done: BTreeMap::new(),
            doubts: 0,
        }
    }

    /// One change; an error says that the connection broke.
    fn change(&mut self, board: &Board) -> io::Result<()> {
        let change = match self.chance.below(100) {
            0..30 => Change::Upload,
            30..45 => Change::Instant,
            45..55 => Change::Save,
            55..75 => Change::Delete,
            75..85 => Change::Share,
            85..90 => Change::Cancel,
            _ => Change::View,
        };
        match change {
            Change::Upload => self.upload(),
            Change::Instant => self.instant(),
            Change::Save => self.save(board),
            Change::Delete | Change::Share | Change::Cancel | Change::View => {
                let candidates: Vec<&Label> = self
                    .files
                    .iter()
                    .filter(|(label, file)| match change {
                        // What was saved has the name that its sharer shares it by.
                        Change::Share => !file.is_shared && self.is_own_name(label),
                        Change::Cancel => file.is_shared,
                        Change::Upload
                        | Change::Instant
                        | Change::Save
                        | Change::Delete
                        | Change::View => true,
                    })
                    .map(|(label, _)| label)
                    .collect();
                if candidates.is_empty() {
                    return self.upload();
                }
                let label = candidates[self.chance.place(candidates.len())].clone();
                self.change_file(change, &label, board)
            }
        }
    }

    fn upload(&mut self) -> io::Result<()> {
        let seed = if self.chance.below(2) == 0 {
            self.chance.below(COMMON_CONTENTS)
        } else {
            self.chance.bits()
        };
        let content = content(seed);
        let label = self.new_label(&content);
        let code = self.client.upload(&label.name, &content);
        let code = self.add(Change::Upload, label, seed, code)?;
        assert_eq!(code, 0, "an upload was refused");
        Ok(())
    }

    fn instant(&mut self) -> io::Result<()> {
        let own = self.files.values().next().map(|file| file.content);
        let own = own.filter(|_| self.chance.below(2) == 0);
        let seed = own.unwrap_or_else(|| self.chance.below(COMMON_CONTENTS));
        let label = self.new_label(&content(seed));
        let code = self.client.ask_as_owner("/api/md5", &label);
        let code = self.add(Change::Instant, label, seed, code)?;
        // The content of others may be gone at any time.
        assert!(code == 0 || own.is_none(), "own content is not known");
        Ok(())
    }

    fn save(&mut self, board: &Board) -> io::Result<()> {
        let shared = {
            let board = board.lock().unwrap();
            if board.is_empty() {
                return Ok(());
            }
            board[self.chance.place(board.len())].clone()
        };
        let (label, content) = shared;
        let code = self
            .client
            .ask_by_name("/api/dealsharefile?cmd=save", &label);
        if self.files.contains_key(&label) {
            assert_eq!(code?, 5, "saved what one has");
            return Ok(());
        }
        self.add(Change::Save, label, content, code)?;
        Ok(())
    }

    /// Remembers what became of a file that was to be added; its code, which is not that it is there.
    fn add(
        &mut self,
        change: Change,
        label: Label,
        content: u64,
        code: io::Result<u64>,
    ) -> io::Result<u64> {
        let file = File {
            content,
            views: 0,
            is_shared: false,
            doubt: code.is_err().then_some(change),
        };
        if let Ok(code) = code {
            assert!(code < 2, "{change:?} of {label:?}: {code}");
        }
        if !matches!(code, Ok(1)) {
            self.files.insert(label, file);
        }
        if matches!(code, Ok(0)) {
            self.count(change);
        }
        code
    }

    fn change_file(&mut self, change: Change, label: &Label, board: &Board) -> io::Result<()> {
        let target = match change {
            Change::Delete => "/api/dealfile?cmd=del",
            Change::Share => "/api/dealfile?cmd=share",
            Change::Cancel => "/api/dealsharefile?cmd=cancel",
            Change::View => "/api/dealfile?cmd=pv",
            Change::Upload | Change::Instant | Change::Save => panic!("{change:?} adds a file"),
        };
        let code = if change == Change::Cancel {
            self.client.ask_by_name(target, label)
        } else {
            self.client.ask_as_owner(target, label)
        };
        let file = self.files.get_mut(label).unwrap();
        match code {
            Ok(code) => assert_eq!(code, 0, "{change:?} of {label:?}"),
            Err(error) => {
                file.doubt = Some(change);
                return Err(error);
            }
        }
        if change == Change::Share {
            board.lock().unwrap().push((label.clone(), file.content));
        }
        self.apply(change, label);
        self.count(change);
        Ok(())
    }

    fn apply(&mut self, change: Change, label: &Label) {
        let file = self.files.get_mut(label).unwrap();
        match change {
            Change::Delete => {
                self.files.remove(label);
            }
            Change::Share => file.is_shared = true,
            Change::Cancel => file.is_shared = false,
            Change::View => file.views += 1,
            Change::Upload | Change::Instant | Change::Save => {}
        }
    }

    fn count(&mut self, change: Change) {
        let what = match change {
            Change::Upload => "uploads",
            Change::Instant => "instant uploads",
            Change::Save => "saves",
            Change::Delete => "deletes",
            Change::Share => "shares",
            Change::Cancel => "shares taken back",
            Change::View => "views",
        };
        *self.done.entry(what).or_default() += 1;
    }

    fn new_label(&mut self, content: &[u8]) -> Label {
        self.named += 1;
        Label::new(
            &format!("{}, {}.bin", self.client.user, self.named),
            content,
        )
    }

    fn is_own_name(&self, label: &Label) -> bool {
        label.name.split_once(',').map(|(user, _)| user) == Some(&self.client.user)
    }

    /// Settles what was under way at the crash by what the list shows of it.
    fn settle(&mut self, rows: &BTreeMap<Label, Value>) {
        let in_doubt: Vec<(Label, Change)> = self
            .files
            .iter_mut()
            .filter_map(|(label, file)| Some((label.clone(), file.doubt.take()?)))
            .collect();
        for (label, change) in in_doubt {
            self.doubts += 1;
            let row = rows.get(&label);
            let file = &self.files[&label];
            let took_place = match change {
                Change::Upload | Change::Instant | Change::Save => {
                    if row.is_none() {
                        self.files.remove(&label);
                    }
                    continue;
                }
                Change::Delete => row.is_none(),
                Change::Share => row.is_some_and(|row| row["share_status"] == 1),
                Change::Cancel => row.is_some_and(|row| row["share_status"] == 0),
                Change::View => row.is_some_and(|row| row["pv"] == file.views + 1),
            };
            if took_place {
                self.apply(change, &label);
            }
        }
    }
}

/// Compares all lists with what the workers know, and every content with its bytes; the paths of their
/// addresses.
fn check(workers: &mut [Worker]) -> BTreeSet<String> {
    let mut contents = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for worker in workers.iter_mut() {
        let rows = worker.client.own_list("/api/myfiles?cmd=normal").unwrap();
        let count = json!({"user": worker.client.user, "token": worker.client.token});
        let count = worker.client.ask("/api/myfiles?cmd=count", &count).unwrap();
        assert_eq!(count, json!({"code": 0, "total": rows.len()}));
        for order in ["pvasc", "pvdesc"] {
            let target = format!("/api/myfiles?cmd={order}");
            let same = worker.client.own_list(&target).unwrap();
            assert_eq!(same.len(), rows.len(), "{order}");
        }
        let rows: BTreeMap<Label, Value> =
            rows.into_iter().map(|row| (label_of(&row), row)).collect();
        worker.settle(&rows);
        let known: Vec<&Label> = worker.files.keys().collect();
        assert_eq!(known, rows.keys().collect::<Vec<_>>(), "the list");
        for (label, row) in &rows {
            let file = &worker.files[label];
            let content = content(file.content);
            let told = (&row["size"], &row["pv"], &row["share_status"]);
            let known = (
                &json!(content.len()),
                &json!(file.views),
                &json!(u8::from(file.is_shared)),
            );
            assert_eq!(told, known, "{label:?} of {}", worker.client.user);
            if file.is_shared {
                shared.insert((worker.client.user.clone(), label.clone()));
            }
            let url = row["url"].as_str().unwrap();
            let path = path_of(url).to_owned();
            if let Some(before) = contents.insert(path, file.content) {
                assert_eq!(before, file.content, "two contents at {url}");
                continue;
            }
            let answer = worker.client.get(url).unwrap();
            assert_eq!(answer.status, 200, "{label:?} is lost: {url}");
            assert!(answer.body == content, "{label:?} is damaged: {url}");
        }
    }
    check_shares(&mut workers[0].client, &shared);
    contents.into_keys().collect()
}

fn check_shares(client: &mut Client, shared: &BTreeSet<(String, Label)>) {
    let rows = client.public_list("/api/sharefiles?cmd=normal").unwrap();
    let count = rows.len();
    let listed: BTreeSet<(String, Label)> = rows
        .iter()
        .map(|row| (row["user"].as_str().unwrap().to_owned(), label_of(row)))
        .collect();
    assert_eq!(&listed, shared, "the shared files");
    assert_eq!(listed.len(), count, "a share is listed twice");
    let ranking = client.public_list("/api/sharefiles?cmd=pvdesc").unwrap();
    assert_eq!(ranking.len(), count, "the ranking");
    let total = json_of(&client.get("/api/sharefiles?cmd=count").unwrap());
    assert_eq!(code_of(&total), 0);
    assert_eq!(total["total"], count, "the total");
}

/// Waits until storage holds the blobs at these paths, which were read, and nothing else; the server
/// that runs then.
fn reclaimed(
    home: &Home,
    server: Server,
    workers: &mut [Worker],
    paths: &BTreeSet<String>,
) -> Server {
    let mut running = Some(server);
    eventually("no blob without an owner", Duration::from_mins(2), || {
        lose_an_owner(&mut workers[0].client);
        // Whoever reclaims works meanwhile, and takes nothing that somebody owns.
        assert_eq!(&check(workers), paths);
        running.take()?.terminate();
        let left = blobs_left(home);
        assert!(paths.len() as u64 <= left, "{left} blobs are left");
        let server = start(home, workers);
        if left == paths.len() as u64 {
            return Some(server);
        }
        running = Some(server);
        None
    })
}

/// The server looks for blobs without an owner once a minute, and whenever there is one more.
fn lose_an_owner(client: &mut Client) {
    let content = b"a content of no other file";
    let label = Label::new("probe", content);
    assert_eq!(client.upload("probe", content).unwrap(), 0);
    let deleted = client.ask_as_owner("/api/dealfile?cmd=del", &label);
    assert_eq!(deleted.unwrap(), 0);
}

/// How many blobs the server found without an owner and deleted, each time that it found some.
fn reclaims(home: &Home) -> Vec<u64> {
    let said = fs::read_to_string(home.file("stderr.log")).unwrap();
    said.lines()
        .filter_map(|line| line.split_once("reclaimed blobs without an owner count="))
        .map(|(_, count)| count.parse().unwrap())
        .collect()
}

fn label_of(row: &Value) -> Label {
    let text = |member: &str| row[member].as_str().unwrap().to_owned();
    Label {
        md5: text("md5"),
        name: text("file_name"),
    }
}

/// The content of a seed: mostly small, some too long to wait in memory, few of several records.
fn content(seed: u64) -> Vec<u8> {
    chance::content(seed, len(seed))
}

fn len(seed: u64) -> usize {
    let mut chance = Chance::new(!seed);
    let end = match chance.below(100) {
        0..70 => 8 * 1024,
        70..93 => 100 * 1024,
        93..98 => 500 * 1024,
        _ => 1_500_000,
    };
    // Content that is too short could be the same for two seeds.
    16 + usize::try_from(chance.below(end)).unwrap()
}
