//! What a server lets happen to itself.

use std::time::Duration;

/// The bounds of a server, each with a default that suits a small public service.
///
/// ```
/// use sockeye::Limits;
/// let limits = Limits { connections: 200, ..Limits::default() };
/// assert!(limits.write.is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. At this number the server stops accepting until one leaves; newcomers wait in the
    /// kernel's backlog. Default 65,536: at 2 KiB each this is 128 MiB.
    pub connections: usize,
    /// Connections at once from one IPv4 address, or one IPv6 network of 64 bits, since a host of it has any address of it
    /// that it likes; loopback is not counted. A further one is closed at once. Default 1,024: more than the people behind
    /// one home or office router, fewer than it takes to lock everybody else out.
    pub per_address: usize,
    /// How long a connection may wait for its peer to say something. Default 10 minutes: longer than a person thinks,
    /// short enough that dead peers go.
    pub idle: Option<Duration>,
    /// How long a connection may wait for its peer to take something. Default 30 seconds: a peer that is alive reads.
    pub write: Option<Duration>,
    /// How long a TLS handshake may take in all. Default 10 seconds: several round trips of the slowest networks.
    pub handshake: Duration,
    /// How long a stopping server waits for its connections to end by themselves before it cuts them. Default 10
    /// seconds: what service managers commonly allow before they kill. Under `uring` a stop may take up to two seconds longer: what is
    /// under way to peers who don't take it has that time after a connection has ended.
    pub drain: Duration,
    /// While the server is stopping, how long a connection must have been quiet, and its handler waiting for the peer, to
    /// be told that nothing more will be read. Default half a second: longer than a pause within a transfer.
    pub quiet: Duration,
    /// Datagrams that are being answered at once per worker; further ones are dropped, as a full receive buffer would
    /// do. Default 1,024.
    pub packets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 65_536,
            per_address: 1_024,
            idle: Some(Duration::from_secs(600)),
            write: Some(Duration::from_secs(30)),
            handshake: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            quiet: Duration::from_millis(500),
            packets: 1_024,
        }
    }
}
