//! Several trackers: each answers, and all name the same leader.

use std::net::SocketAddr;

use common::wire::Status;
use common::wire::tracker::{LeaderResponse, Request, TrackerFilter, TrackerStatistics};
use tracker::Settings;

use crate::support::{Client, Node, Running, eventually, free_address, settings};

pub(crate) fn peer(address: SocketAddr, peers: &[SocketAddr]) -> Running {
    let mut settings = settings();
    settings.listeners[0].address = address;
    Running::start(Settings {
        peers: peers.iter().map(ToString::to_string).collect(),
        ..settings
    })
}

pub(crate) async fn leader(client: &mut Client) -> SocketAddr {
    let body = client.body(Request::GetLeader).await;
    let text = LeaderResponse::decode(&body).unwrap().0;
    text.as_str().parse().unwrap()
}

#[tokio::test]
async fn the_smallest_living_tracker_leads_and_another_one_when_it_dies() {
    let mut addresses = [free_address(), free_address()];
    addresses.sort();
    let [first, second] = addresses;
    let leading = peer(first, &addresses);
    let following = peer(second, &addresses);
    let (mut one, mut two) = (leading.client().await, following.client().await);
    eventually(async || leader(&mut two).await == first).await;
    assert_eq!(leader(&mut one).await, first);

    let statistics = Request::TrackerStatistics(TrackerFilter::default());
    assert_eq!(two.status(statistics).await, Status::UNSUPPORTED);
    eventually(async || {
        let body = one.body(statistics).await;
        let trackers = TrackerStatistics::decode(&body).unwrap().trackers;
        trackers.iter().filter(|tracker| tracker.is_active).count() == 2
    })
    .await;

    leading.stop().await;
    eventually(async || leader(&mut two).await == second).await;
    let body = two.body(statistics).await;
    let trackers = TrackerStatistics::decode(&body).unwrap().trackers;
    let dead: Vec<_> = trackers
        .iter()
        .filter(|tracker| !tracker.is_active)
        .collect();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].host.as_str(), first.to_string());

    let _returned = peer(first, &addresses);
    eventually(async || leader(&mut two).await == first).await;
    // Every tracker serves by itself.
    let _node = Node::start(second, 1, "group1").await;
    assert!(!two.body(Request::ListAllGroups).await.is_empty());
}
