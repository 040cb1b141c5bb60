//! The results for programs. The form is described in docs/bench.md; fields are added, never changed.

use super::figures::percent;
use super::machine::Machine;
use super::measure::Sample;
use super::plan::{Case, Plan};
use super::results::{Results, Row, Spread};
use anyhow::{Context, Result};
use serde::Serialize;
use sockeye_services::load::PacketCounts;

#[derive(Serialize)]
struct Document<'a> {
    machine: &'a Machine,
    plan: Shape,
    interrupted: bool,
    results: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Shape {
    rounds: usize,
    seconds: f64,
    warm_up_seconds: f64,
    threads: usize,
    workers: usize,
    server_cores: Option<Vec<usize>>,
    load_cores: Option<Vec<usize>>,
}

/// One server in one case.
#[derive(Serialize)]
struct Entry<'a> {
    server: &'a str,
    connections: usize,
    size: usize,
    depth: usize,
    /// Why it was not measured, or no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<&'a str>,
    failed: bool,
    requests_per_second: Option<Figures>,
    ratio_to_best: Option<Figures>,
    p50_us: Option<Figures>,
    p99_us: Option<Figures>,
    p999_us: Option<Figures>,
    cpu_us_per_request: Option<Figures>,
    memory_bytes_per_connection: Option<Figures>,
    /// What became of datagrams, over all rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<Packets>,
    rounds: Vec<Round<'a>>,
}

#[derive(Serialize)]
struct Figures {
    median: f64,
    min: f64,
    max: f64,
}

/// One measurement.
#[derive(Serialize)]
struct Round<'a> {
    round: usize,
    seconds: f64,
    requests: u64,
    requests_per_second: f64,
    bytes_per_second: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    cpu_us_per_request: Option<f64>,
    memory_bytes_per_connection: Option<f64>,
    load_cores_used: f64,
    others_cores_used: f64,
    errors: u64,
    wrong: u64,
    silent: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<Packets>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<Cause<'a>>,
}

#[derive(Serialize)]
struct Packets {
    sent: u64,
    received: u64,
    lost: u64,
    late: u64,
    duplicated: u64,
    reordered: u64,
    /// Of those sent.
    received_percent: f64,
    lost_percent: f64,
    late_percent: f64,
    duplicated_percent: f64,
    reordered_percent: f64,
}

impl From<PacketCounts> for Packets {
    fn from(counts: PacketCounts) -> Self {
        let share = |count| rounded(percent(count, counts.sent));
        Packets {
            sent: counts.sent,
            received: counts.received,
            lost: counts.lost,
            late: counts.late,
            duplicated: counts.duplicated,
            reordered: counts.reordered,
            received_percent: share(counts.received),
            lost_percent: share(counts.lost),
            late_percent: share(counts.late),
            duplicated_percent: share(counts.duplicated),
            reordered_percent: share(counts.reordered),
        }
    }
}

#[derive(Serialize)]
struct Cause<'a> {
    cause: &'a str,
    count: u64,
}

const MICRO: f64 = 1e6;

fn figures(spread: Option<Spread>, unit: f64) -> Option<Figures> {
    spread.map(|spread| Figures {
        median: rounded(spread.median * unit),
        min: rounded(spread.min * unit),
        max: rounded(spread.max * unit),
    })
}

/// To a thousandth: further digits are noise.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

pub(super) fn print(plan: &Plan, machine: &Machine, results: &Results) -> Result<String> {
    let mut entries = Vec::new();
    for (case, shape) in plan.cases.iter().enumerate() {
        for (index, contestant) in plan.contestants.iter().enumerate() {
            let ratio = results.ratio(case, index);
            entries.push(entry(&contestant.name, *shape, results.row(case, index), ratio));
        }
    }
    let cores = results.cores.clone();
    let document = Document {
        machine,
        plan: Shape {
            rounds: plan.rounds,
            seconds: plan.window.as_secs_f64(),
            warm_up_seconds: plan.warm_up.as_secs_f64(),
            threads: plan.threads,
            workers: plan.workers,
            server_cores: cores.as_ref().map(|cores| cores.server.clone()),
            load_cores: cores.map(|cores| cores.load),
        },
        interrupted: results.interrupted,
        results: entries,
    };
    let mut text = serde_json::to_string_pretty(&document).context("write JSON")?;
    text.push('\n');
    Ok(text)
}

fn entry<'a>(server: &'a str, case: Case, row: &'a Row, ratio: Option<Spread>) -> Entry<'a> {
    Entry {
        server,
        connections: case.connections,
        size: case.size,
        depth: case.depth,
        left_out: row.given_up.as_deref(),
        failed: row.failed,
        requests_per_second: figures(row.rate(), 1.0),
        ratio_to_best: figures(ratio, 1.0),
        p50_us: figures(row.latency(0), MICRO),
        p99_us: figures(row.latency(2), MICRO),
        p999_us: figures(row.latency(3), MICRO),
        cpu_us_per_request: figures(row.cpu(), MICRO),
        memory_bytes_per_connection: figures(row.memory(), 1.0),
        packets: row.packets().map(Into::into),
        rounds: row
            .samples
            .iter()
            .map(|(round, sample)| measurement(*round, sample))
            .collect(),
    }
}

fn measurement(round: usize, sample: &Sample) -> Round<'_> {
    let [p50, p90, p99, p999, max] = sample.latency.map(|seconds| rounded(seconds * MICRO));
    let failures = &sample.failures;
    Round {
        round,
        seconds: rounded(sample.elapsed.as_secs_f64()),
        requests: sample.requests,
        requests_per_second: rounded(sample.rate),
        bytes_per_second: rounded(sample.bytes_rate),
        p50_us: p50,
        p90_us: p90,
        p99_us: p99,
        p999_us: p999,
        max_us: max,
        cpu_us_per_request: sample.cpu.map(|seconds| rounded(seconds * MICRO)),
        memory_bytes_per_connection: sample.memory.map(rounded),
        load_cores_used: rounded(sample.load),
        others_cores_used: rounded(sample.others),
        errors: failures.errors,
        wrong: failures.wrong,
        silent: failures.silent,
        packets: sample.packets.map(Into::into),
        causes: failures
            .causes
            .iter()
            .map(|(cause, count)| Cause { cause, count: *count })
            .collect(),
    }
}
