//! A node that was away gets what was stored meanwhile.

use common::client::{Metadata, MetadataMode, Upload, UploadKind};

use super::harness::{Cluster, Plan, seed};
use super::load::Access;
use crate::support::chance;

/// Blobs of each kind.
const BLOBS: u64 = 20;

#[test]
fn metadata_reaches_a_node_that_was_away_together_with_its_blob() {
    let seed = seed();
    let mut cluster = Cluster::start(Plan::default());
    let access = Access::to(&cluster);
    cluster.nodes[2].terminate();
    cluster.wait_whole();
    let metadata = Metadata::from_pairs([(b"k".as_slice(), b"v".as_slice())]);
    let mut stored = Vec::new();
    for number in 0..2 * BLOBS {
        let content = chance::content(seed ^ number, 2000);
        let is_appender = number % 2 == 0;
        let upload = Upload {
            kind: if is_appender {
                UploadKind::Appender
            } else {
                UploadKind::Normal
            },
            ..Upload::default()
        };
        let id = access.runtime.block_on(async {
            let content = content.as_slice().into();
            let id = access.client.upload(&upload, content).await.unwrap();
            let mode = MetadataMode::Overwrite;
            let set = access.client.set_metadata(&id, mode, &metadata).await;
            set.unwrap();
            id
        });
        stored.push((id, content, is_appender));
    }
    cluster.nodes[2].start();
    cluster.wait_copied();
    for node in &mut cluster.nodes[..2] {
        node.terminate();
    }
    let place = cluster.place(3);
    for (id, content, is_appender) in stored {
        let what = format!("{id}, an appender: {is_appender}");
        let got = access.download_from(place, &id);
        assert!(got.unwrap() == content, "{what}");
        let got = access.metadata_from(place, &id).unwrap();
        assert_eq!(got.as_ref(), Some(&metadata), "{what}");
    }
}
