//! `sockeye info`: what a name stands for, who answers there, and what the connection is like.
//!
//! | step | where |
//! |---|---|
//! | from the arguments to a plan | [`plan`] |
//! | resolve, look the service up | [`lookup`] |
//! | ping | [`ping`] |
//! | connect | [`connect`] |
//! | TLS, and the certificates it shows | [`handshake`], [`certificate`] |
//! | what was found out, as `--json` prints it | [`report`] |
//! | the same for people | [`text`], on a [`page`] |
//! | the classes of failure | [`failure`] |

mod certificate;
mod connect;
mod failure;
mod handshake;
mod lookup;
mod page;
mod ping;
pub(crate) mod plan;
mod report;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sockeye_services::ping::{MAX_SIZE, MIN_INTERVAL};

use crate::cli::span;
use crate::discovered::{Wanted, discovered};
use crate::exit;
use crate::terminal::{json_page, print};
use connect::Reached;
use failure::{Failure, Step};
use page::Page;
use plan::Plan;
use report::{Report, micros};

const EXAMPLES: &str = "\
Examples:
  sockeye info localhost                        what the name stands for
  sockeye info localhost 8080                   connect, and tell all about it
  sockeye info example.org https --tls          protocol, cipher, certificates
  sockeye info tls://127.0.0.1:8443 --insecure  a certificate nobody vouches for
  sockeye info example.org 80 --all --reverse   every address, and their names
  sockeye info example.org --ping --count 10    whether it is there, and how far
  sockeye info udp://127.0.0.1:8013             whether UDP is refused there
  sockeye info unix:///run/sockeye.sock         a Unix socket
  sockeye info @kitchen/echo                    one that is announced
  sockeye info example.org 443 --tls --json     for programs

Exit codes:
  0  it is as asked for
  1  something failed; with --all, also when an address did not answer; with
     --reverse, also when no address has a name; with --ping, also when no
     request was answered, or the system permits none
  2  the arguments make no sense";

/// Resolve a name, connect, and tell everything about the connection
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A host name, an address, HOST:PORT, an endpoint (tcp://…, tls://…, udp://…, unix:…), or a name that is announced:
    /// @kitchen/echo
    host: String,
    /// The port, as a number or by its service's name; without one the name is only resolved
    #[arg(value_name = "PORT|SERVICE")]
    port: Option<String>,
    /// Connect to every address, one after another, not only to the one that answers first
    #[arg(long)]
    all: bool,
    /// Look up the name of each address too
    #[arg(long)]
    reverse: bool,
    /// Speak TLS over the connection, and show what it settles on
    #[arg(long)]
    tls: bool,
    /// Go on when the certificate is not trusted
    #[arg(long)]
    insecure: bool,
    /// Trust the certificates of this PEM file instead of the system's authorities
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Who the certificate must be for, if not HOST
    #[arg(long, value_name = "NAME")]
    servername: Option<String>,
    /// Protocols to offer in the handshake (ALPN), such as h2,http/1.1
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    alpn: Vec<String>,
    /// Ask by ICMP whether the host is there, and how long an answer takes
    #[arg(long)]
    ping: bool,
    /// Echo requests to send
    #[arg(long, value_name = "N", default_value = "4", requires = "ping", value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// How long after one the next is sent
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "ping", value_parser = interval)]
    interval: Duration,
    /// Bytes of payload of each
    #[arg(long, value_name = "BYTES", default_value = "56", requires = "ping", value_parser = size)]
    size: usize,
    /// How long each step may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span)]
    timeout: Duration,
    /// Print one JSON object (docs/info-json.md)
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    match sockeye::parse_duration(text) {
        Ok(interval) if interval < MIN_INTERVAL => {
            let least = sockeye::format_duration(MIN_INTERVAL);
            Err(format!("that often it is a flood; write {least} or more"))
        }
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    }
}

fn size(text: &str) -> Result<usize, String> {
    let bytes = sockeye::parse_size(text).map_err(|error| error.to_string())?;
    let fits = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_SIZE);
    fits.ok_or_else(|| format!("a packet carries {MAX_SIZE} bytes at the most"))
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (args, known_as) = where_announced(args)?;
    let plan = Plan::new(&args, known_as)?;
    let page = Page::for_stdout();
    let begun = Instant::now();
    let mut report = Report {
        target: plan.target.clone(),
        packets: plan.endpoint.is_packet(),
        ..Report::default()
    };
    // People see each step when it is done, programs everything at the end.
    let mut tell = |report: &Report, step: Step| {
        if !args.json {
            print(&text::step(&page, report, step));
        }
    };
    let looked = sockeye::block_on(look(&plan, &mut report, &mut tell))?;
    report.error = looked.err();
    report.ok = report.error.is_none();
    report.total_us = micros(begun.elapsed());
    if args.json {
        print(&json_page(&report));
    } else {
        print(&text::ends(&page, &report));
    }
    match &report.error {
        None => Ok(ExitCode::SUCCESS),
        Some(failure) => {
            exit::tell(&format!(
                "sockeye: {}",
                crate::terminal::harmless(&failure.sentence())
            ));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A name that somebody announces gives way to where that is, and what it is known by.
fn where_announced(mut args: Args) -> anyhow::Result<(Args, Option<String>)> {
    if !args.host.starts_with('@') {
        return Ok((args, None));
    }
    if let Some(port) = &args.port {
        let why = format!(
            "`{}` has a port itself: leave `{port}` out",
            args.host.escape_debug()
        );
        return Err(exit::Usage::new(why).into());
    }
    let there = discovered(&args.host, Wanted::default())?;
    args.host = there.endpoint.to_string();
    Ok((args, Some(there.known_as())))
}

/// All the steps, as far as they lead.
async fn look(plan: &Plan, report: &mut Report, tell: &mut impl FnMut(&Report, Step)) -> Result<(), Failure> {
    let found = lookup::addresses(plan, report, tell).await;
    let port = lookup::port(plan, report, tell);
    let (found, port) = (found?, port?);
    let nameless = lookup::reverse_failure(plan, report);
    let unheard = ping::addresses(plan, report, &found, tell)?;
    if plan.names_only {
        return unheard.or(nameless).map_or(Ok(()), Err);
    }
    let reached = connect::addresses(plan, report, found, port).await;
    tell(report, Step::Connect);
    let Reached { socket, missed } = reached?;
    let shaken = handshake::tls(plan, report, socket).await;
    tell(report, Step::Tls);
    shaken?;
    missed.or(unheard).or(nameless).map_or(Ok(()), Err)
}
