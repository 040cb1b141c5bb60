//! The other side of the library: clients, driven as each model waits.

use super::behaviours;
use crate::client::nobody;
use crate::dice::Dice;
use crate::driven::client;
use socket2::{Domain, Socket, Type};
use sockeye::{Address, Class, Connection, Datagram, Dialer, Model, Options, dial, run, spawn_local, time};
use std::future::pending;
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
    what_was_sent_arrives_though_its_connection_is_dropped,
    a_file_is_waited_for_as_long_as_it_may,
    a_peer_that_takes_nothing_keeps_nobody_from_the_end,
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

/// A peer that takes little at a time; how much comes in all.
fn slow_reader() -> (String, JoinHandle<usize>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("an option");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a port");
    socket.listen(1).expect("a listener");
    let listener = TcpListener::from(socket);
    let endpoint = format!("tcp://{}", listener.local_addr().expect("its address"));
    let reader = spawn(move || {
        let (mut peer, _) = listener.accept().expect("a client");
        let mut bytes = [0; 1000];
        let reads = std::iter::from_fn(|| {
            std::thread::yield_now();
            let count = peer.read(&mut bytes).expect("bytes, or their end");
            (count > 0).then_some(count)
        });
        reads.sum()
    });
    (endpoint, reader)
}

fn what_was_sent_arrives_though_its_connection_is_dropped(model: Model) {
    const PIECE: usize = 16 << 10;
    let send = async |endpoint: String| {
        let options = Options::new().send_buffer(4096);
        let mut conn = Dialer::new().options(options).dial(&endpoint).await?;
        for _ in 0..32 {
            conn.send(vec![7; PIECE]).await?;
        }
        sockeye::Result::Ok(conn)
    };
    let (endpoint, reader) = slow_reader();
    client(model, async { send(endpoint).await.map(drop) });
    assert_eq!(reader.join().expect("the peer reads"), 32 * PIECE);
    // By a future that goes with the thread's driver.
    let (endpoint, reader) = slow_reader();
    client(model, async {
        let (sender, sent) = oneshot::channel();
        spawn_local(async move {
            let conn = send(endpoint).await;
            let _ = sender.send(conn.is_ok()); // whoever waits fails if it isn't told
            pending::<()>().await;
            drop(conn);
        })?;
        assert!(sent.await.expect("it gets on"));
        Ok(())
    });
    assert_eq!(reader.join().expect("the peer reads"), 32 * PIECE);
}

fn a_file_is_waited_for_as_long_as_it_may(model: Model) {
    const BYTES: u64 = 2_000;
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let writer = spawn(move || {
        for _ in 0..BYTES {
            theirs.write_all(b"x").expect("the other end is there");
            std::thread::yield_now();
        }
    });
    let file = tempfile::tempfile().expect("a file");
    let came = client(model, async {
        let mut conn = Connection::adopt(ours.into())?;
        conn.set_read_timeout(Some(crate::PATIENCE));
        conn.recv_file(&file, 0, BYTES).await
    });
    assert_eq!(came, BYTES);
    writer.join().expect("it gets on");
}

fn a_peer_that_takes_nothing_keeps_nobody_from_the_end(model: Model) {
    let pairs = [(); 100].map(|()| UnixStream::pair().expect("a pair"));
    let (ours, _theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    client(model, async {
        for (number, ours) in ours.into_iter().enumerate() {
            socket2::SockRef::from(&ours).set_send_buffer_size(4096)?;
            let mut conn = Connection::adopt(ours.into())?;
            conn.set_write_timeout(Some(Duration::from_millis(1)));
            // One after another until a timeout; or one, which has none yet if a send doesn't wait for the kernel to have it.
            while conn.send(vec![0; 60_000]).await.is_ok() && number % 2 == 0 {}
        }
        Ok(())
    });
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
