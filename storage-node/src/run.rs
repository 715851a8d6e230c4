//! The role as a whole: opens the stores, binds the ports, serves, drains, closes.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::env::Shutdown;
use common::id::VolumePath;
use common::limits;
use common::rpc::auth::Credentials;
use common::rpc::{self, AcceptLimits, accept_connections, refuse_busy};
use common::web::metrics::HttpMetrics;
use common::web::operations::{Operations, Readiness};
use common::wire::report::NodeIdentity;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::collector::StoreCollector;
use crate::error::OpenError;
use crate::http::{self, HttpSettings};
use crate::identity::IdentityError;
use crate::layout::LayoutError;
use crate::node::Node;
use crate::peers::{self, Group, MuxConnect, ReplicaService};
use crate::replica::FollowSettings;
use crate::report::{ReportHandle, ReportSettings, Reporter, TrackerState};
use crate::service::{Gate, Service, ServiceMetrics};
use crate::settings::Settings;
use crate::source::LocalBlobs;
use crate::store::{Committer, Maintenance};

/// Time between the trackers' knowing that this node stops and the end of its ports: clients that were
/// sent here before are on their way.
const LATECOMERS: Duration = Duration::from_millis(250);

/// Beside the volumes of each volume path: how far its scrub is.
const SCRUB_FILE: &str = "scrub.json";

/// A storage node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its identity cannot be used.
    #[error("the node's identity cannot be used")]
    Identity(#[from] IdentityError),
    /// What is on the disks is not where the settings look for it.
    #[error("the store paths are not what they were")]
    Layout(#[from] LayoutError),
    /// A volume path cannot be opened.
    #[error("cannot open {volume_path} in {}", directory.display())]
    Open {
        /// The store path.
        directory: PathBuf,
        /// The volume path.
        volume_path: VolumePath,
        /// Why.
        source: OpenError,
    },
    /// A port cannot be had.
    #[error("cannot listen on {address}; remedy: stop what listens there, or choose another port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A thread cannot be had.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// What is known of the peers cannot be read.
    #[error("cannot read what is known of the peers; remedy: look at the directory's permissions")]
    Peers(#[source] io::Error),
    /// The task that opens the stores ended early.
    #[error("opening was interrupted")]
    Interrupted,
    /// Counters cannot be registered.
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
}

/// A storage node that listens.
#[derive(Debug)]
pub struct StorageNode {
    settings: Settings,
    registry: Registry,
    node: Arc<Node>,
    committers: Vec<Committer>,
    listener: TcpListener,
    http_listener: TcpListener,
    address: SocketAddr,
    http_address: SocketAddr,
}

impl StorageNode {
    /// Opens the stores, which replays what a crash left behind, and binds both ports.
    pub async fn bind(settings: Settings, registry: &Registry) -> Result<Self, NodeError> {
        let (listener, address) = listen(settings.listen)?;
        let (http_listener, http_address) = listen(settings.http_listen)?;
        let opening = {
            let (settings, registry) = (settings.clone(), registry.clone());
            tokio::task::spawn_blocking(move || Node::open(&settings, &registry))
        };
        let (node, committers) = opening.await.map_err(|_| NodeError::Interrupted)??;
        node.set_ports(address.port(), http_address.port());
        info!(
            node = %node.number(),
            group = %node.group,
            storage = %address,
            http = %http_address,
            "storage node opened"
        );
        let registry = registry.clone();
        Ok(Self {
            settings,
            registry,
            node,
            committers,
            listener,
            http_listener,
            address,
            http_address,
        })
    }

    /// Where clients connect.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where HTTP clients connect.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_address
    }

    /// Serves until the signal. Then it tells the trackers, so that nobody is sent here any more,
    /// finishes what is under way for clients, with its peers still connected, ends these connections,
    /// and makes everything durable.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), NodeError> {
        let Self {
            settings,
            registry,
            node,
            committers,
            listener,
            http_listener,
            ..
        } = self;
        registry.register(Box::new(StoreCollector::new(Arc::clone(&node))?))?;
        let metrics = Arc::new(ServiceMetrics::register(&registry)?);
        let http_metrics = HttpMetrics::register(&registry, "storage")?;

        let credentials = Credentials::new(NodeIdentity(node.identity.store), &settings.secrets)
            .with_encryption(settings.encryption);
        let report = ReportSettings {
            credentials: credentials.clone(),
            trackers: settings.trackers.clone(),
            heartbeat: settings.heartbeat,
            ..ReportSettings::default()
        };
        let (reporter, handle) = Reporter::new(report, Arc::clone(&node));
        let members = handle.members();
        let operations = Operations::new(registry, readiness(&handle));
        let (closing, close_ports) = Shutdown::new();
        let (leaving, leave_peers) = Shutdown::new();
        let http_settings = HttpSettings {
            group: node.group,
            access: settings.access.clone(),
            limits: settings.http_limits,
        };
        let blobs = LocalBlobs(Arc::clone(&node));
        let downloads = http::serve(
            http_listener,
            blobs,
            http_settings,
            operations,
            http_metrics,
            close_ports.clone(),
        );

        let places = peers::load_places(&settings.state_directory).map_err(NodeError::Peers)?;
        let service = Arc::new(Service {
            node: Arc::clone(&node),
            metrics: Arc::clone(&metrics),
            buffers: Arc::new(Semaphore::new(limits::UPLOAD_BUFFERS_LEN_MAX)),
            address_width: settings.address_width,
            network_timeout: settings.network_timeout,
            gate: Gate::new(credentials.clone(), settings.allowed_hosts.clone()),
            peers: Arc::new(ReplicaService::new(
                Arc::clone(&node.replica),
                places.numbers(),
                move || handle.report_soon(),
            )),
        });
        let limits = AcceptLimits {
            connections_max: settings.connections_max,
            drain: settings.drain,
        };
        let signal = close_ports.clone();
        let requests = accept_connections(
            listener,
            limits,
            close_ports,
            |stream, peer| {
                metrics.refused.inc();
                // Once is news, a flood is not.
                let total = metrics.refused.get();
                if total.is_power_of_two() {
                    warn!(%peer, total, "connection refused; remedy: raise [storage] connections_max");
                }
                refuse_busy(stream);
            },
            move |stream, _| {
                let (service, signal) = (Arc::clone(&service), signal.clone());
                async move { service.serve(stream, signal).await }
            },
        );
        let group = Group {
            replica: Arc::clone(&node.replica),
            standing: Arc::clone(&node.standing),
            own: credentials.identity(),
            connect: Box::new(MuxConnect { credentials }),
            follow: FollowSettings {
                compare_every: settings.compare_interval,
                ..FollowSettings::default()
            },
            places,
        };
        let group = group.run(members.clone(), leave_peers);
        let background = node.stores().map(|(path, store)| {
            let mut work = Maintenance::new(store.local().clone(), settings.maintenance);
            let mut places = settings.store_paths.iter();
            if let Some(place) = places.find(|it| it.volume_paths.contains(&path)) {
                let directory = place.directory.join(path.to_string());
                work = work.with_scrub_file(directory.join(SCRUB_FILE));
            }
            work.run(shutdown.clone())
        });
        let background = futures_util::future::join_all(background);
        let serve = async {
            tokio::join!(requests, downloads);
            leaving.trigger();
        };
        let report = async {
            match reporter.run(shutdown.clone()).await {
                Ok(is_told) => {
                    shutdown.requested().await;
                    // One that is alone in its group has nobody to leave its clients to.
                    if is_told && 1 < members.borrow().members.len() {
                        sleep(LATECOMERS).await;
                    }
                }
                Err(error) => {
                    error!(%error, "the reports to the trackers ended early");
                    shutdown.requested().await;
                }
            }
            closing.trigger();
        };
        tokio::join!(serve, report, group, background);
        close(&node, committers).await
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), NodeError> {
    let failed = |source| NodeError::Listen { address, source };
    let listener = rpc::listen(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Makes everything durable and ends the committers.
async fn close(node: &Node, committers: Vec<Committer>) -> Result<(), NodeError> {
    node.close().await;
    let joined = tokio::task::spawn_blocking(move || {
        for committer in committers {
            committer.join();
        }
    });
    joined.await.map_err(|_| NodeError::Interrupted)?;
    info!("storage node closed");
    Ok(())
}

/// Ready once a tracker sends clients here.
fn readiness(
    handle: &ReportHandle,
) -> impl Fn() -> futures_util::future::BoxFuture<'static, Readiness> + Send + Sync + 'static {
    let states = handle.states();
    move || {
        let states = states.borrow().clone();
        let is_reporting = states
            .iter()
            .any(|status| matches!(status.state, TrackerState::Reporting { .. }));
        let readiness = if is_reporting {
            Readiness::Ready
        } else {
            let reason = |status: &crate::report::TrackerStatus| {
                format!("{}: {:?}", status.tracker, status.state)
            };
            Readiness::NotReady(states.iter().map(reason).collect())
        };
        Box::pin(async move { readiness })
    }
}
