//! What only peers have, read from this node.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::super::CopySettings;
use super::super::fetching::{Fetching, Pace};
use super::super::fixture::{Node, SMALL, content, key, store_blob};
use super::*;
use crate::disk::MemoryDisk;
use crate::format::IndexKey;
use crate::index::MemoryIndex;
use crate::store::Condition;

async fn collect(mut pieces: super::super::GroupPieces<MemoryDisk, MemoryIndex>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

#[tokio::test]
async fn a_long_blob_of_a_peer_is_read_and_stays_there() {
    let (one, two) = (Node::new(1, SMALL), Node::new(2, SMALL));
    store_blob(&one).await;
    two.knows(&[&one]);
    let store = two.store();
    let blob = store.open(&key()).await.unwrap().unwrap();
    assert!(matches!(blob, GroupBlob::There(_)), "{blob:?}");
    let own = one.store().open(&key()).await.unwrap().unwrap();
    assert_eq!(
        (blob.len(), blob.version(), blob.crc(), blob.time()),
        (own.len(), own.version(), own.crc(), own.time())
    );
    let content = content();
    for range in [0..50, 0..1, 15..33, 49..50, 20..90, 50..60] {
        let got = collect(store.pieces(key(), &blob, range.clone())).await;
        let end = content.len().min(usize::try_from(range.end).unwrap());
        let start = usize::try_from(range.start).unwrap();
        assert_eq!(got, content[start..end], "{range:?}");
    }
    assert_eq!(
        store.checksum(key(), &blob).await.unwrap(),
        Crc32::of(&content)
    );
    let metadata = store.metadata(&key()).await.unwrap();
    assert_eq!(metadata.unwrap(), "metadata");
    assert!(store.shared().open_blob(&key()).await.unwrap().is_none());
    // Who changes it needs a copy.
    assert!(store.open_blob(&key()).await.unwrap().is_some());
}

#[tokio::test]
async fn another_peer_goes_on_where_the_first_one_ends() {
    let nodes: Vec<Node> = (1..=3).map(|number| Node::new(number, SMALL)).collect();
    let [one, two, three] = nodes.as_slice() else {
        panic!("three nodes");
    };
    store_blob(one).await;
    three.knows(&[one]);
    three.store().open_blob(&key()).await.unwrap().unwrap();
    two.knows(&[one, three]);
    let store = two.store();
    let blob = store.open(&key()).await.unwrap().unwrap();
    let mut pieces = store.pieces(key(), &blob, 0..50);
    let mut bytes = pieces.next().await.unwrap().unwrap().to_vec();
    one.is_up.store(false, Ordering::Relaxed);
    while let Some(piece) = pieces.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes, content());
    three.is_up.store(false, Ordering::Relaxed);
    let mut pieces = store.pieces(key(), &blob, 0..50);
    assert!(matches!(pieces.next().await, Err(StoreError::OutOfReach)));
}

#[tokio::test]
async fn a_node_that_cannot_keep_a_blob_reads_it_from_its_peer() {
    let (one, two) = (Node::new(1, SMALL), Node::new(2, SMALL));
    let content = Bytes::from_static(b"twenty bytes at most");
    let crc = Crc32::of(&content);
    let holder = one.store();
    holder.put(key(), 1, content.clone(), crc).await.unwrap();
    two.knows(&[&one]);
    two.disk.fail_writes(true);
    let store = two.store();
    let blob = store.open(&key()).await.unwrap().unwrap();
    assert!(matches!(blob, GroupBlob::There(_)), "{blob:?}");
    let got = collect(store.pieces(key(), &blob, 0..blob.len())).await;
    assert_eq!(got, content);
    // Who changes it needs a copy.
    let changed = store.open_blob(&key()).await;
    assert!(matches!(changed, Err(StoreError::OutOfReach)));
}

#[tokio::test]
async fn what_changed_meanwhile_is_not_mixed() {
    let (one, two) = (Node::new(1, SMALL), Node::new(2, SMALL));
    store_blob(&one).await;
    two.knows(&[&one]);
    let store = two.store();
    let blob = store.open(&key()).await.unwrap().unwrap();
    one.store().delete(key(), 2).await.unwrap();
    let mut pieces = store.pieces(key(), &blob, 0..50);
    assert!(matches!(pieces.next().await, Err(StoreError::Conflict)));
    assert!(store.open(&key()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_comes_no_faster_than_allowed() {
    let slow = CopySettings {
        fetch_rate: Some(10),
        ..SMALL
    };
    let (one, two) = (Node::new(1, SMALL), Node::new(2, slow));
    store_blob(&one).await;
    two.knows(&[&one]);
    let store = two.store();
    let peer = two.replica.peers().pop().unwrap();
    let names = vec![(IndexKey::BLOB, key())];
    let began = Instant::now();
    let pace = Pace::Throttled(&two.replica.throttle);
    let fetching = Fetching::new(&store, &peer, Condition::Newer, pace);
    fetching.run(names, u64::MAX).await.unwrap();
    assert!(store.shared().open_blob(&key()).await.unwrap().is_some());
    // 50 bytes at 10 bytes a second.
    assert_eq!(began.elapsed().as_millis() / 100, 50);
    assert!(began.elapsed() < Duration::from_millis(5100));
}
