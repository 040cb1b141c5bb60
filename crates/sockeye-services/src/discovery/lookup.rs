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

/// Those have answered so much later who are asked by questions of their own: of other types, or on other links. Who has just answered
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
    let links: BTreeSet<String> = networks()?.into_iter().map(|network| network.interface).collect();
    let mut until = Instant::now() + patience;
    while let Some(change) = browser.next(Some(until))? {
        if let Some(kind) = found.hear(name, change)
            && let Some(best) = kinds.first()
        {
            let alone = kind == *best && links.len() == 1;
            until = until.min(Instant::now() + if alone { ANSWERED } else { SETTLED });
        }
    }
    Ok(found)
}

impl LookUp {
    /// Hears of somebody; if it goes by that name, of which type it is.
    fn hear(&mut self, name: &str, change: Change) -> Option<ServiceType> {
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
                return None;
            }
        };
        let named = now.name.to_lowercase() == name.to_lowercase();
        let kind = named.then(|| now.kind.clone());
        let list = if named { &mut self.named } else { &mut self.others };
        list.push(now);
        kind
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
        let echo = Some(ServiceType::of("echo", false));
        assert_eq!(
            found.hear("kitchen", Change::Came(instance("Kitchen", "a"))),
            echo
        );
        assert_eq!(found.hear("kitchen", Change::Came(instance("cellar", "a"))), None);
        let mut more = instance("Kitchen", "a");
        more.txt.push(("v".to_owned(), b"2".to_vec()));
        let (was, now) = (instance("Kitchen", "a"), more.clone());
        assert_eq!(found.hear("kitchen", Change::Changed { was, now }), echo);
        assert_eq!((found.named.len(), found.others.len()), (1, 1));
        let (was, now) = (more, instance("kitchen", "b"));
        assert_eq!(found.hear("kitchen", Change::Changed { was, now }), echo);
        assert_eq!(found.named.len(), 2);
        assert_eq!(found.hear("kitchen", Change::Went(instance("cellar", "a"))), None);
        assert_eq!((found.named.len(), found.others.len()), (2, 0));
    }
}
