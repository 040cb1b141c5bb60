//! A stream on the ring.

use super::buffers::{Buffers, GROUP};
use super::{Completion, Kind, Place, Ring, token};
use crate::buffer::{Chunk, RECEIVE, Spare};
use crate::model::StreamLink;
use crate::model::sources::Side;
use io_uring::types::Fd;
use io_uring::{cqueue, opcode};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// Chunks that may wait for a handler before the receive is called off, until it has caught up: each holds a buffer that
/// the ring's other connections want.
const INBOX: usize = 8;

/// Bytes that may wait so, with what the kernel has under way meanwhile: as much as sockets usually buffer by themselves.
const INBOX_BYTES: usize = 4 * RECEIVE;

/// Up to this much may be under way when a send returns, as a socket's own buffer would take it; with more, it waits
/// until the kernel has it.
const AHEAD: usize = RECEIVE;

/// What one operation sends at the most: each that completes is progress, which a write deadline starts anew from, and is
/// long enough for its own cost not to count.
const PIECE: usize = 256 << 10;

/// What the driver keeps of a stream, until its operations are over.
pub(super) struct State {
    /// Closed when the place is given up.
    fd: OwnedFd,
    orphaned: bool,
    receiving: bool,
    calling_off: bool,
    /// The next chunk has a place of its own: an idle connection has no queue.
    next: Option<Chunk>,
    later: VecDeque<Chunk>,
    /// The end of the stream, or what broke it (told once).
    ended: Option<Option<io::Error>>,
    read: Side,
    sending: Option<Chunk>,
    send_error: Option<io::Error>,
    polling: bool,
    writable: bool,
    write: Side,
}

impl State {
    pub(super) fn is_over(&self) -> bool {
        self.orphaned && !self.receiving && self.sending.is_none() && !self.polling
    }

    fn has_enough(&self) -> bool {
        let waiting = self.next.iter().chain(&self.later);
        waiting.clone().count() >= INBOX || waiting.map(|chunk| chunk.len()).sum::<usize>() >= INBOX_BYTES
    }

    fn put(&mut self, chunk: Chunk) {
        if self.next.is_none() {
            self.next = Some(chunk);
        } else {
            self.later.push_back(chunk);
        }
    }

    fn pop(&mut self) -> Option<Chunk> {
        let chunk = self.next.take()?;
        self.next = self.later.pop_front();
        if self.later.is_empty() {
            self.later = VecDeque::new(); // its memory goes too
        }
        Some(chunk)
    }

    /// True when the receive is to be called off.
    pub(super) fn received(&mut self, completion: Completion, buffers: &Rc<Buffers>) -> After {
        self.receiving &= completion.more();
        self.calling_off &= self.receiving;
        let chunk = cqueue::buffer_select(completion.flags)
            .map(|number| buffers.filled(number, usize::try_from(completion.result).unwrap_or(0)));
        match completion.outcome() {
            Ok(0) => self.ended = Some(None),
            Ok(_) => chunk.into_iter().for_each(|chunk| self.put(chunk)),
            // Called off by us, or no buffer was free at that moment: whoever waits asks again.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ECANCELED | libc::ENOBUFS | libc::EINTR)
                ) => {}
            Err(error) => self.ended = Some(Some(error)),
        }
        self.read.rise();
        if self.receiving && !self.calling_off && self.has_enough() {
            self.calling_off = true;
            return After::CallOff;
        }
        After::Nothing
    }

    pub(super) fn sent(&mut self, completion: Completion) -> After {
        let Some(chunk) = &mut self.sending else {
            return After::Nothing;
        };
        match completion.outcome() {
            Ok(0) => self.send_error = Some(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                chunk.advance(count);
                self.write.progress();
                if !chunk.is_empty() && !self.orphaned {
                    return After::SendOn;
                }
            }
            Err(error) => self.send_error = Some(error),
        }
        self.sending = None;
        self.write.rise();
        After::Nothing
    }

    /// The rest could not be handed over.
    fn unsent(&mut self, error: io::Error) {
        (self.sending, self.send_error) = (None, Some(error));
        self.write.rise();
    }

    pub(super) fn polled(&mut self) {
        (self.polling, self.writable) = (false, true);
        self.write.rise();
    }
}

/// What is to be done after a completion, once the places are no longer borrowed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    CallOff,
    SendOn,
}

impl Ring {
    pub(super) fn with_stream(&self, place: usize, body: impl FnOnce(&mut State) -> After) {
        let after = match self.places.borrow_mut().get_mut(place) {
            Some(Place::Stream(state)) => body(state),
            _ => return,
        };
        match after {
            After::Nothing => {}
            // If even that can't be handed over, the receive merely goes on.
            After::CallOff => drop(self.cancel(Kind::Receive, place)),
            After::SendOn => {
                if let Err(error) = self.send_piece(place)
                    && let Some(Place::Stream(state)) = self.places.borrow_mut().get_mut(place)
                {
                    state.unsent(error);
                }
            }
        }
        self.release(place);
    }
}

impl Ring {
    /// Hands the next piece of the chunk over that its place is sending.
    fn send_piece(&self, place: usize) -> io::Result<()> {
        let piece = match self.places.borrow().get(place) {
            Some(Place::Stream(State {
                sending: Some(chunk),
                fd,
                ..
            })) => (fd.as_raw_fd(), chunk.as_ptr(), chunk.len().min(PIECE) as u32),
            _ => return Ok(()),
        };
        let (fd, at, count) = piece;
        let entry = opcode::Send::new(Fd(fd), at, count)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        // SAFETY: the place keeps the chunk until the send has completed, and moving a chunk doesn't move its bytes.
        #[allow(unsafe_code)]
        unsafe {
            self.push(&entry.user_data(token(Kind::Send, place)))
        }
    }
}

/// The link: the number of a place, and what a handler's side needs to know.
pub(super) struct Stream {
    ring: Rc<Ring>,
    place: usize,
    fd: RawFd,
    limits: [Option<Duration>; 2],
}

impl Stream {
    pub(super) fn new(ring: Rc<Ring>, fd: OwnedFd) -> Self {
        let raw = fd.as_raw_fd();
        let state = State {
            fd,
            orphaned: false,
            receiving: false,
            calling_off: false,
            next: None,
            later: VecDeque::new(),
            ended: None,
            read: Side::default(),
            sending: None,
            send_error: None,
            polling: false,
            writable: false,
            write: Side::default(),
        };
        let place = ring.places.borrow_mut().insert(Place::Stream(state));
        Stream {
            ring,
            place,
            fd: raw,
            limits: [None; 2],
        }
    }

    fn with<T>(&self, body: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        match self.ring.places.borrow_mut().get_mut(self.place) {
            Some(Place::Stream(state)) => body(state),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn receive(&self) -> io::Result<()> {
        let entry = opcode::RecvMulti::new(Fd(self.fd), GROUP)
            .build()
            .user_data(token(Kind::Receive, self.place));
        // SAFETY: the operation takes its memory from the registered buffers.
        #[allow(unsafe_code)]
        unsafe {
            self.ring.push(&entry)
        }
    }

    /// Something that has arrived, or `None` at the end of the stream.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        if !crate::model::task::spend(cx) {
            return Poll::Pending;
        }
        let (limit, timers) = (self.limits[0], &self.ring.sources.timers);
        let mut ask = false;
        let polled = self.with(|state| {
            if let Some(chunk) = state.pop() {
                state.read.done();
                return Ok(Poll::Ready(Ok(Some(chunk))));
            }
            if let Some(ended) = &mut state.ended {
                return Ok(Poll::Ready(ended.take().map_or(Ok(None), Err)));
            }
            state.read.wait(limit, timers, cx)?;
            ask = !std::mem::replace(&mut state.receiving, true);
            Ok(Poll::Pending)
        })?;
        if ask && let Err(error) = self.receive() {
            self.with(|state| {
                state.receiving = false;
                Ok(())
            })?;
            return Poll::Ready(Err(error));
        }
        polled
    }

    /// Until no send is under way.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (limit, timers) = (self.limits[1], &self.ring.sources.timers);
        self.with(|state| {
            if let Some(error) = state.send_error.take() {
                return Err(error);
            }
            if state.sending.is_some() {
                state.write.wait(limit, timers, cx)?;
                return Ok(Poll::Pending);
            }
            state.write.done();
            Ok(Poll::Ready(Ok(())))
        })?
    }

    /// Until the kernel says that the socket can be written to (or is broken).
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (limit, timers) = (self.limits[1], &self.ring.sources.timers);
        let mut ask = false;
        let writable = self.with(|state| {
            let writable = std::mem::take(&mut state.writable);
            if !writable {
                state.write.wait(limit, timers, cx)?;
                ask = !std::mem::replace(&mut state.polling, true);
            }
            Ok(writable)
        })?;
        if ask {
            let entry = opcode::PollAdd::new(Fd(self.fd), libc::POLLOUT as u32).build();
            // SAFETY: a poll points to nothing.
            #[allow(unsafe_code)]
            let pushed = unsafe { self.ring.push(&entry.user_data(token(Kind::Poll, self.place))) };
            if let Err(error) = pushed {
                self.with(|state| {
                    state.polling = false;
                    Ok(())
                })?;
                return Poll::Ready(Err(error));
            }
        }
        if writable {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Begins to send the whole chunk; nothing may be under way.
    fn start(&mut self, chunk: Chunk) -> io::Result<()> {
        self.with(|state| {
            state.sending = Some(chunk);
            Ok(())
        })?;
        self.ring.send_piece(self.place).inspect_err(|_| {
            let _ = self.with(|state| {
                state.sending = None;
                Ok(())
            });
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let timers = &self.ring.sources.timers;
        let under_way = self.with(|state| {
            state.orphaned = true;
            state.read.cancel(timers);
            state.write.cancel(timers);
            (state.next, state.later) = (None, VecDeque::new());
            Ok((state.receiving, state.sending.is_some(), state.polling))
        });
        if let Ok((receiving, sending, polling)) = under_way {
            for (there, kind) in [
                (receiving, Kind::Receive),
                (sending, Kind::Send),
                (polling, Kind::Poll),
            ] {
                // If a cancellation can't be handed over, the operation ends with its peer.
                if there && self.ring.cancel(kind, self.place).is_err() {
                    tracing::debug!("an operation goes on until its peer ends it");
                }
            }
        }
        self.ring.release(self.place);
    }
}

impl StreamLink for Stream {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        self.poll_chunk(cx).map_ok(Option::unwrap_or_default)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(mut chunk) = ready!(self.poll_chunk(cx))? else {
            return Poll::Ready(Ok(()));
        };
        let count = chunk.len().min(buf.remaining());
        buf.put_slice(&chunk[..count]);
        chunk.advance(count);
        if !chunk.is_empty() {
            self.with(|state| {
                let behind = state.next.replace(chunk);
                behind
                    .into_iter()
                    .for_each(|behind| state.later.push_front(behind));
                Ok(())
            })?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        if !chunk.is_empty() {
            ready!(self.poll_idle(cx))?;
            self.start(std::mem::take(chunk))?;
        }
        self.poll_pushed(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_idle(cx))?;
        let count = bytes.len().min(AHEAD);
        let mut spare = Spare::take();
        spare.bytes()[..count].copy_from_slice(&bytes[..count]);
        let mut chunk = spare.filled(count);
        chunk.settle();
        if count > 0 {
            self.start(chunk)?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_pushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let much = self.with(|state| Ok(state.sending.as_ref().is_some_and(|chunk| chunk.len() > AHEAD)))?;
        if much {
            self.poll_idle(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_idle(cx)
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        // What was sent before goes first. (To look whether it has gone would begin the wait anew.)
        if self.with(|state| Ok(state.sending.is_some() || state.send_error.is_some()))? {
            ready!(self.poll_idle(cx))?;
        }
        loop {
            if !crate::model::task::spend(cx) {
                return Poll::Pending;
            }
            let mut at = offset;
            // sendfile(2) has no flag for "don't wait": the descriptor itself must say it, while no operation begins.
            rustix::io::ioctl_fionbio(self.fd(), true)?;
            let sent = rustix::fs::sendfile(self.fd(), file, Some(&mut at), count);
            rustix::io::ioctl_fionbio(self.fd(), false)?;
            match sent {
                Err(Errno::AGAIN) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Poll::Ready(Err(error.into())),
                Ok(count) => {
                    self.with(|state| {
                        state.write.done();
                        Ok(())
                    })?;
                    return Poll::Ready(Ok(count));
                }
            }
            ready!(self.poll_writable(cx))?;
        }
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_writable(cx))?;
        let failed = rustix::net::sockopt::socket_error(self.fd())?;
        Poll::Ready(failed.map_err(io::Error::from))
    }

    fn set_limits(&mut self, read: Option<Duration>, write: Option<Duration>) {
        self.limits = [read, write];
    }

    #[allow(unsafe_code)]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the place keeps the descriptor open for as long as this link is there.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}
