//! `sockeye bench`: puts load on echo servers, checks every byte that comes back, and compares.
//!
//! | step | where |
//! |---|---|
//! | what is measured: servers, cases, rounds; what is impossible | `plan` |
//! | one server process: started, watched, ended; its CPU time and memory | `server`, `proc`, `cores` |
//! | one measurement, and all of them in interleaved rounds | `measure`, `rounds` |
//! | medians and spreads over the rounds | `results` |
//! | for people and programs | `table`, `figures`, `progress`, `json`, `report`, `machine` |

mod cores;
mod figures;
mod json;
mod machine;
mod measure;
mod plan;
mod proc;
mod progress;
mod report;
mod results;
mod rounds;
mod server;
mod table;

use crate::cli::count;
use crate::terminal;
use anyhow::Context;
use sockeye::Endpoint;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  sockeye bench tcp://127.0.0.1:8080
      Any echo server: 64 connections, one message of 64 bytes on its way on
      each, for 5 seconds.
  sockeye bench tls://localhost:8443 --insecure -c 1,64 -s 64,16KiB -d 16
      Four cases. --insecure accepts any certificate.
  sockeye bench --models all --connections 1,64,1000 --report models.html
      Every model of concurrency beside the others, and a page with charts.
  sockeye bench --models epoll-lt,uring --udp --connections 16 --depth 8
      Datagrams: what is lost, late, doubled or out of order is counted, and
      told with its share of those sent.
  sockeye bench --models epoll-lt --against 'mine=python3 server.py {port}'
      Any other server in the same run. {port} becomes the port on which it is
      to listen, on 127.0.0.1.

Columns, each the median over the rounds:
  requests/s   messages that came back whole and right; below it the least and
               the greatest round
  ratio        requests/s to the best server's of the same round
  p50 … p99.9  half, 99 % and 99.9 % of the messages came back within this time
  CPU/request  what the server's processes spent for a message: steadier than
               requests/s, for the load generator's core is often full first
  mem/conn     what the server's processes grew by while all connections were
               under load, for each of them
  trouble      connections that broke (errors), brought other bytes than were
               sent (wrong) or got no answer at all (silent); of datagrams also
               the lost, late, doubled and reordered

Exit codes:
  0  all was measured
  1  a server failed, or wrong bytes came back
  2  the request makes no sense";

const USAGE: &str = "\
sockeye bench [OPTIONS] ENDPOINT
       sockeye bench [OPTIONS] --models MODEL,… [--against COMMAND]";

/// Measure echo servers: requests/s, latency, CPU and memory, with every byte checked
///
/// Each connection keeps DEPTH messages of SIZE bytes on their way and sends the next when one has come back. What
/// comes back is compared byte by byte with what was sent. With --models or --against, servers are started for it (a
/// fresh one for each measurement) and measured in turn, round after round, so that what else happens on the machine
/// hits all of them alike; the server gets one core and the load another.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = USAGE,
    after_long_help = EXAMPLES,
    after_help = "What the columns mean, and examples: sockeye bench --help"
)]
pub(crate) struct Args {
    /// An echo server that runs already: tcp://, tls://, unix:, unixseq:, vsock://, udp:// or unixgram:
    #[arg(value_name = "ENDPOINT")]
    endpoint: Option<Endpoint>,

    /// Sockeye's own echo under these models (or `all`), each in a process of its own
    #[arg(long, value_delimiter = ',', value_name = "MODEL,…")]
    models: Vec<String>,

    /// Any other server: a shell command in which {port} is replaced; NAME=COMMAND names it in the table
    #[arg(long, value_name = "[NAME=]COMMAND")]
    against: Vec<String>,

    /// Connections at once
    #[arg(long, short, value_delimiter = ',', default_value = "64", value_parser = count, allow_negative_numbers = true, value_name = "N,…")]
    connections: Vec<usize>,

    /// Bytes of a message, such as 64 or 16KiB
    #[arg(long, short, value_delimiter = ',', default_value = "64", value_parser = size, allow_negative_numbers = true, value_name = "BYTES,…")]
    size: Vec<usize>,

    /// Messages on their way at once on each connection
    #[arg(long, short, value_delimiter = ',', default_value = "1", value_parser = count, allow_negative_numbers = true, value_name = "N,…")]
    depth: Vec<usize>,

    /// Seconds of each measurement [default: 5, with --models or --against 2]
    #[arg(long, value_parser = seconds, allow_negative_numbers = true, value_name = "S")]
    seconds: Option<f64>,

    /// Seconds under load before each measurement; longer where connections still wait for their first answer
    #[arg(long, value_parser = seconds, allow_negative_numbers = true, default_value = "0.3", value_name = "S")]
    warm_up: f64,

    /// How often everything is measured [default: 1, with --models or --against 3]
    #[arg(long, value_parser = count, allow_negative_numbers = true, value_name = "N")]
    rounds: Option<usize>,

    /// Threads of the load generator
    #[arg(long, default_value = "1", value_parser = count, allow_negative_numbers = true, value_name = "N")]
    threads: usize,

    /// Workers of each model's server, where the model has them
    #[arg(long, default_value = "1", value_parser = count, allow_negative_numbers = true, value_name = "N")]
    workers: usize,

    /// Datagrams, for --models and --against
    #[arg(long)]
    udp: bool,

    /// Accept any certificate on tls://
    #[arg(long)]
    insecure: bool,

    /// Leave it to the system which cores servers and load run on
    #[arg(long)]
    no_pin: bool,

    /// Write the results to standard output as JSON
    #[arg(long)]
    json: bool,

    /// Write a page with charts, in one file without anything from elsewhere
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

fn size(text: &str) -> Result<usize, String> {
    let bytes = sockeye::parse_size(text).map_err(|error| error.to_string())?;
    usize::try_from(bytes).map_err(|_| format!("{text} is too much"))
}

/// More than anybody waits for, and within what a clock can count.
const MAX_SECONDS: f64 = 86_400.0;

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.001..=MAX_SECONDS).contains(&number) => Ok(number),
        _ => Err(format!("write a number of seconds from 0.001 to {MAX_SECONDS}")),
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (json, report) = (args.json, args.report.clone());
    let plan = plan::make(args)?;
    if let Some(path) = &report {
        // Found out before minutes of measuring, not after.
        std::fs::write(path, "").with_context(|| format!("write report {}", path.display()))?;
    }
    let machine = machine::facts();
    let results = rounds::run(&plan, progress::Progress::new(&plan, json))?;
    let text = if json {
        json::print(&plan, &machine, &results)?
    } else {
        table::print(&plan, &results, io::stdout().is_terminal())
    };
    terminal::print(&text);
    if let Some(path) = &report {
        let page = report::page(&plan, &machine, &results);
        std::fs::write(path, page).with_context(|| format!("write report {}", path.display()))?;
    }
    Ok(if results.failed(&plan) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
