//! The other side of the library: clients, driven as each model waits.

use super::behaviours;
use crate::client::nobody;
use crate::dice::Dice;
use crate::driven::client;
use sockeye::{Address, Class, Connection, Datagram, Dialer, Model, dial, run, spawn_local, time};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

behaviours![
    a_client_dials_and_talks,
    a_client_of_packets_talks,
    a_client_doesnt_wait_for_a_silent_peer,
    a_client_is_told_that_nobody_listens,
    futures_of_one_thread_wait_side_by_side,
];

const SOON: Duration = Duration::from_millis(50);

/// A blocking echo for one connection.
fn echo_once() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let thread = spawn(move || {
        let (mut peer, _) = listener.accept().expect("a client");
        let mut bytes = vec![0; 1 << 16];
        loop {
            let count = peer.read(&mut bytes).expect("the client says something or ends");
            if count == 0 {
                return;
            }
            peer.write_all(&bytes[..count]).expect("the client reads");
        }
    });
    (address, thread)
}

fn a_client_dials_and_talks(model: Model) {
    let (address, server) = echo_once();
    let bytes = Dice::new(19).bytes(100_000);
    client(model, async {
        let mut conn = dial(&format!("tcp://{address}")).await?;
        assert_eq!(*conn.peer(), Address::Inet(address));
        assert!(conn.local()?.is_loopback());
        for size in [1, 10, 1000, 100_000] {
            conn.send_all(&bytes[..size]).await?;
            let mut back = vec![0; size];
            conn.read_exact(&mut back).await?;
            assert!(back == bytes[..size], "other bytes came back");
        }
        conn.close_write().await?;
        assert!(conn.recv().await?.is_empty());
        Ok(())
    });
    server.join().expect("the server gets on");
}

fn a_client_of_packets_talks(model: Model) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("its address");
    let server = spawn(move || {
        let mut bytes = [0; 1 << 16];
        for _ in 0..6 {
            let (count, from) = socket.recv_from(&mut bytes).expect("a packet");
            socket.send_to(&bytes[..count], from).expect("an answer");
        }
    });
    let bytes = Dice::new(20).bytes(65_507);
    client(model, async {
        let mut dialled = Datagram::dial(&format!("udp://{address}")).await?;
        for size in [0, 1, 65_507] {
            dialled.send(&bytes[..size]).await?;
            assert!(dialled.recv().await?[..] == bytes[..size]);
        }
        let mut bound = Datagram::bind("udp://127.0.0.1:0").await?;
        for size in [0, 1, 65_507] {
            bound.send_to(&bytes[..size], &address.into()).await?;
            let (back, from) = bound.recv_from().await?;
            assert!(back[..] == bytes[..size]);
            assert_eq!(from, Address::Inet(address));
        }
        bound.set_timeout(Some(SOON));
        let late = bound.recv().await.expect_err("nobody says anything");
        assert_eq!(late.class(), Class::Timeout);
        Ok(())
    });
    server.join().expect("the server gets on");
}

fn a_client_doesnt_wait_for_a_silent_peer(model: Model) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("its address"));
    client(model, async {
        let mut conn = dial(&endpoint).await?;
        conn.set_read_timeout(Some(SOON));
        let late = conn.recv().await.expect_err("the peer is silent");
        assert_eq!(late.class(), Class::Timeout);
        assert_eq!(late.to_string(), format!("recv {endpoint}: timed out after 50ms"));
        conn.set_write_timeout(Some(SOON));
        let late = loop {
            if let Err(late) = conn.send_all(&[0; 100_000]).await {
                break late;
            }
        };
        assert_eq!(late.class(), Class::Timeout);
        assert_eq!(late.to_string(), format!("send {endpoint}: timed out after 50ms"));
        let mut other = dial(&endpoint).await?;
        let late = time::timeout(SOON, other.recv())
            .await
            .expect_err("it is silent too");
        assert_eq!(late.class(), Class::Timeout);
        Ok(())
    });
}

fn a_client_is_told_that_nobody_listens(model: Model) {
    let (_socket, nobody) = nobody();
    let endpoint = format!("tcp://{nobody}");
    let refused = run(model, Dialer::new().dial(&endpoint))
        .expect("the model runs")
        .expect_err("nobody listens");
    assert_eq!(refused.class(), Class::General);
    let words = format!("dial {endpoint}: connection refused; ");
    assert!(refused.to_string().starts_with(&words), "{refused}");
}

fn futures_of_one_thread_wait_side_by_side(model: Model) {
    client(model, async {
        let (near, far) = UnixStream::pair()?;
        let (mut near, mut far) = (Connection::adopt(near.into())?, Connection::adopt(far.into())?);
        let (sender, answer) = oneshot::channel();
        spawn_local(async move {
            let heard = far.recv().await;
            sockeye::time::sleep(SOON).await.expect("a clock");
            // Who asked may have gone.
            let _ = sender.send(heard);
        })?;
        // Nobody says anything on this one: the two that end must not need it to.
        tokio::select! {
            heard = near.recv() => panic!("{heard:?} out of nowhere"),
            slept = sockeye::time::sleep(SOON) => slept?,
        }
        near.send_all(b"hello").await?;
        let heard = answer.await.expect("the other future goes on")?;
        assert_eq!(&heard[..], b"hello");
        Ok(())
    });
}
