//! Members whose connections are encrypted, on the port where clients are served too.

use common::rpc::auth::{AuthError, Credentials, Encryption, NO_IDENTITY, Purpose};
use common::wire::Status;
use common::wire::cluster::{Order, OrderAnswer};
use common::wire::tracker::{Request, Scope, TrackerFilter, TrackerStatistics};
use tracker::Settings;

use crate::peers::leader;
use crate::support::{Client, Node, Running, eventually, free_address, secrets, settings};

const ALWAYS: Encryption = Encryption::Always;
const ON_REQUEST: Encryption = Encryption::OnRequest;

fn with(encryption: Encryption) -> Settings {
    Settings {
        encryption,
        ..settings()
    }
}

#[tokio::test]
async fn a_member_is_inside_of_tls_if_either_side_wants_that() {
    for tracker in [ALWAYS, ON_REQUEST] {
        let running = Running::start(with(tracker));
        for member in [ALWAYS, ON_REQUEST] {
            for purpose in [Purpose::Report, Purpose::Hello, Purpose::Control] {
                let credentials = Credentials::new(NO_IDENTITY, &secrets()).with_encryption(member);
                let address = running.address();
                let client = Client::member_with(address, &credentials, purpose).await;
                let (mut client, authenticated) = client.unwrap();
                let is_wanted = [tracker, member].contains(&ALWAYS);
                assert_eq!(authenticated.is_encrypted(), is_wanted);
                assert_eq!(client.status(Request::ActiveTest).await, Status::OK);
            }
        }
    }
}

#[tokio::test]
async fn a_node_reports_and_an_operator_orders_inside_of_tls_and_clients_go_without() {
    let tracker = Running::start(with(ALWAYS));
    let _node = Node::start(tracker.address(), 1, "group1").await;
    let mut client = tracker.client().await;
    let store = Request::QueryStore {
        group: None,
        scope: Scope::One,
    };
    assert_eq!(client.status(store).await, Status::OK);
    let answer = client.order(Order::Drain, "1").await;
    assert_eq!(answer, OrderAnswer::Done);
    assert_eq!(client.status(store).await, Status::NOT_FOUND);
}

#[tokio::test]
async fn trackers_of_which_one_wants_tls_greet_each_other() {
    for wishes in [[ALWAYS, ON_REQUEST], [ON_REQUEST, ALWAYS]] {
        let mut addresses = [free_address(), free_address()];
        addresses.sort();
        let [leading, following] = [0, 1].map(|idx| {
            let mut settings = with(wishes[idx]);
            settings.listeners[0].address = addresses[idx];
            settings.peers = addresses.iter().map(ToString::to_string).collect();
            Running::start(settings)
        });
        // The smaller address leads, which the other one says when it has heard of it.
        let mut client = following.client().await;
        eventually(async || leader(&mut client).await == addresses[0]).await;
        let mut client = leading.client().await;
        let statistics = Request::TrackerStatistics(TrackerFilter::default());
        eventually(async || {
            let body = client.body(statistics).await;
            let trackers = TrackerStatistics::decode(&body).unwrap().trackers;
            trackers.iter().filter(|tracker| tracker.is_active).count() == 2
        })
        .await;
    }
}

#[tokio::test]
async fn a_stranger_is_refused_inside_of_tls_too() {
    let tracker = Running::start(with(ALWAYS));
    let stranger = common::secret::Secrets::default();
    let refused = Client::member(tracker.address(), NO_IDENTITY, &stranger, Purpose::Hello).await;
    assert!(matches!(refused.map(|_| ()), Err(AuthError::Refused)));
}
