//! Too few nodes for the copies that a group shall make.

use std::time::Duration;

use common::client::{ClientError, Upload};
use common::code::ErrorCode;
use common::id::FileId;
use serde_json::{Value, json};

use super::harness::{Cluster, Plan, seed};
use super::load::Access;
use super::process::{Process, hayloft};
use super::steady::Kept;
use crate::support::chance;
use crate::support::deadline::eventually;
use crate::support::tell;

const REFUSE: Plan = Plan {
    replication: "ack_copies = 2\nwhen_too_few = \"refuse\"",
    ..Plan::USUAL
};

#[test]
fn a_group_that_shall_refuse_takes_nothing_on_its_last_node_and_everything_on_two() {
    let seed = seed();
    let mut cluster = Cluster::start(REFUSE);
    let access = Access::to(&cluster);
    let mut kept: Vec<Kept> = (0..20)
        .map(|number| Kept::store(&access, seed ^ number, 3000).unwrap())
        .collect();

    cluster.nodes[2].terminate();
    cluster.wait_whole();
    for number in 20..40 {
        kept.push(Kept::store(&access, seed ^ number, 3000).unwrap());
    }
    let (client, first) = (&access.client, kept[0].id);
    access.runtime.block_on(client.delete(&first)).unwrap();
    kept.remove(0);

    cluster.nodes[1].terminate();
    cluster.wait_dead(2);
    let last = cluster.place(1).storage.into();
    let big = chance::content(seed, 3_000_000);
    let mut refusals = 0;
    for number in 0..50 {
        let content = if number % 10 == 0 {
            &big[..]
        } else {
            &big[..2000]
        };
        let upload = Upload::default();
        let storages = access.client.storages();
        let refused = access.runtime.block_on(async {
            let lease = storages.connect(&last).await?;
            storages
                .upload_on(lease, None, upload.kind, upload.extension, content.into())
                .await
        });
        expect_refusal(refused);
        refusals += 1;
    }
    // Nobody is deleted either, and all that is there can be read.
    let deleted = access
        .runtime
        .block_on(access.client.storages().delete(&last, &kept[0].id));
    assert_eq!(deleted.unwrap_err().code(), ErrorCode::Unavailable);
    for kept in &kept {
        let bytes = access.download_from(cluster.place(1), &kept.id).unwrap();
        assert!(bytes == kept.content(), "{}", kept.id);
    }

    for idx in [1, 2] {
        cluster.nodes[idx].start();
    }
    cluster.wait_whole();
    eventually("uploads are taken again", Duration::from_secs(10), || {
        let stored = Kept::store(&access, seed.wrapping_add(41), 3000).ok()?;
        kept.push(stored);
        Some(())
    });
    cluster.wait_copied();
    for number in 1..=3 {
        cluster.wait_followed(number);
    }
    for node in &mut cluster.nodes {
        node.terminate();
    }
    // Nothing was kept of what was refused: on the disks is what was acknowledged, and no byte more that
    // counts.
    for node in &cluster.nodes {
        let path = checked(node);
        let found = (
            &path["blobs"],
            &path["unowned_parts"],
            &path["pending_records"],
        );
        let wanted = (&json!(kept.len()), &json!(0), &json!(0));
        assert_eq!(found, wanted, "{}: {path}", node.name);
    }
    tell(format_args!(
        "too few nodes with seed {seed}: {refusals} uploads refused, none kept"
    ));
}

/// What `hayloft check` finds on the disk of a node that does not run.
fn checked(node: &Process) -> Value {
    let output = hayloft()
        .args(["check", "--json", "--config"])
        .arg(node.config())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {output:?}", node.name);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["paths"][0].clone()
}

fn expect_refusal(upload: Result<FileId, ClientError>) {
    match upload {
        Err(error) if error.code() == ErrorCode::Unavailable && error.status().is_some() => {}
        other => panic!("the last node was to refuse, and says {other:?}"),
    }
}
