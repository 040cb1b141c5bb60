//! Every option: its name, its type, its words. The struct, the builder's methods and the reading of names all grow
//! from this one table, so that adding an option is a row here and a line in `apply.rs` and `read.rs`.

use std::time::Duration;

use super::Membership;
use super::text::FromText;
use crate::error::Result;

macro_rules! options {
    ($($(#[$words:meta])* $name:ident: $kind:ty;)*) => {
        /// Options of a socket: none is set until it is asked for, and what is not set stays as the system has it.
        ///
        /// Each is named like its method, also in the query of a listener on the command line. Options that must be there
        /// before an address is bound or dialled are set by [`apply_before_bind`](Options::apply_before_bind), the others
        /// by [`apply`](Options::apply).
        ///
        /// ```
        /// use std::time::Duration;
        /// use sockeye::Options;
        ///
        /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        /// let options = Options::new().nodelay(true).keepalive_time(Duration::from_secs(60));
        /// options.apply(&socket)?;
        /// assert!(Options::read(&socket).contains(&("keepalive_time", "1m".to_owned())));
        /// # Ok::<(), sockeye::Error>(())
        /// ```
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Options {
            $(pub(crate) $name: Option<$kind>,)*
            pub(crate) joins: Vec<Membership>,
        }

        impl Options {
            /// The names that [`set`](Options::set) knows.
            pub const NAMES: &[&str] = &[$(stringify!($name),)* "join"];

            $(
                $(#[$words])*
                #[must_use]
                pub fn $name(mut self, value: $kind) -> Self {
                    self.$name = Some(value);
                    self
                }
            )*

            /// Sets what is one value; false when no option has this name.
            pub(super) fn set_field(&mut self, name: &str, value: &str) -> Result<bool> {
                match name {
                    $(stringify!($name) => self.$name = Some(<$kind>::from_text(value)?),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

options! {
    /// Binds a port that closed connections still hold for a minute: `SO_REUSEADDR`
    /// ([socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html)).
    reuse_address: bool;
    /// Lets several sockets bind one port, and the kernel spread connections over them: `SO_REUSEPORT`.
    reuse_port: bool;
    /// Keeps IPv4 away from a socket of IPv6: `IPV6_V6ONLY`
    /// ([ipv6(7)](https://man7.org/linux/man-pages/man7/ipv6.7.html)).
    only_v6: bool;
    /// Sends and receives through this interface alone: `SO_BINDTODEVICE`.
    device: String;
    /// Marks packets for the firewall and routing: `SO_MARK`; needs `CAP_NET_ADMIN`.
    mark: u32;
    /// The queueing priority of packets, 0 to 6: `SO_PRIORITY`.
    priority: u32;
    /// Bytes of the receive buffer: `SO_RCVBUF`. The kernel doubles it for its own needs, and reads back the double.
    receive_buffer: usize;
    /// Bytes of the send buffer: `SO_SNDBUF`, doubled likewise.
    send_buffer: usize;
    /// Makes connections of Multipath TCP (RFC 8684) where the peer can: `IPPROTO_MPTCP` when the socket is made.
    mptcp: bool;
    /// Takes data with the first packet of a connection (RFC 7413), for this many half-open ones at most:
    /// `TCP_FASTOPEN`; for listeners. The system allows it by bit 2 of `net.ipv4.tcp_fastopen`.
    fast_open: u32;
    /// Sends data with the first packet where the server allowed it before: `TCP_FASTOPEN_CONNECT`; for dialling.
    fast_open_connect: bool;
    /// The congestion control, such as `cubic` or `reno`: `TCP_CONGESTION`
    /// ([tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html)).
    congestion: String;
    /// Wakes a listener only when data has come, or this time has passed; whole seconds: `TCP_DEFER_ACCEPT`.
    defer_accept: Duration;
    /// Sends small segments at once (no Nagle algorithm, RFC 896): `TCP_NODELAY`.
    nodelay: bool;
    /// Acknowledges at once, until the kernel changes its mind: `TCP_QUICKACK`. Accepted connections do not inherit it.
    quickack: bool;
    /// How long sent data may stay unacknowledged before the connection breaks (RFC 5482); milliseconds:
    /// `TCP_USER_TIMEOUT`.
    user_timeout: Duration;
    /// Probes a silent peer: `SO_KEEPALIVE` (RFC 9293, section 3.8.4).
    keepalive: bool;
    /// The silence before the first probe, whole seconds from 1 to 32,767: `TCP_KEEPIDLE`. Turns probing on.
    keepalive_time: Duration;
    /// The time between probes, whole seconds from 1 to 32,767: `TCP_KEEPINTVL`. Turns probing on.
    keepalive_interval: Duration;
    /// How many unanswered probes break the connection, 1 to 127: `TCP_KEEPCNT`. Turns probing on.
    keepalive_count: u32;
    /// How long closing waits for data to leave, whole seconds: `SO_LINGER`. Zero resets the connection, `None` closes
    /// in the background.
    linger: Option<Duration>;
    /// Allows datagrams to broadcast addresses: `SO_BROADCAST`.
    broadcast: bool;
    /// Has the kernel note when each datagram arrives, for [`Message::arrived`](crate::Message::arrived): `SO_TIMESTAMPNS`.
    timestamps: bool;
    /// Has the kernel tell by which interface and for which address each datagram came, for
    /// [`Message::interface`](crate::Message::interface): `IP_PKTINFO`, `IPV6_RECVPKTINFO`. A socket that is bound to all
    /// addresses is told anyway.
    packet_info: bool;
    /// How many routers a packet may pass, 1 to 255: `IP_TTL`, `IPV6_UNICAST_HOPS`.
    ttl: u8;
    /// The byte for type of service (RFC 2474): `IP_TOS`, `IPV6_TCLASS`.
    tos: u8;
    /// How many routers a multicast packet may pass; 0 keeps it on this machine: `IP_MULTICAST_TTL`,
    /// `IPV6_MULTICAST_HOPS`.
    multicast_ttl: u8;
    /// Whether multicast packets also come back to this machine: `IP_MULTICAST_LOOP`, `IPV6_MULTICAST_LOOP`.
    multicast_loop: bool;
    /// The name or number of the interface that multicast packets leave by: `IP_MULTICAST_IF`, `IPV6_MULTICAST_IF`.
    multicast_interface: String;
}
