//! A wait for one way of one descriptor, and its clock.

use crate::model::ready::Wish;
use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// One way of one descriptor.
#[derive(Default)]
pub(super) struct Half {
    pub(super) ready: Cell<bool>,
    pub(super) waiting: Cell<bool>,
    pub(super) waker: RefCell<Option<Waker>>,
    pub(super) limit: Cell<Option<Duration>>,
    /// When the limit passes; known once the thread waits by `poll(2)`, or a signal has come.
    pub(super) due: Cell<Option<Instant>>,
    /// What was left of it when a wait was given up.
    pub(super) left: Cell<Option<Duration>>,
    /// Its future is gone. Whoever dropped it may still want to be woken: one that asks several sockets in turn begins with all of
    /// them anew then.
    pub(super) paused: Cell<bool>,
    /// The timeout that the socket has, which keeps the limit while the call itself blocks.
    pub(super) given: Cell<Option<Duration>>,
}

impl Half {
    #[inline(always)]
    pub(super) fn wait(&self, wish: Wish, cx: &Context<'_>) {
        let known = matches!(&*self.waker.borrow(), Some(waker) if waker.will_wake(cx.waker()));
        if !known {
            self.keep_waker(cx);
        }
        if self.limit.replace(wish.limit) != wish.limit {
            self.due.set(None);
            self.left.set(None);
        }
    }

    #[cold]
    fn keep_waker(&self, cx: &Context<'_>) {
        // Dropped when nothing is borrowed any more, for a waker's drop may run anything.
        let _before = self.waker.replace(Some(cx.waker().clone()));
    }

    /// The wait begins, if it hasn't yet.
    pub(super) fn begin(&self, now: Instant) {
        if self.due.get().is_none() && !self.paused.get() {
            let limit = self.left.take().or(self.limit.get());
            self.due.set(limit.and_then(|limit| now.checked_add(limit)));
        }
    }

    /// How long the call itself may take.
    #[inline]
    pub(super) fn rest(&self) -> Option<Duration> {
        match self.due.get() {
            Some(due) => Some(until(due)),
            None => self.left.get().or(self.limit.get()),
        }
    }
}

#[cold]
fn until(due: Instant) -> Duration {
    due.saturating_duration_since(Instant::now())
}
