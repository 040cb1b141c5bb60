//! Asking whether the host is there, by echo requests of ICMP.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use sockeye::{Address, Class, Error, Resolved};
use sockeye_services::ping::{News, Outcome, Ping, What, run};

use super::failure::{Failure, Kind, Step};
use super::plan::Plan;
use super::report::{Report, micros};
use crate::interrupt::Interrupt;

/// What came of one address.
#[derive(Debug, Serialize)]
pub(super) struct Pinged {
    pub(super) address: String,
    /// Bytes of payload.
    pub(super) size: usize,
    /// Why nothing could be sent there.
    pub(super) error: Option<String>,
    /// `ping` or `raw`.
    pub(super) socket: Option<&'static str>,
    pub(super) sent: u16,
    pub(super) received: u16,
    pub(super) lost: u16,
    pub(super) lost_percent: f64,
    pub(super) duplicated: u32,
    pub(super) damaged: u16,
    pub(super) min_us: Option<u64>,
    pub(super) avg_us: Option<u64>,
    pub(super) max_us: Option<u64>,
    pub(super) mdev_us: Option<u64>,
    /// What was learnt, in the order in which it was.
    pub(super) replies: Vec<Reply>,
    /// Whether there is nothing more to come.
    #[serde(skip)]
    pub(super) over: bool,
}

/// What was learnt of a request.
#[derive(Debug, Serialize)]
pub(super) struct Reply {
    pub(super) sequence: u16,
    /// `reply`, `duplicate`, `damaged` or `unreachable`.
    pub(super) kind: &'static str,
    pub(super) took_us: u64,
    /// How many more routers it might have passed.
    pub(super) ttl: Option<u8>,
    /// Why it didn't arrive, and who says so.
    pub(super) error: Option<String>,
    pub(super) from: Option<String>,
}

impl From<&News> for Reply {
    fn from(news: &News) -> Self {
        let (kind, ttl, error, from) = match news.what.clone() {
            What::Reply(hops) => ("reply", hops, None, None),
            What::Duplicate(hops) => ("duplicate", hops, None, None),
            What::Damaged => ("damaged", None, None, None),
            What::Failed(why, from) => ("unreachable", None, Some(why), from),
        };
        Reply {
            sequence: news.sequence,
            kind,
            took_us: micros(news.took),
            ttl,
            error,
            from: from.map(|from: IpAddr| from.to_string()),
        }
    }
}

impl Pinged {
    fn begin(address: &SocketAddr, size: usize) -> Self {
        Pinged {
            address: match address {
                SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
                other => other.ip().to_string(),
            },
            size,
            error: None,
            socket: None,
            sent: 0,
            received: 0,
            lost: 0,
            lost_percent: 0.0,
            duplicated: 0,
            damaged: 0,
            min_us: None,
            avg_us: None,
            max_us: None,
            mdev_us: None,
            replies: Vec::new(),
            over: false,
        }
    }

    fn end(&mut self, outcome: &Outcome) {
        let lost = outcome.lost();
        let times = outcome.times.as_ref();
        self.socket = Some(if outcome.raw { "raw" } else { "ping" });
        (self.sent, self.received, self.lost) = (outcome.sent, outcome.received, lost);
        self.lost_percent = match outcome.sent {
            0 => 0.0,
            sent => f64::from(lost) * 100.0 / f64::from(sent),
        };
        (self.duplicated, self.damaged) = (outcome.duplicated, outcome.damaged);
        self.min_us = times.map(|times| micros(times.min));
        self.avg_us = times.map(|times| micros(times.avg));
        self.max_us = times.map(|times| micros(times.max));
        self.mdev_us = times.map(|times| micros(times.mdev));
        self.over = true;
    }
}

/// Pings the first of the addresses that there is a way to, or each; returns the failure of one that didn't answer at all. Nothing else waits on
/// this thread meanwhile.
pub(super) fn addresses(
    plan: &Plan,
    report: &mut Report,
    found: &[Resolved],
    tell: &mut impl FnMut(&Report, Step),
) -> Result<Option<Failure>, Failure> {
    let Some(shape) = &plan.ping else {
        return Ok(None);
    };
    let stop =
        Interrupt::listen().map_err(|error| Failure::new(Step::Ping, &Error::io("catch signals", error)))?;
    let mut missed = None;
    let inet = found.iter().filter_map(|one| match &one.address {
        Address::Inet(inet) => Some(*inet),
        _ => None,
    });
    for peer in inet {
        let ping = Ping {
            peer,
            ..shape.clone()
        };
        report.ping.push(Pinged::begin(&peer, ping.size));
        let mut told = |news: &News| {
            if let Some(pinged) = report.ping.last_mut() {
                pinged.replies.push(news.into());
            }
            tell(report, Step::Ping);
        };
        let ran = run(&ping, &mut told, &|| stop.came());
        let Some(pinged) = report.ping.last_mut() else {
            continue;
        };
        match ran {
            Ok(outcome) => {
                pinged.end(&outcome);
                let silent = silence(pinged, plan, stop.came());
                tell(report, Step::Ping);
                if !plan.all {
                    return Ok(silent);
                }
                missed = missed.or(silent);
            }
            Err(error) => {
                (pinged.error, pinged.over) = (Some(error.cause()), true);
                tell(report, Step::Ping);
                let failure = Failure::new(Step::Ping, &error);
                // What the system doesn't permit for one it doesn't for the others.
                if error.advice().is_some() {
                    return Err(failure);
                }
                missed = Some(failure);
            }
        }
        if stop.came() {
            break;
        }
    }
    Ok(missed)
}

/// Why nothing was answered, if nothing was.
fn silence(pinged: &Pinged, plan: &Plan, stopped: bool) -> Option<Failure> {
    if pinged.received > 0 {
        return None;
    }
    let what = match pinged.sent {
        1 => "the request was not answered".to_owned(),
        sent => format!("none of {sent} requests was answered"),
    };
    let reasons = pinged.replies.iter().rev();
    if let Some((why, from)) = reasons
        .filter_map(|reply| Some((reply.error.as_ref()?, &reply.from)))
        .next()
    {
        let who = from
            .as_ref()
            .map(|from| format!(", says {from}"))
            .unwrap_or_default();
        return Some(Failure {
            step: Step::Ping,
            kind: Kind::Unreachable,
            message: format!("ping {}: {what}: {why}{who}", pinged.address),
            errno: None,
        });
    }
    if stopped {
        let error = Error::new("ping", Class::General, format!("{what} until the interrupt"));
        return Some(Failure::new(Step::Ping, &error.at(&pinged.address)));
    }
    let limit = sockeye::format_duration(plan.limit);
    let error = Error::new("ping", Class::Timeout, format!("{what} within {limit}"));
    let error = error
        .at(&pinged.address)
        .advise("it may be down, or a firewall drops pings; a port of it may answer nevertheless");
    Some(Failure::new(Step::Ping, &error))
}
