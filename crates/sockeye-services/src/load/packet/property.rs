//! What comes back to a load generator, from a server and a network that mean no good.

use super::{MIN_PACKET, PacketCounts, Track, Verdict};
use std::time::{Duration, Instant};

/// What has become of a packet.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    OnWay,
    GivenUp,
    /// It was answered, or came back damaged.
    Settled,
}

/// Steps of four bytes: one is sent, comes back whole, comes back with a byte changed, or all are given up; which one, at which
/// byte, with what.
pub(crate) fn holds(data: &[u8]) {
    let (now, limit) = (Instant::now(), Duration::from_millis(200));
    let (mut track, mut counts) = (Track::new(4, MIN_PACKET), PacketCounts::default());
    track.begin_window();
    let (mut sent, mut fates, mut damaged) = (Vec::new(), Vec::new(), 0);
    for [step, which, at, with] in data.as_chunks().0 {
        let which = usize::from(*which).checked_rem(sent.len());
        match (step % 4, which) {
            (0, _) | (_, None) => {
                let mut packet = [0; MIN_PACKET];
                track.write(&mut packet);
                track.sent(now, &mut counts);
                sent.push(packet);
                fates.push(Fate::OnWay);
            }
            (1, Some(which)) => {
                let right = match fates[which] {
                    Fate::OnWay => Verdict::Answer { sent: now },
                    Fate::GivenUp => Verdict::Late,
                    Fate::Settled => Verdict::Duplicate,
                };
                assert_eq!(track.arrived(&sent[which], &mut counts), right);
                fates[which] = Fate::Settled;
            }
            (2, Some(which)) => {
                let mut packet = sent[which];
                packet[usize::from(*at) % MIN_PACKET] ^= (*with).max(1);
                assert!(matches!(track.arrived(&packet, &mut counts), Verdict::Wrong(_)));
                // It says which one it is, if anything can be believed of it.
                let (head, _) = packet.split_at(super::HEAD);
                let number = head[4..].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
                let fate = usize::try_from(number)
                    .ok()
                    .and_then(|number| fates.get_mut(number));
                if let Some(fate) = fate.filter(|fate| head[..4] == [4, 0, 0, 0] && **fate == Fate::OnWay) {
                    *fate = Fate::Settled;
                    damaged += 1;
                }
            }
            (_, Some(_)) => {
                track.give_up(now + 2 * limit, limit, &mut counts);
                let lost = fates.iter_mut().filter(|fate| **fate == Fate::OnWay);
                lost.for_each(|fate| *fate = Fate::GivenUp);
            }
        }
        let on_way = fates.iter().filter(|fate| **fate == Fate::OnWay).count();
        assert_eq!(track.on_way.len(), on_way);
        let known = counts.received + counts.late + counts.lost + damaged + on_way as u64;
        assert_eq!((counts.sent, sent.len() as u64), (known, known));
    }
    assert!(
        matches!(track.arrived(data, &mut counts), Verdict::Wrong(_)) || sent.iter().any(|sent| sent == data)
    );
}
