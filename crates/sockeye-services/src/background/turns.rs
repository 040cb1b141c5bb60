//! Whose turn it is: each party's jobs wait in a line of its own, and the lines are served in turns.
//!
//! However much one party asks for, another waits for no more than a job of each of the others, and a thread is there for it.

use sockeye::Address;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// How many jobs of one party are done at once: as many as keep a disk or a few cores busy. There is a thread more than that.
pub(super) const AT_ONCE: usize = 4;
/// Jobs that one connection may have waiting: two that write its small files, and one that names those before them.
const OF_ONE_CONNECTION: usize = 3;
/// How much of all parties may wait: seconds of work. What comes then is refused, for its own sake and that of the others, but for the
/// first jobs of a party, and our own.
const WAITING: usize = OF_ONE_CONNECTION * 4096;
/// How much of it one party may have, so that it isn't all.
const WAITING_OF_ONE: usize = WAITING / 2;

/// Whose a job is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    /// This program's own; it has all the threads.
    Own,
    /// A user's, over whatever connections.
    User(Arc<str>),
    /// That of peers without an account: all from one address are one. Without an address they are on this machine.
    Peer(Option<IpAddr>),
}

impl Party {
    /// A peer without an account. Under IPv6 it has as many addresses of its network as it likes.
    pub(crate) fn of_peer(peer: &Address) -> Self {
        Party::Peer(peer.ip().map(|ip| match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
            ip => ip,
        }))
    }
}

#[derive(Debug)]
struct Line<J> {
    jobs: VecDeque<J>,
    under_way: usize,
    most: usize,
}

impl<J> Line<J> {
    fn of(party: &Party) -> Self {
        Line {
            jobs: VecDeque::new(),
            under_way: 0,
            most: match party {
                Party::Own => usize::MAX,
                _ => AT_ONCE,
            },
        }
    }

    fn is_due(&self) -> bool {
        !self.jobs.is_empty() && self.under_way < self.most
    }
}

/// The jobs of all parties.
#[derive(Debug)]
pub(super) struct Turns<J> {
    /// Those that have jobs, waiting or under way.
    lines: HashMap<Party, Line<J>>,
    /// Those that are due, the next one first.
    round: VecDeque<Party>,
    waiting: usize,
}

impl<J> Default for Turns<J> {
    fn default() -> Self {
        Turns {
            lines: HashMap::new(),
            round: VecDeque::new(),
            waiting: 0,
        }
    }
}

impl<J> Turns<J> {
    /// Has a job wait; says whether it may.
    pub(super) fn put(&mut self, party: &Party, job: J) -> bool {
        let line = self.lines.get(party).map_or(0, |line| line.jobs.len());
        // Who has but one connection is never refused for what others have.
        let is_much = line >= WAITING_OF_ONE || (self.waiting >= WAITING && line >= OF_ONE_CONNECTION);
        let is_full = is_much && *party != Party::Own;
        if !is_full {
            self.waiting += 1;
            self.change(party, |line| line.jobs.push_back(job));
        }
        !is_full
    }

    /// The next job, which is under way from now on.
    pub(super) fn take(&mut self) -> Option<(Party, J)> {
        let party = self.round.pop_front()?;
        let line = self.lines.get_mut(&party)?;
        let job = line.jobs.pop_front()?;
        self.waiting -= 1;
        line.under_way += 1;
        if line.is_due() {
            self.round.push_back(party.clone());
        }
        Some((party, job))
    }

    /// A job is done.
    pub(super) fn done(&mut self, party: &Party) {
        self.change(party, |line| line.under_way -= 1);
    }

    /// Changes a line, which takes its place in the round when it becomes due.
    fn change(&mut self, party: &Party, change: impl FnOnce(&mut Line<J>)) {
        let line = self.lines.entry(party.clone()).or_insert_with(|| Line::of(party));
        let was_due = line.is_due();
        change(line);
        if line.is_due() && !was_due {
            self.round.push_back(party.clone());
        }
        if line.jobs.is_empty() && line.under_way == 0 {
            self.lines.remove(party);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Party {
        Party::User(name.into())
    }

    #[test]
    fn parties_have_turns_and_none_has_all_the_threads() {
        let (ann, bob, own) = (user("ann"), user("bob"), Party::Own);
        let mut turns = Turns::default();
        for job in 0..10 {
            assert!(turns.put(&ann, job));
        }
        for job in 10..12 {
            assert!(turns.put(&bob, job));
        }
        let mut taken = Vec::new();
        while let Some((_, job)) = turns.take() {
            taken.push(job);
        }
        assert_eq!(taken, [0, 10, 1, 11, 2, 3], "four of hers, in turns with his");
        turns.done(&ann);
        turns.put(&own, 12);
        turns.put(&bob, 13);
        let next: Vec<_> = std::iter::from_fn(|| turns.take()).map(|(_, job)| job).collect();
        assert_eq!(next, [4, 12, 13]);
        for _ in 0..5 {
            turns.done(&ann);
            turns.take();
        }
        for (party, count) in [(&ann, 4), (&bob, 3), (&own, 1)] {
            (0..count).for_each(|_| turns.done(party));
        }
        assert!(turns.lines.is_empty() && turns.round.is_empty() && turns.waiting == 0);
        for job in 0..10 {
            turns.put(&own, job);
        }
        assert_eq!(std::iter::from_fn(|| turns.take()).count(), 10);
    }

    #[test]
    fn what_waits_is_limited_for_each_and_for_all() {
        let mut turns = Turns::default();
        let put = |turns: &mut Turns<()>, party| {
            std::iter::repeat_n((), 2 * WAITING)
                .take_while(|()| turns.put(&party, ()))
                .count()
        };
        assert_eq!(put(&mut turns, user("ann")), WAITING_OF_ONE);
        assert!(turns.put(&user("bob"), ()));
        assert_eq!(put(&mut turns, user("bob")), WAITING - WAITING_OF_ONE - 1);
        // Others have had it all.
        assert_eq!(put(&mut turns, user("eve")), OF_ONE_CONNECTION);
        assert!(turns.put(&Party::Own, ()) && turns.put(&Party::Own, ()));
    }

    #[test]
    fn a_network_is_one_party() {
        let party = |text: &str| Party::of_peer(&Address::Inet(text.parse().expect("an address")));
        assert_eq!(party("[2001:db8::1]:1"), party("[2001:db8::2:3]:4"));
        assert_ne!(party("[2001:db8::1]:1"), party("[2001:db8:0:1::1]:1"));
        assert_eq!(party("192.0.2.1:1"), party("[::ffff:192.0.2.1]:2"));
        assert_ne!(party("192.0.2.1:1"), party("192.0.2.2:1"));
    }
}
