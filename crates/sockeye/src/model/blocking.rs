//! `thread` and `process` wait here: a thread that has one connection only.
//!
//! A handler that waits for one operation and nothing else blocks in that very call: an echo costs a receive and a
//! send, as in C. Only when something else could wake it (a second socket, a timer, a channel: whoever keeps its
//! waker) does the thread wait by `poll(2)` for all of it.
//!
//! Such a thread is reached from outside by shutting its socket down, by its [`Remote`], or by a signal.
//!
//! What each message passes through stands side by side in a section of its own, `sockeye_hot`. A process that has been asleep finds none
//! of its pages known to the processor, and each costs it as much as a hundred instructions: under `process` an echo goes through 4 to 6 pages
//! of code so, 2 of them of this section, and touches 11 of data, 7 of them its own. So what is rare is `#[cold]` and stands elsewhere, and
//! what is small is `#[inline]`: a call from one crate into another looks its target up in the global offset table, which is one more page.
//! (Their `allow(unsafe_code)` is for that attribute only.)

mod drive;
mod half;
mod link;

// The section begins where a page does, so that it lies in no more of them than it must.
// SAFETY: nothing is put into it here; an alignment changes what stands where and not what it does.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[allow(unsafe_code)]
mod page {
    std::arch::global_asm!(
        ".pushsection sockeye_hot, \"ax\", @progbits",
        ".p2align 12",
        ".popsection"
    );
}

use super::gate::{Gate, Gated};
use super::ready::{Done, Packets, Permit, Reactor, Socket, Way, Wish};
use super::task::{LocalFuture, Tasks};
use super::timers::{Timers, kernel_time};
use super::wake::{self, Remote};
use super::{AcceptLink, Driver, Group, PacketLink, StreamLink};
use crate::buffer::Spare;
pub(crate) use drive::{drive, drive_connection, run};
use half::Half;
use link::Link;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const WAYS: [Way; 2] = [Way::Read, Way::Write];

pub(crate) struct Source {
    fd: RawFd,
    key: usize,
    /// Whether calls on it wait if they may, once it is known: it may have been made elsewhere, and not be in blocking mode.
    waits: Cell<Option<bool>>,
    halves: [Half; 2],
}

impl Source {
    fn waits(&self) -> bool {
        if let Some(waits) = self.waits.get() {
            return waits;
        }
        // SAFETY: a link takes its source away before it closes its descriptor.
        #[allow(unsafe_code)]
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let waits = rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK));
        self.waits.set(Some(waits));
        waits
    }
}

pub(crate) struct Blocking {
    sources: RefCell<Slab<Rc<Source>>>,
    timers: Timers,
    tasks: Tasks,
    /// How many operations wait.
    waiting: Cell<usize>,
    /// The one that began to wait last, if its call may block for the main future, and none has ceased to wait since.
    latest: Cell<Option<(usize, Way)>>,
    /// The operation that may block now.
    turn: Cell<Option<(usize, Way)>>,
    /// Of a thread that accepts, until it opens its door; of one that serves who was accepted, until that one passes.
    gate: Cell<Option<Arc<Gate>>>,
    /// The one descriptor whose calls can be ended from outside, so that they may block; any, if nobody is outside.
    own: Cell<Option<RawFd>>,
}

/// No descriptor: the own one is closed, and its number may come to be another's.
const CLOSED: RawFd = -1;

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
            waiting: Cell::new(0),
            latest: Cell::new(None),
            turn: Cell::new(None),
            gate: Cell::new(None),
            own: Cell::new(None),
        }
    }

    /// For a thread that serves one connection behind a gate, and is stopped by shutting that down.
    pub(crate) fn serving(own: RawFd, remote: Arc<Remote>, gate: Arc<Gate>) -> Self {
        Blocking {
            own: Cell::new(Some(own)),
            gate: Cell::new(Some(gate)),
            ..Self::reached_by(remote)
        }
    }

    /// For a thread that accepts, and has others wait at the gate meanwhile.
    pub(crate) fn accepting(gate: Arc<Gate>) -> io::Result<Self> {
        Ok(Blocking {
            gate: Cell::new(Some(gate)),
            ..Self::new()?
        })
    }

    /// How long the call of the operation whose turn it is may take.
    #[inline]
    // SAFETY: nothing else is in this section; see `model/blocking.rs`.
    #[allow(unsafe_code)]
    #[unsafe(link_section = "sockeye_hot")]
    fn take_turn(&self, source: &Source, way: Way) -> io::Result<Option<Duration>> {
        self.turn.set(None);
        let half = &source.halves[way as usize];
        let rest = half.rest();
        if half.given.get() != rest {
            give_timeout(source, way, rest)?;
        }
        Ok(rest)
    }

    /// What comes of a call that was to take as long as `rest` says and has failed; `Ok` if the operation has to wait again.
    #[cold]
    fn lose_turn(
        &self,
        source: &Source,
        half: &Half,
        rest: Option<Duration>,
        error: io::Error,
    ) -> io::Result<()> {
        self.roused(half);
        let blocked = error.kind() == io::ErrorKind::WouldBlock;
        let mut waits = true;
        if blocked {
            source.waits.set(None); // somebody else may have changed its mode
            waits = source.waits();
        }
        if waits && blocked && rest.is_some() {
            self.over(half); // the call has waited as long as it may
            return Err(io::ErrorKind::TimedOut.into());
        }
        if blocked || error.kind() == io::ErrorKind::Interrupted {
            // How long the call has taken isn't known, and from now on it is.
            half.begin(Instant::now());
            return Ok(());
        }
        self.over(half);
        Err(error)
    }

    #[inline]
    // SAFETY: nothing else is in this section; see `model/blocking.rs`.
    #[allow(unsafe_code)]
    #[unsafe(link_section = "sockeye_hot")]
    fn begin(&self, source: &Source, wish: Wish, cx: &Context<'_>) {
        let half = &source.halves[wish.way as usize];
        half.wait(wish, cx);
        half.paused.set(false);
        if !half.waiting.replace(true) {
            self.waiting.set(self.waiting.get() + 1);
        }
        let reachable = self.own.get().is_none_or(|own| own == source.fd);
        let may_block = wish.may_block && reachable && self.tasks.are_led_by(cx.waker()) && source.waits();
        self.latest.set(may_block.then_some((source.key, wish.way)));
    }

    /// The operation is over: the next wait begins anew.
    fn over(&self, half: &Half) {
        half.due.set(None);
        half.left.set(None);
        self.roused(half);
    }

    /// Whether the limit has passed, and so the operation is over.
    #[cold]
    fn is_late(&self, half: &Half) -> bool {
        let late = half.due.get().is_some_and(|due| due <= self.timers.now());
        if late {
            self.over(half);
        }
        late
    }

    /// The operation is about to be tried again; when its limit passes stays as it was.
    fn roused(&self, half: &Half) {
        if half.waiting.replace(false) {
            self.waiting.set(self.waiting.get() - 1);
            self.latest.set(None);
        }
    }

    /// The one operation that waits, when it may block and nothing else can wake the main future.
    #[inline]
    fn alone(&self) -> Option<(usize, Way)> {
        let only = self.latest.get().filter(|_| self.waiting.get() == 1)?;
        let alone = self.tasks.main_is_alone() || self.forget_wakers() && self.latest.get() == Some(only);
        alone.then_some(only)
    }

    /// The wakers of earlier waits are nobody's any more; whether the main future is alone then.
    #[cold]
    fn forget_wakers(&self) -> bool {
        let sources = self.sources.borrow();
        let idle = sources.iter().flat_map(|(_, source)| &source.halves);
        let wakers: Vec<_> = idle
            .filter(|half| !half.waiting.get())
            .map(|half| half.waker.take())
            .collect();
        drop(sources); // a waker's drop may run anything
        drop(wakers);
        self.tasks.main_is_alone()
    }

    /// Lets the one operation block, by polling the future again.
    #[inline(always)]
    fn block<F: Future + ?Sized>(&self, (key, way): (usize, Way), future: Pin<&mut F>) -> Poll<F::Output> {
        self.turn.set(Some((key, way)));
        let polled = self.tasks.repoll_main(future);
        if self.turn.take().is_some() && polled.is_pending() {
            self.given_up(key, way);
        }
        polled
    }

    /// The future had no use for the turn of its operation.
    #[cold]
    fn given_up(&self, key: usize, way: Way) {
        if let Some(source) = self.sources.borrow().get(key) {
            self.over(&source.halves[way as usize]);
        }
    }

    /// What has happened by now.
    #[cold]
    fn look(&self) -> io::Result<()> {
        self.wait(Some(Duration::ZERO))
    }

    /// Waits by `poll(2)` for everything that can happen.
    #[cold]
    fn wait(&self, limit: Option<Duration>) -> io::Result<()> {
        self.timers.tick();
        let now = self.timers.now();
        let mut next = self.timers.next();
        let mut waits: Vec<(Rc<Source>, Way)> = Vec::new();
        for (_, source) in &*self.sources.borrow() {
            for way in WAYS {
                let half = &source.halves[way as usize];
                if half.waiting.get() {
                    half.begin(now);
                    next = next.into_iter().chain(half.due.get()).min();
                    waits.push((source.clone(), way));
                }
            }
        }
        let until = next.map(|due| due.saturating_duration_since(now));
        let told = self.poll(&waits, limit.into_iter().chain(until).min())?;
        self.timers.tick();
        let now = self.timers.now();
        for ((source, way), ready) in waits.iter().zip(told) {
            let half = &source.halves[*way as usize];
            if ready || half.due.get().is_some_and(|due| due <= now) {
                half.ready.set(ready);
                // Nobody may ask again: who waited has perhaps given it up.
                self.roused(half);
                half.waker.borrow().as_ref().map(Waker::wake_by_ref);
            }
        }
        self.timers.fire();
        Ok(())
    }

    /// Which of them are ready; what other threads have woken is brought in, too.
    fn poll(&self, waits: &[(Rc<Source>, Way)], limit: Option<Duration>) -> io::Result<Vec<bool>> {
        let mut polls = vec![PollFd::from_borrowed_fd(self.tasks.rouse_fd(), PollFlags::IN)];
        polls.extend(waits.iter().map(|(source, way)| {
            // SAFETY: a link takes its source away before it closes its descriptor.
            #[allow(unsafe_code)]
            let fd = unsafe { BorrowedFd::borrow_raw(source.fd) };
            let wish = match way {
                Way::Read => PollFlags::IN,
                Way::Write => PollFlags::OUT,
            };
            PollFd::from_borrowed_fd(fd, wish)
        }));
        match rustix::event::poll(&mut polls, limit.map(kernel_time).as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => polls.iter_mut().for_each(PollFd::clear_revents),
            Err(error) => return Err(error.into()),
        }
        if polls[0].revents().is_empty() {
            self.tasks.collect();
        } else {
            self.tasks.collect_roused();
        }
        Ok(polls[1..].iter().map(|poll| !poll.revents().is_empty()).collect())
    }
}

/// None where there is no time left: the call won't wait then.
#[cold]
fn give_timeout(source: &Source, way: Way, limit: Option<Duration>) -> io::Result<()> {
    if limit == Some(Duration::ZERO) {
        return Ok(());
    }
    // SAFETY: the descriptor belongs to the link whose operation this is.
    #[allow(unsafe_code)]
    let socket = unsafe { BorrowedFd::borrow_raw(source.fd) };
    let kind = match way {
        Way::Read => Timeout::Recv,
        Way::Write => Timeout::Send,
    };
    set_socket_timeout(socket, kind, limit)?;
    source.halves[way as usize].given.set(limit);
    Ok(())
}

impl Reactor for Blocking {
    type Place = Rc<Source>;
    const BLOCKS: bool = true;

    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Rc<Source>> {
        let mut sources = self.sources.borrow_mut();
        let place = sources.vacant_entry();
        let source = Rc::new(Source {
            fd: fd.as_raw_fd(),
            key: place.key(),
            waits: Cell::new((self.own.get() == Some(fd.as_raw_fd())).then_some(true)),
            halves: Default::default(),
        });
        // A socket can be written to until it says otherwise, but rarely has something to read at once.
        source.halves[Way::Write as usize].ready.set(true);
        place.insert(source.clone());
        Ok(source)
    }

    fn deregister(&self, source: &Rc<Source>, _: BorrowedFd<'_>) {
        source.halves.iter().for_each(|half| self.over(half));
        if self.own.get() == Some(source.fd) {
            self.own.set(Some(CLOSED));
        }
        let gone = self.sources.borrow_mut().remove(source.key);
        drop(gone);
    }

    fn pause(&self, source: &Rc<Source>, way: Way) {
        let half = &source.halves[way as usize];
        if let Some(due) = half.due.take() {
            let left = due.saturating_duration_since(Instant::now());
            half.left.set(Some(left));
        }
        half.paused.set(true);
    }

    // An attempt is made in one place, so that its call stands in the link's own function: a process that has been asleep finds
    // none of its code's pages known to the processor, and each costs as much as a hundred instructions.
    #[inline(always)]
    fn poll_io<T>(
        &self,
        source: &Rc<Source>,
        wish: Wish,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        let half = &source.halves[wish.way as usize];
        let mut is_turn = self.turn.get() == Some((source.key, wish.way));
        while is_turn || half.ready.get() {
            let (mut permit, mut rest) = (Permit::Try, None);
            if is_turn {
                rest = self
                    .take_turn(source, wish.way)
                    .inspect_err(|_| self.over(half))?;
                if rest != Some(Duration::ZERO) {
                    permit = Permit::Block; // else what has come by now has come in time
                }
            } else if !wake::spend(cx) {
                return Poll::Pending;
            }
            match attempt(permit) {
                Ok(done) => {
                    if !is_turn {
                        half.ready.set(!done.spent);
                    }
                    self.over(half);
                    return Poll::Ready(Ok(done.value));
                }
                Err(error) if is_turn => self.lose_turn(source, half, rest, error)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => half.ready.set(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.over(half);
                    return Poll::Ready(Err(error));
                }
            }
            is_turn = false;
        }
        if half.due.get().is_some() && self.is_late(half) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.begin(source, wish, cx);
        Poll::Pending
    }
}

impl Driver for Blocking {
    fn stream(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn StreamLink>> {
        Ok(Box::new(Link(Socket::new(self, fd)?)))
    }

    fn acceptor(self: Rc<Self>, fd: OwnedFd) -> io::Result<Box<dyn AcceptLink>> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        let gate = self.gate.take();
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

    fn spawn(&self, group: Group, future: LocalFuture) {
        self.tasks.spawn(group, future);
    }

    fn new_group(&self) -> Group {
        self.tasks.new_group()
    }

    fn drop_group(&self, group: Group) {
        self.tasks.drop_group(group);
    }

    #[cold]
    fn settled(&self) {
        if let Some(gate) = self.gate.take() {
            drop(Spare::take()); // so that the first receive finds a buffer in this thread's pool
            gate.pass();
        }
    }
}
