//! What keeps services over UDP from being used against others.
//!
//! The sender of a datagram is easily forged, and whoever is named as such gets the answer. So a [`Shield`] stands in front of
//! a service that answers datagrams, and has five rules:
//!
//! | rule | against |
//! |---|---|
//! | only [near](is_near) sources are answered, unless told otherwise | servers that strangers hit others with |
//! | no port below 1024 is answered, nor a usual one of Sockeye's, nor one like the service's own | two services that answer each other for ever |
//! | an answer has no more than [`FACTOR`] times the bytes of its question | amplification |
//! | a source gets no more than [`RATE`] answers a second | floods |
//! | one datagram of [`IN_A_ROW`] that come without a pause gets no answer | loops that the second rule can't see |
//!
//! Beyond the second rule no datagram from loopback is shielded from: nobody else can be hit there, and the kernel lets none in
//! that only pretends to come from there.
//!
//! ```
//! use sockeye_services::shield::{Answers, Policy, Question, Refusal, Shield, Verdict};
//! use std::time::Duration;
//!
//! let shield = Shield::new(Answers::Everything, &Policy::default(), 8080);
//! let judge = |peer: &str| {
//!     let question = Question { peer: peer.parse().unwrap(), bytes: 10, to_itself: false };
//!     shield.judge(&question, || Duration::ZERO)
//! };
//! assert_eq!(judge("127.0.0.1:50000"), Verdict::Free);
//! assert_eq!(judge("192.168.1.9:50000"), Verdict::Limited(86));
//! assert_eq!(judge("8.8.8.8:50000"), Verdict::Refused(Refusal::Stranger));
//! assert_eq!(judge("192.168.1.9:7"), Verdict::Refused(Refusal::Port));
//! ```

mod policy;
mod rates;

pub use policy::{Answers, FACTOR, MAX_FACTOR, MAX_RATE, Peers, Policy, Ports, RATE};

use crate::{chargen, daytime, echo, reply};
pub use rates::IN_A_ROW;
use rates::Rates;
use sockeye::{Address, Packet, PacketHandler, Result};
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Ports below this one are those of services, and no client has one: echo (7), daytime (13), chargen (19), DNS (53), …
const FIRST_HIGH_PORT: u16 = 1024;

/// Where Sockeye's own services are that answer everything, unless somebody has put them elsewhere. No client is given such a port by
/// the system: those begin at 32,768 (`net.ipv4.ip_local_port_range`).
const USUAL_PORTS: [u16; 4] = [
    echo::SERVICE.port,
    daytime::SERVICE.port,
    chargen::SERVICE.port,
    reply::SERVICE.port,
];

/// What time it is since some beginning. It never goes back.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// What the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who seems to have sent it.
    pub peer: SocketAddr,
    /// How long it is.
    pub bytes: usize,
    /// Whether it seems to come from the very endpoint that it was sent to.
    pub to_itself: bool,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It comes from loopback: it may have any answer.
    Free,
    /// It may have an answer of so many bytes.
    Limited(usize),
    /// It gets no answer.
    Refused(Refusal),
}

/// Why a datagram gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// It comes from beyond the local network, or from no single machine at all.
    Stranger,
    /// Its port may be that of a service which would answer the answer.
    Port,
    /// Its source has had enough for now.
    Rate,
    /// Its source has been answered again and again without a pause, as two services that answer each other do.
    Loop,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Loop => {
                return write!(
                    f,
                    "its source has not paused for {IN_A_ROW} answers, and may be a service that answers ours (rate=off)"
                );
            }
            Refusal::Stranger => "it comes from beyond the local network (peers=any answers all)",
            Refusal::Port => "its port may be a service's, which would answer the answer (ports=any)",
            Refusal::Rate => "its source has had its answers for this second (rate=N)",
        })
    }
}

/// Decides which datagrams are answered, and how much.
pub struct Shield {
    policy: Policy,
    peers: Peers,
    /// The service's own port, and whether it could loop with another of its kind.
    port: u16,
    loops: bool,
    rates: Option<Rates>,
    /// The kinds of refusals that there have been, a bit each.
    refused: AtomicU8,
}

impl Shield {
    /// For a service at this port.
    pub fn new(answers: Answers, policy: &Policy, port: u16) -> Self {
        Shield {
            policy: policy.clone(),
            peers: policy.peers.unwrap_or(answers.usual_peers()),
            port,
            loops: answers == Answers::Everything,
            rates: policy.rate.map(Rates::new),
            refused: AtomicU8::new(0),
        }
    }

    /// Whether a datagram is answered. The clock is asked only when a rate is counted.
    pub fn judge(&self, question: &Question, clock: impl FnOnce() -> Duration) -> Verdict {
        let port = question.peer.port();
        let is_service = port < FIRST_HIGH_PORT || (self.loops && self.may_loop_with(port));
        if question.to_itself || port == 0 || (is_service && self.policy.ports == Ports::Safe) {
            return Verdict::Refused(Refusal::Port);
        }
        let ip = question.peer.ip().to_canonical();
        if ip.is_loopback() {
            return Verdict::Free;
        }
        if !is_one_machine(ip) || (self.peers == Peers::Near && !is_near(ip)) {
            return Verdict::Refused(Refusal::Stranger);
        }
        if let Some(rates) = &self.rates {
            let now = clock();
            if !rates.take(ip, now) {
                return Verdict::Refused(Refusal::Rate);
            }
            if self.loops && rates.may_loop(ip, now) {
                return Verdict::Refused(Refusal::Loop);
            }
        }
        Verdict::Limited(self.policy.allowance(question.bytes))
    }

    fn may_loop_with(&self, port: u16) -> bool {
        port == self.port || USUAL_PORTS.contains(&port)
    }

    /// Whether nothing was refused for this reason before. An operator should hear of that one; of all of them, nobody can.
    pub fn is_first(&self, why: Refusal) -> bool {
        let bit = 1 << why as u8;
        self.refused.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}

/// Whether nobody beyond the local network has this address: loopback, private (RFC 1918), link-local (RFC 3927, RFC 4291) and
/// unique-local ones (RFC 4193).
pub fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Groups and broadcast are no senders.
fn is_one_machine(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !ip.is_multicast() && !ip.is_unspecified() && !broadcast
}

/// A handler with a shield in front of it.
pub struct Shielded<H> {
    inner: H,
    shield: Shield,
    clock: Clock,
}

impl<H> Shielded<H> {
    /// Puts the shield in front of the handler.
    pub fn new(inner: H, shield: Shield) -> Self {
        let begun = Instant::now();
        Shielded {
            inner,
            shield,
            clock: Arc::new(move || begun.elapsed()),
        }
    }

    /// Goes by another clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl<H: PacketHandler> PacketHandler for Shielded<H> {
    fn admits(&self, packet: &mut Packet) -> bool {
        if let Address::Inet(peer) = packet.peer() {
            let question = Question {
                peer,
                bytes: packet.data().len(),
                to_itself: peer.port() == self.shield.port && packet.local() == Address::Inet(peer),
            };
            match self.shield.judge(&question, || (self.clock)()) {
                Verdict::Free => {}
                Verdict::Limited(bytes) => packet.limit_answers(bytes),
                Verdict::Refused(why) => {
                    let port = self.shield.port;
                    if self.shield.is_first(why) {
                        tracing::warn!(port, %peer, %why, "datagram not answered; -vv tells of the next");
                    } else {
                        tracing::debug!(port, %peer, %why, "datagram not answered");
                    }
                    return false;
                }
            }
        } // an address of another family is nobody's on another machine
        self.inner.admits(packet)
    }

    fn handle(&self, packet: Packet) -> impl Future<Output = Result<()>> {
        self.inner.handle(packet)
    }
}

#[cfg(test)]
mod tests;
