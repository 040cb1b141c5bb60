//! Whom to send to, and by which interface.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use anyhow::{Result, bail};
use sockeye::{Interface, Membership, Options};

use crate::exit::Usage;

/// What `--to` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// 255.255.255.255 (RFC 919): all who are on a network, whatever its addresses are.
    Everybody,
    /// The broadcast address of each network.
    Directed,
    /// Those of one interface.
    Interface(String),
    Group(Membership),
    /// Anybody else, with the interface that a link-local address needs.
    Address(IpAddr, Option<String>),
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "<broadcast>" | "255.255.255.255" => return Ok(To::Everybody),
            "directed" => return Ok(To::Directed),
            "" => return Err("write an address, a group or an interface".to_owned()),
            _ => {}
        }
        let (address, scope) = match text.split_once('%') {
            Some((address, scope)) => (address, Some(scope.to_owned())),
            None => (text, None),
        };
        match address.parse::<IpAddr>() {
            Ok(ip) if ip.is_multicast() => {
                let group = text.parse().map_err(|error: sockeye::Error| error.to_string())?;
                Ok(To::Group(group))
            }
            Ok(ip) => Ok(To::Address(ip, scope)),
            Err(_) if scope.is_some() => Err(format!("`{address}` is no address")),
            Err(_) => Ok(To::Interface(text.to_owned())),
        }
    }
}

/// One way out: a socket of its own, which sends to one address.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) to: SocketAddr,
    /// The interface that it leaves by; `None` where the routes choose.
    pub(super) interface: Option<String>,
    /// Where the socket is bound to.
    pub(super) from: SocketAddr,
    pub(super) options: Options,
}

/// What is said of all ways.
pub(super) struct Reach<'a> {
    pub(super) port: u16,
    pub(super) only: Option<&'a str>,
    pub(super) ttl: Option<u8>,
    /// Whether this machine hears what it sends to a group.
    pub(super) loops: bool,
}

impl Reach<'_> {
    /// All ways to all who are meant, at least one.
    pub(super) fn paths(&self, whom: &[To], interfaces: &[Interface]) -> Result<Vec<Path>> {
        let mut paths = Vec::new();
        for to in whom {
            let before = paths.len();
            match to {
                To::Everybody => {
                    let reached = self.chosen(None, interfaces)?;
                    let everybody = reached.filter(|one| broadcasts(one).next().is_some());
                    paths.extend(
                        everybody.filter_map(|one| self.broadcast(one, one.v4()?, Ipv4Addr::BROADCAST)),
                    );
                }
                To::Directed => {
                    let reached = self.chosen(None, interfaces)?;
                    paths.extend(reached.flat_map(|one| self.directed(one)));
                }
                To::Interface(name) => {
                    let reached = self.chosen(Some(name), interfaces)?;
                    paths.extend(reached.flat_map(|one| self.directed(one)));
                }
                To::Group(group) => {
                    let reached = self.chosen(group.interface.as_deref(), interfaces)?;
                    let reached = reached.filter(|one| one.reaches_groups());
                    paths.extend(reached.filter_map(|one| self.group(one, group.group)));
                }
                To::Address(ip, scope) => paths.push(self.address(*ip, scope.as_deref(), interfaces)?),
            }
            if paths.len() == before {
                if let Some(one) = self.named(to, interfaces) {
                    bail!(
                        "no way to {} by {}: {}",
                        whom_in_words(to),
                        one.name,
                        why_not(to, one)
                    );
                }
                bail!(
                    "no interface reaches {}: it takes one that is up and has an address of that kind; \
                     sockeye broadcast --list shows what there is",
                    whom_in_words(to)
                );
            }
        }
        Ok(paths)
    }

    /// The interface of this name, or the one that `--interface` names, or all that lead out of this machine.
    fn chosen<'i>(
        &self,
        name: Option<&str>,
        interfaces: &'i [Interface],
    ) -> Result<impl Iterator<Item = &'i Interface> + use<'i>> {
        let name = match (name, self.only) {
            (Some(name), Some(only)) if name != only => {
                let why = format!("`{name}` and --interface {only} are not the same");
                return Err(Usage::new(why).into());
            }
            (name, only) => name.or(only),
        };
        let index = name
            .map(|name| found(name, interfaces))
            .transpose()?
            .map(|one| one.index);
        Ok(interfaces.iter().filter(move |one| match index {
            Some(index) => one.index == index && one.up,
            None => one.is_usable(),
        }))
    }

    /// The interface that is named, by whom it is meant for or by `--interface`.
    fn named<'i>(&self, to: &To, interfaces: &'i [Interface]) -> Option<&'i Interface> {
        let name = match to {
            To::Interface(name) => Some(name.as_str()),
            To::Group(group) => group.interface.as_deref(),
            _ => None,
        };
        found(name.or(self.only)?, interfaces).ok()
    }

    fn directed<'i>(&'i self, interface: &'i Interface) -> impl Iterator<Item = Path> + 'i {
        broadcasts(interface).filter_map(|(ip, to)| self.broadcast(interface, ip, to))
    }

    /// Bound to an address of the interface, which is what has 255.255.255.255 leave there (ip(7)).
    fn broadcast(&self, interface: &Interface, from: Ipv4Addr, to: Ipv4Addr) -> Option<Path> {
        let options = Options::new().broadcast(true);
        Some(Path {
            to: SocketAddr::from((to, self.port)),
            interface: Some(interface.name.clone()),
            from: SocketAddr::from((from, 0)),
            options: self.ttl.into_iter().fold(options, Options::ttl),
        })
    }

    fn group(&self, interface: &Interface, group: IpAddr) -> Option<Path> {
        let options = Options::new()
            .multicast_interface(interface.name.clone())
            .multicast_loop(self.loops);
        let (to, from) = match group {
            IpAddr::V4(group) => {
                let from = interface.v4()?;
                (SocketAddr::from((group, self.port)), SocketAddr::from((from, 0)))
            }
            IpAddr::V6(group) => {
                let to = SocketAddrV6::new(group, self.port, 0, interface.index);
                let any = SocketAddr::from(([0_u16; 8], 0));
                interface.has_v6().then_some((to.into(), any))?
            }
        };
        Some(Path {
            to,
            from,
            interface: Some(interface.name.clone()),
            options: self.ttl.into_iter().fold(options, Options::multicast_ttl),
        })
    }

    /// The routes choose, but for an address that needs its interface named.
    fn address(&self, ip: IpAddr, scope: Option<&str>, interfaces: &[Interface]) -> Result<Path> {
        if self.only.is_some() {
            let why =
                format!("--interface is for broadcasts and groups; the routes choose how {ip} is reached");
            return Err(Usage::new(why).into());
        }
        if matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()) && scope.is_none() {
            let why = format!("every network may have {ip}: write {ip}%INTERFACE");
            return Err(Usage::new(why).into());
        }
        let scope = scope.map(|name| found(name, interfaces)).transpose()?;
        let (to, any) = match ip {
            IpAddr::V4(ip) => (
                SocketAddr::from((ip, self.port)),
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            ),
            IpAddr::V6(ip) => {
                let scope = scope.map_or(0, |one| one.index);
                let to = SocketAddrV6::new(ip, self.port, 0, scope);
                (to.into(), SocketAddr::from(([0_u16; 8], 0)))
            }
        };
        let options = Options::new().broadcast(true);
        Ok(Path {
            to,
            from: any,
            interface: scope.map(|one| one.name.clone()),
            options: self.ttl.into_iter().fold(options, Options::ttl),
        })
    }
}

/// An interface by its name or number.
fn found<'i>(name: &str, interfaces: &'i [Interface]) -> Result<&'i Interface> {
    let number = name.parse().ok();
    let is_meant = |one: &&Interface| one.name == name || Some(one.index) == number;
    match interfaces.iter().find(is_meant) {
        Some(interface) => Ok(interface),
        None => {
            let there: Vec<&str> = interfaces.iter().map(|one| one.name.as_str()).collect();
            let why = format!(
                "no interface with an address is called `{}`; there are {} (sockeye broadcast --list tells more)",
                name.escape_debug(),
                there.join(", ")
            );
            Err(Usage::new(why).into())
        }
    }
}

/// Why nobody is reached by this interface.
fn why_not(to: &To, interface: &Interface) -> &'static str {
    let group = match to {
        To::Group(group) => Some(group.group),
        _ => None,
    };
    match group {
        _ if !interface.up => "it is down, or its cable is out",
        Some(_) if !interface.reaches_groups() => {
            "it can't multicast (`ip link set dev NAME multicast on` lets it, where its hardware does)"
        }
        Some(IpAddr::V6(_)) => "it has no address of IPv6",
        None if interface.loopback => {
            "what it sends never leaves this machine; --to 127.255.255.255 stays here"
        }
        None if interface.point_to_point => {
            "it leads to one other machine, and nobody else is there to hear it"
        }
        Some(IpAddr::V4(_)) | None if interface.v4().is_none() => "it has no address of IPv4",
        _ => "its network has no address of broadcast",
    }
}

/// The addresses of an interface that have one of broadcast, with that.
fn broadcasts(interface: &Interface) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> {
    interface.addresses.iter().filter_map(|address| match address.ip {
        IpAddr::V4(ip) => Some((ip, address.broadcast?)),
        IpAddr::V6(_) => None,
    })
}

fn whom_in_words(to: &To) -> String {
    match to {
        To::Everybody => "255.255.255.255".to_owned(),
        To::Directed | To::Interface(_) => "a directed broadcast".to_owned(),
        To::Group(group) => group.to_string(),
        To::Address(ip, _) => ip.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_is_written_in_many_ways() {
        let group = |text: &str| To::Group(text.parse().expect("a group"));
        for (text, expected) in [
            ("<broadcast>", To::Everybody),
            ("255.255.255.255", To::Everybody),
            ("directed", To::Directed),
            ("eth0", To::Interface("eth0".to_owned())),
            ("239.1.2.3", group("239.1.2.3")),
            ("ff02::1%eth0", group("ff02::1%eth0")),
            ("10.9.1.255", To::Address([10, 9, 1, 255].into(), None)),
            (
                "fe80::1%2",
                To::Address("fe80::1".parse().expect("an address"), Some("2".to_owned())),
            ),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "nothing%eth0", "239.1.2.3%"] {
            assert!(text.parse::<To>().is_err(), "{text}");
        }
    }
}
