//! Saying which services are here.

use super::link::Link;
use super::name::{MAX_NUMBER, numbered, own_host};
use super::offer::{joined, names};
use super::{MAX_INSTANCES, Offer, ServiceType, check_name, failed};
use mdns_sd::{DaemonEvent, DnsNameChange, Receiver, ServiceDaemon, ServiceEvent, ServiceInfo};
use sockeye::{Class, Error, Result};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The most that is announced. The thread of multicast DNS has a queue of 100 commands, and under another name all is taken back and
/// said anew.
pub const MAX_OFFERS: usize = 32;
/// How long it is waited for those who have the name: an answer comes within 120 ms (RFC 6762, section 6), the question goes out
/// within 50.
const ANSWERED: Duration = Duration::from_millis(300);
const ENDED: &str = "multicast DNS has ended by itself";

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
    link: Link,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
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
        let link = Link::open()?;
        let events = link.daemon.monitor().map_err(|error| failed("announce", error))?;
        let mut state = State {
            daemon: link.daemon.clone(),
            name: name.to_owned(),
            number: 1,
            host: own_host(),
            said: Vec::new(),
            offers,
            tell: Box::new(tell),
        };
        let ended = Arc::new(AtomicBool::new(false));
        let wanted = ended.clone();
        let run = move || {
            let begun = state.begin().map(|()| state.follow(&events));
            if !wanted.load(Ordering::Acquire) {
                state.fail(&begun.map_or_else(|error| error.to_string(), |()| ENDED.to_owned()));
            }
        };
        let thread = thread::Builder::new()
            .name("sockeye-announce".to_owned())
            .spawn(run);
        Ok(Announcer {
            link,
            ended,
            thread: Some(thread.map_err(|error| Error::io("start a thread", error))?),
        })
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.link.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // its panic has been told of
        }
    }
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
    daemon: ServiceDaemon,
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

impl State {
    /// Under the first name that nobody has, as far as that is known already. Who is asking for the same name just now is seen
    /// later.
    fn begin(&mut self) -> Result<()> {
        let taken = taken(&self.daemon, &self.offers)?;
        let is_free = |number: &u32| {
            let of_offers = names(&self.name, &self.offers).into_iter().zip(&self.offers);
            let mut full = of_offers.map(|(name, offer)| full_name(&numbered(&name, *number), &offer.kind));
            !full.any(|full| taken.contains(&full))
        };
        // With the last one it is tried in any case.
        self.number = (1..MAX_NUMBER).find(is_free).unwrap_or(MAX_NUMBER);
        self.say()?;
        if self.number > 1 {
            let (from, to) = (self.name.clone(), numbered(&self.name, self.number));
            (self.tell)(Announced::Renamed { from, to });
        }
        Ok(())
    }

    fn say(&mut self) -> Result<()> {
        let failed = |error| failed("announce", error);
        for (offer, name) in self.offers.iter().zip(names(&self.name, &self.offers)) {
            let name = numbered(&name, self.number);
            let domain = offer.kind.domain();
            let txt = offer.facts.to_txt();
            let info =
                ServiceInfo::new(&domain, &name, &self.host, (), offer.port, &txt[..]).map_err(failed)?;
            let mut info = info.enable_addr_auto();
            info.set_interfaces(offer.interfaces());
            let said = Said {
                name,
                full: info.get_fullname().to_owned(),
                kind: offer.kind.clone(),
                told: false,
            };
            self.daemon.register(info).map_err(failed)?;
            self.said.push(said);
        }
        Ok(())
    }

    fn take_back(&mut self) -> Result<()> {
        for said in self.said.drain(..) {
            let gone = self.daemon.unregister(&said.full);
            gone.map_err(|error| failed("take an announcement back", error))?;
        }
        Ok(())
    }

    fn follow(&mut self, events: &Receiver<DaemonEvent>) {
        for event in events.iter() {
            match event {
                DaemonEvent::Announce(full, _) => self.announced(&full),
                DaemonEvent::NameChange(change) => {
                    if let Err(error) = self.renamed(&change) {
                        let _ = self.take_back(); // what is left of it ends with the program
                        self.fail(&error.to_string());
                    }
                }
                DaemonEvent::Error(error) => self.fail(&error.to_string()),
                _ => {}
            }
        }
    }

    /// It is told for each interface, and again a second later.
    fn announced(&mut self, full: &str) {
        let untold = self
            .said
            .iter_mut()
            .find(|said| !said.told && said.full.eq_ignore_ascii_case(full));
        if let Some(said) = untold {
            said.told = true;
            (self.tell)(Announced::As {
                kind: said.kind.clone(),
                name: said.name.clone(),
            });
        }
    }

    /// One service alone has been given another name, on one link: the server takes another with all it has, everywhere.
    fn renamed(&mut self, change: &DnsNameChange) -> Result<()> {
        let host = change.original == self.host;
        if !host && !self.said.iter().any(|said| said.full == change.original) {
            return Ok(()); // of a name that is left already
        }
        self.take_back()?;
        if host {
            self.host = own_host();
            return self.say();
        }
        if self.number == MAX_NUMBER {
            let why = format!(
                "others have its name and all up to {}",
                numbered(&self.name, MAX_NUMBER)
            );
            return Err(Error::new("announce", Class::General, why).at(&self.name));
        }
        let from = numbered(&self.name, self.number);
        self.number += 1;
        let to = numbered(&self.name, self.number);
        self.say()?;
        (self.tell)(Announced::Renamed { from, to });
        Ok(())
    }

    fn fail(&self, why: &str) {
        (self.tell)(Announced::Failed(why.to_owned()));
    }
}
