//! How it goes: a name is chosen, all is said, and when others make that impossible, it begins anew.

use super::setbacks::{Cause, Setbacks};
use super::{Announced, Hold};
use crate::discovery::link::{Link, Network, networks};
use crate::discovery::name::{MAX_NUMBER, numbered, own_host};
use crate::discovery::offer::names;
use crate::discovery::{MAX_INSTANCES, Offer, ServiceType, failed};
use mdns_sd::{DaemonEvent, Receiver, RecvTimeoutError, ServiceDaemon, ServiceEvent, ServiceInfo};
use sockeye::{Class, Error, Result};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long it is waited for those who have the name: who has just announced it is silent for a second, then answers, within 120 ms,
/// to whom asks again (RFC 6762, section 6).
const ANSWERED: Duration = Duration::from_millis(1300);
/// How often it is looked whether somebody floods the network.
const CHECKED_EVERY: Duration = Duration::from_secs(2);
/// So long after its beginning something has been announced, where there is a network: it asks three times whether somebody has the
/// name, within a second.
const EXPECTED: Duration = Duration::from_secs(10);

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

/// What one announcer says, from its beginning to its end.
pub(super) struct Course {
    hold: Arc<Hold>,
    name: String,
    number: u32,
    host: String,
    offers: Vec<Offer>,
    /// What has been said of each offer.
    said: Vec<Said>,
    setbacks: Setbacks,
    tell: Tell,
}

struct Said {
    name: String,
    full: String,
    kind: ServiceType,
    told: bool,
}

type Tell = Box<dyn Fn(Announced) + Send>;
type Opened = (ServiceDaemon, Receiver<DaemonEvent>);

impl Course {
    pub(super) fn new(hold: Arc<Hold>, name: &str, offers: Vec<Offer>, tell: Tell) -> Self {
        Course {
            hold,
            name: name.to_owned(),
            number: 1,
            host: own_host(),
            offers,
            said: Vec::new(),
            setbacks: Setbacks::default(),
            tell,
        }
    }

    /// Takes back what was said, and begins anew; `None` when it has been ended.
    pub(super) fn open(&mut self) -> Result<Option<Opened>> {
        let mut slot = self.hold.lock();
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

    /// Tells what can't be announced as things are: multicast DNS itself keeps silent then, and so do those it could be told to.
    fn look_around(&self) {
        let Ok(networks) = networks() else {
            return; // it will be asked for again, and fail then
        };
        let lonely = |offer: &&Offer| !networks.iter().any(|network| offer.is_at(network.address));
        let lonely: Vec<ServiceType> = self
            .offers
            .iter()
            .filter(lonely)
            .map(|offer| offer.kind.clone())
            .collect();
        if !lonely.is_empty() {
            (self.tell)(Announced::Nowhere { kinds: lonely });
        }
    }

    pub(super) fn run(&mut self, mut opened: Option<Opened>) {
        self.look_around();
        while let Some((daemon, events)) = opened {
            let begun = Instant::now();
            let lost = self
                .choose(&daemon)
                .and_then(|()| self.say(&daemon))
                .and_then(|()| self.follow(&events));
            if self.hold.lock().ended {
                return;
            }
            let mut setback = match lost.and_then(|lost| self.give_way(lost)) {
                Ok(setback) => setback,
                Err(error) => {
                    self.hold.lock().link = None;
                    return (self.tell)(Announced::Failed(error.to_string()));
                }
            };
            let mut lasted = begun.elapsed();
            opened = loop {
                self.rest(setback, lasted);
                // With another host it is news: some take what comes back within a second of its farewell for what they know
                // already.
                self.host = own_host();
                match self.open() {
                    Ok(opened) => break opened,
                    Err(error) => setback = Some((error.to_string(), Cause::Flood)),
                }
                lasted = Duration::ZERO;
            };
        }
    }

    /// Takes another name, or tells why it is a setback.
    fn give_way(&mut self, lost: Lost) -> Result<Option<(String, Cause)>> {
        match lost {
            Lost::Flooded(error) => Ok(Some((error.to_string(), Cause::Flood))),
            Lost::Silent => {
                let why = "nothing could be announced, though this machine is on a network; somebody may claim every name that \
                           it takes for itself, or it can't send";
                Ok(Some((why.to_owned(), Cause::Silence)))
            }
            Lost::Host => {
                let why = "somebody on this network has every name that this machine takes for itself";
                Ok(Some((why.to_owned(), Cause::Host)))
            }
            Lost::Name if self.number == MAX_NUMBER => {
                let last = numbered(&self.name, MAX_NUMBER);
                let why = format!("others have its name and all up to {last}");
                Err(Error::new("announce", Class::General, why).at(&self.name))
            }
            Lost::Name => {
                self.renumber(self.number + 1);
                Ok(None)
            }
        }
    }

    /// After a setback it doesn't begin anew at once.
    fn rest(&mut self, setback: Option<(String, Cause)>, lasted: Duration) {
        let Some((why, cause)) = setback else { return };
        if let Some(pause) = self.setbacks.pause(cause, lasted) {
            (self.tell)(Announced::Paused { why, pause });
            self.hold.pause(pause);
        }
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
        let (mut check, mut silent_since) = (Instant::now(), None);
        loop {
            if check <= Instant::now() {
                let flood = self.hold.lock().link.as_ref().map(Link::check_flood);
                if let Some(Err(flood)) = flood {
                    return Ok(Lost::Flooded(flood));
                }
                silent_since = match self.is_silent()? {
                    true => silent_since.or(Some(Instant::now())),
                    false => None,
                };
                if silent_since.is_some_and(|since| since.elapsed() >= EXPECTED) {
                    return Ok(Lost::Silent);
                }
                check = Instant::now() + CHECKED_EVERY;
            }
            match events.recv_deadline(check) {
                Ok(DaemonEvent::Announce(full, _)) => self.announced(&full),
                Ok(DaemonEvent::NameChange(change)) if change.original == self.host => return Ok(Lost::Host),
                Ok(DaemonEvent::NameChange(_)) => return Ok(Lost::Name),
                Ok(DaemonEvent::Error(error)) => return Err(failed("announce", error)),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let why = "multicast DNS has ended by itself";
                    return Err(Error::new("announce", Class::General, why));
                }
            }
        }
    }

    /// Nothing has been announced, though something could be.
    fn is_silent(&self) -> Result<bool> {
        if self.said.iter().any(|said| said.told) {
            return Ok(false);
        }
        let reached = |network: &Network| self.offers.iter().any(|offer| offer.is_at(network.address));
        Ok(networks()?.iter().any(reached))
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
}

/// Why it can't go on.
enum Lost {
    /// Somebody else has the name, too.
    Name,
    /// Or that of the host.
    Host,
    /// Nothing gets announced: who asks for a host's name and is told that it is taken takes another one by himself, and another.
    Silent,
    Flooded(Error),
}
