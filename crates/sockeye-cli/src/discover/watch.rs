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

/// Those who were told of, and those who will be.
#[derive(Default)]
struct Watched {
    coming: Vec<(Instant, Instance)>,
}

/// Until an interrupt, or somebody closes its output.
pub(super) fn run(mut browser: Browser, json: bool) -> Result<ExitCode> {
    let mut watched = Watched::default();
    let (mut came_in_all, mut went_in_all) = (0_usize, 0_usize);
    loop {
        let until = watched.coming.first().map(|(when, _)| *when);
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
            Some(Change::Came(one)) => self.coming.push((now + SETTLED, one)),
            Some(Change::Changed { was, now: one }) => match self.place(&was) {
                Some(place) => self.coming[place].1 = one,
                None => told.extend([(false, was), (true, one)]),
            },
            Some(Change::Went(one)) => match self.place(&one) {
                Some(place) => drop(self.coming.remove(place)),
                None => told.push((false, one)),
            },
        }
        let settled = self.coming.iter().take_while(|(when, _)| *when <= now).count();
        told.extend(self.coming.drain(..settled).map(|(_, one)| (true, one)));
        told
    }

    fn place(&self, one: &Instance) -> Option<usize> {
        self.coming.iter().position(|(_, coming)| coming == one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_services::discovery::ServiceType;

    fn instance(name: &str, port: u16) -> Instance {
        Instance {
            name: name.to_owned(),
            kind: ServiceType::of("echo", false),
            host: "a.local".to_owned(),
            port,
            addresses: Vec::new(),
            txt: Vec::new(),
        }
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
