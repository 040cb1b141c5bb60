//! One measurement: a server, a case, once.

use super::cores::Cores;
use super::plan::{Case, Contestant, Kind, Plan};
use super::proc;
use super::server::Server;
use sockeye::Endpoint;
use sockeye_services::load::{self, Failures, Observer, Outcome, PacketCounts};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Fewer connections say nothing about memory: a server's first buffers are not its connections'.
const MEANINGFUL: usize = 16;

/// The figures of one measurement.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) requests: u64,
    pub(super) elapsed: Duration,
    /// Requests and bytes per second.
    pub(super) rate: f64,
    pub(super) bytes_rate: f64,
    /// Seconds: half, 90 %, 99 %, 99.9 % and all of the messages took no longer.
    pub(super) latency: [f64; 5],
    /// Seconds of the server's CPU time for a request.
    pub(super) cpu: Option<f64>,
    /// Bytes that the server grew by for a connection.
    pub(super) memory: Option<f64>,
    /// Cores' worth of time that the load itself took.
    pub(super) load: f64,
    /// Cores' worth of time that programs took that have nothing to do with this.
    pub(super) others: f64,
    pub(super) failures: Failures,
    pub(super) packets: Option<PacketCounts>,
}

/// The shares of messages whose latency is told; 1 is the greatest.
pub(super) const SHARES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

/// What came of a measurement.
pub(super) enum Measured {
    Sample(Box<Sample>),
    /// It could not be: the model is not for this machine, or not for this case.
    Skipped(String),
    /// The server did not start, or ended.
    Failed(String),
    Interrupted,
}

pub(super) fn measure(
    plan: &Plan,
    contestant: &Contestant,
    case: Case,
    cores: Option<&Cores>,
    stop: &AtomicBool,
) -> Measured {
    if let Some(why) = plan.impossible(contestant, case) {
        return Measured::Skipped(why);
    }
    let stopped = || stop.load(Ordering::Relaxed);
    if let Kind::Running(endpoint) = &contestant.kind {
        return match put_load(plan, case, endpoint, &Meter::new(None, stop)) {
            Ok(sample) => Measured::Sample(sample),
            Err(error) => Measured::Failed(error.to_string()),
        };
    }
    let mut server = match Server::start(plan, contestant, cores, stopped) {
        Ok(server) => server,
        Err(_) if stopped() => return Measured::Interrupted,
        // Models of our own that do not start are those that the kernel forbids, and they say so.
        Err(error) if matches!(contestant.kind, Kind::Own(_)) => {
            return Measured::Skipped(format!("{error:#}"));
        }
        Err(error) => return Measured::Failed(format!("{error:#}")),
    };
    let meter = Meter::new(Some(server.pid()), stop);
    let measured = put_load(plan, case, server.endpoint(), &meter);
    match (measured, server.ended()) {
        (_, _) if stopped() && !meter.is_enough(plan) => Measured::Interrupted,
        (_, Some(why)) => Measured::Failed(format!("{} {why}", contestant.name)),
        (Ok(sample), None) => Measured::Sample(sample),
        (Err(error), None) => Measured::Failed(error.to_string()),
    }
}

fn put_load(plan: &Plan, case: Case, endpoint: &Endpoint, meter: &Meter<'_>) -> sockeye::Result<Box<Sample>> {
    let load = plan.load(case, endpoint.clone())?;
    let outcome = load::run(&load, meter)?;
    Ok(Box::new(meter.sample(&outcome)))
}

/// Reads the meters of the server when the load says so.
struct Meter<'a> {
    server: Option<u32>,
    stop: &'a AtomicBool,
    readings: Mutex<Readings>,
}

#[derive(Clone, Copy, Default)]
struct Readings {
    /// Bytes: without connections, and with all of them.
    memory: [u64; 2],
    /// CPU time of the server, of this process and of the whole machine when the window began, and what each used in it.
    began: [Duration; 3],
    used: [Duration; 3],
    window: Duration,
}

impl<'a> Meter<'a> {
    fn new(server: Option<u32>, stop: &'a AtomicBool) -> Self {
        let mut readings = Readings::default();
        if let Some(pid) = server {
            readings.memory[0] = proc::memory(&proc::family(pid));
        }
        Meter {
            server,
            stop,
            readings: Mutex::new(readings),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Readings)) {
        change(&mut self.readings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn readings(&self) -> Readings {
        *self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what an interrupt left is worth telling.
    fn is_enough(&self, plan: &Plan) -> bool {
        self.readings().window >= plan.window / 2
    }

    /// CPU times of the server, of this process and of the whole machine.
    fn times(&self) -> [Duration; 3] {
        let own = proc::cpu(&[std::process::id()]);
        let server = self
            .server
            .map_or(Duration::ZERO, |pid| proc::cpu(&proc::family(pid)));
        [server, own, proc::machine()]
    }

    fn sample(&self, outcome: &Outcome) -> Sample {
        let Readings { memory, used, .. } = self.readings();
        let window = outcome.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let per_second = |used: Duration| {
            if outcome.requests > 0 {
                used.as_secs_f64() / window
            } else {
                0.0
            }
        };
        let counted = self.server.is_some() && outcome.requests > 0;
        let grown = memory[1].saturating_sub(memory[0]) as f64;
        let meaningful = outcome.connections >= MEANINGFUL && outcome.packets.is_none();
        Sample {
            requests: outcome.requests,
            elapsed: outcome.elapsed,
            rate: outcome.rate(),
            bytes_rate: outcome.bytes_rate(),
            latency: SHARES.map(|share| match share < 1.0 {
                true => outcome.latency.quantile(share).as_secs_f64(),
                false => outcome.latency.max().as_secs_f64(),
            }),
            cpu: counted.then(|| used[0].as_secs_f64() / outcome.requests as f64),
            memory: (counted && meaningful).then(|| grown / outcome.connections as f64),
            others: per_second(used[2].saturating_sub(used[0] + used[1])),
            load: per_second(used[1]),
            failures: outcome.failures.clone(),
            packets: outcome.packets,
        }
    }
}

impl Observer for Meter<'_> {
    fn begin(&self) {
        let times = self.times();
        self.change(|readings| readings.began = times);
    }

    fn end(&self, window: Duration) {
        let times = self.times();
        let memory = self.server.map_or(0, |pid| proc::memory(&proc::family(pid)));
        self.change(|readings| {
            readings.used = std::array::from_fn(|who: usize| times[who].saturating_sub(readings.began[who]));
            readings.memory[1] = memory;
            readings.window = window;
        });
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
