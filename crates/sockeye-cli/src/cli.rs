//! The arguments. Parsing never acts: each subcommand's `Args` stand in its own module.

use clap::{Parser, Subcommand};

use crate::{bench, info, log, serve};

/// Everything one does with a socket: serve, look, measure.
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: log::Args,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// A row per subcommand; its words for the help stand at its `Args`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(serve::Args),
    Info(info::Args),
    Bench(bench::Args),
}

impl Command {
    /// Whether its log is for programs, as what it says itself on standard error is.
    pub(crate) fn logs_json(&self) -> bool {
        match self {
            Command::Serve(args) => args.json,
            Command::Info(_) | Command::Bench(_) => false, // their JSON goes to standard output
        }
    }
}
