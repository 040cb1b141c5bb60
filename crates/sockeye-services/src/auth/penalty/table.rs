//! Failures that are counted in memory: of peers that have no accounts.

use super::{Attempt, Penalty};
use sockeye::Address;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The failures of each address. There are no more entries than buckets, some 4 MiB. A forked process counts its own
/// connection alone.
pub(in crate::auth) struct Table {
    key: [u8; 32],
    buckets: Mutex<HashMap<i64, Penalty>>,
}

impl Table {
    /// `key` is random: nobody can aim at a bucket.
    pub(in crate::auth) fn new(key: [u8; 32]) -> Self {
        Table {
            key,
            buckets: Mutex::default(),
        }
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<i64, Penalty>> {
        // Nothing that can panic runs under it.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an attempt as failed before it is looked at, unless it comes too early. `now` is in milliseconds.
    pub(in crate::auth) fn attempt(&self, peer: &Address, now: i64) -> Result<(), Duration> {
        for (bucket, free) in Attempt::registration(&self.key, peer).buckets(false) {
            let mut buckets = self.buckets();
            let penalty = buckets.entry(bucket).or_default();
            if let Some(wait) = penalty.wait(now) {
                return Err(wait);
            }
            *penalty = penalty.after_failure(now, free);
        }
        Ok(())
    }

    /// It was none that failed.
    pub(in crate::auth) fn succeeded(&self, peer: &Address) {
        for (bucket, _) in Attempt::registration(&self.key, peer).buckets(false) {
            if let Some(penalty) = self.buckets().get_mut(&bucket) {
                *penalty = penalty.after_all();
            }
        }
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_has_to_wait_and_others_have_not() {
        let table = Table::new([3; 32]);
        let at = |text: &str| Address::Inet(text.parse().expect("an address"));
        let (guesser, other) = (at("192.0.2.1:1"), at("192.0.2.2:1"));
        let mut now = 0;
        for _ in 0..10_000 {
            if let Err(wait) = table.attempt(&guesser, now) {
                now += i64::try_from(wait.as_millis()).expect("a short wait");
                assert_eq!(table.attempt(&guesser, now), Ok(()));
            }
        }
        assert!(now > 3 * 24 * 60 * 60 * 1_000, "{now}");
        for _ in 0..10_000 {
            assert_eq!(table.attempt(&other, now), Ok(()));
            table.succeeded(&other);
            assert_eq!(table.attempt(&Address::Unix(None), now), Ok(()));
        }
        assert_eq!(table.buckets().len(), 2);
    }
}
