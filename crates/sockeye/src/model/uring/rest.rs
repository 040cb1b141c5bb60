//! What is still under way when a link is dropped: a send says that it is over when its bytes have a place here, and then they
//! are to leave as those in a socket's own buffer would.

use super::state::State;
use super::{Kind, Ring};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

/// How long what was sent may take to be taken by the kernel after its connection was dropped. A packet that was lost on the
/// way is sent again after one second (RFC 6298); a peer that reads nothing for longer gets no more.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many connections may leave something behind at a time: 4 MiB in all, and beyond them only who doesn't read loses any.
const MOST: usize = 64;

/// The last hold on a place whose link is gone. With it the place is given up.
pub(super) struct Rest {
    ring: Rc<Ring>,
    place: usize,
    state: Rc<RefCell<State>>,
    lingers: bool,
}

impl Ring {
    pub(super) fn may_linger(&self) -> bool {
        self.lingering.get() < MOST
    }
}

impl Rest {
    pub(super) fn new(ring: Rc<Ring>, place: usize, state: Rc<RefCell<State>>) -> Self {
        let lingers = false;
        Rest {
            ring,
            place,
            state,
            lingers,
        }
    }

    /// Until the kernel has it all, or will not have it.
    pub(super) fn sent(mut self) -> impl Future<Output = ()> {
        self.ring.lingering.set(self.ring.lingering.get() + 1);
        self.lingers = true;
        self.state.borrow().write.done(); // the clock of this wait begins now
        async move {
            let _ = poll_fn(|cx| {
                let timers = &self.ring.sources.timers;
                self.state.borrow_mut().poll_idle(Some(PATIENCE), timers, cx)
            })
            .await; // nobody is left whom an error concerns
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if self.lingers {
            self.ring.lingering.set(self.ring.lingering.get() - 1);
        }
        let mut state = self.state.borrow_mut();
        state.orphaned = true;
        state.write.cancel(&self.ring.sources.timers);
        self.ring
            .call_off(state.sending.is_some(), Kind::Send, self.place);
        let is_over = state.is_over();
        drop(state);
        if is_over {
            self.ring.remove(self.place);
        }
    }
}
