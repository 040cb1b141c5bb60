//! Finding one by its name.

use super::link::networks;
use super::{Browser, Change, Instance, ServiceType};
use sockeye::Result;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// When one has answered, all others of that name, type and link have answered as well so much later: they have heard the same question,
/// and an answer to it is delayed by 120 ms at the most (RFC 6762, section 6); the rest is for a slow radio network. Names belong to a
/// link, on which only one server should have each (section 8.1), and resolvers elsewhere take the first; where two networks have been
/// joined there are two, and both are heard, but for one that alone has answered to somebody else within the second before.
const ANSWERED: Duration = Duration::from_millis(250);

/// Those have answered so much later who are asked by questions of their own: of other types, on other links, or over IPv4 where IPv6 has
/// been answered. Who has just answered
/// such a one to somebody else is silent for a second (section 6), then answers, within 120 ms, to whom asks again.
const SETTLED: Duration = Duration::from_millis(1300);

/// What was heard of a name.
#[derive(Clone, Debug, Default)]
pub struct LookUp {
    /// Who goes by that name. More than one has answered to it if there are several.
    pub named: Vec<Instance>,
    /// Who else was heard.
    pub others: Vec<Instance>,
}

/// Asks who goes by a name among services of these types (of all of Sockeye's, if there are none), in small letters or capitals,
/// until that is known or `patience` is over. Of all types that isn't known before. The first type is the one that is best: when somebody
/// of it has answered, others are not waited for.
///
/// # Errors
/// As [`Browser::new`] and [`Browser::next`].
pub fn look_up(name: &str, kinds: &[ServiceType], patience: Duration) -> Result<LookUp> {
    let mut browser = match kinds {
        [] => Browser::of_sockeye()?,
        kinds => Browser::new(kinds)?,
    };
    let mut found = LookUp::default();
    let networks = networks()?;
    let links: BTreeSet<&str> = networks
        .iter()
        .map(|network| network.interface.as_str())
        .collect();
    let over_v4 = networks.iter().any(|network| network.address.is_ipv4());
    let mut until = Instant::now() + patience;
    while let Some(change) = browser.next(Some(until))? {
        if found.hear(name, change)
            && let Some(best) = kinds.first()
        {
            let is_best = |one: &Instance| one.kind == *best && (one.has_v4() || !over_v4);
            let alone = links.len() == 1 && found.named.iter().any(is_best);
            until = until.min(Instant::now() + if alone { ANSWERED } else { SETTLED });
        }
    }
    Ok(found)
}

impl LookUp {
    /// Whether somebody new goes by that name.
    fn hear(&mut self, name: &str, change: Change) -> bool {
        let now = match change {
            Change::Came(now) => now,
            Change::Changed { was, now } => {
                // With another host or port, it is somebody else who goes by that name, too.
                if (&was.host, was.port) == (&now.host, now.port) {
                    self.forget(&was);
                }
                now
            }
            Change::Went(gone) => {
                self.forget(&gone);
                return false;
            }
        };
        let named = now.name.to_lowercase() == name.to_lowercase();
        let list = if named { &mut self.named } else { &mut self.others };
        list.push(now);
        named
    }

    fn forget(&mut self, gone: &Instance) {
        self.named.retain(|one| one != gone);
        self.others.retain(|one| one != gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(name: &str, host: &str) -> Instance {
        Instance {
            name: name.to_owned(),
            kind: ServiceType::of("echo", false),
            host: host.to_owned(),
            port: 7,
            addresses: Vec::new(),
            txt: Vec::new(),
        }
    }

    #[test]
    fn two_of_one_name_are_two_and_who_says_more_is_one() {
        let mut found = LookUp::default();
        assert!(found.hear("kitchen", Change::Came(instance("Kitchen", "a"))));
        assert!(!found.hear("kitchen", Change::Came(instance("cellar", "a"))));
        let mut more = instance("Kitchen", "a");
        more.txt.push(("v".to_owned(), b"2".to_vec()));
        let (was, now) = (instance("Kitchen", "a"), more.clone());
        assert!(found.hear("kitchen", Change::Changed { was, now }));
        assert_eq!((found.named.len(), found.others.len()), (1, 1));
        let (was, now) = (more, instance("kitchen", "b"));
        assert!(found.hear("kitchen", Change::Changed { was, now }));
        assert_eq!(found.named.len(), 2);
        assert!(!found.hear("kitchen", Change::Went(instance("cellar", "a"))));
        assert_eq!((found.named.len(), found.others.len()), (2, 0));
    }
}
