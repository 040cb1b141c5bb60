//! Whose turn it is at an account that several want to log in to, some of whom guess.
//!
//! Were it whoever comes first when a wait is over, it would be who asks all the time, and never the owner who comes when he
//! was told to. So each place that comes too early is promised a turn: half a minute of its own, in which no other is looked at.
//! Who asks all the time from one place has one turn in the line, like everybody else, and gets the next one behind the others.
//! Where several share a place, whoever comes as its turn begins waits for some moments with the others, and then it is chance
//! whose look is the first: so its owner isn't always second to who comes first. A turn costs its time whether it is used or not, so guessing is no faster for it.

use super::{LONGEST, Penalty};

/// How long a turn lasts, in milliseconds. As turns are as long as the longest wait, a failure in one isn't waited for in the
/// next; and it is time enough to be late for it by a slow connection and the derivation of a key.
pub(crate) const TURN: i64 = LONGEST;
/// How many turns of an account are promised at once: nobody is told to come back in more than ten minutes, after which all
/// failures of who came by chance are forgotten too.
const MOST: i64 = 20;
/// The furthest that a turn begins from now.
pub(crate) const FURTHEST: i64 = MOST * TURN;

/// How long who comes to a shared turn waits with the others, in milliseconds: those who were told whole seconds are there then.
const GATHER: i64 = 2_000;

/// The line before an account, as somebody meets it. Times are in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// When the last turn begins that was promised to who comes, if it hasn't been used.
    pub own: Option<i64>,
    /// How often that was asked for before it began.
    pub asked: i64,
    /// When the last turn begins that was promised to anybody.
    pub last: Option<i64>,
}

/// Who may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Anybody: nobody waits.
    Anybodys,
    /// Who comes, and no other.
    Own,
    /// One of those who come from there, in a moment.
    Shared,
    /// Others first; who comes has this turn.
    At(i64),
    /// Others, and all turns are promised.
    Taken,
}

/// Whether a turn counts still. One that begins in a far future was promised before the clock was set back.
pub(crate) fn counts(begins: i64, now: i64) -> bool {
    (now - TURN + 1..=now + FURTHEST).contains(&begins)
}

impl Line {
    /// Whose turn it is at an account with these failures.
    pub fn turn(&self, now: i64, penalty: &Penalty) -> Turn {
        match self.own {
            Some(own) if (own..own + GATHER).contains(&now) && self.asked > 1 => return Turn::Shared,
            Some(own) if counts(own, now) && own <= now => return Turn::Own,
            Some(own) if counts(own, now) => return Turn::At(own),
            _ => {}
        }
        let behind = self
            .last
            .filter(|last| counts(*last, now))
            .map(|last| last + TURN);
        let waited = penalty.wait(now).map(|_| penalty.free_at);
        match behind.max(waited) {
            None => Turn::Anybodys,
            Some(begins) if begins <= now + FURTHEST => Turn::At(begins),
            Some(_) => Turn::Taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account that has to be waited for so long.
    fn closed_until(free_at: i64) -> Penalty {
        Penalty {
            free_at,
            ..Penalty::default()
        }
    }

    #[test]
    fn each_place_has_a_turn_of_its_own_behind_the_others() {
        let penalty = closed_until(5_000);
        let line = |own, last| Line { own, last, asked: 1 };
        for (met, now, expected) in [
            (line(None, None), 1, Turn::At(5_000)),
            (line(None, None), 5_000, Turn::Anybodys),
            (line(None, Some(5_000)), 1, Turn::At(5_000 + TURN)),
            (line(None, Some(5_000)), 5_000 + TURN - 1, Turn::At(5_000 + TURN)),
            (line(None, Some(5_000)), 5_000 + TURN, Turn::Anybodys),
            // Asking again changes nothing.
            (line(Some(5_000), Some(5_000 + TURN)), 4_999, Turn::At(5_000)),
            (line(Some(5_000), Some(5_000 + TURN)), 5_000, Turn::Own),
            (line(Some(5_000), Some(5_000 + TURN)), 4_999 + TURN, Turn::Own),
            // Who comes later still has missed it.
            (
                line(Some(5_000), Some(5_000 + TURN)),
                5_000 + TURN,
                Turn::At(5_000 + 2 * TURN),
            ),
        ] {
            assert_eq!(met.turn(now, &penalty), expected, "{met:?} at {now}");
        }
    }

    #[test]
    fn who_shares_a_place_waits_for_the_others_in_it() {
        let line = Line {
            own: Some(5_000),
            last: Some(5_000),
            asked: 2,
        };
        let turns =
            [4_999, 5_000, 4_999 + GATHER, 5_000 + GATHER].map(|now| line.turn(now, &closed_until(0)));
        assert_eq!(turns, [Turn::At(5_000), Turn::Shared, Turn::Shared, Turn::Own]);
    }

    #[test]
    fn a_failure_of_others_takes_nobodys_turn_away() {
        let line = Line {
            own: Some(1_000),
            last: Some(1_000),
            asked: 1,
        };
        assert_eq!(line.turn(1_000, &closed_until(1_000 + LONGEST)), Turn::Own);
    }

    #[test]
    fn so_many_turns_are_promised_and_no_more() {
        let (mut line, mut promised) = (Line::default(), 0);
        while let Turn::At(begins) = line.turn(0, &closed_until(1)) {
            line.last = Some(begins);
            promised += 1;
        }
        assert_eq!(line.turn(0, &closed_until(1)), Turn::Taken);
        assert_eq!(promised, MOST);
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_out() {
        let line = Line {
            own: Some(10 * FURTHEST),
            last: Some(11 * FURTHEST),
            asked: 2,
        };
        assert_eq!(line.turn(0, &closed_until(10 * FURTHEST)), Turn::Anybodys);
    }
}
