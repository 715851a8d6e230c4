//! The way from one node to another, and how it is made.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use common::id::NodeNumber;
use common::wire::report::NodeIdentity;
use futures_util::future::BoxFuture;
use storage_node::disk::MemoryDisk;
use storage_node::index::MemoryIndex;
use storage_node::peers::Connect;
use storage_node::replica::message::{Answer, Parcel, REPLICATION_VERSION, Request};
use storage_node::replica::{Link, LinkError};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::network::{Host, Network};
use crate::node::SimReplica;

/// How long a caller waits for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// Time between two signs of life, and how long one is waited for.
const PING: Duration = Duration::from_millis(300);

/// Makes links for one node.
#[derive(Debug)]
pub(crate) struct SimConnect {
    pub(crate) own: NodeIdentity,
    pub(crate) number: NodeNumber,
    pub(crate) network: Arc<Network>,
}

impl Connect<MemoryDisk, MemoryIndex> for SimConnect {
    fn connect(
        &self,
        identity: NodeIdentity,
        _number: NodeNumber,
        address: watch::Receiver<SocketAddr>,
        replica: Weak<SimReplica>,
    ) -> (Arc<dyn Link>, BoxFuture<'static, ()>) {
        let link = Arc::new(SimLink {
            from: self.number,
            own: self.own,
            peer: identity,
            address,
            network: Arc::clone(&self.network),
            is_up: AtomicBool::new(false),
        });
        let watching = Arc::clone(&link).watch(replica);
        (link, Box::pin(watching))
    }
}

#[derive(Debug)]
struct SimLink {
    from: NodeNumber,
    own: NodeIdentity,
    peer: NodeIdentity,
    address: watch::Receiver<SocketAddr>,
    network: Arc<Network>,
    is_up: AtomicBool,
}

impl SimLink {
    /// Watches whether the peer answers. Tells `replica` when that changes.
    async fn watch(self: Arc<Self>, replica: Weak<SimReplica>) {
        loop {
            let Some(replica) = replica.upgrade() else {
                return;
            };
            let ping = Request::Ping {
                version: REPLICATION_VERSION,
            };
            let ping = ping.encode(replica.stamp());
            let is_up = match timeout(PING, self.carry(ping)).await {
                Ok(Ok(parcel)) => match Answer::decode(parcel) {
                    Ok((stamp, _)) => {
                        replica.see(stamp);
                        true
                    }
                    Err(_) => false,
                },
                _ => false,
            };
            if self.is_up.swap(is_up, Ordering::Relaxed) != is_up {
                replica.peers_changed();
            }
            drop(replica);
            sleep(PING).await;
        }
    }

    fn carry(&self, request: Parcel) -> BoxFuture<'static, Result<Parcel, LinkError>> {
        let (own, peer) = (self.own, self.peer);
        let address = *self.address.borrow();
        let asked = Arc::clone(&self.network).ask_node(
            Host::Node(self.from),
            address,
            move |process| async move {
                // Both prove who they are, and a node answers only those that it was told of.
                let is_peer = process.identity == peer;
                let number = process.numbers.of(own).filter(|_| is_peer)?;
                Some(process.replica.answer(number, request).await)
            },
        );
        Box::pin(async move {
            match asked.await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(LinkError::Down("strangers".to_owned())),
                Err(_) => Err(LinkError::Down("no process".to_owned())),
            }
        })
    }
}

impl Link for SimLink {
    fn call(&self, request: Parcel) -> BoxFuture<'static, Result<Parcel, LinkError>> {
        let carried = self.carry(request);
        Box::pin(async move {
            timeout(CALL_TIMEOUT, carried)
                .await
                .unwrap_or(Err(LinkError::Silent))
        })
    }

    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }
}
