//! A connection: a stream of bytes to one peer, under any model.

mod ending;
mod file;
mod gather;
mod pipe;
mod secured;
mod transport;

use crate::address::{Address, local_address};
use crate::buffer::Chunk;
use crate::error::{Class, Error, Result};
use crate::model::{self, Pause, StreamLink, Waits, Way};
use crate::server::registry::{Entry, SocketGrip};
use crate::time::{at_once, shortest};
use crate::tls::{Distrust, TlsClient, TlsFacts, TlsServer};
use rustix::net::Shutdown as How;
pub(crate) use secured::Carrier;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use transport::Transport;
pub(crate) use transport::Wire;

/// How long it does so.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// A stream of bytes to one peer: TCP, Unix, vsock, any of them with TLS, or a descriptor made elsewhere.
///
/// It reads and writes by Tokio's traits, under every model, and needs no Tokio runtime for it: `read_line`,
/// `read_exact`, `write_all` and the codecs of the ecosystem all work. [`recv`](Self::recv) and [`send`](Self::send)
/// move whole chunks without a copy, and hold no buffer while they wait.
///
/// ```
/// use sockeye::{Handler, Connection, Result, Server, dial, block_on};
/// use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
///
/// struct Upper;
/// impl Handler for Upper {
///     async fn handle(&self, conn: &mut Connection) -> Result<()> {
///         let mut line = String::new();
///         while conn.read_line(&mut line).await? > 0 {
///             conn.write_all(line.to_uppercase().as_bytes()).await?;
///             line.clear();
///         }
///         Ok(())
///     }
/// }
///
/// let server = Server::bind("tcp://127.0.0.1:0")?.start(Upper)?;
/// let answer = block_on(async {
///     let mut conn = dial(&server.endpoint()).await?;
///     conn.send_all(b"hello\n").await?;
///     let mut line = String::new();
///     conn.read_line(&mut line).await?;
///     Ok::<_, sockeye::Error>(line)
/// })??;
/// assert_eq!(answer, "HELLO\n");
/// # Ok::<(), sockeye::Error>(())
/// ```
pub struct Connection {
    transport: Transport,
    /// Received and not yet asked for.
    held: Chunk,
    entry: Arc<Entry>,
    scheme: &'static str,
    limits: [Option<Duration>; 2],
    ended: bool,
    /// While its socket becomes readable with many bytes only (`gather`).
    gathers: bool,
    user: Option<Arc<str>>,
}

impl Connection {
    /// Makes a connection of a connected stream socket that was made elsewhere: of a family that
    /// [`Endpoint`](crate::Endpoint) doesn't name, by `socketpair`, or handed over by a service manager.
    ///
    /// # Errors
    /// When no model is running on this thread, or the model refuses the descriptor.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use sockeye::{Connection, block_on};
    /// block_on(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let (mut a, mut b) = (Connection::adopt(ours.into())?, Connection::adopt(theirs.into())?);
    ///     a.send_all(b"hi").await?;
    ///     assert_eq!(&b.recv().await?[..], b"hi");
    ///     Ok::<_, sockeye::Error>(())
    /// })??;
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    pub fn adopt(fd: OwnedFd) -> Result<Self> {
        let peer = crate::address::peer_address(&fd)?;
        let scheme = scheme_of(&peer);
        let link = model::stream(fd, scheme).map_err(|error| error.renamed("adopt"))?;
        Ok(Self::new(link, Entry::new(0, peer), scheme))
    }

    pub(crate) fn new(link: Box<dyn StreamLink>, entry: Arc<Entry>, scheme: &'static str) -> Self {
        let transport = Transport::Plain(Wire::new(link, entry.clone()));
        Connection {
            transport,
            held: Chunk::default(),
            entry,
            scheme,
            limits: [None; 2],
            ended: false,
            gathers: false,
            user: None,
        }
    }

    /// A connection that a server has accepted, and can reach from outside.
    pub(crate) fn accepted(fd: OwnedFd, entry: Arc<Entry>, scheme: &'static str) -> Result<Self> {
        let raw = fd.as_raw_fd();
        let link = model::stream(fd, scheme).map_err(|error| error.renamed("accept"))?;
        entry.hold(|| Box::new(SocketGrip(raw)));
        Ok(Self::new(link, entry, scheme))
    }

    /// Its number among the connections of its server, from 1; 0 for one that was dialled.
    pub fn id(&self) -> u64 {
        self.entry.id
    }

    /// The peer's address (Python's `getpeername`).
    pub fn peer(&self) -> &Address {
        &self.entry.peer
    }

    /// This end's address (Python's `getsockname`).
    ///
    /// # Errors
    /// When the kernel has none for it.
    pub fn local(&self) -> Result<Address> {
        local_address(self.as_fd())
    }

    /// Who the peer has proved to be, if it has: see [`set_user`](Self::set_user).
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// Notes who the peer has proved to be. Whoever checked the proof calls it, for those who go by the name afterwards.
    pub fn set_user(&mut self, user: impl Into<Arc<str>>) {
        self.user = Some(user.into());
    }

    /// Bytes received so far; under TLS as they travelled.
    pub fn received(&self) -> u64 {
        self.entry.received()
    }

    /// Bytes sent so far; under TLS as they travelled.
    pub fn sent(&self) -> u64 {
        self.entry.sent()
    }

    /// Whether the server of this connection is stopping: a handler that would talk for ever takes its leave.
    pub fn stopping(&self) -> bool {
        self.entry.is_stopping()
    }

    /// How long one receive may wait (Python's `settimeout`); `None` for ever, and zero the shortest time there is (1 ms):
    /// [`try_recv`](Self::try_recv) looks without a wait.
    pub fn set_read_timeout(&mut self, limit: Option<Duration>) {
        self.limits[0] = limit;
        self.apply_limits();
    }

    /// How long one send may wait; `None` for ever.
    pub fn set_write_timeout(&mut self, limit: Option<Duration>) {
        self.limits[1] = limit;
        self.apply_limits();
    }

    /// Both timeouts at once. The clock of a wait starts when there is nothing to do and stops with the next byte.
    pub fn set_timeout(&mut self, limit: Option<Duration>) {
        self.limits = [limit; 2];
        self.apply_limits();
    }

    /// The timeouts of a receive and of a send (Python's `gettimeout`).
    pub fn timeouts(&self) -> (Option<Duration>, Option<Duration>) {
        (self.limits[0], self.limits[1])
    }

    fn apply_limits(&mut self) {
        let [read, write] = self.limits.map(|limit| limit.map(shortest));
        if let Some(wire) = self.transport.wire_mut() {
            wire.set_limits(read, write);
        }
    }

    /// Receives what there is, at least one byte; an empty chunk is the end of the stream.
    ///
    /// # Errors
    /// When the peer reset the connection, or the read timeout passed ([`Class::Timeout`](crate::Class::Timeout)).
    pub fn recv(&mut self) -> impl Future<Output = Result<Chunk>> {
        Receiving(Waits::new(self, Way::Read))
    }

    /// [`poll_recv`](Self::poll_recv), with the error as the handler is told it.
    #[inline]
    // SAFETY: nothing else is in this section; see `model/blocking.rs`.
    #[allow(unsafe_code)]
    #[unsafe(link_section = "sockeye_hot")]
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk>> {
        match self.poll_recv(cx) {
            Poll::Ready(Ok(chunk)) => Poll::Ready(Ok(chunk)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.failed("recv", error))),
            Poll::Pending => Poll::Pending,
        }
    }

    #[inline(always)]
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        if !self.held.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.held)));
        }
        let chunk = ready!(self.transport.poll_recv(cx))?;
        if chunk.is_empty() {
            self.ended = true;
        }
        Poll::Ready(Ok(chunk))
    }

    /// Receives what is there already, without waiting for the peer (a `recv` after Python's `setblocking(False)`);
    /// `None` when there is nothing. An empty chunk is the end of the stream.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// ```
    /// use sockeye::{Connection, block_on};
    /// use std::{io::Write, os::unix::net::UnixStream};
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// block_on(async {
    ///     let mut conn = Connection::adopt(ours.into())?;
    ///     assert!(conn.try_recv().await?.is_none());
    ///     theirs.write_all(b"now")?;
    ///     assert_eq!(conn.try_recv().await?.as_deref(), Some(&b"now"[..]));
    ///     Ok::<_, sockeye::Error>(())
    /// })??;
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    pub async fn try_recv(&mut self) -> Result<Option<Chunk>> {
        at_once(self.recv()).await?.transpose()
    }

    /// Sends a whole chunk, without a copy where the model can. Under `uring` as much as a socket's buffer would take may
    /// still be under way when this returns. It goes on its way when the connection is dropped, and [`run`](crate::run) ends
    /// behind it; but not if the peer takes none of it for two seconds.
    ///
    /// # Errors
    /// When the connection is broken, or the peer takes nothing for longer than the write timeout.
    pub fn send(&mut self, chunk: impl Into<Chunk>) -> impl Future<Output = Result<()>> {
        Sending(Waits::new(self, Way::Write), chunk.into())
    }

    /// Sends all of the bytes (Python's `sendall`).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes)
            .await
            .map_err(|error| self.failed("send", error))?;
        poll_fn(|cx| self.transport.poll_pushed(cx))
            .await
            .map_err(|error| self.failed("send", error))
    }

    /// Says that nothing more will be sent (half-close, Python's `shutdown(SHUT_WR)`); receiving goes on.
    ///
    /// # Errors
    /// When what was sent before could not be, or the connection is broken.
    pub async fn close_write(&mut self) -> Result<()> {
        self.shutdown()
            .await
            .map_err(|error| self.failed("close for writing", error))
    }

    /// Takes leave of the peer: says that nothing more will be sent, over TLS by its farewell, reads what is still under way until the
    /// peer has closed, too, and closes. One that is just dropped breaks off, which over TLS looks like an attack, since bytes may
    /// be missing (RFC 8446, section 6.1). Neither step takes more than a second.
    ///
    /// # Errors
    /// When the farewell can't be sent.
    pub async fn close(mut self) -> Result<()> {
        Box::pin(crate::time::timeout(LINGER_TIME, self.close_write())).await??;
        self.linger().await;
        Ok(())
    }

    /// Begins TLS as the client; `name` is who the certificate must be for.
    ///
    /// # Errors
    /// When the handshake fails: the certificate isn't trusted ([`Distrust::of`] tells why), the peer speaks no TLS, or
    /// it hangs up.
    pub async fn start_tls(&mut self, tls: &TlsClient, name: &str) -> Result<()> {
        // Boxed: a handshake's state is large, and would be part of the future of every plain connection.
        let upgraded = Box::pin(self.transport.start_client(tls, name)).await;
        let without = self.peer().endpoint(self.scheme);
        self.scheme = "tls";
        upgraded.map_err(|error| {
            if crate::tls::is_none(&error) {
                return self.no_tls(format!("if that is how it should be, use {without}"));
            }
            let error = self.failed("TLS handshake", error);
            match Distrust::of(&error) {
                Some(why) => error.advise(why.to_string()),
                None => error,
            }
        })
    }

    /// Begins TLS as the server.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn accept_tls(&mut self, tls: &TlsServer) -> Result<()> {
        let upgraded = Box::pin(self.transport.start_server(tls)).await;
        self.scheme = "tls";
        upgraded.map_err(|error| match crate::tls::is_none(&error) {
            true => self.no_tls("clients come here by tls://"),
            false => self.failed("TLS handshake", error),
        })
    }

    fn no_tls(&self, advice: impl Into<String>) -> Error {
        let error = Error::new(
            "TLS handshake",
            Class::General,
            "the other end does not speak TLS",
        );
        error.at(self.peer().endpoint(self.scheme)).advise(advice)
    }

    /// What the TLS handshake settled; `None` on a plain connection.
    pub fn tls(&self) -> Option<TlsFacts> {
        self.transport.facts()
    }

    /// A secret of this TLS session alone that both ends know and nobody in between ([RFC 9266]'s `tls-exporter`): a proof
    /// made over it is of no use elsewhere. `None` without TLS 1.3.
    ///
    /// [RFC 9266]: https://www.rfc-editor.org/rfc/rfc9266
    pub fn tls_binding(&self) -> Option<[u8; 32]> {
        self.transport.binding()
    }

    #[cold]
    fn failed(&self, op: &'static str, error: io::Error) -> Error {
        let limit = if op == "recv" {
            self.limits[0]
        } else {
            self.limits[1]
        };
        let error = match limit {
            Some(limit) if error.kind() == io::ErrorKind::TimedOut && error.get_ref().is_none() => {
                Error::timed_out(op, limit)
            }
            _ => Error::io(op, error),
        };
        error.at(self.peer().endpoint(self.scheme))
    }

    fn shut(&self, how: How) -> io::Result<()> {
        match rustix::net::shutdown(self.as_fd(), how) {
            // The peer has closed or reset it: it needs no telling.
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// See [`Connection::recv`]. Named, so that the wait stands where it is awaited; the receive stands with what else each message passes
/// through.
struct Receiving<'a>(Waits<'a, Connection>);

impl Future for Receiving<'_> {
    type Output = Result<Chunk>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Chunk>> {
        self.0.poll(|conn| conn.poll_received(cx))
    }
}

/// See [`Connection::send`].
struct Sending<'a>(Waits<'a, Connection>, Chunk);

impl Future for Sending<'_> {
    type Output = Result<()>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Sending(wait, chunk) = &mut *self;
        wait.poll(|conn| match conn.transport.poll_send(cx, chunk) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(conn.failed("send", error))),
            Poll::Pending => Poll::Pending,
        })
    }
}

impl Pause for Connection {
    fn pause(&mut self, way: Way) {
        if way == Way::Read {
            self.ask_for_any();
        }
        if let Some(wire) = self.transport.wire_mut() {
            wire.pause(way);
        }
    }
}

pub(crate) fn scheme_of(address: &Address) -> &'static str {
    match address {
        Address::Inet(_) => "tcp",
        Address::Unix(_) => "unix",
        Address::Vsock { .. } => "vsock",
        Address::Unknown { .. } => "socket",
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.held.is_empty() {
            this.held.pour(buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(this.transport.poll_read(cx, buf))?;
        this.ended |= buf.filled().len() == before && buf.remaining() > 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Connection {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.held.is_empty() {
            this.held = ready!(this.poll_recv(cx))?;
        }
        Poll::Ready(Ok(&this.held))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.held.consume(count);
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.transport.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.transport.poll_close(cx))?;
        Poll::Ready(self.shut(How::Write))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.fd()
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("peer", self.peer())
            .finish_non_exhaustive()
    }
}
