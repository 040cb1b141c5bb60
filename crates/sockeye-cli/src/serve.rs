//! `sockeye serve`: services at endpoints, until a signal.

use std::process::ExitCode;

/// Serve services at endpoints, until Ctrl-C
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to serve where: SERVICE@ENDPOINT
    listeners: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let _ = args.listeners;
    Ok(ExitCode::SUCCESS)
}
