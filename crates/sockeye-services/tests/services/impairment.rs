//! The load generator's counts of datagrams, against a network that loses, doubles and swaps some of them and says which.

use sockeye_services::load::{Load, Observer, PacketCounts, run};
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::serving::plain;
use sockeye::Model;

/// So many datagrams are impaired by dice; those that follow pass, so that nothing is held back for ever.
const IMPAIRED: u64 = 400;
/// And so many more are to pass before the run may end.
const UNHARMED: u64 = 100;
/// Longer than any machine needs, for what must not end a run.
const NEVER: Duration = Duration::from_secs(3600);

/// What becomes of a datagram.
#[derive(Clone, Copy)]
enum Fate {
    Passes,
    Lost,
    Doubled,
    /// Behind the next of its connection.
    Swapped,
}

/// Between a load generator and a server, whose answers pass unharmed.
struct Relay {
    address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    /// What was done since the window began.
    counts: Mutex<PacketCounts>,
    /// Nothing more is to come that matters.
    done: AtomicBool,
}

impl Log {
    fn counts(&self) -> MutexGuard<'_, PacketCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a datagram's connection (docs of `sockeye_services::load`).
fn connection(datagram: &[u8]) -> u32 {
    datagram
        .iter()
        .take(4)
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

impl Relay {
    /// Threads that end with the test's process.
    fn to(server: SocketAddr, seed: u64) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let back = UdpSocket::bind("127.0.0.1:0").expect("bind");
        back.connect(server).expect("connect");
        let address = front.local_addr().expect("an address");
        let log = Arc::<Log>::default();
        let clients = Arc::<Mutex<HashMap<u32, SocketAddr>>>::default();
        let (answers, questions) = (
            back.try_clone().expect("a handle"),
            front.try_clone().expect("a handle"),
        );
        let known = clients.clone();
        thread::spawn(move || {
            let mut room = [0; 2048];
            loop {
                let count = answers.recv(&mut room).expect("the server is there");
                let client = known.lock().expect("no panic")[&connection(&room[..count])];
                front
                    .send_to(&room[..count], client)
                    .expect("the client is there");
            }
        });
        let told = log.clone();
        thread::spawn(move || {
            let mut way = Way {
                back,
                held: HashMap::new(),
            };
            let (mut dice, mut room) = (fastrand::Rng::with_seed(seed), [0; 2048]);
            let mut began = false;
            loop {
                let (count, from) = questions.recv_from(&mut room).expect("a datagram");
                let datagram = &room[..count];
                if datagram == BEGIN {
                    began = true;
                    continue;
                }
                clients
                    .lock()
                    .expect("no panic")
                    .insert(connection(datagram), from);
                let number = told.counts().sent;
                let fate = match dice.u8(..16) {
                    0 if began && number < IMPAIRED => Fate::Lost,
                    1 if began && number < IMPAIRED => Fate::Doubled,
                    2 | 3 if began && number < IMPAIRED => Fate::Swapped,
                    _ => Fate::Passes,
                };
                let mut counts = told.counts();
                way.pass(datagram, fate, &mut counts);
                counts.sent += u64::from(began);
                let over = counts.sent >= IMPAIRED + UNHARMED && way.held.is_empty();
                told.done.store(over, Ordering::Relaxed);
            }
        });
        Relay { address, log }
    }
}

/// What tells the relay that the window begins: behind all that was sent before.
const BEGIN: &[u8] = b"begin";

/// The way to the server.
struct Way {
    back: UdpSocket,
    /// Of each connection, the datagram that waits for the next.
    held: HashMap<u32, Vec<u8>>,
}

impl Way {
    fn pass(&mut self, datagram: &[u8], fate: Fate, counts: &mut PacketCounts) {
        let whose = connection(datagram);
        let send = |datagram: &[u8]| assert_eq!(self.back.send(datagram).expect("send"), datagram.len());
        match fate {
            Fate::Lost => return counts.lost += 1,
            Fate::Swapped if !self.held.contains_key(&whose) => {
                counts.reordered += 1;
                self.held.insert(whose, datagram.to_vec());
                return;
            }
            Fate::Doubled => {
                counts.duplicated += 1;
                send(datagram);
            }
            Fate::Swapped | Fate::Passes => {}
        }
        send(datagram);
        if let Some(held) = self.held.remove(&whose) {
            send(&held);
        }
    }
}

impl Observer for Relay {
    fn begin(&self) {
        let teller = UdpSocket::bind("127.0.0.1:0").expect("bind");
        teller.send_to(BEGIN, self.address).expect("send");
    }

    fn stopped(&self) -> bool {
        self.log.done.load(Ordering::Relaxed)
    }
}

#[test]
fn what_a_network_does_to_datagrams_is_counted_exactly() {
    let served = plain("echo", "udp", Model::default());
    for seed in [1, 7, 42] {
        let relay = Relay::to(served.address(), seed);
        let mut load = Load::on(format!("udp://{}", relay.address).parse().expect("an endpoint"));
        // More than are lost, so that there is always one more on its way; fewer than a socket's buffer holds, which would
        // lose others.
        (load.connections, load.depth) = (2, 48);
        (load.window, load.patience, load.connect_limit) = (NEVER, NEVER, NEVER);
        load.warm_up = Duration::from_millis(10);
        load.loss_limit = Duration::from_secs(2);
        let outcome = run(&load, &relay).expect("a server");
        assert!(outcome.is_clean(), "{:?}", outcome.failures);
        let counts = outcome.packets.expect("datagrams were sent");
        let done = *relay.log.counts();
        assert!(
            done.lost > 10 && done.duplicated > 10 && done.reordered > 10,
            "{done:?}"
        );
        let counted = PacketCounts {
            received: 0,
            late: 0,
            ..counts
        };
        assert_eq!(counted, done, "seed {seed}");
        // On a machine that stood still for two seconds some may be late, which is not lost.
        assert_eq!(
            counts.received + counts.late,
            done.sent - done.lost,
            "seed {seed}"
        );
    }
}
