//! Many at once.

use super::behaviours;
use crate::client::{exchange, expect_no_more, receive, send};
use crate::dice::Dice;
use crate::served::Served;
use crate::spec::Spec;
use socket2::Socket;
use sockeye::Model;

behaviours![
    many_connections_at_once,
    connections_are_served_by_all_workers,
    descriptors_may_have_any_number,
    newcomers_beyond_the_limit_wait,
    who_looks_again_and_again_misses_nobody,
];

/// How many at once: a process for each costs the machine of the tests more than anything else does.
fn crowd(model: Model) -> usize {
    if model.shares_memory() { 500 } else { 200 }
}

fn many_connections_at_once(model: Model) {
    let mut served = Served::start(model, "echo");
    let before = served.baseline();
    let mut dice = Dice::new(500);
    let clients: Vec<Socket> = (0..crowd(model)).map(|_| served.connect()).collect();
    for _ in 0..2 {
        let words: Vec<Vec<u8>> = clients.iter().map(|_| dice.bytes(1000)).collect();
        for (client, words) in clients.iter().zip(&words) {
            send(client, words);
        }
        for (client, words) in clients.iter().zip(&words).rev() {
            assert!(
                receive(client, words.len()) == *words,
                "another's answer came back"
            );
        }
    }
    let count = clients.len();
    served.wait_for_words(&format!("event opened {} ", 1 + count));
    // That of the baseline only.
    assert_eq!(served.count("event closed"), 1);
    drop(clients);
    for _ in 0..count {
        assert_eq!(served.wait_for_closed().reason, "finished");
    }
    served.expect_back_at(before);
}

fn connections_are_served_by_all_workers(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("workers", 2));
    let clients: Vec<Socket> = (0..64).map(|_| served.connect()).collect();
    for client in clients.iter().chain(clients.iter().rev()) {
        exchange(client, b"whoever serves me");
    }
    served.stop();
    drop(clients);
    served.join();
}

/// A program may have taken all the low ones, for files or for other servers.
fn descriptors_may_have_any_number(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("held", 1100));
    let before = served.baseline();
    for _ in 0..2 {
        let clients: Vec<Socket> = (0..30).map(|_| served.connect()).collect();
        for client in clients.iter().chain(clients.iter().rev()) {
            exchange(client, b"one of many");
        }
        drop(clients);
        for _ in 0..30 {
            assert_eq!(served.wait_for_closed().reason, "finished");
        }
    }
    served.expect_back_at(before);
}

fn newcomers_beyond_the_limit_wait(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("connections", 3));
    let mut early: Vec<Socket> = (0..3).map(|_| served.connect()).collect();
    early.iter().for_each(|client| exchange(client, b"early"));
    let late = served.connect();
    send(&late, b"late");
    early.iter().for_each(|client| exchange(client, b"again"));
    drop(early.pop());
    assert_eq!(receive(&late, 4), b"late");
    served.wait_for_words("event opened 4 ");
    let waited = served.said_in_order("event closed ", "event opened 4 ");
    assert!(waited, "one more than the limit was let in");
    served.stop();
    drop(early);
    expect_no_more(&late);
    served.join();
}

/// What a look has told, and did not take effect yet, is not lost by the next look.
fn who_looks_again_and_again_misses_nobody(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("spin", 50));
    for _ in 0..5 {
        let clients: Vec<Socket> = (0..60).map(|_| served.connect()).collect();
        clients.iter().for_each(|client| send(client, b"one of many"));
        for client in &clients {
            assert_eq!(receive(client, 11), b"one of many");
        }
    }
    served.stop();
    served.join();
}
