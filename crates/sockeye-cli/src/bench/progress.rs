//! How far it is, on standard error: one line that changes on a terminal, a line for each measurement elsewhere, and
//! nothing elsewhere when a program reads the results.

use super::figures::{NONE, count, time};
use super::measure::Sample;
use super::plan::{Case, Contestant, Plan};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

enum Way {
    Line,
    Lines,
    Silent,
}

pub(super) struct Progress {
    way: Way,
    rounds: usize,
    total: usize,
    done: usize,
    /// Measurements that took time, and how long they took.
    measured: u32,
    spent: Duration,
    started: Instant,
    begun: Instant,
    now: String,
}

impl Progress {
    pub(super) fn new(plan: &Plan, json: bool) -> Self {
        let way = match (io::stderr().is_terminal(), json) {
            (true, _) => Way::Line,
            (false, false) if plan.measurements() > 1 => Way::Lines,
            (false, _) => Way::Silent,
        };
        Progress {
            way,
            rounds: plan.rounds,
            total: plan.measurements(),
            done: 0,
            measured: 0,
            spent: Duration::ZERO,
            started: Instant::now(),
            begun: Instant::now(),
            now: String::new(),
        }
    }

    /// A measurement begins.
    pub(super) fn begin(&mut self, contestant: &Contestant, case: Case, round: usize) {
        self.begun = Instant::now();
        let name: String = contestant.name.chars().take(32).collect();
        self.now = format!("{name}: {case}, round {}/{}", round + 1, self.rounds);
        let left = match self.measured {
            0 => NONE.to_owned(),
            some => clock(self.spent / some * (self.total - self.done) as u32),
        };
        if let Way::Line = self.way {
            let (done, total) = (self.done + 1, self.total);
            let passed = clock(self.started.elapsed());
            write(&format!(
                "\r\x1b[K[{done}/{total}] {} · {passed} passed, {left} left",
                self.now
            ));
        }
    }

    /// A measurement has ended.
    pub(super) fn end(&mut self, sample: &Sample) {
        self.measured += 1;
        self.spent += self.begun.elapsed();
        self.done += 1;
        if let Way::Lines = self.way {
            let (rate, p99) = (count(sample.rate), time(sample.latency[2]));
            write(&format!(
                "[{}/{}] {}: {rate} requests/s, p99 {p99}\n",
                self.done, self.total, self.now
            ));
        }
    }

    /// A measurement could not be; what of this row is still to come won't be either.
    pub(super) fn given_up(&mut self, why: &str) {
        self.done += 1;
        let line = why.lines().next().unwrap_or_default();
        if let Way::Lines = self.way {
            write(&format!("[{}/{}] {}: {line}\n", self.done, self.total, self.now));
        }
    }

    /// A measurement is left out without a word.
    pub(super) fn passed_over(&mut self) {
        self.done += 1;
    }

    /// Takes the line away, for the results.
    pub(super) fn finish(&self) {
        if let Way::Line = self.way {
            write("\r\x1b[K");
        }
    }
}

/// A terminal that is gone is nobody's failure.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// `1:05`, `1:00:00`.
fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        return format!("{hours}:{minutes:02}:{seconds:02}");
    }
    format!("{minutes}:{seconds:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
        assert_eq!(clock(Duration::from_secs(3600)), "1:00:00");
    }
}
