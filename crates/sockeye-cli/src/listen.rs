//! `sockeye listen`: every datagram that comes, with its peer, its time, and the interface that it came in by.

mod answering;

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use serde::Serialize;
use sockeye::{
    Datagram, Endpoint, Host, Membership, Message, Options, interface_index, interface_name, interfaces,
};
use sockeye_services::reply::Reply;
use sockeye_services::settings::Settings;
use tokio::sync::oneshot;

use crate::cli::some;
use crate::content::{Content, Format, plain, time_of_day, unix_time};
use crate::exit::{Usage, tell};
use crate::interrupt;
use crate::terminal::{self, json_line};
use answering::Answering;

const EXAMPLES: &str = "\
Examples:
  sockeye listen udp://:8000                              what is sent or broadcast to port 8000
  sockeye listen udp://:8000 --count 1 --hex              the first datagram, byte by byte
  sockeye listen udp://:5353 --group 224.0.0.251          a group, on every interface
  sockeye listen udp://:8000 --group ff02::4711%eth0      on one of them
  sockeye listen udp://:8000 --answer 'ping => pong ;; * => 你好'
  sockeye listen udp://127.0.0.1:8000 --json              for programs
  sockeye listen unixgram:/run/app.sock                   within the machine

A broadcast is heard where the endpoint names no host. Times are those of the kernel, in UTC. Ctrl-C ends it and says how many
datagrams came; a second one ends it at once.

Exit codes:
  0  so many datagrams came as were asked for; without --count, however it ended
  1  the address can't be had, receiving failed, or fewer than --count came
  2  the arguments make no sense";

/// Print every datagram that comes
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to listen: udp://HOST:PORT (no HOST: all addresses), unixgram:…
    endpoint: Endpoint,
    /// Join a multicast group, on every interface unless one is named: GROUP or GROUP%INTERFACE; repeats
    #[arg(long, value_name = "GROUP")]
    group: Vec<Membership>,
    /// Hear only what comes in by this interface; groups are joined on it
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Answer by rules, `PATTERN => ANSWER`, as the service reply does, and whom it does (docs/udp-services.md); `;;` parts several
    #[arg(long, value_name = "RULES")]
    answer: Option<String>,
    /// Stop after so many datagrams
    #[arg(long, value_name = "N", value_parser = some, allow_negative_numbers = true)]
    count: Option<NonZeroUsize>,
    #[command(flatten)]
    format: Format,
}

/// What will be done.
struct Plan {
    endpoint: Endpoint,
    options: Options,
    answers: Option<Reply>,
    count: Option<NonZeroUsize>,
    format: Format,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let plan = Plan::new(args)?;
    let interrupt = interrupt::heard()?;
    Ok(sockeye::block_on(plan.listen(interrupt))??)
}

impl Plan {
    fn new(args: Args) -> Result<Self> {
        let endpoint = args.endpoint;
        if !endpoint.is_packet() {
            let why =
                format!("{endpoint} carries a stream; listen is for datagrams: udp://:8000, unixgram:…");
            return Err(Usage::new(why).into());
        }
        let is_udp = endpoint.host_port().is_some();
        if !is_udp && (args.interface.is_some() || !args.group.is_empty()) {
            return Err(Usage::new(format!("{endpoint} has no interfaces and no groups")).into());
        }
        let mut options = match is_udp {
            true => Options::new().timestamps(true).packet_info(true),
            false => Options::new(),
        };
        if let Some(name) = &args.interface {
            check_interface(name)?;
        }
        let groups = joins(&endpoint, args.group, args.interface.as_deref())?;
        if !groups.is_empty() {
            // Programs that listen to a group share its port, and each hears all.
            options = options.reuse_address(true);
        }
        options = groups.into_iter().fold(options, Options::join);
        if let Some(name) = args.interface {
            options = options.device(name);
        }
        let encoding = args.format.encoding.to_string();
        let reply = |rules| {
            let settings = Settings::new().set("rule", rules).set("encoding", encoding);
            Reply::from_settings(&settings)
                .map_err(|error| Usage::new(format!("--answer: {}", error.cause())))
        };
        Ok(Plan {
            endpoint,
            options,
            answers: args.answer.map(reply).transpose()?,
            count: args.count,
            format: args.format,
        })
    }

    async fn listen(&self, mut interrupt: oneshot::Receiver<()>) -> sockeye::Result<ExitCode> {
        let mut socket = Datagram::bind_with(&self.endpoint, &self.options).await?;
        tell(&format!("listening at {}", socket.endpoint()));
        let answering = self.answers.as_ref().map(|rules| Answering::new(rules, &socket));
        let mut names = HashMap::new();
        let mut came = 0;
        while self.count.is_none_or(|count| came < count.get()) {
            let message = tokio::select! {
                biased;
                _ = &mut interrupt => return Ok(self.interrupted(came)),
                message = socket.recv_message() => message,
            };
            let message = match message {
                Ok(message) => message,
                // One that is too long is lost, and the next is as usual; what the kernel refuses it will refuse again.
                Err(error) if error.raw_os_error().is_none() => {
                    tell(&format!("sockeye: {error}"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let arrived = message.arrived().unwrap_or_else(SystemTime::now);
            let answer = match &answering {
                Some(answering) => answering.answer(&mut socket, &message).await,
                None => None,
            };
            let heard = Heard::new(&message, arrived, &mut names, answer.as_deref(), &self.format);
            if !terminal::print(&heard.printed(message.data(), &self.format)) {
                break;
            }
            came += 1;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// How many came until then, and whether that is a failure.
    fn interrupted(&self, came: usize) -> ExitCode {
        let plural = if came == 1 { "" } else { "s" };
        match self.count {
            None => tell(&format!("{came} datagram{plural}")),
            Some(count) => {
                tell(&format!("sockeye: {came} of {count} datagrams"));
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }
}

/// The groups to join: those that are named, and the one that the endpoint itself is.
fn joins(endpoint: &Endpoint, named: Vec<Membership>, only: Option<&str>) -> Result<Vec<Membership>> {
    let mut groups = named;
    let host = endpoint.host_port().map(|at| &at.host);
    let own = match host {
        Some(Host::V4(group)) if group.is_multicast() => Some((IpAddr::V4(*group), None)),
        Some(Host::V6(group, scope)) if group.is_multicast() => Some((IpAddr::V6(*group), scope.clone())),
        _ => None,
    };
    if let Some(stranger) = groups.iter().find(|one| !hears(host, one.group)) {
        let why =
            format!("{endpoint} can't hear {stranger}, which is of the other family; listen at udp://:PORT");
        return Err(Usage::new(why).into());
    }
    groups.extend(own.map(|(group, interface)| Membership { group, interface }));
    let mut joins = Vec::new();
    for membership in groups {
        let on = |interface: &str| Membership {
            group: membership.group,
            interface: Some(interface.to_owned()),
        };
        match (&membership.interface, only) {
            (Some(named), _) => {
                let is_number = named.parse::<u32>().is_ok(); // RFC 4007, section 11
                if !is_number {
                    check_interface(named)?;
                }
                joins.push(membership);
            }
            (None, Some(only)) => joins.push(on(only)),
            (None, None) => {
                let all = interfaces()?;
                let speaks = |one: &&sockeye::Interface| match membership.group {
                    IpAddr::V4(_) => one.v4().is_some(),
                    IpAddr::V6(_) => one.has_v6(),
                };
                let speaks = |one: &&sockeye::Interface| one.is_usable() && one.multicast && speaks(one);
                let before = joins.len();
                joins.extend(all.iter().filter(speaks).map(|one| on(&one.name)));
                if joins.len() == before {
                    joins.push(membership); // the routes may know more
                }
            }
        }
    }
    Ok(joins)
}

fn check_interface(name: &str) -> Result<()> {
    if interface_index(name).is_some() {
        return Ok(());
    }
    let there: Vec<String> = interfaces()?.into_iter().map(|one| one.name).collect();
    let why = format!(
        "no interface is called `{}`; there are {} (sockeye broadcast --list tells more)",
        name.escape_debug(),
        there.join(", ")
    );
    Err(Usage::new(why).into())
}

/// Whether a socket at such an address can hear a group: one for all addresses of IPv6 hears IPv4 too.
fn hears(host: Option<&Host>, group: IpAddr) -> bool {
    match host {
        Some(Host::V4(_)) => group.is_ipv4(),
        Some(Host::V6(ip, _)) => group.is_ipv6() || ip.is_unspecified(),
        _ => true,
    }
}

/// A datagram for programs.
#[derive(Serialize)]
struct Heard {
    /// Seconds since 1970.
    time: f64,
    #[serde(skip)]
    clock: String,
    peer: String,
    local: Option<String>,
    interface: Option<String>,
    #[serde(flatten)]
    content: Content,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Content>,
}

impl Heard {
    fn new(
        message: &Message,
        arrived: SystemTime,
        names: &mut HashMap<u32, Option<String>>,
        answer: Option<&[u8]>,
        format: &Format,
    ) -> Self {
        let name = |index| {
            names
                .entry(index)
                .or_insert_with(|| interface_name(index))
                .clone()
        };
        Heard {
            time: unix_time(arrived),
            clock: time_of_day(arrived),
            peer: plain(&message.peer()),
            local: message.local().map(plain),
            interface: message.interface().and_then(name),
            content: format.content(message.data()),
            answer: answer.map(|bytes| format.content(bytes)),
        }
    }

    fn printed(&self, bytes: &[u8], format: &Format) -> String {
        if format.json {
            return json_line(self);
        }
        let interface = self
            .interface
            .as_deref()
            .map_or(String::new(), |name| format!("  {name}"));
        format.line(&format!("{}  {}{interface}  ", self.clock, self.peer), bytes)
    }
}
