//! Failures that are counted in memory: of peers that have no accounts.

use super::{Attempt, BUCKETS, Penalty};
use sockeye::{Address, Result, shared_numbers};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many bits of a number say when the last failure was, in milliseconds since 1970: enough for 557 years. The others count.
const TIME: u32 = 44;
/// The most that the others can count.
const MOST: u64 = u64::MAX >> TIME;

/// The failures of each address and of each site, a number for each bucket: a MiB at the most. A server and the processes that
/// it forks count together.
pub(in crate::auth) struct Table {
    key: [u8; 32],
    buckets: &'static [AtomicU64],
}

/// Addresses, and sites.
const KINDS: u64 = 2;

impl Table {
    /// `key` is random: nobody can aim at a bucket.
    pub(in crate::auth) fn new(key: [u8; 32]) -> Result<Self> {
        let buckets = shared_numbers(usize::try_from(KINDS * BUCKETS).unwrap_or(usize::MAX))?;
        Ok(Table { key, buckets })
    }

    /// The buckets of an address, and how many failures are free in each.
    fn buckets(&self, peer: &Address) -> impl Iterator<Item = (&AtomicU64, i64)> {
        let buckets = Attempt::registration(&self.key, peer).buckets(false);
        buckets.zip(0..KINDS).filter_map(|((bucket, free), kind)| {
            let number = kind * BUCKETS + u64::try_from(bucket).ok()? % BUCKETS;
            Some((self.buckets.get(usize::try_from(number).ok()?)?, free))
        })
    }

    /// How long an attempt has to wait still. `now` is in milliseconds.
    ///
    /// It isn't counted: who asks just before the answer is looked at, and tells what came of that at once, is followed by
    /// as many others as there are processors, at the most.
    pub(in crate::auth) fn wait(&self, peer: &Address, now: i64) -> Option<Duration> {
        let waits = self.buckets(peer);
        waits
            .filter_map(|(bucket, free)| unpacked(bucket.load(Ordering::Relaxed), free).wait(now))
            .max()
    }

    /// Counts an attempt that has failed.
    pub(in crate::auth) fn failed(&self, peer: &Address, now: i64) {
        for (bucket, free) in self.buckets(peer) {
            let counted = |packed| Some(packed_of(unpacked(packed, free).after_failure(now, free)));
            let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted); // it always is
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
            if let Some(wait) = table.wait(&guesser, now) {
                now += i64::try_from(wait.as_millis()).expect("a short wait");
                assert_eq!(table.wait(&guesser, now), None);
            }
            table.failed(&guesser, now);
        }
        assert!(now > 3 * 24 * 60 * 60 * 1_000, "{now}");
        assert!(table.wait(&guesser, now).is_some());
        for _ in 0..10_000 {
            // Who is about to answer counts for nothing.
            assert_eq!(table.wait(&other, now), None);
            table.failed(&Address::Unix(None), now);
            assert_eq!(table.wait(&Address::Unix(None), now), None);
        }
        let used = table
            .buckets
            .iter()
            .filter(|bucket| bucket.load(Ordering::Relaxed) != 0);
        assert_eq!(used.count(), 1);
    }

    #[test]
    fn a_site_of_many_networks_has_to_wait_too() {
        let table = Table::new([3; 32]).expect("memory");
        let of_network = |number| {
            Address::Inet(
                format!("[2001:db8:1:{number:x}::1]:1")
                    .parse()
                    .expect("an address"),
            )
        };
        for number in 0..=2_000 {
            assert_eq!(table.wait(&of_network(number), 1), None, "{number}");
            table.failed(&of_network(number), 1);
        }
        assert!(table.wait(&of_network(2_001), 1).is_some());
    }
}
