//! What the connections of one thread have in common.

use super::{Load, Outcome, PacketCounts};
use sockeye::{Class, Error};
use std::cell::{Cell, RefCell, RefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes that are made and sent in one call at the most: as many as one receive takes, so that neither way of a
/// connection outruns the other.
const SCRATCH: usize = 64 << 10;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections are made, and each sends one message.
    Ramp,
    WarmUp,
    Window,
    /// Nothing more is sent; what is on its way may come back.
    Over,
}

/// The connections of one thread: how far the run is, and what has been counted.
pub(super) struct Share {
    pub(super) load: Load,
    phase: Cell<Phase>,
    /// Connections that have neither ended nor failed.
    alive: Cell<usize>,
    /// Connections of all threads that wait for their first answer.
    unserved: Arc<AtomicUsize>,
    /// Connections of this thread that have had no answer in the window.
    unheard: Cell<usize>,
    outcome: RefCell<Outcome>,
    scratch: RefCell<Vec<u8>>,
}

/// A connection's part in a [`Share`]: in which phase it was last answered.
#[derive(Default)]
pub(super) struct Heard(Option<Phase>);

impl Share {
    pub(super) fn new(load: Load, unserved: Arc<AtomicUsize>) -> Self {
        let room = load.size.saturating_mul(load.depth).min(SCRATCH);
        let mut outcome = Outcome::new();
        outcome.packets = load.endpoint.is_packet().then(PacketCounts::default);
        Share {
            load,
            phase: Cell::new(Phase::Ramp),
            alive: Cell::new(0),
            unserved,
            unheard: Cell::new(0),
            outcome: RefCell::new(outcome),
            scratch: RefCell::new(vec![0; room]),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(super) fn alive(&self) -> usize {
        self.alive.get()
    }

    /// What has been counted.
    pub(super) fn outcome(&self) -> RefMut<'_, Outcome> {
        self.outcome.borrow_mut()
    }

    /// Memory in which any of the connections makes what it sends now.
    pub(super) fn scratch(&self) -> RefMut<'_, Vec<u8>> {
        self.scratch.borrow_mut()
    }

    /// One more connection is open.
    pub(super) fn join(&self) {
        self.alive.set(self.alive.get() + 1);
        self.unserved.fetch_add(1, Ordering::Relaxed);
        self.outcome().connections += 1;
    }

    /// Right bytes have come back.
    pub(super) fn heard(&self, who: &mut Heard) {
        let phase = self.phase.get();
        if who.0 == Some(phase) || phase == Phase::Over {
            return;
        }
        let first = who.0.replace(phase).is_none();
        if phase == Phase::Window {
            self.unheard.set(self.unheard.get().saturating_sub(1));
        }
        if first {
            self.unserved.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Messages have come back whole: `each` of them after so long.
    pub(super) fn book(&self, bytes: usize, each: impl Iterator<Item = Duration>) {
        if self.phase.get() == Phase::Over {
            return; // counted, it would be more than the window held
        }
        let mut outcome = self.outcome.borrow_mut();
        outcome.bytes += bytes as u64;
        for took in each {
            outcome.requests += 1;
            outcome.latency.add(took, 1);
        }
    }

    /// Counts what became of packets. Those that were sent in the window have their fates beyond it too.
    pub(super) fn count_packets<T>(&self, count: impl FnOnce(&mut PacketCounts) -> T) -> T {
        count(self.outcome.borrow_mut().packets.get_or_insert_default())
    }

    /// A connection has ended, by its failure or because the run is over.
    pub(super) fn leave(&self, mut who: Heard, ended: Result<(), Failure>) {
        self.alive.set(self.alive.get() - 1);
        // One that has failed is counted as that, and not as silent as well.
        if let Err(failure) = ended {
            self.heard(&mut who);
            match failure {
                Failure::Broken(error) => self.outcome().failures.error(error.to_string()),
                Failure::Wrong(what) => self.outcome().failures.wrong(what),
            }
        }
    }

    /// All connections are made.
    pub(super) fn warm_up(&self) {
        self.phase.set(Phase::WarmUp);
    }

    /// The measured window begins now.
    pub(super) fn begin(&self) -> Instant {
        self.phase.set(Phase::Window);
        self.unheard.set(self.alive.get());
        self.outcome().restart();
        Instant::now()
    }

    /// The measured window, or the warm-up in which nobody was served, is over.
    pub(super) fn end(&self, begun: Option<Instant>) {
        let mut outcome = self.outcome();
        outcome.elapsed = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        match begun {
            Some(_) => outcome.failures.silent = self.unheard.get() as u64,
            None => {
                outcome.failures.silent = self.alive.get() as u64;
                outcome.restart();
            }
        }
        self.phase.set(Phase::Over);
    }
}

/// Why a connection can't go on.
pub(super) enum Failure {
    Broken(Error),
    Wrong(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Broken(error)
    }
}

impl Failure {
    pub(super) fn io(op: &'static str, error: std::io::Error, load: &Load) -> Self {
        Failure::Broken(Error::io(op, error).at(&load.endpoint))
    }

    pub(super) fn closed(load: &Load) -> Self {
        let error = Error::new("recv", Class::General, "the server closed the connection");
        Failure::Broken(error.at(&load.endpoint))
    }
}
