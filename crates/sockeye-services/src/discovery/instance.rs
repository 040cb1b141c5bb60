//! What was found.

use super::link::{Network, networks};
use super::{Facts, ServiceType};
use mdns_sd::{ResolvedService, ScopedIp};
use sockeye::{Class, Endpoint, Error, Host, HostPort, Port, Result};
use std::net::IpAddr;

/// The most addresses that are kept of one: a machine with several interfaces, each with several, has fewer on a link.
pub const MAX_ADDRESSES: usize = 16;
/// The most entries of a TXT record that are kept: printers, which say most, have some thirty.
pub const MAX_TXT: usize = 64;

/// Somebody who offers a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What it is called. It may hold any character.
    pub name: String,
    /// What it offers.
    pub kind: ServiceType,
    /// The name of its machine, such as `anna.local`.
    pub host: String,
    /// At which port.
    pub port: u16,
    /// At which addresses, the best to connect to first.
    pub addresses: Vec<Found>,
    /// Its TXT record.
    pub txt: Vec<(String, Vec<u8>)>,
}

/// An address, and the interface of this machine by which it was heard of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The address.
    pub address: IpAddr,
    /// The interface.
    pub interface: String,
}

impl Instance {
    pub(super) fn of(kind: ServiceType, heard: ResolvedService) -> Self {
        let mut addresses: Vec<Found> = heard.addresses.iter().flat_map(found).collect();
        // IPv4 is what everybody has; an address of this link alone needs its interface named.
        let rank = |one: &Found| match one.address {
            IpAddr::V4(_) => 0,
            IpAddr::V6(v6) if !v6.is_unicast_link_local() => 1,
            IpAddr::V6(_) => 2,
        };
        addresses.sort_by(|one, other| (rank(one), one).cmp(&(rank(other), other)));
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        let entries = heard.txt_properties.iter().take(MAX_TXT);
        let txt = entries.map(|entry| (entry.key().to_owned(), entry.val().unwrap_or_default().to_owned()));
        Instance {
            name: name(&heard.fullname, &kind).to_owned(),
            host: heard.host.trim_end_matches('.').to_owned(),
            port: heard.port,
            addresses,
            txt: txt.collect(),
            kind,
        }
    }

    /// What it says of itself, if it is of Sockeye's.
    pub fn facts(&self) -> Facts {
        Facts::of_txt(&self.txt)
    }

    /// Whether it has an address of IPv4. That and those of IPv6 come by packets of their own, the one perhaps a second after the other.
    pub fn has_v4(&self) -> bool {
        self.addresses.iter().any(|found| found.address.is_ipv4())
    }

    /// Where it is, by one of its addresses.
    pub fn endpoint_at(&self, found: &Found) -> Endpoint {
        let host = match found.address {
            IpAddr::V4(v4) => Host::V4(v4),
            IpAddr::V6(v6) => {
                let scope = v6.is_unicast_link_local().then(|| found.interface.clone());
                Host::V6(v6, scope)
            }
        };
        let at = HostPort {
            host,
            port: Port::Number(self.port),
        };
        match self.kind.is_packet() {
            true => Endpoint::Udp(at),
            false if self.kind.service().is_some() && self.facts().tls => Endpoint::Tls(at),
            false => Endpoint::Tcp(at),
        }
    }

    /// Where to connect to: by the best of its addresses that are on the very link where it was heard of. A stranger could name any
    /// other.
    ///
    /// # Errors
    /// When it names no such address.
    pub fn endpoint(&self) -> Result<Endpoint> {
        let networks = networks()?;
        let on_link = self.addresses.iter().find(|found| is_on_link(found, &networks));
        on_link.map(|found| self.endpoint_at(found)).ok_or_else(|| {
            let all: Vec<String> = self
                .addresses
                .iter()
                .map(|found| found.address.to_string())
                .collect();
            let why = format!(
                "it says that it is at {}, which is not on this link",
                all.join(", ")
            );
            Error::new("connect", Class::Address, why)
                .at(self.name.escape_debug())
                .advise("connect by that address if you trust it")
        })
    }
}

fn is_on_link(found: &Found, networks: &[Network]) -> bool {
    let mut there = networks
        .iter()
        .filter(|network| network.interface == found.interface);
    there.any(|network| network.includes(found.address))
}

/// Without the type: what stands before it is one label, which may have dots in it.
pub(super) fn name<'a>(full: &'a str, kind: &ServiceType) -> &'a str {
    let behind = kind.domain().len() + 1;
    let split = full
        .len()
        .checked_sub(behind)
        .filter(|at| full.is_char_boundary(*at));
    split.map_or(full, |at| &full[..at])
}

fn found(address: &ScopedIp) -> Vec<Found> {
    let interfaces: Vec<&str> = match address {
        ScopedIp::V4(v4) => v4.interface_ids().iter().map(|id| id.name.as_str()).collect(),
        ScopedIp::V6(v6) => vec![v6.scope_id().name.as_str()],
        _ => Vec::new(),
    };
    let found = |interface: &str| Found {
        address: address.to_ip_addr(),
        interface: interface.to_owned(),
    };
    interfaces.into_iter().map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(kind: &str, addresses: &[(&str, &str)], txt: &[(&str, &str)]) -> Instance {
        let found = |(address, interface): &(&str, &str)| Found {
            address: address.parse().expect("an address"),
            interface: (*interface).to_owned(),
        };
        Instance {
            name: "kitchen".to_owned(),
            kind: kind.parse().expect("a type"),
            host: "kitchen.local".to_owned(),
            port: 9,
            addresses: addresses.iter().map(found).collect(),
            txt: txt
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
                .collect(),
        }
    }

    #[test]
    fn where_it_is_depends_on_what_it_says() {
        let at = [("10.0.0.1", "eth0"), ("fe80::1", "eth0"), ("fd00::1", "eth0")];
        let tls = [("txtvers", "1"), ("tls", "")];
        for (kind, txt, endpoints) in [
            (
                "_sockeye-echo._tcp",
                &tls[..],
                ["tls://10.0.0.1:9", "tls://[fe80::1%eth0]:9", "tls://[fd00::1]:9"],
            ),
            (
                "_sockeye-echo._tcp",
                &[],
                ["tcp://10.0.0.1:9", "tcp://[fe80::1%eth0]:9", "tcp://[fd00::1]:9"],
            ),
            (
                "_sockeye-echo._udp",
                &[],
                ["udp://10.0.0.1:9", "udp://[fe80::1%eth0]:9", "udp://[fd00::1]:9"],
            ),
            (
                "_ipp._tcp",
                &tls[..],
                ["tcp://10.0.0.1:9", "tcp://[fe80::1%eth0]:9", "tcp://[fd00::1]:9"],
            ),
        ] {
            let instance = instance(kind, &at, txt);
            let found = instance
                .addresses
                .iter()
                .map(|found| instance.endpoint_at(found).to_string());
            assert_eq!(found.collect::<Vec<_>>(), endpoints);
        }
    }

    #[test]
    fn an_address_elsewhere_is_not_connected_to() {
        for address in ["127.0.0.1", "192.0.2.77", "::1"] {
            let error = instance("_sockeye-echo._tcp", &[(address, "nowhere0")], &[]).endpoint();
            let error = error.expect_err("no such network").to_string();
            assert!(
                error.contains(address) && error.contains("not on this link"),
                "{error}"
            );
        }
    }

    #[test]
    fn names_may_hold_anything() {
        let kind: ServiceType = "_ipp._tcp".parse().expect("a type");
        assert_eq!(name("a.b\x1b._ipp._tcp.local.", &kind), "a.b\x1b");
        assert_eq!(name("short", &kind), "short");
        assert_eq!(name("é_ipp._tcp.local.", &kind), "é_ipp._tcp.local.");
    }
}
