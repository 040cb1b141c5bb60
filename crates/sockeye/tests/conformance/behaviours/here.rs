//! Servers that the thread serves which starts them, beside its own futures.

use super::behaviours;
use crate::driven::client;
use crate::handlers::Echo;
use crate::spec::own_address;
use sockeye::{Class, Connection, Datagram, Event, Handler, Model, Packet, PacketHandler, Reason, Result};
use sockeye::{Running, Server, dial, run, time};
use std::future::pending;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread::{ThreadId, current, spawn};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;

behaviours![
    a_server_and_its_client_share_a_thread,
    a_server_of_packets_and_its_client_share_a_thread,
    a_server_of_this_thread_that_has_ended_has_left_its_address,
    many_servers_share_a_thread,
    a_server_of_this_thread_is_stopped_while_it_is_busy,
    who_blocks_for_a_server_of_its_own_thread_is_told,
    who_waits_no_longer_for_a_server_cuts_it_off,
    a_server_ends_with_what_drives_it,
    a_server_in_the_background_can_be_awaited,
    a_thread_is_one_worker,
    who_heeds_no_cut_ends_with_its_server,
    packets_that_are_waited_for_end_with_their_server,
    another_thread_may_wait_for_it,
    a_thread_that_drives_futures_is_left_to_them,
    nothing_is_forked_beside_connections,
];

/// Answers each chunk from the thread that it is to be served by.
struct OnThread(ThreadId);

impl Handler for OnThread {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        assert_eq!(current().id(), self.0);
        Echo.handle(conn).await
    }
}

impl PacketHandler for OnThread {
    async fn handle(&self, mut packet: Packet) -> Result<()> {
        assert_eq!(current().id(), self.0);
        let bytes = packet.take();
        packet.reply(bytes).await
    }
}

fn bound(scheme: &str) -> Result<Server> {
    Server::bind(&format!("{scheme}://127.0.0.1:0"))
}

fn on_this_thread() -> OnThread {
    OnThread(current().id())
}

async fn exchange(conn: &mut Connection, bytes: &[u8]) -> Result<()> {
    conn.send_all(bytes).await?;
    let mut back = vec![0; bytes.len()];
    conn.read_exact(&mut back).await?;
    assert_eq!(back, bytes);
    Ok(())
}

fn a_server_and_its_client_share_a_thread(model: Model) {
    client(model, async {
        let running = bound("tcp")?.start_here(on_this_thread())?;
        let mut conns = Vec::new();
        for _ in 0..20 {
            conns.push(dial(&running.endpoint()).await?);
        }
        for conn in &mut conns {
            exchange(conn, b"hello").await?;
        }
        assert_eq!(running.connections(), conns.len());
        running.shutdown().stop();
        for conn in &mut conns {
            conn.close_write().await?;
            assert!(conn.recv().await?.is_empty());
        }
        running.ended().await
    });
}

fn a_server_of_packets_and_its_client_share_a_thread(model: Model) {
    client(model, async {
        let running = bound("udp")?.start_packets_here(on_this_thread())?;
        let mut socket = Datagram::dial(&running.endpoint()).await?;
        for word in [&b"hello"[..], b"", b"again"] {
            socket.send(word).await?;
            assert_eq!(&socket.recv().await?[..], word);
        }
        running.shutdown().stop();
        running.ended().await
    });
}

fn a_server_of_this_thread_that_has_ended_has_left_its_address(model: Model) {
    client(model, async {
        for _ in 0..10 {
            let tcp = Server::bind(&format!("tcp://{}:0", own_address()))?;
            let tcp = tcp.start_here(on_this_thread())?;
            exchange(&mut dial(&tcp.endpoint()).await?, b"hello").await?;
            let udp = Server::bind(&format!("udp://{}:0", own_address()))?;
            let udp = udp.start_packets_here(on_this_thread())?;
            let mut socket = Datagram::dial(&udp.endpoint()).await?;
            socket.send(b"hello").await?;
            assert_eq!(&socket.recv().await?[..], b"hello");
            let (at, packets_at) = (tcp.endpoint(), udp.endpoint());
            tcp.shutdown().stop();
            tcp.ended().await?;
            TcpListener::bind(at.host_port().expect("a port").to_string()).expect("nobody has it any more");
            udp.shutdown().stop();
            udp.ended().await?;
            UdpSocket::bind(packets_at.host_port().expect("a port").to_string())
                .expect("nobody has it any more");
        }
        Ok(())
    });
}

fn many_servers_share_a_thread(model: Model) {
    client(model, async {
        let start = || bound("tcp")?.start_here(on_this_thread());
        let servers: Vec<Running> = (0..5).map(|_| start()).collect::<Result<_>>()?;
        for running in &servers {
            exchange(&mut dial(&running.endpoint()).await?, b"hello").await?;
            running.shutdown().stop();
        }
        for running in servers {
            running.ended().await?;
        }
        Ok(())
    });
}

fn a_server_of_this_thread_is_stopped_while_it_is_busy(model: Model) {
    client(model, async {
        let running = bound("tcp")?.start_here(on_this_thread())?;
        let mut conn = dial(&running.endpoint()).await?;
        exchange(&mut conn, b"hello").await?;
        let shutdown = running.shutdown();
        shutdown.stop();
        exchange(&mut conn, b"still here").await?;
        let error = dial(&running.endpoint())
            .await
            .err()
            .and_then(|error| error.io_kind());
        assert_eq!(error, Some(ErrorKind::ConnectionRefused));
        shutdown.cut();
        running.ended().await
    });
}

fn who_blocks_for_a_server_of_its_own_thread_is_told(model: Model) {
    client(model, async {
        let running = bound("tcp")?.start_here(on_this_thread())?;
        let endpoint = running.endpoint();
        let error = running.join().expect_err("it would wait for itself");
        assert_eq!(error.class(), Class::General);
        let words = error.to_string();
        assert!(words.contains(&endpoint.to_string()), "{words}");
        assert!(words.contains("Running::ended"), "{words}");
        Ok(())
    });
}

fn who_waits_no_longer_for_a_server_cuts_it_off(model: Model) {
    client(model, async {
        let running = bound("tcp")?.start_here(on_this_thread())?;
        let mut conn = dial(&running.endpoint()).await?;
        exchange(&mut conn, b"hello").await?;
        let waited = time::timeout(Duration::from_millis(1), running.ended()).await;
        assert_eq!(waited.expect_err("nobody stops it").class(), Class::Timeout);
        // A reset, or an end: it depends on what was under way.
        let end = conn.recv().await;
        assert!(
            end.is_err() || end.is_ok_and(|bytes| bytes.is_empty()),
            "it goes on"
        );
        Ok(())
    });
}

fn a_server_ends_with_what_drives_it(model: Model) {
    let (running, mut peer) = client(model, async {
        let running = bound("tcp")?.start_here(on_this_thread())?;
        let port = running.endpoint().port().expect("a port");
        let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("its backlog has room");
        peer.write_all(b"hello").expect("and the kernel");
        let mut conn = dial(&running.endpoint()).await?;
        exchange(&mut conn, b"hello").await?;
        Ok((running, peer))
    });
    let mut heard = Vec::new();
    let _ = peer.read_to_end(&mut heard); // it ends, by a reset or not
    let error = running.join().expect_err("nobody has stopped it");
    assert!(error.to_string().contains("has ended"), "{error}");
}

fn a_server_in_the_background_can_be_awaited(model: Model) {
    if !model.shares_memory() {
        return; // its program has one thread, which this one hasn't
    }
    let served = run(model, async {
        let running = bound("tcp")?.model(model).start(Echo)?;
        let mut conn = dial(&running.endpoint()).await?;
        exchange(&mut conn, b"hello").await?;
        drop(conn);
        running.shutdown().stop();
        running.ended().await
    });
    served.expect("the model runs").expect("it was stopped");
}

fn a_thread_is_one_worker(model: Model) {
    let error = client(model, async {
        Ok(bound("tcp")?.workers(2).start_here(Echo).err())
    });
    assert!(error.is_some_and(|error| error.to_string().contains("one worker")));
    let nowhere = bound("tcp").and_then(|server| server.start_here(Echo));
    assert!(nowhere.is_err_and(|error| error.to_string().contains("no model is running")));
}

/// Waits for what never comes, whatever becomes of its peer.
struct Endless {
    /// Its count tells whether this is left.
    _kept: Arc<()>,
}

impl Endless {
    fn with(kept: &Arc<()>) -> Self {
        Endless { _kept: kept.clone() }
    }
}

impl Handler for Endless {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        conn.send("hello").await?;
        pending().await
    }
}

impl PacketHandler for Endless {
    async fn handle(&self, mut packet: Packet) -> Result<()> {
        let bytes = packet.take();
        packet.reply(bytes).await?;
        pending().await
    }
}

fn who_heeds_no_cut_ends_with_its_server(model: Model) {
    client(model, async {
        let handler = Arc::new(());
        let (told, mut closed) = unbounded_channel();
        let server = bound("tcp")?.observe(move |event| {
            if let Event::Closed { reason, .. } = event {
                let _ = told.send(reason.to_string());
            }
        });
        let running = server.start_here(Endless::with(&handler))?;
        let mut conn = dial(&running.endpoint()).await?;
        assert_eq!(&conn.recv().await?[..], b"hello");
        running.shutdown().cut();
        running.ended().await?;
        // The thread's own future goes on, and the handler doesn't.
        assert_eq!(closed.try_recv(), Ok(Reason::Cut.to_string()));
        expect_gone(&handler).await
    });
}

/// Its task may end in the turn after this one's.
async fn expect_gone(handler: &Arc<()>) -> Result<()> {
    while Arc::strong_count(handler) > 1 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn packets_that_are_waited_for_end_with_their_server(model: Model) {
    client(model, async {
        let handler = Arc::new(());
        let running = bound("udp")?.start_packets_here(Endless::with(&handler))?;
        let endpoint = running.endpoint();
        let mut socket = Datagram::dial(&endpoint).await?;
        for _ in 0..200 {
            socket.send(b"hello").await?;
            assert_eq!(&socket.recv().await?[..], b"hello");
        }
        running.shutdown().cut();
        running.ended().await?;
        // Nobody has its socket; but the ring may have to be told yet.
        while let Err(error) = Server::bind(&endpoint) {
            assert_eq!(model, Model::Uring, "{error}");
            tokio::task::yield_now().await;
        }
        expect_gone(&handler).await
    });
}

fn another_thread_may_wait_for_it(model: Model) {
    client(model, async {
        let running = bound("tcp")?.start_here(on_this_thread())?;
        let (endpoint, shutdown) = (running.endpoint(), running.shutdown());
        let (teller, ended) = oneshot::channel();
        let waiter = spawn(move || teller.send(running.join().is_ok()));
        exchange(&mut dial(&endpoint).await?, b"hello").await?;
        shutdown.stop();
        assert_eq!(ended.await, Ok(true));
        waiter.join().expect("no panic").expect("somebody hears it");
        Ok(())
    });
}

fn a_thread_that_drives_futures_is_left_to_them(model: Model) {
    let server = bound("tcp").expect("a port").model(model);
    assert_eq!(server.fits_this_thread(), model.has_workers());
    let server = client(model, async {
        assert!(!server.fits_this_thread());
        Ok(server)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let fits = runtime
        .expect("a runtime")
        .block_on(async { server.fits_this_thread() });
    assert!(!fits);
}

fn nothing_is_forked_beside_connections(model: Model) {
    client(model, async {
        let running = bound("tcp")?.start_here(on_this_thread())?;
        let forking = bound("tcp")?.model(Model::Process).start(Echo);
        let error = forking.err().expect("a fork would copy the connections");
        assert!(
            error.to_string().contains("serves connections already"),
            "{error}"
        );
        running.shutdown().stop();
        running.ended().await
    });
}
