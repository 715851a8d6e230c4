//! Orders, and waiting until they can be carried out.

use std::time::Duration;

use common::client::{Address, Client, PoolSettings};
use common::env::clock;
use common::rpc::auth::Credentials;
use common::wire::cluster::{
    ClusterStatus, GroupStatus, NodeStatus, Order, OrderAnswer, OrderRequest, Target,
};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::connection;
use crate::cli::output::{self, Failure};

/// Time between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long to wait.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Patience {
    /// Wait until it is possible, and show progress
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after so many seconds; the target stays drained
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

/// Gives orders to the trackers.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) trackers: Vec<Address>,
    /// What proves that the operator may give orders.
    pub(super) credentials: Credentials,
    pub(super) json: bool,
}

impl Orders {
    /// Gives one order that is carried out at once or not at all.
    pub(super) async fn give(&self, target: Target, order: Order) -> Result<(), Failure> {
        match self.ask(target, order).await? {
            OrderAnswer::Done => self.report(target, order),
            OrderAnswer::Wait { reason } | OrderAnswer::Refused { reason } => {
                Err(Failure::Order(reason))
            }
        }
    }

    /// Drains, and waits until the target could be removed.
    pub(super) async fn drain(&self, target: Target, patience: Patience) -> Result<(), Failure> {
        self.give(target, Order::Drain).await?;
        if !patience.wait {
            return Ok(());
        }
        let client = Client::new(self.trackers.clone(), PoolSettings::default())?;
        let waited = self
            .until(patience, async || {
                let status = client.trackers().status().await?;
                Ok(unfinished(&status, target))
            })
            .await;
        client.close().await;
        waited?;
        self.say(
            &json!({ "target": target.to_string(), "state": "drained" }),
            || format!("{target} can be removed: hayloft cluster remove …"),
        )
    }

    /// Removes; with patience, drains before and waits until nothing keeps it.
    pub(super) async fn remove(
        &self,
        target: Target,
        remove: Order,
        patience: Patience,
    ) -> Result<(), Failure> {
        if !patience.wait {
            return match self.ask(target, remove).await? {
                OrderAnswer::Done => self.report(target, remove),
                OrderAnswer::Wait { reason } => Err(Failure::Order(format!(
                    "{reason}; with --wait the command waits for that"
                ))),
                OrderAnswer::Refused { reason } => Err(Failure::Order(reason)),
            };
        }
        // What was removed before cannot be drained; the removal then says what is to say.
        let _: OrderAnswer = self.ask(target, Order::Drain).await?;
        self.until(patience, async || match self.ask(target, remove).await? {
            OrderAnswer::Done => Ok(None),
            OrderAnswer::Wait { reason } => Ok(Some(reason)),
            OrderAnswer::Refused { reason } => Err(Failure::Order(reason)),
        })
        .await?;
        self.report(target, remove)
    }

    /// Looks again and again until nothing is left to wait for, and tells what changed meanwhile.
    async fn until(
        &self,
        patience: Patience,
        mut look: impl AsyncFnMut() -> Result<Option<String>, Failure>,
    ) -> Result<(), Failure> {
        let began = clock::monotonic();
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = String::new();
        loop {
            ticks.tick().await;
            let what = match look().await {
                Ok(None) => return Ok(()),
                Ok(Some(what)) => what,
                // A tracker that restarts is no reason to give up.
                Err(Failure::Client(error)) if error.is_unreachable() => {
                    format!("no tracker answers: {error}")
                }
                Err(failure) => return Err(failure),
            };
            if what != told {
                if self.json {
                    output::json(&json!({ "waiting": &what }))?;
                } else {
                    output::note(&what);
                }
                told = what;
            }
            let limit = patience.timeout.map(Duration::from_secs);
            let waited = clock::monotonic().saturating_duration_since(began);
            if limit.is_some_and(|limit| limit <= waited) {
                return Err(Failure::Order(format!(
                    "not done within {} s: {told}; it stays drained, so give the order again, or \
                     take it back with undrain",
                    waited.as_secs()
                )));
            }
        }
    }

    async fn ask(&self, target: Target, order: Order) -> Result<OrderAnswer, Failure> {
        connection::give(
            &self.trackers,
            &self.credentials,
            OrderRequest { order, target },
        )
        .await
    }

    fn report(&self, target: Target, order: Order) -> Result<(), Failure> {
        let (state, text) = match order {
            Order::Drain => ("draining", "takes no new files"),
            Order::Undrain => ("undrained", "takes new files again"),
            Order::ReadOnly => ("read-only", "is read-only"),
            Order::Writable => ("writable", "is writable again"),
            Order::Remove { release: false, .. } => ("removed", "is removed"),
            Order::Remove { release: true, .. } => ("removed", "is removed, its number is free"),
        };
        self.say(
            &json!({ "target": target.to_string(), "state": state }),
            || format!("{target} {text}"),
        )
    }

    fn say(&self, json: &serde_json::Value, text: impl Fn() -> String) -> Result<(), Failure> {
        if self.json {
            output::json(json)
        } else {
            output::line(&text())
        }
    }
}

/// What keeps a drained target from being removed, as far as the status tells.
fn unfinished(status: &ClusterStatus, target: Target) -> Option<String> {
    match target {
        Target::Node(number) => {
            let is_it = |node: &NodeStatus| node.number == number.get();
            let mut groups = status.groups.iter();
            let group = groups.find(|group| group.nodes.iter().any(is_it))?;
            behind(group, number.get())
        }
        Target::Group(name) => {
            let name = name.to_string();
            let group = status.groups.iter().find(|group| group.name == name)?;
            let records = group.nodes.iter().map(|node| node.records).max();
            let records = records.filter(|records| *records != 0)?;
            Some(format!("group {name} still holds {records} records"))
        }
    }
}

/// The peers of a node that lack something.
fn behind(group: &GroupStatus, number: u32) -> Option<String> {
    let peers = group.nodes.iter();
    let peers = peers.filter(|node| node.number != number && node.is_alive);
    let mut peers = peers.peekable();
    if peers.peek().is_none() {
        return Some(format!("node {number} has no peer that answers"));
    }
    let lacks = |node: &&NodeStatus| node.paths.iter().any(|path| !path.is_complete);
    let lacking: Vec<String> = peers
        .filter(lacks)
        .map(|node| match node.rebuild.total {
            0 => format!("node {} is incomplete", node.number),
            total => format!("node {} has {} of {total}", node.number, node.rebuild.done),
        })
        .collect();
    (!lacking.is_empty()).then(|| lacking.join("; "))
}

#[cfg(test)]
mod tests {
    use common::wire::cluster::{PathStatus, Progress};

    use super::*;

    fn node(number: u32, is_complete: bool) -> NodeStatus {
        NodeStatus {
            number,
            is_alive: true,
            paths: vec![PathStatus {
                is_complete,
                ..PathStatus::default()
            }],
            ..NodeStatus::default()
        }
    }

    fn status(nodes: Vec<NodeStatus>) -> ClusterStatus {
        ClusterStatus {
            groups: vec![GroupStatus {
                name: "g".to_owned(),
                nodes,
                ..GroupStatus::default()
            }],
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn a_node_is_drained_when_its_peers_are_complete_and_a_group_when_it_is_empty() {
        let of = |status: &ClusterStatus, target: &str| unfinished(status, target.parse().unwrap());
        assert_eq!(of(&status(vec![node(1, true), node(2, true)]), "1"), None);
        let mut behind = node(2, false);
        behind.rebuild = Progress { done: 5, total: 9 };
        assert_eq!(
            of(&status(vec![node(1, true), behind]), "1").as_deref(),
            Some("node 2 has 5 of 9")
        );
        assert_eq!(
            of(&status(vec![node(1, true)]), "1").as_deref(),
            Some("node 1 has no peer that answers")
        );
        let mut full = node(1, true);
        assert_eq!(of(&status(vec![full.clone()]), "g"), None);
        full.records = 3;
        assert_eq!(
            of(&status(vec![full]), "g").as_deref(),
            Some("group g still holds 3 records")
        );
    }
}
