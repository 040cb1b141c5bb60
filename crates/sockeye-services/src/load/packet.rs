//! One socket for packets under load: `depth` packets on their way, each with its number, so that lost, doubled,
//! reordered and damaged ones are told apart.

use super::Pattern;
use super::share::{Failure, Heard, Phase, Share};
use sockeye::Datagram;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A packet begins with the number of its connection (4 bytes) and its own (8 bytes), little endian; the rest is the
/// connection's [`Pattern`].
const HEAD: usize = 12;
/// The smallest packet: the head and a few bytes that can be damaged.
pub const MIN_PACKET: usize = 16;

/// Packets whose fate is remembered, to tell a second answer from a late one. A second answer comes right behind the
/// first; what is older than this is late.
const MEMORY: usize = 1024;

/// Looks for lost packets in the time after which one is lost.
const SWEEPS: u32 = 4;

pub(super) struct Packets {
    socket: Datagram,
    track: Track,
    heard: Heard,
}

impl Packets {
    pub(super) fn new(socket: Datagram, connection: u32, share: &Share) -> Self {
        Packets {
            socket,
            track: Track::new(connection, share.load.size),
            heard: Heard::default(),
        }
    }

    /// Until the run is over, or something goes wrong.
    pub(super) async fn run(mut self, share: Rc<Share>) {
        let ended = self.exchange(&share).await;
        share.leave(self.heard, ended);
    }

    fn is_done(&self, share: &Share) -> bool {
        share.phase() == Phase::Over && self.track.on_way.is_empty()
    }

    async fn exchange(&mut self, share: &Share) -> Result<(), Failure> {
        let limit = share.load.loss_limit;
        while !self.is_done(share) {
            let mut sweep = pin!(sockeye::time::sleep(limit / SWEEPS));
            std::future::poll_fn(|cx| {
                self.poll_exchange(cx, share)?;
                if self.is_done(share) {
                    return Poll::Ready(Ok(()));
                }
                sweep.as_mut().poll(cx).map_err(Failure::from)
            })
            .await?;
            let lost = self.track.give_up(Instant::now(), limit);
            share.count_packets(|counts| counts.lost += lost);
        }
        Ok(())
    }

    /// Sends and receives all that can be now. Sending and receiving never wait for each other, for a server whose
    /// answers nobody takes may stop taking packets.
    fn poll_exchange(&mut self, cx: &mut Context<'_>, share: &Share) -> Result<(), Failure> {
        while !self.is_done(share) {
            self.poll_send(cx, share)?;
            // Everything that has come is taken before the next is sent, so that both ends work in batches.
            let before = self.track.on_way.len();
            let more = loop {
                let polled = pin!(self.socket.recv()).poll(cx);
                match polled {
                    Poll::Ready(arrived) => self.judge(&arrived?, share),
                    Poll::Pending => break false,
                }
                if self.track.on_way.is_empty() {
                    break true;
                }
            };
            if !more && self.track.on_way.len() == before {
                break;
            }
        }
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, share: &Share) -> Result<(), Failure> {
        let now = Instant::now();
        while self.track.on_way.len() < share.load.depth && share.phase() != Phase::Over {
            let mut scratch = share.scratch();
            let packet = &mut scratch[..share.load.size];
            self.track.write(packet);
            match pin!(self.socket.send(packet)).poll(cx) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => return Ok(()),
            }
            self.track.sent(now);
        }
        Ok(())
    }

    fn judge(&mut self, packet: &[u8], share: &Share) {
        match self.track.arrived(packet) {
            Verdict::Answer { sent, overtaken } => {
                share.heard(&mut self.heard);
                share.book(packet.len(), std::iter::once(sent.elapsed()));
                share.count_packets(|counts| counts.reordered += u64::from(overtaken));
            }
            Verdict::Duplicate => share.count_packets(|counts| counts.duplicated += 1),
            Verdict::Late => share.count_packets(|counts| counts.late += 1),
            Verdict::Wrong(what) => share.outcome().failures.wrong(what),
        }
    }
}

/// What a packet that has come back is.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The answer that is waited for; overtaken by that of a packet sent later?
    Answer {
        sent: Instant,
        overtaken: bool,
    },
    Duplicate,
    Late,
    Wrong(String),
}

/// The packets of one socket: which are on their way, and what became of the others.
struct Track {
    pattern: Pattern,
    connection: u32,
    size: usize,
    /// The number of the next packet, and the highest answered.
    next: u64,
    front: u64,
    on_way: VecDeque<(u64, Instant)>,
    /// The latest that were answered, by number modulo its length.
    answered: Box<[Option<u64>]>,
}

impl Track {
    fn new(connection: u32, size: usize) -> Self {
        Track {
            pattern: Pattern::of(connection),
            connection,
            size,
            next: 0,
            front: 0,
            on_way: VecDeque::new(),
            answered: vec![None; MEMORY].into_boxed_slice(),
        }
    }

    /// Makes the next packet.
    fn write(&self, packet: &mut [u8]) {
        let (head, body) = packet.split_at_mut(HEAD);
        head[..4].copy_from_slice(&self.connection.to_le_bytes());
        head[4..].copy_from_slice(&self.next.to_le_bytes());
        self.pattern.fill(self.place(self.next), body);
    }

    /// Where in the pattern the body of a packet begins.
    fn place(&self, number: u64) -> u64 {
        number.wrapping_mul((self.size - HEAD) as u64)
    }

    /// The next packet has left.
    fn sent(&mut self, now: Instant) {
        self.on_way.push_back((self.next, now));
        self.next += 1;
    }

    /// Counts as lost what has been on its way for longer than the limit.
    fn give_up(&mut self, now: Instant, limit: Duration) -> u64 {
        let mut lost = 0;
        while self
            .on_way
            .front()
            .is_some_and(|(_, at)| now.duration_since(*at) > limit)
        {
            self.on_way.pop_front();
            lost += 1;
        }
        lost
    }

    fn arrived(&mut self, packet: &[u8]) -> Verdict {
        let connection = self.connection;
        if packet.len() != self.size {
            let (came, size) = (packet.len(), self.size);
            return Verdict::Wrong(format!(
                "a packet of {came} bytes came back on connection {connection}; {size} were sent"
            ));
        }
        let (head, body) = packet.split_at(HEAD);
        let owner = head[..4].iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
        let number = head[4..].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        if owner != connection {
            let what = format!("a packet of connection {owner} came back on connection {connection}");
            return Verdict::Wrong(what);
        }
        if number >= self.next {
            return Verdict::Wrong(format!(
                "packet {number} came back on connection {connection}, and was never sent"
            ));
        }
        let waited = self.on_way.iter().position(|(waited, _)| *waited == number);
        let sent = waited.and_then(|at| self.on_way.remove(at));
        if let Some(at) = self.pattern.mismatch(self.place(number), body) {
            let at = at + HEAD;
            return Verdict::Wrong(format!(
                "wrong bytes: packet {number} of connection {connection} came back damaged from its byte {at} on"
            ));
        }
        let slot = (number % MEMORY as u64) as usize;
        if self.answered[slot] == Some(number) {
            return Verdict::Duplicate;
        }
        self.answered[slot] = Some(number);
        let overtaken = number < self.front;
        self.front = self.front.max(number);
        match sent {
            Some((_, sent)) => Verdict::Answer { sent, overtaken },
            None => Verdict::Late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 40;

    fn send(track: &mut Track, now: Instant) -> Vec<u8> {
        let mut packet = vec![0; SIZE];
        track.write(&mut packet);
        track.sent(now);
        packet
    }

    #[test]
    fn answers_in_order_out_of_order_and_twice() {
        let now = Instant::now();
        let mut track = Track::new(4, SIZE);
        let sent: Vec<_> = (0..3).map(|_| send(&mut track, now)).collect();
        let answer = |overtaken| Verdict::Answer { sent: now, overtaken };
        assert_eq!(track.arrived(&sent[1]), answer(false));
        assert_eq!(track.arrived(&sent[0]), answer(true));
        assert_eq!(track.arrived(&sent[0]), Verdict::Duplicate);
        assert_eq!(track.arrived(&sent[2]), answer(false));
        assert!(track.on_way.is_empty());
    }

    #[test]
    fn the_lost_are_given_up_and_may_come_late() {
        let (start, limit) = (Instant::now(), Duration::from_millis(200));
        let mut track = Track::new(4, SIZE);
        let first = send(&mut track, start);
        let second = send(&mut track, start + limit);
        assert_eq!(track.give_up(start + limit, limit), 0);
        assert_eq!(track.give_up(start + limit + Duration::from_nanos(1), limit), 1);
        assert_eq!(track.arrived(&first), Verdict::Late);
        assert_eq!(track.arrived(&first), Verdict::Duplicate);
        assert!(matches!(track.arrived(&second), Verdict::Answer { .. }));
    }

    #[test]
    fn damage_and_strangers_are_wrong() {
        let mut track = Track::new(4, SIZE);
        let right = send(&mut track, Instant::now());
        for at in 0..SIZE {
            let mut damaged = right.clone();
            damaged[at] ^= 0x20;
            assert!(matches!(track.arrived(&damaged), Verdict::Wrong(_)), "byte {at}");
        }
        assert!(matches!(track.arrived(&right[..SIZE - 1]), Verdict::Wrong(_)));
        let stranger = send(&mut Track::new(5, SIZE), Instant::now());
        assert!(matches!(track.arrived(&stranger), Verdict::Wrong(_)));
    }
}
