//! Asking where questions and answers get lost: when to ask again, and when to stop waiting.
//!
//! Over UDP nobody says that no answer will come. So a question is asked a few times, each time with twice the patience of
//! the time before (RFC 8085, section 3.1.1), until the first answer comes or all the time is over. After the first answer the question
//! is known to have arrived, and is not asked again: what is waited for then is further answers, or silence.

use std::num::NonZeroUsize;
use std::time::Duration;

/// The most times that a question is asked: each waits twice as long as the one before, so that of twenty the first has a
/// millionth of the time.
pub const MAX_TRIES: u32 = 20;

/// How a question is asked, and when enough has been heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long the first answer is waited for, all tries together; without [`silence`](Self::silence) it is the time for
    /// all answers.
    pub timeout: Duration,
    /// How often the question is asked at the most, from 1 to [`MAX_TRIES`]; what is beyond counts as the nearer of them.
    pub tries: u32,
    /// So many answers are enough; `None` takes all until silence or the end of time.
    pub answers: Option<NonZeroUsize>,
    /// After an answer, so much time without another one is the end.
    pub silence: Option<Duration>,
}

/// One answer, within 3 seconds, asked for 3 times: after 0, 0.43 and 1.29 seconds.
impl Default for Policy {
    fn default() -> Self {
        Policy {
            timeout: Duration::from_secs(3),
            tries: 3,
            answers: Some(NonZeroUsize::MIN),
            silence: None,
        }
    }
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask, for the first time or again.
    Ask,
    /// Wait for an answer until this time.
    Wait(Duration),
    /// It is over.
    Stop(End),
}

/// Why it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All wanted answers are there.
    Enough,
    /// There were answers, and then silence.
    Silence,
    /// The time is over: with fewer answers than wanted, perhaps none.
    TimedOut,
}

/// A question on its way. Time is what has passed since any start, the same one for all calls.
///
/// ```
/// use sockeye_proto::ask::{Asking, End, Policy, Step};
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs_f64;
/// let mut asking = Asking::new(Policy { timeout: seconds(7.0), ..Policy::default() });
/// assert_eq!(asking.step(seconds(0.0)), Step::Ask);
/// assert_eq!(asking.step(seconds(0.0)), Step::Wait(seconds(1.0)));
/// assert_eq!(asking.step(seconds(1.0)), Step::Ask);
/// assert_eq!(asking.step(seconds(1.5)), Step::Wait(seconds(3.0)));
/// asking.answered(seconds(2.0));
/// assert_eq!(asking.step(seconds(2.0)), Step::Stop(End::Enough));
/// assert_eq!((asking.asked(), asking.answers()), (2, 1));
/// ```
#[derive(Debug, Clone)]
pub struct Asking {
    policy: Policy,
    asked: u32,
    answers: usize,
    /// When the last answer came.
    heard: Duration,
}

impl Asking {
    /// A question that nobody has been asked yet.
    pub fn new(policy: Policy) -> Self {
        let tries = policy.tries.clamp(1, MAX_TRIES);
        Asking {
            policy: Policy { tries, ..policy },
            asked: 0,
            answers: 0,
            heard: Duration::ZERO,
        }
    }

    /// What to do now. Each [`Step::Ask`] counts as done.
    pub fn step(&mut self, now: Duration) -> Step {
        if self
            .policy
            .answers
            .is_some_and(|enough| self.answers >= enough.get())
        {
            return Step::Stop(End::Enough);
        }
        if self.answers > 0 {
            let (until, end) = match self.policy.silence {
                Some(silence) => (self.heard.saturating_add(silence), End::Silence),
                None => (self.policy.timeout, End::TimedOut),
            };
            return match now < until {
                true => Step::Wait(until),
                false => Step::Stop(end),
            };
        }
        let next = self.due(self.asked);
        if now < next {
            return Step::Wait(next);
        }
        if self.asked == self.policy.tries {
            return Step::Stop(End::TimedOut);
        }
        self.asked += 1;
        Step::Ask
    }

    /// An answer has come.
    pub fn answered(&mut self, now: Duration) {
        self.answers += 1;
        self.heard = now;
    }

    /// How often the question has been asked.
    pub fn asked(&self) -> u32 {
        self.asked
    }

    /// How many answers have come.
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// When the question is asked again after so many times, or, after the last, when it has been in vain: the waits double,
    /// and fill the time.
    fn due(&self, asked: u32) -> Duration {
        let parts = |tries: u32| 2_f64.powi(tries.cast_signed()) - 1.0;
        match asked == self.policy.tries {
            true => self.policy.timeout,
            false => self
                .policy
                .timeout
                .mul_f64(parts(asked) / parts(self.policy.tries)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// When it asks, and how it ends, if answers come at these times.
    fn course(policy: Policy, answers: &[u64]) -> (Vec<u64>, End, Duration) {
        let mut asking = Asking::new(policy);
        let (mut now, mut asked) = (Duration::ZERO, Vec::new());
        let mut coming = answers.iter().map(|at| millis(*at)).peekable();
        loop {
            match asking.step(now) {
                Step::Ask => asked.push(u64::try_from(now.as_millis()).expect("soon")),
                Step::Wait(until) => {
                    assert!(until > now, "a wait has an end");
                    match coming.next_if(|at| *at < until) {
                        Some(at) => {
                            now = at;
                            asking.answered(now);
                        }
                        None => now = until,
                    }
                }
                Step::Stop(end) => return (asked, end, now),
            }
        }
    }

    const ONE: Policy = Policy {
        timeout: millis(7000),
        tries: 3,
        answers: Some(NonZeroUsize::MIN),
        silence: None,
    };

    #[test]
    fn the_waits_double_and_fill_the_time() {
        assert_eq!(
            course(ONE, &[]),
            (vec![0, 1000, 3000], End::TimedOut, millis(7000))
        );
        let once = Policy { tries: 0, ..ONE };
        assert_eq!(course(once, &[]), (vec![0], End::TimedOut, millis(7000)));
        let often = Policy {
            tries: u32::MAX,
            ..ONE
        };
        let (asked, end, at) = course(often, &[]);
        assert_eq!((asked.len(), end, at), (20, End::TimedOut, millis(7000)));
    }

    #[test]
    fn the_first_answer_ends_the_asking() {
        assert_eq!(course(ONE, &[1500]), (vec![0, 1000], End::Enough, millis(1500)));
        let three = Policy {
            answers: NonZeroUsize::new(3),
            ..ONE
        };
        let (asked, end, at) = course(three, &[500, 600, 6000]);
        assert_eq!((asked, end, at), (vec![0], End::Enough, millis(6000)));
        assert_eq!(course(three, &[500, 600]), (vec![0], End::TimedOut, millis(7000)));
    }

    #[test]
    fn silence_is_counted_from_the_last_answer() {
        let all = Policy {
            answers: None,
            silence: Some(millis(800)),
            ..ONE
        };
        assert_eq!(course(all, &[]).1, End::TimedOut);
        let (asked, end, at) = course(all, &[500, 1200, 1900, 9000]);
        assert_eq!((asked, end, at), (vec![0], End::Silence, millis(2700)));
        // An answer that comes late may have its silence after the time for the first.
        assert_eq!(
            course(all, &[6900]),
            (vec![0, 1000, 3000], End::Silence, millis(7700))
        );
        let two = Policy {
            answers: NonZeroUsize::new(2),
            ..all
        };
        assert_eq!(course(two, &[500, 600]).1, End::Enough);
        assert_eq!(course(two, &[500]).1, End::Silence);
    }
}
