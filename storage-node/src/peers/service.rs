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
}

impl fmt::Debug for ReplicaService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaService").finish_non_exhaustive()
    }
}

impl ReplicaService {
    pub(crate) fn new(replica: Arc<Replica>, numbers: PeerNumbers) -> Self {
        Self { replica, numbers }
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
                // It connects again, and by then a tracker may have told of it.
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
