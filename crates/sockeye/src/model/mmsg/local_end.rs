//! Which of this machine's addresses a datagram came to, so that its answer leaves from there: `IP_PKTINFO` (ip(7)) and
//! `IPV6_PKTINFO` (RFC 3542, section 6).

use crate::address::Address;
use crate::options::raw;
use libc::{in_pktinfo, in6_addr, in6_pktinfo};
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::BorrowedFd;

/// The control messages of one datagram, each at the alignment that the kernel wants. A datagram of IPv4 has both kinds of
/// addresses where the socket is of IPv6; one that is to be cut has the length beside.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control([u8; Self::SIZE]);

impl Control {
    pub(super) const SIZE: usize = space::<in_pktinfo>() + space::<in6_pktinfo>() + space::<u16>();
    const EMPTY: Control = Control([0; Self::SIZE]);
}

/// What a control message of this type takes.
#[allow(unsafe_code)]
pub(super) const fn space<T>() -> usize {
    // SAFETY: this only computes.
    unsafe { libc::CMSG_SPACE(size_of::<T>() as u32) as usize }
}

/// Our end of a datagram.
#[derive(Clone, Copy)]
pub(crate) struct LocalEnd {
    address: IpAddr,
    interface: u32,
    source: Source,
}

/// Where an answer leaves from, as the kernel takes it.
#[derive(Clone, Copy)]
enum Source {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

/// Has the kernel tell our end of each datagram, on a socket that is bound to all addresses. On others it is known, and told
/// if the socket's options ask for it.
pub(super) fn ask(fd: BorrowedFd<'_>, bound: IpAddr) -> bool {
    if !bound.is_unspecified() {
        return [
            (libc::IPPROTO_IP, libc::IP_PKTINFO),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        ]
        .into_iter()
        .any(|(level, name)| raw::int(fd, level, name).is_ok_and(|on| on != 0));
    }
    // A socket of IPv6 may have peers of IPv4. One that refuses answers from where the routes say.
    let v4 = raw::set_int(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1).is_ok();
    let v6 = bound.is_ipv6() && raw::set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1).is_ok();
    v4 || v6
}

impl LocalEnd {
    /// Where the datagram was sent to: one of our addresses, a group's, or one of broadcast.
    pub(crate) fn address(&self, port: u16) -> Address {
        match self.address {
            IpAddr::V6(ip) if ip.is_unicast_link_local() || ip.is_multicast() => {
                Address::Inet(SocketAddrV6::new(ip, port, 0, self.interface).into())
            }
            ip => Address::Inet(SocketAddr::new(ip, port)),
        }
    }

    /// Whether answers leave from the same place.
    pub(crate) fn is(&self, other: &LocalEnd) -> bool {
        (self.address, self.interface) == (other.address, other.interface)
    }

    /// The number of the interface that the datagram came in by.
    pub(crate) fn interface(&self) -> u32 {
        self.interface
    }

    /// With what else is told of the same datagram by `IP_PKTINFO`: to where, as IPv6 has it if both are told.
    pub(super) fn and_v4(known: Option<LocalEnd>, told: in_pktinfo) -> LocalEnd {
        let v4 = Self::v4(told);
        let address = known.map_or(v4.address, |v6| v6.address);
        LocalEnd { address, ..v4 }
    }

    /// The same of `IPV6_PKTINFO`; an answer leaves as IPv4 has it if both are told.
    pub(super) fn and_v6(known: Option<LocalEnd>, told: in6_pktinfo) -> LocalEnd {
        let v6 = Self::v6(told);
        let source = known.map_or(v6.source, |v4| v4.source);
        LocalEnd { source, ..v6 }
    }

    /// The kernel names the address to answer from beside the one that the datagram was sent to: they differ for groups
    /// and broadcasts.
    fn v4(told: in_pktinfo) -> LocalEnd {
        let own = Ipv4Addr::from_bits(u32::from_be(told.ipi_spec_dst.s_addr));
        let address = Ipv4Addr::from_bits(u32::from_be(told.ipi_addr.s_addr));
        LocalEnd {
            address: address.into(),
            interface: told.ipi_ifindex.cast_unsigned(),
            source: Source::V4(in_pktinfo {
                // The routes choose the interface, but for addresses that several may have.
                ipi_ifindex: if own.is_link_local() { told.ipi_ifindex } else { 0 },
                ..told
            }),
        }
    }

    fn v6(told: in6_pktinfo) -> LocalEnd {
        let address = Ipv6Addr::from(told.ipi6_addr.s6_addr);
        let link_local = address.is_unicast_link_local();
        let open = in6_addr { s6_addr: [0; 16] };
        LocalEnd {
            address: address.into(),
            interface: told.ipi6_ifindex,
            source: Source::V6(in6_pktinfo {
                ipi6_ifindex: if link_local { told.ipi6_ifindex } else { 0 },
                ipi6_addr: if address.is_multicast() {
                    open
                } else {
                    told.ipi6_addr
                },
            }),
        }
    }

    /// Has a datagram leave from here; `control` is to stay until it is sent.
    pub(super) fn write(&self, header: &mut libc::msghdr, control: &mut MaybeUninit<Control>) {
        begin(header, control);
        match self.source {
            Source::V4(info) => put(header, libc::IPPROTO_IP, libc::IP_PKTINFO, info),
            Source::V6(info) => put(header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info),
        }
    }
}

/// Has the kernel cut the bytes of a message into datagrams of this length (`UDP_SEGMENT`, udp(7)).
pub(super) fn cut(header: &mut libc::msghdr, control: &mut MaybeUninit<Control>, length: u16) {
    if header.msg_control.is_null() {
        begin(header, control);
    }
    put(header, libc::SOL_UDP, libc::UDP_SEGMENT, length);
}

fn begin(header: &mut libc::msghdr, control: &mut MaybeUninit<Control>) {
    header.msg_control = std::ptr::from_mut(control.write(Control::EMPTY)).cast();
    header.msg_controllen = 0;
}

/// Adds a control message to a header, whose memory is a [`Control`].
#[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
fn put<T>(header: &mut libc::msghdr, level: i32, kind: i32, info: T) {
    let used = header.msg_controllen;
    header.msg_controllen = (used + space::<T>()) as _;
    // SAFETY: a `Control` has room for an address of either kind and a length, each at its alignment, and what is used is
    // whole ones of them.
    unsafe {
        let message = header.msg_control.cast::<u8>().add(used).cast::<libc::cmsghdr>();
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<T>() as u32) as _;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(info);
    }
}
