//! When the machine has no more to give, a server goes on with what it has.

use super::behaviours;
use crate::client::{exchange, expect_no_more};
use crate::served::Served;
use crate::spec::Spec;
use socket2::Socket;
use sockeye::Model;

behaviours![descriptors_run_out_and_the_server_goes_on];

/// More than the server has descriptors for.
const CLIENTS: usize = 60;
const DESCRIPTORS: usize = 32;

/// The most failures to accept in one idle deadline, at one per 50 ms; a server that spins has thousands.
const FAILURES: usize = 20;
const IDLE: usize = 500;

fn descriptors_run_out_and_the_server_goes_on(model: Model) {
    let spec = Spec::new(model, "echo")
        .with("nofile", DESCRIPTORS)
        .with("idle", IDLE);
    let mut served = Served::of(&spec);
    let before = served.baseline();
    let clients: Vec<Socket> = (0..CLIENTS).map(|_| served.connect()).collect();
    // The first that is given up for its silence is the clock of this test.
    served.wait_for_closed();
    let failures = served.count("event accept-failed");
    assert!(failures <= FAILURES, "{failures} failures to accept: it spins");
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
