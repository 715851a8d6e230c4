//! A database that hangs, and one whose answer to COMMIT is lost: servers answer in bounded time, go on
//! afterwards, and nothing is half done.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::support::deadline::StopAtEnd;
use crate::support::image_host::{code_of, json_of};
use crate::support::tell;
use crate::uploads::{LEN, Uploads, content, listed};

/// The longest that a server may keep a client waiting while its database hangs: two looks or groups of
/// changes, each with the time of a call, and room for a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(50);
/// How long the database hangs: longer than any client may wait.
const HANG: Duration = Duration::from_mins(1);
/// Clients of each server.
const CLIENTS: u64 = 4;

/// What a user's list has, each of which must be there once, whole, and counted in the quota.
fn counted(client: &mut Client, server: &Api) -> BTreeSet<String> {
    let found = listed(client, server.address);
    let pan = Pan::log_in(&mut server.http(), &client.user);
    let info = pan.send(
        &mut server.http(),
        "GET",
        "/api/v1/user/info",
        "text/plain",
        b"",
    );
    assert_eq!(data(&info)["spaceUsed"], found.len() * LEN, "the quota");
    found
}

/// Removes all files of some users, and expects that nothing is left of anything.
fn nothing_is_left(
    postgres: &Postgres,
    home: &Home,
    storage: Server,
    servers: Vec<Api>,
    clients: &mut [Client],
) {
    for client in clients.iter_mut() {
        client.reconnect(servers[0].http());
        for name in counted(client, &servers[0]) {
            let label = Label::new(&name, &content(&name));
            let removed = client.ask_as_owner("/api/dealfile?cmd=del", &label);
            assert_eq!(removed.unwrap(), 0, "{name}");
        }
        assert_eq!(counted(client, &servers[0]), BTreeSet::new());
    }
    let orphans = "SELECT count(*) FROM hayloft_catalog WHERE substring(key FROM 1 FOR 1) = 'O'";
    eventually("nobody's blobs are reclaimed", RECLAIM_LIMIT, || {
        (postgres.sql(orphans) == "0").then_some(())
    });
    let kinds = "SELECT count(*) FROM hayloft_catalog \
                 WHERE substring(key FROM 1 FOR 1) IN ('C', 'F', 'B', 'v', 'E', 'e')";
    assert_eq!(
        postgres.sql(kinds),
        "0",
        "no content, file or slice is left"
    );
    for server in servers {
        server.terminate();
    }
    storage.terminate();
    assert_eq!(blobs_left(home), 0, "no blob is left");
}

#[test]
fn servers_whose_database_hangs_answer_in_bounded_time_and_go_on_with_nothing_half_done() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let home = Home::new();
    let storage = Server::start(&home);
    let cluster = Cluster {
        home: &home,
        tracker: storage.addresses.tracker,
        database: postgres.url(),
    };
    let servers = vec![cluster.start("one", None), cluster.start("other", None)];
    let mut clients = Vec::new();
    for server in &servers {
        for number in 0..CLIENTS {
            let user = format!("user{}{number}", server.address.port());
            clients.push((server.address, Client::register(server.http(), &user)));
        }
    }
    let stop = AtomicBool::new(false);
    let all: Vec<Uploads> = thread::scope(|scope| {
        let running = clients
            .iter_mut()
            .enumerate()
            .map(|(idx, (server, client))| {
                let (stop, server) = (&stop, *server);
                scope.spawn(move || Uploads::make(client, &[server], idx as u64, stop))
            });
        let running: Vec<_> = running.collect();
        let _stop = StopAtEnd(&stop);
        let count = "SELECT count(*) FROM hayloft_catalog WHERE substring(key FROM 1 FOR 1) = 'F'";
        eventually("the load runs", LIMIT, || {
            (30 < postgres.sql(count).parse::<u64>().unwrap()).then_some(())
        });
        let paused = Paused::all_of(&postgres);
        let hung = within(HANG, || None::<()>);
        assert!(hung.is_none());
        let health = get(servers[0].address, "/healthz");
        assert_eq!(health.status, 200, "the server itself lives");
        drop(paused);
        let before = postgres.sql(count).parse::<u64>().unwrap();
        eventually("uploads are stored again", LIMIT, || {
            (before + 30 < postgres.sql(count).parse::<u64>().unwrap()).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let longest = all.iter().map(|uploads| uploads.longest).max().unwrap();
    let stored: usize = all.iter().map(|uploads| uploads.stored.len()).sum();
    let doubtful: usize = all.iter().map(|uploads| uploads.doubtful.len()).sum();
    tell(format_args!(
        "a database that hung for {HANG:?}: {stored} uploads stored, {doubtful} answered with an error, \
         longest wait {longest:?}"
    ));
    assert!(longest < ANSWER_LIMIT, "a client waited for {longest:?}");
    assert_ne!(doubtful, 0, "the hang was noticed");

    let mut clients: Vec<Client> = clients.into_iter().map(|(_, client)| client).collect();
    for (client, uploads) in clients.iter_mut().zip(&all) {
        uploads.expect(&counted(client, &servers[1]));
    }
    nothing_is_left(&postgres, &home, storage, servers, &mut clients);
}

#[test]
fn one_of_two_servers_that_is_killed_or_paused_under_load_costs_nothing_that_was_acknowledged() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let home = Home::new();
    let storage = Server::start(&home);
    let cluster = Cluster {
        home: &home,
        tracker: storage.addresses.tracker,
        database: postgres.url(),
    };
    let stays = cluster.start("stays", None);
    let suffers = cluster.start("suffers", None);
    let mut clients: Vec<Client> = (0..2 * CLIENTS)
        .map(|number| Client::register(suffers.http(), &format!("user{number}")))
        .collect();
    // Whoever can goes to the one that suffers.
    let servers = [suffers.address, stays.address];
    let stop = AtomicBool::new(false);
    let stored = || -> u64 {
        let count = "SELECT count(*) FROM hayloft_catalog WHERE substring(key FROM 1 FOR 1) = 'F'";
        postgres.sql(count).parse().unwrap()
    };
    let progress = |what: &str| {
        let before = stored();
        eventually(what, LIMIT, || (before + 20 < stored()).then_some(()));
    };
    let (all, suffers): (Vec<Uploads>, Api) = thread::scope(|scope| {
        let mut suffers = suffers;
        let running = clients.iter_mut().enumerate().map(|(idx, client)| {
            let (stop, servers) = (&stop, &servers);
            scope.spawn(move || Uploads::make(client, servers, idx as u64, stop))
        });
        let running: Vec<_> = running.collect();
        let _stop = StopAtEnd(&stop);
        for _ in 0..3 {
            progress("uploads go on with both");
            let address = suffers.kill();
            progress("uploads go on with the other one");
            suffers = cluster.start("suffers", Some(address));
            suffers.pause();
            assert!(within(Duration::from_secs(2), || None::<()>).is_none());
            suffers.resume();
        }
        stop.store(true, Ordering::Relaxed);
        let ended = running.into_iter().map(|one| one.join().unwrap());
        (ended.collect(), suffers)
    });
    let acknowledged: usize = all.iter().map(|uploads| uploads.stored.len()).sum();
    let doubtful: usize = all.iter().map(|uploads| uploads.doubtful.len()).sum();
    tell(format_args!(
        "an API server killed and paused three times: {acknowledged} uploads stored, {doubtful} cut off"
    ));
    for (client, uploads) in clients.iter_mut().zip(&all) {
        uploads.expect(&counted(client, &stays));
    }
    nothing_is_left(
        &postgres,
        &home,
        storage,
        vec![stays, suffers],
        &mut clients,
    );
}

#[test]
fn an_upload_whose_commit_got_no_answer_is_stored_once_or_not_at_all() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let home = Home::new();
    let storage = Server::start(&home);
    let url = postgres.url();
    let port: u16 = url
        .rsplit_once(':')
        .and_then(|(_, rest)| rest.split_once('/'))
        .map(|(port, _)| port.parse().unwrap())
        .unwrap();
    let proxy = CommitProxy::start(port);
    let cluster = Cluster {
        home: &home,
        tracker: storage.addresses.tracker,
        database: url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port)),
    };
    let server = cluster.start("one", None);
    let mut king = Client::register(server.http(), "king");
    let mut stored = BTreeSet::new();
    let mut errors = 0;
    for number in 0..20 {
        let name = format!("{number}.bin");
        // The transactions of one upload are lost in turn, and in half of the cases also the one after.
        proxy.cut_commits(number % 3, 1 + number % 2);
        let first = king.upload_answer(&name, &content(&name)).unwrap();
        errors += usize::from(first.status != 200 || code_of(&json_of(&first)) != 0);
        proxy.cut_commits(0, 0);
        // The client tries once more, with the same name and content.
        king.reconnect(server.http());
        let again = king.upload_answer(&name, &content(&name)).unwrap();
        assert_eq!(again.status, 200, "{name}: {}", again.text());
        stored.insert(name);
        assert_eq!(counted(&mut king, &server), stored);
    }
    let cuts = proxy.cuts();
    tell(format_args!(
        "{cuts} answers to COMMIT lost: {errors} uploads answered with an error, all there once"
    ));
    assert!(10 <= cuts, "only {cuts} answers were lost");
    nothing_is_left(&postgres, &home, storage, vec![server], &mut [king]);
}

/// Processes of a database that stand still until the value goes.
struct Paused(Vec<Pid>);

impl Paused {
    fn all_of(postgres: &Postgres) -> Self {
        let directory = postgres.sql("SHOW data_directory");
        let file = fs::read_to_string(Path::new(&directory).join("postmaster.pid")).unwrap();
        let server = Pid::from_raw(file.lines().next().unwrap().parse().unwrap()).unwrap();
        signal(server, Signal::STOP);
        // It makes no more of them now.
        let mut processes = children_of(server);
        for process in &processes {
            signal(*process, Signal::STOP);
        }
        processes.push(server);
        Self(processes)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        for process in &self.0 {
            signal(*process, Signal::CONT);
        }
    }
}

fn signal(process: Pid, signal: Signal) {
    // One that has just ended needs none.
    let _ = kill_process(process, signal);
}

/// The processes that a process started and that run.
fn children_of(parent: Pid) -> Vec<Pid> {
    let of = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        let is_child = line.trim().parse() == Ok(parent.as_raw_nonzero().get());
        Pid::from_raw(pid).filter(|_| is_child)
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries.flatten().filter_map(of).collect()
}

/// Stands between a server and its database, and loses the answer to a COMMIT: the database has carried
/// it out, and the server sees the connection end.
struct CommitProxy {
    port: u16,
    state: Arc<ProxyState>,
}

#[derive(Debug, Default)]
struct ProxyState {
    /// Commits that still pass.
    pass: AtomicUsize,
    /// Commits whose answer is lost then.
    cut: AtomicUsize,
    cuts: AtomicUsize,
}

impl CommitProxy {
    fn start(database: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(ProxyState::default());
        let shared = Arc::clone(&state);
        // Ends with the process; the tests of this process wait for nothing of it.
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", database)) else {
                    continue;
                };
                shared.carry(client, server);
            }
        });
        Self { port, state }
    }

    /// Lets so many commits pass, then loses the answers of so many.
    fn cut_commits(&self, pass: usize, cut: usize) {
        self.state.pass.store(pass, Ordering::SeqCst);
        self.state.cut.store(cut, Ordering::SeqCst);
    }

    fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl ProxyState {
    /// Whether the answer to a commit is to be lost.
    fn takes_one(&self) -> bool {
        let down = |count: &AtomicUsize| {
            let lower = |left: usize| left.checked_sub(1);
            count
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, lower)
                .is_ok()
        };
        !down(&self.pass) && down(&self.cut)
    }

    fn carry(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let swallow = Arc::new(AtomicBool::new(false));
        let (from_client, mut to_server) =
            (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (state, marked) = (Arc::clone(self), Arc::clone(&swallow));
        thread::spawn(move || {
            copy(from_client, |bytes| {
                // A simple query, as the client library sends it: one small packet.
                let is_commit = bytes.windows(7).any(|window| window == b"COMMIT\0");
                if is_commit && state.takes_one() {
                    marked.store(true, Ordering::SeqCst);
                }
                to_server.write_all(bytes).is_ok()
            });
            let _ = to_server.shutdown(Shutdown::Both);
        });
        let (state, mut to_client) = (Arc::clone(self), client);
        thread::spawn(move || {
            copy(server, |bytes| {
                if swallow.load(Ordering::SeqCst) {
                    state.cuts.fetch_add(1, Ordering::SeqCst);
                    return false;
                }
                to_client.write_all(bytes).is_ok()
            });
            let _ = to_client.shutdown(Shutdown::Both);
        });
    }
}

/// Reads until the end, or until `take` has enough.
fn copy(mut from: TcpStream, mut take: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len) = from.read(&mut buffer) {
        if len == 0 || !take(&buffer[..len]) {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
}
