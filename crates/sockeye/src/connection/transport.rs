//! What a connection's bytes travel through: the socket itself, or TLS over it.

use crate::buffer::{Chunk, Spare};
use crate::model::{StreamLink, Way};
use crate::server::registry::Entry;
use crate::tls::{TlsClient, TlsFacts, TlsServer};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

/// How much of several small pieces is sent together. A handshake's records fit; TLS would send each by itself, and lose
/// the alert that says why it ends, since it tries only once more then.
const GATHER: usize = 2048;

/// A socket whose bytes are counted.
pub(crate) struct Wire {
    link: Box<dyn StreamLink>,
    entry: Arc<Entry>,
}

impl Wire {
    pub(crate) fn new(link: Box<dyn StreamLink>, entry: Arc<Entry>) -> Self {
        Wire { link, entry }
    }

    pub(crate) fn set_limits(&mut self, read: Option<Duration>, write: Option<Duration>) {
        self.link.set_limits(read, write);
    }

    pub(crate) fn pause(&mut self, way: Way) {
        self.link.pause(way);
    }

    /// Counts what was sent, or that it has to wait.
    fn note(&self, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &sent {
            Poll::Ready(Ok(count)) => self.entry.count_sent(*count),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.entry.stall(),
        }
        sent
    }

    #[inline]
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        let received = self.link.poll_recv(cx);
        match &received {
            Poll::Ready(Ok(chunk)) => self.entry.count_received(chunk.len()),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.entry.listen(),
        }
        received
    }

    #[inline]
    fn poll_send(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        let before = chunk.len();
        let sent = self.link.poll_send(cx, chunk);
        self.entry.count_sent(before - chunk.len());
        if sent.is_pending() {
            self.entry.stall();
        }
        sent
    }

    pub(crate) fn poll_pushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pushed = self.link.poll_pushed(cx);
        if pushed.is_pending() {
            self.entry.stall();
        }
        pushed
    }

    pub(crate) fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let sent = self.link.poll_send_file(cx, file, offset, count);
        self.note(sent)
    }
}

impl Wire {
    pub(crate) fn poll_recv_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        count: usize,
    ) -> Poll<io::Result<Option<usize>>> {
        let moved = self.link.poll_recv_pipe(cx, pipe, count);
        match &moved {
            Poll::Ready(Ok(Some(count))) => self.entry.count_received(*count),
            Poll::Ready(_) => {}
            Poll::Pending => self.entry.listen(),
        }
        moved
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.entry.let_go(); // from now on the descriptor's number may be another's
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = self.link.poll_read(cx, buf);
        if read.is_pending() {
            self.entry.listen();
        }
        ready!(read)?;
        self.entry.count_received(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.link.poll_write(cx, bytes);
        self.note(sent)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_flush(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = [0; GATHER];
        let mut count = 0;
        for slice in slices {
            let Some(room) = gathered.get_mut(count..count + slice.len()) else {
                break;
            };
            room.copy_from_slice(slice);
            count += slice.len();
        }
        if count > 0 {
            return self.poll_write(cx, &gathered[..count]);
        }
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(cx, first.map_or(&[], |slice| &**slice))
    }

    /// Closing for writing is the connection's: TLS only has to get its farewell out.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

pub(crate) enum Transport {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
    /// A TLS handshake failed here, or is under way. What is left is another descriptor of the same socket.
    Broken(OwnedFd),
}

impl Transport {
    pub(crate) fn wire_mut(&mut self) -> Option<&mut Wire> {
        match self {
            Transport::Plain(wire) => Some(wire),
            Transport::Tls(stream) => Some(stream.get_mut().0),
            Transport::Broken(_) => None,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut (dyn Duplex + '_)>> {
        match self {
            Transport::Plain(wire) => Ok(Pin::new(wire)),
            Transport::Tls(stream) => Ok(Pin::new(&mut **stream)),
            Transport::Broken(_) => Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the TLS handshake failed before",
            )),
        }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.stream()?.poll_read(cx, buf));
        Poll::Ready(match self {
            // The peer has not said farewell, for it was not the peer who ended this.
            Transport::Tls(stream) if stream.get_ref().0.entry.input_ended() => read.or_else(|error| {
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    Ok(())
                } else {
                    Err(error)
                }
            }),
            Transport::Tls(_) => read.map_err(crate::tls::unheard_farewell),
            _ => read,
        })
    }

    #[inline]
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        match self {
            Transport::Plain(wire) => wire.poll_recv(cx),
            other => other.poll_opened(cx),
        }
    }

    /// What TLS has opened.
    fn poll_opened(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        let mut spare = Spare::take();
        let mut buf = ReadBuf::new(spare.bytes());
        ready!(self.poll_read(cx, &mut buf))?;
        let count = buf.filled().len();
        Poll::Ready(Ok(spare.filled(count)))
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    /// Until nothing is left of the chunk, and no more of it is under way than a socket's buffer would take.
    #[inline]
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(wire) => wire.poll_send(cx, chunk),
            other => other.poll_sealed(cx, chunk),
        }
    }

    fn poll_sealed(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        while !chunk.is_empty() {
            let count = ready!(self.poll_write(cx, chunk))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            chunk.advance(count);
        }
        self.poll_flush(cx) // TLS keeps records back until then
    }

    /// TLS keeps records back until it is flushed; a plain stream at most what a socket's buffer would.
    pub(crate) fn poll_pushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(wire) => wire.poll_pushed(cx),
            other => other.poll_flush(cx),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    /// Until everything is sent, TLS' farewell included.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Plain(wire) => wire.link.fd(),
            Transport::Tls(stream) => stream.get_ref().0.link.fd(),
            Transport::Broken(fd) => fd.as_fd(),
        }
    }

    pub(crate) fn facts(&self) -> Option<TlsFacts> {
        match self {
            Transport::Tls(stream) => Some(TlsFacts::of(stream)),
            _ => None,
        }
    }

    pub(crate) fn binding(&self) -> Option<[u8; 32]> {
        match self {
            Transport::Tls(stream) => crate::tls::binding(stream),
            _ => None,
        }
    }

    fn take_plain(&mut self) -> io::Result<Wire> {
        let spare = rustix::io::fcntl_dupfd_cloexec(self.fd(), 0)?;
        match std::mem::replace(self, Transport::Broken(spare)) {
            Transport::Plain(wire) => Ok(wire),
            other => {
                *self = other;
                Err(io::Error::other("TLS is spoken on this connection already"))
            }
        }
    }

    pub(crate) async fn start_client(&mut self, tls: &TlsClient, name: &str) -> io::Result<()> {
        let name = crate::tls::server_name(name)?;
        let stream = tls.connector().connect(name, self.take_plain()?).await?;
        *self = Transport::Tls(Box::new(stream.into()));
        Ok(())
    }

    pub(crate) async fn start_server(&mut self, tls: &TlsServer) -> io::Result<()> {
        let stream = tls.acceptor().accept(self.take_plain()?).await?;
        *self = Transport::Tls(Box::new(stream.into()));
        Ok(())
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin + ?Sized> Duplex for T {}
