//! The table for the terminal: one for each case, the columns under each other.

use super::figures::{NONE, bytes, count, percent, ratio, shortened, time};
use super::plan::{Kind, Plan};
use super::results::{Results, Row, Spread};
use sockeye_services::load::PacketCounts;
use std::fmt::Write;

/// From this share of a core on, the load is what limits the requests per second.
const FULL: f64 = 0.95;

/// Characters of a name that find room.
const NAME: usize = 32;

/// From this many cores' worth of other programs on, the figures are theirs as well.
const NOISY: f64 = 0.1;

/// The columns' heads.
pub(super) const HEADS: [&str; 10] = [
    "server",
    "requests/s",
    "min … max",
    "ratio",
    "p50",
    "p99",
    "p99.9",
    "CPU/request",
    "mem/conn",
    "trouble",
];

/// A row's figures, in the order of [`HEADS`] without the first.
pub(super) fn cells(results: &Results, case: usize, contestant: usize) -> [String; 9] {
    let row = results.row(case, contestant);
    let figure = |spread: Option<Spread>, print: fn(f64) -> String| {
        spread.map_or(NONE.to_owned(), |spread| print(spread.median))
    };
    let rate = row.rate();
    [
        figure(rate, count),
        rate.filter(|_| row.samples.len() > 1)
            .map_or(NONE.to_owned(), |rate| {
                format!("{} … {}", count(rate.min), count(rate.max))
            }),
        figure(results.ratio(case, contestant), ratio),
        figure(row.latency(0), time),
        figure(row.latency(2), time),
        figure(row.latency(3), time),
        figure(row.cpu(), time),
        figure(row.memory(), bytes),
        row.trouble(),
    ]
}

/// Everything for people, in columns; in bold and dim where it is a terminal.
pub(super) fn print(plan: &Plan, results: &Results, terminal: bool) -> String {
    let mut text = String::new();
    let rounds = if plan.rounds == 1 {
        String::new()
    } else {
        format!("{} rounds of ", plan.rounds)
    };
    let window = plan.window.as_secs_f64();
    for (case, shape) in plan.cases.iter().enumerate() {
        let title = format!("{shape} ({rounds}{window} s)");
        let _ = writeln!(text, "{}", styled(&title, "1", terminal));
        let mut rows = vec![HEADS.map(str::to_owned)];
        let mut notes = Vec::new();
        for (index, contestant) in plan.contestants.iter().enumerate() {
            let row = results.row(case, index);
            notes.extend(remarks(&contestant.name, row));
            if !row.samples.is_empty() {
                let mut cells = cells(results, case, index).into_iter();
                let mut next = || cells.next().unwrap_or_default();
                rows.push(std::array::from_fn(|column| match column {
                    0 => shortened(&contestant.name, NAME),
                    _ => next(),
                }));
            }
        }
        if rows.len() > 1 {
            text.push_str(&columns(rows, terminal));
        }
        notes.extend(conditions(plan, results, case));
        for note in notes {
            let _ = writeln!(text, "  {note}");
        }
        text.push('\n');
    }
    if results.interrupted {
        text.push_str("interrupted: this is what there was\n");
    }
    text
}

/// What must be said of a row beside its figures.
pub(super) fn remarks(name: &str, row: &Row) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(why) = &row.given_up {
        let word = if row.failed { "failed" } else { "left out" };
        all.push(format!("{name} {word}: {why}"));
    }
    all.extend(row.packets().map(|counts| format!("{name}: {}", fates(counts))));
    all.extend(row.causes().into_iter().map(|cause| format!("{name}: {cause}")));
    let unserved = row
        .samples
        .iter()
        .any(|(_, sample)| sample.requests == 0 && sample.failures.errors == 0);
    if unserved {
        all.push(format!("{name}: nothing was answered"));
    }
    all
}

/// What became of datagrams.
fn fates(counts: PacketCounts) -> String {
    let one = |count, what| format!("{count} {what} ({:.2} %)", percent(count, counts.sent));
    let each = [
        one(counts.received, "received"),
        one(counts.lost, "lost"),
        one(counts.late, "late"),
        one(counts.duplicated, "doubled"),
        one(counts.reordered, "reordered"),
    ];
    format!("{} datagrams sent: {}", counts.sent, each.join(", "))
}

/// What must be said of a case: who else was busy meanwhile.
pub(super) fn conditions(plan: &Plan, results: &Results, case: usize) -> Vec<String> {
    let mut all = Vec::new();
    let load = results.load(case) / plan.threads as f64;
    let started = plan
        .contestants
        .iter()
        .any(|c| !matches!(c.kind, Kind::Running(_)));
    if !started {
        return all; // the servers that run already look like strangers
    }
    if load >= FULL && plan.contestants.len() > 1 {
        let share = load * 100.0;
        all.push(format!(
            "the load was busy for {share:.0} % of the time: requests/s may be its limit, CPU/request is the server's"
        ));
    }
    let others = results.others(case);
    if others >= NOISY {
        all.push(format!(
            "other programs took {others:.2} cores' worth of time meanwhile: run it again on a quiet machine"
        ));
    }
    all
}

/// Aligns the columns: names to the left, figures to the right.
fn columns<const N: usize>(rows: Vec<[String; N]>, terminal: bool) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    // A column with nothing in it but its head is left out.
    let shown = |column: usize| {
        rows.iter()
            .skip(1)
            .any(|row| !["", NONE].contains(&row[column].as_str()))
    };
    let shown: Vec<(usize, usize)> = (0..N)
        .filter(|column| shown(*column))
        .map(|c| (c, width(c)))
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::from(" ");
        for &(column, width) in &shown {
            let pad = " ".repeat(width - row[column].chars().count());
            let cell = &row[column];
            line += &match column {
                0 => format!(" {cell}{pad}"),
                last if last == N - 1 => format!("  {cell}"),
                _ => format!("  {pad}{cell}"),
            };
        }
        let style = if number == 0 { "2" } else { "" };
        let _ = writeln!(text, "{}", styled(line.trim_end(), style, terminal));
    }
    text
}

/// As the terminal's escape sequence says (ECMA-48, SGR).
fn styled(text: &str, style: &str, terminal: bool) -> String {
    match terminal && !style.is_empty() {
        true => format!("\x1b[{style}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_are_told_with_their_shares() {
        let counts = PacketCounts {
            sent: 400,
            received: 389,
            lost: 10,
            late: 1,
            duplicated: 3,
            reordered: 0,
        };
        assert_eq!(
            fates(counts),
            "400 datagrams sent: 389 received (97.25 %), 10 lost (2.50 %), 1 late (0.25 %), 3 doubled (0.75 %), \
             0 reordered (0.00 %)"
        );
    }

    #[test]
    fn columns_stand_under_each_other_and_empty_ones_are_left_out() {
        let rows = [
            ["server", "p50", "cpu", "trouble"],
            ["a", "5.00 µs", "–", ""],
            ["longer", "1 s", "–", "2 lost"],
        ];
        let text = columns(rows.map(|row| row.map(str::to_owned)).to_vec(), false);
        assert_eq!(
            text,
            "  server      p50  trouble\n  a       5.00 µs\n  longer      1 s  2 lost\n"
        );
    }
}
