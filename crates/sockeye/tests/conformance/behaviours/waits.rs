//! A handler may wait for several things at once.

use super::behaviours;
use crate::client::{echo, end_writing, exchange, expect_no_more, nobody, receive, receive_to_end, send};
use crate::dice::Dice;
use crate::driven::client;
use crate::served::Served;
use crate::spec::Spec;
use sockeye::{Class, Connection, Datagram, Model, time};
use std::future::poll_fn;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

behaviours![
    its_peer_and_another_thread,
    its_peer_and_the_clock,
    its_peer_and_a_server_that_it_dialled,
    a_relay_to_nobody_fails_alone,
    a_wait_that_was_given_up_takes_no_more_time,
    waits_that_are_given_up_again_and_again_end,
    a_socket_that_never_waits_is_waited_for,
    who_asks_several_in_turn_is_woken_by_any,
];

const LIMIT: Duration = Duration::from_millis(200);

/// A connection with that limit, and its silent peer.
fn silent() -> sockeye::Result<(Connection, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut conn = Connection::adopt(ours.into())?;
    conn.set_read_timeout(Some(LIMIT));
    Ok((conn, theirs))
}

async fn waits_in_vain(conn: &mut Connection) {
    let begun = Instant::now();
    let late = conn.recv().await.expect_err("nobody says anything");
    assert_eq!(late.class(), Class::Timeout);
    let waited = begun.elapsed();
    assert!(waited > LIMIT / 2, "{waited:?}");
}

fn a_wait_that_was_given_up_takes_no_more_time(model: Model) {
    client(model, async {
        let (mut conn, _peer) = silent()?;
        for _ in 0..2 {
            assert!(conn.try_recv().await?.is_none());
            sockeye::time::sleep(LIMIT * 2).await?;
            waits_in_vain(&mut conn).await;
        }
        let mut packets = Datagram::bind("udp://127.0.0.1:0").await?;
        packets.set_timeout(Some(LIMIT));
        assert!(time::at_once(packets.recv()).await?.is_none());
        sockeye::time::sleep(LIMIT * 2).await?;
        let begun = Instant::now();
        packets.recv().await.expect_err("nobody says anything");
        assert!(begun.elapsed() > LIMIT / 2);
        Ok(())
    });
}

fn waits_that_are_given_up_again_and_again_end(model: Model) {
    client(model, async {
        let (mut conn, _peer) = silent()?;
        let late = loop {
            if let Ok(received) = time::timeout(LIMIT / 10, conn.recv()).await {
                break received.expect_err("nobody says anything");
            }
        };
        assert_eq!(late.class(), Class::Timeout);
        Ok(())
    });
}

/// Each is asked anew after every wake, and no future outlives a look.
fn who_asks_several_in_turn_is_woken_by_any(model: Model) {
    client(model, async {
        let (ours, mut theirs): (Vec<_>, Vec<_>) = (0..3).map(|_| silent().expect("a pair")).unzip();
        let mut ours = ours;
        for speaker in [2, 0, 1] {
            let teller = std::thread::spawn({
                let mut peer = theirs[speaker].try_clone()?;
                move || peer.write_all(b"I").expect("the other end is there")
            });
            ours.iter_mut().for_each(|conn| conn.set_read_timeout(None));
            let heard = poll_fn(|cx| {
                let mut all = ours.iter_mut().enumerate();
                let first = all.find_map(|(number, conn)| match pin!(conn.recv()).poll(cx) {
                    Poll::Ready(chunk) => Some((number, chunk)),
                    Poll::Pending => None,
                });
                first.map_or(Poll::Pending, Poll::Ready)
            });
            let (number, chunk) = heard.await;
            assert_eq!((number, &chunk?[..]), (speaker, &b"I"[..]));
            teller.join().expect("it gets on");
        }
        theirs.clear();
        Ok(())
    });
}

fn a_socket_that_never_waits_is_waited_for(model: Model) {
    client(model, async {
        let (ours, _theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut conn = Connection::adopt(ours.into())?;
        conn.set_read_timeout(Some(LIMIT));
        waits_in_vain(&mut conn).await;
        Ok(())
    });
}

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
        echo(&client, &bytes, &mut dice);
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
    let (_socket, nobody) = nobody();
    let mut served = Served::of(&Spec::new(model, "relay").with("argument", format_args!("tcp://{nobody}")));
    for _ in 0..2 {
        expect_no_more(&served.connect());
        let reason = served.wait_for_closed().reason;
        assert!(
            reason.starts_with(&format!("failed: dial tcp://{nobody}: connection refused")),
            "{reason}"
        );
    }
}
