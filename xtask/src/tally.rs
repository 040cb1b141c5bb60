//! Counting what the test runners say: nextest's `Summary` line and libtest's `test result:` lines.

use std::fmt;

/// How many tests did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// How many were run.
    pub(crate) fn run(&self) -> u64 {
        self.passed + self.failed
    }

    /// Adds what a line of nextest's output counts, if it does:
    /// `Summary [ 1.2s] 12 tests run: 11 passed (1 slow), 1 timed out, 3 skipped`.
    pub(crate) fn add_nextest(&mut self, line: &str) {
        let plain = without_colours(line);
        let Some(counts) = plain.trim_start().strip_prefix("Summary [") else {
            return;
        };
        let Some((_, counts)) = counts.split_once(" run: ") else {
            return;
        };
        for count in without_brackets(counts).split(',') {
            self.add(count, "passed", "skipped");
        }
    }

    /// Adds what a line of libtest's (or libtest-mimic's) output counts, if it does:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s`.
    pub(crate) fn add_libtest(&mut self, line: &str) {
        let plain = without_colours(line);
        let Some(counts) = plain.trim_start().strip_prefix("test result: ") else {
            return;
        };
        let Some((_, counts)) = counts.split_once(". ") else {
            return;
        };
        for count in counts
            .split(';')
            .filter(|c| ["passed", "failed", "ignored"].iter().any(|w| c.ends_with(w)))
        {
            self.add(count, "passed", "ignored");
        }
    }

    /// `N word`: neither passed nor skipped is failed, for nextest has many words for that.
    fn add(&mut self, count: &str, passed: &str, skipped: &str) {
        let Some((number, word)) = count.trim().split_once(' ') else {
            return;
        };
        let Ok(number) = number.parse::<u64>() else { return };
        match word.trim() {
            w if w == passed => self.passed += number,
            w if w == skipped => self.skipped += number,
            _ => self.failed += number,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Without the escape sequences `ESC [ … m`.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, text)| text));
    }
    plain
}

/// Without what stands in round brackets.
fn without_brackets(text: &str) -> String {
    let mut depth = 0;
    let mut outside = String::new();
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            c if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    outside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nextest(lines: &[&str]) -> String {
        let mut tally = Tally::default();
        lines.iter().for_each(|l| tally.add_nextest(l));
        tally.to_string()
    }

    fn libtest(lines: &[&str]) -> String {
        let mut tally = Tally::default();
        lines.iter().for_each(|l| tally.add_libtest(l));
        tally.to_string()
    }

    #[test]
    fn nextest_summaries() {
        assert_eq!(
            nextest(&["     Summary [   0.009s] 3 tests run: 3 passed, 0 skipped"]),
            "3 passed, 0 failed"
        );
        assert_eq!(
            nextest(&["Summary [1.2s] 1 test run: 1 passed, 2 skipped"]),
            "1 passed, 0 failed, 2 skipped"
        );
        let many = "Summary [ 9s] 7/9 tests run: 3 passed (1 slow, 1 flaky), 1 failed, 2 timed out, 1 exec failed, 4 skipped";
        assert_eq!(nextest(&[many]), "3 passed, 4 failed, 4 skipped");
    }

    #[test]
    fn a_coloured_summary_counts_the_same() {
        let line = "\x1b[32;1m     Summary\x1b[0m [   0.1s] \x1b[1m2\x1b[0m tests run: \x1b[1m2\x1b[0m \x1b[32;1mpassed\x1b[0m, \x1b[1m0\x1b[0m \x1b[33;1mskipped\x1b[0m";
        assert_eq!(nextest(&[line]), "2 passed, 0 failed");
    }

    #[test]
    fn libtest_results_add_up() {
        let ok =
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s";
        let bad = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            libtest(&[ok, bad, "running 3 tests"]),
            "4 passed, 2 failed, 1 skipped"
        );
    }

    #[test]
    fn a_test_that_prints_a_result_under_nextest_is_not_counted() {
        assert_eq!(
            nextest(&["test result: ok. 3 passed; 0 failed; 1 ignored"]),
            "0 passed, 0 failed"
        );
    }
}
