//! What failed logins cost: a wait that grows, up to a limit.
//!
//! Failures are counted by the address that they come from and by the account that they are aimed at. An account that has
//! been used from an address before counts failures from there apart, so that strangers who guess can't keep its owner out.
//! Names that nobody has are counted like others. What is counted is kept in a limited number of buckets, in which others may
//! fall by chance: the limit of the wait is what that can cost them.
//!
//! What is looked at just now may fail, all of it: so no more is at once than may fail without a wait, and what comes beyond
//! waits for the others' ends. Only what has failed is remembered, and who was told to come back: see [`turns`].

mod table;
pub mod turns;

pub(super) use table::Table;

use sha2::{Digest, Sha256};
use sockeye::Address;
use std::net::IpAddr;
use std::time::Duration;

/// How many failures of an account nobody minds: its owner has several programs that log in at once, or that have an old
/// password.
const FREE_ACCOUNT: i64 = 20;
/// The same of an address: there are many people behind some.
const FREE_ADDRESS: i64 = 200;
/// The same of a site's IPv6 addresses, a /48 of 65,536 networks: who has one can't fail from each of them in turn. Who has
/// thousands of sites still can, and makes some others wait that fall in the same buckets.
const FREE_SITE: i64 = 2_000;
/// The first wait; each further failure doubles it.
const FIRST: i64 = 1_000;
/// The longest wait, in milliseconds. At this pace 10,000 guesses take three and a half days, and an owner at an unknown
/// address waits half a minute.
const LONGEST: i64 = 30_000;
/// A failure is forgotten after this many milliseconds without another.
const FORGET: i64 = 10 * 60 * 1_000;
/// How long an attempt is looked at, at the most, in milliseconds: some waits for the disk. Who was killed meanwhile has told
/// nobody what came of it.
const FLIGHT: i64 = 10 * 1_000;
/// Buckets of each kind: 65,536 of 48 bytes are nothing to a disk, and few meet in one.
const BUCKETS: u64 = 1 << 16;

/// The failures of one bucket. Times are in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Penalty {
    /// How many are remembered.
    pub failures: i64,
    /// When the last one was.
    pub last: i64,
    /// When the next attempt may be.
    pub free_at: i64,
    /// How many attempts are looked at.
    pub flying: i64,
    /// When the latest of these began.
    pub begun: i64,
}

/// Why an attempt isn't looked at now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Early {
    /// So many others are, that it could be one failure too many: it is a matter of milliseconds.
    Crowded,
    /// It has to wait so long.
    Wait(Duration),
}

impl Penalty {
    /// How long an attempt has to wait still.
    pub fn wait(&self, now: i64) -> Option<Duration> {
        match self.free_at - now {
            wait @ 1..=LONGEST => Some(Duration::from_millis(wait.unsigned_abs())),
            // It is over; or the clock was set back, which is to keep nobody out until it has caught up.
            _ => None,
        }
    }

    /// Why an attempt can't be looked at now, if it can't.
    pub fn early(&self, now: i64, free: i64) -> Option<Early> {
        if let Some(wait) = self.wait(now) {
            return Some(Early::Wait(wait));
        }
        let flying = self.flying(now);
        (flying > 0 && self.remembered(now) + flying >= free).then_some(Early::Crowded)
    }

    /// What isn't forgotten yet.
    fn remembered(&self, now: i64) -> i64 {
        (self.failures - (now - self.last).max(0) / FORGET).max(0)
    }

    fn flying(&self, now: i64) -> i64 {
        match now - self.begun {
            0..FLIGHT => self.flying,
            _ => 0,
        }
    }

    /// While one more attempt is looked at.
    #[must_use]
    pub fn with_flight(self, now: i64) -> Self {
        Penalty {
            flying: self.flying(now) + 1,
            begun: now,
            ..self
        }
    }

    /// When that has come to its end.
    #[must_use]
    pub fn without_flight(self) -> Self {
        Penalty {
            flying: (self.flying - 1).max(0),
            ..self
        }
    }

    /// After one more failure.
    #[must_use]
    pub fn after_failure(self, now: i64, free: i64) -> Self {
        Penalty {
            flying: self.flying,
            begun: self.begun,
            ..Penalty::since(self.remembered(now) + 1, now, free)
        }
    }

    /// So many failures, the last of them at this time.
    pub(super) fn since(failures: i64, last: i64, free: i64) -> Self {
        let wait = match failures - free {
            ..=0 => 0,
            many => FIRST.saturating_mul(1 << (many - 1).min(16)).min(LONGEST),
        };
        Penalty {
            failures,
            last,
            free_at: last + wait,
            ..Penalty::default()
        }
    }
}

/// An attempt to log in, as its failures are counted.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The account, if there is such a one.
    pub account: Option<i64>,
    address: Option<i64>,
    site: Option<i64>,
    /// By its name, and by its name and the address together; none for a registration.
    login: Option<[i64; 2]>,
    /// Its name and the site together, which has one place in the line: a site has as many addresses as it likes.
    place: i64,
}

/// A place in the line before an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InLine {
    /// The bucket that counts the account's failures.
    pub name: i64,
    /// The bucket of who comes.
    pub place: i64,
}

impl Attempt {
    /// Of this name, from this address. `key` is what only this server knows, so that nobody can aim at a bucket.
    pub fn new(key: &[u8; 32], name: &str, account: Option<i64>, peer: &Address) -> Self {
        let whence = network(peer);
        let folded = name.to_lowercase();
        Attempt {
            place: bucket(key, 4, &[&near(peer).unwrap_or_default(), folded.as_bytes()]),
            account,
            address: whence.as_ref().map(|whence| bucket(key, 0, &[whence])),
            site: site(peer).map(|site| bucket(key, 3, &[&site])),
            login: Some([
                bucket(key, 1, &[folded.as_bytes()]),
                bucket(
                    key,
                    2,
                    &[whence.as_deref().unwrap_or_default(), folded.as_bytes()],
                ),
            ]),
        }
    }

    /// To make an account: many from one address are as good as failures.
    pub fn registration(key: &[u8; 32], peer: &Address) -> Self {
        Attempt {
            login: None,
            ..Attempt::new(key, "", None, peer)
        }
    }

    /// Where it comes from, as [`known_addresses`](Attempt) are remembered.
    pub fn whence(&self) -> i64 {
        self.address.unwrap_or(-1)
    }

    /// Where it waits for its turn: with all who want the account, or with those at its own address where that counts apart.
    pub fn line(&self, known: bool) -> Option<InLine> {
        let [name, pair] = self.login?;
        Some(InLine {
            name: if known { pair } else { name },
            place: self.place,
        })
    }

    /// The buckets that count it, the account's last, and how many failures are free in each.
    pub fn buckets(&self, known: bool) -> impl Iterator<Item = (i64, i64)> + use<> {
        let site = self.site.map(|bucket| (bucket, FREE_SITE));
        let login = self
            .login
            .map(|[name, pair]| (if known { pair } else { name }, FREE_ACCOUNT));
        let address = self.address.map(|bucket| (bucket, FREE_ADDRESS));
        address.into_iter().chain(site).chain(login)
    }
}

/// An attempt that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// Which one.
    pub attempt: Attempt,
    /// Whether the account had been used from there when it began.
    pub known: bool,
}

/// The part of an address that its owner can't change at will; `None` for this machine, where everybody has the same.
fn network(peer: &Address) -> Option<Vec<u8>> {
    if peer.is_loopback() {
        return None;
    }
    match peer.ip()?.to_canonical() {
        IpAddr::V4(address) => Some(address.octets().to_vec()),
        IpAddr::V6(address) => Some(address.octets()[..8].to_vec()),
    }
}

/// The same of a whole site, where there is one.
pub(super) fn near(peer: &Address) -> Option<Vec<u8>> {
    site(peer).map(|site| site.to_vec()).or_else(|| network(peer))
}

/// The part of an IPv6 address that a site has for all of its networks.
fn site(peer: &Address) -> Option<[u8; 6]> {
    match peer.ip()?.to_canonical() {
        IpAddr::V6(address) if !peer.is_loopback() => address.octets().first_chunk().copied(),
        _ => None,
    }
}

fn bucket(key: &[u8; 32], kind: u8, parts: &[&[u8]]) -> i64 {
    let mut hash = Sha256::new().chain_update(key).chain_update([kind]);
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let number = digest
        .iter()
        .take(8)
        .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    i64::try_from(u64::from(kind) * BUCKETS + number % BUCKETS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1_000;

    #[test]
    fn ten_thousand_guesses_take_days_and_nobody_is_kept_out_for_ever() {
        let (mut penalty, mut now, mut refused) = (Penalty::default(), 0, 0);
        for _ in 0..10_000 {
            // The guesser comes again at the very moment when it may.
            if let Some(wait) = penalty.wait(now) {
                refused += 1;
                now += i64::try_from(wait.as_millis()).expect("a short wait");
            }
            assert_eq!(penalty.wait(now), None);
            penalty = penalty.after_failure(now, FREE_ACCOUNT);
        }
        assert!(now > 3 * DAY, "{now}");
        assert!(refused > 9_900, "{refused}");
        assert!(
            penalty
                .wait(now)
                .is_some_and(|wait| wait <= Duration::from_secs(30))
        );
        // It is forgotten in time.
        let later = penalty.after_failure(now + 200 * DAY, FREE_ACCOUNT);
        assert_eq!((later.failures, later.wait(later.last)), (1, None));
    }

    #[test]
    fn the_first_failures_are_free_and_a_success_is_none() {
        let mut penalty = Penalty::default();
        for _ in 0..1_000 {
            penalty = penalty.with_flight(5).without_flight();
        }
        assert_eq!((penalty.failures, penalty.early(5, FREE_ACCOUNT)), (0, None));
        for _ in 0..FREE_ACCOUNT {
            penalty = penalty.after_failure(5, FREE_ACCOUNT);
        }
        assert_eq!(penalty.wait(5), None);
        penalty = penalty.after_failure(5, FREE_ACCOUNT);
        assert_eq!(penalty.wait(5), Some(Duration::from_secs(1)));
    }

    #[test]
    fn failures_of_a_busy_account_are_forgotten_in_time() {
        let (mut penalty, mut now) = (Penalty::default(), 0);
        for _ in 0..100 * FREE_ACCOUNT {
            now += FORGET;
            // Somebody mistypes now and then, and is in and out all the time.
            penalty = penalty
                .with_flight(now)
                .without_flight()
                .after_failure(now, FREE_ACCOUNT);
            for minute in 0..10 {
                penalty = penalty.with_flight(now + minute * 60_000).without_flight();
            }
            assert_eq!(penalty.wait(now), None);
        }
        assert_eq!(penalty.failures, 1);
    }

    #[test]
    fn no_more_are_looked_at_than_may_fail_without_a_wait() {
        let mut penalty = Penalty::default();
        for _ in 0..FREE_ACCOUNT {
            assert_eq!(penalty.early(5, FREE_ACCOUNT), None);
            penalty = penalty.with_flight(5);
        }
        assert_eq!(penalty.early(5, FREE_ACCOUNT), Some(Early::Crowded));
        assert_eq!(penalty.without_flight().early(5, FREE_ACCOUNT), None);
        let killed = [5 + FLIGHT, 4].map(|now| penalty.early(now, FREE_ACCOUNT));
        assert_eq!(killed, [None, None], "nobody waits for those that were killed");
        // When there are no more free ones, one is looked at at a time.
        for _ in 0..FREE_ACCOUNT {
            penalty = penalty.without_flight().after_failure(5, FREE_ACCOUNT);
        }
        assert_eq!(penalty.early(5, FREE_ACCOUNT), None);
        penalty = penalty.with_flight(5);
        assert_eq!(penalty.early(5, FREE_ACCOUNT), Some(Early::Crowded));
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_out() {
        let mut penalty = Penalty::default();
        for _ in 0..FREE_ACCOUNT + 10 {
            penalty = penalty.after_failure(5, FREE_ACCOUNT);
        }
        assert_eq!(penalty.wait(5), Some(Duration::from_secs(30)));
        assert_eq!(penalty.wait(-DAY), None);
        let again = penalty.after_failure(-DAY, FREE_ACCOUNT);
        let wait = again.wait(-DAY).expect("it failed once more");
        let then = i64::try_from(wait.as_millis()).expect("a short wait") - DAY;
        assert_eq!(again.wait(then), None, "after the wait that was told");
    }

    #[test]
    fn an_address_is_a_network_and_this_machine_is_none() {
        let key = [9; 32];
        let at = |text: &str| Address::Inet(text.parse().expect("an address"));
        let whence = |peer: &Address| Attempt::new(&key, "anna", None, peer).whence();
        assert_eq!(whence(&at("127.0.0.1:5")), -1);
        assert_eq!(whence(&Address::Unix(None)), -1);
        assert_eq!(whence(&at("192.0.2.1:5")), whence(&at("192.0.2.1:6")));
        assert_ne!(whence(&at("192.0.2.1:5")), whence(&at("192.0.2.2:5")));
        assert_eq!(whence(&at("[2001:db8::1]:5")), whence(&at("[2001:db8::2]:5")));
        assert_eq!(whence(&at("[::ffff:192.0.2.1]:5")), whence(&at("192.0.2.1:5")));
        let buckets = |text| -> Vec<_> { Attempt::registration(&key, &at(text)).buckets(false).collect() };
        let [one, other, far] = [
            "[2001:db8:1:1::1]:5",
            "[2001:db8:1:2::1]:5",
            "[2001:db8:2:1::1]:5",
        ]
        .map(buckets);
        assert_ne!(one[0], other[0], "another network");
        assert_eq!(one[1], other[1], "of the same site");
        assert_ne!(one[1], far[1]);
        assert_eq!(buckets("[::ffff:192.0.2.1]:5"), buckets("192.0.2.1:5"));
    }
}
