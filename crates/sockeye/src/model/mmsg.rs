//! Many datagrams in one call: `recvmmsg(2)` and `sendmmsg(2)`.

mod arrival;
mod headers;
mod local_end;
mod peer;
mod told;

use super::{MESSAGE, Received, Route};
use crate::buffer::{Chunk, Lender, Loans};
pub(crate) use arrival::Arrival;
use headers::{Entry, Headers};
use local_end::Control;
pub(crate) use local_end::LocalEnd;
pub(crate) use peer::Peer;
use peer::Room;
use rustix::io::Errno;
use rustix::net::{AddressFamily, sockopt};
use std::cell::{Cell, RefCell};
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::rc::Rc;
use told::Told;
pub(crate) use told::ask;

/// Datagrams that one call brings at the most. At 64 the call's own cost is a few per cent of a datagram's; more would
/// only make the first of them wait longer.
pub(crate) const BATCH: usize = 64;

/// Room for one datagram of IP: the largest that UDP can carry is 65,527 bytes.
const IP_ROOM: usize = 64 << 10;

/// The memory of a socket: a batch, and a quarter of one more. Untouched pages cost nothing.
const MEMORY: usize = (BATCH + BATCH / 4) * IP_ROOM;

/// The memory that datagrams are received into, lent to them until they are dropped.
pub(crate) struct Batch {
    memory: NonNull<u8>,
    /// What one datagram has; the larger, the fewer there are.
    room: usize,
    /// The last to come back is the next to go, for it is in the cache.
    free: RefCell<Vec<u16>>,
    /// How many datagrams each room has that is lent.
    lent: Box<[Cell<u16>]>,
    /// What each call is made with.
    headers: RefCell<Headers>,
}

impl Batch {
    /// `told` is what [`ask`] has said.
    pub(crate) fn new(fd: BorrowedFd<'_>, told: usize) -> Rc<Self> {
        let room = match sockopt::socket_domain(fd) {
            Ok(AddressFamily::INET | AddressFamily::INET6) => IP_ROOM,
            _ => MESSAGE,
        };
        let memory = Box::leak(vec![0u8; MEMORY].into_boxed_slice());
        Rc::new(Batch {
            memory: NonNull::from(memory).cast(),
            room,
            free: RefCell::new((0..(MEMORY / room) as u16).collect()),
            lent: vec![Cell::default(); MEMORY / room].into(),
            headers: RefCell::new(Headers::new(told + told::join(fd))),
        })
    }

    /// When fewer rooms are free, what arrives is copied out at once, so that handlers that wait can't keep all of them.
    fn scarce(&self) -> usize {
        MEMORY / self.room / 5
    }

    #[allow(unsafe_code)]
    fn at(&self, number: u16) -> NonNull<u8> {
        // SAFETY: numbers are below `MEMORY / room`, so this stays inside of the memory.
        unsafe { self.memory.add(usize::from(number) * self.room) }
    }

    /// Adds what is there; true when there may be more.
    pub(crate) fn receive(
        &self,
        fd: BorrowedFd<'_>,
        loans: &Loans,
        may_block: bool,
        into: &mut Vec<Received>,
    ) -> rustix::io::Result<bool> {
        let mut headers = self.headers.borrow_mut();
        headers.fill(&mut self.free.borrow_mut(), |slot| libc::iovec {
            iov_base: self.at(slot).as_ptr().cast(),
            iov_len: self.room,
        });
        let there = headers.wanted() + self.free.borrow().len();
        let count = headers.receive(fd, may_block)?;
        into.reserve(count);
        for (index, entry) in headers.filled(count).enumerate() {
            let is_scarce = there - index <= self.scarce();
            self.take(&entry, loans, is_scarce, into);
        }
        Ok(count == headers.wanted())
    }

    /// Adds the datagrams of a message.
    fn take(&self, entry: &Entry<'_>, loans: &Loans, is_scarce: bool, into: &mut Vec<Received>) {
        let (header, length) = (&entry.header.msg_hdr, entry.header.msg_len as usize);
        if self.room == IP_ROOM && header.msg_namelen == 0 {
            // The end of the input, which comes as a message; whatever came over IP has a sender.
            return self.free.borrow_mut().push(entry.slot);
        }
        let told = Told::read(header);
        let from = Peer::read(entry.name, header.msg_namelen);
        let each = told.joined.unwrap_or(length).max(1);
        let count = length.div_ceil(each).max(1);
        self.lent[usize::from(entry.slot)].set(count as u16);
        for number in 0..count {
            let begin = (number * each).min(self.room);
            let length = (length - number * each).min(each);
            let held = length.min(self.room - begin);
            // SAFETY: `begin` is within the room, and the kernel has written `held` bytes from there on. Nobody gets the room
            // again before as many have given it back as were told of just now.
            #[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
            let bytes = unsafe { loans.chunk(self.at(entry.slot).add(begin), held, entry.slot) };
            into.push(Received {
                bytes: if is_scarce {
                    Chunk::from(bytes.to_vec())
                } else {
                    bytes
                },
                length,
                from: from.clone(),
                local: told.local,
                arrived: told.arrived,
            });
        }
    }
}

impl Lender for Batch {
    fn give_back(&self, number: u16) {
        let left = &self.lent[usize::from(number)];
        left.set(left.get() - 1);
        if left.get() == 0 {
            self.free.borrow_mut().push(number);
        }
    }
}

impl Drop for Batch {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let memory = std::ptr::slice_from_raw_parts_mut(self.memory.as_ptr(), MEMORY);
        // SAFETY: `new` leaked a box of this very length, and no loan is left, for each keeps the batch alive.
        drop(unsafe { Box::from_raw(memory) });
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The longest datagram that is sent together with others of its length as one: it fits an Ethernet frame under the headers of
/// IPv6 and UDP, which are the longer ones. A network with shorter frames refuses, and gets each by itself.
const SEGMENT: usize = 1500 - 48;
/// What the kernel takes to be cut into datagrams, in bytes; it is little more.
const SEGMENTED: usize = 60_000;

/// Whether the kernel may be asked to cut what is sent by this socket into datagrams.
pub(crate) fn can_cut(fd: BorrowedFd<'_>) -> bool {
    sockopt::socket_protocol(fd) == Ok(Some(rustix::net::ipproto::UDP))
}

/// Sends as many of the first `N` as the kernel takes; at least one, or an error that concerns the first.
///
/// With `segment`, those of one length that follow each other to one peer go through the kernel as one, which cuts them at the
/// end (`UDP_SEGMENT`, udp(7)): nearly all that a datagram costs is its way there.
#[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
pub(crate) fn send<'a, const N: usize>(
    fd: BorrowedFd<'_>,
    may_block: bool,
    segment: bool,
    packets: impl Iterator<Item = (&'a [u8], &'a Route)>,
) -> rustix::io::Result<usize> {
    // Written as far as they are needed: to clear all of them costs more than to send one datagram's headers.
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; N];
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; N];
    let mut rooms = [const { Room::uninit() }; N];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; N];
    let vectors = vectors.as_mut_ptr().cast::<libc::iovec>();
    let mut places = headers.iter_mut().zip(&mut rooms).zip(&mut controls);
    // How many datagrams each message has, and the last message with what is to be known for more of them.
    let mut counts = [0_u16; N];
    let (mut messages, mut open) = (0, None::<Run<'a, '_>>);
    for (index, (bytes, route)) in packets.take(N).enumerate() {
        // SAFETY: there is room for `N` of them, and `index` is below.
        let vector = unsafe { vectors.add(index) };
        // SAFETY: as above.
        unsafe {
            vector.write(libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            });
        }
        let joined = segment && open.as_mut().is_some_and(|run| run.join(bytes, route));
        if !joined {
            let Some(((header, room), control)) = places.next() else {
                break; // there are as many as datagrams
            };
            // SAFETY: all-zero is a valid value of this C structure: null pointers and zero lengths.
            let header = &mut header.write(unsafe { zeroed() }).msg_hdr;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            route.to.write(header, room);
            if let Some(end) = &route.from {
                end.write(header, control);
            }
            messages += 1;
            open = Some(Run::new(bytes, route, header, control));
        }
        counts[messages - 1] += 1;
    }
    let flags = libc::MSG_NOSIGNAL | if may_block { 0 } else { libc::MSG_DONTWAIT };
    // SAFETY: the first `messages` headers point to names, bytes and control messages that the call only reads.
    let sent = unsafe {
        libc::sendmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            messages as u32,
            flags as _,
        )
    };
    let sent = usize::try_from(sent).map_err(|_| last_error())?;
    Ok(counts[..sent].iter().map(|count| usize::from(*count)).sum())
}

/// A message that further datagrams may join.
struct Run<'a, 'm> {
    route: &'a Route,
    /// The length of each but the last.
    length: usize,
    total: usize,
    ended: bool,
    header: &'m mut libc::msghdr,
    control: &'m mut MaybeUninit<Control>,
}

impl<'a, 'm> Run<'a, 'm> {
    fn new(
        bytes: &[u8],
        route: &'a Route,
        header: &'m mut libc::msghdr,
        control: &'m mut MaybeUninit<Control>,
    ) -> Self {
        Run {
            route,
            length: bytes.len(),
            total: bytes.len(),
            ended: !(1..=SEGMENT).contains(&bytes.len()),
            header,
            control,
        }
    }

    /// Adds a datagram, whose vector follows the others, if it can be cut from the same message.
    fn join(&mut self, bytes: &[u8], route: &Route) -> bool {
        let fits = (1..=self.length).contains(&bytes.len()) && self.total + bytes.len() <= SEGMENTED;
        if self.ended || !fits || !self.route.is(route) {
            return false;
        }
        if self.header.msg_iovlen == 1 {
            local_end::cut(self.header, self.control, self.length as u16);
        }
        self.header.msg_iovlen += 1;
        self.total += bytes.len();
        self.ended = bytes.len() < self.length;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn datagrams_that_leave_as_one_arrive_as_many() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let socket = || UdpSocket::bind(host).expect(host);
            let (from, peers) = (socket(), [socket(), socket()]);
            let routes = [0, 1].map(|peer: usize| Route {
                to: Peer::of(&peers[peer].local_addr().expect("an address").into()).expect("an address"),
                from: None,
            });
            // Runs, ends of runs, a change of peer, one without bytes, and those that are too long to be cut.
            let lengths = [
                10, 10, 10, 4, 4, 5, 0, 0, 7, 7, 1452, 1452, 1452, 9, 1453, 1453, 3, 3,
            ];
            let packets: Vec<(Vec<u8>, &Route)> = lengths
                .iter()
                .enumerate()
                .map(|(number, length)| (vec![number as u8; *length], &routes[usize::from(number % 9 > 6)]))
                .collect();
            for segment in [true, false] {
                assert!(can_cut(from.as_fd()));
                let mut sent = 0;
                while sent < packets.len() {
                    let rest = packets[sent..].iter().map(|(bytes, route)| (&bytes[..], *route));
                    sent += send::<8>(from.as_fd(), false, segment, rest).expect("room");
                }
                for (peer, route) in peers.iter().zip(&routes) {
                    for (bytes, _) in packets.iter().filter(|(_, to)| to.is(route)) {
                        let mut room = [0; 2000];
                        let count = peer.recv(&mut room).expect("a datagram");
                        assert_eq!(&room[..count], bytes, "{host}, together: {segment}");
                    }
                }
            }
        }
        let (unix, _) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
        assert!(!can_cut(unix.as_fd()));
    }

    #[test]
    fn datagrams_that_come_as_one_are_as_many_as_were_sent() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let [to, from] = [(); 2].map(|()| UdpSocket::bind(host).expect(host));
            let route = Route {
                to: Peer::of(&to.local_addr().expect("an address").into()).expect("an address"),
                from: None,
            };
            let batch = Batch::new(to.as_fd(), 0);
            let loans = Loans::of(batch.clone());
            let rooms = batch.free.borrow().len();
            let sent: Vec<Vec<u8>> = (0..8_u8)
                .map(|number| vec![number; 10])
                .chain([vec![8; 3]])
                .collect();
            for kept in [1, rooms] {
                // With as many messages lent as there are rooms, the last ones are copied out.
                let mut received = Vec::new();
                for _ in 0..kept {
                    let packets = sent.iter().map(|bytes| (&bytes[..], &route));
                    assert_eq!(send::<16>(from.as_fd(), false, true, packets), Ok(sent.len()));
                    batch
                        .receive(to.as_fd(), &loans, true, &mut received)
                        .expect("a message");
                }
                assert_eq!(received.len(), kept * sent.len());
                for (number, datagram) in received.iter().enumerate() {
                    assert_eq!(
                        &datagram.bytes[..],
                        &sent[number % sent.len()][..],
                        "{host}, {number}"
                    );
                    assert_eq!(datagram.length, datagram.bytes.len());
                }
                let beside = received[0].bytes.as_ptr().wrapping_add(10);
                assert_eq!(received[1].bytes.as_ptr(), beside, "it has come as one message");
            }
            let nothing = batch.receive(to.as_fd(), &loans, false, &mut Vec::new());
            assert_eq!(nothing, Err(Errno::AGAIN));
            let unused = batch.free.borrow().len() + batch.headers.borrow().wanted();
            assert_eq!(unused, rooms, "each room has come back, once");
        }
    }
}
