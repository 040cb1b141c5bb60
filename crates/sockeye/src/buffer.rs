//! Bytes on their way: a [`Chunk`] is what one receive brought, owned, and handed on without a copy.
//!
//! Nothing here belongs to an idle connection. A chunk borrows its memory from a pool of its thread (or from the
//! buffers that an io_uring fills) at the moment when bytes arrive, and gives it back when it is dropped, or has been sent.

use std::cell::RefCell;
use std::fmt;
use std::io::IoSlice;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;
use tokio::io::ReadBuf;

/// How much one receive takes at the most. A 16 KiB message must fit with room to spare, so that a short count tells
/// that the socket is empty and saves the call that would only say "would block".
pub(crate) const RECEIVE: usize = 64 << 10;

/// Buffers that a thread keeps for its next receives, beside the one it uses most; more are given back to the allocator. One is in use per
/// handler that is sending just now, so a few serve thousands of connections.
const KEPT: usize = 32;

/// A pending rest shorter than this moves to memory of its own size while its peer is slow, so that many slow peers
/// don't pin a whole [`RECEIVE`] buffer each.
const SHRINK_BELOW: usize = RECEIVE / 2;

type Buffer = Box<[u8; RECEIVE]>;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { top: None, rest: Vec::new() }) };
}

/// What a thread keeps. As a rule it is one buffer, which is taken and given back without a look at other memory.
struct Pool {
    top: Option<Buffer>,
    rest: Vec<Buffer>,
}

impl Pool {
    #[inline]
    fn take(&mut self) -> Option<Buffer> {
        self.top.take().or_else(|| self.rest.pop())
    }

    #[inline]
    fn keep(&mut self, buffer: Buffer) {
        if let Some(before) = self.top.replace(buffer)
            && self.rest.len() < KEPT
        {
            self.rest.push(before);
        }
    }
}

/// Without a detour over the stack, which an array would take.
#[cold]
fn allocate() -> Option<Buffer> {
    vec![0; RECEIVE].into_boxed_slice().try_into().ok()
}

/// A buffer of [`RECEIVE`] bytes to receive into, from this thread's pool.
pub(crate) struct Spare(Option<Buffer>);

impl Spare {
    #[inline]
    pub(crate) fn take() -> Spare {
        Spare(POOL.with_borrow_mut(Pool::take).or_else(allocate))
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Some(buffer) => &mut buffer[..],
            None => &mut [],
        }
    }

    /// The beginning of several pieces, as much as one buffer holds.
    pub(crate) fn gather(pieces: &[IoSlice<'_>]) -> Chunk {
        let mut spare = Spare::take();
        let mut room = spare.bytes();
        for piece in pieces {
            let count = piece.len().min(room.len());
            let (now, rest) = room.split_at_mut(count);
            now.copy_from_slice(&piece[..count]);
            room = rest;
        }
        let count = RECEIVE - room.len();
        spare.filled(count)
    }

    /// The first `count` bytes, as a chunk.
    #[inline]
    pub(crate) fn filled(mut self, count: usize) -> Chunk {
        let end = count.min(self.bytes().len());
        if end == 0 {
            return Chunk::default();
        }
        Chunk {
            at: start(self.bytes()),
            count: end,
            owner: Owner::of(Whose::Pool { bytes: self }),
        }
    }
}

impl Spare {
    #[inline(never)]
    // SAFETY: nothing else is in this section; see `model/blocking.rs`.
    #[allow(unsafe_code)]
    #[unsafe(link_section = "sockeye_hot")]
    fn give_back(&mut self) {
        if let Some(bytes) = self.0.take() {
            // A thread that is ending has no pool any more; its last buffers go to the allocator.
            let _ = POOL.try_with(|pool| pool.borrow_mut().keep(bytes));
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Who lends memory to chunks and wants it back by its number.
pub(crate) trait Lender {
    fn give_back(&self, number: u16);
}

impl<L: Lender> Lender for Rc<L> {
    fn give_back(&self, number: u16) {
        (**self).give_back(number);
    }
}

/// A lender as chunks know it: one pointer wide, since each chunk has room for it.
#[derive(Clone)]
pub(crate) struct Loans(Rc<Box<dyn Lender>>);

impl Loans {
    pub(crate) fn of(lender: impl Lender + 'static) -> Self {
        Loans(Rc::new(Box::new(lender)))
    }

    /// # Safety
    /// `at` is readable, and nobody writes to it, for as many bytes as `count` says, until `give_back(number)`.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn chunk(&self, at: NonNull<u8>, count: usize, number: u16) -> Chunk {
        let loans = self.clone();
        let owner = Owner::of(Whose::Lender { number, loans });
        Chunk { at, count, owner }
    }
}

/// Whose the bytes are; only ever dropped or asked which it is. Moving it doesn't move the bytes.
enum Whose {
    Program,
    #[expect(
        clippy::box_collection,
        reason = "a chunk is moved often, and rarely made of a vector"
    )]
    Heap {
        _bytes: Box<Vec<u8>>,
    },
    Pool {
        bytes: Spare,
    },
    Lender {
        number: u16,
        loans: Loans,
    },
}

impl Drop for Whose {
    #[inline]
    fn drop(&mut self) {
        if let Whose::Lender { number, loans } = self {
            loans.0.give_back(*number);
        }
    }
}

/// Gives the bytes back as it goes. To let go of none is one look, wherever that stands.
struct Owner(ManuallyDrop<Whose>);

impl Owner {
    const PROGRAM: Owner = Owner(ManuallyDrop::new(Whose::Program));

    #[inline]
    fn of(whose: Whose) -> Self {
        Owner(ManuallyDrop::new(whose))
    }

    #[inline(never)]
    // SAFETY: nothing else is in this section; see `model/blocking.rs`.
    #[allow(unsafe_code)]
    #[unsafe(link_section = "sockeye_hot")]
    fn give_back(&mut self) {
        if let Whose::Pool { bytes } = &mut *self.0 {
            return bytes.give_back(); // nothing is left of it that had to be dropped
        }
        // SAFETY: it is dropped here only, and not looked at again.
        #[allow(unsafe_code)]
        unsafe {
            ManuallyDrop::drop(&mut self.0);
        }
    }
}

impl Drop for Owner {
    #[inline(always)]
    fn drop(&mut self) {
        if !matches!(*self.0, Whose::Program) {
            self.give_back();
        }
    }
}

/// Owned bytes, as one receive brought them or as a handler made them. An empty chunk from
/// [`Connection::recv`](crate::Connection::recv) is the end of the stream.
///
/// ```
/// use sockeye::Chunk;
/// let mut chunk = Chunk::from(b"hello world".to_vec());
/// chunk.advance(6);
/// assert_eq!(&chunk[..], b"world");
/// ```
pub struct Chunk {
    // A pointer beside its owner: reading a chunk, which happens several times per receive, asks no questions.
    at: NonNull<u8>,
    count: usize,
    owner: Owner,
}

impl Chunk {
    /// Forgets the first `count` bytes (all of them, if there are fewer).
    #[allow(unsafe_code)]
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.count);
        // SAFETY: at most to the end of the same memory.
        self.at = unsafe { self.at.add(count) };
        self.count -= count;
    }

    /// Moves the first of its bytes there, as many as there is room for. An empty one has given its memory back.
    pub(crate) fn pour(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.count.min(buf.remaining());
        buf.put_slice(&self[..count]);
        self.consume(count);
    }

    /// Forgets the first `count` bytes, and the memory with the last: an idle connection holds no buffer.
    pub(crate) fn consume(&mut self, count: usize) {
        self.advance(count);
        if self.is_empty() {
            *self = Chunk::default();
        }
    }

    /// None of its bytes is needed any more: the memory goes back now, and not where the chunk is dropped.
    #[inline(always)]
    pub(crate) fn release(&mut self) {
        self.count = 0;
        match &mut *self.owner.0 {
            Whose::Pool { bytes } => {
                bytes.give_back();
                self.owner.0 = ManuallyDrop::new(Whose::Program); // nothing was left of it that had to be dropped
            }
            _ => self.owner = Owner::PROGRAM,
        }
    }

    /// Keeps the first `count` bytes only.
    pub fn truncate(&mut self, count: usize) {
        self.count = self.count.min(count);
    }

    #[cfg(test)]
    pub(crate) fn holds_a_buffer(&self) -> bool {
        matches!(*self.owner.0, Whose::Pool { .. })
    }

    /// Gives a large buffer back when only a little of it is still wanted: called when a peer lets us wait.
    pub(crate) fn settle(&mut self) {
        if matches!(*self.owner.0, Whose::Pool { .. }) && self.len() < SHRINK_BELOW {
            *self = Chunk::from(self.to_vec());
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    #[inline]
    #[allow(unsafe_code)]
    fn deref(&self) -> &[u8] {
        // SAFETY: every constructor sets `at` and `count` to bytes that `owner` keeps in place and that nobody writes to,
        // and they only ever shrink.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.count) }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for Chunk {
    #[inline]
    fn default() -> Self {
        Chunk {
            at: NonNull::dangling(),
            count: 0,
            owner: Owner::PROGRAM,
        }
    }
}

/// Where a slice that is not null begins.
fn start(bytes: &[u8]) -> NonNull<u8> {
    NonNull::from(bytes).cast()
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Chunk {
            at: start(&bytes),
            count: bytes.len(),
            owner: Owner::of(Whose::Heap {
                _bytes: Box::new(bytes),
            }),
        }
    }
}

impl From<String> for Chunk {
    fn from(text: String) -> Self {
        Chunk::from(text.into_bytes())
    }
}

impl From<&'static [u8]> for Chunk {
    fn from(bytes: &'static [u8]) -> Self {
        Chunk {
            at: start(bytes),
            count: bytes.len(),
            owner: Owner::PROGRAM,
        }
    }
}

impl From<&'static str> for Chunk {
    fn from(text: &'static str) -> Self {
        Chunk::from(text.as_bytes())
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chunk").field(&self.as_ref()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_to_the_pool_and_is_taken_again() {
        let mut spare = Spare::take();
        let at = spare.bytes().as_ptr();
        let chunk = spare.filled(3);
        assert_eq!(chunk.len(), 3);
        drop(chunk);
        assert_eq!(Spare::take().bytes().as_ptr(), at);
    }

    #[test]
    fn nothing_received_is_an_empty_chunk_that_holds_no_buffer() {
        assert!(matches!(*Spare::take().filled(0).owner.0, Whose::Program));
    }

    #[test]
    fn a_small_rest_moves_out_of_a_pooled_buffer() {
        let mut spare = Spare::take();
        spare.bytes()[..4].copy_from_slice(b"abcd");
        let mut chunk = spare.filled(4);
        chunk.advance(1);
        chunk.settle();
        assert_eq!(&chunk[..], b"bcd");
        assert!(matches!(*chunk.owner.0, Whose::Heap { .. }));
    }

    #[test]
    fn pieces_are_gathered_as_far_as_there_is_room() {
        let gather = |pieces: &[&[u8]]| {
            let pieces: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            Spare::gather(&pieces)
        };
        assert!(gather(&[]).is_empty());
        assert_eq!(&gather(&[b"ab", b"", b"c"])[..], b"abc");
        let large = [7; RECEIVE];
        let gathered = gather(&[b"ab", &large, b"no room"]);
        assert_eq!((gathered.len(), &gathered[..3]), (RECEIVE, &[b'a', b'b', 7][..]));
    }

    #[test]
    fn cutting_stays_inside() {
        let mut chunk = Chunk::from("abc");
        chunk.advance(9);
        assert!(chunk.is_empty());
        let mut chunk = Chunk::from("abc");
        chunk.truncate(2);
        chunk.advance(1);
        assert_eq!(&chunk[..], b"b");
    }
}
