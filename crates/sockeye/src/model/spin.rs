//! `spin`: one thread for all its connections, which tries each of them again and again, as non-blocking sockets were
//! first taught. When nothing has come for a while it yields, and then naps, so that an idle server doesn't burn a core.

use super::local::Turn;
use super::ready::Way;
use super::sources::{Source, Sources, Watch};
use super::task::Tasks;
use super::timers::Timers;
use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Fruitless rounds before the thread naps. At a round of a few microseconds this is a millisecond of trying, several
/// round trips on a LAN.
const EAGER_ROUNDS: u32 = 256;

/// The longest nap: what a message may wait for on an idle server.
const LONGEST_NAP: Duration = Duration::from_millis(1);

pub(crate) struct Spin {
    sources: Sources,
    tasks: Tasks,
    fruitless: Cell<u32>,
    fruit: Cell<bool>,
}

impl Spin {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Spin {
            sources: Sources::new(),
            tasks: Tasks::new()?,
            fruitless: Cell::new(0),
            fruit: Cell::new(false),
        })
    }

    /// A longer nap after each round without fruit; any wake from another thread ends it.
    fn nap(&self, limit: Option<Duration>) -> io::Result<()> {
        let rounds = self.fruitless.get().saturating_add(1);
        self.fruitless.set(rounds);
        if rounds <= EAGER_ROUNDS {
            return Ok(());
        }
        let micros = u64::from(rounds - EAGER_ROUNDS).saturating_mul(10);
        let nap = Duration::from_micros(micros)
            .min(LONGEST_NAP)
            .min(limit.unwrap_or(LONGEST_NAP));
        let nap = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(nap.subsec_nanos()),
        };
        let rouse = self.tasks.rouse_fd();
        let mut waits = [rustix::event::PollFd::from_borrowed_fd(
            rouse,
            rustix::event::PollFlags::IN,
        )];
        match rustix::event::poll(&mut waits, Some(&nap)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => {
                self.tasks.collect_roused();
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Watch for Spin {
    fn sources(&self) -> &Sources {
        &self.sources
    }

    fn watch(&self, _: &Source, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn unwatch(&self, _: &Source, _: BorrowedFd<'_>) {}

    fn arm(&self, _: &Rc<Source>, _: Way) -> io::Result<()> {
        Ok(())
    }

    fn tried(&self, fruitful: bool) {
        if fruitful {
            self.fruit.set(true);
        }
    }
}

impl Turn for Spin {
    fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn timers(&self) -> &Timers {
        &self.sources.timers
    }

    fn limit(&self) -> io::Result<Option<Duration>> {
        Ok(self
            .timers()
            .next()
            .map(|due| due.saturating_duration_since(Instant::now())))
    }

    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        if self.fruit.replace(false) || limit == Some(Duration::ZERO) {
            self.fruitless.set(0);
        } else {
            self.nap(limit)?;
        }
        self.tasks.collect();
        for (_, source) in &*self.sources.all() {
            for side in &source.sides {
                side.rise();
            }
        }
        Ok(())
    }
}
