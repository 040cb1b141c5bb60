//! The measurements, and ratios of two servers within a round.

use anyhow::{Context, Result};
use serde_json::Value;

/// One measurement: a server, under a case, in a round.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) server: String,
    pub(super) case: String,
    /// The model that it stood up with, where not all did.
    beside: Option<String>,
    round: u64,
    figures: Value,
}

impl Run {
    /// A figure by its name in the load generator's line, if it was measured.
    fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).and_then(Value::as_f64)
    }
}

/// Reads lines of JSON, an object each.
pub(super) fn read(lines: &str) -> Result<Vec<Run>> {
    let read_one = |line: &str| -> Result<Run> {
        let figures: Value = serde_json::from_str(line)?;
        let word = |name: &str| figures.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Run {
            server: word("server").context("it names no server")?,
            case: word("case").context("it names no case")?,
            beside: word("beside"),
            round: figures
                .get("round")
                .and_then(Value::as_u64)
                .context("it names no round")?,
            figures,
        })
    };
    let lines = lines.lines().filter(|l| !l.trim().is_empty());
    lines
        .map(|line| read_one(line).with_context(|| format!("the result `{line}`")))
        .collect()
}

/// As many values as make quarters worth telling.
const MANY: usize = 9;

/// The median and how far the values spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    /// Where the middle half of many values begins, or the least of a few.
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of these values; none where there are none.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let aside = if values.len() < MANY { 0 } else { values.len() / 4 };
        Some(Self {
            median: f64::midpoint(values[last / 2], values[values.len() / 2]),
            low: values[aside],
            high: values[last - aside],
            max: values[last],
        })
    }
    /// For what is the difference of two clocks and can come out a little below nothing.
    pub(super) fn not_below_zero(self) -> Self {
        Self {
            median: self.median.max(0.0),
            low: self.low.max(0.0),
            high: self.high.max(0.0),
            max: self.max.max(0.0),
        }
    }
}

/// A figure of one server under one case, over the rounds.
pub(super) fn figure(runs: &[Run], server: &str, case: &str, name: &str) -> Option<Spread> {
    Spread::of(of(runs, server, case).filter_map(|r| r.figure(name)).collect())
}

/// The ratio of a figure of `server` to that of `reference`, each within one round, so that what drifts between
/// rounds falls out.
pub(super) fn ratio(runs: &[Run], server: &str, reference: &str, case: &str, name: &str) -> Option<Spread> {
    let pair = |ours: &Run| {
        let theirs = of(runs, reference, case)
            .find(|r| r.round == ours.round)?
            .figure(name)?;
        let ours = ours.figure(name)?;
        (theirs > 0.0 && ours > 0.0).then_some(ours / theirs)
    };
    Spread::of(of(runs, server, case).filter_map(pair).collect())
}

/// The measurements of those that stood up with this model, or with all.
pub(super) fn with_model(runs: &[Run], model: &str) -> Vec<Run> {
    let wanted = |run: &&Run| run.beside.as_deref().is_none_or(|beside| beside == model);
    runs.iter().filter(wanted).cloned().collect()
}

/// The measurements of one server under one case.
pub(super) fn of<'a>(runs: &'a [Run], server: &'a str, case: &'a str) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(move |r| r.server == server && r.case == case)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"
        {"server": "sockeye-spin", "case": "c1", "round": 0, "server_ns_per_req": 110.0, "rps": 9, "note": "a \"b\""}
        {"server": "c-busy", "case": "c1", "round": 0, "server_ns_per_req": 100.0, "rps": 10}
        {"server": "sockeye-spin", "case": "c1", "round": 1, "server_ns_per_req": 300.0, "rps": 3}
        {"server": "c-busy", "case": "c1", "round": 1, "server_ns_per_req": 200.0, "rps": 4}
        {"server": "sockeye-spin", "case": "c1", "round": 2, "errors": 1, "rps": 0}
    "#;

    #[test]
    fn a_ratio_is_within_a_round() {
        let runs = read(LINES).unwrap();
        let ratio = ratio(&runs, "sockeye-spin", "c-busy", "c1", "server_ns_per_req").unwrap();
        assert!(
            (ratio.median - 1.3).abs() < 1e-9
                && (ratio.low - 1.1).abs() < 1e-9
                && (ratio.high - 1.5).abs() < 1e-9
        );
        assert_eq!(
            figure(&runs, "c-busy", "c1", "rps"),
            Some(Spread {
                median: 7.0,
                low: 4.0,
                high: 10.0,
                max: 10.0
            })
        );
        assert_eq!(figure(&runs, "c-busy", "c2", "rps"), None);
    }

    #[test]
    fn of_many_values_the_middle_half_is_told() {
        let values: Vec<f64> = (1..=12).map(f64::from).collect();
        let spread = Spread::of(values).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (4.0, 6.5, 9.0));
        assert_eq!(spread.max, 12.0);
    }

    #[test]
    fn a_reference_is_told_apart_by_the_model_beside_it() {
        let lines = r#"
            {"server": "c-mmsg", "case": "s1d1", "beside": "spin", "round": 0, "rps": 1}
            {"server": "c-mmsg", "case": "s1d1", "beside": "select", "round": 0, "rps": 2}
        "#;
        let runs = with_model(&read(lines).unwrap(), "select");
        assert_eq!(figure(&runs, "c-mmsg", "s1d1", "rps").unwrap().median, 2.0);
    }

    #[test]
    fn a_line_that_is_no_result_is_named() {
        assert!(format!("{:#}", read("{}").err().unwrap()).contains("names no server"));
    }
}
