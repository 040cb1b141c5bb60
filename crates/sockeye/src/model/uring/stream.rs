//! A stream on the ring.

use super::buffers::GROUP;
use super::rest::Rest;
use super::state::{After, State};
use super::{Kind, Place, Ring, token};
use crate::buffer::{Chunk, RECEIVE, Spare};
use crate::model::ready::with_waits;
use crate::model::{Group, StreamLink, Way, wake};
use io_uring::opcode;
use io_uring::types::Fd;
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// Up to this much may be under way when a send returns, as a socket's own buffer would take it; with more, it waits
/// until the kernel has it.
pub(super) const AHEAD: usize = RECEIVE;

/// What one operation sends at the most: each that completes is progress, which a write deadline starts anew from, and is
/// long enough for its own cost not to count.
const PIECE: usize = 256 << 10;

impl Ring {
    pub(super) fn with_stream(&self, place: usize, body: impl FnOnce(&mut State) -> After) {
        let state = match self.places.borrow().get(place) {
            Some(Place::Stream(state)) => state.clone(),
            _ => return,
        };
        let mut state = state.borrow_mut();
        match body(&mut state) {
            After::Nothing => {}
            // If even that can't be handed over, the receive merely goes on.
            After::CallOff => drop(self.cancel(Kind::Receive, place)),
            After::SendOn => {
                if let Err(error) = self.send_piece(place, &state) {
                    state.unsent(error);
                }
            }
        }
        if state.is_over() {
            drop(state);
            self.remove(place);
        }
    }

    /// Hands the next piece of the chunk over that is being sent.
    fn send_piece(&self, place: usize, state: &State) -> io::Result<()> {
        let Some(chunk) = &state.sending else {
            return Ok(());
        };
        let count = chunk.len().min(PIECE) as u32;
        let entry = opcode::Send::new(Fd(state.fd.as_raw_fd()), chunk.as_ptr(), count)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        // SAFETY: the place keeps the chunk until the send has completed, and moving a chunk doesn't move its bytes.
        #[allow(unsafe_code)]
        unsafe {
            self.push(&entry.user_data(token(Kind::Send, place)))
        }
    }
}

/// The link: a place on the ring, and what is kept there.
pub(super) struct Stream {
    ring: Rc<Ring>,
    place: usize,
    state: Rc<RefCell<State>>,
    fd: RawFd,
    limits: [Option<Duration>; 2],
}

impl Stream {
    pub(super) fn new(ring: Rc<Ring>, fd: OwnedFd) -> Self {
        let raw = fd.as_raw_fd();
        let state = Rc::new(RefCell::new(State::new(fd)));
        let place = ring.places.borrow_mut().insert(Place::Stream(state.clone()));
        Stream {
            ring,
            place,
            state,
            fd: raw,
            limits: [None; 2],
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

    /// Until no send is under way.
    fn poll_idle(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        state.poll_idle(self.limits[1], &self.ring.sources.timers, cx)
    }

    /// Until the kernel says that the socket can be written to (or is broken).
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        if std::mem::take(&mut state.writable) {
            return Poll::Ready(Ok(()));
        }
        state.write.wait(self.limits[1], &self.ring.sources.timers, cx)?;
        if !state.polling {
            let entry = opcode::PollAdd::new(Fd(self.fd), libc::POLLOUT as u32).build();
            // SAFETY: a poll points to nothing.
            #[allow(unsafe_code)]
            unsafe {
                self.ring.push(&entry.user_data(token(Kind::Poll, self.place)))?;
            }
            state.polling = true;
        }
        Poll::Pending
    }

    /// Begins to send the whole chunk on the ring; nothing may be under way.
    fn start(&self, state: &mut State, chunk: Chunk) -> io::Result<()> {
        state.sending = Some(chunk);
        let started = self.ring.send_piece(self.place, state);
        if started.is_err() {
            state.sending = None;
        }
        started
    }

    /// Sends what the socket takes at once; nothing of it if the ring is better. That saves calls where it has something else to tell by
    /// then; with one connection it costs as many, and its own work.
    fn send_now(&self, bytes: &[u8], cx: &Context<'_>) -> io::Result<usize> {
        // Who sends without end waits for the ring now and then, and others have their turn.
        if bytes.is_empty() || !self.ring.quiet.get() || !wake::spend(cx) {
            return Ok(0);
        }
        match rustix::net::send(self.fd(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }

    fn poll_ahead(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &state.sending {
            Some(chunk) if chunk.len() > AHEAD => self.poll_idle(state, cx),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.state.borrow_mut();
        state.read.cancel(&self.ring.sources.timers);
        state.clear();
        for (there, kind) in [(state.receiving, Kind::Receive), (state.polling, Kind::Poll)] {
            self.ring.call_off(there, kind, self.place);
        }
        let is_owed = state.is_owed();
        drop(state);
        let rest = Rest::new(self.ring.clone(), self.place, self.state.clone());
        if is_owed && self.ring.may_linger() {
            self.ring.tasks.spawn(Group::LASTING, Box::pin(rest.sent()));
        }
    }
}

impl StreamLink for Stream {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        if !wake::spend(cx) {
            return Poll::Pending;
        }
        let mut state = self.state.borrow_mut();
        if let Some(taken) = state.take() {
            state.read.done();
            return Poll::Ready(taken);
        }
        state.read.wait(self.limits[0], &self.ring.sources.timers, cx)?;
        if !state.receiving {
            self.receive()?;
            state.receiving = true;
        }
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut chunk = ready!(self.poll_recv(cx))?;
        let count = chunk.len().min(buf.remaining());
        buf.put_slice(&chunk[..count]);
        chunk.advance(count);
        if !chunk.is_empty() {
            self.state.borrow_mut().put_back(chunk);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        if !chunk.is_empty() {
            ready!(self.poll_idle(&mut state, cx))?;
            chunk.consume(self.send_now(chunk, cx)?);
        }
        if !chunk.is_empty() {
            self.start(&mut state, std::mem::take(chunk))?;
        }
        self.poll_ahead(&mut state, cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.borrow_mut();
        ready!(self.poll_idle(&mut state, cx))?;
        let sent = self.send_now(bytes, cx)?;
        if sent > 0 || bytes.is_empty() {
            return Poll::Ready(Ok(sent));
        }
        let count = bytes.len().min(AHEAD);
        let mut spare = Spare::take();
        spare.bytes()[..count].copy_from_slice(&bytes[..count]);
        let mut chunk = spare.filled(count);
        chunk.settle();
        self.start(&mut state, chunk)?;
        Poll::Ready(Ok(count))
    }

    fn poll_write_all_of(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = self.state.borrow_mut();
        ready!(self.poll_idle(&mut state, cx))?;
        let mut chunk = Spare::gather(pieces);
        let count = chunk.len();
        chunk.consume(self.send_now(&chunk, cx)?);
        if !chunk.is_empty() {
            chunk.settle();
            self.start(&mut state, chunk)?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_pushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ahead(&mut self.state.borrow_mut(), cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_idle(&mut self.state.borrow_mut(), cx)
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        // What was sent before goes first. (To look whether it has gone would begin the wait anew.)
        let mut state = self.state.borrow_mut();
        if state.sending.is_some() || state.send_error.is_some() {
            ready!(self.poll_idle(&mut state, cx))?;
        }
        drop(state);
        loop {
            if !wake::spend(cx) {
                return Poll::Pending;
            }
            let mut at = offset;
            let send = || rustix::fs::sendfile(self.fd(), file, Some(&mut at), count);
            match with_waits(self.fd(), false, send) {
                Err(Errno::AGAIN) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Poll::Ready(Err(error.into())),
                Ok(count) => {
                    self.state.borrow().write.done();
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

    fn pause(&mut self, way: Way) {
        let state = self.state.borrow();
        let side = match way {
            Way::Read => &state.read,
            Way::Write => &state.write,
        };
        side.pause(&self.ring.sources.timers);
    }

    #[allow(unsafe_code)]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the place keeps the descriptor open for as long as this link is there.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}
