//! What all connections of a process may hold at once, whatever their peers do: who gets no share goes another way.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of small files that are in memory until they are written: thousands of peers that stall hold no more than a small
/// machine can spare.
pub(super) static MEMORY: Budget = Budget::of(64 << 20);
/// Descriptors of files that have no name yet: a few batches', and few of those that a process may have.
pub(super) static UNNAMED: Budget = Budget::of(512);

/// An amount that is shared out.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicU64,
}

/// A part of it, which goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    of: &'static Budget,
    amount: u64,
}

impl Budget {
    const fn of(amount: u64) -> Self {
        Budget {
            left: AtomicU64::new(amount),
        }
    }

    /// A share, if so much is left.
    pub(super) fn take(&'static self, amount: u64) -> Option<Share> {
        let less = |left: u64| left.checked_sub(amount);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.ok().map(|_| Share { of: self, amount })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.left.fetch_add(self.amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_shared_out_than_there_is_and_all_of_it_comes_back() {
        static BUDGET: Budget = Budget::of(10);
        let (six, four) = (BUDGET.take(6), BUDGET.take(4));
        assert!(six.is_some() && four.is_some() && BUDGET.take(1).is_none());
        drop(six);
        assert!(BUDGET.take(7).is_none());
        let again = BUDGET.take(6);
        assert!(again.is_some() && BUDGET.take(1).is_none());
        drop((again, four));
        assert!(BUDGET.take(10).is_some());
    }
}
