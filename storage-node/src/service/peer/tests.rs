use std::sync::Arc;

use bytes::Bytes;
use common::rpc::auth::Encryption;
use common::rpc::mux::{self, Frame, Handler, Mux, MuxError, MuxLimits};
use common::secret::Secrets;
use common::wire::report::NodeIdentity;
use common::wire::{Command, Status};

use super::*;
use crate::service::fixture::{DEADLINE, Fixture, NODE, Raw, secrets, within};
use crate::store::Reserve;

const PEER: NodeIdentity = NodeIdentity([9; 16]);

/// Says back who asked.
struct Introduce;

impl Handler for Introduce {
    async fn handle(&self, peer: &Authenticated, _request: Frame) -> Frame {
        Frame::of_head(Bytes::copy_from_slice(&peer.peer().0))
    }
}

#[derive(Debug)]
struct Peers;

impl PeerService for Peers {
    fn purposes(&self) -> &[Purpose] {
        &[Purpose::Replicate]
    }

    fn serve(
        &self,
        connection: Connection<MemberStream<TcpStream>>,
        peer: Authenticated,
        shutdown: Shutdown,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let limits = MuxLimits::default();
            mux::serve(connection, peer, Arc::new(Introduce), limits, &shutdown).await;
        })
    }
}

fn node_with(peers: Arc<dyn PeerService>, allowed_hosts: AllowedHosts) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    Fixture::with_peers(directory, DEADLINE, Reserve::Bytes(0), allowed_hosts, peers)
}

async fn connect(fixture: &Fixture, secrets: &Secrets, purpose: Purpose) -> Result<Mux, MuxError> {
    connect_with(fixture, &Credentials::new(PEER, secrets), purpose).await
}

async fn connect_with(
    fixture: &Fixture,
    credentials: &Credentials,
    purpose: Purpose,
) -> Result<Mux, MuxError> {
    let address = fixture.address.to_string();
    within(Mux::connect(
        address,
        credentials,
        purpose,
        MuxLimits::default(),
    ))
    .await
}

#[tokio::test]
async fn a_member_is_handed_over_and_keeps_its_connection_until_the_node_stops() {
    let fixture = node_with(Arc::new(Peers), AllowedHosts::default());
    let mux = connect(&fixture, &secrets(), Purpose::Replicate)
        .await
        .unwrap();
    assert_eq!(mux.authenticated().peer(), NODE);
    let answer = within(mux.call(Frame::default())).await.unwrap();
    assert_eq!(answer.head.as_ref(), PEER.0);
    fixture.stop().await;
    assert!(!mux.is_open());
}

#[tokio::test]
async fn a_member_that_wants_tls_gets_it_and_one_that_does_not_want_it_goes_without() {
    let fixture = node_with(Arc::new(Peers), AllowedHosts::default());
    for encryption in [Encryption::Always, Encryption::OnRequest] {
        let credentials = Credentials::new(PEER, &secrets()).with_encryption(encryption);
        let mux = connect_with(&fixture, &credentials, Purpose::Replicate).await;
        let mux = mux.unwrap();
        let is_encrypted = mux.authenticated().is_encrypted();
        assert_eq!(is_encrypted, encryption == Encryption::Always);
        let long = Frame {
            payload: vec![7; 1 << 20].into(),
            ..Frame::default()
        };
        let answer = within(mux.call(long)).await.unwrap();
        assert_eq!(answer.head.as_ref(), PEER.0);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_stranger_and_an_unknown_purpose_are_refused() {
    let fixture = node_with(Arc::new(Peers), AllowedHosts::default());
    let stranger = connect(&fixture, &Secrets::default(), Purpose::Replicate).await;
    assert!(
        matches!(stranger, Err(MuxError::Auth(AuthError::Refused))),
        "{stranger:?}"
    );
    let lost = connect(&fixture, &secrets(), Purpose::Report).await;
    assert!(
        matches!(lost, Err(MuxError::Auth(AuthError::NotTaken { .. }))),
        "{lost:?}"
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_without_peers_takes_no_member() {
    let fixture = Fixture::start();
    let refused = connect(&fixture, &secrets(), Purpose::Replicate).await;
    assert!(
        matches!(refused, Err(MuxError::Auth(AuthError::NotTaken { .. }))),
        "{refused:?}"
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_that_is_not_in_the_list_is_closed_and_a_member_is_not_bound_by_it() {
    let fixture = node_with(Arc::new(Peers), AllowedHosts::nobody());
    let mut client = fixture.raw().await;
    client
        .send(&[&common::wire::Header::request(Command::ActiveTest, 0).encode()])
        .await;
    client.expect_close().await;
    let mux = connect(&fixture, &secrets(), Purpose::Replicate)
        .await
        .unwrap();
    assert!(within(mux.call(Frame::default())).await.is_ok());
    fixture.stop().await;
}

#[tokio::test]
async fn only_the_first_request_can_ask_for_authentication() {
    let fixture = node_with(Arc::new(Peers), AllowedHosts::default());
    let mut client: Raw = fixture.raw().await;
    assert_eq!(client.ask(Command::ActiveTest).await, Status::OK);
    assert_eq!(client.ask(Command::Authenticate).await, Status::INVALID);
    assert_eq!(client.ask(Command::ActiveTest).await, Status::OK);
    fixture.stop().await;
}
