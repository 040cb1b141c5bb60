//! Connecting, the phases of a run, and threads.

use super::packet::Packets;
use super::share::Share;
use super::stream::Stream;
use super::{Load, Observer, Outcome};
use sockeye::time::sleep;
use sockeye::{Datagram, Dialer, Error, Model, Result, spawn_local};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often a phase looks whether it is over: short beside any window, long beside a message.
const SLICE: Duration = Duration::from_millis(5);

/// What may still come back after the window, so that connections end with nothing on its way: a server that finds
/// its answers refused would report errors that are none.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// How long a new connection waits for the answer to its first message before the next is made. Servers whose backlog
/// is five (Python's `socketserver`) would otherwise overflow, and the kernel tries again only after a second.
const GREETING: Duration = Duration::from_millis(100);

/// Connections in a row whose first message is not answered in that time before the rest is made without waiting.
const UNANSWERED: u32 = 3;

/// Connections in a row that fail before the others are not even tried.
const FAILED_IN_A_ROW: usize = 8;

/// Puts the load on the server and measures. Returns when the window is over, every connection has failed, nobody is
/// served, or the observer says stop; in the end within the limits of [`Load`], whatever the server does.
///
/// # Errors
/// When the load can't be (see [`Load::check`]), or the very first connection can't be made. Later failures are part
/// of the outcome.
pub fn run(load: &Load, observer: &dyn Observer) -> Result<Outcome> {
    load.check()?;
    let together = Together {
        load,
        observer,
        threads: load.threads.min(load.connections),
        gates: Default::default(),
        connected: AtomicUsize::new(0),
        unserved: Arc::default(),
    };
    if together.threads == 1 {
        return together.thread(0);
    }
    std::thread::scope(|scope| {
        let together = &together;
        let running: Vec<_> = (0..together.threads)
            .map(|index| scope.spawn(move || together.thread(index)))
            .collect();
        let (mut whole, mut failed) = (Outcome::new(), None);
        for thread in running {
            match thread.join() {
                Ok(Ok(outcome)) => whole.merge(outcome),
                Ok(Err(error)) => failed = Some(error),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        match failed {
            Some(error) if whole.connections == 0 => return Err(error),
            Some(error) => whole.failures.error(error.to_string()),
            None => {}
        }
        Ok(whole)
    })
}

/// What the threads share.
struct Together<'a> {
    load: &'a Load,
    observer: &'a dyn Observer,
    threads: usize,
    /// Threads that have connected, and threads that are warm: no thread goes on before all have come so far.
    gates: [AtomicUsize; 2],
    connected: AtomicUsize,
    /// Connections that have had no answer in the warm-up.
    unserved: Arc<AtomicUsize>,
}

/// A thread's way through the gates. A thread that fails opens the rest of them, so that nobody waits for it.
struct Passage<'a> {
    gates: std::slice::Iter<'a, AtomicUsize>,
    threads: usize,
}

impl Passage<'_> {
    async fn next(&mut self) -> Result<()> {
        if let Some(gate) = self.gates.next() {
            gate.fetch_add(1, Ordering::AcqRel);
            while gate.load(Ordering::Acquire) < self.threads {
                sleep(SLICE).await?;
            }
        }
        Ok(())
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        for gate in self.gates.by_ref() {
            gate.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// One of the connections.
enum Peer {
    Stream(Stream),
    Packets(Packets),
}

impl Together<'_> {
    /// One thread: its connections, from the first to the outcome. The first thread speaks with the observer.
    fn thread(&self, index: usize) -> Result<Outcome> {
        let passage = Passage {
            gates: self.gates.iter(),
            threads: self.threads,
        };
        let share = Rc::new(Share::new(self.load.clone(), self.unserved.clone()));
        sockeye::run(Model::default(), self.measure(index, passage, &share))??;
        let outcome = share.outcome().clone();
        Ok(outcome)
    }

    async fn measure(&self, index: usize, mut passage: Passage<'_>, share: &Rc<Share>) -> Result<()> {
        let first = index == 0;
        let peers = self.connect(index, share).await?;
        passage.next().await?;
        if first {
            self.observer.connected(self.connected.load(Ordering::Relaxed));
        }
        share.warm_up();
        for peer in peers {
            let share = share.clone();
            match peer {
                Peer::Stream(stream) => spawn_local(stream.run(share))?,
                Peer::Packets(packets) => spawn_local(packets.run(share))?,
            }
        }
        let begun = Instant::now();
        while self.is_warming(begun.elapsed()) && share.alive() > 0 {
            sleep(SLICE).await?;
        }
        passage.next().await?;
        let served = self.unserved.load(Ordering::Relaxed) < self.connected.load(Ordering::Relaxed);
        if first && served {
            self.observer.begin();
        }
        let begun = served.then(|| share.begin());
        while let Some(left) = begun.and_then(|begun| self.load.window.checked_sub(begun.elapsed())) {
            if left.is_zero() || share.alive() == 0 || self.observer.stopped() {
                break;
            }
            sleep(left.min(SLICE)).await?;
        }
        share.end(begun);
        if first && served {
            self.observer.end(share.outcome().elapsed);
        }
        let over = Instant::now();
        let patience = match self.load.endpoint.is_packet() {
            // Until each packet is either answered or given up.
            true => LAST_ANSWERS.max(self.load.loss_limit * 2),
            false => LAST_ANSWERS,
        };
        while share.alive() > 0 && over.elapsed() < patience && served {
            sleep(SLICE).await?;
        }
        Ok(())
    }

    /// Until the time is over and everybody has been served once, or patience is at its end.
    fn is_warming(&self, passed: Duration) -> bool {
        let waiting = self.unserved.load(Ordering::Relaxed) > 0;
        !self.observer.stopped()
            && (passed < self.load.warm_up || (waiting && passed < self.load.patience.max(self.load.warm_up)))
    }

    /// Makes this thread's connections, each when the one before it has been served, as long as the server is
    /// quick about it.
    async fn connect(&self, index: usize, share: &Rc<Share>) -> Result<Vec<Peer>> {
        let deadline = Instant::now() + self.load.connect_limit;
        let (mut peers, mut in_a_row, mut unanswered) = (Vec::new(), 0, 0);
        for number in (index..self.load.connections).step_by(self.threads) {
            if in_a_row == FAILED_IN_A_ROW || self.observer.stopped() {
                break;
            }
            match self.open(number as u32, share, deadline).await {
                Ok(peer) => {
                    share.join();
                    self.connected.fetch_add(1, Ordering::Relaxed);
                    peers.extend(greeted(peer, share, &mut unanswered).await);
                    in_a_row = 0;
                }
                Err(error) if share.outcome().connections == 0 => return Err(error),
                Err(error) => {
                    share.outcome().failures.error(error.to_string());
                    in_a_row += 1;
                }
            }
        }
        Ok(peers)
    }

    async fn open(&self, number: u32, share: &Share, deadline: Instant) -> Result<Peer> {
        let endpoint = &self.load.endpoint;
        // In whole milliseconds, as people read it in an error.
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Duration::from_millis(left.as_millis() as u64);
        if left.is_zero() {
            return Err(Error::timed_out("connect", self.load.connect_limit).at(endpoint));
        }
        if endpoint.is_packet() {
            let socket = Datagram::dial(endpoint).await?;
            return Ok(Peer::Packets(Packets::new(socket, number, share)));
        }
        let mut dialer = Dialer::new().timeout(left);
        if let Some(tls) = &self.load.tls {
            dialer = dialer.tls(tls.clone());
        }
        let conn = dialer.dial(endpoint).await?;
        Ok(Peer::Stream(Stream::new(conn, number, share)))
    }
}

/// The peer, served once if the server is quick, unless it failed in that.
async fn greeted(peer: Peer, share: &Share, unanswered: &mut u32) -> Option<Peer> {
    match peer {
        Peer::Stream(mut stream) if *unanswered < UNANSWERED => {
            match sockeye::time::timeout(GREETING, stream.greet(share)).await {
                Ok(Ok(())) => *unanswered = 0,
                Ok(Err(failure)) => {
                    stream.fail(failure, share);
                    return None;
                }
                Err(_) => *unanswered += 1,
            }
            Some(Peer::Stream(stream))
        }
        other => Some(other),
    }
}
