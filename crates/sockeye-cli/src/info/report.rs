//! What was found out, in the shape that `--json` prints. The shape is a promise: fields are added, never renamed.
//! Times are whole microseconds, and end in `_us`.

use std::time::Duration;

use serde::{Serialize, Serializer};
use sockeye::{Address, TcpInfo, fingerprint};

use super::certificate::Certificate;
use super::failure::{Failure, Kind};
use super::ping::Pinged;
use crate::credentials::pins::{Pin, Pins};

/// Everything.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// What was asked about.
    pub(super) target: String,
    pub(super) ok: bool,
    /// Why it failed; `null` when it did not.
    pub(super) error: Option<Failure>,
    pub(super) resolve: Option<Resolution>,
    pub(super) service: Option<Services>,
    /// With `--ping`: each address that was asked.
    pub(super) ping: Vec<Pinged>,
    /// Whether it is about packets, which have no connections.
    pub(super) packets: bool,
    /// Every address that was tried, in the order in which the attempts ended.
    pub(super) attempts: Vec<Attempt>,
    pub(super) connection: Option<Ends>,
    pub(super) tls: Option<Tls>,
    pub(super) total_us: u64,
}

/// Microseconds, for programs.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// From the name to the addresses.
#[derive(Debug, Serialize)]
pub(super) struct Resolution {
    pub(super) host: String,
    /// `literal` or `system`; `null` when nothing was found.
    pub(super) source: Option<String>,
    pub(super) canonical: Option<String>,
    /// In the order in which they are tried.
    pub(super) addresses: Vec<Found>,
    pub(super) took_us: u64,
}

/// One address.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) address: String,
    /// `IPv4`, `IPv6`, `unix`, `vsock` or `other`.
    pub(super) family: &'static str,
    /// With `--reverse`.
    pub(super) reverse: Option<Reverse>,
}

/// The name of an address.
#[derive(Debug, Serialize)]
pub(super) struct Reverse {
    pub(super) name: Option<String>,
    pub(super) error: Option<String>,
    pub(super) took_us: u64,
}

/// The port, in the tables of TCP and UDP.
#[derive(Debug, Serialize)]
pub(super) struct Services {
    pub(super) asked: String,
    pub(super) tcp: Option<Entry>,
    pub(super) udp: Option<Entry>,
    pub(super) took_us: u64,
}

/// An entry of a table of services.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) port: u16,
    /// `system` or `table` (Sockeye's own).
    pub(super) source: String,
}

/// An address that was tried.
#[derive(Debug, Serialize)]
pub(super) struct Attempt {
    pub(super) address: String,
    /// Since the first attempt began.
    pub(super) started_us: u64,
    /// `null` when it was given up: another was faster, time was up, or UDP brought no answer.
    pub(super) took_us: Option<u64>,
    /// Of UDP: whether something came back.
    pub(super) connected: bool,
    /// The class of failure; `null` where only the text is known.
    pub(super) kind: Option<Kind>,
    pub(super) error: Option<String>,
}

/// The connection, or the socket of packets.
#[derive(Debug, Serialize)]
pub(super) struct Ends {
    pub(super) local: String,
    pub(super) peer: String,
    /// Whether the system chose the local port: nobody asked for one.
    pub(super) local_port_chosen: bool,
    #[serde(serialize_with = "as_map")]
    pub(super) options: Vec<(&'static str, String)>,
    /// `TCP_INFO`, of TCP.
    pub(super) tcp: Option<Tcp>,
}

fn as_map<S: Serializer>(options: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(options.iter().map(|(name, value)| (name, value)))
}

/// What the kernel knows of a TCP connection.
#[derive(Debug, Serialize)]
pub(super) struct Tcp {
    pub(super) state: &'static str,
    pub(super) rtt_us: u64,
    pub(super) rtt_variance_us: u64,
    pub(super) min_rtt_us: Option<u64>,
    pub(super) retransmit_timeout_us: u64,
    pub(super) send_mss: u32,
    pub(super) receive_mss: u32,
    pub(super) path_mtu: u32,
    pub(super) congestion_window: u32,
    pub(super) slow_start_threshold: Option<u32>,
    pub(super) congestion: Option<String>,
    pub(super) retransmits: u32,
    pub(super) unacknowledged: u32,
    pub(super) lost: u32,
    pub(super) negotiated: Vec<String>,
    pub(super) bytes_acknowledged: Option<u64>,
    pub(super) bytes_received: Option<u64>,
    pub(super) delivery_rate: Option<u64>,
}

impl From<TcpInfo> for Tcp {
    fn from(info: TcpInfo) -> Self {
        Tcp {
            state: info.state,
            rtt_us: micros(info.rtt),
            rtt_variance_us: micros(info.rtt_variance),
            min_rtt_us: info.min_rtt.map(micros),
            retransmit_timeout_us: micros(info.retransmit_timeout),
            send_mss: info.send_mss,
            receive_mss: info.receive_mss,
            path_mtu: info.path_mtu,
            congestion_window: info.congestion_window,
            slow_start_threshold: info.slow_start_threshold,
            congestion: info.congestion,
            retransmits: info.retransmits,
            unacknowledged: info.unacknowledged,
            lost: info.lost,
            negotiated: info.negotiated.names(),
            bytes_acknowledged: info.bytes_acknowledged,
            bytes_received: info.bytes_received,
            delivery_rate: info.delivery_rate,
        }
    }
}

/// The handshake.
#[derive(Debug, Serialize)]
pub(super) struct Tls {
    /// Who the certificate must be for.
    pub(super) server_name: String,
    pub(super) protocol: String,
    pub(super) cipher: String,
    pub(super) group: Option<String>,
    /// What was chosen of the protocols that `--alpn` offered.
    pub(super) alpn: Option<String>,
    /// `null` when there is nobody to ask: the machine has no list of authorities.
    pub(super) trusted: Option<bool>,
    pub(super) distrust: Option<Reason>,
    /// What our clients, who keep certificates in mind, would say to it; `null` where that can't be known.
    pub(super) pin: Option<Kept>,
    /// The server's own first.
    pub(super) certificates: Vec<Certificate>,
    pub(super) took_us: u64,
}

/// What is kept of a server that was met before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kept {
    /// Nothing: it was never met.
    New,
    /// This very certificate.
    Same,
    /// Another one.
    Other,
    /// That an authority vouches for it, as now.
    Authority,
    /// The same, and none does now.
    NoAuthority,
}

impl Kept {
    /// What the pins say of a certificate that is shown at one of these places.
    pub(super) fn of(places: &[String], shown: &[u8], trusted: bool) -> Option<Self> {
        let pins = Pins::usual().ok()?;
        let known = places.iter().map(|place| pins.look_up(place));
        // One that can't be read stops our clients, too.
        let known: Option<Vec<_>> = known.collect::<anyhow::Result<_>>().ok();
        Some(match known?.into_iter().flatten().next() {
            None => Self::New,
            Some(Pin::Fingerprint(pinned)) if pinned == fingerprint(shown) => Self::Same,
            Some(Pin::Fingerprint(_)) => Self::Other,
            Some(Pin::Authority) if trusted => Self::Authority,
            Some(Pin::Authority) => Self::NoAuthority,
        })
    }
}

/// Why a certificate isn't trusted.
#[derive(Debug, Serialize)]
pub(super) struct Reason {
    /// `unknown-issuer`, `expired`, `wrong-name`, …
    pub(super) kind: &'static str,
    pub(super) message: String,
}

/// What kind of address it is.
pub(super) fn family(address: &Address) -> &'static str {
    match address {
        Address::Inet(inet) if inet.is_ipv4() => "IPv4",
        Address::Inet(_) => "IPv6",
        Address::Unix(_) => "unix",
        Address::Vsock { .. } => "vsock",
        Address::Unknown { .. } => "other",
    }
}
