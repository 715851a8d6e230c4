//! Clusters of real processes on this machine.
//!
//! Every process has an address of its own (127.a.b.n, or one on a bridge), so that clusters of several
//! test processes do not meet.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use common::client::{Address, Client, ClientError, PoolSettings};
use common::wire::cluster::{ClusterStatus, NodeStatus};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::member::Member;
use super::namespaces::Namespaces;
use super::process::{Process, hayloft, last_words};
use super::proxy::Net;
use crate::support::chance;
use crate::support::deadline::{eventually, within};
use crate::support::http;
use crate::support::ports;
use crate::support::tell;

/// Time for a cluster to be whole again when nothing disturbs it any more.
pub(super) const HEALING_LIMIT: Duration = Duration::from_mins(1);
/// How long a client waits for an answer; longer than any pause of a process.
const PATIENCE: Duration = Duration::from_secs(12);

/// What is between members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// Nothing.
    Direct,
    /// A proxy in this process, which can be told to hold bytes up.
    Proxied,
    /// Cables, which can be pulled; only where [`Cluster::can_have_namespaces`].
    Namespaces,
}

/// What a cluster shall be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) trackers: usize,
    pub(super) nodes: usize,
    /// Lines of `[storage.replication]`.
    pub(super) replication: &'static str,
    pub(super) network: Network,
    /// Whether members encrypt what they say to each other.
    pub(super) is_encrypted: bool,
    /// Disks of each node, each with a volume path of its own; 0 for one below the data directory.
    pub(super) disks: usize,
}

impl Plan {
    /// Two trackers and three nodes with the defaults, directly connected.
    pub(super) const USUAL: Self = Self {
        trackers: 2,
        nodes: 3,
        replication: "ack_copies = 2",
        network: Network::Direct,
        is_encrypted: false,
        disks: 0,
    };
}

impl Default for Plan {
    fn default() -> Self {
        Self::USUAL
    }
}

/// Where a node listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// For packets.
    pub(super) storage: SocketAddr,
    /// For downloads.
    pub(super) http: SocketAddr,
}

/// A cluster that ends with the value.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) trackers: Vec<Process>,
    pub(super) nodes: Vec<Process>,
    pub(super) net: Net,
    pub(super) runtime: Runtime,
    namespaces: Option<Namespaces>,
    tracker_places: Vec<SocketAddr>,
    places: Vec<Place>,
    plan: Plan,
    block: [u8; 2],
    folder: TempDir,
}

impl Cluster {
    /// Makes a cluster, starts it, and waits until all nodes serve.
    pub(super) fn start(plan: Plan) -> Self {
        let mut cluster = Self::prepare(plan);
        for tracker in &mut cluster.trackers {
            tracker.spawn();
        }
        for node in &mut cluster.nodes {
            node.spawn();
        }
        for process in cluster.trackers.iter_mut().chain(&mut cluster.nodes) {
            process.wait_ready();
        }
        cluster.wait_whole();
        cluster.wait_connected();
        cluster
    }

    fn prepare(plan: Plan) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::Builder::new()
            .prefix("hayloft-cluster-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let [high, low, ..] = common::env::entropy::random_u64().to_be_bytes();
        let namespaces = (plan.network == Network::Namespaces)
            .then(|| Namespaces::connect(members(plan).collect()).unwrap());
        let mut cluster = Self {
            trackers: Vec::new(),
            nodes: Vec::new(),
            net: Net::new(runtime.handle().clone()),
            runtime,
            namespaces,
            tracker_places: Vec::new(),
            places: Vec::new(),
            plan,
            block: [16 + high % 200, low],
            folder,
        };
        cluster.write_secret("secret");
        cluster.tracker_places = (1..=plan.trackers)
            .map(|number| cluster.free_port(Member::Tracker(number).last_number()))
            .collect();
        for number in 1..=plan.trackers {
            let (name, listen) = (
                format!("tracker{number}"),
                cluster.tracker_places[number - 1],
            );
            let member = Member::Tracker(number);
            let peers = cluster.ways_to_trackers(member);
            let mut tracker = cluster.tracker_with(&name, listen, "secret", &peers);
            cluster.settle(&mut tracker, member);
            cluster.trackers.push(tracker);
        }
        for number in 1..=plan.nodes {
            let member = Member::Node(number);
            let place = Place {
                storage: cluster.free_port(member.last_number()),
                http: cluster.free_port(member.last_number()),
            };
            let mut node = cluster.node(&format!("node{number}"), number, place, "secret");
            cluster.settle(&mut node, member);
            cluster.nodes.push(node);
            cluster.places.push(place);
        }
        cluster
    }

    /// Makes a cluster secret in a file of that name.
    pub(super) fn write_secret(&self, name: &str) {
        let made = hayloft().args(["cluster", "secret"]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let file = self.folder.path().join(name);
        fs::write(&file, made.stdout).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// An address that nobody has, with this last number.
    pub(super) fn free_port(&self, last: u8) -> SocketAddr {
        if let Some(namespaces) = &self.namespaces {
            let any = ports::free(Ipv4Addr::LOCALHOST);
            return SocketAddr::new(namespaces.address_with(last), any.port());
        }
        let [high, low] = self.block;
        ports::free(Ipv4Addr::new(127, high, low, last))
    }

    /// Has a process that is not started yet run with the network of a member.
    fn settle(&self, process: &mut Process, member: Member) {
        if let Some(namespaces) = &self.namespaces {
            process.enter(namespaces.path(member));
        }
    }

    /// Whether namespaces can be made here; where not, says why.
    pub(super) fn can_have_namespaces() -> bool {
        let why = Namespaces::probe().err();
        if let Some(why) = &why {
            tell(format_args!("no namespaces can be made here: {why}"));
        }
        why.is_none()
    }

    /// Has nothing of a member's reach these others.
    pub(super) fn cut(&mut self, from: Member, to: Member) {
        match &mut self.namespaces {
            Some(namespaces) => namespaces.cut(from, to),
            None => self.net.cut(from, to),
        }
    }

    /// Has nothing reach a member nor leave it. Behind a proxy clients reach it still.
    pub(super) fn unplug(&mut self, member: Member) {
        if let Some(namespaces) = &mut self.namespaces {
            return namespaces.unplug(member);
        }
        for other in members(self.plan) {
            self.cut(other, member);
            self.cut(member, other);
        }
    }

    /// Takes back what was cut of a member's ways.
    pub(super) fn heal(&mut self, member: Member) {
        match &mut self.namespaces {
            Some(namespaces) => namespaces.heal(member),
            None => self.net.heal(member),
        }
    }

    /// Everybody but clients.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> + use<> {
        members(self.plan)
    }

    /// The way from a member to a tracker.
    fn way_to_tracker(&self, from: Member, number: usize) -> SocketAddr {
        let target = self.tracker_places[number - 1];
        let to = Member::Tracker(number);
        if self.plan.network != Network::Proxied || from == to {
            return target;
        }
        let [high, low] = self.block;
        let at = (Ipv4Addr::new(127, high, low, 9), 0).into();
        self.net.open(at, Some(from), to, target)
    }

    fn ways_to_trackers(&self, from: Member) -> Vec<String> {
        (1..=self.plan.trackers)
            .map(|number| self.way_to_tracker(from, number).to_string())
            .collect()
    }

    /// A tracker at this address that is not started.
    pub(super) fn tracker_at(&self, name: &str, listen: SocketAddr, secret: &str) -> Process {
        self.tracker_with(name, listen, secret, &[])
    }

    fn tracker_with(
        &self,
        name: &str,
        listen: SocketAddr,
        secret: &str,
        peers: &[String],
    ) -> Process {
        let config = format!(
            "[cluster]\nsecret_file = {:?}\ntls = {}\n\
             [tracker]\nlisten = \"{listen}\"\npeers = {peers:?}\nreserved_space = \"100MiB\"\n",
            self.folder.path().join(secret),
            self.plan.is_encrypted
        );
        Process::new(self.folder.path(), name, "tracker", &config)
    }

    /// A storage node that is not started.
    pub(super) fn node(&self, name: &str, number: usize, place: Place, secret: &str) -> Process {
        let member = Member::Node(number);
        let trackers = self.ways_to_trackers(member);
        self.node_with(name, number, place, secret, &trackers)
    }

    /// A storage node that reports to these trackers and is not started.
    pub(super) fn node_with(
        &self,
        name: &str,
        number: usize,
        place: Place,
        secret: &str,
        trackers: &[String],
    ) -> Process {
        let member = Member::Node(number);
        let mut storage = format!(
            "listen = \"{}\"\nhttp_listen = \"{}\"\nnode_number = {number}\n\
             trackers = {trackers:?}\nvolume_size = \"64MiB\"\nreserved_space = \"100MiB\"\n",
            place.storage, place.http
        );
        if self.plan.network == Network::Proxied {
            // The same port on another address: that is where the proxy listens.
            let [high, low] = self.block;
            let front = Ipv4Addr::new(127, high, low, u8::try_from(200 + number).unwrap());
            let at = SocketAddr::new(IpAddr::V4(front), place.storage.port());
            self.net.open(at, None, member, place.storage);
            storage = format!("{storage}advertise_address = \"{front}\"\n");
        }
        let disks = (0..self.plan.disks).map(|disk| {
            let directory = self.disk(number, disk);
            format!("{{ dir = {directory:?} }}")
        });
        let disks: Vec<String> = disks.collect();
        storage = format!("{storage}store_paths = [{}]\n", disks.join(", "));
        let config = format!(
            "[cluster]\nsecret_file = {:?}\ntls = {}\n\
             [storage]\n{storage}[storage.replication]\n{}\n",
            self.folder.path().join(secret),
            self.plan.is_encrypted,
            self.plan.replication
        );
        let node = Process::new(self.folder.path(), name, "storage", &config);
        self.net.know(member, identity_file(&node));
        node
    }

    /// The directory that is a disk of a node, from 0.
    pub(super) fn disk(&self, number: usize, disk: usize) -> PathBuf {
        self.folder.path().join(format!("node{number}.disk{disk}"))
    }

    /// An API server that is not started, and its address.
    pub(super) fn api(&self, settings: &str) -> (Process, SocketAddr) {
        let listen = self.free_port(Member::Api.last_number());
        let trackers = self.tracker_addresses();
        let trackers: Vec<String> = trackers.iter().map(ToString::to_string).collect();
        let config = format!("[api]\nlisten = \"{listen}\"\ntrackers = {trackers:?}\n{settings}\n");
        let mut process = Process::new(self.folder.path(), "api", "api", &config);
        self.settle(&mut process, Member::Api);
        (process, listen)
    }

    /// Where the node with that number listens.
    pub(super) fn place(&self, number: usize) -> Place {
        self.places[number - 1]
    }

    /// Where all nodes listen, by number from 1.
    pub(super) fn places(&self) -> Vec<Place> {
        self.places.clone()
    }

    /// What nodes and trackers call a node: host and port.
    pub(super) fn announced(&self, number: usize) -> String {
        self.place(number).storage.to_string()
    }

    /// Where the trackers listen.
    pub(super) fn tracker_addresses(&self) -> Vec<Address> {
        self.tracker_places
            .iter()
            .copied()
            .map(Address::from)
            .collect()
    }

    /// A client that knows all trackers.
    pub(super) fn client(&self) -> Client {
        client(self.tracker_addresses())
    }

    /// A client that knows one tracker only.
    pub(super) fn client_of(&self, tracker: usize) -> Client {
        client(vec![self.tracker_places[tracker - 1].into()])
    }

    /// How a tracker sees the cluster.
    pub(super) fn status(&self, tracker: usize) -> Result<ClusterStatus, ClientError> {
        self.status_at(self.tracker_places[tracker - 1])
    }

    /// How the tracker at an address sees the cluster.
    pub(super) fn status_at(&self, tracker: SocketAddr) -> Result<ClusterStatus, ClientError> {
        let client = client(vec![tracker.into()]);
        self.runtime.block_on(async {
            let status = client.trackers().status().await;
            client.close().await;
            status
        })
    }

    /// How a tracker sees a node.
    pub(super) fn node_status(&self, tracker: usize, number: usize) -> Option<NodeStatus> {
        let groups = self.status(tracker).ok()?.groups;
        let mut nodes = groups.into_iter().flat_map(|group| group.nodes);
        nodes.find(|node| usize::try_from(node.number) == Ok(number))
    }

    /// What a tracker heard from a node since that connected; a tracker shows what it heard before until
    /// then, and uses nothing of it.
    pub(super) fn heard_of(&self, tracker: usize, number: usize) -> Option<NodeStatus> {
        let node = self.node_status(tracker, number)?;
        (node.is_alive && node.state != "online").then_some(node)
    }

    /// Waits until every running tracker has every running node in service and no other one.
    pub(super) fn wait_whole(&self) {
        let mut why = String::new();
        let whole = within(HEALING_LIMIT, || {
            why = self.what_is_missing().unwrap_or_default();
            why.is_empty().then_some(())
        });
        assert!(whole.is_some(), "not whole within {HEALING_LIMIT:?}: {why}");
    }

    /// Waits until a node has followed its peers to where they are now: behind its next two looks at
    /// each of their logs nothing was left.
    pub(super) fn wait_followed(&self, number: usize) {
        let address = self.place(number).http;
        let peers = running(&self.nodes).len() - 1;
        // One value for each running peer and volume path. A node that has just started may not have met all of them.
        let values = |name: &str| -> Option<Vec<u64>> {
            let metrics = http::get(address, "/metrics").text();
            let start = format!("hayloft_replication_{name}{{");
            let lines = metrics.lines().filter(|line| line.starts_with(&start));
            let values = lines.filter_map(|line| line.rsplit(' ').next());
            let values: Vec<u64> = values.filter_map(|value| value.parse().ok()).collect();
            (values.len() == peers * self.plan.disks.max(1)).then_some(values)
        };
        let what = format!("node {number} follows its peers");
        let before = eventually(&what, HEALING_LIMIT, || values("looks"));
        eventually(&what, HEALING_LIMIT, || {
            let looks = values("looks")?;
            let mut looks = looks.iter().zip(&before);
            let has_looked = looks.all(|(now, before)| before + 2 <= *now);
            let behind = values("behind_bytes")?;
            (has_looked && behind.iter().all(|behind| *behind == 0)).then_some(())
        });
    }

    /// Waits until all running nodes have all that others acknowledged without them. Nothing may be
    /// changed meanwhile.
    ///
    /// What trackers and nodes say of themselves is not enough: a tracker may have it from before a
    /// node was killed, and a change with enough copies may still be on its way to one more node.
    pub(super) fn wait_copied(&self) {
        self.wait_whole();
        for number in running(&self.nodes) {
            self.wait_followed(number);
        }
        eventually("no record has too few copies", HEALING_LIMIT, || {
            let nodes = (1..=self.plan.nodes).map(|number| self.node_status(1, number));
            let short: Option<Vec<u64>> = nodes.map(|node| Some(node?.under_replicated)).collect();
            (short?.iter().sum::<u64>() == 0).then_some(())
        });
    }

    /// What is missing until all is well; `None` if nothing is.
    fn what_is_missing(&self) -> Option<String> {
        for tracker in running(&self.trackers) {
            let status = match self.status(tracker) {
                Ok(status) => status,
                Err(error) => return Some(format!("tracker {tracker}: {error}")),
            };
            let nodes: Vec<&NodeStatus> = status
                .groups
                .iter()
                .flat_map(|group| &group.nodes)
                .collect();
            for number in running(&self.nodes) {
                let node = nodes.iter().find(|node| node.number as usize == number);
                let Some(node) = node else {
                    return Some(format!("tracker {tracker} does not know node {number}"));
                };
                let is_complete = node.paths.iter().all(|path| path.is_complete);
                if !node.is_alive || node.state != "active" || !is_complete {
                    return Some(format!("tracker {tracker} says of node {number}: {node:?}"));
                }
            }
            let alive = nodes.iter().filter(|node| node.is_alive).count();
            if alive != running(&self.nodes).len() {
                return Some(format!("tracker {tracker} takes {alive} nodes for alive"));
            }
        }
        None
    }

    /// Waits until all nodes are connected to each other, which shows in how many connections each
    /// has.
    fn wait_connected(&self) {
        let others = self.plan.nodes.saturating_sub(1) as u64;
        eventually("nodes connect to each other", HEALING_LIMIT, || {
            let connections = (1..=self.plan.nodes)
                .filter_map(|number| self.node_status(1, number))
                .filter(|node| others <= node.connections);
            (connections.count() == self.plan.nodes).then_some(())
        });
    }

    /// Waits until no tracker takes a node for alive.
    pub(super) fn wait_dead(&self, number: usize) {
        for tracker in 1..=self.plan.trackers {
            eventually("a node leaves service", HEALING_LIMIT, || {
                let node = self.node_status(tracker, number)?;
                (!node.is_alive).then_some(())
            });
        }
    }

    /// Runs `hayloft cluster` with these arguments; what it said.
    pub(super) fn order(&self, arguments: &[&str]) -> Result<String, String> {
        let output = hayloft()
            .arg("cluster")
            .args(arguments)
            .arg("--config")
            .arg(self.trackers[0].config())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }
}

fn members(plan: Plan) -> impl Iterator<Item = Member> {
    let trackers = (1..=plan.trackers).map(Member::Tracker);
    let nodes = (1..=plan.nodes).map(Member::Node);
    trackers.chain(nodes).chain([Member::Api])
}

/// Numbers of the processes that run.
fn running(processes: &[Process]) -> Vec<usize> {
    let numbered = processes.iter().enumerate();
    let running = numbered.filter(|(_, process)| process.is_started());
    running.map(|(idx, _)| idx + 1).collect()
}

/// Where a node keeps who it is.
pub(super) fn identity_file(node: &Process) -> PathBuf {
    node.data_dir().join("storage").join("node.json")
}

/// A client of these trackers.
fn client(trackers: Vec<Address>) -> Client {
    let settings = PoolSettings {
        connect_timeout: Duration::from_secs(2),
        network_timeout: PATIENCE,
        ..PoolSettings::default()
    };
    Client::new(trackers, settings).unwrap()
}

/// The seed of this test, which is printed.
pub(super) fn seed() -> u64 {
    let seed = chance::seed();
    println!("seed {seed}: repeat with HAYLOFT_TEST_SEED={seed}");
    seed
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let name = self.folder.path().file_name().unwrap_or_default();
        let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("failed")
            .join(name);
        // The test has failed already, so nothing is made of a second failure.
        let _ = fs::create_dir_all(&kept);
        tell(format_args!(
            "logs of all processes are in {}",
            kept.display()
        ));
        let files = fs::read_dir(self.folder.path()).into_iter().flatten();
        let mut logs: Vec<_> = files.flatten().map(|file| file.path()).collect();
        logs.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
        logs.sort();
        for log in logs {
            let name = log.file_name().unwrap_or_default();
            let _ = fs::copy(&log, kept.join(name));
            tell(format_args!(
                "--- {}:\n{}",
                name.display(),
                last_words(&log)
            ));
        }
    }
}
