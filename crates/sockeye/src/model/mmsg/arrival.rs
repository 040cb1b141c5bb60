//! When a datagram arrived: `SO_TIMESTAMPNS` (socket(7)).

use crate::options::raw;
use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

/// A moment as nanoseconds since 1970: small, for each datagram has room for one, and few sockets ask for it.
#[derive(Clone, Copy)]
pub(crate) struct Arrival(NonZeroU64);

impl Arrival {
    pub(super) fn of(told: libc::timespec) -> Option<Self> {
        let since = Duration::new(u64::try_from(told.tv_sec).ok()?, told.tv_nsec.try_into().ok()?);
        NonZeroU64::new(since.as_nanos().try_into().ok()?).map(Arrival)
    }

    pub(crate) fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.0.get())
    }
}

/// Whether the socket's options ask for it.
pub(super) fn is_asked(fd: BorrowedFd<'_>) -> bool {
    raw::int(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS).is_ok_and(|on| on != 0)
}
