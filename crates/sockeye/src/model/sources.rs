//! What the readiness reactors of one thread know of each descriptor: which ways are ready, who waits, since when.

use super::ready::{Done, Permit, Way, Wish};
use super::task;
use super::timers::{TimerKey, Timers};
use slab::Slab;
use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A timer, perhaps of an earlier operation.
#[derive(Clone, Copy)]
struct Armed {
    key: TimerKey,
    due: Instant,
    limit: Duration,
}

/// One way of one descriptor.
#[derive(Default)]
pub(crate) struct Side {
    /// An attempt may succeed.
    pub(crate) ready: bool,
    /// Somebody waits, and is to be woken.
    pub(crate) waiting: bool,
    /// The kernel has told of an end or an error, and will tell of nothing more: a short count doesn't say that there
    /// is nothing behind it.
    pub(crate) last: bool,
    /// Kept from wait to wait, so that waiting again costs no clone.
    pub(crate) waker: Option<Waker>,
    since: Option<Instant>,
    timer: Option<Armed>,
}

impl Side {
    /// Arranges to be woken; an error when the limit has passed already.
    pub(crate) fn wait(
        &mut self,
        limit: Option<Duration>,
        timers: &Timers,
        cx: &Context<'_>,
    ) -> io::Result<()> {
        self.waiting = true;
        let known = self
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()));
        if !known {
            self.waker = Some(cx.waker().clone());
        }
        let Some(limit) = limit else { return Ok(()) };
        let now = timers.now();
        let since = *self.since.get_or_insert(now);
        // As a rule the timer of an earlier wait is still armed (it isn't due yet), for the same waker, and, as its limit
        // was the same, not later than this one's.
        if known
            && self
                .timer
                .is_some_and(|armed| armed.limit == limit && now < armed.due)
        {
            return Ok(());
        }
        // A limit too far off to be an instant is no limit.
        let Some(due) = since.checked_add(limit) else {
            return Ok(());
        };
        self.cancel(timers);
        if now >= due {
            self.done();
            return Err(io::ErrorKind::TimedOut.into());
        }
        let key = timers.insert(due, cx.waker());
        self.timer = Some(Armed { key, due, limit });
        Ok(())
    }

    /// The operation is over: the next wait begins anew. An armed timer stays and finds that out by itself.
    pub(crate) fn done(&mut self) {
        self.waiting = false;
        self.since = None;
    }

    /// Something came through, and more is waited for: the clock of the wait starts anew.
    pub(crate) fn progress(&mut self) {
        self.since = None;
    }

    /// The descriptor goes away.
    pub(crate) fn cancel(&mut self, timers: &Timers) {
        if let Some(armed) = self.timer.take() {
            timers.cancel(armed.key);
        }
    }

    /// It became ready; who is to be told.
    pub(crate) fn rise(&mut self) -> Option<&Waker> {
        self.ready = true;
        std::mem::take(&mut self.waiting)
            .then_some(self.waker.as_ref())
            .flatten()
    }
}

pub(crate) struct Source {
    pub(crate) fd: RawFd,
    pub(crate) sides: [Side; 2],
    /// What the reactor has asked the kernel for, in its own words.
    pub(crate) armed: u32,
    /// Tells a source from a later one in the same place.
    pub(crate) birth: u32,
}

/// The descriptors of a thread.
pub(crate) struct Sources {
    all: RefCell<Slab<Source>>,
    births: std::cell::Cell<u32>,
}

impl Sources {
    pub(crate) fn new() -> Self {
        Sources {
            all: RefCell::default(),
            births: std::cell::Cell::new(0),
        }
    }

    pub(crate) fn insert(&self, fd: RawFd) -> usize {
        self.births.set(self.births.get().wrapping_add(1));
        // A socket can be written to until it says otherwise, but rarely has something to read at once.
        let sides = [
            Side::default(),
            Side {
                ready: true,
                ..Side::default()
            },
        ];
        self.all.borrow_mut().insert(Source {
            fd,
            sides,
            armed: 0,
            birth: self.births.get(),
        })
    }

    pub(crate) fn remove(&self, key: usize, timers: &Timers) -> Source {
        let mut source = self.all.borrow_mut().remove(key);
        source.sides.iter_mut().for_each(|side| side.cancel(timers));
        source
    }

    pub(crate) fn with<T>(&self, key: usize, body: impl FnOnce(&mut Source) -> T) -> Option<T> {
        self.all.borrow_mut().get_mut(key).map(body)
    }

    /// Looks at each source; the wakers that `body` returns are woken when all have been seen.
    pub(crate) fn each(&self, mut body: impl FnMut(usize, &mut Source)) {
        for (key, source) in self.all.borrow_mut().iter_mut() {
            body(key, source);
        }
    }

    /// See [`Reactor::poll_io`](super::ready::Reactor::poll_io). `arm` asks the kernel to tell when the way of the
    /// source is ready, if it hasn't been asked yet.
    pub(crate) fn poll_io<T>(
        &self,
        key: usize,
        wish: Wish,
        cx: &mut Context<'_>,
        timers: &Timers,
        arm: impl Fn(&mut Source, Way) -> io::Result<()>,
        mut attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        let way = wish.way;
        let waits = |source: &mut Source| {
            if source.sides[way as usize].ready {
                return Ok(false);
            }
            source.sides[way as usize].wait(wish.limit, timers, cx)?;
            arm(source, way).map(|()| true)
        };
        loop {
            match self
                .with(key, waits)
                .unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
            {
                Ok(true) => return Poll::Pending,
                Ok(false) if !task::spend(cx) => return Poll::Pending,
                Ok(false) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            let brought = attempt(Permit::Try);
            let spent = match &brought {
                Ok(done) => done.spent,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            };
            self.with(key, |source| {
                let side = &mut source.sides[way as usize];
                side.ready = !spent || (side.last && brought.is_ok());
                if brought.is_ok() {
                    side.done();
                }
            });
            match brought {
                Ok(done) => return Poll::Ready(Ok(done.value)),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
