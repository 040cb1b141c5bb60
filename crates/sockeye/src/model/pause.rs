//! Operations that are given up before their end: `select!` drops all futures but one.

use super::{PacketLink, StreamLink, Way};
use std::task::Poll;

/// What can wait for something, and keeps the time that it takes against a limit.
pub(crate) trait Pause {
    /// Who waited has given it up, and may still want to be woken. The time that has passed counts, for whoever asks again and
    /// again; what passes until the next wait doesn't.
    fn pause(&mut self, way: Way);
}

impl Pause for Box<dyn StreamLink> {
    fn pause(&mut self, way: Way) {
        (**self).pause(way);
    }
}

impl Pause for Box<dyn PacketLink> {
    fn pause(&mut self, way: Way) {
        (**self).pause(way);
    }
}

/// A wait, as long as its future lives.
pub(crate) struct Waits<'a, L: Pause> {
    on: &'a mut L,
    way: Way,
    waits: bool,
}

impl<'a, L: Pause> Waits<'a, L> {
    pub(crate) fn new(on: &'a mut L, way: Way) -> Self {
        let waits = false;
        Waits { on, way, waits }
    }

    #[inline]
    pub(crate) fn poll<T>(&mut self, poll: impl FnOnce(&mut L) -> Poll<T>) -> Poll<T> {
        let polled = poll(self.on);
        self.waits = polled.is_pending();
        polled
    }
}

impl<L: Pause> Drop for Waits<'_, L> {
    #[inline]
    fn drop(&mut self) {
        if self.waits {
            self.on.pause(self.way);
        }
    }
}
