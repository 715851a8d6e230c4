//! Hayloft, the one binary: servers, client and tools as subcommands.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A blob store that speaks `FastDFS` and serves download links.
#[derive(Debug, Parser)]
#[command(name = "hayloft", version, max_term_width = 100)]
struct Hayloft {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // Client.
    Upload(cli::upload::UploadArgs),
    Download(cli::download::DownloadArgs),
    Info(cli::info::InfoArgs),
    Delete(cli::delete::DeleteArgs),
    Append(cli::append::AppendArgs),
    Meta(cli::meta::MetaArgs),
    Url(cli::url::UrlArgs),
    Ls(cli::ls::LsArgs),
    Monitor(cli::monitor::MonitorArgs),
    Bench(cli::bench::BenchArgs),
}

fn main() -> ExitCode {
    match Hayloft::parse().command {
        Command::Upload(args) => cli::client::run(args.run()),
        Command::Download(args) => cli::client::run(args.run()),
        Command::Info(args) => cli::client::run(args.run()),
        Command::Delete(args) => cli::client::run(args.run()),
        Command::Append(args) => cli::client::run(args.run()),
        Command::Meta(args) => cli::client::run(args.run()),
        Command::Url(args) => cli::client::run(args.run()),
        Command::Ls(args) => cli::client::run(args.run()),
        Command::Monitor(args) => cli::client::run(args.run()),
        Command::Bench(args) => args.run(),
    }
}
