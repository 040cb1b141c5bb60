//! Sockets for ICMP: an echo request goes out, and what is said about it comes in.

use crate::address::Address;
use crate::error::{Error, Result};
use crate::options::raw;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::addr::SocketAddrStorage;
use rustix::net::{AddressFamily, SendFlags, SocketAddrAny, SocketFlags, SocketType, ipproto};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// Who may ping.
const ADVICE: &str = "let everybody ping: sudo sysctl -w net.ipv4.ping_group_range='0 2147483647'; or let this program: sudo \
                      setcap cap_net_raw+ep FILE; or run it as root";

/// A socket for ICMP or ICMPv6 with one host at its other end, which blocks its thread only in [`wait`](Self::wait).
///
/// It is a *ping* socket where the system lets this user have one (`net.ipv4.ping_group_range`): the kernel sees to the
/// identifier of requests then, and only answers to them come in. Else it is a *raw* socket, for which one needs to be root or
/// to have `CAP_NET_RAW`: whatever the host says by ICMP comes in. See icmp(7) and raw(7).
pub struct IcmpSocket {
    fd: OwnedFd,
    peer: SocketAddr,
    raw: bool,
}

/// What has come in, with its length in the buffer.
#[derive(Debug)]
pub enum IcmpHeard {
    /// A message of the host's: on a raw socket of IPv4 with the header of IP in front of it.
    Message {
        /// Its bytes.
        length: usize,
        /// How many more routers it might have passed: `TTL`, or the hop limit.
        hops: Option<u8>,
    },
    /// What was sent didn't arrive, and this much of it is known, which begins with the header of ICMP.
    Trouble {
        /// Its bytes.
        length: usize,
        /// Why, in the kernel's words.
        cause: io::Error,
        /// Type, code, and greatest packet of the message that says so; `None` when this machine's kernel does.
        said: Option<(u8, u8, u32)>,
        /// Who says so.
        from: Option<IpAddr>,
    },
}

impl IcmpSocket {
    /// Opens one, of either kind.
    ///
    /// # Errors
    /// When there is no way to the host, or the system permits neither kind: the error says what to do.
    pub fn dial(peer: SocketAddr) -> Result<Self> {
        let (fd, raw) = open(&peer).map_err(|errno| {
            let error = Error::io("ping", errno).at(peer.ip());
            match errno {
                Errno::PERM | Errno::ACCESS => error.advise(ADVICE),
                _ => error,
            }
        })?;
        let socket = IcmpSocket { fd, peer, raw };
        socket
            .ask_for_details()
            .map_err(|error| Error::io("ping", error).at(peer.ip()))?;
        let connected = rustix::net::connect(&socket.fd, &peer);
        connected.map_err(|errno| Error::io("ping", errno).at(peer.ip()))?;
        Ok(socket)
    }

    /// Whether it is a raw socket.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// Hops of what arrives, and errors with all that is known of them.
    fn ask_for_details(&self) -> io::Result<()> {
        let fd = self.fd.as_fd();
        match self.peer {
            SocketAddr::V4(_) => {
                raw::set_int(fd, libc::IPPROTO_IP, libc::IP_RECVTTL, 1)?;
                raw::set_int(fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1)
            }
            SocketAddr::V6(_) => {
                raw::set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
                raw::set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)
            }
        }
    }

    /// Sends a message to the host.
    ///
    /// # Errors
    /// When the kernel doesn't: there is no route, a filter forbids it, it is too long.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(rustix::net::send(&self.fd, message, flags).map(drop)?)
    }

    /// Waits until something has come in, for so long at the most, or until a signal; false when nothing has.
    ///
    /// # Errors
    /// When the kernel lacks the memory to wait.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
        let limit = Timespec::try_from(limit).unwrap_or(Timespec {
            tv_sec: i64::from(i32::MAX),
            tv_nsec: 0,
        });
        match rustix::event::poll(&mut polled, Some(&limit)) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What has come in, without waiting: troubles before messages. What doesn't fit the buffer is cut off.
    ///
    /// # Errors
    /// What the kernel says of the socket itself.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<IcmpHeard>> {
        if let Some(heard) = self.receive(buffer, libc::MSG_ERRQUEUE)? {
            return Ok(Some(heard));
        }
        self.receive(buffer, 0).or_else(|error| {
            // A trouble that has come just now fails whatever call is next.
            self.receive(buffer, libc::MSG_ERRQUEUE)?.map(Some).ok_or(error)
        })
    }

    #[allow(unsafe_code)]
    fn receive(&self, buffer: &mut [u8], flags: i32) -> io::Result<Option<IcmpHeard>> {
        let mut control = Control([0; CONTROL]);
        let mut vector = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: all-zero is a valid value of this C structure: null pointers and zero lengths.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL as _;
        let flags = flags | libc::MSG_DONTWAIT;
        // SAFETY: the header points to a buffer and to room for control messages, which outlive the call, with their lengths.
        let received = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut header, flags) };
        let Ok(length) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            };
        };
        let told = Told::read(&header);
        Ok(Some(match told.error {
            Some(error) => trouble(length, &error, told.from),
            None => IcmpHeard::Message {
                length,
                hops: told.hops,
            },
        }))
    }
}

/// Has the next call of a dialled socket fail with whatever is said by ICMP of what it has sent: also that a host or a network can't
/// be reached, which the kernel takes for a trouble that may pass, and keeps to itself otherwise (`IP_RECVERR`, ip(7)).
///
/// It is for sockets that are given up at the first failure: what is said stays in a queue, and the socket seems ready until then.
///
/// # Errors
/// When the kernel doesn't know that.
pub fn hear_troubles(socket: impl AsFd) -> Result<()> {
    let fd = socket.as_fd();
    let set = match rustix::net::sockopt::socket_domain(fd) {
        Ok(AddressFamily::INET6) => raw::set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1),
        _ => raw::set_int(fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1),
    };
    set.map_err(|error| Error::io("set IP_RECVERR", error))
}

/// A ping socket or else a raw one; whether it is raw.
fn open(peer: &SocketAddr) -> rustix::io::Result<(OwnedFd, bool)> {
    let (family, protocol) = match peer {
        SocketAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        SocketAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let open = |kind| rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol));
    match open(SocketType::DGRAM) {
        Ok(fd) => Ok((fd, false)),
        // Not permitted, or a kernel that has no such sockets.
        Err(Errno::ACCESS | Errno::PERM | Errno::PROTONOSUPPORT) => {
            open(SocketType::RAW).map(|fd| (fd, true))
        }
        Err(errno) => Err(errno),
    }
}

/// Room for control messages: the hops, and an error with the address of who says so.
const CONTROL: usize = 256;

#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// What control messages tell.
#[derive(Default)]
struct Told {
    hops: Option<u8>,
    error: Option<libc::sock_extended_err>,
    from: Option<IpAddr>,
}

impl Told {
    #[allow(unsafe_code)]
    fn read(header: &libc::msghdr) -> Told {
        let mut told = Told::default();
        // SAFETY: the kernel has written control messages, as many bytes as the header says.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
        // SAFETY: it is null, or points to a control message.
        while let Some(message) = unsafe { next.as_ref() } {
            // SAFETY: a control message has its data behind it, if any.
            let data = unsafe { libc::CMSG_DATA(message) };
            let length = message.cmsg_len.saturating_sub(size_of::<libc::cmsghdr>());
            match (message.cmsg_level, message.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
                    if length >= size_of::<i32>() =>
                {
                    // SAFETY: this kind is an `int`, and all of it is there.
                    let hops = unsafe { data.cast::<i32>().read_unaligned() };
                    told.hops = u8::try_from(hops).ok();
                }
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
                    if length >= size_of::<libc::sock_extended_err>() =>
                {
                    // SAFETY: this kind has this type, and all of it is there.
                    told.error = Some(unsafe { data.cast::<libc::sock_extended_err>().read_unaligned() });
                    told.from = offender(data, length);
                }
                _ => {}
            }
            // SAFETY: as the first one.
            next = unsafe { libc::CMSG_NXTHDR(header, message) };
        }
        told
    }
}

/// The address behind an error: who says it (`SO_EE_OFFENDER`).
#[allow(unsafe_code)]
fn offender(data: *const u8, length: usize) -> Option<IpAddr> {
    let before = size_of::<libc::sock_extended_err>();
    let rest = length
        .checked_sub(before)
        .filter(|rest| *rest > size_of::<libc::sa_family_t>())?;
    // SAFETY: the message goes on behind the error.
    let address = unsafe { data.add(before) };
    // SAFETY: the kernel has written an address there, and so many bytes of it.
    let any = unsafe { SocketAddrAny::read(address.cast::<SocketAddrStorage>(), rest as u32) };
    Address::from_any(&any).ip()
}

fn trouble(length: usize, error: &libc::sock_extended_err, from: Option<IpAddr>) -> IcmpHeard {
    let by_message = matches!(
        error.ee_origin,
        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6
    );
    IcmpHeard::Trouble {
        length,
        cause: io::Error::from_raw_os_error(error.ee_errno.cast_signed()),
        said: by_message.then_some((error.ee_type, error.ee_code, error.ee_info)),
        from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An echo request of ICMPv6, whose checksum the kernel writes.
    const REQUEST: [u8; 8] = [128, 0, 0, 0, 0, 7, 0, 9];

    #[test]
    fn an_answer_comes_with_its_hops() {
        let socket = match IcmpSocket::dial("[::1]:0".parse().expect("loopback")) {
            Ok(socket) => socket,
            Err(error) => {
                assert!(error.to_string().contains("ping_group_range"), "{error}");
                return eprintln!("left out: {error}");
            }
        };
        socket.send(&REQUEST).expect("loopback is there");
        let mut buffer = [0; 64];
        loop {
            while !socket.wait(Duration::from_secs(300)).expect("it waits") {}
            match socket.recv(&mut buffer).expect("an answer") {
                // A raw socket hears the request too.
                Some(IcmpHeard::Message { length: 8, hops }) if buffer[0] == 129 => {
                    assert_eq!((hops, &buffer[6..8]), (Some(64), &REQUEST[6..]));
                    break;
                }
                Some(IcmpHeard::Message { .. }) | None => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
