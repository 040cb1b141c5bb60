//! Readiness on the ring, for what is received in batches: the ring polls the socket, `recvmmsg(2)` reads it.

use super::state::After;
use super::{Kind, Place, Ring, token};
use crate::model::ready::Way;
use crate::model::sources::{Source, Sources, Watch};
use io_uring::opcode;
use io_uring::types::Fd;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// A poll that is under way, and for which source.
#[derive(Clone)]
pub(super) struct State {
    source: Rc<Source>,
    way: Way,
}

pub(super) struct Polls {
    ring: Rc<Ring>,
    /// The place of each poll that was begun last, by its source and way.
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
        let state = match self.places.borrow().get(place) {
            Some(Place::Poll(state)) => state.clone(),
            _ => {
                return self.with_stream(place, |state| {
                    state.polled();
                    After::Nothing
                });
            }
        };
        self.remove(place);
        state
            .source
            .armed
            .set(state.source.armed.get() & !wish_bit(state.way));
        state.source.side(state.way).rise();
    }
}

impl Polls {
    pub(super) fn new(ring: Rc<Ring>) -> Self {
        Polls {
            ring,
            places: RefCell::default(),
        }
    }
}

impl Watch for Polls {
    fn sources(&self) -> &Sources {
        &self.ring.sources
    }

    fn watch(&self, _: &Source, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    /// A poll that is under way keeps the socket open, so it is called off.
    fn unwatch(&self, source: &Source, _: BorrowedFd<'_>) {
        for bit in [Way::Read, Way::Write].map(wish_bit) {
            let place = self.places.borrow_mut().remove(&(source.key, bit));
            if let Some(place) = place.filter(|_| source.armed.get() & bit != 0) {
                match self.ring.cancel(Kind::Poll, place) {
                    Ok(()) => _ = self.ring.let_go(),
                    Err(error) => tracing::debug!(%error, "the poll ends with the next packet"),
                }
            }
        }
    }

    fn arm(&self, source: &Rc<Source>, way: Way) -> io::Result<()> {
        let bit = wish_bit(way);
        if source.armed.get() & bit != 0 {
            return Ok(());
        }
        let state = State {
            source: source.clone(),
            way,
        };
        let place = self.ring.places.borrow_mut().insert(Place::Poll(state));
        let entry = opcode::PollAdd::new(Fd(source.fd), bit)
            .build()
            .user_data(token(Kind::Poll, place));
        // SAFETY: a poll points to nothing.
        #[allow(unsafe_code)]
        let pushed = unsafe { self.ring.push(&entry) };
        if let Err(error) = pushed {
            self.ring.remove(place);
            return Err(error);
        }
        source.armed.set(source.armed.get() | bit);
        self.places.borrow_mut().insert((source.key, bit), place);
        Ok(())
    }
}
