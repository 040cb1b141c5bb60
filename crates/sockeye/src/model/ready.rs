//! Sockets over anything that tells when a descriptor is ready: spin, select, epoll, Tokio and the blocking wait all
//! share the links of this file and differ in their [`Reactor`]. (That of the blocking wait says where its code stands, too:
//! `blocking/link.rs`.)
//!
//! Descriptors stay in blocking mode; each call says for itself that it must not wait (`MSG_DONTWAIT`). So a model
//! that may block does it in the very call, and no model pays an `fcntl` per connection.

use super::{AcceptLink, Accepted, PIPE, PacketLink, Received, Route, StreamLink, messages, mmsg};
use crate::buffer::{Chunk, Loans, RECEIVE, Spare};
use crate::server::registry::SocketGrip;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, sendmsg};
use rustix::pipe::{SpliceFlags, splice};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// The two ways of a socket that one can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Read = 0,
    Write = 1,
}

/// How an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Without waiting.
    Try,
    /// Nothing else can happen on this thread: the call itself may wait.
    Block,
}

impl Permit {
    fn receive(self) -> RecvFlags {
        match self {
            Permit::Try => RecvFlags::DONTWAIT,
            Permit::Block => RecvFlags::empty(),
        }
    }

    fn send(self) -> SendFlags {
        match self {
            Permit::Try => SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            Permit::Block => SendFlags::NOSIGNAL,
        }
    }
}

/// What an attempt brought.
pub(crate) struct Done<T> {
    pub(crate) value: T,
    /// The count came up short, so another attempt would only say "would block".
    pub(crate) spent: bool,
}

/// What is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) way: Way,
    /// How long it may take before it is a timeout.
    pub(crate) limit: Option<Duration>,
    /// Whether the attempt understands [`Permit::Block`].
    pub(crate) may_block: bool,
}

/// Waits until descriptors are ready; a file for each way to do it.
pub(crate) trait Reactor: Sized + 'static {
    /// What a link keeps of its place here.
    type Place;
    /// Whether it may have an attempt wait in its call, from which no waker rouses it.
    const BLOCKS: bool = false;

    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Self::Place>;
    fn deregister(&self, place: &Self::Place, fd: BorrowedFd<'_>);
    /// See [`Pause::pause`](super::Pause::pause).
    fn pause(&self, place: &Self::Place, way: Way);

    /// Makes attempts, each as soon as the descriptor is ready, until one doesn't say "would block".
    fn poll_io<T>(
        &self,
        place: &Self::Place,
        wish: Wish,
        cx: &mut Context<'_>,
        attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>>;
}

/// A descriptor and its place in a reactor; one line of the cache.
#[repr(align(64))]
pub(crate) struct Socket<R: Reactor> {
    // Dropped in this order: a place may still use the descriptor as it goes.
    place: R::Place,
    fd: OwnedFd,
    reactor: Rc<R>,
    limits: [Option<Duration>; 2],
}

impl<R: Reactor> Socket<R> {
    pub(crate) fn new(reactor: Rc<R>, fd: OwnedFd) -> io::Result<Self> {
        let place = reactor.register(fd.as_fd())?;
        Ok(Socket {
            fd,
            place,
            reactor,
            limits: [None; 2],
        })
    }

    #[inline(always)] // its attempt stands in one place then
    fn poll<T>(
        &self,
        way: Way,
        may_block: bool,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&OwnedFd, Permit) -> rustix::io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        let wish = Wish {
            way,
            limit: self.limits[way as usize],
            may_block,
        };
        self.reactor
            .poll_io(&self.place, wish, cx, |permit| Ok(attempt(&self.fd, permit)?))
    }

    /// [`StreamLink::poll_recv`], to stand where its caller does.
    #[inline(always)]
    pub(super) fn receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        self.poll(Way::Read, true, cx, |fd, permit| {
            let mut spare = Spare::take();
            let (count, _) = rustix::net::recv(fd, spare.bytes(), permit.receive())?;
            Ok(Done {
                value: spare.filled(count),
                spent: count < RECEIVE,
            })
        })
    }

    /// [`StreamLink::poll_send`], to stand where its caller does.
    #[inline(always)]
    pub(super) fn send_all(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        while !chunk.is_empty() {
            match self.write(cx, chunk) {
                Poll::Ready(count) => chunk.advance(count?),
                Poll::Pending => {
                    chunk.settle();
                    return Poll::Pending;
                }
            }
        }
        chunk.release();
        Poll::Ready(Ok(()))
    }

    #[inline(always)]
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(Way::Write, true, cx, |fd, permit| {
            let count = rustix::net::send(fd, bytes, permit.send())?;
            Ok(Done {
                value: count,
                spent: count < bytes.len(),
            })
        })
    }
}

impl<R: Reactor> Drop for Socket<R> {
    fn drop(&mut self) {
        self.reactor.deregister(&self.place, self.fd.as_fd());
    }
}

impl<R: Reactor> StreamLink for Socket<R> {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        self.receive(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.initialize_unfilled();
        let count = ready!(self.poll(Way::Read, true, cx, |fd, permit| {
            let (count, _) = rustix::net::recv(fd, &mut *room, permit.receive())?;
            Ok(Done {
                value: count,
                spent: count < room.len(),
            })
        }))?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        self.send_all(cx, chunk)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, bytes)
    }

    fn poll_write_all_of(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let all: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.poll(Way::Write, true, cx, |fd, permit| {
            let nothing_else = &mut SendAncillaryBuffer::default();
            let count = sendmsg(fd, pieces, nothing_else, permit.send())?;
            Ok(Done {
                value: count,
                spent: count < all,
            })
        })
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        self.poll(Way::Write, true, cx, |fd, permit| {
            let mut at = offset;
            let send = || rustix::fs::sendfile(fd, file, Some(&mut at), count);
            let sent = with_waits(fd.as_fd(), permit == Permit::Block, send);
            // A short count says nothing of the socket: the kernel moves a pipe's worth at a time, and files end.
            Ok(Done {
                value: sent?,
                spent: false,
            })
        })
    }

    fn poll_recv_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        count: usize,
    ) -> Poll<io::Result<Option<usize>>> {
        self.poll(Way::Read, true, cx, |fd, permit| {
            let flags = match permit {
                Permit::Try => SpliceFlags::NONBLOCK,
                Permit::Block => SpliceFlags::empty(),
            };
            let splice = || splice(fd, None, pipe, None, count.min(PIPE), flags);
            let moved = with_waits(fd.as_fd(), permit == Permit::Block, splice);
            // A short count says nothing of the socket: a pipe holds so many pieces, however small they are.
            Ok(Done {
                value: Some(moved?),
                spent: false,
            })
        })
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(Way::Write, false, cx, |fd, _| {
            rustix::net::sockopt::socket_error(fd)??;
            match rustix::net::getpeername(fd) {
                Err(Errno::NOTCONN) => Err(Errno::AGAIN),
                other => other.map(|_| Done {
                    value: (),
                    spent: false,
                }),
            }
        })
    }

    fn set_limits(&mut self, read: Option<Duration>, write: Option<Duration>) {
        self.limits = [read, write];
    }

    fn pause(&mut self, way: Way) {
        self.reactor.pause(&self.place, way);
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<R: Reactor> AcceptLink for Socket<R> {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        self.poll(Way::Read, false, cx, |fd, _| {
            let (socket, peer) = rustix::net::acceptfrom_with(fd, SocketFlags::CLOEXEC)?;
            Ok(Done {
                value: Accepted { fd: socket, peer },
                spent: false,
            })
        })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes a call that asks the descriptor itself whether it waits, as sendfile(2) and splice(2) do, for they have no flag for it. It is
/// left as it was, for another process may have it, too.
pub(super) fn with_waits<T>(
    fd: BorrowedFd<'_>,
    waits: bool,
    call: impl FnOnce() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    let before = !rustix::fs::fcntl_getfl(fd)?.contains(OFlags::NONBLOCK);
    if before == waits {
        return call();
    }
    rustix::io::ioctl_fionbio(fd, !waits)?;
    let called = call();
    rustix::io::ioctl_fionbio(fd, !before)?;
    called
}

/// A datagram socket with the memory that its batches are received into.
pub(crate) struct Packets<R: Reactor> {
    socket: Socket<R>,
    /// How much it is told of each datagram.
    told: usize,
    /// Made when it is first needed.
    batch: Option<(Rc<mmsg::Batch>, Loans)>,
    /// Whether the kernel cuts messages into datagrams, once it is known.
    segments: Option<bool>,
}

impl<R: Reactor> Packets<R> {
    pub(crate) fn new(reactor: Rc<R>, fd: OwnedFd) -> io::Result<Self> {
        Ok(Packets {
            told: mmsg::ask(fd.as_fd()),
            socket: Socket::new(reactor, fd)?,
            batch: None,
            segments: None,
        })
    }
}

impl<R: Reactor> PacketLink for Packets<R> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut Vec<Received>) -> Poll<io::Result<()>> {
        let fd = self.socket.fd.as_fd();
        let (batch, loans) = self.batch.get_or_insert_with(|| {
            let batch = mmsg::Batch::new(fd, self.told);
            (batch.clone(), Loans::of(batch))
        });
        self.socket.poll(Way::Read, true, cx, |fd, permit| {
            let full = batch.receive(fd.as_fd(), loans, permit == Permit::Block, into)?;
            Ok(Done {
                value: (),
                spent: !full,
            })
        })
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        self.socket.poll(Way::Read, true, cx, |fd, permit| {
            Ok(Done {
                value: messages::receive(fd.as_fd(), permit.receive())?,
                spent: false,
            })
        })
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        to: Option<&Route>,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll(Way::Write, true, cx, |fd, permit| {
            let count = match to {
                Some(route) => {
                    let one = std::iter::once((bytes, route));
                    mmsg::send::<1>(fd.as_fd(), permit == Permit::Block, false, one).map(|_| bytes.len())
                }
                None => rustix::net::send(fd, bytes, permit.send()),
            }?;
            Ok(Done {
                value: count,
                spent: false,
            })
        })
    }

    fn send_batch(&mut self, packets: &[(Chunk, Route)]) -> io::Result<usize> {
        let fd = self.socket.fd.as_fd();
        let send = |segment| {
            let packets = packets.iter().map(|(bytes, route)| (&**bytes, route));
            mmsg::send::<{ mmsg::BATCH }>(fd, false, segment, packets)
        };
        let segments = *self.segments.get_or_insert_with(|| mmsg::can_cut(fd));
        match send(segments) {
            // Not on this socket, or by this interface.
            Err(Errno::INVAL | Errno::IO | Errno::MSGSIZE | Errno::OPNOTSUPP) if segments => {
                let sent = send(false)?;
                self.segments = Some(false);
                Ok(sent)
            }
            sent => Ok(sent?),
        }
    }

    fn grip(&self) -> Option<SocketGrip> {
        // Those of one machine would tell their peers of it.
        let is_udp = mmsg::can_cut(self.fd());
        (R::BLOCKS && is_udp).then(|| SocketGrip(self.fd().as_raw_fd()))
    }

    fn set_limits(&mut self, read: Option<Duration>, write: Option<Duration>) {
        self.socket.limits = [read, write];
    }

    fn pause(&mut self, way: Way) {
        StreamLink::pause(&mut self.socket, way);
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.fd.as_fd()
    }
}
