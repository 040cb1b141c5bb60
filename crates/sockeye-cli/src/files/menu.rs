//! A menu, for a person who was given no command.

use std::process::ExitCode;

use anyhow::Result;
use sockeye::Endpoint;

pub(super) fn run(endpoint: Option<Endpoint>) -> Result<ExitCode> {
    let _ = endpoint;
    anyhow::bail!("not yet")
}
