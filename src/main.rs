//! Hayloft, the one binary: servers, client and tools as subcommands.
//!
//! Each variant of [`Command`] is a file of `src/cli/`.
#![forbid(unsafe_code)]
#![expect(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    rustdoc::invalid_html_tags,
    reason = "doc comments of arguments are the help text, where backticks are noise"
)]

mod cli;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// A blob store that speaks FastDFS and serves download links.
///
/// Begin with `hayloft serve`: tracker, storage and HTTP in one process, data in ./data.
#[derive(Debug, Parser)]
#[command(name = "hayloft", version, max_term_width = 100)]
struct Hayloft {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // Servers.
    /// Run tracker, storage and API in one process.
    Serve(cli::serve::ServeArgs),
    /// Run a tracker of a cluster.
    Tracker(cli::serve::RoleArgs),
    /// Run a storage node of a cluster.
    Storage(cli::serve::RoleArgs),
    /// Run an API server of a cluster.
    Api(cli::serve::ApiArgs),

    // Client. Their help is that of their arguments.
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

    // Administration.
    User(cli::user::UserArgs),
    App(cli::app::AppArgs),
    Cluster(cli::cluster::ClusterArgs),
    Catalog(cli::catalog::CatalogArgs),

    // Tools. Those of the data directory need the server to be stopped.
    Check(cli::check::CheckArgs),
    Repair(cli::repair::RepairArgs),
    Compact(cli::compact::CompactArgs),
    /// Print or check the configuration.
    #[command(subcommand)]
    Config(cli::config::ConfigCommand),
    /// Print completions for a shell.
    Completions(cli::completions::CompletionsArgs),
    /// Write man pages into a directory.
    Man(cli::completions::ManArgs),
}

fn main() -> ExitCode {
    match Hayloft::parse().command {
        Command::Serve(args) => cli::exit(cli::serve::serve(args)),
        Command::Tracker(args) => cli::exit(cli::serve::tracker(args)),
        Command::Storage(args) => cli::exit(cli::serve::storage(args)),
        Command::Api(args) => cli::exit(cli::serve::api(args)),

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

        Command::User(args) => cli::exit(args.run()),
        Command::App(args) => cli::exit(args.run()),
        Command::Cluster(args) => cli::client::run(args.run()),
        Command::Catalog(args) => cli::exit(args.run()),

        Command::Check(args) => args.run(),
        Command::Repair(args) => args.run(),
        Command::Compact(args) => cli::exit(args.run()),
        Command::Config(command) => cli::exit(cli::config::run(command)),
        Command::Completions(args) => cli::exit(cli::completions::run(&args, Hayloft::command())),
        Command::Man(args) => cli::exit(cli::completions::man(&args, Hayloft::command())),
    }
}
