//! The tables of docs/performance.md, between `<!-- bench:WHAT -->` and `<!-- /bench -->`.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::comparisons::{Comparison, Told};
use super::results::{Run, Spread, figure, of, ratio, with_model};
use super::turns::AGAIN;
use crate::step;

const PAGE: &str = "docs/performance.md";
const END: &str = "<!-- /bench -->";

/// The table of what was measured, a row for each case and pair.
pub(super) fn table(comparison: &Comparison, cases: &[&str], runs: &[Run]) -> String {
    let head = match comparison.told {
        Told::Work => {
            "| case | model | beside | CPU per request, ratio | the other's to itself | CPU per request, ns | requests/s, ratio | \
             unserved connections | errors | others' load, cores |\n|---|---|---|---|---|---|---|---|---|---|\n"
        }
        Told::Memory => {
            "| case | model | beside | bytes per connection | of the other | errors |\n|---|---|---|---|---|---|\n"
        }
    };
    let mut table = head.to_owned();
    for case in cases {
        for (model, references) in &comparison.pairs {
            let ours = format!("sockeye-{model}");
            let runs = &with_model(runs, model)[..];
            if of(runs, &ours, case).next().is_none() {
                let _ = writeln!(table, "| {case} | {model} | did not run |");
                continue;
            }
            for reference in *references {
                if of(runs, reference, case).next().is_some() {
                    table += &row(comparison.told, runs, [case, model, &ours, reference]);
                }
            }
            if !references.iter().any(|r| of(runs, r, case).next().is_some()) {
                table += &row(comparison.told, runs, [case, model, &ours, "-"]);
            }
        }
    }
    table
}

/// `case`, `model`, our server's name, the reference's.
fn row(told: Told, runs: &[Run], [case, model, ours, reference]: [&str; 4]) -> String {
    let of_ours = |name: &str| figure(runs, ours, case, name);
    let of_theirs = |name: &str| figure(runs, reference, case, name);
    let both = |f: &dyn Fn(Spread) -> String, name: &str| {
        let told = [of_ours(name), of_theirs(name)].map(|s| s.map_or("-".into(), f));
        if told == ["-", "-"] {
            "-".to_owned()
        } else {
            told.join(" / ")
        }
    };
    let most = |s: Spread| format!("{:.0}", s.max);
    let ratio = |server: &str, name: &str| spread(ratio(runs, server, reference, case, name), 2);
    match told {
        Told::Work => format!(
            "| {case} | {model} | {reference} | {} | {} | {} | {} | {} | {} | {} |\n",
            ratio(ours, "server_ns_per_req"),
            ratio(&format!("{reference}{AGAIN}"), "server_ns_per_req"),
            both(&|s| format!("{:.0}", s.median), "server_ns_per_req"),
            ratio(ours, "rps"),
            both(&most, "silent_conns"),
            both(&most, "errors"),
            spread(of_ours("foreign_util").map(Spread::not_below_zero), 2),
        ),
        Told::Memory => format!(
            "| {case} | {model} | {reference} | {} | {} | {} |\n",
            spread(of_ours("rss_per_conn"), 0),
            spread(of_theirs("rss_per_conn"), 0),
            both(&most, "errors"),
        ),
    }
}

/// `median (low..high)`
pub(super) fn spread(of: Option<Spread>, digits: usize) -> String {
    of.map_or("-".into(), |s| {
        format!("{:.digits$} ({:.digits$}..{:.digits$})", s.median, s.low, s.high)
    })
}

/// When, of what and where it is measured.
pub(super) struct Facts(String);

impl Facts {
    pub(super) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, key: &str| {
            let line = text
                .lines()
                .find(|l| l.starts_with(key))
                .and_then(|l| l.split_once(':'));
            line.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
        };
        let kib: f64 = after(&read("/proc/meminfo"), "MemTotal")
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0.0);
        Facts(format!(
            "Measured {} at commit {}: {} cores of {}, {:.0} GiB of memory, Linux {}",
            said(step::program("date").args(["-u", "+%Y-%m-%d"])),
            said(step::program("git").args(["describe", "--always", "--dirty"])),
            std::thread::available_parallelism().map_or(0, usize::from),
            after(&read("/proc/cpuinfo"), "model name"),
            kib / 1024.0 / 1024.0,
            read("/proc/sys/kernel/osrelease").trim(),
        ))
    }

    /// The line above a table: these, and how long it was measured.
    pub(super) fn with(&self, rounds: &str, secs: &str) -> String {
        format!("{}; {rounds} rounds of {secs} s.", self.0)
    }
}

fn said(command: &mut std::process::Command) -> String {
    let out = command.output().ok().filter(|o| o.status.success());
    out.map_or_else(
        || "unknown".to_owned(),
        |o| String::from_utf8_lossy(&o.stdout).trim().to_owned(),
    )
}

/// Puts the block into its place in docs/performance.md.
pub(super) fn write(what: &str, block: &str) -> Result<()> {
    let path = step::root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("read {PAGE}"))?;
    let page =
        placed(&page, what, block).with_context(|| format!("{PAGE} has no place `<!-- bench:{what} -->`"))?;
    fs::write(&path, page).with_context(|| format!("write {PAGE}"))?;
    println!("written to {PAGE}");
    Ok(())
}

/// The page with `block` between the marker of `what` and the next end.
fn placed(page: &str, what: &str, block: &str) -> Option<String> {
    let marker = format!("<!-- bench:{what} -->");
    let (before, rest) = page.split_once(&marker)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{marker}\n{}\n{END}{after}", block.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::super::{comparisons, results};
    use super::*;

    #[test]
    fn a_block_replaces_the_one_before() {
        let page = "a\n<!-- bench:udp -->\n<!-- /bench -->\n<!-- bench:echo -->\nold\n<!-- /bench -->\nz\n";
        let new = placed(page, "echo", "new\n").unwrap();
        assert_eq!(
            new,
            "a\n<!-- bench:udp -->\n<!-- /bench -->\n<!-- bench:echo -->\nnew\n<!-- /bench -->\nz\n"
        );
        assert_eq!(placed(&new, "echo", "new\n").unwrap(), new);
        assert_eq!(placed(page, "idle", "new"), None);
    }

    #[test]
    fn a_row_for_each_case_and_pair() {
        let comparison = &comparisons::chosen(Some("echo"), Some("spin,select")).unwrap()[0];
        let runs = results::read(
            r#"{"server":"sockeye-spin","case":"c1","round":0,"server_ns_per_req":110,"rps":9,"silent_conns":0,"errors":0,"foreign_util":0.1}
               {"server":"c-busy","case":"c1","round":0,"server_ns_per_req":100,"rps":10,"silent_conns":2,"errors":0}
               {"server":"c-busy again","case":"c1","round":0,"server_ns_per_req":97,"rps":10,"silent_conns":0,"errors":0}"#,
        )
        .unwrap();
        let table = table(comparison, &["c1"], &runs);
        let row = "| c1 | spin | c-busy | 1.10 (1.10..1.10) | 0.97 (0.97..0.97) | 110 / 100 | 0.90 (0.90..0.90) | 0 / 2 | 0 / 0 | 0.10 (0.10..0.10) |";
        assert!(table.contains(row), "{table}");
        assert!(table.contains("| c1 | select | did not run |"), "{table}");
    }
}
