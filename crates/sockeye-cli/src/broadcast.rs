//! `sockeye broadcast`: a text to all who hear it, and who answers.
//!
//! | step | where |
//! |---|---|
//! | whom to send to, by which interface | [`paths`] |
//! | the table of interfaces | [`list`] |
//! | the texts: an argument, or lines of standard input | [`texts`] |
//! | sending, and hearing answers | [`air`] |

mod air;
mod list;
mod paths;
mod texts;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::cli::{some, span};
use crate::content::Format;
use crate::exit::Usage;
use crate::interrupt;
use air::Air;
use paths::{Reach, To};
use texts::Texts;

const EXAMPLES: &str = "\
Examples:
  sockeye broadcast --list                           the interfaces, and whom each reaches
  sockeye broadcast hello                            to port 8000 of everybody on every network
  sockeye broadcast --wait 2s 'who is there?'        and who answers
  sockeye broadcast --every 1s --count 5 hello       five times
  date | sockeye broadcast --port 9000               a datagram for each line
  sockeye broadcast --to directed hello              to 192.168.1.255 and its like
  sockeye broadcast --to eth0 hello                  on one network
  sockeye broadcast --to 239.1.2.3 --ttl 4 hello     a multicast group, through four routers
  sockeye broadcast --to ff02::1%eth0 --no-loop hi   one of IPv6, and not to ourselves

Ctrl-C ends it as if all had been sent; a second one ends it at once.

Exit codes:
  0  sent, and with --wait somebody answered
  1  an interface refused it, or nobody answered
  2  the arguments make no sense";

/// Send a text to everybody on the networks, or to a multicast group
///
/// 255.255.255.255 leaves by every interface that is up and leads out of this machine, not by one that the routes choose;
/// so do groups, unless an interface is named.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to send; without it, each line of standard input is a datagram
    text: Option<String>,
    /// The port to send to
    #[arg(long, value_name = "PORT", default_value = "8000", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Whom: <broadcast> (255.255.255.255), `directed` (each network's own broadcast address), INTERFACE, GROUP,
    /// GROUP%INTERFACE, or another ADDRESS; repeats
    #[arg(long, value_name = "ADDRESS|INTERFACE|GROUP", default_value = "<broadcast>")]
    to: Vec<To>,
    /// Leave by this interface only
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// How many routers a datagram may pass (1 for groups, the system's own number else)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    ttl: Option<u8>,
    /// Do not deliver what goes to a group to this machine
    #[arg(long)]
    no_loop: bool,
    /// Send again after this time; of several lines: the time between them
    #[arg(long, value_name = "TIME", value_parser = span)]
    every: Option<Duration>,
    /// Send so many times (without --every, once a second); of several lines: not more than these
    #[arg(long, value_name = "N", value_parser = some, allow_negative_numbers = true)]
    count: Option<NonZeroUsize>,
    /// Print who answers, until so long after the last datagram
    #[arg(long, value_name = "TIME", value_parser = span)]
    wait: Option<Duration>,
    /// List the interfaces and what each can reach, and send nothing
    #[arg(long, conflicts_with_all = ["text", "to", "interface", "every", "count", "wait"])]
    list: bool,
    #[command(flatten)]
    format: Format,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let interfaces = sockeye::interfaces()?;
    if args.list {
        list::print(&interfaces, args.format.json);
        return Ok(ExitCode::SUCCESS);
    }
    let reach = Reach {
        port: args.port,
        only: args.interface.as_deref(),
        ttl: args.ttl,
        loops: !args.no_loop,
    };
    let paths = reach.paths(&args.to, &interfaces)?;
    let texts = match &args.text {
        Some(text) => {
            let bytes = args.format.encode(text).map_err(Usage::new)?;
            Texts::again(bytes, args.every, args.count)
        }
        None => Texts::lines(args.format, args.every, args.count)?,
    };
    let interrupt = interrupt::heard()?;
    sockeye::block_on(async {
        let air = Air::open(paths, args.format).await?;
        air.run(texts, args.wait, interrupt).await
    })?
}
