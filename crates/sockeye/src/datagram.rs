//! Packets: each whole, none sure to arrive.

mod message;
mod packet;
mod serve;

pub use message::Message;
pub use packet::Packet;
pub(crate) use serve::serve;

use crate::address::{Address, local_address};
use crate::buffer::Chunk;
use crate::dial::explain;
use crate::endpoint::{Endpoint, ToEndpoint};
use crate::error::{Class, Error, Result};
use crate::listen::{self, SocketFile, socket_for};
use crate::model::{self, PacketLink, Peer, Received, Route, Waits, Way};
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
    /// Its own, once somebody has wanted to know where a packet was sent to.
    port: Option<u16>,
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
    /// The first receive here has the kernel join datagrams of UDP (`UDP_GRO`, udp(7)): who goes on receiving by another
    /// descriptor of the socket must expect several as one.
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
            port: None,
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

    async fn next(&mut self) -> Result<Received> {
        loop {
            if let Some(packet) = self.arrived.pop_front() {
                return match message::too_long(&packet) {
                    Some(error) => Err(error.at(&self.endpoint)),
                    None => Ok(packet),
                };
            }
            let (mut wait, batch) = (Waits::new(&mut self.link, Way::Read), &mut self.batch);
            let received = poll_fn(|cx| wait.poll(|link| link.poll_recv(cx, batch))).await;
            drop(wait);
            let ended = self.batch.is_empty().then(|| io::ErrorKind::UnexpectedEof.into());
            let received = received.and_then(|()| ended.map_or(Ok(()), Err));
            received.map_err(|error| self.failed("recv", error))?;
            self.arrived.extend(self.batch.drain(..));
        }
    }

    /// Receives one packet, whole, and who sent it (Python's `recvfrom`). One of no bytes is a packet like others.
    ///
    /// # Errors
    /// When the timeout passed, the dialled peer's machine says that nobody is there, or the packet is longer than 256 KiB
    /// (a Unix socket's may be, if its sender has asked for it): that one is lost, the next is as usual.
    pub async fn recv_from(&mut self) -> Result<(Chunk, Address)> {
        let Received { bytes, from, .. } = self.next().await?;
        let from = message::peer(from.as_ref());
        Ok((bytes, from))
    }

    /// Receives one packet, and which of this machine's addresses it was sent to (Python's `recvmsg`).
    ///
    /// ```
    /// use sockeye::{Datagram, block_on};
    /// let answer = block_on(async {
    ///     let mut server = Datagram::bind("udp://0.0.0.0:0").await?; // all addresses
    ///     let there = format!("udp://127.0.0.2:{}", server.endpoint().port().unwrap_or(0));
    ///     let mut client = Datagram::dial(&there).await?;
    ///     client.send(b"dog").await?;
    ///     let message = server.recv_message().await?;
    ///     assert_eq!(message.local().map(|address| address.endpoint("udp")), Some(there));
    ///     server.reply(&message, b"cat").await?; // from 127.0.0.2, for the client hears nobody else
    ///     client.recv().await
    /// })??;
    /// assert_eq!(&answer[..], b"cat");
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv_message(&mut self) -> Result<Message> {
        let received = self.next().await?;
        if received.local.is_some() && self.port.is_none() {
            self.port = self.local()?.port();
        }
        Ok(Message::new(received, self.port.unwrap_or(0)))
    }

    /// Receives one packet.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv(&mut self) -> Result<Chunk> {
        Ok(self.next().await?.bytes)
    }

    /// Sends one packet to an address (Python's `sendto`), from the address that the routes choose if the socket is bound to
    /// all: an answer goes by [`reply`](Self::reply).
    ///
    /// # Errors
    /// When the packet is larger than its kind can be (65,507 bytes over UDP and IPv4), or the system can't send there.
    pub async fn send_to(&mut self, bytes: &[u8], to: &Address) -> Result<()> {
        let route = Route {
            to: Peer::of(to)?,
            from: None,
        };
        self.send_by(bytes, &route).await
    }

    /// Answers a packet with another, from the address that the first was sent to.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), or when the peer has no address.
    pub async fn reply(&mut self, message: &Message, bytes: &[u8]) -> Result<()> {
        match &message.route {
            Some(route) => self.send_by(bytes, route).await,
            None => Err(message::no_address()),
        }
    }

    async fn send_by(&mut self, bytes: &[u8], route: &Route) -> Result<()> {
        let mut wait = Waits::new(&mut self.link, Way::Write);
        let sent = poll_fn(|cx| wait.poll(|link| link.poll_send(cx, bytes, Some(route)))).await;
        drop(wait);
        sent.map(drop).map_err(|error| {
            let to = route.to.address();
            self.failed("send", error).at(to.endpoint(self.endpoint.scheme()))
        })
    }

    /// Sends one packet to the dialled peer.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); and the peer's machine may have said of an earlier packet that nobody is there.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut wait = Waits::new(&mut self.link, Way::Write);
        let sent = poll_fn(|cx| wait.poll(|link| link.poll_send(cx, bytes, None))).await;
        drop(wait);
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

/// For options and facts; whoever receives by it must expect several datagrams of UDP as one, as [`Datagram::adopt`] says.
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
