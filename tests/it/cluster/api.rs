//! An API server over a cluster whose nodes are killed.

use std::thread;

use super::harness::{Cluster, HEALING_LIMIT, Plan, seed};
use crate::pan123::Pan;
use crate::support::chance;
use crate::support::deadline::eventually;
use crate::support::http::Http;
use crate::support::image_host::Client;
use crate::support::tell;

/// Files of the first test.
const FILES: u64 = 12;
/// Bytes of a slice.
const SLICE: usize = 1 << 20;

#[test]
fn downloads_by_an_api_server_work_without_the_node_that_took_the_upload() {
    let seed = seed();
    let mut cluster = Cluster::start(Plan::default());
    let (mut process, api) = cluster.api("");
    process.start();
    let mut client = Client::register(Http::connect(api).unwrap(), "king");
    let contents: Vec<Vec<u8>> = (0..FILES)
        .zip([5_000, 205_000, 405_000, 605_000].into_iter().cycle())
        .map(|(number, len)| chance::content(seed ^ number, len))
        .collect();
    for (number, content) in contents.iter().enumerate() {
        assert_eq!(client.upload(&format!("{number}.bin"), content).unwrap(), 0);
    }
    let rows = client.own_list("/api/myfiles?cmd=normal").unwrap();
    assert_eq!(rows.len(), contents.len());
    let links: Vec<(usize, String)> = rows
        .iter()
        .map(|row| {
            let name = row["file_name"].as_str().unwrap();
            let number = name.strip_suffix(".bin").unwrap().parse().unwrap();
            (number, row["url"].as_str().unwrap().to_owned())
        })
        .collect();
    // Whichever node took one, it is away once.
    for idx in 0..cluster.nodes.len() {
        cluster.nodes[idx].kill();
        for (number, link) in &links {
            let answer = client.get(link).unwrap();
            let without = &cluster.nodes[idx].name;
            assert_eq!(
                answer.status,
                200,
                "{link} without {without}: {}",
                answer.text()
            );
            assert!(answer.body == contents[*number], "{link} without {without}");
        }
        cluster.nodes[idx].start();
        cluster.wait_whole();
    }
    process.terminate();
    tell(format_args!(
        "API over a cluster with seed {seed}: {FILES} files without each node"
    ));
}

#[test]
fn an_upload_in_slices_goes_on_when_nodes_are_killed_and_restarted() {
    let seed = seed();
    let mut cluster = Cluster::start(Plan::default());
    let (mut process, api) = cluster.api("slice_size = \"1MiB\"");
    process.start();
    Client::register(Http::connect(api).unwrap(), "king");
    let mut pan = Pan::log_in(api, "king");
    let content = chance::content(seed, 6 * SLICE + 1);
    let slices: Vec<&[u8]> = content.chunks(SLICE).collect();
    let created = pan.create("a", &content);
    let id = created["preuploadID"].as_str().unwrap();
    let mut repeated = 0;
    for (idx, slice) in slices.iter().enumerate() {
        // Each node dies during one slice, the one with the staging blob among them, and is away
        // until the slice was taken.
        let away = (idx % 2 == 1).then_some(idx / 2);
        thread::scope(|scope| {
            if let Some(away) = away {
                let node = &mut cluster.nodes[away];
                scope.spawn(|| node.kill());
            }
            let mut attempts = 0;
            eventually("a slice is taken", HEALING_LIMIT, || {
                attempts += 1;
                is_taken(&mut pan, id, idx + 1, slice).then_some(())
            });
            repeated += attempts - 1;
        });
        if let Some(away) = away {
            cluster.nodes[away].start();
            cluster.wait_whole();
        }
    }
    let file = pan.complete(id);
    let whole = pan.download(file, &[]);
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert!(whole.body == content, "the file of all slices");
    process.terminate();
    tell(format_args!(
        "upload in slices with seed {seed}: {} slices, {repeated} attempts more",
        slices.len()
    ));
}

/// Sends a slice; whether it was taken.
fn is_taken(pan: &mut Pan, id: &str, number: usize, slice: &[u8]) -> bool {
    pan.slice(id, number, slice)
        .is_ok_and(|answer| answer["code"] == 0)
}
