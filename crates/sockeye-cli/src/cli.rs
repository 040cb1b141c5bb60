//! The arguments. Parsing never acts: each subcommand's `Args` stand in its own module.

use clap::{Parser, Subcommand};

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::{ask, bench, broadcast, discover, files, info, listen, log, serve, shop, user};

const EXAMPLES: &str = "\
Examples:
  sockeye serve                         every service, for this machine alone
  sockeye serve echo@tcp://127.0.0.1:7  one service, where you want it
  sockeye info localhost 8080           who is there, and what the connection is
  sockeye info example.org https --tls  the same with TLS and its certificates
  sockeye discover                      which services others announce here
  sockeye listen udp://:8000            every datagram that comes
  sockeye broadcast --wait 2s hello     say it to everybody, and see who answers
  sockeye ask udp://127.0.0.1:8080 hi   a question, and its answer
  sockeye bench tcp://127.0.0.1:8080    how fast an echo server is
  sockeye bench --models all            the models of concurrency compared
  sockeye user add anna                 somebody who may log in
  sockeye shop localhost                buy in a shop

Each command has more of them: sockeye COMMAND --help";

/// Everything one does with a socket: serve, look, measure.
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
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
    Discover(discover::Args),
    Listen(listen::Args),
    Broadcast(broadcast::Args),
    Ask(ask::Args),
    Bench(bench::Args),
    Files(files::Args),
    User(user::Args),
    Shop(shop::Args),
}

impl Command {
    /// Whether its log is for programs, as what it says itself on standard error is.
    pub(crate) fn logs_json(&self) -> bool {
        match self {
            Command::Serve(args) => args.json,
            // Their JSON goes to standard output.
            Command::Info(_)
            | Command::Discover(_)
            | Command::Listen(_)
            | Command::Broadcast(_)
            | Command::Ask(_)
            | Command::Bench(_)
            | Command::Files(_)
            | Command::User(_)
            | Command::Shop(_) => false,
        }
    }
}

/// A time in an option, for clap; not none at all.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    match sockeye::parse_duration(text) {
        Ok(Duration::ZERO) => Err("nothing can be done in no time".to_owned()),
        Ok(span) => Ok(span),
        Err(error) => Err(error.to_string()),
    }
}

/// A number over 0 in an option, for clap.
pub(crate) fn some(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "write a whole number from 1 on, such as 4".to_owned())
}

/// A number in an option, for clap.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| "write a whole number, such as 4".to_owned())
}
