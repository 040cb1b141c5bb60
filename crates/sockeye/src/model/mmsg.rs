//! Many datagrams in one call: `recvmmsg(2)` and `sendmmsg(2)`.

mod arrival;
mod local_end;
mod peer;
mod questions;

use super::{MESSAGE, Received, Route};
use crate::address::{Address, local_address};
use crate::buffer::{Chunk, Lender, Loans};
pub(crate) use arrival::Arrival;
use local_end::Control;
pub(crate) use local_end::LocalEnd;
pub(crate) use peer::Peer;
use peer::Room;
use questions::Questions;
use rustix::io::Errno;
use rustix::net::{AddressFamily, sockopt};
use std::cell::RefCell;
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::rc::Rc;

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
    /// What the kernel is asked for with each call.
    questions: RefCell<Questions>,
}

/// Has the kernel tell what is wanted of each datagram, and tells how much room that takes, in words of 8 bytes, at whose
/// alignment the kernel writes.
pub(crate) fn ask(fd: BorrowedFd<'_>) -> usize {
    let Ok(Address::Inet(bound)) = local_address(fd) else {
        return 0;
    };
    let (ends, times) = (local_end::ask(fd, bound.ip()), arrival::is_asked(fd));
    let bytes = usize::from(ends) * Control::SIZE + usize::from(times) * local_end::space::<libc::timespec>();
    bytes.div_ceil(size_of::<u64>())
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
            questions: RefCell::new(Questions::new(told)),
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
        let mut questions = self.questions.borrow_mut();
        questions.fill(&mut self.free.borrow_mut(), |slot| libc::iovec {
            iov_base: self.at(slot).as_ptr().cast(),
            iov_len: self.room,
        });
        let there = questions.wanted() + self.free.borrow().len();
        let count = questions.ask(fd, may_block)?;
        into.reserve(count);
        for (index, answer) in questions.answers(count).enumerate() {
            let length = answer.header.msg_len as usize;
            // SAFETY: the kernel has written as many bytes to this room, which nobody gets again before `give_back`.
            #[allow(unsafe_code)]
            let bytes = unsafe { loans.chunk(self.at(answer.slot), length.min(self.room), answer.slot) };
            let is_scarce = there - index <= self.scarce();
            let (local, arrived) = LocalEnd::read(&answer.header.msg_hdr);
            into.push(Received {
                bytes: if is_scarce {
                    Chunk::from(bytes.to_vec())
                } else {
                    bytes
                },
                length,
                from: Peer::read(answer.name, answer.header.msg_hdr.msg_namelen),
                local,
                arrived,
            });
        }
        Ok(count == questions.wanted())
    }
}

impl Lender for Batch {
    fn give_back(&self, number: u16) {
        self.free.borrow_mut().push(number);
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

/// Sends as many of the first `N` as the kernel takes; at least one, or an error that concerns the first.
#[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
pub(crate) fn send<'a, const N: usize>(
    fd: BorrowedFd<'_>,
    may_block: bool,
    packets: impl Iterator<Item = (&'a [u8], &'a Route)>,
) -> rustix::io::Result<usize> {
    // Written as far as they are needed: to clear all of them costs more than to send one datagram's headers.
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; N];
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; N];
    let mut rooms = [const { Room::uninit() }; N];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; N];
    let mut count = 0;
    for (bytes, route) in packets.take(N) {
        let vector = vectors[count].write(libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        });
        // SAFETY: all-zero is a valid value of this C structure: null pointers and zero lengths.
        let header = &mut headers[count].write(unsafe { zeroed() }).msg_hdr;
        header.msg_iov = std::ptr::from_mut(vector);
        header.msg_iovlen = 1;
        route.to.write(header, &mut rooms[count]);
        if let Some(end) = &route.from {
            end.write(header, &mut controls[count]);
        }
        count += 1;
    }
    let flags = libc::MSG_NOSIGNAL | if may_block { 0 } else { libc::MSG_DONTWAIT };
    // SAFETY: the first `count` headers point to names, bytes and control messages that the call only reads.
    let sent = unsafe {
        libc::sendmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            count as u32,
            flags as _,
        )
    };
    usize::try_from(sent).map_err(|_| last_error())
}
