//! Saying which services are here.

use super::link::Link;
use super::name::{MAX_NUMBER, numbered, own_host};
use super::offer::{joined, names};
use super::{MAX_INSTANCES, Offer, ServiceType, check_name, failed};
use mdns_sd::{DaemonEvent, Receiver, ServiceDaemon, ServiceEvent, ServiceInfo};
use sockeye::{Class, Error, Result};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The most that is announced. The thread of multicast DNS has a queue of 100 commands, and under another name all is taken back and
/// said anew.
pub const MAX_OFFERS: usize = 32;
/// How long it is waited for those who have the name: an answer comes within 120 ms (RFC 6762, section 6), the question goes out
/// within 50.
const ANSWERED: Duration = Duration::from_millis(300);

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Nobody else has the name, and everybody has been told.
    As {
        /// What is served.
        kind: ServiceType,
        /// The name of it.
        name: String,
    },
    /// Somebody else has the name.
    Renamed {
        /// The name of the server until now.
        from: String,
        /// Its name from now on.
        to: String,
    },
    /// Nothing is announced any more, and why.
    Failed(String),
}

/// Announces services for as long as it lives. At its end it says that they are gone.
///
/// ```no_run
/// use sockeye_services::discovery::{Announcer, Facts, Offer, Reach, ServiceType};
///
/// let offer = Offer {
///     kind: ServiceType::of("echo", false),
///     port: 8080,
///     reach: vec![Reach::EveryV4],
///     facts: Facts::default(),
/// };
/// let announcer = Announcer::start("kitchen", vec![offer], |what| println!("{what:?}"))?;
/// drop(announcer);
/// # Ok::<(), sockeye::Error>(())
/// ```
pub struct Announcer {
    slot: Arc<Mutex<Slot>>,
    thread: Option<JoinHandle<()>>,
}

/// The link by which it is announced: another one after each change of name.
#[derive(Default)]
struct Slot {
    link: Option<Link>,
    ended: bool,
}

impl Announcer {
    /// Announces these under a name, or, where another server has that, under that name and a number. `tell` is called on a thread of
    /// its own. Interfaces that come up later are told as well.
    ///
    /// # Errors
    /// When it is no name, there are too many offers, or multicast DNS can't be had.
    pub fn start(name: &str, offers: Vec<Offer>, tell: impl Fn(Announced) + Send + 'static) -> Result<Self> {
        check_name(name)?;
        let offers = joined(offers);
        if offers.len() > MAX_OFFERS {
            let why = format!(
                "{} services are more than the {MAX_OFFERS} that can be",
                offers.len()
            );
            return Err(Error::new("announce", Class::General, why));
        }
        let slot = Arc::new(Mutex::new(Slot::default()));
        let mut state = State {
            slot: slot.clone(),
            name: name.to_owned(),
            number: 1,
            host: own_host(),
            said: Vec::new(),
            offers,
            tell: Box::new(tell),
        };
        let begun = state.open()?;
        let run = move || {
            if let Err(error) = state.run(begun) {
                state.tell_failure(error.to_string());
            }
        };
        let thread = thread::Builder::new()
            .name("sockeye-announce".to_owned())
            .spawn(run);
        Ok(Announcer {
            slot,
            thread: Some(thread.map_err(|error| Error::io("start a thread", error))?),
        })
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let mut slot = lock(&self.slot);
        slot.ended = true;
        slot.link = None; // it says farewell
        drop(slot);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // its panic has been told of
        }
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    // Whatever has panicked, a link is there or not.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose names those are that have one: the full names, in small letters.
fn taken(daemon: &ServiceDaemon, offers: &[Offer]) -> Result<HashSet<String>> {
    let failed = |error| failed("announce", error);
    let domains: BTreeSet<String> = offers.iter().map(|offer| offer.kind.domain()).collect();
    let asked: Result<Vec<_>> = domains
        .iter()
        .map(|domain| daemon.browse(domain).map_err(failed))
        .collect();
    let until = Instant::now() + ANSWERED;
    let mut taken = HashSet::new();
    for answers in asked? {
        while let Ok(event) = answers.recv_deadline(until) {
            if let ServiceEvent::ServiceFound(_, full) = event
                && taken.len() < MAX_INSTANCES
            {
                taken.insert(full.to_lowercase());
            }
        }
    }
    domains
        .iter()
        .try_for_each(|domain| daemon.stop_browse(domain).map_err(failed))?;
    Ok(taken)
}

fn full_name(name: &str, kind: &ServiceType) -> String {
    format!("{name}.{}", kind.domain()).to_lowercase()
}

struct State {
    slot: Arc<Mutex<Slot>>,
    name: String,
    number: u32,
    host: String,
    offers: Vec<Offer>,
    /// What has been said of each offer.
    said: Vec<Said>,
    tell: Box<dyn Fn(Announced) + Send>,
}

struct Said {
    name: String,
    full: String,
    kind: ServiceType,
    told: bool,
}

type Opened = (ServiceDaemon, Receiver<DaemonEvent>);

impl State {
    /// Takes back what was said, and begins anew; `None` when it has been ended.
    fn open(&mut self) -> Result<Option<Opened>> {
        let mut slot = lock(&self.slot);
        self.said.clear();
        // The farewell is over before there are sockets that could hear it, and take it for somebody else's word.
        slot.link = None;
        if slot.ended {
            return Ok(None);
        }
        let link = slot.link.insert(Link::open()?);
        let events = link.daemon.monitor().map_err(|error| failed("announce", error))?;
        Ok(Some((link.daemon.clone(), events)))
    }

    fn run(&mut self, mut opened: Option<Opened>) -> Result<()> {
        while let Some((daemon, events)) = opened {
            let lost = self
                .choose(&daemon)
                .and_then(|()| self.say(&daemon))
                .and_then(|()| self.follow(&events));
            match lost {
                _ if lock(&self.slot).ended => return Ok(()),
                Err(error) => return Err(error),
                Ok(Lost::Host) => {}
                Ok(Lost::Name) if self.number == MAX_NUMBER => {
                    lock(&self.slot).link = None;
                    let why = format!(
                        "others have its name and all up to {}",
                        numbered(&self.name, MAX_NUMBER)
                    );
                    return Err(Error::new("announce", Class::General, why).at(&self.name));
                }
                Ok(Lost::Name) => self.renumber(self.number + 1),
            }
            // With another host it is news: some take what comes back within a second of its farewell for what they know already.
            self.host = own_host();
            opened = self.open()?;
        }
        Ok(())
    }

    /// Takes the first name that nobody has, as far as that is known already. Who asks for the same name just now is seen later.
    fn choose(&mut self, daemon: &ServiceDaemon) -> Result<()> {
        let taken = taken(daemon, &self.offers)?;
        let names = names(&self.name, &self.offers);
        let is_free = |number: &u32| {
            let mut offers = names.iter().zip(&self.offers);
            !offers.any(|(name, offer)| taken.contains(&full_name(&numbered(name, *number), &offer.kind)))
        };
        // With the last one it is tried in any case.
        let free = (self.number..MAX_NUMBER).find(is_free).unwrap_or(MAX_NUMBER);
        if free != self.number {
            self.renumber(free);
        }
        Ok(())
    }

    fn renumber(&mut self, number: u32) {
        let from = numbered(&self.name, self.number);
        self.number = number;
        let to = numbered(&self.name, number);
        (self.tell)(Announced::Renamed { from, to });
    }

    fn say(&mut self, daemon: &ServiceDaemon) -> Result<()> {
        let failed = |error| failed("announce", error);
        for (offer, name) in self.offers.iter().zip(names(&self.name, &self.offers)) {
            let name = numbered(&name, self.number);
            let domain = offer.kind.domain();
            let txt = offer.facts.to_txt();
            let info = ServiceInfo::new(&domain, &name, &self.host, (), offer.port, &txt[..]);
            let mut info = info.map_err(failed)?.enable_addr_auto();
            info.set_interfaces(offer.interfaces());
            let said = Said {
                name,
                full: info.get_fullname().to_owned(),
                kind: offer.kind.clone(),
                told: false,
            };
            daemon.register(info).map_err(failed)?;
            self.said.push(said);
        }
        Ok(())
    }

    /// Until somebody else turns out to have a name of ours. One service alone has been given another then, on one link: the server
    /// takes another with all it has, everywhere.
    fn follow(&mut self, events: &Receiver<DaemonEvent>) -> Result<Lost> {
        for event in events {
            match event {
                DaemonEvent::Announce(full, _) => self.announced(&full),
                DaemonEvent::NameChange(change) if change.original == self.host => return Ok(Lost::Host),
                DaemonEvent::NameChange(_) => return Ok(Lost::Name),
                DaemonEvent::Error(error) => return Err(failed("announce", error)),
                _ => {}
            }
        }
        Err(Error::new(
            "announce",
            Class::General,
            "multicast DNS has ended by itself",
        ))
    }

    /// It is told for each interface, and again a second later.
    fn announced(&mut self, full: &str) {
        let mut untold = self.said.iter_mut().filter(|said| !said.told);
        if let Some(said) = untold.find(|said| said.full.eq_ignore_ascii_case(full)) {
            said.told = true;
            (self.tell)(Announced::As {
                kind: said.kind.clone(),
                name: said.name.clone(),
            });
        }
    }

    fn tell_failure(&self, why: String) {
        (self.tell)(Announced::Failed(why));
    }
}

/// What somebody else has, too.
enum Lost {
    Name,
    Host,
}
