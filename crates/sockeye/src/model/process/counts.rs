//! Byte counts in memory that the acceptor shares with its children: what a child has counted is known even if it is killed.

use crate::mapping;
use crate::server::registry::Counts;
use std::io;
use std::sync::atomic::Ordering;

/// A connection's, on a cache line of its own: children on other cores write to their neighbours.
#[repr(align(64))]
struct Slot(Counts);

/// How many are made at once: 4 KiB of them.
const AT_ONCE: usize = 64;

/// Counts that are nobody's now. Those that are given away stay mapped for as long as the process lives.
#[derive(Default)]
pub(super) struct Pool {
    free: Vec<&'static Counts>,
}

impl Pool {
    /// Counts of zero, which children forked from now on share.
    pub(super) fn take(&mut self) -> io::Result<&'static Counts> {
        if self.free.is_empty() {
            self.free.extend(slots()?.iter().map(|slot| &slot.0));
        }
        let counts = self.free.pop().ok_or(io::ErrorKind::OutOfMemory)?;
        counts.received.store(0, Ordering::Relaxed);
        counts.sent.store(0, Ordering::Relaxed);
        Ok(counts)
    }

    /// The child that had them is gone.
    pub(super) fn give_back(&mut self, counts: &'static Counts) {
        self.free.push(counts);
    }
}

#[allow(unsafe_code)]
fn slots() -> io::Result<&'static [Slot]> {
    let start = mapping::zeros(AT_ONCE * size_of::<Slot>())?;
    // SAFETY: it is that large, aligned to a page, never unmapped, and zeros are what atomic integers may be; whatever
    // process writes to it does so through these atomics.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<Slot>().as_ptr(), AT_ONCE) })
}
