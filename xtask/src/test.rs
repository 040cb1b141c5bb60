//! `cargo xtask test`: everything that has to pass, in the order of what it costs to find out.

use std::env;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::options::Options;
use crate::tally::Tally;
use crate::{setup, step, tidy};

/// From what proptest draws its cases; at random where it isn't set.
const RNG_SEED: &str = "PROPTEST_RNG_SEED";
/// The same cases in each run of CI, whichever they are: whether it passes depends on the change alone, and never on luck. What
/// nobody has thought of is searched for by `cargo xtask fuzz`, and by everybody's own runs.
const CI_SEED: &str = "20261121";

pub(crate) const HELP: &str = "\
usage: cargo xtask test [--no-setup] [-- FILTER…]

Runs everything that has to pass: tidy, fmt, clippy, the tests (by nextest where it is installed) and the doctests. The last
line says how many tests passed.

  --no-setup   don't install the Debian packages that the tests use
  FILTER…      only the tests that have one of these words in their names
";

/// Runs every step until one fails. The last line on standard output is the count of the tests, always.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args, &["--no-setup"], &[])?;
    let tally = Mutex::new(Tally::default());
    let mut outcome = steps(&options, &tally);
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    if outcome.is_ok() && tally.failed > 0 {
        outcome = Err(anyhow::anyhow!("{} tests failed", tally.failed));
    }
    if outcome.is_ok() && tally.run() == 0 {
        outcome = Err(anyhow::anyhow!("no test was run"));
    }
    if let Err(e) = &outcome {
        println!("stopped: {e:#}");
    }
    println!("{tally}");
    // Said above, so that the count stays the last line whichever stream is read.
    outcome.or_else(|_| std::process::exit(1))
}

fn steps(options: &Options, tally: &Mutex<Tally>) -> Result<()> {
    step::announce("tidy");
    tidy::check(&step::root()).context("step tidy")?;
    step::run(step::cargo().args(["fmt", "--all", "--check"]))
        .context("step fmt (`cargo fmt --all` mends it)")?;
    step::run(step::cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
        .context("step fmt (`cargo fmt --manifest-path fuzz/Cargo.toml` mends it)")?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step::run(step::cargo().args(clippy)).context("step clippy")?;
    if !options.has("--no-setup") {
        setup::install(setup::For::Tests);
    }
    tests(&options.rest, tally).context("step tests")?;
    doctests(&options.rest, tally).context("step doctests")
}

fn tests(filter: &[String], tally: &Mutex<Tally>) -> Result<()> {
    let mut cargo = step::cargo();
    if env::var_os("CI").is_some() && env::var_os(RNG_SEED).is_none() {
        cargo.env(RNG_SEED, CI_SEED);
    }
    if step::installed("cargo-nextest") {
        // Whether a test ran is judged over all steps: a filter may mean a doctest.
        cargo
            .args([
                "nextest",
                "run",
                "--workspace",
                "--no-fail-fast",
                "--no-tests",
                "pass",
            ])
            .args(filter);
        counted(step::watch(&mut cargo, &|line| lock(tally).add_nextest(line)))
    } else {
        cargo
            .args(["test", "--workspace", "--all-targets", "--no-fail-fast", "--"])
            .args(filter);
        counted(step::watch(&mut cargo, &|line| lock(tally).add_libtest(line)))
    }
}

fn doctests(filter: &[String], tally: &Mutex<Tally>) -> Result<()> {
    let mut cargo = step::cargo();
    cargo
        .args(["test", "--workspace", "--doc", "--no-fail-fast", "--"])
        .args(filter);
    counted(step::watch(&mut cargo, &|line| lock(tally).add_libtest(line)))
}

fn counted(succeeded: Result<bool>) -> Result<()> {
    if !succeeded? {
        bail!("see the failures above");
    }
    Ok(())
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
