//! What a connection's bytes travel through: the socket itself, or TLS over it.

use super::secured::{Carrier, Secured};
use crate::buffer::Chunk;
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

/// A socket whose bytes are counted.
pub(crate) struct Wire {
    link: Box<dyn StreamLink>,
    pub(super) entry: Arc<Entry>,
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

    /// What was to be received is not waited for, since there is something to do.
    pub(super) fn wait_no_more(&mut self) {
        self.pause(Way::Read);
        self.entry.hear();
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

    /// Sends of several pieces as much as goes at once.
    pub(super) fn poll_write_all_of(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = self.link.poll_write_all_of(cx, pieces);
        self.note(sent)
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

    /// Closing for writing is the connection's: TLS only has to get its farewell out.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

pub(crate) enum Transport {
    Plain(Wire),
    Tls(Box<Secured>),
    /// A TLS handshake failed here, or is under way. What is left is another descriptor of the same socket.
    Broken(OwnedFd),
}

impl Transport {
    pub(crate) fn wire_mut(&mut self) -> Option<&mut Wire> {
        match self {
            Transport::Plain(wire) => Some(wire),
            Transport::Tls(secured) => Some(secured.wire_mut()),
            Transport::Broken(_) => None,
        }
    }

    fn writer(&mut self) -> io::Result<Pin<&mut (dyn AsyncWrite + Unpin + '_)>> {
        match self {
            Transport::Plain(wire) => Ok(Pin::new(wire)),
            Transport::Tls(secured) => Ok(Pin::new(&mut secured.stream)),
            Transport::Broken(_) => Err(broken()),
        }
    }

    #[inline]
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        match self {
            Transport::Plain(wire) => wire.poll_recv(cx),
            Transport::Tls(secured) => secured.poll_recv(cx),
            Transport::Broken(_) => Poll::Ready(Err(broken())),
        }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
            Transport::Tls(secured) => secured.poll_read(cx, buf),
            Transport::Broken(_) => Poll::Ready(Err(broken())),
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer()?.poll_write(cx, bytes)
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
            let Poll::Ready(count) = self.poll_write(cx, chunk) else {
                chunk.settle();
                if let Transport::Tls(secured) = self {
                    secured.settle();
                }
                return Poll::Pending;
            };
            match count? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => chunk.advance(count),
            }
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
        self.writer()?.poll_flush(cx)
    }

    /// Until everything is sent, TLS' farewell included.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer()?.poll_shutdown(cx)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Plain(wire) => wire.link.fd(),
            Transport::Tls(secured) => secured.wire().link.fd(),
            Transport::Broken(fd) => fd.as_fd(),
        }
    }

    pub(crate) fn facts(&self) -> Option<TlsFacts> {
        match self {
            Transport::Tls(secured) => Some(TlsFacts::of(&secured.stream)),
            _ => None,
        }
    }

    pub(crate) fn binding(&self) -> Option<[u8; 32]> {
        match self {
            Transport::Tls(secured) => crate::tls::binding(&secured.stream),
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
        let carrier = Carrier::new(self.take_plain()?);
        let stream = tls.connector().connect(name, carrier).await?;
        *self = Transport::Tls(Box::new(Secured::new(stream)));
        Ok(())
    }

    pub(crate) async fn start_server(&mut self, tls: &TlsServer) -> io::Result<()> {
        let carrier = Carrier::new(self.take_plain()?);
        let stream = tls.acceptor().accept(carrier).await?;
        *self = Transport::Tls(Box::new(Secured::new(stream)));
        Ok(())
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the TLS handshake failed before")
}
