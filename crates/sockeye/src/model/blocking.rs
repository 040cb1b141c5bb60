//! `thread` and `process` wait here: a thread that has one connection only.
//!
//! A handler that waits for one operation and nothing else blocks in that very call: an echo costs a receive and a
//! send, as in C. Only when something else could wake it (a second socket, a timer, a channel: whoever keeps its
//! waker) does the thread wait by `poll(2)` for all of it.
//!
//! Such a thread is reached from outside by shutting its socket down, or by a signal.

use super::local::Spinner;
use super::ready::{Done, Packets, Permit, Reactor, Socket, Way, Wish};
use super::sources::Sources;
use super::task::{LocalFuture, Remote, Tasks};
use super::timers::Timers;
use super::{AcceptLink, Driver, PacketLink, StreamLink};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// An operation that is allowed to block, and whether it has.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Turn {
    key: usize,
    way: Way,
}

/// An operation that waits.
#[derive(Clone, Copy)]
struct Waiting {
    turn: Turn,
    limit: Option<Duration>,
    may_block: bool,
}

pub(crate) struct Blocking {
    sources: Sources,
    timers: Timers,
    tasks: Tasks,
    /// Asked since the last wait; an operation that was given up may still be among them.
    waiting: RefCell<Vec<Waiting>>,
    turn: Cell<Option<Turn>>,
    /// Timeouts that sockets have been given, by descriptor: set again only when they change.
    timeouts: RefCell<Vec<(RawFd, Way, Option<Duration>)>>,
}

impl Blocking {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Blocking {
            sources: Sources::new(),
            timers: Timers::new(),
            tasks: Tasks::new()?,
            waiting: RefCell::default(),
            turn: Cell::new(None),
            timeouts: RefCell::default(),
        })
    }

    /// Rouses the thread from a wait in `poll(2)`.
    pub(crate) fn remote(&self) -> Arc<Remote> {
        self.tasks.remote()
    }

    /// The limit becomes the socket's own timeout while it blocks.
    fn give_timeout(&self, fd: RawFd, way: Way, limit: Option<Duration>) -> io::Result<()> {
        let mut timeouts = self.timeouts.borrow_mut();
        let known = timeouts.iter_mut().find(|(f, w, _)| *f == fd && *w == way);
        if known.as_ref().map_or(limit.is_none(), |(_, _, given)| *given == limit) {
            return Ok(());
        }
        let kind = match way {
            Way::Read => Timeout::Recv,
            Way::Write => Timeout::Send,
        };
        // SAFETY: the descriptor belongs to the link whose operation this is.
        #[allow(unsafe_code)]
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        set_socket_timeout(socket, kind, limit)?;
        match known {
            Some(known) => known.2 = limit,
            None => timeouts.push((fd, way, limit)),
        }
        Ok(())
    }

    /// Who waits, when it is one operation that may block and nothing else can wake the main future.
    fn alone(&self) -> Option<Waiting> {
        let waiting = self.waiting.borrow();
        let [only] = waiting[..] else { return None };
        let kept = self.sources.with(only.turn.key, |source| {
            let side = &source.sides[only.turn.way as usize];
            side.waker.as_ref().is_some_and(|waker| self.tasks.main_is_alone(waker))
        })?;
        (kept && only.may_block && self.timers.next().is_none()).then_some(only)
    }

    /// Waits for all that is waited for.
    fn wait(&self, limit: Option<Duration>) -> io::Result<()> {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        let fds: Vec<RawFd> =
            waiting.iter().map(|w| self.sources.with(w.turn.key, |source| source.fd).unwrap_or(-1)).collect();
        let mut polls = vec![PollFd::from_borrowed_fd(self.tasks.rouse_fd(), PollFlags::IN)];
        for (waits, fd) in waiting.iter().zip(&fds) {
            let wish = if waits.turn.way == Way::Read { PollFlags::IN } else { PollFlags::OUT };
            // SAFETY: a link takes its waits away before it closes its descriptor.
            #[allow(unsafe_code)]
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            polls.push(PollFd::from_borrowed_fd(fd, wish));
        }
        let due = self.timers.next().map(|due| due.saturating_duration_since(Instant::now()));
        let limit = match (limit, due) {
            (Some(limit), Some(due)) => Some(limit.min(due)),
            (limit, due) => limit.or(due),
        };
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        match rustix::event::poll(&mut polls, limit.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => polls.iter_mut().for_each(PollFd::clear_revents),
            Err(error) => return Err(error.into()),
        }
        self.tasks.collect();
        for (waits, poll) in waiting.iter().zip(&polls[1..]) {
            if poll.revents().is_empty() {
                self.waiting.borrow_mut().push(*waits);
            } else {
                self.sources.with(waits.turn.key, |source| {
                    if let Some(waker) = source.sides[waits.turn.way as usize].rise() {
                        waker.wake_by_ref();
                    }
                });
            }
        }
        self.timers.fire(self.timers.tick());
        Ok(())
    }

    /// Lets the one operation block, by polling the future again; false if the future has given that operation up.
    fn block<F: Future>(&self, only: Waiting, future: Pin<&mut F>) -> Option<Poll<F::Output>> {
        self.turn.set(Some(only.turn));
        self.waiting.borrow_mut().clear();
        let polled = self.tasks.repoll_main(future);
        (self.turn.take().is_none() || polled.is_ready()).then_some(polled)
    }
}

impl Reactor for Blocking {
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        Ok(self.sources.insert(fd.as_raw_fd()))
    }

    fn deregister(&self, key: usize, fd: BorrowedFd<'_>) {
        self.waiting.borrow_mut().retain(|waits| waits.turn.key != key);
        self.timeouts.borrow_mut().retain(|(known, _, _)| *known != fd.as_raw_fd());
        self.sources.remove(key, &self.timers);
    }

    fn poll_io<T>(
        &self,
        key: usize,
        wish: Wish,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        let turn = Turn { key, way: wish.way };
        if self.turn.get() == Some(turn) {
            self.turn.set(None);
            let fd = self.sources.with(key, |source| source.fd).unwrap_or(-1);
            self.give_timeout(fd, wish.way, wish.limit)?;
            self.sources.with(key, |source| source.sides[wish.way as usize].done());
            match attempt(Permit::Block) {
                Ok(done) => return Poll::Ready(Ok(done.value)),
                // The call waited as long as it may.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && wish.limit.is_some() => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // While the call itself keeps the time, no timer is needed; one would also keep the waker.
        let timed = Wish { limit: None, ..wish };
        let wish = if wish.may_block && self.is_first(turn) { timed } else { wish };
        let arm = |_: &mut super::sources::Source, _| {
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waits| waits.turn == turn) {
                waiting.push(Waiting { turn, limit: wish.limit, may_block: wish.may_block });
            }
            Ok(())
        };
        self.sources.poll_io(key, wish, cx, &self.timers, arm, attempt)
    }
}
