//! A connection has two ways, and each ends by itself.

use super::behaviours;
use crate::client::{end_writing, expect_no_more, read_in_pieces, receive_to_end, send, write_in_pieces};
use crate::dice::Dice;
use crate::handlers::banquet;
use crate::served::Served;
use crate::spec::Spec;
use sockeye::Model;

behaviours![
    a_peer_that_has_said_all_gets_all_answers,
    a_server_that_has_said_all_hears_the_rest,
    the_last_answer_survives_input_that_nobody_reads,
];

fn a_peer_that_has_said_all_gets_all_answers(model: Model) {
    let served = Served::start(model, "whole");
    let mut dice = Dice::new(3);
    let bytes = dice.bytes(3_000_000);
    let client = served.connect();
    write_in_pieces(&client, &bytes, &mut dice);
    end_writing(&client);
    read_in_pieces(&client, &bytes, &mut dice);
    assert!(receive_to_end(&client).is_empty());
}

fn a_server_that_has_said_all_hears_the_rest(model: Model) {
    let mut served = Served::start(model, "farewell");
    let client = served.connect();
    assert_eq!(receive_to_end(&client), b"goodbye");
    let mut dice = Dice::new(4);
    write_in_pieces(&client, &dice.bytes(3_000_000), &mut dice);
    end_writing(&client);
    assert_eq!(served.wait_for_words("note heard "), "3000000");
    let closed = served.wait_for_closed();
    assert_eq!(
        (closed.received, closed.sent, closed.reason.as_str()),
        (3_000_000, 7, "finished")
    );
}

/// Closing a TCP socket over unread bytes resets the connection, and what was under way to the peer is lost. Here there
/// are always such bytes.
fn the_last_answer_survives_input_that_nobody_reads(model: Model) {
    let mut dice = Dice::new(8);
    let unread = dice.bytes(300_000);
    for size in [1, 100_000, 8 << 20] {
        let served = Served::of(&Spec::new(model, "banquet").with("argument", size));
        let client = served.connect();
        send(&client, &unread);
        read_in_pieces(&client, &banquet(size), &mut dice);
        expect_no_more(&client);
    }
}
