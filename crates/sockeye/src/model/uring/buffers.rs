//! The buffers that the kernel takes when bytes arrive (io_uring_register_buf_ring(3)).

use crate::buffer::{Chunk, Lender, Loans, RECEIVE};
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

/// Size of a buffer, as other models receive. Under 16 KiB a large message costs several completions, three times the
/// CPU.
const SIZE: usize = RECEIVE;
/// How many there are (a power of two): the kernel completes a few dozen receives in a turn, and each is back by the
/// end of the next. Memory that is never written to costs nothing, so small messages touch one page of each.
const COUNT: u16 = 512;
/// When fewer are free, what arrives is copied out at once, so that connections whose peers are slow can't keep them
/// from the others.
const SCARCE: u16 = COUNT / 4;
/// The group's number; there is one group on a ring.
pub(super) const GROUP: u16 = 0;
/// What the kernel wants the ring aligned to.
const PAGE: usize = 4096;

pub(super) struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    tail: Cell<u16>,
    free: Cell<u16>,
}

const RING: Layout = match Layout::from_size_align(COUNT as usize * size_of::<BufRingEntry>(), PAGE) {
    Ok(layout) => layout,
    Err(_) => panic!("a layout that is right at compile time"),
};
const MEMORY: Layout = match Layout::from_size_align(COUNT as usize * SIZE, PAGE) {
    Ok(layout) => layout,
    Err(_) => panic!("a layout that is right at compile time"),
};

#[allow(unsafe_code)]
fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: neither layout is of size zero.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

impl Buffers {
    pub(super) fn new(io: &IoUring) -> io::Result<Rc<Self>> {
        let buffers = Buffers {
            ring: allocate(RING).cast(),
            memory: allocate(MEMORY),
            tail: Cell::new(0),
            free: Cell::new(0),
        };
        let at = buffers.ring.as_ptr() as u64;
        // SAFETY: the memory is the ring's until `Drop`, which comes after the ring's own end.
        #[allow(unsafe_code)]
        unsafe {
            io.submitter().register_buf_ring_with_flags(at, COUNT, GROUP, 0)?;
        }
        (0..COUNT).for_each(|number| buffers.give_back(number));
        Ok(Rc::new(buffers))
    }

    #[allow(unsafe_code)]
    fn at(&self, number: u16) -> NonNull<u8> {
        // SAFETY: the kernel names only numbers that it was given, below COUNT.
        unsafe { self.memory.add(usize::from(number % COUNT) * SIZE) }
    }

    /// The kernel has filled a buffer.
    #[allow(unsafe_code)]
    pub(super) fn filled(&self, loans: &Loans, number: u16, count: usize) -> Chunk {
        self.free.set(self.free.get().saturating_sub(1));
        // SAFETY: the kernel has written `count` bytes there, and doesn't touch them before they are given back.
        let chunk = unsafe { loans.chunk(self.at(number), count.min(SIZE), number) };
        if self.free.get() < SCARCE {
            Chunk::from(chunk.to_vec())
        } else {
            chunk
        }
    }
}

impl Lender for Buffers {
    #[allow(unsafe_code)]
    fn give_back(&self, number: u16) {
        let tail = self.tail.get();
        // SAFETY: the ring has COUNT entries.
        let entry = unsafe { self.ring.as_ptr().add(usize::from(tail % COUNT)) };
        // SAFETY: this one is not the kernel's before the tail says so.
        let entry = unsafe { &mut *entry };
        entry.set_addr(self.at(number).as_ptr() as u64);
        entry.set_len(SIZE as u32);
        entry.set_bid(number);
        self.tail.set(tail.wrapping_add(1));
        self.free.set(self.free.get() + 1);
        // SAFETY: the pointer is to the first entry of a ring.
        let tail_at = unsafe { BufRingEntry::tail(self.ring.as_ptr()) };
        // SAFETY: the tail is a u16 that is aligned as the entry is, which the kernel reads with an acquiring load.
        let shared_tail = unsafe { AtomicU16::from_ptr(tail_at.cast_mut()) };
        shared_tail.store(self.tail.get(), Ordering::Release);
    }
}

impl Drop for Buffers {
    #[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
    fn drop(&mut self) {
        // SAFETY: both were allocated with these layouts; the ring is closed and its last operation over.
        unsafe {
            dealloc(self.ring.as_ptr().cast(), RING);
            dealloc(self.memory.as_ptr(), MEMORY);
        }
    }
}
