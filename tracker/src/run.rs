//! Accepts, ticks, persists, greets: the tasks of a tracker and their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::env::{Shutdown, entropy};
use common::limits;
use common::rpc::auth::{Credentials, NO_IDENTITY};
use common::rpc::{self, AcceptLimits, accept_connections, refuse_busy};
use common::wire::tracker::ClientDialect;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::cluster::Cluster;
use crate::error::TrackerError;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::service::Service;
use crate::settings::{ListenerSettings, Settings};
use crate::shared::{Attempt, Persistence, Shared};
use crate::snapshot::SnapshotStore;

/// Pause before registrations that could not be stored are stored again.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A tracker that listens but does not serve yet.
#[derive(Debug)]
pub struct Tracker {
    shared: Arc<Shared>,
    listeners: Vec<(TcpListener, SocketAddr, ClientDialect)>,
    store: Option<SnapshotStore>,
    limits: AcceptLimits,
    tick: Duration,
}

impl Tracker {
    /// Loads the registrations and listens on all addresses, within a runtime.
    pub fn bind(settings: Settings) -> Result<Self, TrackerError> {
        if limits::TRACKERS_MAX < settings.peers.len() {
            return Err(TrackerError::TooManyPeers {
                count: settings.peers.len(),
                max: limits::TRACKERS_MAX,
            });
        }
        let metrics = Metrics::register(&settings.registry)?;
        let store = match &settings.state_directory {
            Some(directory) => Some(SnapshotStore::open(directory)?),
            None => None,
        };
        let known = match &store {
            Some(store) => store.load()?,
            None => Vec::new(),
        };
        let mut listeners = Vec::with_capacity(settings.listeners.len());
        for ListenerSettings { address, dialect } in settings.listeners {
            let failed = |source| TrackerError::Listen { address, source };
            let listener = rpc::listen(address).map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            listeners.push((listener, bound, dialect));
        }
        let instance = entropy::random_u64();
        let own = listeners.first().map(|(_, bound, _)| *bound);
        let peers = Peers::new(
            settings.peers,
            instance,
            settings.peer_interval,
            settings.advertise,
            own.ok_or(TrackerError::NoListener)?,
        );
        let connections_max = settings.connections_max.saturating_mul(listeners.len());
        let shared = Shared::new(
            Cluster::new(settings.policy, known, instance),
            metrics,
            peers,
            Persistence::new(store.is_some()),
            Gate::new(
                Credentials::new(NO_IDENTITY, &settings.secrets)
                    .with_encryption(settings.encryption),
                settings.allowed_hosts,
            ),
            settings.network_timeout,
            u32::try_from(connections_max).unwrap_or(u32::MAX),
        );
        Ok(Self {
            shared: Arc::new(shared),
            listeners,
            store,
            limits: AcceptLimits {
                connections_max: settings.connections_max,
                drain: settings.drain,
            },
            tick: settings.tick,
        })
    }

    /// The tracker's own address: that of its first listener.
    pub fn local_addr(&self) -> SocketAddr {
        // `bind` refuses settings without a listener.
        let first = self.listeners.first();
        first.map_or_else(|| SocketAddr::from(([0; 4], 0)), |(_, bound, _)| *bound)
    }

    /// The addresses of all listeners, in the order of the settings.
    pub fn local_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|(_, bound, _)| *bound)
    }

    /// Serves until the signal, then lets requests under way finish and stores registrations a last
    /// time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts all connections off.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), TrackerError> {
        let shared = self.shared;
        // These outlive the listeners, whose last requests still need them.
        let (helpers_trigger, helpers_shutdown) = Shutdown::new();
        let mut helpers = JoinSet::new();
        helpers.spawn(tick(
            Arc::clone(&shared),
            self.tick,
            helpers_shutdown.clone(),
        ));
        for idx in 0..shared.peers.count() {
            let (shared, shutdown) = (Arc::clone(&shared), helpers_shutdown.clone());
            helpers.spawn(async move { shared.peers.watch(idx, &shared, &shutdown).await });
        }
        if let Some(store) = self.store {
            helpers.spawn(persist(Arc::clone(&shared), store, helpers_shutdown));
        }

        let mut listeners = JoinSet::new();
        for (listener, address, dialect) in self.listeners {
            info!(%address, ?dialect, "tracker listens");
            listeners.spawn(listen(
                Arc::clone(&shared),
                listener,
                dialect,
                self.limits,
                shutdown.clone(),
            ));
        }
        while let Some(ended) = listeners.join_next().await {
            ended?;
        }
        helpers_trigger.trigger();
        while let Some(ended) = helpers.join_next().await {
            ended?;
        }
        info!("tracker stopped");
        Ok(())
    }
}

async fn listen(
    shared: Arc<Shared>,
    listener: TcpListener,
    dialect: ClientDialect,
    limits: AcceptLimits,
    shutdown: Shutdown,
) {
    let refused = |stream: TcpStream, peer: SocketAddr| {
        let total = shared.metrics.refused();
        refuse_busy(stream);
        // Once is news, a flood is not.
        if total.is_power_of_two() {
            warn!(
                %peer, total, limit = limits.connections_max,
                "connection refused; remedy: raise [tracker] connections_max"
            );
        }
    };
    let serve = |stream: TcpStream, peer: SocketAddr| {
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        async move {
            // Fails only when the peer has gone already, which serving will find out.
            let local = stream.local_addr().unwrap_or(peer);
            Service::new(shared, dialect, peer, local)
                .serve(stream, shutdown)
                .await;
        }
    };
    accept_connections(listener, limits, shutdown.clone(), refused, serve).await;
}

async fn tick(shared: Arc<Shared>, period: Duration, shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(period);
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            _ = ticks.tick() => {}
        }
        let now = shared.now();
        let mut cluster = shared.cluster();
        for number in cluster.tick(now) {
            warn!(%number, "node is silent, taken out of service");
        }
        shared.metrics.observe(&cluster, &shared.peers);
    }
}

/// Stores registrations whenever they changed and somebody asks, and at the end.
async fn persist(shared: Arc<Shared>, store: SnapshotStore, shutdown: Shutdown) {
    loop {
        let is_last = tokio::select! {
            () = shutdown.requested() => true,
            () = shared.persistence.changed.notified() => false,
        };
        let is_stored = store_changes(&shared, &store).await;
        if is_last {
            return;
        }
        if !is_stored {
            tokio::time::sleep(STORE_AGAIN_AFTER).await;
            shared.persistence.changed.notify_one();
        }
    }
}

async fn store_changes(shared: &Shared, store: &SnapshotStore) -> bool {
    let attempts = &shared.persistence.attempts;
    let (generation, entries) = {
        let cluster = shared.cluster();
        (cluster.generation(), cluster.entries())
    };
    let last = *attempts.borrow();
    if last.is_stored && last.generation == generation {
        return true;
    }
    let store = store.clone();
    let stored = tokio::task::spawn_blocking(move || store.store(&entries)).await;
    let is_stored = match stored {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            shared.metrics.snapshot_failed();
            let error: &dyn std::error::Error = &error;
            error!(
                error,
                "registrations are not stored; remedy: see to disk and permissions"
            );
            false
        }
        Err(error) => {
            error!(%error, "storing registrations panicked");
            false
        }
    };
    attempts.send_replace(Attempt {
        generation,
        is_stored,
    });
    is_stored
}
