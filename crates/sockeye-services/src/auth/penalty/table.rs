//! Failures that are counted in memory: of peers that have no accounts.

use super::{Attempt, BUCKETS, Penalty};
use sockeye::{Address, Result, shared_numbers};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many bits of a number say when the last failure was, in milliseconds since 1970: enough for 557 years. The others count.
const TIME: u32 = 44;
/// The most that the others can count.
const MOST: u64 = u64::MAX >> TIME;

/// The failures of each address, a number for each bucket: half a MiB at the most. A server and the processes that it forks
/// count together.
pub(in crate::auth) struct Table {
    key: [u8; 32],
    buckets: &'static [AtomicU64],
}

impl Table {
    /// `key` is random: nobody can aim at a bucket.
    pub(in crate::auth) fn new(key: [u8; 32]) -> Result<Self> {
        let buckets = shared_numbers(usize::try_from(BUCKETS).unwrap_or(usize::MAX))?;
        Ok(Table { key, buckets })
    }

    /// The bucket of an address, and how many failures are free in it.
    fn bucket(&self, peer: &Address) -> Option<(&AtomicU64, i64)> {
        let (bucket, free) = Attempt::registration(&self.key, peer).buckets(false).next()?;
        let bucket = self.buckets.get(usize::try_from(bucket).ok()?)?;
        Some((bucket, free))
    }

    /// Counts an attempt as failed before it is looked at, unless it comes too early. `now` is in milliseconds.
    pub(in crate::auth) fn attempt(&self, peer: &Address, now: i64) -> Result<(), Duration> {
        let Some((bucket, free)) = self.bucket(peer) else {
            return Ok(());
        };
        let mut wait = None;
        let counted = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            let penalty = unpacked(packed, free);
            wait = penalty.wait(now);
            wait.is_none()
                .then(|| packed_of(penalty.after_failure(now, free)))
        });
        counted.map(drop).map_err(|_| wait.unwrap_or_default())
    }

    /// It was none that failed.
    pub(in crate::auth) fn succeeded(&self, peer: &Address) {
        if let Some((bucket, free)) = self.bucket(peer) {
            let forgiven = |packed| Some(packed_of(unpacked(packed, free).after_all()));
            let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, forgiven); // it always is
        }
    }
}

fn unpacked(packed: u64, free: i64) -> Penalty {
    let number = |bits: u64| i64::try_from(bits).unwrap_or(i64::MAX);
    Penalty::since(
        number(packed >> TIME),
        number(packed & (u64::MAX >> (64 - TIME))),
        free,
    )
}

/// Without the end of the wait, which follows from the rest.
fn packed_of(penalty: Penalty) -> u64 {
    let number = |value: i64, most: u64| u64::try_from(value).unwrap_or(0).min(most);
    number(penalty.failures, MOST) << TIME | number(penalty.last, (1 << TIME) - 1)
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
        let table = Table::new([3; 32]).expect("memory");
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
        let used = table
            .buckets
            .iter()
            .filter(|bucket| bucket.load(Ordering::Relaxed) != 0);
        assert_eq!(used.count(), 2);
    }
}
