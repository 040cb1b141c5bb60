//! Durable purchases: the shop beside what its database does alone, in the same rounds.

use std::fmt::Write;
use std::sync::Mutex;

use anyhow::{Result, bail};

use super::results::{Run, figure, ratio, read};
use super::{peers, report};
use crate::options::Options;
use crate::step;

/// The word for it after `--what`, and in docs/performance.md.
pub(super) const WHAT: &str = "shop";
const CASE: &str = "c64";
/// The servers by their names in the lines of the measurements.
const OURS: &str = "sockeye-shop";
const BARE: &str = "bare-sqlite";
const FIGURE: &str = "purchases_per_s";

/// Measures, and writes the table.
pub(super) fn measure(options: &Options, facts: &str) -> Result<()> {
    // On the disk where the build is: what a memory's file system calls durable is not.
    let folder = peers::target().join("shop-bench");
    let mut shop = step::program(&peers::sockeye().to_string_lossy());
    shop.args(["shop", "bench", "--folder"]).arg(&folder);
    for (option, name) in [("--rounds", "--rounds"), ("--secs", "--seconds")] {
        if let Some(value) = options.value(option) {
            shop.args([name, value]);
        }
    }
    let lines = Mutex::new(String::new());
    let keep = |line: &str| {
        if line.starts_with('{')
            && let Ok(mut lines) = lines.lock()
        {
            *lines += line;
            lines.push('\n');
        }
    };
    if !step::watch(&mut shop, &keep)? {
        bail!("the measurement of the shop failed");
    }
    let runs = read(&lines.into_inner().unwrap_or_default())?;
    let table = table(&runs);
    println!("\n{table}");
    report::write(WHAT, &format!("{facts}\n\n{table}"))
}

fn table(runs: &[Run]) -> String {
    let mut table = String::from("| customers | purchases/s | database alone | ratio |\n|---|---|---|---|\n");
    let of = |server: &str| report::spread(figure(runs, server, CASE, FIGURE), 0);
    let ratio = report::spread(ratio(runs, OURS, BARE, CASE, FIGURE), 2);
    let _ = writeln!(table, "| 64 | {} | {} | {ratio} |", of(OURS), of(BARE)); // writing to a String can't fail
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_within_a_round() {
        let runs = read(
            r#"{"server":"sockeye-shop","case":"c64","round":0,"purchases_per_s":8000.0}
               {"server":"bare-sqlite","case":"c64","round":0,"purchases_per_s":10000.0}"#,
        )
        .unwrap();
        let row = "| 64 | 8000 (8000..8000) | 10000 (10000..10000) | 0.80 (0.80..0.80) |";
        assert!(table(&runs).contains(row), "{}", table(&runs));
    }
}
