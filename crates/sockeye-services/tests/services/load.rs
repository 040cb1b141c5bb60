//! The load generator against servers that are right, and against servers that are wrong in each of the ways that it
//! is there to find. A run that ends when all its connections have failed, or all have been heard, needs no other end: what
//! happens within a window is the machine's business.

use sockeye::{Chunk, Connection, Handler, Packet, PacketHandler, Result, Running, Server, TlsClient};
use sockeye_services::load::{Load, Observer, Outcome, run};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longer than any machine needs, for what must not end a run.
const NEVER: Duration = Duration::from_secs(3600);

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
    (load.patience, load.connect_limit, load.loss_limit) = (NEVER, NEVER, NEVER);
    load
}

fn measure(load: &Load) -> Outcome {
    run(load, &()).expect("the first connection")
}

/// Measures until each connection is heard: a machine that has no time for this test needs a longer window.
fn measure_served(mut load: Load) -> Outcome {
    loop {
        let outcome = measure(&load);
        if load.window > NEVER || (outcome.requests > 0 && outcome.failures.silent == 0) {
            return outcome;
        }
        load.window *= 4;
    }
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
        let outcome = measure_served(load);
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
    assert_clean(&measure_served(load), "4 MiB twice");
}

#[test]
fn tls_and_unix_sockets() {
    let name = format!("unix:@load-{}", std::process::id());
    for endpoint in ["tls://127.0.0.1:0", &name] {
        let server = serve(endpoint, Echo(right));
        let mut load = load(&server);
        load.depth = 3;
        load.tls = Some(TlsClient::unverified().unwrap());
        assert_clean(&measure_served(load), endpoint);
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
        let mut load = load(&server);
        // It ends when each connection has met the fault.
        (load.window, load.warm_up) = (NEVER, NEVER);
        let outcome = measure(&load);
        let failures = &outcome.failures;
        assert!(!outcome.is_clean(), "{what}");
        assert_eq!((failures.wrong, failures.silent), (4, 0), "{what}: {failures:?}");
        assert!(failures.causes[0].0.contains("connection"), "{failures:?}");
    }
}

#[test]
fn a_server_that_never_answers_is_silent_and_not_waited_for() {
    let server = serve("tcp://127.0.0.1:0", Deaf);
    let mut load = load(&server);
    (load.patience, load.window) = (Duration::from_millis(50), NEVER);
    let outcome = measure(&load);
    assert_eq!((outcome.requests, outcome.failures.silent), (0, 4));
    assert_eq!(outcome.rate(), 0.0);
}

#[test]
fn a_server_that_hangs_up_ends_the_run() {
    let server = serve("tcp://127.0.0.1:0", Curt);
    let mut load = load(&server);
    load.window = NEVER;
    let failures = measure(&load).failures;
    assert_eq!((failures.errors, failures.silent), (4, 0), "{failures:?}");
}

#[test]
fn nobody_there_is_an_error() {
    // A name that is nobody's; a port that was free may be another's by now.
    let endpoint = format!("unix:@nobody-{}", std::process::id());
    let error = run(&Load::on(endpoint.parse().unwrap()), &()).err().unwrap();
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

/// Packets that have come.
type Count = Arc<AtomicU64>;

/// Answers packets as its fault says, each by its number.
struct Post(Count, fn(u64, &[u8]) -> Vec<Vec<u8>>);

/// Ends a run when so many packets have come within its window.
struct Enough {
    count: Count,
    wanted: u64,
    began: AtomicU64,
}

impl Enough {
    fn of(count: &Count, wanted: u64) -> Self {
        let (count, began) = (count.clone(), AtomicU64::new(u64::MAX));
        Enough { count, wanted, began }
    }
}

impl Observer for Enough {
    fn begin(&self) {
        self.began
            .store(self.count.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        let began = self.began.load(Ordering::Relaxed);
        self.count.load(Ordering::Relaxed) >= began.saturating_add(self.wanted)
    }
}

impl PacketHandler for Post {
    async fn handle(&self, packet: Packet) -> Result<()> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        for answer in (self.1)(number, packet.data()) {
            packet.reply(Chunk::from(answer)).await?;
        }
        Ok(())
    }
}

fn post(endpoint: &str, fault: fn(u64, &[u8]) -> Vec<Vec<u8>>) -> (Running, Count) {
    let server = Server::bind(endpoint).expect("bind");
    let count = Count::default();
    let handler = Post(count.clone(), fault);
    (server.start_packets(handler).expect("start"), count)
}

#[test]
fn packets_over_udp_and_unix() {
    let name = format!("unixgram:@load-{}", std::process::id());
    for endpoint in ["udp://127.0.0.1:0", &name] {
        let (server, _) = post(endpoint, |_, data| vec![data.to_vec()]);
        for (size, depth) in [(16, 1), (1_000, 8)] {
            let mut load = load(&server);
            (load.size, load.depth) = (size, depth);
            let outcome = measure_served(load);
            assert_clean(&outcome, endpoint);
            let counts = outcome.packets.unwrap();
            assert_eq!((counts.duplicated, counts.late), (0, 0), "{endpoint}");
        }
    }
}

#[test]
fn packets_that_are_lost_doubled_or_damaged_are_counted() {
    let (server, count) = post("udp://127.0.0.1:0", |number, data| match number % 50 {
        7 => vec![],
        9 => vec![data.to_vec(), data.to_vec()],
        _ => vec![data.to_vec()],
    });
    let mut load = load(&server);
    (load.depth, load.loss_limit, load.window) = (8, Duration::from_millis(20), NEVER);
    // Many more are lost than may be on their way, so that some must have been given up; every connection has its share.
    let outcome = run(&load, &Enough::of(&count, 10_000)).expect("a server");
    assert_clean(&outcome, "loss is nobody's fault");
    let counts = outcome.packets.unwrap();
    assert!(counts.lost > 0 && counts.duplicated > 0, "{counts:?}");

    let (server, count) = post("udp://127.0.0.1:0", |number, data| {
        let mut data = data.to_vec();
        data[20] ^= u8::from(number == 100);
        vec![data]
    });
    let mut load = self::load(&server);
    (load.depth, load.window) = (8, NEVER);
    let enough = Enough::of(&count, 1_000);
    let failures = run(&load, &enough).expect("a server").failures;
    assert_eq!(failures.wrong, 1, "{failures:?}");
}
