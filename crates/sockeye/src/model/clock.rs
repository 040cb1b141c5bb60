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

    /// Makes sure that it goes off when the first of these timers is due, perhaps also before. It is for no others. Says how long a wait may
    /// take if one is due already, as where somebody only looks what is there.
    #[inline]
    pub(super) fn set(&self, timers: &Timers) -> io::Result<Option<Duration>> {
        if self.set_for.get() <= timers.first() {
            return Ok(None);
        }
        self.set_anew(timers)
    }

    #[cold]
    fn set_anew(&self, timers: &Timers) -> io::Result<Option<Duration>> {
        let Some(due) = timers.next_nanos().filter(|due| *due < self.set_for.get()) else {
            return Ok(None);
        };
        let span = due.saturating_sub(timers.exact_nanos());
        if span == 0 {
            return Ok(Some(Duration::ZERO)); // which would unset it
        }
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: kernel_time(Duration::from_nanos(span)),
        };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
        self.set_for.set(due);
        Ok(None)
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
        let set = |span| {
            timers.tick();
            timers.insert(timers.now() + span, Waker::noop());
            clock.set(&timers).expect("it can be set")
        };
        let (soon, hour) = (Duration::from_millis(5), Duration::from_secs(3600));
        assert_eq!(set(hour), None);
        assert_eq!(set(soon), None);
        assert_eq!(set(hour / 2), None);
        poll(&mut [PollFd::from_borrowed_fd(clock.fd(), PollFlags::IN)], None).expect("a ring");
        clock.rang();
        assert!(rustix::io::read(clock.fd(), &mut [0; 8]).is_err(), "it rings on");
        assert_eq!(set(Duration::ZERO), Some(Duration::ZERO), "it is due already");
        timers.tick();
        timers.fire();
        set(soon);
        poll(&mut [PollFd::from_borrowed_fd(clock.fd(), PollFlags::IN)], None).expect("another ring");
    }
}
