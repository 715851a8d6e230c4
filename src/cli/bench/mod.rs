//! `hayloft bench`: a load generator for any server that speaks FastDFS, for HTTP links, for the
//! image-host API, and for uploads over 123pan's API.

mod api;
mod calls;
mod http;
mod ids;
mod kind;
mod link;
mod pan;
mod payload;
mod process;
mod report;
mod request;
mod run;
mod sliced;
mod stats;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use common::client::Address;
use common::id::{FileId, GroupName};

use self::api::ApiArgs;
use self::calls::Calls;
use self::http::{HttpLink, Url};
use self::kind::Kind;
use self::link::{Find, Target};
use self::pan::{OpenUploads, Pan, PanArgs, PanCalls, Sent};
use self::payload::{Payloads, SizeMix};
use self::process::{Sample, Usage};
use self::report::{Report, Setting};
use self::run::{Budget, Mix, Outcome, Plan, Work};
use self::sliced::{SlicedContents, SlicedPlan};
use super::client::Cluster;
use super::output::{self, Failure, Tally};

/// Seconds of a run for which nothing else is said.
const SECONDS: u64 = 10;

/// HTTP port of a storage node where no `--http-base` is given.
const HTTP_PORT: u16 = 8888;

const EXAMPLES: &str = "\
Examples:
  hayloft bench upload --size 4KiB --connections 16 --seconds 30 --server-pid 1234
  hayloft bench upload --rate 500 --seconds 60       latencies at a load that is not the highest
  hayloft bench upload --size 4KiB:70,64KiB:25,1MiB:5 --count 100000 --save-ids ids.txt
  hayloft bench download --ids ids.txt --verify --json
  hayloft bench http-get --ids ids.txt --http-base http://127.0.0.1:8888
  hayloft bench http-get --urls links.txt            any HTTP server, one link per line
  hayloft bench mixed --upload-percent 20 --delete-percent 5 --seconds 60
  hayloft bench delete --ids ids.txt                 each id once
  hayloft bench query --query fetch --ids ids.txt    the tracker alone
  hayloft bench api-upload --api http://127.0.0.1:8080 --size 64KiB
  hayloft bench api-instant --count 100000 --seed 3  as many files of one content
  hayloft bench api-list --start 99980 --order pvdesc
  hayloft bench pan-sliced --file-size 4GiB --connections 4 --timeout 600
  hayloft bench pan-create --count 10000             uploads that begin, and nothing follows

Works against Hayloft and the original alike: compare both on one machine, one after the other, with
the same options. Without --ids, files to read or delete are uploaded first and not measured.

Exit codes: 0 done, 1 operations failed, 2 wrong usage, 3 no server was reachable.";

/// Measure a server: rate, latency percentiles, and processor time per operation
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// What to measure
    #[arg(value_enum)]
    kind: Kind,

    /// Bytes of a file, or several sizes with weights: 4KiB:70,64KiB:25,1MiB:5
    #[arg(long, default_value = "4KiB", value_name = "SIZE[:WEIGHT],…")]
    size: SizeMix,

    /// Connections that work at the same time; each is used for one operation after the other
    #[arg(long, short, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,

    /// Stop after this many operations
    #[arg(long)]
    count: Option<u64>,

    /// Stop after this many seconds; 10 if neither this nor --count is given
    #[arg(long)]
    seconds: Option<u64>,

    /// Operations per second at most, evenly spread; latencies count from when each was due
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,

    /// File with an id per line to read, delete or query; what is behind a tab is ignored
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,

    /// Write the ids of uploaded files, one per line
    #[arg(long, value_name = "FILE")]
    save_ids: Option<PathBuf>,

    /// File with a link per line for http-get
    #[arg(long, value_name = "FILE", conflicts_with = "ids")]
    urls: Option<PathBuf>,

    /// Files that are uploaded first, unmeasured, when no ids are given
    #[arg(long, value_name = "N", default_value_t = 1000)]
    prepare: u64,

    /// Which question the query run asks
    #[arg(long, value_enum, default_value_t = Query::Store)]
    query: Query,

    /// Uploads in a mixed run, percent; what is neither upload nor delete is download
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=100))]
    upload_percent: u64,

    /// Deletes in a mixed run, percent
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=100))]
    delete_percent: u64,

    /// Compare every content with the size and CRC-32 that its id tells
    #[arg(long)]
    verify: bool,

    /// Go to this storage node without asking a tracker
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_storage)]
    storage: Option<Address>,

    /// Group to upload to
    #[arg(long)]
    group: Option<GroupName>,

    /// Server process on this machine whose processor time and memory to report; repeat for several
    #[arg(long, value_name = "PID")]
    server_pid: Vec<u32>,

    /// Threads of the generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,

    /// Makes contents and choices repeatable
    #[arg(long, default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    calls: ApiArgs,

    #[command(flatten)]
    pan: PanArgs,

    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Query {
    /// Where to write
    Store,
    /// Where to read
    Fetch,
    /// Where to change
    Update,
}

fn parse_storage(text: &str) -> Result<Address, common::client::AddressError> {
    Address::parse_with_default_port(text, 23_000)
}

impl BenchArgs {
    /// Measures.
    pub(crate) fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        let mut builder = match self.threads {
            1 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder
            .worker_threads(self.threads.into())
            .enable_all()
            .build()
            .map_err(Failure::local("cannot start"));
        match tally.check("", runtime) {
            Some(runtime) => runtime.block_on(Box::pin(self.run_here())),
            None => tally.into(),
        }
    }

    /// Measures on the threads of whoever calls.
    pub(crate) async fn run_here(self) -> ExitCode {
        let mut tally = Tally::default();
        let measured = self.measure().await;
        if let Some(failed) = tally.check("", measured) {
            tally.add_failed(failed);
        }
        tally.into()
    }

    /// Returns how many operations failed.
    async fn measure(&self) -> Result<u64, Failure> {
        if 100 < self.upload_percent + self.delete_percent {
            return Err(Failure::Usage(
                "--upload-percent and --delete-percent are more than 100 together",
            ));
        }
        let mut before = Vec::new();
        let outcome = if self.kind == Kind::PanSliced {
            let plan = Box::pin(self.sliced_plan()).await?;
            sliced::run(plan, || before = self.samples()).await?
        } else {
            let (ids, urls) = self.subjects().await?;
            let budget = self.budget(&ids);
            let mut plan = self.plan(self.work(), budget, ids, urls);
            plan.calls = Box::pin(self.calls()).await?;
            run::run(plan, || before = self.samples()).await?
        };
        let after = self.samples();
        if let Some(path) = &self.save_ids {
            ids::save(path, &outcome.ids).await?;
        }
        let report = self.report(&outcome, before, after)?;
        if self.cluster.json {
            output::json(&report)?;
        } else {
            output::line(&report.text())?;
        }
        Ok(outcome.stats.failed())
    }

    /// The calls of a run of calls.
    async fn calls(&self) -> Result<Option<Calls>, Failure> {
        let size = self.size.largest();
        if let Some(call) = self.kind.call() {
            let api = self.calls.open(call, self.seed, size, self.timeout());
            return Ok(Some(Calls::ImageHost(api.await?)));
        }
        let Some(call) = self.kind.pan_call() else {
            return Ok(None);
        };
        let (mut link, pan) = self.pan().await?;
        let open = OpenUploads {
            file_size: self.pan.file_size,
            sent_slice_size: match self.pan.send {
                Sent::Nothing => None,
                Sent::LastSlice => Some(self.pan.slice_size),
            },
        };
        let calls = PanCalls::open(pan, call, self.seed, size, open, &mut link).await?;
        Ok(Some(Calls::Pan(calls)))
    }

    /// 123pan's API for the account of the run.
    async fn pan(&self) -> Result<(HttpLink, Pan), Failure> {
        let mut link = HttpLink::new(self.timeout(), false);
        let pan = Pan::log_in(self.calls.host()?, self.calls.account(), &mut link).await?;
        Ok((link, pan))
    }

    async fn sliced_plan(&self) -> Result<SlicedPlan, Failure> {
        let PanArgs {
            file_size,
            slice_size,
            files_at_once,
            slice_bytes: bytes,
            ..
        } = self.pan;
        let count = self.count.unwrap_or(1);
        let contents = SlicedContents::new(self.seed, count, file_size, slice_size)?;
        Ok(SlicedPlan {
            pan: self.pan().await?.1,
            contents,
            connections: self.connections.into(),
            files_at_once: files_at_once.into(),
            timeout: self.timeout(),
            bytes,
        })
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.cluster.timeout)
    }

    fn work(&self) -> Work {
        match self.kind {
            Kind::ApiList
            | Kind::ApiInstant
            | Kind::ApiShare
            | Kind::ApiView
            | Kind::ApiUpload
            | Kind::PanSliced
            | Kind::PanCreate
            | Kind::PanReuse
            | Kind::PanSingle => Work::Call,
            Kind::Upload => Work::Upload,
            Kind::Download => Work::Download,
            Kind::HttpGet => Work::HttpGet,
            Kind::Delete => Work::Delete,
            Kind::Mixed => Work::Mixed(Mix {
                upload: self.upload_percent,
                delete: self.delete_percent,
            }),
            Kind::Query => match self.query {
                Query::Store => Work::QueryStore,
                Query::Fetch => Work::Query(Find::ToRead),
                Query::Update => Work::Query(Find::ToChange),
            },
        }
    }

    fn budget(&self, ids: &[FileId]) -> Budget {
        let seconds = match (self.seconds, self.count, self.kind) {
            (None, None, kind) if kind != Kind::Delete => Some(SECONDS),
            (seconds, _, _) => seconds,
        };
        let mut count = self.count.unwrap_or(u64::MAX);
        if self.kind == Kind::Delete {
            count = count.min(ids.len() as u64);
        }
        Budget {
            count,
            time: seconds.map(Duration::from_secs),
            rate: self.rate,
        }
    }

    fn plan(&self, work: Work, budget: Budget, ids: Vec<FileId>, urls: Vec<Url>) -> Plan {
        Plan {
            work,
            budget,
            connections: self.connections.into(),
            target: Target {
                trackers: self.cluster.trackers.clone(),
                storage: self.storage.clone(),
                group: self.group,
                timeout: self.timeout(),
            },
            payloads: Payloads::new(self.seed, self.size.clone()),
            ids,
            urls,
            calls: None,
            seed: self.seed,
            verify: self.verify,
            keep_ids: self.save_ids.is_some(),
        }
    }

    /// What the run reads, deletes or queries: given, or uploaded now.
    async fn subjects(&self) -> Result<(Vec<FileId>, Vec<Url>), Failure> {
        if let Some(path) = &self.urls {
            return Ok((Vec::new(), ids::load_urls(path).await?));
        }
        let asks_about_files = self.kind == Kind::Query && self.query != Query::Store;
        let needed = asks_about_files || self.kind.needs_files();
        let ids = match &self.ids {
            Some(path) => ids::load(path).await?,
            None if needed => self.prepare().await?,
            None => Vec::new(),
        };
        if self.kind != Kind::HttpGet {
            return Ok((ids, Vec::new()));
        }
        let base = self.http_base(&ids).await?;
        let urls = ids.iter().map(|id| Url::parse(&format!("{base}/{id}")));
        let urls: Result<Vec<Url>, _> = urls.collect();
        let urls = urls.map_err(|_| Failure::Usage("--http-base must be http://host[:port]"))?;
        Ok((Vec::new(), urls))
    }

    async fn prepare(&self) -> Result<Vec<FileId>, Failure> {
        let count = match self.count {
            // As many as there will be deletes.
            Some(count) if self.kind == Kind::Delete => count,
            _ => self.prepare,
        };
        let budget = Budget {
            count,
            time: None,
            rate: None,
        };
        let mut plan = self.plan(Work::Upload, budget, Vec::new(), Vec::new());
        plan.keep_ids = true;
        // Other contents than those of the measured run.
        plan.payloads = Payloads::new(self.seed ^ u64::from(u32::MAX), self.size.clone());
        let outcome = run::run(plan, || ()).await?;
        if outcome.ids.is_empty() && 0 < count {
            return Err(Failure::Run(
                "the files to work on could not be uploaded; try `hayloft upload`, which says why",
            ));
        }
        Ok(outcome.ids)
    }

    async fn http_base(&self, ids: &[FileId]) -> Result<String, Failure> {
        if let Some(base) = &self.cluster.http_base {
            return Ok(base.trim_end_matches('/').to_owned());
        }
        let holder = match (&self.storage, ids.first()) {
            (Some(storage), _) => storage.clone(),
            (None, Some(id)) => self.cluster.client(1)?.trackers().fetch_one(id).await?,
            (None, None) => return Err(Failure::Usage("there are no ids to get")),
        };
        Ok(format!("http://{}", Address::new(holder.host(), HTTP_PORT)))
    }

    /// The servers' processes, then this one.
    fn samples(&self) -> Vec<(Option<u32>, std::io::Result<Sample>)> {
        let servers = self.server_pid.iter().copied().map(Some);
        servers
            .chain([None])
            .map(|pid| (pid, Sample::take(pid)))
            .collect()
    }

    fn report(
        &self,
        outcome: &Outcome,
        before: Vec<(Option<u32>, std::io::Result<Sample>)>,
        after: Vec<(Option<u32>, std::io::Result<Sample>)>,
    ) -> Result<Report, Failure> {
        let operations = outcome.stats.succeeded() + outcome.stats.failed();
        let seconds = outcome.elapsed.as_secs_f64();
        let mut servers = Vec::new();
        let mut generator = None;
        for ((pid, before), (_, after)) in before.into_iter().zip(after) {
            let Some(pid) = pid else {
                // What is measured on the side may be missing where there is no /proc.
                if let (Ok(before), Ok(after)) = (before, after) {
                    generator = Some(Usage::between(None, before, after, operations, seconds));
                }
                continue;
            };
            let failure = || Failure::local(format!("cannot look at process {pid}"));
            let (before, after) = (before.map_err(failure())?, after.map_err(failure())?);
            let usage = Usage::between(Some(pid), before, after, operations, seconds);
            servers.push(usage);
        }
        let setting = Setting {
            bench: self.kind.text(),
            measured: self.kind.measured(self.storage.is_some()),
            target: self.target_text(),
            connections: self.connections.into(),
            threads: self.threads.into(),
            sizes: self.sizes(),
            seed: self.seed,
            verified: self.verify,
        };
        Ok(Report::new(
            setting,
            &outcome.stats,
            outcome.elapsed,
            servers,
            generator,
        ))
    }

    /// What is uploaded, in words.
    fn sizes(&self) -> Option<String> {
        match self.kind {
            Kind::Upload | Kind::Mixed | Kind::ApiUpload | Kind::PanSingle => {
                Some(self.size.text().to_owned())
            }
            Kind::PanSliced => {
                let PanArgs {
                    file_size,
                    slice_size,
                    files_at_once,
                    ..
                } = self.pan;
                let (file, slice) = (output::bytes(file_size), output::bytes(slice_size));
                Some(format!(
                    "{file} in slices of {slice}, {files_at_once} files at once"
                ))
            }
            Kind::Download
            | Kind::HttpGet
            | Kind::Delete
            | Kind::Query
            | Kind::ApiList
            | Kind::ApiInstant
            | Kind::ApiShare
            | Kind::ApiView
            | Kind::PanCreate
            | Kind::PanReuse => None,
        }
    }

    fn target_text(&self) -> String {
        if self.work() == Work::Call {
            return format!("API server {}", self.calls.target());
        }
        match (&self.urls, &self.storage, self.kind) {
            (Some(path), _, _) => format!("links of {}", path.display()),
            (None, _, Kind::HttpGet) => match &self.cluster.http_base {
                Some(base) => base.clone(),
                None => "HTTP of the storage node".to_owned(),
            },
            (None, Some(storage), _) => format!("storage node {storage}"),
            (None, None, _) => {
                let trackers: Vec<String> = self
                    .cluster
                    .trackers
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                format!("tracker {}", trackers.join(", "))
            }
        }
    }
}
