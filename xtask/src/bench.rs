//! `cargo xtask bench`: Sockeye's models beside the reference servers, measured in interleaved rounds.
//!
//! | step | where |
//! |---|---|
//! | what is compared with what | `bench/comparisons.rs` |
//! | the reference servers and the load generator: found, built, run | `bench/peers.rs` |
//! | short turns of servers that stay up | `bench/turns.rs` |
//! | the measurements and the ratios within a round | `bench/results.rs` |
//! | durable purchases, which need no other server | `bench/shop.rs` |
//! | files there and back, beside the usual tools | `bench/files.rs` |
//! | the tables in docs/performance.md | `bench/report.rs` |

mod comparisons;
mod files;
mod peers;
mod report;
mod results;
mod shop;
mod turns;

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::options::{Options, Usage};
use crate::{setup, step};
use comparisons::Comparison;
use peers::{Peers, Set};

pub(crate) const HELP: &str = "\
usage: cargo xtask bench [OPTIONS]

Measures the models, and the services, beside the reference servers, each on a core of its own and in turns.

  --what echo,udp,idle,churn,shop,files   what to measure (default: all)
  --only MODEL,…               these of Sockeye's models, with their references
  --cases CASE,…               these cases: c1 c64 c1000 c64x16k c64d16 (echo), s1d32 s16d8 s1d1 (udp)
  --rounds N                   interleaved rounds (default 25 for echo and udp, 5 for others)
  --secs S                     seconds of each measurement (default 0.3 for echo and udp, 2 for others)
  --conns N                    connections of `idle` (default 10000)
  --quiet S                    idle, churn: wait up to S seconds for a quiet machine before each measurement
  --tries N                    idle, churn: measure up to N times and keep the one that others disturbed least
  --peers DIR                  the reference servers (default: $SOCKEYE_PEERS, else ../shared/peers)
  --peers-set c|rust|all       which to build: the C ones (default), those and Rust's, or all (needs Go)
  --all-peers                  the same as --peers-set all
  --no-build                   measure what is built already

The tables are written to docs/performance.md, the measurements to target/peers/results/.
";

const FLAGS: &[&str] = &["--all-peers", "--no-build"];
const VALUES: &[&str] = &[
    "--what",
    "--only",
    "--cases",
    "--rounds",
    "--secs",
    "--conns",
    "--quiet",
    "--tries",
    "--peers",
    "--peers-set",
];

/// Builds, measures, writes the tables.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args, FLAGS, VALUES)?;
    let comparisons = comparisons::chosen(options.value("--what"), options.value("--only"))?;
    let set = Set::parse(if options.has("--all-peers") {
        "all"
    } else {
        options.value("--peers-set").unwrap_or("c")
    })?;
    for number in ["--rounds", "--secs", "--conns", "--quiet", "--tries"] {
        if options.value(number).is_some_and(|n| n.parse::<f64>().is_err()) {
            return Err(Usage(format!("{number} needs a number")).into());
        }
    }
    let wanted = |name: &str| {
        let what = options.value("--what");
        what.is_none_or(|what| what.split(',').any(|word| word == name))
    };
    if wanted(files::WHAT) {
        files::prepare_mounts()?;
    }
    let build = !options.has("--no-build");
    if build {
        step::run(step::cargo().args(["build", "--release", "--package", "sockeye-cli"]))?;
    }
    // Before the first table is written, for writing it changes what the commit is followed by.
    let facts = report::Facts::now();
    let [few, short] =
        [("--rounds", "5"), ("--secs", "2")].map(|(name, or)| options.value(name).unwrap_or(or));
    let told = facts.with(few, short);
    if wanted(shop::WHAT) {
        shop::measure(&options, &told)?;
    }
    if wanted(files::WHAT) {
        files::measure(&options, &told)?;
    }
    if comparisons.is_empty() {
        return Ok(());
    }
    let Some(peers) = Peers::at(&folder(&options)) else {
        println!(
            "no reference servers in {} (--peers DIR says where else)",
            folder(&options).display()
        );
        println!("so: Sockeye's models beside each other only, and docs/performance.md stays as it is");
        let models = ["bench", "--models", "all"];
        return step::run(step::program(&peers::sockeye().to_string_lossy()).args(models));
    };
    if build {
        setup::install(setup::For::Bench);
        peers.build(set)?;
    }
    for comparison in &comparisons {
        let told = match comparison.in_turns {
            true => facts.with(
                options.value("--rounds").unwrap_or(turns::ROUNDS),
                options.value("--secs").unwrap_or(turns::SECS),
            ),
            false => told.clone(),
        };
        measure(&peers, comparison, &options, &told)?;
    }
    Ok(())
}

fn folder(options: &Options) -> PathBuf {
    let named = options
        .value("--peers")
        .map(PathBuf::from)
        .or_else(|| env::var_os("SOCKEYE_PEERS").map(PathBuf::from));
    // A relative folder is meant from the workspace's root, where every step runs.
    step::root().join(named.unwrap_or_else(|| PathBuf::from("../shared/peers")))
}

fn measure(peers: &Peers, comparison: &Comparison, options: &Options, facts: &str) -> Result<()> {
    let cases = comparison.cases(options.value("--cases"));
    let servers = comparison.servers(|reference| peers.has(reference));
    let lines = peers.measure(comparison, &servers, &cases, options)?;
    let runs = results::read(&lines)?;
    if runs.is_empty() {
        bail!("{}: nothing was measured", comparison.what);
    }
    let table = report::table(comparison, &cases, &runs);
    println!("\n{table}");
    report::write(comparison.what, &format!("{facts}\n\n{table}"))
}
