//! When a process is killed, whatever it was.

use super::behaviours;
use crate::client::{exchange, expect_no_more, try_connect};
use crate::process_facts::{eventually, family, is_over, kill};
use crate::served::Served;
use crate::spec::Spec;
use sockeye::{Endpoint, Model, Server};
use std::io::ErrorKind;

behaviours![
    a_killed_program_leaves_no_port_and_no_process,
    a_killed_connection_is_told_with_its_bytes,
    a_killed_acceptor_is_told,
    an_acceptors_death_reaches_a_child_that_is_about_to_block,
];

/// Far off: what must not wait for it.
const NEVER: usize = 1_000_000;

fn expect_free(endpoint: &Endpoint) {
    let probe = || try_connect(endpoint).err().map(|error| error.kind());
    eventually("refused", probe, |error| {
        *error == Some(ErrorKind::ConnectionRefused)
    });
    Server::bind(endpoint).expect("nobody has it any more");
}

fn a_killed_program_leaves_no_port_and_no_process(model: Model) {
    let spec = Spec::new(model, "echo").with("beside", true);
    let served = Served::of(&spec.with("drain", NEVER).with("quiet", NEVER));
    let beside = served.beside();
    let clients = [served.connect(), crate::client::connect(&beside)];
    clients.iter().for_each(|client| exchange(client, b"hello"));
    let family = family(served.pid());
    kill(served.pid());
    expect_free(served.endpoint());
    expect_free(&beside);
    if !model.shares_memory() {
        // What was accepted before goes on.
        clients
            .iter()
            .for_each(|client| exchange(client, b"still there?"));
    }
    drop(clients);
    eventually("ended", || family.iter().all(|pid| is_over(*pid)), |over| *over);
}

fn a_killed_connection_is_told_with_its_bytes(model: Model) {
    if model.shares_memory() {
        return; // there is no process to kill but the program's
    }
    let mut served = Served::start(model, "echo");
    let (victim, other) = (served.connect(), served.connect());
    for _ in 0..2 {
        exchange(&victim, b"hello");
    }
    exchange(&other, b"good morning");
    // The program, its acceptor, and a child for each.
    let [_, _, child, _] = family(served.pid())[..] else {
        panic!("another family than expected");
    };
    kill(child);
    expect_no_more(&victim);
    let closed = served.wait_for_closed_of(1);
    assert_eq!(closed.received, 10);
    // Its last answer may have come before it was counted.
    assert!([5, 10].contains(&closed.sent), "{closed:?}");
    assert_eq!(closed.reason, "failed: its process was killed by signal 9");
    exchange(&other, b"I have seen nothing");
    served.expect_alive();
}

fn a_killed_acceptor_is_told(model: Model) {
    if model.shares_memory() {
        return;
    }
    let mut served = Served::of(&Spec::new(model, "echo").with("drain", NEVER).with("quiet", NEVER));
    let client = served.connect();
    exchange(&client, b"hello");
    kill(family(served.pid())[1]);
    let why = "the process that accepts was killed by signal 9";
    assert_eq!(served.wait_for_words("event failed "), why);
    expect_free(served.endpoint());
    // What was accepted before goes on.
    exchange(&client, b"still there?");
    drop(client);
    assert_eq!(served.wait_for_closed().reason, "finished");
    served.tell("join");
    let through = served.wait_for_words("through");
    assert!(through.contains(why), "{through}");
}

fn an_acceptors_death_reaches_a_child_that_is_about_to_block(model: Model) {
    if model.shares_memory() {
        return;
    }
    let mut served = Served::start(model, "brink");
    let client = served.connect();
    assert_eq!(served.wait_for_words("note "), "on the brink");
    kill(family(served.pid())[1]);
    // It drains, and the peer is quiet.
    expect_no_more(&client);
    served.wait_for_closed();
}
