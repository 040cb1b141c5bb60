//! Packets: each whole, none sure to arrive.

mod packet;

pub use packet::Packet;
pub(crate) use packet::serve;

use crate::address::{Address, local_address};
use crate::buffer::Chunk;
use crate::dial::explain;
use crate::endpoint::{Endpoint, ToEndpoint};
use crate::error::{Class, Error, Result};
use crate::listen::{self, SocketFile, socket_for};
use crate::model::{self, PacketLink, Received};
use crate::options::Options;
use crate::resolve::resolve;
use crate::time::shortest;
use rustix::net::SocketAddrAny;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// A socket for packets: UDP, Unix datagrams, or a descriptor made elsewhere (`SOCK_RAW`, CAN, …).
///
/// ```
/// use sockeye::{Datagram, block_on};
/// let answer = block_on(async {
///     let mut server = Datagram::bind("udp://127.0.0.1:0").await?;
///     let mut client = Datagram::dial(server.endpoint()).await?;
///     client.send(b"dog").await?;
///     let (packet, from) = server.recv_from().await?;
///     assert_eq!(&packet[..], b"dog");
///     server.send_to(b"cat", &from).await?;
///     client.recv().await
/// })??;
/// assert_eq!(&answer[..], b"cat");
/// # Ok::<(), sockeye::Error>(())
/// ```
pub struct Datagram {
    link: Box<dyn PacketLink>,
    endpoint: Endpoint,
    arrived: VecDeque<Received>,
    batch: Vec<Received>,
    limits: [Option<Duration>; 2],
    _file: Option<SocketFile>,
}

impl Datagram {
    /// A socket with an address of its own, which receives from anybody.
    ///
    /// # Errors
    /// When the name can't be resolved or the address is taken.
    pub async fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        Self::bind_with(endpoint, &Options::new()).await
    }

    /// [`bind`](Self::bind) with options.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), or when the kernel refuses an option.
    pub async fn bind_with(endpoint: impl ToEndpoint, options: &Options) -> Result<Self> {
        let endpoint = packets_only(endpoint.to_endpoint()?)?;
        let found = resolve(&endpoint, true).await?;
        let bound = listen::bind_resolved(&endpoint, found, options)?;
        Self::new(bound.fd, bound.endpoint, bound.file)
    }

    /// A socket that sends to one peer, and receives from it only.
    ///
    /// # Errors
    /// When the name can't be resolved or none of its addresses can be reached.
    pub async fn dial(endpoint: impl ToEndpoint) -> Result<Self> {
        Self::dial_with(endpoint, &Options::new()).await
    }

    /// [`dial`](Self::dial) with options.
    ///
    /// # Errors
    /// As [`dial`](Self::dial), or when the kernel refuses an option.
    pub async fn dial_with(endpoint: impl ToEndpoint, options: &Options) -> Result<Self> {
        let endpoint = packets_only(endpoint.to_endpoint()?)?;
        let mut last = None;
        for resolved in resolve(&endpoint, false).await? {
            let fd = socket_for(&endpoint, &resolved.address, options)?;
            options
                .apply_before_bind(&fd)
                .and_then(|()| options.apply(&fd))
                .map_err(|error| error.at(&endpoint))?;
            if let Address::Unix(_) = resolved.address {
                // Without a name of its own it could not be answered; the kernel finds one in the abstract space.
                rustix::net::bind(
                    &fd,
                    &SocketAddrAny::from(rustix::net::SocketAddrUnix::new_unnamed()),
                )
                .map_err(|errno| Error::io("bind", errno).at(&endpoint))?;
            }
            match rustix::net::connect(&fd, &resolved.address.to_any()?) {
                Ok(()) => return Self::new(fd, endpoint.with_address(&resolved.address), None),
                Err(errno) => last = Some(explain(Error::io("dial", errno), &endpoint, &resolved.address)),
            }
        }
        Err(last
            .unwrap_or_else(|| Error::new("dial", Class::Address, "the name has no address").at(&endpoint)))
    }

    /// Makes one of a socket for packets that was made elsewhere. `endpoint` is what its errors call it.
    ///
    /// # Errors
    /// When no model is running on this thread.
    pub fn adopt(fd: OwnedFd, endpoint: Endpoint) -> Result<Self> {
        Self::new(fd, endpoint, None)
    }

    fn new(fd: OwnedFd, endpoint: Endpoint, file: Option<SocketFile>) -> Result<Self> {
        let link = model::current()?
            .packets(fd)
            .map_err(|error| Error::io("make socket", error).at(&endpoint))?;
        let (arrived, batch, limits) = (VecDeque::new(), Vec::new(), [None; 2]);
        Ok(Datagram {
            link,
            endpoint,
            arrived,
            batch,
            limits,
            _file: file,
        })
    }

    /// Where it was bound to (with the port that the system chose), or whom it was dialled to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its own address.
    ///
    /// # Errors
    /// When the kernel has none for it.
    pub fn local(&self) -> Result<Address> {
        local_address(self.link.fd())
    }

    /// How long a receive or a send may wait; `None` for ever, and zero the shortest time there is (1 ms).
    pub fn set_timeout(&mut self, limit: Option<Duration>) {
        self.limits = [limit; 2];
        let kept = limit.map(shortest);
        self.link.set_limits(kept, kept);
    }

    /// The timeout of a receive and of a send.
    pub fn timeouts(&self) -> (Option<Duration>, Option<Duration>) {
        (self.limits[0], self.limits[1])
    }

    /// Receives one packet, whole, and who sent it (Python's `recvfrom`). One of no bytes is a packet like others.
    ///
    /// # Errors
    /// When the timeout passed, or the dialled peer's machine says that nobody is there.
    pub async fn recv_from(&mut self) -> Result<(Chunk, Address)> {
        loop {
            if let Some(packet) = self.arrived.pop_front() {
                let from = packet
                    .from
                    .map_or(Address::Unix(None), |from| Address::from_any(&from));
                return Ok((packet.bytes, from));
            }
            let (link, batch) = (&mut self.link, &mut self.batch);
            let received = poll_fn(|cx| link.poll_recv(cx, batch)).await;
            received.map_err(|error| self.failed("recv", error))?;
            self.arrived.extend(self.batch.drain(..));
        }
    }

    /// Receives one packet.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv(&mut self) -> Result<Chunk> {
        Ok(self.recv_from().await?.0)
    }

    /// Sends one packet to an address (Python's `sendto`).
    ///
    /// # Errors
    /// When the packet is larger than its kind can be (65,507 bytes over UDP and IPv4), or the system can't send there.
    pub async fn send_to(&mut self, bytes: &[u8], to: &Address) -> Result<()> {
        let any = to.to_any()?;
        let sent = poll_fn(|cx| self.link.poll_send(cx, bytes, Some(&any))).await;
        sent.map(drop)
            .map_err(|error| self.failed("send", error).at(to.endpoint(self.endpoint.scheme())))
    }

    /// Sends one packet to the dialled peer.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); and the peer's machine may have said of an earlier packet that nobody is there.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = poll_fn(|cx| self.link.poll_send(cx, bytes, None)).await;
        sent.map(drop).map_err(|error| self.failed("send", error))
    }

    fn failed(&self, op: &'static str, error: io::Error) -> Error {
        let error = match self.limits[0] {
            Some(limit) if error.kind() == io::ErrorKind::TimedOut => Error::timed_out(op, limit),
            _ => Error::io(op, error),
        };
        let refused = error.io_kind() == Some(io::ErrorKind::ConnectionRefused);
        let error = error.at(&self.endpoint);
        if refused {
            error.advise("the peer's machine says that the port is unreachable")
        } else {
            error
        }
    }
}

fn packets_only(endpoint: Endpoint) -> Result<Endpoint> {
    if endpoint.is_packet() {
        return Ok(endpoint);
    }
    let error = Error::new(
        "make socket",
        Class::General,
        "this endpoint carries a stream, not packets",
    );
    Err(error
        .at(&endpoint)
        .advise("use dial, or an endpoint of udp:// or unixgram:"))
}

impl AsFd for Datagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.fd()
    }
}

impl AsRawFd for Datagram {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
