//! `sockeye discover`: which services are announced on the link.
//!
//! | file | what it does |
//! |---|---|
//! | [`plan`] | which types are meant |
//! | [`table`] | what was found, for people |
//! | [`json`] | the same for programs |
//! | [`watch`] | who comes and who goes |

mod json;
mod plan;
mod table;
mod watch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use sockeye_services::discovery::{self, Browser, Change, Instance};

use crate::exit::tell;
use crate::interrupt;
use crate::terminal::print;
use plan::Plan;

const EXAMPLES: &str = "\
Examples:
  sockeye discover                 Sockeye's services on this network
  sockeye discover files           those that keep files
  sockeye discover --watch         who comes (+) and who goes (-), until Ctrl-C
  sockeye discover --types         which types of services there are
  sockeye discover _ipp._tcp       printers
  sockeye discover --json | jq .   for programs (docs/discovery.md)

Clients take a name that is found here for an endpoint:
  sockeye files ls @kitchen --user ann
  sockeye info @kitchen/echo

Ctrl-C ends it with what was found so far; a second one ends it at once.

`sockeye serve --announce` is what makes a server be found. Names and all else
are what somebody on this network says, be it true or not.

Exit codes:
  0  done, be anything found or not
  1  there is no network, or multicast DNS can't be had
  2  the arguments make no sense";

/// List the services that are announced on this network
///
/// It asks by multicast DNS, which no router forwards: who answers is on the same link as one of this machine's interfaces.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to look for: a service of Sockeye's, or a type of DNS-SD such as _ipp._tcp (all of Sockeye's)
    #[arg(value_name = "TYPE")]
    types: Vec<String>,
    /// List which types there are instead
    #[arg(long = "types", conflicts_with_all = ["types", "watch"])]
    types_only: bool,
    /// Go on, and print who comes and who goes
    #[arg(long)]
    watch: bool,
    /// How long to wait for answers; who was asked within the last second or two may be silent for as long
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = wait, conflicts_with = "watch")]
    wait: Duration,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
}

/// Who waits longer has forgotten `--watch`.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

fn wait(text: &str) -> Result<Duration, String> {
    match sockeye::parse_duration(text) {
        Ok(wait) if wait <= MAX_WAIT => Ok(wait),
        Ok(_) => Err("write 1h or less; with --watch it goes on".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let plan = Plan::of(&args)?;
    let until = Instant::now() + args.wait;
    let browser = match plan {
        _ if args.types_only => Browser::of_types()?,
        Plan::Sockeye => Browser::of_sockeye()?,
        Plan::Kinds(kinds) => Browser::new(&kinds)?,
    };
    let stopper = browser.stopper();
    interrupt::once(move || stopper.stop())?;
    if args.types_only {
        return list_types(browser, until, args.json);
    }
    match args.watch {
        true => watch::run(browser, args.json),
        false => list(browser, until, args.json),
    }
}

fn list(mut browser: Browser, until: Instant, json: bool) -> Result<ExitCode> {
    let mut found: Vec<Instance> = Vec::new();
    while let Some(change) = browser.next(Some(until))? {
        let (gone, come) = match change {
            Change::Came(now) => (None, Some(now)),
            Change::Changed { was, now } => (Some(was), Some(now)),
            Change::Went(gone) => (Some(gone), None),
        };
        found.retain(|one| Some(one) != gone.as_ref());
        found.extend(come);
    }
    found.sort_by(|one, other| (&one.name, &one.kind).cmp(&(&other.name, &other.kind)));
    let lines = match json {
        true => found.iter().map(|one| json::line(None, one)).collect(),
        false => table::of(&found),
    };
    print(&lines);
    if found.is_empty() {
        tell("nobody has announced any such service so far");
    }
    if browser.left_out() > 0 {
        tell(&format!("{} more are left out", browser.left_out()));
    }
    Ok(ExitCode::SUCCESS)
}

fn list_types(browser: Browser, until: Instant, json: bool) -> Result<ExitCode> {
    let types = browser.types(until)?;
    let line = |kind: &discovery::ServiceType| match json {
        true => json::of_type(kind),
        false => format!("{kind}\n"),
    };
    print(&types.iter().map(line).collect::<String>());
    if types.is_empty() {
        tell("nobody has announced any service so far");
    }
    Ok(ExitCode::SUCCESS)
}
