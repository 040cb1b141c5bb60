//! The network interfaces of this machine (netdevice(7), getifaddrs(3)).

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};

use if_addrs::{IfAddr, IfOperStatus};
use rustix::ioctl::{Opcode, Updater, ioctl};
use rustix::net::{AddressFamily, SocketType};

use crate::error::{Error, Result};

/// A network interface that has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its number, by which the kernel tells interfaces apart.
    pub index: u32,
    /// It is switched on, and its cable or its like is in (`IFF_RUNNING`).
    pub up: bool,
    /// What it sends never leaves the machine.
    pub loopback: bool,
    /// There is one other end, and nobody to broadcast to (`IFF_POINTOPOINT`).
    pub point_to_point: bool,
    /// What is sent to a group may leave by it (`IFF_MULTICAST`). Loopback has it not, and brings groups to this machine all the same.
    pub multicast: bool,
    /// In the order of the kernel, at least one.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceAddress {
    /// The address itself.
    pub ip: IpAddr,
    /// How many of its first bits it has in common with its network's others.
    pub prefix: u8,
    /// The address of all who are on its network, where there is one: IPv4 alone has that (RFC 919).
    pub broadcast: Option<Ipv4Addr>,
}

impl Interface {
    /// Its first address of IPv4.
    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|address| match address.ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
    }

    /// Whether it has an address of IPv6.
    pub fn has_v6(&self) -> bool {
        self.addresses.iter().any(|address| address.ip.is_ipv6())
    }

    /// Whether others hear what is broadcast on it, or sent to a group, where it can do that: it is up, and leads out of the machine.
    pub fn is_usable(&self) -> bool {
        self.up && !self.loopback
    }

    /// Whether what is sent to a group by it is heard by anybody: by others, or on this machine.
    pub fn reaches_groups(&self) -> bool {
        self.up && (self.multicast || self.loopback)
    }
}

/// The interfaces that have an address, by their numbers.
///
/// ```
/// let interfaces = sockeye::interfaces()?;
/// let has = |ip: &str| interfaces.iter().any(|one| one.addresses.iter().any(|a| a.ip.to_string() == ip));
/// assert!(has("127.0.0.1"));
/// # Ok::<(), sockeye::Error>(())
/// ```
///
/// # Errors
/// When the kernel doesn't tell.
pub fn interfaces() -> Result<Vec<Interface>> {
    let told = if_addrs::get_if_addrs().map_err(|error| Error::io("list interfaces", error))?;
    let mut found = gathered(told);
    let socket = any_socket().map_err(|error| Error::io("list interfaces", error))?;
    for interface in &mut found {
        // One that has gone meanwhile can do nothing.
        let flags = flags(&socket, &interface.name).unwrap_or(0);
        interface.multicast = flags & libc::IFF_MULTICAST != 0;
    }
    Ok(found)
}

/// The name of the interface of this number, as long as there is one.
pub fn interface_name(index: u32) -> Option<String> {
    rustix::net::netdevice::index_to_name(&any_socket().ok()?, index).ok()
}

/// The number of the interface of this name, if there is one, whether it has an address or not.
pub fn interface_index(name: &str) -> Option<u32> {
    rustix::net::netdevice::name_to_index(&any_socket().ok()?, name).ok()
}

/// Interfaces are asked for through any socket (netdevice(7)).
fn any_socket() -> rustix::io::Result<OwnedFd> {
    rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None)
}

/// `struct ifreq` of netdevice(7), as far as flags are asked for: a name with a zero behind it, and a union of 24 bytes.
#[repr(C)]
struct FlagsRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: i16,
    rest: [u8; 22],
}

const READ_FLAGS: Opcode = libc::SIOCGIFFLAGS as Opcode;

/// `IFF_UP` and so on, which neither `rustix` nor `socket2` nor `if-addrs` tells.
fn flags(socket: impl AsFd, name: &str) -> rustix::io::Result<i32> {
    let mut request = FlagsRequest {
        name: [0; libc::IFNAMSIZ],
        flags: 0,
        rest: [0; 22],
    };
    let room = request
        .name
        .get_mut(..name.len())
        .filter(|room| room.len() < libc::IFNAMSIZ);
    let room = room.ok_or(rustix::io::Errno::NODEV)?;
    room.copy_from_slice(name.as_bytes());
    // SAFETY: `SIOCGIFFLAGS` reads and writes a `struct ifreq`, which has 40 bytes at the most, as `FlagsRequest` has.
    #[allow(unsafe_code)]
    let operation = unsafe { Updater::<READ_FLAGS, FlagsRequest>::new(&mut request) };
    // SAFETY: the operation is one that any socket has, and writes to nothing but its own request.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(socket, operation)?;
    }
    Ok(i32::from(request.flags))
}

/// The kernel tells addresses; those of an interface become one.
fn gathered(told: Vec<if_addrs::Interface>) -> Vec<Interface> {
    let mut found: Vec<Interface> = Vec::new();
    for one in told {
        let Some(index) = one.index else { continue }; // it has gone meanwhile
        let at = found.iter().position(|known| known.index == index);
        let at = at.unwrap_or_else(|| {
            // Before the colon: an address of IPv4 may have a label of its own (`eth0:1`).
            let name = one.name.split(':').next().unwrap_or_default().to_owned();
            found.push(Interface {
                name,
                index,
                up: false,
                loopback: false,
                point_to_point: one.is_p2p,
                multicast: false,
                addresses: Vec::new(),
            });
            found.len() - 1
        });
        let interface = &mut found[at];
        interface.up |= one.oper_status == IfOperStatus::Up;
        interface.loopback |= one.addr.is_loopback();
        interface.addresses.push(address(&one));
    }
    found.sort_by_key(|interface| interface.index);
    found
}

fn address(told: &if_addrs::Interface) -> InterfaceAddress {
    let (ip, prefix, broadcast) = match &told.addr {
        IfAddr::V4(v4) => {
            // Who gives an address by hand may have left its broadcast address out; the kernel's routes have it anyway.
            let alone = told.is_p2p || v4.ip.is_loopback() || v4.prefixlen >= 31;
            let last = Ipv4Addr::from_bits(v4.ip.to_bits() | !v4.netmask.to_bits());
            let broadcast = v4.broadcast.filter(|broadcast| *broadcast != v4.ip);
            (v4.ip.into(), v4.prefixlen, broadcast.or((!alone).then_some(last)))
        }
        IfAddr::V6(v6) => (v6.ip.into(), v6.prefixlen, None),
    };
    InterfaceAddress {
        ip,
        prefix,
        broadcast,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use if_addrs::{Ifv4Addr, Ifv6Addr};

    fn told(name: &str, index: u32, addr: IfAddr) -> if_addrs::Interface {
        if_addrs::Interface {
            name: name.to_owned(),
            addr,
            index: Some(index),
            oper_status: IfOperStatus::Up,
            is_p2p: name.starts_with("tun"),
        }
    }

    fn v4(ip: [u8; 4], prefixlen: u8, broadcast: Option<[u8; 4]>) -> IfAddr {
        IfAddr::V4(Ifv4Addr {
            ip: ip.into(),
            netmask: Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(prefixlen)).unwrap_or(0)),
            prefixlen,
            broadcast: broadcast.map(Ipv4Addr::from),
        })
    }

    #[test]
    fn addresses_are_gathered_by_interface() {
        let link_local = IfAddr::V6(Ifv6Addr {
            ip: "fe80::1".parse().expect("an address"),
            netmask: "ffff:ffff:ffff:ffff::".parse().expect("a mask"),
            prefixlen: 64,
            broadcast: None,
        });
        let found = gathered(vec![
            told("eth0", 2, v4([10, 9, 1, 1], 24, Some([10, 9, 1, 255]))),
            told("eth0:1", 2, v4([10, 9, 2, 1], 30, None)),
            told("lo", 1, v4([127, 0, 0, 1], 8, None)),
            told("tun0", 3, v4([10, 8, 0, 1], 24, None)),
            told("eth0", 2, link_local),
            told("eth1", 4, v4([10, 7, 0, 1], 32, Some([10, 7, 0, 1]))),
        ]);
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.index)).collect();
        assert_eq!(names, [("lo", 1), ("eth0", 2), ("tun0", 3), ("eth1", 4)]);
        let broadcasts =
            |at: usize| -> Vec<_> { found[at].addresses.iter().map(|one| one.broadcast).collect() };
        assert_eq!(
            broadcasts(1),
            [Some([10, 9, 1, 255].into()), Some([10, 9, 2, 3].into()), None]
        );
        for alone in [0, 2, 3] {
            assert_eq!(broadcasts(alone), [None], "{}", found[alone].name);
        }
        assert!(found[0].loopback && !found[0].is_usable() && found[1].is_usable());
        assert!(found[1].has_v6() && !found[0].has_v6());
        assert_eq!(found[1].v4(), Some([10, 9, 1, 1].into()));
    }

    #[test]
    fn flags_are_those_of_the_kernel() {
        let socket = any_socket().expect("a socket");
        let loopback = flags(&socket, "lo").expect("there is one");
        assert!(loopback & libc::IFF_LOOPBACK != 0);
        for nobody in ["nosuch0", "a name of sixteen", ""] {
            flags(&socket, nobody).expect_err(nobody);
        }
    }

    #[test]
    fn names_and_numbers_belong_together() {
        for interface in interfaces().expect("this machine has some") {
            assert_eq!(interface_index(&interface.name), Some(interface.index));
            assert_eq!(interface_name(interface.index), Some(interface.name));
        }
        assert_eq!(interface_name(u32::MAX), None);
        for nobody in ["nosuch0", "a name of sixteen", "", "lo\0"] {
            assert_eq!(interface_index(nobody), None, "{nobody:?}");
        }
    }
}
