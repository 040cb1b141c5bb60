//! Whom a datagram came from, or goes to.

use crate::address::{Address, inet_of};
use crate::error::Result;
use rustix::net::SocketAddrAny;
use rustix::net::addr::SocketAddrStorage;
use std::mem::{MaybeUninit, size_of};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// An address in a quarter of the room that one of any kind may take: it is moved several times between a datagram and its
/// answer, and those moves were most of what this program itself does for a datagram.
#[derive(Clone)]
pub(crate) enum Peer {
    Inet(SocketAddr),
    Other(Box<SocketAddrAny>),
}

/// Room for an address as the kernel takes it, on its way there.
pub(super) type Room = MaybeUninit<libc::sockaddr_in6>;

impl Peer {
    /// The address that the kernel has written, if any.
    #[allow(unsafe_code)]
    pub(super) fn read(name: &libc::sockaddr_storage, length: u32) -> Option<Peer> {
        let length = (length as usize).min(size_of::<libc::sockaddr_storage>());
        if length <= size_of::<libc::sa_family_t>() {
            return None;
        }
        // SAFETY: all of it was initialised before the kernel has written to it, and the length is within.
        let bytes = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(name).cast::<u8>(), length) };
        if let Some(inet) = inet_of(bytes) {
            return Some(Peer::Inet(inet));
        }
        // SAFETY: the kernel has written an address of this length there.
        let any = unsafe { SocketAddrAny::read(bytes.as_ptr().cast::<SocketAddrStorage>(), length as u32) };
        Some(Peer::Other(Box::new(any)))
    }

    pub(crate) fn of(address: &Address) -> Result<Peer> {
        Ok(match address {
            Address::Inet(inet) => Peer::Inet(*inet),
            other => Peer::Other(Box::new(other.to_any()?)),
        })
    }

    pub(crate) fn address(&self) -> Address {
        match self {
            Peer::Inet(inet) => Address::Inet(*inet),
            Peer::Other(any) => Address::from_any(any),
        }
    }

    /// Has a header name it; `room` is to stay until that is sent.
    pub(super) fn write(&self, header: &mut libc::msghdr, room: &mut Room) {
        match self {
            Peer::Inet(SocketAddr::V4(v4)) => {
                // One of IPv4 is shorter and no stricter in its alignment.
                let there = room.as_mut_ptr().cast::<libc::sockaddr_in>();
                #[allow(unsafe_code)]
                // SAFETY: it fits into the room.
                unsafe {
                    there.write(sockaddr_in(v4));
                }
                header.msg_name = there.cast();
                header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            }
            Peer::Inet(SocketAddr::V6(v6)) => {
                header.msg_name = std::ptr::from_mut(room.write(sockaddr_in6(v6))).cast();
                header.msg_namelen = size_of::<libc::sockaddr_in6>() as u32;
            }
            Peer::Other(any) => {
                header.msg_name = any.as_ptr().cast_mut().cast();
                header.msg_namelen = any.addr_len();
            }
        }
    }
}

fn sockaddr_in(v4: &SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: v4.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(v4.ip().octets()),
        },
        sin_zero: [0; 8],
    }
}

fn sockaddr_in6(v6: &SocketAddrV6) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: v6.port().to_be(),
        sin6_flowinfo: v6.flowinfo().to_be(),
        sin6_addr: libc::in6_addr {
            s6_addr: v6.ip().octets(),
        },
        sin6_scope_id: v6.scope_id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::zeroed;

    #[test]
    #[allow(unsafe_code)]
    fn what_the_kernel_is_told_is_what_it_tells() {
        let inet = ["1.2.3.4:56", "[fe80::1%3]:7", "[2001:db8::9]:65535"];
        let inet = inet.map(|text| Address::Inet(text.parse().expect(text)));
        let unix = Address::Unix(Some(crate::UnixName::Abstract(b"name".to_vec())));
        for address in inet.into_iter().chain([unix]) {
            let peer = Peer::of(&address).expect("an address that can be sent to");
            // SAFETY: all-zero is a valid value of these C structures.
            let (mut header, mut name): (libc::msghdr, libc::sockaddr_storage) = unsafe { zeroed() };
            let mut room = Room::uninit();
            peer.write(&mut header, &mut room);
            let length = header.msg_namelen as usize;
            // SAFETY: the header points to as many bytes, and no address is longer than this storage.
            unsafe {
                let to = std::ptr::from_mut(&mut name).cast::<u8>();
                to.copy_from_nonoverlapping(header.msg_name.cast::<u8>(), length);
            }
            let back = Peer::read(&name, length as u32).expect("an address");
            assert_eq!(back.address(), address);
        }
        // SAFETY: as before.
        let nothing: libc::sockaddr_storage = unsafe { zeroed() };
        assert!(Peer::read(&nothing, 0).is_none());
        assert!(Peer::read(&nothing, 2).is_none());
    }
}
