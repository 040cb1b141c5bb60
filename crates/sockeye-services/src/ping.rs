//! Echo requests of ICMP and ICMPv6 to a host, and what comes of each: a reply, a word that it can't be reached, or nothing.
//!
//! ```
//! use sockeye_services::ping::{Ping, run};
//!
//! let mut ping = Ping::to("127.0.0.1:0".parse()?);
//! ping.count = 1;
//! match run(&ping, &mut |_| {}, &|| false) {
//!     Ok(outcome) => assert_eq!((outcome.sent, outcome.received), (1, 1)),
//!     // Not everybody may, and the error says what to do about it.
//!     Err(error) => assert!(error.advice().is_some()),
//! }
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod tally;

pub use tally::Times;

use sockeye::{Class, Error, IcmpHeard, IcmpSocket, Result};
use sockeye_proto::icmp::{Echo, Trouble, Version, without_ipv4_header};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tally::{Tally, Verdict};

/// The greatest payload: what IPv4 carries at the most (65,535 bytes) without its header and ICMP's.
pub const MAX_SIZE: usize = 65_507;
/// The shortest time between two requests: a hundred a second show how a way is, and are no flood.
pub const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// How often a wait looks whether to stop.
const SLICE: Duration = Duration::from_millis(100);
/// The shortest wait for the last replies once some have come. Beyond that, twice the longest round trip so far.
const LAST_REPLIES: Duration = Duration::from_secs(1);
/// Room for what comes in: a packet of IP.
const ROOM: usize = 64 << 10;

/// Whom to ask, and how often.
#[derive(Clone, Debug)]
pub struct Ping {
    /// The host; its port doesn't matter.
    pub peer: SocketAddr,
    /// How many requests are sent. Default 4.
    pub count: u16,
    /// How long after one the next is sent. Default 1 second.
    pub interval: Duration,
    /// Bytes of payload. Default 56, as everywhere: with the headers of ICMP and IPv4 they are 84.
    pub size: usize,
    /// How long replies are waited for after the last request, if none has come yet. Default 10 seconds.
    pub patience: Duration,
}

/// What has just been learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Which request it is about, from 1.
    pub sequence: u16,
    /// Since that was sent.
    pub took: Duration,
    /// What.
    pub what: What,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was answered, right; how many more hops the answer might have made.
    Reply(Option<u8>),
    /// It was answered once more.
    Duplicate(Option<u8>),
    /// The reply has another payload.
    Damaged,
    /// It didn't arrive, for this reason, as somebody on the way or this machine says.
    Failed(String, Option<IpAddr>),
}

/// What came of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whether it was by a raw socket, and not by one for pinging alone.
    pub raw: bool,
    /// Requests.
    pub sent: u16,
    /// Requests that were answered, right.
    pub received: u16,
    /// Replies beyond the first.
    pub duplicated: u32,
    /// Requests whose reply has another payload.
    pub damaged: u16,
    /// Requests of which somebody said that they didn't arrive.
    pub failed: u16,
    /// The round trips, if there was any.
    pub times: Option<Times>,
}

impl Outcome {
    /// Requests that weren't answered.
    pub fn lost(&self) -> u16 {
        self.sent - self.received - self.damaged
    }
}

impl Ping {
    /// The defaults.
    pub fn to(peer: SocketAddr) -> Self {
        Ping {
            peer,
            count: 4,
            interval: Duration::from_secs(1),
            size: 56,
            patience: Duration::from_secs(10),
        }
    }

    /// Whether this can be done at all.
    ///
    /// # Errors
    /// When a number is out of its bounds, with the bounds.
    pub fn check(&self) -> Result<()> {
        let why = if self.count == 0 {
            "nothing is learnt from no request; send 1 or more".to_owned()
        } else if self.interval < MIN_INTERVAL {
            let least = sockeye::format_duration(MIN_INTERVAL);
            format!("requests that often are a flood; leave {least} or more between them")
        } else if self.size > MAX_SIZE {
            format!("{} bytes are more than a packet carries: {MAX_SIZE}", self.size)
        } else {
            return Ok(());
        };
        Err(Error::new("ping", Class::General, why).at(self.peer.ip()))
    }
}

/// Pings, and tells what it learns when it learns it. `stopped` is asked many times a second: whether to end with what there
/// is. The thread is blocked meanwhile.
///
/// # Errors
/// As [`Ping::check`] and [`IcmpSocket::dial`], or when this machine's network fails. A host that doesn't answer is no error.
pub fn run(ping: &Ping, told: &mut dyn FnMut(&News), stopped: &dyn Fn() -> bool) -> Result<Outcome> {
    ping.check()?;
    let socket = IcmpSocket::dial(ping.peer)?;
    let failed = |error| Error::io("ping", error).at(ping.peer.ip());
    let mut line = Line {
        version: match ping.peer {
            SocketAddr::V4(_) => Version::V4,
            SocketAddr::V6(_) => Version::V6,
        },
        tally: Tally::new(ping.size, fastrand::u16(..)),
        socket,
        begun: Instant::now(),
        buffer: vec![0; ROOM],
        told,
    };
    let mut next_at = Duration::ZERO;
    while !stopped() {
        let now = line.begun.elapsed();
        let more = line.tally.count() < ping.count;
        if more && now >= next_at {
            line.send().map_err(failed)?;
            next_at = (next_at + ping.interval).max(now);
            continue;
        }
        let until = match more {
            true => next_at,
            false => line.tally.last_sent() + line.tally.patience(ping.patience, LAST_REPLIES),
        };
        if !more && (line.tally.is_complete() || now >= until) {
            break;
        }
        line.socket
            .wait(until.saturating_sub(now).min(SLICE))
            .map_err(failed)?;
        line.hear().map_err(failed)?;
    }
    Ok(line.tally.outcome(line.socket.is_raw()))
}

/// What goes to and from the host.
struct Line<'a> {
    version: Version,
    socket: IcmpSocket,
    tally: Tally,
    begun: Instant,
    buffer: Vec<u8>,
    told: &'a mut dyn FnMut(&News),
}

impl Line<'_> {
    /// Sends the next request. That it can't be sent is a fate of its own.
    fn send(&mut self) -> std::io::Result<()> {
        let request = self.tally.next_request(self.begun.elapsed()).encode(self.version);
        let mut sent = self.socket.send(&request);
        if sent.is_err() {
            // A trouble of before fails the call that is next, whichever that is.
            self.hear()?;
            sent = self.socket.send(&request);
        }
        if let Err(error) = sent {
            let sequence = self.tally.count();
            self.fail(sequence, None, format!("not sent: {error}"), None);
        }
        Ok(())
    }

    /// Takes all that has come in.
    fn hear(&mut self) -> std::io::Result<()> {
        while let Some(heard) = self.socket.recv(&mut self.buffer)? {
            match heard {
                IcmpHeard::Message { length, hops } => self.answer(length, hops),
                IcmpHeard::Trouble {
                    length,
                    cause,
                    said,
                    from,
                } => {
                    let Some(request) = Echo::decode(self.version, &self.buffer[..length]) else {
                        continue;
                    };
                    let version = self.version;
                    let why = match said {
                        Some((kind, code, mtu)) => Trouble {
                            version,
                            kind,
                            code,
                            mtu,
                        }
                        .to_string(),
                        None => cause.to_string(),
                    };
                    let identifier = self.socket.is_raw().then_some(request.identifier);
                    self.fail(request.sequence, identifier, why, from);
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, length: usize, hops: Option<u8>) {
        let now = self.begun.elapsed();
        let raw = self.socket.is_raw();
        let whole = &self.buffer[..length];
        let packet = match (raw, self.version) {
            (true, Version::V4) => without_ipv4_header(whole).map(|(_, rest)| rest),
            _ => Some(whole),
        };
        let Some(echo) = packet.and_then(|packet| Echo::decode(self.version, packet)) else {
            return;
        };
        let Some((verdict, took)) = self.tally.arrived(&echo, raw, now) else {
            return;
        };
        let what = match verdict {
            Verdict::Reply => What::Reply(hops),
            Verdict::Duplicate => What::Duplicate(hops),
            Verdict::Damaged => What::Damaged,
        };
        let sequence = echo.sequence;
        (self.told)(&News { sequence, took, what });
    }

    /// A request is said not to have arrived, with this identifier where other programs' requests may be meant.
    fn fail(&mut self, sequence: u16, identifier: Option<u16>, why: String, from: Option<IpAddr>) {
        if let Some(took) = self.tally.failed(sequence, identifier, self.begun.elapsed()) {
            let what = What::Failed(why, from);
            (self.told)(&News { sequence, took, what });
        }
    }
}
