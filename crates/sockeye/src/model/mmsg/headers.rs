//! What `recvmmsg(2)` is called with: kept from call to call, and put right only where the last one has written.
//!
//! A call that may bring 64 datagrams brings one when there is one, and to prepare all of it anew would cost more then than
//! the datagram does.

use super::{BATCH, last_error};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Headers for a batch, and what they point to. The pointers stay good because none of these vectors ever grows.
pub(super) struct Headers {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    names: Vec<libc::sockaddr_storage>,
    /// What the kernel tells of each, on a socket that is told: some words of 8 bytes, at whose alignment it writes.
    controls: Vec<u64>,
    /// Which room each has.
    slots: [u16; BATCH],
    /// How many have a room: those at the front.
    wanted: usize,
    /// How many of them are filled since, and want another.
    filled: usize,
}

/// One that is filled.
pub(super) struct Entry<'h> {
    pub(super) slot: u16,
    pub(super) header: &'h libc::mmsghdr,
    pub(super) name: &'h libc::sockaddr_storage,
}

impl Headers {
    /// With so many words for what is told of each.
    #[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
    pub(super) fn new(told: usize) -> Self {
        // SAFETY: all-zero is a valid value of these C structures: null pointers and zero lengths.
        let (header, vector, name) = unsafe { (zeroed(), zeroed(), zeroed()) };
        let mut all = Headers {
            headers: vec![header; BATCH],
            vectors: vec![vector; BATCH],
            names: vec![name; BATCH],
            controls: vec![0; told * BATCH],
            slots: [0; BATCH],
            wanted: 0,
            filled: 0,
        };
        let (vectors, names) = (all.vectors.as_mut_ptr(), all.names.as_mut_ptr());
        let controls = all.controls.as_mut_ptr();
        for (index, header) in all.headers.iter_mut().enumerate() {
            let header = &mut header.msg_hdr;
            header.msg_name = names.wrapping_add(index).cast();
            header.msg_iov = vectors.wrapping_add(index);
            header.msg_iovlen = 1;
            if told > 0 {
                header.msg_control = controls.wrapping_add(index * told).cast();
            }
        }
        all
    }

    /// Gives a room to all that have none, as far as there are any.
    pub(super) fn fill(&mut self, free: &mut Vec<u16>, room: impl Fn(u16) -> libc::iovec) {
        let mut at = 0;
        while at < self.filled.min(self.wanted) {
            match free.pop() {
                Some(slot) => self.give(at, slot, &room),
                // The last that has one gives it up.
                None => {
                    self.wanted -= 1;
                    if self.wanted >= self.filled {
                        self.give(at, self.slots[self.wanted], &room);
                    } else {
                        self.wanted = at;
                    }
                }
            }
            at += 1;
        }
        self.filled = 0;
        while self.wanted < BATCH
            && let Some(slot) = free.pop()
        {
            self.give(self.wanted, slot, &room);
            self.wanted += 1;
        }
    }

    fn give(&mut self, index: usize, slot: u16, room: impl Fn(u16) -> libc::iovec) {
        self.slots[index] = slot;
        self.vectors[index] = room(slot);
        let header = &mut self.headers[index].msg_hdr;
        header.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
        header.msg_controllen = (self.controls.len() / BATCH * size_of::<u64>()) as _;
    }

    /// How many datagrams may come.
    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Receives; returns how many came.
    #[allow(unsafe_code)]
    pub(super) fn receive(&mut self, fd: BorrowedFd<'_>, may_block: bool) -> rustix::io::Result<usize> {
        // MSG_TRUNC has the kernel tell how long a datagram was that didn't fit.
        let waits = match may_block {
            true => libc::MSG_WAITFORONE,
            false => libc::MSG_DONTWAIT,
        };
        // SAFETY: the first `wanted` headers point to names, vectors, rooms and perhaps control messages that outlive the
        // call, each its own.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.wanted as u32,
                (libc::MSG_TRUNC | waits) as _,
                std::ptr::null_mut(),
            )
        };
        self.filled = usize::try_from(count).map_err(|_| last_error())?;
        Ok(self.filled)
    }

    /// What came, in its order.
    pub(super) fn filled(&self, count: usize) -> impl Iterator<Item = Entry<'_>> {
        let parts = self.slots.iter().zip(&self.headers).zip(&self.names);
        parts.take(count).map(|((slot, header), name)| Entry {
            slot: *slot,
            header,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(slot: u16) -> libc::iovec {
        libc::iovec {
            iov_base: std::ptr::without_provenance_mut(usize::from(slot)),
            iov_len: 1,
        }
    }

    /// The rooms that the next call would have, in order.
    fn rooms(headers: &Headers) -> Vec<u16> {
        let vectors = headers.vectors[..headers.wanted].iter();
        let rooms: Vec<u16> = vectors.map(|vector| vector.iov_base.addr() as u16).collect();
        assert_eq!(rooms, headers.slots[..headers.wanted]);
        rooms
    }

    #[test]
    fn what_is_filled_gets_another_room_and_nobody_has_two() {
        // xorshift64 (Marsaglia 2003)
        let mut state = 7_u64;
        let mut below = |end: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % end as u64) as usize
        };
        let mut headers = Headers::new(1);
        let mut free: Vec<u16> = (0..80).collect();
        let mut lent: Vec<u16> = Vec::new();
        for _ in 0..10_000 {
            headers.fill(&mut free, room);
            let rooms = rooms(&headers);
            let mut all: Vec<u16> = [&rooms[..], &free, &lent].concat();
            all.sort_unstable();
            assert_eq!(all, (0..80).collect::<Vec<u16>>());
            assert_eq!(
                rooms.len(),
                (80 - lent.len()).min(BATCH),
                "no room is left unused"
            );
            let came = below(rooms.len() + 1);
            headers.filled = came;
            lent.extend(headers.filled(came).map(|entry| entry.slot));
            for _ in 0..below(lent.len() + 1) {
                free.push(lent.swap_remove(below(lent.len())));
            }
        }
    }
}
