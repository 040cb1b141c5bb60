//! The alarm clock of a thread that waits for many descriptors: a `timerfd(2)` among them.
//!
//! It is set for the earliest deadline and left alone as long as no earlier one comes. A timeout that is given to each wait
//! would have the kernel set a timer each time, which a server with one busy connection feels.

use rustix::event::Timespec;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};
use rustix::time::{timerfd_create, timerfd_settime};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The shortest time for which it can be set; none at all would unset it.
const SHORTEST: Duration = Duration::from_nanos(1);

pub(super) struct Clock {
    fd: OwnedFd,
    set_for: Cell<Option<Instant>>,
}

impl Clock {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Clock {
            fd: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            set_for: Cell::new(None),
        })
    }

    /// Readable when it goes off.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Makes sure that it goes off at `due`, perhaps also before.
    pub(super) fn set(&self, due: Option<Instant>) -> io::Result<()> {
        let Some(due) = due else { return Ok(()) };
        if self.set_for.get().is_some_and(|set| set <= due) {
            return Ok(());
        }
        let span = due.saturating_duration_since(Instant::now()).max(SHORTEST);
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: super::timers::kernel_time(span),
        };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
        self.set_for.set(Some(due));
        Ok(())
    }

    /// It went off.
    pub(super) fn rang(&self) {
        // "Would block" only says that it has been set anew since.
        let _ = rustix::io::read(&self.fd, &mut [0; 8]);
        self.set_for.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    #[test]
    fn it_goes_off_for_the_earliest_and_only_once() {
        let clock = Clock::new().expect("a clock");
        let now = Instant::now();
        clock.set(Some(now + Duration::from_secs(3600))).expect("late");
        clock.set(Some(now)).expect("early");
        clock.set(Some(now + Duration::from_secs(1800))).expect("later");
        poll(&mut [PollFd::from_borrowed_fd(clock.fd(), PollFlags::IN)], None).expect("a ring");
        clock.rang();
        assert!(rustix::io::read(clock.fd(), &mut [0; 8]).is_err(), "it rings on");
        clock.set(Some(now)).expect("set again");
        poll(&mut [PollFd::from_borrowed_fd(clock.fd(), PollFlags::IN)], None).expect("another ring");
    }
}
