//! A load generator for echo servers: many connections at once, a closed loop on each, every byte checked.
//!
//! Each connection keeps `depth` messages on their way: when one has come back whole, the next is sent. What comes
//! back is compared with what was sent, byte by byte, by a [`Pattern`] of the connection's own, so that bytes
//! that are wrong, lost, sent twice or another connection's are found. The measured window begins when every
//! connection has been served once (or patience has ended), and nothing before it counts.
//!
//! ```
//! use sockeye::{Connection, Handler, Result, Server};
//! use sockeye_services::load::{Load, run};
//! use std::time::Duration;
//!
//! struct Echo;
//! impl Handler for Echo {
//!     async fn handle(&self, conn: &mut Connection) -> Result<()> {
//!         loop {
//!             let chunk = conn.recv().await?;
//!             if chunk.is_empty() {
//!                 return Ok(());
//!             }
//!             conn.send(chunk).await?;
//!         }
//!     }
//! }
//! let server = Server::bind("tcp://127.0.0.1:0")?.start(Echo)?;
//! let mut load = Load::on(server.endpoint());
//! (load.connections, load.window) = (4, Duration::from_millis(50));
//! load.warm_up = Duration::from_millis(5);
//! let outcome = run(&load, &())?;
//! assert!(outcome.requests > 0 && outcome.is_clean());
//! # Ok::<(), sockeye::Error>(())
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `pattern` | the bytes of a connection, and the check |
//! | `histogram` | latencies |
//! | `tally` | what is counted, and the outcome |
//! | `share` | what the connections of a thread have in common: the phase, the tally |
//! | `stream`, `packet` | one connection, one socket for packets |
//! | `drive` | connecting, the phases, threads |

mod drive;
mod histogram;
pub(crate) mod packet;
mod pattern;
mod share;
mod stream;
mod tally;

pub use drive::run;
pub use histogram::Histogram;
pub use packet::MIN_PACKET;
pub use pattern::Pattern;
pub use tally::{Failures, Outcome, PacketCounts};

use sockeye::{Class, Endpoint, Error, Result, TlsClient};
use std::time::Duration;

/// The largest message: what fits a test of any server, and memory for a connection's worth of it is made at once.
pub const MAX_SIZE: usize = 64 << 20;
/// The most messages on their way on a connection: each needs a time stamp, and no server gains from more.
pub const MAX_DEPTH: usize = 1 << 16;
/// The largest UDP datagram over IPv4 (RFC 768 and RFC 791: 65,535 less two headers).
pub const MAX_PACKET: usize = 65_507;

/// What load is put on which server.
#[derive(Clone)]
pub struct Load {
    /// The server. `udp` and `unixgram` get packets, everything else streams.
    pub endpoint: Endpoint,
    /// How many connections (or sockets, for packets) at once. Default 64.
    pub connections: usize,
    /// Bytes of a message. Default 64.
    pub size: usize,
    /// Messages on their way on each connection. Default 1.
    pub depth: usize,
    /// How long is measured. Default 5 seconds.
    pub window: Duration,
    /// How long the server is under load before that. Default 300 ms: caches, buffers and clock rates settle.
    pub warm_up: Duration,
    /// How long to wait for connections that have not been served yet before the measurement begins without them.
    /// Default 3 seconds.
    pub patience: Duration,
    /// How long connecting may take, all connections together. Default 10 seconds.
    pub connect_limit: Duration,
    /// When an unanswered packet counts as lost. Default 200 ms: on loopback a thousand times what an answer takes. A run
    /// goes on for up to twice as long after its window, until the fate of each packet is known.
    pub loss_limit: Duration,
    /// Threads that the connections are spread over. Default 1.
    pub threads: usize,
    /// Whom to trust on `tls://`; `None`: the authorities that the machine trusts.
    pub tls: Option<TlsClient>,
}

impl Load {
    /// The defaults, on this server.
    pub fn on(endpoint: Endpoint) -> Self {
        Load {
            endpoint,
            connections: 64,
            size: 64,
            depth: 1,
            window: Duration::from_secs(5),
            warm_up: Duration::from_millis(300),
            patience: Duration::from_secs(3),
            connect_limit: Duration::from_secs(10),
            loss_limit: Duration::from_millis(200),
            threads: 1,
            tls: None,
        }
    }

    /// Whether this can be done at all.
    ///
    /// # Errors
    /// When a number is out of its bounds, with the bounds.
    pub fn check(&self) -> Result<()> {
        let packet = self.endpoint.is_packet();
        let (least, most) = if packet {
            (MIN_PACKET, MAX_PACKET)
        } else {
            (1, MAX_SIZE)
        };
        let bounds = [
            ("connections", self.connections, 1, u32::MAX as usize),
            ("threads", self.threads, 1, sockeye::MAX_WORKERS),
            ("depth", self.depth, 1, MAX_DEPTH),
            ("size", self.size, least, most),
        ];
        for (what, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                let why = format!("{what} is {value}, and must be from {least} to {most}");
                let error = Error::new("bench", Class::General, why).at(&self.endpoint);
                return Err(match what {
                    "size" if packet => error.advise("a packet carries its number and its connection's"),
                    _ => error,
                });
            }
        }
        Ok(())
    }
}

/// Is told when things happen during [`run`], on the thread that measures: what it does there is not measured, and
/// holds up the load.
pub trait Observer: Sync {
    /// So many connections are open; each has sent one message at the most.
    fn connected(&self, count: usize) {
        let _ = count;
    }
    /// The measured window begins when this returns.
    fn begin(&self) {}
    /// The measured window has just ended, after so long; the connections are still open.
    fn end(&self, window: Duration) {
        let _ = window;
    }
    /// Asked many times a second: whether to end at once with what there is.
    fn stopped(&self) -> bool {
        false
    }
}

/// Nobody.
impl Observer for () {}
