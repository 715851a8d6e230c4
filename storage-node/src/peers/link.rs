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
use crate::replica::message::{Answer, Parcel, Request};
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
                    info!(peer = %self.number, address = %target, "connected to a peer");
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
        let greeting = call(&mux, Request::Ping.encode(replica.stamp())).await?;
        let (stamp, _) = Answer::decode(greeting).map_err(LinkError::from)?;
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
