//! The client commands from their arguments to their effects, against a cluster in memory.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Parser;
use common::id::FileId;

use super::fake_cluster::FakeCluster;
use super::{append, bench, delete, download, info, ls, meta, monitor, upload, url};

#[derive(Debug, Parser)]
enum Command {
    Upload(upload::UploadArgs),
    Download(download::DownloadArgs),
    Info(info::InfoArgs),
    Delete(delete::DeleteArgs),
    Append(append::AppendArgs),
    Meta(meta::MetaArgs),
    Url(url::UrlArgs),
    Ls(ls::LsArgs),
    Monitor(monitor::MonitorArgs),
    Bench(bench::BenchArgs),
}

fn parse(arguments: &[&str]) -> Result<Command, clap::Error> {
    Command::try_parse_from([&["hayloft"], arguments].concat())
}

/// Runs a command line against `cluster`; the exit code as `ExitCode` prints it for debugging, since it
/// cannot be compared.
async fn run(cluster: &FakeCluster, arguments: &[&str]) -> u8 {
    let tracker = cluster.tracker.to_string();
    let code = match parse(&[arguments, &["--tracker", &tracker]].concat()).unwrap() {
        Command::Upload(args) => args.run().await,
        Command::Download(args) => args.run().await,
        Command::Info(args) => args.run().await,
        Command::Delete(args) => args.run().await,
        Command::Append(args) => args.run().await,
        Command::Meta(args) => args.run().await,
        Command::Url(args) => args.run().await,
        Command::Ls(args) => args.run().await,
        Command::Monitor(args) => args.run().await,
        Command::Bench(args) => args.run_here().await,
    };
    (0..=u8::MAX)
        .find(|number| format!("{:?}", ExitCode::from(*number)) == format!("{code:?}"))
        .unwrap()
}

fn only_id(cluster: &FakeCluster) -> FileId {
    let blobs = cluster.state.blobs.lock().unwrap();
    let names: Vec<_> = blobs.keys().copied().collect();
    assert_eq!(names.len(), 1);
    let group = "group1".parse().unwrap();
    let name = names[0];
    FileId { group, name }
}

fn write(path: &Path, content: &[u8]) -> String {
    std::fs::write(path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Uploads `content` by command line and returns its id.
async fn uploaded(cluster: &FakeCluster, dir: &Path, content: &[u8], options: &[&str]) -> FileId {
    let file = write(&dir.join("source.bin"), content);
    let arguments = [&["upload", &file], options].concat();
    assert_eq!(run(cluster, &arguments).await, 0);
    only_id(cluster)
}

#[tokio::test]
async fn a_file_goes_up_and_comes_down_again() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let id = uploaded(&cluster, dir.path(), &content, &[]).await;
    assert_eq!(id.name.extension(), "bin");
    assert_eq!(cluster.content(&id).unwrap(), content);

    let target = dir.path().join("target");
    let target_text = target.to_str().unwrap();
    assert_eq!(
        run(&cluster, &["download", &id.to_string(), "-o", target_text]).await,
        0
    );
    assert_eq!(std::fs::read(&target).unwrap(), content);
    assert!(!dir.path().join("target.part").exists());
}

#[tokio::test]
async fn directories_go_up_with_everything_below_and_failures_do_not_stop_the_others() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
    for number in 0..20 {
        let path = dir.path().join(format!("a/b/{number}"));
        std::fs::write(path, format!("content {number}")).unwrap();
    }
    let root = dir.path().to_str().unwrap();
    let missing = dir.path().join("missing");
    let arguments = ["upload", missing.to_str().unwrap(), root, "--jobs", "3"];
    assert_eq!(run(&cluster, &arguments).await, 1);
    assert_eq!(cluster.state.blobs.lock().unwrap().len(), 20);
}

#[tokio::test]
async fn a_broken_download_is_taken_up_where_it_broke() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = uploaded(&cluster, dir.path(), &vec![7; 300_000], &[]).await;
    cluster.state.broken_downloads.store(2, Ordering::Relaxed);
    let target = dir.path().join("target");
    let target_text = target.to_str().unwrap();
    assert_eq!(
        run(&cluster, &["download", &id.to_string(), "-o", target_text]).await,
        0
    );
    assert_eq!(std::fs::read(&target).unwrap(), vec![7; 300_000]);
    assert_eq!(cluster.state.broken_downloads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_partial_file_of_an_earlier_run_is_continued_and_a_wrong_one_is_thrown_away() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = uploaded(&cluster, dir.path(), b"hello world", &[]).await;
    let (target, part) = (dir.path().join("t"), dir.path().join("t.part"));
    let arguments = ["download", &id.to_string(), "-o", target.to_str().unwrap()];

    write(&part, b"HELLO");
    assert_eq!(run(&cluster, &arguments).await, 1);
    assert!(!target.exists() && !part.exists());

    write(&part, b"hello");
    assert_eq!(run(&cluster, &arguments).await, 0);
    assert_eq!(std::fs::read(&target).unwrap(), b"hello world");
}

#[tokio::test]
async fn a_rotten_download_gets_no_name() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = uploaded(&cluster, dir.path(), b"hello", &[]).await;
    cluster.state.rotten_downloads.store(1, Ordering::Relaxed);
    let target = dir.path().join("t");
    let arguments = ["download", &id.to_string(), "-o", target.to_str().unwrap()];
    assert_eq!(run(&cluster, &arguments).await, 1);
    assert!(!target.exists());
}

#[tokio::test]
async fn an_appender_is_appended_to_overwritten_truncated_and_finished() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = uploaded(&cluster, dir.path(), b"hello", &["--appender"]).await;
    let text = id.to_string();
    let more = write(&dir.path().join("more"), b" world");
    let upper = write(&dir.path().join("upper"), b"HELLO");
    assert_eq!(run(&cluster, &["append", &text, &more]).await, 0);
    assert_eq!(cluster.content(&id).unwrap(), b"hello world");
    assert_eq!(
        run(&cluster, &["append", &text, &upper, "--at", "0"]).await,
        0
    );
    assert_eq!(cluster.content(&id).unwrap(), b"HELLO world");
    assert_eq!(
        run(&cluster, &["append", &text, "--truncate", "5", "--finish"]).await,
        0
    );
    let finished = only_id(&cluster);
    assert_ne!(finished, id);
    assert_eq!(cluster.content(&finished).unwrap(), b"HELLO");
}

#[tokio::test]
async fn metadata_is_set_merged_shown_and_cleared() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = uploaded(&cluster, dir.path(), b"x", &["--meta", "a=1"]).await;
    let text = id.to_string();
    let pairs = || {
        let blobs = cluster.state.blobs.lock().unwrap();
        blobs[&id.name].1.as_bytes().to_vec()
    };
    assert_eq!(pairs(), b"a\x021");
    assert_eq!(
        run(&cluster, &["meta", "merge", &text, "b=2", "a=3"]).await,
        0
    );
    assert_eq!(pairs(), b"a\x023\x01b\x022");
    assert_eq!(run(&cluster, &["meta", "get", &text]).await, 0);
    assert_eq!(run(&cluster, &["meta", "set", &text, "c=4"]).await, 0);
    assert_eq!(pairs(), b"c\x024");
    assert_eq!(run(&cluster, &["meta", "clear", &text]).await, 0);
    assert_eq!(pairs(), b"");
    assert_eq!(run(&cluster, &["meta", "get", &text]).await, 1);
}

#[tokio::test]
async fn slaves_are_named_after_their_master_and_a_second_one_is_refused() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let master = uploaded(&cluster, dir.path(), b"big", &[])
        .await
        .to_string();
    let small = write(&dir.path().join("t.jpg"), b"small");
    let arguments = ["upload", &small, "--master", &master, "--prefix", "_80x80"];
    assert_eq!(run(&cluster, &arguments).await, 0);
    assert_eq!(run(&cluster, &arguments).await, 1);
    let blobs = cluster.state.blobs.lock().unwrap();
    assert!(
        blobs
            .keys()
            .any(|name| name.to_text().ends_with("_80x80.jpg"))
    );
}

#[tokio::test]
async fn exit_codes_tell_missing_files_from_missing_servers() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = uploaded(&cluster, dir.path(), b"x", &[]).await.to_string();
    assert_eq!(run(&cluster, &["info", &id]).await, 0);
    assert_eq!(run(&cluster, &["url", &id]).await, 0);
    assert_eq!(run(&cluster, &["ls"]).await, 0);
    assert_eq!(run(&cluster, &["monitor", "--once", "--json"]).await, 0);
    assert_eq!(run(&cluster, &["delete", &id]).await, 0);
    assert_eq!(run(&cluster, &["delete", &id]).await, 1);
    assert_eq!(run(&cluster, &["info", &id]).await, 1);

    let mut gone = FakeCluster::start().await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    gone.tracker = nobody.local_addr().unwrap().into();
    drop(nobody);
    assert_eq!(run(&gone, &["info", &id]).await, 3);
    assert_eq!(run(&gone, &["bench", "query", "--count", "1"]).await, 3);
}

#[tokio::test]
async fn every_bench_does_its_work_and_verifies_it() {
    let cluster = FakeCluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let ids = dir.path().join("ids");
    let ids = ids.to_str().unwrap();
    let count = || cluster.state.blobs.lock().unwrap().len();

    let sizes = "0:1,7:1,4KiB:5,300KiB:1";
    let upload = [
        "bench", "upload", "--size", sizes, "--count", "200", "--verify",
    ];
    assert_eq!(
        run(&cluster, &[&upload[..], &["--save-ids", ids]].concat()).await,
        0
    );
    assert_eq!(count(), 200);

    let base = cluster.http_base.as_str();
    let storage = cluster.storage.to_string();
    for arguments in [
        &["download", "--verify"][..],
        &["download", "--verify", "--storage", &storage],
        &["http-get", "--verify", "--http-base", base],
        &["query", "--query", "fetch"],
        &["query"],
        &["mixed", "--size", "1KiB", "--prepare", "10"],
    ] {
        let common = ["--ids", ids, "--count", "300", "--json"];
        let arguments = [&["bench"], arguments, &common].concat();
        assert_eq!(run(&cluster, &arguments).await, 0, "{arguments:?}");
    }
    let before = count();
    assert_eq!(run(&cluster, &["bench", "delete", "--ids", ids]).await, 0);
    assert_eq!(count(), before - 200);
    // They are gone now, and a bench that fails says so.
    assert_eq!(run(&cluster, &["bench", "delete", "--ids", ids]).await, 1);
}

#[tokio::test]
async fn a_bench_finds_a_wrong_byte() {
    let cluster = FakeCluster::start().await;
    cluster.state.rotten_downloads.store(1, Ordering::Relaxed);
    let arguments = [
        "bench",
        "download",
        "--prepare",
        "5",
        "--count",
        "20",
        "--verify",
    ];
    assert_eq!(run(&cluster, &arguments).await, 1);
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_sent() {
    let id = "group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt";
    for bad in [
        &["upload"][..],
        &["upload", "x", "--prefix", "_s"],
        &["upload", "x", "--ext", "toolong"],
        &["upload", "x", "--meta", "nopair"],
        &["upload", "x", "--group", "a/b"],
        &["upload", "x", "--jobs", "0"],
        &["upload", "x", "--tracker", "::1"],
        &["download", "nonsense"],
        &["append", id],
        &["append", id, "--at", "0"],
        &["meta", "set", id],
        &["url", id, "--ttl", "5"],
        &["bench"],
        &["bench", "upload", "--size", "x"],
        &["bench", "upload", "--connections", "0"],
        &["bench", "http-get", "--urls", "u", "--ids", "i"],
    ] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn several_trackers_may_be_given_in_both_ways() {
    for good in [
        &["info", "--offline", "--tracker", "a:1", "--tracker", "b"][..],
        &["info", "--offline", "--tracker", "a:1,b"],
    ] {
        let id = "group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt";
        let parsed = parse(&[good, &[id]].concat()).unwrap();
        let Command::Info(args) = parsed else {
            panic!("{parsed:?}");
        };
        let text = format!("{args:?}");
        assert!(text.contains("\"a\"") && text.contains("\"b\"") && text.contains("22122"));
    }
}
