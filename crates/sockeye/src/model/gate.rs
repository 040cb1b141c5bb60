//! A crowd is let in before any of it is served.
//!
//! Where each connection has a thread or process of its own, those that are being served compete with the acceptor for
//! the processor, each of them as an equal; hundreds of busy ones leave it so little that the last of a crowd would not
//! be let in for seconds. So newcomers wait at a gate until the acceptor has found nobody else at the door.
//!
//! They come to it with what they begin with, and before any clock of theirs runs (`Driver::settled`): one that lost the processor to those who
//! are served, while it holds a lock of the allocator's, would stop the rest of the crowd.
//!
//! And nobody is let in who couldn't be served: what a newcomer needs besides its socket is there before it is accepted.
//! Until then it waits in the backlog.

use super::ready::Socket;
use super::wake::Remote;
use super::{AcceptLink, Accepted, blocking::Blocking};
use crate::server::registry::lock;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long the gate stays closed at the most: enough to fork for a thousand where each takes a millisecond and more, and short for
/// the first of them.
const PATIENCE: Duration = Duration::from_millis(1500);

pub(crate) struct Gate {
    /// An eventfd that can be read while the gate is open: it works for threads and for forked processes alike.
    open: OwnedFd,
    /// The next newcomer's.
    remote: Mutex<Option<Arc<Remote>>>,
}

impl Gate {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Gate {
            open: eventfd(1, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            remote: Mutex::default(),
        }))
    }

    /// Sees to it that the next newcomer has what it needs, or says what is lacking.
    fn prepare(&self) -> io::Result<()> {
        let mut remote = lock(&self.remote);
        if remote.is_none() {
            *remote = Some(Remote::new()?);
        }
        Ok(())
    }

    /// What a newcomer is reached by.
    pub(super) fn remote(&self) -> io::Result<Arc<Remote>> {
        let prepared = lock(&self.remote).take();
        prepared.map_or_else(Remote::new, Ok)
    }

    // Neither can fail but by finding the gate as it is to be.
    fn open(&self) {
        let _ = rustix::io::write(&self.open, &1u64.to_ne_bytes());
    }

    fn close(&self) {
        let _ = rustix::io::read(&self.open, &mut [0; 8]);
    }

    /// Waits until the gate is open; not for ever, should the acceptor have been killed.
    pub(crate) fn pass(&self) {
        let limit = Timespec::try_from(2 * PATIENCE).ok();
        let _ = poll(&mut [PollFd::new(&self.open, PollFlags::IN)], limit.as_ref());
    }
}

/// A listener that closes the gate when somebody comes, and opens it when nobody else is there.
pub(super) struct Gated {
    door: Socket<Blocking>,
    gate: Arc<Gate>,
    closed: Option<Instant>,
}

impl Gated {
    pub(super) fn new(door: Socket<Blocking>, gate: Arc<Gate>) -> Self {
        Gated {
            door,
            gate,
            closed: None,
        }
    }

    fn open(&mut self) {
        if self.closed.take().is_some() {
            self.gate.open();
        }
    }

    /// The acceptor may merely have used up its turn.
    fn somebody_is_there(&self) -> bool {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(
            &mut [PollFd::from_borrowed_fd(
                AcceptLink::fd(&self.door),
                PollFlags::IN,
            )],
            Some(&now),
        ) == Ok(1)
    }
}

impl AcceptLink for Gated {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let accepted = match self.gate.prepare() {
            Ok(()) => self.door.poll_accept(cx),
            Err(error) => Poll::Ready(Err(error)),
        };
        match (&accepted, self.closed) {
            (Poll::Ready(Ok(_)), None) => {
                self.gate.close();
                self.closed = Some(Instant::now());
            }
            (Poll::Ready(Ok(_)), Some(closed)) if closed.elapsed() > PATIENCE => self.open(),
            (Poll::Ready(Err(_)), Some(_)) => self.open(), // only when somebody leaves can the next be let in
            (Poll::Pending, Some(_)) if !self.somebody_is_there() => self.open(),
            _ => {}
        }
        accepted
    }

    fn pause(&mut self) {
        self.open();
    }

    fn fd(&self) -> BorrowedFd<'_> {
        AcceptLink::fd(&self.door)
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.open();
    }
}
