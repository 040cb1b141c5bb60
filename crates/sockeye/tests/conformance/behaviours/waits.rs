//! A handler may wait for several things at once.

use super::behaviours;
use crate::client::{self, end_writing, exchange, receive, receive_to_end, send};
use crate::dice::Dice;
use crate::served::Served;
use crate::spec::Spec;
use sockeye::Model;

behaviours![
    its_peer_and_another_thread,
    its_peer_and_the_clock,
    its_peer_and_a_server_that_it_dialled,
    a_relay_to_nobody_fails_alone,
];

fn its_peer_and_another_thread(model: Model) {
    let mut served = Served::start(model, "channel");
    let before = served.baseline();
    let clients = [served.connect(), served.connect()];
    for round in 0..50 {
        for client in &clients {
            let question = format!("round {round}");
            send(client, &question);
            assert_eq!(
                receive(client, question.len()),
                question.to_uppercase().as_bytes()
            );
        }
    }
    drop(clients);
    for _ in 0..2 {
        assert_eq!(served.wait_for_closed().reason, "finished");
    }
    served.expect_back_at(before);
}

fn its_peer_and_the_clock(model: Model) {
    let mut served = Served::start(model, "ticker");
    let clients = [served.connect(), served.connect()];
    for client in &clients {
        for _ in 0..3 {
            assert_eq!(receive(client, 4), b"tick");
        }
        send(client, b"HELLO");
        let mut heard = Vec::new();
        while !heard.ends_with(b"HELLO") {
            heard.extend(receive(client, 1)); // any number of ticks before it
        }
        end_writing(client);
        assert!(receive_to_end(client).len().is_multiple_of(4));
        assert_eq!(served.wait_for_closed().reason, "finished");
    }
}

fn its_peer_and_a_server_that_it_dialled(model: Model) {
    let mut far = Served::start(model, "echo");
    let mut served = Served::of(&Spec::new(model, "relay").with("argument", far.endpoint()));
    let before = served.baseline();
    let mut dice = Dice::new(9);
    let clients: Vec<_> = (0..10).map(|_| served.connect()).collect();
    for client in &clients {
        exchange(client, b"through");
    }
    for client in clients {
        let bytes = dice.bytes(1 << 20);
        client::echo(&client, &bytes, &mut dice);
        end_writing(&client);
        assert!(receive_to_end(&client).is_empty());
        for server in [&mut served, &mut far] {
            let closed = server.wait_for_closed();
            assert_eq!(closed.reason, "finished");
            assert_eq!(closed.received, closed.sent);
        }
    }
    served.expect_back_at(before);
}

fn a_relay_to_nobody_fails_alone(model: Model) {
    let (_socket, nobody) = client::nobody();
    let mut served = Served::of(&Spec::new(model, "relay").with("argument", format_args!("tcp://{nobody}")));
    for _ in 0..2 {
        client::expect_no_more(&served.connect());
        let reason = served.wait_for_closed().reason;
        assert!(
            reason.starts_with(&format!("failed: dial tcp://{nobody}: connection refused")),
            "{reason}"
        );
    }
}
