//! Sockets that hear nobody beyond the link.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FileType;
use rustix::io::Errno;
use socket2::{Domain, SockFilter, SockRef};

use crate::error::{Error, Result};

/// The filter takes a packet whole, or not at all.
const WHOLE: u32 = u32::MAX;
/// Where the address a packet was sent to stands in its header (RFC 791, RFC 8200), which a filter of a UDP socket finds
/// before its data (`SKF_NET_OFF`).
const TO_V4: u32 = libc::SKF_NET_OFF as u32 + 16;
const TO_V6: u32 = libc::SKF_NET_OFF as u32 + 24;
/// The port it was sent from is the first that stands in the header of UDP.
const FROM_PORT: u32 = 0;
/// 224.0.0.0/24, which no router forwards (RFC 5771, section 4).
const LINK_V4: (u32, u32) = (0xffff_ff00, 0xe000_0000);
/// `ff02::/16`, which none forwards either (RFC 4291, section 2.7).
const LINK_V6: u32 = 0xff02;

/// What a descriptor of a socket is a link to (proc(5)).
const SOCKET: &[u8] = b"socket:[";

/// The UDP sockets that this process has at a port, whoever made them; with descriptors of its own for them.
///
/// It is for sockets that a library keeps to itself: those that are there before it makes them are somebody else's.
#[derive(Debug)]
pub struct UdpSockets {
    port: u16,
    all: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    socket: OwnedFd,
    /// The number of the socket itself, which no other has while this one lives.
    inode: u64,
    v6: bool,
}

impl UdpSockets {
    /// Those that are there now.
    ///
    /// # Errors
    /// When `/proc` isn't there.
    pub fn at(port: u16) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("find sockets", error).at(format_args!("port {port}"));
        let mut all: Vec<Member> = Vec::new();
        for entry in fs::read_dir("/proc/self/fd").map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Nothing else is touched, not even to look what it is: see `own`.
            if !fs::read_link(entry.path())
                .is_ok_and(|to| to.as_os_str().as_encoded_bytes().starts_with(SOCKET))
            {
                continue;
            }
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let member = number.and_then(own).and_then(|socket| member(socket, port));
            // One socket may have several descriptors.
            all.extend(member.filter(|one| all.iter().all(|other| other.inode != one.inode)));
        }
        Ok(UdpSockets { port, all })
    }

    /// Those of them that aren't among the others.
    pub fn without(mut self, others: &Self) -> Self {
        self.all
            .retain(|one| others.all.iter().all(|other| other.inode != one.inode));
        self
    }

    /// Whether there is one of IPv4.
    pub fn has_v4(&self) -> bool {
        self.all.iter().any(|one| !one.v6)
    }

    /// Whether there is one of IPv6.
    pub fn has_v6(&self) -> bool {
        self.all.iter().any(|one| one.v6)
    }

    /// Makes them deaf to all but multicast to a group of the link, sent from their port, of so many bytes at the most. What else
    /// comes is dropped by the kernel: what was sent to an address of this machine, which may have come from anywhere, and what came
    /// from another port, which wants an answer where its sender says.
    ///
    /// # Errors
    /// When the kernel refuses the filter.
    pub fn hear_link_multicast_only(&self, longest: u16) -> Result<()> {
        self.filter(&of_v4(self.port, longest), &of_v6(self.port, longest))
    }

    /// Makes them deaf to everything.
    ///
    /// # Errors
    /// When the kernel refuses the filter.
    pub fn hear_nothing(&self) -> Result<()> {
        let nothing = [take(0)];
        self.filter(&nothing, &nothing)
    }

    /// Waits until something has come to one of them that nobody has taken yet, or `other` can be read.
    ///
    /// # Errors
    /// When the kernel has no memory for it.
    pub fn wait(&self, other: BorrowedFd<'_>) -> Result<()> {
        let all = self.all.iter().map(|one| one.socket.as_fd()).chain([other]);
        let mut polls: Vec<PollFd<'_>> = all
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match rustix::event::poll(&mut polls, None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(Error::io("wait for packets", error)),
        }
    }

    /// How many bytes of memory the packets take that have come and that nobody has taken yet, as far as the kernel tells (proc(5)).
    pub fn backlog(&self) -> u64 {
        let queued = |path| {
            let table = fs::read_to_string(path).unwrap_or_default();
            let queued = table.lines().filter_map(|line| self.queued(line));
            queued.sum::<u64>()
        };
        queued("/proc/thread-self/net/udp") + queued("/proc/thread-self/net/udp6")
    }

    /// How many datagrams programs have taken so far on the networks of this one, these sockets' among them, as far as the kernel
    /// tells (proc(5)).
    pub fn taken(&self) -> u64 {
        let v4 = fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
        let v6 = fs::read_to_string("/proc/thread-self/net/snmp6").unwrap_or_default();
        // A line of names, and one of numbers.
        let v4 = v4.lines().filter_map(|line| line.strip_prefix("Udp: ")).nth(1);
        let v6 = v6.lines().find_map(|line| line.strip_prefix("Udp6InDatagrams"));
        let first = |numbers: &str| numbers.split_whitespace().next()?.parse::<u64>().ok();
        v4.and_then(first).unwrap_or(0) + v6.and_then(first).unwrap_or(0)
    }

    /// What waits at one of these sockets, if this line is about one.
    fn queued(&self, line: &str) -> Option<u64> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let inode: u64 = fields.get(9)?.parse().ok()?;
        self.all.iter().find(|one| one.inode == inode)?;
        let (_, queued) = fields[4].split_once(':')?;
        u64::from_str_radix(queued, 16).ok()
    }

    fn filter(&self, v4: &[SockFilter], v6: &[SockFilter]) -> Result<()> {
        self.all.iter().try_for_each(|one| {
            let attached = SockRef::from(&one.socket).attach_filter(if one.v6 { v6 } else { v4 });
            attached
                .map_err(|error| Error::io("filter packets", error).at(format_args!("port {}", self.port)))
        })
    }
}

/// A UDP socket at that port.
fn member(owned: OwnedFd, port: u16) -> Option<Member> {
    let socket = SockRef::from(&owned);
    let at = socket.local_addr().ok()?.as_socket()?;
    if at.port() != port || socket.r#type().ok() != Some(socket2::Type::DGRAM) {
        return None;
    }
    let inode = rustix::fs::fstat(&owned).ok()?.st_ino;
    let v6 = socket.domain().ok()? == Domain::IPV6;
    Some(Member {
        socket: owned,
        inode,
        v6,
    })
}

/// A descriptor for the socket that a number stands for now, whatever becomes of the number.
///
/// It must not be closed if it is a file's: with any descriptor of a file that is closed, this process gives up all its locks on that
/// file (fcntl(2)), and a database trusts in those.
fn own(number: RawFd) -> Option<OwnedFd> {
    if number < 0 {
        return None;
    }
    // SAFETY: the number is only duplicated; if nothing has it any more, the kernel says so.
    #[allow(unsafe_code)]
    let there = unsafe { BorrowedFd::borrow_raw(number) };
    let owned = rustix::io::fcntl_dupfd_cloexec(there.as_fd(), 0).ok()?;
    let is_socket =
        rustix::fs::fstat(&owned).is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode).is_socket());
    if !is_socket {
        let _kept_open = owned.into_raw_fd(); // the number has become a file's just now
        return None;
    }
    Some(owned)
}

fn load(size: u32, from: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | size | libc::BPF_ABS) as u16, 0, 0, from)
}

/// Goes on when it is that; else over so many more.
fn unless(value: u32, over: u8) -> SockFilter {
    SockFilter::new(
        (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        0,
        over,
        value,
    )
}

/// Goes on when a packet has no more bytes than these, behind the header of UDP, which has 8; else over so many more.
fn unless_longer(longest: u16, over: u8) -> [SockFilter; 2] {
    let length = SockFilter::new((libc::BPF_LD | libc::BPF_W | libc::BPF_LEN) as u16, 0, 0, 0);
    let greater = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    [length, SockFilter::new(greater, over, 0, u32::from(longest) + 8)]
}

fn take(bytes: u32) -> SockFilter {
    SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, bytes)
}

fn of_v4(port: u16, longest: u16) -> Vec<SockFilter> {
    let (mask, group) = LINK_V4;
    let [length, unless_longer] = unless_longer(longest, 6);
    vec![
        length,
        unless_longer,
        load(libc::BPF_W, TO_V4),
        SockFilter::new((libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16, 0, 0, mask),
        unless(group, 3),
        load(libc::BPF_H, FROM_PORT),
        unless(port.into(), 1),
        take(WHOLE),
        take(0),
    ]
}

fn of_v6(port: u16, longest: u16) -> Vec<SockFilter> {
    let [length, unless_longer] = unless_longer(longest, 5);
    vec![
        length,
        unless_longer,
        load(libc::BPF_H, TO_V6),
        unless(LINK_V6, 3),
        load(libc::BPF_H, FROM_PORT),
        unless(port.into(), 1),
        take(WHOLE),
        take(0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Protocol, Socket, Type};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

    /// A group of the link that is for experiments (RFC 4727).
    const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 254);
    const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x114);

    /// At this port, which others may have too; it sends to groups over the loopback interface.
    fn socket(at: SocketAddr) -> UdpSocket {
        let socket =
            Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        if at.is_ipv6() {
            socket.set_only_v6(true).expect("an option");
            socket.set_multicast_if_v6(1).expect("the loopback interface");
        } else {
            socket
                .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
                .expect("the loopback interface");
        }
        socket.bind(&at.into()).expect("a port");
        socket.into()
    }

    fn first_heard(any: &str, local: &str, group: SocketAddr) -> Option<Vec<u8>> {
        let ear = socket(any.parse().expect("an address"));
        match group.ip() {
            std::net::IpAddr::V4(group) => ear.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST),
            std::net::IpAddr::V6(group) => ear.join_multicast_v6(&group, 1),
        }
        .ok()?; // this machine may have no loopback interface of that family …
        let mut at = ear.local_addr().expect("an address");
        let sockets = UdpSockets::at(at.port()).expect("sockets");
        assert_eq!((sockets.all.len(), sockets.has_v6()), (1, group.is_ipv6()));
        let longest = b"as it should be".len() as u16;
        sockets.hear_link_multicast_only(longest).expect("a filter");
        let local = |port: u16| SocketAddr::new(local.parse().expect("an address"), port);
        let group = SocketAddr::new(group.ip(), at.port());
        let stranger = socket(local(0));
        stranger
            .send_to(b"to an address", local(at.port()))
            .expect("sent");
        stranger.send_to(b"from another port", group).ok()?; // … or none that has groups
        at.set_ip(local(0).ip());
        let peer = socket(at);
        peer.send_to(b"longer than that", group).expect("sent");
        assert_eq!(sockets.backlog(), 0);
        peer.send_to(b"as it should be", group).expect("sent");
        let never = std::os::unix::net::UnixStream::pair().expect("a pair");
        sockets.wait(never.0.as_fd()).expect("something comes");
        assert!(sockets.backlog() > 0);
        let taken = sockets.taken();
        let mut heard = [0; 64];
        let length = ear.recv(&mut heard).expect("a packet");
        assert!(sockets.taken() > taken);
        assert_eq!(sockets.backlog(), 0);
        sockets.hear_nothing().expect("a filter");
        peer.send_to(b"as it was", group).expect("sent");
        ear.set_nonblocking(true).expect("an option");
        assert!(ear.recv(&mut [0; 64]).is_err());
        Some(heard[..length].to_vec())
    }

    #[test]
    fn only_what_a_group_of_the_link_hears_is_heard() {
        let heard = first_heard("0.0.0.0:0", "127.0.0.1", SocketAddr::new(GROUP_V4.into(), 0));
        assert_eq!(heard.as_deref(), Some(b"as it should be".as_slice()));
        if let Some(heard) = first_heard("[::]:0", "::1", SocketAddr::new(GROUP_V6.into(), 0)) {
            assert_eq!(heard, b"as it should be");
        }
    }

    #[test]
    fn who_was_there_before_hears_as_before() {
        let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let first = socket(loopback);
        let at = first.local_addr().expect("an address");
        let second = first.try_clone().expect("a descriptor");
        let before = UdpSockets::at(at.port()).expect("sockets");
        assert_eq!(before.all.len(), 1, "one socket, whatever has it");
        let later = socket(at);
        let sockets = UdpSockets::at(at.port()).expect("sockets").without(&before);
        assert!(sockets.has_v4() && !sockets.has_v6() && sockets.all.len() == 1);
        sockets.hear_nothing().expect("a filter");
        drop((later, sockets));
        let stranger = socket(loopback);
        stranger.send_to(b"hello", at).expect("sent");
        let length = second.recv(&mut [0; 64]).expect("a packet");
        assert_eq!(length, 5);
    }

    #[test]
    fn a_port_that_nobody_has_is_no_failure() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let none = UdpSockets::at(port).expect("nothing to do");
        assert!(none.all.is_empty() && none.hear_link_multicast_only(1500).is_ok());
    }

    #[test]
    fn locks_on_files_outlive_the_search() {
        let file = tempfile::tempfile().expect("a file");
        rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
        let inode = rustix::fs::fstat(&file).expect("facts").st_ino;
        let is_locked = || {
            let locks = std::fs::read_to_string("/proc/locks").expect("proc(5)");
            locks.contains(&format!(":{inode} "))
        };
        assert!(is_locked());
        UdpSockets::at(1).expect("sockets");
        assert!(is_locked());
    }
}
