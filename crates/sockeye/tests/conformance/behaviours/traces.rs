//! A server that has served many has no more than before.

use super::behaviours;
use crate::client::{end_writing, exchange, receive_to_end};
use crate::process_facts::{cpu_time, memory};
use crate::served::Served;
use crate::spec::Spec;
use sockeye::Model;

behaviours![thousands_of_connections_leave_nothing, an_idle_server_rests,];

/// What the allocator may keep for itself between two thousand connections and the next: pages, not connections.
const SLACK: u64 = 1 << 20;

fn a_thousand(served: &mut Served) {
    for _ in 0..1000 {
        let client = served.connect();
        exchange(&client, b"hello and goodbye");
        end_writing(&client);
        assert!(receive_to_end(&client).is_empty());
        assert_eq!(served.wait_for_closed().reason, "finished");
    }
}

fn thousands_of_connections_leave_nothing(model: Model) {
    let mut served = Served::start(model, "echo");
    let before = served.baseline();
    a_thousand(&mut served);
    served.expect_back_at(before);
    let early = memory(served.pid());
    for _ in 0..thousands(model) {
        a_thousand(&mut served);
    }
    served.expect_back_at(before);
    let late = memory(served.pid());
    assert!(late <= early + SLACK, "it has grown from {early} to {late} bytes");
}

/// How many thousands more: a fork for each costs the machine of the tests more than anything else does, and a process
/// that ends can't keep memory.
fn thousands(model: Model) -> usize {
    if model.shares_memory() { 4 } else { 1 }
}

/// The deadline that is this test's clock, in milliseconds, and the processor time that a server may use until then,
/// in nanoseconds: one that never rests uses all of it.
const IDLE: u64 = 400;
const RESTED: u64 = IDLE * 1_000_000 / 2;

fn an_idle_server_rests(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("idle", IDLE));
    let _ = served.baseline();
    let client = served.connect();
    exchange(&client, b"hello, and then nothing");
    let before = cpu_time(served.pid());
    assert!(receive_to_end(&client).is_empty());
    let used = cpu_time(served.pid()).saturating_sub(before);
    assert!(used < RESTED, "{used} ns of processor time for doing nothing");
}
