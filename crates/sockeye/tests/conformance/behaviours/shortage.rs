//! When the machine has no more to give, a server goes on with what it has.

use super::behaviours;
use crate::client::{receive, send};
use crate::served::Served;
use crate::spec::Spec;
use socket2::Socket;
use sockeye::Model;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

behaviours![
    descriptors_run_out_and_everybody_is_served,
    processes_run_out_and_each_connection_has_one_story,
];

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

/// Enough for every model to begin, and for a few connections where each has one.
const PROCESSES: usize = 8;
const NEWCOMERS: usize = 12;

/// It is opened and closed, or it is refused; never both.
fn processes_run_out_and_each_connection_has_one_story(model: Model) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can serve as somebody who has no other process");
        return;
    }
    let mut served = Served::of(&Spec::new(model, "echo").with("processes", PROCESSES));
    let clients: Vec<Socket> = (0..NEWCOMERS).map(|_| served.connect()).collect();
    let is_served = |mut client: &Socket| {
        let answered = client.write_all(b"x").and_then(|()| client.read_exact(&mut [0]));
        answered.is_ok()
    };
    let answered = clients.iter().filter(|client| is_served(client)).count();
    assert!(answered > 0, "nobody was served");
    assert_eq!(
        answered < NEWCOMERS,
        !model.has_workers(),
        "{answered} were served"
    );
    drop(clients);
    served.stop();
    served.join();
    let [opened, closed, refused] =
        ["opened", "closed", "refused"].map(|event| served.count(&format!("event {event} ")));
    assert_eq!(
        (opened, opened + refused),
        (closed, NEWCOMERS),
        "{refused} were refused"
    );
}
