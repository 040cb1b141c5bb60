//! Requests and replies, counted. Times come in as they pass since a beginning of the caller's choosing.

use super::Outcome;
use sockeye_proto::icmp::Echo;
use std::time::Duration;

/// Round trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The shortest.
    pub min: Duration,
    /// Their mean.
    pub avg: Duration,
    /// The longest.
    pub max: Duration,
    /// Their standard deviation, which other programs call `mdev`.
    pub mdev: Duration,
}

/// What a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Reply,
    Duplicate,
    Damaged,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    OnWay,
    Answered,
    Damaged,
    Failed,
}

/// All requests, and what became of them.
pub(super) struct Tally {
    payload: Vec<u8>,
    identifier: u16,
    /// When each was sent, in the order of their numbers, which begin at 1.
    requests: Vec<(Duration, Fate)>,
    duplicated: u32,
    failed: u16,
    /// Of the round trips in seconds: how many, the sum, the sum of their squares, the shortest and the longest.
    trips: u16,
    sums: [f64; 2],
    min: Duration,
    max: Duration,
}

impl Tally {
    /// For requests with this many bytes.
    pub(super) fn new(size: usize, identifier: u16) -> Self {
        Tally {
            payload: (0..size).map(|at| at as u8).collect(),
            identifier,
            requests: Vec::new(),
            duplicated: 0,
            failed: 0,
            trips: 0,
            sums: [0.0; 2],
            min: Duration::MAX,
            max: Duration::ZERO,
        }
    }

    /// How many requests there are, which is the number of the last.
    pub(super) fn count(&self) -> u16 {
        self.requests.len() as u16
    }

    /// One more, which is sent now. There are no more than 65,535.
    pub(super) fn next_request(&mut self, now: Duration) -> Echo<'_> {
        self.requests.push((now, Fate::OnWay));
        Echo {
            reply: false,
            identifier: self.identifier,
            sequence: self.count(),
            payload: &self.payload,
        }
    }

    /// When the last was sent.
    pub(super) fn last_sent(&self) -> Duration {
        self.requests.last().map_or(Duration::ZERO, |(at, _)| *at)
    }

    /// Whether nothing more is to be waited for.
    pub(super) fn is_complete(&self) -> bool {
        self.requests.iter().all(|(_, fate)| *fate != Fate::OnWay)
    }

    /// How long to wait for the last replies: `most` while there was none, then twice the longest round trip, within bounds.
    pub(super) fn patience(&self, most: Duration, least: Duration) -> Duration {
        match self.trips {
            0 => most,
            _ => (self.max * 2).max(least).min(most),
        }
    }

    /// A reply has come; `None` if it is not one to us. `ours` says whether its identifier is the one that we chose.
    pub(super) fn arrived(
        &mut self,
        echo: &Echo<'_>,
        ours: bool,
        now: Duration,
    ) -> Option<(Verdict, Duration)> {
        if !echo.reply || (ours && echo.identifier != self.identifier) {
            return None;
        }
        let damaged = echo.payload != self.payload;
        let (at, fate) = self
            .requests
            .get_mut(usize::from(echo.sequence).checked_sub(1)?)?;
        let took = now.saturating_sub(*at);
        if matches!(fate, Fate::Answered | Fate::Damaged) {
            self.duplicated += 1;
            return Some((Verdict::Duplicate, took));
        }
        if damaged {
            *fate = Fate::Damaged;
            return Some((Verdict::Damaged, took));
        }
        *fate = Fate::Answered;
        self.trips += 1;
        let seconds = took.as_secs_f64();
        self.sums = [self.sums[0] + seconds, self.sums[1] + seconds * seconds];
        (self.min, self.max) = (self.min.min(took), self.max.max(took));
        Some((Verdict::Reply, took))
    }

    /// A request is said not to have arrived; since when it was on its way, unless that is known or it is none of ours, as its
    /// identifier tells where we have chosen that.
    pub(super) fn failed(
        &mut self,
        sequence: u16,
        identifier: Option<u16>,
        now: Duration,
    ) -> Option<Duration> {
        if identifier.is_some_and(|identifier| identifier != self.identifier) {
            return None;
        }
        let (at, fate) = self.requests.get_mut(usize::from(sequence).checked_sub(1)?)?;
        if *fate != Fate::OnWay {
            return None;
        }
        *fate = Fate::Failed;
        self.failed += 1;
        Some(now.saturating_sub(*at))
    }

    fn times(&self) -> Option<Times> {
        let trips = f64::from(self.trips);
        let [mean, square] = self.sums.map(|sum| sum / trips);
        (self.trips > 0).then(|| Times {
            min: self.min,
            avg: Duration::from_secs_f64(mean),
            max: self.max,
            // What is rounded may be a little below 0 where all are the same.
            mdev: Duration::from_secs_f64((square - mean * mean).max(0.0).sqrt()),
        })
    }

    pub(super) fn outcome(&self, raw: bool) -> Outcome {
        let damaged = self.requests.iter().filter(|(_, fate)| *fate == Fate::Damaged);
        Outcome {
            raw,
            sent: self.count(),
            received: self.trips,
            duplicated: self.duplicated,
            damaged: damaged.count() as u16,
            failed: self.failed,
            times: self.times(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn reply(sequence: u16, payload: &[u8]) -> Echo<'_> {
        Echo {
            reply: true,
            identifier: 7,
            sequence,
            payload,
        }
    }

    #[test]
    fn each_request_has_its_fate() {
        let mut tally = Tally::new(2, 7);
        for number in 0..5 {
            let request = tally.next_request(MS * 100 * number);
            assert_eq!(
                (request.sequence, request.payload),
                (number as u16 + 1, &[0, 1][..])
            );
        }
        assert_eq!(tally.patience(MS * 9_000, MS * 1_000), MS * 9_000);
        let right = [0, 1];
        let mut arrives =
            |sequence, payload: &[u8], ms| tally.arrived(&reply(sequence, payload), true, MS * ms);
        assert_eq!(arrives(1, &right, 10), Some((Verdict::Reply, MS * 10)));
        assert_eq!(arrives(1, &right, 12), Some((Verdict::Duplicate, MS * 12)));
        assert_eq!(arrives(3, &right, 230), Some((Verdict::Reply, MS * 30)));
        assert_eq!(arrives(4, &[0, 2], 310), Some((Verdict::Damaged, MS * 10)));
        assert_eq!(arrives(4, &right, 320), Some((Verdict::Duplicate, MS * 20)));
        for stranger in [0, 6, 65_535] {
            assert_eq!(arrives(stranger, &right, 400), None);
        }
        assert_eq!(tally.failed(2, Some(7), MS * 150), Some(MS * 50));
        assert_eq!(tally.failed(2, Some(7), MS * 160), None);
        assert_eq!(tally.failed(1, Some(7), MS * 160), None);
        assert!(!tally.is_complete());
        assert_eq!(tally.failed(5, None, MS * 500), Some(MS * 100));
        assert!(tally.is_complete());
        let outcome = tally.outcome(true);
        let times = Times {
            min: MS * 10,
            avg: MS * 20,
            max: MS * 30,
            mdev: MS * 10,
        };
        let expected = Outcome {
            raw: true,
            sent: 5,
            received: 2,
            duplicated: 2,
            damaged: 1,
            failed: 2,
            times: Some(times),
        };
        assert_eq!((outcome.lost(), outcome), (2, expected));
        assert_eq!(tally.patience(MS * 9_000, MS * 50), MS * 60);
        assert_eq!(tally.patience(MS * 9_000, MS * 1_000), MS * 1_000);
        assert_eq!(tally.patience(MS * 40, MS * 1_000), MS * 40);
    }

    #[test]
    fn what_is_another_s_is_not_counted() {
        let mut tally = Tally::new(0, 7);
        tally.next_request(Duration::ZERO);
        let another = Echo {
            identifier: 8,
            ..reply(1, &[])
        };
        assert_eq!(tally.arrived(&another, true, MS), None);
        // Their request of the same number has come to grief, not ours.
        assert_eq!(tally.failed(1, Some(another.identifier), MS), None);
        let own_request = Echo {
            reply: false,
            ..reply(1, &[])
        };
        assert_eq!(tally.arrived(&own_request, true, MS), None);
        // Where the kernel chooses the identifier it sorts them itself.
        assert_eq!(tally.arrived(&another, false, MS), Some((Verdict::Reply, MS)));
        assert_eq!(tally.outcome(false).lost(), 0);
    }

    #[test]
    fn no_replies_have_no_times() {
        let mut tally = Tally::new(0, 7);
        tally.next_request(Duration::ZERO);
        let outcome = tally.outcome(false);
        assert_eq!((outcome.times, outcome.lost()), (None, 1));
    }
}
