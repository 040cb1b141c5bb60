//! What is counted, and the outcome.

use super::Histogram;
use std::time::Duration;

/// Different causes of failures that are kept; the rest are counted without their words.
const CAUSES: usize = 8;

/// What went wrong, over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Connections that could not be made, broke, or were closed by the server.
    pub errors: u64,
    /// Connections (or packets) that brought other bytes than were sent.
    pub wrong: u64,
    /// Connections that got no answer at all in the measured window.
    pub silent: u64,
    /// Causes in words, each with its number; not more than a few.
    pub causes: Vec<(String, u64)>,
}

impl Failures {
    pub(super) fn error(&mut self, cause: String) {
        self.errors += 1;
        self.name(cause, 1);
    }

    pub(super) fn wrong(&mut self, cause: String) {
        self.wrong += 1;
        self.name(cause, 1);
    }

    fn name(&mut self, cause: String, times: u64) {
        if let Some((_, count)) = self.causes.iter_mut().find(|(known, _)| *known == cause) {
            *count += times;
        } else if self.causes.len() < CAUSES {
            self.causes.push((cause, times));
        }
    }

    fn merge(&mut self, other: Failures) {
        self.errors += other.errors;
        self.wrong += other.wrong;
        self.silent += other.silent;
        for (cause, times) in other.causes {
            self.name(cause, times);
        }
    }
}

/// What became of the packets that were sent in the measured window: each was received, late or lost, or came back damaged and
/// is among [`Failures::wrong`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketCounts {
    /// All of them.
    pub sent: u64,
    /// Answered within the limit of loss.
    pub received: u64,
    /// Not answered, as far as anybody waited.
    pub lost: u64,
    /// Answered after the limit of loss.
    pub late: u64,
    /// Further answers than the first.
    pub duplicated: u64,
    /// Of those received: answered after a packet that was sent later.
    pub reordered: u64,
}

impl PacketCounts {
    /// Adds those of others.
    pub fn add(&mut self, other: PacketCounts) {
        self.sent += other.sent;
        self.received += other.received;
        self.lost += other.lost;
        self.late += other.late;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

/// What was measured.
#[derive(Clone)]
pub struct Outcome {
    /// Connections that were made.
    pub connections: usize,
    /// Messages that came back whole and right within the window.
    pub requests: u64,
    /// Bytes that came back right within the window.
    pub bytes: u64,
    /// How long the window was; zero when nobody was ever served, and so nothing was measured.
    pub elapsed: Duration,
    /// From the sending of a message to the last byte of its answer.
    pub latency: Histogram,
    /// What went wrong.
    pub failures: Failures,
    /// Where packets were sent: what became of them.
    pub packets: Option<PacketCounts>,
}

impl Outcome {
    pub(super) fn new() -> Self {
        Outcome {
            connections: 0,
            requests: 0,
            bytes: 0,
            elapsed: Duration::ZERO,
            latency: Histogram::new(),
            failures: Failures::default(),
            packets: None,
        }
    }

    /// Requests per second.
    pub fn rate(&self) -> f64 {
        per_second(self.requests, self.elapsed)
    }

    /// Bytes per second, one way.
    pub fn bytes_rate(&self) -> f64 {
        per_second(self.bytes, self.elapsed)
    }

    /// Whether something was measured and nothing went wrong. Lost packets are no fault of anybody.
    pub fn is_clean(&self) -> bool {
        let Failures {
            errors,
            wrong,
            silent,
            ..
        } = self.failures;
        self.requests > 0 && errors + wrong + silent == 0
    }

    /// Forgets what was counted before the window. What went wrong stays.
    pub(super) fn restart(&mut self) {
        (self.requests, self.bytes) = (0, 0);
        self.latency.clear();
        self.packets = self.packets.map(|_| PacketCounts::default());
    }

    /// Adds the outcome of another thread, which ran at the same time.
    pub(super) fn merge(&mut self, other: Outcome) {
        self.connections += other.connections;
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.latency.merge(&other.latency);
        self.failures.merge(other.failures);
        if let (Some(all), Some(more)) = (&mut self.packets, other.packets) {
            all.add(more);
        } else {
            self.packets = self.packets.or(other.packets);
        }
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        return 0.0;
    }
    count as f64 / elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_counted_and_not_collected_for_ever() {
        let mut failures = Failures::default();
        (0..1_000).for_each(|number| failures.error(format!("cause {}", number % 20)));
        assert_eq!((failures.errors, failures.causes.len()), (1_000, CAUSES));
        assert_eq!(failures.causes[0], ("cause 0".to_owned(), 50));
    }

    #[test]
    fn threads_add_up() {
        let mut one = Outcome::new();
        (one.requests, one.elapsed) = (100, Duration::from_secs(1));
        let mut other = Outcome::new();
        (other.requests, other.elapsed) = (300, Duration::from_secs(2));
        other.failures.wrong("bytes".to_owned());
        one.merge(other);
        assert_eq!(one.rate(), 200.0);
        assert!(!one.is_clean());
    }

    #[test]
    fn nothing_measured_is_no_rate_and_not_clean() {
        assert_eq!(Outcome::new().rate(), 0.0);
        assert!(!Outcome::new().is_clean());
    }
}
