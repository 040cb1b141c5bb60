//! When the machine has no more to give, a server goes on with what it has.

use super::behaviours;
use crate::client::{receive, send};
use crate::served::Served;
use crate::spec::Spec;
use socket2::Socket;
use sockeye::Model;
use std::time::{Duration, Instant};

behaviours![descriptors_run_out_and_everybody_is_served];

/// More than the server has descriptors for.
const CLIENTS: usize = 60;
const DESCRIPTORS: usize = 32;

/// How long the server waits after a failure to accept, unless somebody leaves before; one that spins fails thousands of
/// times meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// Enough failures to see a pause between them.
const FAILURES: usize = 4;

fn descriptors_run_out_and_everybody_is_served(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("nofile", DESCRIPTORS));
    let before = served.baseline();
    let began = Instant::now();
    let clients: Vec<Socket> = (0..CLIENTS).map(|_| served.connect()).collect();
    for client in &clients {
        send(client, b"me too");
    }
    // Where each connection has a process, its descriptors are that one's.
    if model.shares_memory() {
        for _ in 0..FAILURES {
            served.wait_for_words("event accept-failed ");
        }
    }
    // Those that leave make room for the others; the last of them has its turn.
    for client in clients {
        assert_eq!(receive(&client, 6), b"me too");
    }
    for _ in 0..CLIENTS {
        assert_eq!(served.wait_for_closed().reason, "finished");
    }
    assert_eq!(served.count("event refused"), 0, "a newcomer could have waited");
    // The time is looked at after the failures, so that a slow machine only allows more of them.
    let failures = served.count("event accept-failed");
    let pauses = began.elapsed().as_millis() / PAUSE.as_millis() + 1;
    let allowed = usize::try_from(pauses).expect("a test's length") + CLIENTS;
    assert!(
        failures <= allowed,
        "{failures} failures to accept, {allowed} allowed: it spins"
    );
    served.expect_back_at(before);
    served.expect_alive();
    served.stop();
    served.join();
}
