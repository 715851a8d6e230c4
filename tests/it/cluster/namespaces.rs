//! A network namespace for each member of a cluster, all on one bridge of this machine, where packets
//! from one member to another can be made to vanish and cables be pulled.
//!
//! Unlike behind a proxy, nobody accepts a connection for a member that is away, and what was lost is
//! sent again when TCP's timers say so. Clients stay where the tests run; they are on the bridge too.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use common::env::entropy;

use super::member::Member;

/// What names of namespaces, bridges and cables begin with, before the number of the process.
const PREFIX: &str = "hlt";
/// What the name of a bridge ends with.
const BRIDGE: &str = "br";
/// The interface of a member in its namespace.
const INTERFACE: &str = "eth0";
/// Nobody's hardware address: frames for it reach everybody and are dropped by everybody.
const NOBODY: &str = "02:00:00:00:00:01";
/// Where the kernel shows the namespaces that have names.
const NAMES: &str = "/run/netns";

/// The namespaces of a cluster; they go with the value.
#[derive(Debug)]
pub(super) struct Namespaces {
    name: String,
    /// Of the addresses on the bridge.
    prefix: [u8; 3],
    members: Vec<Member>,
    cuts: BTreeSet<(Member, Member)>,
    unplugged: BTreeSet<Member>,
}

impl Namespaces {
    /// Connects these members. An error says why that is not possible here.
    pub(super) fn connect(members: Vec<Member>) -> Result<Self, String> {
        static MADE: AtomicU8 = AtomicU8::new(0);
        remove_leftovers()?;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        // From here on an error removes what there is.
        let made = Self {
            name: format!("{PREFIX}{}{}", std::process::id(), letter(number)),
            prefix: free_prefix()?,
            members,
            cuts: BTreeSet::new(),
            unplugged: BTreeSet::new(),
        };
        let bridge = made.bridge();
        ip(&format!("link add {bridge} type bridge"))?;
        let own = made.address(Member::Client);
        ip(&format!("address add {own}/24 dev {bridge}"))?;
        ip(&format!("link set {bridge} up"))?;
        for member in &made.members {
            let (namespace, cable) = (made.namespace(*member), made.cable(*member));
            let address = made.address(*member);
            ip(&format!("netns add {namespace}"))?;
            ip(&format!(
                "link add {cable} type veth peer name {INTERFACE} netns {namespace}"
            ))?;
            ip(&format!("link set {cable} master {bridge} up"))?;
            let inside = format!("-n {namespace}");
            ip(&format!(
                "{inside} address add {address}/24 dev {INTERFACE}"
            ))?;
            ip(&format!("{inside} link set {INTERFACE} up"))?;
            ip(&format!("{inside} link set lo up"))?;
        }
        Ok(made)
    }

    /// Whether all of this can be had here; an error says why not.
    pub(super) fn probe() -> Result<(), String> {
        let [one, other] = [1, 2].map(Member::Node);
        let made = Self::connect(vec![one, other])?;
        let (namespace, address) = (made.path(one), made.address(other));
        // A firewall of this machine may filter what passes a bridge. Nobody listens there, and a
        // refusal is an answer.
        let script = format!("exec 3<>/dev/tcp/{address}/9");
        let output = Command::new("timeout")
            .args(["5", "nsenter", &format!("--net={}", namespace.display())])
            .args(["bash", "-c", &script])
            .env("LC_ALL", "C")
            .output();
        let output = output.map_err(|error| format!("timeout: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("Connection refused") {
            return Ok(());
        }
        Err(format!("namespaces do not reach each other: {said}"))
    }

    fn address(&self, member: Member) -> IpAddr {
        self.address_with(member.last_number())
    }

    /// The address that ends so.
    pub(super) fn address_with(&self, last: u8) -> IpAddr {
        let [one, two, three] = self.prefix;
        IpAddr::V4(Ipv4Addr::new(one, two, three, last))
    }

    /// Where the kernel shows the namespace of a member.
    pub(super) fn path(&self, member: Member) -> PathBuf {
        Path::new(NAMES).join(self.namespace(member))
    }

    /// Has packets of one member to another vanish.
    pub(super) fn cut(&mut self, from: Member, to: Member) {
        if from != to && self.cuts.insert((from, to)) {
            let neighbour = self.neighbour(from, to, "replace");
            ip(&format!("{neighbour} lladdr {NOBODY} nud permanent")).unwrap();
        }
    }

    /// Has nothing reach a member nor leave it, whoever the other end is.
    pub(super) fn unplug(&mut self, member: Member) {
        self.unplugged.insert(member);
        ip(&format!("link set {} down", self.cable(member))).unwrap();
    }

    /// Takes back all that was done to a member, and what concerned it of others.
    pub(super) fn heal(&mut self, member: Member) {
        if self.unplugged.remove(&member) {
            ip(&format!("link set {} up", self.cable(member))).unwrap();
        }
        let is_of = |(from, to): &(Member, Member)| [*from, *to].contains(&member);
        let (healed, cuts): (BTreeSet<_>, _) = self.cuts.iter().partition(|way| is_of(way));
        self.cuts = cuts;
        for (from, to) in healed {
            // It may have gone with a cable already.
            let _ = ip(&self.neighbour(from, to, "delete"));
        }
    }

    /// The beginning of a command about what a member takes for the hardware address of another.
    fn neighbour(&self, from: Member, to: Member, verb: &str) -> String {
        let (namespace, address) = (self.namespace(from), self.address(to));
        format!("-n {namespace} neighbour {verb} {address} dev {INTERFACE}")
    }

    fn bridge(&self) -> String {
        format!("{}{BRIDGE}", self.name)
    }

    fn namespace(&self, member: Member) -> String {
        format!("{}{}", self.name, member.last_number())
    }

    /// The end of a member's cable that is in the bridge. Names of interfaces have 15 bytes at most.
    fn cable(&self, member: Member) -> String {
        self.namespace(member)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // What was never made cannot be removed, and a failing test shall say why it failed itself.
        for member in &self.members {
            // A namespace lives on while its last connections end; its cable need not.
            let _ = ip(&format!("link delete {}", self.cable(*member)));
            let _ = ip(&format!("netns delete {}", self.namespace(*member)));
        }
        let _ = ip(&format!("link delete {}", self.bridge()));
    }
}

/// What tells clusters of this process apart.
fn letter(number: u8) -> char {
    char::from(b'a' + number % 26)
}

/// Removes what processes left that were killed.
fn remove_leftovers() -> Result<(), String> {
    for (folder, what) in [(NAMES, "netns"), ("/sys/class/net", "link")] {
        // Without a first namespace there is no folder.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let (owner, rest) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
            // Cables go with their namespaces.
            let is_cable = what == "link" && !rest.ends_with(BRIDGE);
            if !is_cable && !Path::new("/proc").join(owner).exists() {
                ip(&format!("{what} delete {name}"))?;
            }
        }
    }
    Ok(())
}

/// The first bytes of addresses that nobody here uses. They are of the range that is set aside for
/// tests of networks. Source: RFC 2544.
fn free_prefix() -> Result<[u8; 3], String> {
    for _ in 0..20 {
        let [two, three, ..] = entropy::random_u64().to_be_bytes();
        let prefix = [198, 18 + two % 2, three];
        let [one, two, three] = prefix;
        if ip(&format!("-4 route show {one}.{two}.{three}.0/24"))?.is_empty() {
            return Ok(prefix);
        }
    }
    Err("all addresses are in use".to_owned())
}

/// Runs `ip` with these words; what it said.
fn ip(words: &str) -> Result<String, String> {
    let output = Command::new("ip").args(words.split_whitespace()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("ip {words}: {}", text(&output.stderr)))
    }
}
