//! The alarm clock of a thread that waits for many descriptors: a `timerfd(2)` among them.
//!
//! It is set for the earliest deadline and left alone as long as no earlier one comes. A timeout that is given to each wait
//! would have the kernel set a timer each time, which a server with one busy connection feels.

use super::timers::{NEVER, Timers, kernel_time};
use rustix::event::Timespec;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};
use rustix::time::{timerfd_create, timerfd_settime};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The shortest time for which it can be set; none at all would unset it.
const SHORTEST: Duration = Duration::from_nanos(1);

pub(super) struct Clock {
    fd: OwnedFd,
    /// In the nanoseconds of the timers that it is for.
    set_for: Cell<u64>,
}

impl Clock {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Clock {
            fd: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            set_for: Cell::new(NEVER),
        })
    }

    /// Readable when it goes off.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Makes sure that it goes off when the first of these timers is due, perhaps also before. It is for no others.
    #[inline]
    pub(super) fn set(&self, timers: &Timers) -> io::Result<()> {
        if self.set_for.get() <= timers.first() {
            return Ok(());
        }
        self.set_anew(timers)
    }

    #[cold]
    fn set_anew(&self, timers: &Timers) -> io::Result<()> {
        let Some(due) = timers.next_nanos().filter(|due| *due < self.set_for.get()) else {
            return Ok(());
        };
        let span = due.saturating_sub(timers.exact_nanos());
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: kernel_time(Duration::from_nanos(span).max(SHORTEST)),
        };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
        self.set_for.set(due);
        Ok(())
    }

    /// It went off.
    pub(super) fn rang(&self) {
        // "Would block" only says that it has been set anew since.
        let _ = rustix::io::read(&self.fd, &mut [0; 8]);
        self.set_for.set(NEVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use std::task::Waker;

    #[test]
    fn it_goes_off_for_the_earliest_and_only_once() {
        let (clock, timers) = (Clock::new().expect("a clock"), Timers::new());
        let set = |seconds| {
            timers.insert(timers.now() + Duration::from_secs(seconds), Waker::noop());
            clock.set(&timers).expect("it can be set");
        };
        set(3600);
        set(0);
        set(1800);
        poll(&mut [PollFd::from_borrowed_fd(clock.fd(), PollFlags::IN)], None).expect("a ring");
        clock.rang();
        assert!(rustix::io::read(clock.fd(), &mut [0; 8]).is_err(), "it rings on");
        set(0);
        poll(&mut [PollFd::from_borrowed_fd(clock.fd(), PollFlags::IN)], None).expect("another ring");
    }
}
