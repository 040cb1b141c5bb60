//! A server that has served many has no more than before.

use super::behaviours;
use crate::client::{end_writing, exchange, receive_to_end};
use crate::process_facts::{cpu_time, memory};
use crate::served::Served;
use crate::spec::Spec;
use sockeye::Model;
use std::time::Instant;

behaviours![thousands_of_connections_leave_nothing, an_idle_server_rests,];

/// What the allocator may keep for itself of a thousand connections: pages, not connections.
const SLACK: u64 = 256 << 10;

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
    // How many threads happen to run at once, and so how much the allocator keeps, is the scheduler's business. But what
    // connections leave behind grows with each thousand of them.
    let mut used = vec![memory(served.pid())];
    for _ in 0..THOUSANDS {
        a_thousand(&mut served);
        served.expect_back_at(before);
        used.push(memory(served.pid()));
        if used[used.len() - 1] <= used[used.len() - 2] + SLACK {
            return;
        }
    }
    panic!("it grows with each thousand connections: {used:?} bytes");
}

/// How many thousands it has to stop growing.
const THOUSANDS: usize = 8;

/// The deadline that is this test's clock, in milliseconds.
const IDLE: u64 = 400;

fn an_idle_server_rests(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("idle", IDLE));
    let _ = served.baseline();
    let client = served.connect();
    exchange(&client, b"hello, and then nothing");
    let (began, before) = (Instant::now(), cpu_time(served.pid()));
    assert!(receive_to_end(&client).is_empty());
    let used = cpu_time(served.pid()).saturating_sub(before);
    // Looked at last, so that a slow machine only allows more. One that never rests uses all of it.
    let allowed = began.elapsed().as_nanos() / 2;
    assert!(
        u128::from(used) < allowed,
        "{used} ns of processor time for doing nothing, of {allowed} allowed"
    );
}
