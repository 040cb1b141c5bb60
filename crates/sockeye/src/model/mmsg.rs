//! Many datagrams in one call: `recvmmsg(2)` and `sendmmsg(2)`.

use super::Received;
use crate::buffer::{Chunk, Lender, Loan};
use rustix::io::Errno;
use rustix::net::SocketAddrAny;
use rustix::net::addr::SocketAddrStorage;
use std::cell::RefCell;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::rc::Rc;

/// Datagrams that one call brings at the most. At 64 the call's own cost is a few per cent of a datagram's; more would
/// only make the first of them wait longer.
pub(crate) const BATCH: usize = 64;

/// Room for one datagram: the largest that UDP can carry is 65,507 bytes. Untouched pages cost nothing.
const ROOM: usize = 64 << 10;

/// The memory that datagrams are received into, lent to them until they are dropped.
pub(crate) struct Batch {
    memory: NonNull<u8>,
    free: RefCell<Vec<u16>>,
}

impl Batch {
    pub(crate) fn new() -> Rc<Self> {
        let memory = Box::leak(vec![0u8; BATCH * ROOM].into_boxed_slice());
        let free = RefCell::new((0..BATCH as u16).rev().collect());
        Rc::new(Batch {
            memory: NonNull::from(memory).cast(),
            free,
        })
    }

    #[allow(unsafe_code)]
    fn room(&self, number: u16) -> NonNull<u8> {
        // SAFETY: numbers are below BATCH, so this stays inside of the memory.
        unsafe { self.memory.add(usize::from(number) * ROOM) }
    }

    /// Adds what is there; true when there may be more. A datagram that is longer than its room is dropped.
    pub(crate) fn receive(
        self: &Rc<Self>,
        fd: BorrowedFd<'_>,
        may_block: bool,
        into: &mut Vec<Received>,
    ) -> rustix::io::Result<bool> {
        let mut slots = self.free.take();
        if slots.is_empty() {
            // Handlers hold all the rooms: the next datagram gets memory of its own.
            let mut bytes = vec![0; ROOM];
            let flags = if may_block {
                rustix::net::RecvFlags::empty()
            } else {
                rustix::net::RecvFlags::DONTWAIT
            };
            let (count, _, from) = rustix::net::recvfrom(fd, &mut bytes[..], flags)?;
            bytes.truncate(count);
            into.push(Received {
                bytes: Chunk::from(bytes),
                from,
            });
            return Ok(true);
        }
        let wanted = slots.len();
        let counted = self.receive_into(fd, may_block, &slots, into);
        // What was not filled is free again; what was, comes back with its chunk.
        let filled = *counted.as_ref().unwrap_or(&0);
        slots.drain(..filled);
        self.free.borrow_mut().append(&mut slots);
        Ok(counted? == wanted)
    }

    #[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
    fn receive_into(
        self: &Rc<Self>,
        fd: BorrowedFd<'_>,
        may_block: bool,
        slots: &[u16],
        into: &mut Vec<Received>,
    ) -> rustix::io::Result<usize> {
        // SAFETY: all-zero is a valid value of these C structures: null pointers and zero lengths.
        let (mut names, mut headers): ([libc::sockaddr_storage; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { (zeroed(), zeroed()) };
        let mut rooms = slots.iter().map(|slot| libc::iovec {
            iov_base: self.room(*slot).as_ptr().cast(),
            iov_len: ROOM,
        });
        let mut vectors: [libc::iovec; BATCH] = std::array::from_fn(|_| {
            rooms.next().unwrap_or(libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            })
        });
        for ((header, name), vector) in headers
            .iter_mut()
            .zip(&mut names)
            .zip(&mut vectors)
            .take(slots.len())
        {
            header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        let flags = if may_block {
            libc::MSG_WAITFORONE
        } else {
            libc::MSG_DONTWAIT
        };
        // SAFETY: the first `slots.len()` headers point to names, vectors and rooms that outlive the call, each its own.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr(),
                slots.len() as u32,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| last_error())?;
        for ((header, name), slot) in headers.iter().zip(&names).zip(slots).take(count) {
            let (at, length) = (self.room(*slot), (header.msg_len as usize).min(ROOM));
            // SAFETY: the kernel has written `length` bytes to this room, which nobody gets again before `give_back`.
            let bytes = unsafe { Loan::chunk(at, length, *slot, self.clone()) };
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                tracing::warn!(limit = ROOM, "a datagram over the limit has been dropped");
                continue;
            }
            let length = header.msg_hdr.msg_namelen;
            let from = (length as usize > size_of::<libc::sa_family_t>()).then(|| {
                // SAFETY: the kernel has written an address of `msg_namelen` bytes to this name.
                unsafe { SocketAddrAny::read(std::ptr::from_ref(name).cast::<SocketAddrStorage>(), length) }
            });
            into.push(Received { bytes, from });
        }
        Ok(count)
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
        let memory = std::ptr::slice_from_raw_parts_mut(self.memory.as_ptr(), BATCH * ROOM);
        // SAFETY: `new` leaked a box of this very length, and no loan is left, for each keeps the batch alive.
        drop(unsafe { Box::from_raw(memory) });
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Sends as many of the front as the kernel takes without waiting; at least one, or an error that concerns the first.
#[allow(unsafe_code)]
pub(crate) fn send(fd: BorrowedFd<'_>, packets: &[(Chunk, SocketAddrAny)]) -> io::Result<usize> {
    // SAFETY: all-zero is a valid value of this C structure: null pointers and zero lengths.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    let mut vectors: [libc::iovec; BATCH] = std::array::from_fn(|_| libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    });
    let count = packets.len().min(BATCH);
    for ((header, vector), (bytes, to)) in headers.iter_mut().zip(&mut vectors).zip(packets) {
        *vector = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        header.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = to.addr_len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` headers point to names and bytes of `packets`, which the call only reads.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count as u32, flags as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
