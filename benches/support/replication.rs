//! What copies cost: uploads acknowledged on two nodes, the rebuild of a node, how far nodes lag
//! behind, and what other groups add.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::env::clock;
use serde::Serialize;

use super::cluster::{Cluster, Node};
use super::error::BenchError;
use super::finding::{Finding, MB, Notes, Target, float, folder};
use super::generator::Figures;
use super::process::Durability;
use super::raw_sequential;
use super::wait;

/// Time between two looks at how far nodes lag behind.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a load may take.
const LOAD_LIMIT: Duration = Duration::from_hours(1);
/// Bytes that nodes together write in a second, at most.
const WARM_LEN: u64 = 1 << 30;
/// Bytes of an upload where nothing else is said.
const SIZE: &str = "64KiB";
/// Bytes of an upload where what other groups add is to show beside what copying costs.
const SMALL_SIZE: &str = "4KiB";

/// How much of everything.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Scale {
    /// Rounds of uploads; the median counts.
    pub(crate) rounds: u64,
    /// Seconds of a round.
    pub(crate) seconds: u64,
    /// Files of 1 MiB that a node gets again.
    pub(crate) big_files: u64,
    /// Files of 4 KiB that a node gets again.
    pub(crate) small_files: u64,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Acks,
    Rebuild,
    Lag,
    Groups,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Acks, Self::Rebuild, Self::Lag, Self::Groups];

    /// What the command line calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Acks => "acks",
            Self::Rebuild => "rebuild",
            Self::Lag => "lag",
            Self::Groups => "groups",
        }
    }

    /// Measures it.
    pub(crate) fn measure<F: FnMut(&Finding)>(
        self,
        scale: &Scale,
        notes: &mut Notes<F>,
    ) -> Result<(), BenchError> {
        match self {
            Self::Acks => acks(scale, notes),
            Self::Rebuild => rebuild(scale, notes),
            Self::Lag => lag(scale, notes),
            Self::Groups => groups(scale, notes),
        }
    }
}

/// Uploads to a group of one node and to groups of two and three, in turns.
fn acks<F: FnMut(&Finding)>(scale: &Scale, notes: &mut Notes<F>) -> Result<(), BenchError> {
    for durability in [Durability::Always, Durability::Os] {
        let clusters = [
            Cluster::start(1, 1, durability)?,
            Cluster::start(1, 2, durability)?,
            Cluster::start(1, 3, durability)?,
        ];
        let turns = in_turns(scale, &clusters, SIZE)?;
        let [one, two, three] = &turns;
        let text = durability.text();
        for (nodes, rounds) in ["1 node", "2 nodes", "3 nodes"].into_iter().zip(&turns) {
            let what = format!("uploads of {SIZE} to {nodes}, {text}");
            notes.add(what, middle(rounds, |it| it.per_second), "/s", None);
            let what = format!("… p50, {nodes}, {text}");
            notes.add(what, middle(rounds, |it| it.p50_us / 1000.0), "ms", None);
            let what = format!("… processor time of all nodes, {nodes}, {text}");
            notes.add(what, middle(rounds, |it| it.cpu_us), "µs", None);
        }
        for (nodes, rounds, target) in [
            ("2 nodes", two, Some(Target::AtLeast(0.5))),
            ("3 nodes, two of which are waited for", three, None),
        ] {
            let what = format!("{nodes} beside one, {text}");
            let ratio = ratio(rounds, one, |it| it.per_second);
            notes.add(what, ratio, "", target);
        }
    }
    Ok(())
}

/// The rounds of each cluster; they take turns to be first.
fn in_turns<const N: usize>(
    scale: &Scale,
    clusters: &[Cluster; N],
    size: &str,
) -> Result<[Vec<Figures>; N], BenchError> {
    let mut rounds: [Vec<Figures>; N] = std::array::from_fn(|_| Vec::new());
    for round in 0..scale.rounds {
        let mut order: Vec<_> = clusters.iter().zip(&mut rounds).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (cluster, rounds) in order {
            rounds.push(upload(scale, cluster, size)?);
        }
    }
    Ok(rounds)
}

/// The median of a figure.
fn middle(rounds: &[Figures], figure: impl Fn(&Figures) -> f64) -> f64 {
    median(rounds.iter().map(figure).collect())
}

/// The median of a figure beside that of the same round of another cluster: what the machine gives may
/// change from round to round.
fn ratio(rounds: &[Figures], others: &[Figures], figure: impl Fn(&Figures) -> f64) -> f64 {
    let pairs = rounds.iter().zip(others);
    median(
        pairs
            .map(|(one, other)| figure(one) / figure(other))
            .collect(),
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Writes this many bytes and removes them, and waits for all other writes: so what is measured next has
/// neither to pay for these nor to ask for memory. A virtual machine may have to ask its host for each
/// page that it has not used for a while, which can cost more than the disk.
fn warm(len: u64) -> Result<(), BenchError> {
    raw_sequential::write(folder()?.path(), len).map(drop)
}

fn upload(scale: &Scale, cluster: &Cluster, size: &str) -> Result<Figures, BenchError> {
    let pids: Vec<u32> = cluster.group(1).map(Node::pid).collect();
    warm(scale.seconds * WARM_LEN)?;
    cluster
        .uploads(1, size)?
        .with("--seconds", scale.seconds.to_string())
        .measure(&pids)
}

/// An empty node joins a group of one that holds files, until it has them all.
fn rebuild<F: FnMut(&Finding)>(scale: &Scale, notes: &mut Notes<F>) -> Result<(), BenchError> {
    let mut rounds = Vec::new();
    for _ in 0..scale.rounds {
        rounds.push(rebuild_beside_raw(scale.big_files)?);
    }
    for (raw, rate) in &rounds {
        notes.add("raw durable writes", raw / MB, "MB/s", None);
        let what = format!("rebuild of {} files of 1 MiB behind it", scale.big_files);
        notes.add(what, rate / MB, "MB/s", None);
    }
    let ratio = median(rounds.iter().map(|(raw, rate)| rate / raw).collect());
    let what = "rebuild beside raw durable writes, median";
    notes.add(what, ratio, "", Target::AtLeast(0.5));

    let seconds = rebuild_of(&mut filled(scale.small_files, "4KiB")?)?;
    let what = format!("rebuild of {} files of 4 KiB", scale.small_files);
    let rate = float(scale.small_files) / seconds;
    notes.add(what, rate, "files/s", Target::AtLeast(10_000.0));
    Ok(())
}

/// Bytes per second of the raw loop, and of an empty node that gets as many. Either finds warm memory,
/// for the raw loop leaves it behind.
fn rebuild_beside_raw(files: u64) -> Result<(f64, f64), BenchError> {
    const MIB: u64 = 1 << 20;
    let raw_folder = folder()?;
    let mut cluster = filled(files, "1MiB")?;
    warm(files * MIB)?;
    let raw = raw_sequential::write(raw_folder.path(), files * MIB)?;
    let seconds = rebuild_of(&mut cluster)?;
    cluster.stop()?;
    Ok((raw, float(files * MIB) / seconds))
}

/// A group of one node that holds files.
fn filled(files: u64, size: &str) -> Result<Cluster, BenchError> {
    let cluster = Cluster::start(1, 1, Durability::Always)?;
    let load = cluster.uploads(1, size)?;
    load.with("--count", files.to_string()).measure(&[])?;
    Ok(cluster)
}

/// Seconds from the start of an empty node until it has all.
fn rebuild_of(cluster: &mut Cluster) -> Result<f64, BenchError> {
    rustix::fs::sync();
    let begin = clock::monotonic();
    cluster.add(1)?;
    cluster.wait_last_complete()?;
    let elapsed = clock::monotonic().saturating_duration_since(begin);
    Ok(elapsed.as_secs_f64())
}

/// Three nodes, two of which are waited for, at half of what they can take.
fn lag<F: FnMut(&Finding)>(scale: &Scale, notes: &mut Notes<F>) -> Result<(), BenchError> {
    let cluster = Cluster::start(1, 3, Durability::Always)?;
    let peak = upload(scale, &cluster, SIZE)?.per_second;
    notes.add("peak of three nodes", peak, "/s", None);
    rustix::fs::sync();
    // At least one, and far below a `u32`.
    let rate = format!("{:.0}", (peak / 2.0).max(1.0));
    let load = cluster
        .uploads(1, SIZE)?
        .with("--rate", &rate)
        .with("--seconds", (5 * scale.seconds).to_string());
    let is_over = AtomicBool::new(false);
    let (figures, mut lags) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| look(&cluster, &is_over));
        let figures = load.measure(&[]);
        is_over.store(true, Ordering::Relaxed);
        let panicked =
            |_| BenchError::io("the watch over the nodes")(std::io::ErrorKind::Other.into());
        Ok::<_, BenchError>((figures?, watch.join().map_err(panicked)??))
    })?;
    lags.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let last = lags.len().saturating_sub(1);
        lags.get(last * percent / 100).copied().unwrap_or(f64::NAN)
    };
    notes.add("uploads at half of it", figures.per_second, "/s", None);
    notes.add("… p99 of the latency", figures.p99_us / 1000.0, "ms", None);
    notes.add("lag of a node, p50", at(50), "ms", None);
    notes.add("lag of a node, p99", at(99), "ms", Target::AtMost(100.0));
    notes.add("lag of a node, most", at(100), "ms", None);
    Ok(())
}

/// How many milliseconds each node lags behind each other one, again and again.
fn look(cluster: &Cluster, is_over: &AtomicBool) -> Result<Vec<f64>, BenchError> {
    let mut lags = Vec::new();
    let mut next = clock::monotonic();
    wait::until("the load ends", LOAD_LIMIT, || {
        if next <= clock::monotonic() {
            next = clock::monotonic() + LOOK_EVERY;
            for node in cluster.group(1) {
                lags.extend(node.metric("hayloft_replication_lag_milliseconds")?);
            }
        }
        Ok(is_over.load(Ordering::Relaxed).then_some(()))
    })?;
    Ok(lags)
}

/// What a group costs while there are others.
fn groups<F: FnMut(&Finding)>(scale: &Scale, notes: &mut Notes<F>) -> Result<(), BenchError> {
    const MANY: usize = 4;
    let clusters = [
        Cluster::start(1, 2, Durability::Always)?,
        Cluster::start(MANY, 2, Durability::Always)?,
    ];
    let [alone, among] = in_turns(scale, &clusters, SMALL_SIZE)?;
    for (what, rounds) in [("1 group", &alone), ("4 groups", &among)] {
        let rate = format!("uploads of {SMALL_SIZE} to one group of two nodes, {what}");
        notes.add(rate, middle(rounds, |it| it.per_second), "/s", None);
        let cost = format!("… processor time of its nodes, {what}");
        notes.add(cost, middle(rounds, |it| it.cpu_us), "µs", None);
    }
    let ratio = ratio(&among, &alone, |it| it.cpu_us);
    let what = "processor time beside one group";
    notes.add(what, ratio, "", Target::AtMost(1.1));
    Ok(())
}
