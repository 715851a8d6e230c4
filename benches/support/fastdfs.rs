//! An original `FastDFS` that somebody runs on this machine, named by two variables.

use std::env;
use std::io;

use common::client::{Address, Client, PoolSettings};

use super::error::BenchError;

/// `host:port` of its tracker.
const TRACKER_VARIABLE: &str = "HAYLOFT_BENCH_FASTDFS_TRACKER";
/// Process ids of its tracker and its storage, separated by a comma.
const PIDS_VARIABLE: &str = "HAYLOFT_BENCH_FASTDFS_PIDS";

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) struct Fastdfs {
    /// `host:port` of the tracker.
    pub(crate) tracker: String,
    /// `host:port` of the storage.
    pub(crate) storage: String,
    /// Process of the tracker.
    pub(crate) tracker_pid: u32,
    /// Process of the storage.
    pub(crate) storage_pid: u32,
}

impl Fastdfs {
    /// The one that the variables name, if they name one; its tracker is asked for its storage.
    pub(crate) fn find() -> Result<Option<Self>, BenchError> {
        let Ok(tracker) = env::var(TRACKER_VARIABLE) else {
            return Ok(None);
        };
        let pids = env::var(PIDS_VARIABLE).unwrap_or_default();
        let pids = pids
            .split_once(',')
            .and_then(|(tracker, storage)| Some((tracker.parse().ok()?, storage.parse().ok()?)));
        let (tracker_pid, storage_pid) =
            pids.ok_or_else(|| bad("HAYLOFT_BENCH_FASTDFS_PIDS is not TRACKER_PID,STORAGE_PID"))?;
        Ok(Some(Self {
            storage: ask(&tracker)?.to_string(),
            tracker,
            tracker_pid,
            storage_pid,
        }))
    }
}

fn bad(what: &'static str) -> BenchError {
    BenchError::io(what)(io::ErrorKind::InvalidInput.into())
}

fn ask(tracker: &str) -> Result<Address, BenchError> {
    let tracker = Address::parse_with_default_port(tracker, common::client::TRACKER_PORT)
        .map_err(|_| bad("HAYLOFT_BENCH_FASTDFS_TRACKER is not HOST:PORT"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("cannot start a runtime"))?;
    let target = runtime.block_on(async {
        let client = Client::new(vec![tracker], PoolSettings::default())?;
        client.trackers().store_one(None).await
    });
    let failed = BenchError::io("the tracker of FastDFS names no storage");
    let target = target.map_err(|error| failed(io::Error::other(error)))?;
    Ok(target.node.into())
}
