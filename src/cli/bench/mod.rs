//! bench
use std::process::ExitCode;
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {}
impl BenchArgs {
    pub(crate) fn run(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}
