//! `spin`: one thread for all its connections, which tries each of them again and again, as non-blocking sockets were
//! first taught. When nothing has come for a while it yields, and then naps, so that an idle server doesn't burn a core.

use super::local::Turn;
use super::ready::{Done, Permit, Reactor, Wish};
use super::sources::Sources;
use super::task::Tasks;
use super::timers::Timers;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Fruitless rounds before the thread naps. At a round of a few microseconds this is a millisecond of trying, several
/// round trips on a LAN.
const EAGER_ROUNDS: u32 = 256;

/// The longest nap: what a message may wait for on an idle server.
const LONGEST_NAP: Duration = Duration::from_millis(1);

pub(crate) struct Spin {
    sources: Sources,
    timers: Timers,
    tasks: Tasks,
    fruitless: Cell<u32>,
    fruit: Cell<bool>,
}

impl Spin {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Spin {
            sources: Sources::new(),
            timers: Timers::new(),
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

impl Reactor for Spin {
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        Ok(self.sources.insert(fd.as_raw_fd()))
    }

    fn deregister(&self, key: usize, _: BorrowedFd<'_>) {
        self.sources.remove(key, &self.timers);
    }

    fn poll_io<T>(
        &self,
        key: usize,
        wish: Wish,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(Permit) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        self.sources.poll_io(
            key,
            wish,
            cx,
            &self.timers,
            |_, _| Ok(()),
            |permit| {
                let brought = attempt(permit);
                if !matches!(&brought, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                    self.fruit.set(true);
                }
                brought
            },
        )
    }
}

impl Turn for Spin {
    fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn timers(&self) -> &Timers {
        &self.timers
    }

    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        if self.fruit.replace(false) || limit == Some(Duration::ZERO) {
            self.fruitless.set(0);
        } else {
            self.nap(limit)?;
        }
        self.tasks.collect();
        self.sources.each(|_, source| {
            source
                .sides
                .iter_mut()
                .filter_map(|side| side.rise())
                .for_each(Waker::wake_by_ref);
        });
        Ok(())
    }
}
