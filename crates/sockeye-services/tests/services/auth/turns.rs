//! Who gets in to an account that somebody guesses at.

use super::Accounts;
use sockeye::{Address, block_on};
use sockeye_services::auth::penalty::{Attempt, Early, Flight};
use sockeye_services::store::Store;
use std::path::Path;
use std::sync::Arc;

const SECOND: i64 = 1_000;
/// More than an account has free.
const FREE: usize = 21;

/// Those who want to log in to one account, from addresses where its owner never was.
struct Line {
    store: Arc<dyn Store>,
    _accounts: Accounts,
}

impl Line {
    /// Before an account that failures have closed for some time.
    fn after_failures() -> Self {
        // Each try is noted on the disk: one that is memory is faster, where there is one.
        let accounts = Accounts::below(Path::new("/dev/shm"), &["anna"]);
        let store = accounts.data.store().expect("a store");
        let line = Line {
            store,
            _accounts: accounts,
        };
        for _ in 0..FREE {
            line.fails(line.tries("192.0.2.66", 0).expect("it is free"), 0);
        }
        line
    }

    /// How many milliseconds are left, when it is too early; none where others from there are waited for.
    fn tries(&self, whence: &str, now: i64) -> Result<Flight, i64> {
        let peer = match whence.contains(':') {
            true => format!("[{whence}]:5"),
            false => format!("{whence}:5"),
        };
        let peer = Address::Inet(peer.parse().expect("an address"));
        let attempt = Attempt::new(&[1; 32], "anna", Some(1), &peer);
        let begun = block_on(self.store.attempt(attempt, now)).expect("a model");
        begun.expect("a store").map_err(|early| match early {
            Early::Wait(wait) => i64::try_from(wait.as_millis()).expect("a short wait"),
            Early::Crowded => 0,
        })
    }

    fn fails(&self, flight: Flight, now: i64) {
        let failed = block_on(self.store.attempt_failed(flight, now)).expect("a model");
        failed.expect("a store");
    }
}

/// In whole seconds, as people are told.
fn told(wait: i64) -> i64 {
    (wait / SECOND + 1) * SECOND
}

#[test]
fn an_owner_who_comes_when_told_is_let_in_though_others_ask_all_the_time() {
    let line = Line::after_failures();
    let guessers = ["192.0.2.66", "198.51.100.7", "2001:db8::1"];
    let (mut owner_at, mut looked_at, mut asked) = (None, 0, 0);
    // Ten times a second, each of them, and always before the owner.
    for now in (0..600 * SECOND).step_by(100) {
        for guesser in guessers {
            if let Ok(flight) = line.tries(guesser, now) {
                line.fails(flight, now);
                looked_at += 1;
            }
        }
        match owner_at {
            None if now >= 5 * SECOND => {
                let wait = line
                    .tries("203.0.113.1", now)
                    .expect_err("others were there before");
                assert!(wait <= 4 * 30 * SECOND, "{wait}");
                owner_at = Some(now + told(wait));
                asked += 1;
            }
            Some(at) if now >= at => {
                line.tries("203.0.113.1", now).expect("as was promised");
                assert!(looked_at <= 4 + now / (30 * SECOND), "{looked_at} at {now}");
                assert_eq!(asked, 1);
                return;
            }
            _ => {}
        }
    }
    panic!("the owner was kept out");
}

#[test]
fn who_comes_when_told_may_share_a_place_with_who_asks_all_the_time() {
    let line = Line::after_failures();
    let place = "198.51.100.7";
    let wait = line.tries(place, 0).expect_err("early");
    for now in (0..wait).step_by(100) {
        line.tries(place, now).expect_err("early");
    }
    // Nobody has it by being there first.
    for now in (wait..told(wait)).step_by(100) {
        assert_eq!(line.tries(place, now).expect_err("the others are waited for"), 0);
    }
    line.tries(place, wait + 2 * SECOND).expect("by chance this one");
    line.tries(place, wait + 2 * SECOND).expect_err("and no other");
}

#[test]
fn many_places_guess_no_faster_than_one() {
    let line = Line::after_failures();
    let mut looked_at = 0;
    for now in (0..1_800 * SECOND).step_by(5_000) {
        for place in 0..8 {
            if let Ok(flight) = line.tries(&format!("198.51.100.{place}"), now) {
                line.fails(flight, now);
                looked_at += 1;
            }
        }
    }
    assert!((50..=64).contains(&looked_at), "{looked_at} in half an hour");
}

#[test]
fn a_site_has_one_turn_however_many_addresses_it_has() {
    let line = Line::after_failures();
    let first = line.tries("2001:db8:1:1::1", 0).expect_err("early");
    for network in 2..60 {
        let wait = line.tries(&format!("2001:db8:1:{network:x}::1"), 0);
        assert_eq!(wait.expect_err("early"), first, "the same turn");
    }
    let other = line.tries("203.0.113.1", 0).expect_err("early");
    assert_eq!(other, first + 30 * SECOND, "the next one");
}
