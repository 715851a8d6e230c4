//! Answers the peers that connect.

use std::fmt;
use std::sync::Arc;

use common::env::Shutdown;
use common::id::NodeNumber;
use common::rpc::auth::{Authenticated, Purpose};
use common::rpc::mux::{self, Frame, Handler, MuxLimits};
use common::rpc::{Connection, MemberStream};
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::places::PeerNumbers;
use crate::replica::Replica;
use crate::replica::message::Parcel;
use crate::service::PeerService;

/// Serves the connections of other nodes of the group.
#[derive(Clone)]
pub(crate) struct ReplicaService {
    replica: Arc<Replica>,
    numbers: PeerNumbers,
    /// Has a tracker asked who belongs to the group.
    ask: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for ReplicaService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaService").finish_non_exhaustive()
    }
}

impl ReplicaService {
    /// Answers the peers in `numbers`, and calls `ask` when another node of the cluster connects.
    pub(crate) fn new(
        replica: Arc<Replica>,
        numbers: PeerNumbers,
        ask: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            replica,
            numbers,
            ask: Arc::new(ask),
        }
    }
}

impl PeerService for ReplicaService {
    fn purposes(&self) -> &[Purpose] {
        &[Purpose::Replicate]
    }

    fn serve(
        &self,
        connection: Connection<MemberStream<TcpStream>>,
        peer: Authenticated,
        shutdown: Shutdown,
    ) -> BoxFuture<'static, ()> {
        let service = self.clone();
        Box::pin(async move {
            let Some(number) = service.numbers.of(peer.peer()) else {
                // It connects again, and by then a tracker has told of it.
                (service.ask)();
                debug!("a member of the cluster that is not known to be of this group");
                return;
            };
            let replica = Arc::clone(&service.replica);
            let handler = Arc::new(Answering { replica, number });
            let limits = MuxLimits::default();
            let end = mux::serve(connection, peer, handler, limits, &shutdown).await;
            service.replica.peer_left(number);
            if shutdown.is_requested() {
                debug!(peer = %number, %end, "the connection of a peer ended");
            } else {
                warn!(peer = %number, %end, "the connection of a peer ended");
            }
        })
    }
}

struct Answering {
    replica: Arc<Replica>,
    number: NodeNumber,
}

impl Handler for Answering {
    async fn handle(&self, _: &Authenticated, request: Frame) -> Frame {
        let Frame { head, payload } = request;
        let answer = self
            .replica
            .answer(self.number, Parcel { head, payload })
            .await;
        Frame {
            head: answer.head,
            payload: answer.payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use common::rpc::mux::Mux;
    use common::wire::report::NodeIdentity;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::super::fixture::{DEADLINE, accept, credentials, replica};
    use super::*;

    #[tokio::test]
    async fn a_tracker_is_asked_when_a_member_connects_that_is_not_known_yet() {
        let asked = Arc::new(AtomicU32::new(0));
        let asks = Arc::clone(&asked);
        let service = ReplicaService::new(replica(), PeerNumbers::default(), move || {
            asks.fetch_add(1, Ordering::Relaxed);
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let (_trigger, shutdown) = Shutdown::new();
        let serve = async {
            let own = credentials(NodeIdentity([1; 16]));
            let (connection, peer) = accept(&listener, &own).await;
            service.serve(connection, peer, shutdown).await;
        };
        let connect = async {
            let own = credentials(NodeIdentity([9; 16]));
            let limits = MuxLimits::default();
            let connected = Mux::connect(target, &own, Purpose::Replicate, limits).await;
            assert!(connected.is_err(), "it is told nothing yet");
        };
        let both = async { tokio::join!(serve, connect) };
        timeout(DEADLINE, both).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
