//! A connection to one peer, made again and again.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use common::id::NodeNumber;
use common::rpc::auth::{Credentials, Purpose};
use common::rpc::mux::{Frame, Mux, MuxError, MuxLimits};
use common::wire::report::NodeIdentity;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::Connect;
use crate::disk::OsDisk;
use crate::index::RocksIndex;
use crate::replica::message::{
    Answer, Parcel, REPLICATION_VERSION, Request, VersionError, check_version,
};
use crate::replica::{Link, LinkError, Replica};

/// Pause before the first attempt to connect again; doubles with each that fails.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The way to one peer.
pub(crate) struct MuxLink {
    number: NodeNumber,
    mux: Mutex<Option<Mux>>,
}

impl fmt::Debug for MuxLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MuxLink")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// Why a connection was not kept.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error(transparent)]
    Mux(#[from] MuxError),
    #[error("another node answers there")]
    Stranger,
    #[error("the peer does not say what it knows")]
    Greeting(#[from] LinkError),
    #[error(transparent)]
    Version(#[from] VersionError),
}

/// Connects to peers with what proves that this node belongs to their cluster.
#[derive(Clone, Debug)]
pub(crate) struct MuxConnect {
    pub(crate) credentials: Credentials,
}

impl Connect<OsDisk, RocksIndex> for MuxConnect {
    fn connect(
        &self,
        identity: NodeIdentity,
        number: NodeNumber,
        address: watch::Receiver<SocketAddr>,
        replica: Weak<Replica>,
    ) -> (Arc<dyn Link>, BoxFuture<'static, ()>) {
        let link = Arc::new(MuxLink::new(number));
        let closing = CloseOnDrop(Arc::clone(&link));
        let credentials = self.credentials.clone();
        let connecting = Box::pin(async move {
            let link = Arc::clone(&closing.0);
            link.keep_connected(identity, credentials, address, replica)
                .await;
        });
        (link, connecting)
    }
}

/// Ends the connection with the work that keeps it.
struct CloseOnDrop(Arc<MuxLink>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl MuxLink {
    fn new(number: NodeNumber) -> Self {
        Self {
            number,
            mux: Mutex::default(),
        }
    }

    fn mux(&self) -> MutexGuard<'_, Option<Mux>> {
        self.mux.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection.
    fn close(&self) {
        self.mux().take();
    }

    /// Connects to the peer wherever it is, and again when the connection ends. Ends with `replica`.
    async fn keep_connected(
        self: Arc<Self>,
        identity: NodeIdentity,
        credentials: Credentials,
        mut address: watch::Receiver<SocketAddr>,
        replica: Weak<Replica>,
    ) {
        let mut pause = RETRY_MIN;
        let mut is_news = true;
        loop {
            let target = *address.borrow_and_update();
            let Some(node) = replica.upgrade() else {
                return;
            };
            match self.connect(target, identity, &credentials, &node).await {
                Ok(mux) => {
                    let tls = mux.authenticated().is_encrypted();
                    info!(peer = %self.number, address = %target, tls, "connected to a peer");
                    (pause, is_news) = (RETRY_MIN, true);
                    *self.mux() = Some(mux.clone());
                    node.peers_changed();
                    drop(node);
                    let ended = tokio::select! {
                        end = mux.ended() => end.to_string(),
                        moved = address.changed() => match moved {
                            Ok(()) => "it has another address".to_owned(),
                            Err(_) => return,
                        },
                    };
                    self.close();
                    if let Some(node) = replica.upgrade() {
                        node.peers_changed();
                    }
                    warn!(peer = %self.number, ended, "a peer was lost");
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    if std::mem::take(&mut is_news) {
                        warn!(peer = %self.number, address = %target, error, "no way to a peer");
                    } else {
                        debug!(peer = %self.number, address = %target, error, "no way to a peer");
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn connect(
        &self,
        target: SocketAddr,
        identity: NodeIdentity,
        credentials: &Credentials,
        replica: &Replica,
    ) -> Result<Mux, ConnectError> {
        let limits = MuxLimits::default();
        let mux = Mux::connect(target, credentials, Purpose::Replicate, limits).await?;
        if mux.authenticated().peer() != identity {
            return Err(ConnectError::Stranger);
        }
        // Whatever this node decides from here on is newer than what the peer knows.
        let ping = Request::Ping {
            version: REPLICATION_VERSION,
        };
        let greeting = call(&mux, ping.encode(replica.stamp())).await?;
        let (stamp, answer) = Answer::decode(greeting).map_err(LinkError::from)?;
        let Answer::Pong { version } = answer else {
            return Err(LinkError::Unexpected.into());
        };
        // There is one version so far, so nothing else depends on it.
        check_version(version)?;
        replica.see(stamp);
        Ok(mux)
    }
}

async fn call(mux: &Mux, parcel: Parcel) -> Result<Parcel, LinkError> {
    let Parcel { head, payload } = parcel;
    match mux.call(Frame { head, payload }).await {
        Ok(Frame { head, payload }) => Ok(Parcel { head, payload }),
        Err(MuxError::Deadline(_)) => Err(LinkError::Silent),
        Err(error) => Err(LinkError::Down(error.to_string())),
    }
}

impl Link for MuxLink {
    fn call(&self, request: Parcel) -> BoxFuture<'static, Result<Parcel, LinkError>> {
        let mux = self.mux().clone();
        Box::pin(async move {
            match mux {
                Some(mux) => call(&mux, request).await,
                None => Err(LinkError::Down("not connected".to_owned())),
            }
        })
    }

    fn is_up(&self) -> bool {
        self.mux().as_ref().is_some_and(Mux::is_open)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use common::env::Shutdown;
    use common::rpc::auth::Authenticated;
    use common::rpc::mux::{self, Handler};
    use tokio::net::TcpListener;

    use super::super::fixture::{accept, credentials, replica};
    use super::*;
    use crate::format::Stamp;
    use crate::replica::message::version_for;

    const PEER: NodeIdentity = NodeIdentity([9; 16]);
    /// What the peer has seen.
    const STAMP: u64 = 1 << 50;

    /// A peer of another release: it answers the first request with these bytes behind its stamp.
    #[derive(Clone)]
    struct OtherRelease(&'static [u8]);

    impl Handler for OtherRelease {
        async fn handle(&self, _: &Authenticated, request: Frame) -> Frame {
            let Frame { head, payload } = request;
            let (_, asked) = Request::decode(Parcel { head, payload }).unwrap();
            let version = REPLICATION_VERSION;
            assert_eq!(asked, Request::Ping { version });
            Frame {
                head: [&STAMP.to_be_bytes()[..], self.0].concat().into(),
                payload: Bytes::new(),
            }
        }
    }

    /// Connects to a peer that gives this answer; whether this node has seen then what the peer has.
    async fn connect(answer: &'static [u8]) -> Result<bool, String> {
        let replica = replica();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let (_trigger, shutdown) = Shutdown::new();
        let serve = async {
            let (connection, peer) = accept(&listener, &credentials(PEER)).await;
            let handler = Arc::new(OtherRelease(answer));
            let limits = MuxLimits::default();
            mux::serve(connection, peer, handler, limits, &shutdown).await
        };
        let link = MuxLink::new(NodeNumber::try_from(9).unwrap());
        let own = credentials(NodeIdentity([1; 16]));
        let connected = tokio::select! {
            connected = link.connect(target, PEER, &own, &replica) => connected,
            end = serve => panic!("the peer ended first: {end}"),
        };
        match connected {
            Ok(_) => Ok(Stamp(STAMP) <= replica.stamp()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn a_newer_peer_that_speaks_this_version_is_a_peer_also_if_it_says_more() {
        assert_eq!(connect(&[12, 0, 1]).await, Ok(true));
        assert_eq!(connect(&[12, 0, 1, 44, 45]).await, Ok(true));
    }

    #[tokio::test]
    async fn a_peer_without_a_common_version_is_none_and_the_reason_names_the_remedy() {
        for (answer, theirs) in [(&[12, 0, 0], "version 0"), (&[12, 0, 2], "version 2")] {
            let error = connect(answer).await.unwrap_err();
            assert!(
                error.contains(theirs) && error.contains("upgrade"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_newer_peer_is_answered_with_the_version_that_this_node_speaks() {
        // A later version may append to its first request.
        let head = [&7_u64.to_be_bytes()[..], &[9, 0, 200, 1, 2, 3]].concat();
        let parcel = Parcel {
            head: head.into(),
            payload: Bytes::new(),
        };
        let (_, request) = Request::decode(parcel).unwrap();
        assert_eq!(request, Request::Ping { version: 200 });
        assert_eq!(version_for(200), REPLICATION_VERSION);
        assert_eq!(check_version(version_for(200)), Ok(REPLICATION_VERSION));
    }
}
