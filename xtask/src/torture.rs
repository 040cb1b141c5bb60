//! `cargo xtask torture`: services are killed at random moments under load, and what is left is counted.
//!
//! It runs the tests that do so, with more kills than `cargo xtask test` has time for.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

use crate::options::Options;
use crate::step;

/// Kills of each service.
const KILLS: u32 = 1000;
/// The same with `--quick`: as many as the tests have.
const FEW: u32 = 50;
/// What a line of counts begins with.
const COUNTS: &str = "torture: ";

pub(crate) const HELP: &str = "\
usage: cargo xtask torture [OPTIONS]

Kills the file service and the shop under load, and counts what is left: nothing that was acknowledged may be lost.

  --quick     50 kills of each service instead of 1000
  --kills N   so many
";

/// Kills, and prints the counts.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args, &["--quick"], &["--kills"])?;
    let kills = match options.count("--kills")? {
        Some(kills) => kills,
        None if options.has("--quick") => FEW,
        None => KILLS,
    };
    let counts = Mutex::new(Vec::new());
    let see = |line: &str| {
        if let Some(at) = line.find(COUNTS) {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.push(line[at..].to_owned());
        }
    };
    let mut cargo = step::cargo();
    cargo
        .args(["test", "--package", "sockeye-cli", "--test", "cli", "--"])
        .args(["::kills::", "--nocapture", "--test-threads", "1"])
        .env("SOCKEYE_KILLS", kills.to_string());
    let well = step::watch(&mut cargo, &see)?;
    let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    counts.iter().for_each(|line| println!("{line}"));
    match well && !counts.is_empty() {
        true => Ok(()),
        false => bail!("something was lost, or nothing was tried: see above; the seed is said there"),
    }
}
