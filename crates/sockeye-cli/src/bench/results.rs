//! What was measured, over the rounds: medians and spreads.

use super::cores::Cores;
use super::measure::Sample;
use super::plan::{Kind, Plan};
use sockeye_services::load::PacketCounts;

/// The median of some figures, and how far they went apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Spread {
            median: (low + high) / 2.0,
            min,
            max,
        })
    }
}

/// A server in a case.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// By round.
    pub(super) samples: Vec<(usize, Sample)>,
    /// Why it is measured no further.
    pub(super) given_up: Option<String>,
    /// Whether that is a failure, and not a combination that can't be.
    pub(super) failed: bool,
}

impl Row {
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }

    pub(super) fn spread(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|(_, sample)| figure(sample)))
    }

    pub(super) fn rate(&self) -> Option<Spread> {
        self.spread(|sample| Some(sample.rate))
    }

    pub(super) fn latency(&self, which: usize) -> Option<Spread> {
        self.spread(|sample| Some(sample.latency[which]))
    }

    pub(super) fn cpu(&self) -> Option<Spread> {
        self.spread(|sample| sample.cpu)
    }

    pub(super) fn memory(&self) -> Option<Spread> {
        self.spread(|sample| sample.memory)
    }

    /// A count of something that went wrong, over all rounds.
    pub(super) fn sum(&self, count: impl Fn(&Sample) -> u64) -> u64 {
        self.samples.iter().map(|(_, sample)| count(sample)).sum()
    }

    /// What became of datagrams, over all rounds; `None` where there were none.
    pub(super) fn packets(&self) -> Option<PacketCounts> {
        let each = self.samples.iter().filter_map(|(_, sample)| sample.packets);
        each.reduce(|mut all, more| {
            all.add(more);
            all
        })
    }

    /// What went wrong, in a few words; empty when nothing did.
    pub(super) fn trouble(&self) -> String {
        let packets = self.packets().unwrap_or_default();
        let counts = [
            (self.sum(|sample| sample.failures.wrong), "wrong"),
            (self.sum(|sample| sample.failures.errors), "errors"),
            (self.sum(|sample| sample.failures.silent), "silent"),
            (packets.lost, "lost"),
            (packets.late, "late"),
            (packets.duplicated, "doubled"),
            (packets.reordered, "reordered"),
        ];
        let told = counts.iter().filter(|(count, _)| *count > 0);
        told.map(|(count, what)| format!("{count} {what}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The causes of what went wrong, each once.
    pub(super) fn causes(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for (cause, _) in self
            .samples
            .iter()
            .flat_map(|(_, sample)| &sample.failures.causes)
        {
            if !all.contains(&cause.as_str()) {
                all.push(cause);
            }
        }
        all
    }
}

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Results {
    /// By case, then by contestant, in the plan's order.
    rows: Vec<Vec<Row>>,
    pub(super) cores: Option<Cores>,
    pub(super) interrupted: bool,
}

impl Results {
    pub(super) fn new(plan: &Plan, cores: Option<Cores>) -> Self {
        Results {
            rows: vec![vec![Row::default(); plan.contestants.len()]; plan.cases.len()],
            cores,
            interrupted: false,
        }
    }

    pub(super) fn row(&self, case: usize, contestant: usize) -> &Row {
        &self.rows[case][contestant]
    }

    pub(super) fn row_mut(&mut self, case: usize, contestant: usize) -> &mut Row {
        &mut self.rows[case][contestant]
    }

    /// The contestants of a case, in the plan's order.
    pub(super) fn of_case(&self, case: usize) -> &[Row] {
        &self.rows[case]
    }

    /// Requests per second of a contestant divided by those of the case's best, each round by itself.
    pub(super) fn ratio(&self, case: usize, contestant: usize) -> Option<Spread> {
        let median = |row: &&Row| row.rate().map_or(0.0, |rate| rate.median);
        let best = self.rows[case]
            .iter()
            .max_by(|a, b| median(a).total_cmp(&median(b)))?;
        let of_round = |round| {
            best.samples
                .iter()
                .find(|(r, _)| *r == round)
                .map(|(_, s)| s.rate)
        };
        let row = self.row(case, contestant);
        let ratios = row.samples.iter().filter_map(|(round, sample)| {
            of_round(*round)
                .filter(|best| *best > 0.0)
                .map(|best| sample.rate / best)
        });
        Spread::of(ratios)
    }

    /// The greatest share of a core's time that the load itself took, over a case.
    pub(super) fn load(&self, case: usize) -> f64 {
        let rows = self.rows[case]
            .iter()
            .filter_map(|row| row.spread(|sample| Some(sample.load)));
        rows.map(|load| load.median).fold(0.0, f64::max)
    }

    /// The greatest share of a core's time that strangers took, over a case.
    pub(super) fn others(&self, case: usize) -> f64 {
        let rows = self.rows[case]
            .iter()
            .filter_map(|row| row.spread(|sample| Some(sample.others)));
        rows.map(|others| others.median).fold(0.0, f64::max)
    }

    /// Whether the run as a whole failed: wrong bytes, broken connections, a server that ended, nothing measured. That a
    /// model starves some of many connections is a result and no failure; of the one server that was named, it is one.
    pub(super) fn failed(&self, plan: &Plan) -> bool {
        let bad = |contestant: usize, row: &Row| {
            let strict = matches!(plan.contestants[contestant].kind, Kind::Running(_));
            row.failed
                || row.samples.iter().any(|(_, sample)| {
                    let failures = &sample.failures;
                    let silent = if strict { failures.silent } else { 0 };
                    failures.errors + failures.wrong + silent > 0 || sample.requests == 0
                })
        };
        let nothing = self.rows.iter().flatten().all(|row| row.samples.is_empty());
        let rows = self.rows.iter().flat_map(|rows| rows.iter().enumerate());
        self.interrupted || nothing || rows.into_iter().any(|(contestant, row)| bad(contestant, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(
            spread(&[3.0, 1.0, 9.0]),
            Some(Spread {
                median: 3.0,
                min: 1.0,
                max: 9.0
            })
        );
        assert_eq!(spread(&[4.0, 1.0]).unwrap().median, 2.5);
    }

    #[test]
    fn trouble_is_told_by_kind() {
        let mut row = Row::default();
        assert_eq!(row.trouble(), "");
        let mut sample = Sample::default();
        (sample.failures.wrong, sample.failures.silent) = (2, 1);
        row.samples = vec![(0, sample.clone()), (1, sample)];
        assert_eq!(row.trouble(), "4 wrong, 2 silent");
    }
}
