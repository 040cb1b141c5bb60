//! `sockeye serve`: services at endpoints, until a signal.
//!
//! | file | what it does |
//! |---|---|
//! | [`target`] | takes `SERVICE@ENDPOINT?NAME=VALUE` apart |
//! | [`knobs`] | the table of what may stand in the query, beside what a service itself takes |
//! | [`access`] | who may use a listener |
//! | [`plan`] | makes listeners of the arguments, or says why they can't be had |
//! | [`start`] | binds and starts them |
//! | [`announce`] | has others on the network find them |
//! | [`report`] | says where they listen, and how to try them |
//! | [`events`] | logs what happens to them |
//! | [`signals`] | waits for the end |
//! | [`help`], [`columns`] | the tables of the help |

mod access;
mod announce;
mod columns;
mod events;
mod help;
mod knobs;
mod nearest;
mod plan;
mod report;
mod signals;
mod start;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use sockeye::Model;
use sockeye_services::data::Data;

use crate::cli::count;
use crate::descriptors;
use report::Report;

/// Serve services at endpoints, until Ctrl-C
///
/// Without listeners it serves every service on loopback at its usual port; ports that are taken are reported, and the
/// others are served. Listeners that are named are served all or not at all. Each says `listening SERVICE ENDPOINT` on
/// standard error when it is ready. Ctrl-C (or SIGTERM) lets the connections end and leaves; a second one cuts them.
#[derive(Debug, clap::Args)]
#[command(after_help = help::short(), after_long_help = help::long())]
pub(crate) struct Args {
    /// What to serve and where; SERVICE alone is served on loopback at its usual port
    #[arg(value_name = "SERVICE@ENDPOINT")]
    listeners: Vec<String>,
    /// The model of concurrency: process, thread, spin, select, epoll (or epoll-lt), epoll-et, coroutine, uring
    #[arg(short, long)]
    model: Option<Model>,
    /// Threads that serve each listener, for models that have workers; 0 is one per core
    #[arg(short, long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    workers: Option<usize>,
    /// The folder for what services keep, made for its owner alone if missing ($XDG_DATA_HOME/sockeye)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Have others on the network find the listeners that they can reach (sockeye discover)
    #[arg(long)]
    announce: bool,
    /// The name to be found by (this machine's)
    #[arg(long, requires = "announce")]
    name: Option<String>,
    /// Report and log in JSON, an object a line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let descriptors = descriptors::raise_limit();
    let plan = plan::Plan::of(&args, descriptors)?;
    if args.data.is_some() {
        plan.data.as_ref().map_or(Ok(()), Data::open)?;
    }
    let report = Report { json: args.json };
    let announced_as = plan.announced_as.clone();
    let bound = start::bind(plan, &report)?;
    let until_told = |serving| signals::serve_until_told(serving, announced_as.as_deref(), report);
    match start::served_here(&bound) {
        Some((model, at)) => sockeye::run(model, async { until_told(start::start(bound, true)?).await })
            .map_err(|error| error.at(at))?,
        None => {
            // Before this thread drives anything: a model that forks would copy it.
            let serving = start::start(bound, false)?;
            sockeye::block_on(until_told(serving))?
        }
    }
}
