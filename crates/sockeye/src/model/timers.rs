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
    heap: BinaryHeap<Reverse<(Instant, usize, u64)>>,
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
    now: Cell<Instant>,
    nanos: Cell<u64>,
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
            now: Cell::new(epoch),
            nanos: Cell::new(0),
            keeper: RefCell::default(),
            earlier: Cell::new(false),
        }
    }

    /// The instant at which this turn of the loop began: exact to the length of a turn, and free.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// The same, in nanoseconds since these timers were made (which last for 584 years).
    pub(crate) fn nanos(&self) -> u64 {
        self.nanos.get()
    }

    /// The time now, and not at the beginning of the turn.
    pub(crate) fn exact_nanos(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// An instant that was told in nanoseconds; `None` if it is further off than the clock reaches.
    pub(crate) fn instant(&self, nanos: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(nanos))
    }

    pub(crate) fn tick(&self) -> Instant {
        let now = Instant::now();
        self.now.set(now);
        self.nanos
            .set(u64::try_from((now - self.epoch).as_nanos()).unwrap_or(u64::MAX));
        now
    }

    pub(crate) fn insert(&self, when: Instant, waker: &Waker) -> TimerKey {
        let mut inner = self.inner.borrow_mut();
        inner.births += 1;
        let birth = inner.births;
        let index = inner.live.insert(Timer {
            birth,
            waker: waker.clone(),
        });
        if inner.heap.peek().is_none_or(|Reverse((first, ..))| when < *first) {
            self.earlier.set(true);
            self.keeper.borrow_mut().take().into_iter().for_each(Waker::wake);
        }
        inner.heap.push(Reverse((when, index, birth)));
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

    /// When the next live timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        let mut inner = self.inner.borrow_mut();
        while let Some(Reverse((when, index, birth))) = inner.heap.peek().copied() {
            if inner.is_live(index, birth) {
                return Some(when);
            }
            inner.heap.pop();
        }
        None
    }

    /// Until a timer has been inserted that comes before all others, since this was last asked.
    pub(crate) fn poll_earlier(&self, cx: &std::task::Context<'_>) -> Poll<()> {
        if self.earlier.take() {
            return Poll::Ready(());
        }
        *self.keeper.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Wakes everything that is due at `now`.
    pub(crate) fn fire(&self, now: Instant) {
        loop {
            let mut inner = self.inner.borrow_mut();
            let Some(Reverse((when, index, birth))) = inner.heap.peek().copied() else {
                return;
            };
            let live = inner.is_live(index, birth);
            if live && when > now {
                return;
            }
            inner.heap.pop();
            if live {
                let timer = inner.live.remove(index);
                drop(inner);
                timer.waker.wake();
            }
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
        let start = timers.now();
        timers.insert(start + Duration::from_secs(1), &early.clone().into());
        let cancelled = timers.insert(start + Duration::from_secs(2), &late.clone().into());
        timers.insert(start + Duration::from_secs(3), &late.clone().into());
        timers.cancel(cancelled);
        timers.fire(start + Duration::from_secs(2));
        assert_eq!(
            (early.0.load(Ordering::Relaxed), late.0.load(Ordering::Relaxed)),
            (1, 0)
        );
        assert_eq!(timers.next(), Some(start + Duration::from_secs(3)));
        timers.fire(start + Duration::from_secs(9));
        assert_eq!(late.0.load(Ordering::Relaxed), 1);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_key_of_a_fired_timer_refreshes_nothing() {
        let timers = Timers::new();
        let count = Arc::new(Count::default());
        let key = timers.insert(timers.now(), &count.clone().into());
        timers.fire(timers.now());
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
