//! When the machine has no more to give, a server goes on with what it has.

use super::behaviours;
use crate::client::{exchange, expect_no_more};
use crate::served::Served;
use crate::spec::Spec;
use socket2::Socket;
use sockeye::Model;
use std::time::{Duration, Instant};

behaviours![descriptors_run_out_and_the_server_goes_on];

/// More than the server has descriptors for.
const CLIENTS: usize = 60;
const DESCRIPTORS: usize = 32;

/// How long the server waits after a failure to accept, unless somebody leaves before; one that spins fails thousands of
/// times meanwhile.
const PAUSE: Duration = Duration::from_millis(50);
const IDLE: usize = 500;

fn descriptors_run_out_and_the_server_goes_on(model: Model) {
    let spec = Spec::new(model, "echo")
        .with("nofile", DESCRIPTORS)
        .with("idle", IDLE);
    let mut served = Served::of(&spec);
    let before = served.baseline();
    let began = Instant::now();
    let clients: Vec<Socket> = (0..CLIENTS).map(|_| served.connect()).collect();
    // The first that is given up for its silence is the clock of this test.
    served.wait_for_closed();
    let failures = served.count("event accept-failed");
    // Both are looked at after the failures, so that a slow machine only allows more of them.
    let pauses = began.elapsed().as_millis() / PAUSE.as_millis() + 1;
    let allowed = usize::try_from(pauses).expect("a test's length") + served.count("event closed");
    assert!(
        failures <= allowed,
        "{failures} failures to accept, {allowed} allowed: it spins"
    );
    if model.shares_memory() {
        let short = failures + served.count("event refused");
        assert!(short > 0, "{CLIENTS} clients were not too many");
    }
    // Those that are given up make room for the others; the last of them has its turn.
    clients.iter().for_each(expect_no_more);
    drop(clients);
    served.expect_back_at(before);
    exchange(&served.connect(), b"room again");
    served.stop();
    served.join();
}
