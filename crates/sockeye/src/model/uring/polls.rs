//! Readiness on the ring, for what is received in batches: the ring polls the socket, `recvmmsg(2)` reads it.

use super::{Kind, Place, Ring, token};
use crate::model::ready::{Done, Permit, Reactor, Way, Wish};
use crate::model::sources::Source;
use io_uring::opcode;
use io_uring::types::Fd;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A poll that is under way, and for which source (told from a later one in the same place by its birth).
pub(super) struct State {
    key: usize,
    birth: u32,
    way: Way,
}

pub(super) struct Polls {
    ring: Rc<Ring>,
    /// The place of each poll that is under way.
    places: RefCell<HashMap<(usize, u32), usize>>,
}

fn wish_bit(way: Way) -> u32 {
    match way {
        Way::Read => libc::POLLIN as u32,
        Way::Write => libc::POLLOUT as u32,
    }
}

impl Ring {
    pub(super) fn polled(&self, place: usize) {
        let mut places = self.places.borrow_mut();
        match places.get_mut(place) {
            Some(Place::Stream(state)) => {
                state.polled();
                drop(places);
                self.release(place);
            }
            Some(Place::Poll(_)) => {
                let Place::Poll(State { key, birth, way }) = places.remove(place) else {
                    return;
                };
                drop(places);
                self.sources.with(key, |source| {
                    if source.birth == birth {
                        source.armed &= !wish_bit(way);
                        source.sides[way as usize]
                            .rise()
                            .into_iter()
                            .for_each(Waker::wake_by_ref);
                    }
                });
            }
            _ => {}
        }
    }
}

impl Polls {
    pub(super) fn new(ring: Rc<Ring>) -> Self {
        Polls {
            ring,
            places: RefCell::default(),
        }
    }

    fn arm(&self, source: &mut Source, key: usize, way: Way) -> io::Result<()> {
        let bit = wish_bit(way);
        if source.armed & bit != 0 {
            return Ok(());
        }
        let place = self.ring.places.borrow_mut().insert(Place::Poll(State {
            key,
            birth: source.birth,
            way,
        }));
        let entry = opcode::PollAdd::new(Fd(source.fd), bit)
            .build()
            .user_data(token(Kind::Poll, place));
        // SAFETY: a poll points to nothing.
        #[allow(unsafe_code)]
        let pushed = unsafe { self.ring.push(&entry) };
        pushed.inspect_err(|_| drop(self.ring.places.borrow_mut().remove(place)))?;
        source.armed |= bit;
        self.places.borrow_mut().insert((key, bit), place);
        Ok(())
    }
}

impl Reactor for Polls {
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        Ok(self.ring.sources.insert(fd.as_raw_fd()))
    }

    /// A poll that is under way keeps the socket open, so it is called off.
    fn deregister(&self, key: usize, _: BorrowedFd<'_>) {
        let source = self.ring.sources.remove(key, &self.ring.timers);
        for bit in [Way::Read, Way::Write].map(wish_bit) {
            let place = self.places.borrow_mut().remove(&(key, bit));
            if let Some(place) = place.filter(|_| source.armed & bit != 0) {
                // If that can't be handed over, the poll ends with the next packet.
                let _ = self.ring.cancel(Kind::Poll, place);
            }
        }
    }

    fn poll_io<T>(
        &self,
        key: usize,
        wish: Wish,
        cx: &mut Context<'_>,
        attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        let arm = |source: &mut Source, way| self.arm(source, key, way);
        self.ring
            .sources
            .poll_io(key, wish, cx, &self.ring.timers, arm, attempt)
    }
}
