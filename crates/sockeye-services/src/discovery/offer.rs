//! What a program has to announce.

use super::{Facts, ServiceType};
use mdns_sd::{IfKind, IfPredicate};
use std::net::IpAddr;

/// A listener that others on the link can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What is served there.
    pub kind: ServiceType,
    /// At which port.
    pub port: u16,
    /// At which addresses.
    pub reach: Vec<Reach>,
    /// What it says of itself.
    pub facts: Facts,
}

/// Where a listener listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At every address of IPv4.
    EveryV4,
    /// At every address.
    Every,
    /// At one.
    At(IpAddr),
}

impl Reach {
    /// Where a listener that is bound there can be reached from other machines; `None` if only from this one.
    ///
    /// ```
    /// use sockeye_services::discovery::Reach;
    /// assert_eq!(Reach::of("0.0.0.0".parse().unwrap()), Some(Reach::EveryV4));
    /// assert_eq!(Reach::of("127.0.0.1".parse().unwrap()), None);
    /// ```
    pub fn of(bound: IpAddr) -> Option<Self> {
        match bound {
            here if here.to_canonical().is_loopback() => None,
            IpAddr::V4(every) if every.is_unspecified() => Some(Reach::EveryV4),
            IpAddr::V6(every) if every.is_unspecified() => Some(Reach::Every),
            one => Some(Reach::At(one.to_canonical())),
        }
    }

    fn includes(self, address: IpAddr) -> bool {
        match self {
            Reach::EveryV4 => address.is_ipv4(),
            Reach::Every => true,
            Reach::At(one) => one == address,
        }
    }
}

impl Offer {
    /// Whether others reach it at an address of this machine.
    pub(super) fn is_at(&self, address: IpAddr) -> bool {
        self.reach.iter().any(|reach| reach.includes(address))
    }

    /// The interfaces' addresses that are to be announced for it, now and whenever there is another.
    pub(super) fn interfaces(&self) -> Vec<IfKind> {
        let reach = self.reach.clone();
        let meant = IfPredicate::new(move |interface| {
            let address = interface.ip();
            !interface.is_loopback() && reach.iter().any(|reach| reach.includes(address))
        });
        vec![IfKind::Predicate(meant)]
    }
}

/// One offer for what is the same service at several addresses.
pub(super) fn joined(offers: Vec<Offer>) -> Vec<Offer> {
    let mut all: Vec<Offer> = Vec::new();
    for offer in offers {
        let same = |other: &&mut Offer| {
            (&other.kind, other.port, &other.facts) == (&offer.kind, offer.port, &offer.facts)
        };
        match all.iter_mut().find(same) {
            Some(other) => other.reach.extend(offer.reach),
            None => all.push(offer),
        }
    }
    all
}

/// The names of the offers of a server that goes by this name: the first of a kind has the very name, a further one that and its
/// port. Among them those with TLS come first.
pub(super) fn names(name: &str, offers: &[Offer]) -> Vec<String> {
    let first = |kind: &ServiceType| {
        let of_kind = || offers.iter().enumerate().filter(|(_, offer)| offer.kind == *kind);
        let place = of_kind()
            .find(|(_, offer)| offer.facts.tls)
            .or_else(|| of_kind().next());
        place.map(|(place, _)| place)
    };
    let named = offers
        .iter()
        .enumerate()
        .map(|(place, offer)| match first(&offer.kind) == Some(place) {
            true => name.to_owned(),
            false => format!("{name}-{}", offer.port),
        });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(service: &str, port: u16, reach: Reach, tls: bool) -> Offer {
        Offer {
            kind: ServiceType::of(service, false),
            port,
            reach: vec![reach],
            facts: Facts {
                tls,
                ..Facts::default()
            },
        }
    }

    #[test]
    fn a_service_at_several_addresses_is_one() {
        let at = |text: &str| Reach::of(text.parse().expect("an address"));
        assert_eq!(at("::1"), None);
        assert_eq!(at("::ffff:127.0.0.1"), None);
        assert_eq!(at("::"), Some(Reach::Every));
        let one = at("10.0.0.1").expect("others reach it");
        let offers = joined(vec![
            offer("echo", 7, one, false),
            offer("echo", 7, Reach::EveryV4, false),
            offer("echo", 8, Reach::Every, false),
            offer("files", 7, Reach::Every, false),
        ]);
        assert_eq!(offers.len(), 3);
        assert_eq!(offers[0].reach, [one, Reach::EveryV4]);
    }

    #[test]
    fn every_offer_has_a_name_of_its_own() {
        let offers = [
            offer("echo", 7, Reach::Every, false),
            offer("echo", 8, Reach::Every, true),
            offer("files", 9, Reach::Every, false),
        ];
        assert_eq!(names("anna", &offers), ["anna-7", "anna", "anna"]);
    }
}
