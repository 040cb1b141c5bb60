//! `thread` and `process` wait here: a thread that has one connection only.
//!
//! A handler that waits for one operation and nothing else blocks in that very call: an echo costs a receive and a
//! send, as in C. Only when something else could wake it (a second socket, a timer, a channel: whoever keeps its
//! waker) does the thread wait by `poll(2)` for all of it.
//!
//! Such a thread is reached from outside by shutting its socket down, by its [`Remote`], or by a signal.

use super::gate::{Gate, Gated};
use super::local::Spinner;
use super::ready::{Done, Packets, Permit, Reactor, Socket, Way, Wish};
use super::task::{self, LocalFuture, Remote, Tasks};
use super::timers::Timers;
use super::{AcceptLink, Driver, PacketLink, StreamLink};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const WAYS: [Way; 2] = [Way::Read, Way::Write];

/// One way of one descriptor.
#[derive(Default)]
struct Half {
    ready: bool,
    waiting: bool,
    may_block: bool,
    waker: Option<Waker>,
    limit: Option<Duration>,
    /// When the limit passes; known once the thread waits by `poll(2)`.
    due: Option<Instant>,
    /// The timeout that the socket has, which keeps the limit while the call itself blocks.
    given: Option<Duration>,
}

impl Half {
    fn over(&mut self) {
        self.waiting = false;
        self.due = None;
    }
}

struct Source {
    fd: RawFd,
    halves: [Half; 2],
}

pub(crate) struct Blocking {
    sources: RefCell<Slab<Source>>,
    timers: Timers,
    tasks: Tasks,
    /// The operation that may block now.
    turn: Cell<Option<(usize, Way)>>,
    gate: Option<Arc<Gate>>,
    /// The one descriptor whose calls can be ended from outside, so that they may block; any, if nobody is outside.
    own: Option<RawFd>,
}

impl Blocking {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::reached_by(Remote::new()?))
    }

    /// `remote` rouses the thread from a wait in `poll(2)`.
    pub(crate) fn reached_by(remote: Arc<Remote>) -> Self {
        Blocking {
            sources: RefCell::default(),
            timers: Timers::new(),
            tasks: Tasks::reached_by(remote),
            turn: Cell::new(None),
            gate: None,
            own: None,
        }
    }

    /// For a thread that serves one connection, and is stopped by shutting that down.
    pub(crate) fn serving(own: RawFd, remote: Arc<Remote>) -> Self {
        Blocking {
            own: Some(own),
            ..Self::reached_by(remote)
        }
    }

    /// For a thread that accepts, and has others wait at the gate meanwhile.
    pub(crate) fn accepting(gate: Arc<Gate>) -> io::Result<Self> {
        Ok(Blocking {
            gate: Some(gate),
            ..Self::new()?
        })
    }

    fn with<T>(&self, key: usize, way: Way, body: impl FnOnce(&mut Half) -> T) -> io::Result<T> {
        let mut sources = self.sources.borrow_mut();
        let source = sources.get_mut(key).ok_or(io::ErrorKind::NotConnected)?;
        Ok(body(&mut source.halves[way as usize]))
    }

    /// Makes the blocking call of the operation whose turn it is; `None` if it has to wait again.
    fn take_turn<T>(
        &self,
        key: usize,
        wish: Wish,
        attempt: &mut impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> io::Result<Option<T>> {
        self.turn.set(None);
        self.give_timeout(key, wish)?;
        self.with(key, wish.way, Half::over)?;
        match attempt(Permit::Block) {
            Ok(done) => Ok(Some(done.value)),
            // The call has waited as long as it may.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && wish.limit.is_some() => {
                Err(io::ErrorKind::TimedOut.into())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn give_timeout(&self, key: usize, wish: Wish) -> io::Result<()> {
        let mut sources = self.sources.borrow_mut();
        let Some(Source { fd, halves }) = sources.get_mut(key) else {
            return Ok(());
        };
        let half = &mut halves[wish.way as usize];
        if half.given == wish.limit {
            return Ok(());
        }
        // SAFETY: the descriptor belongs to the link whose operation this is.
        #[allow(unsafe_code)]
        let socket = unsafe { BorrowedFd::borrow_raw(*fd) };
        let kind = if wish.way == Way::Read {
            Timeout::Recv
        } else {
            Timeout::Send
        };
        set_socket_timeout(socket, kind, wish.limit)?;
        half.given = wish.limit;
        Ok(())
    }

    /// The one operation that waits, when it may block and nothing else can wake the main future.
    fn alone(&self) -> Option<(usize, Way)> {
        let sources = self.sources.borrow();
        let mut waiting = sources.iter().flat_map(|(key, source)| {
            WAYS.into_iter()
                .map(move |way| (key, way, &source.halves[way as usize]))
                .filter(|(_, _, half)| half.waiting)
        });
        let (key, way, half) = waiting.next()?;
        let reachable = self
            .own
            .is_none_or(|own| sources.get(key).is_some_and(|source| source.fd == own));
        let alone = waiting.next().is_none() && half.may_block && reachable;
        (alone && self.tasks.main_is_alone(half.waker.as_ref()?)).then_some((key, way))
    }

    /// Lets the one operation block, by polling the future again.
    fn block<F: Future>(&self, (key, way): (usize, Way), future: Pin<&mut F>) -> io::Result<Poll<F::Output>> {
        self.turn.set(Some((key, way)));
        let polled = self.tasks.repoll_main(future);
        if self.turn.take().is_some() && polled.is_pending() {
            self.with(key, way, Half::over)?; // the future has given that operation up
        }
        Ok(polled)
    }

    /// Waits by `poll(2)` for everything that can happen.
    fn wait(&self, limit: Option<Duration>) -> io::Result<()> {
        let now = self.timers.tick();
        let mut next = self.timers.next();
        let mut waits: Vec<(usize, Way)> = Vec::new();
        let mut polls = vec![PollFd::from_borrowed_fd(self.tasks.rouse_fd(), PollFlags::IN)];
        for (key, source) in self.sources.borrow_mut().iter_mut() {
            // SAFETY: a link takes its source away before it closes its descriptor.
            #[allow(unsafe_code)]
            let fd = unsafe { BorrowedFd::borrow_raw(source.fd) };
            for way in WAYS {
                let half = &mut source.halves[way as usize];
                if half.waiting {
                    if half.due.is_none() {
                        half.due = half.limit.and_then(|limit| now.checked_add(limit));
                    }
                    next = next.into_iter().chain(half.due).min();
                    waits.push((key, way));
                    let wish = if way == Way::Read {
                        PollFlags::IN
                    } else {
                        PollFlags::OUT
                    };
                    polls.push(PollFd::from_borrowed_fd(fd, wish));
                }
            }
        }
        let until = next.map(|due| due.saturating_duration_since(now));
        let limit = limit
            .into_iter()
            .chain(until)
            .min()
            .and_then(|limit| Timespec::try_from(limit).ok());
        match rustix::event::poll(&mut polls, limit.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => polls.iter_mut().for_each(PollFd::clear_revents),
            Err(error) => return Err(error.into()),
        }
        if polls[0].revents().is_empty() {
            self.tasks.collect();
        } else {
            self.tasks.collect_roused();
        }
        let now = self.timers.tick();
        for ((key, way), poll) in waits.into_iter().zip(&polls[1..]) {
            self.with(key, way, |half| {
                let ready = !poll.revents().is_empty();
                half.ready |= ready;
                half.waiting &= !ready;
                if ready || half.due.is_some_and(|due| due <= now) {
                    half.waker.as_ref().map(Waker::wake_by_ref);
                }
            })?;
        }
        self.timers.fire(now);
        Ok(())
    }
}

impl Reactor for Blocking {
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        // A socket can be written to until it says otherwise, but rarely has something to read at once.
        let halves = [
            Half::default(),
            Half {
                ready: true,
                ..Half::default()
            },
        ];
        Ok(self.sources.borrow_mut().insert(Source {
            fd: fd.as_raw_fd(),
            halves,
        }))
    }

    fn deregister(&self, key: usize, _: BorrowedFd<'_>) {
        let source = self.sources.borrow_mut().remove(key);
        drop(source);
    }

    fn poll_io<T>(
        &self,
        key: usize,
        wish: Wish,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        if self.turn.get() == Some((key, wish.way))
            && let Some(value) = self.take_turn(key, wish, &mut attempt)?
        {
            return Poll::Ready(Ok(value));
        }
        while self.with(key, wish.way, |half| half.ready)? {
            if !task::spend(cx) {
                return Poll::Pending;
            }
            match attempt(Permit::Try) {
                Ok(done) => {
                    self.with(key, wish.way, |half| {
                        half.ready = !done.spent;
                        half.over();
                    })?;
                    return Poll::Ready(Ok(done.value));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.with(key, wish.way, |half| half.ready = false)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.with(key, wish.way, |half| {
            if half.due.is_some_and(|due| due <= self.timers.now()) {
                half.over();
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            match &mut half.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            (half.waiting, half.may_block, half.limit) = (true, wish.may_block, wish.limit);
            Poll::Pending
        })?
    }
}

impl Driver for Blocking {
    fn stream(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn StreamLink>> {
        Ok(Box::new(Socket::new(self, fd)?))
    }

    fn acceptor(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn AcceptLink>> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        let gate = self.gate.clone();
        let door = Socket::new(self, fd)?;
        Ok(match gate {
            Some(gate) => Box::new(Gated::new(door, gate)),
            None => Box::new(door),
        })
    }

    fn packets(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn PacketLink>> {
        Ok(Box::new(Packets::new(self, fd)?))
    }

    fn timers(&self) -> &Timers {
        &self.timers
    }

    fn spawn(&self, future: LocalFuture) {
        self.tasks.spawn(future);
    }
}

/// Drives a future on this thread.
pub(crate) fn run<F: Future>(future: F) -> io::Result<F::Output> {
    match drive(&Rc::new(Blocking::new()?), future, Duration::ZERO, || false)? {
        Some(output) => Ok(output),
        None => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// Drives a future until it is ready, or until `over` says so: asked after every wait, interrupted ones too.
pub(crate) fn drive<F: Future>(
    driver: &Rc<Blocking>,
    future: F,
    spin: Duration,
    over: impl Fn() -> bool,
) -> io::Result<Option<F::Output>> {
    let tasks = &driver.tasks;
    let _entered = tasks.enter();
    super::with_current(driver.clone(), || {
        let mut future = pin!(future);
        let mut spin = Spinner::new(spin);
        let ended = loop {
            if let Poll::Ready(output) = tasks.poll_main(future.as_mut()) {
                break Ok(Some(output));
            }
            tasks.run_ready();
            if over() {
                break Ok(None);
            }
            match step(driver, future.as_mut(), &mut spin) {
                Ok(Poll::Ready(output)) => break Ok(Some(output)),
                Ok(Poll::Pending) => {}
                Err(error) => break Err(error),
            }
        };
        tasks.drop_all();
        ended
    })
}

fn step<F: Future>(
    driver: &Blocking,
    future: Pin<&mut F>,
    spin: &mut Spinner,
) -> io::Result<Poll<F::Output>> {
    if driver.tasks.has_ready() {
        return driver.wait(Some(Duration::ZERO)).map(|()| Poll::Pending);
    }
    let look = || {
        driver
            .wait(Some(Duration::ZERO))
            .map(|()| driver.tasks.has_ready())
    };
    if spin.until(look)? {
        return Ok(Poll::Pending);
    }
    match driver.alone() {
        Some(only) => driver.block(only, future),
        None => driver.wait(None).map(|()| Poll::Pending),
    }
}
