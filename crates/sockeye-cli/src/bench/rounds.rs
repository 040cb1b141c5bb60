//! All measurements: case by case, and within a case round by round, each server once in each round. What else happens
//! on the machine so hits all servers alike, and the ratios within a round hold though the machine drifts.

use super::cores::Cores;
use super::measure::{Measured, measure};
use super::plan::Plan;
use super::progress::Progress;
use super::results::{Results, Row};
use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Measures everything; after an interrupt, returns what there is.
pub(super) fn run(plan: &Plan, mut progress: Progress) -> Result<Results> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone()).context("wait for signals")?;
    }
    let cores = if plan.pin {
        Cores::share_out(plan.workers, plan.threads)
    } else {
        None
    };
    let mut results = Results::new(plan, cores.clone());
    for case in 0..plan.cases.len() {
        for round in 0..plan.rounds {
            for server in 0..plan.contestants.len() {
                let (contestant, shape) = (&plan.contestants[server], plan.cases[case]);
                let row = results.row_mut(case, server);
                if row.is_given_up() {
                    progress.passed_over();
                    continue;
                }
                progress.begin(contestant, shape, round);
                match measure(plan, contestant, shape, cores.as_ref(), &stop) {
                    Measured::Sample(sample) => {
                        progress.end(&sample);
                        row.samples.push((round, *sample));
                    }
                    Measured::Skipped(why) => give_up(row, &mut progress, why, false),
                    Measured::Failed(why) => give_up(row, &mut progress, why, true),
                    Measured::Interrupted => {}
                }
                if stop.load(Ordering::Relaxed) {
                    results.interrupted = true;
                    progress.finish();
                    return Ok(results);
                }
            }
        }
    }
    progress.finish();
    Ok(results)
}

fn give_up(row: &mut Row, progress: &mut Progress, why: String, failed: bool) {
    progress.given_up(&why);
    row.given_up = Some(why);
    row.failed = failed;
}
