//! How long things took: counted in buckets, each within 1.6 % of the next.

use std::time::Duration;

/// Buckets between a power of two and the next. With 64, a bucket is at most 1/64 of its value wide.
const FINE: u64 = 64;
const FINE_BITS: u32 = FINE.trailing_zeros();
/// Enough for all of `u64`.
const BUCKETS: usize = (u64::BITS - FINE_BITS + 1) as usize * FINE as usize;

/// A log-linear histogram of durations, from a nanosecond to 584 years.
///
/// ```
/// use sockeye_services::load::Histogram;
/// use std::time::Duration;
/// let mut latencies = Histogram::new();
/// for microseconds in 1..=1000 {
///     latencies.add(Duration::from_micros(microseconds), 1);
/// }
/// let median = latencies.quantile(0.5).as_micros();
/// assert!((492..=508).contains(&median), "{median}");
/// assert_eq!(latencies.max(), Duration::from_millis(1));
/// ```
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// With nothing in it.
    pub fn new() -> Self {
        Histogram {
            counts: vec![0; BUCKETS].into_boxed_slice(),
            total: 0,
            max: 0,
        }
    }

    /// Counts a duration as often as it happened.
    pub fn add(&mut self, took: Duration, times: u64) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanoseconds)] += times;
        self.total += times;
        self.max = self.max.max(nanoseconds);
    }

    /// Adds all that another counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.total, self.max) = (0, 0);
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The greatest, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The duration that this share of all did not exceed (0.5: the median), to 1.6 %; zero when nothing was counted.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(middle(index).min(self.max));
            }
        }
        Duration::ZERO
    }
}

fn bucket(value: u64) -> usize {
    let order = (u64::BITS - value.leading_zeros()).saturating_sub(FINE_BITS + 1);
    // The leading bits of the value, in 0..FINE below the first power and in FINE..2×FINE above it.
    let leading = value >> order;
    (u64::from(order) * FINE + leading) as usize
}

/// The middle of a bucket.
fn middle(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * FINE {
        return index;
    }
    let order = index / FINE - 1;
    let low = (index - order * FINE) << order;
    low + (1 << order >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_near_it() {
        for shift in 0..64 {
            for offset in [0, 1, 3] {
                let value = (1u64 << shift) + (offset << shift >> 2);
                let index = bucket(value);
                assert!(index < BUCKETS, "{value}");
                let error = middle(index).abs_diff(value) as f64 / value as f64;
                assert!(error <= 1.0 / FINE as f64, "{value}: {}", middle(index));
            }
        }
        assert!(bucket(u64::MAX) < BUCKETS);
        assert!((1..5_000).all(|value| bucket(value) >= bucket(value - 1)));
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let mut state = 1u64;
        let mut values: Vec<u64> = (0..20_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                1 + (state >> 40) % (1 << (4 + (state >> 33) % 26))
            })
            .collect();
        let mut histogram = Histogram::new();
        for value in &values {
            histogram.add(Duration::from_nanos(*value), 1);
        }
        values.sort_unstable();
        for share in [0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((values.len() as f64 * share).ceil() as usize).max(1);
            let (exact, got) = (
                values[rank - 1] as f64,
                histogram.quantile(share).as_nanos() as f64,
            );
            assert!((got - exact).abs() <= exact / 60.0, "{share}: {got} for {exact}");
        }
        assert_eq!(histogram.max().as_nanos() as u64, *values.last().unwrap());
    }

    #[test]
    fn merged_is_as_if_counted_together() {
        let (mut one, mut other, mut both) = (Histogram::new(), Histogram::new(), Histogram::new());
        for value in 1..1_000 {
            let took = Duration::from_nanos(value * value);
            if value % 3 == 0 { &mut one } else { &mut other }.add(took, value);
            both.add(took, value);
        }
        one.merge(&other);
        assert_eq!((one.total(), one.max()), (both.total(), both.max()));
        assert_eq!(one.quantile(0.99), both.quantile(0.99));
    }

    #[test]
    fn nothing_is_zero() {
        let mut histogram = Histogram::new();
        histogram.add(Duration::from_secs(1), 5);
        histogram.clear();
        assert_eq!(histogram.quantile(0.999), Duration::ZERO);
        assert_eq!((histogram.total(), histogram.max()), (0, Duration::ZERO));
    }
}
