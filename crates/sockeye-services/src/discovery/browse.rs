//! Hearing which services are there, and which go.

use super::link::{Link, check_network};
use super::{Instance, ServiceType, failed};
use crate::catalog;
use mdns_sd::ServiceEvent;
use sockeye::{Class, Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The most instances that are kept: a link has a few hundred machines at the most, each with a few services.
pub const MAX_INSTANCES: usize = 2048;
/// The most types that are listened for at once: each has a thread, and a query of its own.
pub const MAX_TYPES: usize = 64;
/// What may wait to be looked at: everybody's answer to a query, at once.
const MAX_WAITING: usize = 1024;
/// How often it is looked whether somebody floods the network, while nothing is heard.
const CHECKED_EVERY: Duration = Duration::from_secs(1);
/// Who asks for this is told which types there are (RFC 6763, section 9).
const ALL_TYPES: &str = "_services._dns-sd._udp.local.";
/// What the thread of a type needs: it hands on what it gets.
const STACK: usize = 128 << 10;

/// Listens for services of some types, and asks for them again and again, ever more rarely.
///
/// ```no_run
/// use sockeye_services::discovery::{Browser, Change, ServiceType};
///
/// let mut browser = Browser::new(&[ServiceType::of("files", false)])?;
/// while let Some(change) = browser.next(None)? {
///     if let Change::Came(instance) = change {
///         println!("{} is at {}", instance.name.escape_debug(), instance.endpoint()?);
///     }
/// }
/// # Ok::<(), sockeye::Error>(())
/// ```
pub struct Browser {
    link: Link,
    teller: SyncSender<Heard>,
    heard: Receiver<Heard>,
    kinds: BTreeSet<ServiceType>,
    /// Whether Sockeye's types that this version doesn't know are listened for, too.
    others: bool,
    known: Known,
    stopped: bool,
}

/// Ends a wait of a [`Browser`] from another thread.
pub struct Stopper(SyncSender<Heard>);

impl Stopper {
    /// From now on [`Browser::next`] returns without a change, as if its time were over.
    pub fn stop(self) {
        let _ = self.0.send(Heard::Stop); // it may be gone
    }
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody new.
    Came(Instance),
    /// Somebody says something else than before; if the host is another, two may go by one name.
    Changed {
        /// What was known.
        was: Instance,
        /// What is heard now.
        now: Instance,
    },
    /// Somebody has gone, or was not heard of for long.
    Went(Instance),
}

/// What the threads hand on.
enum Heard {
    Of(ServiceEvent),
    /// There was more of a type than could be looked at.
    TooMuch(String),
    /// Nobody wants to hear more.
    Stop,
}

impl Browser {
    /// For services of these types.
    ///
    /// # Errors
    /// When this machine is on no network, there are too many types, or multicast DNS can't be had.
    pub fn new(kinds: &[ServiceType]) -> Result<Self> {
        let mut browser = Self::of_none(false)?;
        kinds.iter().try_for_each(|kind| browser.add(kind.clone()))?;
        Ok(browser)
    }

    /// For every service of Sockeye's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_sockeye() -> Result<Self> {
        let mut browser = Self::of_none(true)?;
        for service in catalog::ALL {
            browser.add(ServiceType::of(service.name, false))?;
            if service.schemes.contains(&"udp") {
                browser.add(ServiceType::of(service.name, true))?;
            }
        }
        browser.ask(ALL_TYPES)?;
        Ok(browser)
    }

    /// For [`types`](Self::types) of services, and no instances.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_types() -> Result<Self> {
        let browser = Self::of_none(false)?;
        browser.ask(ALL_TYPES)?;
        Ok(browser)
    }

    fn of_none(others: bool) -> Result<Self> {
        check_network("discover")?;
        let (teller, heard) = sync_channel(MAX_WAITING);
        Ok(Browser {
            link: Link::open()?,
            teller,
            heard,
            kinds: BTreeSet::new(),
            others,
            known: Known::default(),
            stopped: false,
        })
    }

    fn add(&mut self, kind: ServiceType) -> Result<()> {
        if self.kinds.contains(&kind) {
            return Ok(());
        }
        if self.kinds.len() == MAX_TYPES {
            let why = format!("more than {MAX_TYPES} types of services at once");
            return Err(Error::new("discover", Class::General, why).advise("ask for some of them"));
        }
        self.ask(&kind.domain())?;
        self.kinds.insert(kind);
        Ok(())
    }

    fn ask(&self, domain: &str) -> Result<()> {
        let events = self
            .link
            .daemon
            .browse(domain)
            .map_err(|error| failed("discover", error))?;
        let (teller, domain) = (self.teller.clone(), domain.to_owned());
        let hand_on = move || {
            let mut asked_to_stop = false;
            for event in &events {
                asked_to_stop |= matches!(event, ServiceEvent::SearchStopped(_));
                if teller.send(Heard::Of(event)).is_err() {
                    return; // nobody listens any more
                }
            }
            if !asked_to_stop {
                let _ = teller.send(Heard::TooMuch(domain)); // as above
            }
        };
        let thread = thread::Builder::new()
            .name("sockeye-browse".to_owned())
            .stack_size(STACK);
        thread
            .spawn(hand_on)
            .map(drop)
            .map_err(|error| Error::io("start a thread", error))
    }

    /// What another thread ends a wait by.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.teller.clone())
    }

    /// How many could not be kept.
    pub fn left_out(&self) -> usize {
        self.known.left_out
    }

    /// The next change; `None` when there is none until then, or a [`Stopper`] says so.
    ///
    /// # Errors
    /// When more is announced than anybody could mean.
    pub fn next(&mut self, until: Option<Instant>) -> Result<Option<Change>> {
        while let Some(event) = self.hear(until)? {
            if let Some(change) = self.take(event)? {
                return Ok(Some(change));
            }
        }
        Ok(None)
    }

    /// Which types of services there are, as far as is heard until then, or a [`Stopper`] says that it is enough.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn types(mut self, until: Instant) -> Result<BTreeSet<ServiceType>> {
        let mut types = BTreeSet::new();
        while let Some(event) = self.hear(Some(until))? {
            if let ServiceEvent::ServiceFound(_, name) = event {
                types.extend(name.parse::<ServiceType>().ok());
            }
            if types.len() > MAX_INSTANCES {
                return Err(too_much(ALL_TYPES));
            }
        }
        Ok(types)
    }

    /// What is heard next, as long as it isn't too much.
    fn hear(&mut self, until: Option<Instant>) -> Result<Option<ServiceEvent>> {
        loop {
            if self.stopped {
                return Ok(None);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let heard = self
                .heard
                .recv_timeout(left.unwrap_or(CHECKED_EVERY).min(CHECKED_EVERY));
            self.link.check_flood()?;
            match heard {
                Ok(Heard::Of(event)) => return Ok(Some(event)),
                Ok(Heard::TooMuch(domain)) => return Err(too_much(&domain)),
                Ok(Heard::Stop) => self.stopped = true,
                Err(RecvTimeoutError::Timeout) if until.is_none_or(|until| until > Instant::now()) => {}
                // Nothing is disconnected while we have a teller ourselves.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    fn take(&mut self, event: ServiceEvent) -> Result<Option<Change>> {
        match event {
            ServiceEvent::ServiceFound(domain, name) if domain == ALL_TYPES => {
                let kind = name.parse::<ServiceType>().ok();
                let own = kind.filter(|kind| self.others && kind.service().is_some());
                if let Some(own) = own.filter(|_| self.kinds.len() < MAX_TYPES) {
                    self.add(own)?;
                }
                Ok(None)
            }
            ServiceEvent::ServiceResolved(heard) => {
                let Some(kind) = self.of_domain(&heard.ty_domain) else {
                    return Ok(None);
                };
                let full = heard.fullname.clone();
                Ok(self.known.hear(full, Instance::of(kind, *heard)))
            }
            ServiceEvent::ServiceRemoved(_, full) => Ok(self.known.forget(&full)),
            _ => Ok(None),
        }
    }

    fn of_domain(&self, domain: &str) -> Option<ServiceType> {
        let kind = domain.parse().ok()?;
        self.kinds.get(&kind).cloned()
    }
}

/// Those who are there, by their full names. Two that differ in capitals alone should not be, and are told apart if they are.
#[derive(Default)]
struct Known {
    all: HashMap<String, Instance>,
    left_out: usize,
}

impl Known {
    fn hear(&mut self, full: String, now: Instance) -> Option<Change> {
        if let Some(known) = self.all.get_mut(&full) {
            if *known == now {
                return None;
            }
            let was = std::mem::replace(known, now.clone());
            return Some(Change::Changed { was, now });
        }
        if self.all.len() == MAX_INSTANCES {
            self.left_out += 1;
            return None;
        }
        self.all.insert(full, now.clone());
        Some(Change::Came(now))
    }

    fn forget(&mut self, full: &str) -> Option<Change> {
        self.all.remove(full).map(Change::Went)
    }
}

fn too_much(domain: &str) -> Error {
    let why = "more is announced than can be followed";
    Error::new("discover", Class::General, why).at(domain.trim_end_matches(".local.").escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(port: u16) -> Instance {
        Instance {
            name: "kitchen".to_owned(),
            kind: ServiceType::of("echo", false),
            host: "anna.local".to_owned(),
            port,
            addresses: Vec::new(),
            txt: Vec::new(),
        }
    }

    #[test]
    fn what_is_known_changes_and_has_a_limit() {
        let mut known = Known::default();
        let mut hear = |full: &str, port| known.hear(full.to_owned(), instance(port));
        assert_eq!(hear("a", 1), Some(Change::Came(instance(1))));
        assert_eq!(hear("a", 1), None);
        let (was, now) = (instance(1), instance(2));
        assert_eq!(hear("a", 2), Some(Change::Changed { was, now }));
        for number in 1..MAX_INSTANCES {
            assert!(hear(&number.to_string(), 1).is_some());
        }
        assert_eq!(hear("one too many", 1), None);
        assert!(hear("a", 3).is_some());
        assert_eq!(known.left_out, 1);
        assert_eq!(known.forget("a"), Some(Change::Went(instance(3))));
        assert_eq!(known.forget("a"), None);
        assert!(
            known
                .hear("there is room again".to_owned(), instance(1))
                .is_some()
        );
    }
}
