//! Time as the models know it: wakers to be woken at an instant.
//!
//! Deadlines of operations are armed lazily: an operation that waits again and again leaves its timer where it is,
//! and looks at the clock when that fires. A busy connection with an idle deadline of five minutes touches the heap
//! once in five minutes.

use rustix::event::Timespec;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// Cancelled timers that the heap may hold beyond the live ones before it is swept.
const SLACK: usize = 64;

/// A span as the kernel takes it; one too long for it is as long as it can be.
pub(crate) fn kernel_time(span: Duration) -> Timespec {
    Timespec::try_from(span).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    })
}

/// No instant of a clock in nanoseconds.
pub(super) const NEVER: u64 = u64::MAX;

/// Nanoseconds of the clock that [`Instant`] is of. Its own numbers are of another kind, and cost a hundred instructions in each turn
/// of a loop.
fn system_nanos() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes to `now` only; it can't fail with a clock that there always is.
    #[allow(unsafe_code)]
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now)
    };
    (now.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec as u64)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    index: usize,
    birth: u64,
}

struct Timer {
    birth: u64,
    waker: Waker,
}

#[derive(Default)]
struct Inner {
    heap: BinaryHeap<Reverse<(u64, usize, u64)>>,
    live: Slab<Timer>,
    births: u64,
}

impl Inner {
    fn is_live(&self, index: usize, birth: u64) -> bool {
        self.live.get(index).is_some_and(|timer| timer.birth == birth)
    }
}

pub(crate) struct Timers {
    inner: RefCell<Inner>,
    epoch: Instant,
    /// The same, as the system tells it.
    began: u64,
    nanos: Cell<u64>,
    /// When the first of the heap is due, in the same nanoseconds: a turn in which nothing is due costs one look.
    first: Cell<u64>,
    /// Who wants to know of a timer that comes before all others.
    keeper: RefCell<Option<Waker>>,
    earlier: Cell<bool>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        let epoch = Instant::now();
        Timers {
            inner: RefCell::default(),
            epoch,
            began: system_nanos(), // not before it, so that nothing is early
            nanos: Cell::new(0),
            first: Cell::new(NEVER),
            keeper: RefCell::default(),
            earlier: Cell::new(false),
        }
    }

    /// The instant at which this turn of the loop began: exact to the length of a turn.
    pub(crate) fn now(&self) -> Instant {
        self.epoch + Duration::from_nanos(self.nanos())
    }

    /// The same, in nanoseconds since these timers were made (which last for 584 years), and free.
    pub(crate) fn nanos(&self) -> u64 {
        self.nanos.get()
    }

    /// The time now, and not at the beginning of the turn.
    pub(crate) fn exact_nanos(&self) -> u64 {
        system_nanos().wrapping_sub(self.began)
    }

    /// An instant that was told in nanoseconds; `None` if it is further off than the clock reaches.
    pub(crate) fn instant(&self, nanos: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(nanos))
    }

    /// A turn of the loop begins.
    #[inline]
    pub(crate) fn tick(&self) {
        self.nanos.set(self.exact_nanos());
    }

    pub(crate) fn insert(&self, when: Instant, waker: &Waker) -> TimerKey {
        let mut inner = self.inner.borrow_mut();
        inner.births += 1;
        let birth = inner.births;
        let index = inner.live.insert(Timer {
            birth,
            waker: waker.clone(),
        });
        let due = when.saturating_duration_since(self.epoch).as_nanos();
        let due = u64::try_from(due).unwrap_or(NEVER - 1);
        if due < self.first.get() {
            self.first.set(due);
            self.earlier.set(true);
            self.keeper.borrow_mut().take().into_iter().for_each(Waker::wake);
        }
        inner.heap.push(Reverse((due, index, birth)));
        if inner.heap.len() > 2 * inner.live.len() + SLACK {
            let Inner { heap, live, .. } = &mut *inner;
            heap.retain(|Reverse((_, index, birth))| live.get(*index).is_some_and(|t| t.birth == *birth));
        }
        TimerKey { index, birth }
    }

    /// Makes `key` wake `waker`; false if it has fired already.
    pub(crate) fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        let mut inner = self.inner.borrow_mut();
        match inner.live.get_mut(key.index) {
            Some(timer) if timer.birth == key.birth => {
                let before = std::mem::replace(&mut timer.waker, waker.clone());
                drop(inner); // a waker's drop may run anything
                drop(before);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn cancel(&self, key: TimerKey) {
        let mut inner = self.inner.borrow_mut();
        if inner.is_live(key.index, key.birth) {
            let timer = inner.live.remove(key.index);
            drop(inner); // a waker's drop may run anything
            drop(timer);
        }
    }

    /// When the first timer is due, or was to be; [`NEVER`] without one.
    #[inline]
    pub(super) fn first(&self) -> u64 {
        self.first.get()
    }

    /// When the next live timer is due, in nanoseconds.
    pub(super) fn next_nanos(&self) -> Option<u64> {
        let mut inner = self.inner.borrow_mut();
        let next = loop {
            match inner.heap.peek().copied() {
                Some(Reverse((_, index, birth))) if !inner.is_live(index, birth) => drop(inner.heap.pop()),
                first => break first.map(|Reverse((due, ..))| due),
            }
        };
        self.first.set(next.unwrap_or(NEVER));
        next
    }

    /// When the next live timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next_nanos().and_then(|due| self.instant(due))
    }

    /// Until a timer has been inserted that comes before all others, since this was last asked.
    pub(crate) fn poll_earlier(&self, cx: &std::task::Context<'_>) -> Poll<()> {
        if self.earlier.take() {
            return Poll::Ready(());
        }
        *self.keeper.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Wakes everything that was due when this turn of the loop began.
    #[inline]
    pub(crate) fn fire(&self) {
        if self.nanos.get() >= self.first.get() {
            self.fire_at(self.nanos.get());
        }
    }

    #[cold]
    fn fire_at(&self, now: u64) {
        while self.next_nanos().is_some_and(|due| due <= now) {
            let mut inner = self.inner.borrow_mut();
            let due = inner.heap.pop();
            let timer = due.and_then(|Reverse((_, index, _))| inner.live.try_remove(index));
            drop(inner); // who is woken may do anything
            timer.into_iter().for_each(|timer| timer.waker.wake());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn due_timers_fire_once_in_order_and_cancelled_ones_never() {
        let timers = Timers::new();
        let (early, late) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (start, at) = (timers.now(), |seconds: u64| seconds * 1_000_000_000);
        timers.insert(start + Duration::from_secs(1), &early.clone().into());
        let cancelled = timers.insert(start + Duration::from_secs(2), &late.clone().into());
        timers.insert(start + Duration::from_secs(3), &late.clone().into());
        timers.cancel(cancelled);
        timers.fire_at(at(2));
        assert_eq!(
            (early.0.load(Ordering::Relaxed), late.0.load(Ordering::Relaxed)),
            (1, 0)
        );
        assert_eq!(timers.next(), Some(start + Duration::from_secs(3)));
        timers.fire_at(at(9));
        assert_eq!(late.0.load(Ordering::Relaxed), 1);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_key_of_a_fired_timer_refreshes_nothing() {
        let timers = Timers::new();
        let count = Arc::new(Count::default());
        let key = timers.insert(timers.now(), &count.clone().into());
        timers.fire();
        timers.insert(timers.now() + Duration::from_secs(1), &count.clone().into());
        assert!(!timers.refresh(key, &count.into()));
    }

    #[test]
    fn cancelling_many_keeps_the_heap_small() {
        let timers = Timers::new();
        let waker: Waker = Arc::new(Count::default()).into();
        for _ in 0..10_000 {
            let key = timers.insert(timers.now() + Duration::from_secs(60), &waker);
            timers.cancel(key);
        }
        assert!(timers.inner.borrow().heap.len() <= SLACK + 2);
    }
}
