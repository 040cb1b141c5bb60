//! Who comes and who goes.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use sockeye_services::discovery::{Browser, Change, Instance};

use super::{json, table};
use crate::exit::tell;
use crate::terminal::print;

/// Who comes is told of so much later: its addresses of IPv4 and of IPv6 come in packets of their own, each within 120 ms (RFC 6762,
/// section 6).
const SETTLED: Duration = Duration::from_millis(250);
/// Who has none of IPv4 until then may yet have one, which its packet brings a second later if somebody else has just been told.
const LATEST: Duration = Duration::from_millis(1300);

/// Those who were told of, and those who will be.
#[derive(Default)]
struct Watched {
    coming: Vec<(Instant, Instance)>,
}

/// When one that came then is told of.
fn due(came: Instant, one: &Instance) -> Instant {
    came + if one.has_v4() { SETTLED } else { LATEST }
}

/// Until an interrupt, or somebody closes its output.
pub(super) fn run(mut browser: Browser, json: bool) -> Result<ExitCode> {
    let mut watched = Watched::default();
    let (mut came_in_all, mut went_in_all) = (0_usize, 0_usize);
    loop {
        let until = watched.coming.iter().map(|(came, one)| due(*came, one)).min();
        let change = browser.next(until)?;
        let now = Instant::now();
        if change.is_none() && until.is_none_or(|until| until > now) {
            tell(&format!("{came_in_all} came, {went_in_all} went"));
            return Ok(ExitCode::SUCCESS);
        }
        let mut lines = String::new();
        for (came, one) in watched.hear(change, now) {
            *(if came { &mut came_in_all } else { &mut went_in_all }) += 1;
            lines.push_str(&match json {
                true => json::line(Some(if came { "came" } else { "went" }), &one),
                false => table::watched(came, &one),
            });
        }
        if !print(&lines) {
            return Ok(ExitCode::SUCCESS); // nobody reads it any more
        }
    }
}

impl Watched {
    /// What is to be told now: who has come, and who has gone.
    fn hear(&mut self, change: Option<Change>, now: Instant) -> Vec<(bool, Instance)> {
        let mut told = Vec::new();
        match change {
            None => {}
            Some(Change::Came(one)) => self.coming.push((now, one)),
            Some(Change::Changed { was, now: one }) => match self.place(&was) {
                Some(place) => self.coming[place].1 = one,
                None => told.extend([(false, was), (true, one)]),
            },
            Some(Change::Went(one)) => match self.place(&one) {
                Some(place) => drop(self.coming.remove(place)),
                None => told.push((false, one)),
            },
        }
        let settled = self.coming.extract_if(.., |(came, one)| due(*came, one) <= now);
        told.extend(settled.map(|(_, one)| (true, one)));
        told
    }

    fn place(&self, one: &Instance) -> Option<usize> {
        self.coming.iter().position(|(_, coming)| coming == one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_services::discovery::{Found, ServiceType};

    fn instance(name: &str, port: u16) -> Instance {
        Instance {
            name: name.to_owned(),
            kind: ServiceType::of("echo", false),
            host: "a.local".to_owned(),
            port,
            addresses: vec![Found {
                address: "10.9.1.1".parse().expect("an address"),
                interface: "eth0".to_owned(),
            }],
            txt: Vec::new(),
        }
    }

    #[test]
    fn who_may_have_another_address_is_waited_for() {
        let mut watched = Watched::default();
        let start = Instant::now();
        let mut was = instance("a", 1);
        was.addresses[0].address = "fe80::1".parse().expect("an address");
        let now = instance("a", 1);
        assert_eq!(watched.hear(Some(Change::Came(was.clone())), start), []);
        assert_eq!(watched.hear(None, start + SETTLED), []);
        let change = Change::Changed {
            was: was.clone(),
            now: now.clone(),
        };
        assert_eq!(watched.hear(Some(change), start + SETTLED), [(true, now)]);
        assert_eq!(watched.hear(Some(Change::Came(was.clone())), start), []);
        assert_eq!(watched.hear(None, start + LATEST), [(true, was)]);
    }

    #[test]
    fn who_comes_is_told_once_with_all_that_is_known() {
        let mut watched = Watched::default();
        let start = Instant::now();
        let (was, now) = (instance("a", 1), instance("a", 2));
        assert_eq!(watched.hear(Some(Change::Came(was.clone())), start), []);
        assert_eq!(watched.hear(Some(Change::Came(instance("b", 1))), start), []);
        let change = Change::Changed {
            was,
            now: now.clone(),
        };
        assert_eq!(watched.hear(Some(change), start), []);
        assert_eq!(watched.hear(Some(Change::Went(instance("b", 1))), start), []);
        let later = start + SETTLED;
        assert_eq!(watched.hear(None, later), [(true, now.clone())]);
        let other = instance("a", 3);
        let change = Change::Changed {
            was: now.clone(),
            now: other.clone(),
        };
        assert_eq!(
            watched.hear(Some(change), later),
            [(false, now), (true, other.clone())]
        );
        assert_eq!(
            watched.hear(Some(Change::Went(other.clone())), later),
            [(false, other)]
        );
    }
}
