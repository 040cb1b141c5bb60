//! The load generator against servers that are right, and against servers that are wrong in each of the ways that it
//! is there to find.

use sockeye::{Chunk, Connection, Handler, Packet, PacketHandler, Result, Running, Server, TlsClient};
use sockeye_services::load::{Load, Outcome, run};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a faulty server does with what it receives.
type Fault = fn(&mut Vec<u8>);

/// Echoes, but for one fault in the fifth chunk of each connection.
struct Echo(Fault);

impl Handler for Echo {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        for number in 0.. {
            let chunk = conn.recv().await?;
            if chunk.is_empty() {
                break;
            }
            let mut bytes = chunk.to_vec();
            if number == 4 {
                (self.0)(&mut bytes);
            }
            conn.send(bytes).await?;
        }
        Ok(())
    }
}

fn right(_: &mut Vec<u8>) {}

/// Receives and never answers.
struct Deaf;

impl Handler for Deaf {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        while !conn.recv().await?.is_empty() {}
        Ok(())
    }
}

/// Hangs up after the first chunk.
struct Curt;

impl Handler for Curt {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let chunk = conn.recv().await?;
        conn.send(chunk).await
    }
}

fn serve(endpoint: &str, handler: impl Handler) -> Running {
    let server = Server::bind(endpoint).expect("bind");
    server.start(handler).expect("start")
}

fn load(server: &Running) -> Load {
    let mut load = Load::on(server.endpoint());
    load.connections = 4;
    load.window = Duration::from_millis(200);
    load.warm_up = Duration::from_millis(10);
    load.patience = Duration::from_millis(500);
    load
}

fn measure(load: &Load) -> Outcome {
    run(load, &()).expect("the first connection")
}

fn assert_clean(outcome: &Outcome, what: &str) {
    assert!(outcome.is_clean(), "{what}: {:?}", outcome.failures);
    assert_eq!(outcome.latency.total(), outcome.requests, "{what}");
}

#[test]
fn an_echo_is_clean_in_any_shape() {
    let server = serve("tcp://127.0.0.1:0", Echo(right));
    for (connections, size, depth, threads) in
        [(1, 1, 1, 1), (7, 63, 5, 2), (3, 100_000, 1, 3), (20, 64, 16, 1)]
    {
        let mut load = load(&server);
        (load.connections, load.size, load.depth, load.threads) = (connections, size, depth, threads);
        let outcome = measure(&load);
        assert_clean(
            &outcome,
            &format!("{connections} connections, {size} bytes, depth {depth}"),
        );
        assert_eq!(outcome.connections, connections);
        assert!(outcome.bytes >= (outcome.requests - (connections * depth) as u64) * size as u64);
    }
}

#[test]
fn messages_beyond_every_buffer_do_not_stop_both_ends() {
    let server = serve("tcp://127.0.0.1:0", Echo(right));
    let mut load = load(&server);
    (load.connections, load.size, load.depth) = (1, 4 << 20, 2);
    load.window = Duration::from_secs(1);
    assert_clean(&measure(&load), "4 MiB twice");
}

#[test]
fn tls_and_unix_sockets() {
    let name = format!("unix:@load-{}", std::process::id());
    for endpoint in ["tls://127.0.0.1:0", &name] {
        let server = serve(endpoint, Echo(right));
        let mut load = load(&server);
        load.depth = 3;
        load.tls = Some(TlsClient::unverified().unwrap());
        assert_clean(&measure(&load), endpoint);
    }
}

#[test]
fn any_damage_is_found_on_every_connection() {
    let faults: [(&str, Fault); 5] = [
        ("flipped", |bytes| bytes[17] ^= 4),
        ("lost", |bytes| _ = bytes.remove(30)),
        ("doubled", |bytes| bytes.insert(9, bytes[9])),
        ("swapped", |bytes| bytes.swap(0, 63)),
        ("invented", |bytes| bytes.push(0)),
    ];
    for (what, fault) in faults {
        let server = serve("tcp://127.0.0.1:0", Echo(fault));
        let outcome = measure(&load(&server));
        let failures = &outcome.failures;
        assert!(!outcome.is_clean(), "{what}");
        if what == "lost" {
            // One byte is missing for ever: the message never ends, or the next one shows it.
            assert!(failures.wrong + failures.silent == 4, "{failures:?}");
        } else {
            assert_eq!((failures.wrong, failures.silent), (4, 0), "{what}: {failures:?}");
            assert!(failures.causes[0].0.contains("connection"), "{failures:?}");
        }
    }
}

#[test]
fn a_server_that_never_answers_is_silent_and_not_waited_for() {
    let server = serve("tcp://127.0.0.1:0", Deaf);
    let mut load = load(&server);
    (load.patience, load.window) = (Duration::from_millis(50), Duration::from_secs(3600));
    let outcome = measure(&load);
    assert_eq!((outcome.requests, outcome.failures.silent), (0, 4));
    assert_eq!(outcome.rate(), 0.0);
}

#[test]
fn a_server_that_hangs_up_ends_the_run() {
    let server = serve("tcp://127.0.0.1:0", Curt);
    let mut load = load(&server);
    load.window = Duration::from_secs(3600);
    let failures = measure(&load).failures;
    assert_eq!((failures.errors, failures.silent), (4, 0), "{failures:?}");
}

#[test]
fn nobody_there_is_an_error() {
    let server = serve("tcp://127.0.0.1:0", Curt);
    let load = load(&server);
    server.shutdown().stop();
    server.join();
    let error = run(&load, &()).err().unwrap();
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[test]
fn impossible_loads_are_refused() {
    let mut load = Load::on("udp://127.0.0.1:9".parse().unwrap());
    load.size = 65_508;
    assert!(load.check().unwrap_err().to_string().contains("from 16 to 65507"));
    load.size = 64;
    load.check().unwrap();
    load.depth = 0;
    assert!(load.check().unwrap_err().to_string().contains("depth is 0"));
}

/// Answers packets as its fault says, each by its number.
struct Post(AtomicU64, fn(u64, &[u8]) -> Vec<Vec<u8>>);

impl PacketHandler for Post {
    async fn handle(&self, packet: Packet) -> Result<()> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        for answer in (self.1)(number, packet.data()) {
            packet.reply(Chunk::from(answer)).await?;
        }
        Ok(())
    }
}

fn post(endpoint: &str, fault: fn(u64, &[u8]) -> Vec<Vec<u8>>) -> Running {
    let server = Server::bind(endpoint).expect("bind");
    let handler = Post(AtomicU64::new(0), fault);
    server.start_packets(handler).expect("start")
}

#[test]
fn packets_over_udp_and_unix() {
    let name = format!("unixgram:@load-{}", std::process::id());
    for endpoint in ["udp://127.0.0.1:0", &name] {
        let server = post(endpoint, |_, data| vec![data.to_vec()]);
        for (size, depth) in [(16, 1), (1_000, 8)] {
            let mut load = load(&server);
            (load.size, load.depth) = (size, depth);
            let outcome = measure(&load);
            assert_clean(&outcome, endpoint);
            let counts = outcome.packets.unwrap();
            assert_eq!((counts.duplicated, counts.late), (0, 0), "{endpoint}");
        }
    }
}

#[test]
fn packets_that_are_lost_doubled_or_damaged_are_counted() {
    let server = post("udp://127.0.0.1:0", |number, data| match number % 50 {
        7 => vec![],
        9 => vec![data.to_vec(), data.to_vec()],
        _ => vec![data.to_vec()],
    });
    let mut load = load(&server);
    (load.depth, load.loss_limit) = (8, Duration::from_millis(20));
    let outcome = measure(&load);
    assert_clean(&outcome, "loss is nobody's fault");
    let counts = outcome.packets.unwrap();
    assert!(counts.lost > 0 && counts.duplicated > 0, "{counts:?}");

    let server = post("udp://127.0.0.1:0", |number, data| {
        let mut data = data.to_vec();
        data[20] ^= u8::from(number == 100);
        vec![data]
    });
    let mut load = self::load(&server);
    load.depth = 8;
    let failures = measure(&load).failures;
    assert_eq!(failures.wrong, 1, "{failures:?}");
}
