//! What a running process tells its operator: log lines and figures about itself.

use std::io;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge, Opts, Registry};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::env::clock;

/// The variable whose level wins over the configuration.
pub const LEVEL_VARIABLE: &str = "HAYLOFT_LOG";

/// Why logging or the metrics of the process could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not understood.
    #[error(
        "log level \"{level}\" is not understood; write error, warn, info, debug or trace, also per module as in \"info,tracker=debug\""
    )]
    Level {
        /// The level as given.
        level: String,
        /// The parser's words.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody set logging up before.
    #[error("logging is set up already")]
    Again(#[source] tracing_subscriber::util::TryInitError),
    /// Metrics of the same name exist.
    #[error("the metrics of the process are registered already")]
    Metrics(#[from] prometheus::Error),
}

/// Sends the log to standard error. `level` is the value of [`LEVEL_VARIABLE`], if set.
pub fn init(log: &LogConfig, level: Option<&str>) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let filter = filter(level.unwrap_or(&log.level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match log.format {
        LogFormat::Text => builder
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .finish()
            .try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish()
            .try_init(),
    }
    .map_err(TelemetryError::Again)
}

/// What is never logged, whatever the level: the database's library would write down the parameters of
/// each statement, and these hold hashes of passwords and tokens, and secrets of applications.
const QUIET: [&str; 2] = ["tokio_postgres=warn", "tokio_postgres::query=warn"];

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let refuse = |source| TelemetryError::Level {
        level: level.to_owned(),
        source,
    };
    let mut filter = EnvFilter::builder().parse(level).map_err(refuse)?;
    for quiet in QUIET {
        filter = filter.add_directive(quiet.parse().map_err(refuse)?);
    }
    Ok(filter)
}

/// Figures about the process itself, read when somebody asks for them.
#[derive(Debug)]
struct ProcessMetrics {
    resident_memory: IntGauge,
    open_fds: IntGauge,
    cpu_seconds: Counter,
    threads: IntGauge,
}

/// Registers start time, version, memory, processor time, threads and open files of this process.
pub fn register_process_metrics(registry: &Registry, version: &str) -> Result<(), TelemetryError> {
    let start_time = IntGauge::new(
        "process_start_time_seconds",
        "Unix time at which the process started.",
    )?;
    start_time.set(i64::from(clock::unix_seconds()));
    let info = IntGauge::with_opts(
        Opts::new(
            "hayloft_build_info",
            "Always 1; the label says which version runs.",
        )
        .const_label("version", version),
    )?;
    info.set(1);
    registry.register(Box::new(start_time))?;
    registry.register(Box::new(info))?;
    registry.register(Box::new(ProcessMetrics::new()?))?;
    Ok(())
}

impl ProcessMetrics {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            resident_memory: IntGauge::new(
                "process_resident_memory_bytes",
                "Resident memory, pages of mapped volume files included.",
            )?,
            open_fds: IntGauge::new("process_open_fds", "Open file descriptors.")?,
            cpu_seconds: Counter::new(
                "process_cpu_seconds_total",
                "User and system processor time in seconds.",
            )?,
            threads: IntGauge::new("process_threads", "Threads of the process.")?,
        })
    }

    /// Asks the kernel; what it does not tell keeps its last value.
    fn refresh(&self) {
        if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
            if let Some(kib) = status_field(&status, "VmRSS:") {
                self.resident_memory.set(kib.saturating_mul(1024));
            }
            if let Some(threads) = status_field(&status, "Threads:") {
                self.threads.set(threads);
            }
        }
        if let Ok(stat) = std::fs::read_to_string("/proc/self/stat") {
            let since_last = cpu_seconds(&stat).unwrap_or_default() - self.cpu_seconds.get();
            if 0.0 < since_last {
                self.cpu_seconds.inc_by(since_last);
            }
        }
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            self.open_fds
                .set(i64::try_from(entries.count()).unwrap_or(i64::MAX));
        }
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let mut descriptions = self.resident_memory.desc();
        descriptions.extend(self.open_fds.desc());
        descriptions.extend(self.cpu_seconds.desc());
        descriptions.extend(self.threads.desc());
        descriptions
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.refresh();
        let mut families = self.resident_memory.collect();
        families.extend(self.open_fds.collect());
        families.extend(self.cpu_seconds.collect());
        families.extend(self.threads.collect());
        families
    }
}

fn status_field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Linux reports these times in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// User plus system time: fields 14 and 15 of the line, counted after the name in brackets, which
/// may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_reports_memory_files_and_its_version() {
        let registry = Registry::new();
        register_process_metrics(&registry, "1.2.3").unwrap();
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        assert!(
            text.contains("hayloft_build_info{version=\"1.2.3\"} 1"),
            "{text}"
        );
        for name in [
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_threads",
        ] {
            let value: f64 = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
                .unwrap();
            assert!(0.0 < value, "{name}");
        }
        assert!(register_process_metrics(&registry, "1.2.3").is_err());
    }

    #[test]
    fn processor_time_is_found_behind_any_process_name() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 1 0 5 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (x) S 1"), None);
    }

    #[test]
    fn a_level_that_is_not_understood_is_refused_with_the_remedy() {
        assert!(filter("info,tracker=debug").is_ok());
        let loud = filter("trace,tokio_postgres::query=trace")
            .unwrap()
            .to_string();
        assert!(!loud.contains("tokio_postgres::query=trace"), "{loud}");
        let error = filter("tracker=loud").unwrap_err().to_string();
        assert!(error.contains("write error, warn"), "{error}");
    }
}
