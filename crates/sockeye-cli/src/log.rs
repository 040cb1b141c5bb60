//! What is logged on standard error.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::exit::Usage;

/// Options of every subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Log more: each connection; twice: what the library does
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// What is logged, such as `debug` or `sockeye=trace` (else the variable RUST_LOG says)
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
}

/// Starts the log. Nothing here starts a thread, since a model of processes forks afterwards.
pub(crate) fn start(args: &Args) -> anyhow::Result<()> {
    let words = args.log.clone().or_else(|| std::env::var("RUST_LOG").ok());
    let filter = match (words, args.verbose) {
        (Some(words), _) => EnvFilter::try_new(&words)
            .map_err(|error| Usage::new(format!("the filter of the log `{words}`: {error}")))?,
        (None, 0) => EnvFilter::new("info"),
        (None, 1) => EnvFilter::new("debug"),
        (None, _) => EnvFilter::new("trace"),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Careless(io::stderr()))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}

/// Standard error, which may be closed: what nobody can read is no failure.
struct Careless(io::Stderr);

impl Write for Careless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
