//! How many answers each source has had: a bucket of tokens for each, in a table that never grows.
//!
//! A source has its bucket by a hash of its address, and nothing is ever evicted. So whoever is flooded in its name gets no
//! more than the rate, however many other sources are forged beside it; the memory stays the same; and where a bucket is
//! can't be foreseen, for the hash has a key. What a crowd of forged sources can do is to empty the buckets of others, which
//! then get no answers for a moment.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets: 64 KiB of them. One flood takes the bucket of one innocent source in 8,192 with it.
const BUCKETS: usize = 1 << 13;

/// Answers to one source without a pause, after which one datagram gets none. A loop of two services has no pauses, and ends by that; a
/// client loses one datagram of 10,000, as networks do themselves.
pub const IN_A_ROW: u64 = 10_000;
/// What is a pause, in milliseconds: a loop goes round faster, but over half of the Earth, where it is no more than ten datagrams a
/// second; and who looks once a second whether a service is there is never left without an answer.
const PAUSE: u64 = 100;

/// How far ahead of its time a bucket may be: a full one holds a second's worth of answers.
const AHEAD: u64 = 1_000_000_000;

/// The buckets. Each is the time, in nanoseconds, at which it will be full again (GCRA, as in ITU-T I.371).
pub(super) struct Rates {
    key: RandomState,
    /// Nanoseconds that an answer costs.
    cost: u64,
    full_at: Box<[AtomicU64]>,
    /// When each was answered last, in milliseconds, and, in the last 16 bits, how often since its last pause.
    in_a_row: Box<[AtomicU64]>,
}

impl Rates {
    /// So many answers a second, 1 or more.
    pub(super) fn new(rate: u32) -> Self {
        let table = || (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Rates {
            key: RandomState::new(),
            cost: AHEAD / u64::from(rate.max(1)),
            full_at: table(),
            in_a_row: table(),
        }
    }

    /// Takes a token of this source's; false when there is none.
    pub(super) fn take(&self, source: IpAddr, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX - 2 * AHEAD);
        let bucket = &self.full_at[self.place(source)];
        // Workers share the table; none waits for another.
        let taken = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let full_at = full_at.max(now) + self.cost;
            (full_at - now <= AHEAD).then_some(full_at)
        });
        taken.is_ok()
    }

    /// Counts an answer to this source; true for the last one of [`IN_A_ROW`] without a pause, which begins anew.
    pub(super) fn may_loop(&self, source: IpAddr, now: Duration) -> bool {
        let now = now.as_millis() as u64; // no clock runs for so long
        let row = &self.in_a_row[self.place(source)];
        let count = |row: u64| match now.saturating_sub(row >> 16) < PAUSE {
            true => (row & 0xffff) + 1,
            false => 1,
        };
        let counted = row.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |row| {
            Some((now << 16) | (count(row) % IN_A_ROW))
        });
        counted.is_ok_and(|before| count(before) == IN_A_ROW)
    }

    fn place(&self, source: IpAddr) -> usize {
        self.key.hash_one(network(source)) as usize % BUCKETS
    }
}

/// The part of an address that its owner can't change at will: beyond the local network whoever has an address of IPv6 has all
/// of its last 64 bits (RFC 6177); within it the neighbours share the others.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V6(v6) if !super::is_near(source) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        all => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const ANYBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_bucket_is_full_then_empty_then_fills() {
        // Those that a second can be divided by; others are rounded up by some answers at the most.
        for rate in [1, 4, 1_000, 1_000_000] {
            let rates = Rates::new(rate);
            let burst = (0..).take_while(|_| rates.take(ANYBODY, Duration::ZERO)).count();
            assert_eq!(burst, rate as usize);
            let one = Duration::from_nanos(AHEAD / u64::from(rate));
            assert!(!rates.take(ANYBODY, one - Duration::from_nanos(1)));
            assert!(rates.take(ANYBODY, one));
            assert!(!rates.take(ANYBODY, one));
            // However long nobody asked, no more than a burst.
            let later = one + Duration::from_secs(3_600);
            assert_eq!((0..).take_while(|_| rates.take(ANYBODY, later)).count(), burst);
        }
    }

    #[test]
    fn neighbours_are_told_apart_and_strangers_by_their_network() {
        let network = |text: &str| network(text.parse().expect(text)).to_string();
        for (source, counted) in [
            ("192.0.2.1", "192.0.2.1"),
            ("fe80::1:2", "fe80::1:2"),
            ("fd00::1:2", "fd00::1:2"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(source), counted);
        }
    }

    #[test]
    fn the_end_of_time_is_no_trouble() {
        let rates = Rates::new(1);
        assert!(rates.take(ANYBODY, Duration::MAX));
        assert!(!rates.take(ANYBODY, Duration::MAX));
    }

    #[test]
    fn one_of_many_without_a_pause_is_the_last() {
        let rates = Rates::new(1);
        // A row begins with the first one, and with the first after the last of another.
        for _ in 0..3 {
            for number in 1..=IN_A_ROW {
                let now = Duration::from_millis(number / 100);
                assert_eq!(rates.may_loop(ANYBODY, now), number == IN_A_ROW, "{number}");
            }
        }
        let often = |millis: u64| {
            let rates = Rates::new(1);
            let times = 1..=2 * IN_A_ROW;
            times
                .filter(|number| rates.may_loop(ANYBODY, Duration::from_millis(number * millis)))
                .count()
        };
        assert_eq!((often(PAUSE - 1), often(PAUSE), often(1_000)), (2, 0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever sources are forged beside it and whenever, one source gets no more than the rate and a burst.
        #[test]
        fn nobody_escapes_by_forging_others(
            rate in 1..50_u32,
            steps in proptest::collection::vec((0..200_u64, 0..30_000_u32, 1..20_usize), 1..300),
        ) {
            let rates = Rates::new(rate);
            let (mut now, mut given) = (Duration::ZERO, 0);
            for (passed, other, asked) in steps {
                now += Duration::from_millis(passed);
                rates.take(IpAddr::V4(Ipv4Addr::from_bits(other)), now);
                given += (0..asked).filter(|_| rates.take(ANYBODY, now)).count() as u64;
            }
            let most = u64::from(rate) + u64::from(rate) * now.as_millis() as u64 / 1_000 + 1;
            prop_assert!(given <= most, "{given} of {most}");
            prop_assert_eq!(rates.full_at.len(), BUCKETS);
        }
    }
}
