//! One socket for packets under load: `depth` packets on their way, each with its number, so that lost, doubled,
//! reordered and damaged ones are told apart.

#[cfg(any(test, fuzzing))]
pub(crate) mod property;

use super::share::{Failure, Heard, Phase, Share};
use super::{PacketCounts, Pattern};
use sockeye::Datagram;
use std::collections::{BTreeSet, VecDeque};
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

/// Packets that were given up and are remembered, to tell a late answer from a second one: as many as may be on their way at
/// once. An answer to one before those counts as a second one.
const MEMORY: usize = super::MAX_DEPTH;

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
            share.count_packets(|counts| self.track.give_up(Instant::now(), limit, counts));
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
        if share.phase() == Phase::Window {
            self.track.begin_window();
        }
        while self.track.on_way.len() < share.load.depth && share.phase() != Phase::Over {
            let mut scratch = share.scratch();
            let packet = &mut scratch[..share.load.size];
            self.track.write(packet);
            match pin!(self.socket.send(packet)).poll(cx) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => return Ok(()),
            }
            share.count_packets(|counts| self.track.sent(now, counts));
        }
        Ok(())
    }

    fn judge(&mut self, packet: &[u8], share: &Share) {
        match share.count_packets(|counts| self.track.arrived(packet, counts)) {
            Verdict::Answer { sent } => {
                share.heard(&mut self.heard);
                share.book(packet.len(), std::iter::once(sent.elapsed()));
            }
            Verdict::Duplicate | Verdict::Late => {}
            Verdict::Wrong(what) => share.outcome().failures.wrong(what),
        }
    }
}

/// What a packet that has come back is.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The answer that is waited for.
    Answer {
        sent: Instant,
    },
    Duplicate,
    Late,
    Wrong(String),
}

/// The packets of one socket: which are on their way, and what became of the others. Those that were sent in the measured window
/// are counted, whenever their fate is known.
struct Track {
    pattern: Pattern,
    connection: u32,
    size: usize,
    /// The number of the next packet, and the highest answered.
    next: u64,
    front: u64,
    on_way: VecDeque<(u64, Instant)>,
    /// Those that were not answered in time; all others that aren't on their way were.
    given_up: BTreeSet<u64>,
    /// The first packet of the window.
    window: Option<u64>,
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
            given_up: BTreeSet::new(),
            window: None,
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

    /// From the next packet on, what becomes of them counts.
    fn begin_window(&mut self) {
        self.window.get_or_insert(self.next);
    }

    /// One, if this packet counts.
    fn one(&self, number: u64) -> u64 {
        u64::from(self.window.is_some_and(|first| number >= first))
    }

    /// The next packet has left.
    fn sent(&mut self, now: Instant, counts: &mut PacketCounts) {
        counts.sent += self.one(self.next);
        self.on_way.push_back((self.next, now));
        self.next += 1;
    }

    /// Counts as lost what has been on its way for longer than the limit.
    fn give_up(&mut self, now: Instant, limit: Duration, counts: &mut PacketCounts) {
        while let Some(&(number, at)) = self.on_way.front()
            && now.duration_since(at) > limit
        {
            self.on_way.pop_front();
            self.given_up.insert(number);
            if self.given_up.len() > MEMORY {
                self.given_up.pop_first();
            }
            counts.lost += self.one(number);
        }
    }

    fn arrived(&mut self, packet: &[u8], counts: &mut PacketCounts) -> Verdict {
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
        let waited = waited.and_then(|at| self.on_way.remove(at));
        if let Some(at) = self.pattern.mismatch(self.place(number), body) {
            let at = at + HEAD;
            return Verdict::Wrong(format!(
                "wrong bytes: packet {number} of connection {connection} came back damaged from its byte {at} on"
            ));
        }
        let one = self.one(number);
        if let Some((_, sent)) = waited {
            counts.received += one;
            counts.reordered += if number < self.front { one } else { 0 };
            self.front = self.front.max(number);
            return Verdict::Answer { sent };
        }
        if self.given_up.remove(&number) {
            counts.lost -= one;
            counts.late += one;
            return Verdict::Late;
        }
        counts.duplicated += one;
        Verdict::Duplicate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: usize = 40;

    fn send(track: &mut Track, now: Instant, counts: &mut PacketCounts) -> Vec<u8> {
        let mut packet = vec![0; SIZE];
        track.write(&mut packet);
        track.sent(now, counts);
        packet
    }

    #[test]
    fn answers_in_order_out_of_order_and_twice() {
        let (now, mut counts) = (Instant::now(), PacketCounts::default());
        let mut track = Track::new(4, SIZE);
        track.begin_window();
        let sent: Vec<_> = (0..3).map(|_| send(&mut track, now, &mut counts)).collect();
        let answer = Verdict::Answer { sent: now };
        assert_eq!(track.arrived(&sent[1], &mut counts), answer);
        assert_eq!(track.arrived(&sent[0], &mut counts), answer);
        assert_eq!(track.arrived(&sent[0], &mut counts), Verdict::Duplicate);
        assert_eq!(track.arrived(&sent[2], &mut counts), answer);
        assert!(track.on_way.is_empty());
        let expected = PacketCounts {
            sent: 3,
            received: 3,
            duplicated: 1,
            reordered: 1,
            ..PacketCounts::default()
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn the_lost_are_given_up_and_may_come_late() {
        let (start, limit) = (Instant::now(), Duration::from_millis(200));
        let (mut track, mut counts) = (Track::new(4, SIZE), PacketCounts::default());
        track.begin_window();
        let first = send(&mut track, start, &mut counts);
        let second = send(&mut track, start + limit, &mut counts);
        track.give_up(start + limit, limit, &mut counts);
        assert_eq!(counts.lost, 0);
        track.give_up(start + limit + Duration::from_nanos(1), limit, &mut counts);
        assert_eq!(counts.lost, 1);
        assert_eq!(track.arrived(&first, &mut counts), Verdict::Late);
        assert_eq!((counts.lost, counts.late), (0, 1), "what comes late isn't lost");
        assert_eq!(track.arrived(&first, &mut counts), Verdict::Duplicate);
        assert!(matches!(
            track.arrived(&second, &mut counts),
            Verdict::Answer { .. }
        ));
        let expected = PacketCounts {
            sent: 2,
            received: 1,
            late: 1,
            duplicated: 1,
            ..PacketCounts::default()
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn only_what_was_sent_in_the_window_counts() {
        let (now, limit) = (Instant::now(), Duration::from_millis(200));
        let (mut track, mut counts) = (Track::new(4, SIZE), PacketCounts::default());
        let before: Vec<_> = (0..4).map(|_| send(&mut track, now, &mut counts)).collect();
        track.begin_window();
        let within = send(&mut track, now, &mut counts);
        track.begin_window();
        track.arrived(&within, &mut counts);
        track.arrived(&before[3], &mut counts);
        track.arrived(&before[3], &mut counts);
        track.give_up(now + 2 * limit, limit, &mut counts);
        track.arrived(&before[0], &mut counts);
        let expected = PacketCounts {
            sent: 1,
            received: 1,
            ..PacketCounts::default()
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn damage_and_strangers_are_wrong() {
        let mut counts = PacketCounts::default();
        let mut track = Track::new(4, SIZE);
        let right = send(&mut track, Instant::now(), &mut counts);
        for at in 0..SIZE {
            let mut damaged = right.clone();
            damaged[at] ^= 0x20;
            let verdict = track.arrived(&damaged, &mut counts);
            assert!(matches!(verdict, Verdict::Wrong(_)), "byte {at}");
        }
        let verdict = track.arrived(&right[..SIZE - 1], &mut counts);
        assert!(matches!(verdict, Verdict::Wrong(_)));
        let stranger = send(&mut Track::new(5, SIZE), Instant::now(), &mut counts);
        assert!(matches!(track.arrived(&stranger, &mut counts), Verdict::Wrong(_)));
    }

    /// What a network did to a packet, and how often its answer comes.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Lost,
        Once,
        Twice,
        /// After it was given up.
        Late,
    }

    proptest! {
        /// Whatever becomes of each packet and in whatever order, it is counted as what it was.
        #[test]
        fn every_packet_is_counted_once(
            fates in proptest::collection::vec(
                prop_oneof![Just(Fate::Lost), Just(Fate::Once), Just(Fate::Twice), Just(Fate::Late)], 1..100),
            order in any::<u64>(),
        ) {
            let (now, limit) = (Instant::now(), Duration::from_millis(200));
            let (mut track, mut counts) = (Track::new(4, SIZE), PacketCounts::default());
            track.begin_window();
            let mut dice = fastrand::Rng::with_seed(order);
            let (mut in_time, mut late) = (Vec::new(), Vec::new());
            for (number, fate) in fates.iter().enumerate() {
                let packet = (number, send(&mut track, now, &mut counts));
                match fate {
                    Fate::Lost => {}
                    Fate::Once => in_time.push(packet),
                    Fate::Twice => in_time.extend([packet.clone(), packet]),
                    Fate::Late => late.push(packet),
                }
            }
            dice.shuffle(&mut in_time);
            let (mut front, mut seen, mut overtaken) = (0, BTreeSet::new(), 0);
            for (number, packet) in &in_time {
                if seen.insert(*number) {
                    overtaken += u64::from(*number < front);
                    front = front.max(*number);
                }
                track.arrived(packet, &mut counts);
            }
            track.give_up(now + 2 * limit, limit, &mut counts);
            late.iter().for_each(|(_, packet)| drop(track.arrived(packet, &mut counts)));
            let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count() as u64;
            prop_assert_eq!(counts, PacketCounts {
                sent: fates.len() as u64,
                received: count(|fate| matches!(fate, Fate::Once | Fate::Twice)),
                lost: count(|fate| matches!(fate, Fate::Lost)),
                late: count(|fate| matches!(fate, Fate::Late)),
                duplicated: count(|fate| matches!(fate, Fate::Twice)),
                reordered: overtaken,
            });
            prop_assert_eq!(counts.sent, counts.received + counts.late + counts.lost);
        }
    }
}
