//! Multicast DNS on this machine's links.

use super::failed;
use super::guard::Guard;
use mdns_sd::{DaemonStatus, IfKind, MDNS_PORT, ServiceDaemon};
use sockeye::{Class, Error, Result, UdpSockets};
use std::net::IpAddr;
use std::time::Duration;

const OPEN: &str = "open multicast DNS";
/// How long the thread of it may take to begin or to end: it has a few sockets to open, and a few packets to send.
const PATIENCE: Duration = Duration::from_secs(10);
/// In so many turns, after each of which it hears nothing any more until it has begun.
const TURNS: u32 = 50;
/// The longest packet of a link whose interfaces don't tell: that of Ethernet.
const ETHERNET: u16 = 1500;

/// The link, or links: every interface that is up, but loopback.
pub(super) struct Link {
    pub(super) daemon: ServiceDaemon,
    /// What looks after its sockets.
    guard: Option<Guard>,
}

impl Link {
    /// # Errors
    /// When there is no thread or socket for it, or the sockets can't be kept to the link.
    pub(super) fn open() -> Result<Self> {
        let others = UdpSockets::at(MDNS_PORT)?;
        let mut link = Link {
            daemon: ServiceDaemon::new().map_err(|error| failed(OPEN, error))?,
            guard: None,
        };
        let here = vec![IfKind::LoopbackV4, IfKind::LoopbackV6];
        let begun = link
            .daemon
            .disable_interface(here)
            .and_then(|()| link.daemon.status());
        let begun = begun.map_err(|error| failed(OPEN, error))?;
        // It answers when it has its sockets; but while it reads what comes it does nothing else, so that it gets nothing more until
        // then. This process may have others at that port.
        let mut waits = 0;
        let begun = loop {
            let answer = begun.recv_timeout(PATIENCE / TURNS).ok();
            waits += 1;
            if answer.is_some() || begun.is_disconnected() || waits >= TURNS {
                break answer;
            }
            UdpSockets::at(MDNS_PORT)?.without(&others).hear_nothing()?;
        };
        let sockets = UdpSockets::at(MDNS_PORT)?.without(&others);
        if begun != Some(DaemonStatus::Running) {
            return Err(Error::new(OPEN, Class::General, "its thread does not begin"));
        }
        let networks = networks()?;
        check_sockets(&sockets, &networks)?;
        let guard = Guard::start(link.daemon.clone(), sockets, longest(&networks))?;
        link.guard = Some(guard);
        Ok(link)
    }

    /// # Errors
    /// When others say more than can be kept.
    pub(super) fn check_flood(&self) -> Result<()> {
        self.guard.as_ref().map_or(Ok(()), Guard::check)
    }

    /// Says farewell for all that was announced, and waits until that is sent.
    pub(super) fn close(&self) {
        // Who hears without end never comes to its farewell.
        self.guard.as_ref().inspect(|guard| guard.close());
        if let Ok(closed) = self.daemon.shutdown() {
            let _ = closed.recv_timeout(PATIENCE); // what hangs is not waited for
        }
    }
}

/// It goes on without those that it can't have, and says nothing.
fn check_sockets(sockets: &UdpSockets, networks: &[Network]) -> Result<()> {
    let v4 = networks.iter().any(|network| network.address.is_ipv4());
    let v6 = networks.iter().any(|network| network.address.is_ipv6());
    let family = match (sockets.has_v4(), sockets.has_v6()) {
        (false, false) => "",
        (false, _) if v4 => " over IPv4",
        (_, false) if v6 => " over IPv6",
        _ => return Ok(()),
    };
    let why = format!("no socket can be had at port {MDNS_PORT} of UDP{family}");
    let advice = "another program may keep it to itself: `ss -lunp` tells which";
    Err(Error::new(OPEN, Class::General, why).advise(advice))
}

/// The longest packet that a link takes whole: multicast DNS sends none that is longer, but for a single record that no shorter one
/// holds (RFC 6762, section 17), and a record should not be as long (RFC 6763, section 6.2).
fn longest(networks: &[Network]) -> u16 {
    let told = networks.iter().filter_map(|network| {
        let path = format!("/sys/class/net/{}/mtu", network.interface);
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    });
    told.chain([ETHERNET]).max().unwrap_or(ETHERNET)
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

/// An interface's name and one of its networks.
pub(super) struct Network {
    pub(super) interface: String,
    pub(super) address: IpAddr,
    prefix: u8,
}

impl Network {
    pub(super) fn includes(&self, other: IpAddr) -> bool {
        let differ = match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            _ => return false,
        };
        differ >= self.prefix.into()
    }
}

/// The networks of the interfaces that are up, but loopback and those that lead to a single machine.
pub(super) fn networks() -> Result<Vec<Network>> {
    let interfaces = if_addrs::get_if_addrs().map_err(|error| Error::io("list interfaces", error))?;
    let usable = interfaces.into_iter();
    let usable = usable.filter(|one| one.is_oper_up() && !one.is_loopback() && !one.is_p2p());
    let network = |one: if_addrs::Interface| Network {
        interface: one.name,
        address: one.addr.ip(),
        prefix: match one.addr {
            if_addrs::IfAddr::V4(v4) => v4.prefixlen,
            if_addrs::IfAddr::V6(v6) => v6.prefixlen,
        },
    };
    Ok(usable.map(network).collect())
}

/// # Errors
/// When this machine is on no network.
pub(super) fn check_network(op: &'static str) -> Result<()> {
    if networks()?.is_empty() {
        let why = "this machine is on no network: no interface but loopback is up and has an address";
        return Err(Error::new(op, Class::General, why).advise("`ip address` shows them"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_on_the_link_or_beyond() {
        let network = |address: &str, prefix| Network {
            interface: "eth0".to_owned(),
            address: address.parse().expect("an address"),
            prefix,
        };
        let includes = |network: &Network, other: &str| network.includes(other.parse().expect("an address"));
        let v4 = network("10.9.1.1", 24);
        assert!(includes(&v4, "10.9.1.200") && !includes(&v4, "10.9.2.1") && !includes(&v4, "fe80::1"));
        let v6 = network("fe80::1", 64);
        assert!(includes(&v6, "fe80::7") && !includes(&v6, "fd00::7"));
        assert!(includes(&network("10.9.1.1", 32), "10.9.1.1"));
        assert!(includes(&network("10.9.1.1", 0), "8.8.8.8"));
    }

    #[test]
    fn each_family_that_has_a_network_needs_a_socket() {
        let v4 = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = v4.local_addr().expect("an address").port();
        let sockets = UdpSockets::at(port).expect("sockets");
        let network = |address: &str| Network {
            interface: "eth0".to_owned(),
            address: address.parse().expect("an address"),
            prefix: 24,
        };
        let check = |networks: &[Network]| check_sockets(&sockets, networks);
        check(&[]).expect("there is no network");
        check(&[network("10.9.1.1")]).expect("it has a socket");
        let error = check(&[network("10.9.1.1"), network("fe80::1")]).expect_err("no socket of IPv6");
        assert!(error.to_string().contains("5353 of UDP over IPv6"), "{error}");
        let none = sockets.without(&UdpSockets::at(port).expect("sockets"));
        check_sockets(&none, &[]).expect_err("no socket at all");
    }
}
