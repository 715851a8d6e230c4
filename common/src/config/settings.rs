//! Every key of the configuration, described once.
//!
//! The doc comments are what `hayloft config print-default` prints, so they speak to operators:
//! full sentences, units, what happens at the limits.
#![expect(
    clippy::doc_markdown,
    clippy::doc_link_with_quotes,
    rustdoc::bare_urls,
    reason = "operators read these comments as text in a TOML file"
)]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::section::{row, section};
use super::types::{
    ByteSize, CatalogPlace, Durability, InstantUpload, Listing, LogFormat, Registration,
    ReservedSpace, StoreLookup, StorePathChoice, StoreServer, TokenlessWrites, WhenTooFew,
};
use crate::client::Address;
use crate::id::{GroupName, NodeNumber, VolumePath};
use crate::rpc::allowed_hosts::HostPattern;
use crate::secret::Secret;
use crate::web::anti_leech::Key;
use crate::web::network::Network;
use crate::web::origin::Origin;
use crate::wire::AddressWidth;

section! {
    /// Settings of every role.
    Config {
        /// Directory of everything that is kept: volumes, index, tracker membership, lock.
        /// One process at a time may use it.
        data_dir: PathBuf = "./data";
        /// Time that requests under way get to finish after SIGTERM; then they are cut off.
        drain: Duration = "20s" in "0s" to "1h";
        /// Threads that serve connections; 0 takes one per processor core.
        worker_threads: u32 = "0" in "0" to "1024";
    }
    sections {
        log: LogConfig;
        cluster: ClusterConfig;
        tracker: TrackerConfig;
        storage: StorageConfig;
        api: ApiConfig;
    }
}

section! {
    /// Log lines, which go to standard error.
    LogConfig {
        /// "text" for people or "json" for a log collector.
        format: LogFormat = "text";
        /// "error", "warn", "info", "debug" or "trace", also per module, as in "info,tracker=debug".
        /// The variable HAYLOFT_LOG wins over it.
        level: String = "info";
    }
    sections {}
}

section! {
    /// How many nodes of a group keep a change before its client is told that it is done.
    ReplicationConfig {
        /// Copies, the node's own included; a group of fewer nodes needs one from each.
        ack_copies: u32 = "2" in "1" to "32";
        /// What is done when fewer nodes than that answer: "degrade" keeps it on those that do, and the
        /// others get it when they are back; "refuse" refuses it.
        when_too_few: WhenTooFew = "degrade";
        /// Longest time without comparing everything with each peer, which finds what logs do not tell:
        /// lost and rotten records.
        compare_interval: Duration = "6h" in "1m" to "365d";
        /// Bytes per second that the node fetches from its peers while no client waits for them: when it
        /// is rebuilt, or gets what it missed. 0 for all that disks and network give.
        rebuild_rate: ByteSize = "0B";
    }
    sections {}
}

section! {
    /// What makes trackers and storage nodes one cluster: a secret that all of them know. Only who
    /// knows it can join, report or replicate. Clients and API servers need none.
    ClusterConfig {
        /// The secret, 16 bytes or more; the same on every tracker and storage node.
        /// `hayloft cluster secret` makes one. A file is the better place, see secret_file.
        secret: Option<Secret> = "";
        /// A file that holds the secret and that only the server's user may read. Without any secret,
        /// cluster.secret in data_dir is taken; `hayloft serve` makes that at its first start.
        secret_file: Option<PathBuf> = "";
        /// Another secret that is accepted too, so that the secret can be changed node by node:
        /// first give every node the new one here, then as its secret with the old one here, then
        /// remove the old one.
        secret_previous: Option<Secret> = "";
        /// Whether connections between members are encrypted (TLS 1.3; there are no certificates to make).
        /// A member with true refuses to go on without; one with false encrypts when the other side
        /// wants it. So first upgrade all, then set true on one after the other.
        tls: bool = "false";
    }
    sections {}
}

section! {
    /// The tracker knows groups, nodes and free space, and tells clients where to write and read.
    TrackerConfig {
        /// Where clients and storage nodes connect.
        listen: SocketAddr = "0.0.0.0:22122";
        /// More addresses for clients that expect other field widths or listing layouts:
        /// [{ listen = "0.0.0.0:22123", address_width = 46, listing = "current" }]
        extra_listeners: Vec<ExtraListener> = "";
        /// Where /healthz, /readyz and /metrics are served when the tracker runs alone;
        /// empty for nowhere. `hayloft serve` has them on the storage and API ports.
        http_listen: Option<SocketAddr> = "";
        /// The other trackers of the cluster; each storage node reports to all of them.
        peers: Vec<Address> = "";
        /// Clients that may connect: "*", addresses, networks such as "192.168.5.64/26", host names, and
        /// numbers in brackets as in "10.0.1.[1-15,20]" or "host[01-08].example.com". This machine
        /// itself and the nodes of the cluster always may.
        allow_hosts: Vec<HostPattern> = "*";
        /// Group of an upload that names none: "load_balance" (most free space),
        /// "round_robin" or "group" (always `store_group`).
        store_lookup: StoreLookup = "load_balance";
        /// The group for store_lookup = "group".
        store_group: Option<GroupName> = "";
        /// Node of the group: "round_robin", "first" (smallest number) or "priority"
        /// (smallest upload_priority).
        store_server: StoreServer = "round_robin";
        /// Volume path: "round_robin" or "load_balance" (most free space).
        store_path: StorePathChoice = "round_robin";
        /// Space that uploads never use: of each node ("10GiB"), or of each store path ("10%").
        /// Trackers and storage nodes should have the same value.
        reserved_space: ReservedSpace = "1GiB";
        /// A node that was silent for so long gets no more clients, at most a tenth later.
        /// Must be longer than the nodes' heartbeat.
        check_active: Duration = "2500ms" in "200ms" to "10min";
        /// A connection in the middle of a packet that makes no progress for so long is closed.
        network_timeout: Duration = "60s" in "100ms" to "1h";
        /// Connections at the same time on one address; one more is closed at once.
        connections_max: u32 = "8192" in "1" to "1000000";
    }
    sections {}
}

row! {
    /// One more address of the tracker.
    ExtraListener as "tables such as { listen = \"0.0.0.0:22123\", address_width = 46, listing = \"legacy\" }" {
        /// Where clients connect.
        listen: SocketAddr;
        /// Bytes of address fields.
        address_width: AddressWidth = "16";
        /// Layout of group and storage listings.
        listing: Listing = "current";
    }
}

section! {
    /// A storage node holds the blobs of one group.
    StorageConfig {
        /// Where clients connect with the FastDFS protocol.
        listen: SocketAddr = "0.0.0.0:23000";
        /// Where download links point to, and /healthz, /readyz and /metrics.
        http_listen: SocketAddr = "0.0.0.0:8888";
        /// HTTP connections at the same time; one more is closed at once.
        http_connections_max: u32 = "8192" in "1" to "1000000";
        /// The group that the node belongs to; part of every id, so it cannot be changed later.
        group: GroupName = "group1";
        /// The node's number, part of every id and unique in the cluster.
        /// 0 lets the node choose one at its first start and keep it.
        node_number: Option<NodeNumber> = "0";
        /// The address that trackers give to clients; empty for the one that trackers see.
        advertise_address: Option<IpAddr> = "";
        /// The trackers to report to. `hayloft serve` adds its own.
        trackers: Vec<Address> = "";
        /// Clients, API servers among them, that may connect to the storage port; see
        /// tracker.allow_hosts.
        allow_hosts: Vec<HostPattern> = "*";
        /// Time between two reports to the trackers.
        heartbeat: Duration = "1s" in "100ms" to "5min";
        /// Data directories, one per disk, and the volume paths that each holds:
        /// [{ dir = "/disk1/hayloft", volume_paths = ["M00"] }, { dir = "/disk2/hayloft" }]
        /// Without volume_paths a directory holds the one of its place in the list: M00, M01, ...
        /// An empty list means one directory below data_dir that holds M00.
        store_paths: Vec<StorePathConfig> = "";
        /// When an upload is acknowledged: "always" after it is on the disk (survives a power cut),
        /// "interval" or "os" after it is written (survives the end of the process only).
        durability: Durability = "always";
        /// Time between two syncs when durability is "interval"; what a power cut may cost.
        sync_interval: Duration = "1s" in "10ms" to "1h";
        /// Size of one volume file; the space is claimed when the file is created.
        volume_size: ByteSize = "1GiB" in "16MiB" to "32GiB";
        /// Space that uploads never use: of the node ("10GiB"), or of each store path ("10%").
        reserved_space: ReservedSpace = "1GiB";
        /// FastDFS connections at the same time; one more is closed at once.
        connections_max: u32 = "8192" in "1" to "1000000";
        /// A connection in the middle of a packet that makes no progress for so long is closed.
        network_timeout: Duration = "60s" in "100ms" to "1h";
        /// For store_server = "priority" on the tracker: the smallest number gets the uploads.
        upload_priority: u32 = "10";
        /// Memory for parts of the index that were read, in bytes.
        index_cache_size: ByteSize = "16MiB" in "1MiB" to "1TiB";
    }
    sections {
        compaction: CompactionConfig;
        scrub: ScrubConfig;
        replication: ReplicationConfig;
        anti_leech: AntiLeechConfig;
    }
}

row! {
    /// One data directory of a storage node.
    StorePathConfig as "tables such as { dir = \"/disk1/hayloft\", volume_paths = [\"M00\"] }" {
        /// The directory.
        dir: PathBuf;
        /// The volume paths that it holds; empty for the one of its place in the list.
        volume_paths: Vec<VolumePath> = "";
    }
}

section! {
    /// Compaction gives the space of deleted blobs back while the node serves.
    CompactionConfig {
        /// false keeps deleted blobs on the disk until `hayloft compact`.
        enabled: bool = "true";
        /// A volume file is rewritten when at least so many per cent of it are garbage.
        garbage_percent: u32 = "50" in "1" to "99";
        /// Bytes of volume files worked through per second and volume path; 0 for all the disk allows.
        rate: ByteSize = "32MiB";
        /// Time between two looks for volume files to rewrite.
        interval: Duration = "1min" in "1s" to "7d";
    }
    sections {}
}

section! {
    /// The scrub reads everything again and again to find rotten records before a client does.
    ScrubConfig {
        /// false leaves checking to reads.
        enabled: bool = "true";
        /// Bytes read per second and volume path.
        rate: ByteSize = "8MiB" in "64KiB" to "1TiB";
        /// Time from the end of one pass, or from the start, to the next pass.
        interval: Duration = "7d" in "1min" to "3650d";
    }
    sections {}
}

section! {
    /// Tokens against foreign sites that link to downloads (FastDFS anti-steal tokens).
    /// An API server that runs alone needs the same section.
    AntiLeechConfig {
        /// true refuses every download by HTTP whose link has no valid token.
        enabled: bool = "false";
        /// Secret keys; a token made with any of them is valid, so keys can be changed without a gap.
        /// Links are made by `hayloft url --key`.
        keys: Vec<Key> = "";
        /// Time that a token is valid after its timestamp.
        ttl: Duration = "10min" in "1s" to "3650d";
    }
    sections {}
}

section! {
    /// The API server: the image-host API, the web console, downloads of every group by HTTP, health
    /// and metrics.
    ApiConfig {
        /// Where HTTP clients connect.
        listen: SocketAddr = "0.0.0.0:8080";
        /// What links begin with, such as "https://img.example.com"; empty for the scheme and host that
        /// the client asked for. Set it when the server cannot know them, as behind a proxy that does
        /// not pass the Host header on.
        public_url: Option<String> = "";
        /// Certificate chain, PEM, the server's own first: the port then speaks HTTPS only.
        /// Needs tls_key. A renewed file is noticed within a minute.
        tls_certificate: Option<PathBuf> = "";
        /// Private key of tls_certificate, PEM.
        tls_key: Option<PathBuf> = "";
        /// Proxies whose X-Forwarded-For, -Proto and -Host, or Forwarded, are believed: addresses or
        /// networks such as ["127.0.0.1", "10.0.0.0/8"]. The proxy must set these headers itself.
        /// Without it, limits per address count all clients of a proxy as one.
        trusted_proxies: Vec<Network> = "";
        /// Origins of pages besides our own that may use the API, such as ["https://app.example.com"].
        allowed_origins: Vec<Origin> = "";
        /// Directory with another front end to serve at / in place of the console, which is then at
        /// /console/. Paths that its pages have get its index.html.
        web_dir: Option<PathBuf> = "";
        /// "open" lets everybody register, "closed" nobody.
        registration: Registration = "open";
        /// Uploads and changes of shares without a token, which old clients send: "bound" accepts them
        /// from an address where that user is logged in, "ticket" accepts uploads of what the user has
        /// just asked about with a token, "strict" accepts none, "compat" accepts all: then
        /// whoever knows a user's name can upload as that user.
        tokenless_writes: TokenlessWrites = "bound";
        /// Whether a user's name and password get a token of the 123pan API, as clientID and
        /// clientSecret: the latter is the MD5 of the password. Otherwise only applications get one.
        password_tokens: bool = "true";
        /// Size of the largest upload. Uploads are never in memory, so what it costs is disk space.
        upload_size_max: ByteSize = "100GiB" in "30MiB" to "16TiB";
        /// Size of the slices in which clients send big files: a power of two. Clients hold one in
        /// memory for each that is under way. Uploads that have begun keep theirs.
        slice_size: ByteSize = "16MiB" in "1MiB" to "64MiB";
        /// Whose content a client may have without sending it, by naming its digest: "global" means
        /// everybody's, as the documented APIs have it; "user" only one's own, for users that do not
        /// trust one another.
        instant_upload: InstantUpload = "global";
        /// Space for the files and open uploads of a new account, 0 for no limit. `hayloft user quota`
        /// changes it for one account.
        quota: ByteSize = "0";
        /// Time from a login until its token ends.
        session_life: Duration = "24h" in "1min" to "3650d";
        /// Where accounts, files and shares are kept: "embedded" in the data directory of this server, or
        /// a database that speaks PostgreSQL's wire, which several servers over one cluster may share:
        /// "postgres://user:password@host:5432/database?sslmode=verify-full". Without sslmode the
        /// connection is plain; sslrootcert names a PEM file with the certificates to trust.
        /// `hayloft catalog copy` takes what is kept from one to the other.
        catalog: CatalogPlace = "embedded";
        /// Time after which servers that share a catalog take an upload of another server, that was about
        /// to make a blob, for dead, and delete that blob. It must be longer than a server can be paused
        /// or its clock be wrong.
        abandoned_after: Duration = "10min" in "1s" to "1d";
        /// When an account, file entry or share is acknowledged, as storage.durability says for blobs.
        /// This and the two below are about the embedded catalog; a database has settings of its own.
        durability: Durability = "always";
        /// Time between two syncs when durability is "interval"; what a power cut may cost.
        sync_interval: Duration = "1s" in "10ms" to "1h";
        /// Memory for parts of the catalog of accounts, files and shares that were read.
        catalog_cache_size: ByteSize = "32MiB" in "1MiB" to "1TiB";
        /// Disk space for thumbnails, which are made again when they are needed again.
        thumbnail_cache_size: ByteSize = "1GiB" in "0" to "1TiB";
        /// The trackers to ask. `hayloft serve` adds its own.
        trackers: Vec<Address> = "";
        /// HTTP connections at the same time; one more is closed at once.
        connections_max: u32 = "8192" in "1" to "1000000";
        /// Connections kept open to each storage node.
        pool_size: u32 = "256" in "1" to "4096";
        /// A tracker or storage node that makes no progress for so long is given up.
        network_timeout: Duration = "30s" in "100ms" to "1h";
    }
    sections {
        rate_limits: RateLimitsConfig;
        weiyun: WeiyunConfig;
    }
}

section! {
    /// How often something may be tried before the API refuses for a while. An address is that of
    /// the client, see api.trusted_proxies; of an IPv6 address its first 64 bits count. A whole class
    /// of a hundred people behind one address stays far below the defaults. 0 means no limit.
    RateLimitsConfig {
        /// The time that all of these count in.
        window: Duration = "10min" in "1s" to "1d";
        /// New accounts per address.
        registrations: u32 = "1000";
        /// Logins with a wrong password per address.
        failed_logins: u32 = "300";
        /// Logins with a wrong password per account and address; from elsewhere its user gets in.
        failed_logins_per_account: u32 = "30";
        /// Questions per user after contents that are not here, which guessing of digests would be.
        digest_misses: u32 = "100000";
        /// Accepted uploads and changes of shares without a token per address.
        tokenless_writes: u32 = "100000";
        /// Calls of one kind with one token of the 123pan API; slices and completions do not count.
        calls: u32 = "0";
    }
    sections {}
}

section! {
    /// The upload API of Weiyun, at /weiyun, /ftn_handler and /oauth2.0.
    WeiyunConfig {
        /// Size of the largest file. One that comes in packets has less than 4 GiB besides.
        size_max: ByteSize = "10GiB" in "1MiB" to "16TiB";
        /// Domains whose Flash may use the API: names, "*.example.com" or "*".
        cross_domain: Vec<String> = "*";
        /// SHA-1 of files that nobody may upload by this API.
        blocked_sha1: Vec<String> = "";
        /// Users who may use this API; without any, all may.
        users: Vec<String> = "";
    }
    sections {}
}
