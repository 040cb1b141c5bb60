//! What the kernel knows of a TCP connection: times, windows, losses (`TCP_INFO`).

use std::mem::offset_of;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;

use crate::error::{Error, Result};
use crate::options::raw;

/// Room for what kernels to come may append; Linux 6.18 has 280 bytes.
const MAX_TCP_INFO: usize = 512;

/// The kernel's word for "no threshold yet": slow start until the first loss (`TCP_INFINITE_SSTHRESH`).
const NO_THRESHOLD: u32 = 0x7fff_ffff;

/// The state of a TCP connection, as [tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html) tells it.
///
/// What a kernel is too old to know is `None`. Sizes are in bytes, except for the windows that TCP itself counts in
/// segments.
///
/// ```
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
/// let info = sockeye::TcpInfo::read(&stream)?;
/// assert_eq!(info.state, "ESTABLISHED");
/// assert_eq!(info.retransmits, 0);
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state's name (RFC 9293, section 3.3.2), such as `ESTABLISHED`.
    pub state: &'static str,
    /// The smoothed round-trip time (RFC 6298).
    pub rtt: Duration,
    /// How much the round-trip time varies (RFC 6298).
    pub rtt_variance: Duration,
    /// The shortest round trip that was seen lately.
    pub min_rtt: Option<Duration>,
    /// How long to wait for an acknowledgement before sending again (RFC 6298).
    pub retransmit_timeout: Duration,
    /// The largest segment that is sent, in bytes.
    pub send_mss: u32,
    /// The largest segment that was received, in bytes.
    pub receive_mss: u32,
    /// The path's MTU in bytes.
    pub path_mtu: u32,
    /// The congestion window, in segments (RFC 5681).
    pub congestion_window: u32,
    /// The slow start threshold in segments; `None` before the first loss.
    pub slow_start_threshold: Option<u32>,
    /// Segments that were sent again, in all.
    pub retransmits: u32,
    /// Segments that are sent and not yet acknowledged.
    pub unacknowledged: u32,
    /// Segments that are held to be lost.
    pub lost: u32,
    /// What both sides agreed on when the connection began.
    pub negotiated: Negotiated,
    /// Bytes that the peer acknowledged.
    pub bytes_acknowledged: Option<u64>,
    /// Bytes that came from the peer.
    pub bytes_received: Option<u64>,
    /// Bytes that wait in the send buffer and were not sent once.
    pub not_sent: Option<u32>,
    /// The rate at which data lately reached the peer, in bytes per second.
    pub delivery_rate: Option<u64>,
    /// The congestion control, such as `cubic`.
    pub congestion: Option<String>,
}

/// TCP's options, as far as both sides agreed on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Negotiated {
    /// Timestamps (RFC 7323, section 3).
    pub timestamps: bool,
    /// Selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Window scaling (RFC 7323, section 2): by how many bits the peer's windows, and ours, are shifted.
    pub window_scale: Option<(u8, u8)>,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: bool,
    /// Data went with the first packet, and was acknowledged with it (RFC 7413).
    pub fast_open: bool,
}

impl Negotiated {
    /// The names of what was agreed on, such as `["timestamps", "sack", "window scale 7/7"]`.
    ///
    /// ```
    /// assert!(sockeye::Negotiated::default().names().is_empty());
    /// ```
    pub fn names(&self) -> Vec<String> {
        let scale = self
            .window_scale
            .map(|(peer, own)| format!("window scale {peer}/{own}"));
        let simple = |on: bool, name: &str| on.then(|| name.to_owned());
        [
            simple(self.timestamps, "timestamps"),
            simple(self.sack, "sack"),
            scale,
            simple(self.ecn, "ecn"),
            simple(self.fast_open, "fast open"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl TcpInfo {
    /// Asks the kernel; a listener can be asked as well as a connection.
    ///
    /// # Errors
    /// The descriptor is no TCP socket.
    pub fn read(fd: impl AsFd) -> Result<Self> {
        let fd = fd.as_fd();
        let mut buffer = [0; MAX_TCP_INFO];
        let length = raw::bytes(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut buffer);
        let length = length.map_err(|error| Error::io("read TCP_INFO", error))?;
        let info = Self::decode(Bytes {
            bytes: &buffer[..length],
        });
        Ok(Self {
            congestion: sockopt::tcp_congestion(fd).ok(),
            ..info
        })
    }

    fn decode(info: Bytes<'_>) -> Self {
        type Raw = libc::tcp_info;
        let base = |offset| info.u32(offset).unwrap_or_default();
        let micros = |offset| Duration::from_micros(base(offset).into());
        let threshold = base(offset_of!(Raw, tcpi_snd_ssthresh));
        Self {
            state: state_name(info.u8(offset_of!(Raw, tcpi_state)).unwrap_or_default()),
            rtt: micros(offset_of!(Raw, tcpi_rtt)),
            rtt_variance: micros(offset_of!(Raw, tcpi_rttvar)),
            // All bits are set as long as nothing was measured.
            min_rtt: info
                .u32(offset_of!(Raw, tcpi_min_rtt))
                .filter(|micros| *micros != u32::MAX)
                .map(|micros| Duration::from_micros(micros.into())),
            retransmit_timeout: micros(offset_of!(Raw, tcpi_rto)),
            send_mss: base(offset_of!(Raw, tcpi_snd_mss)),
            receive_mss: base(offset_of!(Raw, tcpi_rcv_mss)),
            path_mtu: base(offset_of!(Raw, tcpi_pmtu)),
            congestion_window: base(offset_of!(Raw, tcpi_snd_cwnd)),
            slow_start_threshold: (threshold < NO_THRESHOLD).then_some(threshold),
            retransmits: base(offset_of!(Raw, tcpi_total_retrans)),
            unacknowledged: base(offset_of!(Raw, tcpi_unacked)),
            lost: base(offset_of!(Raw, tcpi_lost)),
            negotiated: negotiated(info),
            bytes_acknowledged: info.u64(offset_of!(Raw, tcpi_bytes_acked)),
            bytes_received: info.u64(offset_of!(Raw, tcpi_bytes_received)),
            not_sent: info.u32(offset_of!(Raw, tcpi_notsent_bytes)),
            delivery_rate: info.u64(offset_of!(Raw, tcpi_delivery_rate)),
            congestion: None,
        }
    }
}

/// As much of `struct tcp_info` as this kernel has.
#[derive(Clone, Copy)]
struct Bytes<'a> {
    bytes: &'a [u8],
}

impl Bytes<'_> {
    fn u8(self, offset: usize) -> Option<u8> {
        self.bytes.get(offset).copied()
    }

    fn u32(self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_ne_bytes)
    }

    fn u64(self, offset: usize) -> Option<u64> {
        self.array(offset).map(u64::from_ne_bytes)
    }

    fn array<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..offset + N)?.try_into().ok()
    }
}

fn negotiated(info: Bytes<'_>) -> Negotiated {
    // `TCPI_OPT_…` of <linux/tcp.h>.
    let options = info
        .u8(offset_of!(libc::tcp_info, tcpi_options))
        .unwrap_or_default();
    let scales = info
        .u8(offset_of!(libc::tcp_info, tcpi_snd_rcv_wscale))
        .unwrap_or_default();
    // Two C bit-fields of four bits: which comes first in the byte is the machine's byte order.
    let scales = match cfg!(target_endian = "little") {
        true => (scales & 15, scales >> 4),
        false => (scales >> 4, scales & 15),
    };
    Negotiated {
        timestamps: options & 1 != 0,
        sack: options & 2 != 0,
        window_scale: (options & 4 != 0).then_some(scales),
        ecn: options & 8 != 0,
        fast_open: options & 32 != 0,
    }
}

/// The kernel's numbers for states (`<net/tcp_states.h>`).
fn state_name(number: u8) -> &'static str {
    match number {
        1 => "ESTABLISHED",
        2 => "SYN-SENT",
        3 => "SYN-RECEIVED",
        4 => "FIN-WAIT-1",
        5 => "FIN-WAIT-2",
        6 => "TIME-WAIT",
        7 => "CLOSED",
        8 => "CLOSE-WAIT",
        9 => "LAST-ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

    use super::*;

    fn connection() -> (TcpListener, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
        let (far, _) = listener.accept().expect("accept");
        (listener, near, far)
    }

    #[test]
    fn bytes_and_windows_are_counted() {
        let (_listener, mut near, mut far) = connection();
        near.write_all(&[7; 1000]).expect("send");
        far.read_exact(&mut [0; 1000]).expect("receive");
        let info = TcpInfo::read(&far).expect("an open connection");
        assert_eq!(info.bytes_received, Some(1000));
        assert_eq!((info.state, info.retransmits, info.lost), ("ESTABLISHED", 0, 0));
        assert!(
            info.send_mss > 0 && info.path_mtu > info.send_mss && info.congestion_window > 0,
            "{info:?}"
        );
        assert_eq!(info.slow_start_threshold, None);
        assert!(info.congestion.is_some_and(|name| !name.is_empty()));
    }

    #[test]
    fn states_follow_the_connection() {
        let (listener, near, mut far) = connection();
        near.shutdown(Shutdown::Write).expect("half-close");
        assert_eq!(far.read(&mut [0; 1]).expect("the end"), 0);
        assert_eq!(TcpInfo::read(&far).expect("open").state, "CLOSE-WAIT");
        assert!(TcpInfo::read(&near).expect("open").state.starts_with("FIN-WAIT-"));
        assert_eq!(TcpInfo::read(&listener).expect("open").state, "LISTEN");
    }

    #[test]
    fn a_short_answer_leaves_out_what_is_newer() {
        let mut old = [0; 104];
        old[0] = 1;
        old[5] = 1 | 2 | 4;
        old[6] = if cfg!(target_endian = "little") {
            7 | 9 << 4
        } else {
            7 << 4 | 9
        };
        let info = TcpInfo::decode(Bytes { bytes: &old });
        assert_eq!(
            (info.state, info.bytes_acknowledged, info.delivery_rate),
            ("ESTABLISHED", None, None)
        );
        assert_eq!(
            info.negotiated.names(),
            ["timestamps", "sack", "window scale 7/9"]
        );
        assert_eq!(TcpInfo::decode(Bytes { bytes: &[] }).state, "UNKNOWN");
    }

    #[test]
    fn other_sockets_are_refused() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let error = TcpInfo::read(&socket).expect_err("no TCP");
        assert!(error.to_string().starts_with("read TCP_INFO: "), "{error}");
    }
}
