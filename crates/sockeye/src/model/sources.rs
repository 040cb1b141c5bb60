//! What the readiness reactors of one thread know of each descriptor: which ways are ready, who waits, since when.

use super::prefetch::prefetch;
use super::ready::{Done, Permit, Reactor, Way, Wish};
use super::timers::{TimerKey, Timers};
use super::wake::{self, Alarm};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A limit as long as this may begin with the turn of the loop, whose length doesn't matter then; a shorter one begins
/// with the wait itself, though to ask for the time costs something.
const COARSE: Duration = Duration::from_secs(60);

/// No instant: nothing is awaited, or no timer is armed.
const NEVER: u64 = 0;

/// Marks a wait that was given up: what it took, and not when it began. The clock reaches that in 292 years.
const PAUSED: u64 = 1 << 63;

/// One way of one descriptor. Its cells are shared by the link and its reactor, and stand in the order of their use: with
/// thousands of connections each line of the cache that an operation touches is a miss.
#[repr(C)]
pub(crate) struct Side {
    /// An attempt may succeed.
    ready: Cell<bool>,
    /// Somebody waits, and is to be woken.
    waiting: Cell<bool>,
    /// The kernel has told of an end or an error, and will tell of nothing more: a short count doesn't say that there
    /// is nothing behind it.
    last: Cell<bool>,
    /// When the wait began, in the clock of [`Timers::nanos`].
    since: Cell<u64>,
    /// Kept from wait to wait, so that waiting again costs no clone.
    alarm: RefCell<Alarm>,
    /// When the timer is due that is armed, perhaps since an earlier operation, and for which limit.
    due: Cell<u64>,
    limit: Cell<Option<Duration>>,
    timer: Cell<Option<TimerKey>>,
}

impl Default for Side {
    fn default() -> Self {
        Side {
            ready: Cell::new(false),
            waiting: Cell::new(false),
            last: Cell::new(false),
            since: Cell::new(NEVER),
            alarm: RefCell::new(Alarm::Nobody),
            due: Cell::new(NEVER),
            limit: Cell::new(None),
            timer: Cell::new(None),
        }
    }
}

impl Side {
    /// Arranges to be woken; an error when the limit has passed already.
    pub(crate) fn wait(&self, limit: Option<Duration>, timers: &Timers, cx: &Context<'_>) -> io::Result<()> {
        self.waiting.set(true);
        let known = self.alarm.borrow().rings_for(cx);
        if !known {
            // Dropped when the alarm is no longer borrowed, for a waker's drop may run anything.
            let _before = self.alarm.replace(Alarm::for_task(cx));
            self.due.set(NEVER); // the timer that is armed wakes somebody else
        }
        let mut since = self.since.get();
        if since & PAUSED != 0 && self.limit.get() != limit {
            since = NEVER; // what was waited for with another limit doesn't count for this one
            self.since.set(since);
        }
        let Some(limit) = limit else { return Ok(()) };
        if since == NEVER || since & PAUSED != 0 {
            let exact = limit < COARSE;
            let now = match exact {
                true => timers.exact_nanos(),
                false => timers.nanos(),
            };
            self.since.set(now.saturating_sub(since & !PAUSED).max(1));
        }
        // As a rule the timer of an earlier wait is still armed (it isn't due yet), for the same waker, and, as its limit
        // was the same, not later than this one's.
        if timers.nanos() < self.due.get() && self.limit.get() == Some(limit) {
            return Ok(());
        }
        self.arm_timer(limit, timers, cx)
    }

    #[cold]
    fn arm_timer(&self, limit: Duration, timers: &Timers, cx: &Context<'_>) -> io::Result<()> {
        self.cancel(timers);
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let due = self.since.get().saturating_add(nanos);
        if timers.nanos() >= due {
            self.done();
            return Err(io::ErrorKind::TimedOut.into());
        }
        // A limit too far off to be an instant is no limit.
        if let Some(when) = timers.instant(due) {
            self.timer.set(Some(timers.insert(when, cx.waker())));
            self.due.set(due);
            self.limit.set(Some(limit));
        }
        Ok(())
    }

    /// The operation is over: the next wait begins anew. An armed timer stays and finds that out by itself.
    pub(crate) fn done(&self) {
        self.waiting.set(false);
        self.since.set(NEVER);
    }

    /// It is given up, and may begin again later.
    pub(crate) fn pause(&self, timers: &Timers) {
        let since = self.since.get();
        if since != NEVER && since & PAUSED == 0 {
            self.since
                .set(PAUSED | timers.exact_nanos().saturating_sub(since));
        }
    }

    /// Where something else tells what is ready, one attempt may be made without asking it.
    pub(crate) fn grant(&self) {
        self.ready.set(true);
    }

    /// Whether it was granted; it is made now.
    pub(crate) fn take_grant(&self) -> bool {
        self.ready.replace(false)
    }

    /// Something came through, and more is waited for: the clock of the wait starts anew.
    pub(crate) fn progress(&self) {
        self.since.set(NEVER);
    }

    /// The descriptor goes away.
    pub(crate) fn cancel(&self, timers: &Timers) {
        self.due.set(NEVER);
        if let Some(key) = self.timer.take() {
            timers.cancel(key);
        }
    }

    /// There was an end or an error; nothing is told after it.
    pub(crate) fn ends(&self) {
        self.last.set(true);
    }

    /// It became ready: wakes who waits; false if nobody does.
    pub(crate) fn rise(&self) -> bool {
        self.ready.set(true);
        let waited = self.waiting.replace(false);
        if waited {
            self.alarm.borrow().ring();
        }
        waited
    }
}

/// A descriptor that is watched. What each message touches of it is in two lines of the cache.
#[repr(C, align(64))]
pub(crate) struct Source {
    pub(crate) fd: RawFd,
    /// Tells it from a later one in the same place.
    pub(crate) birth: u32,
    /// What the reactor has asked the kernel for, in its own words.
    pub(crate) armed: Cell<u32>,
    pub(crate) sides: [Side; 2],
    /// Its place among the sources of its thread.
    pub(crate) key: usize,
}

impl Source {
    pub(crate) fn side(&self, way: Way) -> &Side {
        &self.sides[way as usize]
    }
}

/// The descriptors of a thread, and its clock.
pub(crate) struct Sources {
    all: RefCell<Slab<Rc<Source>>>,
    births: Cell<u32>,
    pub(crate) timers: Timers,
}

impl Sources {
    pub(crate) fn new() -> Self {
        Sources {
            all: RefCell::default(),
            births: Cell::new(0),
            timers: Timers::new(),
        }
    }

    fn insert(&self, fd: RawFd) -> Rc<Source> {
        let birth = self.births.get().wrapping_add(1);
        self.births.set(birth);
        let mut all = self.all.borrow_mut();
        let place = all.vacant_entry();
        let source = Rc::new(Source {
            fd,
            key: place.key(),
            birth,
            armed: Cell::new(0),
            sides: Default::default(),
        });
        // A socket can be written to until it says otherwise, but rarely has something to read at once.
        source.side(Way::Write).ready.set(true);
        place.insert(source.clone());
        source
    }

    fn remove(&self, source: &Source) {
        source.sides.iter().for_each(|side| {
            side.cancel(&self.timers);
            side.waiting.set(false);
        });
        let gone = self.all.borrow_mut().remove(source.key);
        drop(gone);
    }

    pub(crate) fn get(&self, key: usize) -> Option<Rc<Source>> {
        self.all.borrow().get(key).cloned()
    }

    /// It is about to be looked at.
    #[inline]
    pub(crate) fn prefetch(&self, key: usize) {
        if let Some(source) = self.all.borrow().get(key) {
            prefetch(&**source);
        }
    }

    /// Each that is there now, and may go meanwhile.
    pub(crate) fn each(&self, mut body: impl FnMut(&Source)) {
        let bound = self.all.borrow().capacity();
        (0..bound)
            .filter_map(|key| self.get(key))
            .for_each(|source| body(&source));
    }
}

/// A reactor of one thread: what differs from one to another is how the kernel is asked.
pub(crate) trait Watch: 'static {
    fn sources(&self) -> &Sources;
    /// Begins to watch a descriptor.
    fn watch(&self, source: &Source, fd: BorrowedFd<'_>) -> io::Result<()>;
    /// The descriptor is about to be closed.
    fn unwatch(&self, source: &Source, fd: BorrowedFd<'_>);
    /// Asks the kernel to tell when it is ready, if it hasn't been asked yet.
    fn arm(&self, source: &Rc<Source>, way: Way) -> io::Result<()>;
    /// An attempt has been made, and brought something or would have had to wait.
    fn tried(&self, fruitful: bool) {
        let _ = fruitful;
    }
}

impl<W: Watch> Reactor for W {
    type Place = Rc<Source>;

    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Rc<Source>> {
        let source = self.sources().insert(fd.as_raw_fd());
        self.watch(&source, fd)
            .inspect_err(|_| self.sources().remove(&source))?;
        Ok(source)
    }

    fn deregister(&self, source: &Rc<Source>, fd: BorrowedFd<'_>) {
        self.unwatch(source, fd);
        self.sources().remove(source);
    }

    fn pause(&self, source: &Rc<Source>, way: Way) {
        source.side(way).pause(&self.sources().timers);
    }

    #[inline]
    fn poll_io<T>(
        &self,
        source: &Rc<Source>,
        wish: Wish,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        let side = source.side(wish.way);
        loop {
            if !side.ready.get() {
                side.wait(wish.limit, &self.sources().timers, cx)?;
                self.arm(source, wish.way)?;
                return Poll::Pending;
            }
            if !wake::spend(cx) {
                return Poll::Pending;
            }
            match attempt(Permit::Try) {
                Ok(done) => {
                    side.ready.set(!done.spent || side.last.get());
                    side.done();
                    self.tried(true);
                    return Poll::Ready(Ok(done.value));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    side.ready.set(false);
                    self.tried(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    side.done();
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}
