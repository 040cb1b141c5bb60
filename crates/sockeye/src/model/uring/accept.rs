//! Accepting on the ring: one multishot operation, which goes on until there are enough.

use super::{Completion, Kind, Place, Ring, token};
use crate::model::sources::Side;
use crate::model::{AcceptLink, Accepted};
use io_uring::opcode;
use io_uring::types::Fd;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

/// Accepted connections that may wait for the server; while it is at its limit, the others wait in the backlog.
const WAITING: usize = 32;

pub(super) struct State {
    /// `None` when the link is gone.
    fd: Option<OwnedFd>,
    orphaned: bool,
    accepting: bool,
    calling_off: bool,
    accepted: VecDeque<OwnedFd>,
    error: Option<io::Error>,
    side: Side,
}

impl State {
    pub(super) fn is_over(&self) -> bool {
        self.orphaned && !self.accepting
    }
}

impl Ring {
    pub(super) fn accepted(&self, place: usize, completion: Completion) {
        let mut places = self.places.borrow_mut();
        let Some(Place::Accept(state)) = places.get_mut(place) else {
            return;
        };
        state.accepting &= completion.more();
        state.calling_off &= state.accepting;
        match completion.outcome() {
            Ok(_) => {
                // SAFETY: the completion of an accept hands over a new descriptor, once.
                #[allow(unsafe_code)]
                let socket = unsafe { OwnedFd::from_raw_fd(completion.result) };
                if !state.orphaned {
                    state.accepted.push_back(socket);
                }
            }
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            Err(error) => state.error = Some(error),
        }
        state.side.rise();
        let enough = state.accepting && !state.calling_off && state.accepted.len() >= WAITING;
        state.calling_off |= enough;
        let over = state.is_over();
        drop(places);
        if enough {
            // If that can't be handed over, a few more are accepted.
            let _ = self.cancel(Kind::Accept, place);
        }
        if over {
            self.remove(place);
        }
    }
}

pub(super) struct Acceptor {
    ring: Rc<Ring>,
    place: usize,
    fd: RawFd,
}

impl Acceptor {
    pub(super) fn new(ring: Rc<Ring>, fd: OwnedFd) -> io::Result<Self> {
        // A non-blocking listener would have the ring say "would block" instead of waiting.
        rustix::io::ioctl_fionbio(&fd, false)?;
        let raw = fd.as_raw_fd();
        let state = State {
            fd: Some(fd),
            orphaned: false,
            accepting: false,
            calling_off: false,
            accepted: VecDeque::new(),
            error: None,
            side: Side::default(),
        };
        let place = ring.places.borrow_mut().insert(Place::Accept(Box::new(state)));
        Ok(Acceptor { ring, place, fd: raw })
    }
}

impl AcceptLink for Acceptor {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let mut places = self.ring.places.borrow_mut();
        let Some(Place::Accept(state)) = places.get_mut(self.place) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if let Some(fd) = state.accepted.pop_front() {
            // A multishot accept has no room for the peers' addresses.
            let peer = rustix::net::getpeername(&fd).ok().flatten();
            return Poll::Ready(Ok(Accepted { fd, peer }));
        }
        if let Some(error) = state.error.take() {
            return Poll::Ready(Err(error));
        }
        state.side.wait(None, &self.ring.sources.timers, cx)?;
        if !std::mem::replace(&mut state.accepting, true) {
            drop(places);
            let entry = opcode::AcceptMulti::new(Fd(self.fd))
                .flags(libc::SOCK_CLOEXEC)
                .build();
            // SAFETY: a multishot accept points to nothing.
            #[allow(unsafe_code)]
            let pushed = unsafe { self.ring.push(&entry.user_data(token(Kind::Accept, self.place))) };
            if let Err(error) = pushed {
                if let Some(Place::Accept(state)) = self.ring.places.borrow_mut().get_mut(self.place) {
                    state.accepting = false;
                }
                return Poll::Ready(Err(error));
            }
        }
        Poll::Pending
    }

    #[allow(unsafe_code)]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the place keeps the descriptor open for as long as this link is there.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let accepting = match self.ring.places.borrow_mut().get_mut(self.place) {
            Some(Place::Accept(state)) => {
                state.orphaned = true;
                state.accepted.clear();
                state.accepting
            }
            _ => return,
        };
        if !accepting {
            return self.ring.remove(self.place);
        }
        if let Err(error) = self.ring.cancel(Kind::Accept, self.place) {
            return tracing::debug!(%error, "accepting goes on until the ring ends");
        }
        // The port is free when this returns: who waits for the server's end may want it. As long as an operation is still to be
        // handed over, the number of its descriptor must not become another's.
        if self.ring.let_go()
            && let Some(Place::Accept(state)) = self.ring.places.borrow_mut().get_mut(self.place)
        {
            state.fd = None;
        }
    }
}
