//! What goes wrong on one connection concerns no other.

use super::behaviours;
use crate::client::{end_writing, exchange, expect_no_more, receive, reset, send};
use crate::served::Served;
use crate::spec::Spec;
use sockeye::Model;

behaviours![
    a_reset_by_the_peer_ends_its_connection_only,
    a_reset_while_sending_is_told,
    a_panic_hurts_its_own_connection_only,
    an_error_of_the_handler_is_told,
    a_failing_setup_ends_it_before_it_began,
    finish_is_called_whatever_handle_did,
    an_observer_that_panics_is_nobodys_failure,
];

fn a_reset_by_the_peer_ends_its_connection_only(model: Model) {
    let mut served = Served::start(model, "echo");
    let before = served.baseline();
    let bystander = served.connect();
    for _ in 0..20 {
        let client = served.connect();
        exchange(&client, b"hello");
        reset(client);
        let reason = served.wait_for_closed().reason;
        assert!(reason.starts_with("failed: recv tcp://127.0.0.1:"), "{reason}");
        assert!(reason.contains("connection reset"), "{reason}");
        exchange(&bystander, b"I have seen nothing");
    }
    drop(bystander);
    served.expect_back_at(before);
}

fn a_reset_while_sending_is_told(model: Model) {
    let mut served = Served::start(model, "moody");
    let before = served.baseline();
    let client = served.connect();
    send(&client, b"spew");
    receive(&client, 1_000_000);
    reset(client);
    let reason = served.wait_for_closed().reason;
    assert!(reason.starts_with("failed: send tcp://127.0.0.1:"), "{reason}");
    served.expect_alive();
    served.expect_back_at(before);
}

fn a_panic_hurts_its_own_connection_only(model: Model) {
    let mut served = Served::start(model, "moody");
    let before = served.baseline();
    let bystander = served.connect();
    exchange(&bystander, b"hello");
    for _ in 0..3 {
        let client = served.connect();
        send(&client, b"panic");
        expect_no_more(&client);
        assert_eq!(
            served.wait_for_closed().reason,
            "panicked: the handler's own panic"
        );
        exchange(&bystander, b"I have heard nothing");
    }
    drop(bystander);
    served.expect_alive();
    served.expect_back_at(before);
}

fn an_error_of_the_handler_is_told(model: Model) {
    let mut served = Served::start(model, "moody");
    let client = served.connect();
    send(&client, b"fail");
    expect_no_more(&client);
    assert_eq!(served.wait_for_closed().reason, "failed: cook: the oven is cold");
    served.expect_alive();
}

fn a_failing_setup_ends_it_before_it_began(model: Model) {
    let mut served = Served::start(model, "stages");
    let client = served.connect();
    send(&client, b"!");
    expect_no_more(&client);
    assert_eq!(served.wait_for_closed().reason, "failed: cook: setup");
    assert_eq!(served.count("note setup 1"), 1);
    assert_eq!(served.count("note handle 1"), 0);
    assert_eq!(served.count("note finish 1"), 0);
}

fn finish_is_called_whatever_handle_did(model: Model) {
    let mut served = Served::start(model, "stages");
    for (said, reason) in [(b"..", "finished"), (b".!", "failed: cook: handle")] {
        let client = served.connect();
        send(&client, said);
        end_writing(&client);
        expect_no_more(&client);
        assert_eq!(served.wait_for_closed().reason, reason);
    }
    for id in [1, 2] {
        assert_eq!(served.count(&format!("note handle {id}")), 1);
        assert_eq!(served.count(&format!("note finish {id}")), 1);
    }
}

fn an_observer_that_panics_is_nobodys_failure(model: Model) {
    let mut served = Served::of(&Spec::new(model, "moody").with("observer", "the observer's own panic"));
    for _ in 0..3 {
        let client = served.connect();
        exchange(&client, b"hello");
        send(&client, b"panic");
        expect_no_more(&client);
        served.wait_for_closed();
    }
    served.expect_alive();
    served.stop();
    served.join();
}
