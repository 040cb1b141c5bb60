//! Stopping: nobody new, those that are busy may end, those that don't are cut.

use super::behaviours;
use crate::client::{
    self, end_writing, exchange, expect_no_more, read_in_pieces, receive, receive_to_end, send,
};
use crate::dice::Dice;
use crate::handlers::banquet;
use crate::process_facts::{self, eventually};
use crate::served::Served;
use crate::spec::{Spec, own_address};
use sockeye::Model;
use std::io::ErrorKind;
use std::net::TcpListener;

behaviours![
    stopping_refuses_newcomers_and_ends_the_quiet,
    stopping_lets_a_conversation_end,
    stopping_lets_a_transfer_end,
    stopping_keeps_the_last_answer,
    stopping_keeps_the_last_answer_to_who_goes_on_talking,
    stopping_cuts_at_the_deadline,
    cutting_ends_all_at_once,
    cutting_ends_a_crowd_whose_ends_are_slowly_told,
    stopping_an_idle_server_leaves_nothing,
    a_server_that_is_through_has_left_its_address,
    a_program_that_blocks_signals_is_served_and_stopped_as_others_are,
];

/// Far off: what must not wait for it.
const NEVER: usize = 1_000_000;

fn expect_refused(served: &Served) {
    eventually(
        "refused a newcomer",
        || {
            client::try_connect(served.endpoint())
                .err()
                .map(|error| error.kind())
        },
        |error| *error == Some(ErrorKind::ConnectionRefused),
    );
}

fn stopping_refuses_newcomers_and_ends_the_quiet(model: Model) {
    let spec = Spec::new(model, "echo").with("drain", NEVER).with("quiet", 100);
    let mut served = Served::of(&spec);
    let clients = [served.connect(), served.connect()];
    clients.iter().for_each(|client| exchange(client, b"hello"));
    served.stop();
    expect_refused(&served);
    for client in &clients {
        assert!(receive_to_end(client).is_empty());
    }
    for id in [1, 2] {
        assert_eq!(served.wait_for_closed_of(id).reason, "finished");
    }
    served.join();
}

fn stopping_lets_a_conversation_end(model: Model) {
    let spec = Spec::new(model, "echo").with("drain", NEVER).with("quiet", NEVER);
    let mut served = Served::of(&spec);
    let client = served.connect();
    exchange(&client, b"before");
    served.stop();
    expect_refused(&served);
    for _ in 0..100 {
        exchange(&client, b"while it stops");
    }
    end_writing(&client);
    assert!(receive_to_end(&client).is_empty());
    assert_eq!(served.wait_for_closed_of(1).reason, "finished");
    served.join();
}

/// More than the buffers of two sockets hold, so that the server is in the midst of it.
const TRANSFER: usize = 14 << 20;

fn serve_banquet(model: Model) -> Served {
    let spec = Spec::new(model, "banquet").with("argument", TRANSFER);
    Served::of(&spec.with("drain", NEVER).with("quiet", 20))
}

fn stopping_lets_a_transfer_end(model: Model) {
    let mut served = serve_banquet(model);
    let client = served.connect();
    send(&client, b"!");
    let bytes = banquet(TRANSFER);
    let (begin, rest) = bytes.split_at(1000);
    assert!(receive(&client, begin.len()) == begin);
    served.stop();
    expect_refused(&served);
    read_in_pieces(&client, rest, &mut Dice::new(5));
    assert!(receive_to_end(&client).is_empty());
    assert_eq!(served.wait_for_closed_of(1).reason, "finished");
    served.join();
}

/// The same, with input that the server will never read.
fn stopping_keeps_the_last_answer(model: Model) {
    let mut served = serve_banquet(model);
    let client = served.connect();
    let mut dice = Dice::new(5);
    send(&client, dice.bytes(200_000));
    receive(&client, 1000);
    served.stop();
    expect_refused(&served);
    read_in_pieces(&client, &banquet(TRANSFER)[1000..], &mut dice);
    expect_no_more(&client);
    drop(client);
    served.join();
}

/// The input is ended by the server here, and what is said then is refused once the output has ended, too.
fn stopping_keeps_the_last_answer_to_who_goes_on_talking(model: Model) {
    let mut served = serve_banquet(model);
    let client = served.connect();
    served.wait_for_words("event opened ");
    served.stop();
    for piece in banquet(TRANSFER).chunks(TRANSFER / 512) {
        assert!(receive(&client, piece.len()) == piece, "another banquet");
        let _ = client.send(b"?"); // behind the last piece nobody may be left
    }
    drop(client);
    served.join();
}

fn stopping_cuts_at_the_deadline(model: Model) {
    let spec = Spec::new(model, "moody").with("drain", 200).with("quiet", 20);
    let mut served = Served::of(&spec);
    let before = served.baseline();
    let clients = [served.connect(), served.connect()];
    send(&clients[0], b"endless");
    receive(&clients[0], 8);
    send(&clients[1], b"spew");
    receive(&clients[1], 1);
    served.stop();
    for _ in &clients {
        assert_eq!(served.wait_for_closed().reason, "cut");
    }
    clients.iter().for_each(expect_no_more);
    served.join();
    served.expect_back_at(before);
}

fn cutting_ends_all_at_once(model: Model) {
    let spec = Spec::new(model, "moody")
        .with("drain", NEVER)
        .with("quiet", NEVER);
    let mut served = Served::of(&spec);
    let before = served.baseline();
    let clients = [served.connect(), served.connect(), served.connect()];
    exchange(&clients[0], b"hello");
    send(&clients[1], b"endless");
    receive(&clients[1], 8);
    send(&clients[2], b"spew");
    receive(&clients[2], 1);
    served.cut();
    for _ in &clients {
        assert_eq!(served.wait_for_closed().reason, "cut");
    }
    clients.iter().for_each(expect_no_more);
    served.join();
    expect_refused(&served);
    served.expect_back_at(before);
}

/// More than the ends that wait in a socket between processes until somebody reads them.
const CROWD: usize = 400;

fn cutting_ends_a_crowd_whose_ends_are_slowly_told(model: Model) {
    let spec = Spec::new(model, "echo").with("observer", "held");
    let mut served = Served::of(&spec);
    let clients: Vec<_> = (0..CROWD).map(|_| served.connect()).collect();
    clients.iter().for_each(|client| exchange(client, b"hello"));
    served.cut();
    // The server's, and under `process` the one that accepts, which tells the ends of those that had to be killed.
    let alive = || {
        let family = process_facts::family(served.pid());
        family.iter().filter(|pid| !process_facts::is_over(**pid)).count()
    };
    eventually("left by those who serve", alive, |alive| *alive <= 2);
    served.tell("heed");
    for id in 1..=CROWD as u64 {
        served.wait_for_closed_of(id);
    }
    served.join();
    assert_eq!(served.count("event closed "), CROWD, "each is told once");
}

fn stopping_an_idle_server_leaves_nothing(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("workers", 2));
    exchange(&served.connect(), b"hello");
    served.wait_for_closed();
    served.stop();
    served.join();
    let facts = eventually(
        "down to the main thread",
        || served.facts(),
        |now| now.threads == 1,
    );
    assert_eq!(facts.processes, 1);
    assert_eq!(facts.descriptors.to_string(), served.wait_for_words("born "));
}

fn a_program_that_blocks_signals_is_served_and_stopped_as_others_are(model: Model) {
    let spec = Spec::new(model, "echo").with("blocks", true);
    let mut served = Served::of(&spec.with("drain", NEVER).with("quiet", 100));
    exchange(&served.connect(), b"hello");
    assert_eq!(served.wait_for_closed().reason, "finished");
    let quiet = served.connect();
    exchange(&quiet, b"hello");
    served.stop();
    assert!(receive_to_end(&quiet).is_empty());
    served.join();
}

fn a_server_that_is_through_has_left_its_address(model: Model) {
    let endpoint = format!("tcp://{}:0", own_address());
    let mut served = Served::of(&Spec::new(model, "echo").with("endpoint", endpoint));
    exchange(&served.connect(), b"hello");
    served.stop();
    served.join();
    let address = served.endpoint().to_string();
    TcpListener::bind(address.trim_start_matches("tcp://")).expect("nobody has it any more");
}
